// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Bad input for every call, as far as the other tests don't have it: arguments that make no
 * sense, mistakes of a program, and files and programs that are other ones. Each gets the
 * error that hotspare.h says, and nothing else happens.
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <gnu/lib-names.h>
#include <limits.h>
#include <link.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ckdev.h>
#include <cmocka.h>

#include "../format.h"
#include "../hotspare.h"
#include "aborts.h"
#include "program.h"

#define CLASS	7
#define NO_CLASS	8
#define PAGE	4096UL

/* -1 and @err. Not of use where success is another number. */
#define assert_refused(call, err) do {						\
		errno = 0;							\
		assert_int_equal(call, -1);					\
		assert_int_equal(errno, err);					\
	} while (0)

#define assert_none(call, err) do {						\
		errno = 0;							\
		assert_null(call);						\
		assert_int_equal(errno, err);					\
	} while (0)

/*
 * Memory
 */

static void sizes_without_sense_are_refused(void **state)
{
	const size_t most = 255UL << 30;
	char *p;

	(void)state;
	assert_refused(hs_malloc_create(NO_CLASS, most + 1), ENOMEM);
	assert_none(hs_calloc(NO_CLASS, 1, 1), ENOENT);
	assert_none(hs_aligned_alloc(NO_CLASS, 16, 1), ENOENT);
	assert_none(hs_realloc(NO_CLASS, NULL, 1), ENOENT);
	p = hs_calloc(CLASS, 10, 10);
	assert_non_null(p);
	strcpy(p, "as it was");
	assert_none(hs_realloc(NO_CLASS, p, 200), ENOENT);
	assert_none(hs_realloc(CLASS, p, SIZE_MAX), ENOMEM);
	assert_none(hs_realloc(CLASS, p, most), ENOMEM);
	assert_string_equal(p, "as it was");
	assert_none(hs_malloc(CLASS, most), ENOMEM);
	assert_none(hs_malloc(CLASS, most - 1), ENOMEM);
	assert_none(hs_calloc(CLASS, SIZE_MAX, SIZE_MAX), ENOMEM);
	assert_none(hs_calloc(CLASS, SIZE_MAX, 1), ENOMEM);
	assert_none(hs_aligned_alloc(CLASS, 16, SIZE_MAX), ENOMEM);
	assert_none(hs_aligned_alloc(CLASS, 1UL << 30, most), ENOMEM);
	assert_none(hs_aligned_alloc(CLASS, 1UL << 31, 1), EINVAL);
	assert_none(hs_aligned_alloc(CLASS, SIZE_MAX, 1), EINVAL);
	assert_refused(hs_malloc_info(CLASS, NULL), EINVAL);
	assert_refused(hs_malloc_info(NO_CLASS, NULL), ENOENT);
	hs_free(CLASS, p);
	assert_int_equal(hs_malloc_check(CLASS), 0);
}

static void nothing_is_a_size_and_any_number_a_class(void **state)
{
	const int numbers[] = { 0, -1, INT_MIN, INT_MAX };
	struct hs_malloc_info info;
	size_t i;
	char *p;

	(void)state;
	for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		assert_int_equal(hs_malloc_create(numbers[i], 0), 0);
		p = hs_malloc(numbers[i], 0);
		assert_non_null(p);
		p = hs_realloc(numbers[i], p, 0);
		assert_non_null(p);
		hs_free(numbers[i], p);
		p = hs_calloc(numbers[i], 0, SIZE_MAX);
		assert_non_null(p);
		hs_free(numbers[i], p);
		p = hs_realloc(numbers[i], NULL, 0);
		assert_non_null(p);
		hs_free(numbers[i], p);
		assert_int_equal(hs_malloc_info(numbers[i], &info), 0);
		assert_int_equal(info.objects, 0);
	}
}

/*
 * Mistakes that end the program
 */

static char *mine;			/* of CLASS, 100 bytes */

static void debug_class(void)
{
	setenv("HS_MALLOC_DEBUG", "1", 1);
	CHECK(!hs_malloc_create(NO_CLASS, 0));
	mine = hs_malloc(NO_CLASS, 100);
	CHECK(mine);
}

static void free_of_stack(void)
{
	char here[64];

	hs_free(CLASS, here);
}

static void free_of_malloc(void)
{
	hs_free(CLASS, malloc(100));
}

static void free_of_highest(void)
{
	hs_free(CLASS, (void *)UINTPTR_MAX);
}

static void free_of_lowest(void)
{
	hs_free(CLASS, (void *)1);
}

/* The class's own, before what it gives out. */
static void free_of_bookkeeping(void)
{
	hs_free(CLASS, (void *)((uintptr_t)mine & ~((1UL << 30) - 1)));
}

static void free_of_odd(void)
{
	hs_free(CLASS, mine + 1);
}

static void realloc_of_stack(void)
{
	char here[64];

	hs_realloc(CLASS, here, 100);
}

