// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The touch set: the set itself against a map of pages, its text against whatever a file may have, and
 * its recording against page tables and a TLB that are the test's own. There the program is a script:
 * what it accesses before each look is known.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <ckdev.h>

#include "../arena.h"
#include "../hotspare.h"
#include "../sections.h"
#include "../touch.h"
#include "../touched.h"

#define PAGES	64
#define NONE	255U

static uint64_t addr(size_t page)
{
	return HS_BASE + page * HS_PAGE;
}

/*
 * The set
 */

/* Pages that are true, as a list. */
static struct hs_intervals list_of(const bool *v)
{
	struct hs_intervals l = { 0 };
	size_t i;

	for (i = 0; i < PAGES; i++)
		if (v[i])
			assert_int_equal(hs_intervals_add(&l, addr(i), addr(i + 1)), 0);
	return l;
}

static void expect_map(const struct hs_touched *t, const unsigned int *map)
{
	unsigned int is[PAGES];
	size_t i, p;

	memset(is, 0xff, sizeof(is));
	for (i = 0; i < t->nr; i++) {
		assert_true(t->v[i].start < t->v[i].end && (!i || t->v[i - 1].end <= t->v[i].start));
		for (p = (t->v[i].start - HS_BASE) / HS_PAGE; p < (t->v[i].end - HS_BASE) / HS_PAGE; p++)
			is[p] = t->v[i].when;
	}
	for (p = 0; p < PAGES; p++)
		if ((is[p] == ~0U ? NONE : is[p]) != map[p])
			fail_msg("page %zu: class %u instead of %u", p, is[p], map[p]);
}

static void choose(bool *v)
{
	size_t i, n = 1 + (size_t)random() % 9;

	for (i = 0; i < PAGES; i++)
		v[i] = !(random() % (long)n);
}

static void grow_older(unsigned int *map)
{
	size_t p;

	for (p = 0; p < PAGES; p++) {
		if (map[p] == NONE)
			continue;
		map[p] = (map[p] < HS_TOUCHED_USED ? HS_TOUCHED_USED : map[p]) + 1;
		if (map[p] == HS_TOUCHED_CLASSES)
			map[p] = NONE;
	}
}

static void put_on_map(unsigned int *map, const bool *v, unsigned int when)
{
	size_t p;

	for (p = 0; p < PAGES; p++)
		if (v[p] && map[p] > when)
			map[p] = when;
}

static void expect_same_text(const struct hs_touched *t, const unsigned int *map)
{
	struct hs_touched again;
	unsigned char *text;
	size_t len;

	assert_int_equal(hs_touched_text(t, &text, &len), 0);
	assert_int_equal(hs_touched_parse(&again, text, len, NULL), 0);
	expect_map(&again, map);
	assert_int_equal(again.looks, t->looks);
	assert_int_equal(again.generation, t->generation);
	assert_memory_equal(again.end_us, t->end_us, sizeof(t->end_us));
	hs_touched_free(&again);
	free(text);
}

static void a_page_has_the_class_of_its_first_touch(void **state)
{
	struct hs_touched t = { 0 };
	struct hs_intervals l;
	unsigned int map[PAGES], round, k, p, n;
	bool v[PAGES];

	(void)state;
	srandom(11);
	for (p = 0; p < PAGES; p++)
		map[p] = NONE;
	for (round = 0; round < 500; round++) {
		choose(v);
		l = list_of(v);
		assert_int_equal(hs_touched_begin(&t, &l, round), 0);
		free(l.v);
		grow_older(map);
		put_on_map(map, v, HS_TOUCHED_USED);
		for (k = 0; k < round % (HS_TOUCHED_LOOKS + 1); k++) {
			choose(v);
			l = list_of(v);
			assert_int_equal(hs_touched_look(&t, &l, 1000 << k), 0);
			free(l.v);
			put_on_map(map, v, k);
			expect_map(&t, map);
		}
		for (p = n = 0; p < PAGES; p++)
			n += map[p] < 3;
		assert_int_equal(hs_touched_pages(&t, 3), n);
		expect_same_text(&t, map);
	}
	hs_touched_free(&t);
}

static void there_is_a_last_look(void **state)
{
	const struct hs_intervals none = { 0 };
	struct hs_touched t = { 0 };
	unsigned int i;

	(void)state;
	for (i = 0; i < HS_TOUCHED_LOOKS; i++)
		assert_int_equal(hs_touched_look(&t, &none, i), 0);
	assert_int_equal(hs_touched_look(&t, &none, i), -1);
	assert_int_equal(errno, ENOSPC);
	hs_touched_free(&t);
}

