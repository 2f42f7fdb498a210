// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Channels of the incoming link: the actions of the table fsm_channel. A refusal of the
 * kernel's is told to the sender and concerns one session; a frame that breaks the rules
 * ends the link.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon.h"
#include "log.h"

static int chan_event(struct chan *c, unsigned int event, const u8 *payload, u32 len);

static struct chan *chan_find(struct in *in, u32 number)
{
	struct chan *c;

	LIST_FOREACH(c, &in->channels, entry)
		if (c->number == number)
			return c;
	return NULL;
}

struct chan *chan_find_name(struct in *in, const char *name)
{
	struct chan *c;

	LIST_FOREACH(c, &in->channels, entry)
		if (!strcmp(c->session.name, name))
			return c;
	return NULL;
}

static struct chan *chan_new(struct in *in, u32 number)
{
	struct chan *c = calloc(1, sizeof(*c));

	if (!c) {
		fault_set(&in->conn->fault, WIRE_E_MEMORY, "no memory");
		return NULL;
	}
	c->in = in;
	c->number = number;
	c->state = CHAN_NONE;
	c->fd = -1;
	LIST_INSERT_HEAD(&in->channels, c, entry);
	in->nr_channels++;
	return c;
}

static void chan_drop(struct chan *c)
{
	if (c->in->collect.chan == c)
		collect_end(&c->in->collect);
	if (c->staging)
		replay_abort(c);
	c->staging = 0;
}

/* Closing the replica drops what is staged. */
void chan_close(struct chan *c)
{
	if (c->in->collect.chan == c)
		collect_end(&c->in->collect);
	replay_close(c);
	LIST_REMOVE(c, entry);
	c->in->nr_channels--;
	free(c);
}

void chan_close_all(struct in *in)
{
	lend_close(in);
	while (!LIST_EMPTY(&in->channels))
		chan_close(LIST_FIRST(&in->channels));
}

/*
 * Actions; 0, or -1 when the peer broke the rules. Those of the kernel's refusals become
 * events.
 */

static int chan_trouble(struct chan *c)
{
	return chan_event(c, CHAN_TROUBLE, NULL, 0);
}

static int chan_open(struct chan *c, const u8 *payload, u32 len)
{
	u8 buf[WIRE_TEXT_MAX + 64];
	struct writer w = { .p = buf, .cap = sizeof(buf) };
	struct msg_session m;
	struct msg_state answer;
	int ret;

	if (session_decode(payload, len, &m, &c->in->conn->fault) ||
	    fence_told(c->in->d, m.name, m.term, &c->in->conn->fault))
		return -1;
	c->session = m;
	chan_drop(c);
	fence_below(c->in->d, c->session.name, c->session.term, c->in->node.name);
	if (c->session.flags & WIRE_SESSION_TAKE_BACK &&
	    !(c->in->features & WIRE_FEATURE_TAKE_BACK))
		return fault_set(&c->in->conn->fault, WIRE_E_PROTOCOL,
				 "SESSION of a replica, which wasn't agreed on");
	feeds_named(c->in->peer, c->session.name);
	ret = replay_open(c, &answer);
	state_encode(&w, &answer);
	conn_send(c->in->conn, WIRE_SESSION_STATE, c->number, &w);
	/* After a failure for want of room that it works is told by what is shown of it. */
	if (!ret && c->short_ms)
		return 0;
	if (!ret) {
		tell(&c->in->d->tell, LOG_INFO, TELL_REPLAY, c->session.name,
		     "session %s of %s: replaying from generation %llu",
		     c->session.name, c->in->node.name, answer.generation);
		return 0;
	}
	tell(&c->in->d->tell, LOG_NOTICE, TELL_REPLAY, c->session.name,
	     "session %s of %s refused: %s", c->session.name, c->in->node.name,
	     c->last.text);
	return chan_event(c, CHAN_REFUSED, NULL, 0);
}

