// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Copying ahead, against a replica that the test plays: each call that looks at it is a moment at
 * which a commit may come, in the middle of a page as well. Whatever comes when, the memory is the
 * replica's after the last pass, and no report of a copy is ahead of what is in place.
 * tests/mutants.sh runs it with a safeguard taken away.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <ckdev.h>

#include "../arena.h"
#include "../warm.h"

#define REPLICA		1000	/* descriptors that nobody has */
#define CONTENT		1001
#define PAGES		24U
#define NEVER		UINT64_MAX

static struct {
	unsigned char fill[PAGES];	/* 0: no data */
	uint64_t number[PAGES];		/* of the commit that changed it last */
	uint64_t commits;
	uint64_t forgotten;		/* what changed until this commit isn't known */
	uint64_t moments;		/* that there were */
	uint64_t at;			/* a commit comes in this one, */
	unsigned int often;		/* and then in each of so many at random, 0: in no other */
	uint64_t end;			/* cptdevd ends in this one */
	bool ended;
	bool frozen;
	bool module;			/* has a content before the first commit, too */
} replica;

static uint64_t reported;		/* NEVER: nothing */
static unsigned int reports;

/* Two runs of pages, with a gap between them. */
static uint64_t address(unsigned int page)
{
	return HS_BASE + (page < PAGES / 2 ? page : page + 1000) * HS_PAGE;
}

static int page_at(uint64_t addr)
{
	unsigned int page;

	for (page = 0; page < PAGES; page++)
		if (address(page) == addr - addr % HS_PAGE)
			return (int)page;
	return -1;
}

/* Some pages change, and some lose their data. */
static void commit(void)
{
	unsigned int n;

	replica.commits++;
	for (n = 1 + (unsigned int)random() % 6; n; n--) {
		unsigned int page = (unsigned int)random() % PAGES;

		replica.fill[page] = random() % 3 ? (unsigned char)(1 + random() % 255) : 0;
		replica.number[page] = replica.commits;
	}
}

/* All of the content is replaced. */
static void commit_all(void)
{
	unsigned int page;

	replica.commits++;
	for (page = 0; page < PAGES; page++) {
		replica.fill[page] = random() % 2 ? (unsigned char)(1 + random() % 255) : 0;
		replica.number[page] = replica.commits;
	}
	replica.forgotten = replica.commits;
}

static void moment(void)
{
	uint64_t now = replica.moments++;

	replica.ended |= now == replica.end;
	if (!replica.frozen && (now == replica.at ||
				(replica.often && random() % replica.often == 0)))
		commit();
}

static bool has(unsigned int page, unsigned int offset)
{
	return *(unsigned char *)(address(page) + offset) == replica.fill[page];
}

/* Changes until the commit @number are in place, but for pages that changed again. */
static void expect_in_place(uint64_t number)
{
	unsigned int page;

	for (page = 0; page < PAGES; page++)
		if (replica.number[page] <= number &&
		    !(has(page, 0) && has(page, HS_PAGE / 2) && has(page, HS_PAGE - 1)))
			fail_msg("page %u isn't as of commit %llu", page,
				 (unsigned long long)replica.number[page]);
}

/*
 * The calls
 */

int __wrap_ckdev_image_info(int fd, struct cptdev_image_info *info);
int __wrap_ckdev_image_extents_since(int fd, struct cptdev_extent *vec, unsigned int len,
				     uint64_t *pos, uint64_t since);
int __wrap_ckdev_replica_content_live(int fd);
int __wrap_ckdev_replica_copied(int fd, uint64_t commits, uint64_t *behind);
ssize_t __wrap_pread64(int fd, void *buf, size_t len, off64_t addr);
ssize_t __real_pread64(int fd, void *buf, size_t len, off64_t addr);
int __wrap_close(int fd);
int __real_close(int fd);

int __wrap_ckdev_image_info(int fd, struct cptdev_image_info *info)
{
	unsigned int page;

	assert_int_equal(fd, REPLICA);
	info->commits = replica.commits;
	info->generation = replica.commits;
	info->pages = 0;
	for (page = 0; page < PAGES; page++)
		info->pages += !!replica.fill[page];
	moment();
	return replica.ended ? -ECONNRESET : 0;
}

