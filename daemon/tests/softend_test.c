// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The reason for which a session of the soft engine ended: processes that end in each way. First
 * with an engine that may trace them, then with an engine of another user without rights, as the
 * unit runs it.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <linux/cptdev.h>
#include <linux/cptdev_netlink.h>

#include "ckdev.h"
#include "softwire.h"
#include "pair.h"
#include "soft.h"

/* The engine's user, where it has no rights. */
#define STRANGER	990

/* libckdev's: without the promise that ckdev_session() makes. */
int ckdev_soft_ioctl(int fd, unsigned long cmd, void *arg);
int ckdev_soft_say(int fd, unsigned int kind, unsigned int status, int file);

static struct soft soft;
static char dir[] = "/tmp/cptdev-softend-XXXXXX";
static char path[64];
static bool old_kernel;		/* exit codes aren't in a pidfd */
static int spawner = -1;	/* it starts the programs, as the user that we were */

static struct seen {
	bool gone;
	u32 end;
	u32 code;
} seen;

int __real_ioctl(int fd, unsigned long request, void *arg);
int __wrap_ioctl(int fd, unsigned long request, void *arg);

int __wrap_ioctl(int fd, unsigned long request, void *arg)
{
	if (!old_kernel || _IOC_TYPE(request) != 0xff || _IOC_NR(request) != 11)
		return __real_ioctl(fd, request, arg);
	errno = ENOTTY;
	return -1;
}

static void see(const struct kernel_event *ev, void *arg)
{
	(void)arg;
	if (ev->session && ev->cmd == CPTDEV_CMD_SESSION_GONE_NTF)
		seen = (struct seen) { true, ev->session->end, ev->session->end_code };
}

static void turn(void)
{
	soft.kernel.ops->events(&soft.kernel, see, NULL);
}

static void turn_until_gone(void)
{
	u64 until = clock_mono() + WAIT_MS * NSEC_PER_MSEC;

	while (!seen.gone && clock_mono() < until)
		turn();
	assert_true(seen.gone);
}

/*
 * Programs
 */

typedef void (*program_fn)(int fd);

static void dies(void)
{
	kill(getpid(), SIGKILL);
}

/* Handlers run in reverse order. */
static void is_killed_while_it_exits(int fd)
{
	(void)fd;
	exit(0);
}

/* As an older library is. */
static void promises_nothing(int fd)
{
	(void)fd;
	dies();
}

static void then_promises_nothing(int fd);

static int set_up(int fd, program_fn fn)
{
	struct cptdev_session_setup arg = { .size = sizeof(arg), .name = "kv" };

	if (fn == is_killed_while_it_exits)
		atexit(dies);
	if (fn == promises_nothing || fn == then_promises_nothing)
		return ckdev_soft_ioctl(fd, CPTDEV_IOC_SESSION_SETUP, &arg);
	return ckdev_session(fd, "kv", 0, 0, 0);
}

static void run(program_fn fn)
{
	int fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fd = ckdev_soft_open(path);
	if (fd < 0 || set_up(fd, fn))
		_exit(99);
	fn(fd);
	_exit(98);
}

static pid_t start_here(program_fn fn)
{
	pid_t pid = fork();

	if (!pid)
		run(fn);
	return pid;
}

enum order { START, AWAIT_END, END };

struct job {
	enum order order;
	program_fn fn;
	pid_t pid;
};

/* A process of its own user: forks, waits, kills. It answers with the number. */
static void spawn(int fd)
{
	struct job j;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (recv(fd, &j, sizeof(j), 0) == sizeof(j)) {
		if (j.order == START)
			j.pid = start_here(j.fn);
		if (j.order == END)
			kill(j.pid, SIGKILL);
		if (j.order != START)
			waitpid(j.pid, NULL, 0);
		send(fd, &j, sizeof(j), 0);
	}
	_exit(0);
}

static pid_t ask(enum order order, program_fn fn, pid_t pid)
{
	struct job j = { order, fn, pid };

	assert_int_equal(send(spawner, &j, sizeof(j), 0), sizeof(j));
	assert_int_equal(recv(spawner, &j, sizeof(j), 0), sizeof(j));
	return j.pid;
}

