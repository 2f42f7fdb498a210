/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * May a session acknowledge without a spare (rule R6 of the failure model)? No I/O and no clock.
 *
 * It is safe if nobody can be promoted who lacks what is acknowledged: no spare ever followed
 * this run of the program, as after it took over itself, or the spare left in order and wrote
 * down that it is outdated. If a spare may be promoted by time-out, going on is never safe, and
 * policy alone doesn't do it. If only a person promotes, the policy may go on at a risk, which
 * is said.
 */
#ifndef CPTDEVD_ALONE_H
#define CPTDEVD_ALONE_H

#include "types.h"

struct alone_facts {
	bool follows;		/* a spare is there */
	bool said;		/* a person said so */
	bool go_on;		/* policy alone = go-on */
	bool spare;		/* one followed this run, and may be promoted */
	bool automatic;		/* by time-out */
	bool asked;		/* a spare was asked, and not told that the session is alone */
	bool lent;		/* another primary's lease may not be over yet */
	bool gone;		/* the peer left in order, or counts as dead */
	u64 without;		/* ns that there is no spare */
	u64 patience;		/* ns in which one may come */
};

enum alone {
	ALONE_NO,
	ALONE_SOON,		/* unless a spare comes */
	ALONE_SAFE,
	ALONE_SAID,		/* a person takes the risk */
	ALONE_RISK,		/* who promotes the spare by hand loses data, which is shown then */
};

enum alone alone_decide(const struct alone_facts *f);
/* Why, for a message. */
const char *alone_why(enum alone a);

#endif
