/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What of a status isn't as it should be, the gravest first: status --check. It touches
 * nothing, so that a test can give it any host.
 */
#ifndef CPTDEVCTL_PROBLEMS_H
#define CPTDEVCTL_PROBLEMS_H

#include "view.h"

struct problem {
	enum exit_status status;
	const char *code;		/* a word for programs */
	char text[384];
};

#define PROBLEMS_MAX	32		/* further ones are counted only */

struct problems {
	struct problem list[PROBLEMS_MAX];
	unsigned int nr;
	unsigned int more;
	enum exit_status worst;		/* EXIT_DONE: there is none */
};

void problems_find(const struct view *v, struct problems *p);
/* Isn't the session protected? @why, which may be NULL, gets the gravest reason. */
bool problems_session(const struct view *v, const struct session_rec *s, char *why, size_t size);
void problems_text(const struct problems *p, FILE *to);
struct json_object *problems_json(const struct problems *p);

#endif
