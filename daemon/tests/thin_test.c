// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Frames of pages, made shorter: whatever they hold, the receiver gets the same pages at the same
 * addresses, and no frame is longer than it was. The oracle is the list of pages itself.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include <cmocka.h>

#include "image.h"
#include "random.h"
#include "thin.h"

#define PAGE	4096U
#define BASE	0x10000000ULL
#define CAP	(1U << 20)

struct fixture {
	struct thin thin;
	struct thin_frame frame;
	struct pack pack;		/* the sender's, */
	struct pack receiver;
	struct writer w;
	u8 buf[CAP];
	u8 pages[THIN_PAGES * PAGE];	/* as they are in memory */
	struct data data;
	u8 *replica;			/* what the receiver has: REPLICA pages from BASE on */
};

#define REPLICA		2048U

static int setup(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));

	rng = 0x9e3779b97f4a7c15ULL;
	x->thin = (struct thin) {
		.features = WIRE_FEATURES, .packs = THIN_PLAIN, .pack = &x->pack,
		.page_size = PAGE,
	};
	x->replica = calloc(REPLICA, PAGE);
	*state = x;
	return !x->replica;
}

static int teardown(void **state)
{
	struct fixture *x = *state;

	pack_free(&x->pack);
	pack_free(&x->receiver);
	shadow_free(x->thin.shadow);
	free(x->replica);
	free(x);
	return 0;
}

/* Its payload begins somewhere in a buffer that has more. */
static void begin(struct fixture *x)
{
	x->w = (struct writer) { .p = x->buf, .cap = CAP };
	write_room(&x->w, 32 + rnd(100));
	x->frame.w = &x->w;
	x->frame.start = x->w.len;
	x->frame.nr = 0;
	x->frame.bytes = 0;
	x->frame.owner = x->thin.shadow ? 1 : 0;
	x->thin.deltas++;
}

static void extent(struct fixture *x, u64 page, u32 pages, u32 kind)
{
	x->frame.extents[x->frame.nr++] = (struct cptdev_extent) {
		.addr = BASE + page * PAGE, .len = (u64)pages * PAGE, .kind = kind,
	};
	if (kind == CPTDEV_EXTENT_DATA)
		x->frame.bytes += pages * PAGE;
}

/* The length as it was without any of this. */
static size_t plain_len(const struct fixture *x)
{
	return WIRE_DATA_HEAD_LEN + x->frame.nr * WIRE_EXTENT_LEN + x->frame.bytes;
}

/* The next page of a list, or of the holes in it: where it is and of which kind. */
static bool next_page(const struct cptdev_extent **e, const struct cptdev_extent *end, u64 *done,
		      u64 *addr, u32 *kind)
{
	if (*e == end)
		return false;
	*addr = (*e)->addr + *done;
	*kind = (*e)->kind;
	*done += PAGE;
	if (*done == (*e)->len) {
		*done = 0;
		(*e)++;
	}
	return true;
}

/* Extents may be cut and put together in other ways; page by page they say the same. */
static void same_extents(const struct cptdev_extent *a, u32 nr_a, const struct cptdev_extent *b,
			 u32 nr_b)
{
	const struct cptdev_extent *end_a = a + nr_a, *end_b = b + nr_b;
	u64 done_a = 0, done_b = 0, addr_a, addr_b;
	u32 kind_a, kind_b;

	while (next_page(&a, end_a, &done_a, &addr_a, &kind_a)) {
		assert_true(next_page(&b, end_b, &done_b, &addr_b, &kind_b));
		assert_int_equal(addr_a, addr_b);
		assert_int_equal(kind_a, kind_b);
	}
	assert_false(next_page(&b, end_b, &done_b, &addr_b, &kind_b));
}

static int replica_read(void *arg, u64 addr, u8 *to, size_t len)
{
	struct fixture *x = arg;

	if (addr < BASE || addr + len > BASE + REPLICA * PAGE)
		return -1;
	memcpy(to, x->replica + (addr - BASE), len);
	return 0;
}

