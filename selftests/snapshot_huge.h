/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Huge pages: a snapshot freezes each as a whole, and what it has never changes. Those that
 * nobody writes to stay huge, and changes of the others are seen page by page after a while.
 * Included by snapshot.c.
 */
#include <sys/resource.h>
#include <sys/sysinfo.h>

#include "io_uring.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

#define HUGES		8UL		/* huge pages */
#define IN_HUGE		(HUGE / PAGE)
#define KHUGEPAGED	"/sys/kernel/mm/transparent_hugepage/khugepaged/"

FIXTURE(huge) {
	int fd;
	char *m;
	char *truth;			/* what an open snapshot must have */
	struct t_image *image;
	struct cptdev_snapshot s;
	uint64_t random;
};

/* Huge pages that are mapped as such in the memory of the test, or of @self only from @from on. */
static unsigned long huge_mapped(FIXTURE_DATA(huge) *self, unsigned long from)
{
	unsigned long start, end, kib, sum = 0;
	unsigned long first = (unsigned long)self->m + from * HUGE;
	FILE *f = fopen("/proc/self/smaps", "r");
	bool there = false;
	char line[256];

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			there = start >= first && end <= (unsigned long)self->m + HUGES * HUGE;
		else if (there && sscanf(line, "AnonHugePages: %lu", &kib) == 1)
			sum += kib;
	}
	if (f)
		fclose(f);
	return sum / 2048;
}

static char *huge_at(FIXTURE_DATA(huge) *self, unsigned long huge, unsigned long page)
{
	return self->m + huge * HUGE + page * PAGE;
}

FIXTURE_SETUP(huge)
{
	unsigned long i;

	t_write_file(KHUGEPAGED "scan_sleep_millisecs", "100000000");
	self->random = 0x9e3779b97f4a7c15ULL;
	self->fd = t_open();
	ASSERT_LE(0, self->fd);
	self->m = t_map_huge(HUGES * HUGE);
	ASSERT_NE(NULL, self->m);
	for (i = 0; i < HUGES * IN_HUGE; i++)
		memset(self->m + i * PAGE, 1 + i % 251, PAGE);
	for (i = 0; i < HUGES; i++)
		madvise(huge_at(self, i, 0), HUGE, MADV_COLLAPSE);
	ASSERT_EQ(HUGES, huge_mapped(self, 0));
	self->truth = malloc(HUGES * HUGE);
	self->image = t_image_new(self->m, HUGES * HUGE);
	ASSERT_EQ(0, t_add(self->fd, self->m, HUGES * HUGE));
}

FIXTURE_TEARDOWN(huge)
{
	close(self->fd);
	t_image_free(self->image);
	free(self->truth);
	munmap(self->m, HUGES * HUGE);
}

/* A snapshot, compared with memory when it is applied; its descriptor. */
static int huge_take(FIXTURE_DATA(huge) *self)
{
	int snap = t_snapshot(self->fd, 0, 0, &self->s);

	if (snap < 0)
		return snap;
	if (t_image_apply(self->image, snap) || t_image_differs(self->image, self->m) >= 0)
		return -EIO;
	return snap;
}

/* The same, closed: how many pages it has, and holes. */
static long huge_next(FIXTURE_DATA(huge) *self)
{
	int snap = huge_take(self);

	if (snap < 0)
		return snap;
	close(snap);
	return self->s.pages + self->s.holes;
}

/* A full snapshot that stays open; what it has is noted. */
static int huge_freeze(FIXTURE_DATA(huge) *self)
{
	int snap = t_snapshot(self->fd, SINCE, 0, &self->s);

	memcpy(self->truth, self->m, HUGES * HUGE);
	if (snap < 0)
		return snap;
	if (t_image_apply(self->image, snap) || t_image_differs(self->image, self->m) >= 0)
		return -EIO;
	return snap;
}

/* Does it have that still? The first page that is different, or -1. */
static long huge_changed(FIXTURE_DATA(huge) *self, int snap)
{
	static char buf[PAGE];
	unsigned long i;

	for (i = 0; i < HUGES * IN_HUGE; i++)
		if (pread(snap, buf, PAGE, i * PAGE) != (ssize_t)PAGE ||
		    memcmp(buf, self->truth + i * PAGE, PAGE))
			return i;
	return -1;
}

