/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * cptdev: mutants. Each safeguard can be removed at build time, to prove that a test
 * notices: make ... KCFLAGS=-DCPTDEV_MUTANT_NO_FLUSH. Documentation/testing.rst has the
 * list and the tests that catch them. Such a module says so when it is loaded; never use
 * one for anything else.
 *
 * The module itself knows nothing of this: a mutant replaces a function where it is called,
 * in the files that include this header after all others. Without a mutant nothing of it is
 * left but the list at the end.
 */
#ifndef _CPTDEV_MUTANTS_H
#define _CPTDEV_MUTANTS_H

#include <linux/delay.h>
#include <linux/kconfig.h>

#include "freeze/cut.h"

#define cptdev_mutant(name)	__is_defined(CPTDEV_MUTANT_##name)

/* The TLB isn't flushed. */
#ifdef CPTDEV_MUTANT_NO_FLUSH
#define unmap_mapping_range(mapping, start, len, even_cows)	((void)(mapping))
#endif

/* Only the proxy is flushed. */
#ifdef CPTDEV_MUTANT_NO_PENDING
#define inc_tlb_flush_pending(mm)	((void)(mm))
#define dec_tlb_flush_pending(mm)	((void)(mm))
#endif

/* Notifiers are ignored. */
#ifdef CPTDEV_MUTANT_NO_EVENTS
#define cptdev_events_set(s, start, end, cut, scan)	((void)(s))
#endif

/* New pages must be writable. */
#ifdef CPTDEV_MUTANT_NO_HOLES
#define cptdev_pte_filled(pte)		(cptdev_pte_filled(pte) && pte_write(pte))
#endif

/* Plain references are ignored. */
#ifdef CPTDEV_MUTANT_NO_PINNED
#define cptdev_folio_in_flight(folio)	((void)(folio), false)
#endif

/* Pages with I/O in flight are copied before the flush. */
#ifdef CPTDEV_MUTANT_COPY_EARLY
static inline int mutant_copy_early(struct cptdev_walk *w, unsigned long start,
				    unsigned long end)
{
	struct cut *cut = container_of(w, struct cut, walk);
	int ret = cptdev_walk_ranges(w, start, end);

	if (!ret && w->cut && cut->in_flight)
		ret = cptdev_copy_in_flight(cut->snap, &cut->copied);
	return ret;
}

#define cptdev_walk_ranges		mutant_copy_early
#endif

/* Faults under the VMA lock go on. */
#ifdef CPTDEV_MUTANT_NO_VMA_LOCK
#define vma_start_write(vma)		((void)(vma))
#endif

/* Fast GUP goes on. */
#ifdef CPTDEV_MUTANT_NO_WP_SEQ
#undef raw_write_seqcount_begin
#undef raw_write_seqcount_end
#define raw_write_seqcount_begin(s)	((void)(s))
#define raw_write_seqcount_end(s)	((void)(s))
#endif

/* Without a writable PTE nothing was written. */
#ifdef CPTDEV_MUTANT_NO_EXCLUSIVE
#define cptdev_pte_exclusive(pte)	((void)(pte), false)
#endif

/* A page is given back though others have it. */
#ifdef CPTDEV_MUTANT_GIVE_HELD
#define cptdev_page_ours(page)		((void)(page), true)
#endif

/* Pages that were given back stay exclusive, whatever mprotect() does. */
#ifdef CPTDEV_MUTANT_NO_TAKE_BACK
#define cptdev_take_back(s, start, end)	((void)(s))
#endif

/* A page that the cut takes is the process's alone, whoever else maps it. */
#ifdef CPTDEV_MUTANT_FORK_SHARED
static inline bool mutant_fork_shared(struct page *page)
{
	if (!cptdev_page_shared(page))
		return false;
	SetPageAnonExclusive(page);
	return true;
}

#define cptdev_page_shared		mutant_fork_shared
#endif

/* What SCAN makes clean, reclaim may drop. */
#ifdef CPTDEV_MUTANT_NO_KEEP_DIRTY
#define SetPageDirty(page)		((void)(page))
#endif

/* Merging keeps the older of two pages. */
#ifdef CPTDEV_MUTANT_MERGE_OLDER
static inline struct cptdev_snap *mutant_merge_older(struct cptdev_snap *old,
						     struct cptdev_snap *new)
{
	struct cptdev_snap *snap = cptdev_snap_merge(new, old);

	if (snap) {
		snap->base = old->base;
		snap->generation = new->generation;
	}
	return snap;
}

#define cptdev_snap_merge		mutant_merge_older
#endif

/* Whatever happened to the program, its session ended in order. */
#ifdef CPTDEV_MUTANT_END_CLOSED
#define cptdev_end_reason(s, code)	((void)(s), *(code) = 0, CPTDEV_END_CLOSED)
#endif

