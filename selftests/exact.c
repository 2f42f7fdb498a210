// SPDX-License-Identifier: GPL-2.0-only
/*
 * Exactness: an oracle in user space. Memory is changed in every way we know of, in
 * random mixes. After each epoch an incremental snapshot is applied to an image, as a
 * spare would do it, and the image must equal the memory byte for byte. SCAN is held to
 * the same: each page that differs from its shadow must have been reported.
 *
 *   exact [-e EPOCHS] [-s SEED] [-o OPERATION] [-v]
 */
#include <getopt.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

#include "cptdev_test.h"
#include "io_uring.h"
#include "kselftest.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif
#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT	21
#endif

#define SMALL_PAGES	1024UL		/* in ordinary pages */
#define HUGE_PAGES	(3 * 512UL)	/* where huge pages may form */
#define PAGES		(SMALL_PAGES + HUGE_PAGES)
#define KEEP		4		/* snapshots held open for a while */

static uint64_t seed = 1;
static bool verbose;

struct kept {
	int fd;
	uint64_t die;			/* epoch */
	size_t len;
	char *copy;			/* what it showed when it was new */
};

static struct {
	int fd;
	int mem;			/* /proc/self/mem */
	int disk;			/* O_DIRECT, or -1 */
	char *m;
	struct t_image *image;
	char *shadow;			/* the memory at the last scan */
	bool *silent;			/* changed behind the page tables since then */
	struct kept kept[KEEP];
	pid_t child;
	uint64_t epoch;
	bool skipped;			/* a snapshot that the image doesn't have */
	uint64_t missed, reported, unchanged, snapshots;
	bool failed;
} t;

static uint64_t rnd(uint64_t n)
{
	return t_random(&seed) % n;
}

/* A random run of pages: up to @max. */
static char *pages(unsigned int max, unsigned int *n)
{
	*n = 1 + rnd(max);
	return t.m + rnd(PAGES - *n) * PAGE;
}

static size_t page_of(const void *p)
{
	return ((const char *)p - t.m) / PAGE;
}

static void fill(char *p, size_t len)
{
	size_t i;

	for (i = 0; i < len; i += 64)
		p[i + rnd(64)] = rnd(256);
}

/* A transfer by page reference, which SCAN doesn't promise to see. */
static void behind(const void *p, unsigned int n)
{
	memset(t.silent + page_of(p), 1, n);
}

static void fail(const char *what, long page)
{
	t.failed = true;
	ksft_print_msg("epoch %llu: %s, page %ld\n", (unsigned long long)t.epoch, what,
		       page);
}

/*
 * The oracle
 */

static void kept_check(struct kept *k)
{
	char *now = malloc(k->len + 1);

	if (pread(k->fd, now, k->len, 0) != (ssize_t)k->len)
		fail("an open snapshot can't be read", -1);
	else if (memcmp(now, k->copy, k->len))
		fail("an open snapshot changed", -1);
	free(now);
	free(k->copy);
	close(k->fd);
	memset(k, 0, sizeof(*k));
}

/* Keep it open for some epochs, or close it. */
static void keep(int fd, uint64_t pages)
{
	struct kept *k = &t.kept[rnd(KEEP)];

	if (k->copy && k->die <= t.epoch)
		kept_check(k);
	if (k->copy || rnd(2)) {
		close(fd);
		return;
	}
	k->fd = fd;
	k->die = t.epoch + 1 + rnd(6);
	k->len = pages * PAGE;
	k->copy = malloc(k->len + 1);
	if (pread(fd, k->copy, k->len, 0) != (ssize_t)k->len)
		fail("a new snapshot can't be read", -1);
}

static void count_reported(int fd)
{
	struct cptdev_extent *v;
	char buf[PAGE];
	off_t pos = 0;
	size_t nr, i;
	uint64_t j;

	v = t_extents(fd, &nr);
	for (i = 0; i < nr; i++) {
		for (j = 0; v[i].kind == CPTDEV_EXTENT_DATA && j < v[i].len; j += PAGE) {
			size_t page = page_of((char *)v[i].addr + j);

			if (pread(fd, buf, PAGE, pos) != (ssize_t)PAGE)
				break;
			pos += PAGE;
			t.reported++;
			if (!memcmp(t.image->data + page * PAGE, buf, PAGE))
				t.unchanged++;
		}
	}
	free(v);
}

