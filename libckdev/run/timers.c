// SPDX-License-Identifier: LGPL-2.1-or-later
/* cptdev-run: timers of timer_create(2), read and restored, see timers.h. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "timers.h"

/* As /proc/PID/timers has the clocks of the process and of a thread; see posix-timers.h of the kernel. */
#define PROCESS_CLOCK	(-6)
#define THREAD_CLOCK	(-2)

#define TID_MAX		4194304

void run_timers_free(struct run_timers *timers)
{
	free(timers->v);
	*timers = (struct run_timers) { 0 };
}

/*
 * Reading
 */

static int compare(const void *a, const void *b)
{
	const struct run_timer *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static struct run_timer *add(struct run_timers *timers, int id)
{
	struct run_timer *v = timers->nr < RUN_TIMERS_MAX ?
		reallocarray(timers->v, timers->nr + 1, sizeof(*v)) : NULL;

	if (!v)
		return NULL;
	timers->v = v;
	v[timers->nr] = (struct run_timer) { .id = id };
	return &v[timers->nr++];
}

static int notify_of(const char *kind, const char *target)
{
	if (!strcmp(target, "tid"))
		return strcmp(kind, "signal") ? -1 : SIGEV_THREAD_ID;
	return !strcmp(kind, "signal") ? SIGEV_SIGNAL : !strcmp(kind, "none") ? SIGEV_NONE :
		!strcmp(kind, "thread") ? SIGEV_THREAD : -1;
}

/* Its number in the program's own space, 0: it is gone. */
static pid_t number_of(const struct run_threads *threads, int host)
{
	uint32_t i;

	for (i = 0; i < threads->nr; i++)
		if (threads->v[i].host == host)
			return threads->v[i].tid;
	return 0;
}

/* "ID: 0", "signal: 34/00000000deadbeef", "notify: signal/tid.1234", "ClockID: 1" */
static int parse(FILE *f, struct run_timers *timers, const struct run_threads *threads)
{
	char line[256], kind[16], target[16];
	struct run_timer *t = NULL;
	unsigned long long value;
	int number;

	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "ID: %d", &number) == 1) {
			t = add(timers, number);
			if (!t)
				return -1;
		} else if (!t) {
			continue;
		} else if (sscanf(line, "signal: %d/%llx", &number, &value) == 2) {
			t->signal = number;
			t->value = value;
		} else if (sscanf(line, "notify: %15[a-z]/%15[a-z].%d", kind, target, &number) == 3) {
			t->notify = notify_of(kind, target);
			t->tid = t->notify == SIGEV_THREAD_ID ? number_of(threads, number) : 0;
		} else if (sscanf(line, "ClockID: %d", &number) == 1) {
			t->clock = number == PROCESS_CLOCK ? CLOCK_PROCESS_CPUTIME_ID : number;
		}
	}
	return 0;
}

static bool has_ids(void)
{
	return prctl(PR_TIMER_CREATE_RESTORE_IDS, PR_TIMER_CREATE_RESTORE_IDS_GET, 0, 0, 0) >= 0;
}

static const char *clock_name(int clock)
{
	switch (clock) {
	case CLOCK_REALTIME:
		return "CLOCK_REALTIME";
	case CLOCK_MONOTONIC:
		return "CLOCK_MONOTONIC";
	case CLOCK_BOOTTIME:
		return "CLOCK_BOOTTIME";
	case CLOCK_TAI:
		return "CLOCK_TAI";
	case CLOCK_PROCESS_CPUTIME_ID:
		return "CLOCK_PROCESS_CPUTIME_ID";
	default:
		return NULL;
	}
}

static void check(const struct run_timer *t, struct run_report *r)
{
	const char *clock = clock_name(t->clock);

	if (!clock && (t->clock == THREAD_CLOCK || t->clock == CLOCK_THREAD_CPUTIME_ID))
		run_refused(r, "POSIX timer %d (timer_create): it measures a thread's processor time, and "
			    "the kernel doesn't tell which thread's", t->id);
	else if (!clock)
		run_refused(r, "POSIX timer %d (timer_create): its clock (%d) can't be restored", t->id,
			    t->clock);
	else if (t->notify < 0)
		run_refused(r, "POSIX timer %d (timer_create): its way of notification isn't known", t->id);
	else if (t->notify == SIGEV_THREAD_ID && !t->tid)
		run_refused(r, "POSIX timer %d (timer_create): the thread that it signals has ended",
			    t->id);
	else if (t->notify != SIGEV_NONE && t->signal == SIGTRAP)
		run_refused(r, "POSIX timer %d (timer_create): it sends SIGTRAP, which the tracer needs",
			    t->id);
	else if (t->id > RUN_TIMERS_COUNT && !has_ids())
		run_refused(r, "POSIX timer %d (timer_create): this kernel can't make a timer with such a "
			    "high number: take Linux 6.15 or later", t->id);
	else
		run_covered(r, "POSIX timer %d: %s", t->id, clock);
}

