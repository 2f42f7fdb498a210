// SPDX-License-Identifier: GPL-2.0-or-later
/* The control socket: answers, and clients that behave badly. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "ctl.h"
#include "dial.h"
#include "json.h"
#include "lines.h"
#include "pair.h"

#define STATUS	"{\"command\":\"status\"}\n"

static struct json_object *first(struct json_object *o, const char *key)
{
	return json_object_array_get_idx(js_at(o, key), 0);
}

static void the_status_has_links_and_sessions(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 100);
	struct json_object *o, *peer, *ship;
	int fd = dial(&p->a);

	fake_noise(s, 1);
	fake_publish(&p->a.fake, s);
	WAIT_FOR(p, s->rec.committed == 1);
	WAIT_FOR(p, host_peer(&p->a)->out.conn->rtt_ns >= NSEC_PER_USEC);
	o = ask(p, fd, STATUS);
	assert_int_equal(js_get_u64(o, "schema_version"), 1);
	assert_string_equal(js_get_str(js_at(o, "node"), "name"), "alpha");
	peer = first(o, "peers");
	assert_string_equal(js_get_str(peer, "name"), "beta");
	assert_string_equal(js_get_str(peer, "detector"), "alive");
	assert_string_equal(js_get_str(js_at(peer, "incoming"), "state"), "up");
	assert_string_equal(js_get_str(js_at(peer, "outgoing"), "state"), "up");
	assert_true(js_get_u64(js_at(peer, "outgoing"), "rtt_us") > 0);
	assert_true(js_get_u64(js_at(peer, "outgoing"), "bytes_sent") > 100 * 4096);
	assert_int_equal(js_get_u64(js_at(peer, "outgoing"), "page_bytes"), 100 * 4096);
	assert_in_range(js_get_u64(js_at(peer, "outgoing"), "page_bytes_on_wire"), 100 * 4096,
			101 * 4096);
	assert_string_equal(js_get_str(js_at(peer, "outgoing"), "compression"), "auto");
	ship = first(js_at(peer, "outgoing"), "sessions");
	assert_string_equal(js_get_str(ship, "name"), "kv");
	assert_string_equal(js_get_str(ship, "state"), "waiting");
	assert_int_equal(js_get_u64(ship, "committed"), 1);
	assert_int_equal(js_get_u64(ship, "lag_generations"), 0);
	assert_int_equal(js_get_u64(ship, "bytes_shipped"), 100 * 4096);
	assert_int_equal(js_get_u64(ship, "full_copies"), 1);
	assert_int_equal(js_get_u64(ship, "bytes_on_wire"),
			 js_get_u64(js_at(peer, "outgoing"), "page_bytes_on_wire"));
	json_object_put(o);
	close(fd);

	fd = dial(&p->b);
	o = ask(p, fd, STATUS);
	ship = first(js_at(first(o, "peers"), "incoming"), "replicas");
	assert_string_equal(js_get_str(ship, "name"), "kv");
	assert_int_equal(js_get_u64(ship, "committed"), 1);
	json_object_put(o);
	close(fd);
}

static void lag_is_told_in_generations_and_time(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 10);
	struct json_object *o, *ship;
	int fd = dial(&p->a), i;

	fake_publish(&p->a.fake, s);
	WAIT_FOR(p, s->rec.committed == 1);
	fake_replica(&p->b.fake, "kv")->frozen = true;
	for (i = 0; i < 3; i++)
		fake_publish(&p->a.fake, s);
	pair_run(p, 100);
	o = ask(p, fd, STATUS);
	ship = first(js_at(first(o, "peers"), "outgoing"), "sessions");
	assert_int_equal(js_get_u64(ship, "lag_generations"), 3);
	assert_in_range(js_get_u64(ship, "lag_ms"), 80, 1000);
	assert_non_null(strstr(js_get_str(ship, "error"), "frozen"));
	json_object_put(o);
	close(fd);
}

static void requests_follow_each_other(void **state)
{
	struct pair *p = *state;
	struct json_object *o;
	int fd = dial(&p->a), i;

	assert_true(send(fd, STATUS STATUS STATUS, 3 * strlen(STATUS), 0) > 0);
	for (i = 0; i < 3; i++) {
		o = answer(p, fd);
		assert_non_null(js_at(o, "peers"));
		json_object_put(o);
	}
	close(fd);
}

static void refused(struct pair *p, const char *line, const char *code)
{
	int fd = dial(&p->a);
	struct json_object *o = ask(p, fd, line);

	assert_int_equal(js_get_u64(o, "schema_version"), 1);
	assert_string_equal(js_get_str(js_at(o, "error"), "code"), code);
	json_object_put(o);
	close(fd);
}

static void nonsense_is_refused(void **state)
{
	struct pair *p = *state;
	char *line = malloc(8001);

	refused(p, "\n", "bad-request");
	refused(p, "hello\n", "bad-request");
	refused(p, "[1,2]\n", "bad-request");
	refused(p, "{\"command\":7}\n", "bad-request");
	refused(p, "{\"command\":\"start\"}\n", "bad-request");
	refused(p, "{\"command\":\"start\",\"name\":\"a/b\"}\n", "bad-request");
	refused(p, "{\"command\":\"reboot\"}\n", "unknown-command");
	memset(line, 'x', 8000);
	line[8000] = '\0';
	refused(p, line, "bad-request");
	free(line);
}

static void a_program_that_starts_may_ask(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 4);
	struct json_object *o;
	int fd = dial(&p->b);

	publish_some(&p->a, s, 0, 1);
	WAIT_FOR(p, pair_committed(s));
	o = ask(p, fd, "{\"command\":\"start\",\"name\":\"kv\"}\n");
	assert_string_equal(js_get_str(o, "name"), "kv");
	assert_string_equal(js_get_str(o, "answer"), "spare");
	assert_int_equal(js_get_u64(o, "term"), 1);
	assert_non_null(strstr(js_get_str(o, "text"), "this host is the spare"));
	json_object_put(o);
	o = ask(p, fd, "{\"command\":\"start\",\"name\":\"other\"}\n");
	assert_string_equal(js_get_str(o, "answer"), "fresh");
	json_object_put(o);
	close(fd);
}

/* By mistake, on the wrong host: what a program has that stands still may be the last copy. */
static void the_last_copy_needs_a_word_more(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 10);
	struct recorded *e;

	publish_some(&p->a, s, 0, 1);
	WAIT_FOR(p, pair_committed(s));
	e = recorded_find(&p->a.daemon, "kv");
	e->r.lost_term = 2;
	refused(p, "{\"command\":\"forget\",\"name\":\"kv\"}\n", "overtaken");
	assert_int_equal(e->r.lost_term, 2);
	assert_false(s->fenced);
	e->r.lost_term = 0;
	e->r.split = true;
	refused(p, "{\"command\":\"forget\",\"name\":\"kv\"}\n", "split-brain");
	assert_false(s->fenced);
	e->r.split = false;
	/* Nor is what is so forgotten, as long as it is: the program lives, the replica is there. */
	refused(p, "{\"command\":\"forget\",\"name\":\"kv\"}\n", "primary");
	e->r.role = RECORD_SPARE;
	e->r.outdated = true;
	WAIT_FOR(p, held_find(&p->a.daemon, "kv") ||
		 !p->a.daemon.kernel->ops->create(p->a.daemon.kernel, "kv", 0));
	refused(p, "{\"command\":\"forget\",\"name\":\"kv\"}\n", "outdated");
}

