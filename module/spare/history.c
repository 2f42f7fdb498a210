// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev: past generations of a replica. A commit replaces pages of the content. With a history
 * they are kept, by their address, for the generation that the commit ends. That is all that a past
 * generation has of its own: every page has the number of the commit that brought it (since.c). So
 * a page belongs to the generation after commit n if its number is at most n, and if it is in the
 * content or was replaced by a later commit. Pages with higher numbers came after it. See view.c
 * for what makes use of this.
 *
 * The history is less important than the replica itself: a commit never fails because of it. If
 * memory for it can't be had, or a limit is reached, the oldest generations are forgotten.
 */
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "../cptdev.h"

/* Pages that are looked at before others get the staging lock. */
#define PAST_SOME	2048U

/* What is kept for a generation. Changes under replica->stage_lock and, written, replica->sem. */
struct cptdev_undo {
	struct list_head entry;		/* in replica->past */
	struct cptdev_past_state state;
	struct xarray *pages;		/* that the next commit replaced */
	u64 nr;
	struct cptdev_gone *gone;	/* to give them up */
};

static void past_free(struct cptdev_undo *p)
{
	if (!p)
		return;
	if (p->pages) {
		xa_destroy(p->pages);
		kfree(p->pages);
	}
	cptdev_past_state_put(&p->state);
	kfree(p->gone);
	kfree(p);
}

static struct cptdev_undo *past_alloc(void)
{
	struct cptdev_undo *p = kzalloc(sizeof(*p), GFP_KERNEL_ACCOUNT);

	if (!p)
		return NULL;
	p->pages = cptdev_pages_alloc();
	p->gone = cptdev_gone_alloc();
	if (p->pages && p->gone)
		return p;
	past_free(p);
	return NULL;
}

/* The state of the present generation, with references. Under replica->stage_lock or ->sem. */
void cptdev_past_state_get(const struct cptdev_replica *r, struct cptdev_past_state *s)
{
	*s = (struct cptdev_past_state) {
		.number = r->commits,
		.generation = r->generation,
		.term = r->term,
		.committed_ns = r->committed_ns,
		.pages = r->nr_pages,
		.layout = r->layout ? cptdev_layout_get(r->layout) : NULL,
		.meta = cptdev_blob_get(r->meta),
	};
}

void cptdev_past_state_put(struct cptdev_past_state *s)
{
	cptdev_layout_put(s->layout);
	cptdev_blob_put(s->meta);
}

/*
 * A commit.
 */

/* A place for a page that the commit is going to replace. */
static int past_reserve(struct cptdev_undo *p, struct cptdev_replica *r, unsigned long index)
{
	return xa_load(r->pages, index) ? xa_reserve(p->pages, index, GFP_KERNEL_ACCOUNT) : 0;
}

static int past_reserve_range(struct cptdev_replica *r, u64 start, u64 end, void *arg)
{
	unsigned long index;
	void *entry;
	int ret = 0;

	xa_for_each_range(r->pages, index, entry, start >> PAGE_SHIFT, (end - 1) >> PAGE_SHIFT) {
		ret = past_reserve(arg, r, index);
		if (ret)
			break;
		cond_resched();
	}
	return ret;
}

static int past_reserve_all(struct cptdev_undo *p, struct cptdev_replica *r)
{
	unsigned long index;
	void *entry;
	int ret = 0;

	xa_for_each_range(r->staged, index, entry, r->staging.first, r->staging.last) {
		ret = past_reserve(p, r, index);
		if (ret)
			return ret;
		cond_resched();
	}
	return cptdev_trimmed(r, r->layout, r->staging.layout, past_reserve_range, p);
}

/*
 * Prepare to keep the pages that the commit of a delta replaces. NULL: nothing is kept, and then
 * the history ends. Nothing but the commit changes the replica until then.
 */
struct cptdev_undo *cptdev_past_begin(struct cptdev_replica *r)
{
	struct cptdev_undo *p;

	lockdep_assert_held(&r->stage_lock);
	if ((!r->keep && list_empty(&r->views)) || !r->staging.base || r->staging.back)
		return NULL;
	p = past_alloc();
	if (!p)
		return NULL;
	cptdev_past_state_get(r, &p->state);
	if (!past_reserve_all(p, r))
		return p;
	past_free(p);
	return NULL;
}

