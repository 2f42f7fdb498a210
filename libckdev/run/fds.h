/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cptdev-run: the descriptors of a program, by the code of libhotspare. */
#ifndef RUN_FDS_H
#define RUN_FDS_H

#include "state.h"

/**
 * struct run_std - where standard input, output and error of the program come from
 * @is:		there is such a descriptor
 * @device:	and what it is
 * @inode:	and what it is
 */
struct run_std {
	bool is[RUN_STD];
	uint64_t device[RUN_STD], inode[RUN_STD];
};

/* Of the process @pid. */
void run_std_of(struct run_std *s, pid_t pid);

/*
 * Read all descriptors of the stopped process @pid. What can't be covered is refused in @r, by its
 * number. @connections: established TCP connections are covered. Returns 0, or -1 with errno and @e.
 */
int run_fds_read(struct run_fds *to, pid_t pid, const struct run_std *std, bool connections,
		 struct run_report *r, struct hs_error *e);

/*
 * In the new process: TCP connections, which may have addresses that the host doesn't have yet. They
 * send nothing until run_fds_restore(). 0, or -1 with errno and @e.
 */
int run_fds_prepare(struct run_fds *fds, struct hs_error *e);
/* Then: make all of them, close all others but @keep. 0, or -1 with errno and @e. */
int run_fds_restore(struct run_fds *fds, int keep, struct hs_error *e);

#endif /* RUN_FDS_H */
