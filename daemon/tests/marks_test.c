// SPDX-License-Identifier: GPL-2.0-or-later
/* Which packets leave when a generation is committed: never one that was sent after its cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "marks.h"

static u32 leave(struct marks *m, u64 generation)
{
	u32 id = 0;

	return marks_committed(m, generation, &id) ? id : 0;
}

static void what_was_sent_before_the_cut_leaves(void **state)
{
	struct marks m = { 0 };

	(void)state;
	marks_cut(&m, 10);
	assert_int_equal(leave(&m, 7), 0);
	marks_published(&m, 8);
	assert_int_equal(leave(&m, 7), 0);
	assert_int_equal(leave(&m, 8), 10);
	assert_int_equal(leave(&m, 8), 0);
	assert_false(marks_any(&m));
}

static void several_may_be_under_way(void **state)
{
	struct marks m = { 0 };

	(void)state;
	marks_cut(&m, 10);
	marks_published(&m, 1);
	marks_cut(&m, 20);
	marks_published(&m, 2);
	marks_cut(&m, 30);
	marks_published(&m, 3);
	marks_cut(&m, 40);
	assert_int_equal(leave(&m, 2), 20);
	assert_true(marks_any(&m));
	assert_int_equal(leave(&m, 3), 30);
	assert_true(marks_any(&m));
	marks_published(&m, 4);
	assert_int_equal(leave(&m, 9), 40);
}

/* The cut has failed, and another one comes; or one that knows nothing of held output. */
static void a_generation_without_a_mark_covers_nothing(void **state)
{
	struct marks m = { 0 };

	(void)state;
	marks_published(&m, 1);
	assert_int_equal(leave(&m, 1), 0);
	marks_cut(&m, 10);
	marks_cut(&m, 20);
	marks_published(&m, 2);
	marks_published(&m, 3);
	assert_int_equal(leave(&m, 3), 20);
	assert_false(marks_any(&m));
}

static void too_many_leave_later_and_never_earlier(void **state)
{
	struct marks m = { 0 };
	u32 i, id;

	(void)state;
	for (i = 1; i <= 3 * MARKS_MAX; i++) {
		marks_cut(&m, 10 * i);
		marks_published(&m, i);
	}
	for (i = 1; i <= 3 * MARKS_MAX; i++) {
		id = leave(&m, i);
		assert_true(id <= 10 * i);
	}
	assert_int_equal(id, 30 * MARKS_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_sent_before_the_cut_leaves),
		cmocka_unit_test(several_may_be_under_way),
		cmocka_unit_test(a_generation_without_a_mark_covers_nothing),
		cmocka_unit_test(too_many_leave_later_and_never_earlier),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
