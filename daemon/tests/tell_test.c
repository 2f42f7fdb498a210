// SPDX-License-Identifier: GPL-2.0-or-later
/* Messages that others can cause: the rule of tell.h, and that the daemon keeps to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lines.h"
#include "raw.h"
#include "tell.h"

/*
 * The rule alone. Time is what the test says it is.
 */

static struct loop loop;
static struct teller teller;

static int setup(void **state)
{
	(void)state;
	loop_open(&loop);
	tell_open(&teller, &loop);
	lines_keep();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	tell_close(&teller);
	loop_close(&loop);
	lines_drop();
	return 0;
}

/* As if so much time had passed. */
static void pass(u64 ns)
{
	loop.now += ns;
	while (teller.timer.armed && teller.timer.at <= loop.now) {
		loop_disarm(&teller.timer);
		teller.timer.fn(&teller.timer);
	}
}

static void refused(const char *who, const char *why)
{
	tell(&teller, LOG_WARNING, TELL_CONNECTION, who, "%s: %s", who, why);
}

static void what_is_repeated_is_written_once(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < 1000; i++)
		refused("a", "no");
	assert_int_equal(lines_with(""), 1);
	pass(TELL_WINDOW_NS);
	assert_int_equal(lines_with(""), 2);
	assert_string_equal(lines_last(), "a: no (and 998 more messages of this kind, not shown)");
}

static void news_are_written_at_once(void **state)
{
	(void)state;
	refused("a", "first");
	refused("a", "second");
	refused("b", "first");
	tell(&teller, LOG_WARNING, TELL_LINK, "a", "another cause");
	assert_int_equal(lines_with(""), 4);
	pass(2 * TELL_WINDOW_NS);
	assert_int_equal(lines_with(""), 4);
}

static void the_last_state_is_written_when_a_window_ends(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < 100; i++)
		refused("a", i % 2 ? "up" : "down");
	assert_int_equal(lines_with(""), TELL_BURST);
	pass(TELL_WINDOW_NS);
	assert_int_equal(lines_with(""), TELL_BURST + 1);
	assert_non_null(strstr(lines_last(), "a: up (and 91 more"));
}

/* A session whose link comes and goes, and that is fenced then. */
static void a_graver_message_is_written_at_once(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < 100; i++)
		refused("a", i % 2 ? "up" : "down");
	tell(&teller, LOG_ERR, TELL_CONNECTION, "a", "a is fenced");
	assert_string_equal(lines_last(), "a is fenced");
	assert_int_equal(lines_with(""), TELL_BURST + 1);
	/* Once. */
	for (i = 0; i < 100; i++) {
		refused("a", i % 2 ? "up" : "down");
		tell(&teller, LOG_ERR, TELL_CONNECTION, "a", "a is fenced");
	}
	assert_int_equal(lines_with(""), TELL_BURST + 1);
}

static void one_alone_needs_no_number(void **state)
{
	(void)state;
	refused("a", "no");
	refused("a", "no");
	pass(TELL_WINDOW_NS);
	assert_string_equal(lines_last(), "a: no");
	assert_int_equal(lines_with(""), 2);
}

/* A retry each second for a week: about four lines in an hour. */
static void what_lasts_is_written_less_and_less(void **state)
{
	u32 first, i;

	(void)state;
	for (i = 0; i < 24 * 3600; i++) {
		refused("a", "no");
		pass(NSEC_PER_SEC);
	}
	first = lines_with("");
	assert_in_range(first, 80, 110);
	for (i = 0; i < 6 * 24 * 3600; i++) {
		refused("a", "no");
		pass(NSEC_PER_SEC);
	}
	assert_in_range(lines_with("") - first, 6 * 80, 6 * 96);
}

static void a_quiet_window_ends_the_matter(void **state)
{
	(void)state;
	refused("a", "no");
	refused("a", "no");
	pass(TELL_WINDOW_NS);
	pass(2 * TELL_WINDOW_NS);
	assert_true(LIST_EMPTY(&teller.list));
	assert_false(teller.timer.armed);
	refused("a", "no");
	assert_int_equal(lines_with(""), 3);
}

