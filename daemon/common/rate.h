/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bytes per second of about the last second. */
#ifndef CPTDEVD_RATE_H
#define CPTDEVD_RATE_H

#include "types.h"

struct rate {
	u64 at;
	u64 bytes;
	u64 per_second;
};

/* @bytes: all so far. To be called now and then. */
static inline void rate_update(struct rate *r, u64 bytes, u64 now)
{
	if (now - r->at < NSEC_PER_SEC)
		return;
	if (r->at && bytes >= r->bytes)
		r->per_second = (bytes - r->bytes) * 1000 /
			((now - r->at) / NSEC_PER_MSEC);
	r->at = now;
	r->bytes = bytes;
}

#endif
