// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What hs_init() assumes about the environment: where it isn't so the program is told what to
 * do, once, and doesn't begin. Each start has a time limit: one that execs itself for ever
 * runs into it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../hotspare.h"
#include "child.h"

#define LIMIT_S		20

static const char *self;
static int counter;

static void worker(void *arg)
{
	(void)arg;
	exit(counter == 42 ? 0 : 4);
}

/* "-f": writes one checkpoint, "-r": goes on from there. */
static int program(int argc, char **argv)
{
	if (getenv("IN_THE_WAY"))
		CHECK(mmap((void *)0x200000000000UL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS |
			   MAP_FIXED_NOREPLACE, -1, 0) != MAP_FAILED);
	if (hs_init(argc, argv) < 0)
		return 3;
	CHECK(!getenv("HOTSPARE_STARTED"));
	CHECK(!hs_range(&counter, sizeof(counter)) && !hs_threadreg(worker, NULL));
	counter = 42;
	return hs_cpt(0) ? 5 : 0;
}

/* What the child does before it becomes the program. */
typedef void (*prepare_fn)(void);

static int run_file(const char *file, prepare_fn prepare, const char *option)
{
	int status, out;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid) {
		end_with_parent();
		/* In memory that is no program's any more, exec keeps it. */
		alarm(LIMIT_S);
		out = open("out", O_WRONLY | O_CREAT | O_TRUNC, 0644);
		dup2(out, STDERR_FILENO);
		setenv("START_PROGRAM", "1", 1);
		if (prepare)
			prepare();
		execl(file, "start_test", "-m", option, "image", "--", NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int run(prepare_fn prepare, const char *option)
{
	return run_file(self, prepare, option);
}

static void assert_said(const char *words)
{
	char text[4096] = "";
	FILE *f = fopen("out", "r");

	assert_non_null(f);
	text[fread(text, 1, sizeof(text) - 1, f)] = 0;
	fclose(f);
	if (!strstr(text, words))
		fail_msg("said '%s' and not '%s'", text, words);
}

/* @answer: of personality(2), unless it is only asked: SECCOMP_RET_ERRNO with 0 is a lie. */
static void filter_personality(unsigned int answer)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_personality, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0xffffffff, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | answer),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog prog = { sizeof(code) / sizeof(code[0]), code };

	personality(0);
	CHECK(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	CHECK(!prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog));
}

static void lie(void)
{
	filter_personality(0);
}

static void forbid(void)
{
	filter_personality(EPERM);
}

static void a_profile_that_takes_it_back_ends_it(void **state)
{
	(void)state;
	assert_int_equal(run(lie, "-f"), 3);
	assert_said("is on again after exec: a security profile (seccomp, AppArmor) undoes this");
	assert_int_equal(run(forbid, "-f"), 3);
	assert_said("a security profile forbids personality(2)");
	if (fixed_addresses())
		assert_int_equal(run(NULL, "-f"), 0);
}

static void no_privileges(void)
{
	personality(0);
}

/* The kernel takes it back from a program that gets rights by exec. */
static void a_program_with_other_rights_ends(void **state)
{
	(void)state;
	if (geteuid() || !fixed_addresses())
		skip();
	assert_int_equal(system("cp \"$SELF\" other && chown 65534 other && chmod 4755 other && chmod 777 ."), 0);
	unlink("image");
	unlink("out");
	assert_int_equal(run_file("./other", no_privileges, "-f"), 3);
	assert_said("in a program that gains rights by exec");
	assert_int_equal(unlink("other"), 0);
}

static void limit(int what, rlim_t value)
{
	const struct rlimit l = { value, RLIM_INFINITY };

	CHECK(!setrlimit((__rlimit_resource_t)what, &l));
}

static void stack_unlimited(void)
{
	limit(RLIMIT_STACK, RLIM_INFINITY);
}

static void stack_large(void)
{
	limit(RLIMIT_STACK, 1UL << 30);
}

static void stack_small(void)
{
	limit(RLIMIT_STACK, 4UL << 20);
}

static void stack_usual(void)
{
	limit(RLIMIT_STACK, 8UL << 20);
}

static void another_stack_limit_is_named(void **state)
{
	(void)state;
	if (!fixed_addresses())
		skip();
	assert_int_equal(run(stack_unlimited, "-f"), 0);
	assert_int_equal(run(stack_usual, "-r"), 3);
	assert_said("the stack limit was unlimited at the checkpoint, here it is 8192 KiB");
	/* The advice works. */
	assert_int_equal(run(stack_unlimited, "-r"), 0);
	assert_int_equal(run(stack_usual, "-f"), 0);
	assert_int_equal(run(stack_large, "-r"), 3);
	assert_said("the stack limit was 8192 KiB at the checkpoint, here it is 1048576 KiB");
	/* This one makes no difference. */
	assert_int_equal(run(stack_small, "-r"), 0);
	assert_int_equal(run(stack_usual, "-r"), 0);
}

static void preload(void)
{
	setenv("LD_PRELOAD", "libdl.so.2", 1);
}

static void another_library_is_named(void **state)
{
	(void)state;
	if (!fixed_addresses())
		skip();
	assert_int_equal(run(NULL, "-f"), 0);
	assert_int_equal(run(preload, "-r"), 3);
	assert_said("LD_PRELOAD is '' in the checkpoint, here 'libdl.so.2'");
	assert_int_equal(run(preload, "-f"), 0);
	assert_int_equal(run(NULL, "-r"), 3);
	assert_said("a library of dlopen(3) must be there before hs_init(3)");
	assert_int_equal(run(preload, "-r"), 0);
}

static void files_small(void)
{
	limit(RLIMIT_FSIZE, 1UL << 30);
}

static void memory_small(void)
{
	limit(RLIMIT_AS, 100UL << 30);
}

static void in_the_way(void)
{
	setenv("IN_THE_WAY", "1", 1);
}

static void each_limit_is_told(void **state)
{
	(void)state;
	if (!fixed_addresses())
		skip();
	assert_int_equal(run(files_small, "-f"), 3);
	assert_said("ulimit -f");
	assert_int_equal(run(memory_small, "-f"), 3);
	assert_said("ulimit -v");
	assert_int_equal(run(in_the_way, "-f"), 3);
	assert_said("at 0x200000000000, where checkpoint memory has to be, there is other memory");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_profile_that_takes_it_back_ends_it),
		cmocka_unit_test(a_program_with_other_rights_ends),
		cmocka_unit_test(another_stack_limit_is_named),
		cmocka_unit_test(another_library_is_named),
		cmocka_unit_test(each_limit_is_told),
	};
	char dir[] = "/tmp/hotspare-start-test.XXXXXX";
	int ret;

	if (getenv("START_PROGRAM"))
		return program(argc, argv);
	self = realpath("/proc/self/exe", NULL);
	setenv("SELF", self, 1);
	if (!mkdtemp(dir) || chdir(dir))
		return 1;
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	if (system("rm -f image* out other") || chdir("/") || rmdir(dir))
		printf("# %s: %s\n", dir, strerrorname_np(errno));
	return ret;
}
