// SPDX-License-Identifier: LGPL-2.1-or-later
/* libhotspare: sorted lists of addresses. */
#include <stdlib.h>
#include <string.h>

#include "ranges.h"

/* [from, to) of the list becomes the @nr in @v. Returns 0, or -1 with errno ENOMEM. */
static int splice(struct hs_intervals *l, size_t from, size_t to, const struct hs_interval *v,
		  size_t nr)
{
	size_t left = l->nr - to, now = from + nr + left;
	struct hs_interval *grown;

	if (now > l->nr) {
		grown = realloc(l->v, now * sizeof(*grown));
		if (!grown)
			return -1;
		l->v = grown;
	}
	if (left)
		memmove(l->v + from + nr, l->v + to, left * sizeof(*v));
	if (nr)
		memcpy(l->v + from, v, nr * sizeof(*v));
	l->nr = now;
	return 0;
}

int hs_intervals_add(struct hs_intervals *l, uint64_t start, uint64_t end)
{
	struct hs_interval all = { start, end };
	size_t from = 0, to;

	while (from < l->nr && l->v[from].end < start)
		from++;
	for (to = from; to < l->nr && l->v[to].start <= end; to++) {
		if (l->v[to].start < all.start)
			all.start = l->v[to].start;
		if (l->v[to].end > all.end)
			all.end = l->v[to].end;
	}
	return splice(l, from, to, &all, 1);
}

int hs_intervals_remove(struct hs_intervals *l, uint64_t start, uint64_t end)
{
	struct hs_interval rest[2];
	size_t from = 0, to, nr = 0;

	while (from < l->nr && l->v[from].end <= start)
		from++;
	for (to = from; to < l->nr && l->v[to].start < end; to++)
		;
	if (from == to)
		return 0;
	if (l->v[from].start < start)
		rest[nr++] = (struct hs_interval) { l->v[from].start, start };
	if (l->v[to - 1].end > end)
		rest[nr++] = (struct hs_interval) { end, l->v[to - 1].end };
	return splice(l, from, to, rest, nr);
}

/* All of it. */
bool hs_intervals_have(const struct hs_intervals *l, uint64_t start, uint64_t end)
{
	size_t i;

	for (i = 0; i < l->nr; i++)
		if (l->v[i].start <= start && end <= l->v[i].end)
			return true;
	return false;
}

int hs_intervals_copy(struct hs_intervals *to, const struct hs_intervals *from)
{
	to->v = malloc((from->nr + 1) * sizeof(*to->v));
	if (!to->v)
		return -1;
	to->nr = from->nr;
	if (from->nr)
		memcpy(to->v, from->v, from->nr * sizeof(*to->v));
	return 0;
}
