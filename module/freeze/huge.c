// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev: splitting the mappings of huge pages. A cut splits a huge page that it can't freeze as a
 * whole. Freeing a snapshot splits the huge pages that were written again after a cut that had
 * them (cut_huge.c).
 */
#include "snap.h"
#include "../track/track.h"

/*
 * Split the mapping of the huge page at @addr. The mmap_lock is held. If it is held for reading,
 * several tasks may call this: only one at a time succeeds, the others get -EBUSY. So the notifier
 * can tell by the task that an event comes from here.
 */
int cptdev_huge_split(struct cptdev_session *s, unsigned long addr, unsigned int flags)
{
	struct page *page;
	long ret;

	lockdep_assert_held(&s->mm->mmap_lock);
	if (cmpxchg(&s->splitter, NULL, current))
		return -EBUSY;
	WRITE_ONCE(s->splitting, addr & PMD_MASK);
	ret = cptdev_gup(s->mm, addr, FOLL_HWPOISON | FOLL_SPLIT_PMD | flags, &page);
	WRITE_ONCE(s->splitter, NULL);
	if (ret != 1)
		return ret < 0 ? ret : -EFAULT;
	put_page(page);
	atomic64_inc(&s->huge_split);
	return 0;
}

/* Is @page still mapped there as a whole? Nobody writes to it as long as we have it. */
static bool huge_mapped(struct mm_struct *mm, unsigned long addr, struct page *page)
{
	unsigned long next;
	pmd_t *pmd = cptdev_walk_pmd(mm, addr, &next);
	spinlock_t *ptl;		/* of the entry */
	bool mapped;

	if (!pmd)
		return false;
	ptl = pmd_lock(mm, pmd);
	mapped = pmd_present(*pmd) && pmd_leaf(*pmd) && pmd_page(*pmd) == page;
	spin_unlock(ptl);
	return mapped;
}

/*
 * An attempt: see giveback.c about the locks, and about a mm without users. If it fails, the next
 * cut that has the page will have it split.
 */
static void split_one(struct cptdev_session *s, unsigned long addr, struct page *page)
{
	if (!mmap_read_trylock(s->mm))
		return;
	if (atomic_read(&s->mm->mm_users) && huge_mapped(s->mm, addr, page))
		cptdev_huge_split(s, addr, FOLL_NOFAULT);
	mmap_read_unlock(s->mm);
}

/* A place among the snapshot's runs. */
struct run_place {
	u64 run;
	u64 index;			/* of the run's first page, in the snapshot */
};

/* The address of page @index, which isn't before the place. */
static unsigned long page_addr(const struct cptdev_snap *snap, struct run_place *p, u64 index)
{
	for (;; p->run++) {
		const struct cptdev_run *run = cptdev_vec_at(&snap->runs, p->run);
		unsigned long start = run->start & PAGE_MASK;
		u64 pages = (run->end - start) >> PAGE_SHIFT;

		if (cptdev_run_kind(run) != CPTDEV_EXTENT_DATA)
			continue;
		if (index < p->index + pages)
			return start + (index - p->index) * PAGE_SIZE;
		p->index += pages;
	}
}

static void split_fold(struct cptdev_snap *snap, struct run_place *p,
		       const struct cptdev_fold *fold)
{
	u64 i;

	for (i = 0; i < fold->nr; i++) {
		unsigned long held = *(unsigned long *)cptdev_vec_at(&snap->held, fold->held + i);
		unsigned long addr;

		if (!(held & CPTDEV_HELD_SPARSE))
			continue;
		addr = page_addr(snap, p, fold->index + i * CHUNK_PAGES);
		split_one(snap->session, addr, cptdev_held_page(held));
		cond_resched();
	}
}

/* Called when @snap is freed, before its references are dropped. */
void cptdev_huge_split_sparse(struct cptdev_snap *snap)
{
	struct run_place p = { 0 };
	u64 i;

	/* A snapshot that was given up has no index. */
	if (!snap->sparse || !snap->runs.block)
		return;
	for (i = 0; i < snap->folds.nr; i++)
		split_fold(snap, &p, cptdev_vec_at(&snap->folds, i));
}
