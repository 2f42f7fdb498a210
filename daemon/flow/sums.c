// SPDX-License-Identifier: GPL-2.0-or-later
/* Checksums of pages: an ascending list of pieces, each of as many pages as a VERIFY has. */
#include <stdlib.h>
#include <string.h>

#include "sums.h"

#define PAGES	WIRE_VERIFY_PAGES

struct piece {
	u64 addr;			/* a multiple of its length */
	u64 sum[PAGES];			/* WIRE_SUM_UNKNOWN, WIRE_SUM_HOLE, or the page's */
	u64 generation[PAGES];		/* that brought it */
};

struct sums {
	struct sums_budget *budget;
	u32 page_size;
	u64 covered;			/* all changes up to this generation were seen */
	u64 layout;
	struct piece **v;
	size_t nr;
	size_t room;
	size_t last;			/* the piece of the last page: the next one is in it, too, or behind it */
};

struct sums *sums_new(struct sums_budget *b, u32 page_size)
{
	struct sums *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->budget = b;
	s->page_size = page_size;
	return s;
}

void sums_clear(struct sums *s)
{
	size_t i;

	for (i = 0; i < s->nr; i++)
		free(s->v[i]);
	s->budget->used -= s->nr * sizeof(struct piece);
	s->nr = 0;
}

void sums_free(struct sums *s)
{
	if (!s)
		return;
	sums_clear(s);
	free(s->v);
	free(s);
}

u64 sums_generation(const struct sums *s)
{
	return s ? s->covered : 0;
}

