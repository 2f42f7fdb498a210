// SPDX-License-Identifier: GPL-2.0-only
/*
 * SCAN: categories, clearing, filters, resuming, errors that lose nothing, huge pages,
 * swap, files. What it promises under load is the matter of scan_oracle.
 */
#include <sys/resource.h>

#include "cptdev_test.h"
#include "slow.h"
#include "harness.h"

#define PAGES	64UL
#define LEN	(PAGES * PAGE)
#define DIRTY	CPTDEV_PAGE_DIRTY
#define CLEAR	CPTDEV_SCAN_CLEAR_DIRTY

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

FIXTURE(scan) {
	int fd;
	char *m;
	struct cptdev_region v[256];
	struct cptdev_scan s;
};

FIXTURE_SETUP(scan)
{
	self->fd = t_open();
	ASSERT_LE(0, self->fd);
	self->m = t_map(LEN);
	ASSERT_EQ(0, t_add(self->fd, self->m, LEN));
}

FIXTURE_TEARDOWN(scan)
{
	close(self->fd);
}

/* The answer as text: "first-last categories, ...", D A C H S F. */
static const char *scan(FIXTURE_DATA(scan) *self, uint32_t flags, uint64_t anyof,
			uint64_t report)
{
	static char text[2048];
	unsigned int i, j, n = 0;
	int ret;

	self->s = (struct cptdev_scan) {
		.size = sizeof(self->s), .flags = flags, .anyof = anyof,
		.report = report, .vec = (unsigned long)self->v, .vec_len = 256,
	};
	ret = t_ioctl(self->fd, CPTDEV_IOC_SCAN, &self->s);
	if (ret)
		return strerror(-ret);
	text[0] = 0;
	for (i = 0; i < self->s.nr; i++) {
		const struct cptdev_region *r = &self->v[i];

		n += snprintf(text + n, sizeof(text) - n, "%s%llu-%llu ", i ? ", " : "",
			      (r->start - (unsigned long)self->m) / PAGE,
			      (r->end - (unsigned long)self->m) / PAGE - 1);
		for (j = 0; j < 6; j++)
			if (r->categories & (1ULL << j))
				text[n++] = "DACHSF"[j];
		text[n] = 0;
	}
	return text;
}

static const char *dirty(FIXTURE_DATA(scan) *self, uint32_t flags)
{
	return scan(self, flags, DIRTY, DIRTY);
}

TEST_F(scan, holes_and_first_time)
{
	EXPECT_STREQ("0-63 H", scan(self, 0, 0, 0));
	self->m[10 * PAGE] = 1;
	self->m[11 * PAGE] = 1;
	EXPECT_STREQ("0-9 H, 10-11 DA, 12-63 H", scan(self, 0, 0, 0));
	/* Asking doesn't change anything. */
	EXPECT_STREQ("0-9 H, 10-11 DA, 12-63 H", scan(self, 0, 0, 0));
	EXPECT_EQ(2ULL, self->s.dirty);
	EXPECT_EQ(PAGES, self->s.pages);
}

TEST_F(scan, clear)
{
	memset(self->m, 1, LEN);
	EXPECT_STREQ("0-63 D", dirty(self, CLEAR));
	EXPECT_STREQ("", dirty(self, CLEAR));
	EXPECT_STREQ("0-63 AC", scan(self, 0, 0, 0));
	self->m[5 * PAGE]++;
	self->m[63 * PAGE]++;
	EXPECT_STREQ("5-5 D, 63-63 D", dirty(self, 0));
	EXPECT_STREQ("5-5 D, 63-63 D", dirty(self, CLEAR));
	EXPECT_STREQ("", dirty(self, CLEAR));
	EXPECT_EQ(0ULL, self->s.dirty);
}

TEST_F(scan, reading_is_no_change)
{
	unsigned int i;
	volatile char c;

	memset(self->m, 1, LEN);
	dirty(self, CLEAR);
	for (i = 0; i < PAGES; i++)
		c = self->m[i * PAGE];
	(void)c;
	EXPECT_STREQ("", dirty(self, 0));
}

