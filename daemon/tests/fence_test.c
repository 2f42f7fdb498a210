// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Whoever learns of a higher term fences the local session of that name at once: idle
 * programs, programs that never published, whichever link is up, and after a reconnect.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "pair.h"

/* As cptdevctl does it; the daemon isn't asked. */
static u64 promote(struct host *h, u64 term)
{
	struct kernel *k = &h->fake.kernel;
	u64 generation;
	int fd = kernel_replica_open(k, "kv", CPTDEV_REPLICA_WRITE);

	assert_true(fd >= 0);
	assert_int_equal(kernel_replica_promote(k, fd, &term, &generation), 0);
	k->ops->close(k, fd);
	return term;
}

/* A program on A with a checkpoint on B; it is idle from now on. */
static struct fake_session *fed(struct pair *p)
{
	struct fake_session *s = fake_session(&p->a.fake, "kv", 10);

	publish_some(&p->a, s, 0, 1);
	WAIT_FOR(p, pair_committed(s));
	return s;
}

/* Both hosts anew, and only @from connects to the other. */
static void one_way(struct pair *p, struct host *from)
{
	struct host *to = from == &p->a ? &p->b : &p->a;

	host_kill(&p->a);
	host_kill(&p->b);
	to->conf.peers[0].addr.ss_family = AF_UNSPEC;
	to->conf.allow = ALLOW_ANY;
	host_start(&p->a);
	host_start(&p->b);
	WAIT_FOR(p, host_peer(from)->out.state == OUT_UP && host_peer(to)->in);
}

static void an_idle_primary_is_told_of_a_promotion(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fed(p);

	promote(&p->b, 0);
	WAIT_FOR(p, s->fenced);
	WAIT_FOR(p, host_ship(&p->a, "kv")->state == SHIP_FENCED);
	assert_int_equal(fake_attached(&p->a.fake, s), 0);
	assert_int_equal(host_ship(&p->a, "kv")->last.code, WIRE_E_FENCED);
	assert_true(host_linked(&p->a) && host_linked(&p->b));
}

static void over_the_primarys_link_alone(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fed(p);

	one_way(p, &p->a);
	promote(&p->b, 0);
	WAIT_FOR(p, s->fenced);
}

static void over_the_spares_link_alone(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fed(p);

	one_way(p, &p->b);
	pair_run(p, 20);
	assert_false(s->fenced);
	promote(&p->b, 0);
	WAIT_FOR(p, s->fenced);
}

/* Promoted while nobody could be told: at the first link, whichever it is. */
static void promoted_while_unlinked(struct pair *p, struct host *first)
{
	struct fake_session *s = fed(p);

	host_kill(&p->b);
	promote(&p->b, 0);
	WAIT_FOR(p, !host_linked(&p->a));
	assert_false(s->fenced);
	one_way(p, first);
	WAIT_FOR(p, s->fenced);
	/* And when all is up again it stays so. */
	pair_run(p, 100);
	assert_int_equal(s->rec.committed, 1);
}

static void after_a_reconnect_of_the_primary(void **state)
{
	struct pair *p = *state;

	promoted_while_unlinked(p, &p->a);
}

static void after_a_reconnect_of_the_spare(void **state)
{
	struct pair *p = *state;

	promoted_while_unlinked(p, &p->b);
}

static void a_program_that_never_published_is_told(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 10), *other;

	WAIT_FOR(p, host_ship(&p->a, "kv") && host_ship(&p->a, "kv")->state == SHIP_WAITING);
	other = fake_session_with(&p->b.fake, "kv", 10, 2, 0);
	WAIT_FOR(p, s->fenced);
	pair_run(p, 100);
	assert_false(other->fenced);
}

static void and_over_the_other_link_alone(void **state)
{
	struct pair *p = *state;
	struct fake_session *s;

	one_way(p, &p->a);
	s = fake_session(&p->a.fake, "kv", 10);
	pair_run(p, 20);
	fake_session_with(&p->b.fake, "kv", 10, 2, 0);
	WAIT_FOR(p, s->fenced);
}

/* B takes over and ships to A, where the old program still is: its SESSION fences. */
static void a_session_of_the_peer_fences(void **state)
{
	struct pair *p = *state;
	struct fake_session *s, *t;

	one_way(p, &p->b);
	s = fake_session(&p->a.fake, "kv", 10);
	pair_run(p, 20);
	t = fake_session_with(&p->b.fake, "kv", 10, 7, 0);
	publish_some(&p->b, t, 0, 1);
	WAIT_FOR(p, s->fenced);
	WAIT_FOR(p, pair_committed(t));
	assert_false(t->fenced);
}

