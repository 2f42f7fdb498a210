// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev: the atomic cut.
 *
 * With the mmap_lock and the VMAs locked for writing no fault is served and no PTE
 * becomes writable. Every PTE that is writable was written since the last cut (or may
 * have been): it is made read-only, the page is marked shared and referenced. After the
 * flush the next store to any of these pages faults, and the kernel's own copy-on-write
 * leaves the page to us. Pages that aren't writable haven't changed, and aren't touched:
 * the cut costs what changed.
 *
 * Which pages count as changed at a cut:
 *
 *   writable PTE		written since the last cut
 *   event bit			swapped, migrated, split, unmapped, ... (events.c)
 *   hole bit, yet present	new, by whatever way: mremap, userfaultfd
 *   in-flight bit		I/O was in flight at the last cut (pinned.c)
 *   exclusive, VMA read-only	ptrace writes there without a writable PTE
 *
 * Each gets the number of this cut before anything else is done about it. So a cut that
 * fails half-way has lost nothing: the next one takes all pages with a number above its
 * base.
 */
#include <linux/ktime.h>
#include <linux/mmap_lock.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "cptdev.h"
#include "mutants.h"
#include "trace.h"

struct cut {
	struct cptdev_walk walk;
	struct cptdev_snap *snap;
	u64 generation;
	u64 base;
	bool flush;
	bool in_flight;			/* pages to copy */
	struct folio *large;		/* the last large folio, for cut_share() */
	bool large_in_flight;
	u64 visited;
};

/* Nothing there that has content of its own. */
static bool pte_is_hole(pte_t pte)
{
	if (pte_none(pte))
		return true;
	if (!pte_present(pte))
		return cptdev_pte_marker(pte);
	if (pte_special(pte))		/* the zero page */
		return true;
	return !PageAnon(pte_page(pte));
}

/*
 * Which holes have become pages with content. Under the lock: who takes a page away leaves
 * nothing in its place for a moment.
 */
static u64 holes_filled(struct mm_struct *mm, pte_t *ptes, unsigned int word, u64 holes)
{
	spinlock_t *ptl = cptdev_table_lock(mm, ptes);
	u64 filled = 0;

	if (!holes)
		return 0;
	spin_lock(ptl);
	for (; holes; holes &= holes - 1) {
		pte_t pte = ptep_get(ptes + word * 64 + __ffs64(holes));

		if (cptdev_mutant(NO_HOLES) && !pte_write(pte))
			continue;
		if (!pte_is_hole(pte))
			filled |= holes & -holes;
	}
	spin_unlock(ptl);
	return filled;
}

/*
 * Pages whose number is above the base: they changed before the last cut, but aren't in
 * a snapshot that this one continues. Or they are newly tracked.
 */
static u64 numbers_above(const struct cptdev_chunk *c, unsigned int word, u64 base)
{
	const u64 *gen = c->gen + word * 64;
	u64 above = 0;
	unsigned int i;

	for (i = 0; i < 64; i++)
		if (gen[i] > base)
			above |= 1ULL << i;
	return above;
}

static void set_numbers(struct cptdev_chunk *c, unsigned int word, u64 changed,
			u64 generation)
{
	c->newest = generation;
	while (changed) {
		c->gen[word * 64 + __ffs64(changed)] = generation;
		changed &= changed - 1;
	}
}

/*
 * In a VMA without write permission, ptrace and /proc/PID/mem write to a page that is
 * exclusive to the process and leave the PTE read-only. The cut takes the exclusiveness
 * away; who has it again may have been written.
 */
static void forced_writes(struct cut *cut, struct cptdev_table *t)
{
	spinlock_t *ptl = pte_lockptr(cut->walk.s->mm, t->pmd);
	unsigned int i;

	spin_lock(ptl);
	for (i = t->first; i <= t->last; i++) {
		pte_t pte = ptep_get(t->ptes + i);

		if (pte_present(pte) && !pte_special(pte) &&
		    PageAnon(pte_page(pte)) && PageAnonExclusive(pte_page(pte)))
			t->found[i / 64] |= 1ULL << (i % 64);
	}
	spin_unlock(ptl);
}

/*
 * More than what the PTEs say: which of the pages that were found did change, and which
 * others the snapshot takes. The pages that changed get their number.
 */
