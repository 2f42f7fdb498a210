// SPDX-License-Identifier: GPL-2.0-or-later
/* LAYOUT and DATA: bytes, limits, order, and everything that a peer may get wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hex.h"
#include "image.h"
#include "runs.h"

#define PAGE	4096U
#define BUF	(2U << 20)

static u8 *buf;
static struct data data;

static int setup(void **state)
{
	(void)state;
	buf = calloc(1, BUF);
	return !buf;
}

static int teardown(void **state)
{
	(void)state;
	free(buf);
	return 0;
}

static const struct cptdev_segment seg = {
	.addr = 0x1000, .len = 0x3000, .offset = 0x5000, .kind = CPTDEV_SEGMENT_FILE,
	.prot = 5,
};

#define SEGMENT_BYTES							\
	"00 10 00 00 00 00 00 00  00 30 00 00 00 00 00 00"		\
	"00 50 00 00 00 00 00 00  02 00 00 00  05 00 00 00"

static void a_segment_is_these_bytes(void **state)
{
	struct writer w = { .p = buf, .cap = BUF };
	struct cptdev_segment out[2];
	struct fault f;

	(void)state;
	segment_encode(&w, &seg);
	hex_assert(buf, w.len, SEGMENT_BYTES);
	assert_int_equal(layout_decode(buf, w.len, PAGE, 0, out, 2, &f), 1);
	assert_memory_equal(out, &seg, sizeof(seg));
}

static void layout_fails(const struct cptdev_segment *a, const struct cptdev_segment *b,
			 u64 from, const char *word)
{
	struct writer w = { .p = buf, .cap = BUF };
	struct cptdev_segment out[2];
	struct fault f;

	segment_encode(&w, a);
	if (b)
		segment_encode(&w, b);
	assert_int_equal(layout_decode(buf, w.len, PAGE, from, out, 2, &f), -1);
	assert_int_equal(f.code, WIRE_E_PROTOCOL);
	if (!strstr(f.text, word))
		fail_msg("'%s' doesn't say '%s'", f.text, word);
}

static void each_wrong_segment_is_refused(void **state)
{
	struct cptdev_segment s;

	(void)state;
#define WRONG(field, value, word)					\
	do {								\
		s = seg;						\
		s.field = value;					\
		layout_fails(&s, NULL, 0, word);			\
	} while (0)
	WRONG(addr, 0x1001, "segment 0x1001");
	WRONG(addr, ~0ULL - 0xfff, "segment");
	WRONG(addr, 1ULL << 63, "segment");
	WRONG(len, 0, "of 0x0 bytes");
	WRONG(len, 0x3001, "of 0x3001 bytes");
	WRONG(len, 1ULL << 63, "segment");
	WRONG(len, ~0ULL - 0xfff, "segment");
	WRONG(kind, 0, "kind 0");
	WRONG(kind, 4, "kind 4");
	WRONG(prot, 8, "protection 0x8");
#undef WRONG
}

static void segments_ascend_without_overlap(void **state)
{
	struct cptdev_segment s = seg, out[2];
	struct writer w = { .p = buf, .cap = BUF };
	struct fault f;

	(void)state;
	layout_fails(&seg, &seg, 0, "after 0x4000");
	layout_fails(&seg, NULL, 0x2000, "after 0x2000");
	s.addr = 0x3000;
	layout_fails(&seg, &s, 0, "after 0x4000");
	s.addr = 0x4000;
	segment_encode(&w, &seg);
	segment_encode(&w, &s);
	assert_int_equal(layout_decode(buf, w.len, PAGE, 0, out, 2, &f), 2);
	assert_int_equal(layout_decode(buf, w.len, PAGE, 0, out, 1, &f), -1);
	assert_non_null(strstr(f.text, "than BEGIN said"));
	assert_int_equal(layout_decode(buf, w.len - 1, PAGE, 0, out, 2, &f), -1);
	assert_int_equal(layout_decode(buf, 0, PAGE, 0, out, 2, &f), -1);
}

/* A DATA frame in @buf; @pages that follow the extents. */
static size_t data_frame(const struct cptdev_extent *e, u32 nr, size_t pages)
{
	struct writer w = { .p = buf, .cap = BUF };
	u32 i;

	data_head_encode(&w, nr);
	for (i = 0; i < nr; i++)
		extent_encode(&w, &e[i]);
	memset(w.p + w.len, 0x5a, pages * PAGE);
	return w.len + pages * PAGE;
}

static const struct cptdev_extent good[] = {
	{ .addr = 0x1000, .len = 0x2000, .kind = CPTDEV_EXTENT_DATA },
	{ .addr = 0x3000, .len = 0x100000000000ULL, .kind = CPTDEV_EXTENT_HOLE },
	{ .addr = 0x100000003000ULL, .len = 0x1000, .kind = CPTDEV_EXTENT_DATA },
};

