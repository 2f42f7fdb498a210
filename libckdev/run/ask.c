// SPDX-License-Identifier: LGPL-2.1-or-later
/* cptdev-run: what only the program itself can ask, by calls that are injected, see ask.h. */
#include <errno.h>
#include <limits.h>
#include <linux/prctl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>

#include "ask.h"
#include "inject.h"
#include "timers.h"

#define SCRATCH		512U		/* bytes that injected calls write to */
#define PENDING		32
#define CLOSE_NS	200000		/* within that a timer is read, if it can be had */
#define TIMER_TRIES	5
#define SETTLE_TRIES	100

struct asker {
	struct run_trace *trace;
	pid_t tid;
	const struct user_regs_struct *regs;
	uint64_t scratch;
	struct hs_error *e;
};

/* The answer is in the scratch, @len bytes; or, if @len is 0, the result itself. */
static int ask(struct asker *a, const struct run_call *call, void *to, size_t len)
{
	struct run_tracee *v = run_trace_find(a->trace, a->tid);
	int64_t result;

	if (!v)
		return hs_fail(a->e, ESRCH, "thread %d is gone", a->tid);
	if (run_inject(a->trace, v, a->regs, call, &result, a->e))
		return -1;
	if (!len) {
		*(int64_t *)to = result;
		return 0;
	}
	if (result < 0)
		return hs_fail(a->e, (int)-result, "system call %ld in the program: %s", call->nr,
			       strerror((int)-result));
	if (run_peek(a->tid, a->scratch, to, len))
		return hs_fail(a->e, errno, "the program's memory: %s", strerror(errno));
	return 0;
}

static int ask_thread(struct asker *a, struct run_thread *t)
{
	const struct run_call stack = { SYS_sigaltstack, { 0, a->scratch } };
	const struct run_call address = { SYS_prctl, { PR_GET_TID_ADDRESS, a->scratch } };

	return ask(a, &stack, &t->altstack, sizeof(t->altstack)) ||
		ask(a, &address, &t->tid_address, sizeof(t->tid_address)) ? -1 : 0;
}

static int ask_process(struct asker *a, struct run_process *p, const struct run_signs *signs)
{
	const struct run_call brk = { SYS_brk, { 0 } };
	int64_t result = 0;
	int i;

	for (i = 1; i <= RUN_SIGNALS; i++) {
		const struct run_call action = {
			SYS_rt_sigaction, { (uint64_t)i, 0, a->scratch, 8 }
		};

		if (signs->ignored & 1ULL << (i - 1))
			p->action[i].handler = (uintptr_t)SIG_IGN;
		if (!(signs->caught & 1ULL << (i - 1)) && i != SIGCHLD)
			continue;
		if (ask(a, &action, &p->action[i], sizeof(p->action[i])))
			return -1;
	}
	if (ask(a, &brk, &result, 0))
		return -1;
	p->mm[RUN_BRK] = (uint64_t)result;
	return 0;
}

/*
 * Timers. They run on while the program is stopped
 */

/*
 * @t->left: when it expires, on the tracer's clock, and not before it does. If something has kept the
 * tracer from the processor meanwhile, it is read again.
 */
static int ask_timer(struct asker *a, struct run_timer *t)
{
	const struct run_call overrun = { SYS_timer_getoverrun, { (uint64_t)t->id } };
	const struct run_call left = { SYS_timer_gettime, { (uint64_t)t->id, a->scratch } };
	int64_t before, after, best = INT64_MAX, result = 0;
	struct itimerspec is;
	int i;

	for (i = 0; i < TIMER_TRIES && best > CLOSE_NS; i++) {
		before = run_clock_ns(CLOCK_MONOTONIC);
		if (ask(a, &left, &is, sizeof(is)))
			return -1;
		after = run_clock_ns(CLOCK_MONOTONIC);
		if (after - before >= best)
			continue;
		best = after - before;
		t->error = best;
		t->interval = is.it_interval.tv_sec * 1000000000LL + is.it_interval.tv_nsec;
		t->left = is.it_value.tv_sec * 1000000000LL + is.it_value.tv_nsec;
		if (t->left && run_clock_runs(t->clock) &&
		    __builtin_add_overflow(t->left, after, &t->left))
			t->left = INT64_MAX;
	}
	if (ask(a, &overrun, &result, 0))
		return -1;
	t->overrun = result > 0 && result <= INT_MAX ? (int)result : 0;
	return 0;
}

