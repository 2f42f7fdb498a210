/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * chain.c: two daemons in this guest, and checkpoints from one to the other.
 */
#ifndef _BENCH_CHAIN_H
#define _BENCH_CHAIN_H

#include <sys/types.h>
#include <time.h>

struct host {
	const char *name;
	const char *conf;
	pid_t pid;
	clockid_t clock;
};

extern struct host primary, spare;

/* @engine: module or soft. One host after the other has this name. */
void host_start(struct host *h, const char *engine);
void host_end(struct host *h);
/* Processor time of its daemon so far. */
double cpu_us(const struct host *h);
/* Bytes that the primary's daemon has sent to the spare's. */
double bytes_sent(void);
/* A checkpoint, until the spare has it. Returns its pages. */
double publish(int device);

#endif /* _BENCH_CHAIN_H */
