// SPDX-License-Identifier: GPL-2.0-or-later
/* Frames of pages, made shorter. */
#include <string.h>

#include "image.h"
#include "loop.h"
#include "runs.h"
#include "thin.h"

/* Shorter ones gain less than a frame's header has. */
#define PACK_MIN	256U

/* Whether runs gain is looked at after so many pages, of which a sixteenth is to be saved. */
#define FOUND_PAGES	1024U
#define SAVED_SHARE	16U
/* If not, one page in so many is kept. */
#define SELDOM		16U

u8 *thin_pages(struct thin_frame *f)
{
	write_room(f->w, WIRE_DATA_HEAD_LEN + f->nr * WIRE_EXTENT_LEN);
	return write_room(f->w, f->bytes);
}

/* The first word tells of nearly all others. */
static bool all_zeros(const u8 *page, u32 size)
{
	u64 first;

	memcpy(&first, page, sizeof(first));
	return !first && !memcmp(page, page + sizeof(first), size - sizeof(first));
}

/* The shorter frame. */
struct shorter {
	struct cptdev_extent *extents;
	u32 nr;
	u8 *to;				/* behind the last byte of content */
};

static void add_extent(struct shorter *s, u64 addr, u64 len, u32 kind)
{
	struct cptdev_extent *last = s->nr ? &s->extents[s->nr - 1] : NULL;

	if (last && last->kind == kind && last->addr + last->len == addr) {
		last->len += len;
		return;
	}
	s->extents[s->nr++] = (struct cptdev_extent) { .addr = addr, .len = len, .kind = kind };
}

/* Which ones is decided by the address, so that they are found again. */
static bool is_kept(const struct thin *t, u64 addr)
{
	return !t->seldom || !((addr / t->page_size * 0x9e3779b1U >> 16) % SELDOM);
}

static void found(struct thin *t, size_t saved)
{
	t->saved += saved;
	if (++t->found < (t->seldom ? FOUND_PAGES / SELDOM : FOUND_PAGES))
		return;
	t->seldom = t->saved < (u64)t->found * t->page_size / SAVED_SHARE;
	t->found = 0;
	t->saved = 0;
}

/* The changes, if they are shorter; the page is kept from now on. Returns the length at @to, or 0. */
static size_t changes(struct thin *t, u32 owner, u64 addr, const u8 *page, u8 *to)
{
	u8 *old;
	size_t n;

	if (!is_kept(t, addr)) {
		shadow_drop(t->shadow, owner, addr, t->page_size);
		return 0;
	}
	old = shadow_find(t->shadow, owner, addr, t->deltas);
	if (!old) {
		old = shadow_add(t->shadow, owner, addr, t->deltas);
		if (old)
			memcpy(old, page, t->page_size);
		return 0;
	}
	n = runs_encode(old, page, t->page_size, to);
	memcpy(old, page, t->page_size);
	found(t, n ? t->page_size - n : 0);
	return n;
}

/* The page is at @page, and everything before it was moved to before @s->to already. */
static void add_page(struct thin *t, u32 owner, struct shorter *s, u64 addr, const u8 *page)
{
	static u8 runs[RUNS_MOST(1U << 16)];	/* of the largest page that there is */
	size_t n;

	if (t->features & WIRE_FEATURE_ZERO && all_zeros(page, t->page_size)) {
		if (owner)
			shadow_drop(t->shadow, owner, addr, t->page_size);
		add_extent(s, addr, t->page_size, WIRE_EXTENT_ZERO);
		return;
	}
	n = owner ? changes(t, owner, addr, page, runs) : 0;
	if (n) {
		add_extent(s, addr, t->page_size, WIRE_EXTENT_RUNS);
		memcpy(s->to, runs, n);
		s->to += n;
		return;
	}
	add_extent(s, addr, t->page_size, CPTDEV_EXTENT_DATA);
	if (s->to != page)
		memmove(s->to, page, t->page_size);
	s->to += t->page_size;
}

static void shorten(struct thin *t, const struct thin_frame *f, struct shorter *s)
{
	u32 owner = t->shadow ? f->owner : 0;
	const u8 *page = s->to;
	u64 done;
	u32 i;

	for (i = 0; i < f->nr; i++) {
		const struct cptdev_extent *e = &f->extents[i];

		if (e->kind != CPTDEV_EXTENT_DATA) {
			if (owner)
				shadow_drop(t->shadow, owner, e->addr, e->len);
			add_extent(s, e->addr, e->len, e->kind);
			continue;
		}
		for (done = 0; done < e->len; done += t->page_size, page += t->page_size)
			add_page(t, owner, s, e->addr + done, page);
	}
}

/* The extents, and right behind them what is left of the pages at @from. */
static void put(struct thin_frame *f, const struct shorter *s, const u8 *from)
{
	size_t len = s->to - from, i;
	u8 *to = f->w->p + f->start + WIRE_DATA_HEAD_LEN + s->nr * WIRE_EXTENT_LEN;

	if (to != from)
		memmove(to, from, len);
	f->w->len = f->start;
	data_head_encode(f->w, s->nr);
	for (i = 0; i < s->nr; i++)
		extent_encode(f->w, &s->extents[i]);
	write_room(f->w, len);
}

static size_t pack(struct thin *t, const u8 *data, size_t len, const u8 **packed)
{
	size_t n;
	u64 now;

	if (t->packs == THIN_PLAIN || len < PACK_MIN)
		return 0;
	if (t->packs == THIN_ALWAYS)
		return pack_encode(t->pack, data, len, len - 1, packed);
	now = clock_mono();
	if (!gain_try(&t->gain, now))
		return 0;
	n = pack_encode(t->pack, data, len, gain_most(len), packed);
	gain_tried(&t->gain, len, n, clock_mono() - now);
	return n;
}

u16 thin_end(struct thin *t, struct thin_frame *f)
{
	static struct cptdev_extent extents[WIRE_DATA_EXTENTS];
	u8 *payload = f->w->p + f->start, *pages = f->w->p + f->w->len - f->bytes;
	struct shorter s = { .extents = extents, .to = pages };
	const u8 *packed;
	size_t n;

	shorten(t, f, &s);
	f->whole = s.to == pages + f->bytes;
	put(f, &s, pages);
	n = pack(t, payload, f->w->len - f->start, &packed);
	if (!n)
		return WIRE_DATA;
	f->whole = false;
	memcpy(payload, packed, n);
	f->w->len = f->start + n;
	return WIRE_PACKED;
}
