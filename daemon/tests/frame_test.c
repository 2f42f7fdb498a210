// SPDX-License-Identifier: GPL-2.0-or-later
/* Headers and checksums: fixed bytes, and each field wrong alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <xxhash.h>

#include "bytes.h"
#include "frame.h"
#include "hex.h"

static const struct frame example = {
	.type = WIRE_DATA, .length = 0x00012345, .channel = 7,
	.sequence = 0x1122334455667788ULL, .checksum = 0x99aabbccddeeff00ULL,
};

#define MAX_LEN		WIRE_PAYLOAD_MAX

static int decode(const u8 *head, struct frame *f, struct fault *fault)
{
	return frame_decode(head, MAX_LEN, example.sequence, f, fault);
}

static void a_header_is_these_bytes(void **state)
{
	u8 head[WIRE_HEADER_LEN];

	(void)state;
	frame_encode(head, &example);
	hex_assert(head, sizeof(head),
		   "43 50 54 46  23 00  00 00  45 23 01 00  07 00 00 00"
		   "88 77 66 55 44 33 22 11  00 ff ee dd cc bb aa 99");
}

static void what_was_written_is_read(void **state)
{
	u8 head[WIRE_HEADER_LEN];
	struct fault fault;
	struct frame f;

	(void)state;
	frame_encode(head, &example);
	assert_int_equal(decode(head, &f, &fault), 0);
	assert_int_equal(f.type, example.type);
	assert_int_equal(f.length, example.length);
	assert_int_equal(f.channel, example.channel);
	assert_int_equal(f.sequence, example.sequence);
	assert_int_equal(f.checksum, example.checksum);
}

/* One change to a good header, and a word that the refusal has. */
static void refused(const struct frame *f, const char *word)
{
	u8 head[WIRE_HEADER_LEN];
	struct fault fault;
	struct frame out;

	frame_encode(head, f);
	assert_int_equal(decode(head, &out, &fault), -1);
	assert_int_equal(fault.code, WIRE_E_PROTOCOL);
	if (!strstr(fault.text, word))
		fail_msg("'%s' doesn't say '%s'", fault.text, word);
}

static void each_wrong_field_is_named(void **state)
{
	struct frame f;

	(void)state;
	f = example;
	f.type = 0x7f;
	refused(&f, "unknown type 0x7f");
	f = example;
	f.type = 0;
	refused(&f, "unknown type 0x0");
	f = example;
	f.flags = 1;
	refused(&f, "flags 0x1");
	f = example;
	f.length = MAX_LEN + 1;
	refused(&f, "at most");
	f = example;
	f.length = ~0U;
	refused(&f, "4294967295 bytes");
	f = example;
	f.channel = 0;
	refused(&f, "DATA on channel 0");
	f = example;
	f.type = WIRE_HEARTBEAT;
	refused(&f, "HEARTBEAT on channel 7");
	f = example;
	f.sequence++;
	refused(&f, "frame number");
}

static void anything_else_is_no_frame(void **state)
{
	u8 head[WIRE_HEADER_LEN] = "GET / HTTP/1.1\r\nHost: spare\r\n";
	struct fault fault;
	struct frame f;

	(void)state;
	assert_int_equal(decode(head, &f, &fault), -1);
	assert_non_null(strstr(fault.text, "not a frame: it begins with 0x20544547"));
}

/* XXH3-64 of the first 24 bytes of the header and of the payload, seed 0. */
static void the_checksum_is_this_number(void **state)
{
	struct frame_hash *h = frame_hash_new();
	u8 head[WIRE_HEADER_LEN];

	(void)state;
	frame_encode(head, &example);
	assert_int_equal(frame_checksum(h, head, NULL, 0, NULL, 0),
			 0xa32e53405c00dac6ULL);
	assert_int_equal(frame_checksum(h, head, "checkpoint", 10, NULL, 0),
			 0x0cbfcc80b35e80f6ULL);
	/* In one piece or in two. */
	assert_int_equal(frame_checksum(h, head, "check", 5, "point", 5),
			 0x0cbfcc80b35e80f6ULL);
	frame_hash_free(h);
}

/* Whatever instructions it is computed with: as the library's plain function says. */
static void long_checksums_are_the_same_number(void **state)
{
	static const size_t len[] = { 1, 63, 240, 241, 1023, 1024, 4096, 65537, 300000 };
	struct frame_hash *h = frame_hash_new();
	static u8 buf[WIRE_CHECKED_LEN + 300000];
	u8 head[WIRE_HEADER_LEN];
	size_t i;

	(void)state;
	frame_encode(head, &example);
	for (i = 0; i < sizeof(buf); i++)
		buf[i] = i < WIRE_CHECKED_LEN ? head[i] : i * 2654435761U >> 24;
	for (i = 0; i < ARRAY_SIZE(len); i++) {
		const u8 *at = buf + WIRE_CHECKED_LEN;
		u64 sum = XXH3_64bits(buf, WIRE_CHECKED_LEN + len[i]);

		assert_true(frame_checksum(h, head, at, len[i], NULL, 0) == sum);
		assert_true(frame_checksum(h, head, at, len[i] / 3, at + len[i] / 3,
					   len[i] - len[i] / 3) == sum);
	}
	frame_hash_free(h);
}

