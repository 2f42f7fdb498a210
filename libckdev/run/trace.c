// SPDX-License-Identifier: LGPL-2.1-or-later
/* cptdev-run: following a program by ptrace(2), see trace.h. */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "proc.h"
#include "trace.h"
#include "tree.h"

/* Until a thread has stopped that the scheduler, or a device, keeps from it. */
#define PATIENCE_S	10
/* Until a thread has taken a signal that waits. */
#define TAKE_S		2

struct run_tracee *run_trace_find(struct run_trace *t, pid_t tid)
{
	uint32_t i;

	for (i = 0; i < t->nr; i++)
		if (t->v[i].tid == tid)
			return &t->v[i];
	return NULL;
}

struct run_tracee *run_trace_add(struct run_trace *t, pid_t tid)
{
	struct run_tracee *v = run_trace_find(t, tid);

	if (v)
		return v;
	v = reallocarray(t->v, t->nr + 1, sizeof(*v));
	if (!v)
		return NULL;
	t->v = v;
	v[t->nr] = (struct run_tracee) { .tid = tid };
	return &v[t->nr++];
}

static void drop(struct run_trace *t, const struct run_tracee *v)
{
	uint32_t i = (uint32_t)(v - t->v);

	memmove(&t->v[i], &t->v[i + 1], (t->nr - i - 1) * sizeof(*v));
	t->nr--;
}

void run_trace_free(struct run_trace *t)
{
	free(t->v);
	*t = (struct run_trace) { .tree = t->tree };
}

static int options(const struct run_trace *t)
{
	return PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | (t->kill ? PTRACE_O_EXITKILL : 0) |
		(t->tree ? PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEVFORKDONE : 0);
}

static int thread_line(pid_t pid, pid_t tid, const char *key, char *text, size_t len)
{
	char file[40];

	snprintf(file, sizeof(file), "task/%d/status", tid);
	return run_proc_line(pid, file, key, text, len);
}

/* A thread that one of those that are followed has made is followed from its beginning. */
static bool is_followed(pid_t pid, pid_t tid)
{
	char text[32];

	return !thread_line(pid, tid, "TracerPid", text, sizeof(text)) && atoi(text) == getpid();
}

static bool is_over(pid_t pid, pid_t tid)
{
	char text[32];

	return thread_line(pid, tid, "State", text, sizeof(text)) || *text == 'Z' || *text == 'X';
}

/* Returns 0 also if the thread has ended, unless it is the first. */
static int seize(struct run_trace *t, pid_t tid)
{
	int err = ptrace(PTRACE_SEIZE, tid, 0, options(t)) ? errno : 0;

	if (err && tid != t->pid && is_over(t->pid, tid))
		return 0;
	if (err && (err != EPERM || !is_followed(t->pid, tid))) {
		errno = err;
		return -1;
	}
	return run_trace_add(t, tid) ? 0 : -1;
}

/* Until there is none that isn't followed: those that are make no others unseen. */
static int seize_all(struct run_trace *t, struct hs_error *e)
{
	char path[40];
	struct dirent *entry;
	bool more = true;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", t->pid);
	while (more) {
		more = false;
		d = opendir(path);
		if (!d)
			return hs_fail(e, errno, "process %d: %s", t->pid, strerror(errno));
		while ((entry = readdir(d))) {
			pid_t tid = (pid_t)atoi(entry->d_name);

			if (tid <= 0 || run_trace_find(t, tid))
				continue;
			if (seize(t, tid)) {
				int err = errno;

				closedir(d);
				return hs_fail(e, err, "process %d can't be traced: %s: is it another "
					       "user's, or is another tracer (strace, gdb) at it?", t->pid,
					       strerror(err));
			}
			more = true;
		}
		closedir(d);
	}
	return 0;
}

int run_trace_begin(struct run_trace *t, pid_t pid, bool kill, struct hs_error *e)
{
	free(t->v);
	*t = (struct run_trace) { .tree = t->tree, .pid = pid, .kill = kill };
	return seize_all(t, e);
}

