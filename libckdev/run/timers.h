/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cptdev-run: timers of timer_create(2). The kernel lists them in /proc/PID/timers; times are asked by
 * calls of the program (capture.c).
 */
#ifndef RUN_TIMERS_H
#define RUN_TIMERS_H

#include <sys/prctl.h>

#include "../hotspare/js.h"
#include "restore.h"
#include "state.h"

#define RUN_TIMERS_MAX	65536U

/* Since Linux 6.15: timer_create(2) takes the number that it is given. */
#ifndef PR_TIMER_CREATE_RESTORE_IDS
#define PR_TIMER_CREATE_RESTORE_IDS	77
#define PR_TIMER_CREATE_RESTORE_IDS_OFF	0
#define PR_TIMER_CREATE_RESTORE_IDS_ON	1
#define PR_TIMER_CREATE_RESTORE_IDS_GET	2
#endif
/* Before, timers are made and deleted until one has the number: up to this. */
#define RUN_TIMERS_COUNT	10000

/*
 * All but times and overruns. A timer that can't be restored is refused in @r. Returns 0, or -1 with errno and
 * @e.
 */
int run_timers_read(struct run_timers *timers, pid_t pid, const struct run_threads *threads,
		    struct run_report *r, struct hs_error *e);

/* Does the clock run while the program doesn't? */
static inline bool run_clock_runs(int clock)
{
	return clock != CLOCK_PROCESS_CPUTIME_ID;
}

/* Can a timer be set to a time that is over, and mean the same? */
static inline bool run_clock_has_past(int clock)
{
	return clock == CLOCK_MONOTONIC || clock == CLOCK_BOOTTIME;
}

/* The signal of this timer among those that wait, or NULL. */
struct run_info *run_timers_signal(const struct run_pending *p, int id);

/* As a checkpoint has them; an older one has none. A mistake is in @from->bad. */
struct json_object *run_timers_json(const struct run_timers *timers);
void run_timers_parse(struct run_timers *timers, struct js_from *from);

/*
 * When all threads are there, have all signals blocked, and no signal waits. Returns 0, or -1 with
 * errno and the puppet's error.
 */
int run_restore_timers(struct run_puppet *p);

#endif /* RUN_TIMERS_H */
