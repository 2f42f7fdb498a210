/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The bulk of a delta: LAYOUT and DATA. */
#ifndef CPTDEVD_IMAGE_H
#define CPTDEVD_IMAGE_H

#include "bytes.h"
#include "wire.h"

void segment_encode(struct writer *w, const struct cptdev_segment *seg);
/*
 * A LAYOUT: at most @max segments into @seg, ascending from @from on. Returns how many
 * there were, or -1.
 */
int layout_decode(const u8 *p, size_t len, u32 page_size, u64 from,
		  struct cptdev_segment *seg, u32 max, struct fault *f);

void data_head_encode(struct writer *w, u32 extents);
void extent_encode(struct writer *w, const struct cptdev_extent *e);

/* A DATA frame, decoded. */
struct data {
	struct cptdev_extent extents[WIRE_DATA_EXTENTS];
	u32 nr;
	const u8 *pages;	/* of the extents that aren't holes, packed */
	size_t pages_len;
	u64 end;		/* where its last extent ends */
	/* data_expand(): */
	bool whole;		/* nothing is left to be expanded */
	bool runs;		/* there are runs, to be applied to the replica's pages */
	const u8 *body;		/* what follows the extents */
	size_t body_len;
};

/*
 * Extents ascend from @from on, are of a kind that @features has, have WIRE_DATA_BYTES at most, and their
 * pages follow. If it isn't whole @pages is there after data_expand().
 */
int data_decode(const u8 *p, size_t len, u32 page_size, u64 from, u64 features,
		struct data *d, struct fault *f);
/* Reads the replica at @addr: 0, or -1 if it doesn't have @len bytes there. */
typedef int (*data_old_fn)(void *arg, u64 addr, u8 *to, size_t len);
/*
 * All pages as they are, and no other kinds than the kernel's; valid until the next call. 0, or -1:
 * runs are for other pages than @old has. A frame without runs needs no @old.
 */
int data_expand(struct data *d, u32 page_size, data_old_fn old, void *arg, struct fault *f);

#endif
