/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Looking up a host's name without waiting for it: a process of its own asks, and may take
 * as long as a name server likes; the loop goes on, and with it the heartbeats.
 */
#ifndef CPTDEVD_RESOLVE_H
#define CPTDEVD_RESOLVE_H

#include <sys/socket.h>
#include <sys/types.h>

#include "loop.h"

#define RESOLVED_MAX	8		/* addresses of one name that are used */

struct resolved {
	int err;			/* EAI_*, 0: there are addresses */
	u32 nr;
	struct sockaddr_storage addr[RESOLVED_MAX];	/* without a port */
};

struct resolver {
	struct loop *loop;
	struct watch watch;
	struct timer timer;
	pid_t pid;			/* 0: nothing is being looked up */
	void (*fn)(struct resolver *r, const struct resolved *a);
};

void resolve_init(struct resolver *r, struct loop *l,
		  void (*fn)(struct resolver *r, const struct resolved *a));
/* @fn is called later, once. Nothing is done while a look-up is under way. */
void resolve_start(struct resolver *r, const char *host);
void resolve_stop(struct resolver *r);
/* The process @pid has ended; true if it was this one's. */
bool resolve_reaped(struct resolver *r, pid_t pid);

#endif
