// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * cptdev-run: runs a program as it is, not a byte changed and no library in it, with checkpoints,
 * and restarts it from one. See cptdev-run(1) and Documentation/programs.rst.
 *
 *   cptdev-run.c	the command, and the loop that it is in while the program runs
 *   options.c		the command line
 *   checkpoint.c	the next checkpoint, and what becomes of it
 *   around.c		commands, those around a checkpoint as well
 *   launch.c, init.c	a program starts, in a process number space of its own
 *   trace.c		following the threads of a process, stopping all of them
 *   tree.c, family.c	all its processes, and how they belong together
 *   inject.c		system calls that the program makes for us
 *   capture.c		the cut: everything of the program at one instant:
 *   ask.c		what only the program itself can ask
 *   timers.c		POSIX timers, read and restored
 *   proc.c, maps.c, fds.c, sockets.c, pairs.c	attributes, mappings, descriptors
 *   mirror.c, pagemap.c	memory
 *   report.c		what is covered, what is refused
 *   texts*.c, image.c	the state as sections of a checkpoint, the checkpoint as a file
 *   link.c, area.c	checkpoints by way of cptdevd, the state as pages
 *   spare.c		waiting for the promotion
 *   restore*.c		a program made from its state
 *   shared.c		memory that its processes share, in both directions
 *   users.c		who else has a file
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../hotspare/command.h"
#include "around.h"
#include "capture.h"
#include "image.h"
#include "init.h"
#include "launch.h"
#include "mutants.h"
#include "proc.h"
#include "restore.h"
#include "run.h"
#include "sockets.h"
#include "spare.h"

#define FAILED		125		/* exit status: it is us who failed */

void run_say(const struct run *r, const char *text)
{
	fprintf(stderr, "cptdev-run: %s: %s\n", r->name, text);
}

/*
 * The loop
 */

static bool means_end(uint32_t signal)
{
	return signal == SIGINT || signal == SIGTERM || signal == SIGHUP || signal == SIGQUIT;
}

/*
 * Signals that a terminal sends come to the program as well; those of kill(1) come to us alone. A
 * process that isn't ours knows nothing of our terminal: it is let go.
 */
static void forward(struct run *r, const struct signalfd_siginfo *info)
{
	if (info->ssi_signo == SIGCHLD)
		return;
	if (r->o.pid) {
		r->let_go |= means_end(info->ssi_signo);
		return;
	}
	if (info->ssi_code != SI_KERNEL)
		kill(r->tree.root.pid, (int)info->ssi_signo);
}

static void drain_signals(struct run *r)
{
	struct signalfd_siginfo info;

	while (read(r->signals, &info, sizeof(info)) == sizeof(info))
		forward(r, &info);
}

/* The shell that has started us shall see that the program is stopped. */
static void follow_stop(const struct run *r)
{
	const struct run_trace *t = &r->tree.root;
	uint32_t i;

	for (i = 0; !r->o.pid && i < t->nr; i++)
		if (t->v[i].stopped && t->v[i].group && t->v[i].tid == t->pid && isatty(STDIN_FILENO)) {
			raise(SIGSTOP);
			return;
		}
}

static void handle_events(struct run *r)
{
	int status;
	pid_t pid;

	while (!r->tree.root.ended && (pid = waitpid(-1, &status, __WALL | WNOHANG)) > 0) {
		if (pid == r->writer)
			run_on_writer(r, status);
		else if (pid == r->hook)
			run_on_hook(r, status);
		else
			run_tree_event(&r->tree, pid, status);
	}
	follow_stop(r);
	run_tree_go_on(&r->tree);
}

/* Is one wanted before it is due? */
static bool is_wanted(const struct run *r)
{
	if (!r->linked)
		return r->busy;
	return r->link.fd >= 0 && (r->again_ns || run_link_wanted(&r->link));
}

int64_t run_period_end(const struct run *r)
{
	if (!r->o.every_ms)
		return RUN_NEVER;
	return run_clock_ns(CLOCK_MONOTONIC) + (int64_t)r->o.every_ms * 1000000;
}

