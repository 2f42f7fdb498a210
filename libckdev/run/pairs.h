/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cptdev-run: socket pairs of a program, both ends of which are in it. See socketpair(2). */
#ifndef RUN_PAIRS_H
#define RUN_PAIRS_H

#include "report.h"
#include "state.h"

/* Is @fd an end of one? Then its type is in @type. */
bool run_pair_is(int fd, int *type);

/*
 * Finds the other end of each in @list, where both have a descriptor. One that belongs to another
 * process, or is closed, is refused by the number of the end that is there.
 */
void run_pairs_settle(struct hs_fds *list, struct run_report *r);

#endif /* RUN_PAIRS_H */
