// SPDX-License-Identifier: GPL-2.0-or-later
/* The soft engine: sets of page numbers. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "soft_set.h"

#define CHUNK	64U

/* The bits of a chunk from page @from on, up to @to, both counted from its beginning. */
static u64 mask(u64 from, u64 to)
{
	u64 below = to >= CHUNK ? ~0ULL : (1ULL << to) - 1;

	return below & (~0ULL << from);
}

/* Those of [start, end) that lie in the chunk. */
static u64 mask_of(u64 index, u64 start, u64 end)
{
	u64 base = index * CHUNK;

	return mask(start > base ? start - base : 0, MIN(end - base, CHUNK));
}

/* The first chunk at or behind @index. */
static u64 chunk_at(const struct soft_set *s, u64 index)
{
	u64 lo = 0, hi = s->nr;

	/* Behind all of them, as the next of an ascending delta is. */
	if (s->nr && s->v[s->nr - 1].index < index)
		return s->nr;
	while (lo < hi) {
		u64 mid = lo + (hi - lo) / 2;

		if (s->v[mid].index < index)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

bool soft_set_has(const struct soft_set *s, u64 page)
{
	u64 i = chunk_at(s, page / CHUNK);

	return i < s->nr && s->v[i].index == page / CHUNK &&
		s->v[i].bits >> page % CHUNK & 1;
}

u64 soft_set_bits(const struct soft_set *s, u64 index)
{
	u64 i = chunk_at(s, index);

	return i < s->nr && s->v[i].index == index ? s->v[i].bits : 0;
}

u64 soft_set_count(const struct soft_set *s, u64 start, u64 end)
{
	u64 i, n = 0;

	for (i = chunk_at(s, start / CHUNK);
	     start < end && i < s->nr && s->v[i].index * CHUNK < end; i++)
		n += __builtin_popcountll(s->v[i].bits & mask_of(s->v[i].index, start, end));
	return n;
}

bool soft_set_run(const struct soft_set *s, u64 from, u64 *start, u64 *end)
{
	u64 i = chunk_at(s, from / CHUNK), bits = 0;

	for (; i < s->nr && !bits; i++) {
		u64 skip = s->v[i].index == from / CHUNK ? from % CHUNK : 0;

		bits = s->v[i].bits & ~0ULL << skip;
	}
	if (!bits)
		return false;
	i--;
	*start = s->v[i].index * CHUNK + __builtin_ctzll(bits);
	/* Up to the first page that isn't there. */
	bits = ~bits & ~0ULL << (*start % CHUNK);
	while (!bits && i + 1 < s->nr && s->v[i + 1].index == s->v[i].index + 1)
		bits = ~s->v[++i].bits;
	*end = s->v[i].index * CHUNK + (bits ? (u64)__builtin_ctzll(bits) : CHUNK);
	return true;
}

static int reserve(struct soft_set *s, u64 more)
{
	u64 room = MAX(2 * s->room, s->nr + more);
	struct soft_chunk *v;

	if (s->nr + more <= s->room)
		return 0;
	v = realloc(s->v, room * sizeof(*v));
	if (!v)
		return -ENOMEM;
	s->v = v;
	s->room = room;
	return 0;
}

/* The chunks of [first, last] that aren't there, as empty ones. */
static int chunks_make(struct soft_set *s, u64 first, u64 last)
{
	u64 at = chunk_at(s, first), there = chunk_at(s, last + 1) - at;
	u64 all = last - first + 1, from = at + there, to = at + all, i;
	int ret = there == all ? 0 : reserve(s, all - there);

	if (ret || there == all)
		return ret;
	memmove(&s->v[to], &s->v[from], (s->nr - from) * sizeof(*s->v));
	s->nr += all - there;
	/* From the last one down: what is there moves up, the others are made. */
	for (i = all; i > 0; i--) {
		u64 index = first + i - 1;

		if (from > at && s->v[from - 1].index == index)
			s->v[at + i - 1] = s->v[--from];
		else
			s->v[at + i - 1] = (struct soft_chunk) { .index = index };
	}
	return 0;
}

int soft_set_add(struct soft_set *s, u64 start, u64 end)
{
	u64 i, first = start / CHUNK, last;
	int ret;

	if (start >= end)
		return 0;
	last = (end - 1) / CHUNK;
	ret = chunks_make(s, first, last);
	if (ret)
		return ret;
	for (i = chunk_at(s, first); i < s->nr && s->v[i].index <= last; i++) {
		u64 bits = s->v[i].bits | mask_of(s->v[i].index, start, end);

		s->pages += __builtin_popcountll(bits ^ s->v[i].bits);
		s->v[i].bits = bits;
	}
	return 0;
}

int soft_set_copy(struct soft_set *to, const struct soft_set *from)
{
	memset(to, 0, sizeof(*to));
	if (!from->nr)
		return 0;
	to->v = malloc(from->nr * sizeof(*to->v));
	if (!to->v)
		return -ENOMEM;
	memcpy(to->v, from->v, from->nr * sizeof(*to->v));
	to->nr = to->room = from->nr;
	to->pages = from->pages;
	return 0;
}

void soft_set_del(struct soft_set *s, u64 start, u64 end)
{
	u64 from = chunk_at(s, start / CHUNK), i, to = from;

	if (start >= end)
		return;
	for (i = from; i < s->nr && s->v[i].index * CHUNK < end; i++) {
		u64 bits = s->v[i].bits & ~mask_of(s->v[i].index, start, end);

		s->pages -= __builtin_popcountll(bits ^ s->v[i].bits);
		s->v[i].bits = bits;
		if (bits)
			s->v[to++] = s->v[i];
	}
	if (to == i)
		return;
	memmove(&s->v[to], &s->v[i], (s->nr - i) * sizeof(*s->v));
	s->nr -= i - to;
}

int soft_set_with(struct soft_set *s, const struct soft_set *more)
{
	u64 pos = 0, start, end;
	int ret = 0;

	while (!ret && soft_set_run(more, pos, &start, &end)) {
		ret = soft_set_add(s, start, end);
		pos = end;
	}
	return ret;
}

void soft_set_without(struct soft_set *s, const struct soft_set *less)
{
	u64 pos = 0, start, end;

	for (; soft_set_run(less, pos, &start, &end); pos = end)
		soft_set_del(s, start, end);
}

void soft_set_free(struct soft_set *s)
{
	free(s->v);
	memset(s, 0, sizeof(*s));
}
