// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * An in-memory SQLite database that survives the loss of its host, with a libsqlite3 that
 * knows nothing of it: its memory comes from libhotspare, and its variables are saved.
 *
 *	sqlite-hotspare -s -a MASTER -- [-l PORT]
 *	sqlite-hotspare -m -a SPARE -- [-l PORT]
 *
 * or, where cptdevd connects the two hosts, with -S NAME instead of -a and an address. Then it may be
 * started anew with -m after a crash: it becomes the spare if its state is elsewhere. Its exit status
 * is 5 if a person has to decide that.
 *
 * A client sends SQL, a line at a time, and gets each row as a line of JSON, then one line
 * that says how it went: {"ok":true,"changes":N,"safe":true}, or {"error":"..."}. What was
 * committed is answered when the spare has it; "safe" is false if there is no spare. Each
 * client has a connection to the database of its own. One that is lost is rolled back.
 *
 * ".stats" tells what checkpoints have cost.
 *
 * All that waits is done before the checkpoint, which is then one for all.
 */
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <hotspare.h>
#include <json-c/json.h>
#include <sqlite3.h>

#define MEMORY		1		/* the class of all that SQLite takes */
#define STATE		2
#define CLIENTS		64
#define FENCE_MS	200		/* how soon an idle server learns that a spare took over */
#define EXIT_UNDECIDED	5
#define LINE_MAX_LEN	(1 << 20)
#define DATABASE	"file:hotspare?mode=memory&cache=shared"

/* In checkpoint memory: what goes on after a take-over. */
struct service {
	int listener;
	sqlite3 *keeper;		/* the database is there as long as it is open */
	sqlite3 *db[CLIENTS];		/* those that clients have */
};

/* A connection, which doesn't. */
struct client {
	int fd;
	char *in;			/* what came, up to and behind the next line */
	size_t in_len;
	char *out;			/* what is to be sent after the checkpoint */
	size_t out_len;
};

static struct client clients[CLIENTS];
static volatile sig_atomic_t stopped;

/*
 * SQLite's memory
 */

static void *mem_malloc(int n)
{
	return hs_malloc(MEMORY, (size_t)n);
}

static void mem_free(void *p)
{
	hs_free(MEMORY, p);
}

static void *mem_realloc(void *p, int n)
{
	return hs_realloc(MEMORY, p, (size_t)n);
}

static int mem_size(void *p)
{
	return (int)hs_usable_size(p);
}

static int mem_roundup(int n)
{
	return (n + 15) & ~15;
}

static int mem_init(void *data)
{
	(void)data;
	return SQLITE_OK;
}

static void mem_shutdown(void *data)
{
	(void)data;
}

static const sqlite3_mem_methods memory = {
	mem_malloc, mem_free, mem_realloc, mem_size, mem_roundup, mem_init, mem_shutdown, NULL,
};

/*
 * Answers
 */

static void append(struct client *c, const char *text, size_t len)
{
	char *now = realloc(c->out, c->out_len + len + 1);

	if (!now)
		err(1, "an answer");
	c->out = now;
	memcpy(c->out + c->out_len, text, len);
	c->out_len += len;
}

static void append_json(struct client *c, struct json_object *o)
{
	const char *text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);

	if (!text)
		errx(1, "no memory for an answer");
	append(c, text, strlen(text));
	append(c, "\n", 1);
	json_object_put(o);
}

static void append_error(struct client *c, const char *text)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "error", json_object_new_string(text));
	append_json(c, o);
}

static struct json_object *blob(sqlite3_stmt *s, int i)
{
	const unsigned char *p = sqlite3_column_blob(s, i);
	int len = sqlite3_column_bytes(s, i), n;
	char *hex = malloc((size_t)len * 2 + 1);
	struct json_object *o;

	if (!hex)
		return NULL;
	for (n = 0; n < len; n++)
		snprintf(hex + 2 * n, 3, "%02x", p[n]);
	o = json_object_new_string_len(hex, len * 2);
	free(hex);
	return o;
}

static struct json_object *value(sqlite3_stmt *s, int i)
{
	switch (sqlite3_column_type(s, i)) {
	case SQLITE_INTEGER:
		return json_object_new_int64(sqlite3_column_int64(s, i));
	case SQLITE_FLOAT:
		return json_object_new_double(sqlite3_column_double(s, i));
	case SQLITE_TEXT:
		return json_object_new_string((const char *)sqlite3_column_text(s, i));
	case SQLITE_BLOB:
		return blob(s, i);
	}
	return NULL;
}

static void append_row(struct client *c, sqlite3_stmt *s)
{
	struct json_object *o = json_object_new_object();
	int i;

	for (i = 0; i < sqlite3_column_count(s); i++)
		json_object_object_add(o, sqlite3_column_name(s, i), value(s, i));
	append_json(c, o);
}

