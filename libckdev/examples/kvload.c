// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * kvload: feeds a text to kvstore word by word, and keeps account of what was answered.
 *
 * Each connection is a client of its own and takes every n-th word. What isn't answered
 * when a connection is lost is sent again to the next address. Whatever is answered is
 * checked: counts never go back, and no answered request is forgotten.
 *
 * Each event is one line on stdout: "kvload: <event> t=<ms> key=value...", with
 * CLOCK_MONOTONIC in milliseconds. SIGUSR1 writes the ledger at once.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "kvclient.h"

#define EXIT_USAGE	2
#define EXIT_BROKEN	3	/* the server didn't keep what it had promised */

#define WORD_MAX	255
#define CLIENTS_MAX	256
#define ADDRESSES_MAX	16
#define TICK_MS		10

static struct options {
	const char *file;
	const char *ledger;
	const char *dump;
	const char *client;
	uint64_t progress_ms;
	uint64_t give_up_ms;
} opt = { .give_up_ms = 120000 };

static struct load load = { .nr_clients = 4, .window = 64, .timeout_ms = 5000 };
static struct client *clients;
static struct address addresses[ADDRESSES_MAX];
static FILE *events;			/* for the ledger */
static char *events_text;
static size_t events_len;
static volatile sig_atomic_t stop, want_ledger;

static void on_signal(int sig)
{
	if (sig == SIGUSR1)
		want_ledger = 1;
	else
		stop = 1;
}

uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static __attribute__((format(printf, 2, 3), noreturn))
void die(int status, const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fprintf(stderr, "kvload: ");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(status);
}

/*
 * Telling
 */

static __attribute__((format(printf, 3, 0)))
void event_to(FILE *f, const char *what, const char *fmt, va_list ap)
{
	fprintf(f, "%s t=%" PRIu64 " ", what, now_ms());
	vfprintf(f, fmt, ap);
	fputc('\n', f);
}

void event(const char *what, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("kvload: ", stdout);
	event_to(stdout, what, fmt, ap);
	va_end(ap);
	va_start(ap, fmt);
	event_to(events, what, fmt, ap);
	va_end(ap);
}

/* A file is there as a whole or not at all. */
static FILE *file_begin(const char *path, char *tmp, size_t len)
{
	FILE *f;

	snprintf(tmp, len, "%s.new", path);
	f = fopen(tmp, "w");
	if (!f)
		die(EXIT_FAILURE, "%s: %s", tmp, strerror(errno));
	return f;
}

static void file_end(FILE *f, const char *path, const char *tmp)
{
	bool bad = ferror(f);

	if (fclose(f) || bad || rename(tmp, path) < 0)
		die(EXIT_FAILURE, "%s: %s", path, strerror(errno));
}

