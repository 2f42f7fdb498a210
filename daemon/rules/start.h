/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a program is told that asks before it starts (rule R1 of the failure model): may it begin
 * with empty memory, or is it the spare of what was acknowledged under its name? No I/O.
 */
#ifndef CPTDEVD_START_H
#define CPTDEVD_START_H

#include "record.h"

enum start_answer {
	ANSWER_FRESH,		/* nothing that anybody relies on would be lost */
	ANSWER_SPARE,		/* it waits for a promotion, and goes on from the replica */
	ANSWER_REFUSED,		/* a person decides */
	ANSWER_TAKE_BACK,	/* likewise, and the replica is the other host's, copied here */
	ANSWERS
};

enum start_why {
	WHY_NOTHING,		/* nothing was acknowledged under the name */
	WHY_ENDED,		/* the last program ended in order */
	WHY_LOST,		/* what this host acknowledged isn't in its memory any more */
	WHY_OVERTAKEN,		/* the other host has gone on without this one */
	WHY_REPLICA,		/* this host is the spare: it has a replica */
	WHY_PROMOTED,		/* the replica was promoted here, and no program goes on with it */
	WHY_TAKING,		/* what this host lost is on its way back */
	WHY_LACKS,		/* on_restart = take-back, and the other host lacks something */
	WHY_NO_FEATURE,		/* likewise, and the other host's daemon can't give anything back */
	WHY_OTHER_HOST,		/* likewise, and the other host isn't the spare that it had */
	WHY_NOT_GIVEN,		/* likewise, and the other host has refused */
	WHY_KEPT,		/* keep = restart: this host has what the last program had */
	WHY_LIVES,		/* a program of this name runs on this host */
	WHY_DAMAGED,
	WHY_SPLIT,
};

struct start_facts {
	const struct record *r;	/* NULL: there is none, or it is damaged */
	bool damaged;
	bool split;
	bool lives;		/* a session of the name, not fenced */
	bool fed;		/* the peer has a session of the name, and feeds this host */
	bool refuse;		/* on_restart: rather than become a spare */
	bool take_back;		/* on_restart: rather than wait for a person */
	bool kept;		/* this host has all that it acknowledged: keep.c */
	bool no_feature;	/* the other host is linked, and can't give anything back */
	bool other_host;	/* another one than the spare that it had is linked */
	bool not_given;		/* it was asked, and has refused */
};

enum start_answer start_ask(const struct start_facts *f, enum start_why *why);
/* The lowest term that a program which begins anew may name its session with. */
u64 start_term(const struct record *r);

#endif
