/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cptdev-run: who has a file that has lost its name. */
#ifndef RUN_USERS_H
#define RUN_USERS_H

#include "state.h"

/*
 * A process that isn't one of the program's and has the file mapped or open; 0: none. Nobody can open it any
 * more, so that the answer 0 is kept. -1: /proc can't be read.
 */
pid_t run_users_outside(struct run_state *s, dev_t device, ino_t inode);

#endif /* RUN_USERS_H */
