// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev: snapshots as lists of frozen pages: references to them, and the limits.
 */
#include <linux/slab.h>

#include "snap.h"

struct cptdev_snap *cptdev_snap_alloc(struct cptdev_session *s)
{
	struct cptdev_snap *snap = cptdev_shrink_alloc();

	if (!snap)
		return NULL;
	kref_init(&snap->ref);
	INIT_LIST_HEAD(&snap->entry);
	cptdev_vec_init(&snap->held, sizeof(unsigned long));
	cptdev_vec_init(&snap->folds, sizeof(struct cptdev_fold));
	cptdev_vec_init(&snap->runs, sizeof(struct cptdev_run));
	snap->last_run = &snap->no_run;
	snap->no_run.end = 1;		/* no page's address */
	snap->group_max = U64_MAX;
	snap->user_max = U64_MAX;
	snap->session = s;
	cptdev_session_get(s);
	return snap;
}

static void snap_uncharge(struct cptdev_snap *snap, u64 pages)
{
	atomic64_sub(pages, &snap->session->held);
	atomic64_sub(pages, &cptdev_held_pages);
	cptdev_user_hold(snap->session->user, -(s64)pages);
	snap->charged -= pages;
}

/* A sum over the limit is right again when the snapshot is freed. */
static int snap_charge(struct cptdev_snap *snap, u64 pages)
{
	struct cptdev_session *s = snap->session;
	u64 max = cptdev_held_max() >> PAGE_SHIFT;
	u64 own = s->held_max ? s->held_max >> PAGE_SHIFT : max;
	u64 own_held, all_held, user_held;

	snap->charged += pages;
	own_held = atomic64_add_return(pages, &s->held);
	all_held = atomic64_add_return(pages, &cptdev_held_pages);
	user_held = cptdev_user_hold(s->user, pages);
	if (snap->charged > snap->group_max)
		snap->limit = CPTDEV_REASON_GROUP;
	else if (user_held > snap->user_max)
		snap->limit = CPTDEV_REASON_USER;
	else if (own_held > own || all_held > max)
		snap->limit = CPTDEV_REASON_HELD;
	else
		return 0;
	return -EDQUOT;
}

/*
 * Before a cut: where a limit is near, what is about to be freed should be free. Not during
 * the cut, which would take longer for it.
 */
void cptdev_snap_settle(struct cptdev_session *s)
{
	u64 max = cptdev_held_max(), own = s->held_max ?: max;
	u64 held = (u64)atomic64_read(&s->held) << PAGE_SHIFT;
	u64 all = (u64)atomic64_read(&cptdev_held_pages) << PAGE_SHIFT;

	lockdep_assert_held(&s->lock);
	if (held + s->bytes > own || all + s->bytes > max)
		cptdev_gone_settle();
}

/* Pages that are reserved beyond what was asked for, if the limits allow. */
#define SNAP_AHEAD	64

/* See cptdev_snap_reserve(). */
int cptdev_snap_reserve_more(struct cptdev_snap *snap, u32 pages)
{
	u64 left = snap->charged - cptdev_snap_pages(snap), want = pages + SNAP_AHEAD;
	int ret;

	ret = cptdev_vec_reserve(&snap->held, want);
	if (!ret)
		ret = cptdev_vec_reserve(&snap->runs, want);
	if (!ret && left < pages) {
		ret = snap_charge(snap, pages - left);
		left = pages;
	}
	if (!ret && left < want && snap_charge(snap, want - left))
		snap_uncharge(snap, want - left);
	return ret;
}

/* Huge pages that are charged beyond what was asked for, if the limits allow. */
#define SNAP_AHEAD_HUGE	3

/* See cptdev_snap_reserve_huge(). */
int cptdev_snap_reserve_more_huge(struct cptdev_snap *snap)
{
	u64 left = snap->charged - cptdev_snap_pages(snap);
	int ret;

	ret = cptdev_vec_reserve(&snap->held, 1);
	if (!ret)
		ret = cptdev_vec_reserve(&snap->folds, 1);
	if (!ret)
		ret = cptdev_vec_reserve(&snap->runs, 1);
	if (ret || left >= CHUNK_PAGES)
		return ret;
	ret = snap_charge(snap, CHUNK_PAGES - left);
	if (!ret && snap_charge(snap, SNAP_AHEAD_HUGE * CHUNK_PAGES))
		snap_uncharge(snap, SNAP_AHEAD_HUGE * CHUNK_PAGES);
	return ret;
}

/* Takes over the caller's reference to the huge page, whose first page is @page. */
void cptdev_snap_push_huge(struct cptdev_snap *snap, unsigned long addr, struct page *page,
			   bool sparse)
{
	struct cptdev_fold *fold = snap->last_fold;
	unsigned long *held;

	if (!fold || fold->held + fold->nr != snap->held.nr) {
		fold = cptdev_vec_push(&snap->folds);
		*fold = (struct cptdev_fold) {
			.index = cptdev_snap_pages(snap), .held = snap->held.nr,
		};
		snap->last_fold = fold;
	}
	fold->nr++;
	held = cptdev_vec_push(&snap->held);
	*held = (unsigned long)page | CPTDEV_HELD_HUGE | (sparse ? CPTDEV_HELD_SPARSE : 0);
	snap->folded += CHUNK_PAGES - 1;
	snap->sparse |= sparse;
	cptdev_snap_extend(snap, addr, CHUNK_PAGES);
}