static int chan_begin(struct chan *c)
{
	struct collect *col = &c->in->collect;
	int ret = replay_begin(c, col);

	collect_end(col);
	return ret ? chan_trouble(c) : 0;
}

static int chan_whole(struct chan *c)
{
	if (!collect_whole(&c->in->collect))
		return 0;
	return chan_event(c, CHAN_WHOLE, NULL, 0);
}

/* Between BEGIN and COMMIT, a further part of a delta of everything may begin, and nothing else. */
static int begin_follows(struct chan *c, const struct msg_begin *m)
{
	struct fault *f = &c->in->conn->fault;
	bool continues = m->flags & WIRE_BEGIN_CONTINUE;

	if (continues && !(c->in->features & WIRE_FEATURE_ROUNDS))
		return fault_set(f, WIRE_E_PROTOCOL, "BEGIN of a part, which wasn't agreed on");
	if (continues && (!c->staging || c->base))
		return fault_set(f, WIRE_E_PROTOCOL,
				 "BEGIN on channel %u continues what hasn't begun", c->number);
	if (!continues && c->staging)
		return fault_set(f, WIRE_E_PROTOCOL, "BEGIN on channel %u before COMMIT of generation %llu",
				 c->number, c->staging);
	if (continues && c->pages != c->expected)
		return fault_set(f, WIRE_E_PROTOCOL,
				 "the next part after %llu pages, BEGIN said %llu", c->pages,
				 c->expected);
	return 0;
}

static int chan_collect(struct chan *c, const u8 *payload, u32 len)
{
	struct collect *col = &c->in->collect;
	struct fault *f = &c->in->conn->fault;
	struct msg_begin m;

	if (begin_decode(payload, len, &m, f))
		return -1;
	if (col->chan)
		return fault_set(f, WIRE_E_PROTOCOL,
				 "BEGIN on channel %u while that of channel %u isn't complete",
				 c->number, col->chan->number);
	if (m.term != c->session.term)
		return fault_set(f, WIRE_E_PROTOCOL,
				 "BEGIN with term %llu, the session has %llu", m.term,
				 c->session.term);
	if (begin_follows(c, &m))
		return -1;
	c->staging = m.generation;
	c->base = m.base;
	c->expected = m.pages;
	if (collect_begin(col, c, &m)) {
		room_short(c, ENOMEM);
		fault_set(&c->last, WIRE_E_MEMORY, "spare: no memory for the layout");
		return chan_trouble(c);
	}
	return chan_whole(c);
}

static int chan_layout(struct chan *c, const u8 *payload, u32 len)
{
	struct in *in = c->in;

	if (collect_layout(&in->collect, in->d->self.page_size, payload, len,
			   &in->conn->fault))
		return -1;
	return chan_whole(c);
}

static int chan_meta(struct chan *c, const u8 *payload, u32 len)
{
	if (collect_meta(&c->in->collect, payload, len, &c->in->conn->fault))
		return -1;
	return chan_whole(c);
}

static int chan_stage(struct chan *c, const u8 *payload, u32 len)
{
	static struct data data;	/* one thread: one frame at a time */
	struct in *in = c->in;

	if (data_decode(payload, len, in->d->self.page_size, c->end, in->features, &data,
			&in->conn->fault))
		return -1;
	in->conn->taken += data.pages_len;
	return replay_expand(c, &data) || replay_stage(c, &data) ? chan_trouble(c) : 0;
}

static int chan_commit(struct chan *c, const u8 *payload, u32 len)
{
	u8 buf[16];
	struct writer w = { .p = buf, .cap = sizeof(buf) };
	struct fault *f = &c->in->conn->fault;
	struct msg_committed m;
	u64 generation;

	if (commit_decode(payload, len, &generation, f))
		return -1;
	if (generation != c->staging)
		return fault_set(f, WIRE_E_PROTOCOL,
				 "COMMIT of generation %llu, %llu was begun", generation,
				 c->staging);
	if (c->pages != c->expected)
		return fault_set(f, WIRE_E_PROTOCOL,
				 "COMMIT after %llu pages, BEGIN said %llu", c->pages,
				 c->expected);
	if (replay_commit(c, &m))
		return chan_trouble(c);
	c->staging = 0;
	committed_encode(&w, &m);
	conn_send(c->in->conn, WIRE_COMMITTED, c->number, &w);
	return 0;
}

