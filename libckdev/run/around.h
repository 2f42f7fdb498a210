/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cptdev-run: the command of --checkpoint-hook. Before a checkpoint its status decides whether one is
 * taken. If it has succeeded it is run again after the checkpoint, whatever became of that.
 */
#ifndef RUN_AROUND_H
#define RUN_AROUND_H

#include "run.h"

/* HOTSPARE_EVENT */
#define RUN_EVENT_BEFORE	"pre-checkpoint"
#define RUN_EVENT_AFTER		"post-checkpoint"
#define RUN_EVENT_RESTART	"restart"

/* A command, for sh(1), or NULL. Waits for it. Returns 0, or -1 with errno and @e. */
int run_command(const struct run *r, const char *text, const char *event, struct hs_error *e);
/* That of --checkpoint-hook; a failure is told. Returns 0 or -1. */
int run_around(const struct run *r, const char *event);

/* A checkpoint is due: the next step to it. @possible: it could be taken now. */
void run_take(struct run *r, bool possible);
/* The process that runs the command has ended. */
void run_on_hook(struct run *r, int status);
/* The program has ended or is let go: a command that has begun something ends it. */
void run_hook_end(struct run *r);

#endif /* RUN_AROUND_H */
