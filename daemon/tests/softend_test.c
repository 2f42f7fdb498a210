// SPDX-License-Identifier: GPL-2.0-or-later
/* Why a session of the soft engine ended: processes that end in each way. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <linux/cptdev_netlink.h>

#include "ckdev.h"
#include "pair.h"
#include "soft.h"

static struct soft soft;
static char dir[] = "/tmp/cptdev-softend-XXXXXX";
static char path[64];

static struct seen {
	bool gone;
	u32 end;
	u32 code;
} seen;

static void see(const struct kernel_event *ev, void *arg)
{
	(void)arg;
	if (ev->session && ev->cmd == CPTDEV_CMD_SESSION_GONE_NTF)
		seen = (struct seen) { true, ev->session->end, ev->session->end_code };
}

static void turn_until_gone(void)
{
	u64 until = clock_mono() + WAIT_MS * NSEC_PER_MSEC;

	while (!seen.gone && clock_mono() < until)
		soft.kernel.ops->events(&soft.kernel, see, NULL);
	assert_true(seen.gone);
}

/* A process with a session, that does this with it. It is waited for after the engine knew. */
static pid_t start(void (*fn)(int fd))
{
	pid_t pid = fork();
	int fd;

	seen = (struct seen) {};
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fd = ckdev_soft_open(path);
	if (fd < 0 || ckdev_session(fd, "kv", 0, 0, 0))
		_exit(99);
	fn(fd);
	_exit(98);
}

static void ends(void (*fn)(int fd), u32 end, u32 code)
{
	pid_t pid = start(fn);

	turn_until_gone();
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_int_equal(seen.end, end);
	assert_int_equal(seen.code, code);
}

static void closes(int fd)
{
	close(fd);
	pause();
}

static void exits(int fd)
{
	(void)fd;
	_exit(0);
}

static void fails(int fd)
{
	(void)fd;
	_exit(3);
}

static void is_killed(int fd)
{
	(void)fd;
	kill(getpid(), SIGKILL);
}

static void crashes(int fd)
{
	(void)fd;
	abort();
}

static void becomes_another(int fd)
{
	(void)fd;
	execl("/bin/sleep", "sleep", "1000", NULL);
}

/* The socket lives on in a child. */
static void leaves_a_child(int fd)
{
	(void)fd;
	if (fork())
		_exit(4);
	prctl(PR_SET_PDEATHSIG, 0);
	sleep(10);
	_exit(0);
}

static void waits(int fd)
{
	(void)fd;
	pause();
}

static void each_end_has_its_reason(void **state)
{
	(void)state;
	ends(closes, CPTDEV_END_CLOSED, 0);
	ends(exits, CPTDEV_END_EXITED, 0);
	ends(fails, CPTDEV_END_EXITED, 3);
	ends(is_killed, CPTDEV_END_KILLED, SIGKILL);
	ends(crashes, CPTDEV_END_KILLED, SIGABRT);
	ends(becomes_another, CPTDEV_END_EXEC, 0);
	ends(leaves_a_child, CPTDEV_END_EXITED, 4);
}

static bool is_there(void)
{
	return !LIST_EMPTY(&soft.sessions);
}

/* Somebody has waited for it: its number may be another process's. */
static void who_was_waited_for_gives_no_reason(void **state)
{
	u64 until = clock_mono() + WAIT_MS * NSEC_PER_MSEC;
	pid_t pid = start(waits);

	(void)state;
	while (!is_there() && clock_mono() < until)
		soft.kernel.ops->events(&soft.kernel, see, NULL);
	assert_false(seen.gone);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	turn_until_gone();
	assert_int_equal(seen.end, CPTDEV_END_UNKNOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_end_has_its_reason),
		cmocka_unit_test(who_was_waited_for_gives_no_reason),
	};
	int ret;

	if (!mkdtemp(dir))
		return 1;
	snprintf(path, sizeof(path), "%s/programs", dir);
	if (soft_open(&soft, 0) || soft_programs_open(&soft, path))
		return 1;
	cmocka_set_message_output(CM_OUTPUT_TAP);
	ret = cmocka_run_group_tests_name("ends in the soft engine", tests, NULL, NULL);
	soft_close(&soft);
	rmdir(dir);
	return ret;
}