static void clients_are_limited(void **state)
{
	struct pair *p = *state;
	struct json_object *o;
	int fd[5], i;

	for (i = 0; i < 5; i++) {
		fd[i] = dial(&p->a);
		pair_run(p, 5);
	}
	assert_int_equal(p->a.daemon.nr_clients, 4);
	o = answer(p, fd[4]);
	assert_string_equal(js_get_str(js_at(o, "error"), "code"), "too-many-clients");
	json_object_put(o);
	for (i = 0; i < 5; i++)
		close(fd[i]);
	WAIT_FOR(p, p->a.daemon.nr_clients == 0);
}

/* The daemon neither waits for it nor collects answers for it. */
static void a_client_that_doesnt_read_is_left_alone(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 10);
	int fd = dial(&p->a), i;

	for (i = 0; i < 1000; i++)
		if (send(fd, STATUS, strlen(STATUS), MSG_NOSIGNAL) < 0)
			pair_run(p, 0);
	fake_publish(&p->a.fake, s);
	WAIT_FOR(p, s->rec.committed == 1);
	close(fd);
	WAIT_FOR(p, p->a.daemon.nr_clients == 0);
}

#define MONITOR "{\"command\":\"monitor\"}\n"

/* The next line must be this event; what it says of the peer. */
static struct json_object *event(struct pair *p, int fd, const char *word)
{
	struct json_object *o = answer(p, fd);