TEST_F(huge, stays_until_it_is_written_again)
{
	struct cptdev_info info;
	int snap = huge_take(self);

	ASSERT_LE(0, snap);
	EXPECT_EQ(HUGES * IN_HUGE, self->s.pages);
	EXPECT_EQ(0ULL, self->s.copied);
	EXPECT_EQ(HUGES, huge_mapped(self, 0));
	info = t_info(self->fd);
	EXPECT_EQ(HUGES, info.huge_kept);
	EXPECT_EQ(0ULL, info.huge_split);
	EXPECT_EQ(HUGES * HUGE, info.session_held);
	close(snap);
	EXPECT_EQ(0ULL, t_info(self->fd).session_held);
	EXPECT_EQ(0, huge_next(self));

	/* All of it once more, and then page by page. */
	*huge_at(self, 3, 7) += 1;
	EXPECT_EQ(HUGES, huge_mapped(self, 0));
	EXPECT_EQ((long)IN_HUGE, huge_next(self));
	EXPECT_EQ(HUGES - 1, huge_mapped(self, 0));
	EXPECT_EQ(0, huge_next(self));
	*huge_at(self, 3, 7) += 1;
	*huge_at(self, 3, 99) += 1;
	EXPECT_EQ(2, huge_next(self));
	EXPECT_EQ(0, huge_next(self));
	info = t_info(self->fd);
	EXPECT_EQ(HUGES + 1, info.huge_kept);
	EXPECT_EQ(1ULL, info.huge_split);
	EXPECT_EQ(HUGES - 1, huge_mapped(self, 0));
}

/* Nobody has it any more: the first store takes it back as a whole, and the others are free. */
TEST_F(huge, is_used_again_as_a_whole)
{
	struct rusage before, after;
	unsigned long i;

	EXPECT_EQ((long)(HUGES * IN_HUGE), huge_next(self));
	getrusage(RUSAGE_SELF, &before);
	getrusage(RUSAGE_SELF, &before);
	for (i = 0; i < IN_HUGE; i++)
		*(volatile char *)huge_at(self, 2, i) += 1;
	getrusage(RUSAGE_SELF, &after);
	EXPECT_EQ(1, after.ru_minflt - before.ru_minflt);
	EXPECT_EQ(HUGES, huge_mapped(self, 0));
	EXPECT_EQ((long)IN_HUGE, huge_next(self));
}

/* By pread(), by a mapping, by a pipe. */
TEST_F(huge, never_changes)
{
	unsigned long i;
	int snap = huge_freeze(self), fds[2];
	char *map, buf[PAGE];
	off_t pos = 0;

	ASSERT_LE(0, snap);
	EXPECT_EQ(-1, huge_changed(self, snap));
	for (i = 0; i < HUGES; i++)
		memset(huge_at(self, i, i * 20), 0xaa, 3 * PAGE);
	memset(huge_at(self, 5, 0), 0xbb, HUGE);
	madvise(huge_at(self, 6, 100), HUGE, MADV_DONTNEED);
	EXPECT_EQ(-1, huge_changed(self, snap));

	map = mmap(NULL, HUGES * HUGE, PROT_READ, MAP_SHARED, snap, 0);
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(0, memcmp(map, self->truth, HUGES * HUGE));
	munmap(map, HUGES * HUGE);
	ASSERT_EQ(0, pipe(fds));
	for (i = 0; i < HUGES * IN_HUGE; i++) {
		ASSERT_EQ((ssize_t)PAGE, splice(snap, &pos, fds[1], NULL, PAGE, 0));
		ASSERT_EQ((ssize_t)PAGE, read(fds[0], buf, PAGE));
		ASSERT_EQ(0, memcmp(buf, self->truth + i * PAGE, PAGE));
	}
	/* Nor when the session is closed. */
	close(self->fd);
	memset(self->m, 1, 3 * HUGE);
	EXPECT_EQ(-1, huge_changed(self, snap));
	close(snap);
	self->fd = t_open();
}