static void realloc_of_odd(void)
{
	hs_realloc(CLASS, mine + 8, 100);
}

static void usable_of_odd(void)
{
	hs_usable_size(mine + 8);
}

static void usable_of_freed(void)
{
	hs_free(CLASS, mine);
	hs_usable_size(mine);
}

static void twice_when_debugging(void)
{
	debug_class();
	hs_free(NO_CLASS, mine);
	hs_free(NO_CLASS, mine);
}

static void realloc_of_old_when_debugging(void)
{
	char *old;

	debug_class();
	old = mine;
	CHECK(hs_realloc(NO_CLASS, mine, 101));
	hs_realloc(NO_CLASS, old, 102);
}

/* Before an object is behind another. */
static void before_when_debugging(void)
{
	char *next;

	debug_class();
	next = hs_malloc(NO_CLASS, 100);
	CHECK(next > mine);
	next[-1] = 0;
	hs_free(NO_CLASS, mine);
}

static void overrun_of_usable_size(void)
{
	debug_class();
	mine[100] = 0;
	hs_usable_size(mine);
}

/* Of nothing there is nothing to write to. */
static void overrun_of_nothing(void)
{
	debug_class();
	mine = hs_malloc(NO_CLASS, 0);
	mine[0] = 0;
	hs_free(NO_CLASS, mine);
}

static void released_too_often(void)
{
	hs_hold();
	hs_release();
	hs_release();
}

static void *release(void *arg)
{
	hs_release();
	return arg;
}

/* It is the thread's own section. */
static void released_by_another_thread(void)
{
	pthread_t id;

	hs_hold();
	CHECK(!pthread_create(&id, NULL, release, NULL));
	pthread_join(id, NULL);
}

static void take_mine(void)
{
	mine = hs_malloc(CLASS, 100);
}

static void assert_aborts(void (*fn)(void), const char *words)
{
	t_aborts(take_mine, fn, words);
}

static void mistakes_end_the_program(void **state)
{
	static const char freed[] = "was freed already, or never allocated";
	static const char foreign[] = "isn't memory of the class";
	static const char inside[] = "isn't the beginning of an object";
	static const char behind[] = "the program wrote beyond the end of this object";

	(void)state;
	assert_aborts(free_of_stack, foreign);
	assert_aborts(free_of_malloc, foreign);
	assert_aborts(free_of_highest, foreign);
	assert_aborts(free_of_lowest, foreign);
	assert_aborts(free_of_bookkeeping, foreign);
	assert_aborts(free_of_odd, inside);
	assert_aborts(realloc_of_stack, foreign);
	assert_aborts(realloc_of_odd, inside);
	assert_aborts(usable_of_odd, inside);
	assert_aborts(usable_of_freed, freed);
	assert_aborts(twice_when_debugging, freed);
	assert_aborts(realloc_of_old_when_debugging, freed);
	assert_aborts(before_when_debugging, behind);
	assert_aborts(overrun_of_usable_size, behind);
	assert_aborts(overrun_of_nothing, behind);
	assert_aborts(hs_release, "hs_release() without hs_hold()");
	assert_aborts(released_too_often, "hs_release() without hs_hold()");
	assert_aborts(released_by_another_thread, "hs_release() without hs_hold()");
}

/*
 * Other memory
 */

