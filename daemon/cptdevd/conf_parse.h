/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between conf.c, which takes the file apart, and conf_check.c, which looks at the whole. */
#ifndef CPTDEVD_CONF_PARSE_H
#define CPTDEVD_CONF_PARSE_H

#include "conf.h"

#define CONF_KEYS_MAX	32

struct parse {
	struct conf *conf;
	FILE *from;
	const char *name;
	FILE *errors;
	int line;
	bool cut;			/* in the rest of a line that is too long */
	unsigned int mistakes;
	int seen[CONF_KEYS_MAX];	/* line of each key, 0: not given */
};

/* @line: 0 if it is about none of them. */
void conf_mistake(struct parse *p, int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Where the key was given, 0: it wasn't. */
int conf_line(const struct parse *p, const char *section, const char *name);

/* Values that don't fit together, or can't work on this host. */
void conf_check(struct parse *p);

#endif
