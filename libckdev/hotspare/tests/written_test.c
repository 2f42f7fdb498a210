// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What was written, as the kernel tells it: the mirror gets only that, and must be what
 * memory is, byte for byte. tests/mutants.sh runs it with a safeguard taken away.
 *
 * In the environment: TELLER, PAGEMAP_SCAN or soft-dirty, which then has to be there (default:
 * what there is); ROUNDS, how many cuts while threads write; MUTANT, such as "no_ksm"; ONLY,
 * one test.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include <cmocka.h>

#include "../hotspare.h"
#include "../mirror.h"
#include "../../../selftests/io_uring.h"
#include "child.h"
#include "cut.h"

#define PAGES	1024
#define LEN	(PAGES * HS_PAGE)
#define HUGE	(512 * HS_PAGE)		/* what a page table has */
#define THREADS	3

static struct hs_mirror mirror;
static struct hs_sums *sums;
static uint64_t generation;
static char *m;				/* LEN */
static char *truth;			/* the same, at the last cut */

static void tell_the_truth(void)
{
	memcpy(truth, m, LEN);
}

/* As an increment of the one before, if there is one. Returns what it had, in bytes. */
static off_t checkpoint(void)
{
	struct hs_image_head head = {
		.generation = generation + 1, .base = hs_sums_generation(sums), .run = "written_test",
	};
	int fd = memfd_create("image", MFD_CLOEXEC);
	struct hs_error e = { "" };
	struct hs_texts t;
	struct hs_writer w;
	off_t len;

	generation++;
	head.flags = head.base ? HS_IMAGE_INCREMENT : 0;
	assert_int_equal(hs_texts_capture(&t, &e), 0);
	assert_int_equal(hs_texts_make(&t, &e), 0);
	assert_int_equal(hs_writer_create(&w), 0);
	t_write_by_fork(&w, fd, &head, &t, sums);
	hs_writer_free(&w);
	hs_texts_free(&t);
	len = lseek(fd, 0, SEEK_END);
	lseek(fd, 0, SEEK_SET);
	if (hs_mirror_read(&mirror, fd, &e) != HS_TOOK)
		fail_msg("%s", e.text);
	close(fd);
	assert_int_equal(hs_sums_commit(sums, generation), 0);
	return len;
}

static void expect_the_same(void)
{
	char page[HS_PAGE];
	size_t at;

	for (at = 0; at < LEN; at += HS_PAGE) {
		assert_int_equal(pread(mirror.fd, page, HS_PAGE, (off_t)(uintptr_t)(m + at)), HS_PAGE);
		assert_memory_equal(page, truth + at, HS_PAGE);
	}
}

