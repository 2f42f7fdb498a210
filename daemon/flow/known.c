// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The sessions of this host: dumped once, then kept up to date by events. What was
 * missed, when the socket overflows, is dumped again. Without the module there are none;
 * the kernel tells when it is loaded.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon.h"
#include "log.h"

#define REDUMP_NS	NSEC_PER_SEC
/* Dumps for lost events are at least so far apart: each may cause further events. */
#define DUMP_PAUSE_NS	(50 * NSEC_PER_MSEC)

static struct known *known_find(struct daemon *d, u64 id)
{
	struct known *k;

	LIST_FOREACH(k, &d->sessions, entry)
		if (k->rec.id == id)
			return k;
	return NULL;
}

/* Of several with one name the one with the highest term. */
struct known *known_find_name(struct daemon *d, const char *name)
{
	struct known *k, *newest = NULL;

	LIST_FOREACH(k, &d->sessions, entry)
		if (!strcmp(k->rec.name, name) &&
		    (!newest || k->rec.term > newest->rec.term))
			newest = k;
	return newest;
}

struct sums *known_sums(struct daemon *d, struct known *k)
{
	d->checksums.max = (u64)d->conf.checksums_mib << 20;
	if (!d->checksums.max) {
		if (k->sums)
			sums_clear(k->sums);
		return NULL;
	}
	if (!k->sums)
		k->sums = sums_new(&d->checksums, d->self.page_size);
	return k->sums;
}

static void known_remove(struct daemon *d, struct known *k)
{
	struct peer *p;

	LIST_FOREACH(p, &d->peers, entry)
		out_gone(&p->out, k);
	LIST_REMOVE(k, entry);
	sums_free(k->sums);
	free(k);
	switch_look(d);
}

static void known_ended(struct daemon *d, struct known *k, u32 end, u32 code)
{
	ends_session(d, k, end, code);
	known_remove(d, k);
}

/*
 * An event may be older than the dump that it comes after: numbers don't go back, and a fence
 * isn't taken away.
 */
static void known_merge(struct session_rec *to, const struct session_rec *rec)
{
	u64 generation = MAX(to->generation, rec->generation);
	u64 published = MAX(to->published, rec->published);
	u64 committed = MAX(to->committed, rec->committed);
	u32 fenced = to->flags & CPTDEV_GENL_SESSION_FENCED;

	*to = *rec;
	to->generation = generation;
	to->published = published;
	to->committed = committed;
	to->flags |= fenced;
}

static void known_update(struct daemon *d, const struct session_rec *rec)
{
	struct known *k = known_find(d, rec->id);
	struct peer *p;
	bool hung;

	if (!k) {
		k = calloc(1, sizeof(*k));
		if (!k) {
			loop_arm(&d->loop, &d->redump, REDUMP_NS);
			return;
		}
		TAILQ_INIT(&k->ships);
		k->without = clock_mono();
		k->lease_until = rec->lease_until;
		k->blocked = rec->flags & CPTDEV_GENL_SESSION_BLOCKED;
		LIST_INSERT_HEAD(&d->sessions, k, entry);
	}
	hung = k->rec.flags & CPTDEV_GENL_SESSION_HUNG;
	known_merge(&k->rec, rec);
	k->seen = true;
	fence_known_term(d, k);
	records_session(d, k);
	keep_session(d, k);
	LIST_FOREACH(p, &d->peers, entry)
		out_known(&p->out, k);
	alone_known(d, k);
	hung_look(d, k, hung);
	switch_look(d);
}

/* In rounds there may be room, see rounds.c. */
static void known_limited(struct known *k)
{
	struct ship *s;

	k->limited = true;
	TAILQ_FOREACH(s, &k->ships, of_session)
		if (s->state == SHIP_WAITING)
			ship_event(s, SHIP_SNAPSHOT);
}

static void known_event(const struct kernel_event *ev, void *arg)
{
	struct daemon *d = arg;
	struct known *k;

	if (!ev->session) {
		held_event(d, ev);
		return;
	}
	if (ev->cmd != CPTDEV_CMD_SESSION_GONE_NTF)
		known_update(d, ev->session);
	k = known_find(d, ev->session->id);
	if (k && ev->cmd == CPTDEV_CMD_LIMIT_NTF)
		known_limited(k);
	if (k && ev->cmd == CPTDEV_CMD_SESSION_GONE_NTF)
		known_ended(d, k, ev->session->end, ev->session->end_code);
}

