/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The answers of daemons, for schema.sh. With $ANSWERS each line that a daemon of the test sends on
 * its control socket is appended to the file of that name. With $ANSWERS_LOOK as well, each daemon
 * of pair.c has a client that monitors, and asks for the status after each event.
 */
#ifndef TESTS_ANSWERS_H
#define TESTS_ANSWERS_H

/* A client of the socket @path that monitors; -1: none is wanted. */
int answers_open(const char *path);
/* Read what there is; then ask for the status if it was an event. @fd: -1 for nothing. */
void answers_look(int fd);

#endif
