// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libhotspare: what the kernel keeps for a socket besides its addresses: options, a filter;
 * multicast groups are in fd_groups.c. Of options those are saved that differ from a new socket's, so that what the
 * program hasn't set is as the other host has it. The table has all that can be both asked for
 * and set; hs_fdreg(3) says what else there is.
 */
#include <errno.h>
#include <linux/filter.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fd.h"
#include "js.h"

/* Headers of the C library may be older than the kernel. */
#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK		72
#endif
#ifndef SO_RESERVE_MEM
#define SO_RESERVE_MEM		73
#endif
#ifndef SO_TXREHASH
#define SO_TXREHASH		74
#endif
#ifndef SO_RCVMARK
#define SO_RCVMARK		75
#endif
#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD		76
#endif
#ifndef SO_RCVPRIORITY
#define SO_RCVPRIORITY		82
#endif
#ifndef IP_RECVERR_RFC4884
#define IP_RECVERR_RFC4884	26
#endif
#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE	51
#endif
#ifndef IPV6_RECVERR_RFC4884
#define IPV6_RECVERR_RFC4884	31
#endif
#ifndef UDP_NO_CHECK6_TX
#define UDP_NO_CHECK6_TX	101
#define UDP_NO_CHECK6_RX	102
#endif
#define IPV6_FLOWINFO_RECV	11	/* IPV6_FLOWINFO of <linux/in6.h> */
#define IPV6_FLOWINFO_SENT	33
#define TCP_RTO_MAX		44	/* TCP_RTO_MAX_MS and so on of <linux/tcp.h> */
#define TCP_RTO_MIN		45
#define TCP_DELACK_MAX		46
#define CSCOV_SEND		10	/* UDPLITE_*_CSCOV of <linux/udp.h> */
#define CSCOV_RECV		11

#define VALUE_MAX	256		/* bytes */
#define FILTER_MAX	4096		/* BPF_MAXINSNS */

enum how {
	PLAIN,				/* it is set as it is told */
	HALF,				/* the kernel tells twice what was set */
	INTERFACE,			/* an interface's number, which is another one elsewhere */
	INTERFACE_BE,			/* the same in network order */
	OFFSET,				/* into what isn't saved */
};

#define TELL	true			/* if it can't be set that is told, and no error */

