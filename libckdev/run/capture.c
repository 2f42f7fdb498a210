// SPDX-License-Identifier: LGPL-2.1-or-later
/* cptdev-run: the cut: everything of a program at one instant, see capture.h. */
#include <elf.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "../hotspare/mark.h"
#include "ask.h"
#include "capture.h"
#include "family.h"
#include "inject.h"
#include "maps.h"
#include "mutants.h"
#include "proc.h"
#include "shared.h"
#include "timers.h"

#define TAKE_TRIES	32
#define CODE_64		0x33		/* the code segment of 64-bit programs */

void run_threads_free(struct run_threads *threads)
{
	uint32_t i;

	for (i = 0; i < threads->nr; i++) {
		free(threads->v[i].xstate);
		free(threads->v[i].pending.v);
	}
	free(threads->v);
	*threads = (struct run_threads) { 0 };
}

static void free_process(struct run_state *s)
{
	run_process_free(&s->process);
	run_maps_free(&s->maps);
	run_threads_free(&s->threads);
	run_fds_free(&s->fds);
}

void run_state_free(struct run_state *s)
{
	uint32_t i;

	for (i = 0; i < s->nr_others; i++)
		free_process(&s->others[i]);
	free(s->others);
	free(s->zombies);
	free_process(s);
	*s = (struct run_state) { 0 };
}

/*
 * What the tracer sees of a thread by itself
 */

static int get_xstate(struct run_thread *t, struct hs_error *e)
{
	static uint8_t buf[RUN_XSTATE_MAX];
	struct iovec iov = { .iov_base = buf, .iov_len = sizeof(buf) };

	if (ptrace(PTRACE_GETREGSET, t->host, NT_X86_XSTATE, &iov))
		return hs_fail(e, errno, "thread %d: its extended registers: %s", t->host,
			       strerror(errno));
	t->xstate = malloc(iov.iov_len);
	if (!t->xstate)
		return hs_fail(e, ENOMEM, "no memory for registers");
	memcpy(t->xstate, buf, iov.iov_len);
	t->xstate_len = (uint32_t)iov.iov_len;
	return 0;
}

/*
 * A thread that is stopped within a restartable sequence has to leave it, as if it had been
 * preempted: the kernel forgets the sequence when a call is injected.
 */
static void leave_sequence(struct run_thread *t)
{
	struct {
		uint32_t version, flags;
		uint64_t start, length, abort;
	} cs;
	uint64_t at = 0, none = 0;

	if (!t->rseq || run_peek(t->host, t->rseq + 8, &at, sizeof(at)) || !at ||
	    run_peek(t->host, at, &cs, sizeof(cs)))
		return;
	if (t->regs.rip - cs.start < cs.length)
		t->regs.rip = cs.abort;
	run_poke(t->host, t->rseq + 8, &none, sizeof(none));
}

static void get_rseq(struct run_thread *t)
{
	struct __ptrace_rseq_configuration c = { 0 };

	if (ptrace(PTRACE_GET_RSEQ_CONFIGURATION, t->host, sizeof(c), &c) < 0)
		return;
	t->rseq = c.rseq_abi_pointer;
	t->rseq_len = c.rseq_abi_size;
	t->rseq_sig = c.signature;
	leave_sequence(t);
}

static void get_schedule(struct run_thread *t)
{
	struct sched_param param = { 0 };

	errno = 0;
	t->nice = getpriority(PRIO_PROCESS, (id_t)t->host);
	t->policy = sched_getscheduler(t->host);
	sched_getparam(t->host, &param);
	t->priority = param.sched_priority;
	if (sched_getaffinity(t->host, sizeof(t->cpus), &t->cpus))
		CPU_ZERO(&t->cpus);
}

static int get_thread(pid_t pid, struct run_thread *t, struct run_report *r, struct hs_error *e)
{
	size_t len;
	void *head;

	if (run_thread_names(pid, t))
		return hs_fail(e, ESRCH, "thread %d: /proc can't be read", t->host);
	if (ptrace(PTRACE_GETREGS, t->host, 0, &t->regs) ||
	    ptrace(PTRACE_GETSIGMASK, t->host, sizeof(t->mask), &t->mask))
		return hs_fail(e, errno, "thread %d: its registers: %s", t->host, strerror(errno));
	if (t->regs.cs != CODE_64)
		run_refused(r, "thread %d: it runs 32-bit code", t->host);
	if (!syscall(SYS_get_robust_list, t->host, &head, &len))
		t->robust = (uintptr_t)head;
	get_rseq(t);
	get_schedule(t);
	return get_xstate(t, e);
}

/* The process's own thread is the first of the list. */
static int get_threads(struct run_trace *t, struct run_threads *to, struct run_report *r,
		       struct hs_error *e)
{
	uint32_t i, n = 1;

