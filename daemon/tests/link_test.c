// SPDX-License-Identifier: GPL-2.0-or-later
/* Two daemons over loopback: what happens when links, daemons and hosts go away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "pair.h"

/* Break the connection on which A ships, as a network does. */
static void cut(struct pair *p)
{
	u64 before = host_peer(&p->a)->out.connects;

	shutdown(host_peer(&p->a)->out.conn->fd, SHUT_RDWR);
	WAIT_FOR(p, host_peer(&p->a)->out.connects > before);
}

static struct soft_replica *replica(struct pair *p)
{
	return fake_replica(&p->b.fake, "kv");
}

/*
 * Links
 */

static void a_lost_link_comes_back_and_goes_on(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 1000);

	publish_some(&p->a, s, 0, 1);
	WAIT_FOR(p, pair_committed(s));
	cut(p);
	publish_some(&p->a, s, 9, 9);
	WAIT_FOR(p, pair_committed(s));
	/* Not everything anew. */
	assert_int_equal(s->delta_pages, 1001);
	assert_true(fake_same(replica(p), s));
}

static void a_link_lost_in_the_middle_leaves_nothing_behind(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 8192);

	fake_noise(s, 1);		/* else it is short, and arrives at once */
	fake_publish(&p->a.fake, s);
	WAIT_FOR(p, p->b.fake.stages > 2);
	shutdown(host_peer(&p->a)->out.conn->fd, SHUT_RDWR);
	/* In this order: A may be back before B has read to the end of the old connection. */
	WAIT_FOR(p, fake_attached(&p->a.fake, s) == 0);
	WAIT_FOR(p, replica(p)->stage.owner == -1);
	assert_int_equal(replica(p)->rec.generation, 0);
	WAIT_FOR(p, pair_committed(s));
	assert_true(fake_same(replica(p), s));
}

static void the_answer_to_a_commit_is_lost(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 10);

	publish_some(&p->a, s, 0, 1);
	WAIT_FOR(p, pair_committed(s));
	publish_some(&p->a, s, 0, 2);
	/* A sends; B commits, but A doesn't read the answer any more. */
	while (replica(p)->rec.generation != 2) {
		if (host_ship(&p->a, "kv")->in_flight == 0)
			loop_turn(&p->a.daemon.loop, 0);
		loop_turn(&p->b.daemon.loop, 0);
	}
	shutdown(host_peer(&p->a)->out.conn->fd, SHUT_RDWR);
	WAIT_FOR(p, pair_committed(s));
	assert_int_equal(s->deltas, 2);
}

static void the_spares_daemon_is_restarted(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 100);

	publish_some(&p->a, s, 0, 1);
	WAIT_FOR(p, pair_committed(s));
	host_kill(&p->b);
	/* Before A has noticed, a delta would be fetched for nobody, and counted. */
	WAIT_FOR(p, fake_attached(&p->a.fake, s) == 0);
	publish_some(&p->a, s, 1, 2);
	host_start(&p->b);
	WAIT_FOR(p, pair_committed(s));
	assert_int_equal(s->delta_pages, 101);
	assert_true(fake_same(replica(p), s));
}

static void the_spare_is_restarted_without_its_replica(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 100);

	publish_some(&p->a, s, 0, 1);
	WAIT_FOR(p, pair_committed(s));
	host_kill(&p->b);
	WAIT_FOR(p, fake_attached(&p->a.fake, s) == 0);
	fake_replica_remove(&p->b.fake, replica(p));
	host_start(&p->b);
	publish_some(&p->a, s, 1, 2);
	WAIT_FOR(p, pair_committed(s));
	assert_int_equal(s->delta_pages, 200);
	assert_true(fake_same(replica(p), s));
}

static void the_primarys_daemon_is_restarted(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 100);

	publish_some(&p->a, s, 0, 1);
	WAIT_FOR(p, pair_committed(s));
	host_kill(&p->a);
	publish_some(&p->a, s, 1, 2);
	host_start(&p->a);
	WAIT_FOR(p, pair_committed(s));
	assert_int_equal(s->delta_pages, 101);
	assert_true(fake_same(replica(p), s));
	assert_int_equal(host_peer(&p->b)->detector.state, DET_ALIVE);
}

/* The old connection still looks alive when the new one comes. */
static void a_new_connection_replaces_the_old_one(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 8192);
	struct in *old;
	int fd;

	fake_publish(&p->a.fake, s);
	WAIT_FOR(p, p->b.fake.stages > 2);
	old = host_peer(&p->b)->in;
	/* What A's kernel knew of the old one is gone, but nobody has told B. */
	fd = dup(host_peer(&p->a)->out.conn->fd);
	host_kill(&p->a);
	host_start(&p->a);
	WAIT_FOR(p, host_peer(&p->b)->in && host_peer(&p->b)->in != old);
	close(fd);
	WAIT_FOR(p, pair_committed(s));
	assert_true(fake_same(replica(p), s));
}