static void data_is_these_bytes(void **state)
{
	struct fault f;
	size_t n = data_frame(good, 3, 3);

	(void)state;
	hex_assert(buf, 8 + 3 * 24,
		   "03 00 00 00  00 00 00 00"
		   "00 10 00 00 00 00 00 00  00 20 00 00 00 00 00 00"
		   "01 00 00 00  00 00 00 00"
		   "00 30 00 00 00 00 00 00  00 00 00 00 00 10 00 00"
		   "02 00 00 00  00 00 00 00"
		   "00 30 00 00 00 10 00 00  00 10 00 00 00 00 00 00"
		   "01 00 00 00  00 00 00 00");
	assert_int_equal(data_decode(buf, n, PAGE, 0, 0, &data, &f), 0);
	assert_int_equal(data.nr, 3);
	assert_memory_equal(data.extents, good, sizeof(good));
	assert_int_equal(data.pages_len, 3 * PAGE);
	assert_ptr_equal(data.pages, buf + 8 + 3 * 24);
	assert_int_equal(data.end, 0x100000004000ULL);
}

/* Every length up to the right one, and one byte more. */
static void data_of_any_other_length_is_refused(void **state)
{
	struct fault f;
	size_t n = data_frame(good, 3, 3), len;
	u8 *exact;

	(void)state;
	for (len = 0; len <= n + 1; len += len > 200 && len < n - 2 ? 61 : 1) {
		exact = malloc(len);
		memcpy(exact, buf, len);
		assert_int_equal(data_decode(exact, len, PAGE, 0, 0, &data, &f),
				 len == n ? 0 : -1);
		free(exact);
	}
}

static void data_fails(const struct cptdev_extent *e, u32 nr, size_t pages, u64 from,
		       const char *word)
{
	size_t n = data_frame(e, nr, pages);
	struct fault f;

	assert_int_equal(data_decode(buf, n, PAGE, from, 0, &data, &f), -1);
	assert_int_equal(f.code, WIRE_E_PROTOCOL);
	if (!strstr(f.text, word))
		fail_msg("'%s' doesn't say '%s'", f.text, word);
}

static void each_wrong_extent_is_refused(void **state)
{
	struct cptdev_extent e;

	(void)state;
#define WRONG(field, value, word)					\
	do {								\
		e = good[0];						\
		e.field = value;					\
		data_fails(&e, 1, 2, 0, word);				\
	} while (0)
	WRONG(addr, 0x1800, "extent 0x1800");
	WRONG(addr, ~0ULL - 0xfff, "extent");
	WRONG(len, 0, "0x0 bytes");
	WRONG(len, 0x1fff, "0x1fff bytes");
	WRONG(len, ~0ULL - 0xfff, "extent");
	WRONG(len, 0x3000, "the extents say 12288");
	WRONG(len, 0x1000, "the extents say 4096");
	WRONG(len, 1ULL << 40, "more than 1048576 bytes");
	WRONG(kind, 0, "kind 0");
	WRONG(kind, 3, "kind 3");
#undef WRONG
	e = good[0];
	data_frame(&e, 1, 2);
	buf[8 + 20] = 1;
	{
		struct fault f;

		assert_int_equal(data_decode(buf, 8 + 24 + 2 * PAGE, PAGE, 0, 0, &data, &f),
				 -1);
		assert_non_null(strstr(f.text, "reserved field of an extent"));
	}
}

static void extents_ascend_over_frames_too(void **state)
{
	struct cptdev_extent two[2] = { good[0], good[0] };

	(void)state;
	data_fails(two, 2, 4, 0, "after 0x3000");
	data_fails(good, 1, 2, 0x2000, "after 0x2000");
}

static void a_frame_has_so_much_and_no_more(void **state)
{
	static struct cptdev_extent many[WIRE_DATA_EXTENTS + 1];
	struct cptdev_extent big = good[0];
	struct fault f;
	u32 i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = (struct cptdev_extent) {
			.addr = 0x1000 * i, .len = 0x1000, .kind = CPTDEV_EXTENT_HOLE,
		};
	assert_int_equal(data_decode(buf, data_frame(many, WIRE_DATA_EXTENTS, 0), PAGE, 0, 0,
				     &data, &f), 0);
	data_fails(many, WIRE_DATA_EXTENTS + 1, 0, 0, "with 4097 extents");
	data_fails(many, 0, 0, 0, "with 0 extents");

	big.len = WIRE_DATA_BYTES;
	assert_int_equal(data_decode(buf, data_frame(&big, 1, 256), PAGE, 0, 0, &data, &f),
			 0);
	big.len += PAGE;
	data_fails(&big, 1, 257, 0, "more than 1048576 bytes");
	/* The longest frame that is right fits under the cap. */
	assert_true(WIRE_DATA_HEAD_LEN + WIRE_DATA_EXTENTS * WIRE_EXTENT_LEN +
		    WIRE_DATA_BYTES <= WIRE_PAYLOAD_MAX);
}

