/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cptdev-run: the processes of a program are made: shells that have the numbers, sessions, groups and
 * descriptors of the program, and are forked by each other as its processes were. What they can't do by
 * themselves the tracer does (restore.c).
 */
#ifndef RUN_SHELLS_H
#define RUN_SHELLS_H

#include "state.h"

/* A shell tells how far it is, and waits for a byte. @gate: its descriptor of the socket. */
struct run_ready {
	int err, gate;
	struct hs_error why;
};

/**
 * struct run_shells - what all of them know
 * @state:	what they become
 * @above:	numbers of descriptors that nobody in the program has begin here
 * @gate:	for each but the first, those of @state->others, then those of @state->zombies: a pair of
 *		sockets, the tracer's end and the shell's
 */
struct run_shells {
	struct run_state *state;
	int above;
	int (*gate)[2];
	int own[RUN_STD];
};

/*
 * The first shell, as run_init_start() calls it. It reports three times: when its TCP connections are
 * there, when it has its session, group and children, and when it has its descriptors. The others report the
 * last two. A process that has ended in the program ends after that.
 */
void run_shell(void *arg, int gate);

static inline uint32_t run_shells_nr(const struct run_state *s)
{
	return 1 + s->nr_others + s->nr_zombies;
}

#endif /* RUN_SHELLS_H */