/* LEN bytes, as page tables have them. */
static char *map_tables(void)
{
	char *p = mmap(CHOSEN, LEN + HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *q = (char *)(((uintptr_t)p + HUGE - 1) & ~(HUGE - 1));

	assert_ptr_not_equal(p, MAP_FAILED);
	munmap(p, (size_t)(q - p));
	munmap(q + LEN, (size_t)(p + HUGE - q));
	return q;
}

static int register_it(void **state)
{
	(void)state;
	m = map_tables();
	truth = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(truth, MAP_FAILED);
	t_in_child = tell_the_truth;
	return hs_range(m, LEN);
}

static void map(int fd)
{
	assert_ptr_equal(mmap(m, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED |
			      (fd < 0 ? MAP_ANONYMOUS : 0), fd, 0), m);
}

/* In memory that the mirror has, where a page is known to be unchanged if it is. */
static int set_up(void **state)
{
	(void)state;
	hs_written_lately_ns = 0;
	hs_mirror_init(&mirror);
	sums = hs_sums_create();
	assert_non_null(sums);
	map(-1);
	memset(m, 1, LEN);
	checkpoint();
	checkpoint();
	checkpoint();
	expect_the_same();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	hs_mirror_free(&mirror);
	hs_sums_free(sums);
	return 0;
}

/*
 * Threads that write
 */

static atomic_bool over;

static void *write_on(void *arg)
{
	unsigned int seed = (unsigned int)(uintptr_t)arg;
	int i;

	while (!over) {
		for (i = 0; i < 100; i++)
			__atomic_add_fetch(m + (size_t)rand_r(&seed) % LEN, 1, __ATOMIC_RELAXED);
		madvise(m + (size_t)rand_r(&seed) % PAGES * HS_PAGE, HS_PAGE, MADV_DONTNEED);
		/* So that some pages are not written to between two cuts. */
		usleep(500);
	}
	return NULL;
}

static void no_write_is_missed(void **state)
{
	const char *tier = getenv("CPTDEV_TIER");
	const int rounds = atoi(getenv("ROUNDS") ?: tier && strcmp(tier, "all") ? "60" : "200");
	pthread_t t[THREADS];
	int i;

	(void)state;
	over = false;
	for (i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, write_on, (void *)(uintptr_t)i), 0);
	for (i = 0; i < rounds; i++) {
		checkpoint();
		expect_the_same();
	}
	over = true;
	for (i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
}

/* Slowly: what isn't told at once won't be. Some are given back a moment later. */
static void *write_each_once(void *arg)
{
	size_t i;

	for (i = 2; !over; i++) {
		__atomic_add_fetch(m + i % PAGES * HS_PAGE, 1, __ATOMIC_RELAXED);
		if (i % 2)
			madvise(m + (i - 2) % PAGES * HS_PAGE, HS_PAGE, MADV_DONTNEED);
		usleep(1000);
	}
	return arg;
}

static void no_single_write_is_missed(void **state)
{
	pthread_t t;
	int i;

	(void)state;
	over = false;
	assert_int_equal(pthread_create(&t, NULL, write_each_once, NULL), 0);
	for (i = 0; i < 40; i++) {
		checkpoint();
		expect_the_same();
	}
	over = true;
	pthread_join(t, NULL);
}

/*
 * Others
 */

/* How many pages the child of the next cut would look at. */
static int count_maybe(void)
{
	static bool maybe[HS_WRITTEN_PAGES];
	struct hs_error e = { "" };
	struct hs_texts t;
	int i, at, status;
	pid_t pid;

	generation++;
	assert_int_equal(hs_texts_capture(&t, &e), 0);
	hs_written_before(&t.state.ranges, generation);
	pid = t_fork();
	if (!pid) {
		static const uint64_t entry[HS_WRITTEN_PAGES];
		int n = 0;

		hs_written_wait();
		for (at = 0; at < PAGES; at += HS_WRITTEN_PAGES) {
			hs_written_since(generation - 1, m + at * HS_PAGE, HS_WRITTEN_PAGES, entry,
					 maybe);
			for (i = 0; i < HS_WRITTEN_PAGES; i++)
				n += maybe[i];
		}
		_exit(n > 255 ? 255 : n);
	}
	hs_written_after(pid);
	hs_texts_free(&t);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/*
 * Written pages count twice, for something may still write to them. If a process is begun
 * elsewhere at the wrong moment, all count.
 */
static void little_else_is_looked_at(void **state)
{
	int tries, i, n[3] = { 0 };

	(void)state;
	map(-1);
	madvise(m, LEN, MADV_NOHUGEPAGE);
	memset(m, 1, LEN);
	for (i = 0; i < 3; i++)
		checkpoint();
	for (tries = 0; tries < 20; tries++) {
		for (i = 0; i < 10; i++)
			m[i * 50 * HS_PAGE]++;
		for (i = 0; i < 3; i++)
			n[i] = count_maybe();
		if (n[0] >= 10 && n[0] <= 20 && n[1] >= 10 && n[1] <= 20 && n[2] <= 10)
			return;
	}
	fail_msg("%d, %d and %d pages", n[0], n[1], n[2]);
}

/* What is there now was never seen, wherever it comes from. */
static void a_mapping_that_is_replaced_counts(void **state)
{
	char *other;
	int i;

	(void)state;
	for (i = 0; i < 5; i++) {
		map(-1);
		memset(m + LEN / 2, 10 + i, LEN / 2);
		checkpoint();
		expect_the_same();
		/* Written long ago, and moved as whole page tables. */
		other = map_tables();
		madvise(other, LEN, MADV_NOHUGEPAGE);
		memset(other, 20 + i, LEN);
		checkpoint();
		assert_ptr_equal(mremap(other, LEN, LEN, MREMAP_MAYMOVE | MREMAP_FIXED, m), m);
		checkpoint();
		expect_the_same();
		/* Within. */
		assert_ptr_equal(mremap(m + 5 * HS_PAGE, HS_PAGE, HS_PAGE, MREMAP_MAYMOVE |
					MREMAP_FIXED, m + 9 * HS_PAGE), m + 9 * HS_PAGE);
		assert_ptr_equal(mmap(m + 5 * HS_PAGE, HS_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE |
				      MAP_ANONYMOUS | MAP_FIXED, -1, 0), m + 5 * HS_PAGE);
		m[9 * HS_PAGE] = 5;
		checkpoint();
		m[9 * HS_PAGE] = 6;
		checkpoint();
		expect_the_same();
	}
}

/* Of a file's pages those that were written to may be thrown away: then the file's are back. */
static void pages_of_files_count(void **state)
{
	int fd = memfd_create("file", MFD_CLOEXEC), i;

	(void)state;
	for (i = 0; i < PAGES; i++)
		assert_int_equal(pwrite(fd, &i, sizeof(i), i * (off_t)HS_PAGE), sizeof(i));
	assert_int_equal(ftruncate(fd, (off_t)LEN), 0);
	map(fd);
	for (i = 0; i < 40; i++) {
		m[i * HS_PAGE + 9]++;
		if (i >= 4) {
			madvise(m + (i - 4) * (int)HS_PAGE, HS_PAGE, MADV_DONTNEED);
			assert_int_equal(m[(i - 4) * (int)HS_PAGE + 9], 0);
		}
		checkpoint();
		expect_the_same();
	}
	close(fd);
}

/* They are zero then, also if they are read. */
static void pages_that_are_given_back_count(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < 20; i++) {
		madvise(m + i * 30 * (int)HS_PAGE, HS_PAGE, MADV_DONTNEED);
		assert_int_equal(((volatile char *)m)[i * 30 * (int)HS_PAGE], 0);
		checkpoint();
		expect_the_same();
	}
}

/* As "echo 4 >/proc/PID/clear_refs" does it. */
static void others_may_clear_the_bits(void **state)
{
	int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC), i;

	(void)state;
	for (i = 0; i < 20; i++) {
		m[i * 11 * (int)HS_PAGE]++;
		assert_int_equal(write(fd, "4", 1), 1);
		m[i * 11 * (int)HS_PAGE + HS_PAGE]++;
		checkpoint();
		expect_the_same();
	}
	close(fd);
}

