// SPDX-License-Identifier: GPL-2.0-only
/*
 * Cuts and scans of many page tables, begun and ended in the midst of one: which pages are
 * found, each once, with what they had. The tables are of all sorts: unchanged, changed in a
 * word or in each, with pages in flight between plain ones, with holes. The seed is printed;
 * SEED=n in the environment repeats a run.
 */
#include <fcntl.h>
#include <sys/uio.h>
#include <time.h>

#include "cptdev_test.h"
#include "harness.h"

/* More than the module sweeps at a time, and it begins and ends within a table. */
#define TABLES	40UL
#define FIRST	100UL			/* page of the first table */
#define PAGES	(TABLES * 512 - FIRST - 50)
#define ROUNDS	40
#define FLYING	6			/* pages in flight at a time */

FIXTURE(tables) {
	int fd;
	char *m;
	bool *written, *scanned, *seen;
	bool *pinned;			/* in flight at the last cut */
	uint64_t random;
	uint64_t stamp;
	int pipe[2];
	size_t flying[FLYING];
	unsigned int nr_flying;
};

FIXTURE_SETUP(tables)
{
	char *start = t_map_huge((TABLES + 1) * HUGE);
	const char *seed = getenv("SEED");
	size_t i;

	ASSERT_NE(NULL, start);
	madvise(start, (TABLES + 1) * HUGE, MADV_NOHUGEPAGE);
	self->m = start + FIRST * PAGE;
	for (i = 0; i < PAGES; i++)
		memset(self->m + i * PAGE, 1, 8);
	self->written = calloc(PAGES, 1);
	self->scanned = calloc(PAGES, 1);
	self->seen = calloc(PAGES, 1);
	self->pinned = calloc(PAGES, 1);
	self->random = seed ? strtoull(seed, NULL, 0) : time(NULL) * 2654435761U + getpid();
	TH_LOG("SEED=%llu", (unsigned long long)self->random);
	self->fd = t_open();
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, t_add(self->fd, self->m, PAGES * PAGE));
	self->pipe[0] = -1;
}

FIXTURE_TEARDOWN(tables)
{
	close(self->fd);
}

static size_t pick(FIXTURE_DATA(tables) *self, size_t n)
{
	return t_random(&self->random) % n;
}

static void write_page(FIXTURE_DATA(tables) *self, size_t page)
{
	memcpy(self->m + page * PAGE, &self->stamp, 8);
	self->written[page] = self->scanned[page] = true;
}

static void write_run(FIXTURE_DATA(tables) *self, size_t page, size_t n)
{
	for (; n && page < PAGES; page++, n--)
		write_page(self, page);
}

/* Some tables not at all, some in a few runs, some all over. */
static void write_tables(FIXTURE_DATA(tables) *self)
{
	size_t table, i, n;

	self->stamp = t_random(&self->random);
	for (table = 0; table < TABLES; table++) {
		n = pick(self, 3);
		n = n == 0 ? 0 : n == 1 ? 1 + pick(self, 5) : pick(self, 100);
		for (i = 0; i < n; i++)
			write_run(self, pick(self, 512) + table * 512, 1 + pick(self, 6));
	}
}

/* A pipe takes references; the pages have been written, or the next cut wouldn't ask. */
static void let_fly(struct __test_metadata *_metadata, FIXTURE_DATA(tables) *self)
{
	unsigned int i;

	ASSERT_EQ(0, pipe(self->pipe));
	for (i = 0; i < FLYING; i++) {
		struct iovec iov;

		self->flying[i] = i * (PAGES / FLYING) + pick(self, PAGES / FLYING);
		write_run(self, self->flying[i] < 2 ? 0 : self->flying[i] - 2, 5);
		iov.iov_base = self->m + self->flying[i] * PAGE;
		iov.iov_len = PAGE;
		ASSERT_EQ((ssize_t)PAGE, vmsplice(self->pipe[1], &iov, 1, 0));
	}
	self->nr_flying = FLYING;
}

static void land(FIXTURE_DATA(tables) *self)
{
	close(self->pipe[0]);
	close(self->pipe[1]);
	self->pipe[0] = -1;
	self->nr_flying = 0;
}

/* Mark what an answer has; false if anything is there twice, or isn't ours. */
static bool see(FIXTURE_DATA(tables) *self, uint64_t addr, uint64_t len)
{
	size_t page = (addr - (unsigned long)self->m) / PAGE, n = len / PAGE;

	for (; n; n--, page++) {
		if (page >= PAGES || self->seen[page])
			return false;
		self->seen[page] = true;
	}
	return true;
}