/* All timers are of one moment, @now. A timer that is due and hasn't expired yet is left to do so. */
static int read_timers(struct asker *a, struct run_process *p, int64_t *now)
{
	struct run_timer *t = p->timers.v, *end = t + p->timers.nr;
	int i;

	for (i = 0; i < 3; i++) {
		const struct run_call timer = { SYS_getitimer, { (uint64_t)i, a->scratch } };

		if (ask(a, &timer, &p->timer[i], sizeof(p->timer[i])))
			return -1;
	}
	for (; t < end; t++)
		if (ask_timer(a, t))
			return -1;
	*now = run_clock_ns(CLOCK_MONOTONIC);
	for (t = p->timers.v; t < end; t++)
		if (t->left && run_clock_runs(t->clock))
			t->left = t->left > *now ? t->left - *now : 1;
	return 0;
}

static bool has_timers(const struct run_process *p)
{
	int i;

	for (i = 0; i < 3; i++)
		if (p->timer[i].it_value.tv_sec || p->timer[i].it_value.tv_usec)
			return true;
	return p->timers.nr;
}

/* Signals that wait, those of the thread or of the process. */
static int get_pending(struct run_pending *p, pid_t tid, unsigned int flags, struct hs_error *e)
{
	struct __ptrace_peeksiginfo_args args = { .flags = flags, .nr = PENDING };
	static struct run_info buf[PENDING];
	struct run_info *v;
	long n;

	do {
		n = ptrace(PTRACE_PEEKSIGINFO, tid, &args, buf);
		if (n < 0)
			return hs_fail(e, errno, "thread %d: its signals: %s", tid, strerror(errno));
		if (!n)
			break;
		v = reallocarray(p->v, p->nr + (size_t)n, sizeof(*v));
		if (!v)
			return hs_fail(e, ENOMEM, "no memory for signals");
		memcpy(v + p->nr, buf, (size_t)n * sizeof(*v));
		p->v = v;
		p->nr += (uint32_t)n;
		args.off += (uint64_t)n;
	} while (n == PENDING);
	return 0;
}

/* Returns 1 if there are other signals by now, 0 if not; or -1 and @e. */
static int renew_pending(struct run_pending *p, pid_t tid, unsigned int flags, struct hs_error *e)
{
	struct run_pending now = { 0 };
	bool same;

	if (get_pending(&now, tid, flags, e)) {
		free(now.v);
		return -1;
	}
	same = now.nr == p->nr && !memcmp(now.v ?: p->v, p->v ?: now.v, p->nr * sizeof(*p->v));
	free(p->v);
	*p = now;
	return !same;
}

static int renew_all(struct asker *a, struct run_state *s)
{
	int news = renew_pending(&s->process.pending, a->trace->pid, PTRACE_PEEKSIGINFO_SHARED, a->e), ret;
	struct run_thread *t = s->threads.v, *end = t + s->threads.nr;

	for (; news >= 0 && t < end; t++) {
		ret = renew_pending(&t->pending, t->host, 0, a->e);
		news = ret < 0 ? -1 : news | ret;
	}
	return news;
}

/* NULL: the timer has no signal that waits. @in: where it is. */
static struct run_info *signal_of(struct run_state *s, const struct run_timer *t, struct run_pending **in)
{
	struct run_info *info;
	uint32_t i;

	*in = &s->process.pending;
	info = run_timers_signal(*in, t->id);
	for (i = 0; !info && i < s->threads.nr; i++) {
		*in = &s->threads.v[i].pending;
		info = run_timers_signal(*in, t->id);
	}
	return info;
}

/*
 * How often a timer has expired since its signal was sent is known to the kernel alone, which tells it
 * with the signal. But its signal didn't wait at the first look, which took from @from to @to: so it was
 * sent at the first expiration after that. Expirations are intervals before the next one, which is at
 * @now + left. Returns the overruns; -1: an expiration is so near to the look that it isn't sure.
 */
static int overruns(const struct run_timer *t, int64_t from, int64_t to, int64_t now)
{
	int64_t next = now + t->left, nr;

	if (t->waited || next <= to)
		return -1;
	if (!run_clock_runs(t->clock))
		return 0;
	nr = (next - to - 1) / t->interval;
	if (nr < 1 || nr > INT_MAX || next - nr * t->interval - t->error <= to ||
	    next - (nr + 1) * t->interval >= from)
		return -1;
	return (int)nr - 1;
}