static pid_t start(program_fn fn)
{
	seen = (struct seen) {};
	return spawner < 0 ? start_here(fn) : ask(START, fn, 0);
}

/* It has ended, and somebody has waited for it. */
static void await_end(pid_t pid)
{
	if (spawner < 0)
		waitpid(pid, NULL, 0);
	else
		ask(AWAIT_END, NULL, pid);
}

static void end(pid_t pid)
{
	if (spawner >= 0) {
		ask(END, NULL, pid);
		return;
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* It is waited for after the engine knew. */
static void ends(program_fn fn, u32 how, u32 code)
{
	pid_t pid = start(fn);

	turn_until_gone();
	end(pid);
	assert_int_equal(seen.end, how);
	assert_int_equal(seen.code, code);
}

static bool is_there(void)
{
	return !LIST_EMPTY(&soft.sessions);
}

/* Of a session that there is: it reads from here when it may end. */
static int gate[2];

static void turn_until_there(void)
{
	u64 until = clock_mono() + WAIT_MS * NSEC_PER_MSEC;

	while (!is_there() && clock_mono() < until)
		turn();
	assert_true(is_there());
	/* What it says after that it has a name. */
	turn();
	turn();
}

/* Somebody has waited for it before the engine looks. */
static void ends_unwatched(program_fn fn, u32 how, u32 code)
{
	pid_t pid = start(fn);

	turn_until_there();
	assert_int_equal(write(gate[1], "", 1), 1);
	await_end(pid);
	assert_false(seen.gone);
	turn_until_gone();
	assert_int_equal(seen.end, how);
	assert_int_equal(seen.code, code);
}

static void closes(int fd)
{
	close(fd);
	pause();
}

static void says_that_it_closes(int fd)
{
	ckdev_session_end(fd);
	pause();
}

static void says_that_it_closes_and_ends(int fd)
{
	ckdev_session_end(fd);
	_exit(3);
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

static void says_that_it_exits(int fd)
{
	(void)fd;
	exit(0);
}

static void says_that_it_fails(int fd)
{
	(void)fd;
	exit(3);
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
static void leaves_a_child_and(void (*fn)(int status))
{
	if (fork())
		fn(4);
	prctl(PR_SET_PDEATHSIG, 0);
	sleep(10);
	_exit(0);
}

static void leaves_a_child(int fd)
{
	(void)fd;
	leaves_a_child_and(_exit);
}

static void says_it_and_leaves_a_child(int fd)
{
	(void)fd;
	leaves_a_child_and(exit);
}

/* The child has the library's handler, and the socket. */
static void its_child_exits(int fd)
{
	pid_t pid = fork();

	if (!pid)
		exit(0);
	waitpid(pid, NULL, 0);
	is_killed(fd);
}

/* By hand, in the name of the parent. */
static void its_child_lies(int fd)
{
	struct soft_end arg = { .size = sizeof(arg), .kind = SOFT_END_CLOSES };
	pid_t pid = fork();

	if (!pid)
		_exit(ckdev_soft_ioctl(fd, SOFT_END, &arg) == -EXDEV ? 0 : 1);
	waitpid(pid, NULL, 0);
	is_killed(fd);
}

/* On this gate: then it ends so. */
#define AFTER_THE_GATE(fn)				\
static void then_##fn(int fd)				\
{							\
	char byte;					\
							\
	if (read(gate[0], &byte, 1) == 1)		\
		fn(fd);					\
}

AFTER_THE_GATE(exits)
AFTER_THE_GATE(fails)
AFTER_THE_GATE(says_that_it_exits)
AFTER_THE_GATE(says_that_it_fails)
AFTER_THE_GATE(is_killed)
AFTER_THE_GATE(promises_nothing)
AFTER_THE_GATE(crashes)
AFTER_THE_GATE(says_that_it_closes_and_ends)

/*
 * With the right to trace
 */

static void each_end_has_its_reason(void **state)
{
	(void)state;
	ends(closes, CPTDEV_END_CLOSED, 0);
	ends(says_that_it_closes, CPTDEV_END_CLOSED, 0);
	ends(exits, CPTDEV_END_EXITED, 0);
	ends(fails, CPTDEV_END_EXITED, 3);
	ends(says_that_it_exits, CPTDEV_END_EXITED, 0);
	ends(says_that_it_fails, CPTDEV_END_EXITED, 3);
	ends(is_killed, CPTDEV_END_KILLED, SIGKILL);
	ends(crashes, CPTDEV_END_KILLED, SIGABRT);
	ends(becomes_another, CPTDEV_END_EXEC, 0);
	ends(leaves_a_child, CPTDEV_END_EXITED, 4);
	ends(says_it_and_leaves_a_child, CPTDEV_END_EXITED, 4);
	ends(its_child_exits, CPTDEV_END_KILLED, SIGKILL);
}

/*
 * Without a right, or too late for it
 */

static void unwatched(bool codes)
{
	ends_unwatched(then_says_that_it_exits, CPTDEV_END_EXITED, 0);
	ends_unwatched(then_says_that_it_fails, CPTDEV_END_EXITED, 3);
	ends_unwatched(then_says_that_it_closes_and_ends, CPTDEV_END_CLOSED, 0);
	ends_unwatched(then_is_killed, codes ? CPTDEV_END_KILLED : CPTDEV_END_FAILED,
		       codes ? SIGKILL : 0);
	ends_unwatched(then_crashes, codes ? CPTDEV_END_KILLED : CPTDEV_END_FAILED,
		       codes ? SIGABRT : 0);
	ends_unwatched(then_fails, codes ? CPTDEV_END_EXITED : CPTDEV_END_FAILED, codes ? 3 : 0);
	ends_unwatched(then_exits, codes ? CPTDEV_END_EXITED : CPTDEV_END_FAILED, 0);
	ends_unwatched(then_promises_nothing, codes ? CPTDEV_END_KILLED : CPTDEV_END_UNKNOWN,
		       codes ? SIGKILL : 0);
}

static void ends_that_came_too_early(void **state)
{
	(void)state;
	old_kernel = true;
	unwatched(false);
	old_kernel = false;
}

/* Linux 6.15. */
static void ends_that_a_pidfd_tells(void **state)
{
	struct { u64 mask; u32 other[14]; } info = { .mask = 1 << 3 };
	pid_t pid = fork();
	int fd, ret;

	(void)state;
	if (!pid)
		_exit(0);
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	waitpid(pid, NULL, 0);
	ret = ioctl(fd, _IOWR(0xff, 11, info), &info);
	close(fd);
	if (ret || !(info.mask & 1 << 3))
		skip();
	unwatched(true);
}

static void ends_without_a_right(void **state)
{
	(void)state;
	if (spawner < 0)
		skip();
	ends(closes, CPTDEV_END_UNKNOWN, 0);
	ends(says_that_it_closes, CPTDEV_END_CLOSED, 0);
	ends(exits, CPTDEV_END_FAILED, 0);
	ends(fails, CPTDEV_END_FAILED, 0);
	ends(says_that_it_exits, CPTDEV_END_EXITED, 0);
	ends(says_that_it_fails, CPTDEV_END_EXITED, 3);
	ends(is_killed, CPTDEV_END_FAILED, 0);
	ends(crashes, CPTDEV_END_FAILED, 0);
	ends(becomes_another, CPTDEV_END_FAILED, 0);
	ends(leaves_a_child, CPTDEV_END_FAILED, 0);
	ends(says_it_and_leaves_a_child, CPTDEV_END_EXITED, 4);
	ends(its_child_exits, CPTDEV_END_FAILED, 0);
	ends(its_child_lies, CPTDEV_END_FAILED, 0);
	ends(is_killed_while_it_exits, CPTDEV_END_EXITED, 0);
	ends(promises_nothing, CPTDEV_END_UNKNOWN, 0);
}

/*
 * What a program may say
 */

static int says(int fd, u32 kind, u32 status, u32 flags)
{
	struct soft_end arg = {
		.size = sizeof(arg), .kind = kind, .status = status, .flags = flags,
	};

	return ckdev_soft_ioctl(fd, SOFT_END, &arg);
}

/* Its exit status tells what was answered wrongly. */
static void talks_nonsense(int fd)
{
	int other = ckdev_soft_open(path);
	int wrong = (says(fd, 0, 0, 0) != -EINVAL) |
		(says(fd, 4, 0, 0) != -EINVAL) << 1 |
		(says(fd, SOFT_END_EXITS, 256, 0) != -EINVAL) << 2 |
		(says(fd, SOFT_END_CLOSES, 1, 0) != -EINVAL) << 3 |
		(says(fd, SOFT_END_EXITS, 0, 1) != -EOPNOTSUPP) << 4 |
		/* It has no session. */
		(says(other, SOFT_END_EXITS, 0, 0) != -EINVAL) << 5 |
		(says(fd, SOFT_END_PROMISED, 0, 0) != 0) << 6;

	exit(wrong);
}

/* Nobody else's file is taken for the program's address space; reading this one would wait. */
static void promises_with_a_pipe(int fd)
{
	int ends_of[2];

	if (pipe(ends_of) || ckdev_soft_say(fd, SOFT_END_PROMISED, 0, ends_of[0]) ||
	    ckdev_soft_say(fd, SOFT_END_PROMISED, 0, open("/proc/self/mounts", O_RDONLY)))
		_exit(99);
	dies();
}

static void words_are_checked(void **state)
{
	(void)state;
	ends(talks_nonsense, CPTDEV_END_EXITED, 0);
	ends(promises_with_a_pipe, spawner < 0 ? CPTDEV_END_KILLED : CPTDEV_END_FAILED,
	     spawner < 0 ? SIGKILL : 0);
}

/* The same by an engine without rights. */
#define BY_A_STRANGER(fn)			\
static void fn##_by_a_stranger(void **state)	\
{						\
	if (spawner < 0)			\
		skip();				\
	fn(state);				\
}

BY_A_STRANGER(ends_that_came_too_early)
BY_A_STRANGER(ends_that_a_pidfd_tells)
BY_A_STRANGER(words_are_checked)

/* Programs know the directory and the gate: before they are started. */
static int mkdir_and_gate(void)
{
	strcpy(strrchr(dir, '-'), "-XXXXXX");
	if (!mkdtemp(dir) || chmod(dir, 0755) || pipe2(gate, O_CLOEXEC))
		return -1;
	snprintf(path, sizeof(path), "%s/programs", dir);
	return 0;
}

static int open_engine(void)
{
	return soft_open(&soft, 0) || soft_programs_open(&soft, path);
}

static void close_engine(void)
{
	soft_close(&soft);
	rmdir(dir);
	close(gate[0]);
	close(gate[1]);
}

/* From here on the programs are of another user than the engine. */
static void the_engine_gives_up_its_rights(void **state)
{
	int pair[2];
	pid_t pid;

	(void)state;
	if (geteuid())
		skip();
	close_engine();
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(mkdir_and_gate(), 0);
	assert_int_equal(chown(dir, STRANGER, STRANGER), 0);
	pid = fork();
	if (!pid) {
		close(pair[0]);
		spawn(pair[1]);
	}
	close(pair[1]);
	assert_int_equal(setresgid(STRANGER, STRANGER, STRANGER), 0);
	assert_int_equal(setresuid(STRANGER, STRANGER, STRANGER), 0);
	assert_int_equal(open_engine(), 0);
	spawner = pair[0];
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_end_has_its_reason),
		cmocka_unit_test(ends_that_came_too_early),
		cmocka_unit_test(ends_that_a_pidfd_tells),
		cmocka_unit_test(words_are_checked),
		cmocka_unit_test(the_engine_gives_up_its_rights),
		cmocka_unit_test(ends_without_a_right),
		cmocka_unit_test(ends_that_came_too_early_by_a_stranger),
		cmocka_unit_test(ends_that_a_pidfd_tells_by_a_stranger),
		cmocka_unit_test(words_are_checked_by_a_stranger),
	};
	int ret;

	cmocka_set_message_output(CM_OUTPUT_TAP);
	if (mkdir_and_gate() || open_engine())
		return 1;
	ret = cmocka_run_group_tests_name("ends in the soft engine", tests, NULL, NULL);
	close_engine();
	return ret;
}
