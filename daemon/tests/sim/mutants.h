/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Mutants: each takes one rule away from the daemons or their programs, and the simulator has to
 * notice. The daemon knows nothing of it: the linker puts the functions __wrap_* of mutants.c in
 * place of the daemon's, and without a mutant they only call these.
 */
#ifndef TESTS_SIM_MUTANTS_H
#define TESTS_SIM_MUTANTS_H

#include <stdbool.h>

enum mutant {
	MUTANT_NONE,
	MUTANT_CLAIM_TWICE,		/* a promotion isn't consumed */
	MUTANT_KEEP_FEEDS,		/* feeds of sessions that ended aren't forgotten */
	MUTANT_ACK_EARLY,		/* acknowledged before the commit */
	MUTANT_LATE_FENCE,		/* a session that published nothing isn't fenced */
	MUTANT_NO_LEASE,		/* programs don't look at their lease */
	MUTANT_NOT_OUTDATED,		/* a spare that left isn't outdated */
	MUTANT_TERM_LOST,		/* the term isn't stored */
	MUTANT_TERM_LATE,		/* it is stored after the answer */
	MUTANT_STILL_FORGOTTEN,		/* why a name stands still isn't stored */
	MUTANT_SWITCH_EARLY,		/* a spare takes over when it is only asked */
	MUTANT_SWITCH_SERVES,		/* a program goes on while it is switched over */
	MUTANT_KEPT_UNASKED,		/* a program goes on on the spot without asking the spare */
	MUTANT_KEPT_LATE,		/* a generation is acknowledged before it is kept */
	MUTANT_LENT_AND_KEPT,		/* a replica that was given back may be promoted */
	MUTANT_TAKE_WHAT_LACKS,		/* a state is taken back from who lacks a part of it */
	MUTANT_VERIFY_EARLY,		/* pages count as sent before they are */
	MUTANT_THIRD,			/* from here on: of the third host */
	MUTANT_SWAP_EARLY = MUTANT_THIRD, /* a spare is replaced that may be promoted */
	MUTANT_SWAP_UNREAD,		/* the record of the replaced host isn't read */
	MUTANT_SWAP_BACK,		/* a spare that comes back counts with its old copy */
	MUTANTS
};

extern enum mutant mutant;

struct mutant_info {
	const char *name;
	const char *what;
	const char *why;		/* what is wrong then: a part of the message */
	unsigned int from;		/* seeds before it are passed over: few show the mutant */
};

extern const struct mutant_info mutant_info[MUTANTS];

#endif
