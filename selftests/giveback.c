// SPDX-License-Identifier: GPL-2.0-only
/*
 * A page that no snapshot holds any more is the process's alone again: UFFDIO_MOVE takes it,
 * and pinning it for reading takes no fault. And pages that were given back don't count as
 * changed, while those that are changed afterwards in any way do.
 */
#include <fcntl.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include "cptdev_test.h"
#include "io_uring.h"
#include "harness.h"
#include "uffd_move.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

#define PAGES	64UL
#define LEN	(PAGES * PAGE)

FIXTURE(given) {
	int fd;
	int mem;			/* /proc/self/mem */
	char *m;
	struct t_image *image;
	struct cptdev_snapshot s;	/* the newest */
};

/*
 * A processor has batches of pages that are new, or on their way to another list, and a
 * reference to each of these pages. mlock() of whatever page empties them.
 */
static void drain(void)
{
	static char page[PAGE] __attribute__((aligned(4096)));

	mlock(page, PAGE);
	munlock(page, PAGE);
}

static void drop(int snap)
{
	drain();
	close(snap);
}

/* The next snapshot, applied to the image; its descriptor. */
static int take(FIXTURE_DATA(given) *self, uint32_t flags)
{
	int snap;

	drain();
	snap = t_snapshot(self->fd, flags, 0, &self->s);
	if (snap >= 0 && t_image_apply(self->image, snap))
		return -EIO;
	return snap;
}

/* The same, closed: its number of pages, or -1 if it isn't what memory is. */
static long next(FIXTURE_DATA(given) *self)
{
	int snap = take(self, 0);

	if (snap < 0)
		return snap;
	drop(snap);
	return t_image_differs(self->image, self->m) < 0 ? (long)self->s.pages : -1;
}

static char *at(FIXTURE_DATA(given) *self, unsigned int page)
{
	return self->m + page * PAGE;
}

/* Writes as a debugger does, who needs no write permission. */
static bool force(FIXTURE_DATA(given) *self, unsigned int page, char c)
{
	return pwrite(self->mem, &c, 1, (off_t)(unsigned long)at(self, page)) == 1;
}

/*
 * Page faults when the page is pinned for reading: 0 if it is the process's alone. From then
 * on it is.
 */
static long pin_faults(char *page)
{
	static char to[PAGE];
	struct iovec local = { .iov_base = to, .iov_len = PAGE };
	struct iovec remote = { .iov_base = page, .iov_len = PAGE };
	struct rusage before, after;

	memset(to, 0, sizeof(to));
	getrusage(RUSAGE_SELF, &after);		/* "after" is in memory, too */
	getrusage(RUSAGE_SELF, &before);
	if (process_vm_readv(getpid(), &local, 1, &remote, 1, 0) != (ssize_t)PAGE)
		return -1;
	getrusage(RUSAGE_SELF, &after);
	return after.ru_minflt - before.ru_minflt;
}

FIXTURE_SETUP(given)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	sched_setaffinity(0, sizeof(one), &one);
	self->fd = t_open();
	self->mem = open("/proc/self/mem", O_RDWR);
	self->m = t_map(LEN);
	memset(self->m, 1, LEN);
	self->image = t_image_new(self->m, LEN);
	ASSERT_EQ(0, t_add(self->fd, self->m, LEN));
	ASSERT_EQ((long)PAGES, next(self));
	/* What is called for the first time has to be found first. */
	pin_faults(at(self, 0));
}

FIXTURE_TEARDOWN(given)
{
	close(self->fd);
	close(self->mem);
	munmap(self->m, LEN);
	t_image_free(self->image);
}

TEST_F(given, by_the_last_snapshot_that_holds_it)
{
	char c = 0;
	int a, b;

	EXPECT_EQ(0, pin_faults(at(self, 3)));
	memset(at(self, 4), 'x', 3 * PAGE);
	a = take(self, 0);
	EXPECT_EQ(1, pin_faults(at(self, 4)));	/* a copy, since it is held */
	b = take(self, CPTDEV_SNAPSHOT_SINCE);
	drop(a);
	EXPECT_EQ(1, pin_faults(at(self, 5)));
	*at(self, 5) = 'y';
	EXPECT_EQ(1, pread(b, &c, 1, 5 * PAGE));	/* it is a full one */
	EXPECT_EQ('x', c);
	drop(b);
	EXPECT_EQ(0, pin_faults(at(self, 6)));
	EXPECT_EQ(0, pin_faults(at(self, 40)));
	EXPECT_EQ(1, next(self));
	EXPECT_EQ(0, next(self));
}