	assert_non_null(o);
	assert_string_equal(js_get_str(o, "object"), "peer");
	assert_string_equal(js_get_str(o, "event"), word);
	return o;
}

static void peers_are_monitored(void **state)
{
	struct pair *p = *state;
	int fd = dial(&p->a);
	struct json_object *o;

	assert_true(send(fd, MONITOR, strlen(MONITOR), 0) > 0);
	o = event(p, fd, "present");
	assert_string_equal(js_get_str(js_at(o, "peer"), "name"), "beta");
	assert_string_equal(js_get_str(js_at(o, "peer"), "outgoing"), "up");
	json_object_put(o);
	host_lose(&p->b);
	WAIT_FOR(p, host_peer(&p->a)->detector.state == DET_DEAD);
	/* Either link may be noticed first. */
	o = answer(p, fd);
	json_object_put(o);
	o = answer(p, fd);
	assert_non_null(strstr("outgoing-lost incoming-lost", js_get_str(o, "event")));
	json_object_put(o);
	o = event(p, fd, "dead");
	assert_string_equal(js_get_str(js_at(o, "peer"), "detector"), "dead");
	/* It is tried again all the time: between two attempts it is down, else connecting. */
	assert_string_not_equal(js_get_str(js_at(o, "peer"), "outgoing"), "up");
	json_object_put(o);
	host_start(&p->b);
	o = answer(p, fd);
	assert_non_null(strstr("outgoing-up incoming-up", js_get_str(o, "event")));
	json_object_put(o);
	/* It can ask besides. */
	WAIT_FOR(p, host_linked(&p->a));
	json_object_put(answer(p, fd));
	o = ask(p, fd, STATUS);
	assert_non_null(js_at(o, "peers"));
	json_object_put(o);
	close(fd);
	WAIT_FOR(p, !p->a.daemon.nr_clients);
	assert_int_equal(p->a.daemon.nr_monitors, 0);
}

/* A farewell is something else than a loss. */
static void a_peer_that_leaves(void **state)
{
	struct pair *p = *state;
	int fd = dial(&p->a), i;
	struct json_object *o;
	bool left = false;

	assert_true(send(fd, MONITOR, strlen(MONITOR), 0) > 0);
	json_object_put(event(p, fd, "present"));
	host_stop(&p->b, &p->a);
	for (i = 0; i < 2; i++) {
		o = answer(p, fd);
		left |= !strcmp(js_get_str(o, "event"), "left");
		json_object_put(o);
	}
	assert_true(left);
	close(fd);
}

/* Sessions of this host, as the daemon sees them. */
static struct json_object *session_event(struct pair *p, int fd, const char *word)
{
	struct json_object *o;

	while ((o = answer(p, fd))) {
		if (!strcmp(js_get_str(o, "object"), "session-state") &&
		    !strcmp(js_get_str(o, "event"), word))
			break;
		json_object_put(o);
	}
	assert_non_null(o);
	return o;
}

