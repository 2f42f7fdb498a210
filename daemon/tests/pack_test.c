// SPDX-License-Identifier: GPL-2.0-or-later
/* PACKED: what comes back is what went in, and nothing that a peer makes up is believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include <cmocka.h>
#include <zstd.h>

#include "hex.h"
#include "pack.h"

#define LEN	(64U * 1024)

struct fixture {
	struct pack pack;
	u8 data[LEN];
	u8 frame[WIRE_PAYLOAD_MAX];
	struct fault fault;
};

static int setup(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));
	size_t i;

	for (i = 0; i < LEN; i++)
		x->data[i] = i / 64;
	*state = x;
	return !x;
}

static int teardown(void **state)
{
	struct fixture *x = *state;

	pack_free(&x->pack);
	free(x);
	return 0;
}

static void what_went_in_comes_out(void **state)
{
	struct fixture *x = *state;
	const u8 *to, *back;
	size_t n = pack_encode(&x->pack, x->data, LEN, LEN - 1, &to);

	assert_true(n && n < LEN / 8);
	memcpy(x->frame, to, n);
	assert_int_equal(load_le(x->frame, 4), LEN);
	assert_int_equal(pack_decode(&x->pack, x->frame, n, &back, &x->fault), LEN);
	assert_memory_equal(back, x->data, LEN);
	/* One after the other, as frames come. */
	assert_int_equal(pack_encode(&x->pack, x->data, LEN, LEN - 1, &to), n);
	assert_memory_equal(to, x->frame, n);
}

static void what_would_be_longer_is_left(void **state)
{
	struct fixture *x = *state;
	const u8 *to = NULL;
	u64 r = 1;
	size_t i;

	for (i = 0; i < LEN; i++) {
		r = r * 6364136223846793005ULL + 1442695040888963407ULL;
		x->data[i] = r >> 56;
	}
	assert_int_equal(pack_encode(&x->pack, x->data, LEN, LEN - 1, &to), 0);
	assert_null(to);
	assert_int_equal(pack_encode(&x->pack, x->data, LEN, 0, &to), 0);
	assert_int_equal(pack_encode(&x->pack, x->data, LEN, 8, &to), 0);
}

/* A frame with the head that is wanted, and whatever content. Returns its length. */
static size_t frame(struct fixture *x, u32 says, const void *content, size_t len)
{
	store_le(x->frame, says, 4);
	store_le(x->frame + 4, 0, 4);
	memcpy(x->frame + 8, content, len);
	return 8 + len;
}

static void refused(struct fixture *x, size_t len, const char *word)
{
	u8 *exact = malloc(len);
	const u8 *back;

	memcpy(exact, x->frame, len);
	assert_int_equal(pack_decode(&x->pack, exact, len, &back, &x->fault), -1);
	free(exact);
	assert_int_equal(x->fault.code, WIRE_E_PROTOCOL);
	if (!strstr(x->fault.text, word))
		fail_msg("'%s' doesn't say '%s'", x->fault.text, word);
}

/* Content by the library itself, with what the test wants of it. */
static size_t zstd(struct fixture *x, u8 *to, size_t cap, size_t len, int says_length)
{
	ZSTD_CCtx *c = ZSTD_createCCtx();
	size_t n;

	ZSTD_CCtx_setParameter(c, ZSTD_c_contentSizeFlag, says_length);
	n = ZSTD_compress2(c, to, cap, x->data, len);
	ZSTD_freeCCtx(c);
	assert_false(ZSTD_isError(n));
	return n;
}

static void every_other_length_is_refused(void **state)
{
	struct fixture *x = *state;
	static u8 z[LEN];
	size_t n = zstd(x, z, sizeof(z), LEN, 1), len;
	const u8 *back;

	len = frame(x, LEN, z, n);
	assert_int_equal(pack_decode(&x->pack, x->frame, len, &back, &x->fault), LEN);
	for (len = 0; len < 8 + n; len++)
		refused(x, len, "PACKED");
	frame(x, LEN, z, n);
	x->frame[8 + n] = 0;
	refused(x, 8 + n + 1, "not one whole frame");
	refused(x, frame(x, LEN - 1, z, n), "doesn't say so");
	refused(x, frame(x, LEN + 1, z, n), "doesn't say so");
	refused(x, frame(x, 0, z, n), "for 0 bytes");
	refused(x, frame(x, ~0U, z, n), "at most 1146888");
	frame(x, LEN, z, n);
	x->frame[4] = 1;
	refused(x, 8 + n, "reserved");
}

/* It costs nothing to claim a lot, and it costs the receiver nothing to be told so. */
static void a_bomb_is_refused(void **state)
{
	struct fixture *x = *state;
	size_t big = 64U << 20, n;
	static u8 z[LEN];
	u8 *zeros = calloc(1, big);

	n = ZSTD_compress(z, sizeof(z), zeros, big, 3);
	assert_true(n < LEN);
	refused(x, frame(x, big, z, n), "at most 1146888");
	refused(x, frame(x, WIRE_DATA_PAYLOAD_MAX, z, n), "doesn't say so");
	free(zeros);
	/* A frame whose length isn't in its head. */
	refused(x, frame(x, LEN, z, zstd(x, z, sizeof(z), LEN, 0)), "doesn't say so");
}

/* Two frames, or one that is passed over, in the place of one. */
static void one_frame_and_no_other_kind(void **state)
{
	static const u8 skippable[] = { 0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4 };
	struct fixture *x = *state;
	static u8 z[2 * LEN];
	size_t n = zstd(x, z, LEN, LEN / 2, 1);

	n += zstd(x, z + n, LEN, LEN / 2, 1);
	refused(x, frame(x, LEN / 2, z, n), "not one whole frame");
	refused(x, frame(x, LEN, z, n), "doesn't say so");
	refused(x, frame(x, 100, skippable, sizeof(skippable)), "PACKED");
	refused(x, frame(x, 100, "not compressed at all", 21), "doesn't say so");
}

/* A frame that says its length and ends before it, or has more: each bit wrong alone. */
static void damage_is_refused_or_harmless(void **state)
{
	struct fixture *x = *state;
	static u8 z[LEN];
	size_t n = zstd(x, z, sizeof(z), LEN, 1), len = frame(x, LEN, z, n), i;
	const u8 *back;
	ssize_t got;

	for (i = 8 * 8; i < 8 * len; i++) {
		x->frame[i / 8] ^= 1 << (i % 8);
		got = pack_decode(&x->pack, x->frame, len, &back, &x->fault);
		assert_true(got == -1 || got == LEN);
		x->frame[i / 8] ^= 1 << (i % 8);
	}
	assert_int_equal(pack_decode(&x->pack, x->frame, len, &back, &x->fault), LEN);
	assert_memory_equal(back, x->data, LEN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
		T(what_went_in_comes_out),
		T(what_would_be_longer_is_left),
		T(every_other_length_is_refused),
		T(a_bomb_is_refused),
		T(one_frame_and_no_other_kind),
		T(damage_is_refused_or_harmless),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("packed frames", tests, NULL, NULL);
}
