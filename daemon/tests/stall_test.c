// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A daemon that doesn't run for longer than the time-out, because its host is busy or was
 * suspended: what it didn't read in that time is no silence of the peer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "clock.h"
#include "pair.h"

/* Longer than the time-out of 1000 ms. */
#define STALL_NS	(1500 * NSEC_PER_MSEC)

/* For longer than the time-out, so that a link that was given up would show. */
static void nothing_was_lost(struct pair *p)
{
	pair_run(p, 1200);
	assert_true(host_linked(&p->a) && host_linked(&p->b));
	assert_int_equal(host_peer(&p->a)->out.connects, 1);
	assert_int_equal(host_peer(&p->b)->out.connects, 1);
	assert_int_equal(host_peer(&p->a)->detector.state, DET_ALIVE);
	assert_int_equal(host_peer(&p->b)->detector.state, DET_ALIVE);
}

static void a_link_outlives_a_stall(void **state)
{
	struct pair *p = *state;
	u32 i;

	for (i = 0; i < 3; i++) {
		clock_jump(STALL_NS);
		pair_run(p, 200);
	}
	nothing_was_lost(p);
}

/* The stall ends in the middle of A's turn: what came meanwhile isn't read yet. */
static void a_stall_between_reading_and_the_timers(void **state)
{
	struct pair *p = *state;

	pair_run(p, 100);
	loop_turn(&p->a.daemon.loop, 0);
	clock_jump(STALL_NS);
	loop_turn(&p->a.daemon.loop, 0);
	assert_int_equal(host_peer(&p->a)->out.state, OUT_UP);
	nothing_was_lost(p);
}

static void a_greeting_outlives_a_stall(void **state)
{
	struct pair *p = *state;
	u32 i;

	host_kill(&p->a);
	WAIT_FOR(p, !host_peer(&p->b)->in);
	host_start(&p->a);
	/* B accepts, and doesn't answer yet: only A runs. */
	for (i = 0; i < 1000 && host_peer(&p->a)->out.state != OUT_GREETING; i++)
		loop_turn(&p->a.daemon.loop, 1);
	assert_int_equal(host_peer(&p->a)->out.state, OUT_GREETING);
	clock_jump(STALL_NS);
	loop_turn(&p->a.daemon.loop, 0);
	WAIT_FOR(p, host_linked(&p->a));
	assert_int_equal(host_peer(&p->a)->out.attempts, 1);
}

/* The control: a peer that is silent while this daemon runs is given up in time. */
static void silence_after_a_stall_counts(void **state)
{
	struct pair *p = *state;
	u64 began;

	clock_jump(STALL_NS);
	p->b.runs = false;
	began = clock_mono();
	WAIT_FOR(p, host_peer(&p->a)->out.state != OUT_UP);
	assert_in_range((clock_mono() - began) / NSEC_PER_MSEC, 0, 1500);
	WAIT_FOR(p, host_peer(&p->a)->detector.state == DET_DEAD);
	p->b.runs = true;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, pair_setup, pair_teardown)
		T(a_link_outlives_a_stall),
		T(a_stall_between_reading_and_the_timers),
		T(a_greeting_outlives_a_stall),
		T(silence_after_a_stall_counts),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("stalls", tests, NULL, NULL);
}
