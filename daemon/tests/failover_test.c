// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * failover = auto: nothing is promoted that no program waits for, and nothing because only a
 * daemon is gone. What must not be promoted would fence the only program that lives.
 */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "json.h"
#include "lines.h"
#include "log.h"
#include "pair.h"

static struct fake_session *fed(struct pair *p, const char *name, u32 waiters)
{
	struct fake_session *s = fake_session(&p->a.fake, name, 10);

	p->b.daemon.conf.sessions.failover = FAILOVER_AUTO;
	publish_some(&p->a, s, 0, 1);
	WAIT_FOR(p, pair_committed(s));
	fake_replica(&p->b.fake, name)->rec.waiters = waiters;
	return s;
}

static bool promoted(struct pair *p, const char *name)
{
	return fake_replica(&p->b.fake, name)->promoted;
}

static unsigned int detector(struct pair *p)
{
	return host_peer(&p->b)->detector.state;
}

static void what_a_program_waits_for_is_promoted(void **state)
{
	struct pair *p = *state;

	fed(p, "kv", 1);
	fed(p, "other", 0);
	host_lose(&p->a);
	WAIT_FOR(p, promoted(p, "kv"));
	assert_int_equal(detector(p), DET_DEAD);
	pair_run(p, 50);
	assert_false(promoted(p, "other"));
	assert_int_equal(host_peer(&p->b)->failover.replicas, 1);
}

static void what_nobody_waits_for_is_not(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fed(p, "kv", 0);

	lines_keep();
	host_lose(&p->a);
	WAIT_FOR(p, detector(p) == DET_DEAD);
	pair_run(p, 1200);
	assert_false(promoted(p, "kv"));
	assert_int_equal(lines_with("no program of this host waits for it"), 1);
	lines_drop();
	/* It was only the network: the program goes on, and isn't fenced. */
	host_start(&p->a);
	publish_some(&p->a, s, 1, 2);
	WAIT_FOR(p, pair_committed(s));
	assert_false(s->fenced);
}

static bool feeds_in_status(struct host *h, const char *name)
{
	struct json_object *o = status_json(&h->daemon), *feeds;
	bool found = false;
	size_t i;

	feeds = js_at(json_object_array_get_idx(js_at(o, "peers"), 0), "feeds");
	for (i = 0; i < json_object_array_length(feeds); i++)
		found |= !strcmp(json_object_get_string(json_object_array_get_idx(feeds, i)), name);
	json_object_put(o);
	return found;
}

/* The spare's program was being started anew when the host was lost. */
static void a_program_that_waits_later_is_in_time(void **state)
{
	struct pair *p = *state;

	fed(p, "kv", 0);
	host_lose(&p->a);
	WAIT_FOR(p, detector(p) == DET_DEAD);
	pair_run(p, 100);
	assert_false(promoted(p, "kv"));
	/* For a person who promotes by hand: the replicas of the peer that was lost. */
	assert_true(feeds_in_status(&p->b, "kv"));
	assert_false(feeds_in_status(&p->b, "other"));
	fake_replica(&p->b.fake, "kv")->rec.waiters = 1;
	WAIT_FOR(p, promoted(p, "kv"));
	assert_int_equal(host_peer(&p->b)->failover.replicas, 1);
}

/* But not when the primary is back before it. */
static void a_program_that_waits_after_the_peer_is_back(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fed(p, "kv", 0);

	host_lose(&p->a);
	WAIT_FOR(p, detector(p) == DET_DEAD);
	host_start(&p->a);
	WAIT_FOR(p, detector(p) == DET_ALIVE);
	fake_replica(&p->b.fake, "kv")->rec.waiters = 1;
	pair_run(p, 700);
	assert_false(promoted(p, "kv") || s->fenced);
}

/* Without an answer it isn't known, and is asked again. */
static void a_kernel_that_does_not_answer_is_asked_again(void **state)
{
	struct pair *p = *state;

	fed(p, "kv", 1);
	p->b.fake.fail_dump = ENOMEM;
	host_lose(&p->a);
	WAIT_FOR(p, detector(p) == DET_DEAD);
	pair_run(p, 50);
	assert_false(promoted(p, "kv"));
	p->b.fake.fail_dump = 0;
	WAIT_FOR(p, promoted(p, "kv"));
}