/* At most two at a time, as the replica is then. */
int __wrap_ckdev_image_extents_since(int fd, struct cptdev_extent *vec, unsigned int len,
				     uint64_t *pos, uint64_t since)
{
	unsigned int page, n = 0;

	assert_int_equal(fd, REPLICA);
	moment();
	if (replica.ended)
		return -ECONNRESET;
	if (since > replica.commits)
		return -EINVAL;
	if (since && since < replica.forgotten)
		return -ESTALE;
	for (page = 0; page < PAGES && n < 2 && n < len; page++) {
		if (address(page) < *pos || replica.number[page] <= since ||
		    (!since && !replica.fill[page]))
			continue;
		vec[n++] = (struct cptdev_extent) {
			.addr = address(page), .len = HS_PAGE,
			.kind = replica.fill[page] ? CPTDEV_EXTENT_DATA : CPTDEV_EXTENT_HOLE,
		};
		*pos = address(page) + HS_PAGE;
	}
	return (int)n;
}

/* No page more than to its middle or end: a commit may come between. */
ssize_t __wrap_pread64(int fd, void *buf, size_t len, off64_t addr)
{
	size_t part = HS_PAGE / 2 - (size_t)addr % (HS_PAGE / 2);
	int page = page_at((uint64_t)addr);

	if (fd != CONTENT)
		return __real_pread64(fd, buf, len, addr);
	assert_true(page >= 0);
	moment();
	if (!replica.fill[page]) {
		errno = ENODATA;
		return -1;
	}
	part = part < len ? part : len;
	memset(buf, replica.fill[page], part);
	return (ssize_t)part;
}

int __wrap_ckdev_replica_content_live(int fd)
{
	assert_int_equal(fd, REPLICA);
	moment();
	if (replica.ended)
		return -ECONNRESET;
	return replica.commits || replica.module ? CONTENT : -ENODATA;
}

int __wrap_ckdev_replica_copied(int fd, uint64_t commits, uint64_t *behind)
{
	assert_int_equal(fd, REPLICA);
	assert_null(behind);
	assert_true(commits <= replica.commits);
	reported = commits;
	reports++;
	if (commits)
		expect_in_place(commits);
	return 0;
}

int __wrap_close(int fd)
{
	return fd == CONTENT ? 0 : __real_close(fd);
}

/*
 * The tests
 */

static void begin(unsigned int seed)
{
	hs_warm_anew();
	memset(&replica, 0, sizeof(replica));
	replica.at = NEVER;
	replica.end = NEVER;
	reported = NEVER;
	reports = 0;
	srandom(seed);
	hs_warm_start();
}

static void take_over(void)
{
	replica.frozen = true;
	assert_true(hs_warm_last(REPLICA, CONTENT));
	expect_in_place(replica.commits);
	hs_warm_anew();
}

/* @passes, of which the last is interrupted by a commit in its moment @at. False: it has fewer. */
static bool interrupted(unsigned int seed, unsigned int passes, uint64_t at)
{
	unsigned int i;
	uint64_t end;

	begin(seed);
	for (i = 0; i < passes; i++) {
		commit();
		replica.at = i + 1 == passes ? replica.moments + at : NEVER;
		hs_warm_pass(REPLICA);
		assert_int_not_equal(reported, 0);
	}
	end = replica.moments;
	take_over();
	return replica.at < end;
}

static void a_commit_at_every_moment(void **state)
{
	unsigned int seed, passes, moments = 0;
	uint64_t at;

	(void)state;
	for (seed = 1; seed <= 6; seed++)
		for (passes = 1; passes <= 4; passes++)
			for (at = 0; interrupted(seed, passes, at); at++)
				moments++;
	assert_true(moments > 200);
}

static void commits_all_the_time(void **state)
{
	unsigned int seed, i;

	(void)state;
	for (seed = 1; seed <= 60; seed++) {
		begin(seed);
		commit();
		replica.often = 3 + seed % 40;
		for (i = 0; i < 20; i++)
			hs_warm_pass(REPLICA);
		take_over();
	}
}

