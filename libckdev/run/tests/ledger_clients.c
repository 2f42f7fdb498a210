// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * For redis.sh and "make demo-redis": clients of a redis-server that never connect again. Each has a
 * counter of its own, and up to DEPTH requests "INCR" under way (4 by default); the answers must be
 * 1, 2, 3 ..., so that one that is lost, wrong or there twice shows.
 *
 *	ledger_clients ADDRESS CLIENTS STOP [DEPTH]
 *
 * When there is a file STOP they send no more, and wait for what is missing. At the end each asks for
 * its counter by its own connection ("GET"): it must be the number of requests. They tell
 *
 *	answers N				ten times a second
 *	longest N				the longest time without an answer of any connection, ms
 *	latency median N p99 N			of requests, us
 *	clients N answers N wrong N resets N stuck N
 *
 * A connection that is reset, or closed by the server, is a reset; one without its answers is stuck.
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
#include <sys/prctl.h>
#include <sys/socket.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#define CLIENTS		512
#define PORT		"7000"
#define DEPTH		64
#define LINE		64
#define LATENCIES	(1 << 20)	/* those after them aren't in median and p99 */
/* So long answers may be missing at the end. */
#define PATIENCE_NS	20000000000ULL

struct client {
	int fd;				/* -1: it is over */
	int number;
	uint64_t sent, answered;
	uint64_t sent_ns[DEPTH];	/* when request n was sent, at n % DEPTH */
	uint64_t last_ns;		/* of the last answer */
	char out[LINE], in[LINE];
	size_t out_len, out_at, in_len;
	bool asked;			/* for its counter, the last request */
	int missing_lines;		/* of the answer to that */
	bool done;
};

static unsigned int depth = 4;		/* up to DEPTH */

static struct {
	uint32_t us[LATENCIES];
	unsigned int nr;
} latencies;

static struct {
	unsigned long answers, wrong, resets, stuck;
	uint64_t longest_ns;
} total;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void lost(struct client *c, const char *how)
{
	printf("client %d: %s after %llu answers of %llu\n", c->number, how,
	       (unsigned long long)c->answered, (unsigned long long)c->sent);
	close(c->fd);
	c->fd = -1;
	total.resets++;
}

static void wrong(struct client *c, const char *line)
{
	printf("client %d: answer %llu is wrong: %s\n", c->number, (unsigned long long)c->answered,
	       line);
	total.wrong++;
}

/* Returns false: nothing more has to be said now. */
static bool make_request(struct client *c, bool stop)
{
	const bool more = !stop && c->sent - c->answered < depth;

	if (!more && (!stop || c->asked || c->answered < c->sent))
		return false;
	c->out_len = (size_t)snprintf(c->out, LINE, "%s c%d\r\n", more ? "INCR" : "GET", c->number);
	c->out_at = 0;
	if (more)
		c->sent_ns[c->sent++ % DEPTH] = now_ns();
	c->asked = !more;
	c->missing_lines = 2;
	return true;
}

static void say_more(struct client *c, bool stop)
{
	ssize_t n;

	while (c->fd >= 0 && (c->out_at < c->out_len || make_request(c, stop))) {
		n = send(c->fd, c->out + c->out_at, c->out_len - c->out_at, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0)
			lost(c, strerror(errno));
		else
			c->out_at += (size_t)n;
	}
}

/* ":17", or of the last request "$2" and "17". */
static void take_line(struct client *c, const char *line)
{
	char wanted[LINE];

	if (!c->asked) {
		if (latencies.nr < LATENCIES)
			latencies.us[latencies.nr++] =
				(uint32_t)((now_ns() - c->sent_ns[c->answered % DEPTH]) / 1000);
		c->answered++;
		snprintf(wanted, sizeof(wanted), ":%llu", (unsigned long long)c->answered);
		if (strcmp(line, wanted))
			wrong(c, line);
		total.answers++;
	} else if (--c->missing_lines == 0) {
		snprintf(wanted, sizeof(wanted), "%llu", (unsigned long long)c->sent);
		if (strcmp(line, wanted))
			wrong(c, line);
		c->done = true;
	}
	if (now_ns() - c->last_ns > total.longest_ns)
		total.longest_ns = now_ns() - c->last_ns;
	c->last_ns = now_ns();
}

