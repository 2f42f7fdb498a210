// SPDX-License-Identifier: GPL-2.0-or-later
/* Reading the configuration anew, while two daemons are linked. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "json.h"
#include "lines.h"
#include "raw.h"

static char path[128];
static const char *peer_address, *peer_name;
static const char *insecure;

/* A's configuration, but for what @more says; a key of it may be repeated there. */
static int reload(struct pair *p, const char *failover, const char *more)
{
	struct conf *c = &p->a.conf;
	FILE *f = fopen(path, "w");
	int ret;

	assert_non_null(f);
	fprintf(f, "[node]\nname = %s\ncontrol = %s\nstate_dir = %s\nlog_level = info\n", c->name,
		c->control, c->state_dir);
	fprintf(f, "[listen]\naddress = 127.0.0.1\nport = %u\n", c->listen_port);
	fprintf(f, "[peer]\naddress = %s\nport = %u\ninsecure = %s\ndifferences_mib = 0\nround_mib = 0\n",
		peer_address, ntohs(((struct sockaddr_in *)&c->peers[0].addr)->sin_port), insecure);
	if (peer_name)
		fprintf(f, "name = %s\n", peer_name);
	fprintf(f, "[failover]\n%s\n[limits]\nchecksums_mib = 0\n%s\n", failover, more);
	fclose(f);
	lines_keep();
	ret = daemon_reload(&p->a.daemon, path);
	return ret;
}

#define TIMES	"heartbeat_interval_ms = 50\ntimeout_ms = 1000\n"
#define LIMITS	"max_sessions = 16\nmax_clients = 4\n"

static int setup(void **state)
{
	struct pair *p;

	pair_setup(state);
	p = *state;
	peer_address = "127.0.0.1";
	peer_name = NULL;
	insecure = "yes anywhere";
	/* As a file would have it. */
	p->a.daemon.conf.log_level = LOG_INFO;
	p->a.daemon.conf.insecure = INSECURE_ANYWHERE;
	p->a.daemon.conf.peers[0].port = ntohs(((struct sockaddr_in *)&p->a.conf.peers[0].addr)->sin_port);
	snprintf(path, sizeof(path), "%s/conf", p->a.dir);
	return 0;
}

static int teardown(void **state)
{
	unlink(path);
	lines_drop();
	return pair_teardown(state);
}

/* Neither link was made anew. */
static void still_linked(struct pair *p)
{
	pair_run(p, 100);
	assert_true(host_linked(&p->a) && host_linked(&p->b));
	assert_int_equal(host_peer(&p->a)->out.connects, 1);
	assert_int_equal(host_peer(&p->b)->out.connects, 1);
}

static void nothing_new(void **state)
{
	struct pair *p = *state;

	assert_int_equal(reload(p, TIMES, LIMITS), 0);
	assert_int_equal(lines_with(""), 1);
	assert_string_equal(lines_last(), "configuration: nothing has changed");
	still_linked(p);
}

/* How the peer is known is no matter of where it is. */
static void another_protection(void **state)
{
	struct pair *p = *state;

	insecure = "yes";
	assert_int_equal(reload(p, TIMES, LIMITS), 0);
	assert_int_equal(lines_with("configuration: [peer] insecure has changed"), 1);
	assert_int_equal(lines_with(""), 1);
	assert_false(host_peer(&p->a)->moving);
	still_linked(p);
}

static void what_counts_at_once(void **state)
{
	struct pair *p = *state;

	assert_int_equal(reload(p, TIMES "failover = auto\non_promote = /bin/true\n",
				"max_sessions = 3\nmax_clients = 2\n"), 0);
	assert_int_equal(p->a.daemon.conf.sessions.failover, FAILOVER_AUTO);
	assert_string_equal(p->a.daemon.conf.sessions.on_promote, "/bin/true");
	assert_int_equal(p->a.daemon.conf.max_sessions, 3);
	assert_int_equal(p->a.daemon.conf.max_clients, 2);
	assert_int_equal(lines_with("configuration: [failover] failover has changed"), 1);
	assert_int_equal(lines_with("has changed"), 4);
	assert_int_equal(lines_with("is restarted"), 0);
	still_linked(p);
}

