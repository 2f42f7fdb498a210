/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Does a program of this host take over from the peer's (rule R4 of the failure model)? No I/O
 * and no clock.
 *
 * A fence command says whether the peer's host is surely off. If it does, no lease has to run
 * out: nobody is left who relies on one. If it fails nothing has changed, and the lease decides
 * as it does without a fence command.
 */
#ifndef CPTDEVD_TAKEOVER_H
#define CPTDEVD_TAKEOVER_H

#include "types.h"

/* The fence command, since the peer counts as dead. */
enum fencing {
	FENCING_NONE,		/* there is no such command */
	FENCING_DUE,		/* it wasn't run yet */
	FENCING_RUNS,
	FENCING_OFF,		/* it succeeded: the host is off */
	FENCING_FAILED,		/* nobody knows */
};

struct takeover_facts {
	bool automatic;		/* failover = auto */
	bool failed;		/* its own daemon says that the program did, and on_exit = failover */
	bool dead;		/* its host counts as dead */
	bool waited;		/* a program waits for the replica here */
	bool lease_over;	/* whatever was lent to its programs has run out */
	enum fencing fencing;
	bool others;		/* another host may be promoted as well (rule R8) */
};

enum takeover {
	TAKEOVER_NO,
	TAKEOVER_LATER,		/* the fence command or the lease isn't done yet */
	TAKEOVER_FENCE,		/* run the fence command first */
	TAKEOVER_OTHERS,	/* a cluster manager or a person decides */
	TAKEOVER_NOBODY,	/* nobody waits, so nothing is promoted */
	TAKEOVER_NOW,
};

enum takeover takeover_decide(const struct takeover_facts *f);
/* For people, and for status. */
const char *fencing_word(enum fencing f);

#endif
