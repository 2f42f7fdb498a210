// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The costs of a committed page on the spare's host: the processor time of its cptdevd, and of the warm
 * program that waits there and copies the page into its own memory. Once without such a program,
 * once with it. Each commit is followed by a rest, in which the program makes a pass of its own for
 * it: more commits in one pass would cost less.
 */
#include <err.h>
#include <stdio.h>
#include <time.h>

#include "commits.h"
#include "figures.h"
#include "two_hosts.h"

/* In each round. */
#define COMMITS		4
/* A pass begins 100 ms after the last one at the latest. Heartbeats cost the same in each case. */
#define REST_US		300000U
#define NS_PER_INSTR	2		/* see selftests/bench/run */

static const struct load load = { .mib = 256, .changed = 656 };

static double cpu_ns(pid_t pid)
{
	struct timespec t = { 0 };
	clockid_t clock;

	if (pid && (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &t)))
		errx(1, "a process of the spare has ended");
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double spare_ns(const struct host *h)
{
	return cpu_ns(h[SPARE].daemon) + cpu_ns(h[SPARE].program);
}

/* Instructions for each page. */
static double commit_some(const struct host *h)
{
	double before = spare_ns(h);
	unsigned int i;

	for (i = 0; i < COMMITS; i++) {
		saving_save(patience_ms(&load));
		rest_us(REST_US);
	}
	return (spare_ns(h) - before) / NS_PER_INSTR / (double)(COMMITS * load.changed);
}

static void await_copy(const struct host *h)
{
	double until = now_us() + patience_ms(&load) * 1e3;

	while (hosts_behind(&h[SPARE])) {
		if (now_us() > until)
			errx(1, "the spare doesn't copy");
		rest_us(100000);
	}
}

static double measure(const char *cptdevd, const char *dir, bool waiting, unsigned int rounds)
{
	struct figure f = { .nr = 0 };
	struct host h[HOSTS];
	unsigned int i;

	hosts_start(h, cptdevd, dir);
	if (waiting)
		hosts_start_spare(h, &load, "yes");
	hosts_start_primary(h, &load);
	if (waiting)
		await_copy(h);
	/* One isn't counted. */
	commit_some(h);
	for (i = 0; i < rounds; i++)
		figure_add(&f, commit_some(h));
	if (waiting && hosts_behind(&h[SPARE]))
		errx(1, "the spare's copy lacks commits that it had the time for");
	hosts_end(h);
	figure_print(&f, "instructions", "commit_page_instr_%s", waiting ? "warm" : "cold");
	return figure_median(&f);
}

void commits_measure(const char *cptdevd, const char *dir, unsigned int rounds)
{
	double cold = measure(cptdevd, dir, false, rounds);

	figure_ratio(measure(cptdevd, dir, true, rounds) / cold, rounds, "warm_commit_over_cold");
}
