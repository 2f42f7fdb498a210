// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What an ordinary server does with processes and signals beside the library's: it forks with
 * threads about, waits for any child, becomes a daemon. The oracle is what the program told
 * when it was delivered, as in pair_test.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../hotspare.h"
#include "program.h"

#define CLASS	5
#define HANDS	3
#define FORKS	400
#define HANG_S	20

/*
 * Children of a program with threads
 */

static atomic_bool over;

static void nothing(void *arg)
{
	(void)arg;
}

/* All that takes a lock of the library, as often as possible. */
static void *keep_busy(void *arg)
{
	const struct hs_hook hook = { .before = nothing };
	struct hs_malloc_info info;

	while (!over) {
		hs_free(CLASS, hs_malloc(CLASS, 100));
		hs_threadreg(nothing, arg);
		hs_threaddereg(nothing, arg);
		hs_hook(&hook, arg);
		hs_unhook(&hook, arg);
		hs_section_set("mine", "x", 1);
		hs_sigreg(SIGUSR1);
		hs_sigdereg(SIGUSR1);
		hs_hold();
		hs_malloc_info(CLASS, &info);
		hs_release();
	}
	return NULL;
}

/* Who wants to write makes those wait who want to read. */
static void *keep_cutting(void *arg)
{
	while (!over)
		CHECK(!hs_cpt(HSCPT_INCR));
	return arg;
}

/* A lock that nobody gives back is waited for until the alarm. */
static void use_everything(void)
{
	const struct hs_hook hook = { .after = nothing };
	struct hs_stats stats;
	char *p;

	alarm(HANG_S);
	p = hs_malloc(CLASS, 5000);
	CHECK(p && hs_realloc(CLASS, p, 9000) && !hs_malloc_check(CLASS));
	hs_hold();
	hs_release();
	CHECK(!hs_threadreg(nothing, p) && !hs_hook(&hook, NULL));
	CHECK(!hs_section_set("a.child's", "y", 1) && !hs_sigreg(SIGUSR2));
	CHECK(!hs_malloc_create(CLASS + 1, 1));
	hs_stats(&stats);
	CHECK(hs_cpt(0) == -1 && errno == ECHILD);
	_exit(0);
}

static void threads_and_children(void)
{
	static char names[HANDS];
	pthread_t id[HANDS], cutter;
	int i, status;
	pid_t pid;

	CHECK(!hs_malloc_create(CLASS, 1 << 20));
	CHECK(!hs_cpipe_init(1) && !hs_cpipe_load(open("/dev/null", O_WRONLY)));
	for (i = 0; i < HANDS; i++)
		CHECK(!pthread_create(&id[i], NULL, keep_busy, &names[i]));
	CHECK(!pthread_create(&cutter, NULL, keep_cutting, NULL));
	for (i = 0; i < FORKS; i++) {
		/* For each: what is limited is a hang, not how fast the machine is. */
		alarm(HANG_S * 4);
		pid = fork();
		if (!pid)
			use_everything();
		CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
		CHECK(!status);
	}
	over = true;
	for (i = 0; i < HANDS; i++)
		pthread_join(id[i], NULL);
	pthread_join(cutter, NULL);
}

