// SPDX-License-Identifier: GPL-2.0-or-later
/* Changes within a page: their bytes, the page that they make, and everything that a peer may get wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hex.h"
#include "random.h"
#include "runs.h"

#define PAGE	4096U
#define MOST	RUNS_MOST(PAGE)

static u8 old[PAGE], page[PAGE], to[MOST];

static int setup(void **state)
{
	u32 i;

	(void)state;
	rng = 0x9e3779b97f4a7c15ULL;
	for (i = 0; i < PAGE; i++)
		old[i] = rnd(256);
	memcpy(page, old, PAGE);
	return 0;
}

static int decode(const u8 *p, size_t len, size_t *left, struct fault *f)
{
	struct reader r = { .p = p, .left = len };
	int ret = runs_decode(&r, PAGE, f);

	*left = r.left;
	return ret;
}

/* The page that the receiver makes of it, with the page as it was. */
static int apply(const u8 *p, size_t len, u8 *at)
{
	struct reader r = { .p = p, .left = len };

	return runs_apply(&r, at, PAGE);
}

static void same_again(size_t len)
{
	u8 at[PAGE], *exact = malloc(len);
	struct fault f;
	size_t left;

	memcpy(exact, to, len);
	memcpy(at, old, PAGE);
	assert_int_equal(decode(exact, len, &left, &f), 0);
	assert_int_equal(left, 0);
	assert_int_equal(apply(exact, len, at), 0);
	assert_memory_equal(at, page, PAGE);
	free(exact);
}

static void runs_are_these_bytes(void **state)
{
	size_t len;

	(void)state;
	memset(old, 0, PAGE);
	memset(page, 0, PAGE);
	page[3 * 32 + 1] = 0xaa;
	page[127 * 32 + 31] = 0xbb;
	len = runs_encode(old, page, PAGE, to);
	assert_int_equal(len, RUNS_HEAD_LEN + 2 * RUNS_RUN_LEN + 2 * RUNS_BLOCK);
	/* XXH3-64 of a page of zeros. */
	hex_assert(to, len,
		   "ba 89 c6 48 e1 6f d7 93  02 00  03 00 01 00  7f 00 01 00"
		   "00 aa 00 00 00 00 00 00 00 00 00 00 00 00 00 00"
		   "00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00"
		   "00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00"
		   "00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 bb");
	same_again(len);
}

static void nothing_changed(void **state)
{
	(void)state;
	assert_int_equal(runs_encode(old, page, PAGE, to), RUNS_HEAD_LEN);
	same_again(RUNS_HEAD_LEN);
}

/* Eight bytes, wherever they are: forty times less than the page. */
static void eight_bytes_are_few(void **state)
{
	u32 at;
	size_t len;

	(void)state;
	for (at = 0; at <= PAGE - 8; at++) {
		memcpy(page, old, PAGE);
		memset(page + at, ~old[at], 8);
		len = runs_encode(old, page, PAGE, to);
		assert_true(len && len <= RUNS_HEAD_LEN + RUNS_RUN_LEN + 2 * RUNS_BLOCK);
		if (!(at % 97))
			same_again(len);
		if (!(at % 8))
			assert_true(len * 40 < PAGE);
	}
}

/* From half of it on the page itself is sent. */
static void dense_changes_are_no_runs(void **state)
{
	u32 blocks, len;

	(void)state;
	for (blocks = 1; blocks <= 128; blocks++) {
		page[(blocks - 1) * 32]++;
		len = runs_encode(old, page, PAGE, to);
		assert_int_equal(!len, RUNS_HEAD_LEN + RUNS_RUN_LEN + blocks * 32 > MOST);
		if (len)
			same_again(len);
	}
	/* Every other block: a run each. */
	memcpy(page, old, PAGE);
	for (blocks = 0; blocks < 64; blocks++) {
		page[blocks * 64 + 7]++;
		len = runs_encode(old, page, PAGE, to);
		assert_int_equal(!len, RUNS_HEAD_LEN + (blocks + 1) * 36 > MOST);
		if (len)
			same_again(len);
	}
}

