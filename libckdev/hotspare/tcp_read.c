// SPDX-License-Identifier: LGPL-2.1-or-later
/* libhotspare: the state of an established TCP connection, see tcp.h. */
#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tcp.h"

/* Headers of the C library may be older than the kernel. */
#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK		72
#endif
#define OPT_USEC_TS		64	/* TCPI_OPT_USEC_TS: the timestamps count microseconds */

/* As the kernel numbers them: TCP_ESTABLISHED of <netinet/tcp.h>, which can't be included here. */
#define ESTABLISHED		1
#define CLOSED			7
#define CLOSE_WAIT		8

/* Segments come while a queue is read; so often it is read again. */
#define TRIES			1000
/* The send queue is told from the beginning of a segment on, which may be acknowledged in part. */
#define SEGMENT_MAX		(64U << 10)

const char *hs_tcp_state_name(unsigned int state)
{
	static const char *const names[] = {
		"", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT",
		"CLOSE", "CLOSE_WAIT", "LAST_ACK", "LISTEN", "CLOSING", "NEW_SYN_RECV",
	};

	return state < sizeof(names) / sizeof(names[0]) ? names[state] : "unknown";
}

static int number(int fd, int level, int name, uint32_t *value)
{
	socklen_t len = sizeof(*value);

	return getsockopt(fd, level, name, value, &len);
}

static int info_of(int fd, struct tcp_info *info)
{
	socklen_t len = sizeof(*info);

	memset(info, 0, sizeof(*info));
	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &len);
}

static int repair(int fd, int how)
{
	return setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &how, sizeof(how));
}

static bool can_be_saved(unsigned int state)
{
	return state == ESTABLISHED || state == CLOSE_WAIT || state == CLOSED;
}

/* Of no connection that the program hasn't begun to end does this come by itself. */
static int refuse(int fd, unsigned int state, struct hs_error *e)
{
	return hs_fail(e, EOPNOTSUPP, "descriptor %d: a connection in the state %s can't be saved, "
		       "only in ESTABLISHED and CLOSE_WAIT: deregister it (hs_fd_deregister) "
		       "before shutdown(2) or close(2)", fd, hs_tcp_state_name(state));
}

static int not_repaired(int fd, struct hs_error *e)
{
	if (errno == EPERM)
		return hs_fail(e, EPERM, "descriptor %d: to save a TCP connection takes "
			       "CAP_NET_ADMIN: give the program this capability "
			       "(AmbientCapabilities=CAP_NET_ADMIN in a unit, or setcap(8))", fd);
	return hs_fail(e, errno, "descriptor %d: the kernel doesn't show the state of a TCP "
		       "connection: %s", fd, strerror(errno));
}

/* With repair mode off again the option to use the address again is off, too. */
static void leave_repair(int fd, int reuse)
{
	repair(fd, TCP_REPAIR_OFF_NO_WP);
	if (reuse)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof(reuse));
}

int hs_tcp_check(int fd, struct hs_error *e)
{
	char ulp[16] = "";
	socklen_t len = sizeof(ulp);
	struct tcp_info info;
	uint32_t reuse = 0;

	if (info_of(fd, &info))
		return not_repaired(fd, e);
	if (!can_be_saved(info.tcpi_state))
		return refuse(fd, info.tcpi_state, e);
	if (!getsockopt(fd, IPPROTO_TCP, TCP_ULP, ulp, &len) && len)
		return hs_fail(e, EOPNOTSUPP, "descriptor %d: a TCP connection with '%.15s' in the "
			       "kernel can't be saved: encrypt in the program", fd, ulp);
	number(fd, SOL_SOCKET, SO_REUSEADDR, &reuse);
	if (repair(fd, TCP_REPAIR_ON))
		return not_repaired(fd, e);
	leave_repair(fd, (int)reuse);
	return 0;
}

int hs_tcp_missing(struct hs_error *e)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), ret = 0;

	if (fd >= 0 && repair(fd, TCP_REPAIR_ON) && errno == EPERM)
		ret = hs_fail(e, EPERM, "to restore a TCP connection takes CAP_NET_ADMIN: give the "
			      "program this capability");
	if (fd >= 0)
		close(fd);
	errno = ret ? EPERM : errno;
	return ret;
}

/*
 * Queues, in repair mode
 */

static int queue_seq(int fd, int queue, uint32_t *seq)
{
	return setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, &queue, sizeof(queue)) ||
		number(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, seq) ? -1 : 0;
}

static int room(struct hs_tcp_queue *q, size_t len)
{
	char *bytes;

	if (len > HS_TCP_QUEUE_MAX) {
		errno = EFBIG;
		return -1;
	}
	bytes = realloc(q->bytes, len + 1);
	if (!bytes)
		return -1;
	q->bytes = bytes;
	return 0;
}

/* Its last @len bytes. Returns 1; 0: it has changed; or -1 with errno. */
static int peek_last(int fd, struct hs_tcp_queue *q, uint32_t len)
{
	size_t more;
	ssize_t n = 0;

	q->len = len;
	if (!len)
		return 1;
	/* What is acknowledged of the first segment is there as well. */
	for (more = SEGMENT_MAX; more <= HS_TCP_QUEUE_MAX / 2; more *= 4) {
		if (room(q, len + more))
			return -1;
		n = recv(fd, q->bytes, len + more, MSG_PEEK | MSG_DONTWAIT);
		if (n >= 0 || errno != EFAULT)
			break;
	}
	if (n < (ssize_t)len)
		return n < 0 && errno != EAGAIN ? -1 : 0;
	memmove(q->bytes, q->bytes + n - len, len);
	return 1;
}

