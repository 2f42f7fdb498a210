// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev: spares that follow a session. DELTA fetches a snapshot for a spare. With ACK, the daemon
 * reports acknowledgements, leases and fences to the session.
 */
#include <linux/slab.h>

#include "snap.h"
#include "../mutants.h"

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

/*
 * Why there is none. Under pub_lock. Not under session->lock, which a program holds while it waits
 * for its memory: a number that is being given just now may be read before or after.
 */
static int delta_none(struct cptdev_session *s, u64 since, u32 flags)
{
	if (since > READ_ONCE(s->generation))
		return -EINVAL;
	if (since >= s->pub_newest && !(flags & CPTDEV_DELTA_AFRESH))
		return -ENODATA;
	/*
	 * Only a new snapshot can help this spare. A WAIT for an older one gets ECANCELED, unless
	 * other spares suffice.
	 */
	if (!(flags & CPTDEV_DELTA_AFRESH))
		s->pub_base = min(s->pub_base, since);
	if (!(flags & CPTDEV_DELTA_OTHERS))
		s->cancelled = s->pub_newest;
	return -ESTALE;
}

/*
 * The oldest snapshot that brings a spare with @since further, referenced. Snapshots that are given
 * up go to @gone.
 */
static struct cptdev_snap *delta_find(struct cptdev_session *s, u64 since, u32 flags,
				      struct list_head *gone)
{
	struct cptdev_snap *snap;
	int ret;

	spin_lock(&s->pub_lock);
	list_for_each_entry(snap, &s->published, entry) {
		if (snap->generation > since && snap->base <= since) {
			snap->taken = true;
			kref_get(&snap->ref);
			goto out;
		}
	}
	ret = delta_none(s, since, flags);
	snap = ERR_PTR(ret);
	if (ret != -EINVAL && (flags & CPTDEV_DELTA_AFRESH)) {
		s->pub_afresh = since;
		s->pub_base = CPTDEV_NO_BASE;
		list_splice_init(&s->published, gone);
	}
out:
	spin_unlock(&s->pub_lock);
	return snap;
}

static int delta_open(struct cptdev_session *s, struct cptdev_delta *arg,
		      struct cptdev_call *call)
{
	struct cptdev_snap *snap;
	struct file *file;
	LIST_HEAD(gone);

