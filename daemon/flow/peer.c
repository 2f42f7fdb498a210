// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The other host: its link to us, and whether it is alive.
 */
#include <stdlib.h>
#include <string.h>

#include "daemon.h"
#include "log.h"
#include "tcp.h"
#include "uuid.h"

static u64 tick_interval(const struct peer *p)
{
	u64 ns = p->detector.timeout / 20;

	return MAX(ns, 5 * NSEC_PER_MSEC);
}

static void peer_dead(struct peer *p)
{
	u64 heard = p->detector.heard;

	if (p->in)
		in_silent(p->in);
	news_peer(p, "dead");
	failover_decide(p, heard);
	alone_look(p->d);
}

/*
 * Its host refuses connections: the kernel there lives, and so may the programs. Nothing says
 * that they have stopped serving (no fence, no lease that ended), so only a person may decide
 * that another one goes on for them.
 */
static void peer_has_no_daemon(struct peer *p)
{
	if (p->in)
		in_silent(p->in);
	tell(&p->d->tell, LOG_WARNING, TELL_PEER, p->node.name,
	     "peer %s: its host answers, but cptdevd is down there: nothing is promoted automatically. Next: start cptdevd there; if its programs are gone as well, run here: %s",
	     p->node.name, ADVICE(p->d, "promote", "NAME"));
	news_peer(p, "no-daemon");
}

/* Of several addresses one may be another host's, that refuses for reasons of its own. */
void peer_answered(struct peer *p, const struct sockaddr_storage *at)
{
	/* The daemon of one program ends with the program. */
	if (p->d->conf.private)
		return;
	if ((p->linked_to.ss_family && tcp_same_host(at, &p->linked_to)) ||
	    (p->linked_from.ss_family && tcp_same_host(at, &p->linked_from)))
		detector_answered(&p->detector, clock_mono());
}

void peer_lends(struct peer *p, u64 received, u64 length)
{
	if (memcmp(p->lent_to, p->node.uuid, sizeof(p->lent_to))) {
		memcpy(p->lent_to, p->node.uuid, sizeof(p->lent_to));
		p->lent_before = p->lent_until;
	}
	p->lent_until = MAX(p->lent_until, lease_lent_until(received, length));
}

bool peer_lease_over(const struct peer *p)
{
	return clock_mono() >= p->lent_until;
}

bool peer_lent_others(const struct peer *p, const u8 *node)
{
	/* A new peer may follow before it was lent anything. */
	return clock_mono() < (uuid_same(p->lent_to, node) ? p->lent_before : p->lent_until);
}

bool peer_lent(const struct peer *p, const u8 *node)
{
	bool is = uuid_same(p->lent_to, node) || uuid_same(p->lent_to, uuid_none) ||
		uuid_same(node, uuid_none);

	return clock_mono() < (is ? p->lent_until : p->lent_before);
}

static void peer_tick(struct timer *t)
{
	struct peer *p = container_of(t, struct peer, tick);
	u64 interval = tick_interval(p), now = clock_mono();
	unsigned int action;

	if (p->in)
		detector_heard(&p->detector, p->in->conn->heard_at);
	loop_arm(&p->d->loop, t, interval);
	action = detector_tick(&p->detector, now, interval);
	if (action == DET_DO_DECIDE)
		peer_dead(p);
	else if (action == DET_DO_SAY)
		peer_has_no_daemon(p);
	else
		failover_look_again(p);
}

/* Another node in its place has nothing to do with what the first one fed. */
static void peer_identify(struct peer *p, const struct node *node)
{
	if (memcmp(p->node.uuid, node->uuid, sizeof(node->uuid)))
		feeds_clear(p);
	p->node = *node;
}

void peer_up(struct peer *p, struct in *in)
{
	struct in *old = p->in;

	p->in = in;
	if (old)
		in_replace(old);
	peer_identify(p, &in->node);
	feeds_link(p);
	p->linked_from = in->from;
	news_peer(p, "incoming-up");
	p->detector.timeout = p->d->conf.timeout_ms * NSEC_PER_MSEC;
	if (detector_up(&p->detector, clock_mono()) == DET_DO_BACK)
		tell(&p->d->tell, LOG_NOTICE, TELL_PEER, p->node.name, "peer %s is back",
		     p->node.name);
}

