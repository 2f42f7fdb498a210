/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VERIFY and VERIFIED: the shipper sends checksums of pages as the replica has to have them, and
 * the replayer answers which of them it hasn't. Nothing that a peer says is believed. No I/O.
 */
#ifndef CPTDEVD_VERIFY_FRAME_H
#define CPTDEVD_VERIFY_FRAME_H

#include "bytes.h"
#include "wire.h"

/* Pages of one VERIFY, at most. */
#define WIRE_VERIFY_PAGES	512U

/* In place of a checksum. Those of pages are above. */
#define WIRE_SUM_UNKNOWN	0ULL	/* the page isn't compared */
#define WIRE_SUM_HOLE		1ULL	/* the replica has no data there */
#define WIRE_SUM_MIN		2ULL

struct msg_verify {			/* VERIFY */
	u64 generation;			/* which the replica has when the frame is read */
	u64 addr;			/* of the first page */
	u32 nr;				/* pages: 1 to WIRE_VERIFY_PAGES */
	u64 sums[WIRE_VERIFY_PAGES];
};

struct msg_verified {			/* VERIFIED */
	u64 generation;			/* these three: of the question */
	u64 addr;
	u32 nr;
	u32 code;			/* WIRE_OK, or why nothing was compared: enum wire_code */
	u64 pages;			/* with data, of the whole replica */
	u32 compared;			/* pages of the question */
	u32 damaged;			/* of them: they differ */
	u8 bits[WIRE_VERIFY_PAGES / 8];	/* which: the lowest bit of the first byte first */
};

/* XXH3-64 of a page, or of a block of a frame, and never one of the words above. */
u64 page_sum(const void *page, size_t len);

void verify_encode(struct writer *w, const struct msg_verify *m);
int verify_decode(const u8 *p, size_t len, u32 page_size, struct msg_verify *m, struct fault *f);
void verified_encode(struct writer *w, const struct msg_verified *m);
int verified_decode(const u8 *p, size_t len, struct msg_verified *m, struct fault *f);

static inline bool verified_differs(const struct msg_verified *m, u32 i)
{
	return m->bits[i / 8] >> i % 8 & 1;
}

static inline void verified_set(struct msg_verified *m, u32 i)
{
	m->bits[i / 8] |= 1 << i % 8;
	m->damaged++;
}

#endif
