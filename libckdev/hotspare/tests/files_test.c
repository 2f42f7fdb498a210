// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Which files are meant: those that checkpoints go to and come from, whatever directory the
 * program is in meanwhile; and those that it has open, whatever has happened to them. The
 * programs are this one, which starts itself; how many times it has counted tells which
 * checkpoint it goes on from.
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
#define FILE_FD	60
#define BYTES	9000

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
	if (*setting("OPEN")) {
		tell("at", (unsigned long)lseek(FILE_FD, 0, SEEK_CUR));
		CHECK(write(FILE_FD, "!", 1) == 1);
	}
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

/* A file that is written to, and what becomes of it before the cut. */
static void open_file(void)
{
	static char bytes[BYTES];
	int fd = open(setting("OPEN"), O_WRONLY | O_CREAT | O_CLOEXEC |
		      (*setting("APPEND") ? O_APPEND : 0), 0600);

	CHECK(fd >= 0 && dup2(fd, FILE_FD) == FILE_FD && !close(fd));
	CHECK(write(FILE_FD, bytes, BYTES) == BYTES);
	CHECK(*setting("NAMED") ? !hs_fdreg_filefd(FILE_FD, setting("NAMED")) : !hs_fdreg(FILE_FD));
	if (*setting("THEN"))
		CHECK(!system(setting("THEN")));
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
	if (*setting("OPEN"))
		open_file();
	if (*setting("OPEN") && hs_cpt(0)) {
		tell("cpt", (unsigned long)errno);
		fprintf(stderr, "%s\n", hs_error());
		return 4;
	}
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
		assert_refused(ENODATA, "from generation 3: -g 3", "-m", "-r", "image");
		assert_goes_on("out", 2, "-m", "-r", "image", "-g", "3");
		cut_off("image.2", lengths[i]);
		assert_refused(ENODATA, "from generation 1: -g 1", "-m", "-r", "image");
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
	assert_refused(ESTALE, "has no generation 5, but has generation 4", "-m", "-r", "image", "-g", "5");
	assert_refused(EINVAL, "-r is missing", "-m", "-g", "5");
	assert_refused(EINVAL, "generation '0' isn't a number", "-m", "-r", "image", "-g", "0");
}

/*
 * Files that are open
 */

static off_t size_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_size;
}

/* What is done to "data" between the cut and the restart, and what must be said: NULL: nothing. */
static const struct after_cut {
	const char *what, *append, *said;
	int err;
} after_cut[] = {
	{ "true", "", NULL, 0 },
	{ "true", "1", NULL, 0 },
	{ "truncate -s 6 data", "", "of 9000 bytes 6 are left, and the program continues at byte 9000", 0 },
	{ "truncate -s 6 data", "1", "it had 9000 bytes, and now has 6", 0 },
	{ "printf 123456 >>data", "", "it had 9000 bytes, and now has 9006", 0 },
	{ "touch data", "", "it was written to", 0 },
	{ "cp -p data x && mv x data", "", "another file has its name", 0 },
	{ "printf 123 >x && mv x data", "",
	  "another file has its name; of 9000 bytes 3 are left, and the program continues at byte", 0 },
	{ "rm data", "", "data: No such file", ENOENT },
	{ "rm data && mkfifo data", "", "was a file at the checkpoint, and is a FIFO here", EPROTOTYPE },
	{ "rm data && mkdir data", "", "and is a directory here", EPROTOTYPE },
	{ "ln -sf /dev/null data", "", "and is a device here", EPROTOTYPE },
};

static void check_after_cut(const struct after_cut *c)
{
	char append[16];
	off_t size;

	snprintf(append, sizeof(append), "APPEND=%s", c->append);
	assert_int_equal(end_of(start("first", "-m", "-f", "image", "OPEN=data", append)), 0);
	assert_int_equal(system(c->what), 0);
	if (c->err) {
		assert_refused(c->err, c->said, "-m", "-r", "image", "OPEN=data");
	} else {
		size = size_of("data");
		assert_int_equal(end_of(start("out", "-m", "-r", "image", "OPEN=data")), 0);
		/* It goes on where it was, or at the end. */
		assert_int_equal(last("out", "at"), BYTES);
		assert_int_equal(size_of("data"), *c->append ? size + 1 :
				 size > BYTES ? size : BYTES + 1);
		if (c->said ? !was_said("out", c->said) : was_said("out", "since the checkpoint"))
			fail_msg("'%s': no '%s'", c->what, c->said ?: "silence");
	}
	assert_int_equal(system("rm -rf data image* out first"), 0);
}

