/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How a session ended, and what follows from that (failure-model.rst, "A program that ends").
 * No I/O and no clock.
 */
#ifndef CPTDEVD_END_H
#define CPTDEVD_END_H

#include "record.h"

/* As the wire format has them. */
enum end_how {
	HOW_UNKNOWN,		/* nobody saw it */
	HOW_ORDER,		/* the program was not wanted any more */
	HOW_FAILED,		/* it was killed, failed, was replaced; or its host lost power */
	HOW_MAX = HOW_FAILED
};

/* @end: CPTDEV_END_*, @code: exit status or signal. */
enum end_how end_how(u32 end, u32 code);
/* The same for people: "killed by signal 9". */
const char *end_text(u32 end, u32 code, char *text, size_t size);

/*
 * The session of a record ended, on the host where it ran. True: the record has changed. An end
 * in order that was noted stays, and so does a failure. That nobody saw it is noted as well: a host
 * that loses its power later doesn't make a failure of it.
 */
bool end_note(struct record *r, const u8 *session, enum end_how how);
/*
 * How the session of a record ended that isn't there any more: the host was started anew with
 * it, or nobody saw it.
 */
enum end_how end_of_record(const struct record *r, const u8 *boot);

/* What the spare's host makes of the word that the session which fed it has ended. */
enum end_verdict {
	END_IGNORED,		/* it is about another session, or an older pair */
	END_FORGET,		/* nothing is promoted by itself */
	END_TAKE_OVER,		/* a program that waits goes on from the replica */
	END_LACKS,		/* it failed, but acknowledged more than the replica has */
};

enum end_verdict end_told(const struct record *r, const u8 *session, u64 term, const u8 *owner,
			  u64 generation, enum end_how how);

#endif
