// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The records of this host: who has which term of a name, and whether anybody relied on the
 * data. rules/record.c decides, state.c keeps them on disk, the other host is told on every link.
 *
 * What is on disk when:
 *
 *   a session		before it is shipped, so before anything of it is acknowledged
 *   a feed		before the peer is told that it may ship
 *   a promotion	before the replica is promoted, and so before it is answered
 *   a generation	the first one before it is acknowledged or answered; later ones within
 *			FLUSH_NS, since nothing is decided by how many there were
 *
 * A record that can't be written keeps the session or the feed from being taken; it is tried
 * again.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <systemd/sd-id128.h>
#include <xxhash.h>

#include "bounds.h"
#include "daemon.h"
#include "fetching.h"
#include "log.h"
#include "state.h"
#include "uuid.h"

#define FLUSH_NS	NSEC_PER_SEC

static u32 bucket_of(const char *name)
{
	return XXH3_64bits(name, strlen(name)) % RECORDED_BUCKETS;
}

struct recorded *recorded_find(struct daemon *d, const char *name)
{
	struct recorded *e;

	LIST_FOREACH(e, &d->recorded[bucket_of(name)], bucket)
		if (!strcmp(e->r.name, name))
			return e;
	return NULL;
}

static struct recorded *recorded_new(struct daemon *d, const char *name)
{
	struct recorded *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	strcpy(e->r.name, name);
	LIST_INSERT_HEAD(&d->records, e, entry);
	LIST_INSERT_HEAD(&d->recorded[bucket_of(name)], e, bucket);
	return e;
}

static void recorded_free(struct recorded *e)
{
	LIST_REMOVE(e, entry);
	LIST_REMOVE(e, bucket);
	free(e);
}

const struct record *record_of(struct daemon *d, const char *name)
{
	struct recorded *e = recorded_find(d, name);

	return e && !e->damaged ? &e->r : NULL;
}

int records_write(struct daemon *d, const struct record *r)
{
	struct recorded *e = recorded_find(d, r->name);
	int ret;

	if (!e)
		e = recorded_new(d, r->name);
	if (!e)
		return -ENOMEM;
	ret = state_write(d->conf.state_dir, r);
	if (ret) {
		tell(&d->tell, LOG_ERR, TELL_RESOURCE, r->name,
		     "can't write the record of %s in %s: %s; nothing is acknowledged or promoted without it",
		     r->name, d->conf.state_dir, strerror(-ret));
		if (!e->stored)
			recorded_free(e);
		return ret;
	}
	e->r = *r;
	e->stored = true;
	e->damaged = false;
	e->changed = false;
	return 0;
}

void records_still(struct daemon *d, struct recorded *e, const struct record *new)
{
	if (!records_write(d, new))
		return;
	e->r = *new;
	e->changed = true;
	loop_arm(&d->loop, &d->flush, FLUSH_NS);
}

void records_still_text(const struct daemon *d, const struct record *r,
			char text[STILL_TEXT_MAX])
{
	if (r->split)
		snprintf(text, STILL_TEXT_MAX,
			 "this host and %s both went on with term %llu; to give up this host's data: %s",
			 r->other_name, r->term, ADVICE(d, "forget --force", r->name));
	else
		snprintf(text, STILL_TEXT_MAX,
			 "%s went on with term %llu and has lost its memory since; to go on with this host's data: cptdevctl forget --force %s, on %s; to give up this host's data, too, run here: %s",
			 r->other_name, r->lost_term, r->name, r->other_name,
			 ADVICE(d, "forget --force", r->name));
}

/*
 * Sessions of this host
 */

