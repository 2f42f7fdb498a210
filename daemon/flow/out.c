// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The outgoing link: the actions of the table fsm_outgoing. It connects, greets, ships
 * the sessions that have a name, and begins anew when it is lost.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon.h"
#include "log.h"
#include "tcp.h"

#define BACK_OFF_MIN_MS	100U
#define BACK_OFF_MAX_MS	2000U
#define BACK_OFF_FLOOR_MS	20U

static int out_event(struct out *o, unsigned int event);

/*
 * Both ends beat so often that the other's time-out has room for two lost ones.
 */
u32 link_heartbeat_ms(const struct node *self, const struct node *other)
{
	u32 ms = MIN(self->heartbeat_ms, other->timeout_ms / 3);

	return MAX(ms, 1U);
}

u64 link_lease_ns(u64 features, u32 timeout_ms, u32 other_ms)
{
	return features & WIRE_FEATURE_LEASE ? lease_length(timeout_ms, other_ms) : 0;
}

u32 link_block(u64 features, u32 page_size)
{
	return features & WIRE_FEATURE_BLOCKS ? page_size : 0;
}

/* The originator of messages about this link, see tell.h. */
static const char *out_name(const struct out *o)
{
	return *o->node.name ? o->node.name : "peer";
}

/*
 * A compressed frame that is encrypted shows by its length how much of it was alike: whoever can have
 * something of his own put beside a secret could find that out (security.rst).
 */
enum thin_packs out_packs(const struct out *o)
{
	if (!(o->features & WIRE_FEATURE_ZSTD))
		return THIN_PLAIN;
	switch (o->d->conf.compression) {
	case COMPRESSION_ON:
		return THIN_ALWAYS;
	case COMPRESSION_AUTO:
		return o->conn->tls ? THIN_PLAIN : THIN_BY_GAIN;
	}
	return THIN_PLAIN;
}

/* As much memory for pages that were sent as the configuration has now. */
static void out_shadow(struct out *o, u64 bytes)
{
	if (bytes == o->thin.shadow_bytes)
		return;
	shadow_free(o->thin.shadow);
	o->thin.shadow = bytes ? shadow_new(bytes, o->d->self.page_size) : NULL;
	o->thin.shadow_bytes = bytes;
}

struct thin *out_thin(struct out *o)
{
	bool differences = o->features & WIRE_FEATURE_SUBPAGE;

	out_shadow(o, differences ? (u64)o->d->conf.differences_mib << 20 : 0);
	o->thin.features = o->features;
	o->thin.packs = out_packs(o);
	o->thin.pack = &o->d->pack;
	o->thin.page_size = o->d->self.page_size;
	return &o->thin;
}

/* As long as the other end only knows the old one, a shorter one would be too short. */
static u64 out_timeout(const struct out *o)
{
	u32 ms = o->d->conf.timeout_ms;

	return (o->state == OUT_UP ? MAX(ms, o->told_timeout_ms) : ms) * NSEC_PER_MSEC;
}

/*
 * Sessions
 */

static struct ship *ship_of(struct out *o, const struct known *k)
{
	struct ship *s;

	TAILQ_FOREACH(s, &k->ships, of_session)
		if (s->out == o)
			return s;
	return NULL;
}

static u32 nr_ships(const struct out *o)
{
	struct ship *s;
	u32 n = 0;

	TAILQ_FOREACH(s, &o->ships, entry)
		n++;
	return n;
}

static struct ship *out_ship(struct out *o, struct known *k)
{
	struct ship *s = ship_of(o, k);

	if (s)
		return s;
	if (nr_ships(o) < o->d->conf.max_sessions)
		return ship_new(o, k);
	/* At each checkpoint of the session: once is enough for the log. */
	if (!k->told)
		tell(&o->d->tell, LOG_WARNING, TELL_SESSION, k->rec.name,
		     "session %s isn't shipped: there are max_sessions = %u already",
		     k->rec.name, o->d->conf.max_sessions);
	k->told = true;
	return NULL;
}

/* The configuration names the spares of the session. */
static bool may_be_spare(const struct out *o, const struct known *k)
{
	return conf_may_be_spare(&o->d->conf, k->rec.name, o->node.name);
}