/* When the next checkpoint is due. Without a period a session that was lost is looked for all the same. */
static int64_t due_ns(struct run *r)
{
	if (is_wanted(r) && (!r->linked || run_link_committed(&r->link)) && r->wanted_ns < r->next_ns)
		return r->wanted_ns;
	if (r->next_ns == RUN_NEVER && r->link.fd < 0)
		return r->looked_ns + RUN_AGAIN_NS;
	return r->next_ns;
}

/* A person holds checkpoints off, or does so no longer. */
static void tell_held_off(struct run *r, uint64_t left)
{
	char text[160] = "checkpoints are held off no longer";

	if (r->held_off == !!left)
		return;
	r->held_off = left;
	if (left)
		snprintf(text, sizeof(text), "checkpoints are held off for at most %llu s (cptdevctl hold)",
			 (unsigned long long)(left / 1000000000 + 1));
	run_say(r, text);
}

/*
 * When the next checkpoint is taken; one is under way at a time. -1: nobody knows. If a command has
 * prepared for it, it isn't held off any more.
 */
static int64_t next_checkpoint_ns(struct run *r)
{
	const uint64_t left = run_link_held_off(&r->link);
	int64_t end;

	tell_held_off(r, left);
	if ((!r->o.file && !r->linked) || r->writer || r->hook)
		return -1;
	if (r->prepared)
		return 0;
	end = left ? run_clock_ns(CLOCK_MONOTONIC) + (int64_t)left : 0;
	return end > due_ns(r) ? end : due_ns(r);
}

/* The daemon tells of commits, and of output that waits. */
static void wait_for_something(struct run *r)
{
	struct pollfd p[2] = {
		{ .fd = r->signals, .events = POLLIN },
		{ .fd = r->link.fd, .events = POLLIN },
	};
	int64_t at = next_checkpoint_ns(r), left = at - run_clock_ns(CLOCK_MONOTONIC);

	poll(p, 2, at < 0 || at == RUN_NEVER ? -1 : (int)(left > 0 ? (left + 999999) / 1000000 : 0));
	if (p[1].revents)
		run_link_up(r);
	drain_signals(r);
}

static void loop(struct run *r)
{
	bool possible;
	int64_t at;
	int status;

	r->next_ns = run_period_end(r);
	while (!r->tree.root.ended && !r->let_go) {
		handle_events(r);
		if (r->tree.root.ended)
			break;
		at = next_checkpoint_ns(r);
		if (at >= 0 && run_clock_ns(CLOCK_MONOTONIC) >= at) {
			/* The next one has what has changed meanwhile. */
			possible = !r->linked || (run_link_up(r) && run_link_committed(&r->link));
			if (possible || r->prepared)
				run_take(r, possible);
			r->next_ns = run_period_end(r);
			r->looked_ns = run_clock_ns(CLOCK_MONOTONIC);
			continue;
		}
		wait_for_something(r);
	}
	if (r->writer && waitpid(r->writer, &status, 0) == r->writer)
		run_on_writer(r, status);
	run_hook_end(r);
}

static int compare(const void *a, const void *b)
{
	const struct run_pause *x = a, *y = b;

	return x->ns < y->ns ? -1 : x->ns > y->ns;
}

static void tell_stats(struct run *r)
{
	static const char *const names[RUN_PARTS] = {
		[RUN_PART_STOP] = "stopping", [RUN_PART_FDS] = "descriptors",
		[RUN_PART_LOOK] = "looking", [RUN_PART_ASK] = "asking", [RUN_PART_MEMORY] = "memory",
	};
	uint64_t nr = r->generation < RUN_PAUSES ? r->generation : RUN_PAUSES;
	int i;

	qsort(r->pause, nr, sizeof(r->pause[0]), compare);
	fprintf(stderr, "cptdev-run: %s: %llu checkpoints, %llu written, %llu not taken; pause in us: "
		"median %llu, longest %llu; parts of the median:", r->name,
		(unsigned long long)r->generation, (unsigned long long)r->written,
		(unsigned long long)r->refused, (unsigned long long)r->pause[nr / 2].ns / 1000,
		(unsigned long long)(nr ? r->pause[nr - 1].ns / 1000 : 0));
	for (i = 0; i < RUN_PARTS; i++)
		fprintf(stderr, "%s %s %llu", i ? "," : "", names[i],
			(unsigned long long)r->pause[nr / 2].part_ns[i] / 1000);
	fprintf(stderr, "\n");
}

