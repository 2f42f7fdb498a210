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

#include "clock.h"
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

	p->b.daemon.conf.sessions.failover = FAILOVER_AUTO;
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

/*
 * The primary
 */

static struct fake_session *leased(struct pair *p)
{
	p->a.daemon.conf.sessions.failover = FAILOVER_AUTO;
	return fed(p);
}

static void an_answer_lends_the_primary_time(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = leased(p);
	u64 first;

	WAIT_FOR(p, fake_allows(s));
	first = s->state.lease_until;
	assert_true(first > 1);
	assert_true(first <= clock_mono() + lease_length(p->a.conf.timeout_ms,
							 p->b.conf.timeout_ms));
	WAIT_FOR(p, s->state.lease_until > first);
}

/* At any time the spare waits for longer than the primary may go on. */
static void the_spare_waits_for_longer(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = leased(p);
	u32 i;

	WAIT_FOR(p, fake_allows(s));
	for (i = 0; i < 200; i++) {
		pair_run(p, 1);
		assert_true(s->state.lease_until < host_peer(&p->b)->lent_until);
	}
}

static void there_is_no_lease_where_a_person_promotes(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fed(p);

	pair_run(p, 200);
	assert_int_equal(s->state.lease_until, 0);
	assert_true(fake_allows(s));
}

/* Nothing is acknowledged between the first commit and the first answer. */
static void a_lease_is_in_use_before_the_first_commit(void **state)
{
	struct pair *p = *state;
	struct fake_session *s;

	p->a.daemon.conf.sessions.failover = FAILOVER_AUTO;
	s = fake_session(&p->a.fake, "kv", 10);
	publish_some(&p->a, s, 0, 1);
	do {
		assert_false(s->rec.committed && !s->state.lease_until);
		pair_run(p, 0);
	} while (!s->rec.committed);
}

/* The end of the lease on A comes before the promotion on B. */
static void a_lost_primary_stops_before_its_spare_begins(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = leased(p);
	u64 stopped = 0, until = clock_mono() + WAIT_MS * MS;

	WAIT_FOR(p, fake_allows(s));
	/* Only the program is left of A. */
	host_lose(&p->a);
	while (!fake_replica(&p->b.fake, "kv")->promoted && clock_mono() < until) {
		if (!stopped && !fake_allows(s))
			stopped = clock_mono();
		pair_run(p, 0);
	}
	assert_true(fake_replica(&p->b.fake, "kv")->promoted);
	assert_true(stopped);
}

static void the_link_is_back_and_the_program_goes_on(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = leased(p);

	WAIT_FOR(p, fake_allows(s));
	host_kill(&p->b);
	WAIT_FOR(p, !fake_allows(s));
	WAIT_FOR(p, LIST_FIRST(&p->a.daemon.sessions)->lease_told);
	host_start(&p->b);
	WAIT_FOR(p, fake_allows(s));
	assert_false(LIST_FIRST(&p->a.daemon.sessions)->lease_told);
}

/* A daemon that doesn't run renews nothing, whatever is waiting for it. */
static void a_stopped_daemon_lends_nothing(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = leased(p);
	u64 until;

	WAIT_FOR(p, fake_allows(s));
	until = s->state.lease_until;
	clock_jump(2 * NSEC_PER_SEC);
	assert_false(fake_allows(s));
	/* The first turn reads answers to what was sent before the jump. */
	loop_turn(&p->a.daemon.loop, 0);
	assert_true(s->state.lease_until <= until + lease_length(p->a.conf.timeout_ms,
							       p->b.conf.timeout_ms));
	assert_false(fake_allows(s));
	WAIT_FOR(p, fake_allows(s));
}

static void who_fences_ends_it_whatever_the_lease(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = leased(p);
	u64 term = 0, generation;

	WAIT_FOR(p, fake_allows(s));
	assert_int_equal(promotion_do(&p->b.daemon, "kv", &term, &generation, false), 0);
	WAIT_FOR(p, s->fenced);
}

