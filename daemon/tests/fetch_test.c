// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A program begins on a third host from the spare's replica, and reads it while it runs: the rules as a
 * table, and up to four daemons. "alpha" has the program, "beta" the replica, "gamma" the new program.
 */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "answers.h"
#include "fetch_frame.h"
#include "fetching.h"
#include "fetchwire.h"
#include "json.h"
#include "pair.h"
#include "uuid.h"

#define HOSTS	4U
#define PAGES	700U

static const u8 alpha[CPTDEV_UUID_LEN] = { 0xa }, gamma_[CPTDEV_UUID_LEN] = { 0xc };
static const u8 delta[CPTDEV_UUID_LEN] = { 0xd }, beta[CPTDEV_UUID_LEN] = { 0xb };
static const u8 one[CPTDEV_UUID_LEN] = { 1 }, two[CPTDEV_UUID_LEN] = { 2 };
static const u8 boot[CPTDEV_UUID_LEN] = { 0xb0 };

/*
 * The rules
 */

static void a_spare_lends_what_is_whole(void **state)
{
	struct record r = {};

	(void)state;
	assert_int_equal(record_may_lend(NULL, 0, gamma_, false), LENDING_NONE);
	record_fed(&r, "kv", one, 1, alpha, boot);
	assert_int_equal(record_may_lend(&r, 0, gamma_, false), LENDING_LACKS);
	record_progress(&r, 5);
	assert_int_equal(record_may_lend(&r, 0, gamma_, false), LENDING_OK);
	assert_int_equal(record_may_lend(&r, 2, gamma_, false), LENDING_OK);
	assert_int_equal(record_may_lend(&r, 1, gamma_, false), LENDING_FENCED);
	r.outdated = true;
	assert_int_equal(record_may_lend(&r, 2, gamma_, true), LENDING_LACKS);
	r.outdated = false;
	r.unsure = true;
	assert_int_equal(record_may_lend(&r, 2, gamma_, false), LENDING_LACKS);
	r.unsure = false;
	record_lend(&r, 2, gamma_);
	assert_int_equal(r.role, RECORD_SPARE);
	assert_int_equal(r.generation, 5);
	assert_false(r.outdated || r.source);
	/* The same host asks again; another one has come too late. */
	assert_int_equal(record_may_lend(&r, 2, gamma_, false), LENDING_OK);
	assert_int_equal(record_may_lend(&r, 2, delta, false), LENDING_FENCED);
	assert_int_equal(record_may_lend(&r, 1, alpha, false), LENDING_FENCED);
	record_lent(&r);
	assert_int_equal(record_may_lend(&r, 3, gamma_, false), LENDING_LACKS);
	assert_int_equal(record_may_lend(&r, 3, gamma_, true), LENDING_OK);
	assert_int_equal(record_may_lend(&r, 3, delta, true), LENDING_LACKS);
	record_promote(&r, "kv", 0, 1, beta);
	record_promoted(&r, true);
	assert_int_equal(record_may_lend(&r, 9, gamma_, true), LENDING_FENCED);
	record_started(&r, "kv", two, r.term, beta, boot);
	assert_int_equal(record_may_lend(&r, 9, gamma_, true), LENDING_NONE);
}

