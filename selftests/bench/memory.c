// SPDX-License-Identifier: GPL-2.0-only
/*
 * The memory that is measured, and how it changes.
 */
#include "bench.h"

struct memory t;

void memory_get_at(char *m, size_t pages)
{
	t.pages = pages;
	t.m = m;
	t.list = calloc(pages, sizeof(*t.list));
	t.dirty = calloc(pages, sizeof(*t.dirty));
	t.found = calloc(pages, sizeof(*t.found));
	/* One for each page, if they come in the worst order. */
	t.max_regions = pages + 1;
	if (!t.m || !t.list || !t.dirty || !t.found)
		die("no memory for %zu pages", pages);
	t.stamp = 1;
	t.nr_dirty = 0;
	memory_write_all();
}

void memory_get(size_t pages, bool locked)
{
	char *m = t_map(pages * PAGE);

	if (m && locked && mlock(m, pages * PAGE))
		die("%zu pages of locked memory: %s", pages, strerror(errno));
	memory_get_at(m, pages);
}

void memory_put(void)
{
	munmap(t.m, t.pages * PAGE);
	free(t.list);
	free(t.dirty);
	free(t.found);
}

void memory_begin(void)
{
	memory_write_all();
	t.nr_regions = 0;
	t.region = (struct cptdev_region *)t_map(t.max_regions * sizeof(*t.region));
	t.copy = t_map(t.pages * PAGE);
	if (!t.region || !t.copy)
		die("no memory for %zu pages", t.pages);
}

void memory_end(void)
{
	munmap(t.region, t.max_regions * sizeof(*t.region));
	munmap(t.copy, t.pages * PAGE);
}

void memory_change(size_t page)
{
	t.list[t.nr_dirty++] = page;
	t.dirty[page] = true;
}

static int ascending(const void *a, const void *b)
{
	size_t x = *(const size_t *)a, y = *(const size_t *)b;

	return (x > y) - (x < y);
}

void memory_sort(void)
{
	qsort(t.list, t.nr_dirty, sizeof(*t.list), ascending);
}

void memory_spread(size_t nr)
{
	size_t runs = nr / RUN, i, j, page;

	memset(t.dirty, 0, t.pages * sizeof(*t.dirty));
	t.nr_dirty = 0;
	for (i = 0; i < runs; i++) {
		page = i * t.pages / runs / RUN * RUN;
		for (j = page; j < page + RUN && j < t.pages; j++)
			memory_change(j);
	}
	for (i = 0; i < nr % RUN && !runs; i++)
		memory_change(i * t.pages / nr);
}

void memory_write(void)
{
	size_t i;

	for (i = 0; i < t.nr_dirty; i++)
		*(volatile uint64_t *)memory_at(t.list[i]) = t.stamp;
}

void memory_write_all(void)
{
	size_t i;

	for (i = 0; i < t.pages; i++)
		*(volatile uint64_t *)memory_at(i) = t.stamp;
}

void memory_found(void)
{
	size_t i, page, end;

	memset(t.found, 0, t.pages * sizeof(*t.found));
	for (i = 0; i < t.nr_regions; i++) {
		page = (t.region[i].start - (unsigned long)t.m) / PAGE;
		end = (t.region[i].end - (unsigned long)t.m) / PAGE;
		while (page < end)
			t.found[page++] = true;
	}
}

void memory_copy(void)
{
	char *to = t.copy;
	size_t i, len;

	for (i = 0; i < t.nr_regions; i++) {
		len = t.region[i].end - t.region[i].start;
		memcpy(to, (void *)(unsigned long)t.region[i].start, len);
		to += len;
	}
}

void memory_check_copy(const char *method)
{
	const char *from = t.copy;
	unsigned long addr;
	size_t i;

	for (i = 0; i < t.nr_regions; i++)
		for (addr = t.region[i].start; addr < t.region[i].end; addr += PAGE, from += PAGE)
			if (*(const uint64_t *)from != t.stamp)
				die("%s: the copy of %lx isn't of this round", method, addr);
}
