// SPDX-License-Identifier: GPL-2.0-only
/*
 * Measured by others before, once more with SNAPSHOT and SCAN in the place of their calls:
 *
 * kantee	A. Kantee's thesis on application-driven checkpointing, figures 6-1 and 6-2:
 *		how long a checkpoint stops a small program whose memory is in four regions.
 *		SNAPSHOT stands for cptfork(), SCAN and write() for the synchronous checkpoint.
 * hitachi	T. Sekiyama's continuous checkpoint/restart: microseconds for each MiB that
 *		mwrwatch() (SCAN) looks at, or that SIGSEGV marks.
 */
#include "bench.h"

#define MIB_PAGES	(MIB / PAGE)

/* Four mappings, side by side. */
static void kantee(const struct method *method, size_t kib, unsigned int pct, bool wired)
{
	size_t quarter = kib * 1024 / 4;
	char label[64];

	memory_get(kib * 1024 / PAGE, wired);
	madvise(t.m, quarter, MADV_DONTDUMP);
	madvise(t.m + 2 * quarter, quarter, MADV_DONTDUMP);
	memory_spread(t.pages * pct / 100);
	snprintf(label, sizeof(label), "kantee_%zukib_%upct%s", kib, pct, wired ? "_wired" : "");
	measure(method, label);
	memory_put();
}

static const unsigned int kantee_kib[] = { 256, 512, 1024, 2048, 4096, 6144, 8192 };

/* Figure 6-1: a tenth changes. */
static void kantee_sizes(const struct method *method, bool wired)
{
	unsigned int i;

	for (i = 0; i < sizeof(kantee_kib) / sizeof(kantee_kib[0]); i++)
		kantee(method, kantee_kib[i], 10, wired);
}

/* Figure 6-2: 4 MiB. 10 per cent are there. */
static void kantee_shares(const struct method *method)
{
	unsigned int pct;

	kantee(method, 4096, 1, false);
	for (pct = 20; pct < 100; pct += 10)
		kantee(method, 4096, pct, false);
	kantee(method, 4096, 95, false);
}

void seeds_fork(void)
{
	kantee_sizes(&fork_method, false);
	kantee_sizes(&fork_method, true);
	kantee_shares(&fork_method);
}

void seeds_cptdev(void)
{
	kantee_sizes(&snapshot_method, false);
	kantee_shares(&snapshot_method);
	kantee_sizes(&scan_pipe_method, false);

	memory_get(256 * MIB_PAGES, true);
	memory_spread(t.pages);
	measure(&scan_first_method, "256mib_100pct");
	memory_put();
}

static const struct {
	const char *name, *of;
	double factor;
} hitachi[] = {
	{ "hitachi_scan_first", "scan_first_find_256mib_100pct", 1.0 / 256 },
	{ "hitachi_scan_clean", "scan_find_256mib_0pct", 1.0 / 256 },
	{ "hitachi_scan_dirty", "scan_find_256mib_100pct", 1.0 / 256 },
	{ "hitachi_pagemap_scan_clean", "pagemap_scan_find_256mib_0pct", 1.0 / 256 },
	{ "hitachi_pagemap_scan_dirty", "pagemap_scan_find_256mib_100pct", 1.0 / 256 },
	{ "hitachi_softdirty_clean", "softdirty_find_256mib_0pct", 1.0 / 256 },
	{ "hitachi_softdirty_dirty", "softdirty_find_256mib_100pct", 1.0 / 256 },
	/* ns for each page */
	{ "hitachi_sigsegv", "sigsegv_write_256mib_100pct", MIB_PAGES / 1000.0 },
};

void seeds_ratios(void)
{
	unsigned int i;

	for (i = 0; i < sizeof(hitachi) / sizeof(hitachi[0]); i++)
		figure_scaled(hitachi[i].name, hitachi[i].of, hitachi[i].factor, "us/MiB");
	figure_ratio("sigsegv_over_scan", "hitachi_sigsegv", "hitachi_scan_clean");
	figure_ratio("sigsegv_over_scan_first", "hitachi_sigsegv", "hitachi_scan_first");
	figure_ratio("sigsegv_over_scan_dirty", "hitachi_sigsegv", "hitachi_scan_dirty");
}
