// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The network: TCP as the daemons can see it. Bytes come late and in order, or not at all. A cut
 * holds packets back, as the retransmissions of a real sender do, until it ends or the sender
 * gives up (TCP_USER_TIMEOUT). A host without power answers nothing; one that was started anew
 * knows nothing of older connections and resets them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "net.h"

/* A packet is sent again so often while its receiver has no power. */
#define RESEND_NS	MS(200)
/* After a cut the next retransmission may take so long. */
#define RESUME_MAX_MS	400
#define PIECE		4096U

struct link_list net_links = LIST_HEAD_INITIALIZER(net_links);

static bool cut[SIM_HOSTS][SIM_HOSTS];
static u64 base = MS(1) / 5, jitter = MS(1) / 5, late;
static u32 late_one_in;
static u16 next_port;
static u64 next_number;

void net_latency(u64 base_ns, u64 jitter_ns, u32 one_in, u64 late_ns)
{
	base = base_ns;
	jitter = jitter_ns;
	late_one_in = one_in;
	late = late_ns;
}

static u64 delay(void)
{
	u64 ns = base + rng_range(&sim.rng_net, 0, jitter);

	if (late_one_in && rng_one_in(&sim.rng_net, late_one_in))
		ns += rng_range(&sim.rng_net, 0, late);
	return ns;
}

static struct seg *last_seg(struct end *e)
{
	return TAILQ_LAST(&e->segs, seg_list);
}

static void put(struct end *to, enum seg_type type, const void *data, size_t len)
{
	struct seg *s = malloc(sizeof(*s) + len), *last = last_seg(to);

	s->type = type;
	s->sent = sim.now;
	s->at = sim.now + delay();
	if (last && s->at < last->at)
		s->at = last->at;
	s->len = len;
	if (len)
		memcpy(s->data, data, len);
	to->in_flight += len;
	if (!to->other->unacked && type != SEG_RST)
		to->other->unacked = sim.now;
	TAILQ_INSERT_TAIL(&to->segs, s, entry);
}

void net_send(struct end *e, enum seg_type type, const void *data, size_t len)
{
	const u8 *p = data;

	if (type != SEG_DATA) {
		put(e->other, type, NULL, 0);
		return;
	}
	while (len) {
		size_t n = MIN(len, PIECE);

		put(e->other, type, p, n);
		p += n;
		len -= n;
	}
}

static void pop(struct end *e)
{
	struct seg *s = TAILQ_FIRST(&e->segs);

	TAILQ_REMOVE(&e->segs, s, entry);
	e->in_flight -= s->len;
	free(s);
}

static void drop_all(struct end *e)
{
	while (!TAILQ_EMPTY(&e->segs))
		pop(e);
}

static void end_init(struct link *l, int i, int host, u16 port)
{
	struct end *e = &l->end[i];

	e->link = l;
	e->other = &l->end[!i];
	e->host = host;
	e->port = port;
	TAILQ_INIT(&e->segs);
}

struct end *net_connect(int from, int to, u16 port)
{
	struct link *l = calloc(1, sizeof(*l));

	end_init(l, 0, from, 32768 + next_port++ % 20000);
	end_init(l, 1, to, port);
	l->number = ++next_number;
	l->end[0].open = true;
	l->end[0].there = true;
	LIST_INSERT_HEAD(&net_links, l, entry);
	net_send(&l->end[0], SEG_SYN, NULL, 0);
	return &l->end[0];
}

static void link_free(struct link *l)
{
	int i;

	for (i = 0; i < 2; i++) {
		drop_all(&l->end[i]);
		free(l->end[i].rx);
	}
	LIST_REMOVE(l, entry);
	free(l);
}

/* Nobody refers to it, and nothing is on its way. */
static void links_sweep(void)
{
	struct link *l, *next;

	for (l = LIST_FIRST(&net_links); l; l = next) {
		next = LIST_NEXT(l, entry);
		if (!l->end[0].open && !l->end[1].open && !l->queued &&
		    TAILQ_EMPTY(&l->end[0].segs) && TAILQ_EMPTY(&l->end[1].segs))
			link_free(l);
	}
}

static void gone(struct end *e, int error)
{
	e->there = false;
	e->up = false;
	if (!e->error)
		e->error = error;
	e->unacked = 0;
}

void net_close(struct end *e)
{
	bool unread = e->rx_len;

	e->open = false;
	e->rx_len = 0;
	if (!e->there)
		return;
	if (unread || e->eof || !e->up) {
		/* A connection that wasn't made yet is given up without a word. */
		if (e->up)
			net_send(e, unread ? SEG_RST : SEG_FIN, NULL, 0);
		if (unread || !e->up)
			gone(e, 0);
	} else if (!e->shut) {
		net_send(e, SEG_FIN, NULL, 0);
	}
	e->shut = true;
}

/*
 * Arrival
 */

static void take_data(struct end *e, const struct seg *s)
{
	if (e->rx_len + s->len > e->rx_cap) {
		e->rx_cap = (e->rx_len + s->len) * 2;
		e->rx = realloc(e->rx, e->rx_cap);
	}
	memcpy(e->rx + e->rx_len, s->data, s->len);
	e->rx_len += s->len;
}