/*
 * Who may write
 */

static void a_promoted_replica_fences_the_session(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 10);
	u64 term = 0, generation;
	int fd;

	publish_some(&p->a, s, 0, 1);
	WAIT_FOR(p, pair_committed(s));
	fd = kernel_replica_open(&p->b.fake.kernel, "kv", CPTDEV_REPLICA_WRITE);
	assert_int_equal(kernel_replica_promote(&p->b.fake.kernel, fd, &term,
						&generation), 0);
	p->b.fake.kernel.ops->close(&p->b.fake.kernel, fd);
	publish_some(&p->a, s, 1, 2);
	WAIT_FOR(p, s->fenced);
	assert_int_equal(host_ship(&p->a, "kv")->state, SHIP_FENCED);
	assert_int_equal(fake_attached(&p->a.fake, s), 0);
	assert_int_equal(replica(p)->rec.generation, 1);
	/* And it stays so. */
	pair_run(p, 300);
	assert_int_equal(host_ship(&p->a, "kv")->state, SHIP_FENCED);
	assert_int_equal(s->rec.committed, 1);
}

static void a_newer_term_on_the_spare_fences_from_the_start(void **state)
{
	struct pair *p = *state;
	struct fake_session *old = fake_session_with(&p->a.fake, "kv", 10, 5, 0), *s;

	publish_some(&p->a, old, 0, 1);
	WAIT_FOR(p, pair_committed(old));
	fake_session_end(&p->a.fake, old);
	s = fake_session(&p->a.fake, "kv", 10);
	publish_some(&p->a, s, 0, 1);
	WAIT_FOR(p, s->fenced);
	assert_int_equal(replica(p)->rec.generation, 1);
}

static void a_higher_term_takes_over(void **state)
{
	struct pair *p = *state;
	struct fake_session *old = fake_session(&p->a.fake, "kv", 10), *s;

	publish_some(&p->a, old, 0, 1);
	WAIT_FOR(p, pair_committed(old));
	fake_session_end(&p->a.fake, old);
	replica(p)->promoted = true;
	s = fake_session_with(&p->a.fake, "kv", 10, 2, 0);
	publish_some(&p->a, s, 0, 9);
	WAIT_FOR(p, pair_committed(s));
	assert_true(fake_same(replica(p), s));
	assert_false(replica(p)->promoted);
}

static struct ship *refused(struct pair *p, u32 code)
{
	WAIT_FOR(p, host_ship(&p->a, "kv") &&
		 host_ship(&p->a, "kv")->last.code == code);
	return host_ship(&p->a, "kv");
}

static void another_sessions_memory_is_not_wiped_out(void **state)
{
	struct pair *p = *state;
	struct fake_session *old = fake_session(&p->a.fake, "kv", 10), *s;

	publish_some(&p->a, old, 0, 1);
	WAIT_FOR(p, pair_committed(old));
	fake_session_end_by(&p->a.fake, old, CPTDEV_END_KILLED, 9);
	/* As if the record of this host were lost; with it, it would not even ask. */
	records_forget(&p->a.daemon, "kv");
	s = fake_session(&p->a.fake, "kv", 10);
	publish_some(&p->a, s, 0, 2);
	assert_non_null(strstr(refused(p, WIRE_E_OTHER)->last.text, "replica remove kv"));
	assert_int_equal(replica(p)->rec.generation, 1);
	assert_int_equal(fake_attached(&p->a.fake, s), 0);
	/* The operator does as he is told. */
	fake_replica_remove(&p->b.fake, replica(p));
	WAIT_FOR(p, pair_committed(s));
	assert_true(fake_same(replica(p), s));
}

static void with_replace_it_is(void **state)
{
	struct pair *p = *state;
	struct fake_session *old = fake_session(&p->a.fake, "kv", 10), *s;

	publish_some(&p->a, old, 0, 1);
	WAIT_FOR(p, pair_committed(old));
	fake_session_end(&p->a.fake, old);
	s = fake_session_with(&p->a.fake, "kv", 10, 1, CPTDEV_GENL_SESSION_REPLACE);
	publish_some(&p->a, s, 0, 2);
	WAIT_FOR(p, pair_committed(s));
	assert_true(fake_same(replica(p), s));
}