static void ranges_without_sense_are_refused(void **state)
{
	char *m = mmap(CHOSEN, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *kernel = (char *)(1UL << 63);

	(void)state;
	assert_true(m != MAP_FAILED);
	assert_refused(hs_range(m, SIZE_MAX), EINVAL);
	assert_refused(hs_range(m, 1UL << 47), EINVAL);
	assert_refused(hs_range(kernel, 1), EINVAL);
	assert_refused(hs_range((void *)UINTPTR_MAX, 1), EINVAL);
	assert_refused(hs_exclude(NULL, 1), EINVAL);
	assert_refused(hs_exclude(m, 0), EINVAL);
	assert_refused(hs_exclude(m, SIZE_MAX), EINVAL);
	assert_refused(hs_exclude(kernel, 1), EINVAL);
	/* A hole in it. */
	assert_int_equal(munmap(m + PAGE, PAGE), 0);
	assert_refused(hs_range(m, 3 * PAGE), ENOMEM);
	assert_refused(hs_range(m, PAGE + 1), ENOMEM);
	assert_refused(hs_range(m + 2 * PAGE - 1, 2), ENOMEM);
	munmap(m, PAGE);
	munmap(m + 2 * PAGE, PAGE);
}

/* Each is named, with its address. */
static void assert_named(void *addr, size_t len, int err, const char *what)
{
	char text[32];

	assert_refused(hs_range(addr, len), err);
	snprintf(text, sizeof(text), "%p", addr);
	if (!strstr(hs_error(), what) || !strstr(hs_error(), text))
		fail_msg("'%s' isn't about %s, %s", hs_error(), text, what);
}

static void *on_a_stack(void *arg)
{
	char variable = 0;

	(void)arg;
	assert_named(&variable, 1, EOPNOTSUPP, "stacks and variables of threads");
	return NULL;
}

static void memory_of_the_process_is_refused(void **state)
{
	static const char constant[PAGE] = "c";
	static char variable[2 * PAGE];
	static __thread char of_a_thread[64];
	char *heap = malloc(100), *large = malloc(1 << 20), on_stack = 0, *m;
	pthread_t id;

	(void)state;
#ifndef __SANITIZE_ADDRESS__
	/* It has a heap of its own, wherever that is. */
	assert_named(heap, 100, EOPNOTSUPP, "memory of malloc(3)");
	assert_named(large, 1 << 20, EOPNOTSUPP, "the kernel chose, as that of malloc(3)");
#endif
	assert_named(&on_stack, 1, EOPNOTSUPP, "the stack");
	assert_named(of_a_thread, sizeof(of_a_thread), EOPNOTSUPP, "variables of threads");
	assert_int_equal(pthread_create(&id, NULL, on_a_stack, NULL), 0);
	pthread_join(id, NULL);
	assert_named((void *)constant, PAGE, EACCES, "can't be read and written");
	assert_named(dlsym(RTLD_DEFAULT, "_IO_2_1_stdout_"), 8, EINVAL, "variables of the C library");
	m = mmap(CHOSEN, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_equal(m, CHOSEN);
	assert_named(m, 4 * PAGE, EOPNOTSUPP, "shared memory");
	/* All of it counts. */
	assert_ptr_equal(mmap(m, 2 * PAGE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), m);
	assert_refused(hs_range(m + 1, 3 * PAGE), EOPNOTSUPP);
	assert_non_null(strstr(hs_error(), "at 0x510000002000 is shared memory"));
	assert_int_equal(mprotect(m + PAGE, PAGE, PROT_READ), 0);
	assert_refused(hs_range(m, 2 * PAGE), EACCES);
	/* And these are as ever. */
	assert_int_equal(hs_range(m, PAGE), 0);
	assert_int_equal(hs_range(variable + 8, PAGE), 0);
	assert_int_equal(hs_exclude(m, PAGE), 0);
	assert_int_equal(hs_exclude(variable + 8, PAGE), 0);
	assert_int_equal(munmap(m, 4 * PAGE), 0);
	free(heap);
	free(large);
}

static void libraries_that_make_no_sense_are_refused(void **state)
{
	(void)state;
	assert_refused(hs_dso(""), ENOENT);
	assert_refused(hs_dso("/"), ENOENT);
	assert_refused(hs_dso("linux-vdso.so.2"), ENOENT);
	/* The C library is the process's own. */
	assert_refused(hs_dso(LIBC_SO), EINVAL);
	assert_refused(hs_dso(LD_SO), EINVAL);
	/* So is libhotspare, which is part of this program. */
	assert_refused(hs_dso(NULL), EINVAL);
}

/*
 * Descriptors
 */

/* What @fd is can't be saved; it is closed. */
static void assert_no_such_kind(int fd, int err)
{
	assert_true(fd >= 0);
	assert_refused(hs_fdreg(fd), err);
	assert_refused(hs_fd_deregister(fd), ENOENT);
	close(fd);
}

static void kinds_that_cannot_be_saved_are_refused(void **state)
{
	int raw, p[2];

	(void)state;
	assert_no_such_kind(open(".", O_RDONLY), EOPNOTSUPP);
	assert_no_such_kind(inotify_init1(0), EOPNOTSUPP);
	assert_no_such_kind(socket(AF_NETLINK, SOCK_RAW, 0), EPROTONOSUPPORT);
	assert_no_such_kind(socket(AF_UNIX, SOCK_SEQPACKET, 0), ENOTCONN);
	assert_no_such_kind(open("/dev/null", O_PATH), EOPNOTSUPP);
	raw = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
	if (raw >= 0)
		assert_no_such_kind(raw, EPROTONOSUPPORT);
	else
		printf("# no raw sockets here\n");
	assert_int_equal(mkfifo("fifo", 0600), 0);
	assert_no_such_kind(open("fifo", O_RDWR), EOPNOTSUPP);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, p), 0);
	assert_no_such_kind(p[0], EISCONN);
	close(p[1]);
	p[0] = open("file", O_RDWR | O_CREAT, 0600);
	assert_int_equal(unlink("file"), 0);
	assert_no_such_kind(p[0], ENOENT);
}

static void closed_descriptors_are_refused(void **state)
{
	static const int closed[] = { -1, INT_MIN, INT_MAX, 987 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(closed) / sizeof(closed[0]); i++) {
		assert_refused(hs_fdreg(closed[i]), EBADF);
		assert_refused(hs_fdreg_filefd(closed[i], "/dev/null"), EBADF);
		assert_refused(hs_fdreg_sockudp4(closed[i], 0), EBADF);
		assert_refused(hs_fdreg_socktcp4_listen(closed[i]), EBADF);
		assert_refused(hs_fdreg_pair(closed[i], closed[i]), EBADF);
		assert_refused(hs_fdreg_eventfd(closed[i], 0), EBADF);
		assert_refused(hs_fd_deregister(closed[i]), ENOENT);
		assert_refused(hs_cpipe_load(closed[i]), EBADF);
	}
}

