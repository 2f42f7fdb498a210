// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev: KEEP. What a session publishes is committed to the replica of its name on the same host,
 * before anybody hears of it. So a program that crashes and is started again goes on from there.
 *
 * Nothing is copied: the replica takes references to the frozen pages of the snapshot. Their
 * content doesn't change any more, for the reasons for which that of a snapshot doesn't: the cut
 * has removed the write permission and the exclusiveness, and copied whatever had I/O in flight.
 * As long as there is a reference the next store copies the page, a pin copies it, and giveback.c
 * doesn't make it exclusive. When the process ends the pages are the replica's alone.
 *
 * A generation that can't be kept takes the replica with it: what is left would lack what is
 * acknowledged later.
 */
#include <linux/slab.h>

#include "../freeze/snap.h"
#include "entry.h"

/* Stages for all sessions: nobody else may, as long as one of them does. */
static struct cptdev_replica_file keeper;

/* The generation that @r has of the session, 0: none. Under replica->stage_lock or ->sem. */
static u64 kept_of(const struct cptdev_replica *r, const struct cptdev_session *s)
{
	return r->kept && !r->removed && uuid_equal(&r->uuid, &s->uuid) ? r->generation : 0;
}

static u64 kept_now(struct cptdev_session *s)
{
	struct cptdev_replica *r = cptdev_replica_find(s->name);
	u64 generation;

	if (!r)
		return 0;
	down_read(&r->sem);
	generation = kept_of(r, s);
	up_read(&r->sem);
	cptdev_replica_put(r);
	return generation;
}

/* It stays as it is then. */
static bool has_name(struct cptdev_session *s)
{
	bool named;

	mutex_lock(&cptdev_sessions_lock);
	named = s->name[0];
	mutex_unlock(&cptdev_sessions_lock);
	return named;
}

int cptdev_keep_call(struct cptdev_call *call, void *uarg)
{
	struct cptdev_keep *arg = uarg;
	struct cptdev_session *s;
	u64 kept;

	if (arg->flags & ~CPTDEV_KEEP_STOP)
		return -EOPNOTSUPP;
	if (!cptdev_capable())
		return -EPERM;
	s = cptdev_session_find(arg->session_id);
	if (!s)
		return -ENOENT;
	if (!has_name(s)) {
		cptdev_session_put(s);
		return -ENOENT;
	}
	kept = kept_now(s);
	spin_lock(&s->pub_lock);
	s->keeps = !(arg->flags & CPTDEV_KEEP_STOP);
	s->kept = kept;
	s->keep_max = arg->max_bytes;
	/* What was published before isn't there: the next one reaches back to what is. */
	if (s->keeps && s->pub_newest)
		s->pub_base = min(s->pub_base, kept);
	spin_unlock(&s->pub_lock);
	cptdev_session_put(s);
	return 0;
}

static bool keeps(struct cptdev_session *s)
{
	bool keep;

	spin_lock(&s->pub_lock);
	if (s->state & CPTDEV_STATE_FENCED)
		s->keeps = false;
	keep = s->keeps;
	spin_unlock(&s->pub_lock);
	return keep;
}

static void keeps_no_more(struct cptdev_session *s)
{
	spin_lock(&s->pub_lock);
	s->keeps = false;
	spin_unlock(&s->pub_lock);
}

/* What is about to be committed. */
struct keep {
	struct cptdev_session *s;
	const struct cptdev_snap *snap;
	struct cptdev_replica *r;
	struct xarray *staged;
	u64 nr;
	unsigned long first;
	unsigned long last;
	bool create;			/* nothing of the session was kept before */
	bool gone;			/* the replica takes nothing any more */
};

static int keep_put(struct keep *k, unsigned long index, void *entry)
{
	int ret = xa_err(xa_store(k->staged, index, entry, GFP_KERNEL_ACCOUNT));

	if (ret)
		return ret;
	k->nr++;
	k->first = min(k->first, index);
	k->last = max(k->last, index);
	return 0;
}