int run_timers_read(struct run_timers *timers, pid_t pid, const struct run_threads *threads,
		    struct run_report *r, struct hs_error *e)
{
	char path[40];
	uint32_t i;
	int ret;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/timers", pid);
	f = fopen(path, "re");
	if (!f && errno == ENOENT) {
		run_refused(r, "process %d: this kernel doesn't list POSIX timers: take one with "
			    "CONFIG_CHECKPOINT_RESTORE", pid);
		return 0;
	}
	ret = f ? parse(f, timers, threads) : -1;
	if (f)
		fclose(f);
	if (ret)
		return hs_fail(e, errno, "%s: %s", path, strerror(errno));
	qsort(timers->v, timers->nr, sizeof(*timers->v), compare);
	for (i = 0; i < timers->nr; i++) {
		if (timers->v[i].notify == SIGEV_NONE)
			timers->v[i].signal = 0;
		check(&timers->v[i], r);
	}
	return 0;
}

struct run_info *run_timers_signal(const struct run_pending *p, int id)
{
	siginfo_t info;
	uint32_t i;

	for (i = 0; i < p->nr; i++) {
		memcpy(&info, p->v[i].bytes, sizeof(info));
		if (info.si_code == SI_TIMER && info.si_timerid == id)
			return &p->v[i];
	}
	return NULL;
}

/*
 * In a checkpoint
 */

struct json_object *run_timers_json(const struct run_timers *timers)
{
	struct json_object *list = json_object_new_array(), *o;
	const struct run_timer *t;

	for (t = timers->v; t < timers->v + timers->nr; t++) {
		o = json_object_new_object();
		js_put_i64(o, "id", t->id);
		js_put_i64(o, "clock", t->clock);
		js_put_i64(o, "notify", t->notify);
		js_put_i64(o, "signal", t->signal);
		js_put_i64(o, "tid", t->tid);
		js_put_u64(o, "value", t->value);
		js_put_i64(o, "interval_ns", t->interval);
		js_put_i64(o, "left_ns", t->left);
		js_put_bool(o, "waits", t->waits);
		js_put_i64(o, "overrun", t->overrun);
		json_object_array_add(list, o);
	}
	return list;
}

/* @before: number of the timer before, or -1. */
static void get_timer(struct js_from *from, struct run_timer *t, int before)
{
	t->id = (int)js_get_i64(from, "id", before + 1LL, INT_MAX);
	t->clock = (int)js_get_i64(from, "clock", 0, INT_MAX);
	t->notify = (int)js_get_i64(from, "notify", 0, SIGEV_THREAD_ID);
	t->signal = (int)js_get_i64(from, "signal", t->notify == SIGEV_NONE ? 0 : 1, RUN_SIGNALS);
	t->tid = (pid_t)js_get_i64(from, "tid", 0, TID_MAX);
	t->value = js_get_u64(from, "value");
	t->interval = js_get_i64(from, "interval_ns", 0, INT64_MAX);
	t->left = js_get_i64(from, "left_ns", 0, INT64_MAX);
	t->waits = js_get_bool(from, "waits");
	t->overrun = (int)js_get_i64(from, "overrun", 0, INT_MAX);
	if (!t->tid == (t->notify == SIGEV_THREAD_ID))
		from->bad = from->bad ?: "tid";
}

void run_timers_parse(struct run_timers *timers, struct js_from *from)
{
	struct json_object *list = js_get(from, "posix_timers", json_type_array, false);
	size_t nr = list ? json_object_array_length(list) : 0;

	timers->v = nr <= RUN_TIMERS_MAX ? calloc(nr + 1, sizeof(*timers->v)) : NULL;
	if (!timers->v)
		from->bad = from->bad ?: "posix_timers";
	while (!from->bad && timers->nr < nr) {
		struct js_from in = { .o = json_object_array_get_idx(list, timers->nr) };
		struct run_timer *t = &timers->v[timers->nr++];

		if (json_object_is_type(in.o, json_type_object))
			get_timer(&in, t, timers->nr > 1 ? t[-1].id : -1);
		else
			in.bad = "posix_timers";
		from->bad = in.bad;
	}
}
