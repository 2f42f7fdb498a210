// SPDX-License-Identifier: GPL-2.0-or-later
/* The rules about records, as tables: each line is a story. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "record.h"

static const u8 alpha[CPTDEV_UUID_LEN] = { 0xa }, beta[CPTDEV_UUID_LEN] = { 0xb };
static const u8 one[CPTDEV_UUID_LEN] = { 1 }, two[CPTDEV_UUID_LEN] = { 2 };
static const u8 boot[CPTDEV_UUID_LEN] = { 0xb0 }, later[CPTDEV_UUID_LEN] = { 0xb1 };

/* Of alpha: session one has acknowledged generation 5 with term 3. */
static struct record primary(void)
{
	struct record r = {};

	record_started(&r, "kv", one, 3, alpha, boot);
	r.generation = 5;
	return r;
}

/* Of beta: the same, as its spare. */
static struct record spare(void)
{
	struct record r = {};

	record_fed(&r, "kv", one, 3, alpha, boot);
	r.generation = 5;
	return r;
}

static struct record promoted(void)
{
	struct record r = spare();

	assert_int_equal(record_promote(&r, "kv", 0, 3, beta), 0);
	record_promoted(&r, true);
	return r;
}

static void pairs(void **state)
{
	struct record r = primary();

	(void)state;
	assert_int_equal(record_meet(&r, 3, alpha), MEET_SAME);
	assert_int_equal(record_meet(&r, 2, beta), MEET_LOWER);
	assert_int_equal(record_meet(&r, 4, beta), MEET_HIGHER);
	assert_int_equal(record_meet(&r, 3, beta), MEET_SPLIT);
	/* Nobody knows whose it is: a replica that is older than the records. */
	assert_int_equal(record_meet(&r, 3, (const u8[CPTDEV_UUID_LEN]) {}), MEET_SAME);
}

static void starts(void **state)
{
	struct record r = primary(), s = spare(), p = promoted();

	(void)state;
	assert_int_equal(record_start(NULL, one, 1, false, alpha), START_FRESH);
	/* The daemon was started anew, the program wasn't. */
	assert_int_equal(record_start(&r, one, 3, false, alpha), START_SAME);
	/* The program was started anew, empty; with replace somebody has said so. */
	assert_int_equal(record_start(&r, two, 3, false, alpha), START_LOST);
	assert_int_equal(record_start(&r, two, 3, true, alpha), START_REPLACE);
	assert_int_equal(record_start(&r, two, 1, false, alpha), START_LOWER);
	/* A lower term isn't replaced either: whoever has the higher one goes on. */
	assert_int_equal(record_start(&r, two, 1, true, alpha), START_LOWER);
	r.ended = true;
	assert_int_equal(record_start(&r, two, 3, false, alpha), START_FRESH);
	/* Nothing was acknowledged. */
	r = primary();
	r.generation = 0;
	assert_int_equal(record_start(&r, two, 3, false, alpha), START_FRESH);
	/* On the host of the spare, with the spare's content unused. */
	assert_int_equal(record_start(&s, two, 3, false, beta), START_LOST);
	/* Taking over, not with a lower term than that of the promotion. */
	assert_int_equal(record_start(&p, two, 4, false, beta), START_TAKEN);
	assert_int_equal(record_start(&p, two, 3, false, beta), START_LOWER);
	/* Restored by hand, from a file: whoever raises the term has decided that. */
	assert_int_equal(record_start(&p, two, 5, false, beta), START_TAKEN);
	p.promoting = true;
	assert_int_equal(record_start(&p, two, 4, false, beta), START_LOST);
}

static void a_start_owns_its_term(void **state)
{
	struct record r = promoted();

	(void)state;
	record_started(&r, "kv", two, 4, beta, boot);
	assert_memory_equal(r.owner, beta, sizeof(beta));
	assert_int_equal(r.role, RECORD_PRIMARY);
	assert_int_equal(r.generation, 0);
	/* Seen again by a daemon that was started anew. */
	r.generation = 7;
	record_started(&r, "kv", two, 4, beta, boot);
	assert_int_equal(r.generation, 7);
}

