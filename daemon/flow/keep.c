// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A program that crashes on a healthy host goes on from its last generation on the spot (keep = restart).
 *
 *   it lives	the engine keeps what it publishes, in the replica of its name on this host, before
 *		anybody hears of it: so the replica never lacks what was acknowledged
 *   it fails	the spare's host isn't told for restart_s
 *   it is back	it asks before it begins (start.c), and waits for the replica like a spare; takeback.c
 *		promotes it, after the other host has agreed: one of both goes on
 *   it isn't	the spare's host is told, and may take over. The kept replica is removed keep_s after
 *		the failure; or replaced by the replica that the other host feeds
 *
 * A record whose replica isn't the kept one, or lacks something, goes the ways that it went before.
 */
#include <errno.h>
#include <string.h>

#include "daemon.h"
#include "json.h"
#include "log.h"

static const struct conf_session *policy(struct daemon *d, const char *name)
{
	return conf_session(&d->conf, name);
}

static bool kept(struct daemon *d, const char *name, struct cptdev_image_info *info)
{
	int fd = kernel_replica_open(d->kernel, name, 0), ret;

	if (fd < 0)
		return false;
	ret = kernel_image_info(d->kernel, fd, info);
	d->kernel->ops->close(d->kernel, fd);
	return !ret && info->state & CPTDEV_IMAGE_KEPT;
}

bool keep_has(struct daemon *d, const struct record *r)
{
	struct cptdev_image_info info;

	return r && kept(d, r->name, &info) && record_goes_on_from(r, &info);
}

/* With several spares each of them would have to agree: the old ways do for them. */
bool keep_offers(struct daemon *d, const struct record *r)
{
	const struct out *o;

	if (!r || !keep_has(d, r))
		return false;
	if (!record_has_rival(r))
		return true;
	o = &takeback_peer(d, r)->out;
	return r->nr_followers < 2 && !takeback_elsewhere(d, r) &&
		(o->state != OUT_UP || o->features & WIRE_FEATURE_KEPT);
}

/*
 * While the program lives
 */

static bool wanted(struct daemon *d, const struct known *k)
{
	return policy(d, k->rec.name)->keep == KEEP_RESTART && k->decided && !k->undecided &&
		!*k->barred && !(k->rec.flags & CPTDEV_GENL_SESSION_FENCED);
}

/* Nobody waits for it any more, so the complete list of sessions can be sent: out_listed(). */
static void wait_over(struct daemon *d, struct recorded *e)
{
	if (e->back_until)
		loop_arm(&d->loop, &d->redump, 0);
	e->back_until = 0;
}

void keep_session(struct daemon *d, struct known *k)
{
	bool keep = *k->rec.name && wanted(d, k);
	struct recorded *e;
	int ret;

	if (k->keeps == keep)
		return;
	k->keeps = keep;
	ret = kernel_keep(d->kernel, k->rec.id, (u64)policy(d, k->rec.name)->keep_mib << 20, !keep);
	if (ret && ret != -ENOENT && keep)
		tell(&d->tell, LOG_WARNING, TELL_SESSION, k->rec.name,
		     "session %s: nothing is kept for a restart: %s", k->rec.name,
		     ret == -ENOTTY ? "the module is too old" : strerror(-ret));
	/* From now on it lacks what is acknowledged; a record on disk may be older than that. */
	if (policy(d, k->rec.name)->keep != KEEP_RESTART)
		keep_drop(d, k->rec.name, "the configuration says keep = no");
	e = recorded_find(d, k->rec.name);
	/* The program is back. */
	if (e && keep) {
		wait_over(d, e);
		e->keep_until = 0;
	}
}

void keep_reload(struct daemon *d)
{
	struct known *k;

	LIST_FOREACH(k, &d->sessions, entry)
		keep_session(d, k);
}

/*
 * It has ended
 */

static void arm(struct daemon *d)
{
	u64 now = clock_mono(), next = 0;
	struct recorded *e;

	LIST_FOREACH(e, &d->records, entry) {
		if (e->back_until)
			next = next ? MIN(next, e->back_until) : e->back_until;
		if (e->keep_until)
			next = next ? MIN(next, e->keep_until) : e->keep_until;
	}
	if (next)
		loop_arm(&d->loop, &d->keep, next > now ? next - now : 0);
	else
		loop_disarm(&d->keep);
}

/*
 * Links that were made to the spare that is in step, if it is linked. As long as it is the same one its host has
 * kept its memory.
 */
static u64 link_of_spare(struct daemon *d, const struct record *r)
{
	const struct peer *p;

	LIST_FOREACH(p, &d->peers, entry)
		if (record_has_rival(r) && p->out.state == OUT_UP &&
		    record_follows(r, p->out.node.uuid))
			return p->out.connects;
	return 0;
}

