// SPDX-License-Identifier: GPL-2.0-or-later
/* Pages as they were sent last: a table of sets of eight ways, with a page for each way. */
#include <stdlib.h>
#include <sys/mman.h>

#include "shadow.h"

#define WAYS	8U

struct way {
	u64 addr;
	u32 owner;		/* 0: free */
	u32 used;		/* number of the delta */
};

struct shadow {
	u32 page_size;
	u32 sets;
	struct way *ways;
	u8 *pages;
	size_t len;
};

struct shadow *shadow_new(u64 bytes, u32 page_size)
{
	struct shadow *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->page_size = page_size;
	s->sets = MAX(bytes / page_size / WAYS, 1U);
	s->len = (size_t)s->sets * WAYS * page_size;
	s->ways = calloc(s->sets, WAYS * sizeof(*s->ways));
	/* Memory is taken with the first use of each page. */
	s->pages = mmap(NULL, s->len, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (s->pages == MAP_FAILED || !s->ways) {
		shadow_free(s);
		return NULL;
	}
	/* It is the programs' memory: no business of whoever looks into a dump of the daemon. */
	madvise(s->pages, s->len, MADV_DONTDUMP);
	return s;
}

void shadow_free(struct shadow *s)
{
	if (!s)
		return;
	if (s->pages != MAP_FAILED)
		munmap(s->pages, s->len);
	free(s->ways);
	free(s);
}

static struct way *set_of(const struct shadow *s, u32 owner, u64 addr)
{
	u64 key = (addr / s->page_size ^ (u64)owner << 40) * 0x9e3779b97f4a7c15ULL;

	return s->ways + ((key >> 32) * s->sets >> 32) * WAYS;
}

static u8 *page_of(const struct shadow *s, const struct way *w)
{
	return s->pages + (size_t)(w - s->ways) * s->page_size;
}

static struct way *find(const struct shadow *s, u32 owner, u64 addr)
{
	struct way *w = set_of(s, owner, addr);
	u32 i;

	for (i = 0; i < WAYS; i++)
		if (w[i].addr == addr && w[i].owner == owner)
			return &w[i];
	return NULL;
}

u8 *shadow_find(struct shadow *s, u32 owner, u64 addr, u32 now)
{
	struct way *w = find(s, owner, addr);

	if (!w)
		return NULL;
	w->used = now;
	return page_of(s, w);
}

u8 *shadow_add(struct shadow *s, u32 owner, u64 addr, u32 now)
{
	struct way *w = set_of(s, owner, addr), *oldest = w;
	u32 i;

	for (i = 0; i < WAYS && oldest->owner; i++)
		if (!w[i].owner || now - w[i].used > now - oldest->used)
			oldest = &w[i];
	/* More pages in turn than there is room for: as many as there is room for stay. */
	if (oldest->owner && now - oldest->used < SHADOW_KEEP)
		return NULL;
	*oldest = (struct way) { .addr = addr, .owner = owner, .used = now };
	return page_of(s, oldest);
}

void shadow_drop(struct shadow *s, u32 owner, u64 addr, u64 len)
{
	u64 ways = (u64)s->sets * WAYS, i;
	struct way *w;

	if (len / s->page_size > ways) {
		for (i = 0; i < ways; i++)
			if (s->ways[i].owner == owner && s->ways[i].addr - addr < len)
				s->ways[i].owner = 0;
		return;
	}
	for (i = 0; i < len; i += s->page_size) {
		w = find(s, owner, addr + i);
		if (w)
			w->owner = 0;
	}
}

static bool covered(u64 addr, const struct cptdev_segment *segs, u32 nr)
{
	u32 low = 0, high = nr, mid;

	/* The first one that ends behind it. */
	while (low < high) {
		mid = low + (high - low) / 2;
		if (segs[mid].addr + segs[mid].len > addr)
			high = mid;
		else
			low = mid + 1;
	}
	return low < nr && segs[low].addr <= addr;
}

void shadow_trim(struct shadow *s, u32 owner, u64 from, u64 to,
		 const struct cptdev_segment *segs, u32 nr)
{
	u64 ways = (u64)s->sets * WAYS, i;

	for (i = 0; i < ways; i++) {
		struct way *w = &s->ways[i];

		if (w->owner == owner && w->addr >= from && w->addr < to &&
		    !covered(w->addr, segs, nr))
			w->owner = 0;
	}
}
