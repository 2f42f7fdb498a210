// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev: merging two snapshots. The changes from a to b and the changes from b to c form the
 * changes from a to c.
 */
#include "snap.h"

/* A place in a snapshot's list of runs. */
struct snap_cursor {
	const struct cptdev_snap *snap;
	u64 run;
	u64 held;		/* page of a DATA run */
	u64 skip;		/* pages of the run that are behind us */
};

/* What is left of a run there. */
struct snap_rest {
	unsigned long addr;
	u64 pages;
	u32 kind;
};

static bool cursor_get(const struct snap_cursor *c, struct snap_rest *r)
{
	const struct cptdev_run *run;

	if (c->run == c->snap->runs.nr)
		return false;
	run = cptdev_vec_at(&c->snap->runs, c->run);
	r->kind = cptdev_run_kind(run);
	r->addr = (run->start & PAGE_MASK) + c->skip * PAGE_SIZE;
	r->pages = (run->end - r->addr) >> PAGE_SHIFT;
	return true;
}

static void cursor_advance(struct snap_cursor *c, const struct snap_rest *r,
			   u64 pages)
{
	if (r->kind == CPTDEV_EXTENT_DATA)
		c->held += pages;
	c->skip += pages;
	if (pages == r->pages) {
		c->run++;
		c->skip = 0;
	}
}

/* How many of the run's pages lie before @addr. */
static u64 run_before(const struct snap_rest *r, unsigned long addr)
{
	if (addr <= r->addr)
		return 0;
	return min_t(u64, r->pages, (addr - r->addr) >> PAGE_SHIFT);
}

/* What the snapshot has of a huge page that begins there, if all of it is wanted, or 0. */
static unsigned long merge_huge_at(const struct snap_cursor *from, u64 i, u64 pages)
{
	unsigned long held;
	u32 nth;

	if (!from->snap->folded || pages - i < CHUNK_PAGES)
		return 0;
	held = *cptdev_snap_held(from->snap, from->held + i, &nth);
	return (held & CPTDEV_HELD_HUGE) && !nth ? held : 0;
}

static int merge_huge(struct cptdev_snap *to, unsigned long addr, unsigned long held)
{
	struct page *page = cptdev_held_page(held);
	int ret = cptdev_snap_reserve_huge(to);

	if (ret)
		return ret;
	get_page(page);
	cptdev_snap_push_huge(to, addr, page, held & CPTDEV_HELD_SPARSE);
	return 0;
}

static int merge_page(struct cptdev_snap *to, unsigned long addr, struct page *page)
{
	int ret = cptdev_snap_reserve(to, 1);

	if (ret)
		return ret;
	get_page(page);
	cptdev_snap_push(to, addr, page, false);
	return 0;
}

static int merge_copy(struct cptdev_snap *to, const struct snap_cursor *from,
		      const struct snap_rest *r, u64 pages)
{
	u64 i, n;
	int ret;

	if (r->kind == CPTDEV_EXTENT_HOLE) {
		ret = cptdev_vec_reserve(&to->runs, 1);
		if (!ret)
			cptdev_snap_push_hole(to, r->addr, pages);
		return ret;
	}
	for (i = 0; i < pages; i += n) {
		unsigned long huge = merge_huge_at(from, i, pages), addr = r->addr + i * PAGE_SIZE;

		n = huge ? CHUNK_PAGES : 1;
		if (huge)
			ret = merge_huge(to, addr, huge);
		else
			ret = merge_page(to, addr, cptdev_snap_page(from->snap, from->held + i));
		if (ret)
			return ret;
		cond_resched();
	}
	return 0;
}

/* How many pages of the older run, from its start, are alike: in the layout, or not. */
static u64 merge_covered(const struct cptdev_layout *l, const struct snap_rest *r,
			 u64 pages, bool *covered)
{
	const struct cptdev_segment *seg = cptdev_layout_find(l, r->addr);
	u32 i;

	*covered = seg;
	if (seg)
		return min_t(u64, pages, (seg->addr + seg->len - r->addr) >> PAGE_SHIFT);
	for (i = 0; i < l->nr; i++)
		if (l->v[i].addr > r->addr)
			return min_t(u64, pages, (l->v[i].addr - r->addr) >> PAGE_SHIFT);
	return pages;
}

static int merge_runs(struct cptdev_snap *to, struct snap_cursor *a,
		      struct snap_cursor *b)
{
	struct snap_rest ra, rb;
	bool has_a = cursor_get(a, &ra), has_b = cursor_get(b, &rb);
	bool covered;
	u64 n;
	int ret = 0;

	while (!ret && (has_a || has_b)) {
		n = has_a ? run_before(&ra, has_b ? rb.addr : ULONG_MAX) : 0;
		if (n) {
			/* only the older has it */
			n = merge_covered(to->layout, &ra, n, &covered);
			if (covered)
				ret = merge_copy(to, a, &ra, n);
			cursor_advance(a, &ra, n);
		} else {
			/* the newer has it, and maybe the older as well */
			unsigned long end;

			n = rb.pages;
			end = rb.addr + n * PAGE_SIZE;
			ret = merge_copy(to, b, &rb, n);
			cursor_advance(b, &rb, n);
			while (has_a && (n = run_before(&ra, end))) {
				cursor_advance(a, &ra, n);
				has_a = cursor_get(a, &ra);
			}
		}
		has_a = cursor_get(a, &ra);
		has_b = cursor_get(b, &rb);
	}
	return ret;
}

/*
 * A snapshot with everything that changed from @old's base to @new's generation, or
 * NULL: no memory, or over a limit.
 */
struct cptdev_snap *cptdev_snap_merge(struct cptdev_snap *old,
				      struct cptdev_snap *new)
{
	struct snap_cursor a = { .snap = old }, b = { .snap = new };
	struct cptdev_snap *snap = cptdev_snap_alloc(new->session);

	if (!snap)
		return NULL;
	snap->base = old->base;
	snap->generation = new->generation;
	snap->state = new->state;
	snap->layout = cptdev_layout_get(new->layout);
	snap->meta = cptdev_blob_get(new->meta);
	if (merge_runs(snap, &a, &b) || cptdev_snap_seal(snap)) {
		cptdev_snap_put(snap);
		return NULL;
	}
	return snap;
}