static void in_child(void (*fn)(void))
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid) {
		fn();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void a_child_finds_no_lock_taken(void **state)
{
	(void)state;
	in_child(threads_and_children);
}

/* fork(2) between hs_hold() and hs_release(), and in a hook. */
static void fork_in_hook(void *arg)
{
	int status;
	pid_t pid = fork();

	(void)arg;
	if (!pid)
		_exit(0);
	CHECK(waitpid(pid, &status, 0) == pid && !status);
}

static void fork_where_nothing_may_wait(void)
{
	const struct hs_hook hook = { .before = fork_in_hook, .after = fork_in_hook };
	int status;
	pid_t pid;

	alarm(HANG_S);
	CHECK(!hs_cpipe_init(1) && !hs_cpipe_load(open("/dev/null", O_WRONLY)));
	CHECK(!hs_hook(&hook, NULL) && !hs_cpt(0) && !hs_unhook(&hook, NULL));
	hs_hold();
	pid = fork();
	if (!pid) {
		hs_hold();
		hs_release();
		hs_release();
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && !status);
	hs_release();
	CHECK(!hs_cpt(0));
}

static void sections_and_hooks_may_fork(void **state)
{
	(void)state;
	in_child(fork_where_nothing_may_wait);
}

/*
 * Who takes the checkpoints
 */

static void children_are_refused(void)
{
	int status, fd = open("/dev/null", O_WRONLY);
	pid_t pid;

	CHECK(!hs_cpipe_init(2) && !hs_cpipe_load(fd) && !hs_cpt(0));
	pid = fork();
	if (!pid) {
		CHECK(hs_cpt(0) == -1 && errno == ECHILD);
		CHECK(strstr(hs_error(), "is a child of process"));
		CHECK(strstr(hs_error(), "hs_daemon"));
		CHECK(hs_cpt_wait() == -1 && errno == ECHILD);
		CHECK(hs_stop() == -1 && errno == ECHILD);
		CHECK(hs_cpipe_init(1) == -1 && errno == ECHILD);
		CHECK(hs_cpipe_load(fd) == -1 && errno == ECHILD);
		CHECK(hs_daemon(1, 1) == -1 && errno == ECHILD);
		CHECK(hs_init(2, (char *[]) { (char *)"x", (char *)"-m", NULL }) == -1);
		CHECK(errno == ECHILD);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && !status);
	CHECK(!hs_cpt(0) && !hs_cpt_wait());
}

static void a_child_takes_no_checkpoints(void **state)
{
	(void)state;
	in_child(children_are_refused);
}

/* Whoever waits for any child may get ours. */
static void *wait_for_all(void *arg)
{
	while (!over)
		waitpid(-1, NULL, __WALL | WNOHANG);
	return arg;
}

static void others_wait(void)
{
	pthread_t id;
	int i;

	CHECK(signal(SIGCHLD, SIG_IGN) != SIG_ERR);
	CHECK(!hs_cpipe_init(1) && !hs_cpipe_load(open("/dev/null", O_WRONLY)));
	CHECK(!pthread_create(&id, NULL, wait_for_all, NULL));
	for (i = 0; i < 300; i++)
		CHECK(!hs_cpt(0));
	CHECK(!hs_cpipe_load(open("/dev/full", O_WRONLY)) || errno == ENOSPC);
	over = true;
	pthread_join(id, NULL);
}

static void who_waits_for_all_children_disturbs_nothing(void **state)
{
	(void)state;
	in_child(others_wait);
}

/*
 * Daemons
 */

struct count {
	unsigned long n;
	int how;
};

static void work(void *arg)
{
	struct count *c = arg;

	if (c->n)
		tell("on", c->n);
	for (;;) {
		c->n++;
		if (!hs_cpt(HSCPT_INCR))
			tell("has", c->n);
		else
			tell(errno == ECHILD ? "child" : "failed", (unsigned long)errno);
		rest(2);
	}
}

/*
 * Programs that close all descriptors
 */

#define PAIRS	40			/* more descriptors than were closed */

static void assert_untouched(int pair[PAIRS][2])
{
	char c;
	int i;

	for (i = 0; i < 2 * PAIRS; i++)
		CHECK(recv(pair[i / 2][i % 2], &c, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN);
}

/* What the program has opened since, under the numbers of the library, stays as it is. */
static int close_all(void)
{
	int pair[PAIRS][2], i;
	pid_t parent = getpid(), pid;

	CHECK(!hs_cpt(HSCPT_INCR) && !hs_cpt(HSCPT_ASYNC));
	/* A child has descriptors of its own; a thread would go on with the numbers. */
	if (!strcmp(hs_backend(), "module"))
		CHECK(!hs_cpt_wait());
	CHECK(!close_range(STDERR_FILENO + 1, OUT_FD - 1, 0) && !close_range(OUT_FD + 1, ~0U, 0));
	CHECK(hs_cpt(0) == -1 && errno == EBADF);
	CHECK(strstr(hs_error(), "the program has closed descriptor"));
	for (i = 0; i < PAIRS; i++)
		CHECK(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair[i]));
	for (i = 0; i < 3; i++)
		CHECK(hs_cpt(i ? HSCPT_INCR : 0) == -1 && errno == EBADF);
	CHECK(strstr(hs_error(), "before hs_init(3)"));
	CHECK(hs_cpt_wait() == -1 && errno == EBADF && hs_check() == -1 && errno == EBADF);
	assert_untouched(pair);
	pid = fork();
	if (pid)
		return pid < 0;
	/* Nor is anything said when the program ends. */
	while (getppid() == parent)
		rest(1);
	assert_untouched(pair);
	tell("untouched", 1);
	_exit(0);
}

static int program(int argc, char **argv)
{
	struct count *c;

	open_out();
	if (hs_init(argc, argv) < 0)
		return 3;
	CHECK(!hs_malloc_create(CLASS, 4096));
	c = hs_calloc(CLASS, 1, sizeof(*c));
	CHECK(c && !hs_threadreg(work, c));
	if (*setting("CLOSE"))
		return close_all();
	while (c->n < 5) {
		c->n++;
		if (!hs_cpt(HSCPT_INCR))
			tell("has", c->n);
		rest(10);
	}
	CHECK(!hs_daemon(0, 0));
	tell("pid", (unsigned long)getpid());
	CHECK(!access("/", F_OK) && getppid() != 0);
	work(c);
	return 0;
}

/*
 * The parent of the daemon ends, and the spare waits on; then the daemon is killed. It isn't
 * our child, so its number is what it told.
 */
static void a_daemon_is_the_program(void **state)
{
	unsigned long n;
	pid_t spare, master;
	char out[64];

	(void)state;
	if (!fixed_addresses())
		skip();
	snprintf(out, sizeof(out), "%s/master", getcwd((char [48]) { "" }, 48));
	spare = start("spare", "-s");
	wait_for_spare();
	master = start(out, "-m", "-a", "127.0.0.1");
	assert_int_equal(end_of(master), 0);
	wait_for(out, "has", 50);
	assert_int_equal(last(out, "child"), 0);
	assert_int_equal(last("spare", "on"), 0);
	assert_int_equal(kill((pid_t)last(out, "pid"), SIGKILL), 0);
	n = last(out, "has");
	wait_for("spare", "on", n);
	assert_in_range(last("spare", "on"), n, n + 1);
	kill_off(spare);
}

static void who_closes_all_descriptors_is_told(void **state)
{
	pid_t spare;

	(void)state;
	if (!fixed_addresses())
		skip();
	spare = start("spare", "-s");
	wait_for_spare();
	assert_int_equal(end_of(start("out", "-m", "-a", "127.0.0.1", "CLOSE=1")), 0);
	wait_for("out", "untouched", 1);
	kill_off(spare);
	/* Files. */
	clean(NULL);
	assert_int_equal(end_of(start("out", "-m", "-f", "image", "CLOSE=1")), 0);
	wait_for("out", "untouched", 1);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_child_finds_no_lock_taken),
		cmocka_unit_test(sections_and_hooks_may_fork),
		cmocka_unit_test(a_child_takes_no_checkpoints),
		cmocka_unit_test(who_waits_for_all_children_disturbs_nothing),
		cmocka_unit_test_teardown(a_daemon_is_the_program, clean),
		cmocka_unit_test_teardown(who_closes_all_descriptors_is_told, clean),
	};
	char dir[] = "/tmp/hotspare-fork-test.XXXXXX";
	int ret;

	if (is_program())
		return program(argc, argv);
	self = realpath("/proc/self/exe", NULL);
	own_network();
	snprintf(port, sizeof(port), "%d", own_port());
	if (!mkdtemp(dir) || chdir(dir))
		return 1;
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	if (chdir("/") || rmdir(dir))
		printf("# %s: %s\n", dir, strerrorname_np(errno));
	return ret;
}
