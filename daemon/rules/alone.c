// SPDX-License-Identifier: GPL-2.0-or-later
/* The rules about the only copy. */
#include "alone.h"

enum alone alone_decide(const struct alone_facts *f)
{
	if (f->follows)
		return ALONE_NO;
	if (f->said)
		return f->asked ? ALONE_SOON : ALONE_SAID;
	if (!f->go_on || (f->spare && f->automatic))
		return ALONE_NO;
	if (f->asked || f->lent || (!f->gone && f->without < f->patience))
		return ALONE_SOON;
	return f->spare ? ALONE_RISK : ALONE_SAFE;
}

const char *alone_why(enum alone a)
{
	switch (a) {
	case ALONE_SAFE:
		return "no spare that lacks its data can take over";
	case ALONE_SAID:
		return "a person said so (cptdevctl alone)";
	case ALONE_RISK:
		return "alone = go-on; a promotion of the old spare loses the data that is acknowledged from now on";
	default:
		return "";
	}
}
