// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A program of this host is started anew, and what it had is gone: its state comes back from the
 * spare's replica, if nobody took over (on_restart = take-back).
 *
 *   asked for		once the program waits for the replica of its name: the next term, which is
 *			this host's, is on disk before the question
 *   on its way		the other host ships its replica (source.c), into one of this host
 *   there		when a program waits for it, it is promoted as every replica is: the term
 *			after that, on disk first; the program claims it
 *
 * Each step is looked at again until it is done, whoever was started anew meanwhile. A host that
 * hears of another one's higher pair stops: its program is the spare then, without being started.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon.h"
#include "log.h"
#include "uuid.h"

#define LOOK_NS		(100 * NSEC_PER_MSEC)
/* A program that was started anew waits for no network, and its clients wait for it. */
#define LOOK_KEPT_NS	(2 * NSEC_PER_MSEC)
#define ASK_AGAIN_NS	NSEC_PER_SEC
/* A program that asks begins to wait within this time, or asks again. */
#define WANTED_NS	(30 * NSEC_PER_SEC)

static bool policy(struct daemon *d, const char *name)
{
	return conf_session(&d->conf, name)->on_restart == ON_RESTART_TAKE_BACK;
}

/* Is a channel open on which it comes? */
static bool comes(struct in *in, const char *name)
{
	struct chan *c = chan_find_name(in, name);

	return c && c->session.flags & WIRE_SESSION_TAKE_BACK && c->fd >= 0;
}

/* On disk first: who asks with a term that it may forget could be overtaken by its own question. */
static int write_question(struct daemon *d, const struct record *r)
{
	struct record new = *r;

	if (r->role == RECORD_TAKING)
		return 0;
	if (record_take_back(&new, d->self.uuid))
		return -EOVERFLOW;
	return records_write(d, &new);
}

static void ask(struct recorded *e, struct out *o, bool kept)
{
	struct daemon *d = o->d;
	u8 buf[128];
	struct writer w = { .p = buf, .cap = sizeof(buf) };
	struct msg_take_back m = { .generation = e->r.generation };

	e->asked_back = clock_mono();
	if (record_asked_back(&e->r))
		m.flags = WIRE_TAKE_BACK_AGAIN;
	if (kept)
		m.flags |= WIRE_TAKE_BACK_KEPT;
	e->asked_kept = kept;
	e->agreed = 0;
	if (write_question(d, &e->r))
		return;
	m.term = e->r.term;
	memcpy(m.uuid, e->r.session, sizeof(m.uuid));
	strcpy(m.name, e->r.name);
	take_back_encode(&w, &m);
	conn_send(o->conn, WIRE_TAKE_BACK, 0, &w);
	tell(&d->tell, LOG_NOTICE, TELL_SESSION, m.name, kept ?
	     "%s: asking %s whether it has taken over, with term %llu" :
	     "%s: asking %s for the state that is lost here, with term %llu", m.name,
	     o->node.name, m.term);
}

/* Nobody else would go on from what comes, and the other host would have given it away. */
static bool is_waited_for(struct daemon *d, struct recorded *e)
{
	struct held *h = held_refresh(d) ? NULL : held_find(d, e->r.name);

	if (!h || !h->waiters)
		return false;
	e->wanted_at = clock_mono();
	return true;
}

struct peer *takeback_peer(struct daemon *d, const struct record *r)
{
	struct peer *p;

	LIST_FOREACH(p, &d->peers, entry)
		if (r && p->out.state == OUT_UP && record_follows(r, p->out.node.uuid))
			return p;
	LIST_FOREACH(p, &d->peers, entry)
		if (p->out.state == OUT_UP)
			return p;
	return LIST_FIRST(&d->peers);
}

bool takeback_elsewhere(struct daemon *d, const struct record *r)
{
	const struct out *o = &takeback_peer(d, r)->out;

	return o->state == OUT_UP && !record_follows(r, o->node.uuid);
}

/* Both links are needed: one for the question, one for what comes. */
static void ask_when_due(struct daemon *d, struct recorded *e, bool kept)
{
	struct peer *p = takeback_peer(d, &e->r);
	struct out *o = &p->out;

	if (o->state != OUT_UP || !(o->features & WIRE_FEATURE_TAKE_BACK) || !p->in ||
	    p->in->state != IN_UP || takeback_elsewhere(d, &e->r) || comes(p->in, e->r.name))
		return;
	if (kept && !(o->features & WIRE_FEATURE_KEPT))
		return;
	if (e->asked_back && clock_mono() - e->asked_back < ASK_AGAIN_NS)
		return;
	if (is_waited_for(d, e))
		ask(e, o, kept);
}

/* Is all of it in the replica of this host? Nothing else is fed with that term. */
static bool is_there(struct daemon *d, const struct record *r)
{
	struct cptdev_image_info info;
	bool there;
	int fd;

	if (r->role != RECORD_TAKING)
		return false;
	fd = kernel_replica_open(d->kernel, r->name, 0);
	if (fd < 0)
		return false;
	there = !kernel_image_info(d->kernel, fd, &info) && info.generation &&
		info.term == r->term && !(info.state & CPTDEV_IMAGE_PROMOTED);
	d->kernel->ops->close(d->kernel, fd);
	return there;
}

