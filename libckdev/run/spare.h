/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cptdev-run: waiting for the promotion of a program's replica. */
#ifndef RUN_SPARE_H
#define RUN_SPARE_H

#include "mirror.h"
#include "state.h"

/*
 * Wait until the replica @name is promoted, take it, and read it. @programs: see struct run_link.
 * @term: out: for the session of the program that continues. Returns 0, or -1 with errno and @e.
 * What the program would miss on this host is said as soon as it is known; if its kernel or processor
 * is another one, the spare ends at once (ENOEXEC, ENOTSUP).
 */
int run_spare_wait(const char *name, const char *programs, struct run_state *s,
		   struct run_mirror *m, uint64_t *term, struct hs_error *e);

#endif /* RUN_SPARE_H */