	snap = delta_find(s, arg->since, arg->flags, &gone);
	cptdev_unpublish(&gone);
	if (IS_ERR(snap)) {
		if (PTR_ERR(snap) == -ESTALE && !(arg->flags & CPTDEV_DELTA_OTHERS)) {
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
		arg->pages = cptdev_snap_pages(snap);
	}
	cptdev_snap_put(snap);
	return PTR_ERR_OR_ZERO(file);
}

int cptdev_delta(struct cptdev_call *call, void *uarg)
{
	struct cptdev_session *owner = call->filp->private_data, *s;
	struct cptdev_delta *arg = uarg;
	int ret;

	if (arg->flags & ~(CPTDEV_DELTA_OTHERS | CPTDEV_DELTA_AFRESH))
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

/*
 * What the daemon says
 */

#define ACK_BLOCKS	(CPTDEV_ACK_BLOCK | CPTDEV_ACK_UNBLOCK)
/* With one of these no generation is acknowledged. */
#define ACK_OTHER	(CPTDEV_ACK_FENCED | CPTDEV_ACK_DETACH | CPTDEV_ACK_WANT | ACK_BLOCKS)
#define ACK_FLAGS	(CPTDEV_ACK_LEASE | CPTDEV_ACK_ALONE | ACK_OTHER)

static int ack_valid(const struct cptdev_ack *arg)
{
	if (arg->flags & ~ACK_FLAGS)
		return -EOPNOTSUPP;
	if (!arg->flags && !arg->generation)
		return -EINVAL;
	if ((arg->flags & ACK_OTHER) && arg->generation)
		return -EINVAL;
	if (!(arg->flags & CPTDEV_ACK_LEASE) && arg->lease_until_ns)
		return -EINVAL;
	return (arg->flags & ACK_BLOCKS) == ACK_BLOCKS ? -EINVAL : 0;
}

/* A session that never published has no spare, and all the same can be told the rest. */
static bool ack_needs_follower(const struct cptdev_ack *arg)
{
	return (arg->flags & CPTDEV_ACK_DETACH) ||
		(arg->generation && !(arg->flags & CPTDEV_ACK_ALONE));
}

static u32 ack_state(const struct cptdev_session *s, const struct cptdev_ack *arg)
{
	u32 state = s->state;

	if (arg->flags & CPTDEV_ACK_FENCED)
		state |= CPTDEV_STATE_FENCED;
	if (arg->flags & CPTDEV_ACK_WANT)
		state |= CPTDEV_STATE_WANTED;
	if (arg->flags & CPTDEV_ACK_BLOCK)
		state |= CPTDEV_STATE_BLOCKED;
	if (arg->flags & CPTDEV_ACK_UNBLOCK)
		state &= ~CPTDEV_STATE_BLOCKED;
	if (arg->flags & CPTDEV_ACK_ALONE)
		state |= CPTDEV_STATE_ALONE;
	/* A spare that is behind what was acknowledged without it isn't all that is needed. */
	else if (arg->generation && arg->generation >= s->committed)
		state &= ~CPTDEV_STATE_ALONE;
	return state;
}

/* A lease that was given isn't taken back: somebody relies on it. */
static void ack_lease(struct cptdev_session *s, u64 until)
{
	if (!until || until > s->lease_until)
		s->lease_until = until;
}

static void ack_generation(struct cptdev_session *s, u64 generation, struct list_head *gone)
{
	struct cptdev_snap *snap, *tmp;

	s->committed = max(s->committed, generation);
	list_for_each_entry_safe(snap, tmp, &s->published, entry)
		if (snap->generation <= generation)
			list_move(&snap->entry, gone);
}

/*
 * All at once: nobody sees one half. A lease that is prolonged is no news, except to a WAIT
 * that found it over.
 */
static int ack_apply(struct cptdev_session *s, const struct cptdev_ack *arg)
{
	bool allowed, news, wake;
	u32 changed, state;
	u64 committed;
	LIST_HEAD(gone);

	spin_lock(&s->pub_lock);
	if (arg->generation > s->pub_newest) {
		spin_unlock(&s->pub_lock);
		return -EINVAL;
	}
	allowed = cptdev_state_allows(s);
	committed = s->committed;
	state = ack_state(s, arg);
	changed = state ^ s->state;
	s->state = state;
	if (arg->flags & CPTDEV_ACK_LEASE)
		ack_lease(s, arg->lease_until_ns);
	if (arg->generation)
		ack_generation(s, arg->generation, &gone);
	news = changed || s->committed > committed;
	wake = news || (!allowed && cptdev_state_allows(s));
	cptdev_state_show(s);
	spin_unlock(&s->pub_lock);

	if (wake)
		wake_up_all(&s->wq);
	if (changed & CPTDEV_STATE_FENCED)
		cptdev_event_session(s, CPTDEV_CMD_FENCED_NTF);
	else if (news)
		cptdev_event_session(s, CPTDEV_CMD_COMMITTED_NTF);
	cptdev_unpublish(&gone);
	return 0;
}

int cptdev_ack(struct cptdev_call *call, void *uarg)
{
	struct cptdev_session *owner = call->filp->private_data, *s;
	struct cptdev_ack *arg = uarg;
	struct cptdev_follower *f;
	int ret;

	ret = ack_valid(arg);
	if (ret)
		return ret;
	if (!cptdev_capable())
		return -EPERM;
	s = cptdev_session_find(arg->session_id);
	if (!s)
		return -ENOENT;
	mutex_lock(&owner->lock);
	f = follower_find(owner, s);
	if (!f && ack_needs_follower(arg))
		ret = -EINVAL;
	else
		ret = ack_apply(s, arg);
	if (!ret && (arg->flags & CPTDEV_ACK_DETACH))
		follower_remove(f);
	mutex_unlock(&owner->lock);
	cptdev_session_put(s);
	return ret;
}
