// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The incoming link: the actions of the table fsm_incoming. Somebody connects, says who
 * he is, and ships sessions into replicas here. Whoever connects anew replaces himself;
 * whoever says nothing is dropped, the oldest first when there are many.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon.h"
#include "log.h"
#include "tcp.h"

/* Connections that haven't said who they are, at most. */
#define GREETING_MAX	8
/* So long they have to do so, and to read why they were refused. */
#define GREETING_NS	(5 * NSEC_PER_SEC)
#define CLOSING_NS	NSEC_PER_SEC

static int in_event(struct in *in, unsigned int event);

static void in_garbage(struct garbage *g)
{
	free(container_of(g, struct in, garbage));
}

/* It is over; nobody is told. */
void in_drop(struct in *in)
{
	if (!in->conn)
		return;
	loop_disarm(&in->tick);
	chan_close_all(in);
	collect_end(&in->collect);
	conn_close(in->conn);
	in->conn = NULL;
	LIST_REMOVE(in, entry);
	loop_discard(&in->d->loop, &in->garbage, in_garbage);
}

/*
 * Actions
 */

/* Take the link away from the peer, if it was his present one. */
static void in_detach(struct in *in, bool bye)
{
	struct peer *p = in->peer;

	in->peer = NULL;
	if (p && p->in == in) {
		p->in = NULL;
		peer_down(p, bye);
	}
}

static void in_close(struct in *in, bool bye)
{
	if (in->peer)
		tell_event(&in->d->tell, EVENT_LINK_LOST, LOG_NOTICE, TELL_LINK, in->node.name,
			   "link from %s %s", in->node.name, bye ? "closed: it shuts down" : "lost");
	chan_close_all(in);
	in_detach(in, bye);
	in_drop(in);
}

/* Its replicas are free before the answer goes out: the peer may be back at once. */
static void in_finish(struct in *in)
{
	chan_close_all(in);
	in_detach(in, false);
	conn_finish(in->conn);
	loop_arm(&in->d->loop, &in->tick, CLOSING_NS);
}

static void in_refuse(struct in *in)
{
	tell(&in->d->tell, LOG_WARNING, TELL_CONNECTION, in->host,
	     "connection from %s refused: %s", in->host, in->conn->fault.text);
	conn_refuse(in->conn, &in->conn->fault);
	in_finish(in);
}

static void in_refuse_tls(struct in *in)
{
	fault_set(&in->conn->fault, WIRE_E_FEATURE,
		  "STARTTLS isn't supported by this version");
	in_refuse(in);
}

static int in_welcome(struct in *in)
{
	u8 buf[256];
	struct writer w = { .p = buf, .cap = sizeof(buf) };
	struct welcome m = {
		.node = in->d->self, .version = WIRE_VERSION, .features = in->features,
	};

	if (conn_up(in->conn))
		return fault_set(&in->conn->fault, WIRE_E_MEMORY, "no memory");
	welcome_encode(&w, &m);
	conn_send(in->conn, WIRE_WELCOME, 0, &w);
	in->heartbeat_ms = link_heartbeat_ms(&in->d->self, &in->node);
	in->lease_ns = link_lease_ns(in->features, in->d->self.timeout_ms,
				     in->node.timeout_ms);
	tell_event(&in->d->tell, EVENT_LINK_MADE, LOG_NOTICE, TELL_LINK, in->node.name,
		   "link from %s (%s): receiving from it", in->node.name, in->address);
	lost_begin(in->d);
	peer_up(in->peer, in);
	if (in->features & WIRE_FEATURE_TERMS)
		fence_greet(in->d, in->conn);
	loop_arm(&in->d->loop, &in->tick, 0);
	return 0;
}

static void in_leave(struct in *in)
{
	conn_send(in->conn, WIRE_BYE, 0, NULL);
	in_finish(in);
}

static int in_act(struct in *in, unsigned int action)
{
	switch (action) {
	case IN_DO_WELCOME:
		return in_welcome(in);
	case IN_DO_REFUSE:
		in_refuse(in);
		break;
	case IN_DO_REFUSE_TLS:
		in_refuse_tls(in);
		break;
	case IN_DO_FAREWELL:
		in_close(in, true);
		break;
	case IN_DO_LEAVE:
		in_leave(in);
		break;
	case IN_DO_CLOSE:
		in_close(in, false);
		break;
	}
	return 0;
}

