/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A set of page numbers, as sparse as a replica: a sorted array of runs of 64 pages, a bit
 * each. What ascends is appended; a look-up is a search by halves.
 */
#ifndef CPTDEV_SOFT_SET_H
#define CPTDEV_SOFT_SET_H

#include "types.h"

struct soft_chunk {
	u64 index;		/* of its first page, by 64 */
	u64 bits;		/* never 0 */
};

struct soft_set {
	struct soft_chunk *v;
	u64 nr;
	u64 room;
	u64 pages;		/* in it */
};

bool soft_set_has(const struct soft_set *s, u64 page);
/* Those of the chunk @index, a bit each. */
u64 soft_set_bits(const struct soft_set *s, u64 index);
/* How many of [start, end) are in it. */
u64 soft_set_count(const struct soft_set *s, u64 start, u64 end);
/* The next run of pages from @from on: [*start, *end). False: there is none. */
bool soft_set_run(const struct soft_set *s, u64 from, u64 *start, u64 *end);
/* 0 or -ENOMEM, and then it is as it was. */
int soft_set_add(struct soft_set *s, u64 start, u64 end);
int soft_set_copy(struct soft_set *to, const struct soft_set *from);
/* Taking away may split nothing that needs memory. */
void soft_set_del(struct soft_set *s, u64 start, u64 end);
/* Add all pages of another set: 0, or -ENOMEM with some of them added. */
int soft_set_with(struct soft_set *s, const struct soft_set *more);
void soft_set_without(struct soft_set *s, const struct soft_set *less);
void soft_set_free(struct soft_set *s);

#endif