/* The first piece that ends behind @addr. */
static size_t find(const struct sums *s, u64 addr)
{
	u64 len = (u64)PAGES * s->page_size;
	size_t low = 0, high = s->nr, mid;

	/* Nearly all come in ascending order. */
	if (s->nr && s->v[s->nr - 1]->addr <= addr)
		low = s->nr - 1;
	while (low < high) {
		mid = low + (high - low) / 2;
		if (s->v[mid]->addr + len > addr)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

static bool make_room(struct sums *s)
{
	size_t room = s->room ? 2 * s->room : 16;
	struct piece **v;

	if (s->budget->used + sizeof(**v) > s->budget->max)
		return false;
	if (s->nr < s->room)
		return true;
	v = realloc(s->v, room * sizeof(*v));
	if (!v)
		return false;
	s->v = v;
	s->room = room;
	return true;
}

/* The piece with @addr, or NULL: there is no room for it. */
static struct piece *piece_of(struct sums *s, u64 addr)
{
	u64 len = (u64)PAGES * s->page_size;
	struct piece *p;
	size_t i;

	if (s->last < s->nr && addr - s->v[s->last]->addr < len)
		return s->v[s->last];
	i = find(s, addr);
	s->last = i;
	if (i < s->nr && s->v[i]->addr <= addr)
		return s->v[i];
	p = make_room(s) ? calloc(1, sizeof(*p)) : NULL;
	if (!p)
		return NULL;
	p->addr = addr - addr % len;
	memmove(s->v + i + 1, s->v + i, (s->nr - i) * sizeof(*s->v));
	s->v[i] = p;
	s->nr++;
	s->budget->used += sizeof(*p);
	return p;
}

static void put(struct piece *p, u32 i, u64 generation, u64 sum)
{
	if (p->generation[i] > generation)
		return;
	p->generation[i] = generation;
	p->sum[i] = sum;
}

void sums_page(struct sums *s, u64 generation, u64 addr, u64 sum)
{
	struct piece *p = piece_of(s, addr);

	if (p)
		put(p, (addr - p->addr) / s->page_size, generation, sum);
}

/* No piece is made for holes only: what isn't there is unknown. */
void sums_holes(struct sums *s, u64 generation, u64 addr, u64 len)
{
	u64 end = addr + len;
	size_t i;
	u64 at;
	u32 n;

	for (i = find(s, addr); i < s->nr && s->v[i]->addr < end; i++) {
		for (n = 0; n < PAGES; n++) {
			at = s->v[i]->addr + (u64)n * s->page_size;
			if (at >= addr && at < end)
				put(s->v[i], n, generation, WIRE_SUM_HOLE);
		}
	}
}

/* What is of an earlier generation isn't of this one. */
static void replace_older(struct sums *s, u64 generation, u64 sum)
{
	size_t i;
	u32 n;

	for (i = 0; i < s->nr; i++)
		for (n = 0; n < PAGES; n++)
			if (s->v[i]->sum[n] != WIRE_SUM_UNKNOWN &&
			    s->v[i]->generation[n] < generation)
				put(s->v[i], n, generation, sum);
}

/*
 * One that has everything has no hole in its list: what it doesn't have is one. One that begins
 * after what was seen, as of a spare that another daemon fed, says nothing about the changes in
 * between.
 */
void sums_sent(struct sums *s, u64 base, u64 generation)
{
	if (generation <= s->covered)
		return;
	if (!base)
		replace_older(s, generation, WIRE_SUM_HOLE);
	else if (base > s->covered)
		replace_older(s, generation, WIRE_SUM_UNKNOWN);
	s->covered = generation;
}

bool sums_layout(struct sums *s, u64 generation, u64 layout)
{
	if (generation <= s->covered || layout == s->layout)
		return false;
	s->layout = layout;
	return true;
}

/* The segment with @addr, of which @from is the first that may have it. */
static bool covers(const struct cptdev_segment *segs, u32 nr, u32 *from, u64 addr)
{
	while (*from < nr && segs[*from].addr + segs[*from].len <= addr)
		(*from)++;
	return *from < nr && segs[*from].addr <= addr;
}

void sums_trim(struct sums *s, u64 generation, u64 from, u64 to,
	       const struct cptdev_segment *segs, u32 nr)
{
	u32 n, seg = 0;
	size_t i;
	u64 at;

	if (generation <= s->covered)
		return;
	for (i = find(s, from); i < s->nr && s->v[i]->addr < to; i++) {
		for (n = 0; n < PAGES; n++) {
			at = s->v[i]->addr + (u64)n * s->page_size;
			if (at >= from && at < to && s->v[i]->sum[n] != WIRE_SUM_UNKNOWN &&
			    !covers(segs, nr, &seg, at))
				put(s->v[i], n, generation, WIRE_SUM_UNKNOWN);
		}
	}
}

/* Copies what is known of the piece; false: nothing. */
static bool take(const struct piece *p, u32 page_size, u64 generation, struct msg_verify *m,
		 u32 *newer)
{
	u32 first = PAGES, last = 0, i;

	*newer = 0;
	for (i = 0; i < PAGES; i++) {
		bool known = p->sum[i] != WIRE_SUM_UNKNOWN;

		*newer += known && p->generation[i] > generation;
		if (!known || p->generation[i] > generation)
			continue;
		first = MIN(first, i);
		last = i;
	}
	if (first == PAGES)
		return false;
	m->generation = generation;
	m->addr = p->addr + (u64)first * page_size;
	m->nr = last - first + 1;
	for (i = first; i <= last; i++)
		m->sums[i - first] = p->generation[i] > generation ? WIRE_SUM_UNKNOWN : p->sum[i];
	return true;
}

bool sums_next(const struct sums *s, u64 generation, u64 addr, struct msg_verify *m, u32 *newer)
{
	u32 n, skipped = 0;
	size_t i;

	*newer = 0;
	if (!s || generation > s->covered)
		return false;
	for (i = find(s, addr); i < s->nr; i++) {
		if (s->v[i]->addr < addr)
			continue;
		if (take(s->v[i], s->page_size, generation, m, &n)) {
			*newer = skipped + n;
			return true;
		}
		skipped += n;
	}
	*newer = skipped;
	return false;
}
