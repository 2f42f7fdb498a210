// SPDX-License-Identifier: GPL-2.0-or-later
/* The header that every frame has, and its checksum. */
#include <stdlib.h>

#include <xxhash.h>
#ifdef XXH_DISPATCH
/* The same sums with the widest registers that the processor has. */
#include <xxh_x86dispatch.h>
#endif

#include "bytes.h"
#include "frame.h"
#include "verify_frame.h"

/* No page is smaller than 4 KiB. */
#define BLOCKS_MAX	(WIRE_PAYLOAD_MAX / 4096U)

struct frame_hash *frame_hash_new(void)
{
	return (struct frame_hash *)XXH3_createState();
}

void frame_hash_free(struct frame_hash *h)
{
	XXH3_freeState((XXH3_state_t *)h);
}

void frame_encode(u8 head[WIRE_HEADER_LEN], const struct frame *f)
{
	struct writer w = { .p = head, .cap = WIRE_HEADER_LEN };

	write_u32(&w, WIRE_MAGIC);
	write_u16(&w, f->type);
	write_u16(&w, f->flags);
	write_u32(&w, f->length);
	write_u32(&w, f->channel);
	write_u64(&w, f->sequence);
	write_u64(&w, f->checksum);
}

static bool of_the_link(u16 type)
{
	return type < WIRE_SESSION;
}

static int frame_valid(const struct frame *f, u32 max, u64 sequence, struct fault *fault)
{
	if (!wire_type_name(f->type))
		return fault_set(fault, WIRE_E_PROTOCOL, "frame of unknown type 0x%x",
				 f->type);
	if (f->flags)
		return fault_set(fault, WIRE_E_PROTOCOL, "%s with unknown flags 0x%x",
				 wire_type_name(f->type), f->flags);
	if (f->length > max)
		return fault_set(fault, WIRE_E_PROTOCOL,
				 "%s of %u bytes, at most %u are allowed",
				 wire_type_name(f->type), f->length, max);
	if (of_the_link(f->type) != !f->channel)
		return fault_set(fault, WIRE_E_PROTOCOL, "%s on channel %u",
				 wire_type_name(f->type), f->channel);
	if (f->sequence != sequence)
		return fault_set(fault, WIRE_E_PROTOCOL,
				 "frame number %llu, expected %llu", f->sequence,
				 sequence);
	return 0;
}

int frame_decode(const u8 head[WIRE_HEADER_LEN], u32 max, u64 sequence, struct frame *f,
		 struct fault *fault)
{
	struct reader r = { .p = head, .left = WIRE_HEADER_LEN };
	u32 magic = read_u32(&r);

	f->type = read_u16(&r);
	f->flags = read_u16(&r);
	f->length = read_u32(&r);
	f->channel = read_u32(&r);
	f->sequence = read_u64(&r);
	f->checksum = read_u64(&r);
	/* A record of a TLS handshake. */
	if (head[0] == 0x16 && head[1] == 0x03)
		return fault_set(fault, WIRE_E_PROTOCOL,
				 "the peer speaks TLS, this node doesn't: [peer] psk_file isn't given here");
	if (magic != WIRE_MAGIC)
		return fault_set(fault, WIRE_E_PROTOCOL,
				 "not a frame: it begins with 0x%08x", magic);
	return frame_valid(f, max, sequence, fault);
}

u64 frame_checksum(struct frame_hash *h, const u8 *head, const void *a, size_t a_len,
		   const void *b, size_t b_len)
{
	XXH3_state_t *state = (XXH3_state_t *)h;

	XXH3_64bits_reset(state);
	XXH3_64bits_update(state, head, WIRE_CHECKED_LEN);
	if (a_len)
		XXH3_64bits_update(state, a, a_len);
	if (b_len)
		XXH3_64bits_update(state, b, b_len);
	return XXH3_64bits_digest(state);
}

u64 frame_checksum_blocks(struct frame_hash *h, const u8 *head, const u8 *payload, size_t len,
			  u32 block, const u64 *known, u32 nr)
{
	u8 sums[BLOCKS_MAX * 8];
	u32 n = MIN(len / block, BLOCKS_MAX), i;
	size_t rest = len - (size_t)n * block;

	for (i = 0; i < n; i++)
		store_le(sums + i * 8, i + nr < n ? page_sum(payload + rest + (size_t)i * block, block) :
			 known[i + nr - n], 8);
	return frame_checksum(h, head, payload, rest, sums, n * 8);
}