static void feeds(void **state)
{
	struct record r = primary(), s = spare(), p = promoted();

	(void)state;
	assert_int_equal(record_feed(NULL, one, 1, alpha, false), FEED_OK);
	assert_int_equal(record_feed(&s, one, 3, alpha, false), FEED_OK);
	assert_int_equal(record_feed(&s, one, 2, alpha, false), FEED_FENCED);
	assert_int_equal(record_feed(&s, two, 3, alpha, false), FEED_OTHER);
	assert_int_equal(record_feed(&s, two, 3, alpha, true), FEED_OK);
	/* The host that took over goes on from what was acknowledged. */
	assert_int_equal(record_feed(&r, two, 4, beta, false), FEED_OK);
	assert_int_equal(record_feed(&p, one, 3, alpha, false), FEED_FENCED);
	/* Both were promoted. */
	assert_int_equal(record_feed(&p, two, 4, alpha, false), FEED_SPLIT);
	assert_int_equal(record_feed(&p, two, 4, alpha, true), FEED_SPLIT);
	/* Two programs were started, and nothing was acknowledged by this one. */
	r = primary();
	r.generation = 0;
	r.term = 1;
	assert_int_equal(record_feed(&r, two, 1, beta, false), FEED_OK);
	/* A promotion is known to others. */
	r.term = 3;
	assert_int_equal(record_feed(&r, two, 3, beta, false), FEED_SPLIT);
	s.ended = true;
	assert_int_equal(record_feed(&s, two, 3, alpha, false), FEED_OK);
}

static void promotions(void **state)
{
	struct record r = spare(), before = r;

	(void)state;
	assert_int_equal(record_promote(&r, "kv", 0, 3, beta), 0);
	assert_int_equal(r.term, 4);
	assert_memory_equal(r.owner, beta, sizeof(beta));
	record_promoted(&r, false);
	assert_int_equal(r.term, 3);
	assert_int_equal(r.role, before.role);
	assert_memory_equal(r.owner, before.owner, sizeof(r.owner));
	/* Not below what is known, from wherever. */
	assert_int_equal(record_promote(&r, "kv", 3, 3, beta), -1);
	assert_int_equal(record_promote(&r, "kv", 4, 7, beta), -1);
	assert_int_equal(record_promote(&r, "kv", 9, 7, beta), 0);
	record_promoted(&r, true);
	assert_int_equal(r.term, 9);
	r.term = CPTDEV_TERM_MAX;
	assert_int_equal(record_promote(&r, "kv", 0, 7, beta), -1);
	assert_int_equal(record_promote(&r, "kv", CPTDEV_TERM_MAX + 1, 7, beta), -1);
}

static void outdated(void **state)
{
	struct record s = spare(), p = promoted();

	(void)state;
	assert_false(record_outdated(&s, one));
	/* It goes on with session two, and is acknowledged: the replica lacks that. */
	record_started(&p, "kv", two, 4, beta, boot);
	assert_false(record_outdated(&p, one));
	record_progress(&p, 1);
	assert_true(record_outdated(&p, one));
	p.ended = true;
	assert_true(record_outdated(&p, one));
	/* Fenced: until it is fed, whatever was on disk before. */
	s.outdated = true;
	record_fed(&s, "kv", two, 5, alpha, boot);
	assert_true(record_outdated(&s, one));
	record_progress(&s, 1);
	assert_false(record_outdated(&s, two));
}

static void another_node_lacks_what_was_acknowledged(void **state)
{
	struct record r = primary();

	(void)state;
	/* Nobody knows who followed. */
	assert_true(record_lacked(&r, beta));
	record_follow(&r, beta, "beta");
	assert_false(record_lacked(&r, beta));
	assert_true(record_lacked(&r, alpha));
	r.alone_since = 1;
	assert_true(record_lacked(&r, beta));
	r = primary();
	r.generation = 0;
	assert_false(record_lacked(&r, beta));
}

static void memory_goes_with_the_power(void **state)
{
	struct record r = primary();

	(void)state;
	assert_false(record_lost(&r, boot));
	assert_true(record_lost(&r, later));
	r.ended = true;
	assert_false(record_lost(&r, later));
	r = primary();
	r.generation = 0;
	assert_false(record_lost(&r, later));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pairs),
		cmocka_unit_test(starts),
		cmocka_unit_test(a_start_owns_its_term),
		cmocka_unit_test(feeds),
		cmocka_unit_test(promotions),
		cmocka_unit_test(outdated),
		cmocka_unit_test(another_node_lacks_what_was_acknowledged),
		cmocka_unit_test(memory_goes_with_the_power),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("records", tests, NULL, NULL);
}