static void hear(struct client *c)
{
	ssize_t n = recv(c->fd, c->in + c->in_len, LINE - c->in_len - 1, MSG_DONTWAIT);
	char *end;

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		lost(c, n ? strerror(errno) : "closed");
		return;
	}
	c->in_len += (size_t)n;
	c->in[c->in_len] = 0;
	while ((end = strstr(c->in, "\r\n"))) {
		*end = 0;
		take_line(c, c->in);
		c->in_len -= (size_t)(end + 2 - c->in);
		memmove(c->in, end + 2, c->in_len + 1);
	}
	if (c->in_len == LINE - 1) {
		wrong(c, c->in);
		c->in_len = 0;
	}
}

/* Returns whether something is missing. */
static bool turn(struct client *v, int nr, bool stop)
{
	struct pollfd p[CLIENTS];
	bool missing = false;
	int i;

	for (i = 0; i < nr; i++) {
		say_more(&v[i], stop);
		missing |= v[i].fd >= 0 && !v[i].done;
		p[i] = (struct pollfd) {
			.fd = v[i].fd,
			.events = v[i].out_at < v[i].out_len ? POLLIN | POLLOUT : POLLIN,
		};
	}
	if (poll(p, (nfds_t)nr, 20) > 0)
		for (i = 0; i < nr; i++)
			if (p[i].revents & ~POLLOUT)
				hear(&v[i]);
	return missing;
}

static void begin(struct client *c, int number, const struct addrinfo *a)
{
	const int on = 1;

	*c = (struct client) { .number = number, .last_ns = now_ns() };
	c->fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || connect(c->fd, a->ai_addr, a->ai_addrlen)) {
		lost(c, strerror(errno));
		return;
	}
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static void run(struct client *v, int nr, const char *stop)
{
	uint64_t end = 0, told = 0;

	while (turn(v, nr, end) || !end) {
		if (!end && !access(stop, F_OK))
			end = now_ns() + PATIENCE_NS;
		if (end && now_ns() > end)
			break;
		if (now_ns() - told < 100000000)
			continue;
		told = now_ns();
		printf("answers %lu\n", total.answers);
		fflush(stdout);
	}
}

static int compare(const void *a, const void *b)
{
	const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void report(int nr)
{
	const unsigned int n = latencies.nr;

	qsort(latencies.us, n, sizeof(latencies.us[0]), compare);
	printf("longest %llu\n", (unsigned long long)total.longest_ns / 1000000);
	printf("latency median %u p99 %u\n", n ? latencies.us[n / 2] : 0,
	       n ? latencies.us[(unsigned long)n * 99 / 100] : 0);
	printf("clients %d answers %lu wrong %lu resets %lu stuck %lu\n", nr, total.answers,
	       total.wrong, total.resets, total.stuck);
}

int main(int argc, char **argv)
{
	const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM };
	static struct client v[CLIENTS];
	struct addrinfo *a;
	int nr, i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	nr = argc == 4 || argc == 5 ? atoi(argv[2]) : 0;
	if (argc == 5)
		depth = (unsigned int)atoi(argv[4]);
	if (nr < 1 || nr > CLIENTS || depth < 1 || depth > DEPTH ||
	    getaddrinfo(argv[1], PORT, &hints, &a)) {
		fprintf(stderr, "usage: ledger_clients ADDRESS CLIENTS STOP [DEPTH]\n");
		return 2;
	}
	for (i = 0; i < nr; i++)
		begin(&v[i], i, a);
	freeaddrinfo(a);
	run(v, nr, argv[3]);
	for (i = 0; i < nr; i++)
		total.stuck += v[i].fd >= 0 && !v[i].done;
	report(nr);
	return total.wrong || total.resets || total.stuck;
}
