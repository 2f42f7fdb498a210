/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cptdev-run: the processes of a program, and how they belong together. */
#ifndef RUN_FAMILY_H
#define RUN_FAMILY_H

#include "report.h"
#include "state.h"
#include "tree.h"

/*
 * Find all processes of the stopped program: @s->others, of which only number, parent and memory are set,
 * and @s->zombies. What can't be covered is refused in @r, by its number. Returns 0, or -1 with errno and @e.
 */
int run_family_read(struct run_state *s, struct run_tree *tree, struct run_report *r, struct hs_error *e);
/*
 * A process that ran already (--pid) may be in a session and a group that others have begun: like those of a program
 * that cptdev-run has started, they have no number in the program's space.
 */
void run_family_forget_outside(struct run_state *s);
/* When all of them are known: can their sessions and groups be made again, and what do they share? */
void run_family_check(const struct run_state *s, struct run_report *r);

/*
 * A restart makes a process by fork(2) of its parent: before or after the parent begins its session.
 * @i: one of @s->others. Returns false if the session can't be had.
 */
bool run_family_fits(const struct run_state *s, uint32_t i, bool *before);
bool run_family_fits_zombie(const struct run_state *s, const struct run_zombie *z, bool *before);
/* The number of its parent in the list, 0: the first process. -1: it isn't there. */
int run_family_parent(const struct run_state *s, pid_t parent);
/* Does a process of the program, or one that has ended, lead this group? */
bool run_family_leads(const struct run_state *s, pid_t group);

#endif /* RUN_FAMILY_H */
