// SPDX-License-Identifier: GPL-2.0-or-later
/* Connections: receiving. Bytes become frames; each is checked before anybody sees it. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "conn.h"

/* In one turn: of what is read, and of the pages that it is about, which may be far more. */
#define READ_BUDGET	(4U << 20)
/* With more than this missing in a frame, nothing behind it is read ahead. */
#define READ_AHEAD	(64U * 1024)

static int rx_frame(struct conn *c, const struct frame *f, const u8 *at)
{
	u64 sum = conn_checksum(c, at, at + WIRE_HEADER_LEN, f, NULL, 0);

	if (sum != f->checksum)
		return fault_set(&c->fault, WIRE_E_CHECKSUM,
				 "%s number %llu on channel %u: wrong checksum",
				 wire_type_name(f->type), f->sequence, f->channel);
	c->rx_sequence = f->sequence;
	c->stats.frames_in++;
	return c->ops->frame(c, f, at + WIRE_HEADER_LEN);
}

/*
 * The frame at @off: how many bytes it has, 0 if it isn't whole, -1 if it isn't right.
 * @want: how many bytes are missing.
 */
static ssize_t rx_take(struct conn *c, size_t off, size_t *want)
{
	size_t have = c->rx_len - off, len;
	struct frame f;

	*want = WIRE_HEADER_LEN;
	if (have < WIRE_HEADER_LEN)
		return 0;
	if (frame_decode(c->rx + off, c->rx_max, c->rx_sequence + 1, &f, &c->fault))
		return -1;
	len = WIRE_HEADER_LEN + f.length;
	*want = len - MIN(len, have);
	if (have < len)
		return 0;
	return rx_frame(c, &f, c->rx + off) ? -1 : (ssize_t)len;
}

static bool rx_open(const struct conn *c)
{
	return !c->ended && !c->finishing && !c->deaf;
}

/* May the next frame be looked at in this turn, and aren't the answers too many? */
static bool rx_may(const struct conn *c)
{
	return rx_open(c) && conn_listens(c) && c->taken < READ_BUDGET;
}

/* All whole frames in the buffer, as far as they may be looked at. */
static void rx_parse(struct conn *c, size_t *want)
{
	size_t off = 0;
	ssize_t n = 0;

	while (rx_may(c) && (n = rx_take(c, off, want)) > 0)
		off += n;
	c->rx_held = rx_open(c) && !conn_listens(c);
	if (n < 0)
		conn_end(c, CONN_FAULT);
	if (!rx_open(c))
		off = c->rx_len;
	c->rx_len -= off;
	if (off && c->rx_len)
		memmove(c->rx, c->rx + off, c->rx_len);
}

/* A record at a time. */
static ssize_t rx_tls(struct conn *c, size_t room)
{
	ssize_t n = tls_recv(c->tls, c->rx + c->rx_len, room);

	/* To read TLS may have to write first. */
	if (n < 0 && errno == EAGAIN && tls_wants_write(c->tls))
		c->blocked = c->rx_held = true;
	return n;
}

/* @more: there may be more at once. */
static ssize_t rx_recv(struct conn *c, size_t want, bool *more)
{
	size_t room = c->rx_cap - c->rx_len;
	ssize_t n;

	/* So that what has to be moved to the front stays short. */
	if (want > READ_AHEAD && want < room)
		room = want;
	n = c->tls ? rx_tls(c, room) : recv(c->fd, c->rx + c->rx_len, room, 0);
	*more = c->tls || n == (ssize_t)room;
	if (n > 0) {
		c->rx_len += n;
		c->stats.bytes_in += n;
		c->heard_at = clock_mono();
	}
	return n;
}

static void rx_ended(struct conn *c, ssize_t n)
{
	if (c->finishing) {
		conn_end(c, CONN_FLUSHED);
		return;
	}
	c->error = n < 0 ? errno : 0;
	conn_end(c, n < 0 ? CONN_ERROR : CONN_EOF);
}

/* Others first. What is in the buffer, or TLS has already, is told of by nobody. */
static void rx_later(struct conn *c)
{
	if (!c->rx_len && (!c->tls || !tls_pending(c->tls)))
		return;
	c->rx_held = true;
	loop_chore(c->loop, &c->flush);
}

void conn_read(struct conn *c)
{
	size_t want = WIRE_HEADER_LEN, budget = READ_BUDGET;
	bool more = true;
	ssize_t n;

	if (c->shaking && !conn_shake(c))
		return;
	c->taken = 0;
	for (;;) {
		rx_parse(c, &want);
		if (c->ended || c->rx_held)
			return;
		if (!budget || c->taken >= READ_BUDGET) {
			rx_later(c);
			return;
		}
		if (!more)
			return;
		n = rx_recv(c, want, &more);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			rx_ended(c, n);
			return;
		}
		budget -= MIN(budget, (size_t)n);
	}
}
