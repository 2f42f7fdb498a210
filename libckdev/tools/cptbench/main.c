// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cptbench: a program that modifies its memory and takes checkpoints, with knobs. It tells
 * how long it stood still, with cptdev and with what one could use instead.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cptbench.h"

static double now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static void sleep_until_us(double us)
{
	struct timespec ts = {
		.tv_sec = (time_t)(us / 1e6),
		.tv_nsec = (long)(us - (double)(time_t)(us / 1e6) * 1e6) * 1000,
	};

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

static void figure_init(struct figure *f)
{
	f->n = 0;
	f->v = calloc(knobs.count, sizeof(f->v[0]));
	if (!f->v)
		die(EXIT_FAILED, "no memory");
}

static void figure_add(struct figure *f, double v)
{
	f->v[f->n++] = v;
}

static void count_checkpoint(struct result *r, double pause, double modify)
{
	const struct sent *sent = method_sent();

	figure_add(&r->pause, pause);
	figure_add(&r->modify, modify);
	figure_add(&r->send, sent->us);
	figure_add(&r->cpu, sent->cpu_us + pause);
	r->pages += sent->pages;
	r->bytes += sent->bytes;
	r->late += knobs.interval_ms && sent->us > knobs.interval_ms * 1e3;
}

/* A checkpoint; while it is written the program modifies its memory again. */
static void checkpoint(struct result *r, bool counts, bool last)
{
	double start, stopped, modified;

	method_round(last);
	start = now_us();
	r->method->stop();
	stopped = now_us();
	work_modify();
	modified = now_us();
	r->method->finish();
	if (method_sent()->error)
		die(EXIT_FAILED, "%s: writing to %s: %s", r->method->name, knobs.output,
		    strerror(method_sent()->error));
	r->verified += knobs.verify;
	r->wrong += method_sent()->wrong;
	/* The first one has everything, and is like no other. */
	if (counts)
		count_checkpoint(r, stopped - start, modified - stopped);
	else
		r->first_pause = stopped - start;
	sleep_until_us(start + knobs.interval_ms * 1e3);
}

static void measure(struct result *r)
{
	unsigned int i;

	figure_init(&r->pause);
	figure_init(&r->modify);
	figure_init(&r->send);
	figure_init(&r->cpu);
	method_begin(r->method);
	for (i = 0; i <= knobs.count; i++)
		checkpoint(r, i > 0, i == knobs.count);
	r->method->end();
}

int main(int argc, char **argv)
{
	struct result results[NR_METHODS] = { 0 };
	unsigned int i, nr = 0;
	uint64_t wrong = 0;

	/* A measurement isn't broken off because nobody reads a line of it. */
	signal(SIGPIPE, SIG_IGN);
	options_parse(argc, argv);
	work_start();
	method_prepare();
	report_begin();
	for (i = 0; i < NR_METHODS; i++) {
		if (!(knobs.methods & 1U << i))
			continue;
		results[nr].method = &methods[i];
		measure(&results[nr]);
		wrong += results[nr++].wrong;
	}
	report(results, nr);
	if (fflush(stdout) || ferror(stdout))
		die(EXIT_FAILED, "can't write the report: %s", strerror(errno));
	return wrong ? EXIT_FAILED : 0;
}
