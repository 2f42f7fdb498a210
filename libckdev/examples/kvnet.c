// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * kvstore: the line protocol.
 *
 *   request	= line LF		a CR before the LF is ignored
 *   line	= "HELLO" SP client	first, and only once
 *		| seq SP "INCR" SP key	count the key
 *		| seq SP "GET" SP key	the key's count
 *		| seq SP "COUNT"	how many keys there are, and the sum of their counts
 *		| seq SP "DUMP"		all keys and their counts, in no order
 *   client	1 to 63 of [A-Za-z0-9._-]
 *   seq	1 to 18 digits, not 0
 *   key	1 to 255 bytes from '!' to '~'
 *
 * A line is 512 bytes long at most. Requests may be sent without waiting for answers,
 * which come in the order of the requests:
 *
 *   HELLO	"OK" SP last		last: number of the client's last INCR, 0: none
 *   INCR	seq SP "OK" SP count	counted; count: of the key now
 *		seq SP "SEEN" SP count	a repeat, counted before
 *		seq SP "ERR full"	no room in the arena: not counted
 *   GET	seq SP "VALUE" SP count	0 for a key that isn't there
 *   COUNT	seq SP "COUNT" SP keys SP sum
 *   DUMP	seq SP "DUMP" SP n	and n lines: key SP count
 *   else	"ERR" SP text		and the connection is closed
 *
 * An answer is a promise: what it tells is on the spare (unless there is none, see
 * kvstore.c), whether it is about an INCR or about what somebody else counted. The seqs of
 * a client's INCRs ascend; one that isn't above the last is taken for a repeat. So a
 * client that lost its connection connects again, maybe to another host, says HELLO, and
 * sends again in the same order what wasn't answered.
 *
 * Two connections of one client are one too many: the newer one stays, the older one is
 * closed without a word. Memory is bounded: a client whose answers pile up isn't read
 * from, and is cut off when it takes none for a while; one DUMP is under way at a time.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "kvnet.h"

#define LINE_MAX_LEN	512
#define CLIENT_MAX	63
#define CLIENT_CHARS	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"
#define SEQ_DIGITS	18
#define IN_SIZE		16384
#define OUT_SIZE	65536
/* Room for any answer but a DUMP's. */
#define ANSWER_MAX	128
#define CONNS_MAX	900

struct kv_conn {
	struct kv_conn *next;
	int fd;				/* -1: closed */
	uint32_t events;		/* that epoll waits for */
	bool eof;			/* nothing more will come in */
	bool closing;			/* no more requests; when all is out, close */
	bool blocked;			/* the socket takes no more */
	bool waiting;			/* for the one DUMP under way */
	uint64_t moved_ms;		/* when it last took something, or had nothing */
	char client[CLIENT_MAX + 1];
	char in[IN_SIZE];
	size_t in_len;
	char *out;
	size_t out_size;
	/* Offsets in out: sent <= released <= marked <= len. */
	size_t out_sent;
	size_t out_released;
	size_t out_marked;
	size_t out_len;
};

uint64_t kv_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* It stays in the list until kv_net_tidy(): who walks it, or has its events, goes on. */
static void conn_close(struct kv_net *net, struct kv_conn *c)
{
	if (c->fd < 0)
		return;
	close(c->fd);
	c->fd = -1;
	c->client[0] = '\0';
	net->nr--;
	if (net->dumper == c)
		net->dumper = NULL;
}

/*
 * Answers
 */

static __attribute__((format(printf, 3, 4)))
void answer(struct kv_net *net, struct kv_conn *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	c->out_len += (size_t)vsnprintf(c->out + c->out_len, c->out_size - c->out_len,
					fmt, ap);
	va_end(ap);
	net->held = true;
}

static void refuse(struct kv_net *net, struct kv_conn *c, const char *text)
{
	answer(net, c, "ERR %s\n", text);
	c->closing = true;
	c->in_len = 0;
}

/* Enough that nobody takes: let the client wait. */
static bool out_full(const struct kv_conn *c)
{
	return c->out_len - c->out_sent >= OUT_SIZE - ANSWER_MAX;
}

/* What is left goes to the front. */
static void out_move(struct kv_conn *c)
{
	size_t sent = c->out_sent;

	memmove(c->out, c->out + sent, c->out_len - sent);
	c->out_len -= sent;
	c->out_marked -= sent;
	c->out_released -= sent;
	c->out_sent = 0;
}

