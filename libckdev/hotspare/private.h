/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libhotspare: a private cptdevd, for a program that was given the address of the other host
 * and no session name. It runs as the user of the program, with the soft engine, and ends with the
 * program.
 */
#ifndef HS_PRIVATE_H
#define HS_PRIVATE_H

#include <stdbool.h>
#include <sys/socket.h>

#include "error.h"
#include "fd.h"

struct hs_private {
	const struct sockaddr *peer;	/* the other host; NULL: none is known */
	socklen_t peer_len;
	unsigned int port;
	unsigned int timeout;		/* seconds */
	bool anywhere;			/* a spare takes checkpoints from anybody */
	bool asked;			/* a function of the program's says whether the master is dead */
};

/* Does the daemon have this peer? */
bool hs_private_is(const struct hs_private *p);
/* Returns 0, or -1 with errno and @e: EADDRINUSE: somebody listens on a spare's port. */
int hs_private_spare(const struct hs_private *p, struct hs_error *e);
int hs_private_master(const struct hs_private *p, struct hs_error *e);
/* The spare has taken over: from here on it looks for a spare where the old master was. */
int hs_private_took_over(struct hs_error *e);

/* Starts another one if it has ended, for the master. Returns 0, or -1 with errno and @e. */
int hs_private_keep(struct hs_error *e);
/* Its socket for programs, and the one that is asked; NULL: there is no such daemon. */
const char *hs_private_programs(void);
const char *hs_private_control(void);
/* Is it open yet whether there is somebody on the other host? */
bool hs_private_hopes(void);
/* No spare is attached: @e says which. */
void hs_private_absent(struct hs_error *e);
/* The name that the session has there. */
const char *hs_private_session(void);

/*
 * Promotes the replica of the session: a function of the program's says that the master is dead.
 * Returns 0, or -1 with errno and @e: ENODATA: there is nothing to go on with.
 */
int hs_private_promote(struct hs_error *e);

/* It gets a descriptor that none of @fds has: these are about to come back. */
int hs_private_make_room(const struct hs_fds *fds, struct hs_error *e);
/* After fork(2): the child is none of its program, unless it goes on as such. */
void hs_private_in_child(bool goes_on);
/* It ends. */
void hs_private_end(void);
bool hs_private_has(int fd);

#endif /* HS_PRIVATE_H */