static const struct option {
	const char *text;
	int level, name;
	enum how how;
	bool tell;
} table[] = {
#define S(name, ...)	{ "SO_" #name, SOL_SOCKET, SO_##name, __VA_ARGS__ }
#define I(name, ...)	{ "IP_" #name, IPPROTO_IP, IP_##name, __VA_ARGS__ }
#define I6(name, ...)	{ "IPV6_" #name, IPPROTO_IPV6, IPV6_##name, __VA_ARGS__ }
#define T(name, ...)	{ "TCP_" #name, IPPROTO_TCP, TCP_##name, __VA_ARGS__ }
#define U(name, ...)	{ "UDP_" #name, IPPROTO_UDP, UDP_##name, __VA_ARGS__ }
	/* What it is bound to, and may be, comes first. */
	S(BINDTODEVICE, PLAIN, false), S(MARK, PLAIN, false),
	I(FREEBIND, PLAIN, false), I(TRANSPARENT, PLAIN, false),
	I6(FREEBIND, PLAIN, false), I6(TRANSPARENT, PLAIN, false),
	I(BIND_ADDRESS_NO_PORT, PLAIN, false), I(LOCAL_PORT_RANGE, PLAIN, false),

	S(REUSEADDR, PLAIN, false), S(REUSEPORT, PLAIN, false), S(BROADCAST, PLAIN, false),
	S(DEBUG, PLAIN, TELL), S(DONTROUTE, PLAIN, false), S(SNDBUF, HALF, TELL),
	S(RCVBUF, HALF, TELL), S(BUF_LOCK, PLAIN, TELL), S(RESERVE_MEM, PLAIN, TELL),
	S(KEEPALIVE, PLAIN, false), S(OOBINLINE, PLAIN, false), S(NO_CHECK, PLAIN, false),
	S(LINGER, PLAIN, false), S(PASSCRED, PLAIN, false), S(PASSSEC, PLAIN, false),
	S(PASSPIDFD, PLAIN, false), S(RCVLOWAT, PLAIN, false), S(RCVTIMEO, PLAIN, false),
	S(SNDTIMEO, PLAIN, false), S(TIMESTAMP, PLAIN, false), S(TIMESTAMPNS, PLAIN, false),
	S(TIMESTAMP_NEW, PLAIN, false), S(TIMESTAMPNS_NEW, PLAIN, false),
	S(TIMESTAMPING, PLAIN, false), S(RXQ_OVFL, PLAIN, false), S(WIFI_STATUS, PLAIN, false),
	S(PEEK_OFF, OFFSET, false), S(NOFCS, PLAIN, false), S(SELECT_ERR_QUEUE, PLAIN, false),
	S(BUSY_POLL, PLAIN, TELL), S(PREFER_BUSY_POLL, PLAIN, TELL),
	S(BUSY_POLL_BUDGET, PLAIN, TELL), S(MAX_PACING_RATE, PLAIN, TELL),
	S(ZEROCOPY, PLAIN, false), S(TXTIME, PLAIN, false), S(TXREHASH, PLAIN, TELL),
	S(RCVMARK, PLAIN, false), S(RCVPRIORITY, PLAIN, false),

	I(TOS, PLAIN, false), I(TTL, PLAIN, false), I(OPTIONS, PLAIN, false),
	I(RECVOPTS, PLAIN, false), I(RETOPTS, PLAIN, false), I(PKTINFO, PLAIN, false),
	I(MTU_DISCOVER, PLAIN, false), I(RECVERR, PLAIN, false), I(RECVTTL, PLAIN, false),
	I(RECVTOS, PLAIN, false), I(PASSSEC, PLAIN, false), I(RECVORIGDSTADDR, PLAIN, false),
	I(MINTTL, PLAIN, false), I(CHECKSUM, PLAIN, false), I(RECVFRAGSIZE, PLAIN, false),
	I(RECVERR_RFC4884, PLAIN, false), I(MULTICAST_IF, PLAIN, false),
	I(MULTICAST_TTL, PLAIN, false), I(MULTICAST_LOOP, PLAIN, false),
	I(MULTICAST_ALL, PLAIN, false), I(UNICAST_IF, INTERFACE_BE, false),

	I6(UNICAST_HOPS, PLAIN, false), I6(MULTICAST_IF, INTERFACE, false),
	I6(MULTICAST_HOPS, PLAIN, false), I6(MULTICAST_LOOP, PLAIN, false),
	I6(MTU_DISCOVER, PLAIN, false), I6(RECVERR, PLAIN, false), I6(MULTICAST_ALL, PLAIN, false),
	I6(RECVERR_RFC4884, PLAIN, false), I6(FLOWINFO_RECV, PLAIN, false),
	I6(FLOWINFO_SENT, PLAIN, false), I6(RECVPKTINFO, PLAIN, false),
	I6(RECVHOPLIMIT, PLAIN, false), I6(RECVHOPOPTS, PLAIN, false), I6(HOPOPTS, PLAIN, false),
	I6(RTHDRDSTOPTS, PLAIN, false), I6(RECVRTHDR, PLAIN, false), I6(RTHDR, PLAIN, false),
	I6(RECVDSTOPTS, PLAIN, false), I6(DSTOPTS, PLAIN, false), I6(RECVPATHMTU, PLAIN, false),
	I6(DONTFRAG, PLAIN, false), I6(RECVTCLASS, PLAIN, false), I6(TCLASS, PLAIN, false),
	I6(AUTOFLOWLABEL, PLAIN, false), I6(ADDR_PREFERENCES, PLAIN, false),
	I6(MINHOPCOUNT, PLAIN, false), I6(RECVORIGDSTADDR, PLAIN, false),
	I6(UNICAST_IF, INTERFACE_BE, false), I6(RECVFRAGSIZE, PLAIN, false),
	I6(2292PKTINFO, PLAIN, false), I6(2292HOPOPTS, PLAIN, false), I6(2292DSTOPTS, PLAIN, false),
	I6(2292RTHDR, PLAIN, false), I6(2292HOPLIMIT, PLAIN, false),

	T(NODELAY, PLAIN, false), T(MAXSEG, PLAIN, false), T(CORK, PLAIN, false),
	T(KEEPIDLE, PLAIN, false), T(KEEPINTVL, PLAIN, false), T(KEEPCNT, PLAIN, false),
	T(SYNCNT, PLAIN, false), T(LINGER2, PLAIN, false), T(DEFER_ACCEPT, PLAIN, false),
	T(WINDOW_CLAMP, PLAIN, false), T(QUICKACK, PLAIN, false), T(CONGESTION, PLAIN, TELL),
	T(THIN_LINEAR_TIMEOUTS, PLAIN, false), T(USER_TIMEOUT, PLAIN, false),
	T(FASTOPEN, PLAIN, false), T(FASTOPEN_KEY, PLAIN, false), T(NOTSENT_LOWAT, PLAIN, false),
	T(SAVE_SYN, PLAIN, false), T(FASTOPEN_CONNECT, PLAIN, false),
	T(FASTOPEN_NO_COOKIE, PLAIN, false), T(INQ, PLAIN, false), T(TX_DELAY, PLAIN, TELL),
	T(RTO_MAX, PLAIN, TELL), T(RTO_MIN, PLAIN, TELL), T(DELACK_MAX, PLAIN, TELL),

	U(CORK, PLAIN, false), U(ENCAP, PLAIN, false), U(NO_CHECK6_TX, PLAIN, false),
	U(NO_CHECK6_RX, PLAIN, false), U(SEGMENT, PLAIN, false), U(GRO, PLAIN, false),
	{ "UDPLITE_SEND_CSCOV", IPPROTO_UDPLITE, CSCOV_SEND, PLAIN, false },
	{ "UDPLITE_RECV_CSCOV", IPPROTO_UDPLITE, CSCOV_RECV, PLAIN, false },
	/* IP_TOS has changed it. */
	S(PRIORITY, PLAIN, TELL),
};

