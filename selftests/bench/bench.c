// SPDX-License-Identifier: GPL-2.0-only
/*
 * How long a program stands still, and what its writes cost. The same memory, changed in
 * the same way, is frozen or searched by cptdev and by what one could use instead, in one
 * run of one guest; each answer is checked. One line of JSON per figure;
 * Documentation/performance.rst says what they mean.
 *
 *   bench KERNEL [ROUNDS [METHOD...]]	all methods, or these: fork, pagemap_scan, uffd_wp,
 *	sigsegv, softdirty, criu, run, redis, snapshot, snapshot_open, snapshot_full, scan, held, chain, bytes,
 *	ship, seeds, shapes
 *
 * Under QEMU's instruction counting a figure is a number of instructions, the same in
 * every run. It knows no cache, no TLB and no other processor: ratios are what to look
 * at, and none between a half and two names a winner.
 */
#include <sched.h>
#include <stdarg.h>
#include <time.h>

#include "bench.h"

#define NR(array)	(sizeof(array) / sizeof((array)[0]))

unsigned int rounds = 5;

void die(const char *format, ...)
{
	va_list ap;

	fprintf(stderr, "bench: ");
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fprintf(stderr, "\n");
	exit(1);
}

double now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e6 + ts.tv_nsec / 1e3;
}

static const unsigned int sizes[] = { 64, 128, 256, 512, 1024 };

static const struct method *const peers[] = {
	&fork_method, &pagemap_scan_method, &uffd_wp_method, &sigsegv_method, &softdirty_method,
	NULL
};

static const struct method *const ours[] = { &snapshot_method, &scan_method, NULL };

/* With 256 MiB only */
static const struct method *const more[] = {
	&snapshot_open_method, &snapshot_full_method, NULL
};

static char **wanted;			/* names of methods, NULL: all */

static bool is_wanted(const char *name)
{
	char **w;

	for (w = wanted; w && *w; w++)
		if (!strcmp(*w, name))
			return true;
	return !wanted;
}

/* The memory is there; @pct of it change. */
static void measure_share(const struct method *const *method, unsigned int mib, unsigned int pct)
{
	char label[32];

	memory_spread(t.pages * pct / 100);
	snprintf(label, sizeof(label), "%umib_%upct", mib, pct);
	for (; *method; method++)
		if (is_wanted((*method)->name))
			measure(*method, label);
}

static void measure_shares(const struct method *const *methods)
{
	measure_share(methods, 256, 0);
	measure_share(methods, 256, 1);
	measure_share(methods, 256, 10);
	measure_share(methods, 256, 100);
}

/* A pause shall follow what changed, not the size of the memory. */
static void measure_growth(unsigned int mib)
{
	char label[32];

	memory_spread(2600);
	snprintf(label, sizeof(label), "%umib_2600pages", mib);
	if (is_wanted(snapshot_method.name))
		measure(&snapshot_method, label);
}

static bool any_wanted(const struct method *const *method)
{
	for (; *method; method++)
		if (is_wanted((*method)->name))
			return true;
	return false;
}

static void measure_size(const struct method *const *methods, unsigned int mib)
{
	if (!any_wanted(methods) && (methods != ours || !any_wanted(more)))
		return;
	memory_get(mib * MIB / PAGE, true);
	if (mib == 256)
		measure_shares(methods);
	else
		measure_share(methods, mib, 1);
	if (methods == ours && mib == 256)
		measure_shares(more);
	if (methods == ours && (mib == 256 || mib == 1024))
		measure_growth(mib);
	memory_put();
}

