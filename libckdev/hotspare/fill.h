/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libhotspare: the pages of a lazy restart: which are missing, and how each gets its content. For the
 * thread of lazy.c alone, but hs_fill_missing() and what comes before hs_fill_begin().
 */
#ifndef HS_FILL_H
#define HS_FILL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "index.h"
#include "touched.h"

/* The process's exit status when a page that it needs can't be read: EX_IOERR. */
#define HS_FILL_STATUS	74

struct hs_fill_stats {
	uint64_t pages;			/* that got content */
	uint64_t faults;		/* accesses to missing pages with content, ... */
	uint64_t asked;			/* ... and the pages that were filled for them */
	uint64_t ahead;			/* pages that were filled before the program ran */
};

/* A range of whole pages, behind all others. False: there are too many. */
bool hs_fill_add(uint64_t start, uint64_t end);
void hs_fill_each(void (*fn)(void *arg, void *start, size_t len), void *arg);
/* @touched: what comes first, if it isn't NULL. Returns 0, or -1 with errno ENOMEM. */
int hs_fill_begin(int uffd, struct hs_index *ix, const struct hs_touched *touched);
/*
 * Before the program runs: of the pages that it touches first so many that these arrive, as fast as the
 * first of them did, in the time that they last. If there is no such number the program needn't wait:
 * the background brings them in their order.
 */
void hs_fill_ahead(void);
/* What has been done up to now. */
const struct hs_fill_stats *hs_fill_stats(void);
/* Pages with content that isn't in place. */
uint64_t hs_fill_missing(void);
/*
 * What was asked for, and then, in the background, one section of the files. Takes no memory and no
 * lock. If a file can't be read the process ends.
 */
void hs_fill_step(bool background);
const struct hs_fill_stats *hs_fill_end(void);

#endif /* HS_FILL_H */
