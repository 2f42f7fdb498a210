/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Is the peer alive? Arithmetic and the table fsm_detector, no I/O and no clock of its
 * own: whoever calls says what time it is.
 *
 * Silence is what counts: the time since the last byte from the peer, or since its link
 * broke. Time in which this process itself didn't run is taken out of it, since bytes may
 * have come that nobody read: a virtual machine that was stopped, a machine that swaps.
 *
 * A host that refuses connections is alive, and most likely its programs are: only its daemon
 * is gone. That isn't death. The clock runs on from the last refusal: when these end, too, the
 * host is dead.
 */
#ifndef CPTDEVD_DETECTOR_H
#define CPTDEVD_DETECTOR_H

#include "types.h"

struct detector {
	unsigned int state;		/* enum det_state */
	u64 timeout;			/* ns */
	u64 heard;			/* when silence began */
	u64 answered;			/* when its host refused a connection, 0: never */
	u64 ticked;			/* when detector_tick() was called last */
	bool running;			/* the clock runs */
};

void detector_init(struct detector *d, u64 timeout);

/* Each returns an enum det_action, of which the clock's part is done already. */
unsigned int detector_up(struct detector *d, u64 now);
unsigned int detector_broken(struct detector *d, u64 now);
unsigned int detector_bye(struct detector *d, u64 now);

/* The peer was heard at that time. */
void detector_heard(struct detector *d, u64 at);

/* Its host refused a connection: a kernel is there, and no daemon. */
void detector_answered(struct detector *d, u64 at);

/*
 * To be called every @interval or so, after what has come was read. DET_DO_DECIDE: the
 * peer is dead.
 */
unsigned int detector_tick(struct detector *d, u64 now, u64 interval);

u64 detector_silence(const struct detector *d, u64 now);
/* A word for people. */
const char *detector_word(const struct detector *d, u64 now);

#endif
