/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libhotspare: memory that is saved besides the arena: variables, and the data of
 * libraries. It is where the loader has put it, in each process that runs the same files
 * without address randomisation.
 */
#ifndef HS_RANGES_H
#define HS_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

struct json_object;

/* The end of what a process can have mapped: 47 bits. */
#define HS_ADDR_END	(1ULL << 47)

/* Bytes from @start up to @end. */
struct hs_interval {
	uint64_t start, end;
};

/* Sorted; none touches another. */
struct hs_intervals {
	size_t nr;
	struct hs_interval *v;
};

/* An address that the loader has put there: it may be another one on another host. */
struct hs_slot {
	uint64_t addr;
	uint64_t value;			/* when it was registered */
};

struct hs_ranges {
	struct hs_intervals saved;
	struct hs_intervals excluded;
	size_t nr_slots;
	struct hs_slot *slots;
};

/* intervals.c: 0, or -1 with errno ENOMEM */
int hs_intervals_add(struct hs_intervals *list, uint64_t start, uint64_t end);
int hs_intervals_remove(struct hs_intervals *list, uint64_t start, uint64_t end);
bool hs_intervals_have(const struct hs_intervals *list, uint64_t start, uint64_t end);
int hs_intervals_copy(struct hs_intervals *to, const struct hs_intervals *from);

/* ranges.c */
/* What a library has. Returns 0, or -1 with errno: EEXIST, EINVAL (our own), ENOMEM. */
int hs_ranges_merge(const struct hs_ranges *from);
int hs_ranges_capture(struct hs_ranges *to);
/* The arena's, which is locked, and those of @r. Returns 0, or -1 with errno ENOMEM. */
int hs_saved_pages(struct hs_intervals *all, const struct hs_ranges *r);
void hs_ranges_free(struct hs_ranges *r);
/* From a file in which each byte's offset is its address; takes the list over. */
int hs_ranges_restore(struct hs_ranges *r, int fd, struct hs_error *e);

/* ranges_json.c */
struct json_object *hs_ranges_json(const struct hs_ranges *r);
int hs_ranges_parse(struct hs_ranges *r, struct json_object *json, struct hs_error *e);

#endif /* HS_RANGES_H */
