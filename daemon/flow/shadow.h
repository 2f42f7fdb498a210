/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pages as they were sent last, so that later only what changed within them has to be sent. It has
 * room for so many; those that are used stay. Nobody relies on the content: the receiver compares
 * checksums.
 *
 * The old page is kept here, and not by holding the snapshot that had it: as long as a snapshot is open each
 * first write to one of its pages makes the kernel copy it, in the program's time.
 */
#ifndef CPTDEVD_SHADOW_H
#define CPTDEVD_SHADOW_H

#include <linux/cptdev.h>

#include "types.h"

struct shadow;

/* A page that wasn't used for so many deltas of the link may be displaced by another one. */
#define SHADOW_KEEP	64U

/* At most @bytes of memory for pages. NULL: there is none. */
struct shadow *shadow_new(u64 bytes, u32 page_size);
void shadow_free(struct shadow *s);

/*
 * The page of @owner, which isn't 0, at @addr, or NULL. @now: the number of the delta. Until the
 * next call that changes something the caller may write to it.
 */
u8 *shadow_find(struct shadow *s, u32 owner, u64 addr, u32 now);
/* Room for that page, which isn't there; NULL: others are used. The caller fills it. */
u8 *shadow_add(struct shadow *s, u32 owner, u64 addr, u32 now);
/* Forget the pages in [@addr, @addr + @len). */
void shadow_drop(struct shadow *s, u32 owner, u64 addr, u64 len);
/* Forget the pages in [@from, @to) outside of these segments, which ascend. */
void shadow_trim(struct shadow *s, u32 owner, u64 from, u64 to,
		 const struct cptdev_segment *segs, u32 nr);

#endif
