/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cptdev-run: safeguards that tests can take away, in a program that is built for them alone
 * (tests/Makefile rules: cptdev-run-mutant): RUN_MUTANT=page, thread, registers, destroy,
 * mark (a mark that comes too late counts), timer (an expiration is lost), count (timers as kernels
 * before 6.15 make them), child (a child's memory stays that of its first checkpoint), slot (on
 * the way to a spare a child gets the memory of another one), pipe (what waits in pipes is left out),
 * or shared (each process gets memory of its own instead of what it shares).
 */
#ifndef RUN_MUTANTS_H
#define RUN_MUTANTS_H

#include <stdbool.h>

#ifdef RUN_MUTANTS
#include <stdlib.h>
#include <string.h>

static inline bool run_mutant(const char *name)
{
	const char *now = getenv("RUN_MUTANT");

	return now && !strcmp(now, name);
}
#else
static inline bool run_mutant(const char *name)
{
	(void)name;
	return false;
}
#endif

#endif /* RUN_MUTANTS_H */
