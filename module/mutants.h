/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * cptdev: mutants. A mutant switches one safeguard off, to prove that a test notices. A module
 * that is built with CPTDEV_MUTANTS=y contains all mutants, and the parameter "mutant" activates
 * some of them: insmod cptdev.ko mutant=NO_FLUSH. Documentation/testing.rst lists the mutants and
 * the tests that catch them. Such a module prints a message when it is loaded. It is for tests
 * only.
 *
 * The code of the module doesn't mention mutants: a mutant replaces a function where it is called,
 * in the files that include this header after all others. An ordinary build contains nothing of
 * this.
 */
#ifndef _CPTDEV_MUTANTS_H
#define _CPTDEV_MUTANTS_H

#ifdef CPTDEV_MUTANTS

#include <linux/bits.h>
#include <linux/delay.h>

#include "freeze/cut.h"

#define mutant(name)		CPTDEV_MUTANT_##name,
enum {
#include "mutant_list.h"
};

#undef mutant

/* mutants.c: a bit for each active mutant; it changes at load only. */
extern unsigned long cptdev_mutants;
void cptdev_mutants_tell(void);

#define cptdev_mutant(name)	(!!(cptdev_mutants & BIT(CPTDEV_MUTANT_##name)))

/*
 * Some safeguards guard a window of a few instructions. WIDEN removes nothing: it holds
 * these windows open for some milliseconds, so that a test meets them. A mutant needs it
 * to be caught; without a mutant the same test must pass. The windows are those before
 * pages are taken, before SCAN locks a page table, and before the flush.
 */
static inline void mutant_widen(void)
{
	if (cptdev_mutant(WIDEN))
		mdelay(20);
}

#define pmd_lock(mm, pmd)		(mutant_widen(), pmd_lock(mm, pmd))
#define pte_lockptr(mm, pmd)		(mutant_widen(), pte_lockptr(mm, pmd))
#define cptdev_snap_reserve(snap, n)	(mutant_widen(), cptdev_snap_reserve(snap, n))
#define cptdev_snap_room(snap)		(mutant_widen(), cptdev_snap_room(snap))

/* NO_FLUSH: the TLB isn't flushed. */
#define unmap_mapping_range(mapping, start, len, even_cows)			\
	(cptdev_mutant(NO_FLUSH) ? (void)0 :					\
	 (mutant_widen(), unmap_mapping_range(mapping, start, len, even_cows)))

/* NO_PENDING: only the proxy is flushed. */
#define inc_tlb_flush_pending(mm)						\
	(cptdev_mutant(NO_PENDING) ? (void)0 : inc_tlb_flush_pending(mm))
#define dec_tlb_flush_pending(mm)						\
	(cptdev_mutant(NO_PENDING) ? (void)0 : dec_tlb_flush_pending(mm))

/* NO_EVENTS: notifiers are ignored. */
#define cptdev_events_set(s, start, end, cut, scan)				\
	(cptdev_mutant(NO_EVENTS) ? (void)0 :					\
	 cptdev_events_set(s, start, end, cut, scan))

/* NO_HOLES: new pages must be writable. */
#define cptdev_pte_filled(pte)							\
	(cptdev_pte_filled(pte) && (!cptdev_mutant(NO_HOLES) || pte_write(pte)))

/* NO_PINNED: plain references are ignored. */
#define cptdev_folio_in_flight(folio)						\
	(!cptdev_mutant(NO_PINNED) && cptdev_folio_in_flight(folio))

/* COPY_EARLY: pages with I/O in flight are copied before the flush. */
static inline int mutant_copy_early(struct cptdev_walk *w, unsigned long start,
				    unsigned long end)
{
	struct cut *cut = container_of(w, struct cut, walk);
	int ret = cptdev_walk_ranges(w, start, end);

	if (cptdev_mutant(COPY_EARLY) && !ret && w->cut && cut->in_flight)
		ret = cptdev_copy_in_flight(cut->snap, &cut->copied);
	return ret;
}

#define cptdev_walk_ranges		mutant_copy_early

/* NO_VMA_LOCK: faults under the VMA lock go on. */
#define vma_start_write(vma)							\
	(cptdev_mutant(NO_VMA_LOCK) ? (void)0 : vma_start_write(vma))

/* NO_WP_SEQ: fast GUP goes on. */
static inline void mutant_seqcount_begin(seqcount_t *s)
{
	if (!cptdev_mutant(NO_WP_SEQ))
		raw_write_seqcount_begin(s);
}

static inline void mutant_seqcount_end(seqcount_t *s)
{
	if (!cptdev_mutant(NO_WP_SEQ))
		raw_write_seqcount_end(s);
}

#undef raw_write_seqcount_begin
#undef raw_write_seqcount_end
#define raw_write_seqcount_begin	mutant_seqcount_begin
#define raw_write_seqcount_end		mutant_seqcount_end

/* PROTECT_LATE: pages are looked at while they are writable, and protected later. */
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

#define cptdev_page_alone(page)							\
	(cptdev_mutant(PROTECT_LATE) || cptdev_page_alone(page))
/* In cut_take_word(). */
#define cptdev_vec_places(v, nr)						\
	(*(nr) = cptdev_mutant(PROTECT_LATE) ? mutant_alone(ptes + i, *(nr)) : *(nr),	\
	 cptdev_vec_places(v, nr))

