// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev: a descriptor that shows a past generation, and the promotion that goes back to one. A
 * view has an index of the pages that belong to its generation and aren't in the content any more;
 * all others it finds there (history.c). The index grows as commits replace pages. It points to
 * pages of the history without a reference: they stay as long as the history reaches back to the
 * generation, and that is looked at under the content's lock before each use.
 */
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "../cptdev.h"
#include "entry.h"
#include "../mutants.h"

/* As in since.c: pages that are looked at under the content's lock at a time. */
#define LOOKS	2048U
#define RUN_MAX	4096UL

static void view_free(struct cptdev_view *v)
{
	if (!v)
		return;
	xa_destroy(&v->replaced);
	cptdev_past_state_put(&v->state);
	kfree(v);
}

static int index_page(struct xarray *pages, unsigned long index, void *entry, void *arg)
{
	struct cptdev_view *v = arg;

	if (cptdev_entry_number(entry) > v->state.number)
		return 0;
	return xa_err(xa_store(&v->replaced, index, entry, GFP_KERNEL_ACCOUNT));
}

/*
 * Index some of what commits have replaced since the last time. Returns 1 if there is more, 0 or
 * an error. Under replica->stage_lock. A commit waits for this lock, and with it the daemon, so no
 * call indexes everything at once.
 */
static int view_index(struct cptdev_replica *r, struct cptdev_view *v)
{
	int ret;

	if (!cptdev_past_has(r, v->state.number))
		return -ESTALE;
	if (v->indexed == r->commits)
		return 0;
	ret = cptdev_past_some(r, v->indexed, &v->next, index_page, v);
	if (ret)
		return ret;
	v->next = 0;
	return ++v->indexed != r->commits;
}

