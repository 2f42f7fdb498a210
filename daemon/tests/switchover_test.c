// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Planned switch-overs: the rules, and two daemons with a failure in each phase. The simulator tries
 * other orders of failures.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "json.h"
#include "pair.h"
#include "uuid.h"

static const u8 alpha[CPTDEV_UUID_LEN] = { 0xa }, beta[CPTDEV_UUID_LEN] = { 0xb };
static const u8 one[CPTDEV_UUID_LEN] = { 1 }, two[CPTDEV_UUID_LEN] = { 2 };
static const u8 boot[CPTDEV_UUID_LEN] = { 0xb0 };

/*
 * The rules
 */

static void a_spare_takes_what_it_has(void **state)
{
	struct record r = {};

	(void)state;
	assert_int_equal(record_handover(NULL, one, 2, alpha, beta), HAND_OTHER);
	record_fed(&r, "kv", one, 1, alpha, boot);
	assert_int_equal(record_handover(&r, one, 2, alpha, beta), HAND_LACKS);
	record_progress(&r, 5);
	assert_int_equal(record_handover(&r, one, 2, alpha, beta), HAND_OK);
	assert_int_equal(record_handover(&r, two, 2, alpha, beta), HAND_OTHER);
	assert_int_equal(record_handover(&r, one, 2, beta, beta), HAND_OTHER);
	assert_int_equal(record_handover(&r, one, 1, alpha, beta), HAND_FENCED);
	r.outdated = true;
	assert_int_equal(record_handover(&r, one, 2, alpha, beta), HAND_LACKS);
	r.outdated = false;
	r.ended = true;
	assert_int_equal(record_handover(&r, one, 2, alpha, beta), HAND_ENDED);
	r.ended = false;
	/* Not before it is on disk that it was done, and then as often as it is asked. */
	assert_int_equal(record_promote(&r, "kv", 2, 1, beta), 0);
	assert_int_equal(record_handover(&r, one, 2, alpha, beta), HAND_FENCED);
	record_promoted(&r, true);
	assert_int_equal(record_handover(&r, one, 2, alpha, beta), HAND_DONE);
	record_started(&r, "kv", two, 2, beta, boot);
	assert_int_equal(record_handover(&r, one, 2, alpha, beta), HAND_DONE);
	assert_int_equal(record_handover(&r, one, 2, alpha, alpha), HAND_FENCED);
}

static void what_is_handed_over_stays_on_record(void **state)
{
	struct record r = {};

	(void)state;
	record_started(&r, "kv", one, 3, alpha, boot);
	assert_int_equal(record_hand(&r, beta, "beta"), 0);
	assert_int_equal(r.handed, 4);
	assert_int_equal(r.term, 3);
	record_kept(&r);
	assert_int_equal(r.handed, 0);
	assert_int_equal(record_hand(&r, beta, "beta"), 0);
	record_fed(&r, "kv", two, 4, beta, boot);
	assert_int_equal(r.handed, 0);
	r.term = CPTDEV_TERM_MAX;
	assert_int_equal(record_hand(&r, beta, "beta"), -1);
}

static void a_program_is_stopped_from_the_stop_on(void **state)
{
	(void)state;
	assert_false(switch_stops(SWITCH_ASKING) || switch_stops(SWITCH_PREPARING));
	assert_true(switch_stops(SWITCH_STOPPING) && switch_stops(SWITCH_SHIPPING) &&
		    switch_stops(SWITCH_HANDED));
	assert_false(switch_is_handed(SWITCH_SHIPPING));
	assert_true(switch_is_handed(SWITCH_HANDED));
	assert_true(switch_has(5, 5) && !switch_has(4, 5));
	assert_true(switch_promotes(true) && !switch_promotes(false));
}

/*
 * Two daemons
 */

/* The session's program, which does what it is asked for. */
static void program(struct host *h, struct fake_session *s)
{
	if (s->used && s->state.flags & CPTDEV_STATE_WANTED)
		fake_publish(&h->fake, s);
}

