// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Compressed DATA. The whole frame is there before anything is expanded, and goes to a buffer of the size of the
 * longest DATA frame in one call: the library needs no window of the size that the frame asks for, and
 * writes no more than the buffer has.
 */
#include <stdlib.h>
#include <sys/types.h>

#include <zstd.h>

#include "pack.h"

/* Length of the DATA payload, and a reserved field. */
#define HEAD_LEN	8U
/* The fastest level that finds matches of all lengths: a link mustn't wait for it. */
#define LEVEL		1

void pack_free(struct pack *p)
{
	ZSTD_freeCCtx(p->out);
	ZSTD_freeDCtx(p->in);
	free(p->packed);
	free(p->plain);
	*p = (struct pack) {};
}

static bool pack_open_out(struct pack *p)
{
	if (!p->packed)
		p->packed = malloc(WIRE_DATA_PAYLOAD_MAX);
	if (!p->out) {
		p->out = ZSTD_createCCtx();
		if (p->out)
			ZSTD_CCtx_setParameter(p->out, ZSTD_c_compressionLevel, LEVEL);
	}
	return p->packed && p->out;
}

size_t pack_encode(struct pack *p, const u8 *data, size_t len, size_t most, const u8 **to)
{
	struct writer w;
	size_t n;

	most = MIN(most, (size_t)WIRE_DATA_PAYLOAD_MAX);
	if (most <= HEAD_LEN || !pack_open_out(p))
		return 0;
	w = (struct writer) { .p = p->packed, .cap = HEAD_LEN };
	write_u32(&w, len);
	write_u32(&w, 0);
	n = ZSTD_compress2(p->out, p->packed + HEAD_LEN, most - HEAD_LEN, data, len);
	if (ZSTD_isError(n))
		return 0;
	*to = p->packed;
	return HEAD_LEN + n;
}

static int pack_open_in(struct pack *p, struct fault *f)
{
	if (!p->plain)
		p->plain = malloc(WIRE_DATA_PAYLOAD_MAX);
	if (!p->in)
		p->in = ZSTD_createDCtx();
	return p->plain && p->in ? 0 : fault_set(f, WIRE_E_MEMORY, "no memory to expand PACKED");
}

/* One frame of zstd's that says its length, and nothing behind it. */
static int zstd_check(const u8 *p, size_t len, u32 plain, struct fault *f)
{
	unsigned long long says = ZSTD_getFrameContentSize(p, len);

	if (says != plain)
		return fault_set(f, WIRE_E_PROTOCOL,
				 "PACKED of %u bytes, its content doesn't say so", plain);
	if (ZSTD_findFrameCompressedSize(p, len) != len)
		return fault_set(f, WIRE_E_PROTOCOL, "PACKED: not one whole frame of zstd");
	return 0;
}

ssize_t pack_decode(struct pack *p, const u8 *payload, size_t len, const u8 **data,
		    struct fault *f)
{
	struct reader r = { .p = payload, .left = len };
	u32 plain = read_u32(&r), reserved = read_u32(&r);
	size_t n;

	if (r.short_of)
		return fault_set(f, WIRE_E_PROTOCOL, "PACKED is cut short");
	if (reserved)
		return fault_set(f, WIRE_E_PROTOCOL, "PACKED: reserved field isn't 0");
	if (plain > WIRE_DATA_PAYLOAD_MAX || plain < len)
		return fault_set(f, WIRE_E_PROTOCOL,
				 "PACKED of %zu bytes, for %u bytes of DATA; at most %u are allowed, and no fewer than without",
				 len, plain, WIRE_DATA_PAYLOAD_MAX);
	if (zstd_check(r.p, r.left, plain, f) || pack_open_in(p, f))
		return -1;
	n = ZSTD_decompressDCtx(p->in, p->plain, plain, r.p, r.left);
	if (ZSTD_isError(n) || n != plain)
		return fault_set(f, WIRE_E_PROTOCOL, "PACKED: %s", ZSTD_isError(n) ?
				 ZSTD_getErrorName(n) : "another length than it says");
	*data = p->plain;
	return n;
}
