// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Connections: sending. First what is queued, then what pull() adds: several frames in
 * one buffer.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conn.h"

/* In one turn: of what is sent, and of what it was made from, which may be far more. */
#define WRITE_BUDGET	(4U << 20)
/* The head of a frame is no longer than this, up and before. */
#define HEAD_UP		(WIRE_HEADER_LEN + WIRE_DATA_HEAD_LEN + \
			 WIRE_DATA_EXTENTS * WIRE_EXTENT_LEN + CONN_DATA_MAX)
#define HEAD_GREETING	(WIRE_HEADER_LEN + WIRE_GREETING_MAX)

struct conn_msg {
	STAILQ_ENTRY(conn_msg) entry;
	u16 type;
	u32 channel;
	u32 len;
	u8 payload[];
};

/*
 * The queue
 */

void conn_send(struct conn *c, u16 type, u32 channel, const struct writer *payload)
{
	u32 len = payload ? payload->len : 0;
	struct conn_msg *m = malloc(sizeof(*m) + len);

	if (c->finishing) {
		free(m);
		return;
	}
	if (!m) {
		/* A message that is missing is worse than a link that is. */
		c->error = ENOMEM;
		conn_kick(c);
		return;
	}
	m->type = type;
	m->channel = channel;
	m->len = len;
	if (len)
		memcpy(m->payload, payload->p, len);
	STAILQ_INSERT_TAIL(&c->queue, m, entry);
	c->queued += sizeof(*m) + len;
	conn_kick(c);
}

static void queue_pop(struct conn *c)
{
	struct conn_msg *m = STAILQ_FIRST(&c->queue);

	STAILQ_REMOVE_HEAD(&c->queue, entry);
	c->queued -= sizeof(*m) + m->len;
	free(m);
}

static void lent_end(struct conn *c)
{
	if (c->lent.len)
		close(c->lent.fd);
	c->lent.len = 0;
}

void conn_tx_free(struct conn *c)
{
	while (!STAILQ_EMPTY(&c->queue))
		queue_pop(c);
	lent_end(c);
}

static bool queue_take(struct conn *c)
{
	struct conn_msg *m = STAILQ_FIRST(&c->queue);

	if (!m)
		return false;
	write_copy(conn_frame(c), m->payload, m->len);
	conn_frame_end(c, m->type, m->channel);
	queue_pop(c);
	return true;
}

void conn_refuse(struct conn *c, const struct fault *f)
{
	u8 buf[WIRE_TEXT_MAX + 16];
	struct writer w = { .p = buf, .cap = sizeof(buf) };
	struct msg_refuse m = { .fault = *f };

	refuse_encode(&w, &m);
	conn_send(c, WIRE_REFUSE, 0, &w);
}

/* One at a time: if the last one isn't gone yet, bytes are on their way anyway. */
void conn_heartbeat(struct conn *c)
{
	u8 buf[24];
	struct writer w = { .p = buf, .cap = sizeof(buf) };
	u64 now = clock_mono();
	struct msg_heartbeat m = {
		.clock = now, .echo = c->peer_clock,
		.held = c->peer_clock ? now - c->peer_clock_at : 0,
	};

	if (c->queued)
		return;
	heartbeat_encode(&w, &m);
	conn_send(c, WIRE_HEARTBEAT, 0, &w);
}

int conn_heartbeat_in(struct conn *c, const u8 *payload, u32 len)
{
	u64 now = clock_mono(), away;
	struct msg_heartbeat m;

	if (heartbeat_decode(payload, len, &m, &c->fault))
		return -1;
	c->peer_clock = m.clock;
	c->peer_clock_at = now;
	away = now - m.echo;
	if (m.echo && m.echo <= now && m.held <= away) {
		c->rtt_ns = away - m.held;
		c->answered = MAX(c->answered, m.echo);
	}
	return 0;
}

/*
 * Building frames
 */

struct writer *conn_frame(struct conn *c)
{
	c->tx_frame = c->tx.len;
	write_room(&c->tx, WIRE_HEADER_LEN);
	return &c->tx;
}

void conn_frame_cancel(struct conn *c)
{
	c->tx.len = c->tx_frame;
}

void conn_frame_end(struct conn *c, u16 type, u32 channel)
{
	conn_frame_end_pages(c, type, channel, NULL, 0);
}

