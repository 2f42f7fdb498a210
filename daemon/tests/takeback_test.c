// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A program whose memory is gone takes its state back from the spare's replica: the rules as a
 * table, and two daemons. The order of failures in between is the simulator's.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pair.h"
#include "uuid.h"

static const u8 alpha[CPTDEV_UUID_LEN] = { 0xa }, beta[CPTDEV_UUID_LEN] = { 0xb };
static const u8 one[CPTDEV_UUID_LEN] = { 1 }, two[CPTDEV_UUID_LEN] = { 2 };
static const u8 boot[CPTDEV_UUID_LEN] = { 0xb0 };

/*
 * The rules
 */

static void what_the_spare_has_is_taken_back(void **state)
{
	struct record r = {}, before;

	(void)state;
	record_started(&r, "kv", one, 1, alpha, boot);
	r.generation = 5;
	assert_false(record_may_take_back(&r));
	record_follow(&r, beta, "beta");
	assert_true(record_may_take_back(&r));
	before = r;
	r.alone_since = 1;
	assert_false(record_may_take_back(&r));
	r = before;
	r.outdated = true;
	assert_false(record_may_take_back(&r));
	r = before;
	r.ended = true;
	assert_false(record_may_take_back(&r));
	r = before;
	assert_int_equal(record_take_back(&r, alpha), 0);
	assert_int_equal(r.term, 2);
	assert_true(record_may_take_back(&r) && record_asked_back(&r));
	/* Nobody has gone on with it, so that it fences nobody. */
	assert_false(record_used(&r));
	r.term = CPTDEV_TERM_MAX;
	assert_int_equal(record_take_back(&r, alpha), -1);
}

/* A state that was taken back can be taken back again, until something is acknowledged. */
static void until_something_is_acknowledged(void **state)
{
	struct record r = {};

	(void)state;
	record_started(&r, "kv", one, 1, alpha, boot);
	r.generation = 5;
	record_follow(&r, beta, "beta");
	record_take_back(&r, alpha);
	assert_int_equal(record_promote(&r, "kv", 0, 2, alpha), 0);
	assert_int_equal(r.term, 3);
	record_promoted(&r, false);
	assert_int_equal(r.role, RECORD_TAKING);
	assert_false(r.taken_back);
	record_promote(&r, "kv", 0, 2, alpha);
	record_promoted(&r, true);
	assert_true(record_may_take_back(&r));
	record_started(&r, "kv", two, 3, alpha, boot);
	assert_true(record_may_take_back(&r));
	record_progress(&r, 1);
	assert_false(record_may_take_back(&r));
	record_follow(&r, beta, "beta");
	assert_true(record_may_take_back(&r));
}

static void a_spare_gives_what_is_whole(void **state)
{
	struct record r = {};

	(void)state;
	assert_int_equal(record_source(NULL, one, 2, alpha, false), SOURCE_OTHER);
	record_fed(&r, "kv", one, 1, alpha, boot);
	assert_int_equal(record_source(&r, one, 2, alpha, false), SOURCE_LACKS);
	record_progress(&r, 5);
	assert_int_equal(record_source(&r, one, 2, alpha, false), SOURCE_OK);
	assert_int_equal(record_source(&r, two, 2, alpha, false), SOURCE_OTHER);
	assert_int_equal(record_source(&r, one, 2, beta, false), SOURCE_OTHER);
	r.outdated = true;
	assert_int_equal(record_source(&r, one, 2, alpha, false), SOURCE_LACKS);
	assert_int_equal(record_source(&r, one, 2, alpha, true), SOURCE_LACKS);
	/* Outdated for no other reason than that it was given before. */
	r.outdated = false;
	record_lends(&r, 2);
	record_lent(&r);
	assert_int_equal(record_source(&r, one, 2, alpha, false), SOURCE_LACKS);
	assert_int_equal(record_source(&r, one, 2, alpha, true), SOURCE_OK);
	assert_int_equal(record_source(&r, two, 4, alpha, true), SOURCE_OK);
	assert_int_equal(record_source(&r, one, 1, alpha, true), SOURCE_FENCED);
	record_promote(&r, "kv", 0, 1, beta);
	record_promoted(&r, true);
	assert_int_equal(record_source(&r, one, 4, alpha, true), SOURCE_FENCED);
	assert_int_equal(record_source(&r, one, 3, alpha, true), SOURCE_FENCED);
}

/*
 * Two daemons
 */

static enum start_answer asked(struct host *h, struct start_text *t)
{
	return start_asked(&h->daemon, "kv", t);
}

