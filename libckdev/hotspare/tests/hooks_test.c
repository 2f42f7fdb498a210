// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Hooks: around each cut, and in a program that goes on. The programs are this one, which
 * starts itself; they say in a file what they do.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "../hooks.h"
#include "../hotspare.h"
#include "child.h"

#define CLASS	1
#define OUT_FD	50
#define PIPE_FD	40

/*
 * In this process: what was called is written down
 */

static char called[64];

static void note(char what, const void *arg)
{
	size_t n = strlen(called);

	assert_true(n + 2 < sizeof(called));
	called[n] = what;
	called[n + 1] = *(const char *)arg;
}

static void before(void *arg)
{
	note('b', arg);
}

static void after(void *arg)
{
	note('a', arg);
}

static void restarted(void *arg)
{
	note('r', arg);
}

static const struct hs_hook all = { before, after, restarted };
static char one[] = "1", two[] = "2", three[] = "3";

static int pipe_to_file(void **state)
{
	(void)state;
	memset(called, 0, sizeof(called));
	return hs_cpipe_init(2) && errno != EEXIST;
}

static void they_are_called_in_their_order(void **state)
{
	const struct hs_hook only_after = { .after = after };
	struct hs_error e = { "" };

	(void)state;
	assert_int_equal(hs_cpipe_loadfile("image"), 0);
	assert_int_equal(hs_hook(&all, one), 0);
	assert_int_equal(hs_hook(&only_after, two), 0);
	assert_int_equal(hs_hook(&all, three), 0);
	assert_int_equal(hs_cpt(0), 0);
	assert_string_equal(called, "b3b1a1a2a3");
	memset(called, 0, sizeof(called));
	assert_int_equal(hs_hooks_restarted(&e), 0);
	assert_string_equal(called, "r1r3");
	memset(called, 0, sizeof(called));
	assert_int_equal(hs_unhook(&all, one), 0);
	assert_int_equal(hs_unhook(&only_after, two), 0);
	assert_int_equal(hs_cpt(HSCPT_ASYNC), 0);
	assert_string_equal(called, "b3a3");
	assert_int_equal(hs_cpt_wait(), 0);
	assert_int_equal(hs_unhook(&all, three), 0);
	assert_int_equal(hs_cpt(0), 0);
	assert_string_equal(called, "b3a3");
}

/* As if something went wrong at the cut: what was locked is unlocked. */
static void a_cut_that_fails_has_them_too(void **state)
{
	int fd = open("/dev/null", O_RDONLY);

	(void)state;
	assert_int_equal(hs_hook(&all, one), 0);
	assert_int_equal(hs_fdreg(fd), 0);
	close(fd);
	assert_int_equal(hs_cpt(0), -1);
	assert_int_equal(errno, EBADF);
	assert_string_equal(called, "b1a1");
	assert_int_equal(hs_fd_deregister(fd), 0);
	assert_int_equal(hs_cpt(0), 0);
	assert_string_equal(called, "b1a1b1a1");
	assert_int_equal(hs_unhook(&all, one), 0);
}

static void assert_refused(int ret, int err)
{
	assert_int_equal(ret, -1);
	assert_int_equal(errno, err);
}

static void call_the_library(void *arg)
{
	note('x', arg);
	assert_refused(hs_cpt(0), EDEADLK);
	assert_non_null(strstr(hs_error(), "hook"));
	assert_refused(hs_cpt_wait(), EDEADLK);
	assert_refused(hs_stop(), EDEADLK);
	assert_refused(hs_cpipe_init(1), EDEADLK);
	assert_refused(hs_cpipe_loadfile("other"), EDEADLK);
	/* All else may be called. */
	hs_hold();
	hs_free(CLASS, hs_malloc(CLASS, 100));
	hs_release();
	assert_int_equal(hs_sigreg(10), 0);
	assert_int_equal(hs_sigdereg(10), 0);
	assert_int_equal(hs_hook(&all, one), 0);
	assert_int_equal(hs_unhook(&all, one), 0);
}

static void what_a_hook_may_not_call_fails(void **state)
{
	const struct hs_hook h = { .before = call_the_library, .after = call_the_library };
	int fd = open("/dev/null", O_RDONLY);

	(void)state;
	assert_int_equal(hs_malloc_create(CLASS, 4096), 0);
	assert_int_equal(hs_hook(&h, one), 0);
	assert_int_equal(hs_cpt(0), 0);
	assert_string_equal(called, "x1x1");
	/* Nor does it change what hs_cpt() says. */
	assert_int_equal(hs_fdreg(fd), 0);
	close(fd);
	assert_refused(hs_cpt(0), EBADF);
	assert_null(strstr(hs_error(), "hook"));
	assert_int_equal(hs_fd_deregister(fd), 0);
	assert_int_equal(hs_unhook(&h, one), 0);
}

static void hold(void *arg)
{
	(void)arg;
	hs_hold();
}

static void release(void *arg)
{
	(void)arg;
	hs_release();
}