static void bar(struct known *k, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void bar(struct known *k, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(k->barred, sizeof(k->barred), fmt, ap);
	va_end(ap);
}

/*
 * An empty program in the place of what was acknowledged: never in silence. Where somebody goes on
 * from what there was, this one is in the way.
 */
static void bar_lost(struct daemon *d, struct known *k, const struct record *r)
{
	const char *name = k->rec.name;

	if (r->role == RECORD_PRIMARY)
		bar(k, "generation %llu was acknowledged under this name on this host, and isn't in this program's memory. To go on from the other host's replica, run there: cptdevctl promote %s; to lose that data, run here: %s",
		    r->generation, name, ADVICE(d, "forget", name));
	else
		bar(k, "this host has a replica of generation %llu under this name, and this program doesn't go on from it. Start the program as the spare; then, if the other host's program is gone, run: %s; to lose the replica's data: %s",
		    r->generation, ADVICE(d, "promote", name), ADVICE(d, "forget", name));
}

/*
 * The record was lost under a program that lives on: it has what was acknowledged. Its spare may be
 * promoted, for all that is known, and lacks what was acknowledged alone.
 */
static void records_recover(struct record *r, const struct session_rec *rec)
{
	r->generation = MAX(r->generation, rec->committed);
	r->spare = true;
	if (rec->flags & CPTDEV_GENL_SESSION_ALONE)
		r->alone_since = clock_wall() / NSEC_PER_SEC;
}

static void bar_still(struct daemon *d, struct known *k, const struct record *r)
{
	char text[STILL_TEXT_MAX];

	records_still_text(d, r, text);
	bar(k, "%s%s", r->split ? "split brain: " : "", text);
}

/* The peer's session is about to write a replica here, or does already. */
static bool is_fed(struct daemon *d, const char *name)
{
	struct chan *c;
	struct in *in;

	LIST_FOREACH(in, &d->ins, entry) {
		c = chan_find_name(in, name);
		if (c && c->fd >= 0)
			return true;
	}
	return false;
}

static void session_decide(struct daemon *d, struct known *k, struct recorded *e)
{
	const struct record *old = e ? &e->r : NULL;
	bool replace = k->rec.flags & CPTDEV_GENL_SESSION_REPLACE;
	struct record new = old ? *old : (struct record) {};
	enum record_start start;

	if (record_of_other(old, k->rec.uid)) {
		bar(k, "the name belongs to user %u, the program to user %u. Start the program as that user, or give it another name; if the data of that user may be lost: %s",
		    old->uid, k->rec.uid, ADVICE(d, "forget", k->rec.name));
		return;
	}
	if (term_jumps(fence_highest(d, k->rec.name, k), k->rec.term)) {
		bar(k, "its term, %llu, is too far above the highest term that this host knows. Start the program with the term of its replica",
		    k->rec.term);
		return;
	}
	start = record_start(old, k->rec.uuid, k->rec.term, replace, d->self.uuid);
	if (start == START_LOWER) {
		bar(k, "this host knows term %llu of this name, the program has term %llu", old->term,
		    k->rec.term);
		fence_below(d, k->rec.name, old->term, "the record of this host");
		return;
	}
	if (start == START_LOST) {
		bar_lost(d, k, old);
		return;
	}
	if (start == START_FRESH && is_fed(d, k->rec.name)) {
		bar(k, "this host is the spare of the program of this name on the other host, and this program doesn't go on from the spare's replica. Start the program as the spare");
		return;
	}
	record_started(&new, k->rec.name, k->rec.uuid, k->rec.term, d->self.uuid, d->boot);
	record_own(&new, k->rec.uid);
	if (start != START_SAME && k->rec.committed)
		records_recover(&new, &k->rec);
	if ((start != START_SAME || memcmp(&new, old, sizeof(new))) && records_write(d, &new)) {
		bar(k, "its record can't be written in %s", d->conf.state_dir);
		k->undecided = true;
		loop_arm(&d->loop, &d->flush, FLUSH_NS);
	} else if (start == START_TAKEN) {
		handover_taken(d, k);
	}
}

/* A part of its memory is elsewhere, see fetch.c. A daemon that is started anew knows it from the record. */
static void bar_awaits(struct known *k)
{
	bar(k, "its memory comes from another host's replica, and isn't all here yet: until then nothing is acknowledged and nobody is answered");
}

/* A daemon that is started anew knows it from the record. */
static void bar_handed(struct daemon *d, struct known *k, const struct record *r)
{
	bar(k, "it was handed over to %s with term %llu (cptdevctl switchover); until the hosts are linked it isn't known whether that host has taken over. Next: cptdevctl status, on %s; if that host is off, and has promoted nothing: %s",
	    r->handed_name, r->handed, r->handed_name,
	    ADVICE(d, "switchover --cancel --force", r->name));
}

int records_block(struct daemon *d, struct known *k)
{
	bool wanted = *k->barred || k->stopping;
	struct cptdev_ack arg = {
		.flags = wanted ? CPTDEV_ACK_BLOCK : CPTDEV_ACK_UNBLOCK,
		.session_id = k->rec.id,
	};
	int ret;

	if (k->blocked == wanted)
		return 0;
	ret = kernel_tell(d->kernel, &arg);
	if (!ret)
		k->blocked = wanted;
	else if (ret != -ENOENT && ret != -EOPNOTSUPP)
		tell(&d->tell, LOG_WARNING, TELL_SESSION, k->rec.name,
		     "session %s: can't block or unblock it: %s", k->rec.name,
		     strerror(-ret));
	return ret;
}

void records_session(struct daemon *d, struct known *k)
{
	struct recorded *e;

	if (!k->rec.name[0] || (k->decided && !k->undecided))
		return;
	e = recorded_find(d, k->rec.name);
	k->decided = true;
	k->undecided = false;
	*k->barred = '\0';
	if (e && e->damaged)
		bar(k, "its record in %s is damaged and can't be read; to begin without it: %s",
		    d->conf.state_dir, ADVICE(d, "forget", k->rec.name));
	else if (e && record_stands_still(&e->r))
		bar_still(d, k, &e->r);
	else if (e && record_awaits(&e->r, k->rec.term))
		bar_awaits(k);
	else if (e && e->r.handed && k->rec.term <= e->r.term)
		bar_handed(d, k, &e->r);
	else
		session_decide(d, k, e);
	if (*k->barred)
		tell(&d->tell, e && record_awaits(&e->r, k->rec.term) ? LOG_INFO : LOG_ERR, TELL_SESSION, k->rec.name,
		     "session %s (pid %u) gets no acknowledgement: %s", k->rec.name,
		     k->rec.pid, k->barred);
	records_block(d, k);
}

/* The next look at the sessions of this name decides anew. */
void records_decide(struct daemon *d, const char *name)
{
	struct known *k;
	struct peer *p;

	LIST_FOREACH(k, &d->sessions, entry) {
		if (strcmp(k->rec.name, name))
			continue;
		k->decided = false;
		records_session(d, k);
		LIST_FOREACH(p, &d->peers, entry)
			out_known(&p->out, k);
		keep_session(d, k);
	}
}

int records_hand(struct daemon *d, const char *name, const u8 *node, const char *node_name)
{
	const struct record *r = record_of(d, name);
	struct record new;

	if (!r)
		return -ENOENT;
	new = *r;
	if (record_hand(&new, node, node_name))
		return -EOVERFLOW;
	return records_write(d, &new);
}

void records_kept(struct daemon *d, struct recorded *e)
{
	struct record new = e->r;

	record_kept(&new);
	records_still(d, e, &new);
	records_decide(d, new.name);
}

/*
 * Generations
 */

int records_progress(struct daemon *d, const char *name, const u8 *session, u64 generation)
{
	struct recorded *e = recorded_find(d, name);
	struct record new;

	if (!e || e->damaged || !uuid_same(e->r.session, session) ||
	    (e->r.generation >= generation && !e->r.outdated))
		return 0;
	if (e->r.generation && !e->r.outdated) {
		e->r.generation = generation;
		e->changed = true;
		if (!d->flush.armed)
			loop_arm(&d->loop, &d->flush, FLUSH_NS);
		return 0;
	}
	new = e->r;
	record_progress(&new, generation);
	return records_write(d, &new);
}

void records_progress_alone(struct daemon *d, const char *name, const u8 *session,
			    u64 generation)
{
	struct recorded *e = recorded_find(d, name);

	if (!e || e->damaged || !uuid_same(e->r.session, session))
		return;
	e->r.generation = MAX(e->r.generation, generation);
	e->changed = true;
	if (!d->flush.armed)
		loop_arm(&d->loop, &d->flush, FLUSH_NS);
}

static void records_flush(struct timer *t)
{
	struct daemon *d = container_of(t, struct daemon, flush);
	struct recorded *e;
	struct known *k;
	struct peer *p;

	LIST_FOREACH(e, &d->records, entry) {
		struct record r = e->r;

		if (e->changed && records_write(d, &r))
			loop_arm(&d->loop, t, FLUSH_NS);
	}
	LIST_FOREACH(k, &d->sessions, entry) {
		if (!k->undecided)
			continue;
		records_session(d, k);
		LIST_FOREACH(p, &d->peers, entry)
			out_known(&p->out, k);
	}
}

/*
 * Replicas of this host
 */

int records_may_feed(struct daemon *d, const struct msg_session *m, const char *from,
		     struct fault *f)
{
	struct recorded *e = recorded_find(d, m->name);
	const struct record *old = e ? &e->r : NULL;

	if (e && e->damaged)
		return fault_set(f, WIRE_E_OTHER,
				 "the spare's record of this name is damaged. Run there: %s",
				 ADVICE(d, "forget", m->name));
	if (record_of_other(old, m->uid))
		return fault_set(f, WIRE_E_OWNER,
				 "on the spare the name belongs to user %u, this session to %u: give it another name, or, if the data of that user may be lost, run there: %s",
				 old->uid, m->uid, ADVICE(d, "forget", m->name));
	/* Nothing is followed: this host has asked for it, see takeback.c. */
	if (m->flags & WIRE_SESSION_TAKE_BACK)
		return takeback_may(d, m, f);
	if (lost_feed(d, m, f))
		return -1;
	switch (record_feed(old, m->uuid, m->term,
			    m->flags & WIRE_SESSION_UNUSED ? uuid_none : m->owner,
			    m->flags & WIRE_SESSION_REPLACE)) {
	case FEED_FENCED:
		return fault_set(f, WIRE_E_FENCED,
				 "the spare knows term %llu of this name, this session has term %llu",
				 old->term, m->term);
	case FEED_SPLIT:
		records_met(d, m->name, m->term, m->owner, from);
		return fault_set(f, WIRE_E_CONFLICT,
				 "split brain: both hosts went on with term %llu; run on the host whose data is given up: cptdevctl forget --force %s",
				 m->term, m->name);
	case FEED_OTHER:
		return fault_set(f, WIRE_E_OTHER,
				 "the spare has another session's data under this name, up to generation %llu: start with replace, or run there: %s",
				 old->generation, ADVICE(d, "forget", m->name));
	case FEED_OK:
		break;
	}
	return 0;
}

int records_feed(struct daemon *d, const struct msg_session *m, const char *from,
		 struct fault *f)
{
	const struct record *old;
	struct record new;

	if (records_may_feed(d, m, from, f))
		return -1;
	if (m->flags & WIRE_SESSION_TAKE_BACK)
		return 0;
	old = record_of(d, m->name);
	new = old ? *old : (struct record) {};
	record_fed(&new, m->name, m->uuid, m->term, m->owner, d->boot);
	record_own(&new, m->uid);
	/* Until it has committed: then it has everything again. */
	new.outdated |= m->flags & WIRE_SESSION_ALONE;
	new.others = m->flags & WIRE_SESSION_OTHERS;
	new.unsure = m->flags & WIRE_SESSION_UNSURE;
	if ((!old || memcmp(&new, old, sizeof(new))) && records_write(d, &new))
		return fault_set(f, WIRE_E_KERNEL, "the spare can't write its record of this name");
	return 0;
}

static bool lives_here(struct daemon *d, const char *name)
{
	const struct known *k = known_find_name(d, name);

	return k && !*k->barred && !(k->rec.flags & CPTDEV_GENL_SESSION_FENCED);
}

int records_promote(struct daemon *d, const char *name, u64 *term,
		    const struct cptdev_image_info *replica, bool force)
{
	struct recorded *e = recorded_find(d, name);
	struct record new = e ? e->r : (struct record) {};
	bool ended;
	int ret;

	if (e && e->damaged)
		return -EBADMSG;
	if (!force && record_outdated(&new, replica->uuid))
		return -EREMCHG;
	if (!force && new.unsure)
		return -ENOTUNIQ;
	/* Of a program that lives, or whose spare may have taken over: takeback.c asks that one first. */
	if (!force && replica->state & CPTDEV_IMAGE_KEPT && new.role == RECORD_PRIMARY &&
	    (lives_here(d, name) || record_has_rival(&new)))
		return -EINPROGRESS;
	/* The other host's program has fed this host, but sent nothing so far. */
	if (!force && replica->state & CPTDEV_IMAGE_KEPT && new.role == RECORD_SPARE)
		return -EREMCHG;
	/* The state was asked back, and this is an older one: what comes back has that term. */
	if (!force && new.role == RECORD_TAKING && replica->term != new.term && e->agreed != new.term)
		return -EREMCHG;
	if (term_jumps(MAX(new.term, replica->term), *term))
		return -ERANGE;
	if (record_promote(&new, name, *term, replica->term, d->self.uuid))
		return *term ? -ESTALE : -EOVERFLOW;
	if (!new.owned)
		record_own(&new, replica->uid);
	memcpy(new.session, replica->uuid, sizeof(new.session));
	memcpy(new.boot, d->boot, sizeof(new.boot));
	new.generation = replica->generation;
	ended = new.ended || new.failed;
	new.ended = false;
	new.failed = false;
	new.unseen = false;
	ret = records_write(d, &new);
	if (!ret)
		recorded_find(d, name)->old_ended = ended;
	*term = new.term;
	return ret;
}

/* The kernel has answered. That it was done is on disk already, but for the mark. */
void records_promoted(struct daemon *d, const char *name, bool done)
{
	struct recorded *e = recorded_find(d, name);
	struct record new;

	if (!e || !e->r.promoting)
		return;
	new = e->r;
	record_promoted(&new, done);
	/* If the replica lacks anything, that was given up. */
	if (done)
		new.outdated = new.source = false;
	records_still(d, e, &new);
	if (!done)
		return;
	fence_announce(d, name, new.term, new.owner, 0);
}

/* Somebody else promoted the replica: it is written down as soon as it is known. */
void records_promoted_by_others(struct daemon *d, const char *name, u64 term, u64 generation)
{
	struct recorded *e = recorded_find(d, name);
	struct record new = e && !e->damaged ? e->r : (struct record) {};

	if (e && (e->r.promoting || e->r.term >= term))
		return;
	if (record_promote(&new, name, term, 0, d->self.uuid))
		return;
	record_promoted(&new, true);
	memcpy(new.boot, d->boot, sizeof(new.boot));
	new.generation = MAX(new.generation, generation);
	if (!records_write(d, &new))
		fence_announce(d, name, new.term, new.owner, 0);
}

/*
 * The other host
 */

/* A pair that it knows. A higher one fences, an equal one of another owner stops both. */
void records_met(struct daemon *d, const char *name, u64 term, const u8 *owner,
		 const char *who)
{
	struct recorded *e = recorded_find(d, name);
	enum record_meeting met;
	char why[STILL_TEXT_MAX];
	struct record new;
	bool handed;

	if (!e || e->damaged)
		return;
	/* A host that doesn't know whose term it has decides nothing. */
	if (term == e->r.term && uuid_same(owner, uuid_none)) {
		e->told_again = true;
		return;
	}
	met = record_meet(&e->r, term, owner);
	handed = met == MEET_HIGHER && e->r.handed && term >= e->r.handed;
	if (met == MEET_HIGHER && e->r.alone_since && !e->r.outdated)
		tell_event(&d->tell, EVENT_DATA_LOST, LOG_ERR, TELL_SESSION, name,
			   "%s: LOST: the data that this host acknowledged alone, up to generation %llu: %s went on without it, with term %llu",
			   name, e->r.generation, who, term);
	/*
	 * It goes on without what this host has, which stays as a copy, and isn't promoted. A host
	 * that only asked for its state under the same term has nothing to go on with.
	 */
	if ((met == MEET_HIGHER || (met == MEET_SPLIT && e->r.role == RECORD_TAKING)) &&
	    (!e->r.outdated || handed)) {
		new = e->r;
		new.outdated = true;
		if (handed)
			record_kept(&new);
		records_still(d, e, &new);
		keep_overtaken(d, name);
	}
	if (handed) {
		switch_met(d, name, term);
		records_decide(d, name);
	}
	if (met == MEET_SPLIT && record_used(&e->r)) {
		e->told_again = true;
		if (e->r.split)
			return;
		new = e->r;
		record_split(&new, owner, who);
		records_still(d, e, &new);
		records_still_text(d, &new, why);
		tell_event(&d->tell, EVENT_SPLIT_BRAIN, LOG_ERR, TELL_SESSION, name,
			   "SPLIT BRAIN of %s: %s", name, why);
		news_record(d, e, "split-brain");
		/* It may not know whose term this host has. */
		if (!new.promoting)
			fence_announce(d, name, new.term, new.owner, 0);
		records_decide(d, name);
	} else if (e->r.split) {
		lost_resolve(d, e);
	}
}

/* As adopt() leaves it, until this host is fed again. */
static bool gave_up(const struct record *r)
{
	return r->role == RECORD_SPARE && uuid_same(r->session, uuid_none);
}

/*
 * To a link that is new. The first term needs no telling: SESSION has it with its owner. But while
 * one host stands still no SESSION is sent.
 */
void records_greet(struct daemon *d, struct conn *c)
{
	struct recorded *e;

	LIST_FOREACH(e, &d->records, entry)
		if (!e->damaged && !e->r.promoting && e->r.role != RECORD_TAKING &&
		    (e->r.term > 1 || record_stands_still(&e->r) || gave_up(&e->r)))
			fence_send(d, c, e->r.name, e->r.term, e->r.owner, 0);
}

/*
 * The spare of a session, and sessions without one
 */

static int change(struct daemon *d, struct recorded *e, const struct record *new)
{
	return memcmp(new, &e->r, sizeof(*new)) ? records_write(d, new) : 0;
}

static bool others_count(struct daemon *d, const struct record *r, const u8 *node)
{
	u32 i;

	for (i = 0; i < r->nr_followers; i++)
		if (!uuid_same(r->followers[i].node, node) && !r->followers[i].left &&
		    members_configured(d, r->name, &r->followers[i]))
			return true;
	return false;
}

int records_follow(struct daemon *d, const char *name, const struct node *node)
{
	struct recorded *e = recorded_find(d, name);
	struct record new;

	if (!e || e->damaged)
		return 0;
	new = e->r;
	/* Another host in the place of the only one. */
	if (!others_count(d, &new, node->uuid))
		new.spare = record_follows(&new, node->uuid);
	if (record_follow(&new, node->uuid, node->name))
		return -E2BIG;
	return change(d, e, &new);
}

int records_unfollow(struct daemon *d, const char *name, const u8 *node)
{
	struct recorded *e = recorded_find(d, name);
	struct record new;

	if (!e || e->damaged)
		return 0;
	new = e->r;
	record_drop(&new, node);
	return change(d, e, &new);
}

int records_left(struct daemon *d, const char *name, const u8 *node)
{
	struct recorded *e = recorded_find(d, name);
	struct record new;

	if (!e || e->damaged)
		return 0;
	new = e->r;
	record_left(&new, node);
	return change(d, e, &new);
}

int records_ack(struct daemon *d, const char *name, const char *ack)
{
	struct recorded *e = recorded_find(d, name);
	struct record new;

	if (!e)
		return -ENOENT;
	if (e->damaged)
		return -EBADMSG;
	new = e->r;
	memset(new.ack, 0, sizeof(new.ack));
	snprintf(new.ack, sizeof(new.ack), "%s", ack);
	return change(d, e, &new);
}

int records_alone(struct daemon *d, const char *name, bool said)
{
	struct recorded *e = recorded_find(d, name);
	struct record new;

	if (!e || e->damaged)
		return -ENOENT;
	new = e->r;
	if (!new.alone_since)
		new.alone_since = clock_wall() / NSEC_PER_SEC;
	new.alone_said |= said;
	return change(d, e, &new);
}

int records_leave(struct daemon *d, struct in *in)
{
	struct recorded *e;
	struct record new;
	struct chan *c;
	int ret = 0;

	LIST_FOREACH(c, &in->channels, entry) {
		if (ret || !(c->session.flags & WIRE_SESSION_GOES_ON))
			continue;
		e = recorded_find(d, c->session.name);
		if (!e || e->damaged || e->r.role != RECORD_SPARE)
			continue;
		new = e->r;
		new.outdated = true;
		ret = change(d, e, &new);
	}
	return ret;
}

bool records_is_outdated(struct daemon *d, const char *name)
{
	const struct record *r = record_of(d, name);

	return r && r->outdated;
}

/*
 * What a person decides
 */

static int remove_replica(struct daemon *d, const char *name)
{
	int fd = kernel_replica_open(d->kernel, name, CPTDEV_REPLICA_WRITE), ret;

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	ret = kernel_replica_remove(d->kernel, fd);
	d->kernel->ops->close(d->kernel, fd);
	return ret;
}

/* A program that goes on with what is given up must stop, and so must whoever would take over. */
static int give_up(struct daemon *d, const char *name)
{
	struct known *k;
	struct peer *p;

	LIST_FOREACH(k, &d->sessions, entry) {
		if (strcmp(k->rec.name, name) || k->rec.flags & CPTDEV_GENL_SESSION_FENCED)
			continue;
		fence_session(d, k, "its data was given up (cptdevctl forget)");
		LIST_FOREACH(p, &d->peers, entry)
			out_fence(&p->out, k, "its data was given up");
	}
	return remove_replica(d, name);
}

/*
 * The other host's pair is this one's from now on: on disk first, then this host's program and
 * replica are given up, and only then the other host learns that it may go on.
 */
static int adopt(struct daemon *d, struct recorded *e)
{
	const struct record old = e->r;
	struct record new = old;
	int ret;

	new.term = MAX(new.term, e->r.lost_term);
	memcpy(new.owner, e->r.other, sizeof(new.owner));
	record_resolved(&new);
	memset(new.session, 0, sizeof(new.session));
	new.role = RECORD_SPARE;
	new.generation = 0;
	ret = records_write(d, &new);
	if (ret)
		return ret;
	ret = give_up(d, new.name);
	if (ret) {
		/* A person tries again. */
		records_still(d, e, &old);
		return ret;
	}
	news_record(d, e, "resolved");
	fence_announce(d, new.name, new.term, new.owner, 0);
	return 0;
}

/*
 * It is no memory of what is gone: a spare may be promoted, or lacks what was acknowledged alone,
 * as long as the program lives.
 */
static bool is_of_a_living_one(struct daemon *d, const struct record *r)
{
	struct known *k;

	LIST_FOREACH(k, &d->sessions, entry)
		if (r->role == RECORD_PRIMARY && uuid_same(k->rec.uuid, r->session))
			return true;
	return false;
}

static int forget(struct daemon *d, const char *name)
{
	struct recorded *e = recorded_find(d, name);
	struct record r;
	bool gone;
	int ret;

	if (!e)
		return -ENOENT;
	if (record_stands_still(&e->r))
		return adopt(d, e);
	r = e->r;
	if (!e->damaged && is_of_a_living_one(d, &r))
		return -EBUSY;
	gone = !e->damaged && record_gone(&r, d->self.uuid, d->boot);
	/* Without the record its term would fence the program that is to go on. */
	ret = gone ? remove_replica(d, name) : 0;
	if (ret)
		return ret;
	/* Who hears of the replica may have forgotten it already. */
	e = recorded_find(d, name);
	ret = e ? state_remove(d->conf.state_dir, name) : 0;
	if (ret || !e)
		return ret;
	news_record(d, e, "forgotten");
	recorded_free(e);
	if (gone)
		fence_announce(d, name, r.term, r.owner, WIRE_TERM_GIVEN_UP);
	records_decide(d, name);
	return 0;
}

/* The mark of a replica that is still there: without it, the replica could be promoted. */
static bool keeps_outdated(struct daemon *d, const char *name)
{
	struct recorded *e = recorded_find(d, name);

	return e && !e->damaged && !record_stands_still(&e->r) &&
		e->r.role == RECORD_SPARE && e->r.outdated && held_find(d, name);
}

int records_forget(struct daemon *d, const char *name)
{
	/* A session that ended a moment ago isn't one that begins anew. */
	known_refresh(d);
	return keeps_outdated(d, name) ? -EREMCHG : forget(d, name);
}

/*
 * Nothing but a person removes one: what it had, and a promotion that no program of this host
 * went on with, are given up. A session's record stays, and one that nobody would miss, as that
 * of a side of a split brain that was given up.
 */
void records_replica_gone(struct daemon *d, const char *name)
{
	struct recorded *e = recorded_find(d, name);

	if (e && !e->damaged && !e->r.split && e->r.role != RECORD_PRIMARY &&
	    e->r.role != RECORD_TAKING && record_weighs(&e->r))
		forget(d, name);
}

bool records_split(struct daemon *d, const char *name)
{
	struct recorded *e = recorded_find(d, name);

	return e && e->r.split;
}

bool records_overtaken(struct daemon *d, const char *name)
{
	struct recorded *e = recorded_find(d, name);

	return e && e->r.lost_term;
}

bool records_has_others(struct daemon *d, const char *name)
{
	const struct record *r = record_of(d, name);

	return r && r->role == RECORD_SPARE && r->others;
}

int records_sure(struct daemon *d, const char *name)
{
	struct recorded *e = recorded_find(d, name);
	struct record new;

	if (!e || e->damaged)
		return 0;
	new = e->r;
	new.unsure = false;
	return change(d, e, &new);
}

bool records_damaged(struct daemon *d, const char *name)
{
	struct recorded *e = recorded_find(d, name);

	return e && e->damaged;
}

void records_undo(struct daemon *d, const char *name, const struct record *before)
{
	struct recorded *e = recorded_find(d, name);

	if (e && before)
		records_still(d, e, before);
	else if (e && !state_remove(d->conf.state_dir, name))
		recorded_free(e);
}

/*
 * Begin and end
 */

/*
 * A promotion that nobody was answered is as it was before, unless the replica has it: then
 * only the mark is left.
 */
static void settle_promotion(struct daemon *d, struct recorded *e)
{
	struct cptdev_image_info info;
	bool done = false;
	struct record new;
	int fd;

	if (!e->r.promoting)
		return;
	fd = kernel_replica_open(d->kernel, e->r.name, 0);
	if (fd >= 0) {
		done = !kernel_image_info(d->kernel, fd, &info) && info.term == e->r.term &&
			info.state & CPTDEV_IMAGE_PROMOTED;
		d->kernel->ops->close(d->kernel, fd);
	}
	new = e->r;
	record_promoted(&new, done);
	if (done)
		new.outdated = new.source = false;
	if (records_write(d, &new))
		e->r = new;
}

static void read_record(void *arg, const char *name, const struct record *r, const char *why)
{
	struct daemon *d = arg;
	struct recorded *e = recorded_new(d, name);

	if (!e)
		return;
	e->stored = true;
	e->damaged = !r;
	if (r)
		e->r = *r;
	else
		log_err("the record of %s in %s can't be used: %s; nothing is started, fed or promoted under this name. Next, if its data may be lost: %s",
			name, d->conf.state_dir, why, ADVICE(d, "forget", name));
	if (r && record_lost(r, d->boot))
		log_warn("this host was restarted: its memory of %s, up to generation %llu of term %llu, is lost",
			 name, r->generation, r->term);
}

static void boot_id(u8 *boot)
{
	sd_id128_t id;

	if (sd_id128_get_boot(&id) < 0)
		id = (sd_id128_t) {};
	memcpy(boot, id.bytes, CPTDEV_UUID_LEN);
}

int records_open(struct daemon *d)
{
	struct recorded *e;
	int ret;

	LIST_INIT(&d->records);
	memset(d->recorded, 0, sizeof(d->recorded));
	d->flush = (struct timer) { .fn = records_flush };
	boot_id(d->boot);
	ret = state_dir_make(d->conf.state_dir);
	if (!ret)
		ret = state_read_all(d->conf.state_dir, read_record, d);
	if (ret) {
		log_err("can't read the records in %s: %s. Next: make that directory, or name another one as state_dir",
			d->conf.state_dir, strerror(-ret));
		return ret;
	}
	LIST_FOREACH(e, &d->records, entry)
		settle_promotion(d, e);
	return 0;
}

void records_close(struct daemon *d)
{
	struct recorded *e;

	if (d->flush.armed)
		records_flush(&d->flush);
	loop_disarm(&d->flush);
	while ((e = LIST_FIRST(&d->records)))
		recorded_free(e);
}