static void cut_find_more(struct cut *cut, struct cptdev_table *t)
{
	struct cptdev_chunk *c = t->chunk;
	bool above = c->newest > cut->base;
	unsigned int i;

	for (i = 0; i < CHUNK_WORDS; i++) {
		u64 take = t->found[i] & cptdev_table_mask(t, i);
		u64 hole = take & c->cut.hole[i];

		/* What happened to one that is still empty isn't asked for again. */
		cptdev_event_take(cut->walk.s, &c->cut, i, hole);
		take &= ~hole | holes_filled(cut->walk.s->mm, t->ptes, i, hole);
		if (take)
			set_numbers(c, i, take, cut->generation);
		if (above)
			take |= numbers_above(c, i, cut->base) & cptdev_table_mask(t, i);
		t->found[i] = take;
	}
}

/* What the snapshot takes; returns how many pages. */
static unsigned int cut_find(struct cut *cut, struct cptdev_table *t)
{
	unsigned int i, nr = 0;
	u32 words;

	if (unlikely(t->marks))
		cut_find_more(cut, t);
	for (words = t->words; words; words &= words - 1) {
		i = __ffs(words);
		t->found[i] &= cptdev_table_mask(t, i);
		nr += hweight64(t->found[i]);
	}
	if (nr)
		t->chunk->newest = cut->generation;
	return nr;
}

/* No store and no fast GUP from here on; a page that is writable was written. */
static __always_inline void protect(struct cut *cut, pte_t *ptep, u64 *gen, u64 generation)
{
	*gen = generation;
	ptep_set_wrprotect(cut->walk.s->mm, 0, ptep);
}

static void cut_take_hole(struct cut *cut, struct cptdev_chunk *c, unsigned long base,
			  unsigned int i)
{
	c->pinned[i / 64] &= ~(1ULL << (i % 64));
	c->cut.hole[i / 64] |= 1ULL << (i % 64);
	/* A full snapshot says what there is. */
	if (cut->base)
		cptdev_snap_push_hole(cut->snap, base + i * PAGE_SIZE, 1);
}

/*
 * Our own references to a large folio mustn't count as I/O: it is asked about once in a
 * chunk, before the first is taken, with all its pages protected.
 */
static bool cut_large_in_flight(struct cut *cut, struct cptdev_table *t,
				struct folio *folio)
{
	unsigned int i;

	if (folio == cut->large)
		return cut->large_in_flight;
	for_each_set_bit(i, (const unsigned long *)t->found, CHUNK_PAGES) {
		pte_t pte = ptep_get(t->ptes + i);

		if (pte_present(pte) && pte_write(pte))
			protect(cut, t->ptes + i, &t->chunk->gen[i], cut->generation);
	}
	smp_mb();		/* see cut_share() */
	cut->large = folio;
	cut->large_in_flight = cptdev_folio_in_flight(folio);
	return cut->large_in_flight;
}

/*
 * Share the page, so that the next store copies it, unless I/O may be in flight. A page
 * that isn't exclusive was shared by an earlier cut, or by fork(), which open(2) forbids
 * while O_DIRECT is under way: the references that snapshots have to it are no I/O.
 *
 * Fast GUP takes its reference and then looks at the PTE again. We: the other way round.
 */
static bool cut_share(struct cut *cut, struct cptdev_table *t, struct page *page)
{
	struct folio *folio = page_folio(page);

	if (!PageAnonExclusive(page))
		return true;
	smp_mb();		/* the PTE is read-only, then the references */
	if (unlikely(folio_test_large(folio)) ? cut_large_in_flight(cut, t, folio) :
	    cptdev_folio_in_flight(folio))
		return false;
	return !folio_try_share_anon_rmap_pte(folio, page);
}

/* A page of any kind. Returns false if it isn't in memory. */
static bool cut_take_any(struct cut *cut, struct cptdev_table *t, unsigned int i)
{
	struct cptdev_chunk *c = t->chunk;
	pte_t pte = ptep_get(t->ptes + i);
	u64 bit = 1ULL << (i % 64);
	struct page *page;
	bool in_flight;

	if (pte_is_hole(pte)) {
		cut_take_hole(cut, c, t->base, i);
		return true;
	}
	if (!pte_present(pte))
		return false;
	if (pte_write(pte))
		protect(cut, t->ptes + i, &c->gen[i], cut->generation);
	page = pte_page(pte);
	in_flight = !cut_share(cut, t, page);
	if (in_flight) {
		c->pinned[i / 64] |= bit;
		cut->in_flight = true;
	} else {
		c->pinned[i / 64] &= ~bit;
	}
	c->cut.hole[i / 64] &= ~bit;
	get_page(page);
	cptdev_snap_push(cut->snap, t->base + i * PAGE_SIZE, page, in_flight);
	return true;
}

