/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libhotspare: descriptors of its own. A program that closes all descriptors closes these, too, and
 * the next one that it opens has the number of one of them: then the library must neither write
 * to it nor close it. So each is remembered with what it is of. With the pool locked, or
 * before there are threads.
 */
#ifndef HS_OWN_H
#define HS_OWN_H

#include <stdbool.h>

#include "error.h"

/* Remembers @fd. @what: completes "the descriptor of", and lives for ever. */
void hs_own(int fd, const char *what);
/* It is somebody else's from here on, or is closed by others. */
void hs_disown(int fd);
/* Closes *@fd, unless it is something else by now, and makes it -1. */
void hs_own_close(int *fd);
/* *@fd becomes @least or more. Returns 0, or -1 with errno. */
int hs_own_move(int *fd, int least);
/* Was it remembered, and is it still that? */
bool hs_owns(int fd);
/* Returns 0, or -1 with errno EBADF and @e: which one was closed. */
int hs_own_check(struct hs_error *e);

#endif /* HS_OWN_H */