/* It is committed: what became a hole is nothing, of which no one can build upon. */
static void replica_write(struct fixture *x)
{
	const u8 *from = x->data.pages;
	u32 i;

	for (i = 0; i < x->data.nr; i++) {
		const struct cptdev_extent *e = &x->data.extents[i];

		if (e->addr + e->len > BASE + REPLICA * PAGE)
			continue;
		if (e->kind == CPTDEV_EXTENT_HOLE) {
			memset(x->replica + (e->addr - BASE), 0xee, e->len);
			continue;
		}
		memcpy(x->replica + (e->addr - BASE), from, e->len);
		from += e->len;
	}
}

/* Make it, take it apart as a receiver does, and compare. Returns the length of the payload. */
static size_t round_trip(struct fixture *x)
{
	const u8 *payload = x->buf + x->frame.start, *at = x->pages;
	struct fault f;
	size_t len;
	ssize_t n;
	u16 type;

	memcpy(thin_pages(&x->frame), x->pages, x->frame.bytes);
	type = thin_end(&x->thin, &x->frame);
	assert_false(x->w.full);
	n = len = x->w.len - x->frame.start;
	if (type == WIRE_PACKED)
		n = pack_decode(&x->receiver, payload, len, &payload, &f);
	else
		assert_int_equal(type, WIRE_DATA);
	if (n < 0 || data_decode(payload, n, PAGE, 0, x->thin.features, &x->data, &f))
		fail_msg("%s", f.text);
	if (data_expand(&x->data, PAGE, replica_read, x, &f))
		fail_msg("%s", f.text);
	assert_int_equal(x->data.pages_len, x->frame.bytes);
	assert_memory_equal(x->data.pages, at, x->frame.bytes);
	same_extents(x->frame.extents, x->frame.nr, x->data.extents, x->data.nr);
	return len;
}

static void noise(u8 *page)
{
	u32 i;

	for (i = 0; i < PAGE; i++)
		page[i] = rnd(256);
}

static void pages_of_zeros_are_nothing(void **state)
{
	struct fixture *x = *state;

	begin(x);
	extent(x, 0, THIN_PAGES, CPTDEV_EXTENT_DATA);
	assert_int_equal(round_trip(x), WIRE_DATA_HEAD_LEN + WIRE_EXTENT_LEN);
	/* The peer doesn't know them. */
	x->thin.features &= ~WIRE_FEATURE_ZERO;
	begin(x);
	extent(x, 0, THIN_PAGES, CPTDEV_EXTENT_DATA);
	assert_int_equal(round_trip(x), plain_len(x));
}

/* The one byte that isn't zero, wherever it is. */
static void a_byte_is_enough(void **state)
{
	struct fixture *x = *state;
	u32 i;

	for (i = 0; i < PAGE; i += i < 16 || i > PAGE - 18 ? 1 : 127) {
		begin(x);
		extent(x, 7, 1, CPTDEV_EXTENT_DATA);
		x->pages[i] = 1;
		assert_int_equal(round_trip(x), plain_len(x));
		x->pages[i] = 0;
	}
}

static void every_other_page_is_zeros(void **state)
{
	struct fixture *x = *state;
	u32 i;

	for (i = 0; i < THIN_PAGES; i += 2)
		noise(x->pages + i * PAGE);
	begin(x);
	extent(x, 0, THIN_PAGES, CPTDEV_EXTENT_DATA);
	assert_int_equal(round_trip(x), WIRE_DATA_HEAD_LEN + THIN_PAGES * WIRE_EXTENT_LEN +
			 THIN_PAGES / 2 * PAGE);
}

/* As many extents as a frame may have become as many as the wire allows. */
static void the_most_extents_fit(void **state)
{
	struct fixture *x = *state;
	u32 i;

	for (i = 0; i < THIN_PAGES; i += 2)
		noise(x->pages + i * PAGE);
	begin(x);
	for (i = 0; i < THIN_EXTENTS - 1; i++)
		extent(x, 2 * i, 1, CPTDEV_EXTENT_HOLE);
	extent(x, 2 * i, THIN_PAGES, CPTDEV_EXTENT_DATA);
	round_trip(x);
	assert_int_equal(x->data.nr, THIN_EXTENTS - 1 + THIN_PAGES);
	begin(x);
	for (i = 0; i < THIN_EXTENTS; i++)
		extent(x, 2 * i, 1, CPTDEV_EXTENT_HOLE);
	assert_int_equal(round_trip(x), plain_len(x));
}

