// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libhotspare: a socket with the state of a connection, see tcp.h.
 *
 * A restored socket has measured no round trip. If the peer lacks what was sent, the kernel waits a
 * second for its first probe, ignores what the peer says to it, and waits three seconds more. So
 * the last byte of what was sent is kept back, and written when the connection goes on: the answer
 * to it is a measurement, and says at once what the peer lacks. With more than WINDOW segments
 * under way this can't be done, and the peer may wait those four seconds.
 */
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tcp.h"

/* Headers of the C library may be older than the kernel. */
#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK		72
#endif
#ifndef IPV6_HDRINCL
#define IPV6_HDRINCL		36
#endif

#define CLOSE_WAIT		8
/* The kernel takes so much of a queue as one piece. */
#define PIECE			(32U << 10)
/* Options in a SYN. */
#define OPT_MAXSEG		2
#define OPT_WINDOW		3
#define OPT_SACK		4
#define OPT_TIMESTAMP		8
/* Segments: a new connection may have ten under way (initcwnd), and these may become a few more. */
#define WINDOW			8U
/* The end of the peer's data, as a segment to ourselves: how often, and looks for it in between. */
#define FIN_TIMES		10
#define FIN_LOOKS		200
#define FIN_LOOK_NS		1000000L

static int set(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value));
}

static int get(int fd, int level, int name)
{
	socklen_t len = sizeof(int);
	int value = 0;

	return getsockopt(fd, level, name, &value, &len) ? 0 : value;
}

/*
 * Of what was sent: the last byte comes later. But not where so much is under way that the new
 * congestion window would hold it back: the peer would acknowledge more than was sent here.
 */
static uint32_t sent_now(const struct hs_tcp *t)
{
	uint32_t sent = t->send.len - t->unsent;

	return sent && sent <= WINDOW * t->mss ? sent - 1 : sent;
}

/*
 * Making it
 */

static int set_seq(int fd, int queue, uint32_t seq)
{
	return set(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, queue) ||
		setsockopt(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, &seq, sizeof(seq)) ? -1 : 0;
}

/* The end that the peer has sent takes a number, too; it comes by a segment of its own. */
static uint32_t receive_end(const struct hs_tcp *t)
{
	return t->receive.seq - t->fin;
}

static int connect_it(int fd, const struct hs_tcp *t, const struct hs_tcp_ends *ends)
{
	const bool v6 = ends->name->sa_family == AF_INET6;

	/* The addresses may come later. */
	if (set(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_TRANSPARENT : IP_TRANSPARENT, 1))
		return -1;
	if (set_seq(fd, TCP_SEND_QUEUE, t->send.seq - t->send.len) ||
	    set_seq(fd, TCP_RECV_QUEUE, receive_end(t) - t->receive.len))
		return -1;
	if (bind(fd, ends->name, ends->name_len))
		return -1;
	return connect(fd, ends->peer, ends->peer_len);
}

static int set_tcp_options(int fd, const struct hs_tcp *t)
{
	struct tcp_repair_opt v[4];
	unsigned int n = 0;

	v[n++] = (struct tcp_repair_opt) { OPT_MAXSEG, t->mss };
	if (t->scaled)
		v[n++] = (struct tcp_repair_opt) {
			OPT_WINDOW, t->send_scale | (uint32_t)t->receive_scale << 16,
		};
	if (t->sack)
		v[n++] = (struct tcp_repair_opt) { OPT_SACK, 0 };
	if (t->timestamps)
		v[n++] = (struct tcp_repair_opt) { OPT_TIMESTAMP, 0 };
	if (setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_OPTIONS, v, n * sizeof(v[0])))
		return -1;
	if (!t->timestamps)
		return 0;
	return setsockopt(fd, IPPROTO_TCP, TCP_TIMESTAMP, &t->timestamp, sizeof(t->timestamp));
}

static int fill(int fd, int queue, const char *bytes, uint32_t len)
{
	ssize_t n;

	if (len && set(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, queue))
		return -1;
	for (; len; bytes += n, len -= (uint32_t)n) {
		n = send(fd, bytes, len < PIECE ? len : PIECE, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n <= 0)
			return -1;
	}
	return 0;
}

