// SPDX-License-Identifier: GPL-2.0-or-later
/* The arithmetic of leases. */
#include "lease.h"

/* Clocks of one room differ by less than a thousandth; a sixteenth is far from that. */
#define MARGIN_SHARE	16
/* What a store and a wake-up take, when the program looks at the last moment. */
#define MARGIN_FLOOR	(5 * NSEC_PER_MSEC)

/*
 * Shorter than the time-out, so that a promotion by time-out doesn't have to wait for the
 * lease; and longer than two heartbeats, of which there are three in each time-out.
 */
u64 lease_length(u32 timeout_ms, u32 other_ms)
{
	return MIN(timeout_ms, other_ms) * NSEC_PER_MSEC / 4 * 3;
}

u64 lease_margin(u64 length)
{
	return length / MARGIN_SHARE + MARGIN_FLOOR;
}

u64 lease_lent_until(u64 received, u64 length)
{
	return received + length + lease_margin(length);
}
