// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory: what a snapshot keeps of it, and what the module needs itself. Measured as pages
 * that aren't free any more. And what it takes to let go of it.
 */
#include <glob.h>

#include "bench.h"

/* Free pages, those in the processors' lists too, once the counters are folded. */
long free_pages(void)
{
	long sum = 0, n;
	char line[256];
	FILE *f;

	t_write_file("/proc/sys/vm/stat_refresh", "1");
	f = fopen("/proc/zoneinfo", "r");
	if (!f)
		die("/proc/zoneinfo: %s", strerror(errno));
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, " nr_free_pages %ld", &n) == 1 ||
		    sscanf(line, " count: %ld", &n) == 1)
			sum += n;
	fclose(f);
	return sum;
}

/* What was freed goes back: deferred work is over, and no cache keeps empty slabs. */
void settle_memory(void)
{
	glob_t caches;
	size_t i;

	usleep(300000);
	if (glob("/sys/kernel/slab/*/shrink", 0, NULL, &caches))
		die("no /sys/kernel/slab");
	for (i = 0; i < caches.gl_pathc; i++)
		t_write_file(caches.gl_pathv[i], "1");
	globfree(&caches);
}

static int session(void)
{
	int device = t_open();

	if (device < 0 || t_add(device, t.m, t.pages * PAGE))
		die("no session");
	return device;
}

static int full(int device)
{
	int snap = t_snapshot(device, CPTDEV_SNAPSHOT_SINCE, 0, NULL);

	if (snap < 0)
		die("SNAPSHOT: %s", strerror(-snap));
	return snap;
}

/* Pages that an open snapshot keeps from being free, for each page that is written. */
static double old_pages(int device)
{
	int snap = full(device);
	long before = free_pages();

	t.stamp++;
	memory_write();
	before -= free_pages();
	close(snap);
	return (double)before / t.nr_dirty;
}

static void add_overhead(struct figure *f, long before)
{
	figure_add(f, (double)(before - free_pages()) / t.pages);
}

/* Bytes of the module's for each byte that is tracked. */
static void overhead(struct figure *rest, struct figure *open, struct figure *all)
{
	int device, snap;
	long before;

	settle_memory();
	before = free_pages();
	device = session();
	close(full(device));
	settle_memory();
	add_overhead(rest, before);
	t.stamp++;
	memory_write();
	snap = t_snapshot(device, 0, 0, NULL);
	add_overhead(open, before);
	close(snap);
	snap = full(device);
	add_overhead(all, before);
	close(snap);
	close(device);
}

/* ns for each page of a snapshot of so few that close() frees it, and not a worker. */
static double closing(int device)
{
	double time;
	int snap;

	t.stamp++;
	memory_write();
	snap = t_snapshot(device, 0, 0, NULL);
	time = now_us();
	close(snap);
	return (now_us() - time) * 1000 / t.nr_dirty;
}

void held_measure(void)
{
	struct figure old = { 0 }, rest = { 0 }, open = { 0 }, all = { 0 }, closed = { 0 };
	unsigned int i;
	int device;

	memory_get(256 * MIB / PAGE, true);
	memory_spread(t.pages / 10);
	device = session();
	for (i = 0; i < rounds; i++)
		figure_add(&old, old_pages(device));
	memory_spread(400);
	for (i = 0; i < rounds; i++)
		figure_add(&closed, closing(device));
	close(device);
	memory_spread(t.pages / 100);
	for (i = 0; i < rounds; i++)
		overhead(&rest, &open, &all);
	memory_put();
	figure_print(&closed, "ns", "snapshot_close");
	figure_print(&old, "ratio", "old_pages_over_written");
	figure_print(&open, "ratio", "held_overhead");
	figure_print(&rest, "ratio", "held_overhead_nothing_open");
	figure_print(&all, "ratio", "held_overhead_full_open");
}
