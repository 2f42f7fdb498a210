// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The daemon's loop has to rest when there is nothing to do, whatever the kernel or the peer
 * answers: turns of the loop, calls into the kernel and processor time are counted.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "pair.h"

/* In so much time, in which each side sends about six heartbeats. */
#define QUIET_MS	300
#define TURNS_MAX	150U
#define CPU_MAX_MS	100U

static u64 cpu_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / NSEC_PER_MSEC;
}

/* How often A's loop turns while it may sleep until something happens. */
static u32 turns(struct pair *p)
{
	u64 until = clock_mono() + QUIET_MS * NSEC_PER_MSEC;
	u32 n = 0;

	while (clock_mono() < until) {
		loop_turn(&p->a.daemon.loop, 10);
		if (p->b.runs)
			loop_turn(&p->b.daemon.loop, 0);
		n++;
	}
	return n;
}

static void assert_quiet(struct pair *p, u64 calls_max)
{
	struct fake *f = &p->a.fake;
	u64 calls, cpu;
	u32 n;

	pair_run(p, 50);
	calls = f->asked + f->dumps;
	cpu = cpu_ms();
	n = turns(p);
	cpu = cpu_ms() - cpu;
	calls = f->asked + f->dumps - calls;
	if (n > TURNS_MAX || cpu > CPU_MAX_MS || calls > calls_max)
		fail_msg("%u turns, %llu ms, %llu calls within %u ms", n, cpu, calls,
			 QUIET_MS);
}

/* The measure itself: a healthy link is quiet. */
static void a_link_without_work_is_quiet(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 10);

	publish_some(&p->a, s, 0, 1);
	WAIT_FOR(p, pair_committed(s));
	assert_quiet(p, 0);
}

/* It isn't quiet when it has no reason to be: the limits can be exceeded. */
static void work_is_not_quiet(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 10);
	u64 asked = p->a.fake.asked;
	u32 i;

	for (i = 0; i < 50; i++) {
		publish_some(&p->a, s, 0, i);
		WAIT_FOR(p, pair_committed(s));
	}
	assert_true(p->a.fake.asked - asked >= 50);
}

/* When it has sent what it knows of, the daemon waits for the next event and doesn't ask. */
static void a_checkpoint_is_asked_for_once(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 10);
	u64 asked;
	u32 i;

	publish_some(&p->a, s, 0, 0);
	WAIT_FOR(p, pair_committed(s));
	pair_run(p, 50);
	asked = p->a.fake.asked;
	for (i = 1; i <= 50; i++) {
		publish_some(&p->a, s, 0, i);
		WAIT_FOR(p, pair_committed(s));
	}
	assert_in_range(p->a.fake.asked - asked, 50, 55);
	assert_true(fake_same(fake_replica(&p->b.fake, "kv"), s));
}

static struct soft_replica *replica(struct pair *p)
{
	return fake_replica(&p->b.fake, "kv");
}

/* The replica is lost, nothing that is kept reaches back, and the program is idle. */
static void lose_replica(struct pair *p, struct fake_session *s)
{
	publish_some(&p->a, s, 0, 1);
	WAIT_FOR(p, pair_committed(s));
	host_kill(&p->b);
	WAIT_FOR(p, fake_attached(&p->a.fake, s) == 0);
	fake_replica_remove(&p->b.fake, replica(p));
	s->reach = s->rec.published;
	host_start(&p->b);
	WAIT_FOR(p, s->reach_next);
}

static void an_idle_program_whose_replica_is_lost(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 10);

	lose_replica(p, s);
	assert_quiet(p, 0);
	/* Everything else goes on: the peer hears heartbeats for longer than its time-out. */
	pair_run(p, 1200);
	assert_int_equal(host_peer(&p->b)->detector.state, DET_ALIVE);
	assert_true(host_linked(&p->a));
	/* What isn't there isn't a spare, and the status says so. */
	assert_int_equal(fake_attached(&p->a.fake, s), 0);
	assert_int_equal(host_ship(&p->a, "kv")->last.code, WIRE_E_GAP);
	/* The next checkpoint of the program brings everything. */
	publish_some(&p->a, s, 1, 2);
	WAIT_FOR(p, pair_committed(s));
	assert_true(fake_same(replica(p), s));
	assert_int_equal(fake_attached(&p->a.fake, s), 1);
	assert_int_equal(host_ship(&p->a, "kv")->last.code, WIRE_OK);
}

