// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Shipping a session: the actions of the table fsm_ship. A descriptor of the device
 * stands for the spare; it is opened when the spare says that it follows and closed when
 * it doesn't any more, so that the kernel knows without being told.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon.h"
#include "log.h"
#include "uuid.h"

bool ship_follows(const struct ship *s)
{
	return s->state == SHIP_WAITING || s->state == SHIP_SENDING || s->state == SHIP_FULL;
}

#define BACK_OFF_MIN_MS	100U
#define BACK_OFF_MAX_MS	1000U

static const char *ship_name(const struct ship *s)
{
	return s->session->rec.name;
}

static void ship_retry(struct timer *t)
{
	ship_event(container_of(t, struct ship, retry), SHIP_RETRY);
}

static int ship_trouble(struct ship *s, const char *what, int err);

static void ship_ask(struct ship *s)
{
	const struct session_rec *rec = &s->session->rec;
	u8 buf[128];
	struct writer w = { .p = buf, .cap = sizeof(buf) };
	const struct record *r = record_of(s->out->d, rec->name);
	struct msg_session m = { .term = rec->term, .uid = rec->uid };
	u16 flags = 0;

	memcpy(m.uuid, rec->uuid, sizeof(m.uuid));
	memcpy(m.owner, r->owner, sizeof(m.owner));
	if (!record_used(r))
		m.flags |= WIRE_SESSION_UNUSED;
	strcpy(m.name, rec->name);
	s->goes_on = conf_session(&s->out->d->conf, rec->name)->alone == CONF_GO_ON;
	if (record_lacked(r, s->out->node.uuid) || s->session->alone)
		m.flags |= WIRE_SESSION_ALONE;
	if (rec->flags & CPTDEV_GENL_SESSION_REPLACE)
		m.flags |= WIRE_SESSION_REPLACE;
	if (s->out->features & WIRE_FEATURE_SPARES)
		flags = members_flags(s->out->d, s->session, &s->out->node);
	/* Nothing that it knows may be taken back then. */
	if (members_telling(s, flags))
		flags = WIRE_SESSION_OTHERS | WIRE_SESSION_UNSURE;
	s->told = flags;
	s->ask_again = false;
	s->goes_on |= flags & WIRE_SESSION_OTHERS;
	m.flags |= flags;
	/* Others make up for it, or the policy for sessions without a spare does. */
	if (s->goes_on)
		m.flags |= WIRE_SESSION_GOES_ON;
	session_encode(&w, &m);
	conn_send(s->out->conn, WIRE_SESSION, s->channel, &w);
}

struct ship *ship_new(struct out *o, struct known *k)
{
	struct ship *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->out = o;
	s->session = k;
	s->channel = o->next_channel++;
	s->dev = -1;
	s->state = SHIP_ASKING;
	s->retry.fn = ship_retry;
	s->back_off_ms = BACK_OFF_MIN_MS;
	rounds_init(s);
	TAILQ_INSERT_TAIL(&o->ships, s, entry);
	TAILQ_INSERT_TAIL(&k->ships, s, of_session);
	if (k->rec.flags & CPTDEV_GENL_SESSION_FENCED) {
		s->state = SHIP_FENCED;
		fault_set(&s->last, WIRE_E_FENCED, "it was fenced before");
	} else {
		ship_ask(s);
	}
	return s;
}

struct ship *ship_find(const struct known *k, const u8 *node)
{
	struct ship *s;

	TAILQ_FOREACH(s, &k->ships, of_session)
		if (uuid_same(s->out->node.uuid, node))
			return s;
	return NULL;
}

/* Forget the delta that is on its way; the peer forgets what it has of it. */
static void ship_drop_delta(struct ship *s)
{
	struct out *o = s->out;

	if (!s->delta)
		return;
	s->owner = 0;
	if (delta_unfinished(s->delta) && o->conn)
		conn_send(o->conn, WIRE_ABORT, s->channel, NULL);
	if (o->head == s)
		o->head = NULL;
	delta_free(s->delta);
	s->delta = NULL;
}

static void ship_detach(struct ship *s)
{
	struct kernel *k = s->out->d->kernel;

	ship_drop_delta(s);
	s->owner = 0;
	s->in_flight = 0;
	if (s->dev >= 0)
		k->ops->close(k, s->dev);
	s->dev = -1;
	s->following = false;
}

static void ship_lost(struct ship *s)
{
	if (s->followed) {
		alone_lost(s->out->d, s->session);
		members_look(s->out->d, s->session);
	}
	s->followed = false;
	s->member = s->ready = false;
}

