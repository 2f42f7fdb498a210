// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Another host becomes the peer: the configuration was read anew. The peer so far is left in order.
 * It knows that it isn't to promote anything, and nothing that it fed is promoted here by itself
 * (rule R10 of the failure model). Its links would keep the new peer out.
 *
 * A peer that is given by name is left when its name is known to lead elsewhere. Another port of
 * the same host is no other peer: it counts when the link is made anew.
 */
#include <string.h>

#include "daemon.h"
#include "log.h"

static const struct node *node_of(const struct peer *p)
{
	return p->in ? &p->in->node : &p->out.node;
}

static bool is_linked(const struct peer *p)
{
	return p->in || p->out.state == OUT_UP;
}

/* The address of its link is not configured, or its name is another one. */
static bool is_another(const struct peer *p)
{
	const struct sockaddr_storage *at = p->linked_to.ss_family ? &p->linked_to :
								     &p->linked_from;
	struct fault f;

	return at->ss_family && (!address_is(&p->out, at) ||
				 node_check(node_of(p), peer_conf(p)->name, &f));
}

/* It hears by BYE that this host goes, and that its replicas are outdated if it goes on alone. */
static void leave_incoming(struct in *in)
{
	struct peer *p = in->peer;

	in->peer = NULL;
	p->in = NULL;
	if (records_leave(in->d, in))
		in_drop(in);
	else
		in_stop(in);
	news_peer(p, "incoming-lost");
}

static void leave(struct peer *p)
{
	char text[300] = "none";

	if (address_given(&p->out))
		address_text(&p->out, text, sizeof(text));
	log_notice("the peer %s is left: the configuration names another peer (%s); replicas that the old peer fed aren't promoted automatically",
		   node_of(p)->name, text);
	feeds_clear(p);
	if (p->in)
		leave_incoming(p->in);
	out_moved(&p->out);
	/* The result of a fence command for the old host is of no use for the new one. */
	p->fence.stale = p->fence.pid;
	p->failover = (struct failover_times) {};
	p->linked_to = p->linked_from = (struct sockaddr_storage) {};
	p->node = (struct node) {};
	detector_init(&p->detector, p->d->conf.timeout_ms * NSEC_PER_MSEC);
	alone_look(p->d);
}

void peer_located(struct peer *p)
{
	if (!p->moving)
		return;
	p->moving = false;
	in_drop_strangers(p->d);
	if (is_another(p))
		leave(p);
	else if (p->out.state == OUT_UP)
		log_notice("the link to %s stays until it is lost; the new address is used then",
			   p->out.node.name);
}

/* So long it has to read the farewell. */
#define FAREWELL_NS	NSEC_PER_SEC

/* A session that took over from it waits for the end of its lease. */
static void remove_now(struct timer *t)
{
	struct peer *p = container_of(t, struct peer, remove);

	if (peer_lease_over(p))
		peer_close(p);
	else
		loop_arm(&p->d->loop, t, FAREWELL_NS);
}

void peer_removed(struct peer *p)
{
	p->gone = true;
	p->moving = false;
	address_forget(&p->out);
	leave(p);
	loop_disarm(&p->tick);
	p->remove.fn = remove_now;
	loop_arm(&p->d->loop, &p->remove, FAREWELL_NS);
}

void peer_configured(struct peer *p)
{
	struct fault f;

	address_forget(&p->out);
	/* A connection in the making leads to where the peer isn't expected any more. */
	if (p->out.state != OUT_UP)
		out_moved(&p->out);
	p->moving = true;
	if (!*peer_conf(p)->host ||
	    (is_linked(p) && node_check(node_of(p), peer_conf(p)->name, &f)))
		peer_located(p);
}
