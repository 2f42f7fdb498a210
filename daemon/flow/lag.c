// SPDX-License-Identifier: GPL-2.0-or-later
/* How far behind the spare is, in time. */
#include <string.h>

#include "lag.h"

void lag_published(struct lag *l, u64 generation, u64 now)
{
	if (l->nr && l->mark[l->nr - 1].generation >= generation)
		return;
	/* The newest one makes room: it is the one that is least behind. */
	if (l->nr == LAG_MARKS) {
		l->mark[LAG_MARKS - 1].generation = generation;
		return;
	}
	l->mark[l->nr].generation = generation;
	l->mark[l->nr++].at = now;
}

void lag_committed(struct lag *l, u64 generation)
{
	unsigned int n = 0;

	while (n < l->nr && l->mark[n].generation <= generation)
		n++;
	l->nr -= n;
	memmove(l->mark, l->mark + n, l->nr * sizeof(l->mark[0]));
}

u64 lag_ns(const struct lag *l, u64 now)
{
	return l->nr && now > l->mark[0].at ? now - l->mark[0].at : 0;
}
