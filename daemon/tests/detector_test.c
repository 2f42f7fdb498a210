// SPDX-License-Identifier: GPL-2.0-or-later
/* The failure detector with a clock that the test turns; and how lag is reckoned. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "detector.h"
#include "fsm.h"
#include "lag.h"
#include "rate.h"

#define MS		NSEC_PER_MSEC
#define TIMEOUT		(2000 * MS)
#define TICK		(100 * MS)

static u64 now;

static struct detector detector(void)
{
	struct detector d;

	now = 1000000 * MS;
	detector_init(&d, TIMEOUT);
	return d;
}

/* Tick on for @ms; the time of the decision, 0 if there was none. */
static u64 run(struct detector *d, u64 ms)
{
	u64 until = now + ms * MS;

	while (now < until) {
		now += TICK;
		if (detector_tick(d, now, TICK) == DET_DO_DECIDE)
			return now;
	}
	return 0;
}

static void silence_for_the_time_out_is_death(void **state)
{
	struct detector d = detector();
	u64 begin = now;

	(void)state;
	assert_int_equal(detector_up(&d, now), DET_DO_START);
	assert_int_equal(run(&d, 10000), begin + TIMEOUT);
	assert_int_equal(d.state, DET_DEAD);
	/* It is decided once. */
	assert_int_equal(run(&d, 10000), 0);
}

static void a_moment_before_it_isnt(void **state)
{
	struct detector d = detector();

	(void)state;
	detector_up(&d, now);
	assert_int_equal(run(&d, 1900), 0);
	now += 99 * MS;
	assert_int_equal(detector_tick(&d, now, TICK), FSM_NONE);
	now += MS;
	assert_int_equal(detector_tick(&d, now, TICK), DET_DO_DECIDE);
}

static void being_heard_starts_it_anew(void **state)
{
	struct detector d = detector();
	u64 heard;
	int i;

	(void)state;
	detector_up(&d, now);
	for (i = 0; i < 20; i++) {
		assert_int_equal(run(&d, 1900), 0);
		detector_heard(&d, now);
	}
	heard = now;
	assert_int_equal(run(&d, 10000), heard + TIMEOUT);
}

static void what_was_heard_long_ago_doesnt_count(void **state)
{
	struct detector d = detector();
	u64 begin = now;

	(void)state;
	detector_up(&d, now);
	run(&d, 500);
	detector_heard(&d, begin - 5000 * MS);
	assert_int_equal(run(&d, 10000), begin + TIMEOUT);
}

static void a_broken_link_starts_the_same_clock(void **state)
{
	struct detector d = detector();
	u64 broken;

	(void)state;
	detector_up(&d, now);
	run(&d, 1500);
	broken = now;
	assert_int_equal(detector_broken(&d, now), DET_DO_START);
	assert_string_equal(detector_word(&d, now), "lost");
	assert_int_equal(run(&d, 10000), broken + TIMEOUT);
}

static void back_in_time_is_no_death(void **state)
{
	struct detector d = detector();

	(void)state;
	detector_up(&d, now);
	detector_broken(&d, now);
	assert_int_equal(run(&d, 1900), 0);
	assert_int_equal(detector_up(&d, now), DET_DO_BACK);
	assert_int_equal(run(&d, 1900), 0);
	assert_int_equal(d.state, DET_ALIVE);
}

static void who_left_is_not_dead(void **state)
{
	struct detector d = detector();

	(void)state;
	detector_up(&d, now);
	assert_int_equal(detector_bye(&d, now), DET_DO_STOP);
	detector_broken(&d, now);
	assert_int_equal(run(&d, 100000), 0);
	assert_string_equal(detector_word(&d, now), "left");
}

static void who_was_never_heard_is_not_dead(void **state)
{
	struct detector d = detector();

	(void)state;
	assert_int_equal(run(&d, 100000), 0);
	assert_string_equal(detector_word(&d, now), "never heard");
}

/* This host was stopped for a minute: nobody could have been heard. */
static void own_absence_is_no_silence(void **state)
{
	struct detector d = detector();

	(void)state;
	detector_up(&d, now);
	run(&d, 500);
	now += 60000 * MS;
	assert_int_equal(detector_tick(&d, now, TICK), FSM_NONE);
	assert_in_range(detector_silence(&d, now) / MS, 500, 700);
	/* But it isn't forgiven twice. */
	assert_int_equal(run(&d, 1300), 0);
	assert_true(run(&d, 300) != 0);
}

/* Ticks that are late, as they are on a busy machine, don't put death off. */
static void late_ticks_are_counted(void **state)
{
	struct detector d = detector();
	u64 begin = now;

	(void)state;
	detector_up(&d, now);
	do {
		now += 7 * TICK;
	} while (detector_tick(&d, now, TICK) != DET_DO_DECIDE);
	assert_in_range((now - begin) / MS, 2000, 2700);
}

