// SPDX-License-Identifier: GPL-2.0-only
/*
 * Snapshots: what is in them, that it never changes, the ways to read them, layouts and
 * meta-data, several at once, limits.
 */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "cptdev_test.h"
#include "harness.h"

#define PAGES	64UL
#define LEN	(PAGES * PAGE)
#define SINCE	CPTDEV_SNAPSHOT_SINCE

FIXTURE(snapshot) {
	int fd;
	char *m;
	struct t_image *image;
	struct cptdev_snapshot s;
};

FIXTURE_SETUP(snapshot)
{
	unsigned int i;

	self->fd = t_open();
	ASSERT_LE(0, self->fd);
	self->m = t_map(LEN);
	for (i = 0; i < PAGES; i++)
		memset(self->m + i * PAGE, i + 1, PAGE);
	ASSERT_EQ(0, t_add(self->fd, self->m, LEN));
	self->image = t_image_new(self->m, LEN);
}

FIXTURE_TEARDOWN(snapshot)
{
	close(self->fd);
}

/* The extents as text: "first+pages" for data, "first-pages" for holes. */
static const char *extents(FIXTURE_DATA(snapshot) *self, int fd)
{
	static char text[1024];
	struct cptdev_extent *v;
	unsigned int n = 0;
	size_t nr, i;

	v = t_extents(fd, &nr);
	text[0] = 0;
	for (i = 0; i < nr; i++)
		n += snprintf(text + n, sizeof(text) - n, "%s%lld%s%llu", i ? " " : "",
			      (long long)(v[i].addr - (unsigned long)self->m) /
			      (long long)PAGE,
			      v[i].kind == CPTDEV_EXTENT_DATA ? "+" : "-",
			      v[i].len / PAGE);
	free(v);
	return text;
}

static int take(FIXTURE_DATA(snapshot) *self)
{
	return t_snapshot(self->fd, 0, 0, &self->s);
}

TEST_F(snapshot, full_then_incremental)
{
	int fd = take(self);

	ASSERT_LE(0, fd);
	EXPECT_EQ(1ULL, self->s.generation);
	EXPECT_EQ(0ULL, self->s.base);
	EXPECT_EQ(PAGES, self->s.pages);
	EXPECT_STREQ("0+64", extents(self, fd));
	EXPECT_EQ(0, t_image_apply(self->image, fd));
	EXPECT_EQ(-1, t_image_differs(self->image, self->m));

	fd = take(self);
	EXPECT_EQ(2ULL, self->s.generation);
	EXPECT_EQ(1ULL, self->s.base);
	EXPECT_EQ(0ULL, self->s.pages);
	EXPECT_STREQ("", extents(self, fd));

	self->m[3 * PAGE]++;
	self->m[4 * PAGE]++;
	self->m[63 * PAGE]++;
	fd = take(self);
	EXPECT_STREQ("3+2 63+1", extents(self, fd));
	EXPECT_EQ(3ULL, self->s.pages);
	EXPECT_EQ(PAGES, self->s.visited);
	EXPECT_LT(0ULL, self->s.pause_ns);
}

TEST_F(snapshot, never_changes)
{
	static char before[LEN], now[LEN];
	int fd = take(self);

	ASSERT_EQ((ssize_t)LEN, pread(fd, before, LEN, 0));
	ASSERT_EQ(0, memcmp(before, self->m, LEN));
	memset(self->m, 0xaa, LEN);
	ASSERT_EQ((ssize_t)LEN, pread(fd, now, LEN, 0));
	EXPECT_EQ(0, memcmp(before, now, LEN));
	madvise(self->m, LEN / 2, MADV_DONTNEED);
	munmap(self->m + LEN / 2, LEN / 2);
	ASSERT_EQ((ssize_t)LEN, pread(fd, now, LEN, 0));
	EXPECT_EQ(0, memcmp(before, now, LEN));
	/* Nor when the session is closed. */
	close(self->fd);
	ASSERT_EQ((ssize_t)LEN, pread(fd, now, LEN, 0));
	EXPECT_EQ(0, memcmp(before, now, LEN));
	self->fd = t_open();
}