/* Written while a snapshot has it: copied page by page, and right in the next one. */
TEST_F(huge, is_copied_while_it_is_held)
{
	int snap = huge_take(self);
	unsigned long i;

	ASSERT_LE(0, snap);
	memcpy(self->truth, self->m, HUGES * HUGE);
	*huge_at(self, 1, 500) += 1;
	EXPECT_EQ(HUGES - 1, huge_mapped(self, 0));
	EXPECT_LE(1, huge_next(self));
	EXPECT_GE(IN_HUGE, self->s.pages);
	EXPECT_EQ(-1, huge_changed(self, snap));
	close(snap);
	for (i = 0; i < 4; i++) {
		*huge_at(self, 1, 100 * i) += 1;
		EXPECT_EQ(1, huge_next(self));
	}
}

/* Two snapshots have it, and one that reaches back has it as well. */
TEST_F(huge, is_in_several_snapshots)
{
	int a = huge_freeze(self), b, c;

	ASSERT_LE(0, a);
	b = huge_freeze(self);
	ASSERT_LE(0, b);
	EXPECT_EQ(HUGES * IN_HUGE, self->s.pages);
	close(a);
	*huge_at(self, 4, 4) += 1;
	EXPECT_EQ(-1, huge_changed(self, b));
	c = t_snapshot(self->fd, SINCE, self->s.generation, &self->s);
	ASSERT_LE(0, c);
	EXPECT_LE(1ULL, self->s.pages);
	EXPECT_GE(IN_HUGE, self->s.pages);
	*huge_at(self, 7, 9) += 1;
	EXPECT_EQ(-1, huge_changed(self, b));
	close(b);
	EXPECT_EQ(0, t_image_apply(self->image, c));
	EXPECT_LE(1, huge_next(self));
	close(c);
	EXPECT_EQ(0, huge_next(self));
}

/* A child has the same pages, and writes to them; then the parent does. */
TEST_F(huge, and_a_forked_child)
{
	int snap, status;
	pid_t pid;

	EXPECT_EQ((long)(HUGES * IN_HUGE), huge_next(self));
	*huge_at(self, 2, 2) += 1;
	snap = huge_freeze(self);
	ASSERT_LE(0, snap);
	pid = fork();
	if (!pid) {
		memset(self->m, 0xcc, HUGES * HUGE / 2);
		_exit(huge_changed(self, snap) != -1);
	}
	*huge_at(self, 3, 3) += 1;
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(-1, huge_changed(self, snap));
	close(snap);
	*huge_at(self, 4, 4) += 1;
	EXPECT_LE(2, huge_next(self));
	EXPECT_EQ(0, huge_next(self));
}

/* A pinned page: what is written through the pin isn't in the snapshot, but in the next. */
TEST_F(huge, with_a_pinned_page)
{
	int snap, file = memfd_create("data", 0), i;
	char text[PAGE];
	struct t_uring u;

	EXPECT_EQ((long)(HUGES * IN_HUGE), huge_next(self));
	memset(text, 'p', sizeof(text));
	ASSERT_EQ((ssize_t)PAGE, pwrite(file, text, PAGE, 0));
	ASSERT_EQ(0, t_uring_open(&u));
	ASSERT_EQ(0, t_uring_pin(&u, huge_at(self, 6, 30), PAGE));
	for (i = 0; i < 3; i++) {
		*huge_at(self, 6, 29) += 1;
		snap = huge_freeze(self);
		ASSERT_LE(0, snap);
		EXPECT_LE(1ULL, self->s.copied);
		memset(huge_at(self, 6, 30), i, PAGE);
		ASSERT_EQ((int)PAGE, t_uring_read_fixed(&u, file, huge_at(self, 6, 30), PAGE, 0));
		EXPECT_EQ('p', *huge_at(self, 6, 30));
		EXPECT_EQ(-1, huge_changed(self, snap));
		EXPECT_LE(2, huge_next(self));
		close(snap);
	}
	EXPECT_EQ(HUGES - 1, huge_mapped(self, 0));
	t_uring_close(&u);
	close(file);
}