static unsigned int class_of(const struct hs_touched *t, uint64_t at)
{
	size_t i;

	for (i = 0; i < t->nr; i++)
		if (t->v[i].start <= at && at < t->v[i].end)
			return t->v[i].when;
	return NONE;
}

/* Nothing of the window is lost, and nothing becomes later. What was used before may go. */
static void the_text_has_a_limit(void **state)
{
	struct hs_touched t = { .looks = 2 }, again;
	const size_t nr = 3 * HS_TOUCHED_RUNS;
	unsigned char *text;
	size_t i, len;

	(void)state;
	t.v = calloc(nr, sizeof(*t.v));
	for (i = 0; i < nr; i++)
		t.v[t.nr++] = (struct hs_touched_run) {
			addr(3 * i), addr(3 * i + 1), i % 3 < 2 ? (unsigned int)(i % 3) : HS_TOUCHED_USED,
		};
	assert_int_equal(hs_touched_text(&t, &text, &len), 0);
	assert_true(len <= HS_TOUCHED_RUNS * 8 + 256);
	assert_int_equal(hs_touched_parse(&again, text, len, NULL), 0);
	for (i = 0; i < nr; i += 101)
		if (t.v[i].when < HS_TOUCHED_USED)
			assert_true(class_of(&again, t.v[i].start) <= t.v[i].when);
	hs_touched_free(&again);
	free(text);
	hs_touched_free(&t);
	/* One that is longer than a number can say. */
	t = (struct hs_touched) { .looks = 1, .nr = 1, .v = calloc(1, sizeof(*t.v)) };
	t.v[0] = (struct hs_touched_run) { HS_BASE, HS_END, 0 };
	assert_int_equal(hs_touched_text(&t, &text, &len), 0);
	assert_int_equal(hs_touched_parse(&again, text, len, NULL), 0);
	assert_int_equal(again.v[0].start, HS_BASE);
	assert_int_equal(again.v[again.nr - 1].end, HS_END);
	assert_int_equal(hs_touched_pages(&again, 1), (HS_END - HS_BASE) / HS_PAGE);
	hs_touched_free(&again);
	free(text);
	hs_touched_free(&t);
}

static void expect_sound(const struct hs_touched *t)
{
	size_t i;

	assert_true(t->looks <= HS_TOUCHED_LOOKS && t->nr <= HS_TOUCHED_RUNS);
	for (i = 0; i < t->nr; i++) {
		assert_true(t->v[i].start >= HS_BASE && t->v[i].end <= HS_END);
		assert_true(t->v[i].start < t->v[i].end && t->v[i].when < HS_TOUCHED_CLASSES);
		assert_true(!i || t->v[i - 1].end <= t->v[i].start);
	}
}

static void any_text_is_sound_or_refused(void **state)
{
	unsigned char *text, *bad;
	struct hs_touched t = { 0 }, again;
	unsigned int round, refused = 0;
	struct hs_intervals l;
	struct hs_error e;
	bool v[PAGES];
	size_t len, n;

	(void)state;
	srandom(3);
	for (round = 0; round < 20000; round++) {
		choose(v);
		l = list_of(v);
		if (!(round % 10))
			assert_int_equal(hs_touched_begin(&t, &l, round), 0);
		else
			assert_int_equal(hs_touched_look(&t, &l, round), 0);
		free(l.v);
		assert_int_equal(hs_touched_text(&t, &text, &len), 0);
		n = random() % 4 ? len : (size_t)random() % (len + 1);
		/* Of its own, so that nothing is read behind its end. */
		bad = malloc(n ?: 1);
		memcpy(bad, text, n);
		for (unsigned int k = 0; n && k < round % 4; k++)
			bad[(size_t)random() % n] = (unsigned char)random();
		if (!hs_touched_parse(&again, bad, n, &e)) {
			expect_sound(&again);
			hs_touched_free(&again);
		} else {
			assert_int_equal(errno, EBADMSG);
			assert_true(!again.nr && !again.v);
			refused++;
		}
		free(bad);
		free(text);
	}
	assert_in_range(refused, 2000, 19000);
	hs_touched_free(&t);
}