static void what_is_another_kind_than_the_call_is_refused(void **state)
{
	int file = open("/dev/null", O_RDWR), udp = socket(AF_INET, SOCK_DGRAM, 0), p[2];
	int event = eventfd(0, 0);
	char name[PATH_MAX + 2];

	(void)state;
	assert_int_equal(pipe(p), 0);
	assert_refused(hs_fdreg_sockudp4(file, 0), EPROTOTYPE);
	assert_refused(hs_fdreg_sockudp4(udp, -1), EINVAL);
	assert_refused(hs_fdreg_socktcp4_listen(file), EPROTOTYPE);
	assert_refused(hs_fdreg_socktcp4_listen(udp), EPROTOTYPE);
	assert_refused(hs_fdreg_eventfd(file, 0), EPROTOTYPE);
	assert_refused(hs_fdreg_eventfd(event, -1), EINVAL);
	assert_refused(hs_fdreg_pair(file, file), EPROTOTYPE);
	assert_refused(hs_fdreg_pair(p[0], p[1]), EPROTOTYPE);
	assert_refused(hs_fdreg_pair(udp, udp), ENOTCONN);
	assert_refused(hs_fdreg_filefd(p[0], "/dev/null"), EPROTOTYPE);
	assert_refused(hs_fdreg_filefd(file, ""), ENOENT);
	/* It couldn't be opened as what it is. */
	assert_refused(hs_fdreg_filefd(file, "/"), EPROTOTYPE);
	assert_refused(hs_fdreg_filefd(file, "/dev/null/x"), ENOTDIR);
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	assert_refused(hs_fdreg_filefd(file, name), ENAMETOOLONG);
	close(p[0]);
	close(p[1]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, p), 0);
	assert_refused(hs_fdreg_pair(p[0], p[0]), EPROTOTYPE);
	assert_refused(hs_fdreg_pair(p[0], file), EPROTOTYPE);
	assert_refused(hs_fdreg_pair(p[0], -1), EBADF);
	close(p[0]);
	close(p[1]);
	close(event);
	close(udp);
	close(file);
}

/*
 * Threads, signals, detection
 */

static void never(void *arg)
{
	(void)arg;
	abort();
}

static void threads_and_signals_that_are_none_are_refused(void **state)
{
	(void)state;
	assert_refused(hs_threadreg_attr(never, NULL, NULL), EINVAL);
	assert_refused(hs_threadreg_attr(NULL, NULL, NULL), EINVAL);
	assert_refused(hs_threadreg_attr(never, NULL, &(struct hs_thread_attr) { .policy = -1 }),
		       EINVAL);
	assert_refused(hs_threadreg_attr(never, NULL, &(struct hs_thread_attr) { .priority = -1 }),
		       EINVAL);
	assert_refused(hs_threaddereg(NULL, NULL), ENOENT);
	assert_refused(hs_sigreg(INT_MAX), EINVAL);
	assert_refused(hs_sigreg(INT_MIN), EINVAL);
	assert_refused(hs_sigdereg(SIGKILL), EINVAL);
}

static void hooks_and_sections_that_are_none_are_refused(void **state)
{
	char buf[4];

	(void)state;
	assert_refused(hs_hook(NULL, NULL), EINVAL);
	assert_refused(hs_unhook(NULL, NULL), ENOENT);
	assert_refused(hs_section_set(NULL, "x", 1), EINVAL);
	assert_refused(hs_section_set("x", NULL, 1), EINVAL);
	assert_refused(hs_section_set("x", buf, SIZE_MAX), EMSGSIZE);
	assert_refused(hs_section_get(NULL, buf, 1), EINVAL);
	assert_refused(hs_section_get("x", NULL, 1), EINVAL);
	assert_refused(hs_section_get("", buf, 1), ENOENT);
}

/* Nobody is dead who can't be asked. */
static void who_has_no_name_is_alive(void **state)
{
	(void)state;
	assert_int_equal(hs_det_ping4(NULL), 0);
	assert_int_equal(hs_det_ping6(NULL), 0);
	assert_int_equal(hs_det_file(NULL), 0);
	assert_int_equal(hs_det_ping4((char []) { "" }), 0);
	assert_int_equal(hs_det_ping6((char []) { "127.0.0.1" }), 0);
	assert_int_equal(hs_det_file((char []) { "" }), 0);
	assert_int_equal(hs_det_file((char []) { "." }), 0);
}

/*
 * Pipes and checkpoints
 */