/* Others are shipped meanwhile, and their events don't bring the question back. */
static void others_go_on_beside_it(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 10);
	struct fake_session *t = fake_session(&p->a.fake, "other", 10);
	u64 asked;
	u32 i;

	lose_replica(p, s);
	asked = p->a.fake.asked;
	for (i = 1; i <= 10; i++) {
		publish_some(&p->a, t, 0, i);
		WAIT_FOR(p, pair_committed(t));
	}
	assert_true(p->a.fake.asked - asked <= 30);
	assert_quiet(p, 0);
}

static void a_kernel_that_refuses_deltas(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 10);

	p->a.fake.fail_delta = ENOMEM;
	publish_some(&p->a, s, 0, 1);
	WAIT_FOR(p, host_ship(&p->a, "kv"));
	assert_quiet(p, 4);
	p->a.fake.fail_delta = 0;
	WAIT_FOR(p, pair_committed(s));
}

/* Reading events fails, and fails again. */
static void events_that_cannot_be_read(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 10);

	p->a.fake.fail_events = EIO;
	publish_some(&p->a, s, 0, 1);
	assert_quiet(p, 2);
	p->a.fake.fail_events = 0;
	WAIT_FOR(p, pair_committed(s));
}

/* So many events that some are always lost: the state is asked for now and then only. */
static void events_that_are_lost_all_the_time(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 10);
	u64 dumps = p->a.fake.dumps, begin = clock_mono(), ms = 0;

	while (ms < QUIET_MS) {
		fake_lose_events(&p->a.fake);
		pair_run(p, 1);
		ms = (clock_mono() - begin) / NSEC_PER_MSEC;
	}
	/* Of sessions and of replicas, every 50 ms. */
	assert_in_range(p->a.fake.dumps - dumps, 1, 2 * (ms / 50 + 2));
	publish_some(&p->a, s, 0, 1);
	WAIT_FOR(p, pair_committed(s));
}

static void without_the_module(void **state)
{
	struct pair *p = *state;

	host_kill(&p->a);
	p->a.fake.absent = true;
	host_start(&p->a);
	WAIT_FOR(p, host_linked(&p->a));
	assert_quiet(p, 0);
}

static void without_a_peer(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 10);

	publish_some(&p->a, s, 0, 1);
	WAIT_FOR(p, pair_committed(s));
	host_kill(&p->b);
	WAIT_FOR(p, fake_attached(&p->a.fake, s) == 0);
	assert_quiet(p, 0);
}

/*
 * A checkpoint of pages that are alike takes next to no bytes. The spare doesn't stage all of it in one
 * turn: READ_BUDGET is for each of the two readings
 * that a turn may have, before and after what it sends.
 */
#define ALIKE		(64U << 20)
#define STAGED_MAX	(9U << 20)

static void a_spare_that_gets_pages_that_are_alike(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", ALIKE / FAKE_PAGE);
	u64 before, most = 0;
	u32 i;

	for (i = 0; i < ALIKE / FAKE_PAGE; i++)
		fake_write(s, i, 0);
	fake_publish(&p->a.fake, s);
	WAIT_FOR(p, host_ship(&p->a, "kv") && host_ship(&p->a, "kv")->delta);
	/* The spare's daemon has no processor meanwhile. */
	while (host_ship(&p->a, "kv")->delta)
		loop_turn(&p->a.daemon.loop, 1);
	while (!pair_committed(s)) {
		before = fake_replica_pages(&p->b.fake);
		loop_turn(&p->b.daemon.loop, 1);
		loop_turn(&p->a.daemon.loop, 0);
		most = MAX(most, fake_replica_pages(&p->b.fake) - before);
	}
	assert_in_range(most * FAKE_PAGE, 1U << 20, STAGED_MAX);
	assert_true(fake_same(replica(p), s));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, pair_setup, pair_teardown)
		T(a_link_without_work_is_quiet),
		T(work_is_not_quiet),
		T(a_checkpoint_is_asked_for_once),
		T(an_idle_program_whose_replica_is_lost),
		T(others_go_on_beside_it),
		T(a_kernel_that_refuses_deltas),
		T(events_that_cannot_be_read),
		T(events_that_are_lost_all_the_time),
		T(without_the_module),
		T(without_a_peer),
		T(a_spare_that_gets_pages_that_are_alike),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("turns", tests, NULL, NULL);
}