static void known_sweep(struct daemon *d)
{
	struct known *k, *next;

	for (k = LIST_FIRST(&d->sessions); k; k = next) {
		next = LIST_NEXT(k, entry);
		/* Nobody saw how it ended. */
		if (!k->seen)
			known_ended(d, k, CPTDEV_END_UNKNOWN, 0);
	}
}

static void module_there(struct daemon *d, bool there, bool first)
{
	if (there && !d->module)
		tell(&d->tell, LOG_NOTICE, TELL_KERNEL, "module", "the module is loaded");
	if (!there && (d->module || first))
		tell(&d->tell, LOG_WARNING, TELL_KERNEL, "module",
		     "the module cptdev isn't loaded: waiting for it. Next: modprobe cptdev; if that fails, cptdevctl check");
	d->module = there;
}

/* Ask for all of them, and forget those that aren't there any more. */
static void known_dump(struct daemon *d, bool first)
{
	struct known *k;
	struct peer *p;
	int ret;

	d->dumped_at = d->loop.now;
	loop_disarm(&d->redump);
	LIST_FOREACH(k, &d->sessions, entry)
		k->seen = false;
	ret = d->kernel->ops->dump(d->kernel, CPTDEV_CMD_SESSION_GET, known_event, d);
	if (!ret)
		ret = held_refresh(d);
	module_there(d, ret != -ENOENT, first);
	d->complete = !ret || ret == -ENOENT;
	if (ret && ret != -ENOENT) {
		tell(&d->tell, LOG_WARNING, TELL_KERNEL, "sessions",
		     "can't ask the kernel for sessions: %s; trying again", strerror(-ret));
		loop_arm(&d->loop, &d->redump, REDUMP_NS);
		return;
	}
	known_sweep(d);
	ends_missed(d);
	LIST_FOREACH(p, &d->peers, entry)
		out_listed(&p->out);
}

/* What happened is read first: how a session ended isn't in the dump. */
void known_refresh(struct daemon *d)
{
	d->kernel->ops->events(d->kernel, known_event, d);
	known_dump(d, false);
}

/* After a failure the socket is looked at again, too. */
static void known_redump(struct timer *t)
{
	struct daemon *d = container_of(t, struct daemon, redump);

	if (d->events.fd < 0 && loop_watch(&d->loop, &d->events, d->events_fd, EPOLLIN)) {
		loop_arm(&d->loop, t, REDUMP_NS);
		return;
	}
	known_dump(d, false);
}

static void known_dump_soon(struct daemon *d)
{
	u64 since = d->loop.now - d->dumped_at;

	if (since >= DUMP_PAUSE_NS)
		known_dump(d, false);
	else if (!d->redump.armed)
		loop_arm(&d->loop, &d->redump, DUMP_PAUSE_NS - since);
}

/* A socket that can't be read stays readable: it isn't looked at for a while. */
static void known_pause(struct daemon *d, int err)
{
	tell(&d->tell, LOG_WARNING, TELL_KERNEL, "events",
	     "can't read events of the kernel: %s; trying again", strerror(err));
	loop_unwatch(&d->loop, &d->events);
	loop_arm(&d->loop, &d->redump, REDUMP_NS);
}

static void known_readable(struct watch *w, u32 events)
{
	struct daemon *d = container_of(w, struct daemon, events);
	int ret = d->kernel->ops->events(d->kernel, known_event, d);

	(void)events;
	if (ret == -ENOBUFS)
		tell(&d->tell, LOG_INFO, TELL_KERNEL, "events",
		     "events of the kernel were lost: asking for the state");
	if (ret < 0 && ret != -ENOBUFS)
		known_pause(d, -ret);
	else if (ret)
		known_dump_soon(d);
}

int known_open(struct daemon *d)
{
	int fd, ret;

	LIST_INIT(&d->sessions);
	d->redump.fn = known_redump;
	d->events = (struct watch) { .fd = -1, .fn = known_readable };
	fd = d->kernel->ops->listen(d->kernel);
	if (fd < 0) {
		log_err("can't listen to the kernel: netlink: %s", strerror(-fd));
		return fd;
	}
	d->events_fd = fd;
	ret = loop_watch(&d->loop, &d->events, fd, EPOLLIN);
	if (!ret)
		known_dump(d, true);
	return ret;
}

void known_close(struct daemon *d)
{
	loop_unwatch(&d->loop, &d->events);
	loop_disarm(&d->redump);
	while (!LIST_EMPTY(&d->sessions))
		known_remove(d, LIST_FIRST(&d->sessions));
}
