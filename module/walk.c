// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev: the one visit of the page tables. Ranges are cut into pieces that lie in one
 * VMA and one page table; the visitor decides what to do with each that isn't quiet.
 */
#include <linux/sched/signal.h>

#include "cptdev.h"

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

static int visit(struct cptdev_walk *w, struct cptdev_table *t)
{
	if (unlikely(t->empty))
		return w->empty(w, t->base + t->first * PAGE_SIZE,
				t->base + (t->last + 1) * PAGE_SIZE);
	return w->table(w, t);
}

/* Tables below one entry of the level above the PMDs. */
static int walk_tables(struct cptdev_walk *w, struct cptdev_table *from,
		       unsigned long end)
{
	unsigned long next = from->base + from->first * PAGE_SIZE;
	unsigned int i, nr;
	int ret = 0;

	while (!ret && next < end) {
		from->base = next & CHUNK_MASK;
		from->first = (next - from->base) >> PAGE_SHIFT;
		nr = cptdev_sweep(w, from, end, &next);
		for (i = 0; !ret && i < nr; i++) {
			struct cptdev_table *t = &w->s->tables[i];

			w->quiet += t->quiet;
			ret = visit(w, t);
		}
		if (!ret)
			w->quiet += from->quiet;
		from->pmd += CPTDEV_SWEEP;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return ret;
}

static int walk_vma(struct cptdev_walk *w, unsigned long addr, unsigned long end)
{
	struct cptdev_table from = { 0 };
	unsigned long next;
	int ret = 0;

	for (; !ret && addr < end; addr = next) {
		from.pmd = cptdev_walk_pmd(w->s->mm, addr, &next);
		next = min(next, end);
		if (!from.pmd) {
			ret = w->empty(w, addr, next);
			continue;
		}
		next = pud_addr_end(addr, end);
		from.base = addr & CHUNK_MASK;
		from.first = (addr - from.base) >> PAGE_SHIFT;
		ret = walk_tables(w, &from, next);
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
			return -EOPNOTSUPP;
		}
		next = min(vma->vm_end, end);
		w->vma = vma;
		ret = walk_vma(w, addr, next);
	}
	return ret;
}

/*
 * Visit all ranges between @start and @end, in ascending order, until a visitor returns
 * something else than 0. The caller holds session->lock and the mmap_lock. Page tables
 * may only be freed under us when that is held for reading; who reads them then takes
 * the page-table lock and looks again.
 */
int cptdev_walk_ranges(struct cptdev_walk *w, unsigned long start,
		       unsigned long end)
{
	struct cptdev_session *s = w->s;
	int ret = 0;
	u32 i;

	lockdep_assert_held(&s->mm->mmap_lock);
	for (i = 0; !ret && i < s->nr_ranges; i++) {
		const struct cptdev_span *span = &s->ranges[i];

		if (span->end <= start || span->start >= end)
			continue;
		w->span = span;
		ret = walk_span(w, max(start, span->start), min(end, span->end));
	}
	return ret;
}