/*
 * Requests
 */

/* ".stats": what checkpoints cost. */
static void append_stats(struct client *c)
{
	struct json_object *o = json_object_new_object();
	struct hs_stats s;

	hs_stats(&s);
	json_object_object_add(o, "backend", json_object_new_string(hs_backend()));
	json_object_object_add(o, "checkpoints", json_object_new_uint64(s.checkpoints));
	json_object_object_add(o, "failed", json_object_new_uint64(s.failed));
	json_object_object_add(o, "cuts", json_object_new_uint64(s.cuts));
	json_object_object_add(o, "pause_max_us", json_object_new_uint64(s.pause_max_ns / 1000));
	json_object_object_add(o, "pause_mean_us",
			       json_object_new_uint64(s.cuts ? s.pause_sum_ns / s.cuts / 1000 : 0));
	append_json(c, o);
}

static void append_ok(struct client *c, int changes)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "ok", json_object_new_boolean(true));
	json_object_object_add(o, "changes", json_object_new_int(changes));
	append_json(c, o);
	/* The end of the line comes with the checkpoint. */
	c->out_len -= 2;
}

/* All statements of a line. Returns whether something may have been written. */
static bool run(struct client *c, sqlite3 *db, const char *sql)
{
	sqlite3_stmt *s;
	bool wrote = false;
	int before = sqlite3_total_changes(db), ret = SQLITE_OK;

	if (!strcmp(sql, ".stats")) {
		append_stats(c);
		append_ok(c, 0);
		return false;
	}

	while (ret == SQLITE_OK && *sql) {
		ret = sqlite3_prepare_v2(db, sql, -1, &s, &sql);
		if (ret != SQLITE_OK || !s)
			continue;
		while ((ret = sqlite3_step(s)) == SQLITE_ROW)
			append_row(c, s);
		wrote |= !sqlite3_stmt_readonly(s);
		ret = sqlite3_finalize(s);
	}
	if (ret != SQLITE_OK) {
		append_error(c, sqlite3_errmsg(db));
		return wrote;
	}
	append_ok(c, sqlite3_total_changes(db) - before);
	return wrote;
}

static void drop(struct service *s, int i)
{
	struct client *c = &clients[i];

	close(c->fd);
	free(c->in);
	free(c->out);
	*c = (struct client) { .fd = -1 };
	sqlite3_close(s->db[i]);
	s->db[i] = NULL;
}

static void welcome(struct service *s)
{
	const struct timeval patience = { .tv_sec = 5 };
	int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC), i;

	for (i = 0; i < CLIENTS && clients[i].fd >= 0; i++)
		;
	if (fd < 0)
		return;
	if (i == CLIENTS || sqlite3_open_v2(DATABASE, &s->db[i], SQLITE_OPEN_READWRITE |
					    SQLITE_OPEN_URI, NULL) != SQLITE_OK) {
		close(fd);
		if (i < CLIENTS)
			sqlite3_close(s->db[i]);
		return;
	}
	/* Who doesn't read his answers mustn't keep the others waiting. */
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	clients[i].fd = fd;
}

