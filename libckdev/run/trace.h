/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cptdev-run: following a program by ptrace(2). All its threads are traced from the beginning
 * (PTRACE_SEIZE), which costs nothing but at signals and new threads, until they are stopped
 * for a checkpoint. One thread of cptdev-run does all of it: ptrace(2) demands that.
 */
#ifndef RUN_TRACE_H
#define RUN_TRACE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

#include "../hotspare/error.h"

struct run_tracee {
	pid_t tid;			/* here */
	bool stopped;			/* in the stop of PTRACE_INTERRUPT */
	bool group;			/* by a signal such as SIGSTOP */
	bool waits;			/* in vfork(2), for its child: it can't be stopped */
	uint64_t mask;			/* while calls are injected: the thread's own */
	bool masked;
};

struct run_tree;

/**
 * struct run_trace - a traced process
 * @tree:	its children are followed there, NULL: they aren't followed
 * @kill:	it is killed when cptdev-run ends
 * @pid:	its number here
 * @nr:		number of its threads
 * @v:		these
 * @ended:	it has ended, @status is that of wait(2)
 * @execed:	it has started another program since this was last set to false
 * @insn:	address of an instruction "syscall" in its memory, 0: not known
 * @vdso_sum:	XXH3 of the vDSO, if @insn isn't 0
 * @stops:	signals that stop a program and came while a call was injected
 */
struct run_trace {
	struct run_tree *tree;
	bool kill;
	pid_t pid;
	uint32_t nr;
	struct run_tracee *v;
	bool ended;
	int status;
	bool execed;
	uint64_t insn, vdso_sum;
	int stops;
};

/*
 * Follow @pid and all its threads, and its children if @t->tree is set. @kill: they are killed when
 * cptdev-run ends. 0, or -1 and @e.
 */
int run_trace_begin(struct run_trace *t, pid_t pid, bool kill, struct hs_error *e);
void run_trace_free(struct run_trace *t);

/* What wait(2) said about @tid. False: it isn't one of the program's threads. */
bool run_trace_event(struct run_trace *t, pid_t tid, int status);

/*
 * Stop all threads. Returns 0; or -1 with errno and @e, and the program goes on: ECHILD: it has
 * ended; EAGAIN: it is stopped by a signal; EBUSY: a thread is in vfork(2); ETIME: a thread doesn't
 * stop, or the first one has ended.
 */
int run_trace_stop(struct run_trace *t, struct hs_error *e);
/* The same in three steps: can it be stopped now, stop, and wait for that. 0, or -1 with errno and @e. */
int run_trace_ready(const struct run_trace *t, struct hs_error *e);
void run_trace_interrupt(struct run_trace *t);
int run_trace_wait(struct run_trace *t, struct hs_error *e);
void run_trace_go_on(struct run_trace *t);
/*
 * When all threads are stopped: this one takes a signal that waits and that it doesn't block, and is
 * stopped again. Returns 0; or -1 with errno and @e as run_trace_stop(), and the program hasn't gone on.
 */
int run_trace_take(struct run_trace *t, pid_t tid, struct hs_error *e);
void run_trace_end(struct run_trace *t);

/* The thread, or NULL. Adding one that the tracer has made. */
struct run_tracee *run_trace_find(struct run_trace *t, pid_t tid);
struct run_tracee *run_trace_add(struct run_trace *t, pid_t tid);

#endif /* RUN_TRACE_H */