#define RUN_UNTIL(p, s, cond)						\
	do {								\
		u64 end_ = clock_mono() + WAIT_MS * NSEC_PER_MSEC;	\
		while (!(cond) && clock_mono() < end_) {		\
			program(&(p)->a, s);				\
			pair_run(p, 0);					\
		}							\
		if (!(cond))						\
			fail_msg("not within %u ms: %s", WAIT_MS, #cond); \
	} while (0)

static const struct record *record(struct host *h)
{
	return record_of(&h->daemon, "kv");
}

static struct soft_replica *replica(struct host *h)
{
	return fake_replica(&h->fake, "kv");
}

static bool promoted(struct host *h)
{
	return replica(h) && replica(h)->promoted;
}

/* With 10 pages that the spare has, and a program that waits there. */
static struct fake_session *begin(struct pair *p)
{
	struct fake_session *s = fake_session(&p->a.fake, "kv", 40);

	publish_some(&p->a, s, 3, 9);
	WAIT_FOR(p, pair_committed(s) && record(&p->b) && record(&p->b)->generation);
	replica(&p->b)->rec.waiters = 1;
	return s;
}

static struct switchover *start(struct pair *p, u64 limit_ms)
{
	const char *code;
	char why[800];
	struct switchover *sw = switch_begin(&p->a.daemon, "kv", NULL, limit_ms * NSEC_PER_MSEC,
					     &code, why, sizeof(why));

	if (!sw)
		fail_msg("%s: %s", code, why);
	return sw;
}

static void refused(struct pair *p, const char *name, const char *peer, const char *code,
		    const char *text)
{
	const char *said;
	char why[800];

	assert_null(switch_begin(&p->a.daemon, name, peer, NSEC_PER_SEC, &said, why, sizeof(why)));
	assert_string_equal(said, code);
	if (!strstr(why, text) || !strstr(why, "Next"))
		fail_msg("%s", why);
}

/* The program of b goes on, and is fed to a's host, whose program has become its spare. */
static struct fake_session *take_over(struct pair *p, u64 term)
{
	struct fake_session *s = fake_session_with(&p->b.fake, "kv", 40, term, 0);

	publish_some(&p->b, s, 5, 7);
	return s;
}

static bool is_stopped(const struct fake_session *s)
{
	return s->state.flags & CPTDEV_STATE_BLOCKED;
}

static void nothing_is_lost(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = begin(p), *t;
	struct switchover *sw = start(p, 5000);
	struct json_object *o;

	RUN_UNTIL(p, s, sw->phase == SWITCH_STOPPING);
	assert_true(is_stopped(s) && !fake_allows(s));
	/* Requests that it had begun with are in the last generation. */
	fake_write(s, 30, 77);
	RUN_UNTIL(p, s, promoted(&p->b));
	assert_true(fake_same(replica(&p->b), s));
	assert_true(sw->whole);
	RUN_UNTIL(p, s, s->fenced);
	assert_int_equal(replica(&p->b)->rec.term, 2);
	assert_int_equal(record(&p->b)->role, RECORD_PROMOTED);
	WAIT_FOR(p, sw->phase == SWITCH_TAKING);
	/* Its clients hear of what it was acknowledged, and of nothing else. */
	WAIT_FOR(p, !is_stopped(s));
	assert_true(record(&p->a)->outdated && !record(&p->a)->handed);
	t = take_over(p, 2);
	WAIT_FOR(p, sw->phase == SWITCH_OVER);
	assert_int_equal(sw->end, SWITCH_DONE);
	assert_true(sw->taken >= sw->promoted && sw->promoted >= sw->shipped &&
		    sw->shipped >= sw->stopped && sw->stopped >= sw->began);
	fake_session_end(&p->a.fake, s);
	WAIT_FOR(p, pair_committed(t) && record(&p->a)->role == RECORD_SPARE);
	o = switch_json(sw);
	assert_string_equal(js_get_str(o, "result"), "done");
	assert_string_equal(js_get_str(o, "to"), "beta");
	assert_true(js_at(o, "down_us") && !js_at(o, "error"));
	json_object_put(o);
}

/* And back: the same by the other host, while the first program waits there. */
static void and_back(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = begin(p), *t;
	struct switchover *sw = start(p, 5000);
	const char *code;
	char why[800];

	RUN_UNTIL(p, s, promoted(&p->b) && s->fenced);
	t = take_over(p, 2);
	fake_session_end(&p->a.fake, s);
	WAIT_FOR(p, sw->end == SWITCH_DONE && pair_committed(t));
	replica(&p->a)->rec.waiters = 1;
	WAIT_FOR(p, !record(&p->a)->outdated);
	sw = switch_begin(&p->b.daemon, "kv", "alpha", 5 * NSEC_PER_SEC, &code, why, sizeof(why));
	assert_non_null(sw);
	while (!promoted(&p->a) && clock_mono() < sw->limit) {
		program(&p->b, t);
		pair_run(p, 0);
	}
	assert_true(promoted(&p->a));
	assert_int_equal(replica(&p->a)->rec.term, 3);
	assert_true(fake_same(replica(&p->a), t));
}

/* A program that waits for an answer takes no checkpoint: what was acknowledged is there. */
static void a_program_that_waits_is_moved(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = begin(p);
	struct switchover *sw = start(p, 5000);

	RUN_UNTIL(p, s, sw->phase == SWITCH_STOPPING);
	WAIT_FOR(p, promoted(&p->b));
	assert_false(sw->whole);
	assert_true(replica(&p->b)->rec.generation >= s->rec.committed);
}

/*
 * Refusals
 */

static void it_is_refused(void **state)
{
	struct pair *p = *state;
	struct fake_session *s;

	refused(p, "kv", NULL, "no-session", "no program of this host");
	s = fake_session(&p->a.fake, "kv", 40);
	WAIT_FOR(p, known_find_name(&p->a.daemon, "kv"));
	WAIT_FOR(p, host_ship(&p->a, "kv") && ship_follows(host_ship(&p->a, "kv")));
	refused(p, "kv", NULL, "not-in-step", "isn't in step yet");
	publish_some(&p->a, s, 3, 9);
	WAIT_FOR(p, pair_committed(s));
	refused(p, "kv", "gamma", "not-linked", "gamma isn't linked, beta is");
	host_ship(&p->a, "kv")->outdated = true;
	refused(p, "kv", NULL, "not-in-step", "isn't in step yet");
	host_ship(&p->a, "kv")->outdated = false;
	recorded_find(&p->a.daemon, "kv")->damaged = true;
	known_find_name(&p->a.daemon, "kv")->decided = false;
	records_session(&p->a.daemon, known_find_name(&p->a.daemon, "kv"));
	refused(p, "kv", NULL, "blocked", "damaged");
	recorded_find(&p->a.daemon, "kv")->damaged = false;
	records_decide(&p->a.daemon, "kv");
	host_peer(&p->a)->out.features &= ~WIRE_FEATURE_SWITCH;
	refused(p, "kv", NULL, "version", "too old");
}

static void a_host_that_lags_is_refused(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = begin(p);
	struct ship *ship = host_ship(&p->a, "kv");

	(void)s;
	lag_published(&ship->lag, ship->committed + 1, 1);
	refused(p, "kv", NULL, "lags", "lags by");
}

static void a_split_brain_is_refused(void **state)
{
	struct pair *p = *state;
	static const u8 other[CPTDEV_UUID_LEN] = { 9 };

	begin(p);
	records_met(&p->a.daemon, "kv", 1, other, "gamma");
	refused(p, "kv", NULL, "split-brain", "split brain");
}

static void the_spare_says_where_to_ask(void **state)
{
	struct pair *p = *state;
	const char *code;
	char why[800];

	begin(p);
	assert_null(switch_begin(&p->b.daemon, "kv", NULL, NSEC_PER_SEC, &code, why, sizeof(why)));
	assert_string_equal(code, "spare");
	assert_non_null(strstr(why, "on alpha: cptdevctl switchover kv"));
}

/* Nobody would go on. */
static void nobody_waits(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = begin(p);
	struct switchover *sw;

	replica(&p->b)->rec.waiters = 0;
	sw = start(p, 5000);
	RUN_UNTIL(p, s, sw->phase == SWITCH_OVER);
	assert_int_equal(sw->end, SWITCH_FAILED);
	assert_non_null(strstr(sw->text, "no program waits for it on beta. Next: "));
	assert_false(is_stopped(s) || promoted(&p->b));
	publish_some(&p->a, s, 4, 1);
	WAIT_FOR(p, pair_committed(s));
}

/* One that is started meanwhile is asked for again before anything is handed over. */
static void the_waiting_program_ends_meanwhile(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = begin(p);
	struct switchover *sw = start(p, 5000);

	RUN_UNTIL(p, s, sw->phase == SWITCH_STOPPING);
	replica(&p->b)->rec.waiters = 0;
	RUN_UNTIL(p, s, sw->phase == SWITCH_OVER);
	assert_int_equal(sw->end, SWITCH_FAILED);
	assert_int_equal(sw->until, SWITCH_HANDED);
	assert_non_null(strstr(sw->text, "no program waits"));
	assert_false(is_stopped(s) || promoted(&p->b) || record(&p->a)->handed);
	publish_some(&p->a, s, 4, 1);
	WAIT_FOR(p, pair_committed(s) && fake_allows(s));
}

/*
 * Failures
 */

/* Until then nothing has happened, and the program goes on. */
static void the_link_is_lost_before(void **state)
{
	enum switch_phase phase;
	struct pair *p = *state;
	struct fake_session *s = begin(p);
	struct switchover *sw;

	for (phase = SWITCH_PREPARING; phase < SWITCH_SHIPPING; phase++) {
		replica(&p->b)->rec.waiters = 1;
		sw = start(p, 5000);
		RUN_UNTIL(p, s, sw->phase == phase);
		host_kill(&p->b);
		WAIT_FOR(p, sw->phase == SWITCH_OVER);
		assert_int_equal(sw->end, SWITCH_FAILED);
		/* What was committed in the last moment is still read. */
		assert_true(sw->until >= phase && sw->until <= SWITCH_STOPPING);
		assert_false(is_stopped(s) || s->fenced || record(&p->a)->handed);
		host_start(&p->b);
		WAIT_FOR(p, host_linked(&p->a) && host_linked(&p->b));
		publish_some(&p->a, s, 4, phase + 1);
		WAIT_FOR(p, pair_committed(s) && host_ship(&p->a, "kv") &&
			 !host_ship(&p->a, "kv")->outdated);
		assert_false(promoted(&p->b));
	}
}

/* The spare can't commit the last generation. */
static void the_spare_fails(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = begin(p);
	struct switchover *sw = start(p, 5000);

	RUN_UNTIL(p, s, sw->phase == SWITCH_STOPPING);
	p->b.fake.fail_commit = EIO;
	RUN_UNTIL(p, s, sw->phase == SWITCH_OVER);
	assert_int_equal(sw->end, SWITCH_FAILED);
	assert_true(sw->until <= SWITCH_SHIPPING);
	assert_non_null(strstr(sw->text, "isn't a spare in step any more"));
	assert_false(is_stopped(s) || promoted(&p->b) || record(&p->a)->handed);
	publish_some(&p->a, s, 4, 1);
	WAIT_FOR(p, pair_committed(s) && fake_allows(s));
}

/* The other daemon may have promoted its replica: nobody goes on before that is known. */
static void hand_over_and_lose(struct pair *p, struct fake_session *s, struct switchover *sw)
{
	RUN_UNTIL(p, s, sw->phase == SWITCH_SHIPPING);
	while (sw->phase == SWITCH_SHIPPING) {
		loop_turn(&p->b.daemon.loop, 0);
		loop_turn(&p->a.daemon.loop, 1);
	}
	assert_int_equal(sw->phase, SWITCH_HANDED);
	/* SWITCH isn't read any more. */
	host_kill(&p->b);
	WAIT_FOR(p, sw->phase == SWITCH_OVER);
	assert_int_equal(sw->end, SWITCH_UNKNOWN);
	assert_true(is_stopped(s) && !s->fenced);
	assert_int_equal(record(&p->a)->handed, 2);
	assert_non_null(strstr(known_find_name(&p->a.daemon, "kv")->barred, "handed over to beta"));
}

static void the_link_is_lost_afterwards(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = begin(p);
	struct switchover *sw = start(p, 5000);

	hand_over_and_lose(p, s, sw);
	/* It hears of it when it is back, and takes over. */
	host_start(&p->b);
	WAIT_FOR(p, promoted(&p->b) && s->fenced);
	take_over(p, 2);
	WAIT_FOR(p, sw->end == SWITCH_DONE);
	assert_false(record(&p->a)->handed);
}

static void the_spare_has_lost_it(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = begin(p);
	struct switchover *sw = start(p, 5000);

	hand_over_and_lose(p, s, sw);
	fake_replica_remove(&p->b.fake, replica(&p->b));
	host_start(&p->b);
	WAIT_FOR(p, sw->end == SWITCH_FAILED);
	assert_false(is_stopped(s) || s->fenced || record(&p->a)->handed);
	publish_some(&p->a, s, 4, 1);
	WAIT_FOR(p, pair_committed(s));
}

/* The daemon that asked is started anew: what it did is on its disk. */
static void the_daemon_is_started_anew(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = begin(p);
	struct switchover *sw = start(p, 5000);

	hand_over_and_lose(p, s, sw);
	host_kill(&p->a);
	host_start(&p->a);
	pair_run(p, 100);
	assert_true(is_stopped(s) && record(&p->a)->handed == 2);
	assert_non_null(strstr(known_find_name(&p->a.daemon, "kv")->barred, "handed over to beta"));
	host_start(&p->b);
	WAIT_FOR(p, promoted(&p->b) && s->fenced);
	WAIT_FOR(p, !record(&p->a)->handed && record(&p->a)->outdated);
}

static void a_daemon_that_stopped_it_is_started_anew(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = begin(p);
	struct switchover *sw = start(p, 5000);

	RUN_UNTIL(p, s, sw->phase == SWITCH_STOPPING);
	host_kill(&p->a);
	assert_true(is_stopped(s));
	host_start(&p->a);
	WAIT_FOR(p, !is_stopped(s));
	WAIT_FOR(p, host_linked(&p->a) && host_linked(&p->b));
	publish_some(&p->a, s, 4, 1);
	WAIT_FOR(p, pair_committed(s));
	assert_false(promoted(&p->b));
}

static void a_person_knows_that_it_is_off(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = begin(p);
	struct switchover *sw = start(p, 5000);
	const char *code;
	char why[800];

	hand_over_and_lose(p, s, sw);
	assert_int_equal(switch_cancel(&p->a.daemon, "kv", false, &code, why, sizeof(why)), -EINVAL);
	assert_string_equal(code, "handed-over");
	assert_non_null(strstr(why, "--force"));
	assert_int_equal(switch_cancel(&p->a.daemon, "kv", true, &code, why, sizeof(why)), 0);
	assert_false(is_stopped(s) || record(&p->a)->handed);
}

static void a_person_cancels_it(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = begin(p);
	struct switchover *sw = start(p, 5000);
	const char *code;
	char why[800];

	RUN_UNTIL(p, s, sw->phase == SWITCH_STOPPING);
	assert_int_equal(switch_cancel(&p->a.daemon, "kv", false, &code, why, sizeof(why)), 0);
	assert_int_equal(sw->end, SWITCH_FAILED);
	assert_false(is_stopped(s));
	assert_int_equal(switch_cancel(&p->a.daemon, "kv", false, &code, why, sizeof(why)), -EINVAL);
	assert_string_equal(code, "no-switch-over");
}

static void the_program_ends(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = begin(p);
	struct switchover *sw = start(p, 5000);

	RUN_UNTIL(p, s, sw->phase == SWITCH_STOPPING);
	replica(&p->b)->rec.waiters = 0;
	fake_session_end_by(&p->a.fake, s, CPTDEV_END_KILLED, 9);
	WAIT_FOR(p, sw->phase == SWITCH_OVER);
	assert_int_equal(sw->end, SWITCH_FAILED);
	assert_non_null(strstr(sw->text, "the program has ended"));
	/* It is taken over from, as every program that fails. */
	WAIT_FOR(p, record(&p->b)->failed);
}

/* It does nothing that it is asked for. */
static void a_program_that_takes_no_checkpoint_goes_on(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = begin(p);
	struct switchover *sw = start(p, 300);

	WAIT_FOR(p, sw->phase == SWITCH_OVER);
	assert_int_equal(sw->end, SWITCH_FAILED);
	assert_int_equal(sw->until, SWITCH_PREPARING);
	assert_non_null(strstr(sw->text, "took none"));
	assert_false(is_stopped(s) || promoted(&p->b));
}

static void the_record_cant_be_written(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = begin(p);
	struct switchover *sw = start(p, 5000);

	RUN_UNTIL(p, s, sw->phase == SWITCH_STOPPING);
	strcpy(p->a.daemon.conf.state_dir, "/nonexistent/directory");
	RUN_UNTIL(p, s, sw->phase == SWITCH_OVER);
	strcpy(p->a.daemon.conf.state_dir, p->a.conf.state_dir);
	assert_int_equal(sw->end, SWITCH_FAILED);
	assert_false(is_stopped(s) || promoted(&p->b));
}

int main(void)
{
#define PAIR(fn)	cmocka_unit_test_setup_teardown(fn, pair_setup, pair_teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_spare_takes_what_it_has),
		cmocka_unit_test(what_is_handed_over_stays_on_record),
		cmocka_unit_test(a_program_is_stopped_from_the_stop_on),
		PAIR(nothing_is_lost),
		PAIR(and_back),
		PAIR(a_program_that_waits_is_moved),
		PAIR(it_is_refused),
		PAIR(a_host_that_lags_is_refused),
		PAIR(a_split_brain_is_refused),
		PAIR(the_spare_says_where_to_ask),
		PAIR(nobody_waits),
		PAIR(the_waiting_program_ends_meanwhile),
		PAIR(the_link_is_lost_before),
		PAIR(the_spare_fails),
		PAIR(the_link_is_lost_afterwards),
		PAIR(the_spare_has_lost_it),
		PAIR(the_daemon_is_started_anew),
		PAIR(a_daemon_that_stopped_it_is_started_anew),
		PAIR(a_person_knows_that_it_is_off),
		PAIR(a_person_cancels_it),
		PAIR(the_program_ends),
		PAIR(a_program_that_takes_no_checkpoint_goes_on),
		PAIR(the_record_cant_be_written),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("switch-overs", tests, NULL, NULL);
}
