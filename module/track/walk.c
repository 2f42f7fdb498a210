// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev: the walk of the page tables, for cuts and scans. It divides the ranges into pieces that
 * lie in one page table and, for scans, in one VMA. It calls the visitor for each piece that isn't
 * quiet.
 */
#include <linux/sched/signal.h>

#include "track.h"

/*
 * The page-table entry of the level above the PTEs, or NULL where there is none. @next
 * is where the answer ends, on the NULL side as far as the tables say.
 */
pmd_t *cptdev_walk_pmd(struct mm_struct *mm, unsigned long addr,
		       unsigned long *next)
{
	pgd_t *pgd = pgd_offset(mm, addr);
	p4d_t *p4d;
	pud_t *pud;

	*next = pgd_addr_end(addr, ULONG_MAX);
	if (pgd_none(*pgd) || pgd_bad(*pgd))
		return NULL;
	p4d = p4d_offset(pgd, addr);
	*next = p4d_addr_end(addr, ULONG_MAX);
	if (p4d_none(*p4d) || p4d_bad(*p4d))
		return NULL;
	pud = pud_offset(p4d, addr);
	*next = pud_addr_end(addr, ULONG_MAX);
	/* Leaves on this level are hugetlb or DAX: not in our VMAs. */
	if (pud_none(*pud) || pud_bad(*pud))
		return NULL;
	*next = pmd_addr_end(addr, ULONG_MAX);
	return pmd_offset(pud, addr);
}

/*
 * Nothing there, not even a huge page? A task that takes a huge page away (reclaim) may put it
 * back while it holds the lock.
 */
static bool no_table(struct mm_struct *mm, pmd_t *pmd)
{
	spinlock_t *ptl;		/* of the level */
	bool none;

	if (!pmd_none(READ_ONCE(*pmd)))
		return false;
	ptl = pmd_lock(mm, pmd);
	none = pmd_none(*pmd);
	spin_unlock(ptl);
	return none;
}

/* How many entries in a row, before @end, lead to nothing. The same goes for them. */
static unsigned int no_tables(struct mm_struct *mm, pmd_t *pmd, unsigned long addr,
			      unsigned long end)
{
	unsigned int nr = ((end - 1) >> CHUNK_SHIFT) - (addr >> CHUNK_SHIFT) + 1, i;
	spinlock_t *ptl;		/* of the level */

	if (likely(!pmd_none(READ_ONCE(*pmd))))
		return 0;
	ptl = pmd_lock(mm, pmd);
	for (i = 0; i + 8 <= nr && !cptdev_pmds8(pmd + i); i += 8)
		;
	for (; i < nr && pmd_none(pmd[i]); i++)
		;
	spin_unlock(ptl);
	return i;
}

/* The table @i of a sweep. */
static int visit(struct cptdev_walk *w, unsigned int i)
{
	struct cptdev_swept *swept = &w->s->swept[i];
	unsigned long base = (w->start & CHUNK_MASK) + i * CHUNK_SIZE;
	unsigned long start = max(w->start, base), end = min(w->end, base + CHUNK_SIZE);
	struct cptdev_table t = {
		.pmd = w->pmd + i, .ptes = swept->ptes, .chunk = swept->chunk, .base = base,
		.swept = swept->ptes, .marks = swept->what & CPTDEV_FOUND_MARKS,
		.words = swept->what & CPTDEV_FOUND_WORDS, .found = swept->found,
	};

	if (!(swept->what & ~CPTDEV_FOUND_PART)) {
		w->quiet += (end - start) >> PAGE_SHIFT;
		return 0;
	}
	if (!t.swept && no_table(w->s->mm, t.pmd))
		return w->empty(w, start, end);
	cptdev_chunk_clip(base >> CHUNK_SHIFT, start, end, &t.first, &t.last);
	return w->table(w, &t);
}

