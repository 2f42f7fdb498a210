/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A queue of the kernel's (NFQUEUE), in which packets wait. They are read as numbers that ascend;
 * the content stays in the kernel. If this process ends, the kernel drops what waits, and what
 * comes after it.
 */
#ifndef CPTDEVD_HOLD_QUEUE_H
#define CPTDEVD_HOLD_QUEUE_H

#include "types.h"

struct mnl_socket;

struct queue {
	struct mnl_socket *sock;	/* NULL: it isn't open */
	u16 number;
	u32 last;			/* the newest packet that was read, 0: none yet */
};

/* 0 or a negative errno: -EPERM without CAP_NET_ADMIN, -EBUSY if somebody else has it. */
int queue_open(struct queue *q, u16 number);
void queue_close(struct queue *q);
int queue_fd(const struct queue *q);
/* Read all that waits now: @q->last is the newest one that was sent before the call. */
void queue_read(struct queue *q);
/* All up to @id: they leave the host, or never do. */
void queue_release(struct queue *q, u32 id);
void queue_drop(struct queue *q, u32 id);

#endif