void peer_down(struct peer *p, bool bye)
{
	u64 now = clock_mono();

	if (bye)
		detector_bye(&p->detector, now);
	else if (detector_broken(&p->detector, now) == DET_DO_START)
		tell(&p->d->tell, LOG_NOTICE, TELL_LINK, p->node.name,
		     "peer %s: the link broke; it counts as dead in %u ms", p->node.name,
		     p->d->conf.timeout_ms);
	if (!bye)
		out_hurry(&p->out);
	news_peer(p, bye ? "left" : "incoming-lost");
	alone_look(p->d);
}

const struct conf_peer *peer_conf(const struct peer *p)
{
	static const struct conf_peer none;

	return p->gone ? &none : &p->d->conf.peers[p->slot];
}

/* A peer without a name is the only one. */
struct peer *peer_of_name(struct daemon *d, const char *name)
{
	struct peer *p;

	LIST_FOREACH(p, &d->peers, entry)
		if (!p->gone && (!*peer_conf(p)->name || !strcmp(peer_conf(p)->name, name)))
			return p;
	return NULL;
}

static void append(struct daemon *d, struct peer *p)
{
	struct peer *last = LIST_FIRST(&d->peers);

	if (!last) {
		LIST_INSERT_HEAD(&d->peers, p, entry);
		return;
	}
	while (LIST_NEXT(last, entry))
		last = LIST_NEXT(last, entry);
	LIST_INSERT_AFTER(last, p, entry);
}

static int peer_new(struct daemon *d, u32 slot)
{
	struct peer *p = calloc(1, sizeof(*p));

	if (!p)
		return -1;
	p->d = d;
	p->slot = slot;
	fence_command_init(p);
	LIST_INIT(&p->feeds);
	append(d, p);
	/* What was lent before this daemon was started anew isn't known. */
	p->lent_until = lease_lent_until(clock_mono(), lease_length(d->conf.timeout_ms,
								    d->conf.timeout_ms));
	detector_init(&p->detector, d->conf.timeout_ms * NSEC_PER_MSEC);
	p->tick.fn = peer_tick;
	loop_arm(&d->loop, &p->tick, tick_interval(p));
	out_open(&p->out, p);
	return 0;
}

int peer_open(struct daemon *d)
{
	u32 i;

	LIST_INIT(&d->peers);
	for (i = 0; i < MAX(d->conf.nr_peers, 1U); i++)
		if (peer_new(d, i))
			return -1;
	return 0;
}

/* The slot of a section [peer NAME], 0: there is none. */
static u32 slot_of(const struct conf *c, const char *name)
{
	u32 i;

	for (i = c->nr_peers; i-- > 1;)
		if (!strcmp(c->peers[i].name, name))
			return i;
	return 0;
}

static bool same_place(const struct conf_peer *a, const struct conf_peer *b)
{
	return !memcmp(&a->addr, &b->addr, sizeof(a->addr)) && !strcmp(a->host, b->host);
}

/* @p has a section [peer NAME] in @was. Returns its slot now, 0: it has none any more. */
static u32 keep(struct peer *p, const struct conf *was)
{
	const struct conf_peer *old = &was->peers[p->slot];
	u32 slot = slot_of(&p->d->conf, old->name);

	if (!slot) {
		peer_removed(p);
		return 0;
	}
	p->slot = slot;
	if (!same_place(&p->d->conf.peers[slot], old))
		peer_configured(p);
	return slot;
}

void peer_reload(struct daemon *d, const struct conf *was)
{
	bool there[CONF_PEERS_MAX] = {};
	struct peer *p;
	u32 i;

	/* [peer] is looked at by reload.c. */
	LIST_FOREACH(p, &d->peers, entry)
		if (!p->gone && p->slot)
			there[keep(p, was)] = true;
	for (i = 1; i < d->conf.nr_peers; i++)
		if (!there[i] && peer_new(d, i))
			log_err("no memory for the peer %s", d->conf.peers[i].name);
}

void peer_close(struct peer *p)
{
	loop_disarm(&p->remove);
	fence_command_close(p);
	out_close(&p->out);
	loop_disarm(&p->tick);
	feeds_clear(p);
	LIST_REMOVE(p, entry);
	free(p);
}
