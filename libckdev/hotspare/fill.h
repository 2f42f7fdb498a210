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

/* The process's exit status when a page that it needs can't be read: EX_IOERR. */
#define HS_FILL_STATUS	74

struct hs_fill_stats {
	uint64_t pages;			/* that got content */
	uint64_t faults;		/* accesses to missing pages with content, ... */
	uint64_t asked;			/* ... and the pages that were filled for them */
};

/* A range of whole pages, behind all others. False: there are too many. */
bool hs_fill_add(uint64_t start, uint64_t end);
void hs_fill_each(void (*fn)(void *arg, void *start, size_t len), void *arg);
/* Returns 0, or -1 with errno ENOMEM. */
int hs_fill_begin(int uffd, struct hs_index *ix);
/* Pages with content that isn't in place. */
uint64_t hs_fill_missing(void);
/*
 * What was asked for, and then, in the background, one section of the files. Takes no memory and no
 * lock. If a file can't be read the process ends.
 */
void hs_fill_step(bool background);
const struct hs_fill_stats *hs_fill_end(void);

#endif /* HS_FILL_H */