static int exit_status(const struct run *r)
{
	if (!r->tree.root.ended)
		return 0;
	if (WIFSIGNALED(r->tree.root.status))
		return 128 + WTERMSIG(r->tree.root.status);
	return WEXITSTATUS(r->tree.root.status);
}

/*
 * What the command does
 */

static int list_what_is(struct run *r, pid_t like)
{
	struct run_cut cut = {
		.like = like, .std = &r->std, .session = -1, .report = { .list = stdout },
	};
	struct hs_error e = { { 0 } };
	int ret = run_cut(&r->tree, &cut, &e), err = errno;

	if (!ret) {
		run_state_free(&cut.state);
	} else if (err != EOPNOTSUPP) {
		run_say(r, e.text);
		return FAILED;
	}
	printf("%s: %s\n", r->name, cut.report.refused ? "can't be protected" :
	       "can be protected");
	fflush(stdout);
	return cut.report.refused ? 1 : 0;
}

static int check_process(struct run *r)
{
	struct hs_error e;
	int ret;

	run_std_of(&r->std, r->o.pid);
	if (run_tree_begin(&r->tree, r->o.pid, false, &e)) {
		run_say(r, e.text);
		run_tree_end(&r->tree);
		return FAILED;
	}
	ret = list_what_is(r, getpid());
	run_tree_end(&r->tree);
	return ret;
}

static int check_program(struct run *r, const sigset_t *mask)
{
	struct hs_error e;
	int ret;

	if (run_launch(r->o.program, mask, true, &r->tree.root, &r->init, &e)) {
		run_say(r, e.text);
		return FAILED;
	}
	r->next_ns = run_clock_ns(CLOCK_MONOTONIC) + (int64_t)r->o.after_ms * 1000000;
	r->o.file = "";
	while (!r->tree.root.ended && run_clock_ns(CLOCK_MONOTONIC) < r->next_ns) {
		handle_events(r);
		if (!r->tree.root.ended)
			wait_for_something(r);
	}
	if (r->tree.root.ended) {
		run_say(r, "the program has ended before it was looked at: use a smaller --after");
		return FAILED;
	}
	ret = list_what_is(r, r->init);
	run_init_kill(r->init);
	return ret;
}

static int call_hook(const struct run *r, const char *event, struct hs_error *e)
{
	return run_command(r, r->o.hook, event, e);
}

/* For events after which the program continues even if the command fails. */
static void try_hook(const struct run *r, const char *event)
{
	struct hs_error e = { { 0 } };

	if (call_hook(r, event, &e))
		run_say(r, e.text);
}

static int bring_addresses(void *arg, struct hs_error *e)
{
	const struct run *r = arg;

	(void)e;
	if (r->o.spare)
		try_hook(r, HS_EVENT_TAKEOVER);
	return 0;
}

/*
 * The session begins before connections go on: output is held from then on. Without a daemon the
 * program continues; but not if another spare has taken over.
 */
static int continue_it(struct run *r, struct run_state *s, struct hs_error *e)
{
	const struct run_how how = {
		.tied = !r->o.untied, .addresses = bring_addresses, .arg = r,
	};

	if (r->o.spare && !run_mutant("destroy"))
		run_tcp_destroy(&s->fds.list);
	if (r->o.spare && run_link_open(&r->link, e)) {
		if (errno == ESTALE)
			return -1;
		run_say(r, e->text);
	}
	if (run_restore(s, &r->mirror, &how, &r->tree, &r->init, e))
		return -1;
	if (r->o.spare)
		try_hook(r, HS_EVENT_SERVE);
	return 0;
}

/* If it fails, the process goes on as it was: what is followed would end with us. */
static int attach(struct run *r, struct hs_error *e)
{
	int err;

	run_std_of(&r->std, r->o.pid);
	if (!run_tree_begin(&r->tree, r->o.pid, !r->o.untied, e) &&
	    !call_hook(r, HS_EVENT_MASTER, e))
		return 0;
	err = errno;
	run_tree_end(&r->tree);
	errno = err;
	return -1;
}

