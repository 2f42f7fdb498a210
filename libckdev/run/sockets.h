/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cptdev-run: TCP sockets of a program. libhotspare's code reads and makes them (tcp.h there). */
#ifndef RUN_SOCKETS_H
#define RUN_SOCKETS_H

#include "state.h"

/*
 * Why the socket @fd can't be covered now, or NULL: it can be, or it isn't one of TCP. Counts in @to.
 * @connections: those that are established can be. The text is valid until the next call.
 */
const char *run_tcp_why_not(struct run_fds *to, int fd, bool connections);

/* Facts that libhotspare knows only of sockets that a program has registered. */
void run_tcp_look(struct hs_fd *f);

/*
 * The kernel may still be ending connections of a program that was killed on this host: away with
 * them, for they are in the way. Before output of the session is held, which drops what this sends.
 */
void run_tcp_destroy(const struct hs_fds *list);

/* Connections in their places send and receive. One that can't is told; the others do. */
void run_tcp_go_on(struct hs_fds *list);

#endif /* RUN_SOCKETS_H */