/* Something happened to a session of this host. */
void out_known(struct out *o, struct known *k)
{
	struct ship *s;

	if (o->state != OUT_UP || !k->rec.name[0])
		return;
	if (*k->barred) {
		out_gone(o, k);
		return;
	}
	if (!may_be_spare(o, k))
		return;
	s = out_ship(o, k);
	if (!s)
		return;
	if (k->rec.flags & CPTDEV_GENL_SESSION_FENCED) {
		out_fence(o, k, "the kernel was told of a higher term");
		return;
	}
	if (k->rec.published > s->committed)
		lag_published(&s->lag, k->rec.published, o->d->loop.now);
	/* An event that isn't about a new snapshot is no reason to ask once more. */
	if (k->rec.published > MAX(s->since, s->asked))
		ship_event(s, SHIP_SNAPSHOT);
}

void out_gone(struct out *o, struct known *k)
{
	struct ship *s = ship_of(o, k);

	if (s)
		ship_event(s, SHIP_ENDED);
}

void out_fence(struct out *o, struct known *k, const char *why)
{
	struct ship *s = ship_of(o, k);

	if (!s || s->state == SHIP_FENCED)
		return;
	fault_set(&s->last, WIRE_E_FENCED, "%s", why);
	ship_event(s, SHIP_FENCE);
}

/*
 * The peer forgets what isn't in the list. So a session that exists and couldn't be
 * announced keeps the list open.
 */
void out_listed(struct out *o)
{
	struct recorded *e;
	struct known *k;

	ends_listed(o);
	if (o->state != OUT_UP || o->listed || !o->d->complete ||
	    !(o->features & WIRE_FEATURE_TERMS))
		return;
	LIST_FOREACH(k, &o->d->sessions, entry)
		if (k->rec.name[0] && !ship_of(o, k) && may_be_spare(o, k))
			return;
	/* Likewise one that isn't over yet: the spare takes over if this host is lost. */
	LIST_FOREACH(e, &o->d->records, entry)
		if (keep_waits(e))
			return;
	conn_send(o->conn, WIRE_LISTED, 0, NULL);
	o->listed = true;
}

/*
 * Frames
 */

/*
 * Whoever listens on the peer's port would get every page, and could acknowledge what nobody
 * has. Both links have to lead to one and the same node.
 */
static int out_identify(struct out *o, const struct node *n, struct fault *f)
{
	const struct in *in = o->peer->in;

	if (node_check(n, peer_conf(o->peer)->name, f) || conn_identify(o->conn, n->name, f))
		return -1;
	if (in && memcmp(in->node.uuid, n->uuid, CPTDEV_UUID_LEN))
		return fault_set(f, WIRE_E_IDENTITY,
				 "another node, %s, ships to this one; %s isn't its peer",
				 in->node.name, n->name);
	return 0;
}

static int frame_welcome(struct out *o, const u8 *payload, u32 len)
{
	struct fault *f = &o->conn->fault;
	struct welcome m;

	if (o->state != OUT_GREETING)
		return out_event(o, OUT_WELCOME);
	if (welcome_decode(payload, len, &m, f) || welcome_check(&m, &o->d->self, f) ||
	    out_identify(o, &m.node, f))
		return -1;
	o->node = m.node;
	o->features = m.features;
	o->conn->block = link_block(o->features, o->d->self.page_size);
	o->peer->linked_to = o->trying;
	return out_event(o, OUT_WELCOME);
}

static int frame_refuse(struct out *o, const u8 *payload, u32 len)
{
	struct msg_refuse m;

	if (refuse_decode(payload, len, &m, &o->conn->fault))
		return -1;
	tell(&o->d->tell, LOG_WARNING, TELL_LINK, out_name(o), "the peer refuses: %s",
	     m.fault.text);
	o->last = m.fault;
	return out_event(o, OUT_REFUSE);
}

static int frame_heartbeat(struct out *o, const u8 *payload, u32 len)
{
	if (conn_heartbeat_in(o->conn, payload, len) || out_event(o, OUT_HEARTBEAT))
		return -1;
	if (o->conn->answered)
		lease_answered(o, o->conn->answered);
	return 0;
}

static int frame_term(struct out *o, const u8 *payload, u32 len)
{
	if (out_event(o, OUT_TERM))
		return -1;
	return fence_frame(o->d, &o->node, o->features, payload, len, &o->conn->fault);
}

static int frame_take_back(struct out *o, const u8 *payload, u32 len)
{
	if (out_event(o, OUT_TAKE_BACK))
		return -1;
	return takeback_frame(o, payload, len);
}

