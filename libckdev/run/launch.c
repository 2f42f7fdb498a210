// SPDX-License-Identifier: LGPL-2.1-or-later
/* cptdev-run: a program that starts from its beginning, see launch.h. */
#include <errno.h>
#include <linux/close_range.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "init.h"
#include "launch.h"
#include "state.h"

struct start {
	char **program;
	const sigset_t *mask;
};

/* In the new process. The gate is closed by execve(2), or has the reason why it failed. */
static void start(void *arg, int gate)
{
	struct start *s = arg;
	char byte;
	int err;

	if (recv(gate, &byte, 1, 0) != 1)
		_exit(1);
	sigprocmask(SIG_SETMASK, s->mask, NULL);
	/* A restart couldn't give them back. */
	syscall(SYS_close_range, RUN_STD, ~0U, CLOSE_RANGE_CLOEXEC);
	signal(SIGPIPE, SIG_DFL);
	execvp(s->program[0], s->program);
	err = errno;
	send(gate, &err, sizeof(err), MSG_NOSIGNAL);
	_exit(127);
}

/* Its first stop is that of execve(2); or it ends, and the gate has the reason. */
static int wait_for_exec(struct run_trace *t, int gate, const char *name, struct hs_error *e)
{
	int status, err;

	while (!t->execed && !t->ended) {
		if (waitpid(t->pid, &status, __WALL) != t->pid)
			return hs_fail(e, errno, "%s: %s", name, strerror(errno));
		run_trace_event(t, t->pid, status);
		run_trace_go_on(t);
	}
	if (t->execed)
		return 0;
	if (recv(gate, &err, sizeof(err), MSG_DONTWAIT) != sizeof(err))
		err = ECHILD;
	return hs_fail(e, err, "%s: %s", name, strerror(err));
}

int run_launch(char **program, const sigset_t *mask, bool tied, struct run_trace *t, pid_t *init,
	       struct hs_error *e)
{
	struct start s = { .program = program, .mask = mask };
	struct run_init in = { .pid = RUN_FIRST_PID, .tied = tied, .fn = start, .arg = &s };
	int ret, err;

	*t = (struct run_trace) { .tree = t->tree };
	ret = run_init_start(&in, e);
	if (!ret)
		ret = run_trace_begin(t, in.host, tied, e);
	if (!ret && send(in.gate, "", 1, MSG_NOSIGNAL) != 1)
		ret = hs_fail(e, errno, "%s: %s", program[0], strerror(errno));
	if (!ret)
		ret = wait_for_exec(t, in.gate, program[0], e);
	err = errno;
	close(in.gate);
	if (ret) {
		run_init_kill(in.init);
		run_trace_free(t);
	}
	*init = in.init;
	errno = err;
	return ret;
}
