// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * mwrwatch(), as a program uses it that brings its memory elsewhere in the background.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <sys/mwrwatch.h>

#include "seeds.h"

#define N	300

static unsigned char vec[N + 1], want[N];

/* Nothing behind the last page's byte is written. */
static int watch(char *m, size_t pages)
{
	memset(vec, 0xee, sizeof(vec));
	CHECK(mwrwatch(m, pages * PAGE, vec) == 0);
	CHECK(vec[pages] == 0xee);
	return 0;
}

static int all(size_t from, size_t to, int what)
{
	for (; from < to; from++)
		CHECK_RET(vec[from], what);
	return 0;
}

static int test_first(void)
{
	char *m = pages_at(NULL, N);

	memset(m, 1, N * PAGE);
	CHECK(watch(m, N) == 0 && all(0, N, WATCH_DIRTY) == 0);
	CHECK(watch(m, N) == 0 && all(0, N, WATCH_CLEAN) == 0);
	m[7 * PAGE + 123]++;
	CHECK(watch(m, N) == 0);
	CHECK(all(0, 7, WATCH_CLEAN) == 0 && all(8, N, WATCH_CLEAN) == 0);
	CHECK(vec[7] == WATCH_DIRTY);
	return 0;
}

static int test_null(void)
{
	char *m = pages_at(NULL, N);

	memset(m, 1, N * PAGE);
	CHECK(mwrwatch(m, N * PAGE, NULL) == 0);
	m[0]++;
	CHECK(watch(m, N) == 0 && vec[0] == WATCH_DIRTY);
	CHECK(all(1, N, WATCH_CLEAN) == 0);
	memset(m, 2, N * PAGE);
	CHECK(mwrwatch(m, N * PAGE, NULL) == 0);
	CHECK(watch(m, N) == 0 && all(0, N, WATCH_CLEAN) == 0);
	return 0;
}

static int test_unmapped(void)
{
	char *m = pages_at(NULL, N);

	memset(m, 1, 10 * PAGE);
	memset(m + 20 * PAGE, 1, 10 * PAGE);
	munmap(m + 40 * PAGE, 20 * PAGE);
	CHECK(watch(m, N) == 0);
	CHECK(all(0, 10, WATCH_DIRTY) == 0 && all(10, 20, WATCH_UNMAPPED) == 0);
	CHECK(all(20, 30, WATCH_DIRTY) == 0 && all(30, N, WATCH_UNMAPPED) == 0);
	/* Content goes, and comes: in new memory, too. */
	madvise(m + 20 * PAGE, PAGE, MADV_DONTNEED);
	munmap(m + 25 * PAGE, PAGE);
	m[15 * PAGE] = 1;
	CHECK(pages_at(m + 40 * PAGE, 20) != NULL);
	m[50 * PAGE] = 1;
	CHECK(watch(m, N) == 0);
	CHECK(vec[20] == WATCH_UNMAPPED && vec[25] == WATCH_UNMAPPED);
	CHECK(vec[15] == WATCH_DIRTY && vec[50] == WATCH_DIRTY);
	CHECK(all(0, 10, WATCH_CLEAN) == 0 && all(26, 30, WATCH_CLEAN) == 0);
	CHECK(all(40, 50, WATCH_UNMAPPED) == 0 && all(51, N, WATCH_UNMAPPED) == 0);
	return 0;
}