/* Keep a page that is being replaced. False: it isn't kept. Under replica->sem, for writing. */
bool cptdev_past_keep(struct cptdev_undo *p, unsigned long index, void *entry)
{
	/* The place was reserved: this allocates nothing. */
	if (!p || WARN_ON_ONCE(xa_is_err(xa_store(p->pages, index, entry, 0))))
		return false;
	p->nr++;
	return true;
}

/* The commit can't be done now. */
void cptdev_past_cancel(struct cptdev_undo *p)
{
	past_free(p);
}

/* The present generation is past from now on. Under replica->sem, for writing. */
void cptdev_past_add(struct cptdev_replica *r, struct cptdev_undo *p)
{
	if (!p)
		return;
	list_add(&p->entry, &r->past);
	r->nr_past++;
	r->past_pages += p->nr;
}

/*
 * Forgetting.
 */

static struct cptdev_undo *oldest(const struct cptdev_replica *r)
{
	return r->nr_past ? list_last_entry(&r->past, struct cptdev_undo, entry) : NULL;
}

/* The generation after this commit, or a later one, is there as a whole. Under replica->sem. */
bool cptdev_past_has(const struct cptdev_replica *r, u64 number)
{
	const struct cptdev_undo *p = oldest(r);

	return number == r->commits || (p && p->state.number <= number);
}

/* Does a descriptor show @p? */
static bool is_shown(const struct cptdev_replica *r, const struct cptdev_undo *p)
{
	struct cptdev_view *v;

	list_for_each_entry(v, &r->views, entry)
		if (v->state.number <= p->state.number && cptdev_past_has(r, v->state.number))
			return true;
	return false;
}

/* Forget the oldest generation. Under replica->stage_lock. */
static bool past_drop(struct cptdev_replica *r)
{
	struct cptdev_undo *p = oldest(r);
	struct cptdev_gone *gone;

	lockdep_assert_held(&r->stage_lock);
	if (!p)
		return false;
	down_write(&r->sem);
	list_del(&p->entry);
	r->nr_past--;
	r->past_pages -= p->nr;
	up_write(&r->sem);
	gone = p->gone;
	p->gone = NULL;
	gone->pages = p->pages;
	p->pages = NULL;
	gone->nr = p->nr;
	past_free(p);
	cptdev_gone_put(r, gone);
	return true;
}

/* Forget what is more than is to be kept. Under replica->stage_lock. */
void cptdev_past_trim(struct cptdev_replica *r)
{
	lockdep_assert_held(&r->stage_lock);
	while (r->past_max_bytes &&
	       r->past_pages > max(r->past_max_bytes >> PAGE_SHIFT, 1ULL))
		past_drop(r);
	while (r->nr_past > r->keep && !is_shown(r, oldest(r)))
		past_drop(r);
}

void cptdev_past_clear(struct cptdev_replica *r)
{
	while (past_drop(r))
		;
}

/* A replica that has a history, referenced: @r itself if it has one. */
static struct cptdev_replica *with_history(struct cptdev_replica *r)
{
	struct cptdev_replica *other;

	if (READ_ONCE(r->nr_past)) {
		kref_get(&r->ref);
		return r;
	}
	mutex_lock(&cptdev_replicas_lock);
	list_for_each_entry(other, &cptdev_replicas, entry) {
		if (!READ_ONCE(other->nr_past))
			continue;
		kref_get(&other->ref);
		mutex_unlock(&cptdev_replicas_lock);
		return other;
	}
	mutex_unlock(&cptdev_replicas_lock);
	return NULL;
}

/*
 * There is no room for a page of @r: forget a generation, of another replica only if the limit of
 * all replicas is the reason. No lock is held. False: there is none.
 */
bool cptdev_past_give_way(struct cptdev_replica *r, bool all)
{
	struct cptdev_replica *from;
	bool done;

	if (!all && !READ_ONCE(r->nr_past))
		return false;
	from = with_history(r);
	if (!from)
		return false;
	mutex_lock(&from->stage_lock);
	done = past_drop(from);
	mutex_unlock(&from->stage_lock);
	cptdev_replica_put(from);
	return done;
}

/* The replica is being freed: nobody else has it. */
void cptdev_past_exit(struct cptdev_replica *r)
{
	struct cptdev_undo *p, *tmp;

	list_for_each_entry_safe(p, tmp, &r->past, entry) {
		cptdev_pages_free(r, p->pages);
		p->pages = NULL;
		past_free(p);
	}
}

