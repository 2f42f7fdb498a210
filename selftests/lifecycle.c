// SPDX-License-Identifier: GPL-2.0-only
/*
 * What happens to a process and its memory while a snapshot is open: the snapshot stays
 * what it was, the next one has the change, and at the end nothing is left behind.
 *
 * In each test `before` is the memory at the first snapshot, which stays open. check()
 * looks at all of that.
 */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "cptdev_test.h"
#include "harness.h"
#include "slow.h"

#define PAGES	256UL
#define LEN	(PAGES * PAGE)

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

FIXTURE(life) {
	int fd;
	int snap;			/* the one that stays open */
	char *m;
	char *before;
	struct t_image *image;
	struct cptdev_snapshot s;	/* the newest */
};

static void fill(char *p, size_t pages, char c)
{
	size_t i;

	for (i = 0; i < pages; i++)
		memset(p + i * PAGE, c + i % 50, PAGE);
}

static void start(FIXTURE_DATA(life) *self, char *memory)
{
	self->fd = t_open();
	self->m = memory;
	fill(self->m, PAGES, 'A');
	self->before = malloc(LEN);
	memcpy(self->before, self->m, LEN);
	t_add(self->fd, self->m, LEN);
	self->image = t_image_new(self->m, LEN);
	self->snap = t_snapshot(self->fd, 0, 0, &self->s);
	t_image_apply(self->image, self->snap);
}

FIXTURE_SETUP(life)
{
	start(self, t_map(LEN));
	ASSERT_LE(0, self->snap);
	ASSERT_EQ(PAGES, self->s.pages);
}

FIXTURE_TEARDOWN(life)
{
	close(self->snap);
	EXPECT_EQ(0ULL, t_info(self->fd).session_held);
	close(self->fd);
	t_image_free(self->image);
	free(self->before);
}

/* The open snapshot is as it was. */
static bool unchanged(FIXTURE_DATA(life) *self)
{
	char *now = malloc(LEN);
	bool same = pread(self->snap, now, LEN, 0) == (ssize_t)LEN &&
		!memcmp(now, self->before, LEN);

	free(now);
	return same;
}

/* Take the next one: the image must follow the memory. Returns its pages and holes. */
static long next(FIXTURE_DATA(life) *self)
{
	int fd = t_snapshot(self->fd, 0, 0, &self->s), ret;

	if (fd < 0)
		return fd;
	ret = t_image_apply(self->image, fd);
	close(fd);
	if (ret)
		return ret;
	return self->s.pages + self->s.holes;
}

#define CHECK(changed) do {						\
	EXPECT_TRUE(unchanged(self));					\
	EXPECT_EQ((long)(changed), next(self));				\
	EXPECT_EQ(-1, t_image_differs(self->image, self->m));		\
} while (0)

/* May be reported more than needed, up to @most. */
#define CHECK_MOST(least, most) do {					\
	long n_;							\
	EXPECT_TRUE(unchanged(self));					\
	n_ = next(self);						\
	EXPECT_LE((long)(least), n_);					\
	EXPECT_GE((long)(most), n_);					\
	EXPECT_EQ(-1, t_image_differs(self->image, self->m));		\
} while (0)

static void pause_forever(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		pause();
}

static pid_t child(void (*fn)(void))
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid) {
		fn();
		_exit(0);
	}
	return pid;
}

