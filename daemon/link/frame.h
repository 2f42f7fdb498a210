/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CPTDEVD_FRAME_H
#define CPTDEVD_FRAME_H

#include "wire.h"

struct frame {
	u16 type;
	u16 flags;
	u32 length;		/* of the payload */
	u32 channel;
	u64 sequence;
	u64 checksum;
};

struct frame_hash;		/* where a checksum grows */

struct frame_hash *frame_hash_new(void);
void frame_hash_free(struct frame_hash *h);

void frame_encode(u8 head[WIRE_HEADER_LEN], const struct frame *f);

/*
 * Read and check a header: magic, known type, no flags, a channel of the right kind, at
 * most @max bytes of payload, and @sequence. Everything but the checksum.
 */
int frame_decode(const u8 head[WIRE_HEADER_LEN], u32 max, u64 sequence, struct frame *f,
		 struct fault *fault);

/* Over the first 24 bytes of the header and two pieces of payload. */
u64 frame_checksum(struct frame_hash *h, const u8 *head, const void *a, size_t a_len,
		   const void *b, size_t b_len);

/*
 * With WIRE_FEATURE_BLOCKS: as many blocks of @block bytes as there are, from the payload's end on, count by
 * their checksums, see page_sum(). Those of the last @nr are in @known.
 */
u64 frame_checksum_blocks(struct frame_hash *h, const u8 *head, const u8 *payload, size_t len,
			  u32 block, const u64 *known, u32 nr);

#endif
