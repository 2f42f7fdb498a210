/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Frames of pages, made shorter: pages of zeros are extents without content, of a page that was sent
 * before what changed is sent, if that is less than half of it, and what gains by it is compressed. What
 * goes out is never longer than it was.
 */
#ifndef CPTDEVD_THIN_H
#define CPTDEVD_THIN_H

#include <linux/cptdev.h>

#include "gain.h"
#include "pack.h"
#include "shadow.h"

/* Each page of a frame may become an extent of its own. */
#define THIN_PAGES	64U
#define THIN_EXTENTS	(WIRE_DATA_EXTENTS - THIN_PAGES)

enum thin_packs { THIN_PLAIN, THIN_BY_GAIN, THIN_ALWAYS };

/* Of a link. */
struct thin {
	u64 features;			/* that were agreed on */
	enum thin_packs packs;
	struct pack *pack;
	struct gain gain;
	u32 page_size;
	/* Pages that were sent. */
	struct shadow *shadow;		/* NULL: none are kept */
	u64 shadow_bytes;		/* that it was to have */
	u32 owners;			/* that there were so far */
	u32 deltas;
	/* Of the pages that were found there: */
	u32 found;
	u64 saved;			/* bytes that didn't have to be sent */
	bool seldom;			/* it was little: only some pages are kept, to see if that changes */
	/* Statistics: bytes of pages, and of the frames that carried them. */
	u64 pages;
	u64 wire;
};

/* The payload of a DATA frame in the making. */
struct thin_frame {
	struct writer *w;
	size_t start;			/* where it begins there */
	u32 nr;
	u64 bytes;			/* of the pages of DATA extents */
	u32 owner;			/* in the shadow; 0: whole pages only */
	bool whole;			/* it ends with all of them, as they were: thin_end() */
	u32 nr_sums;			/* checksums of its pages, if they are known */
	u64 sums[THIN_PAGES];
	struct cptdev_extent extents[THIN_EXTENTS];
};

/* The extents are known: room for their pages. */
u8 *thin_pages(struct thin_frame *f);
/* The pages are there: the payload is finished. Returns the type of the frame. */
u16 thin_end(struct thin *t, struct thin_frame *f);

#endif
