/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kvstore: figures.
 */
#ifndef KVSTATS_H
#define KVSTATS_H

#include <stdint.h>

#include <ckdev.h>

#include "kvnet.h"

#define KV_PAUSES	4096		/* the last so many make the median */

struct kv_stats {
	uint64_t since_ms;		/* when these began */
	uint64_t snapshots;		/* since then */
	uint64_t commits;
	uint64_t pages;
	uint64_t requests;		/* of the server, as they were then */
	uint64_t generation;		/* the newest */
	uint64_t committed;
	uint64_t worst_ns;		/* since the start */
	uint64_t nr_pauses;
	uint64_t pauses[KV_PAUSES];	/* a ring */
};

void kv_stats_snapshot(struct kv_stats *st, const struct cptdev_snapshot *snap);

/* One line, and begin anew. @waiting_ms: age of the checkpoint under way. */
void kv_stats_print(struct kv_stats *st, const struct kv_net *net, uint64_t waiting_ms);

#endif /* KVSTATS_H */