/* NO_EXCLUSIVE: without a writable PTE nothing was written. */
#define cptdev_pte_exclusive(pte)						\
	(!cptdev_mutant(NO_EXCLUSIVE) && cptdev_pte_exclusive(pte))

/* NO_READ_ONLY: tables with memory without write permission aren't visited by each cut. */
#define cptdev_segment_read_only(seg)						\
	(!cptdev_mutant(NO_READ_ONLY) && cptdev_segment_read_only(seg))

/* HUGE_WRITABLE: a huge page that a snapshot has can be written to as before. */
#define cptdev_huge_protect(mm, addr, pmd)					\
	(cptdev_mutant(HUGE_WRITABLE) ? (void)0 : cptdev_huge_protect(mm, addr, pmd))

/* HUGE_OWNED: a huge page stays the process's alone, whoever has it. */
#define cptdev_huge_exclusive(page)						\
	(!cptdev_mutant(HUGE_OWNED) && cptdev_huge_exclusive(page))

/* HUGE_COARSE: no huge page is split because it was written again. */
#define cptdev_snap_push_huge(snap, addr, page, sparse)				\
	cptdev_snap_push_huge(snap, addr, page, (sparse) && !cptdev_mutant(HUGE_COARSE))

/* GIVE_HELD: a page is given back though others have it. */
#define cptdev_page_ours(page)							\
	(cptdev_mutant(GIVE_HELD) || cptdev_page_ours(page))

/* NO_TAKE_BACK: pages that were given back stay exclusive, whatever mprotect() does. */
#define cptdev_take_back(s, start, end)						\
	(cptdev_mutant(NO_TAKE_BACK) ? (void)0 : cptdev_take_back(s, start, end))

/* FORK_SHARED: a page that the cut takes is the process's alone, whoever else maps it. */
static inline bool mutant_fork_shared(struct page *page)
{
	if (!cptdev_page_shared(page))
		return false;
	if (cptdev_mutant(FORK_SHARED))
		SetPageAnonExclusive(page);
	return true;
}

#define cptdev_page_shared		mutant_fork_shared

/* NO_KEEP_DIRTY: what SCAN makes clean, reclaim may drop. */
#define SetPageDirty(page)							\
	(cptdev_mutant(NO_KEEP_DIRTY) ? (void)0 : SetPageDirty(page))

/* MERGE_OLDER: merging keeps the older of two pages. */
static inline struct cptdev_snap *mutant_merge_older(struct cptdev_snap *old,
						     struct cptdev_snap *new)
{
	struct cptdev_snap *snap;

	if (!cptdev_mutant(MERGE_OLDER))
		return cptdev_snap_merge(old, new);
	snap = cptdev_snap_merge(new, old);
	if (snap) {
		snap->base = old->base;
		snap->generation = new->generation;
	}
	return snap;
}

#define cptdev_snap_merge		mutant_merge_older

/* END_CLOSED: whatever happened to the program, its session ended in order. */
#define cptdev_end_reason(s, code)						\
	(cptdev_mutant(END_CLOSED) ? (*(code) = 0, CPTDEV_END_CLOSED) :		\
	 cptdev_end_reason(s, code))

/* NO_LEASE: what is committed is acknowledged, although the lease is over. */
#define cptdev_lease_over(s)		(!cptdev_mutant(NO_LEASE) && cptdev_lease_over(s))

/* NO_BLOCK: what is committed is acknowledged, although the daemon forbade it. */
#define cptdev_state_blocked(s)		(!cptdev_mutant(NO_BLOCK) && cptdev_state_blocked(s))

/* NO_SIGN: publishing is no sign of life. */
#define cptdev_alive_sign(s)							\
	(cptdev_mutant(NO_SIGN) ? (void)0 : cptdev_alive_sign(s))

/* NO_SHRINK: reclaim knows of no snapshots. */
#define cptdev_shrink_add(snap)							\
	(cptdev_mutant(NO_SHRINK) ? (void)0 : cptdev_shrink_add(snap))

/* NO_RECHECK: a PMD may change before the lock. */
#define cptdev_pmd_still(pmdp, val)						\
	(cptdev_mutant(NO_RECHECK) || cptdev_pmd_still(pmdp, val))

/* COUNT_FAILED: a snapshot that fails counts as taken. */
static inline int mutant_count_failed(struct cptdev_snap *snap)
{
	if (cptdev_mutant(COUNT_FAILED))
		snap->session->newest = snap->generation;
	return cptdev_snap_seal(snap);
}

#define cptdev_snap_seal		mutant_count_failed

/* ROUND_NUMBER: the rounds of a pass have one generation, whatever came in between. */
#define cptdev_pass_newest(cut)							\
	(cptdev_mutant(ROUND_NUMBER) || cptdev_pass_newest(cut))

/* NO_NUMBER: a page that was in a replica before keeps the number that it had. */
#define set_page_private(p, number)						\
	(cptdev_mutant(NO_NUMBER) && page_private((struct page *)(p)) ? (void)0 : \
	 set_page_private(p, number))

/* NO_INDEX: a past generation doesn't find the pages that commits have replaced. */
#define cptdev_past_some(r, number, index, fn, arg)				\
	(cptdev_mutant(NO_INDEX) ? 0 : cptdev_past_some(r, number, index, fn, arg))

#else /* !CPTDEV_MUTANTS */

static inline void cptdev_mutants_tell(void)
{
}

#endif /* !CPTDEV_MUTANTS */
#endif /* _CPTDEV_MUTANTS_H */