/* A program of the name waits for a promotion: with a replica, which it makes. */
static void wait_on(struct host *h, bool waits)
{
	h->fake.kernel.ops->create(&h->fake.kernel, "kv", 1000);
	fake_replica(&h->fake, "kv")->rec.waiters = waits;
}

static const struct record *record(struct host *h)
{
	return record_of(&h->daemon, "kv");
}

static bool promoted(struct host *h)
{
	const struct soft_replica *r = fake_replica(&h->fake, "kv");

	return r && r->promoted;
}

/* 40 pages of it, with a hole; then its program is killed. */
static struct fake_session *begin_and_kill(struct pair *p, u8 *page)
{
	struct fake_session *s = fake_session(&p->a.fake, "kv", 40);
	u32 i;

	p->a.daemon.conf.sessions.on_restart = ON_RESTART_TAKE_BACK;
	for (i = 0; i < 30; i++)
		fake_write(s, i + (i > 12), i + 1);
	fake_publish(&p->a.fake, s);
	WAIT_FOR(p, pair_committed(s));
	publish_some(&p->a, s, 3, 99);
	WAIT_FOR(p, pair_committed(s));
	memcpy(page, s->mem, 40 * FAKE_PAGE);
	fake_session_end_by(&p->a.fake, s, CPTDEV_END_KILLED, 9);
	WAIT_FOR(p, record(&p->b)->failed);
	return s;
}

static void assert_content(struct host *h, const u8 *pages)
{
	static const u8 zeros[FAKE_PAGE];
	u32 i;

	for (i = 0; i < 40; i++)
		assert_memory_equal(fake_page(fake_replica(&h->fake, "kv"), i) ?: zeros,
				    pages + i * FAKE_PAGE, FAKE_PAGE);
}

static u8 content[40 * FAKE_PAGE];

static void the_state_comes_back(void **state)
{
	struct pair *p = *state;
	struct fake_session *s;
	struct start_text t;

	begin_and_kill(p, content);
	assert_int_equal(asked(&p->a, &t), ANSWER_TAKE_BACK);
	/* Whoever only asks has changed nothing. */
	pair_run(p, 300);
	assert_int_equal(record(&p->a)->role, RECORD_PRIMARY);
	assert_int_equal(record(&p->b)->term, 1);
	wait_on(&p->a, true);
	WAIT_FOR(p, promoted(&p->a));
	assert_content(&p->a, content);
	assert_int_equal(record(&p->a)->term, 3);
	assert_int_equal(record(&p->a)->role, RECORD_PROMOTED);
	assert_true(record(&p->b)->source && record(&p->b)->outdated);
	assert_false(promoted(&p->b));
	/* The program claims it, and goes on; the other host is its spare again. */
	s = fake_session_with(&p->a.fake, "kv", 40, 3, 0);
	memcpy(s->mem, content, sizeof(content));
	memset(s->dirty, true, 40 * sizeof(*s->dirty));
	publish_some(&p->a, s, 4, 7);
	WAIT_FOR(p, pair_committed(s) && !record(&p->b)->outdated);
	assert_false(record(&p->b)->source);
	assert_false(record(&p->a)->taken_back);
	assert_true(fake_same(fake_replica(&p->b.fake, "kv"), s));
	assert_int_equal(asked(&p->a, &t), ANSWER_REFUSED);
}

/* More pages in a row than a frame has, and of a first checkpoint that the buffer holds. */
static void a_large_state_comes_back(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 700);
	struct soft_replica *r;
	struct start_text t;
	u8 *want = malloc(700 * FAKE_PAGE);
	u32 i;

	p->a.daemon.conf.sessions.on_restart = ON_RESTART_TAKE_BACK;
	for (i = 0; i < 700; i++)
		fake_write(s, i, i + 1);
	fake_publish(&p->a.fake, s);
	WAIT_FOR(p, pair_committed(s));
	memcpy(want, s->mem, 700 * FAKE_PAGE);
	fake_session_end_by(&p->a.fake, s, CPTDEV_END_KILLED, 9);
	WAIT_FOR(p, record(&p->b)->failed);
	wait_on(&p->a, true);
	assert_int_equal(asked(&p->a, &t), ANSWER_TAKE_BACK);
	WAIT_FOR(p, promoted(&p->a));
	r = fake_replica(&p->a.fake, "kv");
	for (i = 0; i < 700; i++)
		assert_memory_equal(fake_page(r, i), want + i * FAKE_PAGE, FAKE_PAGE);
	free(want);
}