static void what_needs_a_restart(void **state)
{
	struct pair *p = *state;
	char other[sizeof(p->a.conf.control)];

	strcpy(other, p->a.conf.control);
	strcpy(p->a.conf.name, "gamma");
	p->a.conf.control[strlen(other) - 1] = 'X';
	assert_int_equal(reload(p, TIMES "failover = auto\n", LIMITS), 0);
	assert_int_equal(lines_with("[node] name has changed: the change takes effect when cptdevd is restarted"), 1);
	assert_int_equal(lines_with("[node] control has changed: the change takes effect"), 1);
	assert_string_equal(p->a.daemon.conf.name, "alpha");
	assert_string_equal(p->a.daemon.self.name, "alpha");
	assert_string_equal(p->a.daemon.conf.control, other);
	/* The rest of it is taken. */
	assert_int_equal(p->a.daemon.conf.sessions.failover, FAILOVER_AUTO);
	strcpy(p->a.conf.control, other);
	still_linked(p);
}

static void a_mistake_changes_nothing(void **state)
{
	struct pair *p = *state;
	struct conf before = p->a.daemon.conf;
	struct json_object *o;

	assert_int_equal(reload(p, TIMES "failover = auto\nfrob = 1\n", "max_clients = 0\n"), -1);
	assert_memory_equal(&before, &p->a.daemon.conf, sizeof(before));
	assert_int_equal(lines_with("unknown key 'frob'"), 1);
	assert_int_equal(lines_with("max_clients = 0"), 1);
	assert_int_equal(lines_with("the new configuration has mistakes; the previous one stays in use"), 1);
	o = status_json(&p->a.daemon);
	assert_non_null(strstr(js_get_str(o, "configuration_error"), "frob"));
	json_object_put(o);
	still_linked(p);
	assert_int_equal(reload(p, TIMES, LIMITS), 0);
	o = status_json(&p->a.daemon);
	assert_null(js_at(o, "configuration_error"));
	json_object_put(o);
}

static void a_file_that_is_gone_changes_nothing(void **state)
{
	struct pair *p = *state;

	lines_keep();
	assert_int_equal(daemon_reload(&p->a.daemon, "/nonexistent/conf"), -1);
	assert_int_equal(lines_with("/nonexistent/conf: No such file"), 1);
	still_linked(p);
}

static void the_level_of_the_log(void **state)
{
	struct pair *p = *state;

	reload(p, TIMES, LIMITS);
	assert_true(log_shows(LOG_INFO));
	p->a.daemon.conf.log_level = LOG_ERR;
	log_level(LOG_ERR);
	assert_int_equal(daemon_reload(&p->a.daemon, path), 0);
	assert_true(log_shows(LOG_INFO));
}

static void heartbeats(void **state)
{
	struct pair *p = *state;
	u64 sent, more;

	sent = host_peer(&p->a)->out.conn->stats.frames_out;
	assert_int_equal(reload(p, "heartbeat_interval_ms = 10\ntimeout_ms = 1000\n", LIMITS), 0);
	assert_int_equal(host_peer(&p->a)->out.heartbeat_ms, 10);
	assert_int_equal(host_peer(&p->a)->in->heartbeat_ms, 10);
	pair_run(p, 500);
	more = host_peer(&p->a)->out.conn->stats.frames_out - sent;
	assert_in_range(more, 12, 60);
	still_linked(p);
}

/*
 * B beats each 200 ms, which suits the time-out that A told it. With a shorter one A would
 * take B for dead at once.
 */
