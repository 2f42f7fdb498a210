/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two hosts on this machine: two cptdevd with the soft engine, linked over loopback, and a program
 * with its spare. All of it is in the current directory.
 */
#ifndef BENCH_TWO_HOSTS_H
#define BENCH_TWO_HOSTS_H

#include <sys/types.h>

#include "saving.h"

#define TIMEOUT_MS	1000

/* The host that is lost, and the one that takes over. */
enum { PRIMARY, SPARE, HOSTS };

struct host {
	char conf[16], control[96], programs[96];
	pid_t daemon, program;
};

/* @dir: the current directory. */
void hosts_start(struct host *h, const char *cptdevd, const char *dir);
void hosts_end(struct host *h);
/* @warm: as HOTSPARE_WARM. Returns when the program's first checkpoint is on the spare. */
void hosts_start_spare(struct host *h, const struct load *load, const char *warm);
void hosts_start_primary(struct host *h, const struct load *load);
/* How long a client waits at most: all of the memory may have to be copied first. */
double patience_ms(const struct load *load);
/* A process that was started here. */
void end(pid_t pid);
/* Pages that the waiting program's copy lacks. */
unsigned long hosts_behind(const struct host *h);

#endif /* BENCH_TWO_HOSTS_H */