/* Protect the page; is it the process's alone then? The order matters, see cut_share(). */
static __always_inline bool protect_alone(struct cut *cut, pte_t *ptep, u64 *gen,
					  u64 generation, struct page *page)
{
	protect(cut, ptep, gen, generation);
	smp_mb__after_atomic();		/* see cut_share() */
	return cptdev_mutant(PROTECT_LATE) || cptdev_page_alone(page);
}

/* A mutant: ask about the pages first, protect them later. */
static unsigned int alone_too_early(const pte_t *ptep, unsigned int nr)
{
	unsigned int n;

	for (n = 0; n < nr; n++) {
		pteval_t pte = pte_val(READ_ONCE(ptep[n]));

		if (!cptdev_pte_plain_rw(pte) ||
		    !cptdev_page_alone(cptdev_plain_page(pte)))
			break;
	}
	cptdev_widen();
	return n;
}

/*
 * Up to @nr pages from @ptep on, as long as they are what nearly all are: in memory, of the
 * process alone, nobody else has a reference. Does what cut_take_any() does with them, in
 * as few steps as it takes: the cut spends its time here. Returns how many.
 */
static __always_inline unsigned int cut_take_plain(struct cut *cut, pte_t *ptep, u64 *gen,
						   unsigned int nr, unsigned long *held)
{
	const u64 generation = cut->generation;
	unsigned long n;

	if (cptdev_mutant(PROTECT_LATE))
		nr = alone_too_early(ptep, nr);
	for (n = 0; n < nr; n++) {
		pteval_t pte = pte_val(ptep_get(ptep + n));
		struct page *page;

		if (likely(cptdev_pte_plain_rw(pte))) {
			page = cptdev_plain_page(pte);
			if (unlikely(!protect_alone(cut, ptep + n, gen + n, generation,
						    page)))
				break;
			ClearPageAnonExclusive(page);
		} else {
			if (!cptdev_pte_plain(pte))
				break;
			page = cptdev_plain_page(pte);
			if (!cptdev_page_shared(page))
				break;
		}
		page_ref_inc(page);
		held[n] = (unsigned long)page;
	}
	return n;
}

/* They are neither holes nor in flight, if they ever were. */
static void cut_unmark(struct cptdev_chunk *c, unsigned int word, unsigned int bit,
		       unsigned int nr)
{
	u64 bits = GENMASK_ULL(bit + nr - 1, bit);

	c->cut.hole[word] &= ~bits;
	c->pinned[word] &= ~bits;
}

/*
 * Those of a word's pages in @left that are plain, up to the first that isn't. Returns
 * the rest.
 */
static __always_inline u64 cut_take_word(struct cut *cut, struct cptdev_chunk *c,
					 pte_t *ptes, unsigned long base,
					 unsigned int word, u64 left, bool marks)
{
	struct cptdev_snap *snap = cut->snap;

	while (left) {
		unsigned int bit = __ffs64(left), i = word * 64 + bit;
		unsigned int nr = cptdev_ones(left, bit), n;
		unsigned long *held = cptdev_vec_places(&snap->held, &nr);

		n = cut_take_plain(cut, ptes + i, c->gen + i, nr, held);
		if (unlikely(!n))
			break;
		cptdev_vec_used(&snap->held, n, held + n);
		cptdev_snap_extend(snap, base + i * PAGE_SIZE, n);
		if (unlikely(marks))
			cut_unmark(c, word, bit, n);
		left &= -2ULL << (bit + n - 1);
	}
	return left;
}

/*
 * Take the pages, and strike them off t->found. Returns the address of one that has to be
 * brought to memory first, or 0. The page-table lock is held.
 */
