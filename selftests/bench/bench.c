// SPDX-License-Identifier: GPL-2.0-only
/*
 * How long a program stands still. The same memory, changed in the same way, is frozen
 * or scanned by cptdev and by what one could use instead, in one run of one guest; each
 * answer is checked. One line of JSON per figure.
 *
 *   bench KERNEL [ROUNDS]
 *
 * Under QEMU's instruction counting a figure is a number of instructions, the same in
 * every run. It knows no cache, no TLB and no other processor: ratios are what to look
 * at, and none between a half and two names a winner.
 */
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <time.h>

#include "../cptdev_test.h"

#define MIB		(1UL << 20)
#define RUN		4UL			/* pages in a row */
#define MAX_ROUNDS	101

static const unsigned int sizes[] = { 64, 256 };
static const unsigned int shares[] = { 0, 1, 10, 100 };

static const char *kernel;
static unsigned int rounds = 5;

static struct {
	char *m;
	size_t pages;
	unsigned int mib;
	unsigned int share;
	bool *dirty;			/* what was written in this round */
	bool *found;			/* what the method says */
	size_t nr_dirty;
	uint64_t stamp;			/* what was written */
} t;

static void die(const char *format, ...)
{
	va_list ap;

	fprintf(stderr, "bench: ");
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fprintf(stderr, "\n");
	exit(1);
}

static double now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e6 + ts.tv_nsec / 1e3;
}

/*
 * Figures
 */

struct figure {
	double v[MAX_ROUNDS];
	unsigned int n;
};

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(struct figure *f)
{
	qsort(f->v, f->n, sizeof(f->v[0]), ascending);
	return f->n ? f->v[f->n / 2] : 0;
}

static double report(const char *name, struct figure *f, const char *unit)
{
	double m = median(f);

	printf("{\"name\":\"%s\",\"kernel\":\"%s\",\"value\":%.6g,\"unit\":\"%s\",\"n\":%u,\"min\":%.6g,\"max\":%.6g}\n",
	       name, kernel, m, unit, f->n, f->v[0], f->v[f->n - 1]);
	fflush(stdout);
	return m;
}

static void report_ratio(const char *name, double a, double b)
{
	struct figure f = { .v = { b ? a / b : 0 }, .n = 1 };

	report(name, &f, "ratio");
}

/*
 * The memory and its changes
 */

static void dirty_run(size_t page)
{
	size_t i;

	for (i = page; i < page + RUN && i < t.pages; i++) {
		*(uint64_t *)(t.m + i * PAGE) = t.stamp;
		t.dirty[i] = true;
		t.nr_dirty++;
	}
}

/* t.share per cent of the pages, in runs, spread evenly. */
static void make_dirty(void)
{
	size_t runs = t.pages * t.share / 100 / RUN, i;

	memset(t.dirty, 0, t.pages * sizeof(*t.dirty));
	t.nr_dirty = 0;
	t.stamp++;
	for (i = 0; i < runs; i++)
		dirty_run(i * (t.pages / runs) / RUN * RUN);
}

/*
 * Methods. stop() is the call that the program stands still for. check() says whether
 * the answer was right; what it does isn't measured.
 */
struct method {
	const char *name;
	void (*begin)(void);		/* once, before the first round */
	void (*stop)(void);
	void (*check)(void);
	void (*end)(void);
	bool exact;			/* no page too many */
	bool finds;			/* it says which pages changed */
};

static void check_found(const struct method *method)
{
	size_t i, more = 0;

	for (i = 0; i < t.pages; i++) {
		if (t.dirty[i] && !t.found[i])
			die("%s missed page %zu", method->name, i);
		more += !t.dirty[i] && t.found[i];
	}
	if (method->exact && more)
		die("%s reported %zu pages that didn't change", method->name, more);
}

/* cptdev: SNAPSHOT */

static int device, snap;
static struct cptdev_snapshot last;

static void cptdev_begin(void)
{
	device = t_open();
	if (device < 0 || t_add(device, t.m, t.pages * PAGE))
		die("no session");
	close(t_snapshot(device, 0, 0, NULL));
}