static void addresses_that_are_none_are_refused(void **state)
{
	struct sockaddr_storage a = { .ss_family = AF_UNIX };
	struct sockaddr *any = (struct sockaddr *)&a;

	(void)state;
	assert_refused(hs_cpipe_loadtcp(NULL, sizeof(a)), EINVAL);
	assert_refused(hs_cpipe_loadtcp4(NULL), EINVAL);
	assert_refused(hs_cpipe_loadtcp(any, sizeof(a)), EAFNOSUPPORT);
	a.ss_family = AF_INET;
	assert_refused(hs_cpipe_loadtcp(any, 0), EINVAL);
	assert_refused(hs_cpipe_loadtcp(any, sizeof(struct sockaddr_in) - 1), EINVAL);
	assert_refused(hs_cpipe_loadtcp(any, UINT_MAX), EINVAL);
	a.ss_family = AF_INET6;
	assert_refused(hs_cpipe_loadtcp(any, sizeof(struct sockaddr_in)), EINVAL);
	assert_refused(hs_cpipe_loadtcp4((struct sockaddr_in *)any), EAFNOSUPPORT);
}

static void flags_that_do_not_exist_are_refused(void **state)
{
	static const int flags[] = { -1, INT_MIN, INT_MAX, 4, HSCPT_INCR | 8 };
	size_t i;

	(void)state;
	assert_string_equal(hs_error(), "");
	for (i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		assert_refused(hs_cpt(flags[i]), EINVAL);
		assert_string_equal(hs_error(), "unknown flags");
	}
}

/* Before there is a pool, and when it is full. */
static void places_without_a_pool_are_refused(void **state)
{
	const struct sockaddr_in in = { .sin_family = AF_INET };

	(void)state;
	assert_refused(hs_cpipe_init(-1), EINVAL);
	assert_refused(hs_cpipe_init(65), EINVAL);
	assert_refused(hs_cpipe_init(INT_MAX), EINVAL);
	assert_refused(hs_cpipe_init(INT_MIN), EINVAL);
	assert_refused(hs_cpipe_load(STDOUT_FILENO), ENOENT);
	assert_refused(hs_cpipe_loadtcp4(&in), ENOENT);
	assert_refused(hs_cpipe_loadtcp((const struct sockaddr *)&in, sizeof(in)), ENOENT);
	assert_refused(hs_cpipe_loadfile("image"), ENOENT);
	assert_refused(hs_cpt(0), ENOENT);
	assert_refused(hs_cpt(HSCPT_ASYNC | HSCPT_INCR), ENOENT);
	/* Nothing to wait for. */
	assert_int_equal(hs_cpt_wait(), 0);
	assert_int_equal(hs_may_serve(), 1);
	assert_int_equal(hs_rejoin(), -1);
	assert_int_equal(errno, EINVAL);
	assert_non_null(strstr(hs_error(), "with a spare"));
	assert_int_equal(hs_stop(), 0);
}

/* Files that checkpoints would take the place of, and descriptors that can't be written to. */
static void places_that_cannot_be_are_refused(void **state)
{
	int fd = open("/dev/null", O_RDONLY);
	char name[PATH_MAX + 2];

	(void)state;
	assert_refused(hs_cpipe_load(fd), EBADF);
	close(fd);
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	assert_refused(hs_cpipe_loadfile(NULL), EINVAL);
	assert_refused(hs_cpipe_loadfile(name), ENAMETOOLONG);
	assert_refused(hs_cpipe_loadfile("."), EISDIR);
	assert_int_equal(mkdir("directory", 0700), 0);
	assert_refused(hs_cpipe_loadfile("directory"), EISDIR);
	assert_refused(hs_cpipe_loadfile("directory/"), EISDIR);
	assert_refused(hs_cpipe_loadfile("/dev/null"), EINVAL);
	assert_refused(hs_cpipe_loadfile("/dev/null/image"), ENOTDIR);
}

/* What the program does to a pipe, or to what it has registered, is told: it goes on. */
static void what_was_closed_is_told(void **state)
{
	int p[2], fd = open("file", O_RDWR | O_CREAT, 0600);

	(void)state;
	assert_int_equal(hs_cpipe_init(1), 0);
	assert_int_equal(pipe(p), 0);
	assert_refused(hs_cpipe_load(p[0]), EBADF);
	assert_int_equal(hs_cpipe_load(p[1]), 0);
	assert_refused(hs_cpipe_load(p[1]), ENOSPC);
	assert_refused(hs_cpipe_loadfile("image"), ENOSPC);
	assert_int_equal(hs_fdreg(fd), 0);
	close(fd);
	assert_refused(hs_cpt(0), EBADF);
	assert_non_null(strstr(hs_error(), "was closed, or is another object now"));
	assert_int_equal(hs_fd_deregister(fd), 0);
	/* A restart wouldn't find it. */
	fd = open("file", O_RDWR | O_CREAT, 0600);
	assert_int_equal(hs_fdreg(fd), 0);
	assert_int_equal(unlink("file"), 0);
	assert_refused(hs_cpt(0), ENOENT);
	assert_non_null(strstr(hs_error(), "/file doesn't exist any more: deregister it"));
	assert_int_equal(hs_fd_deregister(fd), 0);
	close(fd);
	/* Nobody reads it. */
	close(p[0]);
	assert_refused(hs_cpt(0), EPIPE);
	assert_non_null(strstr(hs_error(), "can't be written"));
	assert_int_equal(hs_cpt(HSCPT_ASYNC), 0);
	assert_refused(hs_cpt_wait(), EPIPE);
	close(p[1]);
	assert_refused(hs_cpt(HSCPT_INCR), EBADF);
	assert_int_equal(hs_malloc_check(CLASS), 0);
}

