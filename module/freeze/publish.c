// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev: published snapshots, and the spares that follow a session.
 *
 * A published snapshot is kept until a spare has it. Each holds what changed since the
 * one before, so that a spare that has one of them can go on with the next; what nobody
 * has taken yet grows into a few instead of queueing up. A spare that lacks more than is
 * kept makes the next snapshot reach back to what it has.
 */
#include <linux/slab.h>

#include "snap.h"
#include "../trace.h"
#include "../mutants.h"

static void snaps_put(struct list_head *list)
{
	struct cptdev_snap *snap, *tmp;

	list_for_each_entry_safe(snap, tmp, list, entry) {
		list_del_init(&snap->entry);
		cptdev_shrink_del(snap);
		cptdev_snap_put(snap);
	}
}

/* What the next published snapshot must reach back to. */
u64 cptdev_publish_base(struct cptdev_session *s)
{
	u64 base;

	spin_lock(&s->pub_lock);
	base = min(s->pub_newest, s->pub_base);
	spin_unlock(&s->pub_lock);
	return base;
}

static u64 snap_entries(const struct cptdev_snap *snap)
{
	return snap->held.nr + snap->runs.nr;
}

/*
 * Merging visits both, so a small one isn't merged into a large one each time. A waiting one
 * grows until it is half of the one before it: each page is visited a few times in all, and
 * those that are kept twice are fewer than those of the largest.
 */
#define MERGE_ALWAYS	1024

static bool merge_worthwhile(const struct cptdev_snap *waiting, const struct cptdev_snap *snap)
{
	return snap_entries(waiting) <= max_t(u64, MERGE_ALWAYS, 2 * snap_entries(snap));
}

/* The waiting snapshot that @snap continues and should take in, referenced, or NULL. */
static struct cptdev_snap *publish_pending(struct cptdev_session *s,
					   const struct cptdev_snap *snap)
{
	struct cptdev_snap *last, *found = NULL;

	spin_lock(&s->pub_lock);
	list_for_each_entry_reverse(last, &s->published, entry) {
		if (last->generation > snap->base)
			continue;
		if (last->generation == snap->base && !last->taken &&
		    merge_worthwhile(last, snap)) {
			kref_get(&last->ref);
			found = last;
		}
		break;
	}
	spin_unlock(&s->pub_lock);
	return found;
}

/* Take in those that wait, the newest first. Returns a reference. */
static struct cptdev_snap *publish_merge(struct cptdev_session *s, struct cptdev_snap *snap)
{
	struct cptdev_snap *pending, *merged;

	kref_get(&snap->ref);
	while ((pending = publish_pending(s, snap))) {
		merged = cptdev_snap_merge(pending, snap);
		cptdev_snap_put(pending);
		if (!merged)
			break;
		trace_cptdev_merge(s, snap_entries(merged));
		cptdev_snap_put(snap);
		snap = merged;
	}
	return snap;
}

/*
 * Publish; under session->lock, with a reference of its own. If a spare takes the
 * waiting one just now, the merged one repeats its pages: of no use, but right.
 */
void cptdev_publish(struct cptdev_session *s, struct cptdev_snap *snap)
{
	struct cptdev_snap *old, *tmp;
	LIST_HEAD(gone);

	snap->state |= CPTDEV_IMAGE_PUBLISHED;
	snap = publish_merge(s, snap);
	cptdev_shrink_add(snap);
	spin_lock(&s->pub_lock);
	/* Older ones whose changes are all in this one are of no use any more. */
	list_for_each_entry_safe(old, tmp, &s->published, entry)
		if (old->base >= snap->base)
			list_move(&old->entry, &gone);
	list_add_tail(&snap->entry, &s->published);
	s->pub_newest = snap->generation;
	if (snap->base <= s->pub_base)
		s->pub_base = CPTDEV_NO_BASE;
	spin_unlock(&s->pub_lock);

	snaps_put(&gone);
	cptdev_event_session(s, CPTDEV_CMD_SNAPSHOT_NTF);
}

/* Free when this returns. Also in reclaim: see shrink.c. */
static u64 snaps_put_now(struct list_head *list)
{
	struct cptdev_snap *snap, *tmp;
	u64 pages = 0;

	list_for_each_entry_safe(snap, tmp, list, entry) {
		list_del_init(&snap->entry);
		cptdev_shrink_del(snap);
		pages += snap->held.nr;
		cptdev_snap_put_now(snap);
	}
	return pages;
}

/*
 * Memory is short: give up what nobody has fetched. The next one reaches back to what the
 * spare has, and who waits for an older one is told. A snapshot that a descriptor has open
 * stays: dropping it would free nothing. Returns how many pages were held.
 */
