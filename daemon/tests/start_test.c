// SPDX-License-Identifier: GPL-2.0-or-later
/* What a program is told that asks before it starts: the rule as a table, and the daemon. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pair.h"
#include "start.h"

static const u8 alpha[CPTDEV_UUID_LEN] = { 0xa }, beta[CPTDEV_UUID_LEN] = { 0xb };
static const u8 one[CPTDEV_UUID_LEN] = { 1 }, boot[CPTDEV_UUID_LEN] = { 0xb0 };

static void says(struct start_facts f, enum start_answer answer, enum start_why why)
{
	enum start_why said;

	assert_int_equal(start_ask(&f, &said), answer);
	assert_int_equal(said, why);
	/* Nobody who refuses ever begins empty for that. */
	f.refuse = true;
	if (answer == ANSWER_SPARE)
		assert_int_equal(start_ask(&f, &said), ANSWER_REFUSED);
	else
		assert_int_equal(start_ask(&f, &said), answer);
}

static void of_records(void **state)
{
	struct record r = {};

	(void)state;
	says((struct start_facts) {}, ANSWER_FRESH, WHY_NOTHING);
	says((struct start_facts) { .fed = true }, ANSWER_SPARE, WHY_REPLICA);
	says((struct start_facts) { .damaged = true }, ANSWER_REFUSED, WHY_DAMAGED);
	record_started(&r, "kv", one, 1, alpha, boot);
	says((struct start_facts) { .r = &r }, ANSWER_FRESH, WHY_NOTHING);
	says((struct start_facts) { .r = &r, .lives = true }, ANSWER_REFUSED, WHY_LIVES);
	r.generation = 5;
	says((struct start_facts) { .r = &r }, ANSWER_SPARE, WHY_LOST);
	says((struct start_facts) { .r = &r, .split = true }, ANSWER_REFUSED, WHY_SPLIT);
	r.ended = true;
	says((struct start_facts) { .r = &r }, ANSWER_FRESH, WHY_ENDED);
	/* The other host's program has begun anew meanwhile. */
	says((struct start_facts) { .r = &r, .fed = true }, ANSWER_SPARE, WHY_REPLICA);
	r.ended = false;
	r.outdated = true;
	says((struct start_facts) { .r = &r }, ANSWER_SPARE, WHY_OVERTAKEN);
	/* It took over, and crashed before it acknowledged anything. */
	record_started(&r, "kv", one, 2, alpha, boot);
	r.generation = 0;
	says((struct start_facts) { .r = &r }, ANSWER_SPARE, WHY_LOST);
	assert_int_equal(start_term(&r), 2);
	assert_int_equal(start_term(NULL), 1);
}

static void of_spares(void **state)
{
	struct record r = {};

	(void)state;
	record_fed(&r, "kv", one, 1, alpha, boot);
	says((struct start_facts) { .r = &r }, ANSWER_FRESH, WHY_NOTHING);
	r.generation = 5;
	says((struct start_facts) { .r = &r }, ANSWER_SPARE, WHY_REPLICA);
	r.outdated = true;
	says((struct start_facts) { .r = &r }, ANSWER_SPARE, WHY_REPLICA);
	r.outdated = false;
	r.ended = true;
	says((struct start_facts) { .r = &r }, ANSWER_FRESH, WHY_ENDED);
	r.ended = false;
	assert_int_equal(record_promote(&r, "kv", 0, 1, beta), 0);
	record_promoted(&r, true);
	says((struct start_facts) { .r = &r }, ANSWER_SPARE, WHY_PROMOTED);
}

static enum start_answer asked(struct host *h, struct start_text *t)
{
	return start_asked(&h->daemon, "kv", t);
}

/* From a daemon that has it all: a program that is killed, and one that ended in order. */
static void of_a_daemon(void **state)
{
	struct pair *p = *state;
	struct fake_session *s;
	struct start_text t;

	assert_int_equal(asked(&p->a, &t), ANSWER_FRESH);
	s = fake_session(&p->a.fake, "kv", 10);
	publish_some(&p->a, s, 0, 1);
	WAIT_FOR(p, pair_committed(s));
	assert_int_equal(asked(&p->a, &t), ANSWER_REFUSED);
	assert_int_equal(asked(&p->b, &t), ANSWER_SPARE);
	fake_session_end_by(&p->a.fake, s, CPTDEV_END_KILLED, 9);
	assert_int_equal(asked(&p->a, &t), ANSWER_SPARE);
	assert_non_null(strstr(t.text, "up to generation 1, isn't in memory any more"));
	assert_non_null(strstr(t.text, "cptdevctl promote kv"));
	p->a.daemon.conf.sessions.on_restart = ON_RESTART_REFUSE;
	assert_int_equal(asked(&p->a, &t), ANSWER_REFUSED);
}

/* What the program does next agrees with what it was told. */
static void who_is_told_to_begin_may(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 10);
	struct start_text t;

	publish_some(&p->a, s, 0, 1);
	WAIT_FOR(p, pair_committed(s));
	fake_session_end(&p->a.fake, s);
	assert_int_equal(asked(&p->a, &t), ANSWER_FRESH);
	assert_int_equal(t.term, 1);
	s = fake_session_with(&p->a.fake, "kv", 10, t.term, 0);
	publish_some(&p->a, s, 0, 2);
	WAIT_FOR(p, pair_committed(s));
	assert_true(fake_same(fake_replica(&p->b.fake, "kv"), s));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, pair_setup, pair_teardown)
		cmocka_unit_test(of_records),
		cmocka_unit_test(of_spares),
		T(of_a_daemon),
		T(who_is_told_to_begin_may),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("starts", tests, NULL, NULL);
}