/* A snapshot now, while nothing moves: the image must equal the memory. */
static void check(void)
{
	struct cptdev_snapshot s;
	bool since = t.skipped || rnd(4) == 0;
	long page;
	int fd, ret;

	fd = t_snapshot(t.fd, since ? CPTDEV_SNAPSHOT_SINCE : 0,
			since ? t.image->generation : 0, &s);
	t.skipped = false;
	if (fd < 0) {
		fail(strerror(-fd), (s.bad_addr - (unsigned long)t.m) / PAGE);
		return;
	}
	t.snapshots++;
	count_reported(fd);
	if (verbose)
		ksft_print_msg("%llu snapshot: %llu pages, %llu copied, since %llu\n",
			       (unsigned long long)t.epoch, (unsigned long long)s.pages,
			       (unsigned long long)s.copied,
			       (unsigned long long)s.base);
	ret = t_image_apply(t.image, fd);
	if (ret)
		fail(strerror(-ret), -1);
	page = t_image_differs(t.image, t.m);
	if (page >= 0) {
		t.missed++;
		fail("the snapshot missed a change", page);
		memcpy(t.image->data, t.m, PAGES * PAGE);
	}
	keep(fd, s.pages);
}

/* A snapshot that nobody looks at, of memory that can't be compared now. */
static void skip(void)
{
	int fd = t_snapshot(t.fd, 0, 0, NULL);

	if (fd < 0)
		fail("a snapshot fails", fd);
	close(fd);
	t.skipped = true;
}

static void check_scan(void)
{
	struct cptdev_region v[64];
	struct cptdev_scan s = {
		.size = sizeof(s), .flags = CPTDEV_SCAN_CLEAR_DIRTY,
		.vec = (unsigned long)v, .vec_len = 64,
		.anyof = CPTDEV_PAGE_DIRTY, .report = CPTDEV_PAGE_DIRTY,
	};
	static bool dirty[PAGES];
	size_t i;
	int ret;

	memset(dirty, 0, sizeof(dirty));
	do {
		s.end = 0;
		ret = t_ioctl(t.fd, CPTDEV_IOC_SCAN, &s);
		if (ret) {
			fail("SCAN fails", ret);
			return;
		}
		for (i = 0; i < s.nr; i++)
			memset(dirty + page_of((char *)v[i].start), 1,
			       (v[i].end - v[i].start) / PAGE);
		s.start = s.walk_end;
	} while (s.nr);
	for (i = 0; i < PAGES; i++) {
		if (!memcmp(t.shadow + i * PAGE, t.m + i * PAGE, PAGE))
			continue;
		if (!dirty[i] && !t.silent[i]) {
			t.missed++;
			fail("SCAN missed a change", i);
		}
		memcpy(t.shadow + i * PAGE, t.m + i * PAGE, PAGE);
	}
	memset(t.silent, 0, PAGES * sizeof(*t.silent));
}

/*
 * Ways to change memory
 */

static void op_store(void)
{
	unsigned int n;
	char *p = pages(8, &n);

	fill(p, n * PAGE);
}

static void op_store_one(void)
{
	t.m[rnd(PAGES * PAGE)]++;
}

static void op_read(void)
{
	static char buf[8 * PAGE];
	unsigned int n;
	char *p = pages(8, &n);
	int fds[2];

	fill(buf, sizeof(buf));
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds))
		return;
	if (write(fds[0], buf, n * PAGE) > 0 && recv(fds[1], p, n * PAGE, 0) < 0)
		fail("recv", -1);
	close(fds[0]);
	close(fds[1]);
}

static void op_vm_writev(void)
{
	static char buf[8 * PAGE];
	struct iovec local, remote;
	unsigned int n;
	char *p = pages(8, &n);

	fill(buf, sizeof(buf));
	local = (struct iovec) { .iov_base = buf, .iov_len = n * PAGE };
	remote = (struct iovec) { .iov_base = p, .iov_len = n * PAGE };
	behind(p, n);
	if (process_vm_writev(getpid(), &local, 1, &remote, 1, 0) < 0)
		fail("process_vm_writev", errno);
}

static void op_proc_mem(void)
{
	char buf[256];
	unsigned int n;
	char *p = pages(1, &n);

	fill(buf, sizeof(buf));
	behind(p, 1);
	if (pwrite(t.mem, buf, sizeof(buf), (unsigned long)p + rnd(PAGE - 256)) < 0)
		fail("/proc/self/mem", errno);
}

