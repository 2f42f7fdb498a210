/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a daemon does, without network: a delta of a session into a replica, and the ack.
 */
#ifndef SHIP_H
#define SHIP_H

#include <stdint.h>

/*
 * Once. @dev: the descriptor that stands for the spare. @replica: opened for writing.
 * Returns 1 if a generation was committed, 0 if there was none, or -errno of the call
 * that failed; -ESTALE: the session was told that it is fenced.
 */
int ship_once(int dev, uint64_t session, int replica);

/*
 * Everything, in rounds. ship_pass() stages a pass, and returns its generation in *@pass. When another
 * snapshot is published, ship_rest() stages what has changed meanwhile, and commits it.
 */
int ship_pass(int dev, uint64_t session, int replica, uint64_t *pass);
int ship_rest(int dev, uint64_t session, int replica, uint64_t pass);

/* The lowest session with snapshots that isn't @dev's, 0 if there is none. */
uint64_t ship_find(int dev);

#endif /* SHIP_H */