/*
 * Zeros
 */

static const struct cptdev_extent zeros[] = {
	{ .addr = 0x1000, .len = 0x1000, .kind = CPTDEV_EXTENT_DATA },
	{ .addr = 0x2000, .len = 0x2000, .kind = WIRE_EXTENT_ZERO },
	{ .addr = 0x4000, .len = 0x1000, .kind = CPTDEV_EXTENT_HOLE },
	{ .addr = 0x5000, .len = 0x1000, .kind = CPTDEV_EXTENT_DATA },
};

static void zeros_have_no_content(void **state)
{
	size_t n = data_frame(zeros, 4, 2);
	static const u8 zero[2 * PAGE];
	struct fault f;

	(void)state;
	memset(buf + n - PAGE, 0x77, PAGE);
	assert_int_equal(data_decode(buf, n, PAGE, 0, WIRE_FEATURE_ZERO, &data, &f), 0);
	assert_int_equal(data.pages_len, 4 * PAGE);
	assert_int_equal(data_expand(&data, PAGE, NULL, NULL, &f), 0);
	assert_int_equal(data.nr, 4);
	assert_int_equal(data.extents[1].kind, CPTDEV_EXTENT_DATA);
	assert_int_equal(data.extents[1].addr, 0x2000);
	assert_int_equal(data.extents[2].kind, CPTDEV_EXTENT_HOLE);
	assert_memory_equal(data.pages, buf + n - 2 * PAGE, PAGE);
	assert_memory_equal(data.pages + PAGE, zero, 2 * PAGE);
	assert_memory_equal(data.pages + 3 * PAGE, buf + n - PAGE, PAGE);
	/* A page too few or too many. */
	assert_int_equal(data_decode(buf, n - PAGE, PAGE, 0, WIRE_FEATURE_ZERO, &data, &f), -1);
	assert_int_equal(data_decode(buf, n + PAGE, PAGE, 0, WIRE_FEATURE_ZERO, &data, &f), -1);
}

static void zeros_have_to_be_agreed_on(void **state)
{
	struct fault f;

	(void)state;
	assert_int_equal(data_decode(buf, data_frame(zeros, 4, 2), PAGE, 0,
				     WIRE_FEATURES & ~WIRE_FEATURE_ZERO, &data, &f), -1);
	assert_non_null(strstr(f.text, "is of kind 3"));
}

/* Few bytes that stand for many are bounded as the many are. */
static void zeros_count_as_pages(void **state)
{
	struct cptdev_extent e[2] = { zeros[1], zeros[1] };
	struct fault f;

	(void)state;
	e[0].len = WIRE_DATA_BYTES;
	assert_int_equal(data_decode(buf, data_frame(e, 1, 0), PAGE, 0, WIRE_FEATURE_ZERO,
				     &data, &f), 0);
	assert_int_equal(data_expand(&data, PAGE, NULL, NULL, &f), 0);
	assert_int_equal(data.pages_len, WIRE_DATA_BYTES);
	e[1].addr = e[0].addr + e[0].len;
	e[1].len = PAGE;
	assert_int_equal(data_decode(buf, data_frame(e, 2, 0), PAGE, 0, WIRE_FEATURE_ZERO,
				     &data, &f), -1);
	assert_non_null(strstr(f.text, "more than 1048576 bytes"));
	e[0].len = 1ULL << 62;
	assert_int_equal(data_decode(buf, data_frame(e, 1, 0), PAGE, 0, WIRE_FEATURE_ZERO,
				     &data, &f), -1);
}

/*
 * Runs
 */

static const struct cptdev_extent changed[] = {
	{ .addr = 0x1000, .len = 0x1000, .kind = CPTDEV_EXTENT_DATA },
	{ .addr = 0x2000, .len = 0x2000, .kind = WIRE_EXTENT_RUNS },
	{ .addr = 0x5000, .len = 0x1000, .kind = WIRE_EXTENT_ZERO },
	{ .addr = 0x6000, .len = 0x1000, .kind = CPTDEV_EXTENT_DATA },
};

static u8 old_pages[2 * PAGE], new_pages[2 * PAGE];