/* Index what the descriptor needs, as far as it is there by now. No lock is held. */
static int index_more(struct cptdev_replica_file *rf)
{
	struct cptdev_replica *r = rf->replica;
	int ret;

	do {
		mutex_lock(&r->stage_lock);
		ret = rf->view ? view_index(r, rf->view) : 0;
		mutex_unlock(&r->stage_lock);
		if (ret > 0 && fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	} while (ret > 0);
	return ret;
}

/*
 * Lock the content for reading, for what the descriptor shows: its view, or NULL: the newest
 * generation. An ERR_PTR: nothing is locked.
 */
struct cptdev_view *cptdev_view_lock(struct cptdev_replica_file *rf)
{
	struct cptdev_replica *r = rf->replica;
	struct cptdev_view *v;
	int ret = 0;

	for (;;) {
		down_read(&r->sem);
		v = rf->view;
		if (!v)
			return NULL;
		if (!cptdev_past_has(r, v->state.number))
			ret = -ESTALE;
		else if (v->indexed == r->commits)
			return v;
		up_read(&r->sem);
		if (!ret)
			ret = index_more(rf);
		if (ret)
			return ERR_PTR(ret);
	}
}

/* The page, or NULL: a hole. After cptdev_view_lock(). */
struct page *cptdev_view_page(struct cptdev_replica *r, struct cptdev_view *v,
			      unsigned long index)
{
	void *entry = xa_load(r->pages, index);

	if (v && !(entry && cptdev_entry_number(entry) <= v->state.number))
		entry = xa_load(&v->replaced, index);
	return cptdev_entry_page(entry);
}

/*
 * The first page from @index on that may have data, ULONG_MAX: there is none. Looks at no more than
 * *@looks pages.
 */
static unsigned long view_next(struct cptdev_replica *r, struct cptdev_view *v,
			       unsigned long index, unsigned int *looks)
{
	XA_STATE(xas, r->pages, index);
	unsigned long found = index;
	void *entry;

	if (!xa_find(&v->replaced, &found, ULONG_MAX, XA_PRESENT))
		found = ULONG_MAX;
	rcu_read_lock();
	xas_for_each(&xas, entry, found) {
		/* A place that a stage reserved is still empty. */
		if (xas_retry(&xas, entry) || xa_is_zero(entry))
			continue;
		if (cptdev_entry_number(entry) > v->state.number && --*looks)
			continue;
		found = xas.xa_index;
		break;
	}
	rcu_read_unlock();
	return found;
}

/* As cptdev_since_extents(), of all that a view shows. After cptdev_view_lock(). */
int cptdev_view_extents(struct cptdev_replica *r, struct cptdev_view *v, u64 *next,
			struct cptdev_extent *batch, u32 max, bool *more)
{
	unsigned long index = *next >> PAGE_SHIFT, len;
	unsigned int looks = LOOKS;
	u32 n = 0;

	while (n < max && looks) {
		index = view_next(r, v, index, &looks);
		if (index == ULONG_MAX)
			break;
		for (len = 0; len < RUN_MAX && cptdev_view_page(r, v, index + len); len++)
			;
		if (!len)
			continue;
		batch[n++] = (struct cptdev_extent) {
			.addr = (u64)index << PAGE_SHIFT, .len = (u64)len << PAGE_SHIFT,
			.kind = CPTDEV_EXTENT_DATA,
		};
		looks -= min_t(unsigned long, looks, len);
		index += len;
	}
	*more = index != ULONG_MAX;
	*next = (u64)index << PAGE_SHIFT;
	return n;
}

/* Put @v in the place of what the descriptor shows. Under replica->stage_lock. */
static void view_set(struct cptdev_replica_file *rf, struct cptdev_view *v)
{
	struct cptdev_replica *r = rf->replica;
	struct cptdev_view *old;

	lockdep_assert_held(&r->stage_lock);
	down_write(&r->sem);
	old = rf->view;
	rf->view = v;
	if (old)
		list_del(&old->entry);
	if (v)
		list_add(&v->entry, &r->views);
	up_write(&r->sem);
	view_free(old);
	cptdev_past_trim(r);
}

/* The descriptor is being closed. Under replica->stage_lock. */
void cptdev_view_close(struct cptdev_replica_file *rf)
{
	if (rf->view)
		view_set(rf, NULL);
}

static struct cptdev_view *view_alloc(struct cptdev_replica *r, u64 generation)
{
	struct cptdev_view *v = kzalloc(sizeof(*v), GFP_KERNEL_ACCOUNT);
	int ret;

	if (!v)
		return ERR_PTR(-ENOMEM);
	xa_init_flags(&v->replaced, XA_FLAGS_ACCOUNT);
	ret = cptdev_past_find(r, generation, &v->state);
	v->indexed = v->state.number;
	if (!ret)
		return v;
	view_free(v);
	return ERR_PTR(ret);
}

int cptdev_view_at(struct cptdev_call *call, void *uarg)
{
	struct cptdev_replica_file *rf = call->filp->private_data;
	struct cptdev_replica *r = rf->replica;
	struct cptdev_replica_at *arg = uarg;
	struct cptdev_view *v = NULL;
	int ret;

	if (arg->flags)
		return -EOPNOTSUPP;
	if (cptdev_replica_may(r))
		return -EACCES;
	mutex_lock(&r->stage_lock);
	if (arg->generation)
		v = view_alloc(r, arg->generation);
	if (!IS_ERR(v))
		view_set(rf, v);
	mutex_unlock(&r->stage_lock);
	if (IS_ERR_OR_NULL(v))
		return PTR_ERR_OR_ZERO(v);
	ret = index_more(rf);
	if (!ret)
		return 0;
	/* Without memory for the index it shows the newest. */
	mutex_lock(&r->stage_lock);
	view_set(rf, NULL);
	mutex_unlock(&r->stage_lock);
	return ret == -ESTALE ? -ENODATA : ret;
}

/*
 * The way back, as a commit of what has changed since: pages of the history, and holes for what
 * came after the generation. First comes all that may fail.
 */

/* A place for a page that comes back. */
static int back_reserve(struct cptdev_replica *r, unsigned long index)
{
	int ret = cptdev_since_stage(r, index, index + 1);

	if (!ret)
		ret = xa_reserve(r->pages, index, GFP_KERNEL_ACCOUNT);
	if (!ret)
		ret = xa_reserve(r->staged, index, GFP_KERNEL_ACCOUNT);
	r->staging.first = min(r->staging.first, index);
	r->staging.last = max(r->staging.last, index);
	return ret;
}

/* The page of the content came after the generation. */
static int back_hole(struct cptdev_replica *r, unsigned long index, void *arg)
{
	struct cptdev_view *v = arg;
	int ret;

	if (xa_load(&v->replaced, index))
		return 0;
	ret = xa_err(xa_store(r->staged, index, CPTDEV_STAGED_HOLE, GFP_KERNEL_ACCOUNT));
	if (!ret)
		r->nr_staged++;
	r->staging.first = min(r->staging.first, index);
	r->staging.last = max(r->staging.last, index);
	return ret;
}

static int back_prepare(struct cptdev_replica *r, struct cptdev_view *v)
{
	unsigned long index;
	void *page;
	int ret = 0;

	xa_for_each(&v->replaced, index, page) {
		ret = back_reserve(r, index);
		if (ret)
			return ret;
		cond_resched();
	}
	return cptdev_since_each(r, v->state.number, back_hole, v);
}

/* Places that were reserved in vain. */
static void back_release(struct cptdev_replica *r, struct cptdev_view *v)
{
	unsigned long index;
	void *page;

	xa_for_each(&v->replaced, index, page)
		xa_release(r->pages, index);
}

/* Take the page out of the history: it becomes content again. */
static int back_take(struct xarray *pages, unsigned long index, void *entry, void *arg)
{
	struct cptdev_shared *sh = cptdev_entry_shared(entry);
	struct cptdev_replica *r = arg;

	if (cptdev_entry_number(entry) > r->staging.back)
		return 0;
	xa_erase(pages, index);
	if (sh)
		sh->number = r->commits + 1;
	else
		set_page_private((struct page *)entry, r->commits + 1);
	/* The place was reserved: this allocates nothing. */
	WARN_ON_ONCE(xa_is_err(xa_store(r->staged, index, entry, 0)));
	r->nr_staged++;
	return 0;
}

/* What is staged becomes complete. Under replica->stage_lock and, for writing, replica->sem. */
void cptdev_view_back_take(struct cptdev_replica *r)
{
	unsigned long index;
	u64 number;

	for (number = r->staging.back; number < r->commits; number++) {
		index = 0;
		while (cptdev_past_some(r, number, &index, back_take, r) > 0)
			cond_resched();
	}
}

static int back_begin(struct cptdev_replica_file *rf)
{
	const struct cptdev_past_state *to = &rf->view->state;
	struct cptdev_replica *r = rf->replica;
	struct xarray *staged = cptdev_pages_alloc();
	struct cptdev_gone *gone = cptdev_gone_alloc();

	if (!staged || !gone) {
		kfree(staged);
		kfree(gone);
		return -ENOMEM;
	}
	r->stager = rf;
	r->staged = staged;
	r->staging = (struct cptdev_staging) {
		.generation = to->generation,
		.base = to->generation,
		.back = to->number,
		.term = r->term,
		.uuid = r->uuid,
		.layout = cptdev_layout_get(to->layout),
		.meta = cptdev_blob_get(to->meta),
		.gone = gone,
		.first = ULONG_MAX,
	};
	return 0;
}

/*
 * The replica goes back to the generation that the descriptor shows; the descriptor shows the
 * newest one then. Under replica->stage_lock. After an error the content is as it was.
 */
int cptdev_view_back(struct cptdev_replica_file *rf)
{
	struct cptdev_replica *r = rf->replica;
	struct cptdev_view *v = rf->view;
	int ret;

	lockdep_assert_held(&r->stage_lock);
	if (!v || v->state.number == r->commits)
		return -EINVAL;
	do {
		ret = view_index(r, v);
		cond_resched();
	} while (ret > 0);
	if (ret)
		return ret;
	cptdev_stage_drop(r);
	ret = back_begin(rf);
	if (ret)
		return ret;
	ret = back_prepare(r, v);
	if (!ret)
		ret = cptdev_stage_apply(r);
	if (ret) {
		back_release(r, v);
		cptdev_stage_drop(r);
		return ret;
	}
	view_set(rf, NULL);
	return 0;
}