static void the_policy_of_a_session_is_changed(void **state)
{
	struct pair *p = *state;
	struct json_object *o, *ack;
	struct fake_session *s;
	int fd = dial(&p->a);

	refused(p, "{\"command\":\"ack\",\"name\":\"kv\",\"policy\":\"any\"}\n", "failed");
	s = fake_session(&p->a.fake, "kv", 10);
	publish_some(&p->a, s, 0, 1);
	WAIT_FOR(p, pair_committed(s));
	refused(p, "{\"command\":\"ack\",\"name\":\"kv\"}\n", "bad-request");
	refused(p, "{\"command\":\"ack\",\"name\":\"kv\",\"policy\":\"17\"}\n", "failed");
	o = ask(p, fd, "{\"command\":\"ack\",\"name\":\"kv\",\"policy\":\"any\"}\n");
	ack = js_at(o, "ack");
	assert_string_equal(js_get_str(ack, "policy"), "any");
	assert_string_equal(js_get_str(ack, "by"), "person");
	assert_true(js_get_bool(ack, "in_force"));
	assert_int_equal(js_get_u64(ack, "acknowledged"), s->rec.published);
	ack = first(ack, "spares");
	assert_string_equal(js_get_str(ack, "name"), "beta");
	assert_string_equal(js_get_str(ack, "state"), "in-step");
	assert_true(js_get_bool(ack, "member"));
	assert_int_equal(js_get_u64(ack, "committed"), s->rec.published);
	json_object_put(o);
	o = ask(p, fd, "{\"command\":\"ack\",\"name\":\"kv\",\"policy\":\"\"}\n");
	assert_string_equal(js_get_str(js_at(o, "ack"), "policy"), "all");
	assert_string_equal(js_get_str(js_at(o, "ack"), "by"), "configuration");
	json_object_put(o);
	close(fd);
}

static void sessions_are_monitored(void **state)
{
	struct pair *p = *state;
	int fd = dial(&p->a), other = dial(&p->a);
	struct fake_session *s;
	struct json_object *o;

	p->a.daemon.conf.sessions.failover = FAILOVER_AUTO;
	s = fake_session(&p->a.fake, "kv", 10);
	publish_some(&p->a, s, 0, 1);
	WAIT_FOR(p, pair_committed(s) && fake_allows(s));
	refused(p, "{\"command\":\"alone\",\"name\":\"kv\"}\n", "failed");
	refused(p, "{\"command\":\"checkpoint\",\"name\":\"none\"}\n", "no-session");
	refused(p, "{\"command\":\"checkpoint\"}\n", "bad-request");
	o = ask(p, other, "{\"command\":\"checkpoint\",\"name\":\"kv\"}\n");
	assert_string_equal(js_get_str(o, "name"), "kv");
	json_object_put(o);
	assert_true(s->state.flags & CPTDEV_STATE_WANTED);
	json_object_put(ask(p, fd, MONITOR));
	host_lose(&p->b);
	o = session_event(p, fd, "lease-over");
	assert_string_equal(js_get_str(js_at(o, "session"), "state"), "lease-over");
	json_object_put(o);
	o = ask(p, other, "{\"command\":\"alone\",\"name\":\"kv\"}\n");
	assert_string_equal(js_get_str(o, "state"), "alone");
	assert_non_null(strstr(js_get_str(o, "meaning"), "on this host only"));
	json_object_put(o);
	o = session_event(p, fd, "alone");
	assert_string_equal(js_get_str(js_at(o, "session"), "name"), "kv");
	assert_string_equal(js_get_str(js_at(o, "session"), "state"), "alone");
	json_object_put(o);
	/* The spare lacks what isn't kept any more; the program's next checkpoint brings it. */
	host_start(&p->b);
	WAIT_FOR(p, host_linked(&p->a));
	publish_some(&p->a, s, 1, 2);
	json_object_put(session_event(p, fd, "followed"));
	close(fd);
	close(other);
}

#define HOLD(more)	"{\"command\":\"hold\",\"name\":\"kv\"" more "}\n"
#define RELEASE		"{\"command\":\"release\",\"name\":\"kv\"}\n"

/* How the session stands after the event. */
static struct json_object *held_off_after(struct pair *p, int fd, const char *word)
{
	struct json_object *o = session_event(p, fd, word);
	struct json_object *off = json_object_get(js_at(js_at(o, "session"), "held_off"));

	json_object_put(o);
	return off;
}