/*
 * Programs: two checkpoints, the second an increment, as it is told where to
 */

static void worker(void *arg)
{
	(void)arg;
	tell("on", 1);
	exit(0);
}

/* What is refused, and why. */
static void tell_failure(const char *what)
{
	char line[256];

	tell(what, (unsigned long)errno);
	snprintf(line, sizeof(line), "%s\n", hs_error());
	CHECK(write(OUT_FD, line, strlen(line)) > 0);
}

/* What is to be saved goes away, and the program goes on. */
static int unmap(void)
{
	char *m = mmap(CHOSEN, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(!hs_threaddereg(worker, NULL));
	CHECK(m == CHOSEN && !hs_range(m, PAGE) && !hs_cpt(HSCPT_INCR));
	CHECK(!munmap(m, PAGE) && hs_cpt(HSCPT_INCR));
	tell_failure("cpt");
	CHECK(!hs_exclude(m, PAGE) && !hs_cpt(HSCPT_INCR));
	return 0;
}

static int program(int argc, char **argv)
{
	int i;

	open_out();
	dup2(OUT_FD, STDERR_FILENO);
	if (hs_init(argc, argv) < 0) {
		tell("init", (unsigned long)errno);
		return 3;
	}
	CHECK(!hs_malloc_create(CLASS, 1 << 16));
	memset(hs_malloc(CLASS, 10000), 'x', 10000);
	CHECK(!hs_threadreg(worker, NULL));
	if (*setting("UNMAP"))
		return unmap();
	for (i = 0; i < 2; i++) {
		if (!hs_cpt(HSCPT_INCR))
			continue;
		tell_failure("cpt");
		return 4;
	}
	tell("end", 1);
	return 0;
}

/* Among what was told. */
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

/* It doesn't begin, says why, and has this errno. */
static void assert_no_start(pid_t pid, const char *out, int err, const char *words)
{
	assert_int_equal(end_of(pid), 3);
	if (last(out, "init") != (unsigned long)err || !was_said(out, words))
		fail_msg("errno %s, or no '%s' in what was said",
			 strerrorname_np((int)last(out, "init")), words);
	unlink(out);
}

#define refused(err, words, ...)						\
	assert_no_start(start("out", __VA_ARGS__), "out", err, words)

static void options_without_sense_are_told(void **state)
{
	(void)state;
	refused(EINVAL, "either -m or -s is needed", "-t", "1");
	refused(EINVAL, "timeout '0' isn't a number from 1 to 3600", "-m", "-t", "0");
	refused(EINVAL, "timeout '-1' isn't a number", "-m", "-t", "-1");
	refused(EINVAL, "timeout '99999999999999999999' isn't", "-m", "-t", "99999999999999999999");
	refused(EINVAL, "port '65536' isn't a number from 1 to 65535", "-s", "-p", "65536");
	refused(EINVAL, "port '' isn't a number", "-s", "-p", "");
	refused(EINVAL, "pipes '-1' isn't a number from 1 to 64", "-m", "--pipes", "-1");
	refused(EINVAL, "nonsense", "-m", "-b", "nonsense");
	refused(EINVAL, "either -a or -f", "-m", "-a", "127.0.0.1", "-f", "image");
	refused(EINVAL, "unknown option", "-m", "--nonsense");
	refused(EINVAL, "address ''", "-m", "-a", "");
	refused(EINVAL, "leave out -a and -f", "-m", "-S", "name", "-a", "127.0.0.1");
	refused(EINVAL, "leave out -a and -f", "-m", "-f", "image", "--session", "name");
	/* Nothing takes the module's place: what the spare has would be somewhere else. */
	if (access(CPTDEV_DEVICE, F_OK)) {
		refused(ENOENT, CPTDEV_DEVICE, "-m", "-S", "name");
		refused(ENOENT, CPTDEV_DEVICE, "-s", "-S", "name");
	} else {
		refused(EINVAL, "session 'not a name'", "-m", "-S", "not a name");
		refused(EINVAL, "replica 'not a name'", "-s", "-S", "not a name");
	}
	if (fixed_addresses())
		refused(EISDIR, "directory", "-m", "-f", ".");
	/* This one tells it here. */
	assert_int_equal(hs_init(0, (char *[]) { NULL }), -1);
	assert_int_equal(errno, EINVAL);
}

static void key(const char *text, mode_t mode)
{
	FILE *f = fopen("key", "w");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod("key", mode), 0);
}

