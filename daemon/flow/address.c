// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Where the peer is: an address in numbers, or a name. The addresses of a name are tried in
 * turn, one after the other without a pause; after each round, and after each loss of a link,
 * the name is looked up anew. As long as no answer comes, those known before are used.
 */
#include <netdb.h>
#include <string.h>

#include "conf_value.h"
#include "daemon.h"
#include "log.h"
#include "tcp.h"

/* A name that is to take the place of a peer that is linked is looked up so often. */
#define RETRY_NS	(2 * NSEC_PER_SEC)

static void address_found(struct resolver *r, const struct resolved *a)
{
	struct out *o = container_of(r, struct out, resolver);
	const char *host = peer_conf(o->peer)->host;

	if (!*host)
		return;
	if (a->err) {
		snprintf(o->unknown, sizeof(o->unknown), "the peer's name %.128s isn't known: %s", host,
			 a->err == EAI_SYSTEM ? "the look-up failed" : gai_strerror(a->err));
		tell(&o->d->tell, LOG_WARNING, TELL_WAIT, host, "%s%s",
		     o->unknown, o->nr_addr ? "; the last known addresses stay in use" :
		     "; waiting for it");
		if (o->peer->moving && o->state != OUT_DOWN)
			loop_arm(&o->d->loop, &o->retry, RETRY_NS);
		return;
	}
	*o->unknown = '\0';
	memcpy(o->addr, a->addr, sizeof(o->addr));
	o->nr_addr = a->nr;
	if (o->next_addr >= o->nr_addr)
		o->next_addr = 0;
	peer_located(o->peer);
	if (o->state == OUT_DOWN && o->retry.armed)
		loop_arm(&o->d->loop, &o->retry, 0);
}

void address_look_up(struct out *o)
{
	if (*peer_conf(o->peer)->host)
		resolve_start(&o->resolver, peer_conf(o->peer)->host);
}

void address_init(struct out *o)
{
	resolve_init(&o->resolver, &o->d->loop, address_found);
	address_forget(o);
}

void address_forget(struct out *o)
{
	resolve_stop(&o->resolver);
	o->nr_addr = 0;
	o->next_addr = 0;
	strcpy(o->unknown, "the peer's name isn't looked up yet");
	address_look_up(o);
}

bool address_given(const struct out *o)
{
	if (o->d->conf.private == PRIVATE_SPARE)
		return false;
	return conf_peer_given(peer_conf(o->peer));
}

const struct sockaddr_storage *address_next(struct out *o)
{
	if (!*peer_conf(o->peer)->host)
		return &peer_conf(o->peer)->addr;
	if (!o->nr_addr) {
		address_look_up(o);
		return NULL;
	}
	conf_set_port(&o->addr[o->next_addr], peer_conf(o->peer)->port);
	return &o->addr[o->next_addr];
}

bool address_failed(struct out *o)
{
	if (!*peer_conf(o->peer)->host || !o->nr_addr)
		return false;
	if (++o->next_addr < o->nr_addr)
		return true;
	o->next_addr = 0;
	address_look_up(o);
	return false;
}

bool address_is(const struct out *o, const struct sockaddr_storage *from)
{
	const struct conf_peer *to = peer_conf(o->peer);
	u32 i;

	if (!*to->host)
		return to->addr.ss_family && tcp_same_host(from, &to->addr);
	for (i = 0; i < o->nr_addr; i++)
		if (tcp_same_host(from, &o->addr[i]))
			return true;
	return false;
}

void address_text(const struct out *o, char *text, size_t size)
{
	const struct conf_peer *p = peer_conf(o->peer);

	if (*p->host)
		snprintf(text, size, "%s:%u", p->host, p->port);
	else
		tcp_text(&p->addr, text, size);
}