/* A daemon that was killed and starts again finds the lease that the kernel has. */
static void a_lease_outlives_the_daemon(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = leased(p);

	WAIT_FOR(p, fake_allows(s));
	host_kill(&p->a);
	assert_true(s->state.lease_until);
	p->a.conf.sessions.failover = FAILOVER_AUTO;
	host_start(&p->a);
	assert_int_equal(LIST_FIRST(&p->a.daemon.sessions)->lease_until, s->state.lease_until);
	WAIT_FOR(p, s->state.lease_until > clock_mono() + 500 * MS);
}

/* B took over from A, whose program has heard of it: the new one of B, without a spare. */
static struct fake_session *taken_over(struct pair *p)
{
	struct fake_session *s = leased(p);
	u64 term = 0, generation;

	WAIT_FOR(p, fake_allows(s));
	p->b.daemon.conf.sessions.failover = FAILOVER_AUTO;
	assert_int_equal(promotion_do(&p->b.daemon, "kv", &term, &generation, false), 0);
	WAIT_FOR(p, s->fenced);
	fake_session_end(&p->a.fake, s);
	return fake_session_with(&p->b.fake, "kv", 4, term, 0);
}

static void waits_until(struct pair *p, struct fake_session *t, u64 over)
{
	publish_some(&p->b, t, 0, 2);
	while (clock_mono() < over - 50 * MS) {
		pair_run(p, 0);
		assert_true(!t->rec.committed || clock_mono() >= over);
	}
	WAIT_FOR(p, pair_committed(t));
}

/*
 * B took over from A and has another host as its spare: A doesn't know, and may answer reads. The
 * clock of the lease says for how long.
 */
static void another_spare_waits_for_the_lease_of_the_old_primary(void **state)
{
	struct pair *p = *state;
	struct peer *b = host_peer(&p->b);
	struct fake_session *t = taken_over(p);

	/* As if the program that was overtaken were on another host. */
	b->lent_before = clock_mono() + 600 * MS;
	waits_until(p, t, b->lent_before);
}

/* The spare is a new peer, and follows before it has sent a heartbeat: nothing was lent to it. */
static void also_if_it_was_lent_nothing_yet(void **state)
{
	struct pair *p = *state;
	struct peer *b = host_peer(&p->b);
	struct fake_session *t = taken_over(p);

	b->in->lease_ns = 0;
	memset(b->lent_to, 0xee, sizeof(b->lent_to));
	b->lent_before = 0;
	b->lent_until = clock_mono() + 600 * MS;
	waits_until(p, t, b->lent_until);
}

/* Unless that program has ended, which A told before B took over. */
static void but_not_if_that_is_known_to_have_ended(void **state)
{
	struct pair *p = *state;
	struct peer *b = host_peer(&p->b);
	struct fake_session *s = leased(p), *t;
	const struct record *r;

	WAIT_FOR(p, fake_allows(s));
	fake_session_end_by(&p->a.fake, s, CPTDEV_END_KILLED, 9);
	WAIT_FOR(p, (r = record_of(&p->b.daemon, "kv")) && r->role == RECORD_PROMOTED);
	b->lent_before = clock_mono() + 3600 * NSEC_PER_SEC;
	t = fake_session_with(&p->b.fake, "kv", 4, r->term, 0);
	publish_some(&p->b, t, 0, 2);
	WAIT_FOR(p, pair_committed(t));
}

#define CASE(fn)	cmocka_unit_test_setup_teardown(fn, pair_setup, pair_teardown)

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
		CASE(an_answer_lends_the_primary_time),
		CASE(the_spare_waits_for_longer),
		CASE(there_is_no_lease_where_a_person_promotes),
		CASE(a_lease_is_in_use_before_the_first_commit),
		CASE(a_lost_primary_stops_before_its_spare_begins),
		CASE(the_link_is_back_and_the_program_goes_on),
		CASE(a_stopped_daemon_lends_nothing),
		CASE(who_fences_ends_it_whatever_the_lease),
		CASE(a_lease_outlives_the_daemon),
		CASE(another_spare_waits_for_the_lease_of_the_old_primary),
		CASE(also_if_it_was_lent_nothing_yet),
		CASE(but_not_if_that_is_known_to_have_ended),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("leases", tests, NULL, NULL);
}
