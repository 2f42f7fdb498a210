/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PACKED: the payload of a DATA frame, compressed with zstd. Each frame stands for itself, so that
 * nothing of one is needed to read another. The length that a frame claims is checked.
 */
#ifndef CPTDEVD_PACK_H
#define CPTDEVD_PACK_H

#include "bytes.h"
#include "wire.h"

struct ZSTD_CCtx_s;
struct ZSTD_DCtx_s;

/* Zeros: nothing is allocated before it is used. */
struct pack {
	struct ZSTD_CCtx_s *out;
	struct ZSTD_DCtx_s *in;
	u8 *packed;
	u8 *plain;
};

void pack_free(struct pack *p);

/*
 * Payload of a PACKED frame for that of a DATA frame, at most @most bytes: *@to is valid until the
 * next call. 0: it would be longer, or there is no memory; then it goes as DATA.
 */
size_t pack_encode(struct pack *p, const u8 *data, size_t len, size_t most, const u8 **to);
/* The payload of the DATA frame, until the next call: its length, or -1 and @f. */
ssize_t pack_decode(struct pack *p, const u8 *payload, size_t len, const u8 **data,
		    struct fault *f);

#endif