#define A_KEY	"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n"

/* Whatever leaves the host is under TLS. */
static void without_a_key_nothing_leaves_the_host(void **state)
{
	(void)state;
	if (!fixed_addresses())
		skip();
	refused(EACCES, "no key: without a key anybody on the network", "-m", "-a", "192.0.2.1");
	refused(EACCES, "no key", "-m", "-a", "::ffff:192.0.2.1");
	refused(EACCES, "no key", "-m", "-a", "2001:db8::1");
	refused(EACCES, "no key", "-s", "-a", "192.0.2.1", "-p", port);
	refused(EACCES, "no key", "-s", "-a", "0.0.0.0", "-p", port);
	refused(ENOENT, "key nowhere: No such file", "-m", "-a", "192.0.2.1", "-k", "nowhere");
	refused(EINVAL, "key .: it isn't a file", "-m", "-a", "192.0.2.1", "-k", ".");
	refused(EBADF, "key fd:77: Bad file descriptor", "-m", "-a", "192.0.2.1", "-k", "fd:77");
	refused(ENOENT, "key fd:7x", "-m", "-a", "192.0.2.1", "-k", "fd:7x");
	refused(EINVAL, "-k is for the private cptdevd", "-m", "-S", "name", "-k", "key");
	key(A_KEY, 0644);
	refused(EACCES, "key key: others have rights to it (mode 0644): chmod 600", "-m", "-k", "key");
	key("", 0600);
	refused(EINVAL, "key key: this isn't a key", "-m", "-a", "192.0.2.1", "-k", "key");
	/* What a key looks like is the daemon's to say. */
	key("secret\n", 0600);
	refused(ECONNREFUSED, "the private cptdevd ended at once", "-m", "-a", "192.0.2.1", "-k", "key");
	key(A_KEY, 0600);
	assert_int_equal(end_of(start("out", "-m", "-a", "192.0.2.1", "-k", "key", "-t", "1")), 4);
	unlink("key");
}

/* By the portable backend, which reads it. */
static void memory_that_is_gone_is_told(void **state)
{
	(void)state;
	if (!fixed_addresses())
		skip();
	assert_int_equal(end_of(start("out", "-m", "-f", "image", "-b", "portable", "UNMAP=1")), 0);
	assert_int_equal(last("out", "cpt"), EFAULT);
	assert_true(was_said("out", "can't be read at 0x510000000000: memory that was given to "
			     "hs_range() must stay mapped"));
	assert_true(was_said("out", "no thread is registered: a program that continues from this "));
}

/*
 * Files
 */

static size_t read_image(const char *path, unsigned char *buf, size_t len)
{
	FILE *f = fopen(path, "r");
	size_t n;

	assert_non_null(f);
	n = fread(buf, 1, len, f);
	assert_true(n > sizeof(struct hs_image_head) && n < len);
	fclose(f);
	return n;
}

static void write_image(const char *path, const void *buf, size_t len)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(buf, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

static unsigned char image[1 << 20];

/* With its sum right. */
static void write_version(unsigned int version, size_t len)
{
	struct hs_image_head h;

	memcpy(&h, image, sizeof(h));
	h.version = version;
	h.sum = XXH3_64bits(&h, offsetof(struct hs_image_head, sum));
	write_image("other", &h, sizeof(h));
	write_image("other.rest", image + sizeof(h), len - sizeof(h));
	assert_int_equal(system("cat other.rest >>other"), 0);
}

static void files_that_are_none_are_refused(void **state)
{
	size_t len, at;

	(void)state;
	if (!fixed_addresses())
		skip();
	assert_int_equal(end_of(start("master", "-m", "-f", "image")), 0);
	assert_int_equal(last("master", "end"), 1);
	assert_int_equal(end_of(start("again", "-m", "-r", "image")), 0);
	assert_int_equal(last("again", "on"), 1);

	refused(ENOENT, "missing: No such file", "-m", "-r", "missing");
	refused(EISDIR, ".: ", "-m", "-r", ".");
	refused(ENODATA, "/dev/null: ", "-m", "-r", "/dev/null");
	refused(EINVAL, "this isn't a checkpoint", "-m", "-r", "/dev/zero");
	refused(EINVAL, "this isn't a checkpoint", "-m", "-r", "/proc/self/exe");
	/* What it is an increment of isn't there. */
	refused(ESTALE, "image.2: ", "-m", "-r", "image.2");

	len = read_image("image", image, sizeof(image));
	for (at = 0; at < len; at = at < 4096 ? at + 173 : at + len / 9) {
		write_image("other", image, at);
		refused(ENODATA, "other: ", "-m", "-r", "other");
	}
	write_image("other", image, len - 1);
	refused(ENODATA, "other: ", "-m", "-r", "other");
	write_version(0, len);
	refused(EPROTONOSUPPORT, "version 0, this library supports version 1", "-m", "-r", "other");
	write_version(2, len);
	refused(EPROTONOSUPPORT, "version 2, this library supports version 1", "-m", "-r", "other");
	/* So it wasn't that the sum is wrong. */
	write_version(1, len);
	assert_int_equal(end_of(start("third", "-m", "-r", "other")), 0);
}

/*
 * Another program: this one, with another build id
 */

static int find_note(struct dl_phdr_info *info, size_t size, void *arg)
{
	const unsigned char **id = arg;
	const ElfW(Nhdr) *n;
	ElfW(Half) i;

	(void)size;
	for (i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];

		n = (const void *)(info->dlpi_addr + p->p_vaddr);
		if (p->p_type == PT_NOTE && n->n_type == NT_GNU_BUILD_ID)
			*id = (const unsigned char *)(n + 1) + 4;
	}
	/* The first is the program. */
	return 1;
}