static unsigned long cut_take(struct cut *cut, struct cptdev_table *t)
{
	u32 words;

	for (words = t->words; words; words &= words - 1) {
		unsigned int word = __ffs(words), i;
		u64 left = t->found[word];

		for (;; left &= left - 1) {
			left = cut_take_word(cut, t->chunk, t->ptes, t->base, word, left,
					     t->marks);
			if (!left)
				break;
			i = word * 64 + __ffs64(left);
			if (!cut_take_any(cut, t, i)) {
				t->found[word] = left;
				return t->base + i * PAGE_SIZE;
			}
		}
		t->found[word] = 0;
	}
	return 0;
}

static int cut_gup(struct cut *cut, unsigned long addr, unsigned int flags)
{
	struct page *page;
	long ret;

	ret = cptdev_gup(cut->walk.s->mm, addr, FOLL_FORCE | FOLL_HWPOISON | flags,
			 &page);
	if (ret != 1) {
		cut->walk.bad_addr = addr;
		return ret < 0 ? ret : -EFAULT;
	}
	put_page(page);
	return 0;
}

/*
 * Bring a page back to memory. As uprobes do it, with the mmap_lock held for writing:
 * dropping it would mean to start again.
 */
static int cut_fault_in(struct cut *cut, unsigned long addr)
{
	return cut_gup(cut, addr, 0);
}

static int cut_process(struct cut *cut, struct cptdev_table *t, unsigned int nr)
{
	spinlock_t *ptl = cptdev_table_lock(cut->walk.s->mm, t->ptes);
	unsigned long absent;
	unsigned int i;
	int ret;

	ret = cptdev_snap_reserve(cut->snap, nr);
	if (ret)
		return ret;
	/* They have their number; what happens from here on is the next cut's. */
	for (i = 0; t->marks && i < CHUNK_WORDS; i++)
		cptdev_event_take(cut->walk.s, &t->chunk->cut, i, t->found[i]);
	cut->flush = true;
	cut->large = NULL;
	for (;;) {
		spin_lock(ptl);
		absent = cut_take(cut, t);
		spin_unlock(ptl);
		if (likely(!absent))
			break;
		ret = cut_fault_in(cut, absent);
		if (ret)
			return ret;
		if (fatal_signal_pending(current))
			return -EINTR;
	}
	return 0;
}

/* Does anything in the chunk ask for a closer look? Only then is a huge page split. */
static bool huge_changed(struct cut *cut, struct vm_area_struct *vma, pmd_t pmd,
			 const struct cptdev_chunk *c, unsigned int first,
			 unsigned int last)
{
	unsigned int i;

	if (!pmd_present(pmd) || pmd_write(pmd) || !(vma->vm_flags & VM_WRITE))
		return true;
	if (c->newest > cut->base)
		return true;
	for (i = first / 64; i <= last / 64; i++) {
		u64 bits = atomic64_read(&c->cut.event[i]) | c->pinned[i] |
			c->cut.hole[i];

		if (bits & cptdev_word_mask(i, first, last))
			return true;
	}
	return false;
}

/*
 * Split the mapping of a huge page (the page itself stays whole), or wait for its
 * migration. From then on changes are seen page by page. The notifier call of our own
 * split carries no news: under the locks that the cut holds, a mapping that is read-only
 * now was so since the last cut, and one that is writable is taken as a whole.
 */
static int cut_split(struct cut *cut, struct cptdev_chunk *c, pmd_t *pmd,
		     unsigned long base, unsigned int first)
{
	struct cptdev_session *s = cut->walk.s;
	pmd_t val = READ_ONCE(*pmd);
	unsigned int i;
	int ret;

	/* 6.1 forgets the dirty bit when it splits. */
	for (i = 0; pmd_present(val) && pmd_dirty(val) && i < CHUNK_WORDS; i++)
		atomic64_or(~0ULL, &c->scan.event[i]);
	s->splitting = base;
	WRITE_ONCE(s->splitter, current);
	ret = cut_gup(cut, base + first * PAGE_SIZE, FOLL_SPLIT_PMD);
	WRITE_ONCE(s->splitter, NULL);
	return ret;
}

