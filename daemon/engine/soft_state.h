/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The state of a session, as ACK changes it and as WAIT and the session page show it
 * (linux/cptdev.h). It knows no clock: the caller says what time it is, by CLOCK_BOOTTIME.
 */
#ifndef CPTDEV_SOFT_STATE_H
#define CPTDEV_SOFT_STATE_H

#include "kernel_event.h"

struct soft_state {
	u32 flags;		/* CPTDEV_STATE_* */
	u64 lease_until;	/* ns, 0: no lease is in use */
};

/*
 * May this be said? @attached: the caller's descriptor stands for a spare of the session.
 * 0 or a negative errno.
 */
int soft_state_check(const struct cptdev_ack *arg, u64 published, bool attached);
/* All of it but the generation. @committed: the newest one that was acknowledged before. */
void soft_state_ack(struct soft_state *st, const struct cptdev_ack *arg, u64 committed);

/* What netlink shows of it. */
void soft_state_rec(const struct soft_state *st, struct session_rec *rec);

/* May the session acknowledge and answer at @now? */
bool soft_state_allows(const struct soft_state *st, u64 now);

/* What WAIT has to know of the session, besides its state. */
struct soft_waited {
	u64 wanted;		/* the generation that it waits for */
	bool newest;		/* it asked for none */
	u64 published;
	u64 committed;
	u64 cancelled;		/* those up to it won't be committed */
};

/* Is the answer to WAIT known at @now? Then it is *@ret. */
bool soft_state_wait(const struct soft_state *st, const struct soft_waited *w, u64 now,
		     int *ret);

#endif
