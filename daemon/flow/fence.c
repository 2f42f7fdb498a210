// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fencing: whoever learns of a higher term tells the local session of that name at once, and
 * tells the peer what it knows. What a term is learned from:
 *
 *   a replica of this host	promoted, or fed by a session with that term
 *   a record of this host	the same, before it was started anew
 *   a session of the peer	SESSION
 *   a word of the peer		TERM, the term of SESSION_STATE, the code FENCED
 *
 * What the peer is told: the terms of this host's replicas and sessions, on every link that
 * is up, when the link is established and when a term rises. It doesn't matter which of the
 * two hosts could connect first, whether the session ever published, or whether there is
 * anything to ship.
 *
 * Terms are remembered in the records of this host (records.c), which are told as well.
 */
#include <errno.h>
#include <string.h>

#include "bounds.h"
#include "daemon.h"
#include "fetching.h"
#include "log.h"
#include "uuid.h"

/* A term of 1 isn't higher than any. */
#define TERM_LOWEST	1

#define RETRY_NS	NSEC_PER_SEC

static int fence_call(struct daemon *d, u64 id)
{
	int dev = d->kernel->ops->open(d->kernel), ret;

	if (dev < 0)
		return dev;
	ret = kernel_ack(d->kernel, dev, id, 0, CPTDEV_ACK_FENCED);
	d->kernel->ops->close(d->kernel, dev);
	return ret;
}

/* Nothing is as urgent, so it is tried until it works. */
void fence_session(struct daemon *d, struct known *k, const char *why)
{
	int ret;

	if (k->rec.flags & CPTDEV_GENL_SESSION_FENCED)
		return;
	ret = fence_call(d, k->rec.id);
	if (ret && ret != -ENOENT) {
		snprintf(k->fence_why, sizeof(k->fence_why), "%s", why);
		loop_arm(&d->loop, &d->fence_retry, RETRY_NS);
		tell(&d->tell, LOG_ERR, TELL_SESSION, k->rec.name,
		     "session %s: can't fence it: %s; trying again", k->rec.name,
		     strerror(-ret));
		return;
	}
	*k->fence_why = '\0';
	k->rec.flags |= CPTDEV_GENL_SESSION_FENCED;
	tell_event(&d->tell, EVENT_FENCED, LOG_ERR, TELL_SESSION, k->rec.name,
		   "session %s (pid %u) is FENCED: %s; it must stop serving", k->rec.name,
		   k->rec.pid, why);
}

static void fence_retry(struct timer *t)
{
	struct daemon *d = container_of(t, struct daemon, fence_retry);
	char why[WIRE_TEXT_MAX + 1];
	struct known *k;

	LIST_FOREACH(k, &d->sessions, entry) {
		if (!*k->fence_why)
			continue;
		strcpy(why, k->fence_why);
		fence_session(d, k, why);
	}
}

void fence_open(struct daemon *d)
{
	d->fence_retry.fn = fence_retry;
}

void fence_close(struct daemon *d)
{
	loop_disarm(&d->fence_retry);
}

static void fence_known(struct daemon *d, struct known *k, const char *who, u64 term)
{
	char why[WIRE_TEXT_MAX + 1];
	struct peer *p;

	snprintf(why, sizeof(why), "%s has term %llu, this session %llu", who, term,
		 k->rec.term);
	fence_session(d, k, why);
	LIST_FOREACH(p, &d->peers, entry)
		out_fence(&p->out, k, why);
}

void fence_below(struct daemon *d, const char *name, u64 term, const char *who)
{
	struct known *k;

	LIST_FOREACH(k, &d->sessions, entry)
		if (!strcmp(k->rec.name, name) && k->rec.term < term)
			fence_known(d, k, who, term);
}

u64 fence_highest(struct daemon *d, const char *name, const struct known *but)
{
	const struct record *r = record_of(d, name);
	const struct held *h = held_find(d, name);
	u64 highest = MAX(r ? r->term : 0, h ? h->term : 0);
	struct known *k;

	LIST_FOREACH(k, &d->sessions, entry)
		if (k != but && !*k->barred && !strcmp(k->rec.name, name))
			highest = MAX(highest, k->rec.term);
	return highest;
}

int fence_told(struct daemon *d, const char *name, u64 term, struct fault *f)
{
	u64 highest = fence_highest(d, name, NULL);

	if (!term_jumps(highest, term))
		return 0;
	return fault_set(f, WIRE_E_PROTOCOL,
			 "%s: term %llu is too far above %llu, the highest term that is known here", name,
			 term, highest);
}