static void ship_garbage(struct garbage *g)
{
	free(container_of(g, struct ship, garbage));
}

void ship_free(struct ship *s)
{
	rounds_drop(s, false);
	ship_detach(s);
	ship_lost(s);
	loop_disarm(&s->retry);
	TAILQ_REMOVE(&s->out->ships, s, entry);
	TAILQ_REMOVE(&s->session->ships, s, of_session);
	loop_discard(&s->out->d->loop, &s->garbage, ship_garbage);
}

/*
 * Actions
 */

/* What is new is told; what is repeated at every attempt isn't. */
static void ship_note(struct ship *s, const struct fault *f)
{
	/* Of a fence fence_session() tells. */
	if (f->code != WIRE_E_FENCED)
		tell(&s->out->d->tell, LOG_WARNING, TELL_SESSION, ship_name(s),
		     "session %s isn't shipped to %s: %s; trying again", ship_name(s),
		     s->out->node.name, f->text);
	s->last = *f;
}

static int ship_trouble(struct ship *s, const char *what, int err)
{
	struct fault f;

	fault_set(&f, WIRE_E_KERNEL, "%s: %s", what, strerror(-err));
	ship_note(s, &f);
	return ship_event(s, SHIP_TROUBLE);
}

static int ship_attach(struct ship *s)
{
	struct kernel *k = s->out->d->kernel;

	if (s->dev < 0)
		s->dev = k->ops->open(k);
	return s->dev < 0 ? s->dev : 0;
}

/* There is no delta until the program publishes again. */
static int ship_nothing(struct ship *s, int err)
{
	s->asked = s->session->rec.published;
	if (err == -ESTALE) {
		s->lacks = true;
		fault_set(&s->last, WIRE_E_GAP,
			  "the spare lacks changes that aren't kept any more; the program's next checkpoint brings them");
	}
	return ship_event(s, SHIP_NOTHING);
}

/*
 * Runs are for what the spare has when everything before is committed: pages of the delta before it. If
 * that fails, this one does, too. A delta that reaches back further, for another spare, also leads
 * on from there: for pages that this one has already, runs without any change are sent.
 */
static void ship_owner(struct ship *s)
{
	struct cptdev_image_info *info = &s->delta->info;
	struct thin *t = s->delta->thin;

	if (info->base)
		info->base = MAX(info->base, s->since);
	if (!info->base || info->base != s->since || !info->segments) {
		s->owner = 0;
	} else if (!s->owner) {
		s->owner = ++t->owners;
		s->layout = 0;
	}
	t->deltas++;
	s->delta->owner = s->owner;
	s->delta->layout_before = s->layout;
}

/*
 * A spare that lacks what isn't kept any more cancels no WAIT that other spares can fulfil; if
 * they can't, the program is told to take another snapshot.
 */
static int ship_delta(struct ship *s)
{
	struct kernel *k = s->out->d->kernel;
	u64 id = s->session->rec.id;
	int fd = kernel_delta(k, s->dev, id, s->since, CPTDEV_DELTA_OTHERS);

	s->spared = fd == -ESTALE && members_suffice(s);
	s->following |= fd >= 0 || fd == -ENODATA;
	return fd == -ESTALE && !s->spared ? kernel_delta(k, s->dev, id, s->since, 0) : fd;
}

/* If all is sent that events tell of, the next event is reason enough to ask. */
static int ship_next(struct ship *s)
{
	if (s->following && s->since && s->since >= s->session->rec.published)
		return -ENODATA;
	return ship_delta(s);
}

static const char *why_all(const struct ship *s)
{
	if (s->copying)
		return "its replica is sent anew, after a verify";
	if (s->since)
		return "another spare needs one, and the snapshot is the same for all";
	if (s->peer.generation)
		return "it has another program's state";
	if (s->was_member)
		return "it was a spare, and its replica was lost";
	return "it has nothing of the session";
}

/* Everything is sent: that takes long, and a spare that is in step needs it only once. */
static void ship_tell_full(struct ship *s)
{
	const struct delta *delta = s->delta;

	if (delta->info.base || delta->continues)
		return;
	s->full_copies++;
	tell(&s->out->d->tell, LOG_INFO, TELL_SESSION, ship_name(s),
	     "session %s: %s gets a full copy, %llu MiB%s: %s", ship_name(s), s->out->node.name,
	     (delta->part ? s->session->rec.bytes : delta->len) >> 20,
	     delta->part ? " at most, in rounds" : "", why_all(s));
}