/*
 * For views.
 */

/*
 * Call @fn for pages that the commit after @number replaced, from *@index on: for some of them, as
 * long as it returns 0. Returns what it does, 1: there are more, from *@index on, or 0: that was
 * all. Under replica->stage_lock.
 */
int cptdev_past_some(struct cptdev_replica *r, u64 number, unsigned long *index,
		     int (*fn)(struct xarray *pages, unsigned long index, void *entry,
			       void *arg), void *arg)
{
	unsigned int n = 0;
	struct cptdev_undo *p;
	void *entry;
	int ret;

	lockdep_assert_held(&r->stage_lock);
	list_for_each_entry(p, &r->past, entry) {
		if (p->state.number != number)
			continue;
		xa_for_each_start(p->pages, *index, entry, *index) {
			if (n++ == PAST_SOME)
				return 1;
			ret = fn(p->pages, *index, entry, arg);
			if (ret)
				return ret;
		}
		break;
	}
	return 0;
}

/* The state of a generation, with references; -ENODATA. Under replica->sem. */
int cptdev_past_find(const struct cptdev_replica *r, u64 generation, struct cptdev_past_state *s)
{
	struct cptdev_undo *p;

	if (generation && generation == r->generation) {
		cptdev_past_state_get(r, s);
		return 0;
	}
	list_for_each_entry(p, &r->past, entry) {
		if (p->state.generation != generation)
			continue;
		*s = p->state;
		if (s->layout)
			cptdev_layout_get(s->layout);
		cptdev_blob_get(s->meta);
		return 0;
	}
	return -ENODATA;
}

/*
 * The call.
 */

static int history_set(struct cptdev_replica_file *rf, const struct cptdev_replica_history *arg)
{
	struct cptdev_replica *r = rf->replica;

	if (!rf->write)
		return -EBADF;
	if (arg->keep > CPTDEV_HISTORY_MAX)
		return -EINVAL;
	mutex_lock(&r->stage_lock);
	down_write(&r->sem);
	r->keep = arg->keep;
	r->past_max_bytes = arg->max_bytes;
	up_write(&r->sem);
	cptdev_past_trim(r);
	mutex_unlock(&r->stage_lock);
	return 0;
}

/* The newest @max ones, for the caller of kvfree(). Under replica->sem. */
static u32 past_list(const struct cptdev_replica *r, struct cptdev_past *v, u32 max)
{
	struct cptdev_undo *p;
	u32 n = 0;

	list_for_each_entry(p, &r->past, entry) {
		if (n == max)
			break;
		v[n++] = (struct cptdev_past) {
			.generation = p->state.generation,
			.term = p->state.term,
			.committed_ns = p->state.committed_ns,
			.pages = p->nr,
		};
	}
	return n;
}

static int history_list(struct cptdev_replica *r, struct cptdev_replica_history *arg)
{
	/* With those that are shown there may be more than CPTDEV_HISTORY_MAX. */
	u32 max = min(arg->vec_len, READ_ONCE(r->nr_past)), n;
	struct cptdev_past *v;
	int ret = 0;

	v = kvmalloc_array(max ?: 1, sizeof(*v), GFP_KERNEL_ACCOUNT);
	if (!v)
		return -ENOMEM;
	down_read(&r->sem);
	n = past_list(r, v, max);
	arg->nr = r->nr_past;
	arg->keep = r->keep;
	arg->max_bytes = r->past_max_bytes;
	arg->bytes = r->past_pages << PAGE_SHIFT;
	up_read(&r->sem);
	if (copy_to_user(u64_to_user_ptr(arg->vec), v, n * sizeof(*v)))
		ret = -EFAULT;
	kvfree(v);
	return ret;
}

int cptdev_history(struct cptdev_call *call, void *uarg)
{
	struct cptdev_replica_file *rf = call->filp->private_data;
	struct cptdev_replica_history *arg = uarg;
	int ret = 0;

	if (arg->flags & ~CPTDEV_HISTORY_SET)
		return -EOPNOTSUPP;
	if (arg->reserved)
		return -EINVAL;
	if (arg->flags & CPTDEV_HISTORY_SET)
		ret = history_set(rf, arg);
	else if (arg->keep || arg->max_bytes)
		ret = -EINVAL;
	return ret ?: history_list(rf->replica, arg);
}
