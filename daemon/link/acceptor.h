/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Accepting connections when descriptors or memory are short. A listening socket stays
 * readable as long as a connection waits, so a loop that only tries again would spin.
 * Without a free descriptor the one in reserve is given up for a moment, and whoever
 * connects is closed instead of being left waiting. If that doesn't help, the socket isn't
 * looked at for a while.
 */
#ifndef CPTDEVD_ACCEPTOR_H
#define CPTDEVD_ACCEPTOR_H

#include <sys/socket.h>

#include "loop.h"
#include "tell.h"

struct acceptor {
	struct watch watch;
	struct timer pause;
	struct loop *loop;
	struct teller *tell;
	const char *what;		/* it is for, in messages */
	int reserve;			/* a descriptor of nothing, -1: lost as well */
	/* A connection; @fd is the callee's. */
	void (*fn)(struct acceptor *a, int fd, const struct sockaddr_storage *from);
	/* May say why before @fd, which there is no room for, is closed; NULL: nothing. */
	void (*full)(int fd);
	/* tcp_accept(), or what a test puts in its place. */
	int (*accept)(int listener, struct sockaddr_storage *from);
};

/* As before acceptor_open(): closing is no mistake. */
void acceptor_init(struct acceptor *a);
/* Takes over @fd, which listens, when it returns 0. @a has @what, @fn and @full. */
int acceptor_open(struct acceptor *a, struct loop *l, struct teller *t, int fd);
void acceptor_close(struct acceptor *a);

#endif
