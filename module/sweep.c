// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev: which page tables are worth a visit. Nearly all memory hasn't changed since
 * the last reading of a mark, and this is where a cut or a scan spends its time with it:
 * so entries are read many at a time, without locks, and what is found is looked at
 * again by who visits the table.
 *
 * Without the page-table lock a read may come before or after whatever happens to the
 * page at the same time. Both are right: a store that comes later is the next reading's,
 * and who takes a page away has set its event bit before. So the marks are read last.
 */
#include <asm/simd.h>
#include <linux/bitops.h>

#include "cptdev.h"

static bool have_avx2 __ro_after_init;

void __init cptdev_sweep_init(void)
{
	have_avx2 = boot_cpu_has(X86_FEATURE_AVX2) &&
		cpu_has_xfeatures(XFEATURE_MASK_SSE | XFEATURE_MASK_YMM, NULL);
}

/* What sweep_table() found: a bit for each word of entries, and this one. */
#define FOUND_MARKS	0x100U
#define FOUND_WORDS	0x0ffU

/*
 * Entries of a whole table that have one of @bits: which words have any. If one has,
 * @found says which entries. And has the mark, @lines of eight words, any bit?
 */
static u32 sweep_table(const pte_t *table, u64 bits, u64 *found, const u64 *marks,
		       u32 lines)
{
	u32 words = 0;
	unsigned int i;
	u64 some;

	for (i = 0; i < CHUNK_WORDS; i++) {
		some = cptdev_ptes64(table + i * 64, bits);
		if (!some)
			continue;
		if (!words)
			memset(found, 0, CHUNK_WORDS * sizeof(*found));
		found[i] = some;
		words |= 1U << i;
	}
	smp_rmb();	/* pairs with the notifier, which sets the bit first */
	for (some = 0, i = 0; i < lines * 8; i++)
		some |= READ_ONCE(marks[i]);
	return words | (some ? FOUND_MARKS : 0);
}

/* A hole counts as soon as there is anything; whatever happened to it before doesn't. */
static void add_marks(const struct cptdev_walk *w, struct cptdev_table *t,
		      const struct cptdev_chunk *c, const pte_t *table)
{
	const struct cptdev_mark *m = w->cut ? &c->cut : &c->scan;
	unsigned int i;

	for (i = 0; i < CHUNK_WORDS; i++) {
		u64 hole = m->hole[i];

		if (hole)
			t->found[i] |= cptdev_ptes64(table + i * 64, ~0ULL) & hole;
		smp_rmb();	/* as in sweep_table() */
		t->found[i] |= atomic64_read(&m->event[i]) & ~hole;
		if (w->cut)
			t->found[i] |= c->pinned[i];
	}
}

/* Where in a chunk the mark lies that a walk reads, and how many times eight words it has. */
struct where {
	u32 offset;
	u32 lines;
};

static __always_inline struct where mark_of(const struct cptdev_walk *w)
{
	BUILD_BUG_ON(offsetof(struct cptdev_chunk, pinned) !=
		     offsetof(struct cptdev_chunk, cut) + sizeof(struct cptdev_mark));

	/* To the mark of cuts belongs what is pinned. */
	if (w->cut)
		return (struct where) { offsetof(struct cptdev_chunk, cut), 3 };
	return (struct where) { offsetof(struct cptdev_chunk, scan), 2 };
}

/* Marks of a chunk that lies in a range only in part: the others' don't count. */
static noinline bool marked(const u64 *marks, u32 lines, unsigned long start,
			    unsigned long end)
{
	unsigned int i, first, last;
	u64 some;

	cptdev_chunk_clip(start >> CHUNK_SHIFT, start, end, &first, &last);
	for (i = 0; i < 8; i++) {
		some = READ_ONCE(marks[i]) | READ_ONCE(marks[i + 8]);
		if (lines == 3)
			some |= READ_ONCE(marks[i + 16]);
		if (some & cptdev_word_mask(i, first, last))
			return true;
	}
	return false;
}