/*
 * What happens
 */

/*
 * A thread, or a process: clone(2) makes both. It may have begun and ended before this is reported: then it
 * isn't followed any more.
 */
static void on_clone(struct run_trace *t, pid_t tid)
{
	unsigned long new;
	pid_t pid;

	if (!ptrace(PTRACE_GETEVENTMSG, tid, 0, &new) && is_followed((pid_t)new, (pid_t)new)) {
		pid = run_process_of((pid_t)new);
		if (pid == t->pid)
			run_trace_add(t, (pid_t)new);
		else if (pid > 0 && t->tree)
			run_tree_add(t->tree, pid);
	}
	ptrace(PTRACE_CONT, tid, 0, 0);
}

/* All other threads are gone. */
static void on_exec(struct run_trace *t, pid_t tid)
{
	t->nr = 0;
	run_trace_add(t, tid);
	t->execed = true;
	t->insn = 0;
	ptrace(PTRACE_CONT, tid, 0, 0);
}

static void on_stop(struct run_trace *t, struct run_tracee *v, int status)
{
	int sig = WSTOPSIG(status), event = status >> 16;

	/* A list of threads may move when one is added. */
	if (event == PTRACE_EVENT_VFORK)
		v->waits = true;
	else if (event == PTRACE_EVENT_VFORK_DONE)
		v->waits = false;
	if (event == PTRACE_EVENT_CLONE || event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK) {
		on_clone(t, v->tid);
	} else if (event == PTRACE_EVENT_EXEC) {
		on_exec(t, v->tid);
	} else if (event == PTRACE_EVENT_STOP) {
		v->stopped = true;
		v->group = sig != SIGTRAP;
	} else {
		ptrace(PTRACE_CONT, v->tid, 0, event ? 0 : sig);
	}
}

bool run_trace_event(struct run_trace *t, pid_t tid, int status)
{
	struct run_tracee *v = run_trace_find(t, tid);

	if (!v && WIFSTOPPED(status) && status >> 16 == PTRACE_EVENT_STOP)
		v = run_trace_add(t, tid);	/* before its clone(2) was reported */
	if (!v)
		return false;
	if (!WIFSTOPPED(status)) {
		if (tid == t->pid) {
			t->ended = true;
			t->status = status;
		}
		drop(t, v);
		return true;
	}
	on_stop(t, v, status);
	return true;
}

/*
 * Stopping
 */

static bool all_stopped(const struct run_trace *t)
{
	uint32_t i;

	for (i = 0; i < t->nr; i++)
		if (!t->v[i].stopped)
			return false;
	return true;
}

static bool any_waits(const struct run_trace *t)
{
	uint32_t i;

	for (i = 0; i < t->nr; i++)
		if (t->v[i].waits)
			return true;
	return false;
}

static int in_vfork(const struct run_trace *t, struct hs_error *e)
{
	return hs_fail(e, EBUSY, "process %d: it waits for a child that it has made by vfork(2)", t->pid);
}

static uint64_t now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec;
}

/* SIGCHLD is blocked: a signal that comes between the two calls isn't lost. */
static void wait_for_news(const sigset_t *child)
{
	const struct timespec moment = { .tv_nsec = 20000000 };

	sigtimedwait(child, NULL, &moment);
}

/* Any other stop takes the place of the one that was asked for: so it is asked for again. */
static void interrupt_again(const struct run_trace *t, pid_t tid)
{
	uint32_t i;

	for (i = 0; i < t->nr; i++)
		if (t->v[i].tid == tid && !t->v[i].stopped)
			ptrace(PTRACE_INTERRUPT, tid, 0, 0);
}