#define OPTIONS		(sizeof(table) / sizeof(table[0]))

struct value {
	bool told;
	socklen_t len;
	unsigned char bytes[VALUE_MAX];
};

/*
 * A new socket's
 */

struct defaults {
	struct defaults *next;
	int domain, type, protocol;
	struct value v[OPTIONS];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct defaults *known;

/* Not of another kind of socket, which would fail. */
static bool may_have(const struct option *o, int domain, int type, int protocol)
{
	switch (o->level) {
	case SOL_SOCKET:
		return true;
	case IPPROTO_IP:
		return domain != AF_UNIX;
	case IPPROTO_IPV6:
		return domain == AF_INET6;
	case IPPROTO_TCP:
		return domain != AF_UNIX && type == SOCK_STREAM;
	case IPPROTO_UDPLITE:
		return domain != AF_UNIX && protocol == IPPROTO_UDPLITE;
	default:
		return domain != AF_UNIX && type == SOCK_DGRAM && protocol == IPPROTO_UDP;
	}
}

static void ask(int fd, const struct option *o, struct value *v)
{
	v->len = sizeof(v->bytes);
	memset(v->bytes, 0, sizeof(v->bytes));
	v->told = !getsockopt(fd, o->level, o->name, v->bytes, &v->len);
	if (!v->told || v->len > sizeof(v->bytes))
		v->len = 0;
}

static struct defaults *make_defaults(int domain, int type, int protocol)
{
	struct defaults *d = calloc(1, sizeof(*d));
	int fd = socket(domain, type | SOCK_CLOEXEC, protocol);
	size_t i;

	for (i = 0; d && fd >= 0 && i < OPTIONS; i++)
		if (may_have(&table[i], domain, type, protocol))
			ask(fd, &table[i], &d->v[i]);
	if (fd >= 0)
		close(fd);
	if (fd < 0 || !d) {
		free(d);
		return NULL;
	}
	d->domain = domain;
	d->type = type;
	d->protocol = protocol;
	return d;
}

/* For ever: there are few kinds. */
static const struct defaults *defaults_of(int domain, int type, int protocol)
{
	struct defaults *d;

	pthread_mutex_lock(&lock);
	for (d = known; d; d = d->next)
		if (d->domain == domain && d->type == type && d->protocol == protocol)
			break;
	if (!d) {
		d = make_defaults(domain, type, protocol);
		if (d) {
			d->next = known;
			known = d;
		}
	}
	pthread_mutex_unlock(&lock);
	return d;
}

/*
 * At the cut
 */

/* As it is set elsewhere: an interface has its name. */
static void put_option(struct json_object *to, const struct option *o, const struct value *v)
{
	char name[IF_NAMESIZE] = "";
	unsigned int index;

	if (o->how != INTERFACE && o->how != INTERFACE_BE) {
		js_put_hex(to, o->text, v->bytes, v->len);
		return;
	}
	memcpy(&index, v->bytes, sizeof(index));
	if_indextoname(o->how == INTERFACE_BE ? ntohl(index) : index, name);
	js_put_text(to, o->text, name);
}

/* What the kernel changes while a connection lasts, or keeps elsewhere (tcp.h). */
static bool of_connection(const struct option *o)
{
	return (o->level == IPPROTO_TCP && (o->name == TCP_MAXSEG || o->name == TCP_WINDOW_CLAMP ||
					    o->name == TCP_QUICKACK)) ||
		(o->level == IPPROTO_IP && (o->name == IP_MULTICAST_IF ||
					    o->name == IP_MULTICAST_TTL)) ||
		(o->level == IPPROTO_IPV6 && (o->name == IPV6_MULTICAST_IF ||
					      o->name == IPV6_MULTICAST_HOPS)) ||
		(o->level == SOL_SOCKET && (o->name == SO_BUF_LOCK || o->name == SO_REUSEADDR ||
					      o->name == SO_LINGER));
}

static int capture_options(const struct hs_fd *f, int domain, int type, int protocol,
			   struct json_object *to, struct hs_error *e)
{
	const struct defaults *d = defaults_of(domain, type, protocol);
	struct value now;
	size_t i;