static int frame_switch(struct out *o, const u8 *payload, u32 len)
{
	if (out_event(o, OUT_SWITCH))
		return -1;
	return switch_frame(o, payload, len);
}

static int frame_fetch(struct out *o, const u8 *payload, u32 len)
{
	if (out_event(o, OUT_FETCH))
		return -1;
	return fetch_frame(o, payload, len);
}

static int frame_pages(struct out *o, const struct frame *f, const u8 *payload)
{
	if (out_event(o, OUT_FETCH))
		return -1;
	return fetch_pages(o, f->channel, payload, f->length);
}

static int frame_bye(struct out *o, u32 len)
{
	struct ship *s;

	if (empty_decode(WIRE_BYE, len, &o->conn->fault))
		return -1;
	/* It has written down that it is outdated, as it was told. */
	TAILQ_FOREACH(s, &o->ships, entry)
		if (s->followed && s->goes_on)
			records_left(o->d, s->session->rec.name, o->node.uuid);
	tell(&o->d->tell, LOG_INFO, TELL_LINK, out_name(o), "the peer %s shuts down",
	     o->node.name);
	return out_event(o, OUT_BYE);
}

/* Deliver after the table has agreed. A channel that is over is no mistake. */
static int frame_channel(struct out *o, const struct frame *f, const u8 *payload)
{
	struct ship *s;

	if (out_event(o, OUT_CHANNEL))
		return -1;
	TAILQ_FOREACH(s, &o->ships, entry)
		if (s->channel == f->channel)
			return ship_frame(s, f, payload);
	if (source_takes(o, f->channel))
		return source_answer(o, f, payload);
	if (f->channel < o->next_channel)
		return 0;
	return fault_set(&o->conn->fault, WIRE_E_PROTOCOL,
			 "%s on channel %u, which was never opened",
			 wire_type_name(f->type), f->channel);
}

static int out_frame(struct conn *c, const struct frame *f, const u8 *payload)
{
	struct out *o = c->owner;

	switch (f->type) {
	case WIRE_WELCOME:
		return frame_welcome(o, payload, f->length);
	case WIRE_REFUSE:
		return frame_refuse(o, payload, f->length);
	case WIRE_HEARTBEAT:
		return frame_heartbeat(o, payload, f->length);
	case WIRE_TERM:
		return frame_term(o, payload, f->length);
	case WIRE_TAKE_BACK_STATE:
		return frame_take_back(o, payload, f->length);
	case WIRE_SWITCH_STATE:
		return frame_switch(o, payload, f->length);
	case WIRE_FETCH_STATE:
		return frame_fetch(o, payload, f->length);
	case WIRE_PAGES:
		return frame_pages(o, f, payload);
	case WIRE_BYE:
		return frame_bye(o, f->length);
	case WIRE_SESSION_STATE:
	case WIRE_COMMITTED:
	case WIRE_FAILED:
	case WIRE_VERIFIED:
		return frame_channel(o, f, payload);
	}
	return fault_set(&c->fault, WIRE_E_PROTOCOL, "%s from the receiving side",
			 wire_type_name(f->type));
}

/* Whose turn it is: each that is sending, one frame after the other. */
static struct ship *next_sending(struct out *o)
{
	struct ship *s;

	if (o->head)
		return o->head;
	TAILQ_FOREACH(s, &o->ships, entry)
		if (s->state == SHIP_SENDING)
			return s;
	return NULL;
}

static bool out_pull(struct conn *c)
{
	struct out *o = c->owner;
	struct ship *s;

	if (o->state != OUT_UP)
		return false;
	s = next_sending(o);
	/* A replica that goes back takes turns with the sessions. */
	o->turn = !o->turn;
	if (!o->head && (!s || o->turn || source_in_head(o)) && source_pull(o))
		return true;
	if (!s)
		return false;
	TAILQ_REMOVE(&o->ships, s, entry);
	TAILQ_INSERT_TAIL(&o->ships, s, entry);
	ship_pull(s);
	return true;
}

static void out_disconnect(struct out *o);