static void a_host_without_the_state_may_fetch_it(void **state)
{
	struct fetch_from from = { .generation = 5, .node_name = "beta" };
	struct record r = {};

	(void)state;
	memcpy(from.session, one, sizeof(one));
	memcpy(from.node, beta, sizeof(beta));
	assert_int_equal(record_may_fetch(NULL, beta), FETCHING_OK);
	record_fed(&r, "kv", one, 1, alpha, boot);
	assert_int_equal(record_may_fetch(&r, beta), FETCHING_OK);
	record_progress(&r, 5);
	assert_int_equal(record_may_fetch(&r, beta), FETCHING_HAS);
	r.outdated = true;
	assert_int_equal(record_may_fetch(&r, beta), FETCHING_OK);
	r.split = true;
	assert_int_equal(record_may_fetch(&r, beta), FETCHING_STANDS_STILL);
	r.split = false;
	record_fetching(&r, "kv", 2, gamma_, boot, &from);
	assert_false(record_used(&r));
	assert_true(record_may_fetch(&r, beta) == FETCHING_OK && record_asked_back(&r));
	/* What begins with the term after that has not all of its memory. */
	assert_true(record_awaits(&r, 3));
	assert_false(record_awaits(&r, 2));
	assert_int_equal(record_fetched(&r), 0);
	assert_int_equal(r.term, 3);
	assert_false(record_awaits(&r, 3));
	assert_int_equal(record_start(&r, two, 3, false, gamma_), START_TAKEN);
	record_started(&r, "kv", two, 3, gamma_, boot);
	/* Until something is acknowledged it may be fetched again. */
	assert_int_equal(record_may_fetch(&r, beta), FETCHING_OK);
	assert_true(record_asked_back(&r) && record_follows(&r, beta));
	record_progress(&r, 1);
	assert_false(record_asked_back(&r));
	/* From then on it has to be all that was acknowledged. */
	assert_int_equal(record_may_fetch(&r, beta), FETCHING_LACKS);
	record_follow(&r, beta, "beta");
	assert_int_equal(record_may_fetch(&r, beta), FETCHING_OK);
	assert_int_equal(record_may_fetch(&r, delta), FETCHING_LACKS);
	assert_true(record_is_there(&r, two, 1) && record_is_there(NULL, one, 1));
	assert_false(record_is_there(&r, one, 1) || record_is_there(&r, two, 0));
	r.alone_since = 1;
	assert_int_equal(record_may_fetch(&r, beta), FETCHING_LACKS);
	r.ended = true;
	assert_int_equal(record_may_fetch(&r, beta), FETCHING_OK);
	r.term = CPTDEV_TERM_MAX;
	assert_int_equal(record_fetched(&r), -1);
}

/*
 * The hosts
 */

struct world {
	struct host h[HOSTS];		/* alpha, beta, gamma, delta */
	u32 nr;
	struct fake_session *s;
	int program;
};

#define A(w)	(&(w)->h[0])
#define B(w)	(&(w)->h[1])
#define C(w)	(&(w)->h[2])
#define D(w)	(&(w)->h[3])

static void run(struct world *w)
{
	u32 i;

	for (i = 0; i < w->nr; i++)
		if (w->h[i].runs) {
			loop_turn(&w->h[i].daemon.loop, i == w->nr - 1);
			answers_look(w->h[i].looks);
		}
}

static void run_ms(struct world *w, u32 ms)
{
	u64 until = clock_mono() + ms * NSEC_PER_MSEC;

	do
		run(w);
	while (clock_mono() < until);
}

