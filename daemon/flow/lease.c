// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The primary's side of the lease (rule R7 of the failure model). A session has one as soon as
 * a spare follows it that may be promoted by itself, and from then on acknowledges and answers
 * only while the spare's answers keep coming. An answer lends until the time at which what it
 * answers was sent, plus the length; rules/lease.h has the arithmetic.
 *
 * The kernel keeps the time, so that the lease of a daemon that is stopped, killed or on a
 * suspended machine ends as well.
 */
#include <errno.h>
#include <string.h>

#include "daemon.h"
#include "log.h"
#include "uuid.h"

/* A lease that is in use and over: nothing was heard yet. */
#define OVER	1

/* Only a promotion by time-out relies on it, and only an engine that knows it can keep it. */
static bool lease_used(const struct out *o, const struct known *k)
{
	struct cptdev_info info;

	return conf_session(&o->d->conf, k->rec.name)->failover == FAILOVER_AUTO &&
		o->features & WIRE_FEATURE_LEASE &&
		!kernel_info(o->d->kernel, &info) && info.features & CPTDEV_FEATURE_LEASE;
}

static u64 lease_end(const struct out *o)
{
	u64 length = link_lease_ns(o->features, o->d->self.timeout_ms, o->node.timeout_ms);

	return o->answered ? o->answered + length : OVER;
}

/* 0: out of use. */
static int lease_tell(struct daemon *d, struct known *k, u64 until)
{
	struct cptdev_ack arg = {
		.flags = CPTDEV_ACK_LEASE, .session_id = k->rec.id, .lease_until_ns = until,
	};
	int ret = kernel_tell(d->kernel, &arg);

	if (!ret)
		k->lease_until = until ? MAX(until, k->lease_until) : 0;
	else if (ret != -ENOENT)
		tell(&d->tell, LOG_WARNING, TELL_SESSION, k->rec.name,
		     "session %s: can't set its lease: %s", k->rec.name, strerror(-ret));
	return ret;
}

int lease_begin(struct out *o, struct known *k)
{
	int ret;

	if (!lease_used(o, k))
		return k->lease_until || k->rec.lease_until ? lease_tell(o->d, k, 0) : 0;
	ret = lease_tell(o->d, k, lease_end(o));
	if (!ret)
		memcpy(k->lender, o->node.uuid, sizeof(k->lender));
	return ret == -ENOENT ? 0 : ret;
}

void lease_stop(struct daemon *d, struct known *k)
{
	if (k->lease_until || k->rec.lease_until)
		lease_tell(d, k, 0);
	k->lease_told = false;
}

static bool lent_by(const struct known *k, const struct out *o)
{
	return k->lease_until && uuid_same(k->lender, o->node.uuid);
}

void lease_answered(struct out *o, u64 sent)
{
	struct daemon *d = o->d;
	struct known *k;
	u64 until;

	if (sent <= o->answered)
		return;
	o->answered = sent;
	until = lease_end(o);
	for (k = LIST_FIRST(&d->sessions); k; k = LIST_NEXT(k, entry)) {
		if (!lent_by(k, o) || lease_tell(d, k, until) || !k->lease_told)
			continue;
		k->lease_told = false;
		tell_event(&d->tell, EVENT_UNBLOCKED, LOG_NOTICE, TELL_SESSION, k->rec.name,
			   "session %s: its spare answers again, so it goes on", k->rec.name);
		news_session(d, k, "lease-renewed");
	}
}

/* Sessions whose lease has run out are told of once. Returns when the next one does, 0: none. */
u64 lease_look(struct daemon *d)
{
	u64 now = clock_mono(), next = 0;
	struct known *k;

	for (k = LIST_FIRST(&d->sessions); k; k = LIST_NEXT(k, entry)) {
		if (k->lease_until <= OVER || k->lease_told)
			continue;
		if (now < k->lease_until) {
			next = next ? MIN(next, k->lease_until) : k->lease_until;
			continue;
		}
		k->lease_told = true;
		if (k->rec.flags & CPTDEV_GENL_SESSION_FENCED)
			continue;
		tell_event(&d->tell, EVENT_BLOCKED, LOG_ERR, TELL_SESSION, k->rec.name,
			   "session %s (pid %u): its lease is over, its spare may take over: nothing is acknowledged or answered until the spare is heard again. Next, if the spare's host is off for good: %s",
			   k->rec.name, k->rec.pid, ADVICE(d, "alone", k->rec.name));
		news_session(d, k, "lease-over");
	}
	return next;
}

/* `failover` was changed: what follows by now has a lease, or has none. */
void lease_reload(struct out *o)
{
	struct known *k;
	struct ship *s;

	for (k = LIST_FIRST(&o->d->sessions); k; k = LIST_NEXT(k, entry))
		if (conf_session(&o->d->conf, k->rec.name)->failover != FAILOVER_AUTO)
			lease_stop(o->d, k);
	TAILQ_FOREACH(s, &o->ships, entry)
		if (ship_follows(s) && !s->session->lease_until &&
		    !(s->told & WIRE_SESSION_OTHERS))
			lease_begin(o, s->session);
}
