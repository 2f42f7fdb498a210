/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cptdev-run: checkpoints that cptdevd brings to the spare. The session is the tracer's: it hands
 * over what has changed as any program does where there is no module (softwire.h).
 */
#ifndef RUN_LINK_H
#define RUN_LINK_H

#include "area.h"
#include "mirror.h"

/**
 * struct run_link - the session
 * @name:	of the session
 * @programs:	cptdevd's socket for programs, NULL: its usual place
 * @term:	of the replica that the program continues from; 0: it begins
 * @fd:		the session, -1: none
 * @again:	there was one before
 * @page:	what the daemon tells about the session, NULL: an older daemon
 * @generation:	the last one that was published; 0: the next one has everything
 * @had:	the pages that it had
 * @area:	the state
 */
struct run_link {
	const char *name, *programs;
	uint64_t term;
	int fd;
	bool again;
	const struct cptdev_session_page *page;
	uint64_t generation;
	struct run_runs had;
	struct run_area area;
};

/*
 * May a program of this name begin here? Returns 0, or -1 with errno and @e: EBUSY: its state is
 * elsewhere, or a person decides; ENOENT: no cptdevd answers.
 */
int run_link_ask(struct run_link *l, struct hs_error *e);

/* Returns 0, or -1 with errno and @e. */
int run_link_open(struct run_link *l, struct hs_error *e);

/* The last cut. Returns 0, or -1 with errno and @e: ECONNRESET: cptdevd has ended. */
int run_link_publish(struct run_link *l, const struct run_state *s, const struct run_mirror *m,
		     struct hs_error *e);

/* 0; ESTALE: a spare has taken over, the program must be stopped; ECONNRESET: cptdevd has ended. */
int run_link_state(struct run_link *l);

/* Is the last generation that was published on the spare? */
bool run_link_committed(struct run_link *l);

/*
 * Is a checkpoint wanted now: output is held until there is one (see [hold] in cptdevd.conf(5)), or
 * a spare lacks the state?
 */
bool run_link_wanted(const struct run_link *l);

/* For how long a person holds checkpoints off, in ns; 0: nobody does. */
uint64_t run_link_held_off(const struct run_link *l);

void run_link_drop(struct run_link *l);

#endif /* RUN_LINK_H */