TEST_F(scan, accessed)
{
	volatile char c;

	memset(self->m, 1, LEN);
	EXPECT_STREQ("0-63 A", scan(self, CPTDEV_SCAN_CLEAR_ACCESSED,
				    CPTDEV_PAGE_ACCESSED, CPTDEV_PAGE_ACCESSED));
	EXPECT_STREQ("", scan(self, 0, CPTDEV_PAGE_ACCESSED, CPTDEV_PAGE_ACCESSED));
	c = self->m[7 * PAGE];
	(void)c;
	EXPECT_STREQ("7-7 A", scan(self, 0, CPTDEV_PAGE_ACCESSED, CPTDEV_PAGE_ACCESSED));
	/* The other mark isn't touched. */
	EXPECT_STREQ("0-63 D", dirty(self, CLEAR));
	EXPECT_STREQ("7-7 A", scan(self, 0, CPTDEV_PAGE_ACCESSED, CPTDEV_PAGE_ACCESSED));
}

TEST_F(scan, only_what_is_reported_is_cleared)
{
	memset(self->m, 1, LEN);
	self->s = (struct cptdev_scan) {
		.size = sizeof(self->s), .flags = CLEAR, .anyof = DIRTY, .report = DIRTY,
		.vec = (unsigned long)self->v, .vec_len = 256,
		.start = (unsigned long)self->m + 8 * PAGE,
		.end = (unsigned long)self->m + 16 * PAGE,
	};
	ASSERT_EQ(0, t_ioctl(self->fd, CPTDEV_IOC_SCAN, &self->s));
	EXPECT_EQ(8ULL, self->s.dirty);
	EXPECT_EQ(self->s.end, self->s.walk_end);
	EXPECT_STREQ("0-7 D, 16-63 D", dirty(self, 0));
	/* What doesn't match stays as it is. */
	EXPECT_STREQ("", scan(self, CLEAR, CPTDEV_PAGE_HOLE, 0));
	EXPECT_STREQ("0-7 D, 16-63 D", dirty(self, 0));
}

TEST_F(scan, resume)
{
	unsigned int i, seen = 0;

	memset(self->m, 1, LEN);
	dirty(self, CLEAR);
	for (i = 0; i < PAGES; i += 2)
		self->m[i * PAGE]++;
	self->s = (struct cptdev_scan) {
		.size = sizeof(self->s), .flags = CLEAR, .anyof = DIRTY, .report = DIRTY,
		.vec = (unsigned long)self->v, .vec_len = 5,
	};
	do {
		self->s.end = 0;
		ASSERT_EQ(0, t_ioctl(self->fd, CPTDEV_IOC_SCAN, &self->s));
		for (i = 0; i < self->s.nr; i++) {
			EXPECT_EQ((unsigned long)self->m + seen * PAGE, self->v[i].start);
			EXPECT_EQ(self->v[i].start + PAGE, self->v[i].end);
			seen += 2;
		}
		self->s.start = self->s.walk_end;
	} while (self->s.walk_end < (unsigned long)self->m + LEN);
	EXPECT_EQ(PAGES, seen);
	EXPECT_STREQ("", dirty(self, 0));
}

TEST_F(scan, no_vector)
{
	memset(self->m, 1, LEN);
	self->s = (struct cptdev_scan) { .size = sizeof(self->s) };
	ASSERT_EQ(0, t_ioctl(self->fd, CPTDEV_IOC_SCAN, &self->s));
	EXPECT_EQ(PAGES, self->s.dirty);
	self->s = (struct cptdev_scan) { .size = sizeof(self->s), .flags = CLEAR };
	ASSERT_EQ(0, t_ioctl(self->fd, CPTDEV_IOC_SCAN, &self->s));
	EXPECT_EQ(PAGES, self->s.dirty);
	EXPECT_STREQ("", dirty(self, 0));
}

