/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libhotspare: dry runs. check.c is the program that asks for one; dryrun.c is the process in
 * which the checkpoint is restored.
 */
#ifndef HS_CHECK_H
#define HS_CHECK_H

#include <stdbool.h>

#include "mirror.h"

/* Of the process that is started for a dry run. */
#define HS_CHECK_TIDS	"HOTSPARE_CHECK"	/* in its environment: threads of the program */
#define HS_CHECK_IMAGE	3			/* the checkpoint, */
#define HS_CHECK_MAPS	4			/* /proc/PID/maps of the program, */
#define HS_CHECK_RESULT	5			/* how many findings there are, as text */

/* Something that would break, as one line of standard error. It is counted. */
void hs_finding(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
unsigned int hs_findings(void);

/*
 * Restores @m as a take-over does, but touches nothing outside of this process, which is of
 * no other use afterwards. @live: there are HS_CHECK_TIDS and HS_CHECK_MAPS.
 */
void hs_dry_run(struct hs_mirror *m, bool live);
/* By hs_init(): descriptors that are open now are of who started the program, as the spare's are. */
void hs_check_start(void);
/* Is this the process for it? Then it doesn't return. */
void hs_dry_run_if_asked(void);

#endif /* HS_CHECK_H */