TEST_F(snapshot, several_at_once)
{
	int fd[8];
	unsigned int i;

	for (i = 0; i < 8; i++) {
		memset(self->m + 5 * PAGE, 'a' + i, PAGE);
		fd[i] = take(self);
		ASSERT_LE(0, fd[i]);
	}
	for (i = 0; i < 8; i++) {
		struct cptdev_image_info info = t_image_info(fd[i]);
		char c;

		EXPECT_EQ(i + 1ULL, info.generation);
		ASSERT_EQ(1, pread(fd[i], &c, 1, i ? 0 : 5 * PAGE));
		EXPECT_EQ('a' + (char)i, c);
	}
	for (i = 0; i < 8; i++)
		close(fd[(i * 3) % 8]);
	EXPECT_EQ(0ULL, t_info(self->fd).session_held);
}

TEST_F(snapshot, holes)
{
	int fd = take(self);

	madvise(self->m + 8 * PAGE, 8 * PAGE, MADV_DONTNEED);
	munmap(self->m + 20 * PAGE, 2 * PAGE);
	fd = take(self);
	EXPECT_STREQ("8-8 20-2", extents(self, fd));
	EXPECT_EQ(10ULL, self->s.holes);
	EXPECT_EQ(0ULL, self->s.pages);
	/* Read, they are the zero page: nothing new. */
	EXPECT_EQ(0, self->m[9 * PAGE]);
	fd = take(self);
	EXPECT_STREQ("", extents(self, fd));
	self->m[9 * PAGE] = 1;
	fd = take(self);
	EXPECT_STREQ("9+1", extents(self, fd));
	/* A full one has no holes in it: what isn't there is one. */
	fd = t_snapshot(self->fd, SINCE, 0, &self->s);
	EXPECT_STREQ("0+8 9+1 16+4 22+42", extents(self, fd));
	EXPECT_EQ(0ULL, self->s.holes);
}

TEST_F(snapshot, since)
{
	unsigned int i;
	int fd;

	for (i = 0; i < 5; i++) {
		self->m[i * 10 * PAGE]++;
		close(take(self));
	}
	fd = t_snapshot(self->fd, SINCE, 2, &self->s);
	EXPECT_EQ(2ULL, self->s.base);
	EXPECT_STREQ("20+1 30+1 40+1", extents(self, fd));
	fd = t_snapshot(self->fd, SINCE, 6, &self->s);
	EXPECT_STREQ("", extents(self, fd));
	fd = t_snapshot(self->fd, SINCE, 0, &self->s);
	EXPECT_STREQ("0+64", extents(self, fd));
	EXPECT_EQ(-EINVAL, t_snapshot(self->fd, SINCE, 9, NULL));
	/* Holes too. */
	madvise(self->m, PAGE, MADV_DONTNEED);
	close(take(self));
	fd = t_snapshot(self->fd, SINCE, 4, &self->s);
	EXPECT_STREQ("0-1 40+1", extents(self, fd));
}

TEST_F(snapshot, added_later)
{
	char *more = t_map(LEN);
	int fd;

	memset(more, 7, 4 * PAGE);
	close(take(self));
	ASSERT_EQ(0, t_add(self->fd, more, LEN));
	fd = take(self);
	EXPECT_EQ(4ULL, self->s.pages);
	EXPECT_EQ(PAGES - 4, self->s.holes);		/* whatever a spare had there */
	fd = take(self);
	EXPECT_EQ(0ULL, self->s.pages + self->s.holes);
	/* Out and in again: all of it counts as changed. */
	ASSERT_EQ(0, t_del(self->fd, self->m + 8 * PAGE, 8 * PAGE));
	fd = take(self);
	EXPECT_STREQ("", extents(self, fd));
	madvise(self->m + 8 * PAGE, 4 * PAGE, MADV_DONTNEED);
	ASSERT_EQ(0, t_add(self->fd, self->m, LEN));
	fd = take(self);
	EXPECT_STREQ("8-4 12+4", extents(self, fd));
}

