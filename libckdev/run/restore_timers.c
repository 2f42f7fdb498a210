// SPDX-License-Identifier: LGPL-2.1-or-later
/* cptdev-run: timers of timer_create(2), made from a program's state, see timers.h. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>

#include "mutants.h"
#include "timers.h"

/* How often it is tried to restore timer_getoverrun(2), while short timers expire. */
#define EXACT_TRIES	20

static struct timespec spec_of(int64_t ns)
{
	return (struct timespec) { .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };
}

/* A call that may fail: then *@result is -errno. Returns 0, or -1 and an error. */
static int attempt(struct run_puppet *p, pid_t tid, const struct run_call *call, int64_t *result)
{
	struct run_tracee *v = run_trace_find(p->trace, tid);

	if (!v)
		return hs_fail(p->e, ESRCH, "a timer: the process has ended");
	return run_inject(p->trace, v, &p->regs, call, result, p->e);
}

static int64_t call(struct run_puppet *p, long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	const struct run_call all = { nr, { a, b, c, d } };

	return run_puppet_call(p, p->tid, "a POSIX timer", &all);
}

static int get(struct run_puppet *p, uint64_t offset, void *buf, size_t len)
{
	if (run_peek(p->tid, p->scratch + offset, buf, len))
		return hs_fail(p->e, EFAULT, "the new process can't be read");
	return 0;
}

/* @exact: the kernel takes the number that it is given. Else it counts. */
static int create(struct run_puppet *p, const struct run_timer *t, bool exact)
{
	struct sigevent event = {
		.sigev_notify = t->notify, .sigev_signo = t->signal, ._sigev_un._tid = t->tid,
	};
	int id = t->id;

	memcpy(&event.sigev_value, &t->value, sizeof(t->value));
	if (!exact && t->id > RUN_TIMERS_COUNT)
		return hs_fail(p->e, ENOTSUP, "POSIX timer %d: this kernel can't make one with such a high "
			       "number: take Linux 6.15 or later", t->id);
	for (;;) {
		if (run_puppet_put(p, 0, &event, sizeof(event)) ||
		    run_puppet_put(p, sizeof(event), &id, sizeof(id)) ||
		    call(p, SYS_timer_create, (uint64_t)t->clock, p->scratch,
			 p->scratch + sizeof(event), 0) < 0 || get(p, sizeof(event), &id, sizeof(id)))
			return -1;
		if (id == t->id)
			return 0;
		if (exact || id > t->id)
			return hs_fail(p->e, EIO, "POSIX timer %d has got the number %d", t->id, id);
		if (call(p, SYS_timer_delete, (uint64_t)id, 0, 0, 0) < 0)
			return -1;
	}
}

static int create_all(struct run_puppet *p)
{
	const struct run_timers *timers = &p->state->process.timers;
	const struct run_call on = {
		SYS_prctl, { PR_TIMER_CREATE_RESTORE_IDS, PR_TIMER_CREATE_RESTORE_IDS_ON }
	};
	int64_t result = -EINVAL;
	uint32_t i;

	if (!run_mutant("count") && attempt(p, p->tid, &on, &result))
		return -1;
	for (i = 0; i < timers->nr; i++)
		if (create(p, &timers->v[i], !result))
			return -1;
	return result ? 0 : (int)call(p, SYS_prctl, PR_TIMER_CREATE_RESTORE_IDS,
				      PR_TIMER_CREATE_RESTORE_IDS_OFF, 0, 0);
}

/*
 * All timers go on at one moment, which the clocks tell: so their distances stay. A timer of the time
 * of day may have been set to a time span, and so may not follow when that clock is set.
 */
struct moment {
	int64_t monotonic, boottime;
};

static int64_t now_of(const struct moment *now, int clock)
{
	return clock == CLOCK_MONOTONIC ? now->monotonic : clock == CLOCK_BOOTTIME ? now->boottime : 0;
}

static int read_clock(struct run_puppet *p, clockid_t clock, int64_t *ns)
{
	struct timespec t;

	if (call(p, SYS_clock_gettime, (uint64_t)clock, p->scratch, 0, 0) < 0 ||
	    get(p, 0, &t, sizeof(t)))
		return -1;
	*ns = t.tv_sec * 1000000000LL + t.tv_nsec;
	return 0;
}

static int read_moment(struct run_puppet *p, struct moment *now)
{
	return read_clock(p, CLOCK_MONOTONIC, &now->monotonic) ||
		read_clock(p, CLOCK_BOOTTIME, &now->boottime) ? -1 : 0;
}

static int set(struct run_puppet *p, const struct run_timer *t, int flags, int64_t value)
{
	const struct itimerspec to = {
		.it_value = spec_of(value), .it_interval = spec_of(value ? t->interval : 0),
	};

	return run_puppet_put(p, 0, &to, sizeof(to)) ||
		call(p, SYS_timer_settime, (uint64_t)t->id, (uint64_t)flags, p->scratch, 0) < 0 ? -1 : 0;
}