static void cptdev_end(void)
{
	close(device);
}

static void snapshot_stop(void)
{
	snap = t_snapshot(device, 0, 0, &last);
}

static void snapshot_check(void)
{
	struct cptdev_extent *v;
	size_t nr, i, page, n;
	uint64_t stamp;
	off_t pos = 0;

	if (snap < 0)
		die("SNAPSHOT: %s", strerror(-snap));
	memset(t.found, 0, t.pages * sizeof(*t.found));
	v = t_extents(snap, &nr);
	for (i = 0; i < nr; i++) {
		page = (v[i].addr - (unsigned long)t.m) / PAGE;
		for (n = v[i].len / PAGE; n; n--, page++, pos += PAGE) {
			t.found[page] = true;
			*(uint64_t *)(t.m + page * PAGE) = 0;
			if (pread(snap, &stamp, 8, pos) != 8 || stamp != t.stamp)
				die("the snapshot changed");
		}
	}
	free(v);
	close(snap);
	/* What the check itself wrote is none of the next round. */
	close(t_snapshot(device, 0, 0, NULL));
}

/* cptdev: SCAN */

#define REGIONS	65536

static struct cptdev_region *regions;
static struct cptdev_scan scan;

static void scan_stop(void)
{
	scan = (struct cptdev_scan) {
		.size = sizeof(scan), .flags = CPTDEV_SCAN_CLEAR_DIRTY,
		.vec = (unsigned long)regions, .vec_len = REGIONS,
		.anyof = CPTDEV_PAGE_DIRTY, .report = CPTDEV_PAGE_DIRTY,
	};
	if (t_ioctl(device, CPTDEV_IOC_SCAN, &scan))
		scan.nr = ~0U;
}

static void scan_begin(void)
{
	cptdev_begin();
	regions = calloc(REGIONS, sizeof(*regions));
	scan_stop();
}

static void scan_check(void)
{
	size_t i, page, end;

	if (scan.nr == ~0U)
		die("SCAN fails");
	memset(t.found, 0, t.pages * sizeof(*t.found));
	for (i = 0; i < scan.nr; i++) {
		page = (regions[i].start - (unsigned long)t.m) / PAGE;
		end = (regions[i].end - (unsigned long)t.m) / PAGE;
		while (page < end)
			t.found[page++] = true;
	}
}

static void scan_end(void)
{
	free(regions);
	cptdev_end();
}

/* fork(): a child that has the memory as it was */

static pid_t child;
static int to_child[2];

static void fork_stop(void)
{
	child = fork();
}

/* The child waits until the parent has written, and looks whether it sees that. */
static void fork_child(void)
{
	size_t i;
	char c;

	if (read(to_child[0], &c, 1) != 1)
		_exit(1);
	for (i = 0; i < t.pages; i++)
		if (t.dirty[i] && *(uint64_t *)(t.m + i * PAGE) != t.stamp)
			_exit(2);
	_exit(0);
}

static void fork_begin(void)
{
	if (pipe(to_child))
		die("pipe");
}

static void fork_check(void)
{
	uint64_t after = ~0ULL;
	int status;
	size_t i;

	if (child < 0)
		die("fork: %s", strerror(errno));
	for (i = 0; i < t.pages; i++)
		if (t.dirty[i])
			*(uint64_t *)(t.m + i * PAGE) = after;
	if (write(to_child[1], "g", 1) != 1 || waitpid(child, &status, 0) < 0 ||
	    !WIFEXITED(status) || WEXITSTATUS(status))
		die("the child saw what was written later");
	/* Afterwards the pages are the parent's alone again, and writable. */
	for (i = 0; i < t.pages; i++)
		*(volatile uint64_t *)(t.m + i * PAGE) = after;
}

static void fork_end(void)
{
	close(to_child[0]);
	close(to_child[1]);
}

/* Soft-dirty bits: read pagemap, then clear */

static int pagemap, clear_refs;
static uint64_t *entries;