/* A stretch without pages: where there were any, they are holes now. */
static int cut_empty_chunk(struct cut *cut, struct cptdev_chunk *c,
			   unsigned long base, unsigned int first, unsigned int last)
{
	bool above = c->newest > cut->base;
	u64 holes[CHUNK_WORDS] = { 0 };
	unsigned int i, nr = 0;
	int ret;

	for (i = first / 64; i <= last / 64; i++) {
		u64 mask = cptdev_word_mask(i, first, last);
		u64 take = mask & ~c->cut.hole[i];

		if (take)
			set_numbers(c, i, take, cut->generation);
		if (above)
			take |= numbers_above(c, i, cut->base) & mask;
		cptdev_event_take(cut->walk.s, &c->cut, i, mask);
		holes[i] = take;
		nr += hweight64(take);
	}
	if (!nr)
		return 0;
	ret = cptdev_snap_reserve(cut->snap, nr);
	if (ret)
		return ret;
	for_each_set_bit(i, (const unsigned long *)holes, CHUNK_PAGES)
		cut_take_hole(cut, c, base, i);
	return 0;
}

/*
 * A table that wasn't swept: it has no chunk yet, or there is no table but a huge page.
 * Returns 1 if there is nothing more to do.
 */
static int cut_prepare(struct cut *cut, struct cptdev_table *t)
{
	pmd_t val = READ_ONCE(*t->pmd);
	int ret;

	if (!t->chunk)
		t->chunk = cptdev_chunk_get(cut->walk.s, t->base, cut->walk.span->added);
	if (IS_ERR(t->chunk))
		return PTR_ERR(t->chunk);
	/*
	 * No page was ever written here: the file's pages are holes. Since 6.6 their table
	 * may be taken away at any time, without any of the locks that we have.
	 */
	if (!cut->walk.vma->anon_vma)
		return cut_empty_chunk(cut, t->chunk, t->base, t->first, t->last) ?: 1;
	while (!pmd_present(val) || pmd_leaf(val)) {
		/* the huge zero page, or a file's */
		if (pmd_present(val) && !PageAnon(pmd_page(val)))
			return cut_empty_chunk(cut, t->chunk, t->base, t->first,
					       t->last) ?: 1;
		if (!huge_changed(cut, cut->walk.vma, val, t->chunk, t->first, t->last))
			return 1;
		ret = cut_split(cut, t->chunk, t->pmd, t->base, t->first);
		if (ret)
			return ret;
		val = READ_ONCE(*t->pmd);
	}
	cptdev_table_look(&cut->walk, t);
	/* Such tables aren't swept. */
	if (!(cut->walk.vma->vm_flags & VM_WRITE))
		forced_writes(cut, t);
	return 0;
}

static int cut_table(struct cptdev_walk *walk, struct cptdev_table *t)
{
	struct cut *cut = container_of(walk, struct cut, walk);
	unsigned int nr;
	int ret;

	cut->visited += t->last - t->first + 1;
	if (unlikely(!t->swept)) {
		ret = cut_prepare(cut, t);
		if (ret)
			return min(ret, 0);
	}
	nr = cut_find(cut, t);
	cptdev_widen();
	return nr ? cut_process(cut, t, nr) : 0;
}

/*
 * The same for what nearly all tables are: swept, without marks, all that was found is
 * plain, and there is @room in the lists. Returns false if there is more to it; @swept has
 * what is still to be done.
 */
static __always_inline bool cut_quick_table(struct cut *cut, struct cptdev_swept *swept,
					    unsigned long base, u64 *room)
{
	struct cptdev_chunk *c = swept->chunk;
	pte_t *ptes = swept->ptes;
	unsigned int word;
	spinlock_t *ptl;		/* of the table */
	u64 left = 0;
	u32 words;

	for (words = swept->what; words; words &= words - 1)
		left += hweight64(swept->found[__ffs(words)]);
	if (unlikely(left > *room))
		return false;
	*room -= left;
	c->newest = cut->generation;
	cptdev_widen();
	ptl = cptdev_table_lock(cut->walk.s->mm, ptes);
	spin_lock(ptl);
	for (words = swept->what; words; words &= words - 1) {
		word = __ffs(words);
		left = cut_take_word(cut, c, ptes, base, word, swept->found[word], false);
		if (unlikely(left)) {
			swept->found[word] = left;
			swept->what = words;
			break;
		}
	}
	spin_unlock(ptl);
	return !words;
}