static int in_event(struct in *in, unsigned int event)
{
	unsigned int before = in->state;
	unsigned int action = fsm_step(&fsm_incoming, &in->state, event);

	if (in->state != before)
		log_debug("incoming link %s: %s: %s -> %s", in->address,
			  fsm_incoming.events[event], fsm_incoming.states[before],
			  fsm_incoming.states[in->state]);
	if (action >= FSM_OWN)
		return in_act(in, action);
	if (action == FSM_NONE || !in->conn)
		return 0;
	return fault_set(&in->conn->fault, WIRE_E_PROTOCOL, "%s while %s",
			 fsm_incoming.events[event], fsm_incoming.states[before]);
}

/*
 * Frames
 */

/* Is it the node that may be linked here? */
static int in_identify(struct in *in, const struct hello *m, struct fault *f)
{
	struct peer *p = peer_of_name(in->d, m->node.name);
	const struct out *o;

	/* No peer has the name: the fault says which is expected. */
	if (!p)
		return node_check(&m->node, peer_conf(LIST_FIRST(&in->d->peers))->name, f);
	if (conn_identify(in->conn, m->node.name, f))
		return -1;
	o = &p->out;
	if (p->in && memcmp(p->in->node.uuid, m->node.uuid, CPTDEV_UUID_LEN))
		return fault_set(f, WIRE_E_IDENTITY,
				 "another node, %s, is linked here already",
				 p->in->node.name);
	if (o->state == OUT_UP && memcmp(o->node.uuid, m->node.uuid, CPTDEV_UUID_LEN))
		return fault_set(f, WIRE_E_IDENTITY,
				 "this node ships to another node, %s; %s isn't its peer",
				 o->node.name, m->node.name);
	in->peer = p;
	in->node = m->node;
	return 0;
}

static int frame_hello(struct in *in, const u8 *payload, u32 len)
{
	struct fault *f = &in->conn->fault;
	struct welcome answer;
	struct hello m;

	if (in->state != IN_GREETING)
		return in_event(in, IN_HELLO);
	if (hello_decode(payload, len, &m, f))
		return -1;
	if (hello_answer(&m, &in->d->self, &answer, f) || in_identify(in, &m, f))
		return in_event(in, IN_HELLO_BAD);
	in->features = answer.features;
	in->conn->block = link_block(in->features, in->d->self.page_size);
	return in_event(in, IN_HELLO);
}

/* Answered at once: the answer lends the peer time, and each moment here is taken off it. */
static int frame_heartbeat(struct in *in, const u8 *payload, u32 len)
{
	if (conn_heartbeat_in(in->conn, payload, len) || in_event(in, IN_HEARTBEAT))
		return -1;
	if (in->lease_ns && in->peer) {
		peer_lends(in->peer, in->conn->peer_clock_at, in->lease_ns);
		conn_heartbeat(in->conn);
	}
	return 0;
}

static int frame_term(struct in *in, const u8 *payload, u32 len)
{
	if (in_event(in, IN_TERM))
		return -1;
	return fence_frame(in->d, &in->node, in->features, payload, len, &in->conn->fault);
}

static int frame_listed(struct in *in, u32 len)
{
	if (in_event(in, IN_LISTED) || empty_decode(WIRE_LISTED, len, &in->conn->fault))
		return -1;
	if (!(in->features & WIRE_FEATURE_TERMS))
		return fault_set(&in->conn->fault, WIRE_E_PROTOCOL,
				 "LISTED, which wasn't agreed on");
	feeds_listed(in->peer);
	lost_complete(in->d, in->node.uuid);
	return 0;
}

static int frame_ended(struct in *in, const u8 *payload, u32 len)
{
	if (in_event(in, IN_ENDED))
		return -1;
	return ends_frame(in, payload, len);
}

static int frame_take_back(struct in *in, const u8 *payload, u32 len)
{
	if (in_event(in, IN_TAKE_BACK))
		return -1;
	return source_frame(in, payload, len);
}

static int frame_switch(struct in *in, const u8 *payload, u32 len)
{
	if (in_event(in, IN_SWITCH))
		return -1;
	return handover_frame(in, payload, len);
}

static int frame_fetch(struct in *in, const u8 *payload, u32 len)
{
	if (in_event(in, IN_FETCH))
		return -1;
	return lend_frame(in, payload, len);
}

