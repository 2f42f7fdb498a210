/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cptdev-run: copies of the descriptors of all processes, in a process that has only these, see fds.c. */
#ifndef RUN_FDS_COPY_H
#define RUN_FDS_COPY_H

#include "state.h"

/**
 * struct run_copy - a descriptor
 * @of:		number of its process in the state
 * @fd:		its number there
 * @at:		that of its copy
 * @cloexec:	it is closed by execve(2)
 */
struct run_copy {
	uint32_t of;
	int fd, at;
	bool cloexec;
};

/**
 * struct run_copies - all of them
 * @state:	of the processes
 * @nr_processes: their number
 * @pidfd:	of each
 * @nr:		number of descriptors
 * @v:		these, in ascending order of @at
 * @above:	no copy has a number from here on
 */
struct run_copies {
	struct run_state *state;
	uint32_t nr_processes;
	int *pidfd;
	uint32_t nr;
	struct run_copy *v;
	int above;
};

/* Which descriptors are there? Returns 0, or -1 with errno and @e. */
int run_copies_list(struct run_copies *c, struct run_state *s, struct hs_error *e);
/* In a process with a table of descriptors of its own: make them. Returns 0, or -1 with errno and @e. */
int run_copies_make(const struct run_copies *c, struct hs_error *e);
void run_copies_free(struct run_copies *c);

/* The one with this number, or NULL. */
const struct run_copy *run_copies_at(const struct run_copies *c, int at);
/* The process that has it, as it is known here. */
pid_t run_copies_host(const struct run_copies *c, const struct run_copy *copy);

#endif /* RUN_FDS_COPY_H */
