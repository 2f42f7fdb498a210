// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Payloads of FETCH, FETCH_STATE, READ and PAGES, as the first byte says. A payload that is taken encodes to
 * the same bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "fetch_frame.h"
#include "fuzz.h"

static void same(const struct writer *w, const u8 *p, size_t len)
{
	if (w->full || w->len != len || memcmp(w->p, p, len))
		abort();
}

static void take(u8 kind, const u8 *p, size_t len)
{
	static u8 buf[64 + WIRE_READ_BYTES];
	struct writer w = { .p = buf, .cap = sizeof(buf) };
	union {
		struct msg_fetch fetch;
		struct msg_fetch_state state;
		struct msg_read read;
		struct msg_pages pages;
	} m;
	struct fault f;

	if (kind % 4 == 0 && !fetch_decode(p, len, &m.fetch, &f)) {
		fetch_encode(&w, &m.fetch);
		same(&w, p, len);
	} else if (kind % 4 == 1 && !fetch_state_decode(p, len, &m.state, &f)) {
		fetch_state_encode(&w, &m.state);
		/* What isn't printable in the text is replaced. */
		if (w.full || w.len != len)
			abort();
	} else if (kind % 4 == 2 && !read_decode(p, len, 4096, &m.read, &f)) {
		read_encode(&w, &m.read);
		same(&w, p, len);
	} else if (kind % 4 == 3 && !pages_decode(p, len, 4096, &m.pages, &f)) {
		pages_encode(&w, &m.pages);
		write_copy(&w, m.pages.content, len - w.len);
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
	take(data[0], exact, size - 1);
	free(exact);
	return 0;
}