static void what_is_alike_is_packed(void **state)
{
	struct fixture *x = *state;
	u32 i;

	for (i = 0; i < sizeof(x->pages); i++)
		x->pages[i] = i / 100 + 1;
	x->thin.packs = THIN_BY_GAIN;
	begin(x);
	extent(x, 0, THIN_PAGES, CPTDEV_EXTENT_DATA);
	assert_true(round_trip(x) < plain_len(x) / 8);
}

/* Random pages: hardly ever tried, and the whole is as long as without. */
static void noise_is_left_alone(void **state)
{
	struct fixture *x = *state;
	u32 i, k;

	for (i = 0; i < THIN_PAGES; i++)
		noise(x->pages + i * PAGE);
	for (k = THIN_BY_GAIN; k <= THIN_ALWAYS; k++) {
		x->thin.packs = k;
		for (i = 0; i < 100; i++) {
			begin(x);
			extent(x, 0, THIN_PAGES, CPTDEV_EXTENT_DATA);
			assert_int_equal(round_trip(x), plain_len(x));
		}
	}
}

/* Anything, in any order. */
static void any_frame(struct fixture *x)
{
	u32 pages = 0, at = 0, n, i, k;

	begin(x);
	while (pages < THIN_PAGES && x->frame.nr < 40) {
		n = 1 + rnd(MIN(8U, THIN_PAGES - pages));
		if (!rnd(4)) {
			extent(x, at, n, CPTDEV_EXTENT_HOLE);
		} else {
			extent(x, at, n, CPTDEV_EXTENT_DATA);
			for (i = pages; i < pages + n; i++) {
				memset(x->pages + i * PAGE, rnd(3), PAGE);
				if (!rnd(3))
					noise(x->pages + i * PAGE);
				for (k = rnd(3); k; k--)
					x->pages[i * PAGE + rnd(PAGE)] = rnd(256);
			}
			pages += n;
		}
		at += n + rnd(2) * rnd(1000);
	}
}

static void whatever_it_is_it_is_the_same_and_not_longer(void **state)
{
	struct fixture *x = *state;
	u32 i, shorter = 0, packed = 0;
	size_t len;

	for (i = 0; i < 300; i++) {
		x->thin.features = WIRE_FEATURES & ~(rnd(4) ? 0 : WIRE_FEATURE_ZERO);
		x->thin.packs = rnd(3);
		any_frame(x);
		len = round_trip(x);
		/* Pages in a row that are others' neighbours no more need an extent each. */
		assert_true(len <= plain_len(x));
		shorter += len < plain_len(x);
		packed += x->thin.packs == THIN_ALWAYS && len < plain_len(x);
	}
	assert_true(shorter > 100 && packed > 50);
}

/*
 * Changes within pages
 */

static void shadow(struct fixture *x, u32 pages)
{
	x->thin.shadow = shadow_new(pages * PAGE, PAGE);
}

static void all_pages(struct fixture *x)
{
	begin(x);
	extent(x, 0, THIN_PAGES, CPTDEV_EXTENT_DATA);
}

/* The target: forty times fewer bytes than pages, with 8 bytes changed in each of them. */
static void eight_bytes_in_each_page(void **state)
{
	struct fixture *x = *state;
	size_t len;
	u32 i, k;

	shadow(x, 1024);
	for (i = 0; i < THIN_PAGES; i++)
		noise(x->pages + i * PAGE);
	all_pages(x);
	assert_int_equal(round_trip(x), plain_len(x));
	replica_write(x);
	for (k = 0; k < 10; k++) {
		for (i = 0; i < THIN_PAGES; i++)
			x->pages[i * PAGE + 8 * rnd(PAGE / 8)]++;
		all_pages(x);
		len = round_trip(x);
		replica_write(x);
		assert_true(40 * (WIRE_HEADER_LEN + len) <= THIN_PAGES * PAGE);
	}
	/* Pages that are alone need an extent each. */
	for (k = 0; k < 10; k++) {
		begin(x);
		for (i = 0; i < THIN_PAGES; i += 2) {
			extent(x, i, 1, CPTDEV_EXTENT_DATA);
			memcpy(x->pages + i / 2 * PAGE, x->replica + i * PAGE, PAGE);
			x->pages[i / 2 * PAGE + 8 * rnd(PAGE / 8)]++;
		}
		len = round_trip(x);
		replica_write(x);
		assert_true(40 * (WIRE_HEADER_LEN + len) <= THIN_PAGES / 2 * PAGE);
	}
}

