// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev: changes of pages that the PTE doesn't show. The kernel calls MMU notifiers before it
 * takes away a page (swap, migration, unmapping, splitting, merging) or a permission (fork,
 * mprotect). The notifier sets event bits, and the next reading of a mark checks those pages
 * more closely.
 *
 * Callbacks run under any locks that their caller holds, and may not sleep. They find chunks
 * under RCU. If there is no chunk, no page was present at any cut, and a page that is present
 * at the next cut is new anyway.
 */
#include <linux/sched.h>

#include "track.h"
#include "../mutants.h"

/*
 * Harvesting. fork, mprotect and clear_refs write-protect everything while they hold the
 * mmap_lock for writing. After that, no page would look written. But while the mmap_lock is
 * held, no fault can make a PTE writable. So the pages that are writable now are the pages that
 * were written, and the notifier sets their event bits.
 *
 * In memory without write permission, ptrace writes to pages that are exclusive to the process,
 * see cptdev_cut_forced(). fork() takes the exclusiveness away, too, and after mprotect() nothing
 * shows that there was no permission. So exclusive pages of such memory are harvested as well,
 * except pages that were given back, see given.c.
 */
static u64 exclusive64(const pte_t *ptep)
{
	u64 found = 0;
	unsigned int i;

	for (i = 0; i < 64; i++) {
		pte_t pte = ptep_get((pte_t *)ptep + i);

		if (cptdev_pte_exclusive(pte))
			found |= 1ULL << i;
	}
	return found;
}

static void harvest_table(struct cptdev_session *s, struct cptdev_chunk *c, pmd_t pmd,
			  unsigned long base, bool exclusive)
{
	spinlock_t *ptl = pte_lockptr(s->mm, &pmd);
	pte_t *ptep = pte_offset_kernel(&pmd, base);
	unsigned int i;

	for (i = 0; i < CHUNK_WORDS; i++)
		cptdev_mark_set(&c->cut, i, cptdev_ptes64(ptep + i * 64, CPTDEV_PTE_WRITE));
	if (!exclusive)
		return;
	/* The lock keeps the pages where they are while they are looked at. */
	spin_lock(ptl);
	for (i = 0; i < CHUNK_WORDS; i++)
		cptdev_mark_set(&c->cut, i, exclusive64(ptep + i * 64) & ~cptdev_given64(c, i));
	spin_unlock(ptl);
}

/* A huge page that a cut has shared isn't exclusive until the next store. */
static void harvest_huge(struct cptdev_session *s, struct cptdev_chunk *c, pmd_t *pmd,
			 bool exclusive)
{
	spinlock_t *ptl = pmd_lock(s->mm, pmd);
	pmd_t val = *pmd;
	unsigned int i;
	bool written;

	written = !pmd_present(val) || !pmd_leaf(val) || pmd_write(val) ||
		(exclusive && PageAnon(pmd_page(val)) && cptdev_huge_exclusive(pmd_page(val)));
	spin_unlock(ptl);
	for (i = 0; written && i < CHUNK_WORDS; i++)
		cptdev_mark_set(&c->cut, i, ~0ULL);
}

static void harvest(struct cptdev_session *s, unsigned long start,
		    unsigned long end, bool exclusive)
{
	unsigned long index, next;
	struct cptdev_chunk *c;

	lockdep_assert_held_write(&s->mm->mmap_lock);
	rcu_read_lock();
	xa_for_each_range(&s->chunks, index, c, start >> CHUNK_SHIFT,
			  (end - 1) >> CHUNK_SHIFT) {
		unsigned long base = index << CHUNK_SHIFT;
		pmd_t *pmd = cptdev_walk_pmd(s->mm, base, &next);
		pmd_t val = pmd ? READ_ONCE(*pmd) : __pmd(0);

		if (!pmd_present(val))
			continue;
		if (!pmd_leaf(val))
			harvest_table(s, c, val, base, exclusive);
		else
			harvest_huge(s, c, pmd, exclusive);
	}
	rcu_read_unlock();
}

/* One VMA is copied by fork(). */
static void harvest_fork(struct cptdev_session *s, unsigned long start,
			 unsigned long end)
{
	struct vm_area_struct *vma = find_vma(s->mm, start);

	harvest(s, start, end, !vma || !(vma->vm_flags & VM_WRITE));
}

/*
 * Not every task that holds the mmap_lock has also locked the VMAs against faults that need
 * no mmap_lock. A VMA lock is taken before the locks of pages and of reverse mappings, so this
 * is only for callers that hold none of those.
 */
static void lock_vmas(struct mm_struct *mm, unsigned long start, unsigned long end)
{
	struct vm_area_struct *vma;

	while (start < end && (vma = find_vma(mm, start))) {
		if (vma->vm_start >= end)
			break;
		vma_start_write(vma);
		start = vma->vm_end;
	}
}

