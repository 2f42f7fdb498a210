/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libhotspare: where checkpoints go: into files, or into whatever descriptor the program has; or to
 * a spare, which is cptdevd's business (publish.h).
 */
#ifndef HS_PIPE_H
#define HS_PIPE_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "format.h"
#include "sums.h"

enum hs_target_kind { HS_TARGET_FD, HS_TARGET_PEER, HS_TARGET_FILE };

/* Pipes to the same place share what it has. */
struct hs_target {
	enum hs_target_kind kind;
	char *path;
	struct hs_sums *sums;		/* NULL: whole checkpoints only */
	/* files: since the whole one */
	uint64_t increments, increment_bytes, whole_bytes;
	struct hs_target *next;
};

struct hs_job;

/* How a checkpoint ended, in memory that who writes it shares with us. */
struct hs_result {
	bool done;			/* @err is known */
	int err;			/* errno, or 0 */
	struct hs_error why;
};

struct hs_pipe {
	struct hs_target *target;
	int fd;				/* -1: a file that isn't open */
	struct hs_file file;
	bool whole;			/* what is being written to it, */
	uint64_t generation;
	uint8_t run[16];
	struct hs_result *result;
	int ended;			/* can be read when who writes has ended; -1: it is free */
	struct hs_job *job;		/* who writes is a thread; NULL: a process */
	bool waited;			/* by somebody who will see how it ended */
};

/*
 * A restart reads the whole checkpoint and all its increments, so there is a limit of these: by
 * number, and by bytes, which may be as many as those of the whole one, but at least
 * hs_increments_bytes. Then a whole one is written. Tests have less.
 */
extern uint64_t hs_increments_most, hs_increments_bytes;
/* Is it time for that? */
bool hs_target_full(const struct hs_target *t);

/* With the pool locked. */
void hs_pool_lock(void);
void hs_pool_unlock(void);
int hs_pool_size(void);
struct hs_pipe *hs_pool_at(int i);
int hs_pipe_open(struct hs_pipe *p, const struct hs_image_head *head, struct hs_error *e);
void hs_pipe_done(struct hs_pipe *p, int err);
/* Is it one of the pool's descriptors? */
bool hs_pool_has(int fd);
/* After fork(2). @goes_on: the child is the program from here on. */
void hs_pool_in_child(bool goes_on);

/* By who writes: takes no memory. */
int hs_pipe_confirm(struct hs_pipe *p, struct hs_error *e);

#endif /* HS_PIPE_H */
