// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Clients of sqlite-hotspare that lose nothing and do nothing twice, though hosts die.
 *
 *	sqlite-load HOST:PORT[,HOST:PORT] FILE...
 *
 * Each FILE is a client, and each of its lines is SQL for one transaction. With it goes a
 * row in the table done(client, n), whose key they are: so a client that doesn't know whether
 * a transaction came through just sends it again, to whoever answers now.
 *
 * What happens is told on stdout, a line each with t= in milliseconds of CLOCK_MONOTONIC:
 * progress every second, lost when nobody answers any more, answer when somebody does
 * again, and in the end done. Exit status 0: all lines were done.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define CLIENTS		64
#define ADDRESSES	2
#define PATIENCE_MS	60000		/* nobody answers: give up */

struct client {
	pthread_t id;
	int nr;
	const char *file;
	FILE *f;			/* the connection */
	unsigned int address;		/* which one it is tried with */
};

static struct sockaddr_in address[ADDRESSES];
static unsigned int addresses;
static atomic_ulong done, safe, repeats;
static atomic_bool over;

static long long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void rest(unsigned int ms)
{
	const struct timespec t = { ms / 1000, ms % 1000 * 1000000L };

	nanosleep(&t, NULL);
}

__attribute__((format(printf, 1, 2))) static void tell(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	flockfile(stdout);
	printf("sqlite-load: t=%lld ", now_ms());
	vprintf(fmt, ap);
	putchar('\n');
	fflush(stdout);
	funlockfile(stdout);
	va_end(ap);
}

/*
 * Connections
 */

static void disconnect(struct client *c)
{
	if (c->f)
		fclose(c->f);
	c->f = NULL;
}

/* A host that is gone says nothing: neither connecting nor waiting lasts for ever. */
static int try_connect(const struct sockaddr_in *to)
{
	const struct timeval patience = { .tv_sec = 1 }, longer = { .tv_sec = 10 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(fd, (const struct sockaddr *)to, sizeof(*to))) {
		close(fd);
		return -1;
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &longer, sizeof(longer));
	return fd;
}

/* One address after the other. Returns false if nobody is there for long. */
static bool connect_any(struct client *c)
{
	long long end = now_ms() + PATIENCE_MS;
	int fd;

	while (!c->f && now_ms() < end) {
		fd = try_connect(&address[c->address]);
		if (fd >= 0) {
			c->f = fdopen(fd, "r");
			if (!c->f)
				err(1, "fdopen");
		} else {
			c->address = (c->address + 1) % addresses;
			rest(5);
		}
	}
	return c->f;
}

static bool send_all(int fd, const char *p, size_t len)
{
	ssize_t n;

	for (; len; p += n, len -= (size_t)n) {
		n = send(fd, p, len, MSG_NOSIGNAL);
		if (n <= 0)
			return false;
	}
	return true;
}

/* The last line of the answer, or false: the connection is lost. */
static bool ask(struct client *c, const char *line, size_t len, char *last, size_t size)
{
	if (!send_all(fileno(c->f), line, len))
		return false;
	while (fgets(last, (int)size, c->f))
		if (!strncmp(last, "{\"ok\":", 6) || !strncmp(last, "{\"error\":", 9))
			return true;
	return false;
}

/*
 * Transactions
 */

/* What one attempt has come to. */
enum outcome { DONE, AGAIN, LOST };

static enum outcome attempt(struct client *c, const char *line, size_t len)
{
	char last[1024];

	if (!ask(c, line, len, last, sizeof(last)))
		return LOST;
	if (!strncmp(last, "{\"ok\":", 6)) {
		safe += strstr(last, "\"safe\":true") != NULL;
		return DONE;
	}
	/* It is open, and holds others off. */
	if (!ask(c, "rollback\n", 9, (char [1024]) { "" }, 1024))
		return LOST;
	if (strstr(last, "UNIQUE constraint failed: done.")) {
		repeats++;
		return DONE;
	}
	if (!strstr(last, "locked"))
		errx(1, "client %d: %s", c->nr, last);
	rest(1);
	return AGAIN;
}

static void perform(struct client *c, const char *line, size_t len)
{
	enum outcome o = AGAIN;
	bool was_lost = false;

	while (o != DONE) {
		if (!c->f && !connect_any(c))
			errx(1, "client %d: nobody answers", c->nr);
		o = attempt(c, line, len);
		if (o == LOST) {
			disconnect(c);
			if (!was_lost)
				tell("lost client=%d", c->nr);
			was_lost = true;
		} else if (was_lost) {
			tell("answer client=%d address=%s:%d", c->nr,
			     inet_ntoa(address[c->address].sin_addr),
			     ntohs(address[c->address].sin_port));
			was_lost = false;
		}
	}
	done++;
}

static void *client(void *arg)
{
	struct client *c = arg;
	char *sql = NULL, *line = NULL;
	FILE *in = fopen(c->file, "r");
	unsigned long n = 0;
	size_t size = 0;
	int len;

	if (!in)
		err(1, "%s", c->file);
	while (getline(&sql, &size, in) > 0) {
		sql[strcspn(sql, "\n")] = 0;
		len = asprintf(&line, "begin; insert into done values(%d, %lu); %s; commit\n", c->nr,
			       ++n, sql);
		if (len < 0)
			errx(1, "no memory");
		perform(c, line, (size_t)len);
		free(line);
	}
	free(sql);
	fclose(in);
	disconnect(c);
	return NULL;
}

static void *progress(void *arg)
{
	(void)arg;
	while (!over) {
		rest(1000);
		tell("progress done=%lu safe=%lu", (unsigned long)done, (unsigned long)safe);
	}
	return NULL;
}

/*
 * Arguments
 */

static void add_address(char *text)
{
	char *colon = strrchr(text, ':');
	struct sockaddr_in *a = &address[addresses];

	if (addresses == ADDRESSES)
		errx(1, "more than %d addresses", ADDRESSES);
	if (colon)
		*colon = 0;
	a->sin_family = AF_INET;
	if (!colon || atoi(colon + 1) < 1 || atoi(colon + 1) > 65535 ||
	    inet_pton(AF_INET, text, &a->sin_addr) != 1)
		errx(1, "'%s' isn't ADDRESS:PORT", text);
	a->sin_port = htons((uint16_t)atoi(colon + 1));
	addresses++;
}

int main(int argc, char *argv[])
{
	static struct client c[CLIENTS];
	int i, nr = argc - 2;
	long long start;
	pthread_t id;
	char *text;

	/* A report that nobody reads is no reason to end. */
	signal(SIGPIPE, SIG_IGN);
	if (nr < 1 || nr > CLIENTS)
		errx(1, "usage: sqlite-load ADDRESS:PORT[,ADDRESS:PORT] FILE...");
	for (text = strtok(argv[1], ","); text; text = strtok(NULL, ","))
		add_address(text);
	if (!addresses)
		errx(1, "no address");
	start = now_ms();
	for (i = 0; i < nr; i++) {
		c[i] = (struct client) { .nr = i + 1, .file = argv[i + 2] };
		if (pthread_create(&c[i].id, NULL, client, &c[i]))
			errx(1, "no thread");
	}
	if (pthread_create(&id, NULL, progress, NULL))
		errx(1, "no thread");
	for (i = 0; i < nr; i++)
		pthread_join(c[i].id, NULL);
	over = true;
	pthread_join(id, NULL);
	tell("done transactions=%lu safe=%lu repeats=%lu ms=%lld", (unsigned long)done,
	     (unsigned long)safe, (unsigned long)repeats, now_ms() - start);
	return 0;
}