/* Is there room for one more answer? */
static bool out_room(struct kv_conn *c)
{
	if (out_full(c))
		return false;
	if (c->out_size - c->out_len < ANSWER_MAX)
		out_move(c);
	return true;
}

/* A DUMP is out: its memory, and its turn, go to others. */
static void dump_over(struct kv_net *net, struct kv_conn *c)
{
	char *p;

	net->dumper = NULL;
	out_move(c);
	p = realloc(c->out, OUT_SIZE);
	if (!p)
		return;
	c->out = p;
	c->out_size = OUT_SIZE;
}

/* All of it at this instant, in memory: what comes out later is still of this instant. */
static bool dump(struct kv_net *net, struct kv_conn *c, const char *seq)
{
	const struct kv_table *t = &net->state->keys;
	size_t need = c->out_len + 2 * ANSWER_MAX;
	const struct kv_entry *e;
	char *p;

	if (net->dumper) {
		c->waiting = true;
		return false;
	}
	for (e = kv_next(t, NULL); e; e = kv_next(t, e))
		need += e->len + 22U;
	p = realloc(c->out, need < OUT_SIZE ? OUT_SIZE : need);
	if (!p) {
		refuse(net, c, "no memory for a DUMP now: try again later");
		return true;
	}
	c->out = p;
	c->out_size = need < OUT_SIZE ? OUT_SIZE : need;
	net->dumper = c;
	answer(net, c, "%s DUMP %" PRIu64 "\n", seq, t->nr);
	for (e = kv_next(t, NULL); e; e = kv_next(t, e))
		answer(net, c, "%s %" PRIu64 "\n", e->name, e->value);
	return true;
}

/*
 * Requests
 */

static bool is_client(const char *s)
{
	return s && *s && strlen(s) <= CLIENT_MAX &&
		s[strspn(s, CLIENT_CHARS)] == '\0';
}

static bool is_seq(const char *s)
{
	size_t n = s ? strspn(s, "0123456789") : 0;

	return n && n <= SEQ_DIGITS && s[n] == '\0' && strtoull(s, NULL, 10) > 0;
}

static bool is_key(const char *s)
{
	const char *p;

	for (p = s; p && *p > ' ' && *p <= '~'; p++)
		;
	return p && p > s && *p == '\0' && p - s <= KV_NAME_MAX;
}

static void hello(struct kv_net *net, struct kv_conn *c, const char *client)
{
	struct kv_conn *other, *next;

	for (other = net->conns; other; other = next) {
		next = other->next;
		if (!strcmp(other->client, client))
			conn_close(net, other);
	}
	strcpy(c->client, client);
	answer(net, c, "OK %" PRIu64 "\n", kv_get(&net->state->clients, client));
}

static void incr(struct kv_net *net, struct kv_conn *c, const char *seq, const char *key)
{
	uint64_t count;

	switch (kv_incr(net->state, c->client, strtoull(seq, NULL, 10), key, &count)) {
	case KV_OK:
		net->changed = true;
		answer(net, c, "%s OK %" PRIu64 "\n", seq, count);
		break;
	case KV_SEEN:
		net->repeats++;
		answer(net, c, "%s SEEN %" PRIu64 "\n", seq, count);
		break;
	case KV_FULL:
		answer(net, c, "%s ERR full\n", seq);
		break;
	}
}

/* False: not now, the line must be kept. */
static bool request(struct kv_net *net, struct kv_conn *c, char *seq, const char *verb,
		    const char *key)
{
	if (!is_seq(seq) || !verb) {
		refuse(net, c, "not a request: want <seq> INCR|GET|COUNT|DUMP [key]");
	} else if (!strcmp(verb, "DUMP") && !key) {
		return dump(net, c, seq);
	} else if (!strcmp(verb, "COUNT") && !key) {
		answer(net, c, "%s COUNT %" PRIu64 " %" PRIu64 "\n", seq,
		       net->state->keys.nr, net->state->total);
	} else if (!is_key(key)) {
		refuse(net, c, "not a request, or not a key of 1 to 255 bytes, ! to ~");
	} else if (!strcmp(verb, "INCR")) {
		incr(net, c, seq, key);
	} else if (!strcmp(verb, "GET")) {
		answer(net, c, "%s VALUE %" PRIu64 "\n", seq,
		       kv_get(&net->state->keys, key));
	} else {
		refuse(net, c, "no such request: want INCR, GET, COUNT or DUMP");
	}
	return true;
}

