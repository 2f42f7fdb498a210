// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * For held.sh: a server whose connections go with it from host to host, and clients that never
 * connect again and check each byte.
 *
 *	held_program [OPTIONS OF THE LIBRARY] -- ADDRESS		the server
 *	held_program plain ADDRESS					the same without the library
 *	held_program ask ADDRESS CLIENTS STOP [SEED [DEPTH]]		the clients
 *
 * A request is a number and random bytes. The answer has the number and the sum of all bytes of all
 * requests of the connection, so that a byte that is lost, wrong or there twice shows in each answer
 * after it. Clients have up to DEPTH requests under way, 4 by default and at most. When there is a file
 * STOP they send no more, wait for what is missing, and tell:
 *
 *	longest N				the longest time without an answer of any connection, ms
 *	latency median N p99 N			of requests, us
 *	clients N answers N wrong N resets N stuck N
 *
 * A connection that is reset, or closed by the server, is a reset; one without its answers is stuck.
 *
 * For the bench: with HELD_PARTS in its environment the server waits for each checkpoint, and tells
 *
 *	parts PAUSE REST			ns: of the cut, and from there until the spare has it
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../clock.h"
#include "../hotspare.h"
#include "child.h"

#define CLASS		0
#define CONNS		128
#define PORT		"7000"
#define REQUEST		100
#define ANSWER		100
#define DEPTH		4
#define LATENCIES	(1 << 20)	/* those after them aren't in median and p99 */
/* So long answers may be missing at the end. */
#define PATIENCE_NS	20000000000ULL

static uint64_t add_bytes(uint64_t sum, const char *p, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		sum = (sum ^ (unsigned char)p[i]) * 0x100000001b3ULL;
	return sum;
}

static struct addrinfo *address(const char *text)
{
	const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM };
	struct addrinfo *found;

	CHECK(!getaddrinfo(text, PORT, &hints, &found));
	return found;
}

/*
 * The server: all of it is in memory that is saved.
 */

struct conn {
	int fd;				/* -1: none */
	uint64_t sum;
	size_t in_len, out_len;
	char in[DEPTH * REQUEST], out[DEPTH * ANSWER];
};

struct server {
	int listener;
	struct conn conn[CONNS];
};

static struct server *server;
static bool plain;			/* it isn't saved */
static bool parts;			/* see above */
static bool busy;			/* something happened since the last checkpoint */

static void let_in(int fd)
{
	struct conn *c;

	for (c = server->conn; c < server->conn + CONNS && c->fd >= 0; c++)
		;
	CHECK(c < server->conn + CONNS);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int) { 1 }, sizeof(int));
	if (!plain && hs_fdreg(fd)) {
		fprintf(stderr, "not registered: %s\n", strerror(errno));
		close(fd);
		return;
	}
	*c = (struct conn) { .fd = fd };
	busy = true;
}

