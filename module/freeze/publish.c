// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev: published snapshots, and waiting until they are acknowledged.
 *
 * A published snapshot is kept until a spare has it. Each holds the changes since the one
 * before, so a spare that has one of them can continue with the next. Snapshots that nobody
 * has fetched yet are merged into a few larger ones instead of queueing up. If a spare needs
 * changes that are no longer kept, the next snapshot reaches back to what the spare has.
 */
#include <linux/slab.h>

#include "snap.h"
#include "../trace.h"
#include "../mutants.h"

/* They are on no list of a session any more. */
void cptdev_unpublish(struct list_head *list)
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
	base = min(s->pub_afresh ?: s->pub_newest, s->pub_base);
	/* What is kept is continued, too: a pass of rounds isn't there. */
	if (s->keeps)
		base = min(base, s->kept);
	spin_unlock(&s->pub_lock);
	return base;
}

/*
 * May a pass of rounds begin? @base: 0 if it takes all pages, and then there must be nothing that
 * brings them at once. What is published from here on isn't merged into what waits: it completes
 * the pass, and should have no more than what changed since.
 */
int cptdev_publish_pass(struct cptdev_session *s, u64 base)
{
	struct cptdev_snap *snap;
	int ret = 0;

	spin_lock(&s->pub_lock);
	list_for_each_entry(snap, &s->published, entry)
		if (!base && !snap->base)
			ret = -ENODATA;
	if (!ret)
		list_for_each_entry(snap, &s->published, entry)
			snap->closed = true;
	spin_unlock(&s->pub_lock);
	return ret;
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
		if (last->generation == snap->base && !last->taken && !last->closed &&
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

	/* Before anybody can acknowledge it. */
	cptdev_keep(s, snap);
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
	s->pub_afresh = 0;
	s->state &= ~CPTDEV_STATE_WANTED;
	cptdev_state_show(s);
	if (snap->base <= s->pub_base)
		s->pub_base = CPTDEV_NO_BASE;
	spin_unlock(&s->pub_lock);

	cptdev_unpublish(&gone);
	cptdev_alive_sign(s);
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
		pages += cptdev_snap_pages(snap);
		cptdev_snap_put_now(snap);
	}
	return pages;
}

/*
 * Memory is short: give up the snapshots that nobody has fetched. The next one reaches back to
 * what the spare has, and a WAIT for an older one gets ECANCELED. A snapshot that a descriptor
 * has open stays: dropping it would free nothing. Returns how many pages were held.
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

/*
 * A limit is reached: forget the snapshots that were fetched and aren't open any more. They are on
 * their way to a spare. A spare that needs them all the same (a slow one of several, or one whose
 * link broke) calls DELTA, and then the next snapshot reaches back to what it has. So no WAIT is
 * cancelled here. Returns how many pages were held.
 */
u64 cptdev_publish_forget(struct cptdev_session *s)
{
	struct cptdev_snap *snap, *tmp;
	LIST_HEAD(gone);

	spin_lock(&s->pub_lock);
	list_for_each_entry_safe(snap, tmp, &s->published, entry)
		if (cptdev_snap_fetched(snap))
			list_move(&snap->entry, &gone);
	spin_unlock(&s->pub_lock);
	return list_empty(&gone) ? 0 : snaps_put_now(&gone);
}

/* The session ends: nobody will fetch these. */
void cptdev_unpublish_all(struct cptdev_session *s)
{
	LIST_HEAD(gone);

	spin_lock(&s->pub_lock);
	list_splice_init(&s->published, &gone);
	spin_unlock(&s->pub_lock);
	cptdev_unpublish(&gone);
	wake_up_all(&s->wq);
}

/*
 * Waiting for the spare
 */

/*
 * What WAIT answers for generation @wanted. @present: the caller gave no generation, and asks for
 * the state of the session. Then the answer reports a fence even if everything published is
 * committed.
 */
static bool wait_over(struct cptdev_session *s, u64 wanted, bool present, int *ret)
{
	bool over = true, ready, acknowledged;

	spin_lock(&s->pub_lock);
	ready = s->committed >= wanted;
	acknowledged = ready && cptdev_state_allows(s);
	if ((s->state & CPTDEV_STATE_FENCED) && (present || !acknowledged))
		*ret = -ESTALE;
	else if (!wanted || wanted > s->pub_newest)
		*ret = -EINVAL;
	else if (acknowledged)
		*ret = 0;
	else if (!ready && s->cancelled >= wanted)
		*ret = -ECANCELED;
	else if (READ_ONCE(s->dead))
		*ret = -ESRCH;
	else
		over = false;
	spin_unlock(&s->pub_lock);
	return over;
}

/* @out gets @committed and @state, also on error. */
int cptdev_wait_committed(struct cptdev_session *s, u64 generation,
			  u64 timeout_ns, struct cptdev_wait *out)
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
	out->committed = s->committed;
	out->state = s->state;
	/* What couldn't be acknowledged yet is news later. */
	if (cptdev_state_allows(s))
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
	if (arg->reserved)
		return -EINVAL;
	ret = cptdev_session_enter(s);
	return ret ?: cptdev_wait_committed(s, arg->generation, arg->timeout_ns, arg);
}