/* Writes by force to memory that is read-only, with a cut between them. */
static void op_proc_mem_readonly(void)
{
	unsigned int n, i;
	char *p = pages(4, &n);

	mprotect(p, n * PAGE, PROT_READ);
	for (i = 0; i < 3; i++) {
		char c = rnd(256);

		behind(p, n);
		if (pwrite(t.mem, &c, 1, (unsigned long)p + rnd(n * PAGE)) < 0)
			fail("/proc/self/mem, read-only", errno);
		check();
	}
	mprotect(p, n * PAGE, PROT_READ | PROT_WRITE);
	if (rnd(2))
		fill(p, n * PAGE);
}

static void op_mprotect_none(void)
{
	unsigned int n;
	char *p = pages(8, &n);
	int ret;

	fill(p, n * PAGE);
	ret = mprotect(p, n * PAGE, PROT_NONE);
	if (ret)
		return;
	skip();
	mprotect(p, n * PAGE, PROT_READ | PROT_WRITE);
}

static void op_dontneed(void)
{
	unsigned int n;
	char *p = pages(32, &n);

	madvise(p, n * PAGE, MADV_DONTNEED);
}

static void op_free(void)
{
	unsigned int n;
	char *p = pages(16, &n);

	/* Until reclaim takes them or they are written, either content is right. */
	madvise(p, n * PAGE, MADV_FREE);
	fill(p, n * PAGE);
}

