/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libhotspare: being the spare of a program whose checkpoints cptdevd brings: the copy is a replica
 * in the kernel, and whoever decides that the master is gone promotes it.
 */
#ifndef HS_TAKEOVER_H
#define HS_TAKEOVER_H

#include <stdint.h>

#include "mirror.h"

/*
 * Waits until the replica @name is promoted, and takes the promotion. @m: has the replica, frozen,
 * and its state then. @term: of the promotion, or, with EAGAIN, the lowest of a new session.
 * @patience_ms: not 0: the state is to come back from the spare's host, and cptdevd is asked again
 * meanwhile; so long a refusal is borne, for a person may mend what it is about. Returns 0, or -1 with
 * errno and @e: ECANCELED: the master has ended in order, with hs_stop(3); EBUSY: the state isn't
 * given back; EAGAIN: a person gave it up, the program may begin.
 */
int hs_takeover_wait(const char *name, long patience_ms, struct hs_mirror *m, uint64_t *term, struct hs_error *e);

#endif /* HS_TAKEOVER_H */
