/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cptdev-run: which pages a process has, in runs (PAGEMAP_SCAN, since Linux 6.7). */
#ifndef RUN_PAGEMAP_H
#define RUN_PAGEMAP_H

#include <stdbool.h>
#include <stdint.h>

/**
 * struct run_pages - pages that lie together and have all of this in common
 * @start:	first byte
 * @end:	byte behind the last one
 * @file:	they are a file's, or shared
 * @swapped:	they are in swap space
 * @written:	since the marks were cleared (soft-dirty)
 */
struct run_pages {
	uint64_t start, end;
	bool file, swapped, written;
};

typedef int (*run_pages_fn)(void *arg, const struct run_pages *pages);

/*
 * Calls @fn for the pages from @start to @end that exist, in ascending order, until it returns another number than
 * 0, which is returned. 1: this kernel can't tell; @fn hasn't been called. -1 and errno.
 */
int run_pagemap_each(int pagemap, uint64_t start, uint64_t end, run_pages_fn fn, void *arg);

#endif /* RUN_PAGEMAP_H */
