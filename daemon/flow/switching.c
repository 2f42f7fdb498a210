// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Planned switch-overs, on the primary's host. rules/switchover.h has the phases.
 *
 *   asking		SWITCH asks whether the other host has a replica that may be promoted, and
 *			a program that waits
 *   preparing		a checkpoint is wanted and shipped, while the program serves
 *   stopping		the engine blocks the session: nothing is acknowledged or answered from now
 *			on. A checkpoint is wanted. One may have been under way, so that another one
 *			is wanted after it
 *   shipping		the spare commits the last checkpoint
 *   handed over	the record offers the next term to the other host; then SWITCH tells that
 *			host to take over. The session is barred
 *   taking		the other host has the term on disk; the program of this host is fenced
 *
 * Before the hand-over any trouble ends the switch-over, and the program goes on. Afterwards only the
 * other host knows how it ends. Its answer decides, and until then the program of this host answers
 * nobody. Each new link asks again, also that of a daemon that was restarted meanwhile.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon.h"
#include "log.h"
#include "uuid.h"

/* While one runs it is looked at as often. */
#define LOOK_NS		(5 * NSEC_PER_MSEC)
/* The other host's daemon answers at once; its program has to restore its memory first. */
#define ASK_NS		(5 * NSEC_PER_SEC)
#define TAKE_NS		(30 * NSEC_PER_SEC)
/*
 * A program that waits for an acknowledgement may take no checkpoint meanwhile. One that takes it needs
 * a few milliseconds, or more on a busy machine.
 */
#define STOP_NS		NSEC_PER_SEC

static struct known *session_of(struct daemon *d, const struct switchover *sw)
{
	struct known *k;

	LIST_FOREACH(k, &d->sessions, entry)
		if (uuid_same(k->rec.uuid, sw->session))
			return k;
	return NULL;
}

/* The link to the node, if it is up. */
static struct out *link_to(struct daemon *d, const u8 *node)
{
	struct peer *p;

	LIST_FOREACH(p, &d->peers, entry)
		if (p->out.state == OUT_UP && p->out.features & WIRE_FEATURE_SWITCH &&
		    uuid_same(p->out.node.uuid, node))
			return &p->out;
	return NULL;
}

struct switchover *switch_find(struct daemon *d, const char *name)
{
	struct switchover *sw;

	LIST_FOREACH(sw, &d->switches, entry)
		if (!strcmp(sw->name, name))
			return sw;
	return NULL;
}

static bool is_under_way(const struct switchover *sw)
{
	return sw->phase != SWITCH_OVER;
}

static void news(struct daemon *d, const struct switchover *sw, const char *event)
{
	struct known *k = session_of(d, sw);

	if (k)
		news_session(d, k, event);
}

/*
 * The end
 */

static void over(struct daemon *d, struct switchover *sw, enum switch_end end)
{
	static const char *const events[] = {
		[SWITCH_DONE] = "switched-over", [SWITCH_FAILED] = "switch-over-failed",
		[SWITCH_UNKNOWN] = "switch-over-unknown",
	};

	sw->until = sw->phase;
	sw->phase = SWITCH_OVER;
	sw->end = end;
	news(d, sw, events[end]);
}

/* The program may answer again. */
static void go_on(struct daemon *d, struct switchover *sw)
{
	struct known *k = session_of(d, sw);

	if (!k || !k->stopping)
		return;
	k->stopping = false;
	records_block(d, k);
}