/* Everything was replaced before a pass, or before the last one. */
static void what_the_replica_forgot(void **state)
{
	unsigned int seed;

	(void)state;
	for (seed = 1; seed <= 20; seed++) {
		begin(seed);
		commit_all();
		hs_warm_pass(REPLICA);
		commit_all();
		hs_warm_pass(REPLICA);
		assert_int_equal(reported, replica.commits);
		/* It was told that there was no copy meanwhile. */
		assert_int_equal(reports, 3);
		commit_all();
		if (seed % 2)
			commit();
		take_over();
	}
}

static void reports_after_each_pass(bool module)
{
	begin(1);
	replica.module = module;
	hs_warm_pass(REPLICA);
	assert_int_equal(reports, 0);			/* nothing was committed yet */
	commit();
	hs_warm_pass(REPLICA);
	assert_int_equal(reported, 1);
	commit();
	replica.at = replica.moments + 2;
	hs_warm_pass(REPLICA);
	assert_int_equal(replica.commits, 3);
	assert_int_equal(reported, 2);
	hs_warm_pass(REPLICA);
	assert_int_equal(reported, 3);
	take_over();
}

static void a_report_after_each_pass(void **state)
{
	(void)state;
	reports_after_each_pass(false);
	reports_after_each_pass(true);
}

/* As for an update: the spare copies the replica of the next one, and is as warm as before. */
static void cptdevd_may_end_at_every_moment(void **state)
{
	unsigned int at;

	(void)state;
	for (at = 0;; at++) {
		begin(1);
		commit_all();
		hs_warm_pass(REPLICA);
		commit();
		replica.end = replica.moments + at;
		hs_warm_pass(REPLICA);
		if (!replica.ended)
			break;
		assert_int_equal(reported, 1);
		hs_warm_anew();				/* as the program that waits does */
		memset(&replica, 0, sizeof(replica));
		replica.at = replica.end = NEVER;
		commit_all();
		commit();
		hs_warm_pass(REPLICA);
		assert_int_equal(reported, 2);
		take_over();
	}
	assert_true(at > 3);
}

/* In a process of its own, as what the environment said stays. */
static void starts_with(const char *warm, uint64_t report, unsigned int nr)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		setenv("HOTSPARE_WARM", warm, 1);
		begin(1);
		commit_all();
		hs_warm_pass(REPLICA);
		hs_warm_pass(REPLICA);
		_exit(reported != report || reports != nr || hs_warm_last(REPLICA, CONTENT) != !!report);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void a_cold_spare_says_so(void **state)
{
	(void)state;
	starts_with("yes", 1, 2);
	starts_with("64", 1, 2);
	starts_with("0", 0, 1);
}

static void one_that_never_copies_says_nothing(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	if (!pid) {
		setenv("HOTSPARE_WARM", "no", 1);
		begin(1);
		commit_all();
		hs_warm_pass(REPLICA);
		_exit(reports || hs_warm_last(REPLICA, CONTENT));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

#ifdef HS_MUTANTS
unsigned int hs_warm_mutant;

/* In the order in which warm.h has them. */
static void take_away(const char *name)
{
	static const char *const all[] = { "no_last", "late", "no_holes", "no_anew" };
	unsigned int i;

	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (!strcmp(name, all[i]))
			hs_warm_mutant |= 1U << i;
}
#else
static void take_away(const char *name)
{
	(void)name;
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_commit_at_every_moment),
		cmocka_unit_test(commits_all_the_time),
		cmocka_unit_test(what_the_replica_forgot),
		cmocka_unit_test(a_report_after_each_pass),
		cmocka_unit_test(cptdevd_may_end_at_every_moment),
		cmocka_unit_test(a_cold_spare_says_so),
		cmocka_unit_test(one_that_never_copies_says_nothing),
	};

	take_away(getenv("MUTANT") ?: "");
	if (getenv("ONLY"))
		cmocka_set_test_filter(getenv("ONLY"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