/* Of 20 bytes, which are there once. */
static void make_other_program(const char *path)
{
	const unsigned char *id = NULL;
	unsigned char *copy, *place;
	struct stat st;
	FILE *f = fopen(self, "r");

	dl_iterate_phdr(find_note, &id);
	assert_true(id && f && !fstat(fileno(f), &st));
	copy = malloc((size_t)st.st_size);
	assert_true(copy && fread(copy, 1, (size_t)st.st_size, f) == (size_t)st.st_size);
	fclose(f);
	place = memmem(copy, (size_t)st.st_size, id, 20);
	assert_non_null(place);
	place[19] ^= 1;
	write_image(path, copy, (size_t)st.st_size);
	assert_int_equal(chmod(path, 0700), 0);
	free(copy);
}

static pid_t start_other(const char *out, const char *option, const char *value)
{
	const char *this_one = self;
	pid_t pid;

	self = "./other";
	pid = start(out, option, value ? "-r" : "-a", value ?: "127.0.0.1");
	self = this_one;
	return pid;
}

static void another_program_is_refused(void **state)
{
	pid_t spare;
	int end;

	(void)state;
	if (!fixed_addresses())
		skip();
	make_other_program("other");
	/* Beside it there is none. */
	setenv("CPTDEVD", CPTDEVD, 0);
	assert_int_equal(end_of(start("master", "-m", "-f", "image")), 0);
	assert_no_start(start_other("out", "-m", "image"), "out", ENOEXEC,
			"the program has the build id");
	/* And a spare ends: the master has none then, if it asks late enough. */
	spare = start_other("spare", "-s", NULL);
	wait_for_spare();
	end = end_of(start("out", "-m", "-a", "127.0.0.1"));
	assert_true(!end || (end == 4 && last("out", "cpt") == ENOTCONN));
	assert_no_start(spare, "spare", ENOEXEC, "the program has the build id");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flags_that_do_not_exist_are_refused),
		cmocka_unit_test(sizes_without_sense_are_refused),
		cmocka_unit_test(nothing_is_a_size_and_any_number_a_class),
		cmocka_unit_test(mistakes_end_the_program),
		cmocka_unit_test(ranges_without_sense_are_refused),
		cmocka_unit_test(memory_of_the_process_is_refused),
		cmocka_unit_test(libraries_that_make_no_sense_are_refused),
		cmocka_unit_test_teardown(kinds_that_cannot_be_saved_are_refused, clean),
		cmocka_unit_test(closed_descriptors_are_refused),
		cmocka_unit_test(what_is_another_kind_than_the_call_is_refused),
		cmocka_unit_test(threads_and_signals_that_are_none_are_refused),
		cmocka_unit_test(hooks_and_sections_that_are_none_are_refused),
		cmocka_unit_test(who_has_no_name_is_alive),
		cmocka_unit_test(addresses_that_are_none_are_refused),
		cmocka_unit_test(places_without_a_pool_are_refused),
		cmocka_unit_test_teardown(places_that_cannot_be_are_refused, clean),
		cmocka_unit_test_teardown(what_was_closed_is_told, clean),
		cmocka_unit_test_teardown(options_without_sense_are_told, clean),
		cmocka_unit_test_teardown(without_a_key_nothing_leaves_the_host, clean),
		cmocka_unit_test_teardown(memory_that_is_gone_is_told, clean),
		cmocka_unit_test_teardown(files_that_are_none_are_refused, clean),
		cmocka_unit_test_teardown(another_program_is_refused, clean),
	};
	char dir[] = "/tmp/hotspare-bad-test.XXXXXX";
	int ret;

	if (is_program())
		return program(argc, argv);
	self = realpath("/proc/self/exe", NULL);
	own_network();
	snprintf(port, sizeof(port), "%d", own_port());
	if (!mkdtemp(dir) || chdir(dir) || hs_malloc_create(CLASS, 0))
		return 1;
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	if (chdir("/") || rmdir(dir))
		printf("# %s: %s\n", dir, strerrorname_np(errno));
	return ret;
}