/* What is committed is acknowledged, although the lease is over. */
#ifdef CPTDEV_MUTANT_NO_LEASE
#define cptdev_lease_over(s)		((void)(s), false)
#endif

/* What is committed is acknowledged, although the daemon forbade it. */
#ifdef CPTDEV_MUTANT_NO_BLOCK
#define cptdev_state_blocked(s)		((void)(s), false)
#endif

/* Publishing is no sign of life. */
#ifdef CPTDEV_MUTANT_NO_SIGN
#define cptdev_alive_sign(s)		((void)(s))
#endif

/* Reclaim knows of no snapshots. */
#ifdef CPTDEV_MUTANT_NO_SHRINK
#define cptdev_shrink_add(snap)		((void)(snap))
#endif

/* A PMD may change before the lock. */
#ifdef CPTDEV_MUTANT_NO_RECHECK
#define cptdev_pmd_still(pmdp, val)	((void)(pmdp), (void)(val), true)
#endif

/* A snapshot that fails counts as taken. */
#ifdef CPTDEV_MUTANT_COUNT_FAILED
static inline int mutant_count_failed(struct cptdev_snap *snap)
{
	snap->session->newest = snap->generation;
	return cptdev_snap_seal(snap);
}

#define cptdev_snap_seal		mutant_count_failed
#endif

/*
 * Some safeguards guard a window of a few instructions. WIDEN removes nothing: it holds
 * these windows open for some milliseconds, so that a test meets them. A mutant needs it
 * to be caught; without a mutant the same test must pass. The windows are those before
 * pages are taken, before SCAN locks a page table, and before the flush.
 */
#ifdef CPTDEV_MUTANT_WIDEN
#define mutant_widen()			mdelay(20)
#define pmd_lock(mm, pmd)		(mutant_widen(), pmd_lock(mm, pmd))
#define pte_lockptr(mm, pmd)		(mutant_widen(), pte_lockptr(mm, pmd))
#define cptdev_snap_reserve(snap, n)	(mutant_widen(), cptdev_snap_reserve(snap, n))
#define cptdev_snap_room(snap)		(mutant_widen(), cptdev_snap_room(snap))
#ifndef CPTDEV_MUTANT_NO_FLUSH
#define unmap_mapping_range(mapping, start, len, even_cows)		\
	(mutant_widen(), unmap_mapping_range(mapping, start, len, even_cows))
#endif
#else
#define mutant_widen()			((void)0)
#endif

/* Pages are looked at while they are writable, and protected later. */
#ifdef CPTDEV_MUTANT_PROTECT_LATE
static inline unsigned int mutant_alone(const pte_t *ptep, unsigned int nr)
{
	unsigned int n;

	for (n = 0; n < nr; n++) {
		pteval_t pte = pte_val(READ_ONCE(ptep[n]));

		if (!cptdev_pte_plain_rw(pte) ||
		    !cptdev_page_alone(cptdev_plain_page(pte)))
			break;
	}
	mutant_widen();
	return n;
}

#define cptdev_page_alone(page)		((void)(page), true)
/* In cut_take_word(). */
#define cptdev_vec_places(v, nr)					\
	(*(nr) = mutant_alone(ptes + i, *(nr)), cptdev_vec_places(v, nr))
#endif

#define CPTDEV_ANY_MUTANT						\
	(cptdev_mutant(NO_FLUSH) ||					\
	 cptdev_mutant(NO_PENDING) ||					\
	 cptdev_mutant(NO_EVENTS) ||					\
	 cptdev_mutant(NO_HOLES) ||					\
	 cptdev_mutant(NO_PINNED) ||					\
	 cptdev_mutant(COPY_EARLY) ||					\
	 cptdev_mutant(NO_VMA_LOCK) ||					\
	 cptdev_mutant(NO_WP_SEQ) ||					\
	 cptdev_mutant(PROTECT_LATE) ||					\
	 cptdev_mutant(NO_EXCLUSIVE) ||					\
	 cptdev_mutant(GIVE_HELD) ||					\
	 cptdev_mutant(NO_TAKE_BACK) ||					\
	 cptdev_mutant(FORK_SHARED) ||					\
	 cptdev_mutant(NO_KEEP_DIRTY) ||				\
	 cptdev_mutant(MERGE_OLDER) ||					\
	 cptdev_mutant(END_CLOSED) ||					\
	 cptdev_mutant(NO_LEASE) ||					\
	 cptdev_mutant(NO_BLOCK) ||					\
	 cptdev_mutant(NO_SIGN) ||					\
	 cptdev_mutant(NO_SHRINK) ||					\
	 cptdev_mutant(NO_RECHECK) ||					\
	 cptdev_mutant(COUNT_FAILED) ||					\
	 cptdev_mutant(WIDEN))

#endif /* _CPTDEV_MUTANTS_H */