static void op_pageout(void)
{
	unsigned int n;
	char *p = pages(64, &n);

	if (rnd(2))
		fill(p, n * PAGE);
	madvise(p, n * PAGE, MADV_PAGEOUT);
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

static void op_collapse(void)
{
	char *p = t.m + SMALL_PAGES * PAGE + rnd(3) * HUGE;

	if (rnd(2))
		madvise(p, HUGE, MADV_HUGEPAGE);
	madvise(p, HUGE, MADV_COLLAPSE);
	if (rnd(2))
		p[rnd(HUGE)]++;
}

/* Throw a whole huge page away and let a new one come. */
static void op_huge_new(void)
{
	char *p = t.m + SMALL_PAGES * PAGE + rnd(3) * HUGE;

	madvise(p, HUGE, MADV_DONTNEED);
	p[rnd(HUGE)] = rnd(256);
}

static void op_mremap_away(void)
{
	unsigned int n;
	char *p = pages(8, &n), *q;

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
		fill(q, n * PAGE);
	/* Back again: pages come in without a fault, read-only ones too. */
	if (rnd(2) && mremap(q, n * PAGE, n * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p) ==
	    MAP_FAILED)
		fail("mremap back", errno);
	munmap(q, n * PAGE);
}

/* Pages of another place, some of them read-only because a child shares them. */
static void op_mremap_foreign(void)
{
	unsigned int n;
	char *p = pages(8, &n), *q = t_map(n * PAGE);
	pid_t pid;

	fill(q, n * PAGE);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	munmap(p, n * PAGE);
	skip();
	if (mremap(q, n * PAGE, n * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p) == MAP_FAILED)
		fail("mremap in", errno);
	check();
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void op_mmap_over(void)
{
	unsigned int n;
	char *p = pages(16, &n);

	munmap(p, n * PAGE);
	if (rnd(2))
		skip();
	if (mmap(p, n * PAGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != p)
		fail("mmap", errno);
	if (rnd(2))
		fill(p, PAGE);
}

static void op_fork(void)
{
	pid_t pid = fork();

	if (!pid) {
		memset(t.m, rnd(256), 16 * PAGE);
		_exit(0);
	}
	if (rnd(2))
		op_store();
	waitpid(pid, NULL, 0);
}

static void op_fork_stays(void)
{
	if (t.child > 0) {
		kill(t.child, SIGKILL);
		waitpid(t.child, NULL, 0);
		t.child = 0;
		return;
	}
	t.child = fork();
	if (!t.child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
}

static void op_clear_refs(void)
{
	if (t_write_file("/proc/self/clear_refs", rnd(2) ? "4" : "1"))
		fail("clear_refs", errno);
}

static void op_ksm(void)
{
	unsigned int n, i;
	char *p = pages(16, &n);

	for (i = 0; i < n; i++)
		memset(p + i * PAGE, 42, PAGE);
	madvise(p, n * PAGE, MADV_MERGEABLE);
	usleep(20000);
	if (rnd(2))
		check();
	if (rnd(2))
		p[rnd(n * PAGE)]++;
	if (rnd(2))
		madvise(p, n * PAGE, MADV_UNMERGEABLE);
}

static int uffd_open(void *p, size_t len, uint64_t mode)
{
	struct uffdio_api api = { .api = UFFD_API };
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
	fd = uffd_open(p, n * PAGE, UFFDIO_REGISTER_MODE_WP);
	if (fd < 0)
		return;
	ioctl(fd, UFFDIO_WRITEPROTECT, &wp);
	if (rnd(2))
		check();
	wp.mode = 0;
	ioctl(fd, UFFDIO_WRITEPROTECT, &wp);
	close(fd);
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

	fill(buf, PAGE);
	madvise(p, PAGE, MADV_DONTNEED);
	check();
	fd = uffd_open(p, PAGE, UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP);
	if (fd < 0)
		return;
	if (ioctl(fd, UFFDIO_COPY, &copy) == 0)
		check();
	close(fd);
}

static void op_mlock(void)
{
	unsigned int n;
	char *p = pages(32, &n);

	if (rnd(2))
		mlock(p, n * PAGE);
	else
		munlock(p, n * PAGE);
}

/* A device writes, and is done before the call returns. */
static void op_direct(void)
{
	unsigned int n;
	char *p = pages(8, &n);

	if (t.disk < 0)
		return;
	behind(p, n);
	if (pread(t.disk, p, n * PAGE, rnd(256) * PAGE) != (ssize_t)(n * PAGE))
		fail("O_DIRECT", errno);
}

/* Pages that stay pinned over several cuts, written in between. */
static void op_pinned(void)
{
	unsigned int n, i;
	char *p = pages(4, &n);
	struct t_uring u;

	if (t.disk < 0 || t_uring_open(&u))
		return;
	if (t_uring_pin(&u, p, n * PAGE) == 0) {
		for (i = 0; i < 3; i++) {
			behind(p, n);
			if (t_uring_read_fixed(&u, t.disk, p, n * PAGE,
					       rnd(256) * PAGE) < 0)
				fail("a read into pinned pages", -1);
			check();
			if (rnd(2))
				fill(p, n * PAGE);
		}
	}
	t_uring_close(&u);
}

static void op_vmsplice(void)
{
	unsigned int n;
	char *p = pages(4, &n);
	struct iovec iov = { .iov_base = p, .iov_len = n * PAGE };
	static char buf[4 * PAGE];
	int fds[2];

	if (pipe(fds))
		return;
	if (vmsplice(fds[1], &iov, 1, 0) < 0)
		fail("vmsplice", errno);
	check();
	fill(p, n * PAGE);
	check();
	if (read(fds[0], buf, sizeof(buf)) < 0)
		fail("read of a pipe", errno);
	close(fds[0]);
	close(fds[1]);
}

static void op_range(void)
{
	unsigned int n;
	char *p = pages(64, &n);

	if (t_del(t.fd, p, n * PAGE))
		fail("RANGE_DEL", -1);
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

	op_store();
	fd = t_snapshot(t.fd, CPTDEV_SNAPSHOT_SINCE, 0, NULL);
	if (fd < 0)
		fail("a full snapshot fails", fd);
	close(fd);
	t.skipped = true;
}

static const struct op {
	const char *name;
	void (*fn)(void);
	unsigned int weight;
} ops[] = {
	{ "store", op_store, 20 },
	{ "store-one", op_store_one, 20 },
	{ "recv", op_read, 6 },
	{ "process_vm_writev", op_vm_writev, 6 },
	{ "proc-mem", op_proc_mem, 6 },
	{ "proc-mem-readonly", op_proc_mem_readonly, 3 },
	{ "mprotect-none", op_mprotect_none, 2 },
	{ "dontneed", op_dontneed, 6 },
	{ "free", op_free, 3 },
	{ "pageout", op_pageout, 6 },
	{ "touch", op_touch, 6 },
	{ "collapse", op_collapse, 1 },
	{ "huge-new", op_huge_new, 2 },
	{ "mremap-away", op_mremap_away, 4 },
	{ "mremap-foreign", op_mremap_foreign, 2 },
	{ "mmap-over", op_mmap_over, 4 },
	{ "fork", op_fork, 2 },
	{ "fork-stays", op_fork_stays, 2 },
	{ "clear-refs", op_clear_refs, 2 },
	{ "ksm", op_ksm, 1 },
	{ "uffd-wp", op_uffd_wp, 2 },
	{ "uffd-copy", op_uffd_copy, 2 },
	{ "mlock", op_mlock, 2 },
	{ "direct", op_direct, 4 },
	{ "pinned", op_pinned, 2 },
	{ "vmsplice", op_vmsplice, 2 },
	{ "range", op_range, 3 },
	{ "full", op_full, 2 },
};

#define NR_OPS	(sizeof(ops) / sizeof(ops[0]))

static uint64_t done[NR_OPS];

static unsigned int pick(void)
{
	unsigned int i, sum = 0, at;

	for (i = 0; i < NR_OPS; i++)
		sum += ops[i].weight;
	at = rnd(sum);
	for (i = 0; at >= ops[i].weight; i++)
		at -= ops[i].weight;
	return i;
}

static int find_op(const char *name)
{
	unsigned int i;

	for (i = 0; i < NR_OPS; i++)
		if (!strcmp(ops[i].name, name))
			return i;
	return -1;
}

static void set_up(void)
{
	unsigned int i;
	char *small;

	t.fd = t_open();
	if (t.fd < 0)
		ksft_exit_fail_msg("%s: %s\n", CPTDEV_DEVICE, strerror(-t.fd));
	t.mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	t.disk = open("/dev/vda", O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (t.disk < 0)
		ksft_print_msg("no disk: no O_DIRECT, no pinned pages\n");
	t_swap_on("/dev/vdb");
	t_write_file("/sys/kernel/mm/ksm/run", "1");
	t_write_file("/sys/kernel/mm/ksm/sleep_millisecs", "5");

	/* One piece of memory: ordinary pages below, huge ones above the border. */
	small = t_map_huge(HUGE * 2 + HUGE_PAGES * PAGE);
	t.m = small + 2 * HUGE - SMALL_PAGES * PAGE;
	madvise(t.m, SMALL_PAGES * PAGE, MADV_NOHUGEPAGE);
	for (i = 0; i < PAGES; i++)
		if (rnd(4))
			t.m[i * PAGE] = i;
	if (t_add(t.fd, t.m, PAGES * PAGE))
		ksft_exit_fail_msg("RANGE_ADD fails\n");
	ksft_print_msg("memory at %p\n", t.m);
	t.image = t_image_new(t.m, PAGES * PAGE);
	t.shadow = malloc(PAGES * PAGE);
	t.silent = calloc(PAGES, sizeof(*t.silent));
	memcpy(t.shadow, t.m, PAGES * PAGE);
	check_scan();
}

int main(int argc, char **argv)
{
	uint64_t epochs = 2000, first = 1;
	int opt, only = -1;
	unsigned int i;

	while ((opt = getopt(argc, argv, "e:s:o:v")) != -1) {
		if (opt == 'e')
			epochs = strtoull(optarg, NULL, 0);
		else if (opt == 's')
			first = strtoull(optarg, NULL, 0) | 1;
		else if (opt == 'o' && find_op(optarg) >= 0)
			only = find_op(optarg);
		else if (opt == 'v')
			verbose = true;
		else
			ksft_exit_fail_msg("exact [-e EPOCHS] [-s SEED] [-o OP] [-v]\n");
	}
	seed = first;
	ksft_print_header();
	ksft_set_plan(3);
	ksft_print_msg("seed %llu, %llu epochs\n", (unsigned long long)first,
		       (unsigned long long)epochs);
	set_up();
	for (t.epoch = 1; t.epoch <= epochs && !t.failed; t.epoch++) {
		unsigned int n = 1 + rnd(5);

		while (n--) {
			unsigned int op = only < 0 ? pick() : (unsigned int)only;

			if (verbose)
				ksft_print_msg("%llu %s\n", (unsigned long long)t.epoch,
					       ops[op].name);
			ops[op].fn();
			done[op]++;
		}
		check();
		if (rnd(3) == 0)
			check_scan();
	}
	for (i = 0; i < KEEP; i++)
		if (t.kept[i].copy)
			kept_check(&t.kept[i]);
	if (t.child > 0)
		kill(t.child, SIGKILL);
	for (i = 0; i < NR_OPS; i++)
		ksft_print_msg("%-18s %llu\n", ops[i].name, (unsigned long long)done[i]);
	ksft_print_msg("snapshots %llu, pages %llu, of them unchanged %llu (%.1f %%)\n",
		       (unsigned long long)t.snapshots, (unsigned long long)t.reported,
		       (unsigned long long)t.unchanged,
		       t.reported ? 100.0 * t.unchanged / t.reported : 0);
	ksft_test_result(t.missed == 0, "no change was missed\n");
	ksft_test_result(!t.failed, "nothing else failed\n");
	ksft_test_result(t.epoch == epochs + 1, "all epochs were run\n");
	ksft_finished();
}