	if (!d)
		return hs_fail(e, errno, "descriptor %d: no new socket to compare its options "
			       "with: %s", f->fd,
			       strerror(errno));
	for (i = 0; i < OPTIONS; i++) {
		if (!d->v[i].told && !(table[i].level == SOL_SOCKET &&
				       table[i].name == SO_BINDTODEVICE))
			continue;
		if (hs_fd_is_connection(f) && of_connection(&table[i]))
			continue;
		ask(f->fd, &table[i], &now);
		if (now.told && (now.len != d->v[i].len ||
				 memcmp(now.bytes, d->v[i].bytes, now.len)))
			put_option(to, &table[i], &now);
	}
	return 0;
}

/* The kernel counts instructions, not bytes. */
static int capture_filter(const struct hs_fd *f, struct json_object *to, struct hs_error *e)
{
	struct sock_filter code[FILTER_MAX];
	socklen_t nr = 0;
	int locked = 0;
	socklen_t len = sizeof(locked);

	if (getsockopt(f->fd, SOL_SOCKET, SO_GET_FILTER, NULL, &nr))
		return errno != EACCES ? 0 :
			hs_fail(e, EOPNOTSUPP, "descriptor %d: an eBPF filter can't be saved: "
				"detach it, and attach it again in a hook", f->fd);
	if (!nr)
		return 0;
	if (nr > FILTER_MAX || getsockopt(f->fd, SOL_SOCKET, SO_GET_FILTER, code, &nr))
		return hs_fail(e, EIO, "descriptor %d: its filter can't be read", f->fd);
	js_put_hex(to, "filter", code, nr * sizeof(code[0]));
	if (!getsockopt(f->fd, SOL_SOCKET, SO_LOCK_FILTER, &locked, &len) && locked)
		js_put_bool(to, "filter_locked", true);
	return 0;
}

/* Into f->extra. Returns 0, or -1 with errno and @e. */
int hs_fd_options_capture(struct hs_fd *f, struct hs_error *e)
{
	bool pair = f->kind == HS_FD_PAIR;
	int domain = pair ? AF_UNIX : f->socket.domain;
	int type = pair ? f->data.type : f->socket.type, protocol = pair ? 0 : f->socket.protocol;
	struct json_object *options = json_object_new_object();

	if (capture_options(f, domain, type, protocol, options, e) ||
	    capture_filter(f, f->extra, e)) {
		json_object_put(options);
		return -1;
	}
	json_object_object_add(f->extra, "options", options);
	return domain != AF_UNIX && type == SOCK_DGRAM ? hs_fd_groups_capture(f, domain, f->extra, e) : 0;
}

/*
 * At the restart
 */

int hs_fd_cannot(const struct hs_fd *f, const char *what, struct hs_error *e)
{
	return hs_fail(e, errno, "descriptor %d: its %s: %s", f->fd, what, strerror(errno));
}

unsigned int hs_fd_interface(const char *interface)
{
	return *interface ? if_nametoindex(interface) : 0;
}

/* More than others may have takes a privilege. */
static int set_buffer(int fd, const struct option *o, int wanted)
{
	int force = o->name == SO_SNDBUF ? SO_SNDBUFFORCE : SO_RCVBUFFORCE, half = wanted / 2;
	socklen_t len = sizeof(wanted);
	int has = 0;

	if (setsockopt(fd, SOL_SOCKET, force, &half, sizeof(half)) &&
	    setsockopt(fd, SOL_SOCKET, o->name, &half, sizeof(half)))
		return -1;
	if (!getsockopt(fd, SOL_SOCKET, o->name, &has, &len) && has >= wanted)
		return 0;
	errno = EPERM;
	return -1;
}

static int set_value(const struct hs_fd *f, int fd, const struct option *o, char *bytes,
		     uint32_t len)
{
	int number = 0;

	if (o->how == HALF) {
		memcpy(&number, bytes, sizeof(number));
		return set_buffer(fd, o, number);
	}
	/* Nothing of what it was in is there. */
	if (o->how == OFFSET && f->kind == HS_FD_SOCKET)
		memset(bytes, 0, len);
	return setsockopt(fd, o->level, o->name, bytes, len);
}

static int set_interface(int fd, const struct option *o, const char *name)
{
	unsigned int index = hs_fd_interface(name);

	if (*name && !index)
		return -1;
	if (o->how == INTERFACE_BE)
		index = htonl(index);
	return setsockopt(fd, o->level, o->name, &index, sizeof(index));
}

/* @fd: -1: only look whether it makes sense. */
static int set_one(const struct hs_fd *f, int fd, const struct option *o, struct js_from *from)
{
	uint32_t len = 0;
	char *bytes;
	int ret = 0, err;

	if (o->how == INTERFACE || o->how == INTERFACE_BE) {
		const char *name = js_get_text(from, o->text);

		return fd < 0 ? 0 : set_interface(fd, o, name);
	}
	bytes = js_get_hex(from, o->text, VALUE_MAX, &len);
	if (o->how != PLAIN && len != sizeof(int))
		from->bad = from->bad ?: o->text;
	if (fd >= 0 && !from->bad)
		ret = set_value(f, fd, o, bytes, len);
	err = errno;
	free(bytes);
	errno = err;
	return ret;
}

static int set_options(const struct hs_fd *f, int fd, struct js_from *from, struct hs_error *e)
{
	size_t i;

	for (i = 0; i < OPTIONS && !from->bad; i++) {
		if (!json_object_object_get(from->o, table[i].text) ||
		    !set_one(f, fd, &table[i], from))
			continue;
		/* A connection that goes on with less is better than no program. */
		if (!table[i].tell && !hs_fd_is_connection(f))
			return hs_fd_cannot(f, table[i].text, e);
		fprintf(stderr, "libhotspare: descriptor %d: its %s can't be restored: %s\n", f->fd,
			table[i].text, strerror(errno));
	}
	return 0;
}

static int set_filter(const struct hs_fd *f, int fd, struct js_from *from, struct hs_error *e)
{
	struct sock_fprog program;
	uint32_t len = 0;
	int ret = 0, one = 1;
	char *code;

	if (!json_object_object_get(from->o, "filter"))
		return 0;
	code = js_get_hex(from, "filter", FILTER_MAX * sizeof(struct sock_filter), &len);
	if (!len || len % sizeof(struct sock_filter))
		from->bad = from->bad ?: "filter";
	program.len = (unsigned short)(len / sizeof(struct sock_filter));
	program.filter = (void *)code;
	if (fd >= 0 && !from->bad &&
	    setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)))
		ret = hs_fd_cannot(f, "filter", e);
	free(code);
	if (ret || fd < 0 || !json_object_object_get(from->o, "filter_locked"))
		return ret;
	return setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &one, sizeof(one)) ?
		hs_fd_cannot(f, "SO_LOCK_FILTER", e) : 0;
}

/*
 * On a new socket that isn't bound yet. @fd -1: only look whether it all makes sense, and @from
 * says what doesn't. Returns 0, or -1 with errno and @e.
 */
int hs_fd_options_set(const struct hs_fd *f, int fd, struct js_from *from, struct hs_error *e)
{
	struct js_from options = { .o = js_get(from, "options", json_type_object, true) };

	if (options.o && set_options(f, fd, &options, e))
		return -1;
	from->bad = from->bad ?: options.bad;
	return hs_fd_groups_set(f, fd, from, e) || set_filter(f, fd, from, e) ? -1 : 0;
}
