// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A spare that has nothing of a large session gets it in rounds, while the program writes. The
 * content that is committed in the end was published, and until then the spare has what it had.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "json.h"
#include "lines.h"
#include "pair.h"

#define PAGES	4096U
/* Of 2 MiB: 512 pages. */
#define ROUNDS	8U

static u64 seed;
static struct fake *fake;		/* the primary's */

static u32 any(u32 below)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (seed >> 33) % below;
}

/* A program that was there before its spare: nothing that is kept has everything. */
static struct fake_session *large(struct pair *p)
{
	struct fake_session *s = fake_session(&p->a.fake, "kv", PAGES);

	seed = 1;
	fake = &p->a.fake;
	p->a.daemon.conf.checksums_mib = p->b.daemon.conf.checksums_mib = 64;
	p->a.daemon.conf.round_mib = 2;
	s->reach = 1;
	fake_noise(s, 1);
	return s;
}

static bool whole(struct pair *p, const struct fake_session *s)
{
	return pair_committed(s) && fake_same(fake_replica(&p->b.fake, "kv"), s);
}

/* The program takes its next checkpoint as soon as it is asked for one. */
static void complete(struct pair *p, struct fake_session *s)
{
	u64 until = clock_mono() + WAIT_MS * NSEC_PER_MSEC;

	while (!pair_committed(s)) {
		pair_run(p, 0);
		if (s->rec.flags & CPTDEV_GENL_SESSION_WANTED || s->cancelled == s->rec.published)
			fake_publish(&p->a.fake, s);
		assert_true(clock_mono() < until);
	}
	assert_true(whole(p, s));
	assert_int_equal(fake_open_fds(&p->a.fake), 1);
}

/* And nothing had to be repeated. */
static void assert_in_rounds(struct pair *p, const struct fake_session *s)
{
	const struct ship *ship = host_ship(&p->a, "kv");

	assert_int_equal(ship->full_copies, 1);
	assert_int_equal(ship->rounds.step, ROUNDS_NONE);
	assert_int_equal(ship->since, s->rec.published);
	assert_true(s->rounds >= ROUNDS);
}

static void everything_comes_in_rounds(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = large(p);

	lines_keep();
	publish_some(&p->a, s, 1, 1);
	complete(p, s);
	assert_int_equal(lines_with("session kv: beta gets a full copy, 16 MiB at most, in rounds"), 1);
	assert_int_equal(lines_with("full copy"), 1);
	lines_drop();
	assert_true(s->rounds >= ROUNDS);
	assert_int_equal(host_ship(&p->a, "kv")->full_copies, 1);
	/* What is published has what changed since, and no more. */
	assert_int_equal(s->delta_pages, 0);
	publish_some(&p->a, s, 2, 2);
	WAIT_FOR(p, whole(p, s));
	assert_int_equal(s->delta_pages, 1);
}

/* The checksums are those of what was sent last, whichever part it came in. */
static void assert_verified(struct pair *p)
{
	const char *code;
	char why[512];
	struct verify *v = verify_begin(&p->a.daemon, "kv", false, &code, why, sizeof(why));

	assert_non_null(v);
	WAIT_FOR(p, v->nr == 1 && v->spare[0].state != VERIFY_COMPARING);
	assert_string_equal(verify_word(v->spare[0].state), verify_word(VERIFY_SAME));
	assert_true(v->spare[0].compared >= v->spare[0].pages);
	assert_true(v->spare[0].pages > PAGES / 2);
}

static void write_some(struct fake_session *s)
{
	u32 i;

	for (i = 0; i < 30; i++)
		fake_write(s, any(PAGES), any(256));
	fake_punch(s, any(PAGES));
	fake_punch(s, any(100));
	/* Behind the place where the rounds are, each time. */
	fake_write(s, 3, any(256));
}

static void the_program_writes_meanwhile(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = large(p);

	s->on_round = write_some;
	publish_some(&p->a, s, 1, 1);
	complete(p, s);
	assert_in_rounds(p, s);
	assert_verified(p);
}

static void write_and_publish(struct fake_session *s)
{
	write_some(s);
	fake_publish(fake, s);
	write_some(s);
}