static int ship_fetch(struct ship *s)
{
	struct daemon *d = s->out->d;
	int ret, fd;

	/* SESSION goes first, when nothing is on its way any more. */
	if (s->ask_again)
		return s->in_flight ? ship_event(s, SHIP_NOTHING) : ship_event(s, SHIP_RETRY);
	ret = ship_attach(s);
	if (ret)
		return ship_trouble(s, "can't open " CPTDEV_DEVICE, ret);
	fd = rounds_fetch(s);
	if (fd == -EAGAIN)
		return ship_event(s, SHIP_NOTHING);
	if (fd == -ENODATA)
		fd = s->rounds.step == ROUNDS_LAST ? rounds_last(s) : ship_next(s);
	/* ENOENT: the event that it is gone will follow. */
	if (fd == -ENODATA || fd == -ESTALE || fd == -ENOENT)
		return ship_nothing(s, fd);
	if (fd < 0)
		return ship_trouble(s, "can't fetch a delta", fd);
	s->lacks = false;
	s->last.code = WIRE_OK;
	ret = delta_open(d->kernel, fd, out_thin(s->out), &s->delta);
	if (ret)
		return ship_trouble(s, "can't read a delta", ret);
	/* One that is kept for others, and that the spare has had. */
	if (s->copying && uuid_same(s->peer.uuid, s->session->rec.uuid) &&
	    s->delta->info.generation <= s->peer.generation) {
		ship_drop_delta(s);
		return ship_nothing(s, -ESTALE);
	}
	s->delta->sums = known_sums(d, s->session);
	if (s->rounds.round || s->rounds.step == ROUNDS_LAST)
		rounds_part(s);
	ship_tell_full(s);
	if (s->copying && !s->delta->info.base)
		s->copy_generation = s->delta->info.generation;
	ship_owner(s);
	s->delta->alone = s->session->alone || !s->member;
	return ship_event(s, SHIP_DELTA);
}

static void ship_ack(struct ship *s, u64 generation)
{
	s->committed = MAX(s->committed, generation);
	lag_committed(&s->lag, generation);
	members_look(s->out->d, s->session);
	switch_look(s->out->d);
}

/*
 * A spare that can't be brought up to date isn't one: the program sees that none follows.
 * The kernel keeps in mind what the next snapshot has to reach back to.
 */
static void ship_settle(struct ship *s)
{
	if (s->lacks && !s->in_flight && !s->delta)
		ship_detach(s);
	if (s->lacks || s->outdated || !s->session->rec.published)
		alone_known(s->out->d, s->session);
}

/* From now on the session needs the spare, which may be promoted after its next commit. */
static int ship_rely(struct ship *s)
{
	int ret = alone_end(s->out->d, s->session, &s->out->node);

	if (!ret)
		ret = members_told(s);
	if (ret)
		return ship_trouble(s, "can't write its record", ret);
	s->member = true;
	s->ready = false;
	/* Nobody is promoted by time-out if there are others. */
	if (!(s->told & WIRE_SESSION_OTHERS))
		ret = lease_begin(s->out, s->session);
	return ret ? ship_trouble(s, "can't set its lease", ret) : 0;
}

/* The first one is a copy of everything, as a rule; what came meanwhile is less. */
#define CATCH_UP	2

static bool ship_caught_up(struct ship *s)
{
	return !s->member && !s->ready &&
		(++s->caught_up == CATCH_UP || s->since >= s->session->rec.published);
}

void ship_join(struct ship *s)
{
	if (members_may_join(s))
		ship_rely(s);
}

/* The other spares have to know of this one first, if there are any. */
static int ship_is_ready(struct ship *s)
{
	if (s->session->alone)
		return ship_rely(s);
	s->ready = true;
	members_look(s->out->d, s->session);
	return 0;
}

/* Does it count at once: as it did before, or as the only one? */
static bool counts_at_once(const struct ship *s)
{
	struct daemon *d = s->out->d;
	const struct known *k = s->session;

	return !k->alone && (members_has(d, k, s->out->node.uuid) || members_first(d, k));
}

