// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Sessions without a spare: who goes on alone and who doesn't, what is on record of it, and that
 * the spare that comes back isn't promoted before it has everything. And idle programs, which
 * are asked for a checkpoint.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "alone.h"
#include "json.h"
#include "pair.h"

static void the_rule(void **state)
{
	struct alone_facts f = { .go_on = true, .patience = 10 };

	(void)state;
	assert_int_equal(alone_decide(&f), ALONE_SOON);
	f.without = 10;
	assert_int_equal(alone_decide(&f), ALONE_SAFE);
	f.without = 0;
	f.gone = true;
	assert_int_equal(alone_decide(&f), ALONE_SAFE);
	f.asked = true;
	assert_int_equal(alone_decide(&f), ALONE_SOON);
	f.asked = false;
	f.lent = true;
	assert_int_equal(alone_decide(&f), ALONE_SOON);
	f.lent = false;
	f.spare = true;
	assert_int_equal(alone_decide(&f), ALONE_RISK);
	f.automatic = true;
	assert_int_equal(alone_decide(&f), ALONE_NO);
	f.said = true;
	assert_int_equal(alone_decide(&f), ALONE_SAID);
	f.follows = true;
	assert_int_equal(alone_decide(&f), ALONE_NO);
	f = (struct alone_facts) { .gone = true, .without = 100 };
	assert_int_equal(alone_decide(&f), ALONE_NO);
}

static void policy(struct host *h, u32 alone, u32 failover)
{
	h->conf.sessions.alone = h->daemon.conf.sessions.alone = alone;
	h->conf.sessions.failover = h->daemon.conf.sessions.failover = failover;
}

/* A program on A with a checkpoint on B. */
static struct fake_session *fed(struct pair *p, u32 alone, u32 failover)
{
	struct fake_session *s;

	policy(&p->a, alone, failover);
	policy(&p->b, alone, failover);
	s = fake_session(&p->a.fake, "kv", 10);
	publish_some(&p->a, s, 0, 1);
	WAIT_FOR(p, pair_committed(s) && fake_allows(s));
	return s;
}

static bool wanted(const struct fake_session *s)
{
	return s->state.flags & CPTDEV_STATE_WANTED;
}

/* A program that takes the checkpoints that are wanted. */
static bool obliges(struct pair *p, struct fake_session *s)
{
	if (wanted(s))
		publish_some(&p->a, s, 4, 4);
	return true;
}

static bool is_alone(const struct fake_session *s)
{
	return s->state.flags & CPTDEV_STATE_ALONE;
}

/* Is the next checkpoint acknowledged? */
static bool acknowledges(struct pair *p, struct fake_session *s)
{
	u64 until = clock_mono() + 2500 * NSEC_PER_MSEC;

	publish_some(&p->a, s, 1, 7);
	while (clock_mono() < until && !(pair_committed(s) && fake_allows(s)))
		pair_run(p, 1);
	return pair_committed(s) && fake_allows(s);
}

static const struct record *record_at(struct host *h)
{
	return record_of(&h->daemon, "kv");
}

static void it_goes_on_when_the_spare_left_in_order(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fed(p, CONF_GO_ON, FAILOVER_AUTO);

	assert_true(record_at(&p->a)->spare);
	host_stop(&p->b, &p->a);
	WAIT_FOR(p, is_alone(s));
	assert_true(acknowledges(p, s));
	assert_int_equal(s->state.lease_until, 0);
	assert_false(record_at(&p->a)->spare);
	assert_true(record_at(&p->a)->alone_since);
	/* The spare knows that it lacks something, and has everything soon. */
	host_start(&p->b);
	assert_true(record_at(&p->b)->outdated);
	WAIT_FOR(p, host_linked(&p->a));
	publish_some(&p->a, s, 2, 8);
	WAIT_FOR(p, obliges(p, s) && pair_committed(s) && !is_alone(s));
	assert_false(record_at(&p->b)->outdated);
	assert_true(record_at(&p->a)->spare);
	assert_int_equal(record_at(&p->a)->alone_since, 0);
}

