/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libhotspare: a warm spare. The program that waits copies the arena to where it will be, after each
 * commit what changed; after the promotion only what the last pass lacks is left to copy. What is
 * outside of the arena is small, and in use by the waiting program: it is copied at the end.
 *
 * The replica stays the truth. Whatever goes wrong here, the spare is cold: it copies everything
 * after the promotion.
 */
#ifndef HS_WARM_H
#define HS_WARM_H

#include <stdbool.h>

/* Passes are at least so far apart. */
#define HS_WARM_MS	100

/*
 * Each takes a safeguard away: tests/mutants.sh shows that it is missed.
 */
#define HS_WARM_NO_LAST		(1 << 0)	/* the pass after the promotion */
#define HS_WARM_LATE		(1 << 1)	/* commits that come during a pass aren't copied by it */
#define HS_WARM_NO_HOLES	(1 << 2)	/* pages that lost their data */
#define HS_WARM_NO_ANEW		(1 << 3)	/* nothing is left of a copy that is too old */
#ifdef HS_MUTANTS
extern unsigned int hs_warm_mutant;
#define warm_mutant(x)		(hs_warm_mutant & (x))
#else
#define warm_mutant(x)		0
#endif

/* Asks the environment. From now on there may be passes. */
void hs_warm_start(void);
/* Does the spare copy ahead? */
bool hs_warm(void);
/* A pass: what was committed to the replica @fd since the last. */
void hs_warm_pass(int fd);
/* The replica is another one: what was copied is none of it. */
void hs_warm_anew(void);
/*
 * The last pass: the replica @fd is frozen, and @content has its memory. True: the arena's memory is
 * in place, for hs_arena_restore(). False: nothing is there.
 */
bool hs_warm_last(int fd, int content);
/* Nothing is taken over. */
void hs_warm_end(void);

#endif /* HS_WARM_H */