/* Of what was published, so much is freed by a worker. */
TEST_F(given, by_a_worker)
{
	const size_t len = 1200 * PAGE;
	int daemon = t_open(), delta;
	struct cptdev_delta d;
	char *m = t_map(len);
	size_t i;

	memset(m, 1, len);
	drain();
	ASSERT_EQ(0, t_add(self->fd, m, len));
	EXPECT_EQ(-1, t_snapshot(self->fd, CPTDEV_SNAPSHOT_PUBLISH | CPTDEV_SNAPSHOT_NOFD,
				 0, &self->s));
	EXPECT_EQ(1200ULL + PAGES, self->s.pages);
	delta = t_delta(daemon, t_info(self->fd).session_id, 0, &d);
	ASSERT_LE(0, delta);
	drop(delta);
	EXPECT_EQ(0, t_ack(daemon, t_info(self->fd).session_id, d.generation, 0));
	while (t_info(self->fd).session_held)
		sched_yield();
	for (i = 0; i < len; i += 100 * PAGE)
		EXPECT_EQ(0, pin_faults(m + i));
	close(daemon);
	m[700 * PAGE]++;
	close(t_snapshot(self->fd, 0, 0, &self->s));
	EXPECT_EQ(1ULL, self->s.pages);
	ASSERT_EQ(0, t_del(self->fd, m, len));
	munmap(m, len);
}

TEST_F(given, when_the_spare_has_it)
{
	int daemon = t_open(), delta, i;
	uint64_t id = t_info(self->fd).session_id;
	struct cptdev_delta d;

	for (i = 0; i < 3; i++) {
		memset(at(self, 4), 'x' + i, 3 * PAGE);
		EXPECT_EQ(-1, t_snapshot(self->fd, CPTDEV_SNAPSHOT_PUBLISH | CPTDEV_SNAPSHOT_NOFD,
					 0, &self->s));
		delta = t_delta(daemon, id, i ? self->image->generation : 0, &d);
		ASSERT_LE(0, delta);
		EXPECT_EQ(i ? 3ULL : PAGES, d.pages);
		EXPECT_EQ(0, t_image_apply(self->image, delta));
		EXPECT_EQ(-1, t_image_differs(self->image, self->m));
		EXPECT_EQ(0, t_ack(daemon, id, d.generation, 0));
		drop(delta);
		EXPECT_EQ(0, pin_faults(at(self, 4)));
	}
	close(daemon);
}

static bool kernel_before(unsigned int major, unsigned int minor)
{
	struct utsname name;
	unsigned int a = 0, b = 0;

	uname(&name);
	sscanf(name.release, "%u.%u", &a, &b);
	return a < major || (a == major && b < minor);
}

/* For a move to @page, which is empty. */
static int move_open(char *page)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_MOVE };
	struct uffdio_register reg = {
		.range = { .start = (unsigned long)page, .len = PAGE },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &reg))
		return -errno;
	return fd;
}

static int move(int fd, char *to, char *from)
{
	struct uffdio_move m = {
		.dst = (unsigned long)to, .src = (unsigned long)from, .len = PAGE,
	};

	return ioctl(fd, UFFDIO_MOVE, &m) ? errno : 0;
}

TEST_F(given, and_can_be_moved)
{
	char *to = at(self, 0), *from = at(self, 5);
	int snap, fd;

	if (kernel_before(6, 8))
		SKIP(return, "UFFDIO_MOVE came with 6.8");
	madvise(to, PAGE, MADV_DONTNEED);
	fd = move_open(to);
	ASSERT_LE(0, fd);
	*from = '!';
	snap = take(self, 0);
	EXPECT_EQ(EBUSY, move(fd, to, from));
	drop(snap);
	EXPECT_EQ(0, move(fd, to, from));
	EXPECT_EQ('!', *to);
	EXPECT_EQ(1, next(self));
	EXPECT_EQ(1ULL, self->s.holes);
	close(fd);
}

