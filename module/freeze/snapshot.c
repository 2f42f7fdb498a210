// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev: SNAPSHOT. Takes the locks around the cut, and returns or publishes the result. The parts
 * that a round has, too, are for round.c.
 */
#include <linux/ktime.h>
#include <linux/mmap_lock.h>

#include "cut.h"
#include "../trace.h"
#include "../mutants.h"

/* What a cut needs before anything is locked: an empty snapshot, and the limits for it. */
int cptdev_cut_begin(struct cut *cut, struct cptdev_session *s, u64 base)
{
	lockdep_assert_held(&s->lock);
	*cut = (struct cut) {
		.walk = { .s = s, .bits = CPTDEV_PTE_WRITE, .cut = true,
			  .table = cptdev_cut_table, .quick = cptdev_cut_quick,
			  .empty = cptdev_cut_empty },
		.base = base,
	};
	cptdev_snap_settle(s);
	cut->snap = cptdev_snap_alloc(s);
	if (!cut->snap)
		return -ENOMEM;
	cut->snap->group_max = cptdev_group_room(s);
	cut->snap->user_max = cptdev_user_held_max(s->capable);
	return 0;
}

/*
 * The instant itself. session->lock is held. Rounds of one pass have one generation, unless there
 * was another cut in between: then what they find has changed after that.
 */
int cptdev_cut_locked(struct cut *cut, u64 *pause_ns)
{
	struct cptdev_session *s = cut->walk.s;
	u64 start;
	int ret;

	ret = cptdev_flush_lock(s, true);
	if (ret)
		return ret;
	start = ktime_get_ns();
	ret = cptdev_layout_take(s, &cut->walk);
	if (!ret) {
		if (!cut->pass || !cptdev_pass_newest(cut))
			WRITE_ONCE(s->generation, s->generation + 1);
		cut->generation = s->generation;
		cut->deadline = start + cut->pause_max;
		ret = cptdev_cut_all(cut);
	}
	*pause_ns = ktime_get_ns() - start;
	cptdev_flush_unlock(s, true);
	return ret;
}

int cptdev_cut_seal(struct cut *cut)
{
	struct cptdev_snap *snap = cut->snap;

	snap->generation = cut->generation;
	snap->base = cut->base;
	snap->layout = cptdev_layout_get(cut->walk.s->layout);
	return cptdev_snap_seal(snap);
}

/* The snapshot is whole and somebody has it: now others may continue from it. */
static void cut_done(struct cut *cut, struct cptdev_snapshot *arg)
{
	struct cptdev_session *s = cut->walk.s;
	struct cptdev_snap *snap = cut->snap;

	arg->base = snap->base;
	arg->pages = cptdev_snap_pages(snap);
	arg->holes = snap->holes;
	s->newest = snap->generation;
	s->last_pages = arg->pages;
	s->last_pause = arg->pause_ns;
	s->nr_snapshots++;
}

static int snapshot_valid(const struct cptdev_snapshot *arg)
{
	const u32 wait = CPTDEV_SNAPSHOT_WAIT | CPTDEV_SNAPSHOT_PUBLISH;

	if (arg->flags & ~CPTDEV_SNAPSHOT_FLAGS)
		return -EOPNOTSUPP;
	if (arg->reserved)
		return -EINVAL;
	/* Only what is published can reach the spare, in its own order. */
	if ((arg->flags & wait) == CPTDEV_SNAPSHOT_WAIT)
		return -EINVAL;
	if (!(arg->flags & CPTDEV_SNAPSHOT_SINCE) && arg->since)
		return -EINVAL;
	if (!(arg->flags & CPTDEV_SNAPSHOT_WAIT) && arg->timeout_ns)
		return -EINVAL;
	/* A snapshot that nobody can read is no use. */
	if ((arg->flags & CPTDEV_SNAPSHOT_NOFD) &&
	    !(arg->flags & CPTDEV_SNAPSHOT_PUBLISH))
		return -EINVAL;
	return 0;
}

static int snapshot_base(struct cptdev_session *s, const struct cptdev_snapshot *arg,
			 u64 *base)
{
	*base = s->newest;
	if (arg->flags & CPTDEV_SNAPSHOT_PUBLISH)
		*base = cptdev_publish_base(s);
	if (!(arg->flags & CPTDEV_SNAPSHOT_SINCE))
		return 0;
	/* A published one may reach back further than asked, never less. */
	if (arg->since > s->generation)
		return -EINVAL;
	*base = arg->flags & CPTDEV_SNAPSHOT_PUBLISH ? min(*base, arg->since) :
		arg->since;
	return 0;
}

