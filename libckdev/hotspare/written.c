// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libhotspare: what was written since a cut, by PAGEMAP_SCAN: the kernel takes the right to
 * write from each page that has it, and says which did (Documentation/admin-guide/mm/pagemap.rst
 * in the kernel's source). A page that is written to later gets it back, as after a fork.
 *
 * The scan and the fork are two moments, and other threads go on between them. What they
 * write there is in the cut, and belongs to the next scan. So there is a second one, behind
 * the fork, that takes nothing away: its pages count for both.
 *
 * A device writes to memory that it was given before, and no scan sees it. While a transfer
 * is under way its page was written, to the kernel's knowledge, not long ago: such pages are
 * given as changed for a while.
 *
 * Pages have a mark: the generation of the last cut before which they were written. The
 * marks are in a file without a name, sparse, by page number.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "arena.h"
#include "written.h"

/* As in linux/fs.h and linux/userfaultfd.h of 6.7: the headers of older systems lack it. */
#ifndef PAGEMAP_SCAN
#define PAGEMAP_SCAN		_IOWR('f', 16, struct pm_scan_arg)
#define PAGE_IS_WRITTEN		(1 << 1)
#define PM_SCAN_WP_MATCHING	(1 << 0)
#define PM_SCAN_CHECK_WPASYNC	(1 << 1)

struct page_region {
	uint64_t start, end, categories;
};

struct pm_scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
#endif
#ifndef UFFD_FEATURE_WP_UNPOPULATED
#define UFFD_FEATURE_WP_UNPOPULATED	(1 << 13)
#endif
#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC		(1 << 15)
#endif
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY		1
#endif

#define MARKS_LEN	((off_t)((1ULL << 47) / HS_PAGE * sizeof(uint64_t)))
/* Longer than a disk takes, its own attempts to recover included. Tests have it shorter. */
uint64_t hs_written_lately_ns = 30000000000;

static struct {
	pid_t pid;			/* whose memory they are for; 0: not tried yet */
	int uffd, pagemap, marks;
	struct hs_error why_not;	/* "": all three are there */
	bool refused;
	uint64_t generation;
	uint64_t floor;			/* of what was written before this one nothing is known; 0:
					 * nor of what was after it
					 */
	uint64_t lately, turn, turn_ns;	/* see begin_turn() */
	struct hs_intervals saved;	/* whole pages */
	int told[2];			/* the child hears when it can begin; -1: there is no pipe */
	bool known;			/* the marks are right */
} w = { .uffd = -1, .pagemap = -1, .marks = -1, .told = { -1, -1 } };

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static int open_uffd(void)
{
	struct uffdio_api api = {
		.api = UFFD_API,
		.features = UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED,
	};

	w.uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
	if (w.uffd < 0)
		return hs_fail(&w.why_not, errno, "userfaultfd: %s", strerror(errno));
	if (ioctl(w.uffd, UFFDIO_API, &api))
		return hs_fail(&w.why_not, errno, "it needs Linux 6.7");
	return 0;
}

/* A process that was forked has memory of its own: what its parent has opened isn't for it. */
static bool have(void)
{
	if (w.pid && (w.pid == getpid() || mutant(HS_NO_FORK)))
		return !w.why_not.text[0];
	close_fd(&w.uffd);
	close_fd(&w.pagemap);
	close_fd(&w.marks);
	w.pid = getpid();
	w.why_not.text[0] = 0;
	w.floor = 0;
	if (w.refused) {
		hs_fail(&w.why_not, 0, "as was asked for");
	} else if (!open_uffd()) {
		w.pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
		w.marks = memfd_create("hotspare-marks", MFD_CLOEXEC);
		if (w.pagemap < 0 || w.marks < 0 || ftruncate(w.marks, MARKS_LEN))
			hs_fail(&w.why_not, errno, "%s", strerror(errno));
	}
	if (w.why_not.text[0])
		close_fd(&w.uffd);
	return !w.why_not.text[0];
}

const char *hs_written_not(void)
{
	return have() ? NULL : w.why_not.text;
}

void hs_written_refuse(void)
{
	w.refused = true;
	w.pid = 0;
}

/*
 * Marks
 */

static off_t place_of(uint64_t addr)
{
	return (off_t)(addr / HS_PAGE * sizeof(uint64_t));
}

static int mark(uint64_t start, uint64_t end)
{
	uint64_t v[HS_WRITTEN_PAGES], n, len, i;

	for (i = 0; i < HS_WRITTEN_PAGES && i < (end - start) / HS_PAGE; i++)
		v[i] = w.generation;
	for (; start < end; start += n * HS_PAGE) {
		n = (end - start) / HS_PAGE;
		if (n > HS_WRITTEN_PAGES)
			n = HS_WRITTEN_PAGES;
		len = n * sizeof(v[0]);
		if (pwrite(w.marks, v, len, place_of(start)) != (ssize_t)len)
			return -1;
	}
	return 0;
}

/* Pages that were written within the last hs_written_lately_ns have at least w.lately. */
static void begin_turn(void)
{
	struct timespec t;
	uint64_t now;

	clock_gettime(CLOCK_MONOTONIC, &t);
	now = (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
	if (w.turn_ns && now - w.turn_ns < hs_written_lately_ns)
		return;
	w.lately = w.turn_ns ? w.turn : w.generation;
	w.turn = w.generation;
	w.turn_ns = now;
}

/*
 * Scans
 */

/* It fails where there is a mapping that it can't take the right to write from. */
#define TAKE	(PM_SCAN_WP_MATCHING | (mutant(HS_NO_CHECK) ? 0 : PM_SCAN_CHECK_WPASYNC))

/* Returns 0, or -1 with errno: some may have lost what told that they were written. */
static int scan(uint64_t start, uint64_t end, uint64_t flags)
{
	struct page_region v[128];
	struct pm_scan_arg arg = {
		.size = sizeof(arg), .flags = flags, .start = start, .end = end,
		.vec = (uintptr_t)v, .vec_len = sizeof(v) / sizeof(v[0]),
		.category_mask = PAGE_IS_WRITTEN, .return_mask = PAGE_IS_WRITTEN,
	};
	int i, n;

	for (; arg.start < end; arg.start = arg.walk_end) {
		n = ioctl(w.pagemap, PAGEMAP_SCAN, &arg);
		for (i = 0; i < n; i++)
			if (mark(v[i].start, v[i].end))
				return -1;
		if (n < 0)
			return -1;
	}
	return 0;
}

/*
 * Mappings that are new there, or that nothing is known of. What marks of the kernel's they
 * may have brought along is taken away. If that fails they count as written each time.
 */
static int begin(uint64_t start, uint64_t end)
{
	struct uffdio_register reg = {
		.range = { start, end - start }, .mode = UFFDIO_REGISTER_MODE_WP,
	};
	struct uffdio_writeprotect clear = { .range = reg.range };

	if (mark(start, end))
		return -1;
	if (!ioctl(w.uffd, UFFDIO_REGISTER, &reg) && !ioctl(w.uffd, UFFDIO_WRITEPROTECT, &clear))
		scan(start, end, TAKE);
	return 0;
}

static int first_scan(void)
{
	const struct hs_interval *v = w.saved.v;
	size_t i;

	for (i = 0; i < w.saved.nr; i++)
		if (scan(v[i].start, v[i].end, TAKE) && begin(v[i].start, v[i].end))
			return -1;
	return 0;
}

static int second_scan(void)
{
	const struct hs_interval *v = w.saved.v;
	size_t i;

	if (mutant(HS_NO_SECOND_SCAN))
		return 0;
	for (i = 0; i < w.saved.nr; i++)
		if (scan(v[i].start, v[i].end, 0))
			return -1;
	return 0;
}

void hs_written_before(const struct hs_ranges *ranges, uint64_t generation)
{
	w.known = false;
	if (!have())
		return;
	w.generation = generation;
	if (!w.floor)
		w.floor = generation;
	begin_turn();
	w.saved.nr = 0;
	if (pipe2(w.told, O_CLOEXEC))
		w.told[0] = w.told[1] = -1;
	if (hs_saved_pages(&w.saved, ranges) || first_scan())
		w.floor = generation;
	if (mutant(HS_WIDEN))
		usleep(3000);
}

void hs_written_after(void)
{
	/* Who doesn't hear it takes all for changed. */
	if (w.told[1] >= 0 && !second_scan())
		(void)!write(w.told[1], "", 1);
	close_fd(&w.told[0]);
	close_fd(&w.told[1]);
}

void hs_written_wait(void)
{
	ssize_t n;
	char c;

	close_fd(&w.told[1]);
	if (w.told[0] < 0)
		return;
	do
		n = read(w.told[0], &c, 1);
	while (n < 0 && errno == EINTR);
	w.known = n == 1;
	close_fd(&w.told[0]);
}

int hs_written_since(uint64_t base, const char *addr, size_t nr, bool *maybe)
{
	uint64_t v[HS_WRITTEN_PAGES];
	size_t len = nr * sizeof(v[0]), i;

	if (!w.known || !base || base < w.floor) {
		memset(maybe, true, nr * sizeof(*maybe));
		return 0;
	}
	if (pread(w.marks, v, len, place_of((uintptr_t)addr)) != (ssize_t)len)
		return -1;
	for (i = 0; i < nr; i++)
		maybe[i] = v[i] > base || (v[i] >= w.lately && !mutant(HS_NO_LATELY));
	return 0;
}
