// SPDX-License-Identifier: GPL-2.0-only
/*
 * Heaps as people have them: many VMAs, huge pages, single pages that change, address space
 * that nobody touched, a small process, and the first snapshot of all. fork() and SNAPSHOT do
 * the same work on each; "one" is the shape of all other figures.
 */
#include <sys/wait.h>

#include "bench.h"

#define PAGES		(256 * MIB / PAGE)

/*
 * Shapes that are measured as the others are: in rounds, by a method
 */

/* Side by side, and every other one differs in a flag: the kernel can't merge them. */
static void split_vmas(size_t nr)
{
	size_t len = t.pages / nr * PAGE, i;

	for (i = 1; i < nr; i += 2)
		if (madvise(t.m + i * len, len, MADV_DONTDUMP))
			die("%zu VMAs: %s", nr, strerror(errno));
}

static void vmas(const struct method *method, size_t nr, size_t pages, const char *label)
{
	memory_get(PAGES / nr * nr, true);
	split_vmas(nr);
	memory_spread(pages);
	measure(method, label);
	memory_put();
}

/* The same ones each time, none beside another. */
static void scatter(size_t nr)
{
	uint64_t seed = 1;
	size_t page;

	memory_spread(0);
	while (t.nr_dirty < nr) {
		seed = seed * 6364136223846793005 + 1442695040888963407;
		page = (seed >> 33) % (t.pages - 2) + 1;
		if (!t.dirty[page - 1] && !t.dirty[page] && !t.dirty[page + 1])
			memory_change(page);
	}
	memory_sort();
}

static void single_pages(const struct method *method)
{
	memory_get(PAGES, true);
	scatter(t.pages / 100);
	measure(method, "single_1pct");
	memory_put();
}

static void huge_get(void)
{
	memory_get_at(t_map_huge(PAGES * PAGE), PAGES);
}

static void huge(const struct method *method)
{
	huge_get();
	memory_spread(t.pages / 100);
	measure(method, "thp_1pct");
	memory_put();
}

static void small(const struct method *method)
{
	memory_get(4 * MIB / PAGE, true);
	measure(method, "4mib_0pct");
	memory_put();
}

static void by_method(const struct method *method)
{
	vmas(method, 1, PAGES / 100, "one_1pct");
	vmas(method, 100, PAGES / 100, "vma100_1pct");
	vmas(method, 1000, PAGES / 100, "vma1000_1pct");
	vmas(method, 10000, PAGES / 100, "vma10000_1pct");
	vmas(method, 60000, 2, "vma60000_2pages");
	single_pages(method);
	huge(method);
	small(method);
}

/*
 * Firsts: memory that no fork and no snapshot has seen, once more in each round
 */

static pid_t fork_now(void)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork: %s", strerror(errno));
	if (!pid)
		_exit(pause());
	return pid;
}

static void fork_end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static int session(void)
{
	int device = t_open();

	if (device < 0 || t_add(device, t.m, t.pages * PAGE))
		die("no session");
	return device;
}

static int snapshot(int device)
{
	int snap = t_snapshot(device, 0, 0, NULL);

	if (snap < 0)
		die("SNAPSHOT: %s", strerror(-snap));
	return snap;
}

/* A snapshot that has all of the memory as it is. */
static void check_full(int snap)
{
	uint64_t stamp;
	size_t i;

	for (i = 0; i < t.pages; i++)
		if (pread(snap, &stamp, 8, i * PAGE) != 8 || stamp != *memory_at(i))
			die("the first snapshot has another page %zu", i);
}

static double write_ns(void)
{
	double time;

	t.stamp++;
	time = now_us();
	memory_write();
	return (now_us() - time) * 1000 / t.nr_dirty;
}

/* The first stop, the first write to each page that changes, and the stop after that. */
struct first {
	struct figure pause, write, later;
};

static void first_fork(struct first *f)
{
	double time = now_us();
	pid_t pid = fork_now();

	figure_add(&f->pause, now_us() - time);
	figure_add(&f->write, write_ns());
	fork_end(pid);
}

static double snapshot_us(int device, int *snap)
{
	double time = now_us();

	*snap = snapshot(device);
	return now_us() - time;
}

static void first_snapshot(struct first *f)
{
	int device = session(), snap;

	figure_add(&f->pause, snapshot_us(device, &snap));
	check_full(snap);
	close(snap);
	figure_add(&f->write, write_ns());
	figure_add(&f->later, snapshot_us(device, &snap));
	close(snap);
	close(device);
}

static void first_print(const struct first *f, const char *name)
{
	figure_print(&f->pause, "us", "%s", name);
	figure_print(&f->write, "ns", "%s_write", name);
	figure_print(&f->later, "us", "%s_later", name);
}

static void firsts(void (*first)(struct first *f), const char *small, const char *huge)
{
	struct first f = { 0 }, h = { 0 };
	unsigned int i;

	for (i = 0; i < rounds; i++) {
		memory_get(PAGES, true);
		memory_spread(t.pages / 100);
		first(&f);
		memory_put();
		huge_get();
		memory_spread(t.pages / 100);
		first(&h);
		memory_put();
	}
	first_print(&f, small);
	first_print(&h, huge);
}

