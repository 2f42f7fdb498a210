// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev: freeing pages. The time to free pages grows with their number, and the thread that
 * gives them up (by a commit, an abort, an acknowledgment) may also have to send heartbeats. So
 * the thread itself frees only small numbers of pages, and a worker frees larger ones.
 *
 * Pages count for the limits until they are free. A task that would pass a limit waits for the
 * worker before it fails: cptdev_gone_settle().
 */
#include <linux/sched.h>
#include <linux/slab.h>

#include "../cptdev.h"
#include "entry.h"
#include "../trace.h"

/* Pages that are freed at once: less than a millisecond. */
#define FREE_NOW	512
/* Pages between two pauses of a worker that holds a staging lock. */
#define FREE_BATCH	256

static struct workqueue_struct *gone_wq;
static atomic64_t gone_pending;		/* pages that are left to the worker */

int __init cptdev_gone_init(void)
{
	gone_wq = alloc_workqueue("cptdev-free", WQ_UNBOUND, 0);
	return gone_wq ? 0 : -ENOMEM;
}

/* Waits for what is queued. */
void cptdev_gone_exit(void)
{
	destroy_workqueue(gone_wq);
}

/* May wait for a replica's staging lock, so none is held. */
void cptdev_gone_settle(void)
{
	if (atomic64_read(&gone_pending))
		flush_workqueue(gone_wq);
}

/* Run @work, which frees @pages pages: at once if they are few. */
void cptdev_gone_run(struct work_struct *work, u64 pages)
{
	if (pages <= FREE_NOW) {
		work->func(work);
		return;
	}
	atomic64_add(pages, &gone_pending);
	queue_work(gone_wq, work);
}

/*
 * Run @work at once, however many pages it frees: memory is short, or the task that gives the
 * pages up wants them to be free.
 */
void cptdev_gone_now(struct work_struct *work, u64 pages)
{
	if (pages > FREE_NOW)
		atomic64_add(pages, &gone_pending);
	work->func(work);
}

/* By the work itself: @pages are free. */
void cptdev_gone_done(const char *of, u64 pages)
{
	trace_cptdev_free(of, pages);
	if (pages > FREE_NOW)
		atomic64_sub(pages, &gone_pending);
}

/*
 * Pages of a replica. What is needed for that is taken before anything is staged: to give
 * up never fails.
 */

struct cptdev_gone *cptdev_gone_alloc(void)
{
	struct cptdev_gone *g = kzalloc(sizeof(*g), GFP_KERNEL_ACCOUNT);

	if (g) {
		INIT_LIST_HEAD(&g->list);
		INIT_LIST_HEAD(&g->shared);
	}
	return g;
}

/*
 * Some of what was staged in vain, with the places that were reserved for it in the content;
 * what has been staged since may need the same place. Returns false when all is done.
 */
static bool gone_staged(struct cptdev_gone *g, unsigned long *index)
{
	struct cptdev_replica *r = g->replica;
	unsigned int n = 0;
	void *entry;

	if (g->reserved)
		lockdep_assert_held(&r->stage_lock);
	xa_for_each_start(g->pages, *index, entry, *index) {
		if (g->reserved && !(r->staged && xa_load(r->staged, *index)))
			xa_release(r->pages, *index);
		cptdev_page_drop(r, entry);
		if (++n == FREE_BATCH) {
			(*index)++;
			return *index;
		}
	}
	return false;
}

static void gone_list(struct cptdev_gone *g)
{
	struct cptdev_shared *sh, *next;
	struct page *page, *tmp;

	list_for_each_entry_safe(sh, next, &g->shared, lru) {
		cptdev_page_drop(g->replica, cptdev_shared_entry(sh));
		cond_resched();
	}
	list_for_each_entry_safe(page, tmp, &g->list, lru) {
		cptdev_page_drop(g->replica, page);
		cond_resched();
	}
}

static void gone_free(struct cptdev_gone *g)
{
	struct cptdev_replica *r = g->replica;
	u64 pages = g->nr;

	if (g->pages) {
		xa_destroy(g->pages);
		kfree(g->pages);
	}
	kfree(g);
	cptdev_gone_done("replica", pages);
	cptdev_replica_put(r);
}

static void gone_work(struct work_struct *work)
{
	struct cptdev_gone *g = container_of(work, struct cptdev_gone, work);
	unsigned long index = 0;
	bool more = g->pages;

	while (more) {
		if (g->reserved)
			mutex_lock(&g->replica->stage_lock);
		more = gone_staged(g, &index);
		if (g->reserved)
			mutex_unlock(&g->replica->stage_lock);
		cond_resched();
	}
	gone_list(g);
	gone_free(g);
}

/*
 * Give up @g->nr pages in @g->pages and @g->list. replica->stage_lock is held, and the
 * caller has a reference of his own.
 */
void cptdev_gone_put(struct cptdev_replica *r, struct cptdev_gone *g)
{
	unsigned long index = 0;

	lockdep_assert_held(&r->stage_lock);
	g->replica = r;
	kref_get(&r->ref);
	if (g->nr > FREE_NOW) {
		INIT_WORK(&g->work, gone_work);
		cptdev_gone_run(&g->work, g->nr);
		return;
	}
	while (g->pages && gone_staged(g, &index))
		;
	gone_list(g);
	gone_free(g);
}
