// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev: SCAN. Reports the pages that changed since their marks were last cleared, from the dirty
 * and accessed bits of the page tables. It write-protects nothing, so the scanned process takes no
 * page faults. Runs with the mmap_lock held for reading.
 */
#include <linux/bitops.h>
#include <linux/page-flags.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "track.h"
#include "../trace.h"
#include "../mutants.h"

#define SCAN_CONTENT	(CPTDEV_PAGE_CLEAN | CPTDEV_PAGE_HOLE | \
			 CPTDEV_PAGE_SWAPPED | CPTDEV_PAGE_FILE)
/* Regions collected before they are copied out. */
#define SCAN_BATCH	512U

struct scan {
	struct cptdev_walk walk;
	struct cptdev_scan *arg;
	struct cptdev_region *region;	/* NULL: only clear and count */
	u32 nr;
	u32 max;
	unsigned long stop;		/* where there was no room (the walk ends) or 0 */
	u64 without;			/* category of pages without content of their own */
	bool flush;
	bool simple;			/* only dirty pages, to be made clean */
};

static bool scan_matches(const struct scan *scan, u64 categories)
{
	return !scan->arg->anyof || (categories & scan->arg->anyof);
}

/*
 * Which marks of a page that has these categories are cleared. One that it hasn't isn't,
 * since that may be set at any moment: this answer doesn't have it.
 */
static u64 scan_clears(const struct scan *scan, u64 categories)
{
	u64 clear = 0;

	if (!scan_matches(scan, categories))
		return 0;
	if (scan->arg->flags & CPTDEV_SCAN_CLEAR_DIRTY)
		clear |= CPTDEV_PAGE_DIRTY;
	if (scan->arg->flags & CPTDEV_SCAN_CLEAR_ACCESSED)
		clear |= CPTDEV_PAGE_ACCESSED;
	return categories & clear;
}

/* Report [start, end); false: no room. What doesn't match isn't reported. */
static bool scan_report(struct scan *scan, unsigned long start, unsigned long end,
			u64 categories)
{
	struct cptdev_region *last = scan->nr ? &scan->region[scan->nr - 1] : NULL;
	u64 pages = (end - start) >> PAGE_SHIFT;
	u64 report = scan->arg->report ? categories & scan->arg->report : categories;

	if (scan->region && scan_matches(scan, categories)) {
		if (!last || last->end != start || last->categories != report) {
			if (scan->nr == scan->max) {
				scan->stop = start;
				return false;
			}
			last = &scan->region[scan->nr++];
			last->start = start;
			last->categories = report;
		}
		last->end = end;
	}
	scan->arg->pages += pages;
	if (categories & CPTDEV_PAGE_DIRTY)
		scan->arg->dirty += pages;
	return true;
}

/* Where nothing was written there are zeros, or what the file has, mapped now or not. */
static u64 vma_without(struct vm_area_struct *vma)
{
	return vma && !vma_is_anonymous(vma) ? CPTDEV_PAGE_FILE : CPTDEV_PAGE_HOLE;
}

/* What a PTE says, but for the dirty mark, which has other sources too. */
static u64 pte_categories(const struct scan *scan, pte_t pte)
{
	if (pte_none(pte) || (!pte_present(pte) && cptdev_pte_marker(pte)))
		return scan->without;
	if (!pte_present(pte))
		return CPTDEV_PAGE_SWAPPED;
	if (pte_special(pte))
		return CPTDEV_PAGE_HOLE;
	if (!PageAnon(pte_page(pte)))
		return CPTDEV_PAGE_FILE | (pte_young(pte) ? CPTDEV_PAGE_ACCESSED : 0);
	return (pte_young(pte) ? CPTDEV_PAGE_ACCESSED : 0) |
		(pte_dirty(pte) ? CPTDEV_PAGE_DIRTY : 0);
}

/*
 * Add the rest of the dirty mark. A hole is dirty when there was content at the last
 * clearing; content is dirty when there was a hole, or something happened to the page.
 */