static void two_programs_of_one_name_are_told(void **state)
{
	struct pair *p = *state;
	struct fake_session *s, *other = fake_session(&p->b.fake, "kv", 10);

	WAIT_FOR(p, host_ship(&p->b, "kv") && ship_follows(host_ship(&p->b, "kv")));
	s = fake_session(&p->a.fake, "kv", 10);
	publish_some(&p->a, s, 0, 1);
	WAIT_FOR(p, known_find_name(&p->a.daemon, "kv"));
	assert_non_null(strstr(known_find_name(&p->a.daemon, "kv")->barred, "Start the program as the spare"));
	pair_run(p, 20);
	assert_int_equal(s->rec.committed, 0);
	assert_false(s->fenced);
	fake_session_end(&p->b.fake, other);
	WAIT_FOR(p, pair_committed(s));
}

static void a_program_with_a_newer_term_on_the_spare_fences(void **state)
{
	struct pair *p = *state;
	struct fake_session *s, *other = fake_session_with(&p->b.fake, "kv", 10, 2, 0);

	publish_some(&p->b, other, 0, 1);
	pair_run(p, 20);
	s = fake_session(&p->a.fake, "kv", 10);
	publish_some(&p->a, s, 0, 1);
	WAIT_FOR(p, s->fenced);
	/* While it ships back to where the old one was. */
	WAIT_FOR(p, pair_committed(other));
	assert_false(other->fenced);
}

static void the_replica_of_another_user_is_not_touched(void **state)
{
	struct pair *p = *state;
	struct fake_session *s;

	p->b.fake.kernel.ops->create(&p->b.fake.kernel, "kv", 1001);
	s = fake_session(&p->a.fake, "kv", 10);
	publish_some(&p->a, s, 0, 1);
	assert_non_null(strstr(refused(p, WIRE_E_OWNER)->last.text, "1001"));
}

static void a_frozen_replica_is_waited_for(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 10);

	publish_some(&p->a, s, 0, 1);
	WAIT_FOR(p, pair_committed(s));
	replica(p)->frozen = true;
	publish_some(&p->a, s, 0, 2);
	refused(p, WIRE_E_BUSY);
	pair_run(p, 200);
	assert_int_equal(replica(p)->rec.generation, 1);
	replica(p)->frozen = false;
	WAIT_FOR(p, pair_committed(s));
	/* It was fetched twice at most: after that only the question was repeated. */
	assert_true(s->deltas <= 3);
}

static void replicas_are_limited(void **state)
{
	struct pair *p = *state;
	struct fake_session *s;
	char name[16];
	int i;

	for (i = 0; i < 16; i++) {
		snprintf(name, sizeof(name), "r%d", i);
		p->b.fake.kernel.ops->create(&p->b.fake.kernel, name, 0);
	}
	s = fake_session(&p->a.fake, "kv", 10);
	publish_some(&p->a, s, 0, 1);
	assert_non_null(strstr(refused(p, WIRE_E_LIMIT)->last.text, "max_sessions"));
}

/*
 * Failure of the peer
 */

static struct fake_session *fed(struct pair *p)
{
	struct fake_session *s = fake_session(&p->a.fake, "kv", 10);

	publish_some(&p->a, s, 0, 1);
	WAIT_FOR(p, pair_committed(s));
	/* A program on B waits to take over. */
	replica(p)->rec.waiters = 1;
	return s;
}

static void a_dead_peers_replicas_are_promoted(void **state)
{
	struct pair *p = *state;
	u64 begin;

	p->b.daemon.conf.sessions.failover = FAILOVER_AUTO;
	fed(p);
	begin = clock_mono();
	host_lose(&p->a);
	WAIT_FOR(p, replica(p)->promoted);
	assert_in_range((clock_mono() - begin) / NSEC_PER_MSEC, 950, 3000);
	assert_int_equal(replica(p)->rec.term, 2);
	assert_int_equal(host_peer(&p->b)->failover.replicas, 1);
	assert_int_equal(host_peer(&p->b)->detector.state, DET_DEAD);
}

/* The link stands, but nothing comes: a host that hangs, a cable that is cut. */
static void a_silent_peers_replicas_are_promoted(void **state)
{
	struct pair *p = *state;

	p->b.daemon.conf.sessions.failover = FAILOVER_AUTO;
	fed(p);
	p->a.runs = false;
	WAIT_FOR(p, replica(p)->promoted);
	assert_null(host_peer(&p->b)->in);
	p->a.runs = true;
}

static void the_old_primary_comes_back_and_is_fenced(void **state)
{
	struct pair *p = *state;
	struct fake_session *s;

	p->b.daemon.conf.sessions.failover = FAILOVER_AUTO;
	s = fed(p);
	p->a.runs = false;
	WAIT_FOR(p, replica(p)->promoted);
	p->a.runs = true;
	WAIT_FOR(p, s->fenced);
	WAIT_FOR(p, host_peer(&p->b)->detector.state == DET_ALIVE);
}