/* The replica has these two pages. */
static int read_old(void *arg, u64 addr, u8 *to, size_t len)
{
	(void)arg;
	if (addr < 0x2000 || addr + len > 0x4000)
		return -1;
	memcpy(to, old_pages + addr - 0x2000, len);
	return 0;
}

/* A page, two that changed in part, zeros, a page. */
static size_t runs_frame(void)
{
	struct writer w = { .p = buf, .cap = BUF };
	u32 i;

	for (i = 0; i < 2 * PAGE; i++)
		old_pages[i] = new_pages[i] = i / 13;
	new_pages[17] = 0xcc;
	new_pages[PAGE + 4095] = 0xdd;
	data_head_encode(&w, 4);
	for (i = 0; i < 4; i++)
		extent_encode(&w, &changed[i]);
	memset(write_room(&w, PAGE), 0x11, PAGE);
	w.len += runs_encode(old_pages, new_pages, PAGE, w.p + w.len);
	w.len += runs_encode(old_pages + PAGE, new_pages + PAGE, PAGE, w.p + w.len);
	memset(write_room(&w, PAGE), 0x22, PAGE);
	return w.len;
}

static void runs_are_applied_to_what_is_there(void **state)
{
	size_t n = runs_frame(), len;
	struct fault f;
	u8 *exact;

	(void)state;
	assert_int_equal(data_decode(buf, n, PAGE, 0, WIRE_FEATURES, &data, &f), 0);
	assert_true(data.runs && !data.whole);
	assert_int_equal(data.pages_len, 5 * PAGE);
	assert_int_equal(data_expand(&data, PAGE, read_old, NULL, &f), 0);
	assert_int_equal(data.pages[0], 0x11);
	assert_memory_equal(data.pages + PAGE, new_pages, 2 * PAGE);
	assert_int_equal(data.pages[3 * PAGE], 0);
	assert_int_equal(data.pages[4 * PAGE], 0x22);
	assert_int_equal(data.extents[1].kind, CPTDEV_EXTENT_DATA);
	for (len = 0; len <= n + 1; len += len > 100 && len + 100 < n ? 61 : 1) {
		exact = malloc(len);
		memcpy(exact, buf, len);
		assert_int_equal(data_decode(exact, len, PAGE, 0, WIRE_FEATURES, &data, &f),
				 len == n ? 0 : -1);
		free(exact);
	}
	assert_int_equal(data_decode(buf, n, PAGE, 0, WIRE_FEATURES & ~WIRE_FEATURE_SUBPAGE,
				     &data, &f), -1);
	assert_non_null(strstr(f.text, "is of kind 4"));
}

/* The base's checksum: they can't be applied to another page. */
static void runs_of_another_page_are_refused(void **state)
{
	size_t n = runs_frame();
	struct fault f;

	(void)state;
	old_pages[PAGE + 99] ^= 1;
	assert_int_equal(data_decode(buf, n, PAGE, 0, WIRE_FEATURES, &data, &f), 0);
	assert_int_equal(data_expand(&data, PAGE, read_old, NULL, &f), -1);
	assert_int_equal(f.code, WIRE_E_BASE);
	assert_non_null(strstr(f.text, "at 0x3000"));
	/* One that isn't there at all. */
	store_le(buf + 8 + 24, 0x3000, 8);
	assert_int_equal(data_decode(buf, n, PAGE, 0, WIRE_FEATURES, &data, &f), 0);
	assert_int_equal(data_expand(&data, PAGE, read_old, NULL, &f), -1);
	assert_int_equal(f.code, WIRE_E_BASE);
}

/* Sums that run over must not look small. */
static void lengths_that_wrap_are_refused(void **state)
{
	struct cptdev_extent e[2] = {
		{ .addr = 0x1000, .len = (1ULL << 62), .kind = CPTDEV_EXTENT_DATA },
		{ .addr = (1ULL << 62) + 0x1000, .len = (1ULL << 62) - 0x1000,
		  .kind = CPTDEV_EXTENT_DATA },
	};

	(void)state;
	data_fails(e, 2, 0, 0, "more than");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
		T(a_segment_is_these_bytes),
		T(each_wrong_segment_is_refused),
		T(segments_ascend_without_overlap),
		T(data_is_these_bytes),
		T(data_of_any_other_length_is_refused),
		T(each_wrong_extent_is_refused),
		T(extents_ascend_over_frames_too),
		T(a_frame_has_so_much_and_no_more),
		T(lengths_that_wrap_are_refused),
		T(zeros_have_no_content),
		T(zeros_have_to_be_agreed_on),
		T(zeros_count_as_pages),
		T(runs_are_applied_to_what_is_there),
		T(runs_of_another_page_are_refused),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("images", tests, NULL, NULL);
}