static void out_error(struct out *o, const struct conn *c)
{
	/* The other side looks at this one's certificate when the handshake is over here. */
	if (!c->shaking && (!c->tls || c->error != EPROTO || c->up)) {
		fault_set(&o->last, WIRE_E_KERNEL, "%s", conn_why(c));
		return;
	}
	fault_set(&o->last, WIRE_E_IDENTITY,
		  "TLS: %s; both hosts need the same key ([peer] psk_file), or must know each other's certificate",
		  conn_why(c));
	tell(&o->d->tell, LOG_WARNING, TELL_LINK, out_name(o), "no link to the peer: %s",
	     o->last.text);
}

static void out_end(struct conn *c, enum conn_end end)
{
	struct out *o = c->owner;

	if (o->state == OUT_STOPPED) {
		out_disconnect(o);
		return;
	}
	if (end == CONN_FAULT) {
		tell(&o->d->tell, LOG_ERR, TELL_PEER, out_name(o), "%s: %s",
		     c->fault.code == WIRE_E_IDENTITY ?
		     "nothing is shipped to the node that answers at the peer's address" :
		     "the peer breaks the protocol", c->fault.text);
		conn_refuse(c, &c->fault);
		conn_write(c);
		o->last = c->fault;
	} else if (end == CONN_ERROR) {
		out_error(o, c);
	} else {
		fault_set(&o->last, WIRE_E_KERNEL, "the peer closed the connection");
	}
	out_event(o, OUT_LOST);
}

static const struct conn_ops out_ops = {
	.frame	= out_frame,
	.pull	= out_pull,
	.end	= out_end,
};

/*
 * Connecting
 */

static void connect_failed(struct out *o, int err)
{
	char text[sizeof(o->last.text)];

	if (err == ECONNREFUSED || err == ECONNRESET)
		peer_answered(o->peer, &o->trying);
	snprintf(text, sizeof(text), "can't connect: %s", strerror(err));
	tell(&o->d->tell, LOG_WARNING, TELL_LINK, out_name(o), "%s; trying again", text);
	fault_set(&o->last, WIRE_E_KERNEL, "%s", text);
	out_event(o, OUT_LOST);
}

static void out_connecting(struct watch *w, u32 events)
{
	struct out *o = container_of(w, struct out, connecting);
	int err = tcp_error(w->fd), fd = w->fd;

	(void)events;
	if (err) {
		connect_failed(o, err);
		return;
	}
	loop_unwatch(&o->d->loop, w);
	o->conn = conn_new(&o->d->loop, fd, &out_ops, o);
	if (o->conn && (!o->d->keys || !conn_secure(o->conn, o->d->keys, false))) {
		out_event(o, OUT_CONNECTED);
		return;
	}
	if (!o->conn)
		close(fd);
	connect_failed(o, ENOMEM);
}

static void out_connect(struct out *o)
{
	const struct sockaddr_storage *addr = address_next(o);
	int fd, ret;

	if (!addr) {
		fault_set(&o->last, WIRE_E_KERNEL, "%s", o->unknown);
		out_event(o, OUT_LOST);
		return;
	}
	o->attempts++;
	o->trying = *addr;
	fd = tcp_connect(addr, o->d->conf.timeout_ms);
	loop_arm(&o->d->loop, &o->tick, out_timeout(o));
	if (fd < 0) {
		connect_failed(o, -fd);
		return;
	}
	ret = loop_watch(&o->d->loop, &o->connecting, fd, EPOLLOUT);
	if (!ret)
		return;
	close(fd);
	connect_failed(o, -ret);
}

/*
 * Actions
 */

static void out_greet(struct out *o)
{
	u8 buf[256];
	struct writer w = { .p = buf, .cap = sizeof(buf) };
	struct hello m;

	o->told_timeout_ms = o->d->self.timeout_ms;
	hello_make(&m, &o->d->self);
	hello_encode(&w, &m);
	conn_send(o->conn, WIRE_HELLO, 0, &w);
	loop_arm(&o->d->loop, &o->tick, out_timeout(o));
}