static void checkpoints_are_held_off(void **state)
{
	struct pair *p = *state;
	int fd = dial(&p->a), other = dial(&p->a);
	struct fake_session *s = fake_session(&p->a.fake, "kv", 10);
	struct json_object *o, *off;

	publish_some(&p->a, s, 0, 1);
	WAIT_FOR(p, pair_committed(s) && fake_allows(s));
	json_object_put(ask(p, fd, MONITOR));
	refused(p, "{\"command\":\"hold\",\"name\":\"none\"}\n", "no-session");
	refused(p, HOLD(",\"seconds\":3601"), "bad-request");
	refused(p, RELEASE, "not-held-off");
	o = ask(p, other, HOLD(",\"seconds\":3600"));
	off = js_at(o, "held_off");
	assert_string_equal(js_get_str(o, "name"), "kv");
	assert_in_range(js_get_u64(off, "left_ms"), 3500000, 3600000);
	assert_int_equal(js_get_u64(off, "generation"), s->rec.published);
	assert_false(js_get_bool(off, "output_held"));
	json_object_put(o);
	assert_true(s->held_off);
	off = held_off_after(p, fd, "held-off");
	assert_non_null(off);
	json_object_put(off);
	refused(p, "{\"command\":\"checkpoint\",\"name\":\"kv\"}\n", "held-off");
	refused(p, "{\"command\":\"switchover\",\"name\":\"kv\"}\n", "held-off");
	o = ask(p, other, RELEASE);
	assert_null(js_at(o, "held_off"));
	json_object_put(o);
	assert_null(held_off_after(p, fd, "released"));
	assert_int_equal(s->held_off, 0);
	close(fd);
	close(other);
}

/* Nobody releases it. The first time counts, and a second "hold" begins it anew. */
static void a_hold_ends_by_itself(void **state)
{
	struct pair *p = *state;
	int fd = dial(&p->a), other = dial(&p->a);
	struct fake_session *s = fake_session(&p->a.fake, "kv", 10);
	struct json_object *o;
	u64 since;

	publish_some(&p->a, s, 0, 1);
	WAIT_FOR(p, pair_committed(s) && fake_allows(s));
	json_object_put(ask(p, fd, MONITOR));
	o = ask(p, other, HOLD());
	since = js_get_u64(js_at(o, "held_off"), "since_unix_ms");
	assert_in_range(js_get_u64(js_at(o, "held_off"), "left_ms"), 50000, 60000);
	json_object_put(o);
	o = ask(p, other, HOLD(",\"seconds\":1"));
	assert_int_equal(js_get_u64(js_at(o, "held_off"), "since_unix_ms"), since);
	assert_in_range(js_get_u64(js_at(o, "held_off"), "left_ms"), 0, 1000);
	json_object_put(o);
	assert_null(held_off_after(p, fd, "released"));
	assert_int_equal(s->held_off, 0);
	refused(p, RELEASE, "not-held-off");
	close(fd);
	close(other);
}

/* An older library, or an engine that can't tell it. */
static void who_would_not_look_is_not_held_off(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 10);
	struct kernel_ops ops = *p->a.fake.kernel.ops;
	const struct kernel_ops *were = p->a.fake.kernel.ops;

	publish_some(&p->a, s, 0, 1);
	WAIT_FOR(p, pair_committed(s) && fake_allows(s));
	s->deaf = true;
	refused(p, HOLD(), "version");
	ops.hold_off = NULL;
	p->a.fake.kernel.ops = &ops;
	refused(p, HOLD(), "version");
	p->a.fake.kernel.ops = were;
	assert_int_equal(known_find_name(&p->a.daemon, "kv")->off.until, 0);
}

/* Whoever monitors later is told as well how things stand; of what is well, nothing. */
static void what_is_wrong_is_told_at_once(void **state)
{
	static const char *const states[] = { "damaged", "split-brain", "overtaken", "lost" };
	struct pair *p = *state;
	struct json_object *o;
	struct recorded *e;
	int fd, i;

	publish_some(&p->a, fake_session(&p->a.fake, "kv", 10), 0, 1);
	WAIT_FOR(p, (e = recorded_find(&p->a.daemon, "kv")) && e->r.generation);
	for (i = -1; i < (int)ARRAY_SIZE(states); i++) {
		e->damaged = i == 0;
		e->r.split = i == 1;
		e->r.lost_term = i == 2 ? 2 : 0;
		if (i == 3)
			memset(e->r.boot, 1, sizeof(e->r.boot));
		fd = dial(&p->a);
		assert_true(send(fd, MONITOR, strlen(MONITOR), 0) > 0);
		json_object_put(event(p, fd, "present"));
		if (i < 0) {
			/* The next line is of something that happens. */
			news_peer(host_peer(&p->a), "left");
			json_object_put(event(p, fd, "left"));
			close(fd);
			continue;
		}
		o = answer(p, fd);
		assert_string_equal(js_get_str(o, "object"), "record");
		assert_string_equal(js_get_str(o, "event"), "present");
		assert_string_equal(js_get_str(js_at(o, "record"), "name"), "kv");
		assert_string_equal(js_get_str(js_at(o, "record"), "state"), states[i]);
		json_object_put(o);
		close(fd);
		WAIT_FOR(p, !p->a.daemon.nr_monitors);
	}
}

