// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Programs that end: the host where one ran writes down how, and tells the spare's host at once,
 * or when they are linked again. That host promotes the replica, if it was a failure and a
 * program waits there, or forgets that it was fed.
 */
#include <string.h>

#include <linux/cptdev_netlink.h>

#include "daemon.h"
#include "end.h"
#include "log.h"
#include "uuid.h"

/*
 * Telling
 */

static bool takes(const struct out *o)
{
	return o->state == OUT_UP && o->features & WIRE_FEATURE_END;
}

static void send_end(struct out *o, const struct record *r, const u8 *session, u64 generation,
		     enum end_how how, const char *text)
{
	u8 buf[WIRE_TEXT_MAX + 256];
	struct writer w = { .p = buf, .cap = sizeof(buf) };
	struct msg_ended m = { .term = r->term, .generation = generation, .how = how };

	/* The record may be some seconds behind: how much this node lacks isn't known. */
	if (how == HOW_FAILED && record_lacked(r, o->node.uuid))
		m.generation = WIRE_GENERATION_LACKED;
	memcpy(m.uuid, session, sizeof(m.uuid));
	memcpy(m.owner, r->owner, sizeof(m.owner));
	strcpy(m.name, r->name);
	snprintf(m.text, sizeof(m.text), "%s", text);
	ended_encode(&w, &m);
	conn_send(o->conn, WIRE_ENDED, 0, &w);
}

/* Of a record, without whoever saw it. */
static void send_record(struct out *o, const struct record *r)
{
	static const char *const texts[] = {
		[HOW_UNKNOWN]	= "ended in an unknown way",
		[HOW_ORDER]	= "ended in order",
		[HOW_FAILED]	= "failed, or its host was restarted",
	};
	enum end_how how = end_of_record(r, o->d->boot);

	send_end(o, r, r->session, r->generation, how, texts[how]);
}

static bool lives(struct daemon *d, const struct record *r)
{
	struct known *k;

	LIST_FOREACH(k, &d->sessions, entry)
		if (uuid_same(k->rec.uuid, r->session))
			return true;
	return false;
}

/* Before a session that follows one that ended in order: the other host may not know. */
void ends_before(struct out *o)
{
	struct recorded *e;

	o->ends_told = false;
	if (!takes(o))
		return;
	LIST_FOREACH(e, &o->d->records, entry)
		if (!e->damaged && !uuid_same(e->r.before, uuid_none))
			send_end(o, &e->r, e->r.before, 0, HOW_ORDER, "ended in order");
}

/* Once on a link, when all sessions that live are known. */
void ends_listed(struct out *o)
{
	struct recorded *e;

	if (!takes(o) || !o->d->complete || o->ends_told)
		return;
	o->ends_told = true;
	LIST_FOREACH(e, &o->d->records, entry)
		if (!e->damaged && e->r.role == RECORD_PRIMARY && !e->r.outdated &&
		    !lives(o->d, &e->r) && !keep_waits(e))
			send_record(o, &e->r);
}

static void end_missed(struct daemon *d, const struct record *r)
{
	struct record new = *r;

	if (!uuid_same(r->boot, d->boot) || lives(d, r))
		return;
	if (end_note(&new, new.session, HOW_UNKNOWN))
		records_write(d, &new);
	keep_missed(d, r->name);
}

/*
 * All sessions that live are known: others that this kernel had ended while no daemon ran. On disk
 * at once, since the power may be lost next, and a record that says nothing counts as a failure then.
 */
void ends_missed(struct daemon *d)
{
	struct recorded *e;

	LIST_FOREACH(e, &d->records, entry)
		if (!e->damaged)
			end_missed(d, &e->r);
}

static void ended(struct daemon *d, const struct known *k, enum end_how how, const char *text)
{
	const struct record *r = record_of(d, k->rec.name);
	struct record new;
	struct peer *p;

	/* It was never acknowledged anything. */
	if (!r || r->role != RECORD_PRIMARY || !uuid_same(r->session, k->rec.uuid))
		return;
	new = *r;
	if (end_note(&new, k->rec.uuid, how))
		records_write(d, &new);
	if (how == HOW_FAILED)
		tell(&d->tell, LOG_WARNING, TELL_SESSION, k->rec.name,
		     "the program of session %s (pid %u) %s", k->rec.name, k->rec.pid, text);
	if (how == HOW_ORDER)
		keep_drop(d, k->rec.name, "its program has ended in order");
	else if (keep_failed(d, k->rec.name, text) && how == HOW_FAILED)
		return;
	LIST_FOREACH(p, &d->peers, entry)
		if (takes(&p->out))
			send_end(&p->out, &new, k->rec.uuid, new.generation, how, text);
}

