/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libhotspare: a sum of each page as the spare has it. So it is known what changed without
 * any help of the kernel. Shared with the processes that write checkpoints, of which one at
 * a time uses it.
 */
#ifndef HS_SUMS_H
#define HS_SUMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HS_SUMS_PAGES	512		/* compared at a time */

struct hs_sums;

struct hs_sums *hs_sums_create(void);
void hs_sums_free(struct hs_sums *s);

/* What the spare has, 0 if that isn't known: then only a whole checkpoint will do. */
uint64_t hs_sums_generation(const struct hs_sums *s);
void hs_sums_forget(struct hs_sums *s);

/* Without sums: what the spare has is that snapshot of the module, 0: it is none. */
uint64_t hs_sums_snapshot(const struct hs_sums *s);
void hs_sums_set(struct hs_sums *s, uint64_t generation, uint64_t snapshot);

/* While one checkpoint is written; none of these takes memory of the process. */
int hs_sums_begin(struct hs_sums *s, bool whole);
/* What the spare has of up to HS_SUMS_PAGES pages: those below are about the same ones. */
int hs_sums_load(struct hs_sums *s, const char *addr, size_t nr);
bool hs_sums_had(const struct hs_sums *s, size_t i);
/* @maybe: those that may have changed. */
int hs_sums_compare(struct hs_sums *s, const char *addr, size_t nr, const bool *content,
		    const bool *maybe, bool *changed);
int hs_sums_commit(struct hs_sums *s, uint64_t generation);

#endif /* HS_SUMS_H */