static u64 mark_categories(const struct cptdev_chunk *c, unsigned int i, u64 found)
{
	u64 bit = 1ULL << (i % 64);
	bool was_hole = c->scan.hole[i / 64] & bit;
	bool event = atomic64_read(&c->scan.event[i / 64]) & bit;

	if (found & (CPTDEV_PAGE_HOLE | CPTDEV_PAGE_FILE))
		return found | (was_hole ? 0 : CPTDEV_PAGE_DIRTY);
	if (was_hole || event)
		found |= CPTDEV_PAGE_DIRTY;
	if (!(found & (CPTDEV_PAGE_DIRTY | CPTDEV_PAGE_SWAPPED)))
		found |= CPTDEV_PAGE_CLEAN;
	return found;
}

/* Reclaim may drop a page that isn't dirty: the page takes over what the PTE forgets. */
static void page_keeps_dirty(struct page *page)
{
	if (!PageDirty(page))
		SetPageDirty(page);
}

static void clear_pte(struct scan *scan, pte_t *ptep, u64 clear)
{
	pte_t old, new;

	do {
		old = ptep_get(ptep);
		if (!pte_present(old))
			return;
		new = old;
		if (clear & CPTDEV_PAGE_DIRTY)
			new = pte_mkclean(new);
		if (clear & CPTDEV_PAGE_ACCESSED)
			new = pte_mkold(new);
		if (pte_same(old, new))
			return;
		if (pte_dirty(old) && !pte_dirty(new))
			page_keeps_dirty(pte_page(old));
	} while (!cptdev_pte_replace(ptep, old, new));
	scan->flush = true;
}

/*
 * The event bit goes first and the PTE second, both under the page-table lock: a page
 * that is taken away later leaves a new event.
 */
static void clear_mark(struct scan *scan, struct cptdev_chunk *c, unsigned int i,
		       u64 categories)
{
	u64 bit = 1ULL << (i % 64);

	cptdev_event_take(scan->walk.s, &c->scan, i / 64, bit);
	if (categories & (CPTDEV_PAGE_HOLE | CPTDEV_PAGE_FILE))
		c->scan.hole[i / 64] |= bit;
	else
		c->scan.hole[i / 64] &= ~bit;
}

/* False: no room. */
static bool scan_pte(struct scan *scan, struct cptdev_chunk *c, pte_t *ptep,
		     unsigned long addr, unsigned int i)
{
	u64 categories = mark_categories(c, i, pte_categories(scan, ptep_get(ptep)));
	u64 clear = scan_clears(scan, categories);

	if (!scan_report(scan, addr, addr + PAGE_SIZE, categories))
		return false;
	if (clear & CPTDEV_PAGE_DIRTY)
		clear_mark(scan, c, i, categories);
	if (clear && !(categories & (CPTDEV_PAGE_HOLE | CPTDEV_PAGE_SWAPPED)))
		clear_pte(scan, ptep, clear);
	return true;
}

/* Make up to @nr pages clean that are in memory and dirty. Returns how many were. */
static unsigned int clean_ptes(struct scan *scan, pte_t *ptep, unsigned int nr)
{
	unsigned int n;

	for (n = 0; n < nr; n++, ptep++) {
		pte_t old = ptep_get(ptep);
		struct page *page;

		if (!cptdev_pte_plain(pte_val(old)) || !pte_dirty(old))
			break;
		page = cptdev_plain_page(pte_val(old));
		if (PageTail(page) || !cptdev_page_anon(page))
			break;
		page_keeps_dirty(page);
		while (!cptdev_pte_replace(ptep, old, pte_mkclean(old)))
			old = ptep_get(ptep);
	}
	return n;
}

/*
 * Pages in a row that were found dirty, when that is all the caller asks for: the same as
 * scan_pte() for each. Returns how many it was right for.
 */
static unsigned int scan_run(struct scan *scan, pte_t *ptep, unsigned long addr,
			     unsigned int nr)
{
	unsigned int n;

	if (scan->region && scan->nr == scan->max)
		return 0;
	n = clean_ptes(scan, ptep, nr);
	if (n) {
		scan->flush = true;
		scan_report(scan, addr, addr + n * PAGE_SIZE, CPTDEV_PAGE_DIRTY);
	}
	return n;
}

