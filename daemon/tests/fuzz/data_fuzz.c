// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Payloads of DATA, or of PACKED behind a first byte that is odd, without a daemon around them. The
 * replica has the same page everywhere, and nothing at some places.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "fuzz.h"
#include "image.h"
#include "pack.h"

static int old_page(void *arg, u64 addr, u8 *to, size_t len)
{
	(void)arg;
	memset(to, 0x11, len);
	return addr & 1ULL << 40 ? -1 : 0;
}

/* In blocks of exactly their sizes, so that the first byte too many is seen. */
static void take(const u8 *p, size_t len)
{
	static struct data data;
	u8 *exact = malloc(len), *pages;
	struct fault f;

	memcpy(exact, p, len);
	if (!data_decode(exact, len, 4096, 0, WIRE_FEATURES, &data, &f) &&
	    !data_expand(&data, 4096, old_page, NULL, &f)) {
		if (!data.whole || data.pages_len > WIRE_DATA_BYTES)
			abort();
		pages = malloc(data.pages_len);
		memcpy(pages, data.pages, data.pages_len);
		free(pages);
	}
	free(exact);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct pack pack;
	const u8 *plain;
	struct fault f;
	u8 *exact;
	ssize_t n;

	if (!size)
		return 0;
	if (!(data[0] & 1)) {
		take(data + 1, size - 1);
		return 0;
	}
	exact = malloc(size - 1);
	memcpy(exact, data + 1, size - 1);
	n = pack_decode(&pack, exact, size - 1, &plain, &f);
	if (n > (ssize_t)WIRE_DATA_PAYLOAD_MAX)
		abort();
	if (n >= 0)
		take(plain, n);
	free(exact);
	return 0;
}