/* Pieces may be of other sizes than those that were there, and take more room. */
static int fill_both(int fd, const struct hs_tcp *t)
{
	int out = get(fd, SOL_SOCKET, SO_SNDBUF), in = get(fd, SOL_SOCKET, SO_RCVBUF);

	/* The kernel doubles the number. */
	if (set(fd, SOL_SOCKET, SO_SNDBUFFORCE, (int)(2 * t->send.len) + out) ||
	    set(fd, SOL_SOCKET, SO_RCVBUFFORCE, (int)(2 * t->receive.len) + in) ||
	    fill(fd, TCP_RECV_QUEUE, t->receive.bytes, t->receive.len) ||
	    fill(fd, TCP_SEND_QUEUE, t->send.bytes, sent_now(t)))
		return -1;
	return set(fd, SOL_SOCKET, SO_SNDBUFFORCE, out / 2) ||
		set(fd, SOL_SOCKET, SO_RCVBUFFORCE, in / 2) ? -1 : 0;
}

static int set_window(int fd, const struct hs_tcp *t)
{
	struct tcp_repair_window w = {
		.snd_wl1 = t->snd_wl1, .snd_wnd = t->snd_wnd, .max_window = t->max_window,
		.rcv_wnd = t->rcv_wnd + t->fin, .rcv_wup = t->rcv_wup - t->fin,
	};

	return setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, &w, sizeof(w));
}

int hs_tcp_make(int fd, const struct hs_tcp *t, const struct hs_tcp_ends *ends)
{
	if (t->gone)
		return 0;
	if (set(fd, IPPROTO_TCP, TCP_REPAIR, TCP_REPAIR_ON) || connect_it(fd, t, ends) ||
	    set_tcp_options(fd, t) || fill_both(fd, t) || set_window(fd, t))
		return -1;
	/* None: both buffers grow with the connection, as they did. */
	set(fd, SOL_SOCKET, SO_BUF_LOCK, (int)t->buf_lock);
	return 0;
}

/*
 * The end that the peer has sent: no call makes it, so that a segment is sent to ourselves as if it
 * came from the peer. It may have no timestamp.
 */

struct segment {
	uint16_t source, destination;
	uint32_t seq, ack;
	uint8_t offset, flags;
	uint16_t window, sum, urgent;
};

#define FIN_ACK		0x11

static uint32_t add_sum(uint32_t sum, const void *data, size_t len)
{
	const uint8_t *p = data;
	size_t i;

	for (i = 0; i < len; i += 2)
		sum += (uint32_t)(p[i] << 8 | p[i + 1]);
	return sum;
}

static uint16_t end_sum(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

static struct segment make_fin(const struct hs_tcp *t, in_port_t from, in_port_t to)
{
	return (struct segment) {
		.source = from, .destination = to, .seq = htonl(receive_end(t)),
		.ack = htonl(t->send.seq - t->send.len), .offset = sizeof(struct segment) / 4 << 4,
		.flags = FIN_ACK,
		/* Not smaller than what the peer offers: it must change nothing else. */
		.window = htons((uint16_t)(t->snd_wnd >> t->send_scale)),
	};
}

static int send_fin4(const struct hs_tcp *t, const struct sockaddr_in *here,
		     const struct sockaddr_in *peer)
{
	struct {
		struct ip ip;
		struct segment tcp;
	} p = {
		.ip = {
			.ip_v = 4, .ip_hl = 5, .ip_ttl = 64, .ip_p = IPPROTO_TCP,
			.ip_len = htons(sizeof(p)), .ip_src = peer->sin_addr,
			.ip_dst = here->sin_addr,
		},
		.tcp = make_fin(t, peer->sin_port, here->sin_port),
	};
	const struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr = here->sin_addr };
	uint32_t sum = IPPROTO_TCP + sizeof(p.tcp);
	int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW), err;
	ssize_t n;

	if (fd < 0)
		return -1;
	sum = add_sum(add_sum(sum, &p.ip.ip_src, 4), &p.ip.ip_dst, 4);
	p.tcp.sum = end_sum(add_sum(sum, &p.tcp, sizeof(p.tcp)));
	n = sendto(fd, &p, sizeof(p), MSG_DONTWAIT, (const struct sockaddr *)&to, sizeof(to));
	err = errno;
	close(fd);
	errno = err;
	return n == sizeof(p) ? 0 : -1;
}