static void a_shorter_timeout_waits_for_the_next_link(void **state)
{
	struct pair *p = *state;
	struct peer *a = host_peer(&p->a);

	host_peer(&p->b)->in->heartbeat_ms = 200;
	host_peer(&p->b)->out.heartbeat_ms = 200;
	assert_int_equal(reload(p, "heartbeat_interval_ms = 50\ntimeout_ms = 100\n", LIMITS), 0);
	pair_run(p, 1000);
	still_linked(p);
	assert_int_equal(a->detector.timeout, 1000 * NSEC_PER_MSEC);
	host_kill(&p->b);
	WAIT_FOR(p, !a->in && a->out.state != OUT_UP);
	host_start(&p->b);
	WAIT_FOR(p, host_linked(&p->a) && host_linked(&p->b));
	assert_int_equal(a->detector.timeout, 100 * NSEC_PER_MSEC);
	/* B was told. */
	assert_int_equal(host_peer(&p->b)->in->heartbeat_ms, 33);
	pair_run(p, 500);
	assert_true(host_linked(&p->a) && host_linked(&p->b));
}

static void a_longer_timeout_counts_at_once(void **state)
{
	struct pair *p = *state;

	assert_int_equal(reload(p, "heartbeat_interval_ms = 50\ntimeout_ms = 60000\n", LIMITS), 0);
	assert_int_equal(host_peer(&p->a)->detector.timeout, 60 * NSEC_PER_SEC);
	still_linked(p);
}

/* The old port is free, the new one taken, and links go on. */
static void another_port(void **state)
{
	struct pair *p = *state;
	u16 old = p->a.conf.listen_port, port = free_port();
	struct raw *r;

	p->a.conf.listen_port = port;
	assert_int_equal(reload(p, TIMES, LIMITS), 0);
	still_linked(p);
	assert_int_equal(p->a.daemon.listen_port, port);
	assert_int_equal(lines_with("listening on 127.0.0.1"), 1);
	r = raw_connect(p, port);
	raw_bytes(r, "?", 1);
	WAIT_FOR(p, LIST_NEXT(LIST_FIRST(&p->a.daemon.ins), entry));
	raw_close(r);
	r = raw_connect(p, old);
	assert_false(raw_receive(r));
	raw_close(r);
}

static void another_address_of_the_peer(void **state)
{
	struct pair *p = *state;
	u16 port = free_port();

	((struct sockaddr_in *)&p->a.conf.peers[0].addr)->sin_port = htons(port);
	assert_int_equal(reload(p, TIMES, LIMITS), 0);
	assert_int_equal(lines_with("stays until it is lost"), 1);
	still_linked(p);
	/* B moves. */
	host_kill(&p->b);
	p->b.conf.listen_port = port;
	((struct sockaddr_in *)&p->b.conf.listen)->sin_port = htons(port);
	host_start(&p->b);
	WAIT_FOR(p, host_linked(&p->a) && host_linked(&p->b));
}

/*
 * Another host as the peer
 */

#define OTHER_HOST	"127.0.0.2"

static void third_open(struct pair *p, struct host *c)
{
	struct sockaddr_in *in;

	host_open(c, "gamma", free_port());
	in = (struct sockaddr_in *)&c->conf.listen;
	in->sin_addr.s_addr = inet_addr(OTHER_HOST);
	c->conf.allow = ALLOW_ANY;
	host_start(c);
	peer_address = OTHER_HOST;
	((struct sockaddr_in *)&p->a.conf.peers[0].addr)->sin_port = in->sin_port;
}

static bool ships_to(struct pair *p, struct host *c)
{
	struct out *o = &host_peer(&p->a)->out;

	loop_turn(&c->daemon.loop, 0);
	return o->state == OUT_UP && !strcmp(o->node.name, c->name);
}

/* The old one is told, so it takes this host neither for lost nor for its primary. */
static void another_host_as_the_peer(void **state)
{
	struct pair *p = *state;
	struct host c;

	third_open(p, &c);
	assert_int_equal(reload(p, TIMES, LIMITS), 0);
	assert_int_equal(lines_with("the peer beta is left"), 1);
	assert_null(host_peer(&p->a)->in);
	WAIT_FOR(p, ships_to(p, &c));
	WAIT_FOR(p, !host_peer(&p->b)->in);
	assert_int_equal(host_peer(&p->b)->detector.state, DET_LEFT);
	/* It comes again, and isn't let in. */
	pair_run(p, 300);
	assert_true(ships_to(p, &c));
	assert_null(host_peer(&p->a)->in);
	assert_int_equal(host_peer(&p->b)->out.connects, 1);
	host_close(&c);
}