/*
 * Ways to read
 */

TEST_F(snapshot, read_and_seek)
{
	int fd = take(self);
	char buf[100];

	EXPECT_EQ((off_t)LEN, lseek(fd, 0, SEEK_END));
	EXPECT_EQ(0, read(fd, buf, 1));
	EXPECT_EQ((off_t)(2 * PAGE - 50), lseek(fd, 2 * PAGE - 50, SEEK_SET));
	EXPECT_EQ(100, read(fd, buf, 100));		/* across a border */
	EXPECT_EQ(2, buf[49]);
	EXPECT_EQ(3, buf[50]);
	EXPECT_EQ(0, pread(fd, buf, 100, LEN));
	EXPECT_EQ(60, pread(fd, buf, 100, LEN - 60));
	EXPECT_EQ(-1, pread(fd, buf, 10, -1));
	munmap(self->m, PAGE);
	EXPECT_EQ(-1, pread(fd, self->m, 100, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, write(fd, buf, 1));
	EXPECT_EQ(EBADF, errno);
}

static void send_all(int fd, int to, size_t len)
{
	off_t pos = 0;

	while ((size_t)pos < len)
		if (sendfile(to, fd, &pos, len - pos) <= 0)
			break;
}

TEST_F(snapshot, sendfile)
{
	int fd = take(self), pair[2];
	static char got[LEN];
	size_t n = 0;
	ssize_t r;
	pid_t pid;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	pid = fork();
	if (!pid) {
		send_all(fd, pair[1], LEN);
		_exit(0);
	}
	memset(self->m, 0, LEN);
	while (n < LEN && (r = read(pair[0], got + n, LEN - n)) > 0)
		n += r;
	ASSERT_EQ(LEN, n);
	for (n = 0; n < LEN; n++)
		ASSERT_EQ((char)(n / PAGE + 1), got[n]);
	waitpid(pid, NULL, 0);
}

/* Pages are in the pipe by reference: not even then do they change. */
TEST_F(snapshot, splice)
{
	int fd = take(self), p[2];
	loff_t pos = 3 * PAGE + 10;
	char buf[PAGE];

	ASSERT_EQ(0, pipe(p));
	ASSERT_EQ((ssize_t)(2 * PAGE), splice(fd, &pos, p[1], NULL, 2 * PAGE, 0));
	EXPECT_EQ((loff_t)(5 * PAGE + 10), pos);
	close(fd);
	memset(self->m, 0, LEN);
	ASSERT_EQ((ssize_t)PAGE, read(p[0], buf, PAGE));
	EXPECT_EQ(4, buf[0]);
	EXPECT_EQ(5, buf[PAGE - 1]);
	/* They are held until the last one is read. */
	EXPECT_EQ(LEN, t_info(self->fd).session_held);
	ASSERT_EQ((ssize_t)PAGE, read(p[0], buf, PAGE));
	EXPECT_EQ(0ULL, t_info(self->fd).session_held);
	EXPECT_EQ(5, buf[0]);
	EXPECT_EQ(0, splice(fd, &pos, p[1], NULL, 0, 0));
	fd = take(self);
	pos = LEN;
	EXPECT_EQ(0, splice(fd, &pos, p[1], NULL, PAGE, 0));
}

TEST_F(snapshot, mmap)
{
	int fd = take(self), i;
	char *p, *q, *q2;

	p = mmap(NULL, LEN, PROT_READ, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, p);
	q = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 7 * PAGE);
	ASSERT_NE(MAP_FAILED, q);
	close(fd);					/* the mapping keeps it */
	memset(self->m, 0, LEN);
	for (i = 0; i < (int)PAGES; i++)
		EXPECT_EQ(i + 1, p[i * PAGE]);
	EXPECT_EQ(8, q[PAGE - 1]);
	EXPECT_EQ(-1, mprotect(p, LEN, PROT_READ | PROT_WRITE));
	EXPECT_EQ(-1, mprotect(q, PAGE, PROT_READ | PROT_WRITE));
	EXPECT_EQ(-1, mprotect(q, PAGE, PROT_READ | PROT_EXEC));
	if (!fork())
		_exit(p[3 * PAGE] != 4);
	wait(&i);
	EXPECT_EQ(0, WEXITSTATUS(i));
	fd = take(self);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, fd, 0));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_EXEC, MAP_PRIVATE, fd, 0));
	/* Old programs can execute all that they can read. */
	personality(READ_IMPLIES_EXEC);
	q2 = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	personality(0);
	EXPECT_NE(MAP_FAILED, q2);
	munmap(q2, PAGE);
	EXPECT_NE(0ULL, t_info(self->fd).session_held);
	munmap(p, LEN);
	munmap(q, PAGE);
	close(fd);
	EXPECT_EQ(0ULL, t_info(self->fd).session_held);
}

