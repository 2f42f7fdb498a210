// SPDX-License-Identifier: GPL-2.0-or-later
/* Connections: making, ending, and what they wait for. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conn.h"

/* Room for the longest message of a handshake, and for the longest frame head. */
#define TX_GREETING	(WIRE_GREETING_MAX + 2 * WIRE_HEADER_LEN)
#define TX_UP		(CONN_DATA_MAX + 256U * 1024)
#define RX_AHEAD	(64U * 1024)
/* With so much to be said, nothing more is listened to. */
#define QUEUE_PAUSE	(64U * 1024)

static int buffers(struct conn *c, size_t rx, size_t tx)
{
	u8 *p = realloc(c->rx, rx);

	if (!p)
		return -ENOMEM;
	c->rx = p;
	c->rx_cap = rx;
	p = realloc(c->tx.p, tx);
	if (!p)
		return -ENOMEM;
	c->tx.p = p;
	c->tx.cap = tx;
	return 0;
}

bool conn_listens(const struct conn *c)
{
	return c->queued < QUEUE_PAUSE;
}

void conn_update(struct conn *c)
{
	bool in = !c->ended && conn_listens(c);
	bool out = !c->ended && c->blocked;

	loop_change(c->loop, &c->watch, (in ? EPOLLIN : 0) | (out ? EPOLLOUT : 0));
}

void conn_end(struct conn *c, enum conn_end end)
{
	if (c->ended || (end == CONN_FAULT && c->deaf))
		return;
	if (end == CONN_FAULT)
		c->deaf = true;
	else
		c->ended = true;
	conn_update(c);
	c->ops->end(c, end);
}

/* Write, and go on with what waited for that. */
static void conn_flush(struct conn *c)
{
	conn_write(c);
	if (!c->ended && c->rx_held)
		conn_read(c);
	if (!c->ended)
		conn_update(c);
}

static void conn_chore(struct chore *chore)
{
	conn_flush(container_of(chore, struct conn, flush));
}

static void conn_event(struct watch *w, u32 events)
{
	struct conn *c = container_of(w, struct conn, watch);

	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		conn_read(c);
	if (!c->ended && (events & EPOLLOUT))
		conn_flush(c);
	else if (!c->ended)
		conn_update(c);
}

static void conn_free(struct garbage *g)
{
	struct conn *c = container_of(g, struct conn, garbage);

	conn_tx_free(c);
	tls_free(c->tls);
	frame_hash_free(c->hash);
	free(c->rx);
	free(c->tx.p);
	free(c);
}

struct conn *conn_new(struct loop *l, int fd, const struct conn_ops *ops, void *owner)
{
	struct conn *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	*c = (struct conn) {
		.loop = l, .ops = ops, .owner = owner, .fd = fd,
		.watch = { .fd = -1, .fn = conn_event }, .heard_at = l->now,
		.flush.fn = conn_chore,
		.rx_max = WIRE_GREETING_MAX, .hash = frame_hash_new(),
	};
	STAILQ_INIT(&c->queue);
	if (!c->hash || buffers(c, TX_GREETING, TX_GREETING) ||
	    loop_watch(l, &c->watch, fd, EPOLLIN)) {
		conn_free(&c->garbage);
		return NULL;
	}
	return c;
}

int conn_secure(struct conn *c, struct tls_keys *k, bool accepts)
{
	c->tls = tls_new(k, c->fd, accepts);
	if (!c->tls)
		return -ENOMEM;
	c->shaking = true;
	conn_kick(c);
	return 0;
}

bool conn_shake(struct conn *c)
{
	int ret = tls_handshake(c->tls);

	c->blocked = ret == -EAGAIN && tls_wants_write(c->tls);
	if (ret == -EAGAIN)
		return false;
	c->shaking = ret;
	if (!ret) {
		conn_kick(c);
		return true;
	}
	c->error = -ret;
	conn_end(c, CONN_ERROR);
	return false;
}

int conn_identify(const struct conn *c, const char *name, struct fault *f)
{
	const char *proved = c->tls ? tls_peer_name(c->tls) : "";

	if (!*proved || !strcmp(proved, name))
		return 0;
	return fault_set(f, WIRE_E_IDENTITY, "the certificate is of %s, the node says that it is %s",
			 proved, name);
}

const char *conn_why(const struct conn *c)
{
	if (c->error == EPROTO && c->tls)
		return tls_why(c->tls);
	return strerror(c->error);
}

int conn_up(struct conn *c)
{
	c->up = true;
	c->rx_max = WIRE_PAYLOAD_MAX;
	return buffers(c, WIRE_PAYLOAD_MAX + WIRE_HEADER_LEN + RX_AHEAD, TX_UP);
}

u64 conn_checksum(struct conn *c, const u8 *head, const u8 *payload, const struct frame *f,
		  const u64 *sums, u32 nr)
{
	if (c->block && f->type == WIRE_DATA)
		return frame_checksum_blocks(c->hash, head, payload, f->length, c->block, sums, nr);
	return frame_checksum(c->hash, head, payload, f->length, NULL, 0);
}

/* At the end of the turn: then all that is to be said goes out together. */
void conn_kick(struct conn *c)
{
	c->more = true;
	if (!c->ended && !c->blocked)
		loop_chore(c->loop, &c->flush);
}

void conn_finish(struct conn *c)
{
	c->finishing = true;
	conn_kick(c);
}

void conn_close(struct conn *c)
{
	c->ended = true;
	loop_no_chore(c->loop, &c->flush);
	loop_unwatch(c->loop, &c->watch);
	close(c->fd);
	loop_discard(c->loop, &c->garbage, conn_free);
}
