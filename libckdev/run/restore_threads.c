// SPDX-License-Identifier: LGPL-2.1-or-later
/* cptdev-run: the threads of a program, and its signals, made from its state, see restore.h. */
#include <elf.h>
#include <errno.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "restore.h"
#include "timers.h"

#define XFEATURES_AT	464		/* in the extended state: what the processor has of it */
#define ROBUST_LEN	24
#define ON_STACK	1		/* SS_ONSTACK: no property of the stack */

/* The kernel's own, of interrupted calls. */
#define RESTARTNOHAND	514
#define RESTART_BLOCK	516

#define THREAD_FLAGS	(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | \
			 CLONE_SYSVSEM)

static int64_t call(struct run_puppet *p, pid_t tid, const char *what, long nr, uint64_t a,
		    uint64_t b, uint64_t c, uint64_t d)
{
	const struct run_call all = { nr, { a, b, c, d } };

	return run_puppet_call(p, tid, what, &all);
}

/*
 * The process
 */

static int set_actions(struct run_puppet *p)
{
	const struct run_action *a = p->state->process.action;
	int sig;

	for (sig = 1; sig <= RUN_SIGNALS; sig++) {
		if ((!a[sig].handler && !a[sig].flags) || sig == SIGKILL || sig == SIGSTOP)
			continue;
		if (run_puppet_put(p, 0, &a[sig], sizeof(a[sig])) ||
		    call(p, p->tid, "a signal's action", SYS_rt_sigaction, (uint64_t)sig, p->scratch,
			 0, 8) < 0)
			return -1;
	}
	return 0;
}

/*
 * ITIMER_REAL stands still while its signal waits: it is armed again when the signal is taken, but
 * only if it has an interval, which can't be set without a time.
 */
static int set_timers(struct run_puppet *p)
{
	int i;

	for (i = 0; i < 3; i++) {
		struct itimerval t = p->state->process.timer[i];

		if (i == ITIMER_REAL && !t.it_value.tv_sec && !t.it_value.tv_usec)
			t.it_value = t.it_interval;
		if (!t.it_value.tv_sec && !t.it_value.tv_usec)
			continue;
		if (run_puppet_put(p, 0, &t, sizeof(t)) ||
		    call(p, p->tid, "a timer", SYS_setitimer, (uint64_t)i, p->scratch, 0, 0) < 0)
			return -1;
	}
	return 0;
}

/* From themselves: others may not send signals that look like the kernel's. */
static int set_pending(struct run_puppet *p, pid_t host, pid_t tid, const struct run_pending *from)
{
	uint32_t i;

	for (i = 0; i < from->nr; i++) {
		int sig;

		memcpy(&sig, from->v[i].bytes, sizeof(sig));
		if (run_puppet_put(p, 0, &from->v[i], sizeof(from->v[i])))
			return -1;
		if (tid ? call(p, host, "a signal that waits", SYS_rt_tgsigqueueinfo,
			       (uint64_t)p->state->process.pid, (uint64_t)tid, (uint64_t)sig,
			       p->scratch) < 0 :
			  call(p, host, "a signal that waits", SYS_rt_sigqueueinfo,
			       (uint64_t)p->state->process.pid, (uint64_t)sig, p->scratch, 0) < 0)
			return -1;
	}
	return 0;
}

/*
 * Threads
 */

/* It stops before it has done anything; this may have been seen already while its maker made a step. */
static int wait_for(struct run_puppet *p, pid_t tid)
{
	struct run_tracee *v = run_trace_find(p->trace, tid);
	int status;

	if (!v)
		return hs_fail(p->e, ECHILD, "a new thread has ended");
	if (!v->stopped && (waitpid(tid, &status, __WALL) != tid || !WIFSTOPPED(status) ||
			    status >> 16 != PTRACE_EVENT_STOP))
		return hs_fail(p->e, ECHILD, "a new thread has ended");
	v->stopped = true;
	return run_inject_begin(p->trace, v, p->e);
}

static int make_thread(struct run_puppet *p, struct run_thread *t)
{
	struct clone_args args = {
		.flags = THREAD_FLAGS, .set_tid = p->scratch + sizeof(args), .set_tid_size = 1,
	};
	uint32_t before = p->trace->nr;
	char what[48];

	snprintf(what, sizeof(what), "thread %d", t->tid);
	if (run_puppet_put(p, 0, &args, sizeof(args)) ||
	    run_puppet_put(p, sizeof(args), &t->tid, sizeof(t->tid)) ||
	    call(p, p->tid, what, SYS_clone3, p->scratch, sizeof(args), 0, 0) < 0)
		return -1;
	if (p->trace->nr != before + 1)
		return hs_fail(p->e, EIO, "thread %d can't be restored: it isn't traced", t->tid);
	t->host = p->trace->v[before].tid;
	return wait_for(p, t->host);
}