TEST_F(snapshot, poll)
{
	struct pollfd p = { .fd = take(self), .events = POLLIN | POLLOUT };

	EXPECT_EQ(1, poll(&p, 1, 0));
	EXPECT_EQ(POLLIN, p.revents);
}

/*
 * Beside the pages
 */

TEST_F(snapshot, info)
{
	struct cptdev_image_info info = t_image_info(take(self));
	struct cptdev_info session = t_info(self->fd);

	EXPECT_EQ((__u32)CPTDEV_IMAGE_SNAPSHOT, info.kind);
	EXPECT_EQ(0U, info.state);
	EXPECT_EQ(1ULL, info.generation);
	EXPECT_EQ(PAGES, info.pages);
	EXPECT_EQ(1ULL, info.segments);
	EXPECT_EQ(1ULL, info.extents);
	EXPECT_EQ(0U, info.meta_len);
	EXPECT_EQ(1ULL, info.term);
	EXPECT_EQ(0, memcmp(info.uuid, session.session_uuid, CPTDEV_UUID_LEN));
	EXPECT_EQ(1ULL, session.generation);
	EXPECT_EQ(1ULL, session.snapshots);
	EXPECT_EQ(LEN, session.session_held);
}

TEST_F(snapshot, meta)
{
	char blob[1000], back[1000];
	struct cptdev_snapshot s = {
		.size = sizeof(s), .meta = (unsigned long)blob, .meta_len = sizeof(blob),
	};
	struct cptdev_image_vec v = {
		.size = sizeof(v), .vec = (unsigned long)back, .vec_len = 600,
	};
	unsigned int i;

	for (i = 0; i < sizeof(blob); i++)
		blob[i] = i;
	ASSERT_EQ(0, t_ioctl(self->fd, CPTDEV_IOC_SNAPSHOT, &s));
	EXPECT_EQ(1000U, t_image_info(s.fd).meta_len);
	EXPECT_EQ(0, t_ioctl(s.fd, CPTDEV_IOC_IMAGE_META, &v));
	EXPECT_EQ(600U, v.nr);
	v.vec += v.nr;
	v.start = v.next;
	EXPECT_EQ(0, t_ioctl(s.fd, CPTDEV_IOC_IMAGE_META, &v));
	EXPECT_EQ(400U, v.nr);
	EXPECT_EQ(0, memcmp(blob, back, sizeof(blob)));
	v.start = v.next;
	EXPECT_EQ(0, t_ioctl(s.fd, CPTDEV_IOC_IMAGE_META, &v));
	EXPECT_EQ(0U, v.nr);
	s.meta_len = CPTDEV_META_MAX + 1;
	EXPECT_EQ(-EMSGSIZE, t_ioctl(self->fd, CPTDEV_IOC_SNAPSHOT, &s));
	s.meta_len = 10;
	s.meta = 8;
	EXPECT_EQ(-EFAULT, t_ioctl(self->fd, CPTDEV_IOC_SNAPSHOT, &s));
	EXPECT_EQ(1ULL, t_info(self->fd).generation);
}