/*
 * Signals of timers with an interval. A timer that can be set to the past sends its own again at a
 * restart, and the kernel counts again.
 */
static void settle_signals(struct run_state *s, int64_t from, int64_t to, int64_t now)
{
	struct run_timers *timers = &s->process.timers;
	struct run_timer *t;

	for (t = timers->v; t < timers->v + timers->nr; t++) {
		struct run_pending *in;
		struct run_info *info = signal_of(s, t, &in);
		int nr = info && t->interval ? overruns(t, from, to, now) : 0;
		siginfo_t full;

		if (!info || !t->interval)
			continue;
		if (nr < 0) {
			timers->unknown = t;
		} else if (run_clock_has_past(t->clock)) {
			t->waits = true;
			t->overrun = nr;
			memmove(info, info + 1, (size_t)(in->v + in->nr - info - 1) * sizeof(*info));
			in->nr--;
		} else {
			memcpy(&full, info->bytes, sizeof(full));
			full.si_overrun = nr;
			memcpy(info->bytes, &full, sizeof(full));
		}
	}
}

uint64_t run_timer_signals(struct run_first *first, pid_t tid, unsigned int flags)
{
	struct __ptrace_peeksiginfo_args args = { .flags = flags, .nr = PENDING };
	static siginfo_t info[PENDING];
	long n = ptrace(PTRACE_PEEKSIGINFO, tid, &args, info), i;
	uint64_t mask = 0;

	for (i = 0; i < n; i++) {
		if (info[i].si_code != SI_TIMER)
			continue;
		mask |= 1ULL << (info[i].si_signo - 1);
		if (first->nr < RUN_FIRST)
			first->id[first->nr++] = info[i].si_timerid;
		else
			first->more = true;
	}
	first->more |= n == PENDING;
	return mask;
}

static bool was_seen(const struct run_first *first, int id)
{
	uint32_t i;

	for (i = 0; i < first->nr; i++)
		if (first->id[i] == id)
			return true;
	return first->more;
}

/*
 * A timer that expires between two looks would have its signal in both of them, or in none. So both are
 * of one moment only if no signal has come meanwhile.
 */
static int ask_timers(struct asker *a, struct run_state *s, const struct run_first *first)
{
	struct run_timers *timers = &s->process.timers;
	int tries, news = 1;
	int64_t now = 0;
	uint32_t i;

	for (i = 0; i < timers->nr; i++)
		timers->v[i].waited = was_seen(first, timers->v[i].id);
	for (tries = 0; news && tries < SETTLE_TRIES; tries++) {
		if (read_timers(a, &s->process, &now))
			return -1;
		news = renew_all(a, s);
		if (news < 0)
			return -1;
		if (!tries && !has_timers(&s->process))
			break;
	}
	settle_signals(s, first->from, first->to, now);
	return 0;
}

/*
 * All of it
 */

/* Any memory that the program can write will do: its content is put back. */
static uint64_t find_scratch(const struct run_maps *maps)
{
	const struct run_map *m;

	for (m = maps->v; m < maps->v + maps->nr; m++)
		if (m->kind == RUN_ANON && m->prot == (PROT_READ | PROT_WRITE) && !m->empty)
			return m->end - RUN_PAGE;
	return 0;
}

int run_ask(struct run_trace *t, struct run_state *s, const struct run_signs *signs,
	    const struct run_first *first, struct hs_error *e)
{
	struct asker a = { .trace = t, .scratch = find_scratch(&s->maps), .e = e };
	uint8_t kept[SCRATCH];
	uint32_t i;
	int ret = 0;

	if (!a.scratch || run_peek(t->pid, a.scratch, kept, sizeof(kept)))
		return hs_fail(e, EFAULT, "the program has no memory that can be written");
	for (i = 0; !ret && i < s->threads.nr; i++) {
		struct run_thread *thread = &s->threads.v[i];
		struct run_tracee *v = run_trace_find(t, thread->host);

		a.tid = thread->host;
		a.regs = &thread->regs;
		ret = !v || run_inject_begin(t, v, e) || ask_thread(&a, thread) ||
			(!i && (ask_process(&a, &s->process, signs) || ask_timers(&a, s, first)));
		v = run_trace_find(t, thread->host);
		if (!ret)
			ret = !v || run_inject_end(t, v, &thread->regs, e);
	}
	if (ret || run_poke(t->pid, a.scratch, kept, sizeof(kept))) {
		errno = t->ended ? ECHILD : EUCLEAN;
		return -1;
	}
	return 0;
}