static int read_send(int fd, struct hs_tcp *t)
{
	int before = 0, after = -1, unsent = 0, i, ret = 0;

	if (queue_seq(fd, TCP_SEND_QUEUE, &t->send.seq))
		return -1;
	for (i = 0; i < TRIES; i++) {
		if (ioctl(fd, SIOCOUTQ, &before))
			return -1;
		ret = peek_last(fd, &t->send, (uint32_t)before);
		if (ret < 0 || ioctl(fd, SIOCOUTQNSD, &unsent) || ioctl(fd, SIOCOUTQ, &after))
			return -1;
		if (ret && after == before)
			break;
	}
	/* Data that has left is not to become data that hasn't; the other way does no harm. */
	t->unsent = unsent < before ? (uint32_t)unsent : (uint32_t)before;
	errno = EBUSY;
	return i == TRIES ? -1 : 0;
}

static void keep_window(struct hs_tcp *t, const struct tcp_repair_window *w)
{
	t->snd_wl1 = w->snd_wl1;
	t->snd_wnd = w->snd_wnd;
	t->max_window = w->max_window;
	t->rcv_wnd = w->rcv_wnd;
	t->rcv_wup = w->rcv_wup;
}

/* All that belongs to the receive position. Returns 1; 0: it has changed; or -1 with errno. */
static int try_receive(int fd, struct hs_tcp *t, struct tcp_info *info)
{
	struct tcp_repair_window w;
	socklen_t len = sizeof(w);
	int waiting = 0;
	uint32_t after;
	ssize_t n = 0;

	if (queue_seq(fd, TCP_RECV_QUEUE, &t->receive.seq) || info_of(fd, info) ||
	    getsockopt(fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, &w, &len) ||
	    ioctl(fd, SIOCINQ, &waiting) || room(&t->receive, (size_t)waiting))
		return -1;
	if (waiting)
		n = recv(fd, t->receive.bytes, (size_t)waiting, MSG_PEEK | MSG_DONTWAIT);
	if (n < 0 && errno != EAGAIN)
		return -1;
	if (number(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, &after))
		return -1;
	keep_window(t, &w);
	t->receive.len = (uint32_t)waiting;
	return n == waiting && after == t->receive.seq;
}

static int read_receive(int fd, struct hs_tcp *t, struct tcp_info *info)
{
	int i, ret;

	for (i = 0; i < TRIES; i++) {
		ret = try_receive(fd, t, info);
		if (ret)
			return ret < 0 ? -1 : 0;
	}
	errno = EBUSY;
	return -1;
}

static void keep_options(struct hs_tcp *t, const struct tcp_info *info)
{
	t->sack = info->tcpi_options & TCPI_OPT_SACK;
	t->timestamps = info->tcpi_options & TCPI_OPT_TIMESTAMPS;
	t->scaled = info->tcpi_options & TCPI_OPT_WSCALE;
	t->send_scale = info->tcpi_snd_wscale;
	t->receive_scale = info->tcpi_rcv_wscale;
	/* Since Linux 6.7 the lowest bit says the unit; before, it was a part of the number. */
	if (!(info->tcpi_options & OPT_USEC_TS))
		t->timestamp &= ~1U;
}

static int read_all(int fd, struct hs_tcp *t)
{
	struct tcp_info info;

	if (read_send(fd, t) || read_receive(fd, t, &info) ||
	    number(fd, IPPROTO_TCP, TCP_MAXSEG, &t->mss) ||
	    number(fd, IPPROTO_TCP, TCP_TIMESTAMP, &t->timestamp))
		return -1;
	number(fd, SOL_SOCKET, SO_BUF_LOCK, &t->buf_lock);
	keep_options(t, &info);
	t->fin = info.tcpi_state == CLOSE_WAIT;
	return 0;
}

static void forget(struct hs_tcp *t)
{
	free(t->send.bytes);
	free(t->receive.bytes);
	*t = (struct hs_tcp) { .gone = true };
}

/* Its state may have changed before and while it was read. */
static int read_it(int fd, struct hs_tcp *t, struct hs_error *e)
{
	struct tcp_info info;
	uint32_t reuse = 0;
	int ret, err;

	number(fd, SOL_SOCKET, SO_REUSEADDR, &reuse);
	t->reuse = reuse;
	if (repair(fd, TCP_REPAIR_ON))
		return not_repaired(fd, e);
	ret = read_all(fd, t);
	err = errno;
	leave_repair(fd, (int)reuse);
	if (info_of(fd, &info))
		return not_repaired(fd, e);
	if (info.tcpi_state == CLOSED) {
		forget(t);
		return 0;
	}
	if (!can_be_saved(info.tcpi_state))
		return refuse(fd, info.tcpi_state, e);
	errno = err;
	return ret ? hs_fail(e, err, "descriptor %d: the state of the connection can't be read: %s",
			     fd, strerror(err)) : 0;
}

struct hs_tcp *hs_tcp_read(int fd, struct hs_error *e)
{
	struct hs_tcp *t = calloc(1, sizeof(*t));

	if (!t) {
		hs_fail(e, ENOMEM, "descriptor %d: no memory", fd);
		return NULL;
	}
	if (!read_it(fd, t, e))
		return t;
	hs_tcp_free(t);
	return NULL;
}

/* Leaves errno alone. */
void hs_tcp_free(struct hs_tcp *t)
{
	int err = errno;

	if (t) {
		free(t->send.bytes);
		free(t->receive.bytes);
	}
	free(t);
	errno = err;
}
