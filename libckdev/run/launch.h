/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cptdev-run: a program that starts from its beginning. */
#ifndef RUN_LAUNCH_H
#define RUN_LAUNCH_H

#include <signal.h>

#include "trace.h"

/*
 * @mask: of the signals that the program has blocked when it starts. Returns 0: it is traced by @t
 * and runs; @init: process 1 of its space. Or -1 with errno and @e; ENOENT, EACCES and others of
 * execve(2): the program can't be started.
 */
int run_launch(char **program, const sigset_t *mask, bool tied, struct run_trace *t, pid_t *init,
	       struct hs_error *e);

#endif /* RUN_LAUNCH_H */