static void it_blocks_by_default(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fed(p, CONF_BLOCK, FAILOVER_MANUAL);

	host_stop(&p->b, &p->a);
	assert_false(acknowledges(p, s));
	assert_false(is_alone(s));
	host_start(&p->b);
	assert_false(record_at(&p->b)->outdated);
	WAIT_FOR(p, pair_committed(s));
}

/* The spare may be promoted by time-out: going on would be a second primary. */
static void it_stops_when_the_spare_may_take_over(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fed(p, CONF_GO_ON, FAILOVER_AUTO);

	host_lose(&p->b);
	assert_false(acknowledges(p, s));
	assert_false(is_alone(s));
	assert_false(fake_allows(s));
}

static void it_goes_on_where_only_a_person_promotes(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fed(p, CONF_GO_ON, FAILOVER_MANUAL);

	host_lose(&p->b);
	assert_true(acknowledges(p, s));
	assert_true(is_alone(s));
	assert_true(record_at(&p->a)->spare);
}

static void a_person_says_so(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fed(p, CONF_BLOCK, FAILOVER_AUTO);
	const char *why;

	assert_int_equal(alone_say(&p->a.daemon, "other", false, &why), -EINVAL);
	assert_non_null(strstr(why, "no program"));
	assert_int_equal(alone_say(&p->a.daemon, "kv", false, &why), -EINVAL);
	assert_non_null(strstr(why, "linked"));
	host_lose(&p->b);
	assert_false(acknowledges(p, s));
	assert_int_equal(alone_say(&p->a.daemon, "kv", false, &why), 0);
	assert_true(acknowledges(p, s));
	assert_true(is_alone(s));
	/* It is remembered. */
	host_kill(&p->a);
	host_start(&p->a);
	WAIT_FOR(p, acknowledges(p, s));
	/* A spare that follows ends it. */
	host_start(&p->b);
	WAIT_FOR(p, host_linked(&p->a));
	publish_some(&p->a, s, 2, 8);
	WAIT_FOR(p, obliges(p, s) && pair_committed(s) && !is_alone(s));
	assert_false(record_at(&p->a)->alone_said);
}

/* Back, but not in step: it must not be promoted with what it has. */
static void a_spare_that_lacks_something_is_not_promoted(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fed(p, CONF_BLOCK, FAILOVER_AUTO);
	u64 term = 0, generation;
	const char *why;

	/* Not in order: it has written nothing down. */
	host_kill(&p->b);
	WAIT_FOR(p, !fake_allows(s));
	assert_int_equal(alone_say(&p->a.daemon, "kv", false, &why), 0);
	assert_true(acknowledges(p, s));
	p->a.fake.fail_delta = EIO;
	host_start(&p->b);
	assert_false(record_at(&p->b)->outdated);
	WAIT_FOR(p, record_at(&p->b)->outdated);
	assert_int_equal(promotion_do(&p->b.daemon, "kv", &term, &generation, false), -EREMCHG);
	assert_false(fake_replica(&p->b.fake, "kv")->promoted);
	p->a.fake.fail_delta = 0;
	publish_some(&p->a, s, 2, 8);
	WAIT_FOR(p, obliges(p, s) && pair_committed(s) && !record_at(&p->b)->outdated);
	assert_int_equal(promotion_do(&p->b.daemon, "kv", &term, &generation, false), 0);
	assert_int_equal(generation, s->rec.published);
}

/*
 * The copy of everything may take long, and the session doesn't wait for it: as long as
 * the spare hasn't caught up it is alone, and the spare can't be promoted.
 */
