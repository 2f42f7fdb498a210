// SPDX-License-Identifier: GPL-2.0-or-later
/* The rules about programs that end. */
#include <stdio.h>

#include <linux/cptdev_netlink.h>

#include "end.h"
#include "uuid.h"

/*
 * A program that closes its session, or exits with status 0, has done what it was started for.
 * Everything else is a failure: also a signal that a person sent, because nothing distinguishes
 * it from one that nobody meant.
 */
enum end_how end_how(u32 end, u32 code)
{
	switch (end) {
	case CPTDEV_END_CLOSED:
		return HOW_ORDER;
	case CPTDEV_END_EXITED:
		return code ? HOW_FAILED : HOW_ORDER;
	case CPTDEV_END_KILLED:
	case CPTDEV_END_EXEC:
	case CPTDEV_END_FAILED:
		return HOW_FAILED;
	}
	return HOW_UNKNOWN;
}

const char *end_text(u32 end, u32 code, char *text, size_t size)
{
	switch (end) {
	case CPTDEV_END_CLOSED:
		snprintf(text, size, "closed its session");
		break;
	case CPTDEV_END_EXITED:
		snprintf(text, size, "exited with status %u", code);
		break;
	case CPTDEV_END_KILLED:
		snprintf(text, size, "was killed by signal %u", code);
		break;
	case CPTDEV_END_EXEC:
		snprintf(text, size, "was replaced by another program");
		break;
	case CPTDEV_END_FAILED:
		snprintf(text, size, "ended without a report, for example killed");
		break;
	default:
		snprintf(text, size, "ended in an unknown way");
	}
	return text;
}

bool end_note(struct record *r, const u8 *session, enum end_how how)
{
	/* A program that was overtaken has no say in whether the service is wanted. */
	if (r->role != RECORD_PRIMARY || r->outdated || r->ended || r->failed ||
	    !uuid_same(r->session, session) || (r->unseen && how == HOW_UNKNOWN))
		return false;
	r->ended = how == HOW_ORDER;
	r->failed = how == HOW_FAILED;
	r->unseen = how == HOW_UNKNOWN;
	return true;
}

enum end_how end_of_record(const struct record *r, const u8 *boot)
{
	if (r->ended)
		return HOW_ORDER;
	/* Its host's power took nothing from it: it wasn't there any more. */
	if (r->unseen)
		return HOW_UNKNOWN;
	return r->failed || !uuid_same(r->boot, boot) ? HOW_FAILED : HOW_UNKNOWN;
}

enum end_verdict end_told(const struct record *r, const u8 *session, u64 term, const u8 *owner,
			  u64 generation, enum end_how how)
{
	if (r->role != RECORD_SPARE || !uuid_same(r->session, session) ||
	    record_meet(r, term, owner) != MEET_SAME)
		return END_IGNORED;
	if (how != HOW_FAILED)
		return END_FORGET;
	return r->outdated || r->generation < generation ? END_LACKS : END_TAKE_OVER;
}