void cptdev_snap_push_hole(struct cptdev_snap *snap, unsigned long addr, u64 pages)
{
	snap->holes += pages;
	cptdev_snap_push_run(snap, addr, pages, CPTDEV_EXTENT_HOLE);
}

int cptdev_snap_seal(struct cptdev_snap *snap)
{
	int ret;

	/* What was reserved and not needed. */
	snap_uncharge(snap, snap->charged - cptdev_snap_pages(snap));
	ret = cptdev_vec_seal(&snap->held);
	if (!ret)
		ret = cptdev_vec_seal(&snap->folds);
	return ret ?: cptdev_vec_seal(&snap->runs);
}

/* The last fold that begins at page @index or before, or NULL. */
static const struct cptdev_fold *fold_before(const struct cptdev_snap *snap, u64 index)
{
	u64 lo = 0, hi = snap->folds.nr;

	while (lo < hi) {
		u64 mid = lo + (hi - lo) / 2;
		const struct cptdev_fold *fold = cptdev_vec_at(&snap->folds, mid);

		if (fold->index <= index)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo ? cptdev_vec_at(&snap->folds, lo - 1) : NULL;
}

/* What the snapshot has of its page @index. Of a huge page, that is the @nth. */
unsigned long *cptdev_snap_held(const struct cptdev_snap *snap, u64 index, u32 *nth)
{
	const struct cptdev_fold *fold = likely(!snap->folded) ? NULL : fold_before(snap, index);

	*nth = 0;
	if (!fold)
		return cptdev_vec_at(&snap->held, index);
	index -= fold->index;
	if (index >= fold->nr * CHUNK_PAGES)
		return cptdev_vec_at(&snap->held, fold->held + fold->nr + index -
				     fold->nr * CHUNK_PAGES);
	*nth = index % CHUNK_PAGES;
	return cptdev_vec_at(&snap->held, fold->held + index / CHUNK_PAGES);
}

struct page *cptdev_snap_page(const struct cptdev_snap *snap, u64 index)
{
	u32 nth;
	unsigned long *held = cptdev_snap_held(snap, index, &nth);

	return cptdev_held_page(*held) + nth;
}

/*
 * Works on a snapshot that was given up half-way, too: not sealed, pages to copy. What was
 * given back is 0.
 */
static void snap_drop_pages(struct cptdev_snap *snap)
{
	u64 left = snap->held.nr;
	struct page *block;

	list_for_each_entry(block, &snap->held.blocks, lru) {
		unsigned long *held = page_address(block);
		u64 i, n = min_t(u64, left, snap->held.per_block);

		for (i = 0; i < n; i++)
			if (held[i])
				put_page(cptdev_held_page(held[i]));
		left -= n;
		cond_resched();
	}
}

static void snap_free(struct cptdev_snap *snap)
{
	u64 pages = cptdev_snap_pages(snap);

	snap_drop_pages(snap);
	snap_uncharge(snap, snap->charged);
	cptdev_vec_free(&snap->held);
	cptdev_vec_free(&snap->folds);
	cptdev_vec_free(&snap->runs);
	cptdev_layout_put(snap->layout);
	cptdev_blob_put(snap->meta);
	cptdev_session_put(snap->session);
	cptdev_shrink_free(snap);
	cptdev_gone_done("snapshot", pages);
}

static void snap_free_work(struct work_struct *work)
{
	struct cptdev_snap *snap = container_of(work, struct cptdev_snap, free_work);

	cptdev_huge_split_sparse(snap);
	cptdev_give_back(snap);
	snap_free(snap);
}

/* In reclaim nothing is given back or split: that takes locks of pages and of memory. */
static void snap_free_now_work(struct work_struct *work)
{
	snap_free(container_of(work, struct cptdev_snap, free_work));
}

/*
 * What was published, and a round, is given up by a thread that may keep up a heartbeat. Any other
 * snapshot is closed by the program itself: as long as its pages waited for a worker, the program's
 * next writes would copy them.
 */
static void snap_release(struct kref *ref)
{
	struct cptdev_snap *snap = container_of(ref, struct cptdev_snap, ref);

	INIT_WORK(&snap->free_work, snap_free_work);
	if (snap->round || snap->state & CPTDEV_IMAGE_PUBLISHED)
		cptdev_gone_run(&snap->free_work, cptdev_snap_pages(snap));
	else
		cptdev_gone_now(&snap->free_work, cptdev_snap_pages(snap));
}

static void snap_release_now(struct kref *ref)
{
	struct cptdev_snap *snap = container_of(ref, struct cptdev_snap, ref);

	INIT_WORK(&snap->free_work, snap_free_now_work);
	cptdev_gone_now(&snap->free_work, cptdev_snap_pages(snap));
}

/* As cptdev_snap_put(), but what it held is free when this returns. */
void cptdev_snap_put_now(struct cptdev_snap *snap)
{
	kref_put(&snap->ref, snap_release_now);
}

void cptdev_snap_put(struct cptdev_snap *snap)
{
	if (snap)
		kref_put(&snap->ref, snap_release);
}
