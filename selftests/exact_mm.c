// SPDX-License-Identifier: GPL-2.0-only
/*
 * Exactness: memory that is mapped, moved, merged, swapped, split and protected, with and
 * without being written to. See exact.c.
 */
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "exact.h"
#include "kselftest.h"
#include "uffd_move.h"

#ifndef MADV_COLD
#define MADV_COLD	20
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE	23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif
#define MPOL_MF_MOVE_PAGES	2	/* MPOL_MF_MOVE */

static char *huge_page(void)
{
	return t.m + SMALL_PAGES * PAGE + rnd(HUGE_PAGES * PAGE / HUGE) * HUGE;
}

/*
 * Protection
 */

static void op_mprotect(void)
{
	unsigned int n;
	char *p = pages(8, &n);

	because(CAUSE_PROTECT, p, n, 3);
	huge_touched(p, n);
	if (rnd(2))
		fill(p, n * PAGE);
	mprotect(p, n * PAGE, PROT_READ);
	if (rnd(2))
		check();
	mprotect(p, n * PAGE, PROT_READ | PROT_WRITE);
	if (rnd(2))
		fill(p, n * PAGE);
}

static void op_mprotect_none(void)
{
	unsigned int n;
	char *p = pages(8, &n);

	fill(p, n * PAGE);
	because(CAUSE_PROTECT, p, n, 3);
	if (mprotect(p, n * PAGE, PROT_NONE))
		return;
	skip();
	mprotect(p, n * PAGE, PROT_READ | PROT_WRITE);
}

static void op_clear_refs(void)
{
	if (t_write_file("/proc/self/clear_refs", rnd(2) ? "4" : "1"))
		fail("clear_refs", errno);
}

static void op_mlock(void)
{
	unsigned int n;
	char *p = pages(16, &n);

	huge_touched(p, n);
	if (rnd(2))
		mlock(p, n * PAGE);
	else
		munlock(p, n * PAGE);
}

/*
 * Content that goes or comes
 */

static void op_dontneed(void)
{
	unsigned int n;
	char *p = pages(32, &n);

	huge_touched(p, n);
	changes(p, n);
	madvise(p, n * PAGE, MADV_DONTNEED);
}

static void op_free(void)
{
	unsigned int n;
	char *p = mostly_small_pages(16, &n);

	/* Until reclaim takes them or they are written, either content is right. */
	huge_touched(p, n);
	changes(p, n);
	madvise(p, n * PAGE, MADV_FREE);
	fill(p, n * PAGE);
}

static void op_pageout(void)
{
	unsigned int n;
	char *p = mostly_small_pages(12, &n);

	because(CAUSE_SWAP, p, n, 6);
	huge_touched(p, n);
	if (rnd(3))
		fill(p, n * PAGE);
	madvise(p, n * PAGE, rnd(6) ? MADV_PAGEOUT : MADV_COLD);
}

static void op_touch(void)
{
	unsigned int n, i;
	char *p = pages(64, &n);
	volatile char c;

	for (i = 0; i < n; i++)
		c = p[i * PAGE];
	(void)c;
}

static void op_populate(void)
{
	unsigned int n;
	char *p = pages(4, &n);

	/* Writable, as if written. */
	written(p, n);
	huge_touched(p, n);
	madvise(p, n * PAGE, MADV_POPULATE_WRITE);
}

/* Another mapping in its place: nothing, anonymous memory, a file's zeros. */
static void op_mmap_over(void)
{
	unsigned int n;
	char *p = small_pages(16, &n);
	int fd = rnd(2) ? memfd_create("exact", MFD_CLOEXEC) : -1;

	if (fd >= 0 && ftruncate(fd, n * PAGE))
		fail("ftruncate", errno);
	changes(p, n);
	munmap(p, n * PAGE);
	if (rnd(2))
		skip();
	if (mmap(p, n * PAGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_FIXED | (fd < 0 ? MAP_ANONYMOUS : 0), fd, 0) != p)
		fail("mmap", errno);
	if (rnd(2))
		check();
	fill(p, (1 + rnd(n)) * PAGE);
	if (fd < 0)
		return;
	close(fd);
	/* Not for long: what else is done here wants anonymous memory. */
	check();
	changes(p, n);
	if (mmap(p, n * PAGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0) != p)
		fail("mmap", errno);
}

/*
 * Moving
 */

static void op_mremap_away(void)
{
	unsigned int n;
	char *p = pages(8, &n), *q;

	because(CAUSE_MOVED, p, n, 3);
	huge_touched(p, n);
	changes(p, n);
	q = mremap(p, n * PAGE, n * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP,
		   NULL);
	if (q == MAP_FAILED) {
		if (errno != EFAULT)	/* more than one mapping */
			fail("mremap", errno);
		return;
	}
	if (rnd(2))
		check();
	if (rnd(2))
		random_bytes(q, n * PAGE);
	/* Back again: pages come in without a fault, read-only ones too. */
	because(CAUSE_MOVED, p, n, 3);
	if (rnd(2) && mremap(q, n * PAGE, n * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p) ==
	    MAP_FAILED)
		fail("mremap back", errno);
	munmap(q, n * PAGE);
}