/* When it would have expired @back times before. Returns false if the clock has no such time. */
static bool time_of(const struct run_timer *t, const struct moment *now, int64_t back, int64_t *at)
{
	int64_t span;

	return run_clock_has_past(t->clock) && t->left &&
		!__builtin_mul_overflow(t->interval, back, &span) &&
		!__builtin_add_overflow(now_of(now, t->clock), t->left, at) &&
		!__builtin_sub_overflow(*at, span, at) && *at > 0;
}

/* If its signal has waited, the kernel sends and counts it anew: the time that it is set to is over. */
static int go_on(struct run_puppet *p, const struct run_timer *t, const struct moment *now)
{
	int64_t at, left = t->left;

	if (!left)
		return 0;
	/* See mutants.h: an expiration is lost. */
	if (run_mutant("timer"))
		left += t->interval;
	else if (time_of(t, now, t->waits ? t->overrun + 1LL : 0, &at))
		return set(p, t, TIMER_ABSTIME, at);
	return set(p, t, 0, left);
}

/*
 * timer_getoverrun(2) tells what the kernel has counted at the last signal. So that it counts this, the
 * timer is set to a time that has passed by so many intervals, and its signal is taken.
 */
static bool begins_before(const struct run_timer *t, const struct moment *now, int64_t *at)
{
	return t->overrun && !t->waits && t->interval && t->notify != SIGEV_NONE &&
		time_of(t, now, t->overrun + 1LL, at);
}

static pid_t target_of(const struct run_puppet *p, const struct run_timer *t)
{
	const struct run_threads *threads = &p->state->threads;
	uint32_t i;

	for (i = 0; t->tid && i < threads->nr; i++)
		if (threads->v[i].tid == t->tid)
			return threads->v[i].host;
	return p->tid;
}

/* Takes a signal of this kind. *@id: number of its timer, -1: none has come within @wait ns. */
static int take(struct run_puppet *p, const struct run_timer *t, int64_t wait, int *id)
{
	const uint64_t set_of = 1ULL << (t->signal - 1);
	const struct timespec limit = spec_of(wait);
	const struct run_call wait_for = {
		SYS_rt_sigtimedwait, { p->scratch, p->scratch + 64, p->scratch + 16, 8 }
	};
	siginfo_t info;
	int64_t result;

	if (run_puppet_put(p, 0, &set_of, sizeof(set_of)) ||
	    run_puppet_put(p, 16, &limit, sizeof(limit)) ||
	    attempt(p, target_of(p, t), &wait_for, &result) || get(p, 64, &info, sizeof(info)))
		return -1;
	*id = result <= 0 ? -1 : info.si_code == SI_TIMER ? info.si_timerid : INT_MAX;
	return 0;
}

/* Stopped, and none of its signals waits. */
static int put_back(struct run_puppet *p, const struct run_timer *t)
{
	int id;

	if (set(p, t, 0, 0))
		return -1;
	do {
		if (take(p, t, 0, &id))
			return -1;
	} while (id >= 0);
	return 0;
}

/* Returns 1 if its overruns are what they were, 0 if not, -1: an error. */
static int count_anew(struct run_puppet *p, const struct run_timer *t, int64_t at)
{
	int64_t overrun;
	int id;

	if (set(p, t, TIMER_ABSTIME, at) || take(p, t, 1000000000, &id))
		return -1;
	overrun = call(p, SYS_timer_getoverrun, (uint64_t)t->id, 0, 0, 0);
	return overrun < 0 ? -1 : id == t->id && overrun == t->overrun;
}

/*
 * Timers whose overruns are restored go on with this. It fails if one expires meanwhile, or if a signal
 * of another timer was taken. Returns 1: done, 0: it failed, -1: an error.
 */
static int try_overruns(struct run_puppet *p, const struct moment *now)
{
	const struct run_timers *timers = &p->state->process.timers;
	int64_t at;
	uint32_t i;
	int ret = 1;

	for (i = 0; ret > 0 && i < timers->nr; i++)
		if (begins_before(&timers->v[i], now, &at))
			ret = count_anew(p, &timers->v[i], at);
	for (i = 0; !ret && i < timers->nr; i++)
		if (begins_before(&timers->v[i], now, &at) && put_back(p, &timers->v[i]))
			return -1;
	return ret;
}

int run_restore_timers(struct run_puppet *p)
{
	const struct run_timers *timers = &p->state->process.timers;
	struct moment now;
	int ret = 0, i;
	int64_t at;
	uint32_t k;

	if (!timers->nr)
		return 0;
	if (create_all(p))
		return -1;
	for (i = 0; !ret && i < EXACT_TRIES; i++) {
		if (read_moment(p, &now))
			return -1;
		ret = try_overruns(p, &now);
	}
	for (k = 0; ret >= 0 && k < timers->nr; k++)
		if ((!ret || !begins_before(&timers->v[k], &now, &at)) && go_on(p, &timers->v[k], &now))
			return -1;
	return ret < 0 ? -1 : 0;
}
