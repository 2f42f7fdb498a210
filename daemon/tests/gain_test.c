// SPDX-License-Identifier: GPL-2.0-or-later
/* Whether compression pays: it is tried, it stops, it is tried again, and it takes its share only. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gain.h"

#define FRAME	(256U * 1024)
#define START	NSEC_PER_SEC

/* Frames until one is tried again. */
static u32 frames_until(struct gain *g, u64 now)
{
	u32 n = 0;

	while (!gain_try(g, now)) {
		n++;
		assert_true(n < 10000);
	}
	return n;
}

static void the_first_frame_is_tried(void **state)
{
	struct gain g = {};

	(void)state;
	assert_true(gain_try(&g, START));
}

static void what_gains_goes_on(void **state)
{
	struct gain g = {};
	u32 i;

	(void)state;
	for (i = 0; i < 100; i++) {
		assert_true(gain_try(&g, START + i * NSEC_PER_MSEC));
		gain_tried(&g, FRAME, FRAME / 2, 1000);
	}
}

/* An eighth is the bound: a byte more, and it stops. */
static void less_than_an_eighth_is_no_gain(void **state)
{
	struct gain g = {};

	(void)state;
	assert_int_equal(gain_most(FRAME), FRAME / 8 * 7);
	gain_try(&g, START);
	gain_tried(&g, FRAME, gain_most(FRAME), 0);
	assert_true(gain_try(&g, START));
	gain_tried(&g, FRAME, gain_most(FRAME) + 1, 0);
	assert_false(gain_try(&g, START));
}

static void what_gains_nothing_is_tried_less_and_less(void **state)
{
	struct gain g = {};
	u32 want = 1, tried = 0, i;

	(void)state;
	gain_try(&g, START);
	for (i = 0; i < 10; i++) {
		gain_tried(&g, FRAME, 0, 0);
		assert_int_equal(frames_until(&g, START), MIN(want, GAIN_WAIT_MAX - 1));
		want *= 2;
	}
	/* Of a thousand frames that gain nothing few are tried. */
	for (i = 0; i < 1000; i++) {
		if (!gain_try(&g, START))
			continue;
		gain_tried(&g, FRAME, 0, 0);
		tried++;
	}
	assert_in_range(tried, 15, 17);
}

static void a_gain_makes_it_eager_again(void **state)
{
	struct gain g = {};
	u32 i;

	(void)state;
	for (i = 0; i < 6; i++) {
		frames_until(&g, START);
		gain_tried(&g, FRAME, 0, 0);
	}
	frames_until(&g, START);
	gain_tried(&g, FRAME, FRAME / 4, 0);
	assert_int_equal(frames_until(&g, START), 0);
	gain_tried(&g, FRAME, 0, 0);
	assert_int_equal(frames_until(&g, START), 1);
}

/* Frames come as fast as they can, each takes 1 ms to compress and nothing else. */
static void the_share_of_the_processor_is_bounded(void **state)
{
	u64 now = START, spent = 0, end = START + 10 * NSEC_PER_SEC;
	struct gain g = {};

	(void)state;
	while (now < end) {
		if (gain_try(&g, now)) {
			gain_tried(&g, FRAME, FRAME / 2, NSEC_PER_MSEC);
			spent += NSEC_PER_MSEC;
			now += NSEC_PER_MSEC;
		} else {
			now += 10 * NSEC_PER_USEC;
		}
	}
	assert_true(spent <= 10 * NSEC_PER_SEC / GAIN_SHARE + GAIN_BURST_NS + NSEC_PER_MSEC);
	assert_true(spent >= 10 * NSEC_PER_SEC / GAIN_SHARE * 9 / 10);
}

/* A pause of the link saves nothing up beyond a burst, and a clock that stands takes nothing. */
static void the_budget_is_bounded_both_ways(void **state)
{
	struct gain g = {};
	u32 n = 0;

	(void)state;
	gain_try(&g, START);
	gain_try(&g, START + 3600 * NSEC_PER_SEC);
	while (gain_try(&g, START + 3600 * NSEC_PER_SEC)) {
		gain_tried(&g, FRAME, FRAME / 2, NSEC_PER_MSEC);
		n++;
	}
	assert_int_equal(n, GAIN_BURST_NS / NSEC_PER_MSEC);
	/* A clock that went back, and one attempt that took a minute. */
	assert_false(gain_try(&g, START));
	g = (struct gain) {};
	gain_try(&g, START);
	gain_tried(&g, FRAME, FRAME / 2, ~0ULL);
	assert_false(gain_try(&g, START + NSEC_PER_SEC));
	assert_true(g.budget < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_frame_is_tried),
		cmocka_unit_test(what_gains_goes_on),
		cmocka_unit_test(less_than_an_eighth_is_no_gain),
		cmocka_unit_test(what_gains_nothing_is_tried_less_and_less),
		cmocka_unit_test(a_gain_makes_it_eager_again),
		cmocka_unit_test(the_share_of_the_processor_is_bounded),
		cmocka_unit_test(the_budget_is_bounded_both_ways),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("gains", tests, NULL, NULL);
}