/* As the status shows the spare. */
static void assert_state(struct pair *p, const char *state)
{
	struct known *k = LIST_FIRST(&p->a.daemon.sessions);
	struct json_object *o = status_members(&p->a.daemon, k);
	struct json_object *spares = json_object_object_get(o, "spares");

	assert_int_equal(json_object_array_length(spares), 1);
	assert_string_equal(js_get_str(json_object_array_get_idx(spares, 0), "state"), state);
	json_object_put(o);
}

/* Those of its generations that are older than a round are none that can be committed. */
static void it_publishes_meanwhile(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = large(p);

	s->on_round = write_and_publish;
	publish_some(&p->a, s, 1, 1);
	WAIT_FOR(p, s->rounds > 3);
	assert_int_equal(fake_replica(&p->b.fake, "kv")->rec.generation, 0);
	assert_state(p, "catching-up");
	WAIT_FOR(p, whole(p, s));
	assert_state(p, "in-step");
	assert_in_rounds(p, s);
	assert_verified(p);
}

static void write_much_and_publish(struct fake_session *s)
{
	u32 i;

	for (i = 0; i < 600; i++)
		fake_write(s, any(PAGES), any(256));
	fake_publish(fake, s);
}

/* Into the last pass, which has several rounds. */
static void publish_for_a_while(struct fake_session *s)
{
	if (s->rounds <= ROUNDS + 3)
		write_much_and_publish(s);
	else
		write_some(s);
}

/* One that was published between two rounds is older than what the later ones have. */
static void an_older_one_is_not_committed(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = large(p);

	s->on_round = publish_for_a_while;
	publish_some(&p->a, s, 1, 1);
	WAIT_FOR(p, s->deltas);
	pair_run(p, 100);
	assert_true(s->rounds > ROUNDS + 4);
	assert_int_equal(fake_replica(&p->b.fake, "kv")->rec.generation, 0);
	complete(p, s);
	assert_in_rounds(p, s);
	assert_verified(p);
}

/* So that the last pass has several rounds. */
static void it_publishes_much_meanwhile(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = large(p);

	s->on_round = write_much_and_publish;
	publish_some(&p->a, s, 1, 1);
	WAIT_FOR(p, whole(p, s));
}

static void change_the_layout(struct fake_session *s)
{
	write_some(s);
	s->segments = 1 + any(50);
}

static void its_layout_changes_meanwhile(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = large(p);

	s->on_round = change_the_layout;
	publish_some(&p->a, s, 1, 1);
	complete(p, s);
	assert_in_rounds(p, s);
	assert_verified(p);
}

static void small_ones_come_at_once(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = large(p);

	p->a.daemon.conf.round_mib = 16;
	publish_some(&p->a, s, 1, 1);
	complete(p, s);
	assert_int_equal(s->rounds, 0);
	assert_int_equal(s->delta_pages, PAGES);
}

static void not_with_a_peer_that_knows_none(void **state)
{
	struct pair *p = *state;
	struct fake_session *s;

	host_kill(&p->b);
	host_start(&p->b);
	p->b.daemon.self.without = WIRE_FEATURE_ROUNDS;
	WAIT_FOR(p, host_linked(&p->a) && host_linked(&p->b));
	s = large(p);
	publish_some(&p->a, s, 1, 1);
	complete(p, s);
	assert_int_equal(s->rounds, 0);
}

/* What is published already is as good, and costs nothing. */
static void not_if_everything_is_published(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = large(p);

	s->reach = 0;
	publish_some(&p->a, s, 1, 1);
	WAIT_FOR(p, whole(p, s));
	assert_int_equal(s->rounds, 0);
}

static void the_memory_is_busy(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = large(p);

	s->busy = 5;
	publish_some(&p->a, s, 1, 1);
	complete(p, s);
	assert_true(s->rounds >= ROUNDS);
	assert_int_equal(s->busy, 0);
}

/* Somebody always has it: the program's next checkpoint brings everything, as without rounds. */
static void it_stays_busy(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = large(p);

	s->busy = ~0U;
	publish_some(&p->a, s, 1, 1);
	complete(p, s);
	assert_int_equal(s->rounds, 0);
	assert_int_equal(s->delta_pages, PAGES);
}

static void busy_from_here_on(struct fake_session *s)
{
	if (s->rounds == 3)
		s->busy = ~0U;
}