static void it_goes_on_while_the_spare_catches_up(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fed(p, CONF_GO_ON, FAILOVER_AUTO);
	u64 term = 0, generation, first;

	host_stop(&p->b, &p->a);
	WAIT_FOR(p, is_alone(s));
	assert_true(acknowledges(p, s));
	p->b.fake.fail_commit = EIO;
	host_start(&p->b);
	WAIT_FOR(p, host_ship(&p->a, "kv") && ship_follows(host_ship(&p->a, "kv")));
	/* Acknowledged at once, though the spare's first commit fails. */
	publish_some(&p->a, s, 2, 9);
	first = s->rec.published;
	WAIT_FOR(p, s->rec.committed >= first);
	assert_true(is_alone(s));
	assert_true(record_at(&p->b)->outdated);
	assert_int_equal(promotion_do(&p->b.daemon, "kv", &term, &generation, false), -EREMCHG);
	assert_int_equal(s->state.lease_until, 0);
	/* In the end it is a spare as before. */
	WAIT_FOR(p, obliges(p, s) && pair_committed(s) && !is_alone(s));
	WAIT_FOR(p, !record_at(&p->b)->outdated && s->state.lease_until);
	assert_true(fake_same(fake_replica(&p->b.fake, "kv"), s));
}

/* It counts from its answer on, and was not told that it would lack something. */
static void a_spare_that_was_asked_is_waited_for(void **state)
{
	struct pair *p = *state;
	struct fake_session *s;
	u32 i;

	policy(&p->a, CONF_GO_ON, FAILOVER_AUTO);
	s = fake_session(&p->a.fake, "kv", 10);
	publish_some(&p->a, s, 0, 1);
	while (!host_ship(&p->a, "kv"))
		loop_turn(&p->a.daemon.loop, 1);
	LIST_FIRST(&p->a.daemon.sessions)->without = 0;
	alone_look(&p->a.daemon);
	for (i = 0; i < 50; i++)
		loop_turn(&p->a.daemon.loop, 1);
	assert_int_equal(host_ship(&p->a, "kv")->state, SHIP_ASKING);
	assert_false(is_alone(s));
	WAIT_FOR(p, pair_committed(s));
	assert_false(is_alone(s));
}

static void who_took_over_goes_on(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fed(p, CONF_GO_ON, FAILOVER_AUTO), *other;
	u64 term = 0, generation;

	host_lose(&p->a);
	fake_session_end(&p->a.fake, s);
	assert_int_equal(promotion_do(&p->b.daemon, "kv", &term, &generation, false), 0);
	other = fake_session_with(&p->b.fake, "kv", 10, term, 0);
	publish_some(&p->b, other, 0, 2);
	WAIT_FOR(p, pair_committed(other));
	assert_true(is_alone(other));
	assert_int_equal(other->state.lease_until, 0);
}

static void what_was_acknowledged_alone_is_not_lost_in_silence(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fed(p, CONF_GO_ON, FAILOVER_MANUAL);
	u64 term = 0, generation;

	host_kill(&p->b);
	assert_true(acknowledges(p, s));
	host_kill(&p->a);
	host_start(&p->b);
	assert_int_equal(promotion_do(&p->b.daemon, "kv", &term, &generation, false), 0);
	host_start(&p->a);
	WAIT_FOR(p, s->fenced);
	assert_true(record_at(&p->a)->outdated);
	assert_true(record_at(&p->a)->alone_since);
}

/*
 * Records that are given up, or lost, while a program lives: whether a spare may be promoted, and
 * what was acknowledged without it, is still so.
 */

static void giving_up_its_record_makes_no_spare_of_one_that_lacks_something(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fed(p, CONF_GO_ON, FAILOVER_AUTO);
	u64 term = 0, generation;

	host_stop(&p->b, &p->a);
	WAIT_FOR(p, is_alone(s));
	assert_true(acknowledges(p, s));
	assert_int_equal(records_forget(&p->a.daemon, "kv"), -EBUSY);
	assert_true(record_at(&p->a)->alone_since);
	fake_replica_remove(&p->b.fake, fake_replica(&p->b.fake, "kv"));
	p->b.fake.fail_commit = EIO;
	host_start(&p->b);
	assert_int_equal(records_forget(&p->b.daemon, "kv"), 0);
	assert_null(record_at(&p->b));
	/* It is about to follow, and the session goes on without it. */
	WAIT_FOR(p, host_ship(&p->a, "kv") && ship_follows(host_ship(&p->a, "kv")));
	publish_some(&p->a, s, 2, 9);
	WAIT_FOR(p, s->rec.committed == s->rec.published);
	assert_true(is_alone(s));
	assert_true(record_at(&p->b)->outdated);
	assert_int_equal(promotion_do(&p->b.daemon, "kv", &term, &generation, false), -EREMCHG);
	WAIT_FOR(p, obliges(p, s) && pair_committed(s) && !is_alone(s));
	WAIT_FOR(p, !record_at(&p->b)->outdated);
}