	to->v = calloc(t->nr, sizeof(*to->v));
	if (!to->v)
		return hs_fail(e, ENOMEM, "no memory for the list of threads");
	to->nr = t->nr;
	for (i = 0; i < t->nr; i++)
		to->v[t->v[i].tid == t->pid || n == t->nr ? 0 : n++].host = t->v[i].tid;
	for (i = 0; i < to->nr; i++)
		if (get_thread(t->pid, &to->v[i], r, e))
			return -1;
	run_covered(r, "%u thread(s) of process %d: registers, masks, alternate stacks", to->nr, t->pid);
	return 0;
}

/*
 * All of it
 */

/* A part has ended, and the next one begins. */
static void end_part(struct run_cut *cut, enum run_part part)
{
	const uint64_t now = (uint64_t)run_clock_ns(CLOCK_MONOTONIC);
	uint64_t begun = cut->began_ns;
	int i;

	for (i = 0; i < RUN_PARTS; i++)
		begun += cut->part_ns[i];
	cut->part_ns[part] = now - begun;
}

/* See mutants.h: the threads go on while memory is read. */
static void let_run(struct run_tree *tree)
{
	struct hs_error e;

	run_tree_go_on(tree);
	usleep(30000);
	run_tree_stop(tree, &e);
}

/* See mutants.h: registers of the checkpoint before. */
static void keep_registers(struct run_state *s)
{
	static struct user_regs_struct before[RUN_SIGNALS];
	uint32_t i;

	for (i = 0; i < s->threads.nr && i < RUN_SIGNALS; i++) {
		struct user_regs_struct now = s->threads.v[i].regs;

		if (before[i].rip)
			s->threads.v[i].regs = before[i];
		before[i] = now;
	}
}

/*
 * A connection that waits to be accepted has no descriptor, so that it isn't in the checkpoint; but
 * the kernel has acknowledged its data, which may leave with the checkpoint. Those that come after
 * the mark do no harm.
 */
static int check_waiting(const struct run_cut *cut, struct hs_error *e)
{
	if (!cut->patient || !cut->state.fds.nr_waiting)
		return 0;
	return hs_fail(e, EBUSY, "%u connection(s) wait until the program accepts them",
		       cut->state.fds.nr_waiting);
}

/* Mostly they are known, see ask.c. */
static int check_timers(const struct run_cut *cut, const struct run_state *s, struct hs_error *e)
{
	const struct run_timer *t = s->process.timers.unknown;

	if (!cut->patient || !t)
		return 0;
	return hs_fail(e, EBUSY, "POSIX timer %d: its signal waits, and the kernel doesn't tell yet how often "
		       "it has expired", t->id);
}

/* --check lists all of it before. */
static int check_refused(const struct run_cut *cut, struct hs_error *e)
{
	if (!cut->report.refused)
		return 0;
	*e = cut->report.first;
	errno = EOPNOTSUPP;
	return -1;
}

/* Output that was sent before the mark may leave with the checkpoint; so mark before sockets are read. */
static int mark_output(struct run_cut *cut, struct hs_error *e)
{
	const int ret = cut->session >= 0 ? hs_mark(cut->session, e) : 0;

	cut->held = ret > 0;
	return ret < 0 && !run_mutant("mark") ? -1 : 0;
}

/*
 * How often a timer has expired while its signal waits isn't told, see ask.c. On a busy machine there is
 * always one that the program hasn't got to. So signals that can be taken are taken first.
 */
static int take_signals(struct run_trace *t, struct run_first *first, struct hs_error *e)
{
	uint64_t shared, blocked;
	int tries = 0;
	uint32_t i;

	do {
		*first = (struct run_first) { .from = run_clock_ns(CLOCK_MONOTONIC) };
		shared = run_timer_signals(first, t->pid, PTRACE_PEEKSIGINFO_SHARED);
		for (i = 0; i < t->nr; i++) {
			const pid_t tid = t->v[i].tid;
			uint64_t signals = shared | run_timer_signals(first, tid, 0);

			if (!signals || tries >= TAKE_TRIES ||
			    ptrace(PTRACE_GETSIGMASK, tid, sizeof(blocked), &blocked) ||
			    !(signals & ~blocked))
				continue;
			if (run_trace_take(t, tid, e))
				return -1;
			break;
		}
	} while (i < t->nr && ++tries);
	first->to = run_clock_ns(CLOCK_MONOTONIC);
	return 0;
}

/* The process number @i of the state. */
static struct run_trace *trace_of(struct run_tree *tree, const struct run_state *s, uint32_t i)
{
	struct run_branch *b = i ? run_tree_find(tree, s->others[i - 1].process.host) : NULL;

	return b ? &b->trace : &tree->root;
}