static void scan_ptes(struct scan *scan, struct cptdev_table *t, pte_t *ptep)
{
	bool runs = scan->simple && t->swept && !t->marks;
	unsigned int word, i, n;
	unsigned long addr;

	for (word = t->first / 64; word <= t->last / 64; word++) {
		u64 mask = cptdev_table_mask(t, word);
		u64 bits = t->swept ? t->found[word] & mask : mask;
		u64 clean = mask & ~bits;

		while (bits) {
			unsigned int bit = __ffs64(bits);

			i = word * 64 + bit;
			addr = t->base + i * PAGE_SIZE;
			n = runs ? scan_run(scan, ptep + i, addr,
					    cptdev_ones(bits, bit)) : 0;
			if (!n && !scan_pte(scan, t->chunk, ptep + i, addr, i)) {
				clean &= (1ULL << bit) - 1;
				scan->arg->pages += hweight64(clean);
				return;
			}
			n = max(n, 1U);
			bits &= ~GENMASK_ULL(bit + n - 1, bit);
		}
		scan->arg->pages += hweight64(clean);
	}
}

/* Pages of a huge page whose mark is cleared. */
struct scan_cleared {
	u64 dirty[CHUNK_WORDS];
	unsigned int accessed;		/* how many */
};

/*
 * Stretches of pages that have the same base categories and no PTEs of their own: a
 * huge page, or nothing. The marks may still differ from page to page. @cleared may be
 * NULL.
 */
static void scan_alike(struct scan *scan, struct cptdev_chunk *c, unsigned long base,
		       unsigned int first, unsigned int last, u64 found,
		       struct scan_cleared *cleared)
{
	unsigned int i;

	for (i = first; i <= last; i++) {
		unsigned long addr = base + i * PAGE_SIZE;
		u64 categories = mark_categories(c, i, found);
		u64 clear = scan_clears(scan, categories);

		if (!scan_report(scan, addr, addr + PAGE_SIZE, categories))
			break;
		if (clear & CPTDEV_PAGE_DIRTY)
			clear_mark(scan, c, i, categories);
		if (!cleared)
			continue;
		if (clear & CPTDEV_PAGE_DIRTY)
			cleared->dirty[i / 64] |= 1ULL << (i % 64);
		if (clear & CPTDEV_PAGE_ACCESSED)
			cleared->accessed++;
	}
}

static u64 pmd_categories(const struct scan *scan, pmd_t pmd)
{
	if (!pmd_present(pmd))
		return CPTDEV_PAGE_SWAPPED;	/* on its way elsewhere */
	if (!PageAnon(pmd_page(pmd)))
		return scan->without;		/* the huge zero page, or a file's */
	return (pmd_young(pmd) ? CPTDEV_PAGE_ACCESSED : 0) |
		(pmd_dirty(pmd) ? CPTDEV_PAGE_DIRTY : 0);
}

/* Is the dirty mark of any page cleared? The others, and other sessions, keep theirs. */
static bool huge_keep_others(struct scan *scan, struct cptdev_chunk *c,
			     unsigned long base, const struct scan_cleared *cleared)
{
	bool any = false;
	unsigned int i;

	for (i = 0; i < CHUNK_WORDS; i++)
		any |= cleared->dirty[i];
	if (!any)
		return false;
	for (i = 0; i < CHUNK_WORDS; i++)
		cptdev_mark_set(&c->scan, i, ~cleared->dirty[i]);
	cptdev_events_others(scan->walk.s, base, base + CHUNK_SIZE);
	return true;
}

/*
 * A huge page has one dirty bit for all its pages, and maybe for several sessions. When it
 * is cleared, pages that weren't reported keep their mark as an event. There is nothing like
 * that for the accessed bit: it goes when all of the pages were reported.
 */
static void clear_huge(struct scan *scan, struct cptdev_chunk *c, pmd_t *pmd,
		       unsigned long base, const struct scan_cleared *cleared)
{
	bool clean = pmd_dirty(READ_ONCE(*pmd)) &&
		huge_keep_others(scan, c, base, cleared);
	bool idle = cleared->accessed == CHUNK_PAGES;
	pmd_t old, new;

	do {
		old = READ_ONCE(*pmd);
		new = old;
		if (clean)
			new = pmd_mkclean(new);
		if (idle)
			new = pmd_mkold(new);
		if (pmd_same(old, new))
			return;
		if (pmd_dirty(old) && !pmd_dirty(new))
			page_keeps_dirty(pmd_page(old));
	} while (!cptdev_pmd_replace(pmd, old, new));
	scan->flush = true;
}

