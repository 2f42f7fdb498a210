// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Many increments in files: a restart reads each once, there is a limit to them, and what a
 * killed master has left goes away, but nothing else. The program counts; its count after a
 * restart is that of the last checkpoint.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../format.h"
#include "../hotspare.h"
#include "../pipe.h"
#include "program.h"

#define CLASS	5
#define MANY	300

struct state {
	unsigned long count;
	char *large;
};

static void worker(void *arg)
{
	struct state *s = arg;

	tell("heads", hs_heads_read);
	tell("on", s->count);
	exit(0);
}

static unsigned long number(const char *name)
{
	return strtoul(setting(name), NULL, 0);
}

static int program(int argc, char **argv)
{
	unsigned long limit = number("COUNT");
	struct state *s;

	open_out();
	if (*setting("MOST"))
		hs_increments_most = number("MOST");
	if (*setting("BYTES"))
		hs_increments_bytes = number("BYTES");
	if (hs_init(argc, argv) < 0)
		return 3;
	CHECK(!hs_malloc_create(CLASS, 1 << 16));
	s = hs_calloc(CLASS, 1, sizeof(*s));
	CHECK(s && !hs_threadreg(worker, s));
	if (*setting("LARGE")) {
		s->large = hs_malloc(CLASS, number("LARGE"));
		memset(s->large, 'l', number("LARGE"));
	}
	while (s->count < limit) {
		s->count++;
		CHECK(!hs_cpt(HSCPT_INCR));
		tell("has", s->count);
	}
	return 0;
}

/* Files in the directory whose names have @what in them. */
static unsigned int count_files(const char *what)
{
	struct dirent *entry;
	unsigned int n = 0;
	DIR *d = opendir(".");

	while (d && (entry = readdir(d)))
		n += !!strstr(entry->d_name, what);
	if (d)
		closedir(d);
	return n;
}

static void assert_goes_on_from(unsigned long count)
{
	unlink("again");
	assert_int_equal(end_of(start("again", "-m", "-r", "image")), 0);
	assert_int_equal(last("again", "on"), count);
}

static void a_restart_reads_each_once(void **state)
{
	char count[24];

	(void)state;
	if (!fixed_addresses())
		skip();
	snprintf(count, sizeof(count), "COUNT=%d", MANY);
	assert_int_equal(end_of(start("out", "-m", "-f", "image", count)), 0);
	/* The whole one has no number. */
	assert_int_equal(count_files("image."), MANY - 1);
	assert_goes_on_from(MANY);
	assert_in_range(last("again", "heads"), MANY - 1, MANY + 1);
}

static void there_are_no_more_than_the_limit(void **state)
{
	unsigned long n;
	char count[24];

	(void)state;
	if (!fixed_addresses())
		skip();
	for (n = 1; n < 20; n++) {
		clean(NULL);
		snprintf(count, sizeof(count), "COUNT=%lu", n);
		assert_int_equal(end_of(start("out", "-m", "-f", "image", "MOST=5", count)), 0);
		/* A whole one, and five. */
		assert_int_equal(count_files("image."), (n - 1) % 6);
		assert_goes_on_from(n);
	}
}

/* Each increment has the texts and a page or two; the whole one has a MiB. */
static void nor_more_bytes_than_the_whole_one_has(void **state)
{
	struct stat whole, one;
	off_t sum = 0;
	char name[32];
	int i;

	(void)state;
	if (!fixed_addresses())
		skip();
	assert_int_equal(end_of(start("out", "-m", "-f", "image", "BYTES=1", "LARGE=100000", "COUNT=40")), 0);
	assert_int_equal(stat("image", &whole), 0);
	for (i = 1; i <= 40; i++) {
		snprintf(name, sizeof(name), "image.%d", i);
		if (!stat(name, &one))
			sum += one.st_size;
	}
	/* The last one may have gone beyond. */
	assert_in_range(sum, 1, whole.st_size + 50000);
	assert_true(count_files("image.") < 39);
	assert_goes_on_from(40);
	clean(NULL);
	/* The least there is is more than that. */
	assert_int_equal(end_of(start("out", "-m", "-f", "image", "LARGE=100000", "COUNT=40")), 0);
	assert_int_equal(count_files("image."), 39);
}

