/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CPTDEVCTL_PRIMARY_H
#define CPTDEVCTL_PRIMARY_H

#include "json.h"

enum primary {
	PRIMARY_UNKNOWN,	/* nobody can say: @text has why */
	PRIMARY_GONE,		/* the daemon here takes it for dead, or it shut down */
	PRIMARY_UNLINKED,	/* its link is down, and for how long says @text */
	PRIMARY_ALIVE,		/* it is linked, and feeds the replica */
};

/*
 * What the daemon's status, NULL if it can't be asked for @why, says about the host that
 * feeds the replica @name.
 */
enum primary primary_look(struct json_object *daemon, const char *why, const char *name,
			  char *text, size_t size);

#endif
