// SPDX-License-Identifier: GPL-2.0-only
/*
 * One method, measured in rounds: what the writes cost that came since the last stop, and
 * the stop. Both together are an epoch.
 */
#include <sys/resource.h>

#include "bench.h"

static long faults(void)
{
	struct rusage usage;

	if (getrusage(RUSAGE_SELF, &usage))
		die("getrusage: %s", strerror(errno));
	return usage.ru_minflt + usage.ru_majflt;
}

/*
 * No page that changed is missing. And none too many is there, except in the first round: a huge
 * page that is written again is there as a whole, once.
 */
static void check_found(const struct method *method, bool first)
{
	size_t i;

	for (i = 0; i < t.pages; i++)
		if (first ? t.dirty[i] && !t.found[i] : t.found[i] != t.dirty[i])
			die("%s %s page %zu", method->name,
			    t.dirty[i] ? "missed" : "reported, though it didn't change,", i);
}

static void settle(const struct method *method)
{
	if (method->settle)
		method->settle();
}

struct result {
	struct figure find, pause, write, faults, epoch;
};

static void measure_round(const struct method *method, struct result *r)
{
	double write, find, copy;
	long before;

	/* What the kernel has put off is done now, not while it is measured. */
	usleep(1000);
	t.stamp++;
	before = faults();
	write = now_us();
	memory_write();
	write = now_us() - write;
	before = faults() - before;
	settle(method);

	find = now_us();
	method->stop();
	find = now_us() - find;
	copy = now_us();
	if (method->copy)
		method->copy();
	copy = now_us() - copy;
	if (method->copy)
		memory_check_copy(method->name);
	else
		copy = 0;
	method->check();
	if (method->finds)
		check_found(method, !r);
	if (!r)
		return;
	figure_add(&r->find, find);
	figure_add(&r->pause, find + copy);
	figure_add(&r->epoch, find + copy + write);
	if (t.nr_dirty) {
		figure_add(&r->write, write * 1000 / t.nr_dirty);
		figure_add(&r->faults, (double)before / t.nr_dirty);
	}
}

void measure(const struct method *method, const char *label)
{
	struct result r = { 0 };
	unsigned int i;

	memory_begin();
	if (!method->begin()) {
		memory_end();
		return;
	}
	/* One round more, which doesn't count: the first is never like the others. */
	measure_round(method, NULL);
	for (i = 0; i < rounds; i++)
		measure_round(method, &r);
	settle(method);
	method->end();
	memory_end();
	if (method->freezes || method->copy) {
		figure_print(&r.pause, "us", "%s_%s", method->name, label);
		figure_print(&r.epoch, "us", "%s_epoch_%s", method->name, label);
	}
	if (method->finds && !method->freezes)
		figure_print(&r.find, "us", "%s_find_%s", method->name, label);
	figure_print(&r.write, "ns", "%s_write_%s", method->name, label);
	figure_print(&r.faults, "faults", "%s_faults_%s", method->name, label);
}
