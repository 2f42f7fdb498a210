/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CPTDEVCTL_VERBS_H
#define CPTDEVCTL_VERBS_H

#include <getopt.h>

#include "ctl.h"

/* A verb takes at most that long, unless --timeout says otherwise. */
#define TIMEOUT_S	10

struct verb {
	const char *name;
	/*
	 * As the usage has it after the name. Completion goes by it: " NAME" is a name of a session
	 * or a replica, " FILE" a file, lower-case words are what may be there.
	 */
	const char *args;
	verb_fn fn;
	const char *help;
};

/* The @i-th, NULL: there are no more. */
const struct verb *verbs_at(size_t i);
const struct verb *verbs_find(const char *name);
/* The long options, for getopt_long(3). */
extern const struct option verbs_options[];

void verbs_usage(FILE *to);

#endif
