// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The touch set as the module's accessed marks give it; in guests. The program is this one. What it
 * accesses before each look is a script, so it is known; a thread of it accesses some pages all the
 * time. The checkpoints that it takes meanwhile must have all that it wrote.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include <cmocka.h>

#include <ckdev.h>

#include "../../internal.h"
#include "../arena.h"
#include "../hotspare.h"
#include "../module.h"
#include "../ranges.h"
#include "../touch.h"
#include "../touched.h"
#include "program.h"

#define CLASS	3
#define PAGES	2048UL
#define GROUPS	7
#define HOT	16UL		/* behind the groups, few enough for any TLB */
#define MORE_WINDOWS	10

/*
 * The program
 */

static unsigned char *memory;
static struct hs_intervals where;
static unsigned int looks, windows;
static atomic_bool stop;
static atomic_uint passes;
static volatile unsigned char sink;

/* What a group is for, by page number. */
enum group {
	BEFORE_AND_AFTER, READ_FIRST, WRITTEN_SECOND, READ_THIRD, BEFORE, LONG_AGO, NEVER,
};

static void use(enum group g, bool writes)
{
	unsigned long p;

	for (p = g; p < PAGES; p += GROUPS) {
		sink += memory[p * HS_PAGE];
		if (writes)
			memory[p * HS_PAGE]++;
	}
}

/* Before the first look, which clears the marks, and before the others. */
static void run_script(void)
{
	switch (looks) {
	case 0:
		use(BEFORE_AND_AFTER, false);
		use(BEFORE, true);
		break;
	case 1:
		use(BEFORE_AND_AFTER, false);
		use(READ_FIRST, false);
		break;
	case 2:
		use(WRITTEN_SECOND, true);
		break;
	case 3:
		use(READ_THIRD, false);
	}
}

static int touch_one(struct cptdev_scan *s)
{
	if (s->start == where.v[0].start && looks++ == 1)
		sink += memory[PAGES / 2 * HS_PAGE];
	return hs_session_scan(s);
}

/*
 * Before the first look it has its pages in the TLB again, after the cut; before the second one it has
 * accessed them since the first.
 */
static void wait_for_other_thread(void)
{
	const unsigned int before = passes;

	while (passes - before < 2)
		rest(1);
}

static int scan_in_turn(struct cptdev_scan *s)
{
	if (s->start == where.v[0].start) {
		if (windows == 1)
			run_script();
		if (looks < 2)
			wait_for_other_thread();
		looks++;
	}
	return hs_session_scan(s);
}

static int where_once(struct hs_intervals *to)
{
	free(where.v);
	return hs_tracked_arena(&where) || hs_intervals_copy(to, &where) ? -1 : 0;
}

static void *use_all_the_time(void *arg)
{
	unsigned long p;

	(void)arg;
	for (; !stop; passes++)
		for (p = PAGES; p < PAGES + HOT; p++)
			sink += memory[p * HS_PAGE];
	return NULL;
}

static void take_window(int flags)
{
	unsigned int before = hs_touch_windows, ms;

	looks = 0;
	CHECK(!hs_cpt(flags));
	for (ms = 0; hs_touch_windows == before && ms < 30000; ms++)
		rest(1);
	CHECK(hs_touch_windows > before);
	windows++;
}

static unsigned int class_of(const struct hs_touched *t, unsigned long page)
{
	const uint64_t at = (uintptr_t)memory + page * HS_PAGE;
	size_t i;

	for (i = 0; i < t->nr; i++)
		if (t->v[i].start <= at && at < t->v[i].end)
			return t->v[i].when;
	return HS_TOUCHED_CLASSES;
}

static void get_recorded(struct hs_touched *t)
{
	static unsigned char text[1 << 20];
	ssize_t len = hs_section_get(HS_TOUCHED_NAME, text, sizeof(text));

	CHECK(len > 0 && !hs_touched_parse(t, text, (size_t)len, NULL));
}

/* They were accessed before the first look of each window. */
static unsigned long wrong_hot_pages(void)
{
	unsigned long p, wrong = 0;
	struct hs_touched t;

	get_recorded(&t);
	for (p = PAGES; p < PAGES + HOT; p++)
		wrong += class_of(&t, p) != 0;
	hs_touched_free(&t);
	return wrong;
}