void ends_failed(struct daemon *d, const struct record *r, const char *text)
{
	struct peer *p;

	LIST_FOREACH(p, &d->peers, entry)
		if (takes(&p->out))
			send_end(&p->out, r, r->session, r->generation, HOW_FAILED, text);
}

void ends_session(struct daemon *d, const struct known *k, u32 end, u32 code)
{
	enum end_how how = end_how(end, code);
	char text[64];

	end_text(end, code, text, sizeof(text));
	/* A program with a daemon of its own says that it isn't wanted any more: hs_stop(3). */
	if (d->conf.private && end != CPTDEV_END_CLOSED)
		how = HOW_FAILED;
	ended(d, k, how, text);
}

void ends_hung(struct daemon *d, const struct known *k)
{
	ended(d, k, HOW_FAILED, "gives no sign of life");
}

/*
 * Hearing
 */

/* What the replica has; the record may be some seconds behind. */
static u64 generation_here(struct daemon *d, const struct record *r)
{
	int fd = kernel_replica_open(d->kernel, r->name, 0);
	struct cptdev_image_info info;
	u64 generation = r->generation;

	if (fd < 0)
		return 0;
	if (!kernel_image_info(d->kernel, fd, &info) && uuid_same(info.uuid, r->session))
		generation = info.generation;
	d->kernel->ops->close(d->kernel, fd);
	return generation;
}

static void heard_forget(struct in *in, const struct msg_ended *m, struct record *r)
{
	struct daemon *d = in->d;

	if (m->how == HOW_ORDER && !r->ended) {
		r->ended = true;
		records_write(d, r);
	}
	feeds_drop(in->peer, m->name);
	tell(&d->tell, LOG_INFO, TELL_REPLAY, m->name,
	     "the program of session %s on %s %s; its replica stays, and isn't promoted automatically",
	     m->name, in->node.name, m->text);
}

static void heard_lacks(struct in *in, const struct msg_ended *m, struct record *r)
{
	struct daemon *d = in->d;
	struct advice a;
	char what[40];

	if (!r->outdated) {
		r->outdated = true;
		records_write(d, r);
	}
	if (m->generation == WIRE_GENERATION_LACKED)
		strcpy(what, "data without this host");
	else
		snprintf(what, sizeof(what), "generation %llu", m->generation);
	tell(&d->tell, LOG_ERR, TELL_REPLAY, m->name,
	     "the program of session %s on %s %s; it acknowledged %s, which the replica lacks. To promote the replica and lose that: %s",
	     m->name, in->node.name, m->text, what, advice(d, &a, "promote --force", m->name));
}

static void heard_failure(struct in *in, const struct msg_ended *m, struct record *r)
{
	struct daemon *d = in->d;

	if (!r->failed) {
		r->failed = true;
		records_write(d, r);
	}
	tell(&d->tell, LOG_WARNING, TELL_REPLAY, m->name, "the program of session %s on %s %s",
	     m->name, in->node.name, m->text);
	/* A host that is lost later counts as well. */
	if (feeds_add(in->peer, m->name))
		failover_failed(in->peer, m->name);
}

int ends_frame(struct in *in, const u8 *payload, u32 len)
{
	struct fault *f = &in->conn->fault;
	const struct record *known;
	struct msg_ended m;
	struct record r, has;

	if (!(in->features & WIRE_FEATURE_END))
		return fault_set(f, WIRE_E_PROTOCOL, "ENDED, which wasn't agreed on");
	if (ended_decode(payload, len, &m, f))
		return -1;
	known = record_of(in->d, m.name);
	if (!known)
		return 0;
	/* On record stays what was committed, whatever is left of it. */
	r = has = *known;
	has.generation = generation_here(in->d, &r);
	switch (end_told(&has, m.uuid, m.term, m.owner, m.generation, m.how)) {
	case END_IGNORED:
		break;
	case END_FORGET:
		heard_forget(in, &m, &r);
		break;
	case END_LACKS:
		heard_lacks(in, &m, &r);
		break;
	case END_TAKE_OVER:
		heard_failure(in, &m, &r);
		break;
	}
	return 0;
}
