// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev: the atomic cut, from one page table to the next.
 *
 * While the mmap_lock and the VMAs are locked for writing, the kernel serves no page fault and
 * no PTE becomes writable. A writable PTE means that the page was (or may have been) written
 * since the last cut. The cut makes such a PTE read-only, marks the page as shared, and takes a
 * reference to it. After the flush, the next store to any of these pages faults, and the
 * kernel's own copy-on-write leaves the page to the snapshot. The cut doesn't touch pages that
 * aren't writable, because they haven't changed. So its cost depends on the number of changed
 * pages.
 *
 * Which pages count as changed at a cut:
 *
 *   writable PTE		written since the last cut
 *   event bit			swapped, migrated, split, unmapped, ... (events.c)
 *   hole bit, yet present	new, by whatever way: mremap, userfaultfd
 *   in-flight bit		I/O was in flight at the last cut (pinned.c)
 *   exclusive, VMA read-only	ptrace writes there without a writable PTE
 *
 * Each of these pages gets the number of this cut before the cut does anything else to it. So a
 * cut that fails half-way loses no change: the next cut takes all pages with a number above its
 * base.
 */
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/mmap_lock.h>

#include "cut.h"
#include "../mutants.h"

/* A stretch without pages: where there were any, they are holes now. */
int cptdev_cut_empty_chunk(struct cut *cut, struct cptdev_chunk *c, unsigned long base,
			   unsigned int first, unsigned int last)
{
	bool above = c->newest > cut->base;
	u64 holes[CHUNK_WORDS] = { 0 };
	unsigned int i, nr = 0;
	int ret;

	for (i = first / 64; i <= last / 64; i++) {
		u64 mask = cptdev_word_mask(i, first, last);
		u64 take = mask & ~c->cut.hole[i];

		if (take) {
			ret = cptdev_chunk_spread(cut->walk.s, c);
			if (ret)
				return ret;
			cptdev_set_numbers(c, i, take, cut->generation);
		}
		if (above)
			take |= cptdev_numbers_above(c, i, cut->base) & mask;
		cptdev_event_take(cut->walk.s, &c->cut, i, mask);
		holes[i] = take;
		nr += hweight64(take);
	}
	if (last - first == CHUNK_PAGES - 1)
		c->huge = CPTDEV_HUGE_NEW;
	if (!nr)
		return 0;
	ret = cptdev_snap_reserve(cut->snap, nr);
	if (ret)
		return ret;
	for_each_set_bit(i, (const unsigned long *)holes, CHUNK_PAGES)
		cptdev_cut_hole(cut, c, base, i);
	return 0;
}

/*
 * May the table go away at any time, without any of the locks that we have? Since 6.6 it may
 * if all of it is of one mapping of a file in which no page was ever written: then the file's
 * pages are all that it can have, and those are holes. (retract_page_tables())
 */
static bool cut_fleeting(struct cut *cut, unsigned long base)
{
	struct vm_area_struct *vma = find_vma(cut->walk.s->mm, base);

	return vma && !vma->anon_vma && vma->vm_start <= base &&
		vma->vm_end - base >= CHUNK_SIZE;
}

/* Pages that can be written though the memory has no write permission. */
static void cut_read_only(struct cut *cut, struct cptdev_table *t)
{
	const struct cptdev_layout *l = cut->walk.s->layout;
	unsigned long start = t->base + t->first * PAGE_SIZE;
	unsigned long end = t->base + (t->last + 1) * PAGE_SIZE;
	const struct cptdev_segment *seg;
	unsigned int first, last;

	if (!l->nr_read_only)
		return;
	seg = cptdev_layout_find(l, start);
	for (; seg && seg < l->v + l->nr && seg->addr < end; seg++) {
		if (!cptdev_segment_read_only(seg))
			continue;
		cptdev_chunk_clip(t->base >> CHUNK_SHIFT, max_t(u64, seg->addr, start),
				  min_t(u64, seg->addr + seg->len, end), &first, &last);
		cptdev_cut_forced(cut, t, first, last);
	}
}

/*
 * A table that wasn't swept: it has no chunk yet, there is no table but a huge page, or
 * there is memory without write permission. Returns 1 if there is nothing more to do.
 */