/* mprotect() to and fro changes nothing. */
TEST_F(given, is_not_changed_by_mprotect)
{
	const int prot[] = {
		PROT_READ, PROT_READ | PROT_WRITE, PROT_NONE, PROT_READ | PROT_WRITE,
		PROT_READ | PROT_WRITE | PROT_EXEC, PROT_READ | PROT_WRITE,
	};
	unsigned int i;

	for (i = 0; i < sizeof(prot) / sizeof(*prot); i++) {
		ASSERT_EQ(0, mprotect(self->m, LEN, prot[i]));
		drop(take(self, 0));
		EXPECT_EQ(0ULL, self->s.pages);
	}
	/* Twice between two cuts. */
	*at(self, 5) = 'x';
	EXPECT_EQ(1, next(self));
	mprotect(self->m, LEN, PROT_READ);
	mprotect(self->m, LEN, PROT_READ | PROT_WRITE);
	EXPECT_EQ(0, next(self));
	*at(self, 6) = 'y';
	EXPECT_EQ(1, next(self));
}

/* What is protected is shared again, its neighbours aren't. */
TEST_F(given, where_it_stays_writable)
{
	ASSERT_EQ(0, mprotect(at(self, 5), 3 * PAGE, PROT_READ));
	EXPECT_EQ(0, pin_faults(at(self, 4)));
	EXPECT_EQ(1, pin_faults(at(self, 5)));
	EXPECT_EQ(1, pin_faults(at(self, 7)));
	EXPECT_EQ(0, pin_faults(at(self, 8)));
	/* In memory without write permission nothing is given back. */
	EXPECT_EQ(2, next(self));		/* 5 and 7, pinned, count as written */
	EXPECT_EQ(1, pin_faults(at(self, 6)));
}

/* A debugger's write in memory without write permission leaves its trace, for one cut. */
TEST_F(given, and_written_where_it_was_read_only)
{
	ASSERT_EQ(0, mprotect(self->m, LEN, PROT_READ));
	EXPECT_TRUE(force(self, 6, 'x'));
	ASSERT_EQ(0, mprotect(self->m, LEN, PROT_READ | PROT_WRITE));
	EXPECT_EQ(1, next(self));
	EXPECT_EQ(0, next(self));
}

TEST_F(given, and_written_by_force)
{
	unsigned int i;

	EXPECT_TRUE(force(self, 5, 'a'));	/* with write permission */
	EXPECT_EQ(1, next(self));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, mprotect(self->m, LEN, PROT_READ));
		EXPECT_TRUE(force(self, 5, 'b' + i));
		EXPECT_EQ(1, next(self));
		EXPECT_TRUE(force(self, 5, 'm' + i));
		EXPECT_EQ(1, next(self));
		EXPECT_EQ(0, next(self));
		/* and before a second mprotect(), that hides where it was */
		EXPECT_TRUE(force(self, 6, 'b' + i));
		ASSERT_EQ(0, mprotect(self->m, LEN, PROT_READ | PROT_WRITE));
		EXPECT_EQ(1, next(self));
		EXPECT_EQ(0, next(self));
	}
	ASSERT_EQ(0, mprotect(self->m, LEN, PROT_READ));
	EXPECT_TRUE(force(self, 7, 'x'));
	ASSERT_EQ(0, mprotect(self->m, LEN, PROT_READ | PROT_WRITE));
	ASSERT_EQ(0, mprotect(self->m, LEN, PROT_READ));
	EXPECT_EQ(1, next(self));
}

/* Another mapping in its place was never made read-only. */
TEST_F(given, and_mapped_over_without_write_permission)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;

	ASSERT_EQ(self->m, mmap(self->m, LEN, PROT_READ, flags, -1, 0));
	EXPECT_TRUE(force(self, 9, 'x'));
	EXPECT_EQ(1, next(self));
	EXPECT_TRUE(force(self, 9, 'y'));
	EXPECT_TRUE(force(self, 10, 'y'));
	ASSERT_EQ(0, mprotect(self->m, LEN, PROT_READ | PROT_WRITE));
	EXPECT_EQ(2, next(self));
	EXPECT_EQ(0, next(self));
}