static void make(const char *name, const void *content, size_t len)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, content, len), len);
	close(fd);
}

/* The process that writes it may live longer than its master: it has the file locked. */
static void wait_for_writers(void)
{
	struct dirent *entry;
	DIR *d = opendir(".");
	int fd;

	while (d && (entry = readdir(d))) {
		if (!strstr(entry->d_name, ".unfinished-"))
			continue;
		fd = open(entry->d_name, O_RDWR);
		if (fd >= 0 && (flock(fd, LOCK_EX) || close(fd)))
			perror("# flock");
	}
	if (d)
		closedir(d);
}

/* Killed while it writes. */
static void leave_one(void)
{
	pid_t pid = start("out", "-m", "-f", "image", "LARGE=100000000", "COUNT=1000", "MOST=0");

	wait_for("out", "has", 1);
	while (!count_files(".unfinished-"))
		rest(1);
	kill_off(pid);
	wait_for_writers();
}

static void what_was_left_goes_away_and_nothing_else(void **state)
{
	static const char magic[] = HS_IMAGE_MAGIC;
	int locked, i;

	(void)state;
	if (!fixed_addresses())
		skip();
	for (i = 0; i < 20 && !count_files(".unfinished-"); i++)
		leave_one();
	assert_true(count_files(".unfinished-") > 0);
	make("image.unfinished-aaaaaa", magic, 8);
	make("image.12.unfinished-AAAAA0", magic, 3);
	make("image.13.unfinished-000000", "", 0);
	/* These are somebody's. */
	make("image.backup", magic, 8);
	make("image.unfinished-aaaaaaa", magic, 8);
	make("image.unfinished-abcde", magic, 8);
	make("image.x.unfinished-aaaaaa", magic, 8);
	make("image.unfinished-bbbbbb", "what I write", 12);
	make("other.unfinished-aaaaaa", magic, 8);
	make("image.unfinished-cccccc", magic, 8);
	locked = open("image.unfinished-cccccc", O_RDWR);
	assert_int_equal(flock(locked, LOCK_EX), 0);
	assert_int_equal(mkdir("image.unfinished-dddddd", 0700), 0);
	assert_int_equal(symlink("image.backup", "image.unfinished-eeeeee"), 0);

	assert_int_equal(end_of(start("out", "-m", "-f", "image", "COUNT=3")), 0);
	assert_int_equal(access("image.12.unfinished-AAAAA0", F_OK), -1);
	assert_int_equal(access("image.13.unfinished-000000", F_OK), -1);
	assert_int_equal(access("image.unfinished-aaaaaa", F_OK), -1);
	assert_int_equal(count_files("image.backup"), 1);
	assert_int_equal(count_files("other.unfinished-aaaaaa"), 1);
	assert_int_equal(count_files("image.x.unfinished-aaaaaa"), 1);
	/* a7, 5, b, c, d, e, x, other */
	assert_int_equal(count_files(".unfinished-"), 8);
	assert_goes_on_from(3);
	close(locked);
	assert_int_equal(end_of(start("out", "-m", "-f", "image", "COUNT=3")), 0);
	assert_int_equal(count_files(".unfinished-"), 7);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_restart_reads_each_once, clean),
		cmocka_unit_test_teardown(there_are_no_more_than_the_limit, clean),
		cmocka_unit_test_teardown(nor_more_bytes_than_the_whole_one_has, clean),
		cmocka_unit_test_teardown(what_was_left_goes_away_and_nothing_else, clean),
	};
	char dir[] = "/tmp/hotspare-increments-test.XXXXXX";
	int ret;

	if (is_program())
		return program(argc, argv);
	self = realpath("/proc/self/exe", NULL);
	snprintf(port, sizeof(port), "%d", own_port());
	if (!mkdtemp(dir) || chdir(dir))
		return 1;
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	if (chdir("/") || rmdir(dir))
		printf("# %s: %s\n", dir, strerrorname_np(errno));
	return ret;
}
