// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * "cptdevctl verify", on the primary's host: each spare is sent the checksums of the pages that
 * it has to have (sums.h), and answers which of its pages differ. Frames are in order, so the
 * replica that the spare compares is of the generation that was sent to it last. One question is
 * under way to a spare at a time, deltas go first, and then there is a pause of three times as
 * long as the answer took: the other host spends a quarter of its time on it at most.
 *
 * If pages differ, the spare gets a full copy: its replica is as good as lost. Afterwards all is
 * compared once more.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon.h"
#include "log.h"
#include "uuid.h"

/*
 * How often it is looked at whether something has changed. A full copy may be wanted for as long
 * as the program is idle; when it is there, verify_copied() says so.
 */
#define LOOK_NS		(5 * NSEC_PER_MSEC)
#define LOOK_COPYING_NS	NSEC_PER_SEC
#define PAUSE_MIN_NS	NSEC_PER_MSEC
#define PAUSE_SHARE	3U
/* A delta that takes longer isn't waited for: 200 looks. */
#define YIELDS		200U
/*
 * A spare that answers nothing for so long, or isn't fed. A full copy is wanted until it is
 * there.
 */
#define PATIENCE_NS	(30 * NSEC_PER_SEC)

static const char *const words[] = {
	[VERIFY_COMPARING] = "comparing", [VERIFY_COPYING] = "copying", [VERIFY_SAME] = "same",
	[VERIFY_DIFFERS] = "differs", [VERIFY_REPAIRED] = "repaired",
	[VERIFY_UNKNOWN] = "unknown", [VERIFY_BROKEN] = "broken-off",
	[VERIFY_OLD] = "not-supported",
};

const char *verify_word(enum verify_state state)
{
	return words[state];
}

static struct known *session_of(struct daemon *d, const struct verify *v)
{
	struct known *k;

	LIST_FOREACH(k, &d->sessions, entry)
		if (uuid_same(k->rec.uuid, v->session))
			return k;
	return NULL;
}

struct verify *verify_find(struct daemon *d, const char *name)
{
	struct verify *v;

	LIST_FOREACH(v, &d->verifies, entry)
		if (!strcmp(v->name, name))
			return v;
	return NULL;
}

/* That of the spare which @s is. */
static struct verify_spare *spare_of(const struct ship *s, struct verify **vp)
{
	struct verify *v = verify_find(s->out->d, s->session->rec.name);
	u32 i;

	if (vp)
		*vp = v;
	if (!v || !uuid_same(v->session, s->session->rec.uuid))
		return NULL;
	for (i = 0; i < v->nr; i++)
		if (uuid_same(v->spare[i].node, s->out->node.uuid))
			return &v->spare[i];
	return NULL;
}

static bool is_under_way(const struct verify_spare *sp)
{
	return sp->state == VERIFY_COMPARING || sp->state == VERIFY_COPYING;
}

static void news(struct daemon *d, const struct verify *v, const char *event)
{
	struct known *k = session_of(d, v);

	if (k)
		news_session(d, k, event);
}

/*
 * The end
 */

