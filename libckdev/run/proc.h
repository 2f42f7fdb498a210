/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cptdev-run: the attributes of a program that /proc tells, and the calls that need no stop. */
#ifndef RUN_PROC_H
#define RUN_PROC_H

#include "state.h"

/**
 * struct run_signs - what /proc/PID/status says of signals
 * @caught:	signals with a handler
 * @ignored:	ignored ones
 */
struct run_signs {
	uint64_t caught, ignored;
};

/*
 * All of @p but its parent and what only the program itself can ask (capture.c). @like: a process whose namespaces
 * and user the program must have, since a restart gives it these. What can't be covered is refused
 * in @r. Returns 0, or -1 with errno and @e.
 */
int run_process_read(struct run_process *p, pid_t pid, pid_t like, struct run_signs *signs,
		     struct run_report *r, struct hs_error *e);

/* The number of the thread in its own process number space, and its name. 0, or -1 and errno. */
int run_thread_names(pid_t pid, struct run_thread *t);

/* A number in its own process number space: of the line "NSpid", "NSpgid", "NSsid". -1: it is gone. */
pid_t run_number(pid_t pid, const char *key);
/* A field of /proc/PID/stat from the fourth on, as proc(5) counts them. -1: it is gone. */
int64_t run_stat(pid_t pid, int field);

/* A line of a file of /proc/PID: what follows @key. Returns 0, or -1. */
int run_proc_line(pid_t pid, const char *file, const char *key, char *text, size_t len);

/* The flags of the first processor in /proc/cpuinfo; NULL: errno. The caller frees it. */
char *run_cpu_flags(void);

/* The process that the thread belongs to; -1: there is no such thread. */
pid_t run_process_of(pid_t tid);

/* CLOCK_MONOTONIC or another clock, in nanoseconds. */
int64_t run_clock_ns(clockid_t clock);

#endif /* RUN_PROC_H */