static void stay(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		pause();
}

/*
 * Memory at a place where there was none before. Memory that is moved away keeps the offsets
 * it had there. If all came from one place, many mappings would have the same ones; and what
 * the kernel does to a page it tells of each mapping that has the page's offset.
 */
static char *map_elsewhere(size_t len)
{
	void *hint = (void *)(0x100000000000UL + rnd(1UL << 30) * PAGE);

	return mmap(hint, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/* Pages of another place, some of them read-only because a child shares them. */
static void op_mremap_foreign(void)
{
	unsigned int n;
	char *p = pages(8, &n), *q = map_elsewhere(n * PAGE);
	pid_t pid;

	random_bytes(q, n * PAGE);
	pid = fork();
	if (!pid)
		stay();
	because(CAUSE_MOVED, p, n, 3);
	huge_touched(p, n);
	changes(p, n);
	munmap(p, n * PAGE);
	skip();
	if (mremap(q, n * PAGE, n * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p) == MAP_FAILED)
		fail("mremap in", errno);
	check();
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* A whole page table moves. */
static void op_mremap_huge(void)
{
	char *p = huge_page(), *q = t_map_huge(HUGE), *r;

	because(CAUSE_MOVED, p, HUGE / PAGE, 4);
	huge_touched(p, 1);
	changes(p, HUGE / PAGE);
	r = mremap(p, HUGE, HUGE, MREMAP_MAYMOVE | MREMAP_FIXED, q);
	if (r == MAP_FAILED) {
		munmap(q, HUGE);
		return;
	}
	if (rnd(2))
		skip();
	memset(q, rnd(256), HUGE);
	if (mremap(q, HUGE, HUGE, MREMAP_MAYMOVE | MREMAP_FIXED, p) != p)
		fail("mremap back", errno);
}

static unsigned int nodes(void)
{
	return access("/sys/devices/system/node/node1", F_OK) ? 1 : 2;
}

/* To another node, or within the one there is. */
static void op_move_pages(void)
{
	void *where[8];
	int node[8], status[8];
	unsigned int n, i;
	char *p = small_pages(8, &n);
	unsigned int to = rnd(nodes());

	for (i = 0; i < n; i++) {
		where[i] = p + i * PAGE;
		node[i] = to;
	}
	because(CAUSE_MOVED, p, n, 3);
	syscall(SYS_move_pages, 0, (long)n, where, node, status, MPOL_MF_MOVE_PAGES);
	if (rnd(2))
		fill(p, n * PAGE);
}

static void op_compact(void)
{
	/* All of it may move: not too often. */
	if (rnd(32))
		return;
	because(CAUSE_MOVED, t.m, PAGES, 3);
	t_write_file("/proc/sys/vm/compact_memory", "1");
}

/*
 * NUMA hinting takes the access away from what a process has, a piece at a time, when it
 * runs. Each page of the piece may have been written before: a snapshot has them all. So
 * this is done seldom.
 */
#define NUMA	"/sys/kernel/debug/sched/numa_balancing/"

void numa_setup(void)
{
	t_write_file("/proc/sys/kernel/numa_balancing", "0");
	t_write_file(NUMA "scan_delay_ms", "1");
	t_write_file(NUMA "scan_period_min_ms", "1");
	t_write_file(NUMA "scan_period_max_ms", "5");
	t_write_file(NUMA "scan_size_mb", "1");
}

static void op_numa(void)
{
	static unsigned int calls;
	clock_t end = clock() + CLOCKS_PER_SEC / 400;
	size_t i;

	if (nodes() < 2 || calls++ % 24)
		return;
	t_write_file("/proc/sys/kernel/numa_balancing", "1");
	while (clock() < end)
		poke(t.m + rnd(SMALL_PAGES * PAGE));
	t_write_file("/proc/sys/kernel/numa_balancing", "0");
	/* What has lost its access moves when it is touched: now, while it is known why. */
	for (i = 0; i < PAGES; i++)
		(void)*(volatile char *)(t.m + i * PAGE);
	because(CAUSE_NUMA, t.m, PAGES, 4);
}

/*
 * Huge pages
 */

static void op_collapse(void)
{
	char *p = huge_page();

	if (rnd(2))
		madvise(p, HUGE, MADV_HUGEPAGE);
	because(CAUSE_HUGE, p, HUGE / PAGE, 4);
	madvise(p, HUGE, MADV_COLLAPSE);
	fill(p, HUGE);
}

/* At times that we choose: see khugepaged_setup(). */
#define KHUGEPAGED	"/sys/kernel/mm/transparent_hugepage/khugepaged/"

void khugepaged_setup(void)
{
	t_write_file(KHUGEPAGED "scan_sleep_millisecs", "100000000");
	t_write_file(KHUGEPAGED "alloc_sleep_millisecs", "100");
}

/* What it looks at may become huge, whatever is in it. */
static void op_khugepaged(void)
{
	if (rnd(16))
		return;
	because(CAUSE_HUGE, t.m + SMALL_PAGES * PAGE, HUGE_PAGES, 4);
	t_write_file(KHUGEPAGED "scan_sleep_millisecs", "0");
	fill(huge_page(), HUGE);
	usleep(20000);
	khugepaged_setup();
}

/*
 * Throw a whole huge page away and let a new one come. None does where the mapping is in
 * pieces, as it is after a while: so sometimes that's new as well. Seldom, for each huge
 * page that the kernel takes apart later is 512 pages that may have changed.
 */
static void op_huge_new(void)
{
	char *p = huge_page();

	if (rnd(8))
		madvise(p, HUGE, MADV_DONTNEED);
	else if (mmap(p, HUGE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0) != p ||
		 madvise(p, HUGE, MADV_HUGEPAGE))
		fail("mmap", errno);
	because(CAUSE_HUGE, p, HUGE / PAGE, 4);
	changes(p, HUGE / PAGE);
	if (rnd(64))
		fill(p, HUGE);
	else
		poke(p + rnd(HUGE));
}

/*
 * Split the huge page itself, not only its mapping. All of it is mapped anew: 512 pages that
 * may have changed.
 */
static void op_huge_split(void)
{
	char text[96], *p = huge_page();

	if (rnd(4))
		return;
	huge_touched(p, 1);
	snprintf(text, sizeof(text), "%d,0x%lx,0x%lx", getpid(), (unsigned long)p,
		 (unsigned long)p + HUGE);
	t_write_file("/sys/kernel/debug/split_huge_pages", text);
}

/*
 * Sharing
 */

static void op_fork(void)
{
	pid_t pid = fork();

	if (!pid) {
		memset(t.m, rnd(256), 16 * PAGE);
		_exit(0);
	}
	if (rnd(2))
		poke(t.m + rnd(PAGES * PAGE));
	waitpid(pid, NULL, 0);
}

/* Whatever its parent does: a child's memory is what it was at the fork. */
static void stay_and_compare(int go)
{
	char c;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (read(go, &c, 1) < 0)
		;
	compare_truth("a child's memory isn't what it was at the fork");
	_exit(t.failed);
}

static int child_go;

void child_ends(void)
{
	int status;

	if (t.child <= 0)
		return;
	close(child_go);
	if (waitpid(t.child, &status, 0) != t.child || status)
		fail("a child's memory changed", -1);
	t.child = 0;
}

static void op_fork_stays(void)
{
	int go[2];

	if (t.child > 0) {
		child_ends();
		return;
	}
	if (pipe2(go, O_CLOEXEC)) {
		fail("pipe", errno);
		return;
	}
	fflush(NULL);
	t.child = fork();
	if (!t.child) {
		close(go[1]);
		stay_and_compare(go[0]);
	}
	close(go[0]);
	child_go = go[1];
}

static void op_ksm(void)
{
	unsigned int n, i;
	char *p = small_pages(12, &n);

	for (i = 0; i < n; i++)
		memset(p + i * PAGE, 42, PAGE);
	written(p, n);
	because(CAUSE_KSM, p, n, FOREVER);
	madvise(p, n * PAGE, MADV_MERGEABLE);
	usleep(10000);
	if (rnd(2))
		check();
	if (rnd(2))
		poke(p + rnd(n * PAGE));
	if (rnd(4) == 0)
		return;
	madvise(p, n * PAGE, MADV_UNMERGEABLE);
	no_more(CAUSE_KSM, p, n);
}

/*
 * userfaultfd, served by ourselves
 */

static int uffd_open(void *p, size_t len, uint64_t mode, uint64_t features)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	struct uffdio_register reg = {
		.range = { .start = (unsigned long)p, .len = len }, .mode = mode,
	};
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return -1;
	if (ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &reg)) {
		close(fd);
		return -1;
	}
	return fd;
}

static void op_uffd_wp(void)
{
	unsigned int n;
	char *p = pages(8, &n);
	struct uffdio_writeprotect wp = {
		.range = { .start = (unsigned long)p, .len = n * PAGE },
		.mode = UFFDIO_WRITEPROTECT_MODE_WP,
	};
	int fd;

	fill(p, n * PAGE);
	because(CAUSE_PROTECT, p, n, 4);
	fd = uffd_open(p, n * PAGE, UFFDIO_REGISTER_MODE_WP, 0);
	if (fd < 0)
		return;
	ioctl(fd, UFFDIO_WRITEPROTECT, &wp);
	if (rnd(2))
		check();
	wp.mode = 0;
	ioctl(fd, UFFDIO_WRITEPROTECT, &wp);
	close(fd);
	because(CAUSE_PROTECT, p, n, 3);
	if (rnd(2))
		fill(p, n * PAGE);
}

/* A page that appears read-only, with content, where there was none. */
static void op_uffd_copy(void)
{
	static char buf[PAGE] __attribute__((aligned(4096)));
	unsigned int n;
	char *p = pages(1, &n);
	struct uffdio_copy copy = {
		.dst = (unsigned long)p, .src = (unsigned long)buf, .len = PAGE,
		.mode = UFFDIO_COPY_MODE_WP,
	};
	int fd;

	random_bytes(buf, PAGE);
	huge_touched(p, 1);
	changes(p, 1);
	madvise(p, PAGE, MADV_DONTNEED);
	check();
	fd = uffd_open(p, PAGE, UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP, 0);
	if (fd < 0)
		return;
	because(CAUSE_PROTECT, p, 1, 3);
	written(p, 1);
	if (ioctl(fd, UFFDIO_COPY, &copy) == 0)
		check();
	close(fd);
}

/* A page that changes its place without a copy, into the range. */
static void op_uffd_move(void)
{
	unsigned int n;
	char *p = small_pages(1, &n), *q = t_map(PAGE);
	struct uffdio_move move = {
		.dst = (unsigned long)p, .src = (unsigned long)q, .len = PAGE,
	};
	int fd;

	random_bytes(q, PAGE);
	changes(p, 1);
	madvise(p, PAGE, MADV_DONTNEED);
	if (rnd(2))
		check();
	fd = uffd_open(p, PAGE, UFFDIO_REGISTER_MODE_MISSING, UFFD_FEATURE_MOVE);
	if (fd >= 0) {
		because(CAUSE_MOVED, p, 1, 3);
		written(p, 1);
		ioctl(fd, UFFDIO_MOVE, &move);
		close(fd);
	}
	munmap(q, PAGE);
}

/*
 * What is tracked
 */

static void op_range(void)
{
	unsigned int n;
	char *p = pages(6, &n);

	because(CAUSE_RANGE, p, n, 3);
	huge_touched(p, n);
	if (t_del(t.fd, p, n * PAGE))
		fail("RANGE_DEL", -1);
	changes(p, n);
	if (rnd(2))
		madvise(p, n * PAGE, MADV_DONTNEED);
	if (rnd(2))
		fill(p, PAGE);
	if (rnd(2))
		skip();
	if (t_add(t.fd, p, n * PAGE))
		fail("RANGE_ADD", -1);
}

/* A snapshot of everything, beside the chain of incremental ones. */
static void op_full(void)
{
	int fd;

	poke(t.m + rnd(PAGES * PAGE));
	fd = t_snapshot(t.fd, CPTDEV_SNAPSHOT_SINCE, 0, NULL);
	if (fd < 0)
		fail("a full snapshot fails", fd);
	close(fd);
	t.skipped = true;
}

const struct op mm_ops[] = {
	{ "mprotect", op_mprotect, 3 },
	{ "mprotect-none", op_mprotect_none, 2 },
	{ "clear-refs", op_clear_refs, 2 },
	{ "mlock", op_mlock, 2 },
	{ "dontneed", op_dontneed, 6 },
	{ "free", op_free, 3 },
	{ "pageout", op_pageout, 5 },
	{ "touch", op_touch, 6 },
	{ "populate", op_populate, 1 },
	{ "mmap-over", op_mmap_over, 4 },
	{ "mremap-away", op_mremap_away, 4 },
	{ "mremap-foreign", op_mremap_foreign, 2 },
	{ "mremap-huge", op_mremap_huge, 1 },
	{ "move-pages", op_move_pages, 3 },
	{ "compact", op_compact, 1 },
	{ "numa", op_numa, 2 },
	{ "collapse", op_collapse, 1 },
	{ "khugepaged", op_khugepaged, 1 },
	{ "huge-new", op_huge_new, 2 },
	{ "huge-split", op_huge_split, 1 },
	{ "fork", op_fork, 2 },
	{ "fork-stays", op_fork_stays, 2 },
	{ "ksm", op_ksm, 1 },
	{ "uffd-wp", op_uffd_wp, 2 },
	{ "uffd-copy", op_uffd_copy, 2 },
	{ "uffd-move", op_uffd_move, 2 },
	{ "range", op_range, 3 },
	{ "full", op_full, 1 },
	{ }
};
