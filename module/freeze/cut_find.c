// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev: the cut, the search in one page table. It finds the changed pages, which get the number
 * of this cut, and the other pages that the snapshot takes.
 */
#include "cut.h"
#include "../mutants.h"

/*
 * Which holes have become pages with content. Under the lock: a page that is
 * taken away leaves nothing in its place for a moment. A writable page is the process's own.
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

		if (cptdev_pte_plain_rw(pte_val(pte)) || cptdev_pte_filled(pte))
			filled |= holes & -holes;
	}
	spin_unlock(ptl);
	return filled;
}

/*
 * Pages whose number is above the base: they changed before the last cut, but aren't in
 * a snapshot that this one continues. Or they are newly tracked.
 */
u64 cptdev_numbers_above(const struct cptdev_chunk *c, unsigned int word, u64 base)
{
	const u64 *gen = c->gen + word * 64;
	u64 above = 0;
	unsigned int i;

	/* A full snapshot: numbers begin at 1. */
	if (!base)
		return ~0ULL;
	if (c->all)
		return c->all > base ? ~0ULL : 0;
	for (i = 0; i < 64; i++)
		if (gen[i] > base)
			above |= 1ULL << i;
	return above;
}

/* Each page has a number of its own: cptdev_chunk_spread(). */
void cptdev_set_numbers(struct cptdev_chunk *c, unsigned int word, u64 changed,
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
 * away, so a page that is exclusive again may have been written. Nothing is given back in such a
 * VMA: a page that was given back was in another mapping then.
 */
void cptdev_cut_forced(struct cut *cut, struct cptdev_table *t, unsigned int first,
		       unsigned int last)
{
	spinlock_t *ptl = pte_lockptr(cut->walk.s->mm, t->pmd);
	unsigned int i;

	spin_lock(ptl);
	for (i = first; i <= last; i++) {
		if (cptdev_pte_exclusive(ptep_get(t->ptes + i)))
			t->found[i / 64] |= 1ULL << (i % 64);
	}
	spin_unlock(ptl);
	for (i = first / 64; i <= last / 64; i++)
		t->chunk->given[i] &= ~cptdev_word_mask(i, first, last);
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
			cptdev_set_numbers(c, i, take, cut->generation);
		if (above)
			take |= cptdev_numbers_above(c, i, cut->base) & cptdev_table_mask(t, i);
		t->found[i] = take;
	}
}

/*
 * A table that no cut has seen, of a range that is as new: the numbers and the marks of its
 * chunk are right as they are, and what is there is taken. A full snapshot leaves the holes
 * out. The lock as in holes_filled().
 */
void cptdev_cut_fresh(struct cut *cut, struct cptdev_table *t)
{
	spinlock_t *ptl = pte_lockptr(cut->walk.s->mm, t->pmd);
	unsigned int i;

	t->ptes = pte_offset_kernel(t->pmd, t->base);
	spin_lock(ptl);
	for (i = 0; i < CHUNK_WORDS; i++)
		t->found[i] = cut->base ? ~0ULL : cptdev_ptes64_filled(t->ptes + i * 64);
	spin_unlock(ptl);
	t->swept = true;
	t->fresh = true;
	t->marks = true;
	t->words = CPTDEV_FOUND_WORDS;
}

/*
 * A round that leaves out what has just changed: it takes pages of which only their number says
 * that they changed. The others keep their marks, so the next cut finds them. That isn't so for a
 * hole to which something happened and that still is one: the next cut takes no notice.
 */
static void cut_find_cool(struct cut *cut, struct cptdev_table *t)
{
	struct cptdev_chunk *c = t->chunk;
	bool above = c->newest > cut->base;
	unsigned int i;

	for (i = 0; i < CHUNK_WORDS; i++) {
		u64 hot = t->words & BIT(i) ? t->found[i] & cptdev_table_mask(t, i) : 0;
		u64 hole = hot & c->cut.hole[i];

		hot &= ~hole | holes_filled(cut->walk.s->mm, t->ptes, i, hole);
		t->found[i] = above ? cptdev_numbers_above(c, i, cut->base) & ~hot : 0;
	}
	t->words = CPTDEV_FOUND_WORDS;
}

/* What the snapshot takes; returns how many pages. */
unsigned int cptdev_cut_find(struct cut *cut, struct cptdev_table *t)
{
	unsigned int i, nr = 0;
	u32 words;

	if (unlikely(cut->cool))
		cut_find_cool(cut, t);
	else if (unlikely(t->marks && !t->fresh))
		cut_find_more(cut, t);
	for (words = t->words; words; words &= words - 1) {
		i = __ffs(words);
		t->found[i] &= cptdev_table_mask(t, i);
		nr += hweight64(t->found[i]);
	}
	if (nr && !cut->cool)
		t->chunk->newest = cut->generation;
	return nr;
}