#define WAIT(w, cond)							\
	do {								\
		u64 until_ = clock_mono() + 20 * NSEC_PER_SEC;		\
		while (!(cond) && clock_mono() < until_)		\
			run(w);						\
		if (!(cond))						\
			fail_msg("not within 20 s: %s", #cond);		\
	} while (0)

static void knows(struct host *h, const struct host *other)
{
	struct conf_peer *p = &h->conf.peers[h->conf.nr_peers++];
	struct sockaddr_in *in = (struct sockaddr_in *)&p->addr;

	memset(p, 0, sizeof(*p));
	in->sin_family = AF_INET;
	in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	in->sin_port = htons(other->conf.listen_port);
	p->port = other->conf.listen_port;
	strcpy(p->name, other->name);
}

static struct peer *peer(struct host *h, const char *name)
{
	return peer_of_name(&h->daemon, name);
}

static bool linked(struct host *a, struct host *b)
{
	return peer(a, b->name)->out.state == OUT_UP && peer(b, a->name)->out.state == OUT_UP &&
		peer(a, b->name)->in && peer(b, a->name)->in;
}

static const struct record *record(struct host *h)
{
	static const struct record none;

	return record_of(&h->daemon, "kv") ?: &none;
}

/* alpha ships to beta alone; the others are linked with beta. */
static int setup(void **state)
{
	static const char *const names[HOSTS] = { "alpha", "beta", "gamma", "delta" };
	struct world *w = calloc(1, sizeof(*w));
	u32 i;

	w->nr = HOSTS;
	w->program = -1;
	for (i = 0; i < HOSTS; i++)
		host_open(&w->h[i], names[i], free_port());
	for (i = 0; i < HOSTS; i++)
		if (i != 1) {
			knows(&w->h[i], B(w));
			knows(B(w), &w->h[i]);
		}
	for (i = 0; i < HOSTS; i++)
		host_start(&w->h[i]);
	WAIT(w, linked(A(w), B(w)) && linked(C(w), B(w)) && linked(D(w), B(w)));
	w->s = fake_session(&A(w)->fake, "kv", PAGES);
	for (i = 0; i < PAGES; i++)
		if (i % 97)
			fake_write(w->s, i, i + 1);
		else
			fake_punch(w->s, i);
	fake_publish(&A(w)->fake, w->s);
	WAIT(w, w->s->rec.committed == w->s->rec.published);
	publish_some(A(w), w->s, 3, 99);
	WAIT(w, w->s->rec.committed == w->s->rec.published && record(B(w))->generation);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	u32 i;

	if (w->program >= 0)
		close(w->program);
	for (i = 0; i < HOSTS; i++)
		host_close(&w->h[i]);
	free(w);
	return 0;
}

/*
 * The program, as the library does it
 */

static int begin_at(struct host *h, const char *from)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	char line[128];

	strcpy(un.sun_path, h->conf.control);
	assert_int_equal(connect(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	snprintf(line, sizeof(line), "{\"command\":\"fetch\",\"name\":\"kv\",\"from\":\"%s\",\"wait_ms\":2500}\n", from);
	assert_int_equal(send(fd, line, strlen(line), 0), strlen(line));
	return fd;
}

/* False: the other end has closed. */
static bool get(struct world *w, int fd, void *to, size_t len)
{
	u64 until = clock_mono() + 20 * NSEC_PER_SEC;
	size_t done = 0;
	ssize_t n;

	while (done < len && clock_mono() < until) {
		n = recv(fd, (u8 *)to + done, len - done, MSG_DONTWAIT);
		if (!n)
			return false;
		done += MAX(n, 0);
		if (n < 0)
			run(w);
	}
	assert_int_equal(done, len);
	return true;
}

static struct json_object *get_line(struct world *w, int fd)
{
	char line[1024];
	size_t n = 0;

	do
		assert_true(n < sizeof(line) - 1 && get(w, fd, line + n, 1));
	while (line[n++] != '\n');
	line[n] = '\0';
	return json_tokener_parse(line);
}

/* The term that its session takes; 0: refused, as @why says. */
static u64 answered(struct world *w, int fd, char *why)
{
	struct json_object *o = get_line(w, fd), *e = js_at(o, "error");
	u64 term = e ? 0 : js_get_u64(o, "term");

	if (e)
		strcpy(why, js_get_str(e, "message"));
	json_object_put(o);
	return term;
}

static u64 begin(struct world *w)
{
	char why[512] = "";
	u64 term;

	if (w->program >= 0)
		close(w->program);
	w->program = begin_at(C(w), "beta");
	term = answered(w, w->program, why);
	if (!term)
		fail_msg("%s", why);
	return term;
}

static void assert_refused(struct world *w, struct host *h, const char *text)
{
	char why[512] = "";
	int fd = begin_at(h, "beta");

	assert_int_equal(answered(w, fd, why), 0);
	if (!strstr(why, text))
		fail_msg("'%s' instead of '%s'", why, text);
	close(fd);
}

/* The answer to a request, and what follows it; false: the connection was closed. */
static bool ask(struct world *w, u32 what, u64 addr, u64 len, struct fetch_answer *a, u8 *to)
{
	struct fetch_request r = { .what = what, .addr = addr, .len = len };

	if (send(w->program, &r, sizeof(r), MSG_NOSIGNAL) != sizeof(r) ||
	    !get(w, w->program, a, sizeof(*a)))
		return false;
	assert_int_equal(a->what, what);
	assert_int_equal(a->addr, addr);
	assert_int_equal(a->len, len);
	return get(w, w->program, to, a->follows);
}

static u8 memory[PAGES * FAKE_PAGE], buf[FETCH_BYTES_MAX];

/* The first so many bytes of it. True: all was read. */
static bool read_memory(struct world *w, u64 bytes)
{
	struct fetch_extent x[FETCH_EXTENTS_MAX];
	struct fetch_answer a;
	u64 at, n, total = 0;
	u32 i, nr;

	memset(memory, 0, sizeof(memory));
	if (!ask(w, FETCH_LIST, 0, 0, &a, (u8 *)x))
		return false;
	assert_int_equal(a.err, 0);
	nr = a.follows / sizeof(x[0]);
	assert_true(nr > 1);
	for (i = 0; i < nr; i++)
		for (at = x[i].addr; at < x[i].addr + x[i].len && total < bytes; at += n) {
			n = MIN(x[i].addr + x[i].len - at, sizeof(buf));
			if (!ask(w, FETCH_PAGES, at, n, &a, memory + (at - FAKE_BASE)) || a.err)
				return false;
			total += n;
		}
	if (total < bytes) {
		assert_true(ask(w, FETCH_LIST, x[nr - 1].addr + x[nr - 1].len, 0, &a, (u8 *)x));
		assert_int_equal(a.follows, 0);
	}
	return true;
}

static bool finish(struct world *w)
{
	struct fetch_answer a;

	return ask(w, FETCH_DONE, 0, 0, &a, buf) && !a.err;
}

/* The program at the end of the transfer: it has the memory, and its session. */
static struct fake_session *program(struct world *w, u64 term)
{
	struct fake_session *s = fake_session_with(&C(w)->fake, "kv", PAGES, term, 0);
	u32 i;

	memcpy(s->mem, memory, sizeof(memory));
	for (i = 0; i < PAGES; i++)
		s->dirty[i] = true;
	return s;
}

static void wait_on(struct host *h, bool waits)
{
	h->fake.kernel.ops->create(&h->fake.kernel, "kv", 1000);
	fake_replica(&h->fake, "kv")->rec.waiters = waits;
}

static int promote(struct host *h, bool force)
{
	u64 term = 0, generation;

	return promotion_do(&h->daemon, "kv", &term, &generation, force);
}

/*
 * The way it goes
 */

static void a_program_goes_on_from_another_hosts_replica(void **state)
{
	struct world *w = *state;
	struct fake_session *s;
	u64 term;

	host_lose(A(w));
	/* Not before the lease of the lost host is over. */
	term = begin(w);
	assert_true(peer_lease_over(peer(B(w), "alpha")));
	assert_int_equal(term, 3);
	assert_int_equal(record(C(w))->role, RECORD_TAKING);
	assert_int_equal(record(C(w))->term, 2);
	assert_true(uuid_same(record(B(w))->owner, C(w)->daemon.self.uuid));
	assert_int_equal(record(B(w))->term, 2);
	assert_false(record(B(w))->outdated);
	/* It runs, and answers nobody: nor does a checkpoint of it go anywhere. */
	s = fake_session_with(&C(w)->fake, "kv", PAGES, term, 0);
	WAIT(w, !fake_allows(s));
	publish_some(C(w), s, 0, 1);
	run_ms(w, 300);
	assert_int_equal(s->rec.committed, 0);
	assert_int_equal(record(C(w))->role, RECORD_TAKING);
	assert_false(record(B(w))->outdated);
	fake_session_end_by(&C(w)->fake, s, CPTDEV_END_KILLED, 9);
	assert_int_equal(promote(B(w), false), -EBUSY);
	s = program(w, term);
	WAIT(w, !fake_allows(s));
	assert_true(read_memory(w, ~0ULL));
	assert_memory_equal(memory, w->s->mem, sizeof(memory));
	assert_false(record(B(w))->outdated || fake_allows(s));
	assert_true(finish(w));
	assert_true(record(B(w))->outdated && record(B(w))->source);
	assert_int_equal(record(C(w))->term, 3);
	assert_int_equal(record(C(w))->role, RECORD_PRIMARY);
	assert_true(fake_allows(s));
	assert_false(lend_gives(&B(w)->daemon, "kv"));
	assert_int_equal(promote(B(w), false), -EREMCHG);
	/* The host that lent it is its spare now. */
	memcpy(s->mem, memory, sizeof(memory));
	publish_some(C(w), s, 4, 7);
	WAIT(w, s->rec.committed == s->rec.published && !record(B(w))->outdated);
	assert_true(fake_same(fake_replica(&B(w)->fake, "kv"), s));
	/* The first host comes back, and learns of it. */
	host_start(A(w));
	WAIT(w, w->s->fenced);
}

/* How far it is, for whoever asks. */
static struct json_object *fetches(struct host *h)
{
	struct json_object *o = status_json(&h->daemon), *list;

	list = json_object_get(js_at(o, "fetches"));
	json_object_put(o);
	return list;
}

static void it_is_shown(void **state)
{
	struct world *w = *state;
	struct json_object *list, *f;
	u64 here, bytes;

	host_lose(A(w));
	begin(w);
	read_memory(w, 300 * FAKE_PAGE);
	list = fetches(C(w));
	assert_int_equal(json_object_array_length(list), 1);
	f = json_object_array_get_idx(list, 0);
	here = js_get_u64(f, "here");
	bytes = js_get_u64(f, "bytes");
	assert_string_equal(js_get_str(f, "phase"), "running");
	assert_string_equal(js_get_str(f, "from"), "beta");
	assert_true(here >= 300 * FAKE_PAGE && here < bytes);
	json_object_put(list);
	assert_true(read_memory(w, ~0ULL) && finish(w));
	list = fetches(C(w));
	assert_int_equal(json_object_array_length(list), 0);
	json_object_put(list);
}

/* The source is lost in the middle: that is the program's end, and nothing is lost with it. */
static void the_source_may_be_lost(void **state)
{
	struct world *w = *state;
	struct fetch_answer a;
	u64 term;

	host_lose(A(w));
	term = begin(w);
	program(w, term);
	assert_true(read_memory(w, 300 * FAKE_PAGE));
	host_kill(B(w));
	assert_false(ask(w, FETCH_PAGES, FAKE_BASE + 600 * FAKE_PAGE, FAKE_PAGE, &a, buf));
	assert_int_equal(record(C(w))->role, RECORD_TAKING);
	host_start(B(w));
	WAIT(w, linked(C(w), B(w)));
	assert_false(record(B(w))->outdated);
	assert_int_equal(promote(B(w), false), 0);
	assert_int_equal(record(B(w))->term, 3);
}

/* So is the program itself; another one begins anew. */
static void the_program_may_end(void **state)
{
	struct world *w = *state;
	struct fake_session *s;
	u64 term;

	host_lose(A(w));
	term = begin(w);
	s = program(w, term);
	assert_true(read_memory(w, 300 * FAKE_PAGE));
	close(w->program);
	w->program = -1;
	fake_session_end_by(&C(w)->fake, s, CPTDEV_END_KILLED, 9);
	WAIT(w, !lend_gives(&B(w)->daemon, "kv"));
	assert_false(record(B(w))->outdated);
	term = begin(w);
	assert_int_equal(term, 4);
	s = program(w, term);
	assert_true(read_memory(w, ~0ULL) && finish(w));
	assert_memory_equal(memory, w->s->mem, sizeof(memory));
	WAIT(w, fake_allows(s));
}

/* The daemon that the program asks; a session that is left has a part of its memory, and is barred. */
static void its_own_daemon_may_end(void **state)
{
	struct world *w = *state;
	struct fake_session *s;
	u64 term;
	u8 c;

	host_lose(A(w));
	term = begin(w);
	s = program(w, term);
	assert_true(read_memory(w, 300 * FAKE_PAGE));
	host_kill(C(w));
	assert_false(get(w, w->program, &c, 1));
	host_start(C(w));
	WAIT(w, linked(C(w), B(w)) && !lend_gives(&B(w)->daemon, "kv"));
	run_ms(w, 300);
	assert_false(fake_allows(s) || record(B(w))->outdated);
	assert_int_equal(record(C(w))->role, RECORD_TAKING);
	assert_int_equal(promote(B(w), false), 0);
}

/* It was given, and nobody went on: nothing was acknowledged, so it is given once more. */
static void what_was_given_is_given_again(void **state)
{
	struct world *w = *state;
	struct fetch_request r = { .what = FETCH_DONE };
	struct fake_session *s;
	u64 term;

	host_lose(A(w));
	term = begin(w);
	assert_true(read_memory(w, ~0ULL));
	assert_int_equal(send(w->program, &r, sizeof(r), 0), sizeof(r));
	while (!record(B(w))->source) {
		loop_turn(&C(w)->daemon.loop, 0);
		if (!record(B(w))->source)
			loop_turn(&B(w)->daemon.loop, 1);
	}
	host_kill(C(w));
	host_start(C(w));
	WAIT(w, linked(C(w), B(w)));
	assert_int_equal(record(C(w))->role, RECORD_TAKING);
	assert_int_equal(promote(B(w), false), -EREMCHG);
	/* Nobody else gets it. */
	assert_refused(w, D(w), "may lack data");
	assert_true(begin(w) > term);
	s = program(w, record(C(w))->term + 1);
	assert_true(read_memory(w, ~0ULL) && finish(w));
	assert_memory_equal(memory, w->s->mem, sizeof(memory));
	WAIT(w, fake_allows(s));
}

static void a_person_may_promote_it_by_force(void **state)
{
	struct world *w = *state;
	struct fetch_answer a;

	host_lose(A(w));
	begin(w);
	assert_true(read_memory(w, 300 * FAKE_PAGE));
	assert_int_equal(promote(B(w), true), 0);
	assert_true(ask(w, FETCH_PAGES, FAKE_BASE + 600 * FAKE_PAGE, FAKE_PAGE, &a, buf));
	assert_int_equal(a.err, -EIO);
	assert_false(finish(w));
	assert_int_not_equal(record(C(w))->role, RECORD_PROMOTED);
}

/*
 * Conditions
 */

static void exactly_one_gets_it(void **state)
{
	struct world *w = *state;

	host_lose(A(w));
	begin(w);
	assert_refused(w, C(w), "another program goes on from that replica here");
	assert_refused(w, D(w), "may be alive on gamma");
	assert_true(read_memory(w, ~0ULL) && finish(w));
	assert_refused(w, D(w), "may lack data");
	assert_int_equal(record(D(w))->term, 0);
}

/* Both are told to wait until the lease of the lost host is over. */
static void two_at_once(void **state)
{
	struct world *w = *state;
	char why[2][512] = { "", "" };
	int fd[2];
	u64 term[2];

	host_lose(A(w));
	fd[0] = begin_at(C(w), "beta");
	fd[1] = begin_at(D(w), "beta");
	term[0] = answered(w, fd[0], why[0]);
	term[1] = answered(w, fd[1], why[1]);
	assert_true(!term[0] != !term[1]);
	assert_non_null(strstr(why[!term[1]], "may be alive on"));
	assert_int_equal(record(term[0] ? D(w) : C(w))->term, 0);
	close(fd[0]);
	close(fd[1]);
}

static void a_program_that_lives_keeps_it(void **state)
{
	struct world *w = *state;

	assert_refused(w, C(w), "may be alive on alpha");
	assert_int_equal(record(C(w))->term, 0);
	assert_int_equal(record(B(w))->term, 1);
	/* It has failed, as its host says. */
	fake_session_end_by(&A(w)->fake, w->s, CPTDEV_END_KILLED, 9);
	WAIT(w, record(B(w))->failed);
	wait_on(B(w), true);
	assert_refused(w, C(w), "a program waits for the replica on beta");
	wait_on(B(w), false);
	assert_int_equal(begin(w), 3);
}

static void a_promoted_replica_stays(void **state)
{
	struct world *w = *state;

	host_lose(A(w));
	assert_int_equal(promote(B(w), false), 0);
	assert_refused(w, C(w), "was promoted, with term 2: start the program there");
	assert_int_equal(record(C(w))->term, 0);
}

static void an_outdated_replica_stays(void **state)
{
	struct world *w = *state;

	host_lose(A(w));
	recorded_find(&B(w)->daemon, "kv")->r.outdated = true;
	assert_refused(w, C(w), "may lack data");
}

/* The first host, whose program was killed: its own state, before all of it is back. */
static void a_host_gets_its_own_state(void **state)
{
	struct world *w = *state;
	char why[512] = "";
	static u8 content[sizeof(memory)];
	u64 term;

	memcpy(content, w->s->mem, sizeof(content));
	fake_session_end_by(&A(w)->fake, w->s, CPTDEV_END_KILLED, 9);
	WAIT(w, record(B(w))->failed && !known_find_name(&A(w)->daemon, "kv"));
	recorded_find(&A(w)->daemon, "kv")->r.generation += 5;
	assert_refused(w, A(w), "this host acknowledged data that the replica lacks");
	recorded_find(&A(w)->daemon, "kv")->r.generation -= 5;
	recorded_find(&A(w)->daemon, "kv")->r.alone_since = 5;
	assert_refused(w, A(w), "may lack");
	recorded_find(&A(w)->daemon, "kv")->r.alone_since = 0;
	w->program = begin_at(A(w), "beta");
	term = answered(w, w->program, why);
	assert_int_equal(term, 3);
	assert_true(read_memory(w, ~0ULL) && finish(w));
	assert_memory_equal(memory, content, sizeof(memory));
	assert_int_equal(record(A(w))->role, RECORD_PROMOTED);
	assert_true(record(B(w))->source);
}

/* It hears of another host's term, or is fed by it, between the question and the refusal. */
static void what_is_learned_meanwhile_stays(void **state)
{
	struct world *w = *state;
	char why[512] = "";
	struct record r;
	int fd, fed;

	host_lose(A(w));
	for (fed = 0; fed < 2; fed++) {
		/* An old copy, of which this host isn't the spare any more. */
		r = (struct record) {};
		record_started(&r, "kv", two, 1, C(w)->daemon.self.uuid, C(w)->daemon.boot);
		assert_int_equal(records_write(&C(w)->daemon, &r), 0);
		fd = begin_at(C(w), "beta");
		while (record(C(w))->role != RECORD_TAKING) {
			loop_turn(&B(w)->daemon.loop, 0);
			loop_turn(&C(w)->daemon.loop, 0);
		}
		r = *record(C(w));
		if (fed)
			record_fed(&r, "kv", two, 9, delta, boot);
		records_write(&C(w)->daemon, &r);
		if (!fed)
			records_met(&C(w)->daemon, "kv", 9, delta, "delta");
		wait_on(B(w), true);
		fake_replica(&B(w)->fake, "kv")->promoted = true;
		assert_int_equal(answered(w, fd, why), 0);
		close(fd);
		fake_replica(&B(w)->fake, "kv")->promoted = false;
		wait_on(B(w), false);
		if (fed)
			assert_true(record(C(w))->role == RECORD_SPARE && record(C(w))->term == 9);
		else
			assert_true(record(C(w))->role == RECORD_PRIMARY && record(C(w))->outdated);
	}
}

static void refusals_of_this_host(void **state)
{
	struct world *w = *state;
	struct fake_session *s;
	char why[512] = "";
	int fd = begin_at(C(w), "omega");

	assert_int_equal(answered(w, fd, why), 0);
	assert_non_null(strstr(why, "omega isn't a peer of this host"));
	close(fd);
	host_lose(A(w));
	s = fake_session(&C(w)->fake, "kv", 4);
	WAIT(w, known_find_name(&C(w)->daemon, "kv"));
	assert_refused(w, C(w), "a program of this name runs on this host");
	fake_session_end(&C(w)->fake, s);
	WAIT(w, !known_find_name(&C(w)->daemon, "kv"));
	peer(C(w), "beta")->out.features &= ~WIRE_FEATURE_FETCH;
	assert_refused(w, C(w), "too old");
}

/* A program that breaks the rules is dropped, and the replica is what it was. */
static void a_program_is_not_believed(void **state)
{
	static const struct fetch_request bad[] = {
		{ .what = 3 }, { .what = FETCH_LIST, .reserved = 1 },
		{ .what = FETCH_PAGES, .addr = FAKE_BASE },
		{ .what = FETCH_PAGES, .addr = FAKE_BASE, .len = 100 },
		{ .what = FETCH_PAGES, .addr = FAKE_BASE + 1, .len = 4096 },
		{ .what = FETCH_PAGES, .addr = FAKE_BASE, .len = FETCH_BYTES_MAX + 4096 },
		{ .what = FETCH_PAGES, .addr = 1ULL << 63, .len = 4096 },
		{ .what = FETCH_LIST, .len = 4096 },
	};
	struct world *w = *state;
	u32 i;
	u8 c;

	host_lose(A(w));
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		begin(w);
		assert_int_equal(send(w->program, &bad[i], sizeof(bad[i]), 0), sizeof(bad[i]));
		assert_false(get(w, w->program, &c, 1));
		WAIT(w, !lend_gives(&B(w)->daemon, "kv"));
		assert_true(linked(C(w), B(w)));
	}
	/* What isn't there can't be read, and the link stays. */
	begin(w);
	assert_true(ask(w, FETCH_PAGES, FAKE_BASE + (PAGES << 12), 4096,
			&(struct fetch_answer) {}, buf));
	assert_true(linked(C(w), B(w)));
}

/*
 * A peer asks for much that is cut short at the end of the memory: the answers are small, and what
 * is read for them isn't. READ_BUDGET holds for each of the two readings of a turn.
 */
static const struct kernel_ops *real;
static u64 bytes_read;

static ssize_t counting_read(struct kernel *k, int fd, void *to, size_t len, u64 pos)
{
	ssize_t n = real->read(k, fd, to, len, pos);

	bytes_read += MAX(n, 0);
	return n;
}

static void a_turn_reads_no_more_than_others(void **state)
{
	const struct msg_read m = {
		.what = WIRE_READ_PAGES, .addr = FAKE_BASE + (PAGES - 63) * FAKE_PAGE,
		.len = WIRE_READ_BYTES,
	};
	struct world *w = *state;
	struct kernel_ops counting;
	u8 payload[32];
	u32 i;

	host_lose(A(w));
	begin(w);
	real = B(w)->fake.kernel.ops;
	counting = *real;
	counting.read = counting_read;
	B(w)->fake.kernel.ops = &counting;
	for (i = 0; i < 500; i++) {
		struct writer p = { .p = payload, .cap = sizeof(payload) };

		read_encode(&p, &m);
		conn_send(peer(C(w), "beta")->out.conn, WIRE_READ, C(w)->daemon.last_fetch, &p);
	}
	for (i = 0; i < 3; i++)
		loop_turn(&C(w)->daemon.loop, 0);
	bytes_read = 0;
	loop_turn(&B(w)->daemon.loop, 1);
	B(w)->fake.kernel.ops = real;
	assert_in_range(bytes_read, 1U << 20, 9U << 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
		cmocka_unit_test(a_spare_lends_what_is_whole),
		cmocka_unit_test(a_host_without_the_state_may_fetch_it),
		T(a_program_goes_on_from_another_hosts_replica),
		T(it_is_shown),
		T(the_source_may_be_lost),
		T(the_program_may_end),
		T(its_own_daemon_may_end),
		T(what_was_given_is_given_again),
		T(a_person_may_promote_it_by_force),
		T(exactly_one_gets_it),
		T(two_at_once),
		T(a_program_that_lives_keeps_it),
		T(a_promoted_replica_stays),
		T(an_outdated_replica_stays),
		T(a_host_gets_its_own_state),
		T(what_is_learned_meanwhile_stays),
		T(refusals_of_this_host),
		T(a_program_is_not_believed),
		T(a_turn_reads_no_more_than_others),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("fetches", tests, NULL, NULL);
}