static void whatever_changed_comes_back(void **state)
{
	u32 i, n, at, most, len, runs = 0;

	(void)state;
	for (i = 0; i < 3000; i++) {
		memcpy(page, old, PAGE);
		for (n = rnd(20); n; n--) {
			at = rnd(PAGE);
			most = rnd(4) ? 8 : 600;
			len = 1 + rnd(MIN(PAGE - at, most));
			while (len--)
				page[at + len] = rnd(256);
		}
		len = runs_encode(old, page, PAGE, to);
		if (!len)
			continue;
		same_again(len);
		runs++;
	}
	assert_true(runs > 1000);
}

/* A bit of the old page, or of the checksum: it isn't for this page, and nothing is changed. */
static void another_page_is_refused(void **state)
{
	u8 at[PAGE], before[PAGE];
	size_t len;
	u32 i;

	(void)state;
	page[500]++;
	len = runs_encode(old, page, PAGE, to);
	for (i = 0; i < 500; i++) {
		memcpy(at, old, PAGE);
		at[rnd(PAGE)] ^= 1 << rnd(8);
		memcpy(before, at, PAGE);
		assert_int_equal(apply(to, len, at), -1);
		assert_memory_equal(at, before, PAGE);
	}
	for (i = 0; i < 64; i++) {
		to[i / 8] ^= 1 << i % 8;
		memcpy(at, old, PAGE);
		assert_int_equal(apply(to, len, at), -1);
		to[i / 8] ^= 1 << i % 8;
	}
	/* The same twice: after the first time it is another page. */
	memcpy(at, old, PAGE);
	assert_int_equal(apply(to, len, at), 0);
	assert_int_equal(apply(to, len, at), -1);
}

static void refused(size_t len, const char *word)
{
	u8 *exact = malloc(len);
	struct fault f;
	size_t left;

	memcpy(exact, to, len);
	assert_int_equal(decode(exact, len, &left, &f), -1);
	free(exact);
	assert_int_equal(f.code, WIRE_E_PROTOCOL);
	if (!strstr(f.text, word))
		fail_msg("'%s' doesn't say '%s'", f.text, word);
}

static void run(u32 i, u32 first, u32 blocks)
{
	store_le(to + RUNS_HEAD_LEN + i * RUNS_RUN_LEN, first, 2);
	store_le(to + RUNS_HEAD_LEN + i * RUNS_RUN_LEN + 2, blocks, 2);
}

static void each_wrong_run_is_refused(void **state)
{
	struct fault f;
	size_t len, i, left;

	(void)state;
	page[100]++;
	page[1000]++;
	len = runs_encode(old, page, PAGE, to);
	for (i = 0; i < len; i++)
		refused(i, "cut short");
	/* What follows is another page's. */
	assert_int_equal(decode(to, len + 7, &left, &f), 0);
	assert_int_equal(left, 7);

	run(1, 3, 1);
	refused(len, "a run of 1 blocks at block 3, after block 4");
	run(1, 128, 1);
	refused(len, "at block 128");
	run(1, 127, 2);
	refused(len, "a run of 2 blocks");
	run(1, 65535, 65535);
	refused(len, "a run of 65535 blocks");
	run(1, 31, 0);
	refused(len, "a run of 0 blocks");
	run(1, 31, 3);
	refused(len, "cut short");
	/* One behind the other is right. */
	run(1, 4, 1);
	assert_int_equal(decode(to, len, &left, &f), 0);
	/* More runs than a page has blocks. */
	store_le(to + 8, 65535, 2);
	refused(MOST, "DATA: ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup(fn, setup)
		T(runs_are_these_bytes),
		T(nothing_changed),
		T(eight_bytes_are_few),
		T(dense_changes_are_no_runs),
		T(whatever_changed_comes_back),
		T(another_page_is_refused),
		T(each_wrong_run_is_refused),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("runs", tests, NULL, NULL);
}