TEST_F(snapshot, layout)
{
	struct cptdev_segment *v;
	int memfd = memfd_create("layout", 0), fd;
	size_t nr;

	ASSERT_EQ(0, ftruncate(memfd, 8 * PAGE));
	mprotect(self->m + 4 * PAGE, 4 * PAGE, PROT_READ);
	munmap(self->m + 16 * PAGE, PAGE);
	mmap(self->m + 32 * PAGE, 4 * PAGE, PROT_READ | PROT_WRITE,
	     MAP_PRIVATE | MAP_FIXED, memfd, 2 * PAGE);
	fd = take(self);
	ASSERT_LE(0, fd);
	v = t_layout(fd, &nr);
	ASSERT_EQ(7UL, nr);
	EXPECT_EQ((unsigned long)self->m, v[0].addr);
	EXPECT_EQ(4 * PAGE, v[0].len);
	EXPECT_EQ((__u32)CPTDEV_SEGMENT_ANON, v[0].kind);
	EXPECT_EQ((__u32)(PROT_READ | PROT_WRITE), v[0].prot);
	EXPECT_EQ((__u32)PROT_READ, v[1].prot);
	EXPECT_EQ((__u32)CPTDEV_SEGMENT_UNMAPPED, v[3].kind);
	EXPECT_EQ(PAGE, v[3].len);
	EXPECT_EQ((__u32)CPTDEV_SEGMENT_FILE, v[5].kind);
	EXPECT_EQ(2 * PAGE, v[5].offset);
	EXPECT_EQ(4 * PAGE, v[5].len);
	EXPECT_EQ((unsigned long)self->m + LEN, v[6].addr + v[6].len);
	free(v);
	/* It is that of its instant. */
	mprotect(self->m, LEN, PROT_READ | PROT_WRITE);
	EXPECT_EQ(7ULL, t_image_info(fd).segments);
	EXPECT_EQ(5ULL, t_image_info(take(self)).segments);
	munmap(self->m, LEN);
	EXPECT_EQ(1ULL, t_image_info(take(self)).segments);
	mmap(self->m, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
	     -1, 0);
	EXPECT_EQ(1ULL, t_image_info(take(self)).segments);
}

TEST_F(snapshot, no_ranges)
{
	int session = t_open(), fd = t_snapshot(session, 0, 0, &self->s);

	ASSERT_LE(0, fd);
	EXPECT_EQ(0ULL, self->s.pages);
	EXPECT_EQ(0ULL, t_image_info(fd).segments);
	EXPECT_STREQ("", extents(self, fd));
	EXPECT_EQ(0, lseek(fd, 0, SEEK_END));
}

TEST_F(snapshot, private_file)
{
	int memfd = memfd_create("file", 0), fd;
	char *p;

	ASSERT_EQ((ssize_t)LEN, write(memfd, self->m, LEN));
	p = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE, memfd, 0);
	ASSERT_EQ(0, t_del(self->fd, self->m, LEN));
	self->m = p;
	ASSERT_EQ(0, t_add(self->fd, p, LEN));
	fd = take(self);
	EXPECT_EQ(0ULL, self->s.pages);			/* all as in the file */
	p[5 * PAGE] = 99;
	EXPECT_EQ(7, p[6 * PAGE]);
	fd = take(self);
	EXPECT_STREQ("5+1", extents(self, fd));
	madvise(p + 5 * PAGE, PAGE, MADV_DONTNEED);
	EXPECT_EQ(6, p[5 * PAGE]);
	fd = take(self);
	EXPECT_STREQ("5-1", extents(self, fd));
}