/* Each page is written once, and another process has it at once. */
static void *write_and_fork(void *arg)
{
	const size_t page = HS_PAGE;
	size_t i;
	pid_t pid;

	(void)arg;
	for (i = 0; i < PAGES && !over; i++) {
		m[i * page]++;
		pid = fork();
		if (!pid) {
			usleep(20000);
			_exit(0);
		}
		usleep(1000);
		while (waitpid(-1, NULL, WNOHANG | __WNOTHREAD) > 0)
			;
	}
	while (waitpid(-1, NULL, __WNOTHREAD) > 0)
		;
	return NULL;
}

/* When the child of this one hasn't looked yet. Without a result: as if it were lost. */
static pid_t cut_and_go_on(void)
{
	struct hs_error e = { "" };
	struct hs_texts t;
	pid_t pid;

	generation++;
	assert_int_equal(hs_texts_capture(&t, &e), 0);
	hs_written_before(&t.state.ranges, generation);
	pid = t_fork();
	if (!pid) {
		hs_written_wait();
		_exit(0);
	}
	hs_written_after(pid);
	hs_texts_free(&t);
	return pid;
}

static void the_next_cut_may_come_early(void **state)
{
	pthread_t t;
	pid_t pid;
	int i;

	(void)state;
	over = false;
	assert_int_equal(pthread_create(&t, NULL, write_each_once, NULL), 0);
	for (i = 0; i < 40; i++) {
		pid = cut_and_go_on();
		checkpoint();
		expect_the_same();
		assert_int_equal(waitpid(pid, NULL, 0), pid);
	}
	over = true;
	pthread_join(t, NULL);
}

static void another_thread_may_fork(void **state)
{
	pthread_t t;
	int i;

	(void)state;
	over = false;
	assert_int_equal(pthread_create(&t, NULL, write_and_fork, NULL), 0);
	for (i = 0; i < 40; i++) {
		checkpoint();
		expect_the_same();
	}
	over = true;
	pthread_join(t, NULL);
	checkpoint();
	expect_the_same();
}

/* If there is something that merges pages: what is changed here is the administrator's. */
static bool merges(void)
{
	int fd = open("/sys/kernel/mm/ksm/run", O_RDONLY | O_CLOEXEC);
	char c = 0;

	if (fd < 0)
		return false;
	if (read(fd, &c, 1) != 1)
		c = 0;
	close(fd);
	return c == '1';
}

static bool shared(const char *page)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry;

	assert_int_equal(pread(fd, &entry, sizeof(entry), (off_t)((uintptr_t)page / HS_PAGE *
							       sizeof(entry))), sizeof(entry));
	close(fd);
	return entry & HS_IN_MEMORY && !(entry & HS_EXCLUSIVE);
}