static int out_start(struct out *o)
{
	struct known *k;

	if (conn_up(o->conn))
		return fault_set(&o->conn->fault, WIRE_E_MEMORY, "no memory");
	o->connects++;
	o->next_channel = 1;
	o->back_off_ms = BACK_OFF_MIN_MS;
	o->last.code = WIRE_OK;
	*o->last.text = '\0';
	o->heartbeat_ms = link_heartbeat_ms(&o->d->self, &o->node);
	tell_event(&o->d->tell, EVENT_LINK_MADE, LOG_NOTICE, TELL_LINK, out_name(o),
		   "linked to %s: shipping to it", o->node.name);
	news_peer(o->peer, "outgoing-up");
	loop_arm(&o->d->loop, &o->tick, 0);
	o->listed = false;
	ends_before(o);
	o->answered = 0;
	/* The first answer lends the first time. */
	conn_heartbeat(o->conn);
	LIST_FOREACH(k, &o->d->sessions, entry)
		out_known(o, k);
	if (o->features & WIRE_FEATURE_TERMS)
		fence_greet(o->d, o->conn);
	out_listed(o);
	switch_linked(o);
	return 0;
}

static void out_detach(struct out *o)
{
	while (!TAILQ_EMPTY(&o->ships))
		ship_free(TAILQ_FIRST(&o->ships));
	source_close(o);
	fetch_lost(o);
}

static void out_disconnect(struct out *o)
{
	struct conn *c = o->conn;

	loop_disarm(&o->tick);
	if (o->connecting.fd >= 0) {
		int fd = o->connecting.fd;

		loop_unwatch(&o->d->loop, &o->connecting);
		close(fd);
	}
	o->conn = NULL;
	out_detach(o);
	out_shadow(o, 0);
	if (c)
		conn_close(c);
}

/* While it is to be found out whether the peer's host lives, it is asked often. */
static u32 back_off_max(const struct out *o)
{
	unsigned int state = o->peer->detector.state;

	if (state != DET_LOST && state != DET_NO_DAEMON)
		return BACK_OFF_MAX_MS;
	return MIN(MAX(o->d->conf.timeout_ms / 4, BACK_OFF_FLOOR_MS), BACK_OFF_MAX_MS);
}

void out_hurry(struct out *o)
{
	if (o->state == OUT_DOWN && o->retry.armed)
		loop_arm(&o->d->loop, &o->retry, 0);
}

static void out_lose(struct out *o)
{
	bool up = o->conn && o->conn->up;

	if (up)
		tell_event(&o->d->tell, EVENT_LINK_LOST, LOG_NOTICE, TELL_LINK, out_name(o),
			   "link to %s lost%s%s: its spares are detached", o->node.name,
			   *o->last.text ? ": " : "", o->last.text);
	out_disconnect(o);
	if (up)
		news_peer(o->peer, "outgoing-lost");
	alone_look(o->d);
	switch_look(o->d);
	if (address_failed(o)) {
		loop_arm(&o->d->loop, &o->retry, 0);
		return;
	}
	o->back_off_ms = MIN(o->back_off_ms, back_off_max(o));
	loop_arm(&o->d->loop, &o->retry, o->back_off_ms * NSEC_PER_MSEC);
	o->back_off_ms = MIN(o->back_off_ms * 2, BACK_OFF_MAX_MS);
}

/* The peer knows then that it isn't to promote anything. */
static void out_leave(struct out *o)
{
	loop_disarm(&o->retry);
	if (!o->conn || !o->conn->up) {
		out_disconnect(o);
		return;
	}
	loop_disarm(&o->tick);
	conn_send(o->conn, WIRE_BYE, 0, NULL);
	conn_finish(o->conn);
	out_detach(o);
}

/* Another node is the peer. This one knows by BYE that it isn't to promote anything. */
static void out_part(struct out *o)
{
	conn_send(o->conn, WIRE_BYE, 0, NULL);
	conn_finish(o->conn);
	out_detach(o);
	loop_arm(&o->d->loop, &o->tick, out_timeout(o));
	news_peer(o->peer, "outgoing-lost");
	alone_look(o->d);
	switch_look(o->d);
}

static void out_next(struct out *o)
{
	out_disconnect(o);
	o->back_off_ms = BACK_OFF_MIN_MS;
	if (address_given(o))
		loop_arm(&o->d->loop, &o->retry, 0);
}

static int out_act(struct out *o, unsigned int action)
{
	switch (action) {
	case OUT_DO_CONNECT:
		out_connect(o);
		break;
	case OUT_DO_GREET:
		out_greet(o);
		break;
	case OUT_DO_START:
		return out_start(o);
	case OUT_DO_CLOSE:
		out_lose(o);
		break;
	case OUT_DO_PART:
		out_part(o);
		break;
	case OUT_DO_NEXT:
		out_next(o);
		break;
	case OUT_DO_LEAVE:
		out_leave(o);
		break;
	}
	return 0;
}