/* The old program is started again, on a host that keeps the replica of its successor. */
static void the_replica_of_the_own_host_fences(void **state)
{
	struct pair *p = *state;
	struct fake_session *t = fake_session_with(&p->b.fake, "kv", 10, 2, 0), *s;

	publish_some(&p->b, t, 0, 1);
	WAIT_FOR(p, pair_committed(t));
	host_kill(&p->b);
	pair_run(p, 20);
	s = fake_session(&p->a.fake, "kv", 10);
	WAIT_FOR(p, s->fenced);
	/* What the daemon knew it asks the kernel for after a restart. */
	host_kill(&p->a);
	s = fake_session(&p->a.fake, "kv", 10);
	host_start(&p->a);
	WAIT_FOR(p, s->fenced);
}

static void a_promotion_of_the_own_replica_fences(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fed(p), *t;

	t = fake_session_with(&p->b.fake, "kv", 10, 1, 0);
	pair_run(p, 20);
	assert_false(t->fenced);
	promote(&p->b, 0);
	WAIT_FOR(p, t->fenced && s->fenced);
}

/* Not too much: who took over has the term of the promotion, and others have other names. */
static void the_right_ones_go_on(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fed(p), *t;
	struct fake_session *other = fake_session(&p->a.fake, "other", 10);

	publish_some(&p->a, other, 0, 1);
	WAIT_FOR(p, pair_committed(other));
	t = fake_session_with(&p->b.fake, "kv", 10, promote(&p->b, 0), 0);
	WAIT_FOR(p, s->fenced);
	publish_some(&p->b, t, 0, 1);
	publish_some(&p->a, other, 0, 2);
	WAIT_FOR(p, pair_committed(t) && pair_committed(other));
	assert_false(t->fenced || other->fenced);
}

/* The roles are swapped, and swapped again while all is idle. */
static void the_second_failure_is_told_as_well(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fed(p), *t, *u;

	t = fake_session_with(&p->b.fake, "kv", 10, promote(&p->b, 0), 0);
	publish_some(&p->b, t, 0, 2);
	WAIT_FOR(p, s->fenced && pair_committed(t));
	fake_session_end(&p->a.fake, s);
	assert_int_equal(promote(&p->a, 0), 3);
	WAIT_FOR(p, t->fenced);
	u = fake_session_with(&p->a.fake, "kv", 10, 3, 0);
	publish_some(&p->a, u, 0, 3);
	WAIT_FOR(p, pair_committed(u));
	assert_false(u->fenced);
}

/* The term counts, whoever owns the replica. */
static void the_replica_of_another_user_fences(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fed(p), *t;

	fake_session_end(&p->a.fake, s);
	promote(&p->b, 0);
	fake_replica(&p->b.fake, "kv")->rec.uid = 1001;
	t = fake_session(&p->a.fake, "kv", 10);
	WAIT_FOR(p, t->fenced);
}

static void a_fence_that_fails_is_repeated(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fed(p);

	p->a.fake.fail_ack = ENOMEM;
	promote(&p->b, 0);
	WAIT_FOR(p, host_ship(&p->a, "kv")->state == SHIP_FENCED);
	pair_run(p, 50);
	assert_false(s->fenced);
	p->a.fake.fail_ack = 0;
	WAIT_FOR(p, s->fenced);
}

/* Even if the replica that fenced it is gone: it was told to stop. */
static void what_is_fenced_is_shipped_no_more(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fed(p);

	promote(&p->b, 0);
	WAIT_FOR(p, s->fenced);
	host_kill(&p->a);
	fake_replica_remove(&p->b.fake, fake_replica(&p->b.fake, "kv"));
	host_start(&p->a);
	publish_some(&p->a, s, 1, 2);
	WAIT_FOR(p, host_linked(&p->a) && host_ship(&p->a, "kv"));
	pair_run(p, 200);
	assert_int_equal(host_ship(&p->a, "kv")->state, SHIP_FENCED);
	assert_int_equal(s->rec.committed, 1);
	assert_null(fake_replica(&p->b.fake, "kv"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, pair_setup, pair_teardown)
		T(an_idle_primary_is_told_of_a_promotion),
		T(over_the_primarys_link_alone),
		T(over_the_spares_link_alone),
		T(after_a_reconnect_of_the_primary),
		T(after_a_reconnect_of_the_spare),
		T(a_program_that_never_published_is_told),
		T(and_over_the_other_link_alone),
		T(a_session_of_the_peer_fences),
		T(the_replica_of_the_own_host_fences),
		T(a_promotion_of_the_own_replica_fences),
		T(the_right_ones_go_on),
		T(the_second_failure_is_told_as_well),
		T(the_replica_of_another_user_fences),
		T(a_fence_that_fails_is_repeated),
		T(what_is_fenced_is_shipped_no_more),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("fences", tests, NULL, NULL);
}