static void fail(struct daemon *d, struct switchover *sw, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void fail(struct daemon *d, struct switchover *sw, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(sw->text, sizeof(sw->text), fmt, ap);
	va_end(ap);
	tell(&d->tell, LOG_WARNING, TELL_SESSION, sw->name,
	     "%s isn't switched over to %s (%s): %s", sw->name, sw->to_name,
	     switch_phase_word(sw->phase), sw->text);
	over(d, sw, SWITCH_FAILED);
	go_on(d, sw);
}

static void done(struct daemon *d, struct switchover *sw)
{
	if (!sw->taken)
		snprintf(sw->text, sizeof(sw->text),
			 "%s has the term, but didn't report that its program goes on. Next: cptdevctl status, there",
			 sw->to_name);
	tell(&d->tell, LOG_NOTICE, TELL_SESSION, sw->name,
	     "switched %s over to %s: generation %llu, term %llu", sw->name, sw->to_name,
	     sw->last, sw->term);
	over(d, sw, SWITCH_DONE);
}

/* The host that has it is the one that knows. */
static void unknown(struct daemon *d, struct switchover *sw)
{
	struct advice a;

	snprintf(sw->text, sizeof(sw->text),
		 "the link to %s was lost after it was told to take over: it isn't known whether it has, and the program of this host answers nobody until the hosts are linked again. Next: cptdevctl status, on %s; if that host is off and hasn't promoted its replica: %s",
		 sw->to_name, sw->to_name,
		 advice(d, &a, "switchover --cancel --force", sw->name));
	tell(&d->tell, LOG_ERR, TELL_SESSION, sw->name, "%s: %s", sw->name, sw->text);
	over(d, sw, SWITCH_UNKNOWN);
}

/*
 * The phases
 */

static void ask(struct switchover *sw, struct out *o, enum wire_switch what, u64 generation)
{
	u8 buf[128];
	struct writer w = { .p = buf, .cap = sizeof(buf) };
	struct msg_switch m = { .term = sw->term, .generation = generation, .what = what };

	memcpy(m.uuid, sw->session, sizeof(m.uuid));
	strcpy(m.name, sw->name);
	switch_encode(&w, &m);
	conn_send(o->conn, WIRE_SWITCH, 0, &w);
}

/* 0 or a negative errno. */
static int want(struct daemon *d, struct switchover *sw, const struct known *k)
{
	struct cptdev_ack arg = { .flags = CPTDEV_ACK_WANT, .session_id = k->rec.id };

	sw->seen = k->rec.published;
	return kernel_tell(d->kernel, &arg);
}

static void enter(struct switchover *sw, enum switch_phase phase, u64 ns)
{
	sw->phase = phase;
	sw->deadline = MIN(clock_mono() + ns, sw->limit);
}

static void prepare(struct daemon *d, struct switchover *sw, const struct known *k)
{
	int ret = want(d, sw, k);

	if (ret)
		fail(d, sw, "the program can't be told to take a checkpoint: %s", strerror(-ret));
	else
		enter(sw, SWITCH_PREPARING, ~0ULL / 2);
}

/*
 * From the block on nothing is acknowledged. The newest generation isn't known from the events
 * that were read so far, so the engine is asked; the next one may have been under way.
 */
static void stop(struct daemon *d, struct switchover *sw, struct known *k)
{
	int ret;

	k->stopping = switch_stops(SWITCH_STOPPING);
	enter(sw, SWITCH_STOPPING, STOP_NS);
	sw->stopped = clock_mono();
	ret = records_block(d, k);
	if (!ret)
		ret = want(d, sw, k);
	if (ret) {
		fail(d, sw, "the program can't be stopped: %s", strerror(-ret));
		return;
	}
	sw->wanted = 1;
	known_refresh(d);
	k = session_of(d, sw);
	if (k)
		sw->seen = k->rec.published;
	news(d, sw, "switch-over-stopped");
}

static void have_last(struct switchover *sw, const struct known *k, bool whole)
{
	sw->last = k->rec.published;
	sw->whole = whole;
	sw->taken_last = clock_mono();
	enter(sw, SWITCH_SHIPPING, ~0ULL / 2);
}

/* It does what it is asked for, and has the same time for the next one. */
static void again(struct switchover *sw)
{
	sw->wanted++;
	sw->deadline = MIN(clock_mono() + STOP_NS, sw->limit);
}

static void stopping(struct daemon *d, struct switchover *sw, const struct known *k)
{
	if (k->rec.published > sw->seen && sw->wanted > 1)
		have_last(sw, k, true);
	else if (k->rec.published > sw->seen && !want(d, sw, k))
		again(sw);
	else if (clock_mono() >= sw->deadline && k->rec.published)
		/* It waits for an answer, perhaps. All that was acknowledged is there. */
		have_last(sw, k, false);
}

/* On disk, and barred, before the other host is told. */
static void hand_over(struct daemon *d, struct switchover *sw, struct known *k, struct out *o)
{
	int ret = records_hand(d, sw->name, o->node.uuid, o->node.name);

	if (ret) {
		fail(d, sw, "its record can't be written: %s", strerror(-ret));
		return;
	}
	sw->shipped = clock_mono();
	sw->phase = SWITCH_HANDED;
	records_decide(d, sw->name);
	k->stopping = false;
	ask(sw, o, WIRE_SWITCH_GO, sw->last);
}

static void late(struct daemon *d, struct switchover *sw, const struct known *k,
		 const struct ship *s)
{
	if (sw->phase == SWITCH_ASKING)
		fail(d, sw, "%s doesn't answer. Next: cptdevctl status, there", sw->to_name);
	else if (sw->phase == SWITCH_PREPARING && k->rec.published <= sw->seen)
		fail(d, sw, "the program was asked for a checkpoint and took none. Next: does it look at CPTDEV_STATE_WANTED (hs_wanted(3), ckdev_wait(3))? cptdevctl promote on %s moves the service without its help",
		     sw->to_name);
	else
		fail(d, sw, "the link lags: %s has generation %llu, %llu is published. Next: cptdevctl status; try again with less load, or a higher --timeout",
		     sw->to_name, s ? s->committed : 0, k->rec.published);
}

/* Whoever has the term: a link that is lost afterwards changes nothing. */
static void without_link(struct daemon *d, struct switchover *sw)
{
	if (sw->phase == SWITCH_TAKING)
		done(d, sw);
	else if (sw->phase == SWITCH_HANDED)
		unknown(d, sw);
	else
		fail(d, sw, "the link to %s was lost. Next: cptdevctl status; try again when it is linked",
		     sw->to_name);
}

static void look_before(struct daemon *d, struct switchover *sw, struct out *o)
{
	struct known *k = session_of(d, sw);
	struct ship *s = k ? switch_spare(k, o) : NULL;

	if (!k)
		fail(d, sw, "the program has ended. Next: cptdevctl status, on both hosts");
	else if (k->rec.flags & CPTDEV_GENL_SESSION_FENCED)
		fail(d, sw, "the program was fenced meanwhile. Next: cptdevctl status, on both hosts");
	else if (*k->barred)
		fail(d, sw, "%s", k->barred);
	else if (!s || s->outdated || s->lacks)
		fail(d, sw, "%s isn't a spare in step any more: %s. Next: cptdevctl status",
		     sw->to_name, s && *s->last.text ? s->last.text : "it doesn't follow");
	else if (sw->phase == SWITCH_PREPARING && s->committed > sw->seen)
		stop(d, sw, k);
	else if (sw->phase == SWITCH_STOPPING && clock_mono() < sw->limit)
		stopping(d, sw, k);
	else if (sw->phase == SWITCH_SHIPPING && switch_has(s->committed, sw->last))
		hand_over(d, sw, k, o);
	else if (clock_mono() >= sw->deadline)
		late(d, sw, k, s);
}

static void look_at(struct daemon *d, struct switchover *sw)
{
	struct out *o = link_to(d, sw->to);

	if (!o)
		without_link(d, sw);
	else if (!switch_is_handed(sw->phase))
		look_before(d, sw, o);
	else if (sw->phase == SWITCH_TAKING && clock_mono() >= sw->deadline)
		done(d, sw);
}

static void switch_timer(struct timer *t)
{
	struct daemon *d = container_of(t, struct daemon, switching);
	struct switchover *sw = NULL;
	bool again = false;

	LIST_FOREACH(sw, &d->switches, entry) {
		if (is_under_way(sw))
			look_at(d, sw);
		again |= is_under_way(sw);
	}
	if (again && !t->armed)
		loop_arm(&d->loop, t, LOOK_NS);
}

void switch_look(struct daemon *d)
{
	struct switchover *sw = NULL;

	LIST_FOREACH(sw, &d->switches, entry) {
		if (!is_under_way(sw))
			continue;
		loop_arm(&d->loop, &d->switching, 0);
		return;
	}
}

void switch_open(struct daemon *d)
{
	LIST_INIT(&d->switches);
	d->switching = (struct timer) { .fn = switch_timer };
}

void switch_close(struct daemon *d)
{
	struct switchover *sw;

	loop_disarm(&d->switching);
	while ((sw = LIST_FIRST(&d->switches))) {
		LIST_REMOVE(sw, entry);
		free(sw);
	}
}

/*
 * The beginning
 */

struct switchover *switch_begin(struct daemon *d, const char *name, const char *peer, u64 limit,
				const char **code, char *why, size_t size)
{
	struct switchover *sw = switch_find(d, name);
	struct known *k = known_find_name(d, name);
	struct out *o = switch_out(d, k, peer);

	*code = switch_check(d, k, name, peer, why, size);
	if (*code)
		return NULL;
	if (sw)
		LIST_REMOVE(sw, entry);
	else
		sw = calloc(1, sizeof(*sw));
	if (!sw) {
		*code = switch_refuse("memory", why, size, "no memory");
		return NULL;
	}
	*sw = (struct switchover) {
		.term = record_of(d, name)->term + 1, .began = clock_mono(), .wall = clock_wall(),
		.limit = clock_mono() + limit, .uid = k->rec.uid,
	};
	strcpy(sw->name, name);
	strcpy(sw->to_name, o->node.name);
	memcpy(sw->session, k->rec.uuid, sizeof(sw->session));
	memcpy(sw->to, o->node.uuid, sizeof(sw->to));
	LIST_INSERT_HEAD(&d->switches, sw, entry);
	enter(sw, SWITCH_ASKING, ASK_NS);
	ask(sw, o, WIRE_SWITCH_ASK, switch_spare(k, o)->committed);
	news(d, sw, "switch-over-begun");
	switch_look(d);
	return sw;
}

/*
 * The answers
 */

/* It hasn't, and won't by that question: the program of this host goes on. */
static void refused(struct daemon *d, struct recorded *e, const struct switchover *sw,
		    const char *text)
{
	if (!e->r.handed)
		return;
	if (!sw)
		tell(&d->tell, LOG_WARNING, TELL_SESSION, e->r.name,
		     "%s wasn't switched over to %s, and goes on here: %s", e->r.name,
		     e->r.handed_name, text);
	records_kept(d, e);
}

/* How it ended is about to be known. */
static void resume(struct switchover *sw)
{
	if (!sw || sw->end != SWITCH_UNKNOWN)
		return;
	sw->phase = SWITCH_HANDED;
	sw->end = SWITCH_RUNS;
	*sw->text = '\0';
}

void switch_met(struct daemon *d, const char *name, u64 term)
{
	struct switchover *sw = switch_find(d, name);

	resume(sw);
	if (!sw || sw->phase != SWITCH_HANDED || term < sw->term)
		return;
	sw->term = term;
	sw->promoted = clock_mono();
	sw->phase = SWITCH_TAKING;
	sw->deadline = clock_mono() + TAKE_NS;
	switch_look(d);
}

static void answered(struct out *o, struct switchover *sw, const struct msg_switch_state *m)
{
	struct daemon *d = o->d;
	struct known *k = session_of(d, sw);

	if (m->what == WIRE_SWITCH_TAKEN) {
		if (sw->phase != SWITCH_TAKING || m->term < sw->term)
			return;
		sw->taken = clock_mono();
		done(d, sw);
	} else if (m->term != sw->term) {
		return;
	} else if (m->fault.code != WIRE_OK) {
		if (sw->phase == SWITCH_ASKING || sw->phase == SWITCH_HANDED)
			fail(d, sw, "%s", m->fault.text);
	} else if (m->what == WIRE_SWITCH_READY && sw->phase == SWITCH_ASKING && k) {
		prepare(d, sw, k);
	}
}

int switch_frame(struct out *o, const u8 *payload, u32 len)
{
	struct fault *f = &o->conn->fault;
	struct daemon *d = o->d;
	struct msg_switch_state m;
	struct switchover *sw;
	struct recorded *e;
	bool mine;

	if (!(o->features & WIRE_FEATURE_SWITCH))
		return fault_set(f, WIRE_E_PROTOCOL, "SWITCH_STATE, which wasn't agreed on");
	if (switch_state_decode(payload, len, &m, f) || fence_told(d, m.name, m.term, f))
		return -1;
	sw = switch_find(d, m.name);
	if (sw && (!is_under_way(sw) || !uuid_same(sw->to, o->node.uuid)))
		sw = NULL;
	e = recorded_find(d, m.name);
	mine = e && !e->damaged && e->r.handed == m.term &&
		uuid_same(e->r.handed_to, o->node.uuid);
	/* The program hears of the fence before it may answer what was acknowledged. */
	if (mine && m.fault.code == WIRE_OK && m.what == WIRE_SWITCH_PROMOTED) {
		fence_below(d, m.name, m.term, o->node.name);
		records_met(d, m.name, m.term, o->node.uuid, o->node.name);
	}
	if (sw)
		answered(o, sw, &m);
	if (mine && m.fault.code != WIRE_OK)
		refused(d, e, sw, m.fault.text);
	switch_look(d);
	return 0;
}

void switch_linked(struct out *o)
{
	struct daemon *d = o->d;
	struct recorded *e, *next;

	if (!(o->features & WIRE_FEATURE_SWITCH))
		return;
	for (e = LIST_FIRST(&d->records); e; e = next) {
		struct switchover again = {};

		next = LIST_NEXT(e, entry);
		if (e->damaged || !e->r.handed || !uuid_same(e->r.handed_to, o->node.uuid))
			continue;
		/* Nobody would go on here: the other host hears how the program ended. */
		if (d->complete && !known_find_name(d, e->r.name)) {
			records_kept(d, e);
			continue;
		}
		resume(switch_find(d, e->r.name));
		again.term = e->r.handed;
		strcpy(again.name, e->r.name);
		memcpy(again.session, e->r.session, sizeof(again.session));
		ask(&again, o, WIRE_SWITCH_GO, e->r.generation ? e->r.generation : 1);
	}
}

int switch_cancel(struct daemon *d, const char *name, bool force, const char **code, char *why,
		  size_t size)
{
	struct switchover *sw = switch_find(d, name);
	struct recorded *e = recorded_find(d, name);

	*code = NULL;
	if (sw && is_under_way(sw) && !switch_is_handed(sw->phase)) {
		fail(d, sw, "a person cancelled it");
		return 0;
	}
	if (!e || e->damaged || !e->r.handed)
		*code = switch_refuse("no-switch-over", why, size,
				      "it isn't being switched over. Next: cptdevctl status");
	else if (link_to(d, e->r.handed_to))
		*code = switch_refuse("busy", why, size,
				      "%s was told to take over, and is being asked for the result. Next: cptdevctl status",
				      e->r.handed_name);
	else if (!force)
		*code = switch_refuse("handed-over", why, size,
				      "%s was told to take over, and may have done so: if its program answers clients, the data that this host acknowledges from now on is lost. Next: cptdevctl status, on %s; if that host is off, or has promoted nothing: --force",
				      e->r.handed_name, e->r.handed_name);
	if (*code)
		return -EINVAL;
	tell(&d->tell, LOG_WARNING, TELL_SESSION, name,
	     "%s goes on here: a person confirmed that %s hasn't taken over", name,
	     e->r.handed_name);
	records_kept(d, e);
	return 0;
}
