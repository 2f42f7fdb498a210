/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libhotspare: which process takes checkpoints, and what its children have of the library. */
#ifndef HS_FORK_H
#define HS_FORK_H

#include "error.h"

/* From here on this process takes checkpoints, and no child of it. */
void hs_fork_own(void);
/* Is this such a child? Returns 0, or -1 with errno ECHILD and @e. */
int hs_fork_child(struct hs_error *e);

#endif /* HS_FORK_H */
