/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cptdev-run: memory that processes of the program share: MAP_SHARED | MAP_ANONYMOUS, and files in memory
 * that have lost their names.
 */
#ifndef RUN_SHARED_H
#define RUN_SHARED_H

#include "report.h"
#include "restore.h"
#include "state.h"
#include "tree.h"

/*
 * Choose the process that saves the content: the first one that has all of it. Memory that can't be covered is
 * refused in @r, by its address.
 */
void run_shared_settle(struct run_state *s, const struct run_tree *tree, struct run_report *r);

/**
 * struct run_shared - shared memory that is made at a restart
 * @object:	its number in the checkpoint
 * @by:		the process that has made it, and has it open as @fd until all have mapped it
 */
struct run_shared {
	uint64_t object;
	struct run_puppet *by;
	int fd;
};

struct run_all_shared {
	uint32_t nr;
	struct run_shared *v;
};

/* A descriptor of it in the process @p. -1: see @p->e. */
int run_shared_open(struct run_puppet *p, const struct run_map *m);
/* When all have mapped it. 0, or -1 and @e. */
int run_shared_close(struct run_all_shared *all);

#endif /* RUN_SHARED_H */