/*
 * What cuts leave of huge pages
 */

/* MiB of the mapping at @addr that huge pages map. */
static double huge_mib(const void *addr)
{
	unsigned long start, kib;
	bool there = false;
	double mib = -1;
	char line[256];
	FILE *f = fopen("/proc/self/smaps", "r");

	while (f && mib < 0 && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-", &start) == 1 && strchr(line, '-'))
			there = start == (unsigned long)addr;
		else if (there && sscanf(line, "AnonHugePages: %lu", &kib) == 1)
			mib = kib / 1024.0;
	}
	if (!f || mib < 0)
		die("/proc/self/smaps doesn't have the memory");
	fclose(f);
	return mib;
}

/* 1 % changes in each round, all of it in the first half: a mapping of its own. */
static void kept(struct figure *share, struct figure *grown)
{
	size_t half = PAGES / 2, i;
	double before;
	int device;

	settle_memory();
	before = free_pages();
	huge_get();
	if (madvise(memory_at(half), half * PAGE, MADV_DONTDUMP))
		die("madvise: %s", strerror(errno));
	memory_spread(0);
	for (i = 0; i < PAGES / 100; i++)
		memory_change(i / RUN * 196 + i % RUN);
	device = session();
	for (i = 0; i < 40; i++) {
		close(snapshot(device));
		write_ns();
	}
	settle_memory();
	figure_add(grown, (before - free_pages()) / PAGES);
	figure_add(share, huge_mib(memory_at(half)) / (half * PAGE / MIB));
	close(device);
	memory_put();
}

static void huge_kept(void)
{
	struct figure share = { 0 }, grown = { 0 };
	unsigned int i;

	for (i = 0; i < rounds; i++)
		kept(&share, &grown);
	figure_print(&share, "ratio", "thp_kept");
	figure_print(&grown, "ratio", "thp_memory_over_before");
}

/*
 * Nothing changes: what memory costs that was never touched, and lies between what was
 */

#define PIECES	4
#define PIECE	(256 * MIB / PIECES)
#define GAP	(1024 * MIB)

static char *pieces(size_t gap)
{
	size_t len = PIECES * (PIECE + gap), i, at;
	char *m = mmap(NULL, len, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (m == MAP_FAILED || madvise(m, len, MADV_NOHUGEPAGE))
		die("%zu bytes of address space: %s", len, strerror(errno));
	for (i = 0; i < PIECES; i++)
		for (at = 0; at < PIECE; at += PAGE)
			*(volatile char *)(m + i * (PIECE + gap) + at) = 1;
	return m;
}

static void quiet(size_t gap, const char *name)
{
	struct figure f = { 0 };
	char *m = pieces(gap);
	int device = t_open(), snap;
	unsigned int i;
	double us;

	if (device < 0 || t_add(device, m, PIECES * (PIECE + gap)))
		die("no session");
	for (i = 0; i < rounds + 2; i++) {
		us = snapshot_us(device, &snap);
		if (i > 1)
			figure_add(&f, us);
		close(snap);
	}
	close(device);
	munmap(m, PIECES * (PIECE + gap));
	figure_print(&f, "us", "%s", name);
}

void shapes_fork(void)
{
	by_method(&fork_method);
	firsts(first_fork, "fork_first", "fork_thp_first");
}

void shapes_cptdev(void)
{
	by_method(&snapshot_method);
	firsts(first_snapshot, "snapshot_first", "snapshot_thp_first");
	huge_kept();
	quiet(0, "snapshot_quiet");
	quiet(GAP, "snapshot_untouched");
}

static const struct {
	const char *name, *above, *below;
} ratios[] = {
	{ "vma1000_over_one", "snapshot_vma1000_1pct", "snapshot_one_1pct" },
	{ "vma1000_over_fork", "snapshot_vma1000_1pct", "fork_vma1000_1pct" },
	{ "vma10000_over_fork", "snapshot_vma10000_1pct", "fork_vma10000_1pct" },
	{ "vma60000_2pages_over_fork", "snapshot_vma60000_2pages", "fork_vma60000_2pages" },
	{ "thp_first_over_fork", "snapshot_thp_first", "fork_thp_first" },
	{ "thp_first_write_over_cow", "snapshot_thp_first_write", "fork_thp_first_write" },
	{ "thp_later_over_small", "snapshot_thp_first_later", "snapshot_first_later" },
	{ "first_snapshot_over_fork", "snapshot_first", "fork_first" },
	{ "single_pages_over_runs", "snapshot_single_1pct", "snapshot_one_1pct" },
	{ "untouched_over_quiet", "snapshot_untouched", "snapshot_quiet" },
	{ "small_0pct_over_fork", "snapshot_4mib_0pct", "fork_4mib_0pct" },
};

void shapes_ratios(void)
{
	size_t i;

	for (i = 0; i < sizeof(ratios) / sizeof(ratios[0]); i++)
		figure_ratio(ratios[i].name, ratios[i].above, ratios[i].below);
}
