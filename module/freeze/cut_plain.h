/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * cptdev: the cut, plain pages. Nearly all pages are plain: in memory, mapped only by this process,
 * with no other reference. To be included after "mutants.h".
 */
#ifndef _CPTDEV_CUT_PLAIN_H
#define _CPTDEV_CUT_PLAIN_H

#include "cut.h"

/* No store and no fast GUP from here on; a page that is writable was written. */
static __always_inline void protect(struct cut *cut, pte_t *ptep, u64 *gen, u64 generation)
{
	*gen = generation;
	ptep_set_wrprotect(cut->walk.s->mm, 0, ptep);
}

/* Protect the page; is it the process's alone then? The order matters, see cut_share(). */
static __always_inline bool protect_alone(struct cut *cut, pte_t *ptep, u64 *gen,
					  u64 generation, struct page *page)
{
	protect(cut, ptep, gen, generation);
	smp_mb__after_atomic();		/* see cut_share() */
	return cptdev_page_alone(page);
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
static inline void cut_unmark(struct cptdev_chunk *c, unsigned int word, unsigned int bit,
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

#endif /* _CPTDEV_CUT_PLAIN_H */