static unsigned int cut_quick(struct cptdev_walk *walk, unsigned int i, unsigned int nr)
{
	struct cut *cut = container_of(walk, struct cut, walk);
	unsigned long base = (walk->start & CHUNK_MASK) + i * CHUNK_SIZE;
	struct cptdev_swept *first = walk->s->swept + i, *swept = first;
	struct cptdev_swept *end = walk->s->swept + nr;
	u64 room = cptdev_snap_room(cut->snap), before = room;

	for (; swept < end; swept++, base += CHUNK_SIZE) {
		if (!swept->what)
			continue;
		if (unlikely(swept->what & ~CPTDEV_FOUND_WORDS) ||
		    !cut_quick_table(cut, swept, base, &room))
			break;
	}
	if (room != before)
		cut->flush = true;
	cut->visited += (swept - first) * CHUNK_PAGES;
	return i + (swept - first);
}

/* Pages that were never seen, in a range that is newer than the base, are holes. */
static int cut_unseen(struct cut *cut, const struct cptdev_span *span,
		      unsigned long start, unsigned long end)
{
	int ret;

	if (start >= end || cut->base == 0 || span->added <= cut->base)
		return 0;
	ret = cptdev_vec_reserve(&cut->snap->runs, 1);
	if (!ret)
		cptdev_snap_push_hole(cut->snap, start, (end - start) >> PAGE_SHIFT);
	return ret;
}

static int cut_empty(struct cptdev_walk *walk, unsigned long start, unsigned long end)
{
	struct cut *cut = container_of(walk, struct cut, walk);
	unsigned long index, pos = start;
	struct cptdev_chunk *c;
	int ret;

	xa_for_each_range(&walk->s->chunks, index, c, start >> CHUNK_SHIFT,
			  (end - 1) >> CHUNK_SHIFT) {
		unsigned long base = index << CHUNK_SHIFT;
		unsigned long to = min(end, base + CHUNK_SIZE);

		ret = cut_unseen(cut, walk->span, pos, base);
		pos = max(pos, base);
		if (!ret)
			ret = cut_empty_chunk(cut, c, base, (pos - base) >> PAGE_SHIFT,
					      ((to - base) >> PAGE_SHIFT) - 1);
		if (ret)
			return ret;
		pos = to;
	}
	return cut_unseen(cut, walk->span, pos, end);
}

static int cut_all(struct cut *cut, u64 *copied)
{
	struct cptdev_session *s = cut->walk.s;
	struct mm_struct *mm = s->mm;
	int ret;

	/* What comes now makes fast GUP back off, as fork() does. */
	if (!cptdev_mutant(NO_WP_SEQ))
		raw_write_seqcount_begin(&mm->write_protect_seq);
	cut->walk.newer = cut->base;
	ret = cptdev_walk_ranges(&cut->walk, 0, ULONG_MAX);
	cut->visited += cut->walk.quiet;
	if (ret >= 0 && cut->in_flight && cptdev_mutant(COPY_EARLY))
		ret = cptdev_copy_in_flight(cut->snap, copied);
	cptdev_widen();
	if (cut->flush)
		cptdev_flush(s);
	if (!ret && cut->in_flight)
		ret = cptdev_copy_in_flight(cut->snap, copied);
	if (!cptdev_mutant(NO_WP_SEQ))
		raw_write_seqcount_end(&mm->write_protect_seq);
	return ret;
}

/* The instant itself. session->lock is held. */
static int cut_locked(struct cut *cut, struct cptdev_snapshot *arg)
{
	struct cptdev_session *s = cut->walk.s;
	struct mm_struct *mm = s->mm;
	u64 start;
	int ret;

	ret = cptdev_flush_lock(s, true);
	if (ret)
		return ret;
	start = ktime_get_ns();
	ret = cptdev_layout_take(s, &cut->walk);
	if (!ret) {
		cut->generation = ++s->generation;
		ret = cut_all(cut, &arg->copied);
	}
	arg->pause_ns = ktime_get_ns() - start;
	mmap_write_unlock(mm);

	arg->generation = s->generation;
	arg->visited = cut->visited;
	arg->bad_addr = cut->walk.bad_addr;
	arg->reason = cut->walk.reason;
	return ret;
}

static int cut_seal(struct cut *cut)
{
	struct cptdev_snap *snap = cut->snap;

	snap->generation = cut->generation;
	snap->base = cut->base;
	snap->layout = cptdev_layout_get(cut->walk.s->layout);
	return cptdev_snap_seal(snap);
}

/* The snapshot is whole and somebody has it: now others may continue from it. */
static void cut_done(struct cut *cut, struct cptdev_snapshot *arg)
{
	struct cptdev_session *s = cut->walk.s;
	struct cptdev_snap *snap = cut->snap;

	arg->base = snap->base;
	arg->pages = snap->held.nr;
	arg->holes = snap->holes;
	s->newest = snap->generation;
	s->last_pages = snap->held.nr;
	s->last_pause = arg->pause_ns;
	s->nr_snapshots++;
}

