// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The soft engine: generations of a session that are kept on this host, CPTDEV_IOC_KEEP. Each is
 * committed to the replica of the session's name before it is published, by the same code that commits what
 * another host sends. So the replica never lacks a generation that was acknowledged: one that can't
 * be kept takes the replica with it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bounds.h"
#include "log.h"
#include "soft_parts.h"
#include "uuid.h"

static struct soft_session *session_of(const struct soft *s, const char *name)
{
	struct soft_session *se;

	LIST_FOREACH(se, &s->sessions, entry)
		if (!strcmp(se->rec.name, name))
			return se;
	return NULL;
}

/* What the replica has of this session; 0: nothing. */
static u64 kept_of(const struct soft_replica *r, const struct soft_session *se)
{
	return r && r->kept && uuid_same(r->rec.uuid, se->rec.uuid) ? r->rec.generation : 0;
}

/* Nobody goes on from the replica that was kept so far. */
static void give_up(struct soft *s, struct soft_session *se, struct soft_replica *r, const char *why)
{
	se->keeps = false;
	log_warn("session %s: generation %llu isn't kept on this host for a restart: %s; no further one is, either",
		 se->rec.name, se->rec.generation + 1, why);
	if (r && r->kept)
		soft_replica_remove(s, r);
}

int soft_keep_ioctl(struct soft *s, struct soft_session *se, const struct cptdev_keep *arg)
{
	if (arg->flags & ~CPTDEV_KEEP_STOP)
		return -EOPNOTSUPP;
	if (!se)
		return -ENOENT;
	se->keeps = !(arg->flags & CPTDEV_KEEP_STOP);
	se->keep_max = arg->max_bytes;
	/* What was published before isn't there: the next one reaches back to what is. */
	if (se->keeps && se->rec.published)
		se->base = MIN(se->base, kept_of(soft_replica_find(s, se->rec.name), se));
	return 0;
}

static int copy_of(const void *from, size_t len, void *to)
{
	void *v = malloc(len + 1);

	if (!v)
		return -ENOMEM;
	if (len)
		memcpy(v, from, len);
	*(void **)to = v;
	return 0;
}

/* The pages of the extents of one kind. */
static int pages_of(const struct soft_snap *snap, u32 kind, struct soft_set *set)
{
	int ret = 0;
	u32 i;

	for (i = 0; !ret && i < snap->nr_extents; i++)
		if (snap->extents[i].kind == kind)
			ret = soft_set_add(set, snap->extents[i].addr / SOFT_PAGE,
					   (snap->extents[i].addr + snap->extents[i].len) / SOFT_PAGE);
	return ret;
}

/* Pages that become holes: of those that have content. */
static int stage_holes(struct soft_replica *r, const struct soft_snap *snap)
{
	u64 pos, end, from, to;
	int ret = 0;
	u32 i;

	for (i = 0; !ret && i < snap->nr_extents; i++) {
		if (snap->extents[i].kind != CPTDEV_EXTENT_HOLE)
			continue;
		pos = snap->extents[i].addr / SOFT_PAGE;
		end = pos + snap->extents[i].len / SOFT_PAGE;
		for (; !ret && pos < end && soft_set_run(&r->content.set, pos, &from, &to) && from < end;
		     pos = to)
			ret = soft_set_add(&r->stage.holes, from, MIN(to, end));
	}
	return ret;
}

static int stage(struct soft *s, struct soft_replica *r, const struct soft_session *se,
		 const struct soft_snap *snap)
{
	struct soft_stage *st = &r->stage;
	struct soft_set data = {};
	int ret = pages_of(snap, CPTDEV_EXTENT_DATA, &data);

	st->base = snap->base;
	st->term = se->rec.term;
	memcpy(st->uuid, se->rec.uuid, sizeof(st->uuid));
	r->rec.staging = se->rec.generation + 1;
	if (!ret)
		ret = copy_of(snap->layout.v, snap->layout.nr * sizeof(*snap->layout.v), &st->layout.v);
	if (!ret) {
		st->layout.nr = snap->layout.nr;
		ret = copy_of(snap->meta.v, snap->meta.len, &st->meta.v);
	}
	if (!ret) {
		st->meta.len = snap->meta.len;
		ret = soft_stage_fits(s, r, data.pages) ? 0 : -EDQUOT;
	}
	if (!ret && data.pages)
		ret = soft_pages_unpack(&st->data, &data, snap->fd, 0);
	if (!ret && st->base)
		ret = stage_holes(r, snap);
	soft_set_free(&data);
	return ret;
}

/* 0 or a negative errno, and then the replica is as it was. */
static int commit(struct soft *s, struct soft_replica *r, const struct soft_session *se,
		  const struct soft_snap *snap)
{
	int ret = r->frozen ? -EBUSY : stage(s, r, se, snap);

	if (!ret)
		return soft_stage_back(s, r);
	soft_stage_drop(r);
	return ret;
}

static struct soft_replica *replica_for(struct soft *s, const struct soft_session *se)
{
	const struct soft_caller who = { .uid = se->rec.uid, .capable = true };
	struct soft_replica *r = soft_replica_find(s, se->rec.name);

	if (!r && soft_replica_create(s, se->rec.name, se->keep_max, &who, &r))
		return NULL;
	return r;
}

/* The snapshot doesn't begin where the replica ends. Again with the next one, which does. */
static void gap(struct soft *s, struct soft_session *se, struct soft_replica *r)
{
	if (r->kept)
		soft_replica_remove(s, r);
	se->base = 0;
}

void soft_keep(struct soft *s, struct soft_session *se, const struct soft_snap *snap)
{
	struct soft_replica *r;
	int ret;

	if (!se->keeps)
		return;
	r = replica_for(s, se);
	if (!r) {
		give_up(s, se, NULL, "no memory");
		return;
	}
	/* Another host's program has gone on, or is about to. */
	if (se->state.flags & CPTDEV_STATE_FENCED || r->rec.term > se->rec.term ||
	    r->stage.owner >= 0 || r->rec.uid != se->rec.uid) {
		give_up(s, se, NULL, "the replica is another one's");
		return;
	}
	if (snap->base > kept_of(r, se)) {
		gap(s, se, r);
		return;
	}
	ret = commit(s, r, se, snap);
	if (ret) {
		give_up(s, se, r, strerror(-ret));
		return;
	}
	r->kept = true;
	soft_replica_tell(s, r, CPTDEV_CMD_REPLICA_COMMITTED_NTF);
}

/* What may be gone without anybody missing it at once: of programs that have ended first. */
static struct soft_replica *expendable(struct soft *s, const struct soft_replica *but)
{
	struct soft_replica *r, *other = NULL;

	for (r = LIST_FIRST(&s->replicas); r; r = LIST_NEXT(r, entry)) {
		if (r == but || !r->named || !r->kept || r->promoted || r->rec.waiters || r->frozen)
			continue;
		if (!session_of(s, r->rec.name))
			return r;
		other = r;
	}
	return other;
}

bool soft_keep_give_way(struct soft *s, const struct soft_replica *but)
{
	struct soft_replica *r = expendable(s, but);
	struct soft_session *se;

	if (!r)
		return false;
	se = session_of(s, r->rec.name);
	if (se)
		se->keeps = false;
	log_warn("replica %s, which is kept for a restart, is given up: there is no room for another one",
		 r->rec.name);
	soft_replica_remove(s, r);
	return true;
}