static void ledger_write(void)
{
	char tmp[4096], *line, *save = NULL, *copy;
	FILE *f;

	want_ledger = 0;
	if (!opt.ledger)
		return;
	f = file_begin(opt.ledger, tmp, sizeof(tmp));
	fprintf(f, "# written t=%" PRIu64 " acked=%" PRIu64 " words=%zu\n", now_ms(),
		load.acked, load.words.nr_tokens);
	fflush(events);
	copy = strndup(events_text, events_len);
	for (line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		fprintf(f, "# %s\n", line);
	free(copy);
	words_write(&load.words, f);
	file_end(f, opt.ledger, tmp);
}

void broken(const char *fmt, ...)
{
	va_list ap;

	ledger_write();
	fflush(stdout);
	fprintf(stderr, "kvload: ");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(EXIT_BROKEN);
}

static int compare_lines(const void *a, const void *b)
{
	const char *x = *(char *const *)a, *y = *(char *const *)b;
	size_t n = strcspn(x, " "), m = strcspn(y, " ");
	int c = memcmp(x, y, n < m ? n : m);

	/* As words, not with the space that follows. */
	return c ? c : (n > m) - (n < m);
}

static void dump_write(struct client *c)
{
	char tmp[4096];
	FILE *f = file_begin(opt.dump, tmp, sizeof(tmp));
	size_t i;

	qsort(c->dump, c->nr_dump, sizeof(*c->dump), compare_lines);
	for (i = 0; i < c->nr_dump; i++)
		fprintf(f, "%s\n", c->dump[i]);
	file_end(f, opt.dump, tmp);
}

static void progress(uint64_t now)
{
	static uint64_t last_ms, last_acked;
	unsigned int i, up = 0;
	uint64_t ms;

	if (!opt.progress_ms)
		return;
	if (!last_ms)
		last_ms = load.began_ms;
	ms = now - last_ms;
	if (ms < opt.progress_ms)
		return;
	for (i = 0; i < load.nr_clients; i++)
		up += clients[i].greeted;
	printf("kvload: progress t=%" PRIu64 " acked=%" PRIu64 " total=%zu per_second=%.0f "
	       "up=%u\n", now, load.acked, load.words.nr_tokens,
	       (double)(load.acked - last_acked) * 1000 / (double)ms, up);
	last_ms = now;
	last_acked = load.acked;
}

/*
 * The work
 */

static void work_poll(void)
{
	struct pollfd pfd[CLIENTS_MAX];
	struct client *of[CLIENTS_MAX];
	nfds_t n = 0, i;

	for (i = 0; i < load.nr_clients; i++) {
		struct client *c = &clients[i];

		if (client_done(c))
			client_rest(c);
		if (c->fd < 0)
			continue;
		of[n] = c;
		pfd[n++] = (struct pollfd){ .fd = c->fd, .events = client_events(c) };
	}
	if (poll(pfd, n, TICK_MS) <= 0)
		return;
	for (i = 0; i < n; i++)
		if (pfd[i].revents)
			client_ready(of[i], pfd[i].revents);
}

static bool work_done(void)
{
	unsigned int i;

	for (i = 0; i < load.nr_clients; i++)
		if (!client_done(&clients[i]))
			return false;
	return true;
}

/* Nobody answers any more: say what was tried last. */
static void give_up(uint64_t now)
{
	uint64_t since = load.last_ack_ms ? load.last_ack_ms : load.began_ms;
	unsigned int i;

	if (now - since < opt.give_up_ms)
		return;
	ledger_write();
	for (i = 0; i < load.nr_clients && client_done(&clients[i]); i++)
		;
	die(EXIT_FAILURE, "no answer for %" PRIu64 " s, %" PRIu64 " of %zu words "
	    "acknowledged; the last attempt: %s", (now - since) / 1000, load.acked,
	    load.words.nr_tokens, clients[i].why[0] ? clients[i].why : "connected");
}

static void work(void)
{
	while (!work_done() && !stop) {
		uint64_t now = now_ms();
		unsigned int i;

		for (i = 0; i < load.nr_clients; i++)
			client_tick(&clients[i], now);
		work_poll();
		progress(now_ms());
		give_up(now_ms());
		if (want_ledger)
			ledger_write();
	}
}

static void start(void)
{
	char id[32];
	unsigned int i;
	uint32_t r;

	/* A new run is new clients: else it would be taken for a repeat. */
	if (getrandom(&r, sizeof(r), 0) != sizeof(r))
		r = (uint32_t)(now_ms() ^ ((uint64_t)getpid() << 16));
	snprintf(id, sizeof(id), "load-%08" PRIx32, r);
	clients = calloc(load.nr_clients, sizeof(*clients));
	for (i = 0; i < load.nr_clients; i++)
		if (!clients ||
		    client_init(&clients[i], &load, i, opt.client ? opt.client : id) < 0)
			die(EXIT_FAILURE, "no memory for %u clients", load.nr_clients);
	load.began_ms = now_ms();
}

static int run(void)
{
	uint64_t ms;

	start();
	event("start", "words=%zu distinct=%zu connections=%u window=%zu",
	      load.words.nr_tokens, load.words.nr, load.nr_clients, load.window);
	work();
	ms = now_ms() - load.began_ms;
	event("done", "words=%zu acked=%" PRIu64 " repeats=%" PRIu64 " losses=%" PRIu64
	      " ms=%" PRIu64 " longest_gap_ms=%" PRIu64 " gap_from=%" PRIu64,
	      load.words.nr_tokens, load.acked, load.repeats, load.losses, ms, load.gap_ms,
	      load.gap_from_ms);
	if (opt.dump && !stop) {
		load.last_ack_ms = now_ms();
		client_dump(&clients[0]);
		work();
	}
	ledger_write();
	if (!work_done())
		return EXIT_FAILURE;
	if (opt.dump)
		dump_write(&clients[0]);
	return EXIT_SUCCESS;
}

/*
 * Options
 */

static const char usage_text[] =
"Usage: kvload [OPTION]... ADDRESS:PORT[,ADDRESS:PORT]... FILE\n"
"Count the words of FILE with kvstore; on loss of a connection try the next address.\n"
"\n"
"  --connections N     so many, each a client of its own (default 4)\n"
"  --window N          most requests without an answer on each (default 64)\n"
"  --rate N            at most so many words per second in all (default: no limit)\n"
"  --timeout SECONDS   give up a connection that doesn't answer (default 5)\n"
"  --give-up SECONDS   end when nobody answers for so long (default 120)\n"
"  --ledger FILE       write what was acknowledged there: word and count, sorted,\n"
"                      after '#' lines with events; also on SIGUSR1\n"
"  --dump FILE         in the end write all that the store has: word and count, sorted\n"
"  --progress SECONDS  print a line that often\n"
"  --client NAME       name of the clients (default: a new one for each run)\n"
"  --help              this\n"
"\n"
"A word is as long a run of ASCII letters and digits as there is. The same counts come\n"
"from: LC_ALL=C tr -cs 'A-Za-z0-9' '\\n' < FILE | grep . | sort | uniq -c\n"
"\n"
"Exit status: 0 all words were acknowledged, 2 usage, 3 the store broke a promise: a\n"
"count went back, or a word that it had acknowledged is unknown to it; 1 anything else.\n";

static const struct option options[] = {
	{ "connections", required_argument, NULL, 'n' },
	{ "window", required_argument, NULL, 'w' },
	{ "rate", required_argument, NULL, 'r' },
	{ "timeout", required_argument, NULL, 't' },
	{ "give-up", required_argument, NULL, 'g' },
	{ "ledger", required_argument, NULL, 'l' },
	{ "dump", required_argument, NULL, 'd' },
	{ "progress", required_argument, NULL, 'p' },
	{ "client", required_argument, NULL, 'c' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 }
};

static uint64_t number(const char *option, uint64_t max)
{
	char *end;
	uint64_t n;

	errno = 0;
	n = strtoull(optarg, &end, 10);
	if (errno || end == optarg || *end || optarg[0] == '-' || n < 1 || n > max)
		die(EXIT_USAGE, "--%s %s: want a number from 1 to %" PRIu64, option, optarg,
		    max);
	return n;
}

static void set(int c)
{
	switch (c) {
	case 'n':
		load.nr_clients = (unsigned int)number("connections", CLIENTS_MAX);
		break;
	case 'w':
		load.window = number("window", 1000000);
		break;
	case 'r':
		load.rate = number("rate", 1000000);
		break;
	case 't':
		load.timeout_ms = number("timeout", 86400) * 1000;
		break;
	case 'g':
		opt.give_up_ms = number("give-up", 86400) * 1000;
		break;
	case 'l':
		opt.ledger = optarg;
		break;
	case 'd':
		opt.dump = optarg;
		break;
	case 'p':
		opt.progress_ms = number("progress", 86400) * 1000;
		break;
	case 'c':
		opt.client = optarg;
		break;
	case 'h':
		fputs(usage_text, stdout);
		exit(EXIT_SUCCESS);
	default:
		die(EXIT_USAGE, "for the options see kvload --help");
	}
}

/* No look-up of names: it would need more than a guest without files has. */
static void address_add(char *text)
{
	struct address *a = &addresses[load.nr_addresses];
	char *port = strrchr(text, ':'), host[16] = "127.0.0.1", *end = NULL;
	unsigned long n = port ? strtoul(port + 1, &end, 10) : 0;

	if (load.nr_addresses == ADDRESSES_MAX)
		die(EXIT_USAGE, "more than %d addresses", ADDRESSES_MAX);
	if (port && strncmp(text, "localhost:", 10))
		snprintf(host, sizeof(host), "%.*s", (int)(port - text), text);
	a->sa.sin_family = AF_INET;
	a->sa.sin_port = htons((uint16_t)n);
	if (n < 1 || n > 65535 || *end || inet_pton(AF_INET, host, &a->sa.sin_addr) != 1)
		die(EXIT_USAGE, "'%s': want an IPv4 address and a port, as 127.0.0.1:7070",
		    text);
	a->text = text;
	load.nr_addresses++;
}

static void parse(int argc, char **argv)
{
	char *save = NULL, *a;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
		set(c);
	if (argc - optind != 2)
		die(EXIT_USAGE, "want ADDRESS:PORT[,ADDRESS:PORT]... and a FILE; see "
		    "kvload --help");
	load.address = addresses;
	for (a = strtok_r(argv[optind], ",", &save); a; a = strtok_r(NULL, ",", &save))
		address_add(a);
	if (!load.nr_addresses)
		die(EXIT_USAGE, "no address");
	opt.file = argv[optind + 1];
}

static void read_words(void)
{
	size_t where = 0;
	int ret = words_read(&load.words, opt.file, WORD_MAX, &where);

	if (ret == -E2BIG)
		die(EXIT_FAILURE, "%s: the word at byte %zu is longer than %d", opt.file,
		    where, WORD_MAX);
	if (ret == -EINVAL)
		die(EXIT_FAILURE, "%s: want a regular file", opt.file);
	if (ret < 0)
		die(EXIT_FAILURE, "%s: %s", opt.file, strerror(-ret));
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_signal };

	/* A report that nobody reads is no reason to end. */
	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	parse(argc, argv);
	read_words();
	events = open_memstream(&events_text, &events_len);
	if (!events)
		die(EXIT_FAILURE, "no memory");
	sigaction(SIGUSR1, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	return run();
}
