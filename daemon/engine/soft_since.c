// SPDX-License-Identifier: GPL-2.0-or-later
/* The soft engine: what changed in a replica since a commit, see soft_since.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "soft_parts.h"
#include "soft_since.h"

/* As the module: so many records are kept in any case, and those of so many commits. */
#define RECORDS_MIN	1024U
#define COMMITS_KEPT	256U
#define GROUP		64U

/* The first group at or behind @index. */
static u64 group_at(const struct soft_since *s, u64 index)
{
	u64 lo = 0, hi = s->nr;

	if (s->nr && s->v[s->nr - 1]->index < index)
		return s->nr;
	while (lo < hi) {
		u64 mid = lo + (hi - lo) / 2;

		if (s->v[mid]->index < index)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int group_make(struct soft_since *s, u64 index)
{
	u64 at = group_at(s, index), room = MAX(2 * s->room, 64U);
	struct soft_group **v;

	if (at < s->nr && s->v[at]->index == index)
		return 0;
	if (s->nr == s->room) {
		v = reallocarray(s->v, room, sizeof(*v));
		if (!v)
			return -ENOMEM;
		s->v = v;
		s->room = room;
	}
	memmove(&s->v[at + 1], &s->v[at], (s->nr - at) * sizeof(*s->v));
	s->v[at] = calloc(1, sizeof(**s->v));
	if (!s->v[at]) {
		memmove(&s->v[at], &s->v[at + 1], (s->nr - at) * sizeof(*s->v));
		return -ENOMEM;
	}
	s->v[at]->index = index;
	s->nr++;
	return 0;
}

int soft_since_stage(struct soft_since *s, const struct soft_set *staged)
{
	int ret = 0;
	u64 i;

	for (i = 0; !ret && i < staged->nr; i++)
		ret = group_make(s, staged->v[i].index);
	return ret;
}

void soft_since_all(struct soft_since *s, u64 number)
{
	s->min = number;
}

/* The pages @bits of the group changed; those with data are @data. */
static void mark(struct soft_since *s, u64 number, u64 index, u64 bits, u64 data)
{
	u64 at = group_at(s, index), page;

	if (!bits || at == s->nr || s->v[at]->index != index)
		return;
	s->v[at]->newest = number;
	for (page = 0; page < GROUP; page++)
		if (data >> page & 1)
			s->v[at]->number[page] = number;
}

void soft_since_commit(struct soft_since *s, u64 number, const struct soft_set *staged,
		       const struct soft_set *old, const struct soft_set *now)
{
	u64 i;

	for (i = 0; i < staged->nr; i++)
		mark(s, number, staged->v[i].index, staged->v[i].bits, staged->v[i].bits);
	for (i = 0; i < old->nr; i++)
		mark(s, number, old->v[i].index,
		     old->v[i].bits & ~soft_set_bits(now, old->v[i].index), 0);
}

/* Groups without content that aren't newer than @newest. */
static void groups_drop(struct soft_since *s, u64 newest, const struct soft_set *content)
{
	u64 i, to = 0;

	for (i = 0; i < s->nr; i++) {
		struct soft_group *g = s->v[i];

		if (g->newest > newest || soft_set_bits(content, g->index)) {
			s->v[to++] = g;
		} else {
			s->min = MAX(s->min, g->newest);
			free(g);
		}
	}
	s->nr = to;
}

void soft_since_trim(struct soft_since *s, u64 commits, const struct soft_set *content)
{
	if (s->nr <= MAX(s->max, RECORDS_MIN))
		return;
	if (commits > COMMITS_KEPT)
		groups_drop(s, commits - COMMITS_KEPT, content);
	if (s->nr > MAX(s->max, RECORDS_MIN))
		groups_drop(s, commits, content);
	s->max = 2 * s->nr;
}

/* What is to be told of a page: CPTDEV_EXTENT_*, or 0: nothing. */
static u32 page_kind(const struct soft_group *g, u64 data, u64 page, u64 since)
{
	if (!(data >> page % GROUP & 1))
		return CPTDEV_EXTENT_HOLE;
	return g->number[page % GROUP] > since ? CPTDEV_EXTENT_DATA : 0;
}

/* Add the pages of the group from *@page on to the run. True: it ends before *@page. */
static bool run_in_group(const struct soft_group *g, const struct soft_set *content, u64 since,
			 u64 *page, struct cptdev_extent *e)
{
	u64 data = soft_set_bits(content, g->index);

	for (*page = MAX(*page, g->index * GROUP); *page / GROUP == g->index; ++*page) {
		u64 addr = *page * SOFT_PAGE;
		u32 kind = page_kind(g, data, *page, since);

		if (e->len && (kind != e->kind || e->addr + e->len != addr))
			return true;
		if (!kind)
			continue;
		if (!e->len)
			e->addr = addr;
		e->kind = kind;
		e->len += SOFT_PAGE;
	}
	return false;
}

/* The next run from *@page on, and *@page behind it. e->len 0: there is none. */
static void next_run(const struct soft_since *s, const struct soft_set *content, u64 since,
		     u64 *page, struct cptdev_extent *e)
{
	u64 i;

	memset(e, 0, sizeof(*e));
	for (i = group_at(s, *page / GROUP); i < s->nr; i++)
		if (s->v[i]->newest > since && run_in_group(s->v[i], content, since, page, e))
			return;
}

int soft_since_extents(const struct soft_since *s, u64 commits, const struct soft_set *content,
		       struct cptdev_image_vec *arg)
{
	u64 page = arg->start / SOFT_PAGE;
	struct cptdev_extent e;

	if (arg->since > commits)
		return -EINVAL;
	if (arg->since < s->min)
		return -ESTALE;
	for (; arg->nr < arg->vec_len; arg->nr++) {
		next_run(s, content, arg->since, &page, &e);
		if (!e.len)
			break;
		if (soft_user_write(arg->vec + arg->nr * sizeof(e), &e, sizeof(e)))
			return -EFAULT;
		arg->next = e.addr + e.len;
	}
	return 0;
}

static u64 pages_in_group(const struct soft_group *g, u64 data, u64 since)
{
	u64 page, n = 0;

	for (page = 0; page < GROUP; page++)
		n += page_kind(g, data, page, since) == CPTDEV_EXTENT_DATA;
	return n;
}

u64 soft_since_pages(const struct soft_since *s, const struct soft_set *content, u64 since)
{
	u64 i, n = 0;

	if (!since || since < s->min)
		return content->pages;
	for (i = 0; i < s->nr; i++)
		if (s->v[i]->newest > since)
			n += pages_in_group(s->v[i], soft_set_bits(content, s->v[i]->index), since);
	return n;
}

void soft_since_free(struct soft_since *s)
{
	u64 i;

	for (i = 0; i < s->nr; i++)
		free(s->v[i]);
	free(s->v);
	memset(s, 0, sizeof(*s));
}
