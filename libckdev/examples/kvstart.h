/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kvstore: asking this host's cptdevd before it begins. The state of its last run may be lost
 * here and be there on the other host: a program that begins empty then is acknowledged nothing.
 */
#ifndef KVSTART_H
#define KVSTART_H

#include <stddef.h>
#include <stdint.h>

enum kv_start {
	START_FRESH,		/* nothing would be lost: begin */
	START_SPARE,		/* wait for a promotion: the state is elsewhere, or in a replica */
	START_TAKE_BACK,	/* the same, and it is a primary then: its spare has the state */
	START_REFUSED,		/* a person decides */
	START_UNKNOWN,		/* nobody answers: the daemon bars a program that mustn't begin */
};

/*
 * @control: the daemon's control socket. @term: the lowest that a fresh session may have, 0 or
 * more. @text: the daemon's words, or why there is no answer.
 */
enum kv_start kv_start_ask(const char *control, const char *name, uint64_t *term, char *text,
			   size_t size);

#endif /* KVSTART_H */
