// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The allocator of checkpoint memory. The oracle is a second copy, in ordinary memory, of
 * what every object should contain. What must fail is done in a child.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../arena.h"
#include "../hotspare.h"
#include "aborts.h"

#define KIB	1024UL
#define MIB	(1024 * KIB)

static uint64_t rng;

static uint64_t rnd_from(uint64_t *state, uint64_t n)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (*state >> 11) % n;
}

static uint64_t rnd(uint64_t n)
{
	return rnd_from(&rng, n);
}

/* Mostly small, now and then up to a MiB. */
static size_t any_size(uint64_t *state)
{
	return rnd_from(state, 1UL << (rnd_from(state, 50) ? 4 + rnd_from(state, 11) : 20));
}

/* Bytes of the class that are in memory. */
static size_t resident_of(int cls)
{
	struct hs_class *c = hs_class_find(cls);
	unsigned char in[256];
	size_t n = 0, i, j;

	for (i = 1; i <= c->pages; i += sizeof(in)) {
		size_t nr = c->pages + 1 - i < sizeof(in) ? c->pages + 1 - i : sizeof(in);

		assert_int_equal(mincore(hs_page_addr(c, (uint32_t)i), nr * HS_PAGE, in), 0);
		for (j = 0; j < nr; j++)
			n += in[j] & 1;
	}
	return n * HS_PAGE;
}

/*
 * Objects with their oracle
 */

struct thing {
	unsigned char *addr;
	size_t size;
	unsigned char byte;
};

/* Each byte tells of which object it is, and where in it. */
static void fill(struct thing *t, unsigned char byte)
{
	size_t i;

	t->byte = byte;
	for (i = 0; i < t->size; i++)
		t->addr[i] = (unsigned char)(byte + i);
}

static void assert_filled(const struct thing *t, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (t->addr[i] != (unsigned char)(t->byte + i))
			fail_msg("byte %zu of %zu at %p", i, t->size, (void *)t->addr);
}

static void one_step(int cls, struct thing *t, uint64_t *state)
{
	size_t was = t->size, align;

	switch (rnd_from(state, 8)) {
	case 0 ... 2:
		assert_filled(t, t->size);
		hs_free(cls, t->addr);
		t->size = any_size(state);
		t->addr = hs_malloc(cls, t->size);
		break;
	case 3 ... 4:
		t->size = any_size(state);
		t->addr = hs_realloc(cls, t->addr, t->size);
		assert_non_null(t->addr);
		assert_filled(t, was < t->size ? was : t->size);
		break;
	case 5:
		hs_free(cls, t->addr);
		t->size = any_size(state);
		align = 1UL << rnd_from(state, 22);
		t->addr = hs_aligned_alloc(cls, align, t->size);
		assert_int_equal((uintptr_t)t->addr % align, 0);
		break;
	case 6:
		hs_free(cls, t->addr);
		t->size = any_size(state);
		t->addr = hs_calloc(cls, 1, t->size);
		assert_non_null(t->addr);
		assert_true(!t->size || (!t->addr[0] && !memcmp(t->addr, t->addr + 1, t->size - 1)));
		break;
	default:
		assert_filled(t, t->size);
		hs_free(cls, t->addr);
		t->addr = NULL;
		t->size = 0;
		return;
	}
	assert_non_null(t->addr);
	assert_int_equal((uintptr_t)t->addr % 16, 0);
	assert_true(hs_usable_size(t->addr) >= t->size);
	fill(t, (unsigned char)rnd_from(state, 256));
}

static void free_all(int cls, struct thing *v, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		assert_filled(&v[i], v[i].size);
		hs_free(cls, v[i].addr);
		v[i] = (struct thing) { 0 };
	}
}

static void assert_empty(int cls)
{
	struct hs_malloc_info info;

	assert_int_equal(hs_malloc_check(cls), 0);
	assert_int_equal(hs_malloc_info(cls, &info), 0);
	assert_int_equal(info.objects, 0);
	assert_int_equal(info.bytes, 0);
}

/*
 * Tests
 */

static void every_size_has_room_and_no_neighbour(void **state)
{
	static struct thing v[20000];
	size_t i, waste = 0, sum = 0;

	(void)state;
	assert_int_equal(hs_malloc_create(1, 0), 0);
	for (i = 0; i < 20000; i++) {
		v[i].size = i;
		v[i].addr = hs_malloc(1, i);
		assert_non_null(v[i].addr);
		fill(&v[i], (unsigned char)i);
		waste += hs_usable_size(v[i].addr) - i;
		sum += i;
	}
	/* An eighth on average for small ones, half a page for large ones. */
	assert_true(waste < sum / 4);
	assert_int_equal(hs_malloc_check(1), 0);
	free_all(1, v, 20000);
	assert_empty(1);
}