static void with_manual_failover_nothing_is_promoted(void **state)
{
	struct pair *p = *state;

	fed(p);
	host_lose(&p->a);
	WAIT_FOR(p, host_peer(&p->b)->detector.state == DET_DEAD);
	assert_false(replica(p)->promoted);
}

static void an_orderly_end_promotes_nothing(void **state)
{
	struct pair *p = *state;

	p->b.daemon.conf.sessions.failover = FAILOVER_AUTO;
	fed(p);
	host_stop(&p->a, &p->b);
	WAIT_FOR(p, host_peer(&p->b)->detector.state == DET_LEFT);
	pair_run(p, 1500);
	assert_int_equal(host_peer(&p->b)->detector.state, DET_LEFT);
	assert_false(replica(p)->promoted);
}

static void a_daemon_that_is_back_in_time_is_no_failure(void **state)
{
	struct pair *p = *state;
	struct fake_session *s;

	p->b.daemon.conf.sessions.failover = FAILOVER_AUTO;
	s = fed(p);
	host_kill(&p->a);
	WAIT_FOR(p, host_peer(&p->b)->detector.state == DET_LOST);
	host_start(&p->a);
	publish_some(&p->a, s, 1, 1);
	WAIT_FOR(p, pair_committed(s));
	pair_run(p, 1500);
	assert_false(replica(p)->promoted);
}

static void a_peer_that_was_never_heard_promotes_nothing(void **state)
{
	struct pair *p = *state;

	fed(p);
	host_kill(&p->a);
	host_kill(&p->b);
	p->b.conf.sessions.failover = FAILOVER_AUTO;
	host_start(&p->b);
	pair_run(p, 1500);
	assert_int_equal(host_peer(&p->b)->detector.state, DET_UNKNOWN);
	assert_false(replica(p)->promoted);
}

static void a_replica_that_holds_nothing_is_not_promoted(void **state)
{
	struct pair *p = *state;

	p->b.daemon.conf.sessions.failover = FAILOVER_AUTO;
	fake_session(&p->a.fake, "kv", 10);
	WAIT_FOR(p, replica(p));
	host_lose(&p->a);
	WAIT_FOR(p, host_peer(&p->b)->detector.state == DET_DEAD);
	assert_false(replica(p)->promoted);
}

/* Its program ended before the host did: it isn't started where nobody wanted it. */
static void a_session_that_had_ended_is_not_promoted(void **state)
{
	struct pair *p = *state;
	struct fake_session *s;

	p->b.daemon.conf.sessions.failover = FAILOVER_AUTO;
	s = fed(p);
	fake_session_end(&p->a.fake, s);
	WAIT_FOR(p, LIST_EMPTY(&host_peer(&p->b)->in->channels));
	host_lose(&p->a);
	WAIT_FOR(p, host_peer(&p->b)->detector.state == DET_DEAD);
	assert_false(replica(p)->promoted);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, pair_setup, pair_teardown)
		T(a_lost_link_comes_back_and_goes_on),
		T(a_link_lost_in_the_middle_leaves_nothing_behind),
		T(the_answer_to_a_commit_is_lost),
		T(the_spares_daemon_is_restarted),
		T(the_spare_is_restarted_without_its_replica),
		T(the_primarys_daemon_is_restarted),
		T(a_new_connection_replaces_the_old_one),
		T(a_promoted_replica_fences_the_session),
		T(a_newer_term_on_the_spare_fences_from_the_start),
		T(a_higher_term_takes_over),
		T(another_sessions_memory_is_not_wiped_out),
		T(with_replace_it_is),
		T(two_programs_of_one_name_are_told),
		T(a_program_with_a_newer_term_on_the_spare_fences),
		T(the_replica_of_another_user_is_not_touched),
		T(a_frozen_replica_is_waited_for),
		T(replicas_are_limited),
		T(a_dead_peers_replicas_are_promoted),
		T(a_silent_peers_replicas_are_promoted),
		T(the_old_primary_comes_back_and_is_fenced),
		T(with_manual_failover_nothing_is_promoted),
		T(an_orderly_end_promotes_nothing),
		T(a_daemon_that_is_back_in_time_is_no_failure),
		T(a_peer_that_was_never_heard_promotes_nothing),
		T(a_replica_that_holds_nothing_is_not_promoted),
		T(a_session_that_had_ended_is_not_promoted),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("links", tests, NULL, NULL);
}
