// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev: the cut, the slow way. It takes pages of any kind: with I/O in flight, of large folios,
 * holes, swapped-out pages. For the plain pages among them it uses cut_plain.h.
 */
#include <linux/sched/signal.h>

#include "cut.h"
#include "../mutants.h"
#include "cut_plain.h"

void cptdev_cut_hole(struct cut *cut, struct cptdev_chunk *c, unsigned long base,
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

	if (cptdev_pte_is_hole(pte)) {
		cptdev_cut_hole(cut, c, t->base, i);
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

/*
 * Bring a page back to memory. As uprobes do it, with the mmap_lock held for writing:
 * dropping it would mean to start again.
 */
static int cut_fault_in(struct cut *cut, unsigned long addr)
{
	struct page *page;
	long ret;

	ret = cptdev_gup(cut->walk.s->mm, addr, FOLL_FORCE | FOLL_HWPOISON, &page);
	if (ret != 1) {
		cut->walk.bad_addr = addr;
		return ret < 0 ? ret : -EFAULT;
	}
	put_page(page);
	return 0;
}

int cptdev_cut_process(struct cut *cut, struct cptdev_table *t, unsigned int nr)
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