/* What can be seen from outside. */
static int look_at(struct run_trace *t, struct run_cut *cut, struct run_state *s, struct run_signs *signs,
		   struct hs_error *e)
{
	return run_process_read(&s->process, t->pid, cut->like, signs, &cut->report, e) ||
		run_maps_read(&s->maps, t->pid, &cut->report, e) ||
		get_threads(t, &s->threads, &cut->report, e) ||
		run_timers_read(&s->process.timers, t->pid, &s->threads, &cut->report, e) ? -1 : 0;
}

/* What only the process itself can ask. */
static int ask(struct run_trace *t, struct run_cut *cut, struct run_state *s, const struct run_signs *signs,
	       const struct run_first *first, struct hs_error *e)
{
	struct run_map *m;

	if ((!t->insn && run_find_syscall(t, &s->maps, e)) || run_ask(t, s, signs, first, e) ||
	    check_timers(cut, s, e))
		return -1;
	for (m = s->maps.v; m < s->maps.v + s->maps.nr; m++)
		m->sum = m->kind == RUN_VDSO ? t->vdso_sum : m->sum;
	return 0;
}

static int take_memory(struct run_trace *t, struct run_cut *cut, struct run_state *s, struct hs_error *e)
{
	struct run_mirror *m = s->mirror ?: cut->mirror;

	cut->touched = true;
	if (m->fd < 0 && run_mirror_create(m, e))
		return -1;
	if (s->mirror && m->present.nr && run_mutant("child"))
		return 0;
	return run_mirror_update(m, t->pid, &s->maps, e);
}

static int take_all(struct run_tree *tree, struct run_cut *cut, const struct run_signs *signs,
		    const struct run_first *first, struct hs_error *e)
{
	struct run_state *s = &cut->state;
	uint32_t i;

	for (i = 0; i <= s->nr_others; i++)
		if (ask(trace_of(tree, s, i), cut, run_state_of(s, i), &signs[i], &first[i], e))
			return -1;
	end_part(cut, RUN_PART_ASK);
	if (run_mutant("thread"))
		let_run(tree);
	if (run_mutant("registers"))
		keep_registers(s);
	for (i = 0; i <= s->nr_others; i++)
		if (take_memory(trace_of(tree, s, i), cut, run_state_of(s, i), e))
			return -1;
	end_part(cut, RUN_PART_MEMORY);
	return 0;
}

static int look_at_all(struct run_tree *tree, struct run_cut *cut, struct run_signs *signs,
		       struct run_first *first, struct hs_error *e)
{
	/* Without a session only for --check. */
	const bool connections = cut->session >= 0 || !cut->mirror;
	struct run_state *s = &cut->state;
	uint32_t i;

	for (i = 0; i <= s->nr_others; i++)
		if (take_signals(trace_of(tree, s, i), &first[i], e))
			return -1;
	if (mark_output(cut, e) || run_fds_read(s, cut->std, connections, &cut->report, e) ||
	    check_waiting(cut, e) || (!cut->report.list && check_refused(cut, e)))
		return -1;
	end_part(cut, RUN_PART_FDS);
	for (i = 0; i <= s->nr_others; i++)
		if (look_at(trace_of(tree, s, i), cut, run_state_of(s, i), &signs[i], e))
			return -1;
	run_shared_settle(s, tree, &cut->report);
	run_family_forget_outside(s);
	run_family_check(s, &cut->report);
	if (check_refused(cut, e))
		return -1;
	end_part(cut, RUN_PART_LOOK);
	return cut->mirror ? take_all(tree, cut, signs, first, e) : 0;
}

static int look(struct run_tree *tree, struct run_cut *cut, struct hs_error *e)
{
	struct run_first *first;
	struct run_signs *signs;
	int ret;

	if (run_family_read(&cut->state, tree, &cut->report, e))
		return -1;
	signs = calloc(cut->state.nr_others + 1, sizeof(*signs));
	first = calloc(cut->state.nr_others + 1, sizeof(*first));
	ret = signs && first ? look_at_all(tree, cut, signs, first, e) :
		hs_fail(e, ENOMEM, "no memory for the list of processes");
	free(signs);
	free(first);
	return ret;
}

int run_cut(struct run_tree *tree, struct run_cut *cut, struct hs_error *e)
{
	int ret, err;

	cut->state = (struct run_state) { 0 };
	cut->began_ns = (uint64_t)run_clock_ns(CLOCK_MONOTONIC);
	memset(cut->part_ns, 0, sizeof(cut->part_ns));
	if (run_tree_stop(tree, e))
		return -1;
	end_part(cut, RUN_PART_STOP);
	ret = look(tree, cut, e);
	err = errno;
	if (err != EUCLEAN || !ret)
		run_tree_go_on(tree);
	cut->pause_ns = (uint64_t)run_clock_ns(CLOCK_MONOTONIC) - cut->began_ns;
	if (ret)
		run_state_free(&cut->state);
	errno = err;
	return ret;
}