static const struct {
	const char *name, *above, *below;
} ratios[] = {
	{ "pause_0pct_over_fork", "snapshot_256mib_0pct", "fork_256mib_0pct" },
	{ "pause_1pct_over_fork", "snapshot_256mib_1pct", "fork_256mib_1pct" },
	{ "pause_10pct_over_fork", "snapshot_256mib_10pct", "fork_256mib_10pct" },
	{ "pause_size_growth", "snapshot_1024mib_2600pages", "snapshot_256mib_2600pages" },
	{ "epoch_1pct_over_fork", "snapshot_epoch_256mib_1pct", "fork_epoch_256mib_1pct" },
	{ "epoch_10pct_over_fork", "snapshot_epoch_256mib_10pct", "fork_epoch_256mib_10pct" },
	{ "pagemap_scan_epoch_1pct_over_fork",
	  "pagemap_scan_epoch_256mib_1pct", "fork_epoch_256mib_1pct" },
	{ "pagemap_scan_epoch_10pct_over_fork",
	  "pagemap_scan_epoch_256mib_10pct", "fork_epoch_256mib_10pct" },
	{ "first_write_shipped_over_cow", "snapshot_write_256mib_1pct", "fork_write_256mib_1pct" },
	{ "first_write_open_over_cow",
	  "snapshot_open_write_256mib_1pct", "fork_write_256mib_1pct" },
	{ "scan_clean_over_pagemap_scan",
	  "scan_find_256mib_0pct", "pagemap_scan_find_256mib_0pct" },
	{ "scan_1pct_over_pagemap_scan", "scan_find_256mib_1pct", "pagemap_scan_find_256mib_1pct" },
	{ "scan_over_softdirty", "softdirty_find_256mib_1pct", "scan_find_256mib_1pct" },
	{ "sync_1page_over_tcp", "sync_1page_instr", "tcp_1page_instr" },
	{ "pause_1pct_over_criu_predump", "snapshot_256mib_1pct", "criu_predump_256mib_1pct" },
	{ "pause_1pct_over_criu_dump", "snapshot_256mib_1pct", "criu_dump_256mib_1pct" },
	{ "run_pause_over_snapshot", "run_pause_256mib_1pct", "snapshot_256mib_1pct" },
	{ "run_pause_over_fork", "run_pause_256mib_1pct", "fork_256mib_1pct" },
	{ "run_pause_over_criu_predump", "run_pause_256mib_1pct", "criu_predump_256mib_1pct" },
	{ "run_pause_over_criu_dump", "run_pause_256mib_1pct", "criu_dump_256mib_1pct" },
	{ "pause_over_redis_bgsave", "snapshot_keys", "redis_bgsave_500000keys" },
	{ "pause_100pct_over_fork", "snapshot_256mib_100pct", "fork_256mib_100pct" },
	{ "full_pause_over_fork", "snapshot_full_256mib_100pct", "fork_256mib_100pct" },
};

/*
 * Once a session was there, notifiers of this process are called for ever: so cptdev comes
 * last.
 */
int main(int argc, char **argv)
{
	struct sched_param param = { .sched_priority = 50 };
	unsigned int i;

	if (argc == 3 && !strcmp(argv[1], "program"))
		program_be(strtoul(argv[2], NULL, 0));
	if (argc > 1)
		figure_kernel(argv[1]);
	if (argc > 2)
		rounds = strtoul(argv[2], NULL, 0);
	if (!rounds || rounds > MAX_ROUNDS)
		die("bench KERNEL [ROUNDS [METHOD...]], 1 to %u rounds", MAX_ROUNDS);
	if (argc > 3)
		wanted = argv + 3;
	/* Or the kernel takes a twentieth of each second away. */
	if (t_write_file("/proc/sys/kernel/sched_rt_runtime_us", "-1"))
		die("/proc/sys/kernel/sched_rt_runtime_us: %s", strerror(errno));
	if (sched_setscheduler(0, SCHED_FIFO, &param))
		die("SCHED_FIFO: %s", strerror(errno));
	for (i = 0; i < NR(sizes); i++)
		measure_size(peers, sizes[i]);
	if (is_wanted("criu"))
		criu_measure();
	if (is_wanted("run"))
		program_measure();
	if (is_wanted("redis"))
		redis_measure();
	if (is_wanted("seeds"))
		seeds_fork();
	if (is_wanted("shapes"))
		shapes_fork();
	for (i = 0; i < NR(sizes); i++)
		measure_size(ours, sizes[i]);
	if (is_wanted("redis"))
		redis_cptdev();
	if (is_wanted("seeds"))
		seeds_cptdev();
	if (is_wanted("shapes"))
		shapes_cptdev();
	if (is_wanted("held"))
		held_measure();
	if (is_wanted("first"))
		first_measure();
	if (is_wanted("chain"))
		chain_measure();
	if (is_wanted("chain") || is_wanted("bytes"))
		bytes_measure();
	if (is_wanted("ship"))
		ship_measure();
	for (i = 0; i < NR(ratios); i++)
		figure_ratio(ratios[i].name, ratios[i].above, ratios[i].below);
	figure_scaled("first_write_scan_faults", "scan_faults_256mib_1pct", 1, "faults");
	seeds_ratios();
	shapes_ratios();
	return 0;
}