static int visit_all(struct cptdev_walk *w, unsigned int nr)
{
	unsigned int i;
	int ret;

	for (i = 0; i < nr; i++) {
		if (w->quick) {
			i = w->quick(w, i, nr);
			if (i == nr)
				break;
		}
		ret = visit(w, i);
		if (ret) {
			w->pos = max(w->start, (w->start & CHUNK_MASK) + i * CHUNK_SIZE);
			return ret;
		}
	}
	return 0;
}

/* Tables below one entry of the level above the PMDs. */
static int walk_tables(struct cptdev_walk *w, pmd_t *pmd, unsigned long addr,
		       unsigned long end)
{
	unsigned int nr;
	int ret;

	for (; addr < end; addr = w->end, pmd += nr) {
		w->pmd = pmd;
		w->start = addr;
		nr = no_tables(w->s->mm, pmd, addr, end);
		if (unlikely(nr)) {
			w->end = min(end, (addr & CHUNK_MASK) + nr * CHUNK_SIZE);
			w->pos = addr;
			ret = w->empty(w, addr, w->end);
		} else {
			nr = cptdev_sweep(w, end);
			ret = visit_all(w, nr);
		}
		if (ret)
			return ret;
		if (fatal_signal_pending(current)) {
			w->pos = w->end;
			return -EINTR;
		}
		cond_resched();
	}
	return 0;
}

static int walk_part(struct cptdev_walk *w, unsigned long addr, unsigned long end)
{
	unsigned long next;
	int ret = 0;

	for (; !ret && addr < end; addr = next) {
		pmd_t *pmd = cptdev_walk_pmd(w->s->mm, addr, &next);

		next = min(next, end);
		if (!pmd) {
			ret = w->empty(w, addr, next);
			continue;
		}
		next = pud_addr_end(addr, end);
		ret = walk_tables(w, pmd, addr, next);
	}
	return ret;
}

static int walk_span(struct cptdev_walk *w, unsigned long addr, unsigned long end)
{
	unsigned long next;
	int ret = 0;

	for (; !ret && addr < end; addr = next) {
		struct vm_area_struct *vma = find_vma(w->s->mm, addr);

		if (!vma || vma->vm_start > addr) {
			next = vma ? min(vma->vm_start, end) : end;
			w->vma = NULL;
			ret = w->empty(w, addr, next);
			continue;
		}
		w->reason = cptdev_vma_refuse(vma);
		if (w->reason) {
			w->bad_addr = addr;
			w->pos = addr;
			return -EOPNOTSUPP;
		}
		next = min(vma->vm_end, end);
		w->vma = vma;
		ret = walk_part(w, addr, next);
	}
	return ret;
}

/*
 * A cut goes by page tables. The layout has been taken before: all that is mapped can be
 * tracked, and many small VMAs in one table don't make it read many times.
 */
static int walk_cut(struct cptdev_walk *w, unsigned long addr, unsigned long end)
{
	w->vma = NULL;
	return walk_part(w, addr, end);
}

/*
 * Visit all ranges between @start and @end, in ascending order, until a visitor returns
 * a value other than 0. The caller holds session->lock and the mmap_lock. If the mmap_lock is
 * held for reading, page tables may be freed during the walk. A visitor that reads a table then
 * takes the page-table lock and checks again that the table is there.
 */
int cptdev_walk_ranges(struct cptdev_walk *w, unsigned long start,
		       unsigned long end)
{
	struct cptdev_session *s = w->s;
	int ret = 0;
	u32 i;

	lockdep_assert_held(&s->mm->mmap_lock);
	w->segment = 0;
	for (i = 0; !ret && i < s->nr_ranges; i++) {
		const struct cptdev_span *span = &s->ranges[i];

		if (span->end <= start || span->start >= end)
			continue;
		w->span = span;
		ret = (w->cut ? walk_cut : walk_span)(w, max(start, span->start),
						      min(end, span->end));
	}
	return ret;
}
