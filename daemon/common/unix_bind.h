/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CPTDEV_UNIX_BIND_H
#define CPTDEV_UNIX_BIND_H

/*
 * A socket at @path, which is absolute and fits into an address, for its owner and group from
 * the beginning. It doesn't block and doesn't listen yet. @type: SOCK_STREAM, SOCK_SEQPACKET.
 * The directory is made if only that is missing.
 *
 * Returns the descriptor, or a negative errno: EADDRINUSE somebody answers there; EEXIST
 * something is there that isn't a socket, and stays.
 */
int unix_bind(const char *path, int type);

#endif
