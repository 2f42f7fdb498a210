/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libhotspare: checkpoints that cptdevd brings to the spare. The program has a session of the
 * module with a name; a checkpoint is a published snapshot, which has the state area. cptdevd
 * knows the other host, ships the snapshot there, and tells the module when the spare has it.
 */
#ifndef HS_PUBLISH_H
#define HS_PUBLISH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "error.h"

/*
 * From here on checkpoints are published. @name: of the session, lives for ever. @term: of the
 * promotion that this program took, 0 for a new program. @timeout: seconds that hs_cpt() waits
 * for the spare. Returns 0, or -1 with errno and @e: EEXIST: another program has the name; those
 * of ckdev_open() and ckdev_session().
 */
int hs_publish_start(const char *name, uint64_t term, unsigned int timeout, struct hs_error *e);
bool hs_publishing(void);
/*
 * With a cptdevd of the program's own: who is on the other host has a moment to be heard. Returns
 * whether it took over from a program of this name: then this one is its spare.
 */
bool hs_publish_overtaken(void);
/*
 * The spare at that address is the program's: with a cptdevd of its own. Returns 0, or -1 with errno
 * and @e: EOPNOTSUPP: there is another one.
 */
int hs_publish_peer(const struct sockaddr *addr, socklen_t len, struct hs_error *e);
/*
 * The session is of the private cptdevd: as many asynchronous ones as @most may be on their way to
 * the spare, and a spare that isn't there is waited for a moment only.
 */
void hs_publish_private(unsigned int most);

/*
 * As hs_cpt(), with the pool locked, which is unlocked while the call waits. Returns 0, or -1 with
 * errno and @e.
 */
int hs_publish_take(int flags, struct hs_error *e);
/* Waits for the asynchronous ones, as hs_cpt_wait(). The pool is locked, as above. */
int hs_publish_wait(struct hs_error *e);
/* The program ends in order: so does its session. */
void hs_publish_stop(void);

#endif /* HS_PUBLISH_H */
