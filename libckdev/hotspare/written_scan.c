// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libhotspare: what was written, by PAGEMAP_SCAN, since Linux 6.7: the kernel takes the
 * right to write from each page that has it, and says which did
 * (Documentation/admin-guide/mm/pagemap.rst in the kernel's source). A page that is written
 * to later gets it back, as after a fork.
 *
 * The scan and the fork are two moments, and other threads go on between them. What they
 * write there is in the cut, and belongs to the next scan. So there is a second one, behind
 * the fork, that takes nothing away: its pages count for both.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "own.h"
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

/* It fails where there is a mapping that it can't take the right to write from. */
#define TAKE	(PM_SCAN_WP_MATCHING | (mutant(HS_NO_CHECK) ? 0 : PM_SCAN_CHECK_WPASYNC))

static int uffd, pagemap;

static int open_both(struct hs_error *e)
{
	uffd = hs_written_uffd(UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED, e);
	if (uffd < 0)
		return -1;
	pagemap = open("/proc/thread-self/pagemap", O_RDONLY | O_CLOEXEC);
	hs_own(uffd, "userfaultfd");
	hs_own(pagemap, "pagemap");
	if (pagemap >= 0)
		return 0;
	hs_own_close(&uffd);
	return hs_fail(e, errno, "/proc/thread-self/pagemap: %s", strerror(errno));
}

static void close_both(void)
{
	hs_own_close(&uffd);
	hs_own_close(&pagemap);
}

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
		n = ioctl(pagemap, PAGEMAP_SCAN, &arg);
		for (i = 0; i < n; i++)
			if (hs_written_mark(v[i].start, v[i].end))
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

	if (hs_written_mark(start, end))
		return -1;
	if (!ioctl(uffd, UFFDIO_REGISTER, &reg) && !ioctl(uffd, UFFDIO_WRITEPROTECT, &clear))
		scan(start, end, TAKE);
	return 0;
}

static int first_scan(const struct hs_intervals *saved)
{
	const struct hs_interval *v = saved->v;
	size_t i;

	for (i = 0; i < saved->nr; i++)
		if (scan(v[i].start, v[i].end, TAKE) && begin(v[i].start, v[i].end))
			return -1;
	return 0;
}

static int second_scan(const struct hs_intervals *saved)
{
	const struct hs_interval *v = saved->v;
	size_t i;

	if (mutant(HS_NO_SECOND_SCAN))
		return 0;
	for (i = 0; i < saved->nr; i++)
		if (scan(v[i].start, v[i].end, 0))
			return -1;
	return 0;
}

const struct hs_teller hs_teller_scan = {
	.name = "PAGEMAP_SCAN",
	.open = open_both,
	.close = close_both,
	.before = first_scan,
	.behind = second_scan,
};