static void the_name_is_the_librarys(void **state)
{
	(void)state;
	assert_int_equal(hs_section_set(HS_TOUCHED_NAME, "x", 1), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(hs_section_set(HS_TOUCHED_NAME, NULL, 0), -1);
	assert_int_equal(hs_section_set("hotspare-touched", "x", 1), 0);
	assert_int_equal(hs_section_set("hotspare-touched", NULL, 0), 0);
}

/*
 * The recording: page tables and a TLB
 */

#define INTERVALS	8

struct script {
	bool accessed[PAGES], out[PAGES];	/* swapped out, behind what is accessed */
};

static bool young[PAGES], in_tlb[PAGES], is_out[PAGES];
static struct script script[INTERVALS];
static _Atomic unsigned int looked;	/* looks that have begun */
static bool no_flush, fails;
static unsigned int busy_ms;
static _Atomic bool was_paused, overlapped;

static void access_page(size_t p)
{
	is_out[p] = false;
	if (!in_tlb[p])
		young[p] = true;
	in_tlb[p] = true;
}

static void run(const struct script *s)
{
	size_t p;

	for (p = 0; p < PAGES; p++) {
		if (s->accessed[p])
			access_page(p);
		if (s->out[p]) {
			is_out[p] = true;
			young[p] = in_tlb[p] = false;
		}
	}
}

static uint64_t categories_of(size_t p)
{
	return is_out[p] ? CPTDEV_PAGE_SWAPPED : young[p] ? CPTDEV_PAGE_ACCESSED : CPTDEV_PAGE_CLEAN;
}

static void burn(unsigned int ms)
{
	clock_t end = clock() + (clock_t)ms * (CLOCKS_PER_SEC / 1000);

	while (clock() < end)
		;
}

/* At most three regions at a time. */
static int fake_scan(struct cptdev_scan *s)
{
	struct cptdev_region *v = (struct cptdev_region *)(uintptr_t)s->vec, *last = NULL;
	size_t p = (s->start - HS_BASE) / HS_PAGE, end = (s->end - HS_BASE) / HS_PAGE;
	uint64_t what;

	overlapped |= was_paused;
	if (fails)
		return -EOPNOTSUPP;
	if (!p) {
		burn(busy_ms);
		if (looked < INTERVALS)
			run(&script[looked]);
		looked++;
	}
	for (s->nr = 0; p < end && p < PAGES; p++) {
		what = categories_of(p) & s->report;
		if (!(what & s->anyof))
			continue;
		if (last && last->end == addr(p) && last->categories == what) {
			last->end = addr(p + 1);
		} else {
			if (s->nr == 3)
				break;
			last = &v[s->nr++];
			*last = (struct cptdev_region) { addr(p), addr(p + 1), what };
		}
		if (s->flags & CPTDEV_SCAN_CLEAR_ACCESSED) {
			young[p] = false;
			in_tlb[p] &= no_flush;
		}
	}
	s->walk_end = p < PAGES && p < end ? addr(p) : s->end;
	return (int)s->nr;
}

static int fake_where(struct hs_intervals *to)
{
	*to = (struct hs_intervals) { 0 };
	return hs_intervals_add(to, HS_BASE, addr(PAGES));
}

static void wait_for_window(unsigned int before)
{
	const struct timespec ms = { .tv_nsec = 1000000 };
	unsigned int i;

	for (i = 0; i < 60000 && hs_touch_windows == before; i++)
		nanosleep(&ms, NULL);
	assert_int_equal(hs_touch_windows, before + 1);
}

static void window(uint64_t generation, bool file)
{
	unsigned int before = hs_touch_windows;

	looked = 0;
	hs_touch_cut(generation, file);
	wait_for_window(before);
}

static struct hs_touched recorded(void)
{
	static unsigned char text[1 << 20];
	ssize_t len = hs_section_get(HS_TOUCHED_NAME, text, sizeof(text));
	struct hs_touched t;

	assert_true(len > 0);
	assert_int_equal(hs_touched_parse(&t, text, (size_t)len, NULL), 0);
	return t;
}

/* Nobody has anything in the TLB. */
static void start_anew(const char *how)
{
	assert_int_equal(hs_touch_set(how, NULL), 0);
	memset(young, 0, sizeof(young));
	memset(in_tlb, 0, sizeof(in_tlb));
	memset(is_out, 0, sizeof(is_out));
	memset(script, 0, sizeof(script));
	no_flush = fails = false;
	busy_ms = 0;
}

/* What was accessed before the cut and in each interval. 4 ms: three looks. */
static void write_script(void)
{
	size_t p;

	for (p = 0; p < PAGES; p++) {
		script[0].accessed[p] = p % 2;
		script[1].accessed[p] = p % 5 == 1;
		script[2].accessed[p] = p % 7 == 3 || p % 5 == 1;
		script[3].accessed[p] = p % 11 == 0;
	}
}

static unsigned int expected_class(size_t p)
{
	unsigned int k;

	for (k = 1; k < 4; k++)
		if (script[k].accessed[p] || (script[k].out[p] && !script[k - 1].out[p]))
			return k - 1;
	return script[0].accessed[p] ? HS_TOUCHED_USED : NONE;
}

static unsigned int wrong_pages(void)
{
	struct hs_touched t = recorded();
	unsigned int n = 0;
	size_t p;

	for (p = 0; p < PAGES; p++)
		n += class_of(&t, addr(p)) != expected_class(p);
	hs_touched_free(&t);
	return n;
}

static void each_access_is_recorded_in_its_order(void **state)
{
	struct hs_touched t;

	(void)state;
	start_anew("4");
	write_script();
	window(42, false);
	assert_int_equal(looked, 4);
	assert_int_equal(wrong_pages(), 0);
	t = recorded();
	assert_int_equal(t.generation, 42);
	assert_int_equal(t.looks, 3);
	assert_true(t.end_us[0] >= 1000 && t.end_us[1] >= 2000 && t.end_us[2] >= 4000);
	hs_touched_free(&t);
}

/* The control: pages that were in use before the window are missing, though they were accessed in it. */
static void without_a_flush_accesses_are_missed(void **state)
{
	struct hs_touched t;
	size_t p, missed = 0;

	(void)state;
	start_anew("4");
	write_script();
	no_flush = true;
	window(43, false);
	assert_true(wrong_pages() > 0);
	t = recorded();
	for (p = 0; p < PAGES; p++)
		missed += expected_class(p) < HS_TOUCHED_USED && class_of(&t, addr(p)) >= HS_TOUCHED_USED;
	assert_in_range(missed, 5, PAGES);
	hs_touched_free(&t);
}

static void pages_that_were_swapped_out_count(void **state)
{
	size_t p;

	(void)state;
	start_anew("4");
	for (p = 0; p < PAGES; p++) {
		/* All the time; since the second interval; for an interval. */
		script[0].out[p] = p % 8 == 0;
		script[2].out[p] = p % 8 == 1;
		script[2].accessed[p] = p % 8 == 2 || p % 8 == 3;
		script[3].out[p] = p % 8 == 3;
		script[3].accessed[p] = p % 8 == 1;
	}
	window(44, false);
	for (p = 0; p < PAGES; p++) {
		struct hs_touched t = recorded();
		static const unsigned int classes[8] = {
			HS_TOUCHED_USED, 1, 1, 1, NONE, NONE, NONE, NONE,
		};
		unsigned int is = class_of(&t, addr(p));

		/* Of windows before this one there may be pages yet. */
		if (classes[p % 8] < NONE ? is != classes[p % 8] : is <= HS_TOUCHED_USED)
			fail_msg("page %zu: class %u", p, is);
		hs_touched_free(&t);
	}
}

/* It ends when the set arrives in the time that it covers: 8 pages. */
static void the_window_follows_the_store(void **state)
{
	struct hs_touched t;
	size_t p;

	(void)state;
	start_anew("auto");
	for (p = 0; p < 8; p++)
		script[1].accessed[p] = true;
	hs_touch_written(100 << 20, 1000000000);
	window(45, true);
	assert_int_equal(looked, 2);
	/* 32 KiB at a quarter of 4 MB/s take 33 ms, which is more than 32 and less than 64. */
	hs_touch_written(40000000, 10000000000);
	window(46, true);
	assert_int_equal(looked, 4);
	t = recorded();
	assert_int_equal(t.looks, 3);
	hs_touched_free(&t);
	/* A store that is too little to say anything changes nothing. */
	hs_touch_written(1000, 1);
	window(47, true);
	assert_int_equal(looked, 4);
}

static void only_what_is_wanted_is_recorded(void **state)
{
	unsigned int before = hs_touch_windows;
	struct hs_error e;

	(void)state;
	start_anew("no");
	looked = 0;
	hs_touch_cut(48, true);
	assert_int_equal(hs_touch_set("auto", NULL), 0);
	hs_touch_cut(49, false);
	usleep(50000);
	assert_int_equal(looked, 0);
	assert_int_equal(hs_touch_windows, before);
	assert_int_equal(hs_touch_set("0", &e), -1);
	assert_int_equal(hs_touch_set("-1", &e), -1);
	assert_int_equal(hs_touch_set("3600001", &e), -1);
	assert_int_equal(hs_touch_set("", &e), -1);
	assert_int_equal(hs_touch_set("1s", &e), -1);
	assert_int_equal(errno, EINVAL);
}

/* A hundredth of a processor: 2 looks of 10 ms cost two seconds of peace. */
static void looks_have_a_limit(void **state)
{
	unsigned int before;

	(void)state;
	start_anew("1");
	busy_ms = 10;
	hs_touch_share = 100;
	window(50, false);
	before = hs_touch_windows;
	looked = 0;
	hs_touch_cut(51, false);
	usleep(100000);
	assert_int_equal(looked, 0);
	usleep(4000000);
	hs_touch_cut(52, false);
	wait_for_window(before);
	assert_int_equal(looked, 2);
	hs_touch_share = 0;
}

static void a_cut_in_a_window_begins_none(void **state)
{
	unsigned int before = hs_touch_windows, i;
	struct hs_touched t;

	(void)state;
	start_anew("100");
	looked = 0;
	for (i = 0; i < 5; i++) {
		hs_touch_cut(60 + i, false);
		usleep(1000);
	}
	wait_for_window(before);
	t = recorded();
	assert_int_equal(t.generation, 60);
	hs_touched_free(&t);
	assert_int_equal(looked, 8);
}

/* The last set stays. */
static void a_look_that_fails_ends_the_window(void **state)
{
	struct hs_touched t = recorded();
	const uint64_t before = t.generation;

	(void)state;
	hs_touched_free(&t);
	start_anew("4");
	fails = true;
	window(70, false);
	t = recorded();
	assert_int_equal(t.generation, before);
	hs_touched_free(&t);
}

/* A window with cuts all the time. */
static void cut_again_and_again(bool pause)
{
	unsigned int before = hs_touch_windows, i;

	start_anew("60");
	looked = 0;
	overlapped = false;
	hs_touch_cut(80, false);
	for (i = 0; i < 200; i++) {
		if (pause)
			hs_touch_pause();
		was_paused = true;
		usleep(500);
		was_paused = false;
		if (pause)
			hs_touch_resume();
		usleep(100);
	}
	wait_for_window(before);
	assert_int_equal(looked, 7);
}

/* The control: without a pause there are some. */
static void there_is_no_look_during_a_cut(void **state)
{
	(void)state;
	cut_again_and_again(true);
	assert_false(overlapped);
	cut_again_and_again(false);
	assert_true(overlapped);
}

static _Atomic bool in_look, forked, late;

static int scan_until_forked(struct cptdev_scan *s)
{
	unsigned int i;

	in_look = true;
	for (i = 0; i < 1000 && !forked; i++)
		usleep(1000);
	if (!forked)
		late = true;
	return fake_scan(s);
}

/* A look takes the session's lock, so a fork that has this one mustn't wait for the look. */
static void a_fork_waits_for_no_look(void **state)
{
	unsigned int before = hs_touch_windows;
	pid_t pid;

	(void)state;
	start_anew("1");
	hs_touch_scan = scan_until_forked;
	hs_touch_cut(90, false);
	while (!in_look)
		usleep(1000);
	pid = fork();
	if (!pid)
		_exit(0);
	forked = true;
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	wait_for_window(before);
	hs_touch_scan = fake_scan;
	assert_false(late);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_page_has_the_class_of_its_first_touch),
		cmocka_unit_test(there_is_a_last_look),
		cmocka_unit_test(the_text_has_a_limit),
		cmocka_unit_test(any_text_is_sound_or_refused),
		cmocka_unit_test(the_name_is_the_librarys),
		cmocka_unit_test(each_access_is_recorded_in_its_order),
		cmocka_unit_test(without_a_flush_accesses_are_missed),
		cmocka_unit_test(pages_that_were_swapped_out_count),
		cmocka_unit_test(the_window_follows_the_store),
		cmocka_unit_test(only_what_is_wanted_is_recorded),
		cmocka_unit_test(a_cut_in_a_window_begins_none),
		cmocka_unit_test(a_look_that_fails_ends_the_window),
		cmocka_unit_test(there_is_no_look_during_a_cut),
		cmocka_unit_test(a_fork_waits_for_no_look),
		cmocka_unit_test(looks_have_a_limit),
	};

	hs_touch_share = 0;
	hs_touch_scan = fake_scan;
	hs_touch_where = fake_where;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
