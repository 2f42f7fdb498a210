// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev: which page tables need a visit. Nearly all memory hasn't changed since the last reading
 * of a mark, and a cut or a scan spends most of its time on this memory. So the sweep reads many
 * entries at a time, without locks. The visitor of a table checks the found entries again.
 *
 * Without the page-table lock, a read may come before or after a concurrent change of the page.
 * Both are right: a store that comes later belongs to the next reading, and a task that takes a
 * page away sets its event bit first. So the marks are read last.
 */
#include <linux/bitops.h>

#include "track.h"

/*
 * Finds the entries of a whole table that have one of @bits. Returns the words of 64 entries that
 * contain any, and if there is one, @found says which entries. Also returns whether the mark has
 * any bit: in the sixteen words at @mark, and in the eight words at @third.
 */
static u32 sweep_table(const pte_t *table, u64 bits, u64 *found, const u64 *mark,
		       const u64 *third)
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
	for (some = 0, i = 0; i < CHUNK_WORDS; i++)
		some |= READ_ONCE(mark[i]) | mark[i + CHUNK_WORDS] | third[i];
	return words | (some ? CPTDEV_FOUND_MARKS : 0);
}

/*
 * Where in a chunk the mark lies that a walk reads: event bits, holes, and for cuts what is
 * pinned. Scans have no third.
 */
struct where {
	u64 mark;
	u64 third;
};

static __always_inline struct where mark_of(const struct cptdev_walk *w)
{
	if (w->cut)
		return (struct where) { offsetof(struct cptdev_chunk, cut),
					offsetof(struct cptdev_chunk, pinned) };
	return (struct where) { offsetof(struct cptdev_chunk, scan),
				offsetof(struct cptdev_chunk, scan.hole) };
}

static u32 sweep_one(const struct cptdev_walk *w, struct cptdev_chunk *c,
		     const pte_t *table, u64 *found)
{
	struct where where = mark_of(w);

	return sweep_table(table, w->bits, found, (void *)c + where.mark,
			   (void *)c + where.third);
}

/* Has the mark bits in [start, end)? The others' don't count, in a chunk at a border. */
static bool marked(const struct cptdev_walk *w, const struct cptdev_chunk *c,
		   unsigned long start, unsigned long end)
{
	const struct cptdev_mark *m = w->cut ? &c->cut : &c->scan;
	unsigned int i, first, last;
	u64 some;

	cptdev_chunk_clip(start >> CHUNK_SHIFT, start, end, &first, &last);
	for (i = 0; i < CHUNK_WORDS; i++) {
		some = atomic64_read(&m->event[i]) | m->hole[i];
		if (w->cut)
			some |= c->pinned[i];
		if (some & cptdev_word_mask(i, first, last))
			return true;
	}
	return false;
}

/*
 * A hole counts as changed as soon as it has an entry. An event of a hole means that it may have
 * had an entry a moment before: the visitor of the table checks this under the table's lock.
 */
static void add_marks(const struct cptdev_walk *w, const struct cptdev_chunk *c,
		      const pte_t *table, u64 *found)
{
	const struct cptdev_mark *m = w->cut ? &c->cut : &c->scan;
	unsigned int i;

	for (i = 0; i < CHUNK_WORDS; i++) {
		if (m->hole[i])
			found[i] |= cptdev_ptes64(table + i * 64, ~0ULL) & m->hole[i];
		smp_rmb();	/* as in sweep_table() */
		found[i] |= atomic64_read(&m->event[i]);
		if (w->cut)
			found[i] |= c->pinned[i];
	}
}

/* What was found, and what the marks have to say to that. */
static u32 look_closer(const struct cptdev_walk *w, const struct cptdev_chunk *c,
		       const pte_t *table, u64 *found, u32 what,
		       unsigned long start, unsigned long end)
{
	if (!(what & CPTDEV_FOUND_MARKS))
		return what;
	if (!marked(w, c, start, end))
		return what & ~CPTDEV_FOUND_MARKS;
	if (!(what & CPTDEV_FOUND_WORDS))
		memset(found, 0, CHUNK_WORDS * sizeof(*found));
	add_marks(w, c, table, found);
	/* holes that still are */
	if (!(what & CPTDEV_FOUND_WORDS) && !memchr_inv(found, 0, CHUNK_WORDS * sizeof(*found)))
		return 0;
	return what | CPTDEV_FOUND_WORDS;
}

/*
 * For the visitor of a table that wasn't swept and can't go away. Sweeps the table, and reports
 * all words and the marks as found.
 */
void cptdev_table_look(const struct cptdev_walk *w, struct cptdev_table *t)
{
	u32 what;

	memset(t->found, 0, CHUNK_WORDS * sizeof(*t->found));
	t->ptes = pte_offset_kernel(t->pmd, t->base);
	what = sweep_one(w, t->chunk, t->ptes, t->found);
	look_closer(w, t->chunk, t->ptes, t->found, what, t->base, t->base + CHUNK_SIZE);
	t->swept = true;
	t->marks = true;
	t->words = CPTDEV_FOUND_WORDS;
}

/*
 * The tables of a sweep and their chunks. Those with news in their chunk aren't swept, nor, by
 * a cut, those whose pages have one number together: a visit gives each its own. Ends where there
 * are no tables: walk.c steps over these. Returns how many.
 */
