// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Which files are meant: those that checkpoints go to and come from, whatever directory the
 * program is in meanwhile. The programs are this one, which starts itself; how many times it
 * has counted tells which checkpoint it goes on from.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../hotspare.h"
#include "program.h"

#define CLASS	5
#define STEPS	3

static char here[PATH_MAX];		/* the test's directory */

/*
 * The program
 */

struct state {
	unsigned long count;
};

static void worker(void *arg)
{
	struct state *s = arg;

	tell("on", s->count);
	/* Its checkpoints go where its own options say. */
	if (*setting("AGAIN")) {
		s->count += 100;
		CHECK(!hs_cpt(0));
	}
	exit(0);
}

/* A whole checkpoint, and increments of it, each from another directory if @move. */
static void take_some(struct state *s, bool move)
{
	for (; s->count < STEPS; s->count++) {
		CHECK(!hs_cpt(HSCPT_INCR));
		if (move && !s->count)
			CHECK(!mkdir("below", 0700) && !chdir("below"));
	}
	CHECK(!hs_cpt(HSCPT_INCR));
}

static int program(int argc, char **argv)
{
	struct state *s;

	open_out();
	dup2(OUT_FD, STDERR_FILENO);
	if (hs_init(argc, argv) < 0) {
		tell("init", (unsigned long)errno);
		return 3;
	}
	CHECK(!hs_malloc_create(CLASS, 1 << 16));
	s = hs_calloc(CLASS, 1, sizeof(*s));
	CHECK(s && !hs_threadreg(worker, s));
	if (*setting("LOAD"))
		CHECK(!hs_cpipe_init(1) && !hs_cpipe_loadfile(setting("LOAD")));
	take_some(s, *setting("MOVE"));
	tell("end", s->count);
	return 0;
}

/*
 * The tests
 */

static bool was_said(const char *out, const char *words)
{
	char line[512];
	FILE *f = fopen(out, "r");
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f))
		found = strstr(line, words);
	if (f)
		fclose(f);
	return found;
}

static bool is_there(const char *path)
{
	return !access(path, F_OK);
}

/* Beginning with what is behind @out it is as it was after @count steps. */
#define assert_goes_on(out, count, ...) do {					\
		assert_int_equal(end_of(start(out, __VA_ARGS__)), 0);		\
		if (last(out, "on") != (count))					\
			fail_msg("%lu instead of %lu", last(out, "on"),		\
				 (unsigned long)(count));			\
		unlink(out);							\
	} while (0)

#define assert_refused(err, words, ...) do {					\
		assert_int_equal(end_of(start("out", __VA_ARGS__)), 3);		\
		assert_int_equal(last("out", "init"), err);			\
		if (!was_said("out", words))					\
			fail_msg("no '%s' in what was said", words);		\
		unlink("out");							\
	} while (0)

/* Files are where they were when the program was started, and nowhere else. */
static void assert_in_one_place(const char *name, const char *out)
{
	char path[PATH_MAX];

	assert_int_equal(last(out, "end"), STEPS);
	snprintf(path, sizeof(path), "below/%s", name);
	assert_false(is_there(path));
	snprintf(path, sizeof(path), "%s.%d", name, STEPS + 1);
	assert_true(is_there(name) && is_there(path));
	assert_int_equal(rmdir("below"), 0);
	assert_goes_on("again", STEPS, "-m", "-r", name);
}

static void a_relative_name_is_meant_as_of_the_start(void **state)
{
	(void)state;
	assert_int_equal(end_of(start("out", "-m", "-f", "image", "MOVE=1")), 0);
	assert_in_one_place("image", "out");
}

static void a_relative_name_of_a_pipe_is_meant_as_of_the_call(void **state)
{
	(void)state;
	assert_int_equal(end_of(start("out", "-m", "LOAD=image", "MOVE=1")), 0);
	assert_in_one_place("image", "out");
	assert_int_equal(mkdir("dir", 0700), 0);
	assert_int_equal(end_of(start("out", "-m", "LOAD=./dir/../dir/image", "MOVE=1")), 0);
	assert_in_one_place("dir/image", "out");
}

/* The directory of the checkpoint comes back; where its next one goes is for who starts it. */
static void a_relative_name_beside_a_restart_is_meant_as_of_the_start(void **state)
{
	char path[PATH_MAX + 16];

	(void)state;
	assert_int_equal(end_of(start("out", "-m", "-f", "image", "MOVE=1")), 0);
	assert_true(is_there("below"));
	snprintf(path, sizeof(path), "%s/image", here);
	assert_goes_on("out", STEPS, "-m", "-r", path, "-f", "other", "AGAIN=1");
	assert_false(is_there("below/other"));
	assert_true(is_there("other"));
	assert_goes_on("out", STEPS + 100, "-m", "-r", "other");
}

static void cut_off(const char *path, off_t left)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(truncate(path, left < 0 ? st.st_size + left : left), 0);
}

/* What has followed the whole one can't all be read: the one before is offered, and is good. */
static void the_generation_before_a_damaged_one_is_offered(void **state)
{
	static const off_t lengths[] = { -1, 1000, 50, 0 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		assert_int_equal(end_of(start("out", "-m", "-f", "image")), 0);
		cut_off("image.4", lengths[i]);
		assert_refused(ENODATA, "as of generation 3: -g 3", "-m", "-r", "image");
		assert_goes_on("out", 2, "-m", "-r", "image", "-g", "3");
		cut_off("image.2", lengths[i]);
		assert_refused(ENODATA, "as of generation 1: -g 1", "-m", "-r", "image");
		assert_goes_on("out", 0, "-m", "-r", "image", "-g", "1");
		/* Those behind it are of no use then, and go with the next one. */
		assert_goes_on("out", 0, "-m", "-r", "image", "-g", "1", "-f", "image", "AGAIN=1");
		assert_false(is_there("image.2") || is_there("image.4"));
		assert_goes_on("out", 100, "-m", "-r", "image");
	}
}

static void a_generation_that_is_not_there_is_told(void **state)
{
	(void)state;
	assert_int_equal(end_of(start("out", "-m", "-f", "image")), 0);
	assert_goes_on("out", STEPS, "-m", "-r", "image", "-g", "4");
	assert_refused(ESTALE, "has no generation 5, but 4", "-m", "-r", "image", "-g", "5");
	assert_refused(EINVAL, "there is no -r", "-m", "-g", "5");
	assert_refused(EINVAL, "generation '0' isn't a number", "-m", "-r", "image", "-g", "0");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_relative_name_is_meant_as_of_the_start, clean),
		cmocka_unit_test_teardown(a_relative_name_of_a_pipe_is_meant_as_of_the_call, clean),
		cmocka_unit_test_teardown(a_relative_name_beside_a_restart_is_meant_as_of_the_start,
					  clean),
		cmocka_unit_test_teardown(the_generation_before_a_damaged_one_is_offered, clean),
		cmocka_unit_test_teardown(a_generation_that_is_not_there_is_told, clean),
	};
	char dir[] = "/tmp/hotspare-files-test.XXXXXX";
	int ret;

	if (is_program())
		return program(argc, argv);
	self = realpath("/proc/self/exe", NULL);
	snprintf(port, sizeof(port), "%d", own_port());
	/* Without them no program can be restored. */
	if (!fixed_addresses())
		return 4;
	if (!mkdtemp(dir) || chdir(dir) || !getcwd(here, sizeof(here)))
		return 1;
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	if (chdir("/") || rmdir(dir))
		printf("# %s: %s\n", dir, strerrorname_np(errno));
	return ret;
}