static int snapshot_try(struct cut *cut, struct cptdev_session *s,
			struct cptdev_snapshot *arg, struct cptdev_blob *meta)
{
	u64 base;
	int ret;

	ret = snapshot_base(s, arg, &base);
	if (ret)
		return ret;
	WRITE_ONCE(s->capable, cptdev_capable());
	ret = cptdev_cut_begin(cut, s, base);
	if (ret)
		return ret;
	cut->snap->meta = cptdev_blob_get(meta);
	ret = cptdev_cut_locked(cut, &arg->pause_ns);
	arg->generation = s->generation;
	arg->visited = cut->visited;
	arg->copied = cut->copied;
	arg->bad_addr = cut->walk.bad_addr;
	arg->reason = cut->walk.reason;
	if (ret == -EDQUOT)
		arg->reason = cut->snap->limit;
	return ret ?: cptdev_cut_seal(cut);
}

/* Something was given up: there may be room now. */
static int snapshot_again(struct cut *cut, struct cptdev_session *s,
			  struct cptdev_snapshot *arg, struct cptdev_blob *meta)
{
	cptdev_snap_put(cut->snap);
	cut->snap = NULL;
	cptdev_gone_settle();
	return snapshot_try(cut, s, arg, meta);
}

static int snapshot_take(struct cut *cut, struct cptdev_session *s,
			 struct cptdev_snapshot *arg, struct cptdev_blob *meta,
			 struct cptdev_call *call)
{
	int ret;

	ret = snapshot_try(cut, s, arg, meta);
	/* Before the program gets an error, what spares have fetched goes, and what nobody has. */
	if (ret == -EDQUOT && cptdev_publish_forget(s))
		ret = snapshot_again(cut, s, arg, meta);
	if (ret == -EDQUOT && arg->reason == CPTDEV_REASON_GROUP && cptdev_publish_drop(s))
		ret = snapshot_again(cut, s, arg, meta);
	if (!ret && !(arg->flags & CPTDEV_SNAPSHOT_NOFD)) {
		call->new_file = cptdev_snapfile(cut->snap);
		ret = PTR_ERR_OR_ZERO(call->new_file);
		if (ret)
			call->new_file = NULL;
	}
	if (!ret)
		cut_done(cut, arg);
	if (!ret && (arg->flags & CPTDEV_SNAPSHOT_PUBLISH))
		cptdev_publish(s, cut->snap);
	if (ret == -EDQUOT)
		cptdev_event_session(s, CPTDEV_CMD_LIMIT_NTF);
	trace_cptdev_snapshot(s, arg, ret);
	return ret;
}

/*
 * Nobody got it, so nobody continues from it. Somebody may have, meanwhile: what that one
 * has comes again, too. A published one is with the spare.
 */
static void snapshot_undo(struct cptdev_call *call, void *uarg)
{
	struct cptdev_session *s = call->filp->private_data;

	mutex_lock(&s->lock);
	s->newest = min(s->newest, call->before);
	mutex_unlock(&s->lock);
}

int cptdev_snapshot(struct cptdev_call *call, void *uarg)
{
	struct cptdev_session *s = call->filp->private_data;
	struct cptdev_snapshot *arg = uarg;
	struct cut cut = {};
	struct cptdev_blob *meta;
	struct cptdev_wait wait;
	int ret;

	ret = snapshot_valid(arg);
	if (!ret)
		ret = cptdev_session_enter(s);
	if (ret)
		return ret;
	meta = cptdev_blob_from_user(arg->meta, arg->meta_len);
	if (IS_ERR(meta))
		return PTR_ERR(meta);

	mutex_lock(&s->lock);
	call->before = s->newest;
	call->undo = snapshot_undo;
	ret = snapshot_take(&cut, s, arg, meta, call);
	mutex_unlock(&s->lock);

	cptdev_snap_put(cut.snap);
	cptdev_blob_put(meta);
	if (!ret && (arg->flags & CPTDEV_SNAPSHOT_WAIT))
		ret = cptdev_wait_committed(s, arg->generation, arg->timeout_ns, &wait);
	return ret;
}