/* Is there a higher term for this session, which is new here or has changed? */
static void fence_check(struct daemon *d, struct known *k)
{
	struct held *h;
	struct chan *c;
	struct in *in;

	if (!k->rec.name[0])
		return;
	h = held_find(d, k->rec.name);
	if (h && h->term > k->rec.term)
		fence_known(d, k, "the replica of this host", h->term);
	LIST_FOREACH(in, &d->ins, entry)
		LIST_FOREACH(c, &in->channels, entry)
			if (!strcmp(c->session.name, k->rec.name) &&
			    c->session.term > k->rec.term)
				fence_known(d, k, in->node.name, c->session.term);
}

/*
 * Telling the peer
 */

void fence_send(struct daemon *d, struct conn *c, const char *name, u64 term, const u8 *owner,
		u16 flags)
{
	u8 buf[128];
	struct writer w = { .p = buf, .cap = sizeof(buf) };
	struct msg_term m = { .term = term, .flags = flags | lost_flag(d, name, term) };

	strcpy(m.name, name);
	memcpy(m.owner, owner, sizeof(m.owner));
	term_encode(&w, &m);
	conn_send(c, WIRE_TERM, 0, &w);
}

static bool in_takes(const struct in *in)
{
	return in->state == IN_UP && in->features & WIRE_FEATURE_TERMS;
}

static bool out_takes(const struct out *o)
{
	return o->state == OUT_UP && o->features & WIRE_FEATURE_TERMS;
}

const u8 *fence_owner(struct daemon *d, const char *name, u64 term)
{
	const struct record *r = record_of(d, name);

	return r && r->term == term && record_used(r) ? r->owner : uuid_none;
}

void fence_announce(struct daemon *d, const char *name, u64 term, const u8 *owner, u16 flags)
{
	struct peer *p;
	struct in *in;

	LIST_FOREACH(p, &d->peers, entry)
		if (out_takes(&p->out))
			fence_send(d, p->out.conn, name, term, owner, flags);
	LIST_FOREACH(in, &d->ins, entry)
		if (in_takes(in))
			fence_send(d, in->conn, name, term, owner, flags);
}

/* The replica has another term, or is new here. */
void fence_held(struct daemon *d, struct held *h)
{
	fence_below(d, h->name, h->term, "the replica of this host");
	if (h->term > MAX(h->told, TERM_LOWEST))
		fence_announce(d, h->name, h->term, fence_owner(d, h->name, h->term), 0);
	h->told = h->term;
}

/* One that isn't all here yet says nothing: who has the rest of it goes on if that fails. */
static bool speaks(struct daemon *d, const struct known *k)
{
	return k->rec.name[0] && !record_awaits(record_of(d, k->rec.name), k->rec.term) && k->rec.term > TERM_LOWEST &&
		!(k->rec.flags & CPTDEV_GENL_SESSION_FENCED);
}

void fence_known_term(struct daemon *d, struct known *k)
{
	fence_check(d, k);
	if (!speaks(d, k) || k->told_term == k->rec.term)
		return;
	fence_announce(d, k->rec.name, k->rec.term, fence_owner(d, k->rec.name, k->rec.term), 0);
	k->told_term = k->rec.term;
}

/* A link is established: everything that is known. */
void fence_greet(struct daemon *d, struct conn *c)
{
	struct held *h;
	struct known *k;

	records_greet(d, c);
	LIST_FOREACH(h, &d->replicas, entry)
		if (h->term > TERM_LOWEST)
			fence_send(d, c, h->name, h->term, fence_owner(d, h->name, h->term), 0);
	LIST_FOREACH(k, &d->sessions, entry)
		if (speaks(d, k))
			fence_send(d, c, k->rec.name, k->rec.term,
				   fence_owner(d, k->rec.name, k->rec.term), 0);
}

/* TERM of the peer. */
int fence_frame(struct daemon *d, const struct node *from, u64 features, const u8 *payload,
		u32 len, struct fault *f)
{
	struct msg_term m;

	if (!(features & WIRE_FEATURE_TERMS))
		return fault_set(f, WIRE_E_PROTOCOL, "TERM, which wasn't agreed on");
	if (term_decode(payload, len, &m, f) || fence_told(d, m.name, m.term, f))
		return -1;
	if (m.flags && lost_met(d, &m, from->name))
		return 0;
	fence_below(d, m.name, m.term, from->name);
	records_met(d, m.name, m.term, m.owner, from->name);
	return 0;
}
