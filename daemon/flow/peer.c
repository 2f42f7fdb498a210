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

int peer_open(struct daemon *d)
{
	struct peer *p = calloc(1, sizeof(*p));

	LIST_INIT(&d->peers);
	if (!p)
		return -1;
	p->d = d;
	fence_command_init(p);
	LIST_INIT(&p->feeds);
	LIST_INSERT_HEAD(&d->peers, p, entry);
	/* What was lent before this daemon was started anew isn't known. */
	p->lent_until = lease_lent_until(clock_mono(), lease_length(d->conf.timeout_ms,
								    d->conf.timeout_ms));
	detector_init(&p->detector, d->conf.timeout_ms * NSEC_PER_MSEC);
	p->tick.fn = peer_tick;
	loop_arm(&d->loop, &p->tick, tick_interval(p));
	out_open(&p->out, p);
	return 0;
}

void peer_close(struct peer *p)
{
	fence_command_close(p);
	out_close(&p->out);
	loop_disarm(&p->tick);
	feeds_clear(p);
	LIST_REMOVE(p, entry);
	free(p);
}