/*
 * A daemon that is gone
 */

static void a_killed_daemon_promotes_nothing(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fed(p, "kv", 1);

	lines_keep();
	host_kill(&p->a);
	WAIT_FOR(p, detector(p) == DET_NO_DAEMON);
	pair_run(p, 2500);
	assert_int_equal(detector(p), DET_NO_DAEMON);
	assert_false(promoted(p, "kv"));
	assert_int_equal(lines_with("its host answers, but cptdevd is down there"), 1);
	lines_drop();
	/* Started again, it goes on. */
	host_start(&p->a);
	publish_some(&p->a, s, 1, 2);
	WAIT_FOR(p, pair_committed(s));
	assert_int_equal(detector(p), DET_ALIVE);
	assert_false(s->fenced);
}

/* The second failure while the first isn't mended. */
static void its_host_is_lost_after_it(void **state)
{
	struct pair *p = *state;

	fed(p, "kv", 1);
	host_kill(&p->a);
	WAIT_FOR(p, detector(p) == DET_NO_DAEMON);
	assert_false(promoted(p, "kv"));
	host_lose(&p->a);
	WAIT_FOR(p, promoted(p, "kv"));
	assert_int_equal(detector(p), DET_DEAD);
}

/* Another host than the one that was linked: what it refuses says nothing. */
static void another_host_that_answers(void **state)
{
	struct pair *p = *state;
	struct sockaddr_in *to = (struct sockaddr_in *)&p->b.daemon.conf.peers[0].addr;

	fed(p, "kv", 1);
	to->sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
	to->sin_port = htons(free_port());
	host_kill(&p->a);
	WAIT_FOR(p, promoted(p, "kv"));
	assert_int_equal(detector(p), DET_DEAD);
}

/* A daemon that hangs can't be told from a host that does: silence is death. */
static void a_daemon_that_hangs(void **state)
{
	struct pair *p = *state;

	fed(p, "kv", 1);
	p->a.runs = false;
	WAIT_FOR(p, promoted(p, "kv"));
	assert_int_equal(detector(p), DET_DEAD);
	p->a.runs = true;
}

/* Who doesn't connect to the peer can't ask its host. */
static void without_an_address_of_the_peer(void **state)
{
	struct pair *p = *state;

	host_kill(&p->b);
	p->b.conf.peers[0].addr.ss_family = AF_UNSPEC;
	p->b.conf.allow = ALLOW_ANY;
	host_start(&p->b);
	fed(p, "kv", 1);
	host_kill(&p->a);
	WAIT_FOR(p, promoted(p, "kv"));
}

/* The link to it was down before, and asked for seldom: it is known in time all the same. */
static void a_refusal_is_found_in_time(void **state)
{
	struct pair *p = *state;

	fed(p, "kv", 1);
	host_peer(&p->b)->out.back_off_ms = 2000;
	host_kill(&p->a);
	WAIT_FOR(p, detector(p) == DET_NO_DAEMON || detector(p) == DET_DEAD);
	assert_int_equal(detector(p), DET_NO_DAEMON);
	pair_run(p, 2500);
	assert_int_equal(detector(p), DET_NO_DAEMON);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, pair_setup, pair_teardown)
		T(what_a_program_waits_for_is_promoted),
		T(what_nobody_waits_for_is_not),
		T(a_program_that_waits_later_is_in_time),
		T(a_program_that_waits_after_the_peer_is_back),
		T(a_kernel_that_does_not_answer_is_asked_again),
		T(a_killed_daemon_promotes_nothing),
		T(its_host_is_lost_after_it),
		T(another_host_that_answers),
		T(a_daemon_that_hangs),
		T(without_an_address_of_the_peer),
		T(a_refusal_is_found_in_time),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("failover", tests, NULL, NULL);
}