TEST_F(scan, wrong_fields)
{
	struct cptdev_scan s = { .size = sizeof(s) };

	s.start = 1;
	EXPECT_EQ(-EINVAL, t_ioctl(self->fd, CPTDEV_IOC_SCAN, &s));
	s.start = 0;
	s.end = 1;
	EXPECT_EQ(-EINVAL, t_ioctl(self->fd, CPTDEV_IOC_SCAN, &s));
	s.start = 2 * PAGE;
	s.end = PAGE;
	EXPECT_EQ(-EINVAL, t_ioctl(self->fd, CPTDEV_IOC_SCAN, &s));
	s.start = 0;
	s.end = ~0ULL << 12;
	EXPECT_EQ(-EINVAL, t_ioctl(self->fd, CPTDEV_IOC_SCAN, &s));
	s.end = 0;
	s.anyof = 1ULL << 40;
	EXPECT_EQ(-EOPNOTSUPP, t_ioctl(self->fd, CPTDEV_IOC_SCAN, &s));
	s.anyof = 0;
	s.report = 1ULL << 6;
	EXPECT_EQ(-EOPNOTSUPP, t_ioctl(self->fd, CPTDEV_IOC_SCAN, &s));
}

/* An answer that can't be delivered loses no mark. */
TEST_F(scan, bad_vector)
{
	unsigned int i;

	memset(self->m, 1, LEN);
	self->s = (struct cptdev_scan) {
		.size = sizeof(self->s), .flags = CLEAR, .anyof = DIRTY, .report = DIRTY,
		.vec = 4096, .vec_len = 256,
	};
	EXPECT_EQ(-EFAULT, t_ioctl(self->fd, CPTDEV_IOC_SCAN, &self->s));
	EXPECT_STREQ("0-63 D", dirty(self, CLEAR));
	for (i = 1; i < PAGES; i += 2)
		self->m[i * PAGE]++;
	self->s.vec = 4096;
	self->s.end = 0;
	EXPECT_EQ(-EFAULT, t_ioctl(self->fd, CPTDEV_IOC_SCAN, &self->s));
	dirty(self, CLEAR);
	EXPECT_LE(PAGES / 2, self->s.dirty);
}

/* The call's struct can be read, and all but its end be written. */
TEST_F(scan, answer_not_writable)
{
	struct cptdev_scan *s = t_half_writable(sizeof(*s));

	memset(self->m, 1, LEN);
	dirty(self, CLEAR);
	self->m[3 * PAGE]++;
	*s = (struct cptdev_scan) {
		.size = sizeof(*s), .flags = CLEAR, .anyof = DIRTY, .report = DIRTY,
		.vec = (unsigned long)self->v, .vec_len = 256,
	};
	t_half_protect(s, true);
	EXPECT_EQ(-EFAULT, t_ioctl(self->fd, CPTDEV_IOC_SCAN, s));
	EXPECT_STREQ("3-3 D", dirty(self, CLEAR));
}

#define MANY	2048UL		/* pages, of which every other one is dirty */

/* What is dirty in @many, as far as it goes without an error. */
static unsigned int scan_many(FIXTURE_DATA(scan) *self, char *many, void *v, int *ret)
{
	struct cptdev_scan s = {
		.size = sizeof(s), .flags = CLEAR, .anyof = DIRTY, .report = DIRTY,
		.start = (unsigned long)many, .vec = (unsigned long)v, .vec_len = MANY,
	};
	unsigned int n = 0, i;

	do {
		s.end = (unsigned long)many + MANY * PAGE;
		*ret = t_ioctl(self->fd, CPTDEV_IOC_SCAN, &s);
		for (i = 0; !*ret && i < s.nr; i++)
			n += (((struct cptdev_region *)v)[i].end -
			      ((struct cptdev_region *)v)[i].start) / PAGE;
		s.start = s.walk_end;
	} while (!*ret && s.walk_end < s.end);
	return n;
}

static char *many_dirty(FIXTURE_DATA(scan) *self)
{
	struct cptdev_region *v = calloc(MANY, sizeof(*v));
	char *many = t_map(MANY * PAGE);
	unsigned int i;
	int ret;

	memset(many, 1, MANY * PAGE);
	t_add(self->fd, many, MANY * PAGE);
	scan_many(self, many, v, &ret);
	for (i = 0; i < MANY; i += 2)
		many[i * PAGE]++;
	free(v);
	return many;
}