/* The checksum itself is the only part of a header that it doesn't cover. */
static void every_bit_counts(void **state)
{
	struct frame_hash *h = frame_hash_new();
	u8 head[WIRE_HEADER_LEN], payload[40] = "payload";
	u64 sum;
	size_t i;

	(void)state;
	frame_encode(head, &example);
	sum = frame_checksum(h, head, payload, sizeof(payload), NULL, 0);
	for (i = 0; i < 8 * WIRE_CHECKED_LEN; i++) {
		head[i / 8] ^= 1 << (i % 8);
		assert_true(frame_checksum(h, head, payload, sizeof(payload), NULL, 0) !=
			    sum);
		head[i / 8] ^= 1 << (i % 8);
	}
	for (i = 0; i < 8 * sizeof(payload); i++) {
		payload[i / 8] ^= 1 << (i % 8);
		assert_true(frame_checksum(h, head, payload, sizeof(payload), NULL, 0) !=
			    sum);
		payload[i / 8] ^= 1 << (i % 8);
	}
	frame_hash_free(h);
}

static void every_type_and_code_has_a_name(void **state)
{
	unsigned int i, types = 0;

	(void)state;
	for (i = 0; i < 0x10000; i++)
		types += wire_type_name(i) != NULL;
	assert_int_equal(types, 31);
	for (i = WIRE_OK; i <= WIRE_E_MACHINE; i++)
		assert_string_not_equal(wire_code_name(i), "unknown");
	for (i = WIRE_E_FENCED; i <= WIRE_E_BASE; i++)
		assert_string_not_equal(wire_code_name(i), "unknown");
	assert_string_equal(wire_code_name(9999), "unknown");
}

/* With blocks: of the header, what is left over in front, and the sums of the blocks, little-endian. */
static void the_checksum_of_blocks_is_of_their_checksums(void **state)
{
	static const size_t len[] = { 0, 40, 4095, 4096, 4136, 12287, 12328 };
	struct frame_hash *h = frame_hash_new();
	static u8 payload[12328];
	u8 head[WIRE_HEADER_LEN], plain[WIRE_CHECKED_LEN + 4096 + 24];
	size_t i, at, n;
	u64 sums[3], sum;

	(void)state;
	frame_encode(head, &example);
	for (i = 0; i < sizeof(payload); i++)
		payload[i] = i * 2654435761U >> 24;
	for (i = 0; i < ARRAY_SIZE(len); i++) {
		at = len[i] % 4096;
		memcpy(plain, head, WIRE_CHECKED_LEN);
		memcpy(plain + WIRE_CHECKED_LEN, payload, at);
		for (n = 0; n < len[i] / 4096; n++) {
			sums[n] = XXH3_64bits(payload + at + n * 4096, 4096);
			store_le(plain + WIRE_CHECKED_LEN + at + n * 8, sums[n], 8);
		}
		sum = XXH3_64bits(plain, WIRE_CHECKED_LEN + at + n * 8);
		assert_true(frame_checksum_blocks(h, head, payload, len[i], 4096, NULL, 0) == sum);
		/* Some or all of them are known. */
		assert_true(frame_checksum_blocks(h, head, payload, len[i], 4096, sums, n) == sum);
		if (n)
			assert_true(frame_checksum_blocks(h, head, payload, len[i], 4096, sums + 1,
							  n - 1) == sum);
	}
	frame_hash_free(h);
}

static void every_bit_counts_in_blocks(void **state)
{
	struct frame_hash *h = frame_hash_new();
	static u8 payload[2 * 4096 + 32];
	u8 head[WIRE_HEADER_LEN];
	u64 sum;
	size_t i;

	(void)state;
	frame_encode(head, &example);
	sum = frame_checksum_blocks(h, head, payload, sizeof(payload), 4096, NULL, 0);
	for (i = 0; i < 8 * WIRE_CHECKED_LEN; i++) {
		head[i / 8] ^= 1 << (i % 8);
		assert_true(frame_checksum_blocks(h, head, payload, sizeof(payload), 4096, NULL, 0) !=
			    sum);
		head[i / 8] ^= 1 << (i % 8);
	}
	for (i = 0; i < 8 * sizeof(payload); i++) {
		payload[i / 8] ^= 1 << (i % 8);
		assert_true(frame_checksum_blocks(h, head, payload, sizeof(payload), 4096, NULL, 0) !=
			    sum);
		payload[i / 8] ^= 1 << (i % 8);
	}
	/* Blocks that change places are noticed, too. */
	memset(payload + 32, 1, 4096);
	sum = frame_checksum_blocks(h, head, payload, sizeof(payload), 4096, NULL, 0);
	memset(payload + 32, 0, 4096);
	memset(payload + 32 + 4096, 1, 4096);
	assert_true(frame_checksum_blocks(h, head, payload, sizeof(payload), 4096, NULL, 0) != sum);
	frame_hash_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_header_is_these_bytes),
		cmocka_unit_test(what_was_written_is_read),
		cmocka_unit_test(each_wrong_field_is_named),
		cmocka_unit_test(anything_else_is_no_frame),
		cmocka_unit_test(the_checksum_is_this_number),
		cmocka_unit_test(long_checksums_are_the_same_number),
		cmocka_unit_test(every_bit_counts),
		cmocka_unit_test(the_checksum_of_blocks_is_of_their_checksums),
		cmocka_unit_test(every_bit_counts_in_blocks),
		cmocka_unit_test(every_type_and_code_has_a_name),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("frames", tests, NULL, NULL);
}
