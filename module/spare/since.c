// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev: what changed in a replica since a commit. Each page of the content has the number of the
 * commit that brought it, in page->private. A group of 64 pages has a record, the number of the
 * last commit that changed any of them or made a hole of it. So a list of changes costs a look at
 * each record, and at the pages of the groups that changed, however large the replica is.
 *
 * Holes have no number of their own: in a group that changed, all pages without data are told. To
 * make a hole of a hole changes nothing.
 *
 * Each group with content has a record, which staging allocates: to write it at a commit can't
 * fail. The record stays when its last page is gone. When there are too many of these they are
 * dropped, and a reader whose last look was before that has to take everything (r->since_min).
 */
#include <linux/sched/signal.h>
#include <linux/xarray.h>

#include "../cptdev.h"
#include "entry.h"

#define GROUP_SHIFT	6
/* So many records are kept in any case. */
#define RECORDS_MIN	1024
/* Records so old go first: a reader that follows has seen them. */
#define COMMITS_KEPT	256
/* Records and groups that are looked at under the content's lock at a time. */
#define LOOKS		2048U

void cptdev_since_init(struct cptdev_replica *r)
{
	xa_init_flags(&r->records, XA_FLAGS_ACCOUNT);
	r->records_max = RECORDS_MIN;
}

void cptdev_since_exit(struct cptdev_replica *r)
{
	xa_destroy(&r->records);
}

static int record_make(struct cptdev_replica *r, unsigned long group)
{
	int ret;

	if (xa_load(&r->records, group))
		return 0;
	ret = xa_err(xa_store(&r->records, group, xa_mk_value(0), GFP_KERNEL_ACCOUNT));
	if (!ret)
		r->nr_records++;
	return ret;
}

/* The pages from @index to @end are being staged: there are records when they are committed. */
int cptdev_since_stage(struct cptdev_replica *r, unsigned long index, unsigned long end)
{
	unsigned long group = index >> GROUP_SHIFT, last = (end - 1) >> GROUP_SHIFT;
	int ret = 0;

	lockdep_assert_held(&r->stage_lock);
	for (; !ret && group <= last; group++)
		ret = record_make(r, group);
	return ret;
}

/* The commit under way, r->commits + 1, changes the page @index. Under replica->sem, written. */
void cptdev_since_mark(struct cptdev_replica *r, unsigned long index)
{
	unsigned long group = index >> GROUP_SHIFT;

	if (group == r->marked)
		return;
	r->marked = group;
	/* There is a record: this allocates nothing. */
	WARN_ON_ONCE(xa_is_err(xa_store(&r->records, group, xa_mk_value(r->commits + 1), 0)));
}

static bool group_has_pages(struct cptdev_replica *r, unsigned long group)
{
	unsigned long index = group << GROUP_SHIFT;

	return xa_find(r->pages, &index, index | ((1UL << GROUP_SHIFT) - 1), XA_PRESENT);
}

/* Drop records of groups without content that aren't newer than @newest. */
static void records_drop(struct cptdev_replica *r, u64 newest)
{
	unsigned long group;
	void *entry;
	u64 min = 0;

	xa_for_each(&r->records, group, entry) {
		if (xa_to_value(entry) <= newest && !group_has_pages(r, group))
			min = max_t(u64, min, xa_to_value(entry));
		cond_resched();
	}
	/* From here on no reader relies on them. */
	down_write(&r->sem);
	r->since_min = max(r->since_min, min);
	up_write(&r->sem);
	xa_for_each(&r->records, group, entry) {
		if (xa_to_value(entry) <= newest && !group_has_pages(r, group)) {
			xa_erase(&r->records, group);
			r->nr_records--;
		}
		cond_resched();
	}
}

/* Before anything is staged: nothing changes meanwhile, neither content nor records. */
void cptdev_since_trim(struct cptdev_replica *r)
{
	lockdep_assert_held(&r->stage_lock);
	if (r->nr_records <= r->records_max)
		return;
	if (r->commits > COMMITS_KEPT)
		records_drop(r, r->commits - COMMITS_KEPT);
	if (r->nr_records > r->records_max)
		records_drop(r, r->commits);
	r->records_max = max_t(u64, 2 * r->nr_records, RECORDS_MIN);
}

/*
 * The first page from @index on that is in a group which changed after @since; ULONG_MAX: there is
 * none. Looks at no more than *@looks records: *@looks is 0 then, and the page is where to go on.
 */
static unsigned long next_group(struct cptdev_replica *r, u64 since, unsigned long index,
				unsigned int *looks)
{
	XA_STATE(xas, &r->records, index >> GROUP_SHIFT);
	unsigned long found = ULONG_MAX;
	void *entry;

	rcu_read_lock();
	xas_for_each(&xas, entry, ULONG_MAX) {
		if (xas_retry(&xas, entry))
			continue;
		if (xa_to_value(entry) <= since && --*looks)
			continue;
		found = max(index, xas.xa_index << GROUP_SHIFT);
		break;
	}
	rcu_read_unlock();
	return found;
}