/*
 * Limits and errors
 */

TEST_F(snapshot, limit)
{
	int fd, other;

	close(self->fd);
	self->fd = t_open();
	ASSERT_EQ(0, t_setup(self->fd, "limited", 0, (PAGES + 8) * PAGE));
	ASSERT_EQ(0, t_add(self->fd, self->m, LEN));
	fd = take(self);
	ASSERT_LE(0, fd);
	memset(self->m + 10 * PAGE, 'x', 9 * PAGE);
	EXPECT_EQ(-EDQUOT, take(self));
	EXPECT_EQ(LEN, t_info(self->fd).session_held);
	/* The process goes on, and what was found isn't lost. */
	memset(self->m + 30 * PAGE, 'y', PAGE);
	EXPECT_EQ(0, t_image_apply(self->image, fd));
	close(fd);
	EXPECT_EQ(0ULL, t_info(self->fd).session_held);
	other = take(self);
	ASSERT_LE(0, other);
	EXPECT_EQ(1ULL, self->s.base);
	EXPECT_STREQ("10+9 30+1", extents(self, other));
	EXPECT_EQ(0, t_image_apply(self->image, other));
	EXPECT_EQ(-1, t_image_differs(self->image, self->m));
}

/* However many pages: whoever writes to them next must find that nobody else has them. */
TEST_F(snapshot, free_when_closed)
{
	const size_t len = 4096 * PAGE;
	char *m = t_map(len);
	int fd, i;

	ASSERT_EQ(0, t_add(self->fd, m, len));
	for (i = 0; i < 20; i++) {
		memset(m, i + 1, len);
		fd = take(self);
		ASSERT_LE(0, fd);
		EXPECT_LE(len, t_info(self->fd).session_held);
		close(fd);
		ASSERT_EQ(0ULL, t_info(self->fd).session_held);
	}
}

TEST_F(snapshot, limit_of_the_module)
{
	char before[32] = { 0 };
	int param = open("/sys/module/cptdev/parameters/held_max_mib", O_RDONLY);

	ASSERT_LE(0, read(param, before, sizeof(before) - 1));
	self->m = t_map(2UL << 20);
	memset(self->m, 1, 2UL << 20);
	ASSERT_EQ(0, t_add(self->fd, self->m, 2UL << 20));
	t_write_file("/sys/module/cptdev/parameters/held_max_mib", "1");
	EXPECT_EQ(1ULL << 20, t_info(self->fd).held_max);
	EXPECT_EQ(-EDQUOT, take(self));
	EXPECT_EQ(0ULL, t_info(self->fd).held);
	t_write_file("/sys/module/cptdev/parameters/held_max_mib", before);
	EXPECT_LE(0, take(self));
}

/*
 * The call's struct can be read, and all but its end be written: nobody has got the
 * snapshot, and the next one continues an older one.
 */
TEST_F(snapshot, answer_not_writable)
{
	struct cptdev_snapshot *s = t_half_writable(sizeof(*s));
	int fd = take(self);

	EXPECT_EQ(0, t_image_apply(self->image, fd));
	close(fd);
	memset(self->m + 3 * PAGE, 'x', PAGE);
	*s = (struct cptdev_snapshot) { .size = sizeof(*s) };
	t_half_protect(s, true);
	EXPECT_EQ(-EFAULT, t_ioctl(self->fd, CPTDEV_IOC_SNAPSHOT, s));
	EXPECT_EQ(0ULL, t_info(self->fd).session_held);
	fd = take(self);
	EXPECT_STREQ("3+1", extents(self, fd));
	EXPECT_EQ(0, t_image_apply(self->image, fd));
	EXPECT_EQ(-1, t_image_differs(self->image, self->m));
}

static volatile bool flip_stop;