bool keep_failed(struct daemon *d, const char *name, const char *text)
{
	const struct conf_session *p = policy(d, name);
	struct recorded *e = recorded_find(d, name);

	if (!e || p->keep != KEEP_RESTART || !keep_has(d, &e->r))
		return false;
	/* Only a failure that is on record: is_late() tells nothing else. */
	e->back_until = p->restart_s && e->r.failed ?
		clock_mono() + p->restart_s * NSEC_PER_SEC : 0;
	e->keep_until = clock_mono() + p->keep_s * NSEC_PER_SEC;
	e->kept_on = link_of_spare(d, &e->r);
	snprintf(e->failed_how, sizeof(e->failed_how), "%s", text);
	arm(d);
	return e->back_until;
}

void keep_missed(struct daemon *d, const char *name)
{
	struct recorded *e = recorded_find(d, name);

	if (!e || e->keep_until || !keep_has(d, &e->r))
		return;
	e->keep_until = clock_mono() + policy(d, name)->keep_s * NSEC_PER_SEC;
	arm(d);
}

void keep_overtaken(struct daemon *d, const char *name)
{
	struct recorded *e = recorded_find(d, name);
	struct cptdev_image_info info;

	if (!e || e->keep_until || !kept(d, name, &info))
		return;
	wait_over(d, e);
	e->keep_until = clock_mono() + policy(d, name)->keep_s * NSEC_PER_SEC;
	arm(d);
}

bool keep_waits(const struct recorded *e)
{
	return e->back_until;
}

/* A program that has asked by now is promoted, or the other host has been. */
static void is_late(struct daemon *d, struct recorded *e)
{
	wait_over(d, e);
	if (e->damaged || e->r.role != RECORD_PRIMARY || !e->r.failed)
		return;
	tell(&d->tell, LOG_WARNING, TELL_SESSION, e->r.name,
	     "the program of session %s isn't back on this host: its spare may take over", e->r.name);
	ends_failed(d, &e->r, e->failed_how);
}

void keep_drop(struct daemon *d, const char *name, const char *why)
{
	struct recorded *e = recorded_find(d, name);
	struct cptdev_image_info info;
	struct held *h;
	int fd;

	if (!e || e->damaged || e->r.role != RECORD_PRIMARY || !kept(d, name, &info))
		return;
	e->keep_until = 0;
	/* A program waits with it, which becomes the spare. */
	h = held_refresh(d) ? NULL : held_find(d, name);
	if (!h || h->waiters)
		return;
	fd = kernel_replica_open(d->kernel, name, CPTDEV_REPLICA_WRITE);
	if (fd < 0)
		return;
	if (!kernel_replica_remove(d->kernel, fd))
		tell(&d->tell, LOG_INFO, TELL_SESSION, name,
		     "%s: what was kept for a restart, generation %llu, is removed: %s", name,
		     info.generation, why);
	d->kernel->ops->close(d->kernel, fd);
}

/* Not what may be the last copy: that stays until a program goes on from it, or a person removes it. */
static void its_time_is_over(struct daemon *d, const struct recorded *e)
{
	if (e->damaged)
		return;
	if (e->r.outdated)
		keep_drop(d, e->r.name, "another host has gone on");
	else if (e->kept_on && e->kept_on == link_of_spare(d, &e->r))
		keep_drop(d, e->r.name, "its program isn't back, and the spare has everything");
	else if (keep_has(d, &e->r))
		tell(&d->tell, LOG_WARNING, TELL_SESSION, e->r.name,
		     "the program of session %s isn't back: what was kept of it may be the only copy, and stays. Next: start the program; if its data may be lost: %s",
		     e->r.name, ADVICE(d, "replica remove", e->r.name));
}

static void keep_timer(struct timer *t)
{
	struct daemon *d = container_of(t, struct daemon, keep);
	u64 now = clock_mono();
	struct recorded *e;

	LIST_FOREACH(e, &d->records, entry) {
		if (e->back_until && e->back_until <= now)
			is_late(d, e);
		if (!e->keep_until || e->keep_until > now)
			continue;
		e->keep_until = 0;
		/* The spare may take over now, whatever it was waiting for. */
		if (e->back_until)
			is_late(d, e);
		its_time_is_over(d, e);
	}
	arm(d);
}

void keep_give_up(struct daemon *d)
{
	struct recorded *e;

	LIST_FOREACH(e, &d->records, entry)
		if (e->back_until)
			is_late(d, e);
}

void keep_open(struct daemon *d)
{
	d->keep = (struct timer) { .fn = keep_timer };
}

void keep_close(struct daemon *d)
{
	loop_disarm(&d->keep);
}

struct json_object *keep_json(struct daemon *d, const struct recorded *e)
{
	u64 now = clock_mono(), until = e->keep_until;
	struct cptdev_image_info info;
	struct json_object *o;

	if (e->damaged || !kept(d, e->r.name, &info) || !record_goes_on_from(&e->r, &info))
		return NULL;
	o = js_new();
	js_u64(o, "generation", info.generation);
	js_u64(o, "bytes", info.pages * d->self.page_size);
	if (until)
		js_u64(o, "removed_in_ms", until > now ? (until - now) / NSEC_PER_MSEC : 0);
	else
		js_null(o, "removed_in_ms");
	js_bool(o, "spare_waits", e->back_until);
	return o;
}