static void one_that_holds_off_its_own_cut_is_told(void **state)
{
	const struct hs_hook h = { .before = hold, .after = release };

	(void)state;
	assert_int_equal(hs_hook(&h, NULL), 0);
	assert_refused(hs_cpt(0), EDEADLK);
	assert_non_null(strstr(hs_error(), "a hook called hs_hold() and not hs_release()"));
	assert_int_equal(hs_unhook(&h, NULL), 0);
	assert_int_equal(hs_cpt(0), 0);
}

/* One that takes itself away, and brings another: from the next cut on. */
static void change_list(void *arg)
{
	const struct hs_hook me = { change_list, after, NULL };

	note('c', arg);
	assert_int_equal(hs_unhook(&me, arg), 0);
	assert_int_equal(hs_hook(&all, two), 0);
}

static void those_after_belong_to_those_before(void **state)
{
	const struct hs_hook h = { change_list, after, NULL };

	(void)state;
	assert_int_equal(hs_hook(&h, one), 0);
	assert_int_equal(hs_cpt(0), 0);
	assert_string_equal(called, "c1a1");
	assert_int_equal(hs_cpt(0), 0);
	assert_string_equal(called, "c1a1b2a2");
	assert_int_equal(hs_unhook(&all, two), 0);
}

static void wrong_arguments_are_refused(void **state)
{
	const struct hs_hook none = { NULL, NULL, NULL };
	const struct hs_hook other = { before, after, NULL };
	static char arg[1025];
	int i;

	(void)state;
	assert_refused(hs_hook(&none, NULL), EINVAL);
	assert_refused(hs_unhook(&all, one), ENOENT);
	assert_int_equal(hs_hook(&all, one), 0);
	assert_refused(hs_hook(&all, one), EEXIST);
	assert_refused(hs_unhook(&all, two), ENOENT);
	assert_refused(hs_unhook(&other, one), ENOENT);
	assert_int_equal(hs_unhook(&all, one), 0);
	for (i = 0; i < 1024; i++)
		assert_int_equal(hs_hook(&all, &arg[i]), 0);
	assert_refused(hs_hook(&all, &arg[i]), ENOSPC);
	while (i--)
		assert_int_equal(hs_unhook(&all, &arg[i]), 0);
	assert_refused(hs_hook(&none, NULL), EINVAL);
}

static int parse_text(const char *text)
{
	struct json_object *json = json_tokener_parse(text);
	struct hs_error e = { "" };
	struct hs_hooks list;
	int ret = hs_hooks_parse(&list, json, &e);

	assert_true(!ret || (errno == EBADMSG && e.text[0]));
	if (!ret)
		hs_hooks_free(&list);
	json_object_put(json);
	return ret;
}

static void nonsense_is_refused(void **state)
{
	static const char sample[] = "[{\"before\":1,\"after\":2,\"restarted\":0,\"arg\":0}]";
	static const char *const bad[] = {
		"{}", "null", "[1]", "[{}]", "[{\"before\":0,\"after\":0,\"restarted\":0,\"arg\":9}]",
	};
	static const char bytes[] = "\"{}[]:,0-9e.xnt ";
	char text[sizeof(sample)];
	size_t i, j;

	(void)state;
	assert_int_equal(parse_text(sample), 0);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(parse_text(bad[i]), -1);
	strcpy(text, sample);
	for (i = 0; text[i]; i++) {
		for (j = 0; j < sizeof(bytes) - 1; j++) {
			text[i] = bytes[j];
			parse_text(text);
		}
		text[i] = sample[i];
	}
}

/*
 * The program
 */

struct counts {
	int before, after;
};

static int begun;			/* threads */

static void tell(const char *what, int n)
{
	char text[64];
	int len = snprintf(text, sizeof(text), "%s %d\n", what, n);

	CHECK(write(OUT_FD, text, (size_t)len) == len);
}

static void count_before(void *arg)
{
	((struct counts *)arg)->before++;
}

static void count_after(void *arg)
{
	((struct counts *)arg)->after++;
}

/* What belongs to the thread that the first hook registers. */
static void late_thread(void *arg)
{
	(void)arg;
	__atomic_add_fetch(&begun, 1, __ATOMIC_SEQ_CST);
	tell("late", 1);
}

/* All is back but threads: memory, with what was before the cut only, and descriptors. */
static void first_hook(void *arg)
{
	const struct counts *c = arg;
	char byte;

	CHECK(!begun);
	CHECK(read(PIPE_FD, &byte, 1) == 1 && byte == 'x');
	CHECK(write(PIPE_FD + 1, "x", 1) == 1);
	CHECK(!hs_threadreg(late_thread, NULL) || errno == EEXIST);
	tell("first", 10 * c->before + c->after);
}

/* Here a checkpoint may be taken. */
static void second_hook(void *arg)
{
	const struct counts *c = arg;
	int had = c->before;

	tell("second", had);
	if (getenv("AGAIN")) {
		CHECK(!hs_cpipe_init(1) && !hs_cpipe_loadfile(getenv("AGAIN")));
		CHECK(!hs_cpt(0) && c->before == had + 1);
	}
}