static void chan_fail(struct chan *c)
{
	u8 buf[WIRE_TEXT_MAX + 16];
	struct writer w = { .p = buf, .cap = sizeof(buf) };
	struct msg_failed m = { .generation = c->staging, .fault = c->last };

	tell(&c->in->d->tell, LOG_WARNING, TELL_REPLAY, c->session.name,
	     "session %s of %s, generation %llu: %s", c->session.name, c->in->node.name,
	     c->staging, c->last.text);
	chan_drop(c);
	failed_encode(&w, &m);
	conn_send(c->in->conn, WIRE_FAILED, c->number, &w);
}

static int chan_gone(struct chan *c, u32 len)
{
	struct daemon *d = c->in->d;
	char name[CPTDEV_NAME_MAX];

	if (empty_decode(WIRE_GONE, len, &c->in->conn->fault))
		return -1;
	/* How it ended, or that it lives, was said before. */
	if (!(c->in->features & WIRE_FEATURE_END)) {
		tell(&c->in->d->tell, LOG_INFO, TELL_REPLAY, c->session.name,
		     "session %s of %s ended; its replica stays at generation %llu",
		     c->session.name, c->in->node.name, c->committed);
		feeds_drop(c->in->peer, c->session.name);
	}
	strcpy(name, c->session.name);
	chan_close(c);
	/* A program that waits here for this one to end may begin now. */
	records_decide(d, name);
	return 0;
}

static int chan_abort(struct chan *c, u32 len)
{
	if (empty_decode(WIRE_ABORT, len, &c->in->conn->fault))
		return -1;
	chan_drop(c);
	return 0;
}

static int chan_act(struct chan *c, unsigned int action, const u8 *payload, u32 len)
{
	switch (action) {
	case CHAN_DO_OPEN:
		return chan_open(c, payload, len);
	case CHAN_DO_COLLECT:
		return chan_collect(c, payload, len);
	case CHAN_DO_LAYOUT:
		return chan_layout(c, payload, len);
	case CHAN_DO_META:
		return chan_meta(c, payload, len);
	case CHAN_DO_BEGIN:
		return chan_begin(c);
	case CHAN_DO_STAGE:
		return chan_stage(c, payload, len);
	case CHAN_DO_COMMIT:
		return chan_commit(c, payload, len);
	case CHAN_DO_DROP:
		return chan_abort(c, len);
	case CHAN_DO_COMPARE:
		return compare_frame(c, payload, len);
	case CHAN_DO_FAIL:
		chan_fail(c);
		break;
	case CHAN_DO_CLOSE:
		return chan_gone(c, len);
	}
	return 0;
}

static int chan_event(struct chan *c, unsigned int event, const u8 *payload, u32 len)
{
	unsigned int before = c->state;
	unsigned int action = fsm_step(&fsm_channel, &c->state, event);

	if (action >= FSM_OWN)
		return chan_act(c, action, payload, len);
	if (action == FSM_NONE)
		return 0;
	return fault_set(&c->in->conn->fault, WIRE_E_PROTOCOL,
			 "channel %u: %s while %s", c->number,
			 fsm_channel.events[event], fsm_channel.states[before]);
}

static unsigned int event_of(u16 type)
{
	switch (type) {
	case WIRE_SESSION:
		return CHAN_SESSION;
	case WIRE_BEGIN:
		return CHAN_BEGIN;
	case WIRE_LAYOUT:
		return CHAN_LAYOUT;
	case WIRE_META:
		return CHAN_META;
	case WIRE_DATA:
	case WIRE_PACKED:
		return CHAN_DATA;
	case WIRE_COMMIT:
		return CHAN_COMMIT;
	case WIRE_ABORT:
		return CHAN_ABORT;
	case WIRE_VERIFY:
		return CHAN_VERIFY;
	default:
		return CHAN_GONE;
	}
}

