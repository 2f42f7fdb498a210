// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * kvstore: figures, from what each snapshot tells of itself.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kvstats.h"

void kv_stats_snapshot(struct kv_stats *st, const struct cptdev_snapshot *snap)
{
	st->snapshots++;
	st->pages += snap->pages;
	st->generation = snap->generation;
	st->pauses[st->nr_pauses++ % KV_PAUSES] = snap->pause_ns;
	if (snap->pause_ns > st->worst_ns)
		st->worst_ns = snap->pause_ns;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static uint64_t median(const struct kv_stats *st)
{
	static uint64_t sorted[KV_PAUSES];
	size_t n = st->nr_pauses < KV_PAUSES ? st->nr_pauses : KV_PAUSES;

	if (st->nr_pauses == 0)
		return 0;
	memcpy(sorted, st->pauses, n * sizeof(sorted[0]));
	qsort(sorted, n, sizeof(sorted[0]), compare);
	return sorted[n / 2];
}

static double per(uint64_t count, uint64_t of, double scale)
{
	return of ? (double)count * scale / (double)of : 0;
}

void kv_stats_print(struct kv_stats *st, const struct kv_net *net, uint64_t waiting_ms)
{
	uint64_t now = kv_now_ms(), ms = now - st->since_ms;
	uint64_t lag = st->generation > st->committed ? st->generation - st->committed : 0;

	printf("kvstore: stats t=%" PRIu64 " checkpoints_per_s=%.1f requests_per_s=%.0f "
	       "generation=%" PRIu64 " lag=%" PRIu64 " lag_ms=%" PRIu64
	       " pause_median_us=%.1f pause_worst_us=%.1f pages_per_checkpoint=%.1f "
	       "keys=%" PRIu64 " total=%" PRIu64 " repeats=%" PRIu64 " clients=%u\n",
	       now, per(st->commits, ms, 1000), per(net->requests - st->requests, ms, 1000),
	       st->generation, lag, waiting_ms, (double)median(st) / 1000,
	       (double)st->worst_ns / 1000, per(st->pages, st->snapshots, 1),
	       net->state->keys.nr, net->state->total, net->repeats, net->nr);
	st->since_ms = now;
	st->snapshots = 0;
	st->commits = 0;
	st->pages = 0;
	st->requests = net->requests;
}