static int frame_read(struct in *in, const struct frame *f, const u8 *payload)
{
	if (in_event(in, IN_FETCH))
		return -1;
	return lend_read(in, f->channel, payload, f->length);
}

static int frame_bye(struct in *in, u32 len)
{
	if (empty_decode(WIRE_BYE, len, &in->conn->fault))
		return -1;
	return in_event(in, IN_BYE);
}

static int frame_refuse(struct in *in, const u8 *payload, u32 len)
{
	struct msg_refuse m;

	if (refuse_decode(payload, len, &m, &in->conn->fault))
		return -1;
	tell(&in->d->tell, LOG_WARNING, TELL_CONNECTION, in->host,
	     "connection from %s: the other end refuses: %s", in->host, m.fault.text);
	return in_event(in, IN_REFUSE);
}

/* Deliver after the table has agreed. */
static int frame_channel(struct in *in, const struct frame *f, const u8 *payload)
{
	if (in_event(in, IN_CHANNEL))
		return -1;
	return chan_frame(in, f, payload);
}

static int in_frame(struct conn *c, const struct frame *f, const u8 *payload)
{
	struct in *in = c->owner;

	switch (f->type) {
	case WIRE_HELLO:
		return frame_hello(in, payload, f->length);
	case WIRE_STARTTLS:
		return in_event(in, IN_STARTTLS);
	case WIRE_HEARTBEAT:
		return frame_heartbeat(in, payload, f->length);
	case WIRE_TERM:
		return frame_term(in, payload, f->length);
	case WIRE_LISTED:
		return frame_listed(in, f->length);
	case WIRE_ENDED:
		return frame_ended(in, payload, f->length);
	case WIRE_TAKE_BACK:
		return frame_take_back(in, payload, f->length);
	case WIRE_SWITCH:
		return frame_switch(in, payload, f->length);
	case WIRE_FETCH:
		return frame_fetch(in, payload, f->length);
	case WIRE_READ:
		return frame_read(in, f, payload);
	case WIRE_BYE:
		return frame_bye(in, f->length);
	case WIRE_REFUSE:
		return frame_refuse(in, payload, f->length);
	case WIRE_SESSION:
	case WIRE_GONE:
	case WIRE_BEGIN:
	case WIRE_LAYOUT:
	case WIRE_META:
	case WIRE_DATA:
	case WIRE_PACKED:
	case WIRE_COMMIT:
	case WIRE_ABORT:
	case WIRE_VERIFY:
		return frame_channel(in, f, payload);
	}
	return fault_set(&c->fault, WIRE_E_PROTOCOL, "%s from the shipping side",
			 wire_type_name(f->type));
}

static bool in_pull(struct conn *c)
{
	(void)c;
	return false;		/* answers only, and they are queued */
}

/* The peer with another key, a peer without one, or a stranger. */
static void in_insecure(struct in *in)
{
	tell(&in->d->tell, LOG_WARNING, TELL_CONNECTION, in->host,
	     "connection from %s refused: TLS: %s; both hosts need the same key ([peer] psk_file), or must know each other's certificate",
	     in->host, conn_why(in->conn));
}

static void in_end(struct conn *c, enum conn_end end)
{
	static const unsigned int event[] = {
		[CONN_EOF] = IN_LOST, [CONN_ERROR] = IN_LOST, [CONN_FAULT] = IN_BROKEN,
		[CONN_FLUSHED] = IN_FLUSHED,
	};

	if (end == CONN_ERROR && c->shaking)
		in_insecure(c->owner);
	in_event(c->owner, event[end]);
}

static const struct conn_ops in_ops = {
	.frame	= in_frame,
	.pull	= in_pull,
	.end	= in_end,
};

/* The silence of a link that is up is the detector's business, in peer.c. */
static void in_tick(struct timer *t)
{
	struct in *in = container_of(t, struct in, tick);

	if (in->state != IN_UP) {
		in_event(in, IN_SILENT);
		return;
	}
	conn_heartbeat(in->conn);
	rate_update(&in->rate, in->conn->stats.bytes_in, in->d->loop.now);
	loop_arm(&in->d->loop, &in->tick, in->heartbeat_ms * NSEC_PER_MSEC);
}

/*
 * Accepting
 */