static void end(struct verify_spare *sp, enum verify_state state, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void end(struct verify_spare *sp, enum verify_state state, const char *fmt, ...)
{
	va_list ap;

	sp->state = state;
	va_start(ap, fmt);
	vsnprintf(sp->text, sizeof(sp->text), fmt, ap);
	va_end(ap);
}

static void tell_end(struct daemon *d, const struct verify *v, const struct verify_spare *sp)
{
	bool good = sp->state == VERIFY_SAME || sp->state == VERIFY_REPAIRED;

	tell(&d->tell, good ? LOG_INFO : LOG_WARNING, TELL_SESSION, v->name,
	     "verify of %s: %s: %s, %llu of %llu pages compared, %llu differed%s%s", v->name,
	     sp->name, words[sp->state], sp->compared, sp->pages, sp->damaged,
	     *sp->text ? ": " : "", sp->text);
}

static void full_copy(struct daemon *d, struct verify_spare *sp, struct ship *s)
{
	sp->state = VERIFY_COPYING;
	members_look(d, s->session);
}

/* The second comparison has begun anew, with the figures of its own. */
static void compared_all(struct daemon *d, struct verify_spare *sp, struct ship *s, bool force)
{
	if (sp->again)
		end(sp, VERIFY_DIFFERS,
		    "pages differ again after a full copy: the memory of that host may be faulty. Next: test it, and use another host meanwhile");
	else if (sp->copied && sp->damaged)
		end(sp, VERIFY_REPAIRED, "a full copy was sent");
	else if (sp->damaged || (force && !sp->copied && !sp->compared))
		full_copy(d, sp, s);
	else if (!sp->compared)
		end(sp, VERIFY_UNKNOWN,
		    "no checksums of its pages are known: they were sent before this cptdevd was started, or there is no memory for them (checksums_mib). Next: verify --force sends a full copy");
	else
		end(sp, VERIFY_SAME, "%s", "");
}

/*
 * Questions
 */

static void ask(struct daemon *d, struct verify_spare *sp, struct ship *s,
		const struct msg_verify *m, u32 newer)
{
	static u8 buf[sizeof(*m)];
	struct writer w = { .p = buf, .cap = sizeof(buf) };

	s->question = (struct verify_question) {
		.generation = m->generation, .addr = m->addr, .nr = m->nr, .newer = newer,
		.at = d->loop.now,
	};
	sp->generation = m->generation;
	sp->yields = 0;
	verify_encode(&w, m);
	conn_send(s->out->conn, WIRE_VERIFY, s->channel, &w);
}

static void compare(struct daemon *d, struct verify *v, struct verify_spare *sp, struct ship *s)
{
	static struct msg_verify m;	/* one thread */
	u32 newer;

	if (s->question.nr || d->loop.now < sp->due)
		return;
	if (s->state == SHIP_SENDING && sp->yields++ < YIELDS)
		return;
	if (sums_next(s->session->sums, s->since, sp->next, &m, &newer)) {
		ask(d, sp, s, &m, newer);
		return;
	}
	sp->newer += newer;
	compared_all(d, sp, s, v->force);
}

static void impatient(struct verify_spare *sp, const struct ship *s)
{
	if (s->question.nr)
		end(sp, VERIFY_BROKEN, "it doesn't answer. Next: cptdevctl status, there");
	else
		end(sp, VERIFY_BROKEN, "nothing is shipped to it: %s. Next: cptdevctl status",
		    *s->last.text ? s->last.text : "it doesn't follow");
}

static void look_at(struct daemon *d, struct verify *v, struct verify_spare *sp)
{
	struct known *k = session_of(d, v);
	struct ship *s = k ? ship_find(k, sp->node) : NULL;

	if (!k)
		end(sp, VERIFY_BROKEN, "the program has ended");
	else if (k->rec.flags & CPTDEV_GENL_SESSION_FENCED)
		end(sp, VERIFY_BROKEN, "the program was fenced. Next: cptdevctl status, on both hosts");
	else if (!s && sp->state == VERIFY_COMPARING)
		end(sp, VERIFY_BROKEN, "the link was lost. Next: try again when it is there");
	else if (s && s->delta)
		sp->heard = d->loop.now;
	if (sp->state == VERIFY_COMPARING && d->loop.now - sp->heard > PATIENCE_NS)
		impatient(sp, s);
	else if (sp->state == VERIFY_COMPARING && ship_follows(s))
		compare(d, v, sp, s);
	if (!is_under_way(sp))
		tell_end(d, v, sp);
}

static void verify_timer(struct timer *t)
{
	struct daemon *d = container_of(t, struct daemon, verifying);
	struct verify *v;
	bool runs, copying = false, comparing = false;
	u32 i;

	for (v = LIST_FIRST(&d->verifies); v; v = LIST_NEXT(v, entry)) {
		runs = false;
		for (i = 0; i < v->nr; i++) {
			if (is_under_way(&v->spare[i]))
				look_at(d, v, &v->spare[i]);
			runs |= is_under_way(&v->spare[i]);
			copying |= v->spare[i].state == VERIFY_COPYING;
			comparing |= v->spare[i].state == VERIFY_COMPARING;
		}
		if (runs || v->ended)
			continue;
		v->ended = d->loop.now;
		news(d, v, "verified");
	}
	if ((copying || comparing) && !t->armed)
		loop_arm(&d->loop, t, comparing ? LOOK_NS : LOOK_COPYING_NS);
}

/*
 * The beginning
 */

void verify_open(struct daemon *d)
{
	LIST_INIT(&d->verifies);
	d->verifying = (struct timer) { .fn = verify_timer };
}

void verify_close(struct daemon *d)
{
	struct verify *v;

	loop_disarm(&d->verifying);
	while ((v = LIST_FIRST(&d->verifies))) {
		LIST_REMOVE(v, entry);
		free(v);
	}
}

static void add_spare(struct verify *v, const struct out *o, u64 now)
{
	struct verify_spare *sp = &v->spare[v->nr++];

	*sp = (struct verify_spare) { .heard = now };
	memcpy(sp->node, o->node.uuid, sizeof(sp->node));
	strcpy(sp->name, o->node.name);
	if (!(o->features & WIRE_FEATURE_VERIFY))
		end(sp, VERIFY_OLD,
		    "cptdevd of %s is too old: it can't compare its replica. Next: install this version there",
		    o->node.name);
}

static void add_spares(struct daemon *d, struct verify *v, const struct known *k)
{
	struct ship *s;

	TAILQ_FOREACH(s, &k->ships, of_session)
		if (s->followed && v->nr < ARRAY_SIZE(v->spare))
			add_spare(v, s->out, d->loop.now);
}

struct verify *verify_begin(struct daemon *d, const char *name, bool force, const char **code,
			    char *why, size_t size)
{
	struct verify *v = verify_find(d, name), *old = v;
	struct known *k = known_find_name(d, name);

	if (!k || k->rec.flags & CPTDEV_GENL_SESSION_FENCED) {
		*code = switch_refuse("no-session", why, size,
				      "no program has this session on this host. Next: cptdevctl status; verify runs on the primary's host");
		return NULL;
	}
	if (v && !v->ended && uuid_same(v->session, k->rec.uuid)) {
		v->force |= force;
		return v;
	}
	v = calloc(1, sizeof(*v));
	if (!v) {
		*code = switch_refuse("memory", why, size, "no memory");
		return NULL;
	}
	d->loop.now = clock_mono();
	*v = (struct verify) {
		.uid = k->rec.uid, .force = force, .wall = clock_wall(), .began = d->loop.now,
	};
	strcpy(v->name, name);
	memcpy(v->session, k->rec.uuid, sizeof(v->session));
	add_spares(d, v, k);
	if (!v->nr) {
		free(v);
		*code = switch_refuse("no-spare", why, size, "no spare follows. Next: cptdevctl status");
		return NULL;
	}
	if (old) {
		LIST_REMOVE(old, entry);
		free(old);
	}
	LIST_INSERT_HEAD(&d->verifies, v, entry);
	loop_arm(&d->loop, &d->verifying, 0);
	return v;
}

/*
 * The answers
 */

/* The first of them is news, of the first comparison and of the second. */
static void damage(struct ship *s, struct verify *v, struct verify_spare *sp,
		   const struct msg_verified *m)
{
	struct daemon *d = s->out->d;
	u64 first = 0, *count = sp->copied ? &sp->again : &sp->damaged;
	u32 page_size = d->self.page_size, i;
	bool is_first;

	for (i = m->nr; i-- > 0;)
		if (verified_differs(m, i))
			first = m->addr + (u64)i * page_size;
	for (i = 0; i < m->nr && sp->nr_addr < VERIFY_ADDRS; i++)
		if (verified_differs(m, i))
			sp->addr[sp->nr_addr++] = m->addr + (u64)i * page_size;
	is_first = !*count;
	*count += m->damaged;
	tell_event(&d->tell, EVENT_VERIFY_MISMATCH, LOG_ERR, TELL_SESSION, v->name,
		   "session %s: the replica on %s differs from what was sent to it: %u pages, the first at address 0x%llx, generation %llu",
		   v->name, sp->name, m->damaged, first, m->generation);
	if (is_first)
		news(d, v, "verify-mismatch");
}

static void answered(struct ship *s, struct verify *v, struct verify_spare *sp,
		     const struct msg_verified *m)
{
	struct daemon *d = s->out->d;
	u64 now = d->loop.now, took = now > s->question.at ? now - s->question.at : 0;

	if (m->code) {
		end(sp, VERIFY_BROKEN, "it can't compare its replica: %s. Next: cptdevctl status, there",
		    wire_code_name(m->code));
		tell_end(d, v, sp);
		return;
	}
	sp->pages = m->pages;
	sp->compared += m->compared;
	sp->newer += s->question.newer;
	sp->next = m->addr + (u64)m->nr * d->self.page_size;
	sp->heard = now;
	sp->due = now + MAX(PAUSE_SHARE * took, PAUSE_MIN_NS);
	if (m->damaged)
		damage(s, v, sp, m);
}

int verify_answer(struct ship *s, const u8 *payload, u32 len)
{
	struct fault *f = &s->out->conn->fault;
	struct verify_spare *sp;
	struct msg_verified m;
	struct verify *v;

	if (verified_decode(payload, len, &m, f))
		return -1;
	if (!s->question.nr || m.nr != s->question.nr || m.addr != s->question.addr ||
	    m.generation != s->question.generation)
		return fault_set(f, WIRE_E_PROTOCOL,
				 "session %s: VERIFIED of 0x%llx, which wasn't asked for",
				 s->session->rec.name, m.addr);
	sp = spare_of(s, &v);
	if (sp && sp->state == VERIFY_COMPARING)
		answered(s, v, sp, &m);
	s->question.nr = 0;
	return 0;
}

bool verify_wants_copy(const struct ship *s)
{
	const struct verify_spare *sp = spare_of(s, NULL);

	return sp && sp->state == VERIFY_COPYING;
}

void verify_copied(struct ship *s)
{
	struct verify *v;
	struct verify_spare *sp = spare_of(s, &v);

	if (!sp || sp->state != VERIFY_COPYING)
		return;
	sp->state = VERIFY_COMPARING;
	sp->copied = true;
	sp->next = sp->compared = sp->newer = 0;
	sp->heard = s->out->d->loop.now;
	loop_arm(&s->out->d->loop, &s->out->d->verifying, 0);
}
