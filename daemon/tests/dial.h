/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Clients of a daemon's control socket. */
#ifndef TESTS_DIAL_H
#define TESTS_DIAL_H

#include "pair.h"

/* A connection to the daemon of @h. */
int dial(struct host *h);
/* The next line that it sends; NULL: it has closed the connection. */
struct json_object *answer(struct pair *p, int fd);
/* The same, after the request @line. */
struct json_object *ask(struct pair *p, int fd, const char *line);

#endif
