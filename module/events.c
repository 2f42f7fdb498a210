// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev: what happens to pages behind the PTE's back. The kernel tells MMU notifiers
 * before it takes a page away (swap, migration, unmapping, splitting, merging) or a
 * permission (fork, mprotect); we set event bits, and the next reading of a mark looks
 * at those pages more closely.
 *
 * Callbacks run under whatever locks their caller holds and may not sleep. They find
 * chunks under RCU. Where there is no chunk nothing was ever present at a cut, and
 * whatever is present at the next one is new anyway.
 */
#include "cptdev.h"
#include "mutants.h"

static void mark_set(struct cptdev_mark *m, unsigned int word, u64 bits)
{
	if (bits & ~atomic64_read(&m->event[word]))
		atomic64_or(bits, &m->event[word]);
}

/* Event bits for all pages of [start, end), in one of the marks or both. */
void cptdev_events_set(struct cptdev_session *s, unsigned long start,
		       unsigned long end, bool cut, bool scan)
{
	unsigned long index;
	struct cptdev_chunk *c;

	if (cptdev_mutant(NO_EVENTS))
		return;
	rcu_read_lock();
	xa_for_each_range(&s->chunks, index, c, start >> CHUNK_SHIFT,
			  (end - 1) >> CHUNK_SHIFT) {
		unsigned long base = index << CHUNK_SHIFT;
		unsigned int first = start > base ? (start - base) >> PAGE_SHIFT : 0;
		unsigned int last = end - base < CHUNK_SIZE ?
			(end - base - 1) >> PAGE_SHIFT : CHUNK_PAGES - 1;
		unsigned int i;

		for (i = first / 64; i <= last / 64; i++) {
			u64 bits = cptdev_word_mask(i, first, last);

			if (cut)
				mark_set(&c->cut, i, bits);
			if (scan)
				mark_set(&c->scan, i, bits);
		}
	}
	rcu_read_unlock();
}

/*
 * fork() and /proc/PID/clear_refs are about to write-protect everything, which would
 * look as if nothing had been written. They hold the mmap_lock for writing, and no
 * fault can make a PTE writable now: so what is writable is what was written.
 */
static void harvest_table(struct cptdev_chunk *c, pmd_t pmd, unsigned long base)
{
	unsigned int i;

	if (pmd_leaf(pmd)) {
		for (i = 0; pmd_write(pmd) && i < CHUNK_WORDS; i++)
			mark_set(&c->cut, i, ~0ULL);
		return;
	}
	for (i = 0; i < CHUNK_WORDS; i++)
		mark_set(&c->cut, i,
			 cptdev_writable64(pte_offset_kernel(&pmd, base) + i * 64));
}

static void harvest(struct cptdev_session *s, unsigned long start,
		    unsigned long end)
{
	unsigned long index, next;
	struct cptdev_chunk *c;

	mmap_assert_write_locked(s->mm);
	rcu_read_lock();
	xa_for_each_range(&s->chunks, index, c, start >> CHUNK_SHIFT,
			  (end - 1) >> CHUNK_SHIFT) {
		unsigned long base = index << CHUNK_SHIFT;
		pmd_t *pmd = cptdev_walk_pmd(s->mm, base, &next);
		pmd_t val = pmd ? READ_ONCE(*pmd) : __pmd(0);

		if (pmd_present(val))
			harvest_table(c, val, base);
	}
	rcu_read_unlock();
}

/* clear_refs doesn't lock the VMAs against faults that need no mmap_lock. */
static void harvest_all(struct cptdev_session *s)
{
	struct vm_area_struct *vma;
	unsigned long addr = 0;

	while ((vma = find_vma(s->mm, addr))) {
		vma_start_write(vma);
		addr = vma->vm_end;
	}
	harvest(s, 0, TASK_SIZE);
}

/* Bits to set for an event. */
#define EVENT_CUT	1
#define EVENT_SCAN	2

static unsigned int event_marks(struct cptdev_session *s,
				const struct mmu_notifier_range *range)
{
	switch (range->event) {
	case MMU_NOTIFY_PROTECTION_PAGE:	/* fork: harvested */
	case MMU_NOTIFY_SOFT_DIRTY:		/* clear_refs: likewise */
	case MMU_NOTIFY_RELEASE:
		return 0;
	case MMU_NOTIFY_PROTECTION_VMA:
		/*
		 * mprotect, userfaultfd, NUMA hinting: faults may go on, so no
		 * harvest would be complete. Dirty bits survive.
		 */
		return EVENT_CUT;
	case MMU_NOTIFY_CLEAR:
		/* Our own split of a huge page during the cut: see there. */
		if (READ_ONCE(s->splitter) == current &&
		    range->end - range->start == PMD_SIZE &&
		    range->start == READ_ONCE(s->splitting))
			return 0;
		fallthrough;
	default:
		return EVENT_CUT | EVENT_SCAN;
	}
}

static int notifier_start(struct mmu_notifier *mn,
			  const struct mmu_notifier_range *range)
{
	struct cptdev_session *s = container_of(mn, struct cptdev_session, notifier);
	unsigned int marks = event_marks(s, range);

	if (range->event == MMU_NOTIFY_PROTECTION_PAGE) {
		harvest(s, range->start, range->end);
	} else if (range->event == MMU_NOTIFY_SOFT_DIRTY) {
		harvest_all(s);		/* the range is all memory */
	} else if (marks) {
		atomic_inc(&s->invalidating);
		smp_mb__after_atomic();	/* pairs with cptdev_event_take() */
		cptdev_events_set(s, range->start, range->end,
				  marks & EVENT_CUT, marks & EVENT_SCAN);
	}
	return 0;
}

static void notifier_end(struct mmu_notifier *mn,
			 const struct mmu_notifier_range *range)
{
	struct cptdev_session *s = container_of(mn, struct cptdev_session, notifier);

	if (event_marks(s, range)) {
		smp_mb__before_atomic();	/* the PTEs, then "over" */
		atomic_dec(&s->invalidating);
	}
}

/*
 * Read and clear event bits; who reads the PTE does so afterwards. Between the start of
 * an event and the change of the PTE the page may be written again, and the change would
 * take the trace of that with it: so while an event is under way bits stay.
 */
u64 cptdev_event_take(struct cptdev_session *s, struct cptdev_mark *m,
		      unsigned int word, u64 mask)
{
	u64 taken = atomic64_read(&m->event[word]) & mask;

	if (!taken)
		return 0;
	taken &= atomic64_fetch_andnot(taken, &m->event[word]);
	if (atomic_read(&s->invalidating))
		atomic64_or(taken, &m->event[word]);
	return taken;
}

/* The address space is about to go: the process ends or calls exec. */
static void notifier_release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	struct cptdev_session *s = container_of(mn, struct cptdev_session, notifier);

	cptdev_session_mm_gone(s);
}

static void notifier_free(struct mmu_notifier *mn)
{
	cptdev_session_put(container_of(mn, struct cptdev_session, notifier));
}

const struct mmu_notifier_ops cptdev_notifier_ops = {
	.invalidate_range_start	= notifier_start,
	.invalidate_range_end	= notifier_end,
	.release		= notifier_release,
	.free_notifier		= notifier_free,
};
