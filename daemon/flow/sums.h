/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Checksums of a session's pages, as they were sent to spares: what a replica of a generation has
 * to have. They are made while the pages are copied for the first spare that gets a generation,
 * and serve for all of them. For each page the newest checksum is kept, with the generation that
 * brought it: it is known what a spare has to have there if the spare has that generation or a
 * later one.
 */
#ifndef CPTDEVD_SUMS_H
#define CPTDEVD_SUMS_H

#include <linux/cptdev.h>

#include "verify_frame.h"

struct sums;

/* The memory of all tables of a daemon, in bytes. */
struct sums_budget {
	u64 max;
	u64 used;
};

/* NULL: no memory. */
struct sums *sums_new(struct sums_budget *b, u32 page_size);
void sums_free(struct sums *s);
/* Nothing is known any more. */
void sums_clear(struct sums *s);

/*
 * A delta is sent, from @base to @generation: its pages and holes, then sums_sent(). Pages of a
 * delta that isn't finished do no harm. Pages that find no room are unknown.
 */
void sums_page(struct sums *s, u64 generation, u64 addr, u64 sum);
void sums_holes(struct sums *s, u64 generation, u64 addr, u64 len);
void sums_sent(struct sums *s, u64 base, u64 generation);
/* Is the layout with this sum another one than before, and newer? From now on it isn't. */
bool sums_layout(struct sums *s, u64 generation, u64 layout);
/* Of @generation nothing in [@from, @to) outside of these segments, which ascend, is mapped. */
void sums_trim(struct sums *s, u64 generation, u64 from, u64 to,
	       const struct cptdev_segment *segs, u32 nr);
/* The newest generation that was sent to any spare; 0: none. */
u64 sums_generation(const struct sums *s);

/*
 * The pages that a spare with @generation has to have, from @addr on: fills in the next piece of
 * which something is known; false: there is none. *@newer: pages in it that changed in a later
 * generation.
 */
bool sums_next(const struct sums *s, u64 generation, u64 addr, struct msg_verify *m, u32 *newer);

#endif