static int out_event(struct out *o, unsigned int event)
{
	unsigned int before = o->state;
	unsigned int action = fsm_step(&fsm_outgoing, &o->state, event);

	if (o->state != before)
		log_debug("outgoing link: %s: %s -> %s", fsm_outgoing.events[event],
			  fsm_outgoing.states[before], fsm_outgoing.states[o->state]);
	if (action >= FSM_OWN)
		return out_act(o, action);
	if (action == FSM_NONE || !o->conn)
		return 0;
	return fault_set(&o->conn->fault, WIRE_E_PROTOCOL, "%s while %s",
			 fsm_outgoing.events[event], fsm_outgoing.states[before]);
}

/*
 * Timers
 */

static void out_retry(struct timer *t)
{
	struct out *o = container_of(t, struct out, retry);

	/* It may have been taken out of the configuration. */
	if (!address_given(o))
		return;
	if (o->state == OUT_DOWN)
		out_event(o, OUT_RETRY);
	else if (o->peer->moving)
		address_look_up(o);
}

/*
 * A tick that is late by much: this daemon didn't run, and what the peer sent meanwhile may
 * not be read yet. The failure detector has the same rule (detector.c).
 */
static bool out_was_away(const struct out *o)
{
	return o->d->loop.now - o->tick.at > out_timeout(o) / 2;
}

static bool out_silent(const struct out *o)
{
	if (o->state != OUT_UP)
		return true;
	return !out_was_away(o) && clock_mono() - o->conn->heard_at > out_timeout(o);
}

static void out_tick(struct timer *t)
{
	struct out *o = container_of(t, struct out, tick);

	/* The peer gets the time back in which its answer couldn't be read. */
	if (o->state != OUT_UP && out_was_away(o)) {
		loop_arm(&o->d->loop, t, MIN(o->d->loop.now - t->at, out_timeout(o)));
		return;
	}
	if (out_silent(o)) {
		fault_set(&o->last, WIRE_E_TIMEOUT, "no answer for %u ms",
			  o->d->conf.timeout_ms);
		out_event(o, OUT_SILENT);
		return;
	}
	conn_heartbeat(o->conn);
	rate_update(&o->rate, o->conn->stats.bytes_out, o->d->loop.now);
	loop_arm(&o->d->loop, &o->tick, o->heartbeat_ms * NSEC_PER_MSEC);
}

/* Without an address of the peer it stays down. */
void out_open(struct out *o, struct peer *p)
{
	o->d = p->d;
	o->peer = p;
	o->state = OUT_DOWN;
	o->connecting = (struct watch) { .fd = -1, .fn = out_connecting };
	o->retry.fn = out_retry;
	o->tick.fn = out_tick;
	o->back_off_ms = BACK_OFF_MIN_MS;
	TAILQ_INIT(&o->ships);
	TAILQ_INIT(&o->sources);
	address_init(o);
	if (address_given(o))
		loop_arm(&o->d->loop, &o->retry, 0);
}

/*
 * `spares` was changed: sessions that the peer may have by now are announced. One that it has, and may
 * not have any more, isn't in the list that it gets on a new link: it promotes what isn't there by no
 * time-out.
 */
static void out_spares(struct out *o)
{
	struct known *k;
	struct ship *s;

	TAILQ_FOREACH(s, &o->ships, entry) {
		if (may_be_spare(o, s->session))
			continue;
		log_notice("session %s: %s isn't one of its spares any more, by the configuration: the link is made anew",
			   s->session->rec.name, o->node.name);
		out_moved(o);
		return;
	}
	LIST_FOREACH(k, &o->d->sessions, entry)
		if (!ship_of(o, k))
			out_known(o, k);
}

void out_reload(struct out *o)
{
	if (o->state != OUT_UP)
		return;
	o->heartbeat_ms = link_heartbeat_ms(&o->d->self, &o->node);
	tcp_tune(o->conn->fd, o->d->conf.timeout_ms);
	out_spares(o);
}

void out_moved(struct out *o)
{
	out_event(o, OUT_MOVED);
}

void out_stop(struct out *o)
{
	out_event(o, OUT_STOP);
	loop_disarm(&o->retry);
}

void out_close(struct out *o)
{
	out_disconnect(o);
	loop_disarm(&o->retry);
	resolve_stop(&o->resolver);
}