static void judge(void)
{
	static const struct {
		const char *name;
		unsigned int when;
	} expected[GROUPS] = {
		[BEFORE_AND_AFTER] = { "wrong_before_and_after", 0 },
		[READ_FIRST] = { "wrong_read_first", 0 },
		[WRITTEN_SECOND] = { "wrong_written_second", 1 },
		[READ_THIRD] = { "wrong_read_third", 2 },
		[BEFORE] = { "wrong_before", HS_TOUCHED_USED },
		/* Written before the first cut. */
		[LONG_AGO] = { "wrong_long_ago", HS_TOUCHED_USED + 1 },
		[NEVER] = { "wrong_never", HS_TOUCHED_USED + 1 },
	};
	unsigned long p, wrong[GROUPS] = { 0 };
	struct hs_touched t;

	get_recorded(&t);
	for (p = 0; p < PAGES; p++)
		wrong[p % GROUPS] += class_of(&t, p) != expected[p % GROUPS].when;
	for (p = 0; p < GROUPS; p++)
		tell(expected[p].name, wrong[p]);
	tell("runs", t.nr);
}

static void record(void)
{
	unsigned long hot = 0;
	unsigned int i;
	pthread_t t;

	CHECK(!pthread_create(&t, NULL, use_all_the_time, NULL));
	take_window(0);
	take_window(HSCPT_INCR);
	judge();
	for (i = 0; i < MORE_WINDOWS; i++) {
		take_window(HSCPT_INCR);
		hot += wrong_hot_pages();
	}
	tell("wrong_hot", hot);
	stop = true;
	CHECK(!pthread_join(t, NULL));
	CHECK(!hs_cpt(HSCPT_INCR));
}

static unsigned long huge_kib(void)
{
	unsigned long kib = 0;
	char line[128];
	FILE *f = fopen("/proc/self/smaps_rollup", "re");

	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "AnonHugePages: %lu", &kib);
	if (f)
		fclose(f);
	return kib;
}

/* One page of the memory is accessed in the window, and none of it before. */
static void record_huge(void)
{
	struct hs_touched t;

	tell("huge_kib", huge_kib());
	hs_touch_scan = hs_session_scan;
	take_window(0);
	take_window(HSCPT_INCR);
	tell("huge_kib_later", huge_kib());
	hs_touch_scan = touch_one;
	take_window(HSCPT_INCR);
	get_recorded(&t);
	tell("one_is_touched", class_of(&t, PAGES / 2) < HS_TOUCHED_USED);
	tell("pages", hs_touched_pages(&t, HS_TOUCHED_LOOKS));
}

/* Looks all the time, at any moment. */
static void *look_all_the_time(void *arg)
{
	struct cptdev_region v[CKDEV_BATCH];
	struct cptdev_scan s;
	unsigned long *n = arg;
	int nr;

	while (!stop) {
		s = (struct cptdev_scan) {
			.size = sizeof(s), .flags = CPTDEV_SCAN_CLEAR_ACCESSED, .vec = CKDEV_PTR(v),
			.vec_len = CKDEV_BATCH, .anyof = CPTDEV_PAGE_ACCESSED,
			.start = (uintptr_t)memory & ~(HS_PAGE - 1),
			.end = (uintptr_t)(memory + PAGES * HS_PAGE) & ~(HS_PAGE - 1),
		};
		while ((nr = hs_session_scan(&s)) >= 0 && s.walk_end < s.end)
			s.start = s.walk_end;
		CHECK(nr >= 0);
		++*n;
	}
	return NULL;
}

static unsigned long blocks_of(unsigned long generation)
{
	struct stat st;
	char path[32];

	snprintf(path, sizeof(path), "image.%lu", generation);
	CHECK(!stat(path, &st));
	return (unsigned long)st.st_size / HS_PAGE;
}

/* Of some pages each increment has a new content, at most those few, and those of the library. */
static void change_and_save(void)
{
	unsigned long looked = 0, i, n, most = 0;
	const unsigned long rounds = strtoul(setting("ROUNDS"), NULL, 0);
	pthread_t t;
	FILE *f;

	CHECK(!hs_cpt(0) && !pthread_create(&t, NULL, look_all_the_time, &looked));
	for (i = 0; i < rounds; i++) {
		for (n = 0; n < 40; n++)
			memory[(unsigned long)random() % PAGES * HS_PAGE + (unsigned long)random() % HS_PAGE] = (unsigned char)random();
		CHECK(!hs_cpt(HSCPT_INCR));
		n = blocks_of(i + 2);
		most = n > most ? n : most;
	}
	stop = true;
	CHECK(!pthread_join(t, NULL));
	tell("looks", looked);
	tell("most", most);
	f = fopen("dump", "we");
	CHECK(f && fwrite(memory, HS_PAGE, PAGES, f) == PAGES && !fclose(f));
}

static void compare(void *arg)
{
	static unsigned char page[HS_PAGE];
	unsigned long differ = 0, p;
	FILE *f = fopen("dump", "re");

	memory = *(unsigned char **)arg;
	CHECK(f);
	for (p = 0; p < PAGES; p++) {
		CHECK(fread(page, HS_PAGE, 1, f) == 1);
		differ += !!memcmp(page, memory + p * HS_PAGE, HS_PAGE);
	}
	tell("compared", 1);
	tell("differ", differ);
	exit(0);
}