static int wait_all(struct run_trace *t, struct hs_error *e)
{
	uint64_t start = now_s();
	sigset_t child;
	int status;
	uint32_t i;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	while (!t->ended && !all_stopped(t)) {
		bool news = false;

		if (any_waits(t))
			return in_vfork(t, e);
		for (i = 0; i < t->nr; i++) {
			pid_t tid = t->v[i].tid;

			if (t->v[i].stopped || waitpid(tid, &status, __WALL | WNOHANG) != tid)
				continue;
			run_trace_event(t, tid, status);
			interrupt_again(t, tid);
			news = true;
			break;
		}
		if (!news && now_s() - start > PATIENCE_S)
			return hs_fail(e, ETIME, "a thread of process %d doesn't stop, or its first "
				       "thread has ended", t->pid);
		if (!news)
			wait_for_news(&child);
	}
	if (t->ended)
		return hs_fail(e, ECHILD, "the program has ended");
	return 0;
}

static bool any_in_group(const struct run_trace *t)
{
	uint32_t i;

	for (i = 0; i < t->nr; i++)
		if (t->v[i].group)
			return true;
	return false;
}

static int in_group(struct hs_error *e)
{
	return hs_fail(e, EAGAIN, "the program is stopped by a signal");
}

int run_trace_ready(const struct run_trace *t, struct hs_error *e)
{
	if (any_in_group(t))
		return in_group(e);
	return any_waits(t) ? in_vfork(t, e) : 0;
}

void run_trace_interrupt(struct run_trace *t)
{
	uint32_t i;

	for (i = 0; i < t->nr; i++)
		ptrace(PTRACE_INTERRUPT, t->v[i].tid, 0, 0);
}

int run_trace_wait(struct run_trace *t, struct hs_error *e)
{
	int ret = wait_all(t, e);

	return any_in_group(t) ? in_group(e) : ret;
}

int run_trace_stop(struct run_trace *t, struct hs_error *e)
{
	int err;

	if (run_trace_ready(t, e))
		return -1;
	run_trace_interrupt(t);
	if (!run_trace_wait(t, e))
		return 0;
	err = errno;
	run_trace_go_on(t);
	errno = err;
	return -1;
}

/*
 * The thread takes a signal before anything else. When that is reported the thread is interrupted anew:
 * it stops at the beginning of the signal's handler.
 */
int run_trace_take(struct run_trace *t, pid_t tid, struct hs_error *e)
{
	struct run_tracee *v = run_trace_find(t, tid);
	uint64_t start = now_s();
	sigset_t child;
	int status;
	pid_t pid;

	if (!v || !v->stopped)
		return 0;
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	v->stopped = false;
	ptrace(PTRACE_CONT, tid, 0, 0);
	while (!(pid = waitpid(tid, &status, __WALL | WNOHANG)) && now_s() - start < TAKE_S)
		wait_for_news(&child);
	ptrace(PTRACE_INTERRUPT, tid, 0, 0);
	if (pid == tid)
		run_trace_event(t, tid, status);
	if (wait_all(t, e))
		return -1;
	return any_in_group(t) ? in_group(e) : 0;
}

/* Threads that a signal has stopped stay so until SIGCONT. */
void run_trace_go_on(struct run_trace *t)
{
	uint32_t i;

	for (i = 0; i < t->nr; i++) {
		if (!t->v[i].stopped)
			continue;
		ptrace(t->v[i].group ? PTRACE_LISTEN : PTRACE_CONT, t->v[i].tid, 0, 0);
		t->v[i].stopped = false;
		/* The end of the stop is reported as a stop of the other kind. */
	}
	if (t->stops)
		kill(t->pid, t->stops);
	t->stops = 0;
}

/* It is followed no more, and goes on. */
void run_trace_end(struct run_trace *t)
{
	struct hs_error e;
	uint32_t i;

	if (t->ended || !t->nr)
		return;
	if (!all_stopped(t))
		run_trace_stop(t, &e);
	for (i = 0; i < t->nr; i++)
		ptrace(PTRACE_DETACH, t->v[i].tid, 0, 0);
}