static void it_becomes_busy(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = large(p);

	s->on_round = busy_from_here_on;
	publish_some(&p->a, s, 1, 1);
	complete(p, s);
	assert_int_equal(s->rounds, 3);
}

static void the_link_is_lost_meanwhile(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = large(p);
	u32 i;

	s->on_round = write_some;
	publish_some(&p->a, s, 1, 1);
	for (i = 1; i < 4; i++) {
		WAIT_FOR(p, s->rounds >= 3 * i);
		host_kill(&p->b);
		host_start(&p->b);
		WAIT_FOR(p, host_linked(&p->a));
	}
	complete(p, s);
	assert_int_equal(fake_replica_pages(&p->b.fake) <= PAGES, 1);
}

/* Nothing of a delta that isn't whole stays, and the next attempt is all at once. */
static void the_spare_has_no_room(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = large(p);

	p->b.fake.limit = PAGES / 2;
	publish_some(&p->a, s, 1, 1);
	WAIT_FOR(p, s->rounds > 3 && host_ship(&p->a, "kv")->state == SHIP_REFUSED);
	WAIT_FOR(p, fake_replica_pages(&p->b.fake) == 0);
	p->b.fake.limit = 0;
	complete(p, s);
	assert_int_equal(s->delta_pages, PAGES);
}

static void the_session_ends_meanwhile(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = large(p);

	publish_some(&p->a, s, 1, 1);
	WAIT_FOR(p, s->rounds > 3);
	fake_session_end(&p->a.fake, s);
	WAIT_FOR(p, fake_replica_pages(&p->b.fake) == 0);
	/* The next one of this name. */
	s = large(p);
	publish_some(&p->a, s, 1, 1);
	complete(p, s);
}

static void the_replica_is_removed_meanwhile(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = large(p);

	publish_some(&p->a, s, 1, 1);
	WAIT_FOR(p, s->rounds > 3);
	fake_replica_remove(&p->b.fake, fake_replica(&p->b.fake, "kv"));
	complete(p, s);
}

/* The spare has an older generation of another session: it stays until the new one is whole. */
static void an_old_replica_stays_until_then(void **state)
{
	struct pair *p = *state;
	struct fake_session *old = fake_session(&p->a.fake, "kv", 10), *s;
	struct soft_replica *r;

	publish_some(&p->a, old, 1, 7);
	WAIT_FOR(p, pair_committed(old));
	fake_session_end(&p->a.fake, old);
	s = large(p);
	publish_some(&p->a, s, 1, 1);
	WAIT_FOR(p, s->rounds > 3);
	r = fake_replica(&p->b.fake, "kv");
	assert_int_equal(r->rec.generation, 1);
	assert_int_equal(*fake_page(r, 1), 7);
	complete(p, s);
}

/* Its first snapshot had no room; in rounds it has. */
static void the_first_snapshot_has_no_room(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = large(p);

	s->reach = 0;
	pair_run(p, 50);
	assert_int_equal(s->rounds, 0);
	fake_limit(&p->a.fake, s);
	WAIT_FOR(p, s->rounds >= ROUNDS && s->rec.flags & CPTDEV_GENL_SESSION_WANTED);
	fake_publish(&p->a.fake, s);
	WAIT_FOR(p, whole(p, s));
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, pair_setup, pair_teardown)
	const struct CMUnitTest tests[] = {
		TEST(everything_comes_in_rounds),
		TEST(the_program_writes_meanwhile),
		TEST(it_publishes_meanwhile),
		TEST(an_older_one_is_not_committed),
		TEST(it_publishes_much_meanwhile),
		TEST(its_layout_changes_meanwhile),
		TEST(small_ones_come_at_once),
		TEST(not_with_a_peer_that_knows_none),
		TEST(not_if_everything_is_published),
		TEST(the_memory_is_busy),
		TEST(it_stays_busy),
		TEST(it_becomes_busy),
		TEST(the_link_is_lost_meanwhile),
		TEST(the_spare_has_no_room),
		TEST(the_session_ends_meanwhile),
		TEST(the_replica_is_removed_meanwhile),
		TEST(an_old_replica_stays_until_then),
		TEST(the_first_snapshot_has_no_room),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("rounds", tests, NULL, NULL);
}