static void softdirty_clear(void)
{
	if (pwrite(clear_refs, "4", 1, 0) != 1)
		die("clear_refs: %s", strerror(errno));
}

static void softdirty_begin(void)
{
	pagemap = open("/proc/self/pagemap", O_RDONLY);
	clear_refs = open("/proc/self/clear_refs", O_WRONLY);
	entries = calloc(t.pages, sizeof(*entries));
	if (pagemap < 0 || clear_refs < 0)
		die("/proc/self/pagemap: %s", strerror(errno));
	softdirty_clear();
}

static void softdirty_stop(void)
{
	ssize_t n = pread(pagemap, entries, t.pages * 8, (unsigned long)t.m / PAGE * 8);

	softdirty_clear();
	if (n != (ssize_t)(t.pages * 8))
		die("pagemap: %s", strerror(errno));
}

static void softdirty_check(void)
{
	size_t i;

	for (i = 0; i < t.pages; i++)
		t.found[i] = entries[i] >> 55 & 1;
}

static void softdirty_end(void)
{
	close(pagemap);
	close(clear_refs);
	free(entries);
}

static const struct method methods[] = {
	{ "snapshot", cptdev_begin, snapshot_stop, snapshot_check, cptdev_end, true, true },
	{ "fork", fork_begin, fork_stop, fork_check, fork_end, false, false },
	{ "scan", scan_begin, scan_stop, scan_check, scan_end, true, true },
	{ "softdirty", softdirty_begin, softdirty_stop, softdirty_check, softdirty_end,
	  true, true },
};

#define NR_METHODS	(sizeof(methods) / sizeof(methods[0]))

static double measure(const struct method *method)
{
	struct figure f = { .n = 0 };
	char name[64];
	unsigned int i;
	double start;

	method->begin();
	/* One round more, which doesn't count: the first is never like the others. */
	for (i = 0; i <= rounds; i++) {
		make_dirty();
		start = now_us();
		method->stop();
		if (method->stop == fork_stop && child == 0)
			fork_child();
		if (i)
			f.v[f.n++] = now_us() - start;
		method->check();
		if (method->finds)
			check_found(method);
	}
	method->end();
	snprintf(name, sizeof(name), "%s_%umib_%upct", method->name, t.mib, t.share);
	return report(name, &f, "us");
}

static void measure_share(void)
{
	double us[NR_METHODS];
	char name[64];
	unsigned int i;

	for (i = 0; i < NR_METHODS; i++)
		us[i] = measure(&methods[i]);
	if (t.mib != 256)
		return;
	snprintf(name, sizeof(name), "pause_%upct_over_fork", t.share);
	report_ratio(name, us[0], us[1]);
	snprintf(name, sizeof(name), "softdirty_over_scan_%upct", t.share);
	report_ratio(name, us[3], us[2]);
}

static void measure_size(unsigned int mib)
{
	unsigned int i;

	t.mib = mib;
	t.pages = mib * MIB / PAGE;
	t.m = t_map(t.pages * PAGE);
	t.dirty = calloc(t.pages, sizeof(*t.dirty));
	t.found = calloc(t.pages, sizeof(*t.found));
	if (!t.m || mlock(t.m, t.pages * PAGE))
		die("%u MiB of locked memory: %s", mib, strerror(errno));
	memset(t.m, 1, t.pages * PAGE);
	for (i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
		t.share = shares[i];
		measure_share();
	}
	munmap(t.m, t.pages * PAGE);
	free(t.dirty);
	free(t.found);
}

int main(int argc, char **argv)
{
	struct sched_param param = { .sched_priority = 50 };
	unsigned int i;

	kernel = argc > 1 ? argv[1] : "unknown";
	if (argc > 2)
		rounds = strtoul(argv[2], NULL, 0);
	if (!rounds || rounds > MAX_ROUNDS)
		die("bench KERNEL [ROUNDS], 1 to %u", MAX_ROUNDS);
	if (sched_setscheduler(0, SCHED_FIFO, &param))
		die("SCHED_FIFO: %s", strerror(errno));
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		measure_size(sizes[i]);
	return 0;
}