/* Before each cut as well: what was acknowledged to a connection that waits must be in it. */
static void accept_all(void *arg)
{
	int fd;

	server = arg;
	while ((fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0)
		let_in(fd);
}

static void end_conn(struct conn *c)
{
	if (!plain)
		hs_fd_deregister(c->fd);
	close(c->fd);
	c->fd = -1;
	busy = true;
}

static void answer(struct conn *c, const char *request)
{
	char *to = c->out + c->out_len;

	c->sum = add_bytes(c->sum, request, REQUEST);
	memset(to, 'a', ANSWER);
	memcpy(to, request, 8);
	memcpy(to + 8, &c->sum, 8);
	c->out_len += ANSWER;
}

static void flush(struct conn *c)
{
	ssize_t n = c->out_len ? send(c->fd, c->out, c->out_len, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;

	if (n <= 0)
		return;
	c->out_len -= (size_t)n;
	memmove(c->out, c->out + n, c->out_len);
	busy = true;
}

static void take(struct conn *c)
{
	ssize_t n = recv(c->fd, c->in + c->in_len, sizeof(c->in) - c->in_len, MSG_DONTWAIT);
	size_t at = 0;

	if (!n || (n < 0 && errno != EAGAIN)) {
		end_conn(c);
		return;
	}
	if (n < 0)
		return;
	busy = true;
	c->in_len += (size_t)n;
	for (; c->in_len - at >= REQUEST && c->out_len + ANSWER <= sizeof(c->out); at += REQUEST)
		answer(c, c->in + at);
	c->in_len -= at;
	memmove(c->in, c->in + at, c->in_len);
	flush(c);
}

static void look(const struct pollfd *p, nfds_t nr, struct conn **of)
{
	nfds_t i;

	if (p[0].revents)
		accept_all(server);
	for (i = 1; i < nr; i++) {
		if (p[i].revents & POLLOUT)
			flush(of[i]);
		if (p[i].revents & ~POLLOUT)
			take(of[i]);
	}
}

static int take_checkpoint(void)
{
	const uint64_t start = hs_now_ns();
	struct hs_stats stats;

	if (!parts)
		return hs_cpt(HSCPT_ASYNC | HSCPT_INCR);
	if (hs_cpt(HSCPT_INCR))
		return -1;
	hs_stats(&stats);
	printf("parts %llu %llu\n", (unsigned long long)stats.pause_ns,
	       (unsigned long long)(hs_now_ns() - start - stats.pause_ns));
	fflush(stdout);
	return 0;
}

static void serve(void *arg)
{
	struct pollfd p[CONNS + 1];
	struct conn *of[CONNS + 1], *c;
	bool failed = false;
	nfds_t nr;

	server = arg;
	printf("serves\n");
	fflush(stdout);
	for (;;) {
		p[0] = (struct pollfd) { .fd = server->listener, .events = POLLIN };
		for (nr = 1, c = server->conn; c < server->conn + CONNS; c++) {
			if (c->fd < 0)
				continue;
			p[nr] = (struct pollfd) {
				.fd = c->fd, .events = c->out_len ? POLLIN | POLLOUT : POLLIN,
			};
			of[nr++] = c;
		}
		if (poll(p, nr, 2) > 0)
			look(p, nr, of);
		if (plain || (!busy && !hs_wanted()))
			continue;
		/* Output waits for one that doesn't fail. */
		busy = take_checkpoint();
		if (busy && !failed)
			fprintf(stderr, "no checkpoint: %s\n", hs_error());
		failed = busy;
	}
}

static void listen_at(const char *text)
{
	struct addrinfo *a = address(text);
	int i;

	for (i = 0; i < CONNS; i++)
		server->conn[i].fd = -1;
	server->listener = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	CHECK(!setsockopt(server->listener, SOL_SOCKET, SO_REUSEADDR, &(int) { 1 }, sizeof(int)));
	CHECK(!bind(server->listener, a->ai_addr, a->ai_addrlen) && !listen(server->listener, 128));
	freeaddrinfo(a);
}

static int be_plain(const char *text)
{
	static struct server unsaved;

	plain = true;
	server = &unsaved;
	listen_at(text);
	serve(server);
	return 0;
}

static int be_server(int argc, char **argv)
{
	int used;

	parts = getenv("HELD_PARTS");
	used = hs_init(argc, argv);
	if (used < 0)
		return 3;
	CHECK(!hs_malloc_create(CLASS, 1 << 20));
	server = hs_calloc(CLASS, 1, sizeof(*server));
	CHECK(server && argc - used == 2);
	listen_at(argv[used + 1]);
	CHECK(!hs_fdreg(server->listener) && !hs_threadreg(serve, server));
	CHECK(!hs_hook(&(struct hs_hook) { .before = accept_all }, server));
	serve(server);
	return 0;
}

/*
 * The clients
 */

struct client {
	int fd;				/* -1: it is over */
	uint64_t sent, answered;	/* whole ones */
	uint64_t sum[DEPTH];		/* after request n, at n % DEPTH */
	uint64_t sent_ns[DEPTH];
	uint64_t last_sum;
	uint64_t last_ns;		/* of the last answer */
	char out[REQUEST], in[ANSWER];
	size_t out_len, in_len;		/* of the one under way */
};

static struct {
	unsigned long answers, wrong, resets, stuck;
	uint64_t longest_ns;
	unsigned int seed;
} total;

static unsigned int depth = DEPTH;

static struct {
	uint32_t us[LATENCIES];
	unsigned int nr;
} latencies;

static void make_request(struct client *c)
{
	uint64_t number = c->sent;
	size_t i;

	for (i = 8; i < REQUEST; i++)
		c->out[i] = (char)rand_r(&total.seed);
	memcpy(c->out, &number, 8);
	c->out_len = REQUEST;
	c->last_sum = add_bytes(c->last_sum, c->out, REQUEST);
	c->sent_ns[c->sent % DEPTH] = hs_now_ns();
	c->sum[c->sent++ % DEPTH] = c->last_sum;
}

static void lost(struct client *c, const char *how)
{
	printf("client %d: %s after %llu answers of %llu\n", c->fd, how,
	       (unsigned long long)c->answered, (unsigned long long)c->sent);
	close(c->fd);
	c->fd = -1;
	total.resets++;
}

static void say_more(struct client *c, bool stop)
{
	ssize_t n;

	while (c->fd >= 0 && (c->out_len || (!stop && c->sent - c->answered < depth))) {
		if (!c->out_len)
			make_request(c);
		n = send(c->fd, c->out + REQUEST - c->out_len, c->out_len,
			 MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0)
			lost(c, strerror(errno));
		else
			c->out_len -= (size_t)n;
	}
}

/* The time of the answer to the oldest request. */
static void take_time(struct client *c)
{
	const uint64_t now = hs_now_ns();

	if (latencies.nr < LATENCIES)
		latencies.us[latencies.nr++] = (uint32_t)((now - c->sent_ns[c->answered % DEPTH]) / 1000);
	if (now - c->last_ns > total.longest_ns)
		total.longest_ns = now - c->last_ns;
	c->last_ns = now;
}

static void check(struct client *c)
{
	uint64_t number, sum;

	memcpy(&number, c->in, 8);
	memcpy(&sum, c->in + 8, 8);
	if (number != c->answered || sum != c->sum[c->answered % DEPTH] ||
	    c->in[ANSWER - 1] != 'a') {
		printf("client %d: answer %llu is wrong\n", c->fd, (unsigned long long)c->answered);
		total.wrong++;
	}
	take_time(c);
	c->answered++;
	total.answers++;
}

static void hear(struct client *c)
{
	ssize_t n = recv(c->fd, c->in + c->in_len, ANSWER - c->in_len, MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		lost(c, n ? strerror(errno) : "closed");
		return;
	}
	c->in_len += (size_t)n;
	if (c->in_len == ANSWER) {
		check(c);
		c->in_len = 0;
	}
}

/* Returns whether something is missing. */
static bool turn(struct client *v, int nr, bool stop)
{
	struct pollfd p[CONNS];
	bool missing = false;
	int i;

	for (i = 0; i < nr; i++) {
		say_more(&v[i], stop);
		missing |= v[i].fd >= 0 && v[i].answered < v[i].sent;
		p[i] = (struct pollfd) {
			.fd = v[i].fd, .events = v[i].out_len ? POLLIN | POLLOUT : POLLIN,
		};
	}
	if (poll(p, (nfds_t)nr, 20) > 0)
		for (i = 0; i < nr; i++)
			if (p[i].revents & ~POLLOUT)
				hear(&v[i]);
	return missing;
}

static int ascending(const void *a, const void *b)
{
	const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void tell_latencies(void)
{
	const unsigned int n = latencies.nr;

	qsort(latencies.us, n, sizeof(latencies.us[0]), ascending);
	printf("longest %llu\n", (unsigned long long)total.longest_ns / 1000000);
	printf("latency median %u p99 %u\n", n ? latencies.us[n / 2] : 0,
	       n ? latencies.us[(unsigned long)n * 99 / 100] : 0);
}

static int be_clients(const char *text, int nr, const char *stop)
{
	static struct client v[CONNS];
	struct addrinfo *a = address(text);
	uint64_t end = 0, told = 0;
	int i;

	CHECK(nr > 0 && nr <= CONNS);
	for (i = 0; i < nr; i++) {
		v[i].fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		CHECK(v[i].fd >= 0);
		if (connect(v[i].fd, a->ai_addr, a->ai_addrlen))
			lost(&v[i], strerror(errno));
		v[i].last_ns = hs_now_ns();
		setsockopt(v[i].fd, IPPROTO_TCP, TCP_NODELAY, &(int) { 1 }, sizeof(int));
	}
	while (turn(v, nr, end) || !end) {
		if (!end && !access(stop, F_OK))
			end = hs_now_ns() + PATIENCE_NS;
		if (end && hs_now_ns() > end)
			break;
		if (hs_now_ns() - told < 100000000)
			continue;
		told = hs_now_ns();
		printf("answers %lu\n", total.answers);
		fflush(stdout);
	}
	for (i = 0; i < nr; i++)
		total.stuck += v[i].fd >= 0 && v[i].answered < v[i].sent;
	tell_latencies();
	printf("clients %d answers %lu wrong %lu resets %lu stuck %lu\n", nr, total.answers,
	       total.wrong, total.resets, total.stuck);
	return total.wrong || total.resets || total.stuck;
}

int main(int argc, char **argv)
{
	end_with_parent();
	if (argc >= 5 && !strcmp(argv[1], "ask")) {
		total.seed = argc > 5 ? (unsigned int)atol(argv[5]) : 1;
		depth = argc > 6 ? (unsigned int)atoi(argv[6]) : DEPTH;
		CHECK(depth > 0 && depth <= DEPTH);
		return be_clients(argv[2], atoi(argv[3]), argv[4]);
	}
	if (argc == 3 && !strcmp(argv[1], "plain"))
		return be_plain(argv[2]);
	return be_server(argc, argv);
}