/* From the question to the last page nothing else is done with the replica; then it is outdated. */
static void the_spare_isnt_promoted_meanwhile(void **state)
{
	struct pair *p = *state;
	u64 term = 0, generation;
	struct start_text t;

	begin_and_kill(p, content);
	wait_on(&p->a, true);
	assert_int_equal(asked(&p->a, &t), ANSWER_TAKE_BACK);
	WAIT_FOR(p, source_gives(&p->b.daemon, "kv") || promoted(&p->a));
	if (source_gives(&p->b.daemon, "kv"))
		assert_int_equal(promotion_do(&p->b.daemon, "kv", &term, &generation, false),
				 -EBUSY);
	WAIT_FOR(p, promoted(&p->a));
	WAIT_FOR(p, !source_gives(&p->b.daemon, "kv"));
	assert_int_equal(promotion_do(&p->b.daemon, "kv", &term, &generation, false), -EREMCHG);
	/* A person may, who knows that the other host is gone for good. */
	assert_int_equal(promotion_do(&p->b.daemon, "kv", &term, &generation, true), 0);
	assert_false(record(&p->b)->outdated || record(&p->b)->source);
}

static void who_took_over_gives_nothing(void **state)
{
	struct pair *p = *state;
	u64 term = 0, generation;
	struct start_text t;

	begin_and_kill(p, content);
	assert_int_equal(asked(&p->a, &t), ANSWER_TAKE_BACK);
	assert_int_equal(promotion_do(&p->b.daemon, "kv", &term, &generation, false), 0);
	wait_on(&p->a, true);
	WAIT_FOR(p, record(&p->a)->outdated);
	pair_run(p, 300);
	assert_false(promoted(&p->a));
	assert_int_equal(asked(&p->a, &t), ANSWER_SPARE);
	assert_non_null(strstr(t.text, "has gone on without this one"));
}

/*
 * What is asked back is newer than what lies there from before, when this host was the spare: a person
 * would lose the difference without a word.
 */
static void an_older_replica_isnt_promoted_instead(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->b.fake, "kv", 40);
	u64 term = 0, generation;
	struct start_text t;

	p->a.daemon.conf.sessions.on_restart = ON_RESTART_TAKE_BACK;
	publish_some(&p->b, s, 0, 1);
	WAIT_FOR(p, pair_committed(s));
	assert_int_equal(promotion_do(&p->a.daemon, "kv", &term, &generation, false), 0);
	WAIT_FOR(p, s->fenced);
	fake_session_end(&p->b.fake, s);
	s = fake_session_with(&p->a.fake, "kv", 40, 2, 0);
	publish_some(&p->a, s, 0, 2);
	WAIT_FOR(p, pair_committed(s) && s->rec.committed && record(&p->b)->generation);
	memcpy(content, s->mem, sizeof(content));
	fake_session_end_by(&p->a.fake, s, CPTDEV_END_KILLED, 9);
	WAIT_FOR(p, record(&p->b)->failed);
	wait_on(&p->a, true);
	assert_int_equal(asked(&p->a, &t), ANSWER_TAKE_BACK);
	/* Nothing comes as long as the other daemon has no turn. */
	while (record(&p->a)->role != RECORD_TAKING)
		loop_turn(&p->a.daemon.loop, 1);
	assert_int_equal(fake_replica(&p->a.fake, "kv")->rec.term, 2);
	term = 0;
	assert_int_equal(promotion_do(&p->a.daemon, "kv", &term, &generation, false), -EREMCHG);
	assert_int_equal(record(&p->a)->role, RECORD_TAKING);
	WAIT_FOR(p, record(&p->a)->role == RECORD_PROMOTED);
	assert_content(&p->a, content);
}

static void a_refusal_is_told(void **state)
{
	struct pair *p = *state;
	struct start_text t;

	begin_and_kill(p, content);
	wait_on(&p->a, true);
	fake_replica_remove(&p->b.fake, fake_replica(&p->b.fake, "kv"));
	assert_int_equal(asked(&p->a, &t), ANSWER_TAKE_BACK);
	WAIT_FOR(p, *recorded_find(&p->a.daemon, "kv")->not_given);
	assert_int_equal(asked(&p->a, &t), ANSWER_REFUSED);
	assert_non_null(strstr(t.text, "its state can't be taken back: "));
	assert_non_null(strstr(t.text, "has no replica"));
	assert_non_null(strstr(t.text, "cptdevctl forget kv"));
	/* Whoever tries again asks again. */
	assert_int_equal(asked(&p->a, &t), ANSWER_TAKE_BACK);
}