/* Pages that change altogether: sent as a whole, and after a while hardly kept. */
static void noise_is_sent_as_it_is(void **state)
{
	struct fixture *x = *state;
	u32 i, k;

	shadow(x, 1024);
	for (k = 0; k < 40; k++) {
		for (i = 0; i < THIN_PAGES; i++)
			noise(x->pages + i * PAGE);
		all_pages(x);
		assert_int_equal(round_trip(x), plain_len(x));
		replica_write(x);
	}
	assert_true(x->thin.seldom);
	/* That changes when it changes; what isn't kept by then isn't built upon. */
	for (k = 0; k < 40; k++) {
		for (i = 0; i < THIN_PAGES; i++)
			x->pages[i * PAGE + rnd(PAGE)]++;
		all_pages(x);
		round_trip(x);
		replica_write(x);
	}
	assert_false(x->thin.seldom);
	all_pages(x);
	assert_true(round_trip(x) < 64 * THIN_PAGES);
}

/* A page that was sent as a whole while only some pages were kept isn't the one in the shadow. */
static void what_isnt_kept_is_forgotten(void **state)
{
	struct fixture *x = *state;
	u32 i, k;

	shadow(x, 1024);
	for (i = 0; i < THIN_PAGES; i++)
		noise(x->pages + i * PAGE);
	for (k = 0; k < 6; k++) {
		x->thin.seldom = k == 2 || k == 3;
		for (i = 0; i < THIN_PAGES; i++)
			x->pages[i * PAGE + 100 * k]++;
		all_pages(x);
		round_trip(x);
		replica_write(x);
	}
}

static void a_hole_is_nothing_to_build_upon(void **state)
{
	struct fixture *x = *state;

	shadow(x, 64);
	noise(x->pages);
	begin(x);
	extent(x, 3, 1, CPTDEV_EXTENT_DATA);
	round_trip(x);
	replica_write(x);
	begin(x);
	extent(x, 0, 10, CPTDEV_EXTENT_HOLE);
	round_trip(x);
	replica_write(x);
	begin(x);
	extent(x, 3, 1, CPTDEV_EXTENT_DATA);
	assert_int_equal(round_trip(x), plain_len(x));
}

/* Any frames, one after the other, on one receiver: some pages change in part, some come back. */
static void one_frame_after_the_other(void **state)
{
	struct fixture *x = *state;
	u32 i, k, page, pages, smaller = 0;
	u64 at;

	shadow(x, 256);
	for (k = 0; k < 600; k++) {
		x->thin.packs = rnd(3);
		begin(x);
		pages = 0;
		for (at = rnd(300); pages < THIN_PAGES && at < 500; at += 1 + rnd(4)) {
			u32 n = 1 + rnd(MIN(6U, THIN_PAGES - pages));

			extent(x, at, n, rnd(8) ? CPTDEV_EXTENT_DATA : CPTDEV_EXTENT_HOLE);
			for (i = 0; i < n; i++, at++) {
				u8 *to = x->pages + (size_t)pages * PAGE;

				if (x->frame.extents[x->frame.nr - 1].kind != CPTDEV_EXTENT_DATA)
					continue;
				pages++;
				memcpy(to, x->replica + at * PAGE, PAGE);
				for (page = rnd(5); page; page--)
					to[rnd(PAGE)] = rnd(256);
				if (!rnd(10))
					noise(to);
				if (!rnd(10))
					memset(to, 0, PAGE);
			}
		}
		if (!x->frame.nr)
			continue;
		smaller += round_trip(x) < plain_len(x) / 2;
		replica_write(x);
	}
	assert_true(smaller > 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
		T(pages_of_zeros_are_nothing),
		T(a_byte_is_enough),
		T(every_other_page_is_zeros),
		T(the_most_extents_fit),
		T(what_is_alike_is_packed),
		T(noise_is_left_alone),
		T(whatever_it_is_it_is_the_same_and_not_longer),
		T(eight_bytes_in_each_page),
		T(noise_is_sent_as_it_is),
		T(what_isnt_kept_is_forgotten),
		T(a_hole_is_nothing_to_build_upon),
		T(one_frame_after_the_other),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("frames made shorter", tests, NULL, NULL);
}
