// SPDX-License-Identifier: GPL-2.0-or-later
/* The loop doesn't free the memory of large files itself: heartbeats would be late. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "soft_parts.h"

#define PAGES	(128ULL << 20 >> 12)

/* Processor time of this thread only: others on the machine don't change it. */
static s64 own_ns(void)
{
	struct timespec t;

	assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t), 0);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int file_of(u64 pages)
{
	int fd = memfd_create("pages", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(fallocate(fd, 0, 0, pages << 12), 0);
	return fd;
}

static void await_closed(int fd)
{
	const struct timespec little = { .tv_nsec = 1000000 };
	int i;

	for (i = 0; fcntl(fd, F_GETFD) >= 0 && i < 60000; i++)
		nanosleep(&little, NULL);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
}

/* What it takes to free them: the control, which everything else is compared with. */
static s64 closing_ns(void)
{
	int fd = file_of(PAGES);
	s64 ns = own_ns();

	close(fd);
	ns = own_ns() - ns;
	assert_true(ns > 1000000);
	return ns;
}

static void pages_of_a_replica_are_freed_aside(void **state)
{
	struct soft_pages p;
	int fd;
	s64 ns;

	(void)state;
	soft_pages_init(&p);
	p.fd = fd = file_of(PAGES);
	ns = own_ns();
	soft_pages_free(&p);
	ns = own_ns() - ns;
	assert_true(ns < closing_ns() / 4);
	await_closed(fd);
}

static void a_checkpoint_on_its_way_is_freed_aside(void **state)
{
	struct soft_snap *snap = calloc(1, sizeof(*snap));
	int fd = file_of(PAGES);
	s64 ns;

	(void)state;
	assert_non_null(snap);
	snap->refs = 1;
	snap->fd = fd;
	ns = own_ns();
	soft_snap_put(snap);
	ns = own_ns() - ns;
	assert_true(ns < closing_ns() / 4);
	await_closed(fd);
}

static void a_small_one_is_closed_at_once(void **state)
{
	int fd = file_of(16);

	(void)state;
	soft_close_pages(fd);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_of_a_replica_are_freed_aside),
		cmocka_unit_test(a_checkpoint_on_its_way_is_freed_aside),
		cmocka_unit_test(a_small_one_is_closed_at_once),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