static int program(int argc, char **argv)
{
	unsigned char **keep;

	open_out();
	dup2(OUT_FD, STDERR_FILENO);
	if (strcmp(setting("MODE"), "huge"))
		prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	hs_touch_share = 0;
	hs_touch_scan = scan_in_turn;
	hs_touch_where = where_once;
	if (hs_init(argc, argv) < 0)
		return 3;
	CHECK(!hs_malloc_create(CLASS, PAGES + HOT + 64));
	keep = hs_malloc(CLASS, sizeof(*keep));
	memory = hs_malloc(CLASS, (PAGES + HOT + 1) * HS_PAGE);
	CHECK(keep && memory && !hs_threadreg(compare, keep));
	memory = (unsigned char *)(((uintptr_t)memory + HS_PAGE - 1) & ~(HS_PAGE - 1));
	*keep = memory;
	CHECK(strcmp(setting("MODE"), "huge") || !madvise(memory, PAGES * HS_PAGE, MADV_HUGEPAGE));
	memset(memory, 1, (PAGES + HOT) * HS_PAGE);
	if (!strcmp(setting("MODE"), "record"))
		record();
	else if (!strcmp(setting("MODE"), "huge"))
		record_huge();
	else
		change_and_save();
	return 0;
}

/*
 * The tests
 */

static void show(const char *out)
{
	char line[512];
	FILE *f = fopen(out, "r");

	while (f && fgets(line, sizeof(line), f))
		printf("# %s", line);
	if (f)
		fclose(f);
}

static void expect_end(const char *out, pid_t pid)
{
	int status = end_of(pid);

	if (!status)
		return;
	show(out);
	fail_msg("%s: %d", out, status);
}

static void expect_none_wrong(const char *what)
{
	if (!last("out", what))
		return;
	show("out");
	fail_msg("%s: %lu pages", what, last("out", what));
}

static void each_touched_page_is_in_the_set(void **state)
{
	(void)state;
	expect_end("out", start("out", "-m", "-f", "image", "-b", "module", "-u", "200", "MODE=record"));
	assert_true(last("out", "runs") > 0);
	expect_none_wrong("wrong_before_and_after");
	expect_none_wrong("wrong_read_first");
	expect_none_wrong("wrong_written_second");
	expect_none_wrong("wrong_read_third");
	expect_none_wrong("wrong_before");
	expect_none_wrong("wrong_long_ago");
	expect_none_wrong("wrong_never");
	expect_none_wrong("wrong_hot");
}

/* The mark of a huge page is cleared as a whole: pages that weren't accessed aren't in the set. */
static void huge_pages_are_touched_as_a_whole(void **state)
{
	(void)state;
	expect_end("out", start("out", "-m", "-f", "image", "-b", "module", "-u", "200", "MODE=huge"));
	assert_true(last("out", "huge_kib") >= 4096);
	assert_true(last("out", "huge_kib_later") >= 4096);
	assert_int_equal(last("out", "one_is_touched"), 1);
	/* And some of the library. */
	assert_in_range(last("out", "pages"), 1, 512 + 128);
}

static void looks_change_nothing_that_is_saved(void **state)
{
	char rounds[32];

	(void)state;
	snprintf(rounds, sizeof(rounds), "ROUNDS=%s", getenv("ROUNDS") ?: "30");
	expect_end("out", start("out", "-m", "-f", "image", "-b", "module", "-u", "no", "MODE=change", rounds));
	assert_true(last("out", "looks") > 10);
	/* The accessed marks of all pages were cleared: if that made them changed, each would be there. */
	assert_in_range(last("out", "most"), 20, 100);
	expect_end("again", start("again", "-m", "-r", "image", "MODE=compare"));
	assert_int_equal(last("again", "compared"), 1);
	assert_int_equal(last("again", "differ"), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(each_touched_page_is_in_the_set, clean),
		cmocka_unit_test_teardown(huge_pages_are_touched_as_a_whole, clean),
		cmocka_unit_test_teardown(looks_change_nothing_that_is_saved, clean),
	};
	char dir[] = "/tmp/hotspare-recorded-test.XXXXXX";
	int ret;

	if (is_program())
		return program(argc, argv);
	self = realpath("/proc/self/exe", NULL);
	snprintf(port, sizeof(port), "%d", own_port());
	if (!fixed_addresses())
		return 4;
	if (!mkdtemp(dir) || chdir(dir))
		return 1;
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	if (chdir("/") || rmdir(dir))
		printf("# %s: %s\n", dir, strerrorname_np(errno));
	return ret;
}
