/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libhotspare: a master asks its host's cptdevd before it begins. The state of its last run may
 * be lost here and be there on the other host: nothing is acknowledged to a program that begins
 * empty then.
 */
#ifndef HS_ASK_H
#define HS_ASK_H

#include <stdint.h>

#include "error.h"

/* In the environment: the socket on which cptdevd is asked, if it isn't at its usual place. */
#define HS_ASKED	"CPTDEVD_CONTROL"

enum hs_start {
	HS_START_FRESH,		/* nothing would be lost: begin */
	HS_START_SPARE,		/* the state is elsewhere: wait until it can be taken over here */
	HS_START_TAKE_BACK,	/* it comes from the spare's host: the same, and ask again meanwhile */
	HS_START_REFUSED,	/* a person decides */
	HS_START_UNKNOWN	/* no cptdevd answers, or one that can't be asked this */
};

/*
 * @name: of the session. @term: the lowest that a new session may have, 0: not known. @why: the
 * daemon's words, or why there is no answer.
 */
enum hs_start hs_ask_start(const char *name, uint64_t *term, struct hs_error *why);

#endif /* HS_ASK_H */
