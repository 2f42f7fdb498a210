/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The changes within a page, against the page as it was: blocks of 32 bytes, and the checksum of the
 * old page, so that they are applied to no other.
 *
 *	u64	XXH3-64 of the old page, seed 0
 *	u16	runs, which may be 0
 *	u16, u16	of each run: its first block, and how many; ascending, without overlap
 *	bytes	of the runs
 */
#ifndef CPTDEVD_RUNS_H
#define CPTDEVD_RUNS_H

#include "bytes.h"
#include "wire.h"

#define RUNS_BLOCK	32U
#define RUNS_HEAD_LEN	10U
#define RUNS_RUN_LEN	4U
/* They are no longer than this, or the page goes as a whole. */
#define RUNS_MOST(page_size)	((page_size) / 2)

/* From @old to @page into @to, RUNS_MOST() bytes. Returns the length, 0: that isn't enough. */
size_t runs_encode(const u8 *old, const u8 *page, u32 page_size, u8 *to);
/* Step over one page's. 0, or -1 and @f. */
int runs_decode(struct reader *r, u32 page_size, struct fault *f);
/* Apply them, which were decoded before: 0, or -1: @page isn't what they are for. */
int runs_apply(struct reader *r, u8 *page, u32 page_size);

#endif
