// SPDX-License-Identifier: GPL-2.0-or-later
/* The changes within a page. No I/O. */
#include <xxhash.h>
#ifdef XXH_DISPATCH
#include <xxh_x86dispatch.h>
#endif

#include "runs.h"

/* Most of a page is as it was: this much is looked at in one go. */
#define STRIDE		256U

/* Of the largest pages that there are, 64 KiB, with a block between any two. */
#define RUNS_MAX	1024U

struct run {
	u16 first;
	u16 blocks;
};

static bool block_same(const u8 *a, const u8 *b)
{
	u64 x[RUNS_BLOCK / sizeof(u64)], y[RUNS_BLOCK / sizeof(u64)];

	memcpy(x, a, sizeof(x));
	memcpy(y, b, sizeof(y));
	return !((x[0] ^ y[0]) | (x[1] ^ y[1]) | (x[2] ^ y[2]) | (x[3] ^ y[3]));
}

/* The runs of blocks that differ, as long as they take no more than @most bytes. */
struct found {
	struct run runs[RUNS_MAX];
	u32 nr;
	size_t len;		/* that all takes */
};

static void found_add(struct found *f, u32 block)
{
	struct run *last = f->nr ? &f->runs[f->nr - 1] : NULL;

	f->len += RUNS_BLOCK;
	if (last && last->first + last->blocks == (int)block) {
		last->blocks++;
		return;
	}
	f->runs[f->nr++] = (struct run) { .first = block, .blocks = 1 };
	f->len += RUNS_RUN_LEN;
}

static bool find(const u8 *old, const u8 *page, u32 page_size, size_t most, struct found *f)
{
	u32 at, i;

	f->nr = 0;
	f->len = RUNS_HEAD_LEN;
	for (at = 0; at < page_size; at += STRIDE) {
		if (!memcmp(old + at, page + at, STRIDE))
			continue;
		for (i = at; i < at + STRIDE; i += RUNS_BLOCK)
			if (!block_same(old + i, page + i))
				found_add(f, i / RUNS_BLOCK);
		if (f->len > most)
			return false;
	}
	return true;
}

size_t runs_encode(const u8 *old, const u8 *page, u32 page_size, u8 *to)
{
	struct writer w = { .p = to, .cap = RUNS_MOST(page_size) };
	static struct found f;	/* one thread: one page at a time */
	u32 i;

	if (!find(old, page, page_size, w.cap, &f))
		return 0;
	write_u64(&w, XXH3_64bits(old, page_size));
	write_u16(&w, f.nr);
	for (i = 0; i < f.nr; i++) {
		write_u16(&w, f.runs[i].first);
		write_u16(&w, f.runs[i].blocks);
	}
	for (i = 0; i < f.nr; i++)
		write_copy(&w, page + f.runs[i].first * RUNS_BLOCK,
			   f.runs[i].blocks * RUNS_BLOCK);
	return w.len;
}

int runs_decode(struct reader *r, u32 page_size, struct fault *f)
{
	u32 blocks = page_size / RUNS_BLOCK, from = 0, sum = 0, first, n;
	u16 nr, i;

	read_u64(r);
	nr = read_u16(r);
	for (i = 0; i < nr && !r->short_of; i++) {
		first = read_u16(r);
		n = read_u16(r);
		if (r->short_of)
			break;
		if (!n || first < from || first + n > blocks)
			return fault_set(f, WIRE_E_PROTOCOL,
					 "DATA: a run of %u blocks at block %u, after block %u", n,
					 first, from);
		from = first + n;
		sum += n;
	}
	read_bytes(r, sum * RUNS_BLOCK);
	if (r->short_of)
		return fault_set(f, WIRE_E_PROTOCOL, "DATA: runs are cut short");
	return 0;
}

int runs_apply(struct reader *r, u8 *page, u32 page_size)
{
	u64 sum = read_u64(r);
	u16 nr = read_u16(r), i;
	struct reader head = *r;

	if (XXH3_64bits(page, page_size) != sum)
		return -1;
	read_bytes(r, nr * RUNS_RUN_LEN);
	for (i = 0; i < nr; i++) {
		u16 first = read_u16(&head), n = read_u16(&head);

		read_copy(r, page + first * RUNS_BLOCK, n * RUNS_BLOCK);
	}
	return 0;
}