/* What is to be told of a page that is @entry in the content: CPTDEV_EXTENT_*, or 0: nothing. */
static u32 page_kind(void *entry, u64 since)
{
	/* A place that a stage reserved is still empty. */
	if (!entry || xa_is_zero(entry))
		return CPTDEV_EXTENT_HOLE;
	return cptdev_entry_number(entry) > since ? CPTDEV_EXTENT_DATA : 0;
}

/* The next run of pages of one kind from @index on, in the group of @index; e->len 0: none. */
static void run_in_group(struct cptdev_replica *r, u64 since, unsigned long index,
			 struct cptdev_extent *e)
{
	unsigned long end = (index | ((1UL << GROUP_SHIFT) - 1)) + 1;
	XA_STATE(xas, r->pages, index);
	void *entry;
	u32 kind;

	*e = (struct cptdev_extent) { .addr = (u64)end << PAGE_SHIFT };
	rcu_read_lock();
	for (entry = xas_load(&xas); xas.xa_index < end; entry = xas_next(&xas)) {
		/*
		 * A stage that ends gives the places back that it reserved, and nodes with them.
		 * The places themselves aren't passed over: see page_kind().
		 */
		if (!xa_is_zero(entry) && xas_retry(&xas, entry))
			continue;
		kind = page_kind(entry, since);
		if (e->len && kind != e->kind)
			break;
		if (!kind)
			continue;
		if (!e->len)
			e->addr = (u64)xas.xa_index << PAGE_SHIFT;
		e->kind = kind;
		e->len += PAGE_SIZE;
	}
	rcu_read_unlock();
}

/* Put @e behind the *@n extents in @batch, or on the last one's end. False: there is no room. */
static bool batch_add(struct cptdev_extent *batch, u32 max, u32 *n,
		      const struct cptdev_extent *e)
{
	struct cptdev_extent *last = *n ? &batch[*n - 1] : NULL;

	if (last && last->kind == e->kind && last->addr + last->len == e->addr) {
		last->len += e->len;
		return true;
	}
	if (*n == max)
		return false;
	batch[(*n)++] = *e;
	return true;
}

/*
 * Call @fn for each page with data that a commit after @number brought, as long as it returns 0.
 * Under replica->stage_lock: nothing changes.
 */
int cptdev_since_each(struct cptdev_replica *r, u64 number,
		      int (*fn)(struct cptdev_replica *r, unsigned long index, void *arg),
		      void *arg)
{
	unsigned long group, index, first;
	void *record, *page;
	int ret;

	lockdep_assert_held(&r->stage_lock);
	xa_for_each(&r->records, group, record) {
		if (xa_to_value(record) <= number)
			continue;
		first = group << GROUP_SHIFT;
		xa_for_each_range(r->pages, index, page, first,
				  first | ((1UL << GROUP_SHIFT) - 1)) {
			ret = cptdev_entry_number(page) > number ? fn(r, index, arg) : 0;
			if (ret)
				return ret;
		}
		cond_resched();
	}
	return 0;
}

/*
 * Up to @max extents from *@next on, and *@next behind them. Returns their number; *@more: there
 * may be others. Or -ESTALE, -EINVAL. Under replica->sem.
 */
int cptdev_since_extents(struct cptdev_replica *r, u64 since, u64 *next,
			 struct cptdev_extent *batch, u32 max, bool *more)
{
	unsigned long index = *next >> PAGE_SHIFT, at;
	unsigned int looks = LOOKS;
	struct cptdev_extent e;
	u32 n = 0;

	*more = false;
	if (since > r->commits)
		return -EINVAL;
	if (since < r->since_min)
		return -ESTALE;
	while (looks) {
		at = next_group(r, since, index, &looks);
		if (at == ULONG_MAX)
			goto out;
		index = at;
		if (!looks)
			break;
		looks--;
		run_in_group(r, since, index, &e);
		if (e.len && !batch_add(batch, max, &n, &e))
			break;
		index = (e.addr + e.len) >> PAGE_SHIFT;
	}
	*more = true;
out:
	*next = (u64)index << PAGE_SHIFT;
	return n;
}

/*
 * Pages with data that changed after @since; all of them, if that isn't known. The lock is released
 * between two batches, and commits may come meanwhile: the number is only shown.
 */
u64 cptdev_since_pages(struct cptdev_replica *r, u64 since)
{
	struct cptdev_extent batch[8];
	u64 next = 0, pages = 0;
	bool more = true;
	int i, n = 0;

	while (more && n >= 0 && !fatal_signal_pending(current)) {
		down_read(&r->sem);
		n = since ? cptdev_since_extents(r, since, &next, batch, ARRAY_SIZE(batch),
						 &more) : -ESTALE;
		if (n < 0)
			pages = r->nr_pages;
		up_read(&r->sem);
		for (i = 0; i < n; i++)
			if (batch[i].kind == CPTDEV_EXTENT_DATA)
				pages += batch[i].len >> PAGE_SHIFT;
		cond_resched();
	}
	return pages;
}