static void a_session_without_a_spare_is_told_at_once(void **state)
{
	struct pair *p = *state;
	struct json_object *o;
	int fd;

	host_lose(&p->b);
	publish_some(&p->a, fake_session(&p->a.fake, "kv", 10), 0, 1);
	WAIT_FOR(p, recorded_find(&p->a.daemon, "kv") && host_peer(&p->a)->out.state != OUT_UP);
	fd = dial(&p->a);
	assert_true(send(fd, MONITOR, strlen(MONITOR), 0) > 0);
	o = session_event(p, fd, "present");
	assert_string_equal(js_get_str(js_at(o, "session"), "name"), "kv");
	assert_string_equal(js_get_str(js_at(o, "session"), "state"), "no-spare");
	json_object_put(o);
	close(fd);
}

/* Places are left for those who ask. */
static void monitors_are_limited(void **state)
{
	struct pair *p = *state;
	struct json_object *o;
	int fd[3], i;

	for (i = 0; i < 3; i++) {
		fd[i] = dial(&p->a);
		o = ask(p, fd[i], MONITOR);
		if (i < 2)
			assert_string_equal(js_get_str(o, "event"), "present");
		else
			assert_string_equal(js_get_str(js_at(o, "error"), "code"),
					    "too-many-clients");
		json_object_put(o);
	}
	for (i = 0; i < 3; i++)
		close(fd[i]);
}

/* What is kept for it is bounded, and then it is dropped. */
static void a_monitor_that_doesnt_read(void **state)
{
	struct pair *p = *state;
	int fd = dial(&p->a), size = 4096, i;

	lines_keep();
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	assert_true(send(fd, MONITOR, strlen(MONITOR), 0) > 0);
	WAIT_FOR(p, p->a.daemon.nr_monitors == 1);
	for (i = 0; i < 100000 && p->a.daemon.nr_monitors; i++)
		news_peer(host_peer(&p->a), "incoming-up");
	assert_in_range(i, 500, 10000);
	assert_int_equal(p->a.daemon.nr_clients, 0);
	assert_int_equal(lines_with("doesn't read the news"), 1);
	close(fd);
	lines_drop();
}

/* As if a minute had passed since: */
static void client_times_out(struct pair *p)
{
	struct client *c = LIST_FIRST(&p->a.daemon.clients);

	loop_disarm(&c->idle);
	c->idle.fn(&c->idle);
}

static void slow_clients_are_told(void **state)
{
	struct pair *p = *state;
	int fd = dial(&p->a), i;

	lines_keep();
	WAIT_FOR(p, p->a.daemon.nr_clients == 1);
	client_times_out(p);
	assert_int_equal(lines_with("asks nothing: its connection is closed"), 1);
	close(fd);
	fd = dial(&p->a);
	for (i = 0; i < 10000 && p->a.daemon.nr_clients < 2; i++) {
		if (send(fd, STATUS, strlen(STATUS), MSG_NOSIGNAL) < 0)
			pair_run(p, 0);
		if (LIST_FIRST(&p->a.daemon.clients) &&
		    LIST_FIRST(&p->a.daemon.clients)->out)
			break;
	}
	assert_non_null(LIST_FIRST(&p->a.daemon.clients)->out);
	client_times_out(p);
	assert_int_equal(lines_with("doesn't read its answer: its connection is closed"), 1);
	assert_int_equal(p->a.daemon.nr_clients, 0);
	close(fd);
	lines_drop();
}