static int cut_prepare(struct cut *cut, struct cptdev_table *t)
{
	bool fresh = !t->chunk && cut->walk.span->added == cut->generation && !cut->cool;
	pmd_t val = READ_ONCE(*t->pmd);
	int ret;

	if (!t->chunk)
		t->chunk = cptdev_chunk_get(cut->walk.s, t->base, cut->walk.span->added);
	if (IS_ERR(t->chunk))
		return PTR_ERR(t->chunk);
	while (!cptdev_pmd_table(val)) {
		ret = cptdev_cut_huge(cut, t);
		if (ret)
			return ret;
		val = READ_ONCE(*t->pmd);
	}
	if (cut_fleeting(cut, t->base))
		return cptdev_cut_empty_chunk(cut, t->chunk, t->base, t->first, t->last) ?: 1;
	ret = cptdev_chunk_spread(cut->walk.s, t->chunk);
	if (ret)
		return ret;
	if (fresh) {
		cptdev_cut_fresh(cut, t);
		return 0;
	}
	cptdev_table_look(&cut->walk, t);
	cut_read_only(cut, t);
	return 0;
}

/* A round that takes too long ends before the next table; but it has had one. */
static bool cut_late(const struct cut *cut)
{
	return unlikely(cut->pause_max) && cut->visited && ktime_get_ns() >= cut->deadline;
}

/* What ends the walk, and is no error. */
#define CUT_LATE	1

int cptdev_cut_table(struct cptdev_walk *walk, struct cptdev_table *t)
{
	struct cut *cut = container_of(walk, struct cut, walk);
	unsigned int nr;
	int ret;

	if (cut_late(cut))
		return CUT_LATE;
	cut->visited += t->last - t->first + 1;
	if (unlikely(!t->swept)) {
		ret = cut_prepare(cut, t);
		if (ret)
			return min(ret, 0);
	} else if (t->marks && cut_fleeting(cut, t->base)) {
		return cptdev_cut_empty_chunk(cut, t->chunk, t->base, t->first, t->last);
	}
	nr = cptdev_cut_find(cut, t);
	return nr ? cptdev_cut_process(cut, t, nr) : 0;
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

int cptdev_cut_empty(struct cptdev_walk *walk, unsigned long start, unsigned long end)
{
	struct cut *cut = container_of(walk, struct cut, walk);
	unsigned long index, pos = start;
	struct cptdev_chunk *c;
	int ret;

	cptdev_for_each_chunk(walk->s, index, c, start, end) {
		unsigned long base = index << CHUNK_SHIFT;
		unsigned long to = min(end, base + CHUNK_SIZE);

		ret = cut_unseen(cut, walk->span, pos, base);
		pos = max(pos, base);
		if (!ret)
			ret = cptdev_cut_empty_chunk(cut, c, base, (pos - base) >> PAGE_SHIFT,
						     ((to - base) >> PAGE_SHIFT) - 1);
		if (ret)
			return ret;
		pos = to;
	}
	return cut_unseen(cut, walk->span, pos, end);
}

/* Where a round has gone this far without finding enough pages, it ends all the same. */
#define ROUND_REACH	64

/*
 * A round: from cut->pos on, in steps of so many page tables as surely fit. Sets cut->pos to where
 * the next round begins, or to 0.
 */
static int cut_round(struct cut *cut)
{
	struct cptdev_session *s = cut->walk.s;
	u64 reach = ROUND_REACH * cut->max;
	u64 left, step, end;
	int ret;
	u32 i;

	while ((i = cptdev_span_at(s, cut->pos)) < s->nr_ranges) {
		left = cut->max - cptdev_snap_pages(cut->snap);
		step = min3(left, reach, (u64)CPTDEV_SWEEP * CHUNK_PAGES) / CHUNK_PAGES;
		if (!step)
			return 0;
		cut->pos = max(cut->pos, s->ranges[i].start);
		end = (cut->pos & CHUNK_MASK) + step * CHUNK_SIZE;
		ret = cptdev_walk_ranges(&cut->walk, cut->pos, end);
		cut->pos = ret == CUT_LATE ? cut->walk.pos : end;
		if (ret || cut_late(cut))
			return min(ret, 0);
		reach -= step * CHUNK_PAGES;
	}
	cut->pos = 0;
	return 0;
}

int cptdev_cut_all(struct cut *cut)
{
	struct cptdev_session *s = cut->walk.s;
	struct mm_struct *mm = s->mm;
	int ret;

	/* What comes now makes fast GUP back off, as fork() does. */
	raw_write_seqcount_begin(&mm->write_protect_seq);
	cut->walk.newer = cut->base;
	if (cut->max)
		ret = cut_round(cut);
	else
		ret = cptdev_walk_ranges(&cut->walk, 0, ULONG_MAX);
	cut->visited += cut->walk.quiet;
	if (cut->flush)
		cptdev_flush(s);
	if (!ret && cut->in_flight)
		ret = cptdev_copy_in_flight(cut->snap, &cut->copied);
	raw_write_seqcount_end(&mm->write_protect_seq);
	return ret;
}