u64 cptdev_publish_drop(struct cptdev_session *s)
{
	struct cptdev_snap *snap, *tmp;
	LIST_HEAD(gone);
	u64 pages;

	spin_lock(&s->pub_lock);
	list_for_each_entry_safe(snap, tmp, &s->published, entry) {
		if (!cptdev_snap_unfetched(snap))
			continue;
		s->pub_base = min(s->pub_base, snap->base);
		s->cancelled = s->pub_newest;
		list_move(&snap->entry, &gone);
	}
	spin_unlock(&s->pub_lock);
	if (list_empty(&gone))
		return 0;
	pages = snaps_put_now(&gone);
	wake_up_all(&s->wq);
	cptdev_event_session(s, CPTDEV_CMD_DROPPED_NTF);
	return pages;
}

/* The session ends: nobody will fetch these. */
void cptdev_unpublish_all(struct cptdev_session *s)
{
	LIST_HEAD(gone);

	spin_lock(&s->pub_lock);
	list_splice_init(&s->published, &gone);
	spin_unlock(&s->pub_lock);
	snaps_put(&gone);
	wake_up_all(&s->wq);
}

/*
 * Waiting for the spare
 */

/*
 * What WAIT answers for generation @wanted. @present: who asks gave none, and asks how the
 * session stands: a fence is told even if all that was published is committed.
 */
static bool wait_over(struct cptdev_session *s, u64 wanted, bool present, int *ret)
{
	bool over = true;

	spin_lock(&s->pub_lock);
	if (s->fenced && (present || s->committed < wanted))
		*ret = -ESTALE;
	else if (!wanted || wanted > s->pub_newest)
		*ret = -EINVAL;
	else if (s->committed >= wanted)
		*ret = 0;
	else if (s->cancelled >= wanted)
		*ret = -ECANCELED;
	else if (READ_ONCE(s->dead))
		*ret = -ESRCH;
	else
		over = false;
	spin_unlock(&s->pub_lock);
	return over;
}

int cptdev_wait_committed(struct cptdev_session *s, u64 generation,
			  u64 timeout_ns, u64 *committed)
{
	ktime_t timeout = min_t(u64, timeout_ns, KTIME_MAX);
	bool present = !generation;
	int ret = -ETIMEDOUT, err;

	spin_lock(&s->pub_lock);
	if (present)
		generation = s->pub_newest;
	spin_unlock(&s->pub_lock);
	if (!wait_over(s, generation, present, &ret) && timeout) {
		err = wait_event_interruptible_hrtimeout(s->wq,
							 wait_over(s, generation, present,
								   &ret),
							 timeout);
		if (err == -ERESTARTSYS)
			ret = -EINTR;
	}
	spin_lock(&s->pub_lock);
	*committed = s->committed;
	s->committed_seen = s->committed;
	s->cancelled_seen = s->cancelled;
	spin_unlock(&s->pub_lock);
	return ret;
}

int cptdev_wait(struct cptdev_call *call, void *uarg)
{
	struct cptdev_session *s = call->filp->private_data;
	struct cptdev_wait *arg = uarg;
	int ret;

	if (arg->flags)
		return -EOPNOTSUPP;
	ret = cptdev_session_enter(s);
	return ret ?: cptdev_wait_committed(s, arg->generation, arg->timeout_ns,
					    &arg->committed);
}

/*
 * Followers
 */

static struct cptdev_follower *follower_find(struct cptdev_session *owner,
					     const struct cptdev_session *s)
{
	struct cptdev_follower *f;

	lockdep_assert_held(&owner->lock);
	list_for_each_entry(f, &owner->following, file_entry)
		if (f->session == s)
			return f;
	return NULL;
}

static int follower_add(struct cptdev_session *owner, struct cptdev_session *s)
{
	struct cptdev_follower *f;

	if (follower_find(owner, s))
		return 0;
	f = kzalloc(sizeof(*f), GFP_KERNEL_ACCOUNT);
	if (!f)
		return -ENOMEM;
	cptdev_session_get(s);
	f->session = s;
	list_add_tail(&f->file_entry, &owner->following);
	spin_lock(&s->pub_lock);
	s->nr_followers++;
	spin_unlock(&s->pub_lock);
	return 0;
}

static void follower_remove(struct cptdev_follower *f)
{
	struct cptdev_session *s = f->session;

	list_del(&f->file_entry);
	spin_lock(&s->pub_lock);
	s->nr_followers--;
	spin_unlock(&s->pub_lock);
	cptdev_session_put(s);
	kfree(f);
}

void cptdev_unfollow_all(struct cptdev_session *owner)
{
	struct cptdev_follower *f, *tmp;

	mutex_lock(&owner->lock);
	list_for_each_entry_safe(f, tmp, &owner->following, file_entry)
		follower_remove(f);
	mutex_unlock(&owner->lock);
}

/* The oldest snapshot that brings a spare with @since further, referenced. */
static struct cptdev_snap *delta_find(struct cptdev_session *s, u64 since)
{
	struct cptdev_snap *snap;

