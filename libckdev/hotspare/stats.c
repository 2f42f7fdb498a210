// SPDX-License-Identifier: LGPL-2.1-or-later
/* libhotspare: what checkpoints there were, and how long each held the program up. */
#include "hotspare.h"
#include "job.h"
#include "lock.h"

HS_LOCK(lock);
static struct hs_stats stats;

void hs_stats_cut(uint64_t ns)
{
	hs_lock(&lock);
	stats.cuts++;
	stats.pause_ns = ns;
	stats.pause_sum_ns += ns;
	if (ns > stats.pause_max_ns)
		stats.pause_max_ns = ns;
	hs_unlock(&lock);
}

void hs_stats_end(int err)
{
	hs_lock(&lock);
	*(err ? &stats.failed : &stats.checkpoints) += 1;
	hs_unlock(&lock);
}

void hs_stats(struct hs_stats *to)
{
	hs_lock(&lock);
	*to = stats;
	hs_unlock(&lock);
}
