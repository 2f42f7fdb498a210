// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The clock of all timers, time-outs and leases. It goes on while the machine is suspended:
 * others have gone on, too. A file of its own: the tests put theirs in its place.
 */
#include <time.h>

#include "boottime.h"

u64 clock_mono(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

u64 clock_wall(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}
