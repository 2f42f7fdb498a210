// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Memory besides the arena: a program writes a checkpoint of a library's variables and of
 * some of its own, and is started anew, with another choice of functions by the CPU.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../hotspare.h"
#include "../ranges.h"
#include "child.h"
#include "dso_lib.h"

#define LIB	"libhotspare-test.so"
#define MAPPED	((char *)0x510000000000UL)
#define PAGE	4096

struct saved {
	void *copy_was, *set_was;
	char *excluded;
};

static int counter;
static char text[100] = "as it was";
static char beside[100] = "beside";

static void *chosen(const char *name)
{
	return dlsym(RTLD_DEFAULT, name);
}

static void worker(void *arg)
{
	const struct saved *s = arg;
	char buf[8] = "";
	int i;

	CHECK(counter == 42 && !strcmp(text, "changed") && !strcmp(beside, "beside"));
	CHECK(lib_data == 8 && lib_bss == 9 && lib_not_saved == 1);
	for (i = 0; i < 3 * PAGE + 100; i++)
		CHECK(lib_large[i] == (char)i);
	CHECK(lib_own == lib_large + 6);
	/* What the loader chose is what it chose here; what the program did is kept. */
	CHECK((void *)lib_copy == chosen("memcpy"));
	CHECK((void *)lib_set == s->set_was);
	CHECK((void *)lib_free == chosen("free"));
	CHECK(lib_copy(buf, "copied", 7) == buf && lib_length(buf) == 6);
	CHECK(MAPPED[0] == 'm' && MAPPED[2 * PAGE - 1] == 'p');
	for (i = 0; i < PAGE; i++)
		CHECK(!s->excluded[i]);
	CHECK(s->excluded[PAGE] == 'e');
	/* 77: another choice was possible, and was made. */
	exit(s->copy_was == chosen("memcpy") ? 0 : 77);
}

static int save(void)
{
	struct saved *s;
	char *m;
	int i;

	CHECK(!hs_malloc_create(1, 1 << 20));
	s = hs_calloc(1, 1, sizeof(*s));
	CHECK(s);
	CHECK(!hs_dso(LIB));
	CHECK(hs_dso(LIB) == -1 && errno == EEXIST);
	CHECK(hs_dso("libno.so.1") == -1 && errno == ENOENT);
	CHECK(hs_dso(NULL) == -1 && errno == EINVAL);
	CHECK(!hs_exclude(&lib_not_saved, sizeof(lib_not_saved)));
	CHECK(!hs_range(&counter, sizeof(counter)) && !hs_range(text, sizeof(text)));
	CHECK(hs_range(s, 8) == -1 && errno == EEXIST);
	CHECK(hs_range(NULL, 8) == -1 && errno == EINVAL);
	CHECK(hs_range(text, 0) == -1 && errno == EINVAL);
	CHECK(hs_range(MAPPED, 8) == -1 && errno == ENOMEM);
	m = mmap(MAPPED, 2 * PAGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	CHECK(m == MAPPED && !hs_range(m, 2 * PAGE));
	m[0] = 'm';
	m[2 * PAGE - 1] = 'p';

	counter = 42;
	strcpy(text, "changed");
	strcpy(beside, "neither");
	lib_data = 8;
	lib_bss = 9;
	lib_not_saved = 5;
	for (i = 0; i < 3 * PAGE + 100; i++)
		lib_large[i] = (char)i;
	lib_own++;
	lib_set = (void *(*)(void *, int, size_t))chosen("memmove");
	s->set_was = (void *)lib_set;
	s->copy_was = chosen("memcpy");
	s->excluded = hs_aligned_alloc(1, PAGE, 2 * PAGE);
	CHECK(s->excluded);
	memset(s->excluded, 'e', 2 * PAGE);
	CHECK(!hs_exclude(s->excluded, PAGE));
	CHECK(!hs_threadreg(worker, s));
	if (hs_cpt(HSCPT_INCR) || hs_cpt(HSCPT_INCR)) {
		fprintf(stderr, "# %s\n", hs_error());
		return 1;
	}
	return 0;
}

static const char *self;

static int run(const char *tunables, const char *option)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid) {
		setenv("RANGES_PROGRAM", "1", 1);
		setenv("GLIBC_TUNABLES", tunables, 1);
		execl(self, "ranges_test", "-m", option, "image", "--", NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void variables_come_back(void **state)
{
	(void)state;
	if (!fixed_addresses())
		skip();
	assert_int_equal(run("", "-f"), 0);
	assert_int_equal(run("", "-r"), 0);
}

/* As on a host with another CPU. */
static void what_the_cpu_chose_is_chosen_again(void **state)
{
	int ret;

	(void)state;
	if (!fixed_addresses())
		skip();
	assert_int_equal(run("", "-f"), 0);
	ret = run("glibc.cpu.hwcaps=-AVX2_Usable,-AVX_Fast_Unaligned_Load,-ERMS,-FSRM,"
		  "-AVX512F_Usable,-AVX512VL_Usable,-AVX2,-AVX512F,-AVX512VL", "-r");
	if (!ret)
		printf("# this CPU leaves no choice\n");
	else
		assert_int_equal(ret, 77);
}

/* Against a list of bits. */
static void intervals_are_right(void **state)
{
	struct hs_intervals l = { 0 };
	unsigned char bit[200] = { 0 };
	size_t i, n, a, b;

	(void)state;
	for (n = 0; n < 5000; n++) {
		a = (size_t)random() % 199;
		b = a + 1 + (size_t)random() % (199 - a);
		if (random() % 2) {
			assert_int_equal(hs_intervals_add(&l, a, b), 0);
			memset(bit + a, 1, b - a);
		} else {
			assert_int_equal(hs_intervals_remove(&l, a, b), 0);
			memset(bit + a, 0, b - a);
		}
		for (i = 0; i < 199; i++)
			assert_int_equal(hs_intervals_have(&l, i, i + 1), bit[i]);
		for (i = 1; i < l.nr; i++)
			assert_true(l.v[i - 1].end < l.v[i].start);
	}
	free(l.v);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(intervals_are_right),
		cmocka_unit_test(variables_come_back),
		cmocka_unit_test(what_the_cpu_chose_is_chosen_again),
	};
	char dir[] = "/tmp/hotspare-ranges-test.XXXXXX";
	int ret;

	if (getenv("RANGES_PROGRAM"))
		return hs_init(argc, argv) < 0 ? 3 : save();
	self = realpath("/proc/self/exe", NULL);
	if (!mkdtemp(dir) || chdir(dir))
		return 1;
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	if (system("rm -f image*") || chdir("/") || rmdir(dir))
		printf("# %s: %s\n", dir, strerrorname_np(errno));
	return ret;
}