static void what_has_become_of_a_file_is_told_or_refused(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(after_cut) / sizeof(after_cut[0]); i++)
		check_after_cut(&after_cut[i]);
}

/* The same before the cut, when the program can do something about it. */
static const struct before_cut {
	const char *then, *named, *said;
	int err;
	const char *file;		/* that the restart goes on with */
} before_cut[] = {
	{ "mv data moved", "", NULL, 0, "moved" },
	/* As those do who rotate logs. */
	{ "mv data moved; printf 123 >data", "", NULL, 0, "moved" },
	{ "mv data 'x (deleted)'", "", NULL, 0, "x (deleted)" },
	{ "rm data", "", "exist any more: deregister it", ENOENT, NULL },
	{ "printf 123 >x; mv x data", "", "is another file now: register this file", ENOENT, NULL },
	{ "rm data; mkdir data", "", "is another file now: register this file", ENOENT, NULL },
	/* What the program has named is what it means. */
	{ "mv other moved", "NAMED=other", "any more: deregister it", ENOENT, NULL },
	{ "rm other; mkdir other", "NAMED=other", "isn't a file any more", EPROTOTYPE, NULL },
	{ "printf 123 >other", "NAMED=other", NULL, 0, "other" },
};

static void check_before_cut(const struct before_cut *c)
{
	char then[128];
	off_t size;
	int ret;

	snprintf(then, sizeof(then), "THEN=%s", c->then);
	assert_int_equal(system("touch other"), 0);
	ret = end_of(start("first", "-m", "-f", "image", "OPEN=data", then,
			   *c->named ? c->named : "NAMED="));
	if (c->err) {
		assert_int_equal(ret, 4);
		assert_int_equal(last("first", "cpt"), c->err);
		if (!was_said("first", c->said))
			fail_msg("'%s': no '%s'", c->then, c->said);
	} else {
		assert_int_equal(ret, 0);
		size = size_of(c->file);
		assert_int_equal(end_of(start("out", "-m", "-r", "image", "OPEN=data")), 0);
		assert_int_equal(last("out", "at"), BYTES);
		assert_int_equal(size_of(c->file), (size > BYTES ? size : BYTES) + 1);
	}
	assert_int_equal(system("rm -rf ./*"), 0);
}

static void a_file_is_followed_or_missed_at_the_cut(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(before_cut) / sizeof(before_cut[0]); i++)
		check_before_cut(&before_cut[i]);
}

static void a_file_without_a_name_of_its_own_is_refused(void **state)
{
	int fd = open("data", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	(void)state;
	assert_int_equal(system("touch x && mv x data"), 0);
	errno = 0;
	assert_int_equal(hs_fdreg(fd), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(hs_fdreg_filefd(fd, "data"), 0);
	assert_int_equal(hs_fd_deregister(fd), 0);
	close(fd);
	/* This process's number is another one's, or nobody's, after a restart. */
	fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	assert_int_equal(hs_fdreg(fd), -1);
	assert_int_equal(errno, EOPNOTSUPP);
	assert_int_equal(hs_fdreg_filefd(fd, "/proc/self/status"), -1);
	assert_int_equal(errno, EOPNOTSUPP);
	close(fd);
	fd = open("/proc/version", O_RDONLY | O_CLOEXEC);
	assert_int_equal(hs_fdreg(fd), 0);
	assert_int_equal(hs_fd_deregister(fd), 0);
	close(fd);
}

/* What the device keeps is lost, unless it keeps nothing. */
static bool is_told(const char *device)
{
	int fd = open(device, O_RDWR | O_NOCTTY | O_CLOEXEC), out, saved = dup(STDERR_FILENO);

	assert_true(fd >= 0);
	out = open("said", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	dup2(out, STDERR_FILENO);
	close(out);
	assert_int_equal(hs_fdreg(fd), 0);
	dup2(saved, STDERR_FILENO);
	close(saved);
	assert_int_equal(hs_fd_deregister(fd), 0);
	close(fd);
	return was_said("said", "the state that the device keeps for it isn't saved");
}

static void a_device_that_is_opened_anew_is_told(void **state)
{
	(void)state;
	assert_false(is_told("/dev/null"));
	assert_true(is_told("/dev/ptmx"));
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
		cmocka_unit_test_teardown(what_has_become_of_a_file_is_told_or_refused, clean),
		cmocka_unit_test_teardown(a_file_is_followed_or_missed_at_the_cut, clean),
		cmocka_unit_test_teardown(a_file_without_a_name_of_its_own_is_refused, clean),
		cmocka_unit_test_teardown(a_device_that_is_opened_anew_is_told, clean),
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