static int snapshot_valid(const struct cptdev_snapshot *arg)
{
	const u32 wait = CPTDEV_SNAPSHOT_WAIT | CPTDEV_SNAPSHOT_PUBLISH;

	if (arg->flags & ~CPTDEV_SNAPSHOT_FLAGS)
		return -EOPNOTSUPP;
	if (arg->reserved)
		return -EINVAL;
	/* Only what is published can reach the spare, in its own order. */
	if ((arg->flags & wait) == CPTDEV_SNAPSHOT_WAIT)
		return -EINVAL;
	if (!(arg->flags & CPTDEV_SNAPSHOT_SINCE) && arg->since)
		return -EINVAL;
	if (!(arg->flags & CPTDEV_SNAPSHOT_WAIT) && arg->timeout_ns)
		return -EINVAL;
	/* A snapshot that nobody can read is no use. */
	if ((arg->flags & CPTDEV_SNAPSHOT_NOFD) &&
	    !(arg->flags & CPTDEV_SNAPSHOT_PUBLISH))
		return -EINVAL;
	return 0;
}

static int snapshot_base(struct cptdev_session *s, const struct cptdev_snapshot *arg,
			 u64 *base)
{
	*base = s->newest;
	if (arg->flags & CPTDEV_SNAPSHOT_PUBLISH)
		*base = cptdev_publish_base(s);
	if (!(arg->flags & CPTDEV_SNAPSHOT_SINCE))
		return 0;
	/* A published one may reach back further than asked, never less. */
	if (arg->since > s->generation)
		return -EINVAL;
	*base = arg->flags & CPTDEV_SNAPSHOT_PUBLISH ? min(*base, arg->since) :
		arg->since;
	return 0;
}

static int snapshot_take(struct cut *cut, struct cptdev_snapshot *arg,
			 struct cptdev_blob *meta, struct cptdev_call *call)
{
	struct cptdev_session *s = cut->walk.s;
	int ret;

	ret = snapshot_base(s, arg, &cut->base);
	if (ret)
		return ret;
	cut->snap = cptdev_snap_alloc(s);
	if (!cut->snap)
		return -ENOMEM;
	cut->snap->meta = cptdev_blob_get(meta);
	ret = cut_locked(cut, arg);
	if (!ret)
		ret = cut_seal(cut);
	if (!ret && !(arg->flags & CPTDEV_SNAPSHOT_NOFD)) {
		call->new_file = cptdev_snapfile(cut->snap);
		ret = PTR_ERR_OR_ZERO(call->new_file);
		if (ret)
			call->new_file = NULL;
	}
	if (!ret || cptdev_mutant(COUNT_FAILED))
		cut_done(cut, arg);
	if (!ret && (arg->flags & CPTDEV_SNAPSHOT_PUBLISH))
		cptdev_publish(s, cut->snap);
	trace_cptdev_snapshot(s, arg, ret);
	return ret;
}

int cptdev_snapshot(struct cptdev_call *call, void *uarg)
{
	struct cptdev_session *s = call->filp->private_data;
	struct cptdev_snapshot *arg = uarg;
	struct cut cut = {
		.walk = { .s = s, .bits = _PAGE_RW, .cut = true,
			  .table = cut_table, .quick = cut_quick, .empty = cut_empty },
	};
	struct cptdev_blob *meta;
	u64 committed;
	int ret;

	ret = snapshot_valid(arg);
	if (!ret)
		ret = cptdev_session_enter(s);
	if (ret)
		return ret;
	meta = cptdev_blob_from_user(arg->meta, arg->meta_len);
	if (IS_ERR(meta))
		return PTR_ERR(meta);
	arg->copied = 0;

	mutex_lock(&s->lock);
	ret = snapshot_take(&cut, arg, meta, call);
	mutex_unlock(&s->lock);

	cptdev_snap_put(cut.snap);
	cptdev_blob_put(meta);
	if (!ret && (arg->flags & CPTDEV_SNAPSHOT_WAIT))
		ret = cptdev_wait_committed(s, arg->generation, arg->timeout_ns,
					    &committed);
	return ret;
}