static void what_was_acknowledged_alone_isnt_there(void **state)
{
	struct pair *p = *state;
	struct start_text t;

	begin_and_kill(p, content);
	recorded_find(&p->a.daemon, "kv")->r.alone_since = 5;
	assert_int_equal(asked(&p->a, &t), ANSWER_REFUSED);
	assert_non_null(strstr(t.text, "acknowledged data without its spare"));
	assert_non_null(strstr(t.text, "cptdevctl promote kv"));
}

/* Another host, that was its spare earlier, may have a copy of an earlier time. */
static void only_the_last_spare_is_asked(void **state)
{
	struct pair *p = *state;
	struct start_text t;

	begin_and_kill(p, content);
	wait_on(&p->a, true);
	recorded_find(&p->a.daemon, "kv")->r.followers[0].node[0] ^= 1;
	assert_int_equal(asked(&p->a, &t), ANSWER_REFUSED);
	assert_non_null(strstr(t.text, "isn't the spare that followed last"));
	pair_run(p, 300);
	assert_int_equal(record(&p->a)->role, RECORD_PRIMARY);
}

static void an_old_daemon_is_told_of(void **state)
{
	struct pair *p = *state;
	struct start_text t;

	begin_and_kill(p, content);
	host_peer(&p->a)->out.features &= ~WIRE_FEATURE_TAKE_BACK;
	assert_int_equal(asked(&p->a, &t), ANSWER_REFUSED);
	assert_non_null(strstr(t.text, "too old"));
}

/* The daemon of either host ends in between, and the program asks again. */
static void daemons_may_end(void **state)
{
	struct pair *p = *state;
	struct start_text t;
	int i;

	begin_and_kill(p, content);
	for (i = 0; i < 2; i++) {
		wait_on(&p->a, true);
		assert_int_equal(asked(&p->a, &t), ANSWER_TAKE_BACK);
		WAIT_FOR(p, record(&p->b)->term == 2);
		host_kill(i ? &p->b : &p->a);
		wait_on(&p->a, false);
		host_start(i ? &p->b : &p->a);
		p->a.daemon.conf.sessions.on_restart = ON_RESTART_TAKE_BACK;
		WAIT_FOR(p, host_linked(&p->a) && host_linked(&p->b));
		if (promoted(&p->a))
			break;
	}
	assert_int_equal(asked(&p->a, &t), ANSWER_TAKE_BACK);
	wait_on(&p->a, true);
	WAIT_FOR(p, promoted(&p->a));
	assert_content(&p->a, content);
}

/* A copy that nobody went on from is no reason to stop: the next program gets another one. */
static void whoever_fails_at_once_gets_it_again(void **state)
{
	struct pair *p = *state;
	struct fake_session *s;
	struct start_text t;

	begin_and_kill(p, content);
	wait_on(&p->a, true);
	assert_int_equal(asked(&p->a, &t), ANSWER_TAKE_BACK);
	WAIT_FOR(p, promoted(&p->a));
	WAIT_FOR(p, !source_gives(&p->b.daemon, "kv"));
	/* It was promoted, and the program is gone. */
	assert_int_equal(asked(&p->a, &t), ANSWER_TAKE_BACK);
	WAIT_FOR(p, record(&p->a)->term == 5 && promoted(&p->a));
	WAIT_FOR(p, !source_gives(&p->b.daemon, "kv"));
	assert_content(&p->a, content);
	/* It had begun a session, and published nothing. */
	s = fake_session_with(&p->a.fake, "kv", 40, 5, 0);
	WAIT_FOR(p, record(&p->a)->role == RECORD_PRIMARY && record(&p->b)->term == 5);
	fake_session_end_by(&p->a.fake, s, CPTDEV_END_KILLED, 9);
	assert_int_equal(asked(&p->a, &t), ANSWER_TAKE_BACK);
	WAIT_FOR(p, record(&p->a)->term == 7 && promoted(&p->a));
	assert_content(&p->a, content);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, pair_setup, pair_teardown)
		cmocka_unit_test(what_the_spare_has_is_taken_back),
		cmocka_unit_test(until_something_is_acknowledged),
		cmocka_unit_test(a_spare_gives_what_is_whole),
		T(the_state_comes_back),
		T(a_large_state_comes_back),
		T(the_spare_isnt_promoted_meanwhile),
		T(who_took_over_gives_nothing),
		T(an_older_replica_isnt_promoted_instead),
		T(a_refusal_is_told),
		T(what_was_acknowledged_alone_isnt_there),
		T(only_the_last_spare_is_asked),
		T(an_old_daemon_is_told_of),
		T(daemons_may_end),
		T(whoever_fails_at_once_gets_it_again),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("take-backs", tests, NULL, NULL);
}