static void finish(struct daemon *d, struct recorded *e, bool kept)
{
	u64 term = 0, generation = 0;
	int ret;

	if (!is_waited_for(d, e))
		return;
	ret = promotion_do(d, e->r.name, &term, &generation, false);
	if (!ret) {
		e->wants_back = false;
		e->agreed = 0;
		tell_event(&d->tell, EVENT_PROMOTED, LOG_NOTICE, TELL_SESSION, e->r.name, kept ?
			   "%s goes on on this host: generation %llu, term %llu" :
			   "took %s back: generation %llu, term %llu", e->r.name, generation, term);
		return;
	}
	tell(&d->tell, LOG_ERR, TELL_SESSION, e->r.name, "%s: can't promote what was %s: %s",
	     e->r.name, kept ? "kept" : "taken back", strerror(-ret));
}

/*
 * This host has it. A spare that could be promoted at any moment has to say first that it isn't: so one of
 * the two goes on.
 */
static void look_at_kept(struct daemon *d, struct recorded *e)
{
	if (!record_has_rival(&e->r) || (e->agreed && e->agreed == e->r.term))
		finish(d, e, true);
	else
		ask_when_due(d, e, true);
}

/* After how long to look again, ns; 0: not. */
static u64 look_at(struct daemon *d, struct recorded *e)
{
	bool kept;

	if (!e->wants_back)
		return 0;
	kept = !e->damaged && keep_offers(d, &e->r);
	if (e->damaged || record_stands_still(&e->r) ||
	    (!kept && (!record_may_take_back(&e->r) || !policy(d, e->r.name))) ||
	    (clock_mono() - e->wanted_at > WANTED_NS && !is_waited_for(d, e))) {
		e->wants_back = false;
		return 0;
	}
	if (kept)
		look_at_kept(d, e);
	else if (is_there(d, &e->r))
		finish(d, e, false);
	else
		ask_when_due(d, e, false);
	return !e->wants_back ? 0 : kept && clock_mono() - e->wanted_at < NSEC_PER_SEC ?
		LOOK_KEPT_NS : LOOK_NS;
}

static void takeback_timer(struct timer *t)
{
	struct daemon *d = container_of(t, struct daemon, take_back);
	struct recorded *e;
	u64 next = 0, ns;

	for (e = LIST_FIRST(&d->records); e; e = LIST_NEXT(e, entry)) {
		ns = look_at(d, e);
		if (ns)
			next = next ? MIN(next, ns) : ns;
	}
	if (next && !d->take_back.armed)
		loop_arm(&d->loop, t, next);
}

/* A question that was begun goes on: the program that asked may wait already. */
void takeback_open(struct daemon *d)
{
	struct recorded *e;

	d->take_back = (struct timer) { .fn = takeback_timer };
	for (e = LIST_FIRST(&d->records); e; e = LIST_NEXT(e, entry)) {
		if (e->damaged || e->r.role != RECORD_TAKING ||
		    (!policy(d, e->r.name) && !keep_has(d, &e->r)))
			continue;
		e->wants_back = true;
		e->wanted_at = clock_mono();
		takeback_look(d);
	}
}

void takeback_close(struct daemon *d)
{
	loop_disarm(&d->take_back);
}

void takeback_look(struct daemon *d)
{
	loop_arm(&d->loop, &d->take_back, 0);
}

void takeback_want(struct daemon *d, const char *name)
{
	struct recorded *e = recorded_find(d, name);

	if (!e)
		return;
	e->wanted_at = clock_mono();
	if (e->wants_back)
		return;
	e->wants_back = true;
	e->asked_back = 0;
	takeback_look(d);
}

int takeback_may(struct daemon *d, const struct msg_session *m, struct fault *f)
{
	const struct record *r = record_of(d, m->name);

	if (r && r->role == RECORD_TAKING && r->term == m->term && !r->outdated &&
	    uuid_same(m->owner, d->self.uuid) && !is_there(d, r))
		return 0;
	return fault_set(f, WIRE_E_STALE, "%s hasn't asked for this replica, or already has it",
			 d->self.name);
}

int takeback_frame(struct out *o, const u8 *payload, u32 len)
{
	struct msg_take_back_state m;
	struct recorded *e;

	if (!(o->features & WIRE_FEATURE_TAKE_BACK))
		return fault_set(&o->conn->fault, WIRE_E_PROTOCOL,
				 "TAKE_BACK_STATE, which wasn't agreed on");
	if (take_back_state_decode(payload, len, &m, &o->conn->fault))
		return -1;
	e = recorded_find(o->d, m.name);
	/* Of a question that was asked before another one, or before a restart. */
	if (!e || e->damaged || e->r.role != RECORD_TAKING || e->r.term != m.term)
		return 0;
	if (m.fault.code == WIRE_OK && e->asked_kept) {
		e->agreed = m.term;
		takeback_look(o->d);
		return 0;
	}
	if (m.fault.code == WIRE_OK || is_there(o->d, &e->r))
		return 0;
	tell(&o->d->tell, m.fault.code == WIRE_E_BUSY ? LOG_NOTICE : LOG_WARNING, TELL_SESSION,
	     m.name, "%s isn't given back: %s%s", m.name, m.fault.text,
	     m.fault.code == WIRE_E_BUSY ? "; asking again" : "");
	if (m.fault.code == WIRE_E_BUSY)
		return 0;
	e->wants_back = false;
	snprintf(e->not_given, sizeof(e->not_given), "%s", m.fault.text);
	return 0;
}