/* 10 pages of a file, private; 10 of it, shared; 10 of shared memory. */
static char *map_files(void)
{
	char name[] = "/tmp/mwrwatch-XXXXXX", *m = pages_at(NULL, 32);
	int file = mkstemp(name), prot = PROT_READ | PROT_WRITE;

	unlink(name);
	if (ftruncate(file, 20 * PAGE) ||
	    mmap(m + PAGE, 10 * PAGE, prot, MAP_PRIVATE | MAP_FIXED, file, 0) == MAP_FAILED ||
	    mmap(m + 11 * PAGE, 10 * PAGE, prot, MAP_SHARED | MAP_FIXED, file,
		 10 * PAGE) == MAP_FAILED ||
	    mmap(m + 21 * PAGE, 10 * PAGE, prot,
		 MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		return NULL;
	close(file);
	memset(m, 1, PAGE);
	memset(m + 31 * PAGE, 1, PAGE);
	return m;
}

static int test_file(void)
{
	char *m = map_files();

	CHECK(m);
	CHECK(watch(m, 32) == 0);
	CHECK(vec[0] == WATCH_DIRTY && vec[31] == WATCH_DIRTY);
	CHECK(all(1, 31, WATCH_FILE) == 0);
	/* Read from the file, and written to, which makes it the process's own. */
	CHECK(m[2 * PAGE] == 0);
	m[3 * PAGE] = 1;
	m[12 * PAGE] = 1;
	m[22 * PAGE] = 1;
	CHECK(watch(m, 32) == 0);
	CHECK(vec[0] == WATCH_CLEAN && vec[31] == WATCH_CLEAN);
	CHECK(vec[3] == WATCH_DIRTY);
	CHECK(all(1, 3, WATCH_FILE) == 0 && all(4, 31, WATCH_FILE) == 0);
	CHECK(watch(m, 32) == 0);
	CHECK(vec[3] == WATCH_CLEAN);
	/* What was tracked and now can't be. */
	CHECK(mmap(m, PAGE, PROT_READ, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == m);
	CHECK(watch(m, 32) == 0);
	CHECK(vec[0] == WATCH_FILE && vec[31] == WATCH_CLEAN);
	return 0;
}

static int test_exact(void)
{
	char *m = pages_at(NULL, N);
	int round, i, page;

	srandom(1);
	memset(m, 1, N * PAGE);
	CHECK(mwrwatch(m, N * PAGE, NULL) == 0);
	for (round = 0; round < 50; round++) {
		memset(want, WATCH_CLEAN, N);
		for (i = (int)(random() % (round * 10 + 1)); i; i--) {
			page = (int)(random() % N);
			m[(size_t)page * PAGE + (size_t)random() % PAGE]++;
			want[page] = WATCH_DIRTY;
		}
		CHECK(watch(m, N) == 0);
		CHECK(!memcmp(vec, want, N));
	}
	return 0;
}

static int test_errors(void)
{
	char *m = pages_at(NULL, 4);

	memset(m, 1, 4 * PAGE);
	CHECK_FAILS(mwrwatch(m + 1, PAGE, vec), EINVAL);
	CHECK_FAILS(mwrwatch(m, (size_t)-1, vec), EINVAL);
	CHECK_FAILS(mwrwatch((char *)(-PAGE), 2 * PAGE, vec), EINVAL);
	CHECK(mwrwatch(m, 0, vec) == 0);
	/* The last page counts when one byte of it does. */
	memset(vec, 0xee, sizeof(vec));
	CHECK(mwrwatch(m, PAGE + 1, vec) == 0);
	CHECK(vec[1] == WATCH_DIRTY && vec[2] == 0xee);
	return 0;
}

static int test_other_session(void)
{
	char *m = pages_at(NULL, 2);
	int fd = ckdev_open();

	CHECK_OK(fd);
	CHECK_RET(ckdev_range_add(fd, m, PAGE, 0, NULL), 0);
	CHECK_FAILS(mwrwatch(m, 2 * PAGE, vec), EBUSY);
	close(fd);
	CHECK(mwrwatch(m, 2 * PAGE, vec) == 0);
	return 0;
}

/* For a new process every page is new. */
static int watch_in_child(char *m)
{
	if (watch(m, 4) || all(0, 4, WATCH_DIRTY))
		return 1;
	m[0]++;
	return watch(m, 4) || vec[0] != WATCH_DIRTY || all(1, 4, WATCH_CLEAN);
}

static int test_fork(void)
{
	char *m = pages_at(NULL, 4);
	pid_t pid;

	memset(m, 1, 4 * PAGE);
	CHECK(watch(m, 4) == 0);
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		_exit(watch_in_child(m));
	CHECK_RET(child_status(pid), 0);
	m[PAGE]++;
	CHECK(watch(m, 4) == 0);
	CHECK(vec[0] == WATCH_CLEAN && vec[1] == WATCH_DIRTY && vec[2] == WATCH_CLEAN);
	return 0;
}

const struct test watch_tests[] = {
	{ "mwrwatch: the first time all is dirty, then what was written to", test_first },
	{ "mwrwatch: NULL begins to watch, and begins again", test_null },
	{ "mwrwatch: what isn't there, goes or comes", test_unmapped },
	{ "mwrwatch: files and shared memory, next to what is watched", test_file },
	{ "mwrwatch: what was written to, page by page, no more and no less", test_exact },
	{ "mwrwatch: wrong arguments", test_errors },
	{ "mwrwatch: memory of another session is refused", test_other_session },
	{ "mwrwatch: a forked child watches its own memory", test_fork },
};
const unsigned int nr_watch_tests = ARRAY_SIZE(watch_tests);