static void *flip(void *half)
{
	while (!flip_stop) {
		t_half_protect(half, true);
		t_half_protect(half, false);
	}
	return NULL;
}

/* The same when it changes during the call. */
TEST_F(snapshot, answer_not_writable_meanwhile)
{
	struct cptdev_snapshot *s = t_half_writable(sizeof(*s));
	unsigned int i, taken = 0, failed = 0;
	pthread_t thread;

	flip_stop = false;
	pthread_create(&thread, NULL, flip, s);
	for (i = 0; i < 4000 && (taken < 100 || failed < 100); i++) {
		int ret;

		self->m[i % PAGES * PAGE]++;
		s->size = sizeof(*s);
		ret = t_ioctl(self->fd, CPTDEV_IOC_SNAPSHOT, s);
		failed += ret == -EFAULT;
		if (ret)
			continue;
		taken++;
		ASSERT_EQ(0, t_image_apply(self->image, s->fd));
		close(s->fd);
	}
	flip_stop = true;
	pthread_join(thread, NULL);
	EXPECT_LT(0U, taken);
	EXPECT_LT(0U, failed);
	ASSERT_LE(0, take(self));
	EXPECT_EQ(0, t_image_apply(self->image, self->s.fd));
	EXPECT_EQ(-1, t_image_differs(self->image, self->m));
}

TEST_F(snapshot, wrong_fields)
{
	struct cptdev_snapshot s = { .size = sizeof(s) };

	s.reserved = 1;
	EXPECT_EQ(-EINVAL, t_ioctl(self->fd, CPTDEV_IOC_SNAPSHOT, &s));
	s.reserved = 0;
	s.since = 1;
	EXPECT_EQ(-EINVAL, t_ioctl(self->fd, CPTDEV_IOC_SNAPSHOT, &s));
	s.since = 0;
	s.timeout_ns = 1;
	EXPECT_EQ(-EINVAL, t_ioctl(self->fd, CPTDEV_IOC_SNAPSHOT, &s));
	s.timeout_ns = 0;
	s.flags = CPTDEV_SNAPSHOT_NOFD;
	EXPECT_EQ(-EINVAL, t_ioctl(self->fd, CPTDEV_IOC_SNAPSHOT, &s));
	s.flags = CPTDEV_SNAPSHOT_WAIT;
	EXPECT_EQ(-EINVAL, t_ioctl(self->fd, CPTDEV_IOC_SNAPSHOT, &s));
	EXPECT_EQ(0ULL, t_info(self->fd).generation);
}

TEST_F(snapshot, image_calls_wrong_fields)
{
	struct cptdev_image_vec v = { .size = sizeof(v), .vec = 8, .vec_len = 4 };
	int fd = take(self);

	EXPECT_EQ(-EFAULT, t_ioctl(fd, CPTDEV_IOC_IMAGE_LAYOUT, &v));
	EXPECT_EQ(-EFAULT, t_ioctl(fd, CPTDEV_IOC_IMAGE_EXTENTS, &v));
	v.start = 1ULL << 40;
	EXPECT_EQ(0, t_ioctl(fd, CPTDEV_IOC_IMAGE_LAYOUT, &v));
	EXPECT_EQ(0U, v.nr);
	v.start = 1ULL << 40;
	EXPECT_EQ(0, t_ioctl(fd, CPTDEV_IOC_IMAGE_EXTENTS, &v));
	EXPECT_EQ(0U, v.nr);
}

TEST_F(snapshot, too_many_descriptors)
{
	int fd = -1, last;

	do {
		last = fd;
		fd = dup(self->fd);
	} while (fd >= 0);
	EXPECT_EQ(-EMFILE, take(self));
	close(last);
	EXPECT_LE(0, take(self));
	EXPECT_EQ(PAGES, self->s.pages);
}

#include "snapshot_huge.h"

TEST_HARNESS_MAIN