/* @line may be written to, and has no NUL but at its end. */
static bool line(struct kv_net *net, struct kv_conn *c, char *s)
{
	char *word[4] = { NULL }, *save = NULL;
	unsigned int n = 0;
	char *w;

	for (w = strtok_r(s, " ", &save); w && n < 4; w = strtok_r(NULL, " ", &save))
		word[n++] = w;
	if (n == 4) {
		refuse(net, c, "too many words in a line");
	} else if (c->client[0]) {
		return request(net, c, word[0], word[1], word[2]);
	} else if (n != 2 || strcmp(word[0], "HELLO") || !is_client(word[1])) {
		refuse(net, c, "say HELLO <client> first, 1 to 63 of A-Za-z0-9._-");
	} else {
		hello(net, c, word[1]);
	}
	return true;
}

/* One line of those that have come, if it is whole. Returns its length, or 0. */
static size_t take_line(struct kv_net *net, struct kv_conn *c, const char *at, size_t left)
{
	const char *end = memchr(at, '\n', left);
	char copy[LINE_MAX_LEN + 1];
	size_t len = end ? (size_t)(end - at) : left;

	if (len > LINE_MAX_LEN) {
		refuse(net, c, "a line is 512 bytes long at most");
		return 0;
	}
	if (!end)
		return 0;
	memcpy(copy, at, len);
	copy[len] = '\0';
	if (len && copy[len - 1] == '\r')
		copy[len - 1] = '\0';
	if (memchr(at, '\0', len)) {
		refuse(net, c, "a NUL byte: this is a protocol of text lines");
		return 0;
	}
	net->requests++;
	return line(net, c, copy) ? len + 1 : 0;
}

static void take_lines(struct kv_net *net, struct kv_conn *c)
{
	size_t done = 0;

	c->waiting = false;
	while (!c->closing && out_room(c)) {
		size_t n = take_line(net, c, c->in + done, c->in_len - done);

		/* The other side said all; what it still waits for it gets. */
		if (n == 0 && c->eof && !c->waiting)
			c->closing = true;
		if (n == 0)
			break;
		done += n;
	}
	if (done && c->in_len) {
		memmove(c->in, c->in + done, c->in_len - done);
		c->in_len -= done;
	}
}

/*
 * Sockets
 */

static bool wants_input(const struct kv_conn *c)
{
	return !c->eof && !c->closing && !c->waiting && !out_full(c) &&
		c->in_len < IN_SIZE;
}

static void conn_events(struct kv_net *net, struct kv_conn *c)
{
	struct epoll_event ev = { .data.ptr = c };

	if (wants_input(c))
		ev.events |= EPOLLIN;
	if (c->blocked)
		ev.events |= EPOLLOUT;
	if (ev.events == c->events)
		return;
	c->events = ev.events;
	epoll_ctl(net->epoll, EPOLL_CTL_MOD, c->fd, &ev);
}

