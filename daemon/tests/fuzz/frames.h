/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A peer that has greeted, and then sends anything: an input is a list of frames, each a byte of
 * type, a byte of channel, two bytes of length, and the payload. Numbers and checksums are right, so that
 * it is the content that is looked at.
 */
#ifndef FUZZ_FRAMES_H
#define FUZZ_FRAMES_H

#include "fuzz.h"

static inline bool gone(struct raw *r)
{
	u8 bytes[4096];
	ssize_t n;

	do
		n = recv(r->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	while (n > 0);
	return !n || (errno != EAGAIN && errno != EINTR);
}

static inline void frames_send(struct raw *r, const u8 *data, size_t size)
{
	size_t at = 0, len;

	while (size - at >= 4 && !gone(r)) {
		len = data[at + 2] | (size_t)data[at + 3] << 8;
		len = MIN(len, size - at - 4);
		raw_send(r, data[at], data[at + 1], data + at + 4, len);
		at += 4 + len;
	}
	pair_run(r->pair, 0);
}

#endif
