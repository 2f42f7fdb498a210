// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev: the cut, the quick way. It takes page tables that were swept and have only plain pages,
 * many tables in one loop.
 */
#include "cut.h"
#include "../mutants.h"
#include "cut_plain.h"

/*
 * Takes the pages of one table, if the table is like nearly all tables: it was swept, it has no
 * marks, all pages that were found are plain, and there is @room in the lists. Otherwise returns
 * false, and @swept has the pages that are left.
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

unsigned int cptdev_cut_quick(struct cptdev_walk *walk, unsigned int i, unsigned int nr)
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