/* The first page that should be there and isn't, or the other way round, or -1. */
static long differs(FIXTURE_DATA(tables) *self, const bool *one, const bool *other)
{
	size_t i;

	for (i = 0; i < PAGES; i++)
		if (self->seen[i] != (one[i] || (other && other[i])))
			return i;
	return -1;
}

static void check_scan(struct __test_metadata *_metadata, FIXTURE_DATA(tables) *self)
{
	static struct cptdev_region v[PAGES];
	struct cptdev_scan arg = {
		.size = sizeof(arg), .flags = CPTDEV_SCAN_CLEAR_DIRTY,
		.anyof = CPTDEV_PAGE_DIRTY, .report = CPTDEV_PAGE_DIRTY,
		.vec = (unsigned long)v, .vec_len = PAGES,
	};
	unsigned int i;

	ASSERT_EQ(0, t_ioctl(self->fd, CPTDEV_IOC_SCAN, &arg));
	EXPECT_EQ(PAGES, arg.pages);
	memset(self->seen, 0, PAGES);
	for (i = 0; i < arg.nr; i++)
		ASSERT_TRUE(see(self, v[i].start, v[i].end - v[i].start));
	ASSERT_EQ(-1, differs(self, self->scanned, NULL));
	memset(self->scanned, 0, PAGES);
}

/* What is in the snapshot is what is in memory now: nobody has written since. */
static void check_content(struct __test_metadata *_metadata, FIXTURE_DATA(tables) *self,
			  int fd, const struct cptdev_extent *e, off_t *pos)
{
	uint64_t i, stamp;

	for (i = 0; i < e->len; i += PAGE, *pos += PAGE) {
		ASSERT_EQ(8, pread(fd, &stamp, 8, *pos));
		ASSERT_EQ(0, memcmp(&stamp, (char *)e->addr + i, 8));
	}
}

static void check_cut(struct __test_metadata *_metadata, FIXTURE_DATA(tables) *self)
{
	struct cptdev_snapshot s;
	int fd = t_snapshot(self->fd, 0, 0, &s);
	struct cptdev_extent *v;
	uint64_t sum = 0;
	off_t pos = 0;
	size_t nr, i;

	ASSERT_LE(0, fd);
	EXPECT_EQ(PAGES, s.visited);
	EXPECT_EQ(self->nr_flying, s.copied);
	memset(self->seen, 0, PAGES);
	v = t_extents(fd, &nr);
	for (i = 0; i < nr; i++) {
		ASSERT_EQ(CPTDEV_EXTENT_DATA, v[i].kind);
		ASSERT_TRUE(see(self, v[i].addr, v[i].len));
		check_content(_metadata, self, fd, &v[i], &pos);
		sum += v[i].len / PAGE;
	}
	EXPECT_EQ(sum, s.pages);
	ASSERT_EQ(-1, differs(self, self->written, self->pinned));
	free(v);
	close(fd);
	memset(self->written, 0, PAGES);
	memset(self->pinned, 0, PAGES);
	for (i = 0; i < self->nr_flying; i++)
		self->pinned[self->flying[i]] = true;
}

TEST_F_TIMEOUT(tables, each_page_once, 300)
{
	unsigned int round;

	memset(self->written, 1, PAGES);
	memset(self->scanned, 1, PAGES);
	check_scan(_metadata, self);
	check_cut(_metadata, self);
	for (round = 0; round < ROUNDS; round++) {
		write_tables(self);
		if (round % 4 == 1)
			let_fly(_metadata, self);
		else if (round % 4 == 3)
			land(self);
		if (round % 5)
			check_scan(_metadata, self);
		check_cut(_metadata, self);
	}
}

/* Holes and what fills them, in tables that are otherwise as above. */
TEST_F_TIMEOUT(tables, holes_among_them, 300)
{
	struct cptdev_snapshot s;
	struct t_image *im = t_image_new(self->m, PAGES * PAGE);
	unsigned int round, i;
	int fd;

	for (round = 0; round < ROUNDS / 4; round++) {
		fd = t_snapshot(self->fd, 0, 0, &s);
		ASSERT_LE(0, fd);
		EXPECT_EQ(PAGES, s.visited);
		ASSERT_EQ(0, t_image_apply(im, fd));
		ASSERT_EQ(-1, t_image_differs(im, self->m));
		close(fd);
		write_tables(self);
		for (i = 0; i < 20; i++) {
			size_t page = pick(self, PAGES - 40);

			madvise(self->m + page * PAGE, (1 + pick(self, 40)) * PAGE,
				MADV_DONTNEED);
			write_run(self, pick(self, PAGES), 3);
		}
	}
	t_image_free(im);
}

TEST_HARNESS_MAIN
