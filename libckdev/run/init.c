// SPDX-License-Identifier: LGPL-2.1-or-later
/* cptdev-run: the program's process number space, see init.h. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "init.h"
#include "proc.h"

/* What process 1 reports; with it comes a descriptor of the new process. */
struct answer {
	int err;
	char what[64];
};

static int send_answer(int to, const struct answer *a, int pidfd)
{
	struct iovec iov = { .iov_base = (void *)a, .iov_len = sizeof(*a) };
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (pidfd >= 0) {
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.align), &pidfd, sizeof(int));
	}
	return sendmsg(to, &msg, MSG_NOSIGNAL) == sizeof(*a) ? 0 : -1;
}

static int receive_answer(int from, struct answer *a)
{
	struct iovec iov = { .iov_base = a, .iov_len = sizeof(*a) };
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *c;
	int pidfd = -1;

	if (recvmsg(from, &msg, MSG_CMSG_CLOEXEC) != sizeof(*a)) {
		*a = (struct answer) { .err = EPIPE, .what = "process 1 has ended" };
		return -1;
	}
	c = CMSG_FIRSTHDR(&msg);
	if (c && c->cmsg_type == SCM_RIGHTS)
		memcpy(&pidfd, CMSG_DATA(c), sizeof(pidfd));
	return pidfd;
}

/*
 * In process 1
 */

static int set_clocks(const struct run_init *in)
{
	FILE *f;

	if (!in->monotonic_ns && !in->boottime_ns)
		return 0;
	if (unshare(CLONE_NEWTIME))
		return -1;
	f = fopen("/proc/self/timens_offsets", "we");
	if (!f)
		return -1;
	/* Nanoseconds have to be positive. */
	fprintf(f, "monotonic %lld %lld\nboottime %lld %lld\n",
		(long long)(in->monotonic_ns / 1000000000 - (in->monotonic_ns < 0)),
		(long long)(in->monotonic_ns % 1000000000 + (in->monotonic_ns < 0 ? 1000000000 : 0)),
		(long long)(in->boottime_ns / 1000000000 - (in->boottime_ns < 0)),
		(long long)(in->boottime_ns % 1000000000 + (in->boottime_ns < 0 ? 1000000000 : 0)));
	return fclose(f);
}

static int prepare(const struct run_init *in, struct answer *a)
{
	const char *what = NULL;

	if (mount("none", "/", NULL, MS_REC | MS_SLAVE, NULL))
		what = "a mount namespace of its own";
	else if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL))
		what = "to mount /proc";
	else if (set_clocks(in))
		what = "the program's clocks (a time namespace)";
	if (!what)
		return 0;
	a->err = errno;
	snprintf(a->what, sizeof(a->what), "%s", what);
	return -1;
}

static pid_t make_process(const struct run_init *in, int *pidfd)
{
	const pid_t tid = in->pid;
	struct clone_args args = {
		.flags = CLONE_PIDFD, .pidfd = (uintptr_t)pidfd, .exit_signal = SIGCHLD,
		.set_tid = (uintptr_t)&tid, .set_tid_size = 1,
	};

	return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

/* Nothing stays open here that belongs to the program. */
static void reap(pid_t program)
{
	pid_t pid;

	syscall(SYS_close_range, 0, ~0U, 0);
	for (;;) {
		pid = wait(NULL);
		if (pid == program || (pid < 0 && errno == ECHILD))
			_exit(0);
	}
}

static void run_first(const struct run_init *in, int to, const int *gate)
{
	struct answer a = { 0 };
	int pidfd = -1;
	pid_t pid;

	if (in->tied)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (prepare(in, &a)) {
		send_answer(to, &a, -1);
		_exit(1);
	}
	close(gate[0]);
	pid = make_process(in, &pidfd);
	if (!pid) {
		close(to);
		in->fn(in->arg, gate[1]);
		_exit(1);
	}
	if (pid < 0) {
		a.err = errno;
		snprintf(a.what, sizeof(a.what), "a process with the number %d", in->pid);
	}
	send_answer(to, &a, pidfd);
	if (pid < 0)
		_exit(1);
	reap(pid);
}

/*
 * Outside
 */

static pid_t number_of(int pidfd)
{
	char file[40], text[32];

	snprintf(file, sizeof(file), "fdinfo/%d", pidfd);
	return run_proc_line(getpid(), file, "Pid", text, sizeof(text)) ? -1 : (pid_t)atoi(text);
}

static pid_t clone_first(void)
{
	struct clone_args args = { .flags = CLONE_NEWPID | CLONE_NEWNS, .exit_signal = SIGCHLD };

	return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

static int start(struct run_init *in, const int *pair, const int *gate, struct hs_error *e)
{
	struct answer a;
	int pidfd;

	in->init = clone_first();
	if (!in->init)
		run_first(in, pair[1], gate);
	if (in->init < 0)
		return hs_fail(e, errno, "a process number space of its own: %s%s", strerror(errno),
			       errno == EPERM ? ": run as root" : "");
	close(pair[1]);
	pidfd = receive_answer(pair[0], &a);
	in->host = pidfd < 0 ? -1 : number_of(pidfd);
	if (pidfd >= 0)
		close(pidfd);
	if (a.err || in->host <= 0)
		return hs_fail(e, a.err ?: ESRCH, "%s: %s", a.err ? a.what : "the new process",
			       strerror(a.err ?: ESRCH));
	return 0;
}

void run_init_kill(pid_t init)
{
	pid_t pid;

	if (init <= 0)
		return;
	kill(init, SIGKILL);
	do {
		pid = waitpid(-1, NULL, __WALL);
	} while (pid != init && (pid > 0 || errno == EINTR));
}

int run_init_start(struct run_init *in, struct hs_error *e)
{
	int pair[2], gate[2], ret;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, gate))
		return hs_fail(e, errno, "a socket: %s", strerror(errno));
	ret = start(in, pair, gate, e);
	close(pair[0]);
	close(gate[1]);
	in->gate = gate[0];
	return ret;
}