	spin_lock(&s->pub_lock);
	list_for_each_entry(snap, &s->published, entry) {
		if (snap->generation > since && snap->base <= since) {
			snap->taken = true;
			kref_get(&snap->ref);
			goto out;
		}
	}
	if (since > s->pub_newest) {
		snap = ERR_PTR(-EINVAL);
	} else if (since == s->pub_newest) {
		snap = ERR_PTR(-ENODATA);
	} else {
		/* Only a new snapshot can help, and who waits for an old one is told. */
		s->pub_base = min(s->pub_base, since);
		s->cancelled = s->pub_newest;
		snap = ERR_PTR(-ESTALE);
	}
out:
	spin_unlock(&s->pub_lock);
	return snap;
}

static int delta_open(struct cptdev_session *s, struct cptdev_delta *arg,
		      struct cptdev_call *call)
{
	struct cptdev_snap *snap = delta_find(s, arg->since);
	struct file *file;

	if (IS_ERR(snap)) {
		if (PTR_ERR(snap) == -ESTALE) {
			wake_up_all(&s->wq);
			cptdev_event_session(s, CPTDEV_CMD_DROPPED_NTF);
		}
		return PTR_ERR(snap);
	}
	file = cptdev_snapfile(snap);
	if (!IS_ERR(file)) {
		call->new_file = file;
		arg->generation = snap->generation;
		arg->base = snap->base;
		arg->pages = snap->held.nr;
	}
	cptdev_snap_put(snap);
	return PTR_ERR_OR_ZERO(file);
}

int cptdev_delta(struct cptdev_call *call, void *uarg)
{
	struct cptdev_session *owner = call->filp->private_data, *s;
	struct cptdev_delta *arg = uarg;
	int ret;

	if (arg->flags)
		return -EOPNOTSUPP;
	if (arg->reserved)
		return -EINVAL;
	if (!cptdev_capable())
		return -EPERM;
	s = cptdev_session_find(arg->session_id);
	if (!s)
		return -ENOENT;
	mutex_lock(&owner->lock);
	ret = follower_add(owner, s);
	mutex_unlock(&owner->lock);
	if (!ret)
		ret = delta_open(s, arg, call);
	cptdev_session_put(s);
	return ret;
}

static int ack_committed(struct cptdev_session *s, u64 generation)
{
	struct cptdev_snap *snap, *tmp;
	bool news = false;
	LIST_HEAD(gone);

	spin_lock(&s->pub_lock);
	if (!generation || generation > s->pub_newest) {
		spin_unlock(&s->pub_lock);
		return -EINVAL;
	}
	if (generation > s->committed) {
		s->committed = generation;
		news = true;
	}
	list_for_each_entry_safe(snap, tmp, &s->published, entry)
		if (snap->generation <= generation)
			list_move(&snap->entry, &gone);
	spin_unlock(&s->pub_lock);

	if (news) {
		wake_up_all(&s->wq);
		cptdev_event_session(s, CPTDEV_CMD_COMMITTED_NTF);
	}
	snaps_put(&gone);
	return 0;
}

static void ack_fenced(struct cptdev_session *s)
{
	bool news;

	spin_lock(&s->pub_lock);
	news = !s->fenced;
	s->fenced = true;
	spin_unlock(&s->pub_lock);
	if (!news)
		return;
	wake_up_all(&s->wq);
	cptdev_event_session(s, CPTDEV_CMD_FENCED_NTF);
}

static int ack_apply(struct cptdev_session *owner, struct cptdev_session *s,
		     const struct cptdev_ack *arg)
{
	struct cptdev_follower *f;
	int ret = 0;

	mutex_lock(&owner->lock);
	f = follower_find(owner, s);
	/*
	 * A fence needs no follower: a session that never published has none, and whoever
	 * knows a newer term may tell it.
	 */
	if (!f && arg->flags != CPTDEV_ACK_FENCED)
		ret = -EINVAL;
	else if (arg->flags & CPTDEV_ACK_FENCED)
		ack_fenced(s);
	else if (!(arg->flags & CPTDEV_ACK_DETACH))
		ret = ack_committed(s, arg->generation);
	if (!ret && (arg->flags & CPTDEV_ACK_DETACH))
		follower_remove(f);
	mutex_unlock(&owner->lock);
	return ret;
}

int cptdev_ack(struct cptdev_call *call, void *uarg)
{
	struct cptdev_session *owner = call->filp->private_data, *s;
	struct cptdev_ack *arg = uarg;
	int ret;

	if (arg->flags & ~(CPTDEV_ACK_FENCED | CPTDEV_ACK_DETACH))
		return -EOPNOTSUPP;
	if (arg->flags && arg->generation)
		return -EINVAL;
	if (!cptdev_capable())
		return -EPERM;
	s = cptdev_session_find(arg->session_id);
	if (!s)
		return -ENOENT;
	ret = ack_apply(owner, s, arg);
	cptdev_session_put(s);
	return ret;
}