/* A table full of sleepers keeps nobody out. */
static void idle_clients_make_room(void **state)
{
	struct pair *p = *state;
	struct json_object *o;
	struct client *c;
	int fd[5], i;
	char byte;

	lines_keep();
	for (i = 0; i < 4; i++) {
		fd[i] = dial(&p->a);
		WAIT_FOR(p, p->a.daemon.nr_clients == (u32)i + 1);
	}
	LIST_FOREACH(c, &p->a.daemon.clients, entry)
		c->since -= 2 * NSEC_PER_SEC;
	fd[4] = dial(&p->a);
	o = ask(p, fd[4], STATUS);
	assert_non_null(js_at(o, "peers"));
	json_object_put(o);
	assert_int_equal(p->a.daemon.nr_clients, 4);
	/* The oldest. */
	assert_int_equal(recv(fd[0], &byte, 1, 0), 0);
	assert_int_equal(recv(fd[1], &byte, 1, 0), -1);
	assert_int_equal(lines_with("is closed for a new one"), 1);
	for (i = 0; i < 5; i++)
		close(fd[i]);
	lines_drop();
}

/* Whoever tries again and again is one matter for the log. */
static void a_full_table_is_told_once(void **state)
{
	struct pair *p = *state;
	int fd[4], more, i;

	lines_keep();
	for (i = 0; i < 4; i++) {
		fd[i] = dial(&p->a);
		WAIT_FOR(p, p->a.daemon.nr_clients == (u32)i + 1);
	}
	for (i = 0; i < 20; i++) {
		LIST_FIRST(&p->a.daemon.clients)->since = p->a.daemon.loop.now;
		more = dial(&p->a);
		json_object_put(answer(p, more));
		close(more);
	}
	assert_int_equal(lines_with("a further one is refused"), 1);
	for (i = 0; i < 4; i++)
		close(fd[i]);
	lines_drop();
}

static void a_promotion_by_hand_is_told(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 10);
	struct json_object *o, *last;
	u64 term = 0, generation = 0;
	int fd;

	lines_keep();
	fake_publish(&p->a.fake, s);
	WAIT_FOR(p, s->rec.committed == 1);
	host_lose(&p->a);
	WAIT_FOR(p, host_peer(&p->b)->detector.state == DET_DEAD);
	o = status_json(&p->b.daemon);
	assert_null(js_at(o, "last_promotion"));
	json_object_put(o);
	fd = kernel_replica_open(&p->b.fake.kernel, "kv", CPTDEV_REPLICA_WRITE);
	assert_int_equal(kernel_replica_promote(&p->b.fake.kernel, fd, &term, &generation), 0);
	p->b.fake.kernel.ops->close(&p->b.fake.kernel, fd);
	WAIT_FOR(p, lines_with("replica kv was promoted by another process: generation 1, term 2"));
	o = status_json(&p->b.daemon);
	last = js_at(o, "last_promotion");
	assert_string_equal(js_get_str(last, "name"), "kv");
	assert_string_equal(js_get_str(last, "by"), "another process");
	assert_int_equal(js_get_u64(last, "term"), 2);
	last = js_at(first(o, "peers"), "failover");
	assert_int_equal(js_get_u64(last, "replicas_promoted"), 0);
	assert_int_equal(js_get_u64(last, "replicas_promoted_by_hand"), 1);
	json_object_put(o);
	lines_drop();
}

