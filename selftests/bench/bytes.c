// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bytes on the wire: 32 MiB of noise in a session, in which nothing is alike, two daemons as in chain.c.
 * A tenth of the pages changes: eight bytes in each of them, or all of them. Pages go as they are,
 * or what changed in them, or that compressed.
 */
#include "bench.h"
#include "chain.h"

#define MIB_BYTES	32
#define INSTR_PER_US	500.0		/* see bench/run: 2 ns for each */
/* The first checkpoints aren't counted: a copy of all, and what the daemon keeps from then on. */
#define WARM		2

#define CONF(more)	"[listen]\naddress = 127.0.0.1\n"				\
			"[peer]\naddress = 127.0.0.2\ninsecure = yes\n" more

static const struct {
	const char *name, *conf;
} ways[] = {
	{ "whole", CONF("compression = off\ndifferences_mib = 0\n") },
	{ "differences", CONF("compression = off\n") },
	{ "compressed", CONF("compression = on\n") },
};

static uint64_t seed = 88172645463325252ULL;

static uint64_t noise(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static void fill(size_t page)
{
	uint64_t *to = memory_at(page);
	size_t i;

	for (i = 0; i < PAGE / sizeof(*to); i++)
		to[i] = noise();
}

static void change(bool all)
{
	size_t i;

	for (i = 0; i < t.nr_dirty; i++) {
		uint64_t *page = memory_at(t.list[i]);

		if (all)
			fill(t.list[i]);
		else
			page[noise() % (PAGE / sizeof(*page))] = noise();
	}
}

struct costs {
	struct figure gain;		/* bytes of pages for each byte on the wire */
	struct figure primary, spare;	/* instructions for each page */
};

static void checkpoint(int device, struct costs *c)
{
	double bytes = bytes_sent(), first = cpu_us(&primary), second = cpu_us(&spare), pages;

	pages = publish(device);
	figure_add(&c->primary, (cpu_us(&primary) - first) * INSTR_PER_US / pages);
	figure_add(&c->spare, (cpu_us(&spare) - second) * INSTR_PER_US / pages);
	figure_add(&c->gain, pages * PAGE / (bytes_sent() - bytes));
}

static void measure_change(int device, const char *way, bool all)
{
	const char *what = all ? "random" : "8bytes";
	struct costs c = { 0 };
	unsigned int i;

	for (i = 0; i < WARM + rounds; i++) {
		change(all);
		if (i < WARM)
			publish(device);
		else
			checkpoint(device, &c);
	}
	figure_print(&c.gain, "ratio", "bytes_%s_over_wire_%s", what, way);
	figure_print(&c.primary, "instructions", "bytes_%s_primary_page_instr_%s", what, way);
	figure_print(&c.spare, "instructions", "bytes_%s_spare_page_instr_%s", what, way);
}

static void measure_way(unsigned int i)
{
	size_t page;
	int device;

	primary.conf = ways[i].conf;
	host_start(&spare, "soft");
	host_start(&primary, "module");
	memory_get(MIB_BYTES * MIB / PAGE, false);
	for (page = 0; page < t.pages; page++)
		fill(page);
	device = t_open();
	if (device < 0 || t_setup(device, ways[i].name, 0, 0) ||
	    t_add(device, t.m, t.pages * PAGE))
		die("no session");
	publish(device);
	memory_spread(t.pages / 10);
	measure_change(device, ways[i].name, false);
	measure_change(device, ways[i].name, true);
	close(device);
	memory_put();
	host_end(&primary);
	host_end(&spare);
}

void bytes_measure(void)
{
	const char *conf = primary.conf;
	unsigned int i;

	for (i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		measure_way(i);
	primary.conf = conf;
}
