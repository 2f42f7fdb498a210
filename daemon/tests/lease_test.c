// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Leases: how long a primary may answer without hearing from its spare, and that the spare
 * doesn't promote before that is over.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "log.h"
#include "pair.h"

#define MS	NSEC_PER_MSEC

/* Of both ends' time-outs the shorter one counts, whoever reckons. */
static void both_ends_reckon_alike(void **state)
{
	(void)state;
	assert_int_equal(lease_length(2000, 500), lease_length(500, 2000));
	assert_int_equal(lease_length(2000, 2000), 1500 * MS);
	assert_int_equal(link_lease_ns(0, 2000, 2000), 0);
	assert_int_equal(link_lease_ns(WIRE_FEATURE_LEASE, 2000, 1000), 750 * MS);
}

/*
 * Whatever the time-out: the lease ends, and its margin, before silence is death; and it
 * outlasts two heartbeats, of which the first is lost.
 */
static void a_promotion_need_not_wait_as_a_rule(void **state)
{
	u32 ms;

	(void)state;
	for (ms = 100; ms <= 600000; ms += 50) {
		assert_true(lease_lent_until(0, lease_length(ms, ms)) <= ms * MS);
		assert_true(lease_length(ms, ms) > 2 * (ms / 3) * MS);
	}
}

/*
 * The spare's clock may run faster, by a percent: what it waits for is still later than the
 * end of the lease, for any time that the message was on its way.
 */
static void a_fast_clock_is_within_the_margin(void **state)
{
	u64 length = lease_length(2000, 2000), sent = 1000000 * MS, way;

	(void)state;
	for (way = 0; way < 1000 * MS; way += 10 * MS) {
		u64 over = sent + length, waits;

		/* Its clock shows 1.01 times what has passed since it received that. */
		waits = lease_lent_until(0, length) * 100 / 101;
		assert_true(sent + way + waits > over);
	}
}

static struct fake_session *fed(struct pair *p)
{
	struct fake_session *s = fake_session(&p->a.fake, "kv", 10);

	p->b.daemon.conf.failover = FAILOVER_AUTO;
	publish_some(&p->a, s, 0, 1);
	WAIT_FOR(p, pair_committed(s));
	fake_replica(&p->b.fake, "kv")->rec.waiters = 1;
	return s;
}

static void a_spare_lends_time_with_each_answer(void **state)
{
	struct pair *p = *state;
	struct peer *at_b = host_peer(&p->b);
	u64 first;

	WAIT_FOR(p, at_b->lent_until);
	first = at_b->lent_until;
	assert_int_equal(at_b->in->lease_ns, lease_length(p->a.conf.timeout_ms, p->b.conf.timeout_ms));
	assert_true(first <= clock_mono() + lease_lent_until(0, at_b->in->lease_ns));
	WAIT_FOR(p, at_b->lent_until > first);
}

/* As if the time-out had been made shorter since, and the other end did not know. */
static void a_promotion_waits_for_the_end_of_the_lease(void **state)
{
	struct pair *p = *state;
	struct peer *at_b = host_peer(&p->b);
	u64 lent;

	fed(p);
	at_b->lent_until = clock_mono() + 1300 * MS;
	lent = at_b->lent_until;
	host_lose(&p->a);
	WAIT_FOR(p, at_b->detector.state == DET_DEAD);
	assert_true(clock_mono() < lent);
	while (clock_mono() < lent) {
		assert_false(fake_replica(&p->b.fake, "kv")->promoted);
		pair_run(p, 1);
	}
	WAIT_FOR(p, fake_replica(&p->b.fake, "kv")->promoted);
	assert_true(clock_mono() >= lent);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_ends_reckon_alike),
		cmocka_unit_test(a_promotion_need_not_wait_as_a_rule),
		cmocka_unit_test(a_fast_clock_is_within_the_margin),
		cmocka_unit_test_setup_teardown(a_spare_lends_time_with_each_answer,
						pair_setup, pair_teardown),
		cmocka_unit_test_setup_teardown(a_promotion_waits_for_the_end_of_the_lease,
						pair_setup, pair_teardown),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("leases", tests, NULL, NULL);
}