/* References to all pages of the snapshot. No lock of the replica is held: for room. */
static int keep_pages(struct keep *k)
{
	u64 i, at = 0;
	unsigned long index;
	void *entry;
	int ret;

	for (i = 0; i < k->snap->runs.nr; i++) {
		const struct cptdev_run *run = cptdev_vec_at(&k->snap->runs, i);

		if (cptdev_run_kind(run) != CPTDEV_EXTENT_DATA)
			continue;
		for (index = run->start >> PAGE_SHIFT; index < run->end >> PAGE_SHIFT; index++) {
			entry = cptdev_page_share(k->r, cptdev_snap_page(k->snap, at++));
			if (IS_ERR(entry))
				return PTR_ERR(entry);
			ret = keep_put(k, index, entry);
			if (ret) {
				cptdev_page_drop(k->r, entry);
				return ret;
			}
			cond_resched();
		}
	}
	return 0;
}

/* All that the commit may need is there before it begins. Under replica->stage_lock. */
static int keep_reserve(struct keep *k)
{
	struct cptdev_replica *r = k->r;
	unsigned long index;
	void *entry;
	int ret = 0;

	xa_for_each(k->staged, index, entry) {
		ret = cptdev_since_stage(r, index, index + 1);
		if (!ret && k->snap->base)
			ret = xa_reserve(r->pages, index, GFP_KERNEL_ACCOUNT);
		if (ret)
			break;
		cptdev_entry_shared(entry)->number = r->commits + 1;
		cond_resched();
	}
	return ret;
}

/* Pages with content that become holes. */
static int keep_holes(struct keep *k)
{
	unsigned long index;
	void *entry;
	int ret;
	u64 i;

	for (i = 0; k->snap->base && i < k->snap->runs.nr; i++) {
		const struct cptdev_run *run = cptdev_vec_at(&k->snap->runs, i);

		if (cptdev_run_kind(run) != CPTDEV_EXTENT_HOLE)
			continue;
		xa_for_each_range(k->r->pages, index, entry, run->start >> PAGE_SHIFT,
				  (run->end >> PAGE_SHIFT) - 1) {
			ret = keep_put(k, index, CPTDEV_STAGED_HOLE);
			if (ret)
				return ret;
			cond_resched();
		}
	}
	return 0;
}

/* Is the replica this session's, or does the session go on from it? */
static int keep_valid(const struct keep *k)
{
	const struct cptdev_replica *r = k->r;

	if (r->removed)
		return -ENOENT;
	if (r->stager || r->term > k->s->term || !uid_eq(r->uid, k->s->uid))
		return -ESTALE;
	return k->snap->base > kept_of(r, k->s) ? -EILSEQ : 0;
}

static void keep_stage(struct keep *k, struct cptdev_gone *gone)
{
	struct cptdev_replica *r = k->r;

	r->stager = &keeper;
	r->staging = (struct cptdev_staging) {
		.generation = k->snap->generation,
		.base = k->snap->base,
		.term = k->s->term,
		.uuid = k->s->uuid,
		.layout = cptdev_layout_get(k->snap->layout),
		.meta = cptdev_blob_get(k->snap->meta),
		.gone = gone,
		.first = k->first,
		.last = k->last,
	};
	r->staged = k->staged;
	r->nr_staged = k->nr;
	k->staged = NULL;
}

/*
 * The generation isn't kept: is the replica to go? Not one that a later term has, whatever the
 * reason is. Under the lock under which it may be promoted.
 */
static void keep_failed(struct keep *k, int ret)
{
	if (ret == -ESTALE || (ret == -EILSEQ && k->create) || !k->r->kept)
		return;
	WRITE_ONCE(k->r->removed, true);
	k->gone = true;
}

