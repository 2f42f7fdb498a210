/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libhotspare: mutexes, condition variables and the like in memory that is saved. They count
 * threads that a restart doesn't have.
 */
#ifndef HS_SYNC_H
#define HS_SYNC_H

#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>

#include "error.h"

struct json_object;
struct hs_ranges;

#define HS_SYNC_KINDS	7		/* HSSYNC_MUTEX ... */

/* What it is when nobody holds it or waits for it, byte by byte. */
union hs_sync_object {
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	pthread_rwlock_t rwlock;
	pthread_barrier_t barrier;
	sem_t sem;
	pthread_once_t once;
	pthread_spinlock_t spin;
};

struct hs_sync {
	int kind;
	union hs_sync_object *object;
	union hs_sync_object fresh;
};

struct hs_syncs {
	uint32_t nr;
	struct hs_sync *v;
};

/* The arena is locked. Each must be in memory that is saved. Returns 0, or -1 with errno and @e. */
int hs_syncs_capture(struct hs_syncs *to, const struct hs_ranges *ranges, struct hs_error *e);
void hs_syncs_free(struct hs_syncs *list);
/* In memory that has been restored, before any thread begins. They are registered then. */
void hs_syncs_adopt(struct hs_syncs *list);

struct json_object *hs_syncs_json(const struct hs_syncs *list);
int hs_syncs_parse(struct hs_syncs *list, struct json_object *json, struct hs_error *e);

#endif /* HS_SYNC_H */