static void the_socket_is_for_root_and_its_group(void **state)
{
	struct pair *p = *state;
	struct stat st;

	assert_int_equal(stat(p->a.conf.control, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660);
}

static void a_second_daemon_is_refused(void **state)
{
	struct pair *p = *state;
	struct daemon second;
	struct conf conf = p->a.conf;

	conf.listen_port = 0;
	assert_int_not_equal(daemon_open(&second, &conf, &p->a.fake.kernel), 0);
	daemon_close(&second);
	close(dial(&p->a));
}

static void the_directory_is_made(void **state)
{
	struct pair *p = *state;
	struct daemon second;
	struct conf conf = p->a.conf;
	char dir[sizeof(conf.control)];
	struct stat st;

	snprintf(dir, sizeof(dir), "%.80s.d", p->a.conf.control);
	snprintf(conf.control, sizeof(conf.control), "%.90s/control", dir);
	conf.listen_port = 0;
	assert_int_equal(daemon_open(&second, &conf, &p->a.fake.kernel), 0);
	assert_int_equal(stat(dir, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0750);
	daemon_close(&second);
	assert_int_equal(rmdir(dir), 0);
}

/* What one that was killed left behind is no obstacle. */
static void a_stale_socket_is_replaced(void **state)
{
	struct pair *p = *state;
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	host_kill(&p->a);
	strcpy(un.sun_path, p->a.conf.control);
	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	close(fd);
	host_start(&p->a);
	close(dial(&p->a));
}

static struct json_object *verified(struct json_object *answer)
{
	return first(js_at(answer, "verify"), "spares");
}

static void a_verify_goes_on_by_itself(void **state)
{
	static const char look[] = "{\"command\":\"verify\",\"name\":\"kv\",\"look\":true}\n";
	static const char begin[] = "{\"command\":\"verify\",\"name\":\"kv\"}\n";
	struct pair *p = *state;
	struct fake_session *s;
	struct json_object *o;
	int fd = dial(&p->a);

	p->a.daemon.conf.checksums_mib = 16;
	o = ask(p, fd, begin);
	assert_string_equal(js_get_str(js_at(o, "error"), "code"), "no-session");
	json_object_put(o);
	s = fake_session(&p->a.fake, "kv", 1000);
	fake_noise(s, 1);
	fake_publish(&p->a.fake, s);
	WAIT_FOR(p, pair_committed(s));
	fake_flip(fake_replica(&p->b.fake, "kv"), 1, 0);
	o = ask(p, fd, look);
	assert_string_equal(js_get_str(js_at(o, "error"), "code"), "no-verify");
	json_object_put(o);
	o = ask(p, fd, begin);
	assert_true(js_get_bool(js_at(o, "verify"), "runs"));
	assert_string_equal(js_get_str(verified(o), "state"), "comparing");
	json_object_put(o);
	/* It doesn't need whoever has asked. */
	close(fd);
	WAIT_FOR(p, s->rec.flags & CPTDEV_GENL_SESSION_WANTED);
	fd = dial(&p->a);
	o = ask(p, fd, look);
	assert_string_equal(js_get_str(verified(o), "state"), "copying");
	json_object_put(o);
	fake_publish(&p->a.fake, s);
	WAIT_FOR(p, verify_find(&p->a.daemon, "kv")->ended);
	o = ask(p, fd, look);
	assert_false(js_get_bool(js_at(o, "verify"), "runs"));
	assert_string_equal(js_get_str(verified(o), "name"), "beta");
	assert_string_equal(js_get_str(verified(o), "state"), "repaired");
	assert_int_equal(js_get_u64(verified(o), "differed"), 1);
	assert_string_equal(json_object_get_string(first(verified(o), "addresses")), "0x10001000");
	json_object_put(o);
	o = ask(p, fd, STATUS);
	assert_string_equal(js_get_str(first(js_at(first(o, "sessions"), "last_verify"), "spares"),
				       "state"), "repaired");
	json_object_put(o);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, pair_setup, pair_teardown)
		T(the_status_has_links_and_sessions),
		T(lag_is_told_in_generations_and_time),
		T(requests_follow_each_other),
		T(nonsense_is_refused),
		T(a_program_that_starts_may_ask),
		T(the_last_copy_needs_a_word_more),
		T(clients_are_limited),
		T(a_client_that_doesnt_read_is_left_alone),
		T(peers_are_monitored),
		T(the_policy_of_a_session_is_changed),
		T(a_verify_goes_on_by_itself),
		T(sessions_are_monitored),
		T(checkpoints_are_held_off),
		T(a_hold_ends_by_itself),
		T(who_would_not_look_is_not_held_off),
		T(what_is_wrong_is_told_at_once),
		T(a_session_without_a_spare_is_told_at_once),
		T(a_peer_that_leaves),
		T(monitors_are_limited),
		T(a_monitor_that_doesnt_read),
		T(slow_clients_are_told),
		T(idle_clients_make_room),
		T(a_full_table_is_told_once),
		T(a_promotion_by_hand_is_told),
		T(the_socket_is_for_root_and_its_group),
		T(a_second_daemon_is_refused),
		T(the_directory_is_made),
		T(a_stale_socket_is_replaced),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("control socket", tests, NULL, NULL);
}