/* However many addresses somebody has. */
static void originators_are_bounded(void **state)
{
	char who[16];
	u32 i;

	(void)state;
	for (i = 0; i < 5000; i++) {
		snprintf(who, sizeof(who), "host%u", i);
		refused(who, "no");
	}
	assert_in_range(lines_with(""), TELL_ORIGINATORS, TELL_ORIGINATORS + TELL_BURST);
	assert_in_range(teller.nr[TELL_CONNECTION], 1, TELL_ORIGINATORS + 1);
	/* Another cause has room of its own. */
	tell(&teller, LOG_NOTICE, TELL_PEER, "beta", "peer beta is back");
	assert_string_equal(lines_last(), "peer beta is back");
}

static void what_is_left_is_written_at_the_end(void **state)
{
	(void)state;
	refused("a", "no");
	refused("a", "no");
	refused("a", "no");
	tell_close(&teller);
	assert_string_equal(lines_last(), "a: no (and 1 more messages of this kind, not shown)");
}

static void levels_that_arent_shown_dont_count(void **state)
{
	(void)state;
	log_level(LOG_ERR);
	refused("a", "no");
	assert_true(LIST_EMPTY(&teller.list));
	assert_int_equal(lines_with(""), 0);
}

/*
 * The daemon
 */

static int setup_pair(void **state)
{
	int ret = pair_setup(state);

	lines_keep();
	return ret;
}

static int teardown_pair(void **state)
{
	int ret = pair_teardown(state);

	lines_drop();
	return ret;
}

#define TIMES	40

static void connections_that_are_refused(void **state)
{
	struct pair *p = *state;
	struct raw *r;
	int i;

	for (i = 0; i < TIMES; i++) {
		r = raw_connect(p, p->a.conf.listen_port);
		raw_bytes(r, "GET / HTTP/1.1\r\nHost: alpha.example.org\r\n\r\n", 44);
		raw_refused(r, "");
		raw_close(r);
	}
	assert_in_range(lines_with("connection from 127.0.0.1"), 1, TELL_BURST);
	assert_true(p->a.daemon.tell.suppressed >= TIMES - TELL_BURST);
	assert_true(host_linked(&p->a));
}

static void connections_from_elsewhere(void **state)
{
	struct pair *p = *state;
	struct raw *r;
	int i;

	((struct sockaddr_in *)&p->a.daemon.conf.peers[0].addr)->sin_addr.s_addr = htonl(0xc0000203);
	for (i = 0; i < TIMES; i++) {
		r = raw_connect(p, p->a.conf.listen_port);
		assert_false(raw_receive(r));
		raw_close(r);
	}
	assert_in_range(lines_with("isn't the [peer] address"), 1, TELL_BURST);
}

static void a_link_that_comes_and_goes(void **state)
{
	struct pair *p = *state;
	int i;

	for (i = 0; i < 12; i++) {
		host_kill(&p->b);
		WAIT_FOR(p, !host_peer(&p->a)->in);
		host_start(&p->b);
		WAIT_FOR(p, host_linked(&p->a) && host_linked(&p->b));
	}
	/* The daemon of B is a new one each time and may say what it likes. */
	assert_in_range(lines_with("link from beta"), 1, TELL_BURST);
	assert_in_range(lines_with("link to beta lost"), 0, TELL_BURST);
	assert_in_range(lines_with("peer beta: the link broke"), 0, TELL_BURST);
}

static void a_session_that_is_refused_again_and_again(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 4);
	int i;

	fake_publish(&p->a.fake, s);
	WAIT_FOR(p, s->rec.committed == 1);
	for (i = 0; i < 12; i++) {
		fake_replica(&p->b.fake, "kv")->frozen = true;
		publish_some(&p->a, s, 0, i);
		WAIT_FOR(p, host_ship(&p->a, "kv")->state == SHIP_REFUSED);
		fake_replica(&p->b.fake, "kv")->frozen = false;
		WAIT_FOR(p, pair_committed(s));
	}
	/* Of each of the two hosts: */
	assert_in_range(lines_with("session kv"), 2, 3 * TELL_BURST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define R(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup_pair, teardown_pair)
		R(what_is_repeated_is_written_once),
		R(news_are_written_at_once),
		R(the_last_state_is_written_when_a_window_ends),
		R(a_graver_message_is_written_at_once),
		R(one_alone_needs_no_number),
		R(what_lasts_is_written_less_and_less),
		R(a_quiet_window_ends_the_matter),
		R(originators_are_bounded),
		R(what_is_left_is_written_at_the_end),
		R(levels_that_arent_shown_dont_count),
		T(connections_that_are_refused),
		T(connections_from_elsewhere),
		T(a_link_that_comes_and_goes),
		T(a_session_that_is_refused_again_and_again),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("messages", tests, NULL, NULL);
}
