/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cptdev-run: the mirror: the memory of the program as it was at the last checkpoint, in a file
 * without a name where the offset of a byte is its address. It has those pages that a restart
 * can't get otherwise: pages of anonymous memory that were touched, and written pages of files.
 */
#ifndef RUN_MIRROR_H
#define RUN_MIRROR_H

#include "state.h"

struct run_run {
	uint64_t start, end;		/* whole pages */
};

struct run_runs {
	uint64_t nr;
	struct run_run *v;		/* in ascending order, not touching each other */
};

/**
 * struct run_mirror - memory at the last checkpoint
 * @fd:		the file
 * @present:	the pages that it has
 * @changed:	those of @present that have changed by the last update
 * @pages:	pages of @present
 */
struct run_mirror {
	int fd;
	struct run_runs present, changed;
	uint64_t pages;
};

int run_mirror_create(struct run_mirror *m, struct hs_error *e);
void run_mirror_free(struct run_mirror *m);

/* Read the memory of the stopped process @pid. Returns 0, or -1 with errno and @e. */
int run_mirror_update(struct run_mirror *m, pid_t pid, const struct run_maps *maps,
		      struct hs_error *e);

/* Pages from a checkpoint, in ascending order. Returns 0, or -1 with errno. */
int run_mirror_add(struct run_mirror *m, uint64_t addr, const void *buf, size_t len);

/* Append [start, end) to the list. Returns 0, or -1 with errno. */
int run_runs_add(struct run_runs *runs, uint64_t start, uint64_t end);
void run_runs_free(struct run_runs *runs);

#endif /* RUN_MIRROR_H */
