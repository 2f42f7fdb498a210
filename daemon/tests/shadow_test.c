// SPDX-License-Identifier: GPL-2.0-or-later
/* Pages as they were sent last: found again, bounded, displaced, forgotten. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shadow.h"

#define PAGE	4096U
#define ROOM	1024U		/* pages */

static int setup(void **state)
{
	*state = shadow_new(ROOM * PAGE, PAGE);
	return !*state;
}

static int teardown(void **state)
{
	shadow_free(*state);
	return 0;
}

static bool add(struct shadow *s, u32 owner, u64 page, u32 now)
{
	u8 *p = shadow_add(s, owner, page * PAGE, now);

	if (!p)
		return false;
	memset(p, 0, PAGE);
	memcpy(p, &owner, sizeof(owner));
	memcpy(p + PAGE - sizeof(page), &page, sizeof(page));
	return true;
}

/* Is it there, and is it the right one? */
static bool has(struct shadow *s, u32 owner, u64 page, u32 now)
{
	u8 *p = shadow_find(s, owner, page * PAGE, now);

	if (!p)
		return false;
	assert_memory_equal(p, &owner, sizeof(owner));
	assert_memory_equal(p + PAGE - sizeof(page), &page, sizeof(page));
	return true;
}

static u32 count(struct shadow *s, u32 owner, u64 from, u64 to, u32 now)
{
	u32 n = 0;

	for (; from < to; from++)
		n += has(s, owner, from, now);
	return n;
}

static void what_was_added_is_found(void **state)
{
	struct shadow *s = *state;

	assert_false(has(s, 1, 5, 1));
	assert_true(add(s, 1, 5, 1));
	assert_true(has(s, 1, 5, 1));
	assert_false(has(s, 2, 5, 1));
	assert_false(has(s, 1, 6, 1));
	/* Address 0 is one as others are. */
	assert_false(has(s, 1, 0, 1));
	assert_true(add(s, 1, 0, 1));
	assert_true(add(s, 2, 5, 1));
	assert_true(has(s, 1, 0, 1) && has(s, 1, 5, 1) && has(s, 2, 5, 1));
}

static void it_has_so_much_room(void **state)
{
	struct shadow *s = *state;
	u32 i, added = 0;

	for (i = 0; i < 10 * ROOM; i++)
		added += add(s, 1, i, 1);
	/* Sets fill up unevenly, not by much. */
	assert_in_range(added, ROOM * 9 / 10, ROOM);
	assert_int_equal(count(s, 1, 0, 10 * ROOM, 1), added);
}

/* Twice as many pages as there is room for, in turn: a part of them is found each time. */
static void more_than_its_room_in_turn(void **state)
{
	struct shadow *s = *state;
	u32 now, i, found = 0;

	for (now = 1; now <= 200; now++) {
		found = 0;
		for (i = 0; i < 2 * ROOM; i++) {
			if (has(s, 1, i, now))
				found++;
			else
				add(s, 1, i, now);
		}
	}
	assert_true(found > ROOM * 9 / 10);
}

static void what_isnt_used_gives_way(void **state)
{
	struct shadow *s = *state;
	u32 i, added = 0;

	for (i = 0; i < 2 * ROOM; i++)
		add(s, 1, i, 1);
	for (i = 0; i < ROOM; i++)
		added += add(s, 1, 1000000 + i, SHADOW_KEEP);
	assert_true(added < ROOM / 5);
	for (i = 0; i < ROOM; i++)
		added += add(s, 1, 2000000 + i, 1 + SHADOW_KEEP);
	assert_true(added > ROOM / 2);
	/* The number of the delta may run over. */
	assert_true(add(s, 3, 77, ~0U));
	assert_true(has(s, 3, 77, 5));
}

static void a_range_is_dropped(void **state)
{
	struct shadow *s = *state;
	u32 i, all;

	for (i = 0; i < 128; i++) {
		add(s, 1, i, 1);
		add(s, 2, i, 1);
	}
	all = count(s, 2, 0, 128, 1);
	assert_int_equal(all, 128);
	shadow_drop(s, 1, 20 * PAGE, 10 * PAGE);
	assert_int_equal(count(s, 1, 0, 20, 1), 20);
	assert_int_equal(count(s, 1, 20, 30, 1), 0);
	assert_int_equal(count(s, 1, 30, 128, 1), 98);
	assert_int_equal(count(s, 2, 0, 128, 1), all);
	/* More than there is room for: gone by a walk over all. */
	shadow_drop(s, 1, 40 * PAGE, 1ULL << 62);
	assert_int_equal(count(s, 1, 30, 40, 1), 10);
	assert_int_equal(count(s, 1, 40, 128, 1), 0);
	assert_int_equal(count(s, 2, 0, 128, 1), all);
}

static void what_isnt_mapped_is_trimmed(void **state)
{
	static const struct cptdev_segment segs[] = {
		{ .addr = 10 * PAGE, .len = 5 * PAGE },
		{ .addr = 15 * PAGE, .len = 5 * PAGE },
		{ .addr = 40 * PAGE, .len = 1 * PAGE },
	};
	struct shadow *s = *state;
	u32 i;

	for (i = 0; i < 100; i++) {
		add(s, 1, i, 1);
		add(s, 2, i, 1);
	}
	shadow_trim(s, 1, 0, 60 * PAGE, segs, 3);
	for (i = 0; i < 60; i++)
		assert_int_equal(has(s, 1, i, 1), (i >= 10 && i < 20) || i == 40);
	assert_int_equal(count(s, 1, 60, 100, 1), 40);
	assert_int_equal(count(s, 2, 0, 100, 1), 100);
	shadow_trim(s, 1, 0, ~0ULL, segs, 0);
	assert_int_equal(count(s, 1, 0, 100, 1), 0);
}

static void the_least_room_is_a_set(void **state)
{
	struct shadow *s = shadow_new(1, PAGE);
	u32 i, n = 0;

	(void)state;
	for (i = 0; i < 100; i++)
		n += add(s, 1, i, 1);
	assert_int_equal(n, 8);
	shadow_free(s);
	shadow_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
		T(what_was_added_is_found),
		T(it_has_so_much_room),
		T(more_than_its_room_in_turn),
		T(what_isnt_used_gives_way),
		T(a_range_is_dropped),
		T(what_isnt_mapped_is_trimmed),
		T(the_least_room_is_a_set),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("shadows", tests, NULL, NULL);
}
