/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Output commit: what a session's service sends (data, acknowledgments, the end and the reset of
 * connections) waits in a queue of the kernel's until a generation that was cut after it is
 * committed on the spare. So no client ever knows more of a connection than the spare does.
 *
 *   marks.c	which packets belong to which generation
 *   queue.c	the queue
 *   rules.c	the rules that send packets there
 *   hold.c	all of it, for one service
 *
 * It lets through less rather than more: nothing without a session of that name, nothing that was
 * sent before the session began, nothing when this process is gone.
 */
#ifndef CPTDEVD_HOLD_H
#define CPTDEVD_HOLD_H

#include <linux/cptdev.h>

#include "loop.h"
#include "marks.h"
#include "queue.h"
#include "rules.h"
#include "soft.h"

struct hold {
	struct soft_output output;	/* what the engine tells */
	struct soft *soft;
	struct loop *loop;
	struct watch watch;
	struct queue queue;
	struct service service;
	struct marks marks;
	char session[CPTDEV_NAME_MAX];
	bool active;			/* the session is there */
	u32 released;			/* the newest packet that has left */
};

/* Hold what @service sends for @session. 0, or -1: told in the log. */
int hold_open(struct hold *h, struct loop *l, struct soft *s, const struct service *service,
	      const char *session);
/* Takes the rules away, unless the session is there: what it sends isn't let through then. */
void hold_close(struct hold *h);

#endif
