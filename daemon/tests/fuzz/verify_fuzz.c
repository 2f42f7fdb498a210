// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Payloads of VERIFY, or of VERIFIED behind a first byte that is odd. A payload that is taken
 * encodes to the same bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "verify_frame.h"

static void same(const struct writer *w, const u8 *p, size_t len)
{
	if (w->full || w->len != len || memcmp(w->p, p, len))
		abort();
}

static void take(bool answer, const u8 *p, size_t len)
{
	static u8 buf[sizeof(struct msg_verify) + sizeof(struct msg_verified)];
	struct writer w = { .p = buf, .cap = sizeof(buf) };
	static struct msg_verify question;
	struct msg_verified verified;
	struct fault f;

	if (answer && !verified_decode(p, len, &verified, &f)) {
		verified_encode(&w, &verified);
		same(&w, p, len);
	}
	if (!answer && !verify_decode(p, len, 4096, &question, &f)) {
		verify_encode(&w, &question);
		same(&w, p, len);
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	u8 *exact;

	if (!size)
		return 0;
	/* In a block of exactly its size, so that the first byte too many is seen. */
	exact = malloc(size - 1);
	memcpy(exact, data + 1, size - 1);
	take(data[0] & 1, exact, size - 1);
	free(exact);
	return 0;
}