static __always_inline unsigned int list_tables(struct cptdev_walk *w, unsigned int nr,
						const bool cut)
{
	struct cptdev_chunk *c = cptdev_chunk_find(w->s, w->start);
	const u64 newer = cut ? w->newer : U64_MAX;
	struct cptdev_swept *swept = w->s->swept;
	const pmd_t *pmdp = w->pmd;
	unsigned int i;

	for (i = 0; i < nr; i++, swept++) {
		pmd_t pmd = READ_ONCE(pmdp[i]);

		swept->chunk = c;
		if (likely(c && c->newest <= newer && !(cut && c->all) &&
			   cptdev_pmd_table(pmd))) {
			swept->ptes = cptdev_pmd_ptes(pmd);
		} else {
			if (pmd_none(pmd) && i && i + 1 < nr &&
			    pmd_none(READ_ONCE(pmdp[i + 1])))
				break;
			swept->ptes = NULL;
			swept->what = CPTDEV_UNSWEPT;
		}
		c = likely(c) ? c->next :
			cptdev_chunk_find(w->s, w->start + (i + 1) * CHUNK_SIZE);
	}
	return i;
}

/* The same where each has to be visited. */
static void list_busy(struct cptdev_walk *w, unsigned int nr)
{
	struct cptdev_swept *swept = w->s->swept;
	unsigned int i;

	for (i = 0; i < nr; i++, swept++) {
		swept->chunk = cptdev_chunk_find(w->s, w->start + i * CHUNK_SIZE);
		swept->ptes = NULL;
		swept->what = CPTDEV_UNSWEPT;
	}
}

/* Returns all that was found together. */
static u32 sweep_portable(const struct cptdev_walk *w, unsigned int nr)
{
	struct cptdev_swept *swept = w->s->swept, *end = swept + nr;
	u32 all = 0;

	for (; swept < end; swept++) {
		if (!swept->ptes)
			continue;
		swept->what = sweep_one(w, swept->chunk, swept->ptes, swept->found);
		all |= swept->what;
	}
	return all;
}

static void look_at_marks(struct cptdev_walk *w, unsigned int nr)
{
	unsigned long base = w->start & CHUNK_MASK;
	unsigned int i;

	for (i = 0; i < nr; i++, base += CHUNK_SIZE) {
		struct cptdev_swept *swept = &w->s->swept[i];

		swept->what = look_closer(w, swept->chunk, swept->ptes, swept->found,
					  swept->what, max(base, w->start),
					  min(base + CHUNK_SIZE, w->end));
	}
}

/* Had any of these pages content at the last cut? */
static bool had_content(const struct cptdev_chunk *c, unsigned int first, unsigned int last)
{
	unsigned int i;

	for (i = first / 64; i <= last / 64; i++)
		if (~c->cut.hole[i] & cptdev_word_mask(i, first, last))
			return true;
	return false;
}

/* Memory without write permission in [start, end), which the sweep has come to. */
static void visit_read_only(struct cptdev_walk *w, unsigned long start, unsigned long end)
{
	unsigned long from = w->start >> CHUNK_SHIFT, i;

	for (i = start >> CHUNK_SHIFT; i <= (end - 1) >> CHUNK_SHIFT; i++) {
		struct cptdev_swept *swept = &w->s->swept[i - from];
		unsigned int first, last;

		cptdev_chunk_clip(i, start, end, &first, &last);
		if (swept->ptes && !had_content(swept->chunk, first, last))
			continue;
		swept->ptes = NULL;
		swept->what = CPTDEV_UNSWEPT;
	}
}

/*
 * A cut asks for more than the PTEs where there is no write permission, since ptrace writes
 * all the same: these tables are visited. A page that came since the last cut is found anyway,
 * so it is those that had content then.
 */
static void look_for_forced(struct cptdev_walk *w)
{
	const struct cptdev_layout *l = w->s->layout;
	u32 i;

	while (w->segment < l->nr &&
	       l->v[w->segment].addr + l->v[w->segment].len <= w->start)
		w->segment++;
	for (i = w->segment; i < l->nr && l->v[i].addr < w->end; i++)
		if (cptdev_segment_read_only(&l->v[i]))
			visit_read_only(w, max_t(u64, l->v[i].addr, w->start),
					min_t(u64, l->v[i].addr + l->v[i].len, w->end));
}

/*
 * From @w->start on, in the table of @w->pmd, as far as @end and all below one entry of the
 * level above: what is there to see in the tables? @w->end is where it stopped. Returns how
 * many tables it were.
 */
unsigned int cptdev_sweep(struct cptdev_walk *w, unsigned long end)
{
	unsigned long base = w->start & CHUNK_MASK;
	const struct where where = mark_of(w);
	unsigned int nr = CPTDEV_SWEEP;
	u32 found = 0;

	if (end - base < CPTDEV_SWEEP * CHUNK_SIZE)
		nr = DIV_ROUND_UP(end - base, CHUNK_SIZE);
	rcu_read_lock();
	if (!w->bits) {
		list_busy(w, nr);
		w->end = min(end, base + nr * CHUNK_SIZE);
	} else {
		nr = w->cut ? list_tables(w, nr, true) : list_tables(w, nr, false);
		w->end = min(end, base + nr * CHUNK_SIZE);
		found = cptdev_simd_usable() ?
			cptdev_sweep_simd(w->s->swept, nr, w->bits, where.mark, where.third) :
			sweep_portable(w, nr);
	}
	if (unlikely(found & CPTDEV_FOUND_MARKS))
		look_at_marks(w, nr);
	if (w->cut && w->s->layout->nr_read_only)
		look_for_forced(w);
	rcu_read_unlock();
	if (w->start & ~CHUNK_MASK)
		w->s->swept[0].what |= CPTDEV_FOUND_PART;
	if (w->end & ~CHUNK_MASK)
		w->s->swept[nr - 1].what |= CPTDEV_FOUND_PART;
	return nr;
}