static void whatever_is_done_the_content_is_right(void **state)
{
	static struct thing v[3][300];
	uint64_t seed = rng;
	int i, cls;

	(void)state;
	print_message("# seed %#llx\n", (unsigned long long)seed);
	for (cls = 0; cls < 3; cls++)
		assert_int_equal(hs_malloc_create(-cls - 100, MIB << cls), 0);
	for (i = 0; i < 60000; i++) {
		cls = (int)rnd(3);
		one_step(-cls - 100, &v[cls][rnd(300)], &rng);
		if (i % 5000 == 0)
			assert_int_equal(hs_malloc_check(-cls - 100), 0);
	}
	for (cls = 0; cls < 3; cls++) {
		free_all(-cls - 100, v[cls], 300);
		assert_empty(-cls - 100);
	}
}

static void memory_is_given_back(void **state)
{
	static void *v[20000];
	struct hs_malloc_info info;
	size_t i;

	(void)state;
	assert_int_equal(hs_malloc_create(2, 4096), 0);
	for (i = 0; i < 20000; i++) {
		v[i] = hs_malloc(2, 1000 + i % 3 * 4000);
		memset(v[i], 1, 1000);
	}
	assert_true(resident_of(2) > 40 * MIB);
	for (i = 0; i < 20000; i += 2)
		hs_free(2, v[i]);
	for (i = 1; i < 20000; i += 2)
		hs_free(2, v[i]);
	assert_empty(2);
	/* What a class keeps, and a span of each size. */
	assert_true(resident_of(2) <= 512 * KIB);
	assert_int_equal(hs_malloc_info(2, &info), 0);
	assert_true(info.pages <= 256 * KIB);
}

static void a_large_object_changes_its_size_in_its_place(void **state)
{
	char *a, *b;

	(void)state;
	assert_int_equal(hs_malloc_create(3, 64 * MIB), 0);
	a = hs_malloc(3, MIB);
	memset(a, 7, MIB);
	assert_ptr_equal(hs_realloc(3, a, 100 * KIB), a);
	assert_int_equal(hs_usable_size(a), 100 * KIB);
	assert_ptr_equal(hs_realloc(3, a, 8 * MIB), a);
	b = hs_malloc(3, MIB);
	assert_true(b >= a + 8 * MIB);
	assert_ptr_not_equal(hs_realloc(3, a, 16 * MIB), a);
	hs_free(3, b);
	assert_int_equal(hs_malloc_check(3), 0);
}

static void a_class_grows_up_to_what_is_there(void **state)
{
	struct hs_malloc_info info;
	int i;

	(void)state;
	assert_int_equal(hs_malloc_create(4, 4096), 0);
	for (i = 0; i < 40; i++)
		assert_non_null(hs_malloc(4, 1UL << 30));
	assert_int_equal(hs_malloc_info(4, &info), 0);
	assert_true(info.reserved >= 40UL << 30);
	errno = 0;
	assert_null(hs_malloc(4, 254UL << 30));
	assert_int_equal(errno, ENOMEM);
	/* as it was */
	assert_non_null(hs_malloc(4, 100));
	assert_int_equal(hs_malloc_check(4), 0);
}

