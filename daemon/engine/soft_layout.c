// SPDX-License-Identifier: GPL-2.0-or-later
/* The soft engine: layouts. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "soft_parts.h"

void soft_layout_free(struct soft_layout *l)
{
	free(l->v);
	memset(l, 0, sizeof(*l));
}

static bool segment_valid(const struct cptdev_segment *s, u64 end)
{
	return s->len && !(s->addr % SOFT_PAGE) && !(s->len % SOFT_PAGE) && s->addr >= end &&
		s->addr <= LLONG_MAX && s->len <= LLONG_MAX - s->addr &&
		s->kind >= CPTDEV_SEGMENT_ANON && s->kind <= CPTDEV_SEGMENT_UNMAPPED &&
		!(s->prot & ~(u32)(PROT_READ | PROT_WRITE | PROT_EXEC));
}

int soft_layout_check(const struct soft_layout *l)
{
	u64 end = 0;
	u32 i;

	for (i = 0; i < l->nr; i++) {
		if (!segment_valid(&l->v[i], end))
			return -EINVAL;
		end = l->v[i].addr + l->v[i].len;
	}
	return 0;
}

/* @l is empty after a failure. */
int soft_layout_read(struct soft_layout *l, u64 from, u32 nr)
{
	int ret;

	memset(l, 0, sizeof(*l));
	if (nr > CPTDEV_LAYOUT_MAX)
		return -E2BIG;
	l->v = calloc(nr + 1, sizeof(*l->v));
	if (!l->v)
		return -ENOMEM;
	l->nr = nr;
	ret = soft_user_read(l->v, from, nr * sizeof(*l->v));
	if (!ret)
		ret = soft_layout_check(l);
	if (ret)
		soft_layout_free(l);
	return ret;
}

const struct cptdev_segment *soft_layout_find(const struct soft_layout *l, u64 addr)
{
	u32 lo = 0, hi = l->nr;

	/* The first that ends behind it. */
	while (lo < hi) {
		u32 mid = lo + (hi - lo) / 2;

		if (l->v[mid].addr + l->v[mid].len <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < l->nr && l->v[lo].addr <= addr ? &l->v[lo] : NULL;
}

bool soft_layout_covers(const struct soft_layout *l, u64 addr, u64 len)
{
	const struct cptdev_segment *seg = soft_layout_find(l, addr);

	while (seg) {
		u64 rest = seg->addr + seg->len - addr;

		if (len <= rest)
			return true;
		addr += rest;
		len -= rest;
		if (++seg == l->v + l->nr || seg->addr != addr)
			return false;
	}
	return false;
}