/* What has come. Returns -1 if the client is gone, or says too much at once. */
static int receive(struct client *c)
{
	char *now = realloc(c->in, c->in_len + 65536 + 1);
	ssize_t n;

	if (!now)
		return -1;
	c->in = now;
	n = recv(c->fd, c->in + c->in_len, 65536, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return -1;
	c->in_len += (size_t)n;
	return c->in_len > LINE_MAX_LEN ? -1 : 0;
}

/* One line, if there is a whole one. */
static bool serve(struct client *c, sqlite3 *db)
{
	char *end = memchr(c->in, '\n', c->in_len);
	bool wrote;
	size_t len;

	if (!end)
		return false;
	*end = 0;
	len = (size_t)(end - c->in) + 1;
	wrote = run(c, db, c->in);
	c->in_len -= len;
	memmove(c->in, c->in + len, c->in_len);
	return wrote;
}

static void answer(struct service *s, int i, bool safe)
{
	const char *rest = safe ? ",\"safe\":true}\n" : ",\"safe\":false}\n";
	struct client *c = &clients[i];
	size_t at;
	ssize_t n;

	/* What ends without its end was no error. */
	if (c->out[c->out_len - 1] != '\n')
		append(c, rest, strlen(rest));
	for (at = 0; at < c->out_len; at += (size_t)n) {
		n = send(c->fd, c->out + at, c->out_len - at, MSG_NOSIGNAL);
		if (n <= 0) {
			drop(s, i);
			return;
		}
	}
	c->out_len = 0;
}

static int wait_for_clients(struct service *s, struct pollfd *p)
{
	bool waiting = false;
	int i;

	for (i = 0; i < CLIENTS; i++) {
		p[i] = (struct pollfd) { .fd = clients[i].fd, .events = POLLIN };
		waiting |= clients[i].in_len && memchr(clients[i].in, '\n', clients[i].in_len);
	}
	p[CLIENTS] = (struct pollfd) { .fd = s->listener, .events = POLLIN };
	return poll(p, CLIENTS + 1, waiting ? 0 : FENCE_MS);
}

/* A spare has taken over: clients find it there, and this program is its spare from here on. */
static void rejoin(void)
{
	hs_rejoin();
	errx(1, "%s", hs_error());
}

/* Returns whether the spare has it. When that changes, it is told. */
static bool checkpoint(void)
{
	static bool was = true;
	bool safe = !hs_cpt(HSCPT_INCR);

	if (!safe && errno == ESTALE)
		rejoin();
	if (safe != was)
		warnx("%s", safe ? "the spare is there" : hs_error());
	was = safe;
	return safe;
}

/*
 * An answer goes out only while this program is known to be the one that serves; a client that
 * waits too long goes away. Returns false if the program is to end meanwhile. A program that is moved
 * to the spare's host is asked for its last checkpoint then.
 */
static bool wait_for_permission(void)
{
	int may;

	while (!(may = hs_may_serve()) && !stopped)
		if (!hs_wanted() || !checkpoint())
			poll(NULL, 0, FENCE_MS);
	if (may < 0)
		rejoin();
	return may > 0;
}

/* What all clients have sent; then the checkpoint; then the answers. */
static void round_of_all(struct service *s)
{
	struct pollfd p[CLIENTS + 1];
	bool wrote = false, safe = true;
	int i;

	if (wait_for_clients(s, p) < 0)
		return;
	if (hs_may_serve() < 0)
		rejoin();
	for (i = 0; i < CLIENTS; i++) {
		if (p[i].revents && receive(&clients[i]))
			drop(s, i);
		else if (clients[i].in_len)
			wrote |= serve(&clients[i], s->db[i]);
	}
	if (p[CLIENTS].revents)
		welcome(s);
	/* Nobody may be there to write anything, and the spare may be new. */
	if (wrote || hs_wanted())
		safe = checkpoint();
	for (i = 0; i < CLIENTS; i++)
		if (clients[i].out_len && wait_for_permission())
			answer(s, i, safe);
}

static void stop(int sig)
{
	(void)sig;
	stopped = 1;
}

/*
 * At the start, and after a take-over: then there are no clients any more. A database that is
 * stopped ends in order: the spare doesn't take over from it.
 */
static void work(void *arg)
{
	struct service *s = arg;
	int i;

	for (i = 0; i < CLIENTS; i++) {
		clients[i].fd = -1;
		sqlite3_close(s->db[i]);
		s->db[i] = NULL;
	}
	while (!stopped)
		round_of_all(s);
	hs_stop();
	exit(0);
}

static int listen_on(int port)
{
	struct sockaddr_in6 any = {
		.sin6_family = AF_INET6, .sin6_addr = in6addr_any,
		.sin6_port = htons((uint16_t)port),
	};
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(fd, (struct sockaddr *)&any, sizeof(any)) || listen(fd, 64))
		err(1, "port %d", port);
	return fd;
}

int main(int argc, char *argv[])
{
	int port = 7412, c, n = hs_init(argc, argv);
	struct service *s;

	if (n < 0)
		return errno == EBUSY ? EXIT_UNDECIDED : 1;
	argc -= n;
	argv += n;
	while ((c = getopt(argc, argv, "l:")) != -1) {
		port = c == 'l' ? atoi(optarg) : 0;
		if (port < 1 || port > 65535)
			errx(1, "usage: sqlite-hotspare OPTIONS -- [-l PORT]");
	}
	if (hs_malloc_create(MEMORY, 64 << 20) || hs_malloc_create(STATE, 4096) ||
	    hs_dso("libsqlite3.so.0"))
		err(1, "checkpoint memory");
	s = hs_calloc(STATE, 1, sizeof(*s));
	if (!s || hs_threadreg(work, s))
		err(1, "no memory");
	if (sqlite3_config(SQLITE_CONFIG_MALLOC, &memory) != SQLITE_OK ||
	    sqlite3_open_v2(DATABASE, &s->keeper, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
			    SQLITE_OPEN_URI, NULL) != SQLITE_OK)
		errx(1, "the database can't be opened");
	sigaction(SIGTERM, &(struct sigaction) { .sa_handler = stop }, NULL);
	sigaction(SIGINT, &(struct sigaction) { .sa_handler = stop }, NULL);
	s->listener = listen_on(port);
	if (hs_fdreg(s->listener))
		err(1, "port %d can't be saved", port);
	work(s);
}