static void nor_does_it_hide_a_spare_that_may_take_over(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fed(p, CONF_GO_ON, FAILOVER_AUTO);

	assert_int_equal(records_forget(&p->a.daemon, "kv"), -EBUSY);
	assert_true(record_at(&p->a)->spare);
	host_lose(&p->b);
	assert_false(acknowledges(p, s));
	assert_false(is_alone(s));
}

static void lose_record(struct host *h)
{
	char path[CONF_PATH_MAX + 16];

	host_kill(h);
	snprintf(path, sizeof(path), "%s/kv.json", h->conf.state_dir);
	assert_int_equal(unlink(path), 0);
	host_start(h);
}

static void a_record_that_is_lost_hides_no_spare(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fed(p, CONF_GO_ON, FAILOVER_AUTO);

	host_lose(&p->b);
	lose_record(&p->a);
	assert_true(record_at(&p->a)->spare);
	assert_false(acknowledges(p, s));
	assert_false(is_alone(s));
}

static void nor_what_was_acknowledged_alone(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fed(p, CONF_GO_ON, FAILOVER_AUTO);

	host_kill(&p->b);
	WAIT_FOR(p, !fake_allows(s));
	assert_int_equal(records_alone(&p->a.daemon, "kv", true), 0);
	assert_true(acknowledges(p, s));
	lose_record(&p->a);
	assert_true(record_at(&p->a)->alone_since);
	p->a.fake.fail_delta = EIO;
	host_start(&p->b);
	assert_false(record_at(&p->b)->outdated);
	WAIT_FOR(p, record_at(&p->b)->outdated);
	p->a.fake.fail_delta = 0;
	WAIT_FOR(p, obliges(p, s) && pair_committed(s) && !record_at(&p->b)->outdated);
}

static void an_outdated_replica_keeps_its_mark(void **state)
{
	struct pair *p = *state;
	u64 term = 0, generation;

	fed(p, CONF_GO_ON, FAILOVER_AUTO);
	host_stop(&p->b, &p->a);
	host_kill(&p->a);
	host_start(&p->b);
	assert_int_equal(records_forget(&p->b.daemon, "kv"), -EREMCHG);
	assert_true(record_at(&p->b)->outdated);
	assert_int_equal(promotion_do(&p->b.daemon, "kv", &term, &generation, false), -EREMCHG);
	fake_replica_remove(&p->b.fake, fake_replica(&p->b.fake, "kv"));
	records_forget(&p->b.daemon, "kv");
	assert_null(record_at(&p->b));
}

/*
 * Checkpoints that are wanted
 */

static void an_idle_program_is_asked(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fed(p, CONF_BLOCK, FAILOVER_MANUAL);

	pair_run(p, 700);
	assert_false(wanted(s));
	/* B is started anew: it has nothing, and A keeps nothing. */
	host_kill(&p->b);
	fake_replica_remove(&p->b.fake, fake_replica(&p->b.fake, "kv"));
	s->reach = s->rec.published;
	host_start(&p->b);
	WAIT_FOR(p, wanted(s));
	publish_some(&p->a, s, 3, 9);
	assert_false(wanted(s));
	WAIT_FOR(p, pair_committed(s) && fake_same(fake_replica(&p->b.fake, "kv"), s));
	pair_run(p, 700);
	assert_false(wanted(s));
}

static void a_program_that_never_published_is_asked(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 10);

	WAIT_FOR(p, wanted(s));
	publish_some(&p->a, s, 3, 9);
	WAIT_FOR(p, pair_committed(s));
	assert_false(wanted(s));
}

static const char *shown(struct host *h)
{
	static char word[32];
	struct json_object *o = status_session(&h->daemon, LIST_FIRST(&h->daemon.sessions));

	snprintf(word, sizeof(word), "%s", js_get_str(o, "state"));
	json_object_put(o);
	return word;
}