void conn_frame_end_pages(struct conn *c, u16 type, u32 channel, const u64 *sums, u32 nr)
{
	u8 *head = c->tx.p + c->tx_frame;
	struct frame f = {
		.type = type, .length = c->tx.len - c->tx_frame - WIRE_HEADER_LEN,
		.channel = channel, .sequence = ++c->tx_sequence,
	};

	frame_encode(head, &f);
	f.checksum = conn_checksum(c, head, head + WIRE_HEADER_LEN, &f, sums, nr);
	store_le(head + WIRE_CHECKED_LEN, f.checksum, 8);
	c->stats.frames_out++;
}

/*
 * Sending
 */

/* More frames, as many as are ready and fit; false if there is none. */
static bool tx_fill(struct conn *c)
{
	size_t head = c->up ? HEAD_UP : HEAD_GREETING;

	c->tx.len = 0;
	c->tx_sent = 0;
	if (c->shut)
		return false;
	while (c->tx.cap - c->tx.len >= head && c->spent < WRITE_BUDGET)
		if (!queue_take(c) && (c->finishing || !c->ops->pull(c)))
			break;
	return c->tx.len;
}

static ssize_t tx_bytes(struct conn *c, const u8 *p, size_t len)
{
	if (c->tls)
		return tls_send(c->tls, p, len);
	return send(c->fd, p, len, MSG_NOSIGNAL);
}

/* Fewer are copied. */
#define LEND_MIN	(64U * 1024)

void conn_frame_lend(struct conn *c, int fd, u64 pos, size_t len)
{
	if (c->tls || c->lent.len || len < LEND_MIN)
		return;
	fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return;
	c->lent.fd = fd;
	c->lent.pos = pos;
	c->lent.at = c->tx.len - len;
	c->lent.len = len;
}

/*
 * The pages of the file go to the peer as they are, without a copy in the socket. If that doesn't work,
 * the same bytes are in the buffer.
 */
static ssize_t tx_lent(struct conn *c)
{
	size_t end = c->lent.at + c->lent.len;
	off_t pos = c->lent.pos + (c->tx_sent - c->lent.at);
	ssize_t n = sendfile(c->fd, c->lent.fd, &pos, end - c->tx_sent);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return n;
	if (n <= 0)
		lent_end(c);
	return MAX(n, 0);
}

static ssize_t tx_next(struct conn *c)
{
	const u8 *p = c->tx.p + c->tx_sent;

	if (c->lent.len && c->tx_sent >= c->lent.at)
		return tx_lent(c);
	if (c->lent.len)
		return send(c->fd, p, c->lent.at - c->tx_sent, MSG_NOSIGNAL | MSG_MORE);
	return tx_bytes(c, p, c->tx.len - c->tx_sent);
}

static ssize_t tx_buffer(struct conn *c)
{
	ssize_t n = tx_next(c);

	if (n > 0)
		c->tx_sent += n;
	if (c->lent.len && c->tx_sent >= c->lent.at + c->lent.len)
		lent_end(c);
	return n;
}

static void tx_done(struct conn *c)
{
	c->more = false;
	if (!c->finishing || c->shut)
		return;
	/* Whatever the peer still sends is thrown away, until it has read this. */
	c->shut = true;
	if (c->tls)
		tls_finish(c->tls);
	shutdown(c->fd, SHUT_WR);
}

static void tx_error(struct conn *c, int error)
{
	c->error = error;
	conn_end(c, CONN_ERROR);
}

void conn_write(struct conn *c)
{
	size_t budget = WRITE_BUDGET;
	ssize_t n;

	if (c->error) {
		tx_error(c, c->error);
		return;
	}
	if (c->shaking && !conn_shake(c))
		return;
	c->blocked = false;
	c->spent = 0;
	while (budget && c->spent < WRITE_BUDGET && !c->ended) {
		if (c->tx_sent < c->tx.len) {
			n = tx_buffer(c);
		} else if (tx_fill(c)) {
			continue;
		} else {
			tx_done(c);
			return;
		}
		if (n < 0 && errno == EAGAIN) {
			c->blocked = true;
			return;
		}
		if (n < 0 && errno != EINTR) {
			tx_error(c, errno);
			return;
		}
		n = MAX(n, 0);
		c->stats.bytes_out += n;
		budget -= MIN(budget, (size_t)n);
	}
	conn_kick(c);		/* others first */
}
