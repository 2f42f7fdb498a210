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
 * Read all descriptors of the stopped processes @s, of which process.host is known. What can't be
 * covered is refused in @r, by its number. @connections: established TCP connections are covered.
 * Returns 0, or -1 with errno and @e.
 */
int run_fds_read(struct run_state *s, const struct run_std *std, bool connections, struct run_report *r,
		 struct hs_error *e);

/*
 * In the new process: TCP connections, which may have addresses that the host doesn't have yet. They
 * send nothing until run_fds_restore(). 0, or -1 with errno and @e.
 */
int run_fds_prepare(struct run_fds *fds, struct hs_error *e);
/*
 * Then: make all of the list. Processes that are forked from this one have them. @above: run_fds_above().
 * @own: out: our own standard input, output and error, for run_fds_place(). 0, or -1 with errno and @e.
 */
int run_fds_make(struct run_fds *fds, int own[RUN_STD], int above, struct hs_error *e);
/*
 * In each process: those that it has, under its own numbers; all others but @keep are closed. @first: those
 * of the first process.
 */
int run_fds_place(const struct run_fds *fds, const struct run_fds *first, const int own[RUN_STD], int above,
		  int keep, struct hs_error *e);
/* The lowest number that is above all that the program has. */
int run_fds_above(const struct run_state *s);

#endif /* RUN_FDS_H */