static void wrong_arguments_are_refused(void **state)
{
	int cls;

	(void)state;
	assert_int_equal(hs_malloc_create(5, 0), 0);
	errno = 0;
	assert_int_equal(hs_malloc_create(5, 0), -1);
	assert_int_equal(errno, EEXIST);
	errno = 0;
	assert_int_equal(hs_malloc_create(6, SIZE_MAX), -1);
	assert_int_equal(errno, ENOMEM);
	errno = 0;
	assert_null(hs_malloc(6, 1));
	assert_int_equal(errno, ENOENT);
	errno = 0;
	assert_null(hs_malloc(5, SIZE_MAX));
	assert_int_equal(errno, ENOMEM);
	errno = 0;
	assert_null(hs_malloc(5, SIZE_MAX - 8));
	assert_int_equal(errno, ENOMEM);
	errno = 0;
	assert_null(hs_calloc(5, SIZE_MAX / 2, 3));
	assert_int_equal(errno, ENOMEM);
	errno = 0;
	assert_null(hs_aligned_alloc(5, 48, 100));
	assert_int_equal(errno, EINVAL);
	errno = 0;
	assert_null(hs_aligned_alloc(5, 0, 100));
	assert_int_equal(errno, EINVAL);
	errno = 0;
	assert_int_equal(hs_malloc_check(6), -1);
	assert_int_equal(errno, ENOENT);
	errno = 0;
	assert_int_equal(hs_malloc_info(6, &(struct hs_malloc_info) { 0 }), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(hs_usable_size(NULL), 0);
	hs_free(5, NULL);
	hs_free(6, NULL);
	for (cls = 1000; !hs_malloc_create(cls, 0); cls++)
		hs_free(cls, hs_malloc(cls, 1));
	assert_int_equal(errno, ENOSPC);
	assert_int_equal(hs_malloc_create(5, 0), -1);
	assert_int_equal(errno, EEXIST);
}

/*
 * Threads
 */

#define THREADS	4

static void *thread_main(void *arg)
{
	uint64_t state = (uintptr_t)arg;
	static __thread struct thing v[100];
	int i;

	for (i = 0; i < 20000; i++)
		one_step(7, &v[rnd_from(&state, 100)], &state);
	free_all(7, v, 100);
	return NULL;
}

static void threads_share_a_class(void **state)
{
	pthread_t id[THREADS];
	uintptr_t i;

	(void)state;
	assert_int_equal(hs_malloc_create(7, MIB), 0);
	for (i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&id[i], NULL, thread_main,
						(void *)(rng + i * 2)), 0);
	for (i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(id[i], NULL), 0);
	assert_empty(7);
}

/*
 * Mistakes
 */

static char *mine;

static void foreign(void)
{
	int on_stack = 0;

	hs_free(8, &on_stack);
}

static void other_class(void)
{
	hs_malloc_create(9, 0);
	hs_free(9, mine);
}

static void no_class(void)
{
	hs_free(10, mine);
}

static void inside(void)
{
	hs_free(8, mine + 16);
}

static void inside_large(void)
{
	hs_free(8, (char *)hs_malloc(8, MIB) + 4096);
}

static void twice(void)
{
	hs_free(8, mine);
	hs_free(8, mine);
}

static void twice_large(void)
{
	char *m = hs_malloc(8, MIB);

	hs_free(8, m);
	hs_free(8, m);
}

static void realloc_of_freed(void)
{
	hs_free(8, mine);
	hs_realloc(8, mine, 10);
}

static void usable_of_foreign(void)
{
	hs_usable_size(stdout);
}

static void debug_class(void)
{
	setenv("HS_MALLOC_DEBUG", "1", 1);
	hs_malloc_create(11, 0);
	mine = hs_malloc(11, 100);
}

static void overrun(void)
{
	debug_class();
	mine[100] = 0;
	hs_free(11, mine);
}

static void overrun_of_realloc(void)
{
	debug_class();
	mine[111] = 0;
	hs_realloc(11, mine, 200);
}

static void overrun_of_large(void)
{
	debug_class();
	mine = hs_malloc(11, 100000);
	mine[100000] = 0;
	hs_free(11, mine);
}

static void overrun_is_found_by_check(void)
{
	debug_class();
	mine[100]++;
	if (hs_malloc_check(11) == -1 && errno == EUCLEAN)
		abort();
}

static void header_is_found_by_check(void)
{
	char *page = (char *)((uintptr_t)mine & ~(HS_PAGE - 1));

	memset(page, 0, 8);
	if (hs_malloc_check(8) == -1 && errno == EUCLEAN)
		abort();
}

static void take_mine(void)
{
	mine = hs_malloc(8, 100);
}

static void assert_aborts(void (*fn)(void), const char *words)
{
	t_aborts(take_mine, fn, words);
}

static void mistakes_end_the_program(void **state)
{
	(void)state;
	assert_int_equal(hs_malloc_create(8, 0), 0);
	assert_aborts(foreign, "isn't memory of the class");
	assert_aborts(other_class, "isn't memory of the class");
	assert_aborts(no_class, "there is no such class");
	assert_aborts(inside, "isn't the beginning of an object");
	assert_aborts(inside_large, "was freed already, or never allocated");
	assert_aborts(twice, "was freed already, or never allocated");
	assert_aborts(twice_large, "was freed already, or never allocated");
	assert_aborts(realloc_of_freed, "hs_realloc(8, ");
	assert_aborts(usable_of_foreign, "isn't memory of any class");
}

static void debugging_finds_overruns(void **state)
{
	(void)state;
	assert_aborts(overrun, "the program wrote beyond the end of this object");
	assert_aborts(overrun_of_realloc, "the program wrote beyond the end of this object");
	assert_aborts(overrun_of_large, "the program wrote beyond the end of this object");
	assert_aborts(overrun_is_found_by_check, "beyond the end of the object at");
	assert_aborts(header_is_found_by_check, "was overwritten");
}