/* True if anything was found. */
static __always_inline bool look(const struct cptdev_walk *w, struct cptdev_table *t,
				 struct cptdev_chunk *c, pte_t *table, struct where mark,
				 unsigned long start, unsigned long end, bool simd)
{
	const u64 *marks = (void *)c + mark.offset;
	u32 what;

	what = simd ? cptdev_sweep_avx2(table, w->bits, t->found, marks, mark.lines) :
		sweep_table(table, w->bits, t->found, marks, mark.lines);
	if (!what)
		return false;
	t->ptes = table;
	t->words = what & FOUND_WORDS;
	t->marks = what & FOUND_MARKS;
	if (unlikely(t->marks)) {
		if (!marked(marks, mark.lines, start, end)) {
			t->marks = false;
			return t->words;
		}
		if (!t->words)
			memset(t->found, 0, sizeof(t->found));
		t->words = FOUND_WORDS;
		add_marks(w, t, c, table);
	}
	return true;
}

/*
 * For who visits a table that wasn't swept, and can't go away: as if every word had been
 * found, and marks.
 */
void cptdev_table_look(const struct cptdev_walk *w, struct cptdev_table *t)
{
	memset(t->found, 0, sizeof(t->found));
	t->ptes = pte_offset_kernel(t->pmd, t->base & CHUNK_MASK);
	look(w, t, t->chunk, t->ptes, mark_of(w), t->base, t->base + CHUNK_SIZE, false);
	t->swept = true;
	t->marks = true;
	t->words = FOUND_WORDS;
}

/*
 * Has each table to be visited? A cut asks for more than the PTEs where there is no write
 * permission, since ptrace writes all the same, and where no page was ever written.
 */
static bool all_busy(const struct cptdev_walk *w)
{
	return !w->bits ||
		(w->cut && (!(w->vma->vm_flags & VM_WRITE) || !w->vma->anon_vma));
}

/*
 * From the table @from on, below the same entry of the level above, as far as @end: put
 * the tables that have to be visited into the session's list. Returns their number;
 * @next is where it stopped, @from->quiet the pages that were passed over behind the last.
 */
unsigned int cptdev_sweep(struct cptdev_walk *w, struct cptdev_table *from,
			  unsigned long end, unsigned long *next)
{
	XA_STATE(xas, &w->s->chunks, from->base >> CHUNK_SHIFT);
	unsigned long stop, addr = from->base + from->first * PAGE_SIZE;
	struct cptdev_table *t = w->s->tables;
	const u64 newer = w->cut ? w->newer : U64_MAX;
	const struct where mark = mark_of(w);
	const bool all = all_busy(w);
	const bool simd = !all && have_avx2 && may_use_simd();
	pmd_t *pmdp = from->pmd, *last = pmdp + CPTDEV_SWEEP;
	struct cptdev_chunk *c;
	u32 quiet = 0;

	rcu_read_lock();
	if (simd)
		kernel_fpu_begin();
	c = xas_load(&xas);
	for (; pmdp < last && addr < end; pmdp++) {
		pmd_t pmd = READ_ONCE(*pmdp);
		unsigned long base = addr & CHUNK_MASK;

		stop = min(base + CHUNK_SIZE, end);
		t->swept = !all && c && c->newest <= newer && cptdev_pmd_table(pmd);
		if (t->swept && !look(w, t, c, cptdev_pmd_ptes(pmd), mark,
				      addr, stop, simd)) {
			quiet += (stop - addr) >> PAGE_SHIFT;
		} else {
			t->pmd = pmdp;
			t->chunk = c;
			t->base = base;
			t->first = (addr - base) >> PAGE_SHIFT;
			t->last = ((stop - base) >> PAGE_SHIFT) - 1;
			t->empty = pmd_none(pmd);
			t->quiet = quiet;
			quiet = 0;
			t++;
		}
		addr = stop;
		c = xas_next(&xas);
	}
	if (simd)
		kernel_fpu_end();
	rcu_read_unlock();
	from->quiet = quiet;
	*next = addr;
	return t - w->s->tables;
}