static void arrive_syn(struct end *e)
{
	if (!wrap_listens(e->host, e->port)) {
		net_send(e, SEG_RST, NULL, 0);
		return;
	}
	e->there = true;
	e->up = true;
	e->link->queued = true;
	net_send(e, SEG_SYNACK, NULL, 0);
}

static void arrive(struct end *e, const struct seg *s)
{
	if (s->type == SEG_SYN) {
		arrive_syn(e);
		return;
	}
	if (!e->there) {
		if (s->type != SEG_RST)
			put(e->other, SEG_RST, NULL, 0);
		return;
	}
	switch (s->type) {
	case SEG_SYNACK:
		e->up = true;
		break;
	case SEG_DATA:
		/* Closed, and the other end goes on sending. */
		if (!e->open && !e->link->queued) {
			put(e->other, SEG_RST, NULL, 0);
			gone(e, 0);
			break;
		}
		take_data(e, s);
		break;
	case SEG_FIN:
		e->eof = true;
		break;
	default:
		gone(e, e->up ? ECONNRESET : ECONNREFUSED);
		drop_all(e->other);
	}
}

/* What was sent is acknowledged when it arrived, and the way back is open. */
static void acknowledge(struct end *from)
{
	struct end *to = from->other;
	struct seg *s = TAILQ_FIRST(&to->segs);

	if (!from->unacked || cut[to->host][from->host] || !sim.host[to->host].power)
		return;
	from->unacked = s ? s->sent : 0;
}

static bool blocked(const struct end *e)
{
	return cut[e->other->host][e->host];
}

static u64 give_up_at(const struct end *e)
{
	return e->there && e->unacked && e->timeout ? e->unacked + e->timeout : UINT64_MAX;
}

u64 net_next(void)
{
	u64 next = UINT64_MAX;
	struct link *l;
	int i;

	LIST_FOREACH(l, &net_links, entry) {
		for (i = 0; i < 2; i++) {
			struct end *e = &l->end[i];
			struct seg *s = TAILQ_FIRST(&e->segs);

			if (s && !blocked(e))
				next = MIN(next, s->at);
			next = MIN(next, give_up_at(e));
		}
	}
	return next;
}

static void deliver_to(struct end *e)
{
	struct seg *s;

	while ((s = TAILQ_FIRST(&e->segs)) && s->at <= sim.now && !blocked(e)) {
		if (!sim.host[e->host].power) {
			/* Whoever sent it and is gone, too, doesn't send it again. */
			if (!e->other->there) {
				pop(e);
				continue;
			}
			s->at = sim.now + RESEND_NS;
			break;
		}
		TAILQ_REMOVE(&e->segs, s, entry);
		e->in_flight -= s->len;
		sim.counts.packets++;
		arrive(e, s);
		free(s);
	}
	acknowledge(e->other);
}

void net_deliver(void)
{
	struct link *l, *next;
	int i;

	for (l = LIST_FIRST(&net_links); l; l = next) {
		next = LIST_NEXT(l, entry);
		for (i = 0; i < 2; i++) {
			deliver_to(&l->end[i]);
			if (give_up_at(&l->end[i]) <= sim.now) {
				gone(&l->end[i], ETIMEDOUT);
				drop_all(l->end[i].other);
			}
		}
	}
	links_sweep();
}

/*
 * Faults
 */

bool net_is_cut(int from, int to)
{
	return cut[from][to];
}

void net_cut(int from, int to, bool is)
{
	struct link *l;
	struct seg *s;
	u64 at;
	int i;

	if (cut[from][to] == is)
		return;
	cut[from][to] = is;
	if (is)
		return;
	LIST_FOREACH(l, &net_links, entry) {
		for (i = 0; i < 2; i++) {
			if (l->end[i].host != to || l->end[!i].host != from)
				continue;
			at = sim.now + MS(rng_range(&sim.rng_net, 0, RESUME_MAX_MS));
			TAILQ_FOREACH(s, &l->end[i].segs, entry)
				s->at = MAX(s->at, at);
		}
	}
}

void net_power_off(int host)
{
	struct link *l;
	struct seg *s;
	int i, left;

	LIST_FOREACH(l, &net_links, entry) {
		for (i = 0; i < 2; i++) {
			struct end *e = &l->end[i];

			if (e->host != host)
				continue;
			gone(e, ECONNRESET);
			e->open = false;
			e->rx_len = 0;
			l->queued = false;
			/* Some of what it sent is on the wire already, nothing follows. */
			left = rng_range(&sim.rng_net, 0, 4);
			TAILQ_FOREACH(s, &e->other->segs, entry)
				if (!left--)
					break;
			while (s && TAILQ_NEXT(s, entry)) {
				struct seg *tail = TAILQ_NEXT(s, entry);

				TAILQ_REMOVE(&e->other->segs, tail, entry);
				e->other->in_flight -= tail->len;
				free(tail);
			}
		}
	}
}

void net_reset(void)
{
	while (!LIST_EMPTY(&net_links))
		link_free(LIST_FIRST(&net_links));
	memset(cut, 0, sizeof(cut));
	next_port = 0;
	next_number = 0;
}