static void conn_send(struct kv_net *net, struct kv_conn *c)
{
	while (c->out_sent < c->out_released) {
		ssize_t n = send(c->fd, c->out + c->out_sent,
				 c->out_released - c->out_sent,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		c->blocked = n < 0 && errno == EAGAIN;
		if (n < 0 && !c->blocked)
			conn_close(net, c);
		if (n < 0)
			return;
		c->out_sent += (size_t)n;
		c->moved_ms = kv_now_ms();
	}
	c->blocked = false;
}

/* Send, and go on with requests that had no room for their answers. */
static void conn_go_on(struct kv_net *net, struct kv_conn *c)
{
	conn_send(net, c);
	if (c->fd < 0)
		return;
	if (net->dumper == c && !out_full(c))
		dump_over(net, c);
	take_lines(net, c);
	if (c->closing && c->out_sent == c->out_len)
		conn_close(net, c);
	else
		conn_events(net, c);
}

static void conn_receive(struct kv_net *net, struct kv_conn *c)
{
	ssize_t n;

	if (!wants_input(c))
		return;
	n = recv(c->fd, c->in + c->in_len, IN_SIZE - c->in_len, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		conn_close(net, c);
		return;
	}
	c->in_len += (size_t)n;
	c->eof = n == 0;
}

static void conn_event(struct kv_net *net, struct kv_conn *c, uint32_t events)
{
	if (c->fd >= 0 && (events & (EPOLLERR | EPOLLHUP)))
		conn_close(net, c);
	if (c->fd >= 0 && (events & EPOLLIN))
		conn_receive(net, c);
	if (c->fd >= 0)
		conn_go_on(net, c);
}

static struct kv_conn *conn_alloc(int fd)
{
	struct kv_conn *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->fd = fd;
	c->events = EPOLLIN;
	c->moved_ms = kv_now_ms();
	c->out_size = OUT_SIZE;
	c->out = malloc(OUT_SIZE);
	if (c->out)
		return c;
	free(c);
	return NULL;
}

static void conn_accept(struct kv_net *net)
{
	static const char full[] = "ERR too many connections: try again later\n";
	int fd = accept4(net->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct epoll_event ev = { .events = EPOLLIN };
	struct kv_conn *c;
	int one = 1;

	if (fd < 0)
		return;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	c = net->nr < CONNS_MAX ? conn_alloc(fd) : NULL;
	ev.data.ptr = c;
	if (!c || epoll_ctl(net->epoll, EPOLL_CTL_ADD, fd, &ev) < 0) {
		send(fd, full, sizeof(full) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
		close(fd);
		if (c)
			free(c->out);
		free(c);
		return;
	}
	c->next = net->conns;
	net->conns = c;
	net->nr++;
}

void kv_net_event(struct kv_net *net, const struct epoll_event *ev)
{
	if (ev->data.ptr)
		conn_event(net, ev->data.ptr, ev->events);
	else
		conn_accept(net);
}

/*
 * What is held back
 */

void kv_net_mark(struct kv_net *net)
{
	struct kv_conn *c;

	for (c = net->conns; c; c = c->next)
		c->out_marked = c->out_len;
	net->held = false;
}

void kv_net_release(struct kv_net *net)
{
	struct kv_conn *c;

	for (c = net->conns; c; c = c->next) {
		if (c->fd < 0 || (c->out_released == c->out_marked && !c->closing))
			continue;
		/* Who was told nothing for long isn't who takes nothing. */
		if (c->out_sent == c->out_released)
			c->moved_ms = kv_now_ms();
		c->out_released = c->out_marked;
		conn_go_on(net, c);
	}
}

static void conn_free(struct kv_conn **p)
{
	struct kv_conn *c = *p;

	*p = c->next;
	free(c->out);
	free(c);
}

void kv_net_tidy(struct kv_net *net)
{
	struct kv_conn **p = &net->conns, *c;
	uint64_t now = kv_now_ms();

	while ((c = *p)) {
		if (c->fd >= 0 && c->blocked && now - c->moved_ms > net->stall_ms)
			conn_close(net, c);
		if (c->fd >= 0 && c->waiting && !net->dumper)
			conn_go_on(net, c);
		if (c->fd < 0)
			conn_free(p);
		else
			p = &c->next;
	}
}

/*
 * Listening
 */

int kv_net_init(struct kv_net *net)
{
	net->epoll = epoll_create1(EPOLL_CLOEXEC);
	return net->epoll < 0 ? -errno : 0;
}

static int listener_open(const struct sockaddr_in *sin)
{
	int one = 1, fd, ret;

	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (const struct sockaddr *)sin, sizeof(*sin)) == 0 &&
	    listen(fd, 128) == 0)
		return fd;
	ret = -errno;
	close(fd);
	return ret;
}

int kv_net_listen(struct kv_net *net, const char *address, uint16_t port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct epoll_event ev = { .events = EPOLLIN };
	socklen_t len = sizeof(sin);
	int fd;

	if (address && inet_pton(AF_INET, address, &sin.sin_addr) != 1)
		return -EINVAL;
	fd = listener_open(&sin);
	if (fd < 0)
		return fd;
	if (getsockname(fd, (struct sockaddr *)&sin, &len) < 0 ||
	    epoll_ctl(net->epoll, EPOLL_CTL_ADD, fd, &ev) < 0) {
		close(fd);
		return -errno;
	}
	net->listener = fd;
	net->port = ntohs(sin.sin_port);
	return 0;
}