/* Go on from what the spare has: of this very session, or nothing. */
static int ship_resume(struct ship *s)
{
	bool same = uuid_same(s->peer.uuid, s->session->rec.uuid);
	bool again = s->last.code == WIRE_E_MEMORY || s->followed;
	struct fault f;
	int ret;

	if (alone_replaces(s->out->d, s->session, s->out->node.uuid)) {
		fault_set(&f, WIRE_E_BUSY,
			  "the lease of the old primary isn't over yet");
		ship_note(s, &f);
		return ship_event(s, SHIP_TROUBLE);
	}
	rounds_drop(s, false);
	s->member = false;
	s->was_member = members_has(s->out->d, s->session, s->out->node.uuid);
	ret = counts_at_once(s) ? ship_rely(s) : 0;
	if (ret)
		return ret;
	s->caught_up = 0;
	s->owner = 0;
	ret = ship_attach(s);
	if (ret)
		return ship_trouble(s, "can't open " CPTDEV_DEVICE, ret);
	s->followed = true;
	s->outdated = s->peer.flags & WIRE_STATE_OUTDATED;
	s->copying = verify_wants_copy(s);
	s->copy_generation = 0;
	s->since = same && !s->copying ? s->peer.generation : 0;
	s->committed = s->since;
	s->asked = 0;
	s->lacks = false;
	s->last.code = WIRE_OK;
	s->ready = !s->member && !s->session->alone && s->since >= s->session->rec.published;
	/* An attempt after there was no room isn't news before it has worked. */
	if (!again)
		tell(&s->out->d->tell, LOG_INFO, TELL_SESSION, ship_name(s),
		     "session %s: %s follows from generation %llu", ship_name(s),
		     s->out->node.name, s->since);
	ret = ship_fetch(s);
	/* The fetch attached; the answer to an earlier commit may have been lost. */
	if (!ret && s->dev >= 0)
		ship_ack(s, s->since);
	return ret;
}

static void ship_back_off(struct ship *s)
{
	rounds_failed(s);
	rounds_drop(s, true);
	ship_detach(s);
	ship_lost(s);
	loop_arm(&s->out->d->loop, &s->retry, s->back_off_ms * NSEC_PER_MSEC);
	s->back_off_ms = MIN(s->back_off_ms * 2, BACK_OFF_MAX_MS);
}

static void ship_fence(struct ship *s)
{
	fence_session(s->out->d, s->session, s->last.text);
	loop_disarm(&s->retry);
	rounds_drop(s, true);
	ship_detach(s);
}

/* What it has now is what was sent. */
static void ship_copied(struct ship *s, u64 generation)
{
	if (!s->copy_generation || generation < s->copy_generation)
		return;
	s->copying = false;
	s->copy_generation = 0;
	verify_copied(s);
}

static int ship_committed(struct ship *s, bool fetch)
{
	int ret = 0;

	s->outdated = s->outdated && s->window_alone[0];
	ship_ack(s, s->window[0]);
	ship_copied(s, s->window[0]);
	s->back_off_ms = BACK_OFF_MIN_MS;
	*s->last.text = '\0';
	memmove(s->window, s->window + 1, --s->in_flight * sizeof(s->window[0]));
	memmove(s->window_alone, s->window_alone + 1,
		s->in_flight * sizeof(s->window_alone[0]));
	if (ship_caught_up(s))
		ret = ship_is_ready(s);
	return !ret && fetch ? ship_fetch(s) : ret;
}

static void ship_end(struct ship *s)
{
	ship_detach(s);
	/* Without the feature the peer would take it that the session ended in order. */
	if (!*s->session->barred || s->out->features & WIRE_FEATURE_END)
		conn_send(s->out->conn, WIRE_GONE, s->channel, NULL);
	ship_free(s);
}

static int ship_go_on(struct ship *s, unsigned int action)
{
	int ret;

	if (action == SHIP_DO_RESUME)
		ret = ship_resume(s);
	else if (action == SHIP_DO_FETCH)
		ret = ship_fetch(s);
	else
		ret = ship_committed(s, action == SHIP_DO_ACK_FETCH);
	ship_settle(s);
	return ret;
}

static int ship_act(struct ship *s, unsigned int action)
{
	switch (action) {
	case SHIP_DO_ASK:
		ship_ask(s);
		break;
	case SHIP_DO_RESUME:
	case SHIP_DO_FETCH:
	case SHIP_DO_ACK:
	case SHIP_DO_ACK_FETCH:
		return ship_go_on(s, action);
	case SHIP_DO_SEND:
		conn_kick(s->out->conn);
		break;
	case SHIP_DO_BACK_OFF:
		ship_back_off(s);
		break;
	case SHIP_DO_FENCE:
		ship_fence(s);
		break;
	case SHIP_DO_END:
		ship_end(s);
		break;
	}
	return 0;
}