static void a_connection_to_the_old_host(void **state)
{
	struct pair *p = *state;
	struct out *o = &host_peer(&p->a)->out;
	struct host c;

	host_lose(&p->b);
	WAIT_FOR(p, o->state == OUT_CONNECTING);
	third_open(p, &c);
	assert_int_equal(reload(p, TIMES, LIMITS), 0);
	assert_int_equal(o->state, OUT_DOWN);
	WAIT_FOR(p, ships_to(p, &c));
	host_close(&c);
}

/* The replica that it was fed isn't promoted, neither by itself nor unseen by the primary. */
static void a_spare_leaves_its_primary(void **state)
{
	struct pair *p = *state;
	struct fake_session *s;
	struct host c;

	p->b.daemon.conf.sessions.alone = CONF_GO_ON;
	s = fake_session(&p->b.fake, "app", 4);
	publish_some(&p->b, s, 0, 1);
	WAIT_FOR(p, pair_committed(s));
	third_open(p, &c);
	assert_int_equal(reload(p, TIMES "failover = auto\n", LIMITS), 0);
	assert_true(LIST_EMPTY(&host_peer(&p->a)->feeds));
	assert_true(records_is_outdated(&p->a.daemon, "app"));
	publish_some(&p->b, s, 0, 2);
	WAIT_FOR(p, pair_committed(s));
	WAIT_FOR(p, ships_to(p, &c));
	assert_int_not_equal(host_peer(&p->a)->detector.state, DET_DEAD);
	assert_false(fake_replica(&p->a.fake, "app")->promoted);
	host_close(&c);
}

/* Not let in any more, as if it had come now. */
static void another_name_of_the_peer(void **state)
{
	struct pair *p = *state;

	peer_name = "gamma";
	assert_int_equal(reload(p, TIMES, LIMITS), 0);
	assert_int_equal(lines_with("the peer beta is left"), 1);
	pair_run(p, 300);
	assert_false(host_linked(&p->a));
	assert_null(host_peer(&p->a)->in);
	peer_name = "beta";
	assert_int_equal(reload(p, TIMES, LIMITS), 0);
	WAIT_FOR(p, host_linked(&p->a) && host_linked(&p->b));
}

/* The same host in other words is no other peer. */
static void the_peer_by_its_name(void **state)
{
	struct pair *p = *state;

	peer_address = "localhost";
	peer_name = "beta";
	assert_int_equal(reload(p, TIMES, LIMITS), 0);
	WAIT_FOR(p, host_peer(&p->a)->out.nr_addr);
	assert_int_equal(lines_with("is left"), 0);
	still_linked(p);
}

static void another_host_by_its_name(void **state)
{
	struct pair *p = *state;
	struct host c;

	third_open(p, &c);
	peer_address = "127.0.0.2.nip.invalid";
	assert_int_equal(reload(p, TIMES, LIMITS), 0);
	still_linked(p);
	/* It is known by now, as a name server would say. */
	host_peer(&p->a)->out.resolver.fn(&host_peer(&p->a)->out.resolver,
					  &(struct resolved) { .nr = 1, .addr[0] = c.conf.listen });
	assert_int_equal(lines_with("the peer beta is left"), 1);
	WAIT_FOR(p, ships_to(p, &c));
	host_close(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
		T(nothing_new),
		T(another_protection),
		T(what_counts_at_once),
		T(what_needs_a_restart),
		T(a_mistake_changes_nothing),
		T(a_file_that_is_gone_changes_nothing),
		T(the_level_of_the_log),
		T(heartbeats),
		T(a_shorter_timeout_waits_for_the_next_link),
		T(a_longer_timeout_counts_at_once),
		T(another_port),
		T(another_address_of_the_peer),
		T(another_host_as_the_peer),
		T(a_connection_to_the_old_host),
		T(a_spare_leaves_its_primary),
		T(another_name_of_the_peer),
		T(the_peer_by_its_name),
		T(another_host_by_its_name),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("reload", tests, NULL, NULL);
}
