/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cptdev-run: what only the program itself can ask, by calls that are injected (inject.h). */
#ifndef RUN_ASK_H
#define RUN_ASK_H

#include "proc.h"
#include "state.h"
#include "trace.h"

#define RUN_FIRST	64U

/**
 * struct run_first - the first look at signals of timers, when the program has stopped
 * @from, @to:	how long that took, on the tracer's clock
 * @nr:		number of timers whose signal waits
 * @id:		these
 * @more:	there are more signals
 */
struct run_first {
	int64_t from, to;
	uint32_t nr;
	int id[RUN_FIRST];
	bool more;
};

/* Returns signals that wait and come from timers, as a mask: those of the thread or of the process. */
uint64_t run_timer_signals(struct run_first *first, pid_t tid, unsigned int flags);

/*
 * Of a program that is stopped, whose instruction "syscall" is known, and whose mappings, threads and
 * POSIX timers were read: alternate stacks, handlers, the break, the times of timers, and signals that
 * wait. Returns 0, or -1 with errno and @e: ECHILD: the program has ended; EUCLEAN: it is in disorder
 * and has to be killed.
 */
int run_ask(struct run_trace *t, struct run_state *s, const struct run_signs *signs,
	    const struct run_first *first, struct hs_error *e);

#endif /* RUN_ASK_H */