/* How many of this host haven't greeted yet? */
static unsigned int greetings_of(struct daemon *d, const char *host)
{
	unsigned int n = 0;
	struct in *in;

	LIST_FOREACH(in, &d->ins, entry)
		n += in->state != IN_UP && !strcmp(in->host, host);
	return n;
}

/*
 * Which one gives way: the oldest of the host that has most. So a host that makes more and more
 * connections, and says nothing or a byte now and then, pushes out its own and not the peer's.
 */
static struct in *greeting_too_many(struct daemon *d)
{
	struct in *in = NULL, *last = NULL;
	unsigned int n = 0, most = 0, own;

	/* New ones are put in front. */
	LIST_FOREACH(in, &d->ins, entry) {
		if (in->state == IN_UP)
			continue;
		n++;
		own = greetings_of(d, in->host);
		if (own >= most) {
			most = own;
			last = in;
		}
	}
	return n >= GREETING_MAX ? last : NULL;
}

static bool in_allowed(struct daemon *d, const struct sockaddr_storage *from,
		       const char *host)
{
	struct peer *p;

	if (d->conf.allow == ALLOW_ANY)
		return true;
	LIST_FOREACH(p, &d->peers, entry)
		if (!p->gone && address_is(&p->out, from))
			return true;
	tell(&d->tell, LOG_WARNING, TELL_CONNECTION, host,
	     "connection from %s closed: it isn't the [peer] address of the configuration (allow = peer)",
	     host);
	return false;
}

void in_reload(struct in *in)
{
	struct chan *c;

	if (!in)
		return;
	LIST_FOREACH(c, &in->channels, entry)
		if (c->fd >= 0)
			replay_history(c);
}

void in_drop_strangers(struct daemon *d)
{
	struct in *in, *next;

	for (in = LIST_FIRST(&d->ins); in; in = next) {
		next = LIST_NEXT(in, entry);
		if (in->state == IN_GREETING && !in_allowed(d, &in->from, in->host))
			in_drop(in);
	}
}

static int in_new(struct daemon *d, int fd, const struct sockaddr_storage *from)
{
	struct in *in = calloc(1, sizeof(*in));

	if (!in)
		return -ENOMEM;
	in->d = d;
	in->state = IN_GREETING;
	in->tick.fn = in_tick;
	LIST_INIT(&in->channels);
	in->from = *from;
	tcp_text(from, in->address, sizeof(in->address));
	tcp_host(from, in->host, sizeof(in->host));
	tcp_tune(fd, d->conf.timeout_ms);
	in->conn = conn_new(&d->loop, fd, &in_ops, in);
	if (!in->conn) {
		free(in);
		return -ENOMEM;
	}
	LIST_INSERT_HEAD(&d->ins, in, entry);
	loop_arm(&d->loop, &in->tick, GREETING_NS);
	if (d->keys && conn_secure(in->conn, d->keys, true)) {
		tell(&d->tell, LOG_WARNING, TELL_RESOURCE, "connections",
		     "connection from %s closed: no memory for TLS", in->host);
		in_drop(in);
	}
	return 0;
}

/* Somebody connected. */
void in_accept(struct daemon *d, int fd, const struct sockaddr_storage *from)
{
	struct in *crowd;
	char host[64];
	int ret = 0;

	tcp_host(from, host, sizeof(host));
	if (d->stopping || !in_allowed(d, from, host)) {
		close(fd);
		return;
	}
	crowd = greeting_too_many(d);
	if (crowd)
		in_drop(crowd);
	ret = in_new(d, fd, from);
	if (!ret)
		return;
	tell(&d->tell, LOG_WARNING, TELL_RESOURCE, "connections",
	     "connection from %s closed: %s", host, strerror(-ret));
	close(fd);
}

/* The same node has connected anew. */
void in_replace(struct in *in)
{
	in->peer = NULL;
	tell(&in->d->tell, LOG_INFO, TELL_LINK, in->node.name,
	     "link from %s (%s) is replaced by a new one", in->node.name, in->address);
	in_event(in, IN_REPLACED);
}

/* The failure detector has heard nothing from it. */
void in_silent(struct in *in)
{
	in_event(in, IN_SILENT);
}

void in_stop(struct in *in)
{
	in_event(in, IN_STOP);
}

void in_close_all(struct daemon *d)
{
	while (!LIST_EMPTY(&d->ins))
		in_drop(LIST_FIRST(&d->ins));
}