static void on(void *arg)
{
	const struct counts *c = arg;

	__atomic_add_fetch(&begun, 1, __ATOMIC_SEQ_CST);
	tell("on", c->before);
}

static int program(int argc, char **argv)
{
	const struct hs_hook first = { .before = count_before, .restarted = first_hook };
	const struct hs_hook second = { .after = count_after, .restarted = second_hook };
	int fd = open(getenv("OUT"), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600), p[2];
	struct counts *c;

	CHECK(fd >= 0 && dup2(fd, OUT_FD) == OUT_FD && !close(fd));
	if (hs_init(argc, argv) < 0)
		return 3;
	CHECK(!hs_malloc_create(CLASS, 4096));
	c = hs_calloc(CLASS, 1, sizeof(*c));
	CHECK(c && !hs_hook(&first, c) && !hs_hook(&second, c) && !hs_threadreg(on, c));
	CHECK(!pipe(p) && dup2(p[0], PIPE_FD) >= 0 && dup2(p[1], PIPE_FD + 1) >= 0);
	CHECK(write(p[1], "x", 1) == 1);
	CHECK(!hs_fdreg(PIPE_FD) && !hs_fdreg(PIPE_FD + 1));
	/* Until there is a spare. */
	while (hs_cpt(0))
		usleep(20000);
	CHECK(!hs_cpt(HSCPT_INCR));
	CHECK(c->before == c->after);
	/* It has no time for a last word. */
	_exit(7);
}

/*
 * Programs
 */

static const char *self;
static char port[8];

static pid_t start(const char *out, const char *again, const char *option, const char *value)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid)
		return pid;
	end_with_parent();
	setenv("OUT", out, 1);
	setenv("HOOKS_PROGRAM", "1", 1);
	if (again)
		setenv("AGAIN", again, 1);
	execl(self, "hooks_test", "-t", "60", "-p", port, *option == 's' ? "-s" : "-m",
	      value ? option : "--", value, "--", NULL);
	_exit(127);
}

static int end_of(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* Of two threads that begin, either may be the first. */
static void assert_threads_after(const char *path, const char *hooks, int n)
{
	char text[256] = "", want[2][64];
	int fd = open(path, O_RDONLY);

	assert_true(fd >= 0 && read(fd, text, sizeof(text) - 1) >= 0);
	close(fd);
	unlink(path);
	assert_memory_equal(text, hooks, strlen(hooks));
	snprintf(want[0], sizeof(want[0]), "on %d\nlate 1\n", n);
	snprintf(want[1], sizeof(want[1]), "late 1\non %d\n", n);
	assert_true(!strcmp(text + strlen(hooks), want[0]) ||
		    !strcmp(text + strlen(hooks), want[1]));
}

static void a_restart_from_files_calls_them(void **state)
{
	(void)state;
	if (!fixed_addresses())
		skip();
	assert_int_equal(end_of(start("out", NULL, "-f", "image")), 7);
	assert_int_equal(end_of(start("out", NULL, "-r", "image")), 0);
	assert_threads_after("out", "first 21\nsecond 2\n", 2);
	/* One of them takes a checkpoint, in which they are again, and the thread, too. */
	assert_int_equal(end_of(start("out", "image2", "-r", "image")), 0);
	unlink("out");
	assert_int_equal(end_of(start("out", NULL, "-r", "image2")), 0);
	assert_threads_after("out", "first 31\nsecond 3\n", 3);
}

static void a_spare_calls_them(void **state)
{
	pid_t spare;

	(void)state;
	if (!fixed_addresses())
		skip();
	spare = start("spare", NULL, "s", NULL);
	assert_int_equal(end_of(start("out", NULL, "-a", "127.0.0.1")), 7);
	assert_int_equal(end_of(spare), 0);
	assert_threads_after("spare", "first 21\nsecond 2\n", 2);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(they_are_called_in_their_order, pipe_to_file),
		cmocka_unit_test_setup(a_cut_that_fails_has_them_too, pipe_to_file),
		cmocka_unit_test_setup(what_a_hook_may_not_call_fails, pipe_to_file),
		cmocka_unit_test_setup(one_that_holds_off_its_own_cut_is_told, pipe_to_file),
		cmocka_unit_test_setup(those_after_belong_to_those_before, pipe_to_file),
		cmocka_unit_test(wrong_arguments_are_refused),
		cmocka_unit_test(nonsense_is_refused),
		cmocka_unit_test(a_restart_from_files_calls_them),
		cmocka_unit_test(a_spare_calls_them),
	};
	char dir[] = "/tmp/hotspare-hooks-test.XXXXXX";
	int ret;

	if (getenv("HOOKS_PROGRAM"))
		return program(argc, argv);
	self = realpath("/proc/self/exe", NULL);
	own_network();
	snprintf(port, sizeof(port), "%d", own_port());
	if (!mkdtemp(dir) || chdir(dir))
		return 1;
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	if (system("rm -rf ./*") || chdir("/") || rmdir(dir))
		printf("# %s: %s\n", dir, strerrorname_np(errno));
	return ret;
}