static int register_memory(struct run_puppet *p, const struct run_thread *t)
{
	struct run_altstack stack = t->altstack;

	stack.flags &= ~ON_STACK;
	if (t->rseq && call(p, t->host, "rseq", SYS_rseq, t->rseq, t->rseq_len, 0, t->rseq_sig) < 0)
		return -1;
	if (call(p, t->host, "a list of locks", SYS_set_robust_list, t->robust, ROBUST_LEN, 0, 0) < 0 ||
	    call(p, t->host, "a thread's address", SYS_set_tid_address, t->tid_address, 0, 0, 0) < 0)
		return -1;
	if (run_puppet_put(p, 0, &stack, sizeof(stack)) ||
	    call(p, t->host, "a signal stack", SYS_sigaltstack, p->scratch, 0, 0, 0) < 0)
		return -1;
	if (run_puppet_put(p, 0, t->comm, sizeof(t->comm)) ||
	    call(p, t->host, "a name", SYS_prctl, PR_SET_NAME, p->scratch, 0, 0) < 0)
		return -1;
	return 0;
}

/* Does the processor have the same registers? */
static int check_xstate(struct run_puppet *p, const struct run_thread *t)
{
	static uint8_t own[RUN_XSTATE_MAX];
	struct iovec iov = { .iov_base = own, .iov_len = sizeof(own) };

	if (ptrace(PTRACE_GETREGSET, p->tid, NT_X86_XSTATE, &iov))
		return hs_fail(p->e, errno, "the extended registers: %s", strerror(errno));
	if (iov.iov_len == t->xstate_len && iov.iov_len > XFEATURES_AT + 8 &&
	    !memcmp(own + XFEATURES_AT, t->xstate + XFEATURES_AT, 8))
		return 0;
	return hs_fail(p->e, ENOTSUP, "the program was started on a processor with other registers");
}

static int set_registers(struct run_puppet *p, const struct run_thread *t)
{
	struct iovec iov = { .iov_base = t->xstate, .iov_len = t->xstate_len };

	if (check_xstate(p, t))
		return -1;
	if (ptrace(PTRACE_SETREGSET, t->host, NT_X86_XSTATE, &iov))
		return hs_fail(p->e, errno, "thread %d: its extended registers can't be restored: %s",
			       t->tid, strerror(errno));
	return 0;
}

/* What can't be had here is less than what the program does without. */
static int set_schedule(const struct run_thread *t)
{
	const struct sched_param param = { .sched_priority = t->priority };

	if (t->policy != SCHED_OTHER)
		sched_setscheduler(t->host, t->policy, &param);
	setpriority(PRIO_PROCESS, (id_t)t->host, t->nice);
	if (CPU_COUNT(&t->cpus))
		sched_setaffinity(t->host, sizeof(t->cpus), &t->cpus);
	return 0;
}

int run_restore_threads(struct run_puppet *p)
{
	struct run_threads *threads = (struct run_threads *)&p->state->threads;
	uint32_t i;

	threads->v[0].host = p->tid;
	if (set_actions(p))
		return -1;
	for (i = 1; i < threads->nr; i++)
		if (make_thread(p, &threads->v[i]))
			return -1;
	for (i = 0; i < threads->nr; i++) {
		struct run_thread *t = &threads->v[i];

		if (register_memory(p, t) || set_registers(p, t) || set_schedule(t))
			return -1;
	}
	if (run_restore_timers(p))
		return -1;
	for (i = 0; i < threads->nr; i++)
		if (set_pending(p, threads->v[i].host, threads->v[i].tid, &threads->v[i].pending))
			return -1;
	return set_pending(p, p->tid, 0, &p->state->process.pending);
}

/*
 * A call that was interrupted is made again by the kernel, or returns EINTR if a signal that waits
 * has a handler. How much of a sleep was left is known to the kernel alone: it begins anew.
 */
static struct user_regs_struct registers_of(const struct run_thread *t)
{
	struct user_regs_struct regs = t->regs;

	if ((int64_t)regs.orig_rax >= 0 && (int64_t)regs.rax == -RESTART_BLOCK)
		regs.rax = (unsigned long long)-RESTARTNOHAND;
	return regs;
}

int run_restore_finish(struct run_puppet *p)
{
	const struct run_threads *threads = &p->state->threads;
	uint32_t i;

	if (set_timers(p) ||
	    call(p, p->tid, "the way to the tracer", SYS_close, (uint64_t)p->gate, 0, 0, 0) < 0 ||
	    call(p, p->tid, "memory of the restart", SYS_munmap, p->scratch, RUN_SCRATCH, 0, 0) < 0)
		return -1;
	for (i = 0; i < threads->nr; i++) {
		const struct run_thread *t = &threads->v[i];
		struct user_regs_struct regs = registers_of(t);
		struct run_tracee *v = run_trace_find(p->trace, t->host);

		if (!v)
			return hs_fail(p->e, ECHILD, "a thread has ended");
		v->mask = t->mask;
		if (run_inject_end(p->trace, v, &regs, p->e))
			return -1;
	}
	return 0;
}
