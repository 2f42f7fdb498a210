/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cptdev-run: the program gets a process number space of its own (a PID namespace, and a /proc that
 * fits it), so that it can have the same numbers wherever it is restarted. Process 1 there is a
 * part of cptdev-run: the parent of the program, which waits for it and then ends.
 */
#ifndef RUN_INIT_H
#define RUN_INIT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../hotspare/error.h"

#define RUN_FIRST_PID	2

/**
 * struct run_init - arguments and results of run_init_start()
 * @pid:	the program's number in its space
 * @tied:	all processes there are killed when cptdev-run ends
 * @monotonic_ns: added to CLOCK_MONOTONIC; 0: nothing
 * @boottime_ns: added to CLOCK_BOOTTIME
 * @fn:		what the new process does; it doesn't return. @gate: a socket to cptdev-run
 * @arg:	for it
 * @init:	out: process 1, as it is known here
 * @host:	out: the new process, as it is known here
 * @gate:	out: the other end
 */
struct run_init {
	pid_t pid;
	bool tied;
	int64_t monotonic_ns, boottime_ns;
	void (*fn)(void *arg, int gate);
	void *arg;
	pid_t init, host;
	int gate;
};

/* Kill all processes of the space. Those that we trace have to be waited for as well. */
void run_init_kill(pid_t init);

/* Returns 0, or -1 with errno and @e. */
int run_init_start(struct run_init *in, struct hs_error *e);

#endif /* RUN_INIT_H */