static void scan_huge(struct scan *scan, struct cptdev_chunk *c, pmd_t *pmd,
		      unsigned long base, unsigned int first, unsigned int last)
{
	pmd_t val = READ_ONCE(*pmd);
	u64 found = pmd_categories(scan, val);
	struct scan_cleared cleared = { 0 };

	scan_alike(scan, c, base, first, last, found, &cleared);
	if (found & (CPTDEV_PAGE_DIRTY | CPTDEV_PAGE_ACCESSED))
		clear_huge(scan, c, pmd, base, &cleared);
}

static int scan_table(struct cptdev_walk *walk, struct cptdev_table *t)
{
	struct scan *scan = container_of(walk, struct scan, walk);
	struct mm_struct *mm = walk->s->mm;
	spinlock_t *ptl;		/* of the PMD, or of the table below it */
	pmd_t val;

	if (unlikely(!t->chunk))
		t->chunk = cptdev_chunk_get(walk->s, t->base, walk->span->added);
	if (IS_ERR(t->chunk))
		return PTR_ERR(t->chunk);
	scan->without = vma_without(walk->vma);
again:
	val = READ_ONCE(*t->pmd);
	if (pmd_none(val)) {
		scan_alike(scan, t->chunk, t->base, t->first, t->last, scan->without,
			   NULL);
		return !!scan->stop;
	}
	if (!pmd_present(val) || pmd_leaf(val)) {
		ptl = pmd_lock(mm, t->pmd);
		if (cptdev_pmd_still(t->pmd, val)) {
			scan_huge(scan, t->chunk, t->pmd, t->base, t->first, t->last);
			spin_unlock(ptl);
			return !!scan->stop;
		}
		spin_unlock(ptl);
		goto again;
	}
	/* The table may be taken away until its lock is held, and freed after RCU. */
	rcu_read_lock();
	val = READ_ONCE(*t->pmd);
	if (!pmd_present(val) || pmd_leaf(val)) {
		rcu_read_unlock();
		goto again;
	}
	ptl = pte_lockptr(mm, &val);
	spin_lock(ptl);
	if (!cptdev_pmd_still(t->pmd, val)) {
		spin_unlock(ptl);
		rcu_read_unlock();
		goto again;
	}
	if (walk->bits && !t->swept)
		cptdev_table_look(walk, t);
	scan_ptes(scan, t, pte_offset_kernel(&val, t->base));
	spin_unlock(ptl);
	rcu_read_unlock();
	return !!scan->stop;
}

static int scan_empty(struct cptdev_walk *walk, unsigned long start, unsigned long end)
{
	struct scan *scan = container_of(walk, struct scan, walk);
	unsigned long index, pos = start;
	u64 without = vma_without(walk->vma);
	struct cptdev_chunk *c;

	cptdev_for_each_chunk(walk->s, index, c, start, end) {
		unsigned long base = index << CHUNK_SHIFT;
		unsigned long to = min(end, base + CHUNK_SIZE);

		if (pos < base &&
		    !scan_report(scan, pos, base, without))
			return 1;
		pos = max(pos, base);
		scan_alike(scan, c, base, (pos - base) >> PAGE_SHIFT,
			   ((to - base) >> PAGE_SHIFT) - 1, without, NULL);
		if (scan->stop)
			return 1;
		pos = to;
	}
	if (pos < end)
		scan_report(scan, pos, end, without);
	return !!scan->stop;
}

/* What was cleared and doesn't reach the caller is dirty again. */
static void scan_undo(struct cptdev_session *s, const struct cptdev_scan *arg, u64 start,
		      u64 end)
{
	if (!(arg->flags & CPTDEV_SCAN_CLEAR_DIRTY) || start >= end)
		return;
	mutex_lock(&s->lock);
	cptdev_events_set(s, start, end, false, true);
	mutex_unlock(&s->lock);
}

/* From @start on; @next is as far as it came, with an error as well. */
static int scan_batch(struct scan *scan, u64 start, u64 end, u64 *next)
{
	struct cptdev_session *s = scan->walk.s;
	int ret;

	scan->nr = 0;
	scan->stop = 0;
	scan->flush = false;
	scan->walk.pos = start;
	*next = start;
	ret = cptdev_flush_lock(s, false);
	if (ret)
		return ret;
	scan->walk.quiet = 0;
	ret = cptdev_walk_ranges(&scan->walk, start, end);
	scan->arg->pages += scan->walk.quiet;
	/* A store after this sets the dirty bit anew. */
	if (scan->flush)
		cptdev_flush(s);
	cptdev_flush_unlock(s, false);
	*next = ret < 0 ? scan->walk.pos : scan->stop ?: end;
	return min(ret, 0);
}

