/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libhotspare: the command that is told what the program becomes, so that an address, or
 * whatever else there is only one of, is where the program is.
 */
#ifndef HS_COMMAND_H
#define HS_COMMAND_H

#include "error.h"
#include "format.h"

/* HOTSPARE_EVENT */
#define HS_EVENT_MASTER		"master"	/* it begins: before hs_init() returns */
#define HS_EVENT_SPARE		"spare"		/* it begins to wait */
#define HS_EVENT_TAKEOVER	"takeover"	/* memory is there, descriptors aren't */
#define HS_EVENT_SERVE		"serve"		/* descriptors are there, nothing runs */

struct hs_command {
	const char *text;		/* for sh(1); NULL: none */
	const char *option;		/* that gives it, for messages; NULL: "-x" */
	char **env;			/* kept here: the variable may be among what comes back */
	unsigned int limit;		/* seconds */
};

int hs_command_run(const struct hs_command *c, const char *event,
		   const struct hs_image_head *head, struct hs_error *e);
void hs_command_try(const struct hs_command *c, const char *event,
		    const struct hs_image_head *head);

#endif /* HS_COMMAND_H */