static void status_says_what_protects_a_session(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 10);
	const char *why;

	p->a.daemon.conf.sessions.failover = FAILOVER_AUTO;
	WAIT_FOR(p, host_ship(&p->a, "kv") && ship_follows(host_ship(&p->a, "kv")));
	WAIT_FOR(p, fake_allows(s));
	assert_string_equal(shown(&p->a), "not-protected");
	publish_some(&p->a, s, 0, 1);
	WAIT_FOR(p, pair_committed(s));
	WAIT_FOR(p, !strcmp(shown(&p->a), "protected"));
	host_lose(&p->b);
	WAIT_FOR(p, !strcmp(shown(&p->a), "lease-over"));
	assert_int_equal(alone_say(&p->a.daemon, "kv", false, &why), 0);
	assert_string_equal(shown(&p->a), "alone");
}

static void without_b(struct pair *p)
{
	host_kill(&p->b);
	WAIT_FOR(p, !host_peer(&p->a)->in && host_peer(&p->a)->out.state != OUT_UP);
}

/* B is there, with what it had, and can't commit what it is sent first. */
static void with_b_and_no_room(struct pair *p)
{
	p->b.fake.fail_commit = ENOMEM;
	host_start(&p->b);
	WAIT_FOR(p, host_ship(&p->a, "kv") && host_ship(&p->a, "kv")->last.code == WIRE_E_MEMORY);
}

/*
 * B follows, then another node in its place, then B again with what it had. It lacks what was
 * acknowledged in between, and isn't promoted before it has that.
 */
static void a_spare_comes_back_after_another(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fed(p, CONF_BLOCK, FAILOVER_MANUAL);
	u64 term = 0, generation;
	struct host b;

	without_b(p);
	b = p->b;
	host_open(&p->b, "gamma", b.conf.listen_port);
	p->b.conf.peers[0].addr = b.conf.peers[0].addr;
	host_start(&p->b);
	WAIT_FOR(p, host_linked(&p->a) && host_linked(&p->b));
	publish_some(&p->a, s, 1, 2);
	WAIT_FOR(p, pair_committed(s));
	without_b(p);
	fake_free(&p->b.fake);
	state_clear(&p->b);
	rmdir(p->b.dir);
	p->b = b;

	with_b_and_no_room(p);
	assert_true(records_is_outdated(&p->b.daemon, "kv"));
	assert_int_equal(promotion_do(&p->b.daemon, "kv", &term, &generation, false), -EREMCHG);
	WAIT_FOR(p, !records_is_outdated(&p->b.daemon, "kv"));
	/* A link that is made anew changes nothing: it has all that was acknowledged. */
	without_b(p);
	publish_some(&p->a, s, 1, 3);
	with_b_and_no_room(p);
	assert_false(records_is_outdated(&p->b.daemon, "kv"));
}

#define CASE(fn)	cmocka_unit_test_setup_teardown(fn, pair_setup, pair_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_rule),
		CASE(it_goes_on_when_the_spare_left_in_order),
		CASE(it_blocks_by_default),
		CASE(it_stops_when_the_spare_may_take_over),
		CASE(it_goes_on_where_only_a_person_promotes),
		CASE(a_person_says_so),
		CASE(a_spare_that_lacks_something_is_not_promoted),
		CASE(it_goes_on_while_the_spare_catches_up),
		CASE(a_spare_that_was_asked_is_waited_for),
		CASE(who_took_over_goes_on),
		CASE(what_was_acknowledged_alone_is_not_lost_in_silence),
		CASE(giving_up_its_record_makes_no_spare_of_one_that_lacks_something),
		CASE(nor_does_it_hide_a_spare_that_may_take_over),
		CASE(a_record_that_is_lost_hides_no_spare),
		CASE(nor_what_was_acknowledged_alone),
		CASE(an_outdated_replica_keeps_its_mark),
		CASE(a_spare_comes_back_after_another),
		CASE(an_idle_program_is_asked),
		CASE(a_program_that_never_published_is_asked),
		CASE(status_says_what_protects_a_session),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("sessions without a spare", tests, NULL, NULL);
}
