// SPDX-License-Identifier: GPL-2.0-or-later
/* Compression pays, or it doesn't. */
#include "gain.h"

/* A gain of less than an eighth isn't worth the receiver's time, either. */
size_t gain_most(size_t plain)
{
	return plain - plain / 8;
}

static void fill(struct gain *g, u64 now)
{
	u64 more = g->filled ? (now - g->filled) / GAIN_SHARE : GAIN_BURST_NS;

	if (now < g->filled)
		more = 0;
	g->budget = MIN(g->budget + (s64)MIN(more, GAIN_BURST_NS), (s64)GAIN_BURST_NS);
	g->filled = now;
}

bool gain_try(struct gain *g, u64 now)
{
	fill(g, now);
	if (g->wait) {
		g->wait--;
		return false;
	}
	return g->budget > 0;
}

void gain_tried(struct gain *g, size_t plain, size_t packed, u64 cost)
{
	g->budget -= MIN(cost, 60 * NSEC_PER_SEC);
	if (packed && packed <= gain_most(plain)) {
		g->back_off = 0;
		return;
	}
	g->back_off = MIN(MAX(2 * g->back_off, 1U), GAIN_WAIT_MAX - 1);
	g->wait = g->back_off;
}
