// SPDX-License-Identifier: GPL-2.0-or-later
/* Pages of a replica by number: a sorted array. Deltas mostly ascend, so it mostly grows. */
#include <stdlib.h>
#include <string.h>

#include "fake_pages.h"

u64 pages_at(const struct fake_pages *p, u64 index)
{
	u64 lo = 0, hi = p->nr;

	/* Behind all of them, as the next of an ascending delta is. */
	if (p->nr && p->v[p->nr - 1].index < index)
		return p->nr;
	while (lo < hi) {
		u64 mid = lo + (hi - lo) / 2;

		if (p->v[mid].index < index)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct fake_entry *pages_find(const struct fake_pages *p, u64 index)
{
	u64 i = pages_at(p, index);

	return i < p->nr && p->v[i].index == index ? &p->v[i] : NULL;
}

struct fake_entry *pages_get(struct fake_pages *p, u64 index)
{
	u64 i = pages_at(p, index);

	if (i < p->nr && p->v[i].index == index)
		return &p->v[i];
	if (p->nr == p->room) {
		p->room = MAX(64ULL, 2 * p->room);
		p->v = realloc(p->v, p->room * sizeof(*p->v));
		if (!p->v)
			abort();
	}
	memmove(&p->v[i + 1], &p->v[i], (p->nr - i) * sizeof(*p->v));
	p->nr++;
	p->v[i] = (struct fake_entry) { .index = index };
	return &p->v[i];
}

void pages_erase(struct fake_pages *p, u64 start, u64 end)
{
	u64 from = pages_at(p, start), to = pages_at(p, end), i;

	if (from >= to)
		return;
	for (i = from; i < to; i++)
		free(p->v[i].data);
	memmove(&p->v[from], &p->v[to], (p->nr - to) * sizeof(*p->v));
	p->nr -= to - from;
}

void pages_free(struct fake_pages *p)
{
	pages_erase(p, 0, ~0ULL);
	free(p->v);
	memset(p, 0, sizeof(*p));
}

u64 pages_with_data(const struct fake_pages *p)
{
	u64 i, n = 0;

	for (i = 0; i < p->nr; i++)
		n += !!p->v[i].data;
	return n;
}