static void reap(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

TEST_F(life, stores)
{
	fill(self->m, 10, 'x');
	CHECK(10);
	CHECK(0);
}

TEST_F(life, fork)
{
	pid_t pid;

	fill(self->m, 5, 'x');
	pid = child(pause_forever);
	/* fork() write-protects what was written: it must not be forgotten. */
	CHECK(5);
	fill(self->m + 8 * PAGE, 3, 'y');
	CHECK(3);
	reap(pid);
	fill(self->m, 1, 'z');
	CHECK(1);
}

static char *shared_m;

static void child_writes(void)
{
	fill(shared_m, PAGES, '0');
}

TEST_F(life, fork_child_writes)
{
	shared_m = self->m;
	waitpid(child(child_writes), NULL, 0);
	CHECK(0);
	fill(self->m, 2, 'x');
	CHECK(2);
}

TEST_F(life, munmap)
{
	fill(self->m, 4, 'x');
	munmap(self->m + 16 * PAGE, 16 * PAGE);
	EXPECT_TRUE(unchanged(self));
	EXPECT_EQ(20, next(self));
	EXPECT_EQ(16ULL, self->s.holes);
	ASSERT_EQ(self->m + 16 * PAGE,
		  mmap(self->m + 16 * PAGE, 16 * PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	CHECK(0);
	fill(self->m + 20 * PAGE, 2, 'y');
	CHECK(2);
}

TEST_F(life, munmap_all)
{
	munmap(self->m, LEN);
	EXPECT_TRUE(unchanged(self));
	EXPECT_EQ((long)PAGES, next(self));
	EXPECT_EQ(PAGES, self->s.holes);
	EXPECT_EQ(0, next(self));
}

TEST_F(life, mremap)
{
	char *other = t_map(16 * PAGE), *p;

	/* Out: holes. In: pages that nobody writes to here. */
	p = mremap(self->m + 8 * PAGE, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
		   other);
	ASSERT_EQ(other, p);
	fill(other, 4, 'x');
	EXPECT_TRUE(unchanged(self));
	EXPECT_EQ(4, next(self));
	EXPECT_EQ(4ULL, self->s.holes);
	p = mremap(other, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
		   self->m + 8 * PAGE);
	ASSERT_EQ(self->m + 8 * PAGE, p);
	CHECK(4);
}

TEST_F(life, madvise)
{
	madvise(self->m + 4 * PAGE, 4 * PAGE, MADV_DONTNEED);
	CHECK(4);
	madvise(self->m + 12 * PAGE, 4 * PAGE, MADV_FREE);
	fill(self->m + 12 * PAGE, 4, 'x');
	CHECK(4);
	madvise(self->m, LEN, MADV_DONTFORK);
	madvise(self->m, LEN, MADV_SEQUENTIAL);
	CHECK(0);
}

TEST_F(life, mprotect)
{
	int mem = open("/proc/self/mem", O_RDWR);

	fill(self->m, 4, 'x');
	mprotect(self->m, 8 * PAGE, PROT_READ);
	CHECK(4);
	CHECK(0);
	/* A debugger writes all the same. */
	EXPECT_EQ(1, pwrite(mem, "!", 1, (unsigned long)self->m + 5 * PAGE));
	CHECK(1);
	EXPECT_EQ(1, pwrite(mem, "?", 1, (unsigned long)self->m + 5 * PAGE));
	CHECK(1);
	EXPECT_EQ(1, pwrite(mem, ".", 1, (unsigned long)self->m + 6 * PAGE));
	mprotect(self->m, 8 * PAGE, PROT_READ | PROT_WRITE);
	CHECK_MOST(1, 8);
	fill(self->m, 4, 'y');
	mprotect(self->m, 8 * PAGE, PROT_NONE);
	EXPECT_TRUE(unchanged(self));
	EXPECT_LE(4, next(self));		/* content without any access, too */
	EXPECT_GE(8ULL, self->s.pages);
	mprotect(self->m, 8 * PAGE, PROT_READ | PROT_WRITE);
	CHECK_MOST(0, 8);
	close(mem);
}

/* Soft-dirty tracking by somebody else takes the write permission away, too. */
TEST_F(life, clear_refs)
{
	fill(self->m, 6, 'x');
	ASSERT_EQ(0, t_write_file("/proc/self/clear_refs", "4"));
	CHECK(6);
	fill(self->m, 2, 'y');
	CHECK(2);
}

TEST_F(life, swap)
{
	t_swap_on("/dev/vdb");
	close(self->snap);			/* held pages can't be swapped out */
	self->snap = -1;
	fill(self->m, 32, 'x');
	ASSERT_TRUE(t_page_out(self->m, PAGES));
	/* Out since the last cut: it has to come back to be looked at. */
	EXPECT_LE(32, next(self));
	EXPECT_EQ(-1, t_image_differs(self->image, self->m));
	madvise(self->m, LEN, MADV_PAGEOUT);
	fill(self->m + 64 * PAGE, 4, 'y');
	EXPECT_LE(4, next(self));
	EXPECT_EQ(-1, t_image_differs(self->image, self->m));
	/* Written after it came back, with the snapshot open. */
	self->snap = t_snapshot(self->fd, CPTDEV_SNAPSHOT_SINCE, 0, &self->s);
	memcpy(self->before, self->m, LEN);
	EXPECT_EQ(0, t_image_apply(self->image, self->snap));
	fill(self->m, PAGES, 'z');
	madvise(self->m, LEN, MADV_PAGEOUT);
	CHECK(PAGES);
}

static bool ksm_merged(void)
{
	char buf[32] = { 0 };
	int fd, i;

	for (i = 0; i < 200; i++) {
		fd = open("/sys/kernel/mm/ksm/pages_sharing", O_RDONLY);
		if (fd < 0 || read(fd, buf, sizeof(buf) - 1) < 0)
			return false;
		close(fd);
		if (atoi(buf) >= 30)
			return true;
		usleep(20000);
	}
	return false;
}

TEST_F(life, ksm)
{
	unsigned int i;

	for (i = 0; i < 32; i++)
		memset(self->m + i * PAGE, 'k', PAGE);
	EXPECT_EQ(32, next(self));
	if (t_write_file("/sys/kernel/mm/ksm/run", "1"))
		SKIP(return, "no KSM in this kernel");
	t_write_file("/sys/kernel/mm/ksm/sleep_millisecs", "1");
	t_write_file("/sys/kernel/mm/ksm/pages_to_scan", "1000");
	ASSERT_EQ(0, madvise(self->m, LEN, MADV_MERGEABLE));
	EXPECT_TRUE(ksm_merged());
	CHECK_MOST(0, PAGES);			/* merged: the same content */
	self->m[3 * PAGE] = 'x';
	CHECK_MOST(1, PAGES);
	madvise(self->m, LEN, MADV_UNMERGEABLE);
	t_write_file("/sys/kernel/mm/ksm/run", "2");
	CHECK_MOST(0, PAGES);
	t_write_file("/sys/kernel/mm/ksm/run", "0");
	self->m[5 * PAGE] = 'y';
	CHECK_MOST(1, PAGES);
}

/* Huge pages: formed, snapshotted, written, split, formed again. */
TEST(huge_pages)
{
	FIXTURE_DATA(life) data, *self = &data;
	char *h = t_map_huge(2 * HUGE);
	struct t_image *im = t_image_new(h, 2 * HUGE);
	int fd = t_open(), i;

	memset(h, 1, 2 * HUGE);
	if (madvise(h, 2 * HUGE, MADV_COLLAPSE))
		SKIP(return, "no huge page to be had");
	ASSERT_EQ(0, t_add(fd, h, 2 * HUGE));
	self->fd = fd;
	self->m = h;
	self->image = im;
	EXPECT_EQ(1024, next(self));
	for (i = 0; i < 4; i++) {
		h[i * 100 * PAGE]++;
		h[HUGE + i * 50 * PAGE]++;
		EXPECT_LE(2, next(self));
		EXPECT_EQ(-1, t_image_differs(im, h));
		if (i == 1 && madvise(h, HUGE, MADV_COLLAPSE) == 0)
			EXPECT_GE(512, next(self));
	}
	/* A fork shares huge pages, and a store splits them. */
	madvise(h, 2 * HUGE, MADV_COLLAPSE);
	h[0]++;
	waitpid(child(child_writes), NULL, 0);
	h[HUGE]++;
	EXPECT_LE(2, next(self));
	EXPECT_EQ(-1, t_image_differs(im, h));
	munmap(h + HUGE / 2, HUGE);
	EXPECT_LE(512, next(self));
	close(fd);
}

/*
 * The process ends, and somebody else has the snapshot
 */

static int send_fd(int sock, int fd)
{
	char buf[CMSG_SPACE(sizeof(int))] = { 0 }, c = 'f';
	struct iovec iov = { .iov_base = &c, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = buf,
		.msg_controllen = sizeof(buf),
	};
	struct cmsghdr *h = CMSG_FIRSTHDR(&msg);

	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(h), &fd, sizeof(int));
	return sendmsg(sock, &msg, 0) == 1 ? 0 : -errno;
}

static int receive_fd(int sock)
{
	char buf[CMSG_SPACE(sizeof(int))], c;
	struct iovec iov = { .iov_base = &c, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = buf,
		.msg_controllen = sizeof(buf),
	};
	int fd;

	if (recvmsg(sock, &msg, 0) != 1 || !CMSG_FIRSTHDR(&msg))
		return -1;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(int));
	return fd;
}

enum end { END_EXIT, END_KILL, END_EXEC, END_CRASH, END_THREAD };

static void *thread_end(void *how)
{
	(void)how;
	raise(SIGKILL);
	return NULL;
}

static void end(enum end how)
{
	pthread_t t;

	switch (how) {
	case END_EXIT:
		_exit(0);
	case END_KILL:
		raise(SIGKILL);
		break;
	case END_EXEC:
		/* The session's descriptor survives, its memory doesn't. */
		execl("/bin/sleep", "sleep", "0.2", NULL);
		_exit(1);
	case END_CRASH:
		*(volatile char *)8 = 1;
		break;
	case END_THREAD:
		pthread_create(&t, NULL, thread_end, NULL);
		pthread_join(t, NULL);
		break;
	}
}

static void other_process(int sock, enum end how)
{
	int fd = open(CPTDEV_DEVICE, O_RDWR), snap;
	char *m = t_map(LEN);

	fill(m, PAGES, 'A');
	t_add(fd, m, LEN);
	t_snapshot(fd, CPTDEV_SNAPSHOT_PUBLISH | CPTDEV_SNAPSHOT_NOFD, 0, NULL);
	snap = t_snapshot(fd, CPTDEV_SNAPSHOT_SINCE, 0, NULL);
	send_fd(sock, snap);
	close(snap);
	fill(m, PAGES / 2, 'x');
	end(how);
}

/* What is held by anybody, once the dust has settled: work goes on in the kernel. */
static uint64_t held_by_others(FIXTURE_DATA(life) *self)
{
	struct cptdev_info info;
	int i;

	for (i = 0; i < 100; i++) {
		info = t_info(self->fd);
		if (info.held == info.session_held && info.sessions == 1)
			return 0;
		usleep(20000);
	}
	return info.held - info.session_held + info.sessions - 1;
}

static void survives(struct __test_metadata *_metadata, FIXTURE_DATA(life) *self,
		     enum end how)
{
	int pair[2], fd;
	char *got = malloc(LEN);
	pid_t pid;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	fflush(NULL);
	pid = fork();
	if (!pid)
		other_process(pair[1], how);
	fd = receive_fd(pair[0]);
	ASSERT_LE(0, fd);
	waitpid(pid, NULL, 0);
	ASSERT_EQ((ssize_t)LEN, pread(fd, got, LEN, 0));
	EXPECT_EQ(0, memcmp(got, self->before, LEN));
	close(fd);
	free(got);
	EXPECT_EQ(0ULL, held_by_others(self));
}

TEST_F(life, exit)
{
	survives(_metadata, self, END_EXIT);
}

TEST_F(life, sigkill)
{
	survives(_metadata, self, END_KILL);
}

TEST_F(life, exec)
{
	survives(_metadata, self, END_EXEC);
}

TEST_F(life, crash)
{
	survives(_metadata, self, END_CRASH);
}

TEST_F(life, sigkill_by_a_thread)
{
	survives(_metadata, self, END_THREAD);
}

/* Killed at any moment, in the middle of a cut as well. */
TEST_F(life, sigkill_any_time)
{
	unsigned int i;
	pid_t pid;

	for (i = 0; i < 40; i++) {
		fflush(NULL);
		pid = fork();
		if (!pid) {
			int fd = t_open();
			char *m = t_map(LEN);

			t_add(fd, m, LEN);
			for (;;) {
				fill(m, PAGES, 'a');
				close(t_snapshot(fd, CPTDEV_SNAPSHOT_PUBLISH, 0, NULL));
			}
		}
		usleep(1000 + i * 997 % 7919);
		reap(pid);
	}
	EXPECT_EQ(0ULL, held_by_others(self));
}

/* The last descriptor is closed by a process that isn't the session's. */
TEST_F(life, closed_by_another)
{
	pid_t pid;

	pid = child(pause_forever);		/* has a copy of the descriptor */
	close(self->snap);
	close(self->fd);
	reap(pid);
	self->fd = t_open();
	ASSERT_EQ(0, t_add(self->fd, self->m, LEN));
	EXPECT_EQ(0ULL, held_by_others(self));
	self->snap = t_snapshot(self->fd, 0, 0, &self->s);
	EXPECT_EQ(PAGES, self->s.pages);
}

/*
 * I/O in flight
 */

struct reader {
	int disk;
	char *m;
	off_t offset;
	volatile pid_t tid;
	ssize_t got;
};

static void *direct_read(void *arg)
{
	struct reader *r = arg;

	r->tid = gettid();
	r->got = pread(r->disk, r->m, PAGE, r->offset);
	return NULL;
}

#define READERS	12

/*
 * Reads that were begun before the cut and land after it. The snapshot doesn't change,
 * and the next one after they have landed has them.
 */
TEST_F(life, direct_in_flight)
{
	struct reader r[READERS];
	pthread_t thread[READERS];
	unsigned int i;
	int disk, fd;
	char *copy;
	off_t len;

	disk = open("/dev/vda", O_RDONLY | O_DIRECT);
	if (disk < 0 || t_slow_disk("/dev/vda", 2))
		SKIP(return, "no disk that could be slowed down");
	for (i = 0; i < READERS; i++) {
		r[i] = (struct reader) {
			.disk = disk, .m = self->m + (8 + 2 * i) * PAGE,
			.offset = i * PAGE,
		};
		pthread_create(&thread[i], NULL, direct_read, &r[i]);
	}
	for (i = 0; i < READERS; i++)
		t_wait_for_disk(&r[i].tid);
	fd = t_snapshot(self->fd, 0, 0, &self->s);
	ASSERT_LE(0, fd);
	/* Some of them are under way: their pages were copied. */
	EXPECT_LT(0ULL, self->s.copied);
	EXPECT_GE(self->s.pages, self->s.copied);
	len = self->s.pages * PAGE;
	copy = malloc(len);
	ASSERT_EQ(len, pread(fd, copy, len, 0));
	EXPECT_EQ(0, t_image_apply(self->image, fd));
	EXPECT_EQ(0, t_slow_disk("/dev/vda", 1000000));
	for (i = 0; i < READERS; i++) {
		pthread_join(thread[i], NULL);
		EXPECT_EQ((ssize_t)PAGE, r[i].got);
	}
	EXPECT_TRUE(unchanged(self));
	self->before = realloc(self->before, LEN + len);
	ASSERT_EQ(len, pread(fd, self->before + LEN, len, 0));
	EXPECT_EQ(0, memcmp(copy, self->before + LEN, len));
	close(fd);
	free(copy);
	EXPECT_LE(1, next(self));
	EXPECT_EQ(-1, t_image_differs(self->image, self->m));
	/* Not for ever: once more, and that was it. */
	EXPECT_GE(READERS, next(self));
	EXPECT_EQ(0, next(self));
	t_fast_disk();
}

/*
 * Who waits for his own memory makes nobody else wait. A process with much memory forks all the
 * time, which holds its mmap_lock, and adds ranges, which needs it. Calls of others are begun
 * and return while it waits: it has got no further, and still waits.
 */

static void *fork_always(void *arg)
{
	(void)arg;
	for (;;) {
		pid_t pid = fork();

		if (!pid)
			_exit(0);
		waitpid(pid, NULL, 0);
	}
}

static void add_always(volatile unsigned long *done)
{
	const size_t len = 160UL << 20;
	char *m = t_map(len);
	pthread_t thread;
	int fd = t_open();

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	memset(m, 1, len);
	pthread_create(&thread, NULL, fork_always, NULL);
	for (;; ++*done)
		if (t_add(fd, m, len) || t_del(fd, m, len))
			_exit(1);
}

static bool process_waits(pid_t pid)
{
	char path[64], text[512] = "", *p;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "r");
	if (!f || !fgets(text, sizeof(text), f))
		text[0] = 0;
	if (f)
		fclose(f);
	p = strrchr(text, ')');
	return p && p[2] == 'D';
}

TEST_F(life, mmap_lock_of_another)
{
	volatile unsigned long *done = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
					    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int other = t_open(), daemon = t_open();
	uint64_t id = t_info(self->fd).session_id;
	unsigned int seen = 0, waited = 0, i;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid)
		add_always(done);
	for (i = 0; i < 20000 && seen < 20; i++) {
		unsigned long before = *done;

		if (!before || !process_waits(pid)) {
			usleep(200);
			continue;
		}
		waited++;
		ASSERT_LT(0ULL, t_info(other).sessions);
		ASSERT_EQ(-ENODATA, t_delta(daemon, id, 0, NULL));
		ASSERT_EQ(-EINVAL, t_ack(daemon, id, 1, 0));
		seen += process_waits(pid) && *done == before;
	}
	EXPECT_EQ(0, waitpid(pid, NULL, WNOHANG));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	EXPECT_EQ(20U, seen) TH_LOG("it waited %u times, and %u calls returned before", waited, seen);
	close(other);
	close(daemon);
}

TEST_HARNESS_MAIN