/*
 * Regions are copied out between batches, without the lock: the caller's memory may be
 * slow (userfaultfd), and others wait for the lock. Whether they can be is tried before
 * something is cleared. An error after the first regions is not this call's: it ends there,
 * and the next one, which begins there, has it.
 */
static int scan_all(struct scan *scan)
{
	struct cptdev_region __user *vec = u64_to_user_ptr(scan->arg->vec);
	struct cptdev_session *s = scan->walk.s;
	struct cptdev_scan *arg = scan->arg;
	u64 pos = arg->start, next = pos;
	int ret;

	do {
		scan->max = min(arg->vec_len - arg->nr, SCAN_BATCH);
		ret = fault_in_writeable((char __user *)(vec + arg->nr),
					 scan->max * sizeof(*vec)) ? -EFAULT : 0;
		if (ret)
			break;
		mutex_lock(&s->lock);
		ret = scan_batch(scan, pos, arg->end, &next);
		mutex_unlock(&s->lock);
		if (copy_to_user(vec + arg->nr, scan->region, scan->nr * sizeof(*vec))) {
			scan_undo(s, arg, pos, next);
			ret = -EFAULT;
			break;
		}
		arg->nr += scan->nr;
		pos = next;
	} while (!ret && scan->stop && arg->nr < arg->vec_len);
	arg->walk_end = pos;
	/* To pass what lies between ranges isn't to have looked at anything. */
	return pos > arg->start && arg->pages ? 0 : ret;
}

/* The regions are with the caller, the rest of the answer isn't. */
static void scan_undo_all(struct cptdev_call *call, void *uarg)
{
	struct cptdev_scan *arg = uarg;

	scan_undo(call->filp->private_data, arg, arg->start, arg->walk_end);
}

static int scan_valid(const struct cptdev_scan *arg)
{
	if (arg->flags & ~CPTDEV_SCAN_FLAGS)
		return -EOPNOTSUPP;
	if ((arg->anyof | arg->report) & ~CPTDEV_SCAN_CATEGORIES)
		return -EOPNOTSUPP;
	if (!PAGE_ALIGNED(arg->start) || !PAGE_ALIGNED(arg->end))
		return -EINVAL;
	if (arg->end && arg->end < arg->start)
		return -EINVAL;
	if (arg->end > TASK_SIZE || arg->start > TASK_SIZE)
		return -EINVAL;
	return 0;
}

int cptdev_scan(struct cptdev_call *call, void *uarg)
{
	struct cptdev_session *s = call->filp->private_data;
	struct cptdev_scan *arg = uarg;
	struct scan scan = {
		.walk = { .s = s, .table = scan_table, .empty = scan_empty },
		.arg = arg,
	};
	int ret;

	ret = scan_valid(arg);
	if (!ret)
		ret = cptdev_session_enter(s);
	if (ret)
		return ret;
	arg->nr = 0;
	arg->dirty = 0;
	arg->pages = 0;
	if (arg->vec_len) {
		scan.region = kvmalloc_array(min(arg->vec_len, SCAN_BATCH),
					     sizeof(*scan.region), GFP_KERNEL_ACCOUNT);
		if (!scan.region)
			return -ENOMEM;
	}

	/* Any other request has to visit every page. */
	if (arg->anyof == CPTDEV_PAGE_DIRTY)
		scan.walk.bits = CPTDEV_PTE_DIRTY;
	scan.simple = arg->anyof == CPTDEV_PAGE_DIRTY && arg->report == CPTDEV_PAGE_DIRTY &&
		arg->flags == CPTDEV_SCAN_CLEAR_DIRTY;

	mutex_lock(&s->lock);
	if (!arg->end)
		arg->end = s->nr_ranges ? s->ranges[s->nr_ranges - 1].end : arg->start;
	s->nr_scans++;
	mutex_unlock(&s->lock);
	call->undo = scan_undo_all;
	if (arg->start < arg->end)
		ret = scan_all(&scan);
	else
		arg->walk_end = arg->end;
	trace_cptdev_scan(s, arg, ret);
	kvfree(scan.region);
	return ret;
}