static int send_fin6(const struct hs_tcp *t, const struct sockaddr_in6 *here,
		     const struct sockaddr_in6 *peer)
{
	struct {
		struct ip6_hdr ip;
		struct segment tcp;
	} p = {
		.ip = { .ip6_src = peer->sin6_addr, .ip6_dst = here->sin6_addr },
		.tcp = make_fin(t, peer->sin6_port, here->sin6_port),
	};
	const struct sockaddr_in6 to = {
		.sin6_family = AF_INET6, .sin6_addr = here->sin6_addr,
		.sin6_scope_id = here->sin6_scope_id,
	};
	uint32_t sum = IPPROTO_TCP + sizeof(p.tcp);
	int fd = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW), err;
	ssize_t n;

	if (fd < 0)
		return -1;
	p.ip.ip6_flow = htonl(6U << 28);
	p.ip.ip6_plen = htons(sizeof(p.tcp));
	p.ip.ip6_nxt = IPPROTO_TCP;
	p.ip.ip6_hlim = 64;
	sum = add_sum(add_sum(sum, &p.ip.ip6_src, 16), &p.ip.ip6_dst, 16);
	p.tcp.sum = end_sum(add_sum(sum, &p.tcp, sizeof(p.tcp)));
	set(fd, IPPROTO_IPV6, IPV6_HDRINCL, 1);
	n = sendto(fd, &p, sizeof(p), MSG_DONTWAIT, (const struct sockaddr *)&to, sizeof(to));
	err = errno;
	close(fd);
	errno = err;
	return n == sizeof(p) ? 0 : -1;
}

/* An IPv4 address in an IPv6 socket's form. */
static struct sockaddr_in unmap(const struct sockaddr_in6 *a)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = a->sin6_port };

	memcpy(&to.sin_addr, &a->sin6_addr.s6_addr[12], sizeof(to.sin_addr));
	return to;
}

static int send_fin(const struct hs_tcp *t, const struct hs_tcp_ends *ends)
{
	const struct sockaddr_in6 *here = (const void *)ends->name;
	const struct sockaddr_in6 *peer = (const void *)ends->peer;
	struct sockaddr_in here4, peer4;

	if (ends->name->sa_family == AF_INET)
		return send_fin4(t, (const void *)ends->name, (const void *)ends->peer);
	if (!IN6_IS_ADDR_V4MAPPED(&here->sin6_addr))
		return send_fin6(t, here, peer);
	here4 = unmap(here);
	peer4 = unmap(peer);
	return send_fin4(t, &here4, &peer4);
}

static bool is_ended(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	return !getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) && info.tcpi_state == CLOSE_WAIT;
}

static int end_input(int fd, const struct hs_tcp *t, const struct hs_tcp_ends *ends)
{
	const struct timespec little = { .tv_nsec = FIN_LOOK_NS };
	int i;

	for (i = 0; i < FIN_TIMES * FIN_LOOKS && !is_ended(fd); i++) {
		if (i % FIN_LOOKS == 0 && send_fin(t, ends))
			return -1;
		nanosleep(&little, NULL);
	}
	errno = EHOSTUNREACH;
	return is_ended(fd) ? 0 : -1;
}

/*
 * Going on
 */

/* Nagle's algorithm would wait for the answer to what went before. */
static int write_rest(int fd, const struct hs_tcp *t)
{
	const char *rest = t->send.bytes + sent_now(t);
	uint32_t left = t->send.len - sent_now(t), first = left - t->unsent;
	int no_delay = get(fd, IPPROTO_TCP, TCP_NODELAY), room = get(fd, SOL_SOCKET, SO_SNDBUF);
	ssize_t n = 0;

	if (!left)
		return 0;
	set(fd, SOL_SOCKET, SO_SNDBUFFORCE, (int)(2 * t->send.len) + room);
	set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	for (; left; rest += n, left -= (uint32_t)n) {
		/* The byte that was kept back for itself: it has been sent before. */
		n = send(fd, rest, first ? first : left, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0)
			break;
		first = 0;
	}
	set(fd, IPPROTO_TCP, TCP_NODELAY, no_delay);
	set(fd, SOL_SOCKET, SO_SNDBUFFORCE, room / 2);
	set(fd, SOL_SOCKET, SO_BUF_LOCK, (int)t->buf_lock);
	return left ? -1 : 0;
}

int hs_tcp_go_on(int fd, const struct hs_tcp *t, const struct hs_tcp_ends *ends)
{
	const bool v6 = ends->name->sa_family == AF_INET6;
	int ret = 0, err = 0;

	if (t->gone)
		return 0;
	if (t->fin) {
		ret = end_input(fd, t, ends);
		err = errno;
	}
	if (set(fd, IPPROTO_TCP, TCP_REPAIR, TCP_REPAIR_OFF))
		return -1;
	set(fd, SOL_SOCKET, SO_REUSEADDR, t->reuse);
	set(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_TRANSPARENT : IP_TRANSPARENT, 0);
	if (write_rest(fd, t))
		return -1;
	errno = err;
	return ret;
}