/* What an event means for the marks. */
enum reaction {
	REACT_NOTHING,
	REACT_FORK,		/* harvest one VMA */
	REACT_PROTECT,		/* ... a part of one */
	REACT_SPLIT,		/* ... and event bits for scans */
	REACT_ALL,		/* ... all memory */
	REACT_CUT,		/* event bits for cuts; dirty bits survive */
	REACT_SCAN,		/* event bits for scans; the write permission survives */
	REACT_BOTH,		/* event bits for cuts and scans */
};

/*
 * Does a system call that changes mappings send this, with the mmap_lock held for writing?
 * Such a call may have to wait for memory, and then takes pages away itself, as reclaim does:
 * that is another matter.
 */
static bool changes_mappings(struct mm_struct *mm)
{
	return cptdev_mmap_write_owned(mm) && !(current->flags & PF_MEMALLOC);
}

/*
 * Our own split of a huge page (huge.c)? PTEs inherit the write permission, so the split is no
 * news for cuts. 6.1 loses the dirty bit. A cut, which holds the mmap_lock for writing, has set
 * the event bits for scans itself; a task that holds the mmap_lock for reading hasn't. Events of
 * reclaim that the split has to wait for don't count as our own.
 */
static bool own_split(const struct cptdev_session *s, const struct mmu_notifier_range *range)
{
	return READ_ONCE(s->splitter) == current && range->start == READ_ONCE(s->splitting) &&
		!(current->flags & PF_MEMALLOC);
}

static enum reaction reaction(struct cptdev_session *s,
			      const struct mmu_notifier_range *range)
{
	bool one_table = range->end - range->start == PMD_SIZE &&
		!(range->start & ~PMD_MASK);

	switch (range->event) {
	case MMU_NOTIFY_RELEASE:
		return REACT_NOTHING;
	case MMU_NOTIFY_PROTECTION_PAGE:
		/* or write-back, which makes pages clean and holds no mmap_lock */
		return changes_mappings(s->mm) ? REACT_FORK : REACT_BOTH;
	case MMU_NOTIFY_SOFT_DIRTY:
		return REACT_ALL;
	case MMU_NOTIFY_PROTECTION_VMA:
		/* userfaultfd and NUMA hinting let faults go on: no harvest then */
		return changes_mappings(s->mm) ? REACT_PROTECT : REACT_CUT;
	case MMU_NOTIFY_CLEAR:
		if (one_table && own_split(s, range))
			return cptdev_mmap_write_owned(s->mm) ? REACT_NOTHING : REACT_SCAN;
		/*
		 * When a VMA is split, the huge page at the border is as well, or
		 * would be if there were one: PTEs inherit the write permission.
		 * khugepaged makes it writable. Both have locked the VMA. 6.1 forgets
		 * the dirty bit.
		 */
		if (one_table && changes_mappings(s->mm))
			return REACT_SPLIT;
		fallthrough;
	default:
		return REACT_BOTH;
	}
}

static void react_bits(struct cptdev_session *s, const struct mmu_notifier_range *range,
		       bool cut, bool scan)
{
	atomic_inc(&s->invalidating);
	smp_mb__after_atomic();	/* pairs with cptdev_event_take() */
	cptdev_events_set(s, range->start, range->end, cut, scan);
}

static int notifier_start(struct mmu_notifier *mn,
			  const struct mmu_notifier_range *range)
{
	struct cptdev_session *s = container_of(mn, struct cptdev_session, notifier);

	switch (reaction(s, range)) {
	case REACT_NOTHING:
		break;
	case REACT_FORK:
		harvest_fork(s, range->start, range->end);
		break;
	case REACT_PROTECT:
		lock_vmas(s->mm, range->start, range->end);
		cptdev_take_back(s, range->start, range->end);
		harvest(s, range->start, range->end, true);
		break;
	case REACT_SPLIT:
		harvest(s, range->start, range->end, true);
		cptdev_events_set(s, range->start, range->end, false, true);
		break;
	case REACT_ALL:
		lock_vmas(s->mm, 0, TASK_SIZE);
		harvest(s, 0, TASK_SIZE, false);
		break;
	case REACT_CUT:
		react_bits(s, range, true, false);
		break;
	case REACT_SCAN:
		react_bits(s, range, false, true);
		break;
	case REACT_BOTH:
		react_bits(s, range, true, true);
		break;
	}
	return 0;
}

static void notifier_end(struct mmu_notifier *mn,
			 const struct mmu_notifier_range *range)
{
	struct cptdev_session *s = container_of(mn, struct cptdev_session, notifier);
	enum reaction r = reaction(s, range);

	if (r == REACT_CUT || r == REACT_SCAN || r == REACT_BOTH) {
		smp_mb__before_atomic();	/* the PTEs, then "over" */
		atomic_dec(&s->invalidating);
	}
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