int ship_event(struct ship *s, unsigned int event)
{
	unsigned int before = s->state;
	unsigned int action = fsm_step(&fsm_ship, &s->state, event);

	log_debug("session %s: %s: %s -> %s, %s", ship_name(s), fsm_ship.events[event],
		  fsm_ship.states[before], fsm_ship.states[s->state],
		  fsm_action_name(&fsm_ship, action));
	if (action >= FSM_OWN)
		return ship_act(s, action);
	if (action == FSM_NONE)
		return 0;
	return fault_set(&s->out->conn->fault, WIRE_E_PROTOCOL,
			 "session %s: %s while %s", ship_name(s), fsm_ship.events[event],
			 fsm_ship.states[before]);
}

/*
 * Frames from the peer
 */

static int frame_state(struct ship *s, const u8 *payload, u32 len)
{
	struct msg_state m;

	if (state_decode(payload, len, &m, &s->out->conn->fault) ||
	    fence_told(s->out->d, s->session->rec.name, m.term, &s->out->conn->fault))
		return -1;
	/* Frames are in order: what was asked before SESSION isn't answered any more. */
	s->question.nr = 0;
	/* Whatever else speaks for or against it. */
	if (m.term > s->session->rec.term && m.fault.code != WIRE_E_FENCED)
		fault_set(&m.fault, WIRE_E_FENCED,
			  "the replica on the spare has term %llu, this session %llu", m.term,
			  s->session->rec.term);
	if (s->state == SHIP_ASKING)
		s->peer = m;
	if ((s->state == SHIP_ASKING && m.fault.code != WIRE_OK) ||
	    m.fault.code == WIRE_E_FENCED)
		ship_note(s, &m.fault);
	if (m.fault.code == WIRE_OK)
		return ship_event(s, SHIP_OK);
	return ship_event(s, m.fault.code == WIRE_E_FENCED ? SHIP_FENCE : SHIP_REFUSAL);
}

static int frame_committed(struct ship *s, const u8 *payload, u32 len)
{
	struct conn *c = s->out->conn;
	struct msg_committed m;
	bool expected, late;

	if (committed_decode(payload, len, &m, &c->fault))
		return -1;
	/* When it was given up by now, the next SESSION_STATE will tell. */
	expected = s->in_flight && m.generation == s->window[0];
	late = s->state == SHIP_ASKING || s->state == SHIP_REFUSED || s->state == SHIP_FENCED;
	if (!expected && !late)
		return fault_set(&c->fault, WIRE_E_PROTOCOL,
				 "session %s: COMMITTED of generation %llu, out of order",
				 ship_name(s), m.generation);
	return ship_event(s, SHIP_COMMITTED);
}

static int frame_failed(struct ship *s, const u8 *payload, u32 len)
{
	struct msg_failed m;

	if (failed_decode(payload, len, &m, &s->out->conn->fault))
		return -1;
	ship_note(s, &m.fault);
	return ship_event(s, m.fault.code == WIRE_E_FENCED ? SHIP_FENCE : SHIP_FAILED);
}

int ship_frame(struct ship *s, const struct frame *f, const u8 *payload)
{
	if (f->type == WIRE_SESSION_STATE)
		return frame_state(s, payload, f->length);
	if (f->type == WIRE_COMMITTED)
		return frame_committed(s, payload, f->length);
	if (f->type == WIRE_VERIFIED)
		return verify_answer(s, payload, f->length);
	return frame_failed(s, payload, f->length);
}

/*
 * Frames to the peer
 */

static void ship_sent(struct ship *s)
{
	struct delta *delta = s->delta;

	if (!s->rounds.round)
		s->since = delta->info.generation;
	s->bytes += delta->len;
	s->wire += delta->wire;
	s->layout = delta->layout;
	if (delta->part || delta->continues)
		rounds_sent(s);
	if (!delta->part) {
		s->window_alone[s->in_flight] = delta->alone;
		s->window[s->in_flight++] = s->since;
	}
	delta_free(delta);
	s->delta = NULL;
	ship_event(s, s->in_flight == SHIP_WINDOW ? SHIP_SENT_FULL : SHIP_SENT);
}

void ship_pull(struct ship *s)
{
	struct out *o = s->out;
	int ret = delta_frame(s->delta, o->conn, s->channel);

	if (ret) {
		ship_trouble(s, "can't read a delta", ret);
		return;
	}
	o->head = delta_in_head(s->delta) ? s : NULL;
	if (s->delta->phase == DELTA_DONE)
		ship_sent(s);
}