static int begin(struct run *r, const sigset_t *mask, struct hs_error *e)
{
	struct run_state s = { 0 };
	int ret, err;

	if (run_mirror_create(&r->mirror, e))
		return -1;
	if (r->linked && run_area_create(&r->link.area, e))
		return -1;
	if (r->linked && !r->o.spare && run_link_ask(&r->link, e))
		return -1;
	if (r->o.pid)
		return attach(r, e);
	if (!r->o.restart && !r->o.spare)
		return call_hook(r, HS_EVENT_MASTER, e) ||
			run_launch(r->o.program, mask, !r->o.untied, &r->tree.root, &r->init, e) ? -1 : 0;
	if (r->o.spare) {
		try_hook(r, HS_EVENT_SPARE);
		ret = run_spare_wait(r->link.name, r->link.programs, &s, &r->mirror, &r->link.term,
				     e);
	} else {
		ret = run_image_read(r->o.restart, &s, &r->mirror, e);
	}
	if (!ret)
		ret = continue_it(r, &s, e);
	/* Whoever waits for a service has more of one without the command than of none. */
	if (!ret && r->o.spare)
		run_around(r, RUN_EVENT_RESTART);
	else if (!ret && run_command(r, r->o.around, RUN_EVENT_RESTART, e)) {
		run_init_kill(r->init);
		ret = -1;
	}
	err = errno;
	run_state_free(&s);
	errno = err;
	return ret;
}

static int run_program(struct run *r, const sigset_t *mask)
{
	struct hs_error e = { { 0 } };
	int ret;

	if (r->o.file)
		hs_files_clean(r->o.file);
	if (begin(r, mask, &e)) {
		ret = errno;
		run_say(r, e.text);
		return r->o.restart || r->o.spare ? FAILED : ret == ENOENT ? 127 : ret == EACCES ? 126 : FAILED;
	}
	run_tree_go_on(&r->tree);
	/* The spare lacks everything, so that the daemon asks for a checkpoint; and output is held from now on. */
	if (r->linked && r->link.fd < 0)
		run_link_up(r);
	loop(r);
	run_tree_end(&r->tree);
	if (r->o.stats)
		tell_stats(r);
	/* A program that a signal has ended has failed: the session ends without a word. */
	if (r->linked && WIFSIGNALED(r->tree.root.status))
		_exit(exit_status(r));
	return exit_status(r);
}

/* Copies of the program's descriptors have the numbers that they have there. */
static void raise_limit(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l))
		return;
	l.rlim_cur = l.rlim_max;
	setrlimit(RLIMIT_NOFILE, &l);
}

int main(int argc, char **argv)
{
	static struct run r = { .mirror = { .fd = -1 } };
	sigset_t ours, mask;
	char *slash;

	run_options_parse(&r.o, argc, argv);
	r.linked = r.o.name && !r.o.file && !r.o.check && !r.o.restart;
	r.tree.root.tree = &r.tree;
	r.link = (struct run_link) { .name = r.o.name, .programs = r.o.programs, .fd = -1,
				     .area = { .fd = -1 } };
	/* Otherwise two of them might run. */
	r.o.untied &= !r.linked;
	r.name = r.o.name ?: r.o.program ? r.o.program[0] : r.o.restart ?: "process";
	slash = strrchr(r.name, '/');
	r.name = !r.o.name && slash ? slash + 1 : r.name;
	sigemptyset(&ours);
	sigaddset(&ours, SIGCHLD);
	sigaddset(&ours, SIGINT);
	sigaddset(&ours, SIGQUIT);
	sigaddset(&ours, SIGTERM);
	sigaddset(&ours, SIGHUP);
	sigaddset(&ours, SIGUSR1);
	sigaddset(&ours, SIGUSR2);
	sigaddset(&ours, SIGTSTP);
	sigprocmask(SIG_BLOCK, &ours, &mask);
	r.signals = signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK);
	run_std_of(&r.std, getpid());
	if (r.signals < 0) {
		run_say(&r, strerror(errno));
		return FAILED;
	}
	if (r.o.check)
		return r.o.pid ? check_process(&r) : check_program(&r, &mask);
	raise_limit();
	return run_program(&r, &mask);
}