/* Half of it goes, in each way, with snapshots of it held and not. */
TEST_F(huge, half_of_it_goes)
{
	char *away = t_map(HUGE);
	int snap, round;

	for (round = 0; round < 2; round++) {
		unsigned long h = 4 * round;

		snap = huge_freeze(self);
		ASSERT_LE(0, snap);
		if (round)
			close(snap);
		madvise(huge_at(self, h, 256), HUGE / 2, MADV_DONTNEED);
		munmap(huge_at(self, h + 1, 0), HUGE / 2);
		ASSERT_EQ(away, mremap(huge_at(self, h + 2, 128), HUGE / 2, HUGE / 2,
				       MREMAP_MAYMOVE | MREMAP_FIXED, away));
		EXPECT_EQ(0, memcmp(away, self->truth + (h + 2) * HUGE + 128 * PAGE, HUGE / 2));
		if (!round) {
			EXPECT_EQ(-1, huge_changed(self, snap));
			close(snap);
		}
		/* Without what is unmapped the image can't be compared. */
		ASSERT_EQ(huge_at(self, h + 1, 0),
			  mmap(huge_at(self, h + 1, 0), HUGE / 2, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
		ASSERT_EQ(huge_at(self, h + 2, 128),
			  mmap(huge_at(self, h + 2, 128), HUGE / 2, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
		EXPECT_LE((long)(3 * IN_HUGE / 2), huge_next(self));
		*huge_at(self, h, 300) = 1;
		*huge_at(self, h + 2, 200) = 1;
		EXPECT_LE(2, huge_next(self));
		EXPECT_EQ(0, huge_next(self));
	}
	munmap(away, HUGE);
}

/* No write permission, and a debugger writes. */
TEST_F(huge, without_write_permission)
{
	int mem = open("/proc/self/mem", O_RDWR);

	EXPECT_EQ((long)(HUGES * IN_HUGE), huge_next(self));
	ASSERT_EQ(0, mprotect(self->m, HUGES * HUGE, PROT_READ));
	EXPECT_EQ(0, huge_next(self));
	ASSERT_EQ(1, pwrite(mem, "x", 1, (off_t)(unsigned long)huge_at(self, 3, 5)));
	EXPECT_LE(1, huge_next(self));
	EXPECT_EQ(0, huge_next(self));
	ASSERT_EQ(1, pwrite(mem, "y", 1, (off_t)(unsigned long)huge_at(self, 3, 6)));
	EXPECT_LE(1, huge_next(self));
	ASSERT_EQ(0, mprotect(self->m, HUGES * HUGE, PROT_READ | PROT_WRITE));
	EXPECT_EQ(0, huge_next(self));
	EXPECT_LE(HUGES - 1, huge_mapped(self, 0));
	*huge_at(self, 7, 8) += 1;
	EXPECT_LE(1, huge_next(self));
	close(mem);
}

/* Part of a huge page is tracked: that is split, the others aren't. */
TEST_F(huge, of_which_a_part_is_tracked)
{
	ASSERT_EQ(0, t_del(self->fd, huge_at(self, 0, 0), HUGE / 2));
	ASSERT_EQ(0, t_del(self->fd, huge_at(self, HUGES - 1, 256), HUGE / 2));
	EXPECT_LE(0, t_snapshot(self->fd, 0, 0, &self->s));
	EXPECT_EQ(HUGES * IN_HUGE - IN_HUGE, self->s.pages);
	EXPECT_EQ(HUGES - 2, huge_mapped(self, 0));
	*huge_at(self, 0, 300) += 1;
	EXPECT_LE(0, t_snapshot(self->fd, 0, 0, &self->s));
	EXPECT_EQ(1ULL, self->s.pages);
}

/* Published ones that nobody fetches become one, which has parts of a huge page. */
TEST_F(huge, in_merged_snapshots)
{
	const uint32_t flags = CPTDEV_SNAPSHOT_PUBLISH | CPTDEV_SNAPSHOT_NOFD;
	int daemon = t_open(), delta, i, n = 0;
	struct cptdev_delta d;

	for (i = 0; i < 4; i++) {
		*huge_at(self, 3, 100 * i) += 1;
		memset(huge_at(self, 4 + i, 11), 'm', 2 * PAGE);
		if (i == 2)
			madvise(huge_at(self, 1, 5), HUGE, MADV_DONTNEED);
		EXPECT_EQ(-1, t_snapshot(self->fd, flags, 0, &self->s));
	}
	memcpy(self->truth, self->m, HUGES * HUGE);
	memset(self->m, 0xdd, 4 * HUGE);
	while (self->image->generation < self->s.generation) {
		delta = t_delta(daemon, t_info(self->fd).session_id, self->image->generation, &d);
		ASSERT_LE(0, delta);
		n++;
		EXPECT_EQ(0, t_image_apply(self->image, delta));
		EXPECT_EQ(0, t_ack(daemon, t_info(self->fd).session_id, d.generation, 0));
		close(delta);
	}
	EXPECT_GT(4, n);
	EXPECT_EQ(-1, t_image_differs(self->image, self->truth));
	close(daemon);
	EXPECT_EQ(0ULL, T_SOON(0ULL, t_info(self->fd).session_held));
}

/* Pages that the machine has free. */
static unsigned long free_now(void)
{
	struct sysinfo si;

	return sysinfo(&si) ? 0 : si.freeram * si.mem_unit / PAGE;
}

/* 1 % changes between two snapshots, in runs of four, all of it in the first half. */
TEST_F(huge, most_stay_after_many_snapshots)
{
	const unsigned long half = HUGES / 2, runs = HUGES * IN_HUGE / 100 / 4;
	unsigned long before, after, i, j;

	ASSERT_EQ(0, madvise(huge_at(self, half, 0), half * HUGE, MADV_DONTDUMP));
	close(t_snapshot(self->fd, 0, 0, &self->s));
	before = free_now();
	for (i = 0; i < 40; i++) {
		for (j = 0; j < runs; j++)
			memset(self->m + (j * 196 % (half * IN_HUGE)) * PAGE, i, 4 * PAGE);
		close(t_snapshot(self->fd, 0, 0, &self->s));
		if (i > 1)
			EXPECT_EQ(runs * 4, self->s.pages);
	}
	after = free_now();
	EXPECT_LE(half * 9 / 10 + 1, huge_mapped(self, half));
	/* 5 %, and a little for the kernel itself. */
	EXPECT_LE(before, after + HUGES * IN_HUGE / 20 + 64);
	EXPECT_LE(0, t_snapshot(self->fd, SINCE, 0, &self->s));
	EXPECT_EQ(HUGES * IN_HUGE, self->s.pages);
}

static unsigned long vmstat(const char *name)
{
	unsigned long value = 0;
	char line[128], key[64];
	FILE *f = fopen("/proc/vmstat", "r");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%63s %lu", key, &value) == 2 && !strcmp(key, name))
			break;
	if (f)
		fclose(f);
	return value;
}

/* khugepaged makes huge pages all the time, of what was split. */
TEST_F_TIMEOUT(huge, and_khugepaged, 120)
{
	const unsigned long rounds = t_length() == T_SHORT ? 8 : 30;
	unsigned long made = vmstat("thp_collapse_alloc"), n = 0, i;
	int held = -1;

	t_write_file(KHUGEPAGED "pages_to_scan", "100000");
	t_write_file(KHUGEPAGED "alloc_sleep_millisecs", "1");
	t_write_file(KHUGEPAGED "scan_sleep_millisecs", "1");
	for (; n < rounds || vmstat("thp_collapse_alloc") == made; n++) {
		for (i = t_random(&self->random) % 8; i; i--) {
			char *p = self->m + t_random(&self->random) % (HUGES * IN_HUGE - 4) * PAGE;

			if (t_random(&self->random) % 16)
				memset(p, n, (1 + t_random(&self->random) % 4) * PAGE);
			else
				madvise(p, 4 * PAGE, MADV_DONTNEED);
		}
		ASSERT_LE(0, huge_next(self));
		if (held >= 0 && n % 3 == 0) {
			ASSERT_EQ(-1, huge_changed(self, held));
			close(held);
			held = -1;
		} else if (held < 0 && n % 5 == 0) {
			held = huge_freeze(self);
			ASSERT_LE(0, held);
			if (self->s.pages != HUGES * IN_HUGE) {	/* holes are left out */
				close(held);
				held = -1;
			}
		}
	}
	close(held);
	t_write_file(KHUGEPAGED "scan_sleep_millisecs", "100000000");
}