static void debugging_knows_the_size(void **state)
{
	static struct thing v[100];
	size_t i;

	(void)state;
	setenv("HS_MALLOC_DEBUG", "1", 1);
	assert_int_equal(hs_malloc_create(12, 0), 0);
	unsetenv("HS_MALLOC_DEBUG");
	for (i = 0; i < 20000; i++)
		one_step(12, &v[rnd(100)], &rng);
	for (i = 0; i < 100; i++)
		assert_int_equal(v[i].addr ? hs_usable_size(v[i].addr) : 0, v[i].size);
	free_all(12, v, 100);
	assert_empty(12);
}

/*
 * In another process
 */

static int save_piece(void *arg, void *addr, size_t len)
{
	return write(*(int *)arg, addr, len) == (ssize_t)len ? 0 : -1;
}

static int load_piece(void *arg, void *addr, size_t len)
{
	return read(*(int *)arg, addr, len) == (ssize_t)len ? 0 : -1;
}

struct told {
	struct thing v[200];
	uint64_t rng;
};

/* What the other process does: the same program, anew. */
static int go_on(int fd)
{
	struct told told;
	int i;

	if (read(fd, &told, sizeof(told)) != sizeof(told) || hs_arena_restore(load_piece, &fd))
		return 2;
	for (i = 0; i < 200; i++)
		assert_filled(&told.v[i], told.v[i].size);
	for (i = 0; i < 20000; i++)
		one_step(13, &told.v[rnd_from(&told.rng, 200)], &told.rng);
	free_all(13, told.v, 200);
	assert_empty(13);
	return hs_malloc_create(13, 0) == -1 && errno == EEXIST ? 0 : 3;
}

static void it_works_on_in_another_process(void **state)
{
	static struct told told;
	char number[16];
	int fd = memfd_create("saved", 0), i, status;
	pid_t pid;

	(void)state;
	assert_int_equal(hs_malloc_create(13, 0), 0);
	told.rng = rng;
	for (i = 0; i < 5000; i++)
		one_step(13, &told.v[rnd(200)], &rng);
	assert_int_equal(write(fd, &told, sizeof(told)), sizeof(told));
	hs_arena_lock();
	assert_int_equal(hs_arena_pieces(save_piece, &fd), 0);
	hs_arena_unlock();
	lseek(fd, 0, SEEK_SET);
	snprintf(number, sizeof(number), "%d", fd);
	fflush(NULL);
	pid = fork();
	if (!pid) {
		execl("/proc/self/exe", "malloc_test", "--go-on", number, NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static int wrong_piece(void *arg, void *addr, size_t len)
{
	(void)arg;
	memset(addr, 0x55, len);
	return 0;
}

static int in_child(int (*fn)(void))
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid)
		_exit(fn());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static int restore_nonsense(void)
{
	if (!hs_arena_restore(wrong_piece, NULL) || errno != EUCLEAN)
		return 1;
	/* Nothing is left of it. */
	return hs_malloc_create(1, 0) || !hs_malloc(1, 1);
}

static int place_is_taken(void)
{
	if (mmap((void *)HS_BASE, HS_PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		 -1, 0) == MAP_FAILED)
		return 1;
	return hs_malloc_create(1, 0) != -1 || errno != EEXIST;
}

/* Before there is an arena. */
static void nonsense_is_no_arena(void **state)
{
	(void)state;
	assert_int_equal(in_child(restore_nonsense), 0);
	assert_int_equal(in_child(place_is_taken), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nonsense_is_no_arena),
		cmocka_unit_test(it_works_on_in_another_process),
		cmocka_unit_test(every_size_has_room_and_no_neighbour),
		cmocka_unit_test(whatever_is_done_the_content_is_right),
		cmocka_unit_test(memory_is_given_back),
		cmocka_unit_test(a_large_object_changes_its_size_in_its_place),
		cmocka_unit_test(a_class_grows_up_to_what_is_there),
		cmocka_unit_test(threads_share_a_class),
		cmocka_unit_test(mistakes_end_the_program),
		cmocka_unit_test(debugging_finds_overruns),
		cmocka_unit_test(debugging_knows_the_size),
		cmocka_unit_test(wrong_arguments_are_refused),
	};
	const char *seed = getenv("SEED");

	if (argc == 3 && !strcmp(argv[1], "--go-on"))
		return go_on(atoi(argv[2]));
	rng = seed ? strtoull(seed, NULL, 0) : (uint64_t)getpid() * 0x9e3779b97f4a7c15ULL;
	rng |= 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
