/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether to compress the next frame: decided by what the last ones gained, and by the processor's time
 * that they took. No I/O.
 */
#ifndef CPTDEVD_GAIN_H
#define CPTDEVD_GAIN_H

#include "types.h"

/* One frame in so many is tried at least, however little the last ones gained. */
#define GAIN_WAIT_MAX	64U
/* One part in so many of a processor's time is spent at most, over this burst and longer times. */
#define GAIN_SHARE	4U
#define GAIN_BURST_NS	(20 * NSEC_PER_MSEC)

/* Zeros: nothing is known yet, and the next frame is tried. */
struct gain {
	u32 wait;		/* frames that aren't tried, from now on */
	u32 back_off;		/* so many were the last time */
	u64 filled;		/* when @budget was, ns; 0: never */
	s64 budget;		/* processor's time that may be spent, ns; below 0: overdrawn */
};

/* Is the next frame to be tried? Called once for each frame. */
bool gain_try(struct gain *g, u64 now);
/* It was: @plain bytes became @packed, or @packed is 0, which took @cost ns. */
void gain_tried(struct gain *g, size_t plain, size_t packed, u64 cost);
/* The longest packed frame that counts as a gain. */
size_t gain_most(size_t plain);

#endif