static void half_the_time_out_makes_suspect(void **state)
{
	struct detector d = detector();

	(void)state;
	detector_up(&d, now);
	assert_string_equal(detector_word(&d, now + 900 * MS), "alive");
	assert_string_equal(detector_word(&d, now + 1100 * MS), "suspect");
	run(&d, 3000);
	assert_string_equal(detector_word(&d, now), "dead");
}

/* Its host refuses connections: the daemon is gone, and nothing else. */
static void a_host_that_answers_is_not_dead(void **state)
{
	struct detector d = detector();
	u64 broken;
	int i;

	(void)state;
	detector_up(&d, now);
	detector_broken(&d, now);
	for (i = 0; i < 50; i++) {
		assert_int_equal(run(&d, 500), 0);
		detector_answered(&d, now);
	}
	assert_int_equal(d.state, DET_NO_DAEMON);
	assert_string_equal(detector_word(&d, now), "no daemon");
	assert_int_equal(detector_up(&d, now), DET_DO_BACK);
	/* What it answered before is no excuse the next time. */
	detector_broken(&d, now);
	broken = now;
	assert_int_equal(run(&d, 10000), broken + TIMEOUT);
	assert_int_equal(d.state, DET_DEAD);
}

/* The second failure: the host is lost while its daemon was. */
static void then_its_silence_is_death(void **state)
{
	struct detector d = detector();
	u64 answered;

	(void)state;
	detector_up(&d, now);
	detector_broken(&d, now);
	run(&d, 1900);
	detector_answered(&d, now);
	run(&d, 500);
	assert_int_equal(d.state, DET_NO_DAEMON);
	detector_answered(&d, now);
	answered = now;
	assert_int_equal(run(&d, 10000), answered + TIMEOUT);
	assert_int_equal(d.state, DET_DEAD);
}

/* Time in which this host didn't run isn't silence of the other. */
static void own_absence_without_a_daemon_there(void **state)
{
	struct detector d = detector();

	(void)state;
	detector_up(&d, now);
	detector_broken(&d, now);
	run(&d, 1900);
	detector_answered(&d, now);
	run(&d, 500);
	now += 60000 * MS;
	assert_int_equal(detector_tick(&d, now, TICK), FSM_NONE);
	assert_int_equal(d.state, DET_NO_DAEMON);
}

static void lag_is_that_of_the_oldest(void **state)
{
	struct lag l = {};

	(void)state;
	assert_int_equal(lag_ns(&l, 1000), 0);
	lag_published(&l, 1, 100);
	lag_published(&l, 1, 150);
	lag_published(&l, 2, 200);
	assert_int_equal(lag_ns(&l, 1000), 900);
	lag_committed(&l, 1);
	assert_int_equal(lag_ns(&l, 1000), 800);
	lag_committed(&l, 2);
	assert_int_equal(lag_ns(&l, 1000), 0);
}

static void lag_is_kept_when_there_are_many(void **state)
{
	struct lag l = {};
	u64 i;

	(void)state;
	for (i = 1; i <= 1000; i++)
		lag_published(&l, i, i * 10);
	assert_int_equal(lag_ns(&l, 100000), 100000 - 10);
	lag_committed(&l, 999);
	/* The newest isn't there yet, and isn't called older than it is known to be. */
	assert_int_equal(lag_ns(&l, 100000), 100000 - LAG_MARKS * 10);
	lag_committed(&l, 1000);
	assert_int_equal(lag_ns(&l, 100000), 0);
}

static void rates_are_per_second(void **state)
{
	struct rate r = {};

	(void)state;
	rate_update(&r, 0, 5 * NSEC_PER_SEC);
	rate_update(&r, 500, 5 * NSEC_PER_SEC + 500 * MS);
	assert_int_equal(r.per_second, 0);
	rate_update(&r, 3000, 7 * NSEC_PER_SEC);
	assert_int_equal(r.per_second, 1500);
	/* A new connection begins to count from the start. */
	rate_update(&r, 10, 9 * NSEC_PER_SEC);
	assert_int_equal(r.per_second, 1500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(silence_for_the_time_out_is_death),
		cmocka_unit_test(a_moment_before_it_isnt),
		cmocka_unit_test(being_heard_starts_it_anew),
		cmocka_unit_test(what_was_heard_long_ago_doesnt_count),
		cmocka_unit_test(a_broken_link_starts_the_same_clock),
		cmocka_unit_test(back_in_time_is_no_death),
		cmocka_unit_test(who_left_is_not_dead),
		cmocka_unit_test(who_was_never_heard_is_not_dead),
		cmocka_unit_test(own_absence_is_no_silence),
		cmocka_unit_test(late_ticks_are_counted),
		cmocka_unit_test(half_the_time_out_makes_suspect),
		cmocka_unit_test(a_host_that_answers_is_not_dead),
		cmocka_unit_test(then_its_silence_is_death),
		cmocka_unit_test(own_absence_without_a_daemon_there),
		cmocka_unit_test(lag_is_that_of_the_oldest),
		cmocka_unit_test(lag_is_kept_when_there_are_many),
		cmocka_unit_test(rates_are_per_second),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("detector", tests, NULL, NULL);
}