/* Of what is reported in pieces, none is lost when a later one can't be delivered. */
TEST_F(scan, bad_end_of_vector)
{
	struct cptdev_region *v = calloc(MANY, sizeof(*v));
	char *many = many_dirty(self);
	char *half = t_map(5 * PAGE);
	unsigned int n;
	int ret;

	munmap(half + 4 * PAGE, PAGE);
	n = scan_many(self, many, half, &ret);
	n += scan_many(self, many, v, &ret);
	EXPECT_EQ(0, ret);
	EXPECT_LE(MANY / 2, n);
	free(v);
}

/* ... or when something that can't be tracked lies behind it. */
TEST_F(scan, refused_later)
{
	struct cptdev_region *v = calloc(MANY, sizeof(*v));
	char *many = many_dirty(self), *end = many + (MANY - 1) * PAGE;
	unsigned int n;
	int ret;

	ASSERT_EQ(end, mmap(end, PAGE, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	n = scan_many(self, many, v, &ret);
	EXPECT_EQ(-EOPNOTSUPP, ret);
	ASSERT_EQ(end, mmap(end, PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	n += scan_many(self, many, v, &ret);
	EXPECT_EQ(0, ret);
	EXPECT_LE(MANY / 2, n);
	free(v);
}

TEST_F(scan, thrown_away)
{
	memset(self->m, 1, LEN);
	dirty(self, CLEAR);
	madvise(self->m + 8 * PAGE, 8 * PAGE, MADV_DONTNEED);
	/* They had content, and have none now. */
	EXPECT_STREQ("8-15 DH", scan(self, CLEAR, DIRTY, DIRTY | CPTDEV_PAGE_HOLE));
	EXPECT_STREQ("8-15 H", scan(self, CLEAR, CPTDEV_PAGE_HOLE, 0));
	/* The zero page is still a hole. */
	EXPECT_EQ(0, self->m[8 * PAGE]);
	EXPECT_STREQ("8-15 H", scan(self, CLEAR, CPTDEV_PAGE_HOLE, 0));
	self->m[8 * PAGE] = 1;
	EXPECT_STREQ("8-8 D", dirty(self, CLEAR));
}

TEST_F(scan, unmapped)
{
	memset(self->m, 1, LEN);
	dirty(self, CLEAR);
	munmap(self->m + 4 * PAGE, 4 * PAGE);
	EXPECT_STREQ("4-7 DH", scan(self, CLEAR, DIRTY, DIRTY | CPTDEV_PAGE_HOLE));
	EXPECT_STREQ("", dirty(self, CLEAR));
	ASSERT_EQ(self->m + 4 * PAGE,
		  mmap(self->m + 4 * PAGE, PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	EXPECT_STREQ("", dirty(self, CLEAR));
	self->m[4 * PAGE] = 1;
	EXPECT_STREQ("4-4 D", dirty(self, CLEAR));
}

TEST_F(scan, swapped)
{
	unsigned int i;
	volatile char c;

	t_swap_on("/dev/vdb");
	memset(self->m, 1, LEN);
	dirty(self, CLEAR);
	ASSERT_TRUE(t_page_out(self->m, 8));
	scan(self, 0, CPTDEV_PAGE_SWAPPED, CPTDEV_PAGE_SWAPPED);
	EXPECT_EQ(1ULL, self->s.nr);
	/* Written before, after, or not at all: the page table can't tell. */
	for (i = 0; i < 8; i++)
		c = self->m[i * PAGE];
	(void)c;
	self->m[3 * PAGE]++;
	dirty(self, CLEAR);
	EXPECT_LE(1ULL, self->s.dirty);
	EXPECT_STREQ("", dirty(self, CLEAR));
}

/*
 * SCAN makes pages clean that reclaim may take back. They were swapped out once, are still in
 * the swap cache, and were written since: what they have now must reach the swap again.
 */
TEST_F(scan, cleaned_pages_keep_their_data)
{
	unsigned int i, round;
	volatile char c;

	t_swap_on("/dev/vdb");
	memset(self->m, 1, LEN);
	for (round = 2; round < 6; round++) {
		ASSERT_TRUE(t_page_out(self->m, PAGES));
		for (i = 0; i < PAGES; i++)
			c = self->m[i * PAGE];
		(void)c;
		memset(self->m, round, LEN);
		EXPECT_STREQ("0-63 D", dirty(self, CLEAR));
		ASSERT_TRUE(t_page_out(self->m, PAGES));
		for (i = 0; i < LEN; i += PAGE / 4)
			ASSERT_EQ((char)round, self->m[i]);
	}
}

TEST_F(scan, private_file)
{
	int fd = memfd_create("scan", 0);
	unsigned int i;
	volatile char c;
	char *p;

	ASSERT_EQ(0, ftruncate(fd, 8 * PAGE));
	p = mmap(self->m, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, 0);
	ASSERT_EQ(self->m, p);
	for (i = 0; i < 8; i++)
		c = p[i * PAGE];
	(void)c;
	EXPECT_STREQ("0-7 F", scan(self, 0, CPTDEV_PAGE_FILE, CPTDEV_PAGE_FILE));
	p[2 * PAGE] = 1;
	EXPECT_STREQ("2-2 D", dirty(self, CLEAR));
	EXPECT_STREQ("0-1 F, 3-7 F", scan(self, 0, CPTDEV_PAGE_FILE, CPTDEV_PAGE_FILE));
	madvise(p + 2 * PAGE, PAGE, MADV_DONTNEED);
	c = p[2 * PAGE];
	EXPECT_STREQ("2-2 DF", scan(self, CLEAR, DIRTY, DIRTY | CPTDEV_PAGE_FILE));
	EXPECT_STREQ("", dirty(self, CLEAR));
}

TEST_F(scan, huge_page)
{
	char *h = t_map_huge(HUGE);
	unsigned int i;

	self->m = h;
	ASSERT_EQ(0, t_add(self->fd, h, HUGE));
	h[0] = 1;
	if (madvise(h, HUGE, MADV_COLLAPSE))
		SKIP(return, "no huge page to be had");
	self->s = (struct cptdev_scan) {
		.size = sizeof(self->s), .flags = CLEAR, .anyof = DIRTY, .report = DIRTY,
		.vec = (unsigned long)self->v, .vec_len = 256,
		.start = (unsigned long)h, .end = (unsigned long)h + HUGE,
	};
	ASSERT_EQ(0, t_ioctl(self->fd, CPTDEV_IOC_SCAN, &self->s));
	EXPECT_EQ(512ULL, self->s.dirty);
	self->s.end = self->s.start + HUGE;
	ASSERT_EQ(0, t_ioctl(self->fd, CPTDEV_IOC_SCAN, &self->s));
	EXPECT_EQ(0ULL, self->s.dirty);
	/* A store makes all of it dirty; the part that isn't asked for stays so. */
	h[77 * PAGE]++;
	self->s.end = self->s.start + 100 * PAGE;
	ASSERT_EQ(0, t_ioctl(self->fd, CPTDEV_IOC_SCAN, &self->s));
	EXPECT_EQ(100ULL, self->s.dirty);
	self->s.start = (unsigned long)h;
	self->s.end = (unsigned long)h + HUGE;
	ASSERT_EQ(0, t_ioctl(self->fd, CPTDEV_IOC_SCAN, &self->s));
	EXPECT_EQ(412ULL, self->s.dirty);
	for (i = 0; i < 2; i++) {
		self->s.end = (unsigned long)h + HUGE;
		ASSERT_EQ(0, t_ioctl(self->fd, CPTDEV_IOC_SCAN, &self->s));
		EXPECT_EQ(0ULL, self->s.dirty);
	}
}

/* A huge page that is dirty and accessed, or false. */
static bool huge_dirty(FIXTURE_DATA(scan) *self)
{
	self->m = t_map_huge(HUGE);
	self->m[0] = 1;
	if (madvise(self->m, HUGE, MADV_COLLAPSE))
		return false;
	self->m[1] = 1;
	return true;
}

/* It has one bit for all its pages, which stays when none, or not all, are asked for. */
TEST_F(scan, huge_page_not_asked_for)
{
	const uint64_t other[] = { CPTDEV_PAGE_HOLE, CPTDEV_PAGE_CLEAN, CPTDEV_PAGE_SWAPPED };
	unsigned int i;

	close(self->fd);
	self->fd = t_open();
	if (!huge_dirty(self))
		SKIP(return, "no huge page to be had");
	ASSERT_EQ(0, t_add(self->fd, self->m, HUGE));
	scan(self, CLEAR | CPTDEV_SCAN_CLEAR_ACCESSED, 0, 0);
	self->m[5 * PAGE]++;
	for (i = 0; i < 3; i++) {
		EXPECT_STREQ("", scan(self, CLEAR, other[i], 0));
		EXPECT_STREQ("", scan(self, CPTDEV_SCAN_CLEAR_ACCESSED, other[i], 0));
		EXPECT_STREQ("0-511 DA", scan(self, 0, 0, 0));
	}
	self->s = (struct cptdev_scan) {
		.size = sizeof(self->s), .flags = CPTDEV_SCAN_CLEAR_ACCESSED,
		.anyof = CPTDEV_PAGE_ACCESSED, .end = (unsigned long)self->m + 100 * PAGE,
	};
	EXPECT_EQ(0, t_ioctl(self->fd, CPTDEV_IOC_SCAN, &self->s));
	EXPECT_STREQ("0-511 DA", scan(self, 0, 0, 0));
	EXPECT_STREQ("0-511 D", dirty(self, CLEAR));
	EXPECT_STREQ("", dirty(self, CLEAR));
}

/* Each of two sessions has a part of the huge page, and marks of its own. */
TEST_F(scan, huge_page_of_two_sessions)
{
	struct cptdev_snapshot s;
	FIXTURE_DATA(scan) data, *other = &data;
	unsigned int i;

	close(self->fd);
	self->fd = t_open();
	if (!huge_dirty(self))
		SKIP(return, "no huge page to be had");
	other->fd = t_open();
	other->m = self->m + HUGE / 2;
	ASSERT_EQ(0, t_add(self->fd, self->m, HUGE / 2));
	ASSERT_EQ(0, t_add(other->fd, other->m, HUGE / 2));
	dirty(self, CLEAR);
	dirty(other, CLEAR);
	for (i = 0; i < 3; i++) {
		other->m[7 * PAGE]++;
		dirty(self, CLEAR);
		EXPECT_STREQ("0-255 D", dirty(other, CLEAR));
		self->m[7 * PAGE]++;
		EXPECT_STREQ("0-255 D", dirty(other, CLEAR));
		EXPECT_STREQ("0-255 D", dirty(self, CLEAR));
	}
	/* A cut splits it. */
	other->m[8 * PAGE]++;
	close(t_snapshot(self->fd, 0, 0, &s));
	EXPECT_EQ(256ULL, s.pages);
	EXPECT_STREQ("0-255 D", dirty(other, CLEAR));
	close(t_snapshot(other->fd, 0, 0, &s));
	EXPECT_EQ(256ULL, s.pages);
	other->m[9 * PAGE]++;
	close(t_snapshot(self->fd, 0, 0, &s));
	EXPECT_EQ(0ULL, s.pages);
	close(t_snapshot(other->fd, 0, 0, &s));
	EXPECT_EQ(1ULL, s.pages);
	EXPECT_STREQ("9-9 D", dirty(other, CLEAR));
	close(other->fd);
}

TEST_F(scan, fork_is_no_change)
{
	memset(self->m, 1, LEN);
	dirty(self, CLEAR);
	if (!fork())
		_exit(0);
	EXPECT_STREQ("", dirty(self, CLEAR));
	self->m[9 * PAGE]++;
	EXPECT_STREQ("9-9 D", dirty(self, CLEAR));
}

/* Scans and snapshots have marks of their own. */
TEST_F(scan, beside_snapshots)
{
	struct cptdev_snapshot s;

	memset(self->m, 1, LEN);
	dirty(self, CLEAR);
	close(t_snapshot(self->fd, 0, 0, &s));
	EXPECT_EQ(PAGES, s.pages);
	EXPECT_STREQ("", dirty(self, 0));
	self->m[3 * PAGE]++;
	close(t_snapshot(self->fd, 0, 0, &s));
	EXPECT_EQ(1ULL, s.pages);
	EXPECT_STREQ("3-3 D", dirty(self, CLEAR));
	self->m[4 * PAGE]++;
	EXPECT_STREQ("4-4 D", dirty(self, CLEAR));
	close(t_snapshot(self->fd, 0, 0, &s));
	EXPECT_EQ(1ULL, s.pages);
}

static long faults(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return u.ru_minflt;
}

/*
 * A program that is scanned doesn't notice. If the processor itself sets no dirty bits, the first
 * store to a page after each scan faults.
 */
TEST_F(scan, no_faults)
{
	long expected = getenv("CPTDEV_SOFT_DIRTY") ? 10 * PAGES : 0;
	unsigned int i, round;
	long before;

	memset(self->m, 1, LEN);
	dirty(self, CLEAR);
	before = faults();
	for (round = 0; round < 10; round++) {
		for (i = 0; i < PAGES; i++)
			self->m[i * PAGE]++;
		self->s.end = 0;
		t_ioctl(self->fd, CPTDEV_IOC_SCAN, &self->s);
	}
	EXPECT_EQ(expected, faults() - before);
}

static void *slow_scan(void *arg)
{
	struct t_slow_call *c = arg;
	struct cptdev_scan s = {
		.size = sizeof(s), .vec = (unsigned long)c->slow->m, .vec_len = 16,
	};

	c->ret = t_ioctl(c->fd, CPTDEV_IOC_SCAN, &s);
	return NULL;
}

/* Who has slow memory for the answer keeps nobody else waiting. */
TEST_F(scan, slow_memory)
{
	struct t_slow slow = { .len = PAGE };
	struct t_slow_call call = { .fd = self->fd, .slow = &slow };
	char *m = t_map(LEN);

	if (!t_slow_map(&slow))
		SKIP(return, "no userfaultfd");
	t_slow_begin(&call, slow_scan);
	EXPECT_EQ(0, t_add(self->fd, m, LEN));
	EXPECT_EQ(0, t_slow_end(&call));
}

TEST_F(scan, nothing_to_scan)
{
	struct cptdev_scan s = { .size = sizeof(s) };
	int fd = t_open();

	EXPECT_EQ(0, t_ioctl(fd, CPTDEV_IOC_SCAN, &s));
	EXPECT_EQ(0ULL, s.pages);
	/* Between ranges there is nothing either. */
	s = (struct cptdev_scan) {
		.size = sizeof(s), .start = (unsigned long)self->m + LEN,
		.end = (unsigned long)self->m + LEN + PAGE,
	};
	EXPECT_EQ(0, t_ioctl(self->fd, CPTDEV_IOC_SCAN, &s));
	EXPECT_EQ(0ULL, s.pages);
	EXPECT_EQ(s.end, s.walk_end);
}

/* A huge page's mapping becomes a table, again and again. Its first page comes and goes. */
static void *splitter(void *arg)
{
	char *h = arg;
	long collapsed = 0;
	int i;

	for (i = 0; i < 40; i++) {
		collapsed += !madvise(h, HUGE, MADV_COLLAPSE);
		usleep(i * 197 % 2000);
		madvise(h, PAGE, MADV_DONTNEED);
		h[0] = 1;
	}
	return (void *)collapsed;
}

/* It does so while SCAN looks: what has content isn't a hole. */
TEST(split_under_scan)
{
	FIXTURE_DATA(scan) data = { .fd = t_open() }, *self = &data;
	char *h = t_map_huge(HUGE);
	unsigned int holes = 0, i;
	pthread_t thread;
	void *collapsed;

	self->m = h + PAGE;
	ASSERT_EQ(0, t_add(self->fd, self->m, HUGE - PAGE));
	memset(h, 1, HUGE);
	pthread_create(&thread, NULL, splitter, h);
	while (pthread_tryjoin_np(thread, &collapsed)) {
		scan(self, 0, CPTDEV_PAGE_HOLE, 0);
		for (i = 0; i < self->s.nr; i++)
			holes += self->v[i].categories & CPTDEV_PAGE_HOLE ? 1 : 0;
	}
	EXPECT_EQ(0, holes);
	if (!collapsed)
		SKIP(return, "no huge page to be had");
	close(self->fd);
}

TEST_HARNESS_MAIN