/* Under replica->stage_lock. */
static int keep_commit(struct keep *k, struct cptdev_gone **gone)
{
	struct cptdev_replica *r = k->r;
	int ret;

	/* First: it drops records of groups without pages, and such are made here. */
	cptdev_since_trim(r);
	ret = keep_reserve(k);
	if (!ret)
		ret = keep_holes(k);
	if (ret)
		return ret;
	keep_stage(k, *gone);
	*gone = NULL;
	ret = cptdev_stage_apply(r);
	if (ret)
		cptdev_stage_drop(r);
	else
		r->kept = true;
	return ret;
}

static int keep(struct keep *k)
{
	struct cptdev_gone *gone = cptdev_gone_alloc();
	int ret = -ENOMEM;

	k->staged = cptdev_pages_alloc();
	if (gone && k->staged)
		ret = keep_pages(k);
	mutex_lock(&k->r->stage_lock);
	ret = keep_valid(k) ?: ret;
	if (!ret)
		ret = keep_commit(k, &gone);
	if (ret)
		keep_failed(k, ret);
	mutex_unlock(&k->r->stage_lock);
	/* What isn't staged now; places that were reserved in vain stay, or go with the replica. */
	cptdev_pages_free(k->r, k->staged);
	kfree(gone);
	return ret;
}

/*
 * Called before @snap is published, under session->lock. Not before the generation is kept can
 * anybody acknowledge it.
 */
void cptdev_keep(struct cptdev_session *s, const struct cptdev_snap *snap)
{
	struct keep k = { .s = s, .snap = snap, .first = ULONG_MAX };
	int ret;

	lockdep_assert_held(&s->lock);
	if (!keeps(s))
		return;
	/* What was kept is gone: somebody needed its memory, or a person has removed it. */
	k.create = !s->kept;
	k.r = cptdev_replica_for(s, k.create);
	if (IS_ERR(k.r)) {
		keeps_no_more(s);
		return;
	}
	ret = keep(&k);
	if (!ret) {
		spin_lock(&s->pub_lock);
		s->kept = snap->generation;
		spin_unlock(&s->pub_lock);
		wake_up_all(&k.r->wq);
		cptdev_event_replica(k.r, CPTDEV_CMD_REPLICA_COMMITTED_NTF);
	} else if (ret == -EILSEQ && k.create) {
		/* The next one has everything. */
		spin_lock(&s->pub_lock);
		s->pub_base = 0;
		spin_unlock(&s->pub_lock);
	} else {
		keeps_no_more(s);
		if (k.gone)
			cptdev_replica_drop(k.r);
	}
	cptdev_replica_put(k.r);
}

static bool is_expendable(const struct cptdev_replica *r)
{
	return READ_ONCE(r->kept) && !READ_ONCE(r->promoted) && !READ_ONCE(r->removed) &&
		!atomic_read(&r->waiters);
}

/* A kept replica other than @but, which nobody waits for, referenced, or NULL. */
static struct cptdev_replica *expendable(const struct cptdev_replica *but)
{
	struct cptdev_replica *r, *found = NULL;

	mutex_lock(&cptdev_replicas_lock);
	list_for_each_entry(r, &cptdev_replicas, entry) {
		if (r == but || !is_expendable(r))
			continue;
		found = r;
		kref_get(&found->ref);
		break;
	}
	mutex_unlock(&cptdev_replicas_lock);
	return found;
}

/*
 * There is no room for a page of @but, by the limit of all replicas: remove a kept one. No lock of
 * a replica is held. False: there is none.
 */
bool cptdev_keep_give_way(struct cptdev_replica *but)
{
	struct cptdev_replica *r = expendable(but);
	bool gone;

	if (!r)
		return false;
	mutex_lock(&r->stage_lock);
	/* It may have been promoted meanwhile: then it is looked for another one. */
	gone = is_expendable(r);
	if (gone)
		WRITE_ONCE(r->removed, true);
	mutex_unlock(&r->stage_lock);
	if (gone)
		cptdev_replica_drop(r);
	cptdev_replica_put(r);
	return true;
}