/*
 * One session too many: refused as others are, since the peer's limit may be another one. To
 * close the link would keep all of them from being shipped, each time anew.
 */
static int chan_limit(struct in *in, u32 number, const u8 *payload, u32 len)
{
	u8 buf[WIRE_TEXT_MAX + 64];
	struct writer w = { .p = buf, .cap = sizeof(buf) };
	struct msg_state m = {};
	struct msg_session s;

	if (session_decode(payload, len, &s, &in->conn->fault) ||
	    fence_told(in->d, s.name, s.term, &in->conn->fault))
		return -1;
	fence_below(in->d, s.name, s.term, in->node.name);
	feeds_named(in->peer, s.name);
	fault_set(&m.fault, WIRE_E_LIMIT, "the spare takes no more than max_sessions = %u sessions",
		  in->d->conf.max_sessions);
	tell(&in->d->tell, LOG_NOTICE, TELL_REPLAY, s.name, "session %s of %s refused: %s",
	     s.name, in->node.name, m.fault.text);
	state_encode(&w, &m);
	conn_send(in->conn, WIRE_SESSION_STATE, number, &w);
	return 0;
}

/* A frame that is thrown away, or isn't allowed here, needs not be expanded. */
static int chan_packed(struct chan *c, const u8 *payload, u32 len)
{
	struct in *in = c->in;
	const u8 *data = payload;
	ssize_t n = len;

	if (!(in->features & WIRE_FEATURE_ZSTD))
		return fault_set(&in->conn->fault, WIRE_E_PROTOCOL,
				 "PACKED, which wasn't agreed on");
	if (c->state == CHAN_STAGING)
		n = pack_decode(&in->d->pack, payload, len, &data, &in->conn->fault);
	return n < 0 ? -1 : chan_event(c, CHAN_DATA, data, n);
}

int chan_frame(struct in *in, const struct frame *f, const u8 *payload)
{
	struct chan *c = chan_find(in, f->channel);

	if (!c && f->type == WIRE_SESSION && in->nr_channels >= in->d->conf.max_sessions)
		return chan_limit(in, f->channel, payload, f->length);
	/* The session that was refused because of the limit ended. */
	if (!c && f->type == WIRE_GONE)
		return empty_decode(WIRE_GONE, f->length, &in->conn->fault);
	if (!c && f->type != WIRE_SESSION)
		return fault_set(&in->conn->fault, WIRE_E_PROTOCOL,
				 "%s on channel %u, which isn't open",
				 wire_type_name(f->type), f->channel);
	if (!c)
		c = chan_new(in, f->channel);
	if (c && f->type == WIRE_PACKED)
		return chan_packed(c, payload, f->length);
	return c ? chan_event(c, event_of(f->type), payload, f->length) : -1;
}

static bool chan_feeds(const struct chan *c)
{
	return c->state == CHAN_READY || c->state == CHAN_COLLECTING ||
		c->state == CHAN_STAGING;
}

bool chan_committed(struct daemon *d, const char *name, u64 term, u64 generation)
{
	struct chan *c;
	struct in *in;

	for (in = LIST_FIRST(&d->ins); in; in = LIST_NEXT(in, entry)) {
		c = chan_find_name(in, name);
		if (c && c->session.term == term && c->committed == generation)
			return true;
	}
	return false;
}

/* What would be committed from now on would be lost: the sender is told. */
void chan_replica_gone(struct daemon *d, const char *name)
{
	struct chan *c;
	struct in *in;

	for (in = LIST_FIRST(&d->ins); in; in = LIST_NEXT(in, entry)) {
		c = chan_find_name(in, name);
		if (!c || !chan_feeds(c))
			continue;
		fault_set(&c->last, WIRE_E_KERNEL, "the replica was removed on the spare");
		chan_trouble(c);
		replay_close(c);
	}
}
