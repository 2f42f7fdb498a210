/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libhotspare: taking checkpoints. */
#ifndef HS_SCHEDULE_H
#define HS_SCHEDULE_H

#include "format.h"

struct hs_error;

int hs_cpt_start(const struct hs_image_head *before);
struct hs_job;
/* The head of the next checkpoint; and: that was taken. */
void hs_cpt_head(struct hs_image_head *head);
void hs_cpt_taken(const struct hs_job *j);
/* Where this thread's hs_error() comes from. */
struct hs_error *hs_why(void);
/*
 * Waits until no checkpoint is under way. Returns 0 with the pool locked; or -1, with errno
 * EDEADLK and @e: in a hook, or where checkpoints are held off.
 */
int hs_cpt_settle(struct hs_error *e);
/* A whole one into a descriptor that is in no pool. Returns 0, or -1 with errno and @e. */
int hs_cpt_to(int fd, struct hs_error *e);
/* After fork(2). */
void hs_cpt_in_child(void);

#endif /* HS_SCHEDULE_H */
