// SPDX-License-Identifier: LGPL-2.1-or-later
/* cptdev-run: which pages a process has, in runs, see pagemap.h. */
#include <errno.h>
#include <linux/types.h>
#include <sys/ioctl.h>

#include "pagemap.h"

/* Headers of the C library are older: linux/fs.h of Linux 6.7, and of 6.8 for the last one. */
#define SCAN		_IOWR('f', 16, struct scan)
#define IS_FILE		(1 << 2)
#define IS_PRESENT	(1 << 3)
#define IS_SWAPPED	(1 << 4)
#define IS_SOFT_DIRTY	(1 << 7)

struct region {
	__u64 start, end, categories;
};

struct scan {
	__u64 size, flags;
	__u64 start, end, walk_end;
	__u64 vec, vec_len, max_pages;
	__u64 category_inverted, category_mask, category_anyof_mask, return_mask;
};

static int tell(const struct region *r, run_pages_fn fn, void *arg)
{
	const struct run_pages pages = {
		.start = r->start, .end = r->end, .file = r->categories & IS_FILE,
		.swapped = r->categories & IS_SWAPPED, .written = r->categories & IS_SOFT_DIRTY,
	};

	return fn(arg, &pages);
}

int run_pagemap_each(int pagemap, uint64_t start, uint64_t end, run_pages_fn fn, void *arg)
{
	static bool missing;
	struct region v[256];
	struct scan s = {
		.size = sizeof(s), .start = start, .end = end, .vec = (uintptr_t)v,
		.vec_len = sizeof(v) / sizeof(v[0]), .category_anyof_mask = IS_PRESENT | IS_SWAPPED,
		.return_mask = IS_PRESENT | IS_SWAPPED | IS_FILE | IS_SOFT_DIRTY,
	};
	int nr, i, ret;

	while (!missing && s.start < end) {
		nr = ioctl(pagemap, SCAN, &s);
		/* What a kernel doesn't have, it doesn't have at the first call either. */
		missing = nr < 0 && (errno == ENOTTY || errno == EINVAL) && s.start == start;
		if (missing)
			break;
		if (nr < 0 && errno != EINTR)
			return -1;
		for (i = 0; i < nr; i++) {
			ret = tell(&v[i], fn, arg);
			if (ret)
				return ret;
		}
		if (nr >= 0)
			s.start = s.walk_end;
	}
	return missing;
}