static void pages_may_be_merged(void **state)
{
	const bool will = merges();
	int i, tries;

	(void)state;
	assert_true(!madvise(m, LEN, MADV_MERGEABLE) || !will);
	for (i = 0; i < 5; i++) {
		memset(m + 5 * HS_PAGE, 50 + i, HS_PAGE);
		memset(m + 9 * HS_PAGE, 50 + i, HS_PAGE);
		for (tries = 0; will && tries < 3000 && !shared(m + 5 * HS_PAGE); tries++)
			usleep(10000);
		assert_true(!will || shared(m + 5 * HS_PAGE));
		checkpoint();
		expect_the_same();
	}
	madvise(m, LEN, MADV_UNMERGEABLE);
}

/* Into memory that a transfer was given before the cut, without any write by a processor. */
static void a_transfer_under_way_counts(void **state)
{
	static char text[HS_PAGE];
	struct t_uring u;
	int p[2], i;

	(void)state;
	assert_int_equal(pipe(p), 0);
	if (t_uring_open(&u))
		skip();
	assert_int_equal(t_uring_pin(&u, m, 16 * HS_PAGE), 0);
	hs_written_lately_ns = 30000000000;
	for (i = 0; i < 10; i++) {
		memset(text, 100 + i, sizeof(text));
		t_uring_submit(&u, IORING_OP_READ_FIXED, p[0], m + i * (int)HS_PAGE, HS_PAGE, 0);
		checkpoint();
		checkpoint();
		assert_int_equal(write(p[1], text, HS_PAGE), HS_PAGE);
		assert_int_equal(t_uring_wait(&u), HS_PAGE);
		assert_memory_equal(m + i * (int)HS_PAGE, text, HS_PAGE);
		checkpoint();
		expect_the_same();
	}
	t_uring_close(&u);
	close(p[0]);
	close(p[1]);
	hs_written_lately_ns = 0;
}

/* Then the next one has what changed since the one before. */
static void a_checkpoint_may_be_lost(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < 5; i++) {
		m[i * 7 * (int)HS_PAGE]++;
		count_maybe();
		m[i * 9 * (int)HS_PAGE]++;
		checkpoint();
		expect_the_same();
	}
}

/* As daemon(3) does it: what the parent had opened says nothing of the child's memory. */
static void a_program_may_have_forked(void **state)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		a_checkpoint_may_be_lost(state);
		exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* As one that has given up being root: its page tables are none of its business then. */
static void a_program_may_change_its_user(void **state)
{
	struct hs_error e;
	int status;
	pid_t pid = fork();

	if (!pid) {
		hs_written_by(&e);
		assert_int_equal(geteuid() ? prctl(PR_SET_DUMPABLE, 0) : setuid(65534), 0);
		assert_int_equal(open("/proc/self/pagemap", O_RDONLY), -1);
		a_checkpoint_may_be_lost(state);
		madvise(m, 20 * HS_PAGE, MADV_DONTNEED);
		checkpoint();
		expect_the_same();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

#ifdef HS_MUTANTS
unsigned int hs_mutant;

/* In the order in which written.h has them. */
static void take_away(const char *names)
{
	static const char *const all[] = {
		"widen", "no_second_scan", "no_lately", "no_check", "no_fork", "no_files",
		"no_zeros", "no_others", "no_canary", "no_ksm", "no_child",
	};
	unsigned int i;

	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (strstr(names, all[i]))
			hs_mutant |= 1U << i;
}
#else
static void take_away(const char *names)
{
	(void)names;
}
#endif

int main(void)
{
	const char *teller = getenv("TELLER");
	struct hs_error e;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(little_else_is_looked_at, set_up, tear_down),
		cmocka_unit_test_setup_teardown(no_write_is_missed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(no_single_write_is_missed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_mapping_that_is_replaced_counts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(pages_of_files_count, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_transfer_under_way_counts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_checkpoint_may_be_lost, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_program_may_have_forked, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_program_may_change_its_user, set_up, tear_down),
		cmocka_unit_test_setup_teardown(pages_that_are_given_back_count, set_up, tear_down),
		cmocka_unit_test_setup_teardown(others_may_clear_the_bits, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_next_cut_may_come_early, set_up, tear_down),
		cmocka_unit_test_setup_teardown(another_thread_may_fork, set_up, tear_down),
		cmocka_unit_test_setup_teardown(pages_may_be_merged, set_up, tear_down),
	};

	take_away(getenv("MUTANT") ?: "");
	if (getenv("ONLY"))
		cmocka_set_test_filter(getenv("ONLY"));
	if (teller)
		hs_written_only(teller);
	if (!hs_written_by(&e)) {
		printf("1..0 # SKIP the kernel doesn't tell what was written: %s\n", e.text);
		return teller ? 1 : 0;
	}
	return cmocka_run_group_tests(tests, register_it, NULL);
}