TEST_F(given, and_shared_with_a_child)
{
	char *was = malloc(LEN), c;
	int go[2], status, snap;
	pid_t pid;

	*at(self, 8) = 'x';
	snap = take(self, 0);
	memcpy(was, self->m, LEN);
	ASSERT_EQ(0, pipe(go));
	fflush(NULL);
	pid = fork();
	if (!pid) {
		close(go[1]);
		_exit(read(go[0], &c, 1) != 0 || memcmp(self->m, was, LEN));
	}
	close(go[0]);
	drop(snap);				/* the child has page 8, too */
	ASSERT_EQ(0, mprotect(self->m, LEN, PROT_READ));
	EXPECT_TRUE(force(self, 5, 'y'));
	EXPECT_EQ(1, next(self));
	ASSERT_EQ(0, mprotect(self->m, LEN, PROT_READ | PROT_WRITE));
	*at(self, 6) = 'y';
	*at(self, 8) = 'y';
	EXPECT_EQ(2, next(self));
	close(go[1]);
	EXPECT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(0, pin_faults(at(self, 6)));
	EXPECT_EQ(1, pin_faults(at(self, 7)));	/* no snapshot of it since the fork */
	ASSERT_EQ(0, mprotect(self->m, LEN, PROT_READ));
	EXPECT_TRUE(force(self, 8, 'z'));
	EXPECT_EQ(2, next(self));		/* and 7, pinned without write permission */
	free(was);
}

/* References by others, before a page would be given back, and after it was. */
TEST_F(given, and_referenced)
{
	struct iovec v = { .iov_base = at(self, 7), .iov_len = PAGE };
	char buf[PAGE], was[PAGE];
	struct t_uring uring;
	int pipes[2], snap, disk;

	ASSERT_EQ(0, pipe(pipes));
	*at(self, 7) = 'x';
	snap = take(self, 0);
	EXPECT_EQ((ssize_t)PAGE, vmsplice(pipes[1], &v, 1, 0));
	drop(snap);
	EXPECT_EQ((ssize_t)PAGE, read(pipes[0], buf, PAGE));
	EXPECT_EQ('x', buf[0]);
	EXPECT_EQ(1, pin_faults(at(self, 7)));
	EXPECT_EQ(0, next(self));

	/* A full snapshot of a page that a pipe has, and that is written then. */
	v.iov_base = at(self, 9);
	EXPECT_EQ((ssize_t)PAGE, vmsplice(pipes[1], &v, 1, 0));
	memcpy(was, at(self, 9), PAGE);
	snap = take(self, CPTDEV_SNAPSHOT_SINCE);
	EXPECT_EQ(PAGES, self->s.pages);
	memset(at(self, 9), 'y', PAGE);
	EXPECT_EQ((ssize_t)PAGE, read(pipes[0], buf, PAGE));
	EXPECT_EQ(0, memcmp(self->image->data + 9 * PAGE, was, PAGE));
	EXPECT_EQ(1, next(self));
	close(snap);

	disk = open("/dev/vda", O_RDONLY | O_DIRECT);
	ASSERT_LE(0, disk);
	EXPECT_EQ((ssize_t)PAGE, pread(disk, at(self, 11), PAGE, 0));
	EXPECT_EQ(1, next(self));
	ASSERT_EQ(0, t_uring_open(&uring));
	ASSERT_EQ(0, t_uring_pin(&uring, at(self, 12), PAGE));
	EXPECT_EQ(1, next(self));
	EXPECT_EQ(1ULL, self->s.copied);
	t_uring_submit(&uring, IORING_OP_READ_FIXED, disk, at(self, 12), PAGE, 0);
	EXPECT_EQ((long)PAGE, t_uring_wait(&uring));
	EXPECT_EQ(1, next(self));
	t_uring_close(&uring);
	do {					/* the kernel lets it go a little later */
		EXPECT_LE(0, next(self));
	} while (self->s.pages);
	close(disk);
}

/* Full again, of pages that are all exclusive and none of them writable. */
TEST_F(given, and_taken_again)
{
	int snap;

	snap = take(self, CPTDEV_SNAPSHOT_SINCE);
	EXPECT_EQ(PAGES, self->s.pages);
	EXPECT_EQ(0ULL, self->s.copied);
	EXPECT_EQ(1, pin_faults(at(self, 3)));
	memset(self->m, 'x', LEN);
	EXPECT_EQ(1, self->image->data[5 * PAGE]);
	EXPECT_EQ((long)PAGES, next(self));
	close(snap);
}

