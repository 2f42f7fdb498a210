// SPDX-License-Identifier: GPL-2.0-only
/*
 * /proc/self/pagemap: soft-dirty bits, read and then cleared; and PAGEMAP_SCAN (6.7), which
 * reads and write-protects in one step, what userfaultfd lets it (WP_ASYNC).
 */
#include "bench.h"

/* As in linux/fs.h of 6.7: the headers of older systems don't have it. */
#ifndef PAGEMAP_SCAN
#define PAGEMAP_SCAN		_IOWR('f', 16, struct pm_scan_arg)
#define PAGE_IS_WRITTEN		(1 << 1)
#define PM_SCAN_WP_MATCHING	(1 << 0)
#define PM_SCAN_CHECK_WPASYNC	(1 << 1)
struct pm_scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
#endif

#define SOFT_DIRTY	55

static int pagemap, clear_refs, uffd;
static uint64_t *entries;

int pagemap_open(void)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);

	entries = calloc(t.pages, sizeof(*entries));
	if (fd < 0 || !entries)
		die("/proc/self/pagemap: %s", strerror(errno));
	memset(entries, 0xff, t.pages * sizeof(*entries));
	return fd;
}

void pagemap_read(int fd)
{
	size_t len = t.pages * sizeof(*entries);

	if (pread(fd, entries, len, (unsigned long)t.m / PAGE * 8) != (ssize_t)len)
		die("/proc/self/pagemap: %s", strerror(errno));
}

void pagemap_regions(unsigned int bit, bool set)
{
	size_t i;

	t.nr_regions = 0;
	for (i = 0; i < t.pages; i++)
		if ((entries[i] >> bit & 1) == set)
			memory_region(i);
}

static void pagemap_end(void)
{
	close(pagemap);
	free(entries);
}

/* Soft-dirty */

static void softdirty_clear(void)
{
	if (pwrite(clear_refs, "4", 1, 0) != 1)
		die("clear_refs: %s", strerror(errno));
}

static bool softdirty_begin(void)
{
	clear_refs = open("/proc/self/clear_refs", O_WRONLY);
	pagemap = pagemap_open();
	softdirty_clear();
	return true;
}

static void softdirty_stop(void)
{
	pagemap_read(pagemap);
	softdirty_clear();
}

static void softdirty_copy(void)
{
	pagemap_regions(SOFT_DIRTY, true);
	memory_copy();
}

static void softdirty_end(void)
{
	close(clear_refs);
	pagemap_end();
}

const struct method softdirty_method = {
	.name = "softdirty", .begin = softdirty_begin, .stop = softdirty_stop,
	.copy = softdirty_copy, .check = memory_found, .end = softdirty_end, .finds = true,
};

/* PAGEMAP_SCAN */

static bool pagemap_scan_begin(void)
{
	uffd = uffd_async();
	if (uffd < 0)
		return false;
	pagemap = pagemap_open();
	return true;
}

static void pagemap_scan_stop(void)
{
	struct pm_scan_arg arg = {
		.size = sizeof(arg), .flags = PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC,
		.start = (unsigned long)t.m, .end = (unsigned long)(t.m + t.pages * PAGE),
		.vec = (unsigned long)t.region, .vec_len = t.max_regions,
		.category_mask = PAGE_IS_WRITTEN, .return_mask = PAGE_IS_WRITTEN,
	};
	int ret = ioctl(pagemap, PAGEMAP_SCAN, &arg);

	if (ret < 0)
		die("PAGEMAP_SCAN: %s", strerror(errno));
	t.nr_regions = ret;
}

static void pagemap_scan_end(void)
{
	close(uffd);
	pagemap_end();
}

const struct method pagemap_scan_method = {
	.name = "pagemap_scan", .begin = pagemap_scan_begin, .stop = pagemap_scan_stop,
	.copy = memory_copy, .check = memory_found, .end = pagemap_scan_end, .finds = true,
};
