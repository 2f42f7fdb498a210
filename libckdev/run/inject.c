// SPDX-License-Identifier: LGPL-2.1-or-later
/* cptdev-run: system calls that a stopped thread makes for the tracer, see inject.h. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#include "inject.h"

#define VDSO_MAX	(16 * RUN_PAGE)

static int open_mem(pid_t tid, int flags)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/%d/mem", tid);
	return open(path, flags | O_CLOEXEC);
}

int run_peek(pid_t tid, uint64_t addr, void *buf, size_t len)
{
	int fd = open_mem(tid, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : pread(fd, buf, len, (off_t)addr);
	int err = n < 0 ? errno : EFAULT;

	if (fd >= 0)
		close(fd);
	errno = err;
	return n == (ssize_t)len ? 0 : -1;
}

int run_poke(pid_t tid, uint64_t addr, const void *buf, size_t len)
{
	int fd = open_mem(tid, O_RDWR);
	ssize_t n = fd < 0 ? -1 : pwrite(fd, buf, len, (off_t)addr);
	int err = n < 0 ? errno : EFAULT;

	if (fd >= 0)
		close(fd);
	errno = err;
	return n == (ssize_t)len ? 0 : -1;
}

int run_find_syscall(struct run_trace *t, const struct run_maps *maps, struct hs_error *e)
{
	unsigned char *copy;
	uint64_t len, i;
	uint32_t m;

	for (m = 0; m < maps->nr && maps->v[m].kind != RUN_VDSO; m++)
		;
	if (m == maps->nr)
		return hs_fail(e, ENOTSUP, "the program has no vDSO (boot without vdso=0)");
	len = maps->v[m].end - maps->v[m].start;
	len = len < VDSO_MAX ? len : VDSO_MAX;
	copy = malloc(len);
	if (!copy || run_peek(t->pid, maps->v[m].start, copy, len)) {
		free(copy);
		return hs_fail(e, errno, "the program's vDSO can't be read: %s", strerror(errno));
	}
	t->vdso_sum = XXH3_64bits(copy, len);
	for (i = 0; i + 1 < len && !(copy[i] == 0x0f && copy[i + 1] == 0x05); i++)
		;
	free(copy);
	if (i + 1 >= len)
		return hs_fail(e, ENOTSUP, "the vDSO of this kernel has no system call");
	t->insn = maps->v[m].start + i;
	return 0;
}

/* SIGTRAP tells that the instruction was executed; the kernel would end the blocking of it. */
int run_inject_begin(struct run_trace *t, struct run_tracee *v, struct hs_error *e)
{
	uint64_t all = ~(1ULL << (SIGTRAP - 1));

	(void)t;
	if (ptrace(PTRACE_GETSIGMASK, v->tid, sizeof(v->mask), &v->mask) ||
	    ptrace(PTRACE_SETSIGMASK, v->tid, sizeof(all), &all))
		return hs_fail(e, errno, "thread %d: its signal mask: %s", v->tid, strerror(errno));
	v->masked = true;
	return 0;
}

int run_inject_end(struct run_trace *t, struct run_tracee *v, const struct user_regs_struct *regs,
		   struct hs_error *e)
{
	(void)t;
	if (ptrace(PTRACE_SETREGS, v->tid, 0, regs) ||
	    ptrace(PTRACE_SETSIGMASK, v->tid, sizeof(v->mask), &v->mask))
		return hs_fail(e, errno, "thread %d: its registers: %s", v->tid, strerror(errno));
	v->masked = false;
	return 0;
}

/* Threads that were killed; those that live stand still. */
static void reap_others(struct run_trace *t, pid_t tid)
{
	siginfo_t info;
	uint32_t i = 0;
	int status;

	while (i < t->nr) {
		pid_t other = t->v[i].tid;

		info.si_pid = 0;
		if (other != tid && !waitid(P_PID, (id_t)other, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) &&
		    info.si_pid == other && waitpid(other, &status, __WALL) == other)
			run_trace_event(t, other, status);
		else
			i++;
	}
}

/*
 * wait(2) says that the first thread has ended when all others were waited for: so not for it alone.
 * SIGCHLD is blocked.
 */
static int wait_for_step(struct run_trace *t, pid_t tid, int *status)
{
	const struct timespec moment = { .tv_nsec = 20000000 };
	sigset_t child;
	pid_t pid;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	while (!(pid = waitpid(tid, status, __WALL | WNOHANG)))
		if (sigtimedwait(&child, NULL, &moment) < 0)
			reap_others(t, tid);
	return pid == tid ? 0 : -1;
}

/* SIGSTOP can't be blocked: the program gets it when the checkpoint is taken. */
static int step(struct run_trace *t, pid_t tid, struct hs_error *e)
{
	int status;

	for (;;) {
		if (ptrace(PTRACE_SINGLESTEP, tid, 0, 0) || wait_for_step(t, tid, &status))
			return hs_fail(e, errno, "thread %d: %s", tid, strerror(errno));
		if (!WIFSTOPPED(status)) {
			run_trace_event(t, tid, status);
			return hs_fail(e, ECHILD, "the program has ended");
		}
		if (WSTOPSIG(status) == SIGTRAP && status >> 16 == 0)
			return 0;
		if (status >> 16 == PTRACE_EVENT_CLONE) {
			unsigned long new;

			if (!ptrace(PTRACE_GETEVENTMSG, tid, 0, &new))
				run_trace_add(t, (pid_t)new);
		} else if (status >> 16 == 0) {
			t->stops = WSTOPSIG(status);
		}
	}
}

int run_inject(struct run_trace *t, struct run_tracee *v, const struct user_regs_struct *regs,
	       const struct run_call *call, int64_t *result, struct hs_error *e)
{
	struct user_regs_struct now = *regs;
	pid_t tid = v->tid;

	now.rip = t->insn;
	now.rax = (unsigned long long)call->nr;
	now.orig_rax = (unsigned long long)-1;
	now.rdi = call->arg[0];
	now.rsi = call->arg[1];
	now.rdx = call->arg[2];
	now.r10 = call->arg[3];
	now.r8 = call->arg[4];
	now.r9 = call->arg[5];
	now.eflags &= ~0x100ULL;
	if (ptrace(PTRACE_SETREGS, tid, 0, &now))
		return hs_fail(e, errno, "thread %d: its registers: %s", tid, strerror(errno));
	if (step(t, tid, e))
		return -1;
	if (ptrace(PTRACE_GETREGS, tid, 0, &now))
		return hs_fail(e, errno, "thread %d: its registers: %s", tid, strerror(errno));
	if (now.rip != t->insn + 2)
		return hs_fail(e, EIO, "thread %d: the system call wasn't made", tid);
	*result = (int64_t)now.rax;
	return 0;
}