TEST_F(given, and_swapped_out)
{
	unsigned int tries;

	t_swap_on("/dev/vdb");
	*at(self, 5) = 'x';
	EXPECT_EQ(1, next(self));
	EXPECT_TRUE(t_page_out(at(self, 5), 1));
	madvise(self->m, LEN, MADV_PAGEOUT);
	ASSERT_EQ(0, mprotect(self->m, LEN, PROT_READ));
	EXPECT_TRUE(force(self, 5, 'y'));
	ASSERT_EQ(0, mprotect(self->m, LEN, PROT_READ | PROT_WRITE));
	EXPECT_LE(1, next(self));
	/* As long as the disk is at it, the page is in use. */
	for (tries = 0; tries < 1000; tries++) {
		t_drain_lists();
		if (!next(self))
			break;
		usleep(10000);
	}
	EXPECT_EQ(0, next(self));
	*at(self, 6) = 'y';
	EXPECT_EQ(1, next(self));
}

static long ksm_shared(void)
{
	char buf[32] = { 0 };
	int fd = open("/sys/kernel/mm/ksm/pages_sharing", O_RDONLY);
	ssize_t n = read(fd, buf, sizeof(buf) - 1);

	close(fd);
	return n > 0 ? atol(buf) : -1;
}

/* Merged with each other though nobody has written since the snapshot. */
TEST_F(given, and_merged)
{
	ASSERT_EQ(0, t_write_file("/sys/kernel/mm/ksm/run", "1"));
	t_write_file("/sys/kernel/mm/ksm/sleep_millisecs", "1");
	t_write_file("/sys/kernel/mm/ksm/pages_to_scan", "1000");
	ASSERT_EQ(0, madvise(self->m, LEN, MADV_MERGEABLE));
	while (ksm_shared() < (long)PAGES - 1)
		usleep(1000);
	EXPECT_LE(0, next(self));
	EXPECT_EQ(0, next(self));
	*at(self, 5) = 'x';
	EXPECT_EQ(1, next(self));
	ASSERT_EQ(0, mprotect(self->m, LEN, PROT_READ));
	EXPECT_TRUE(force(self, 5, 'y'));
	EXPECT_TRUE(force(self, 6, 'y'));
	EXPECT_EQ(2, next(self));
	ASSERT_EQ(0, mprotect(self->m, LEN, PROT_READ | PROT_WRITE));
	t_write_file("/sys/kernel/mm/ksm/run", "2");
	t_write_file("/sys/kernel/mm/ksm/run", "0");
	EXPECT_LE(0, next(self));
}

/* With one page of it written, the memory becomes a huge page. */
TEST_F(given, and_collapsed)
{
	char *h = t_map_huge(HUGE);
	size_t i;

	madvise(h, HUGE, MADV_NOHUGEPAGE);
	memset(h, 1, HUGE);
	drain();
	ASSERT_EQ(0, t_add(self->fd, h, HUGE));
	close(t_snapshot(self->fd, 0, 0, &self->s));
	EXPECT_EQ(512ULL, self->s.pages);
	madvise(h, HUGE, MADV_HUGEPAGE);
	h[5 * PAGE]++;
	EXPECT_EQ(0, madvise(h, HUGE, MADV_COLLAPSE));
	ASSERT_EQ(0, mprotect(h, HUGE, PROT_READ));
	EXPECT_EQ(1, pwrite(self->mem, "x", 1, (off_t)(unsigned long)(h + 7 * PAGE)));
	ASSERT_EQ(0, mprotect(h, HUGE, PROT_READ | PROT_WRITE));
	close(t_snapshot(self->fd, 0, 0, &self->s));
	EXPECT_LE(2ULL, self->s.pages);
	for (i = 0; i < 3; i++) {
		h[i * PAGE]++;
		close(t_snapshot(self->fd, 0, 0, &self->s));
		EXPECT_LE(1ULL, self->s.pages);
	}
	ASSERT_EQ(0, t_del(self->fd, h, HUGE));
	munmap(h, HUGE);
}

TEST_HARNESS_MAIN
