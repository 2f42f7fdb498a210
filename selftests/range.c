// SPDX-License-Identifier: GPL-2.0-only
/*
 * Ranges: adding, merging, removing parts, reading back; which memory is refused, with
 * what error, and that the mapping is named; names and limits of sessions.
 */
#include <signal.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/time.h>
#include <time.h>

#include "cptdev_test.h"
#include "io_uring.h"
#include "harness.h"

#define LEN	(64 * PAGE)

FIXTURE(range) {
	int fd;
	char *m;
};

FIXTURE_SETUP(range)
{
	self->fd = t_open();
	ASSERT_LE(0, self->fd);
	self->m = t_map(LEN);
	ASSERT_NE(NULL, self->m);
	memset(self->m, 1, LEN);
}

FIXTURE_TEARDOWN(range)
{
	close(self->fd);
}

/* The ranges as "start+pages ..." relative to the memory. */
static const char *list(FIXTURE_DATA(range) *self)
{
	static char text[512];
	struct cptdev_range_entry v[64];
	struct cptdev_range_list a = {
		.size = sizeof(a), .vec = (unsigned long)v, .vec_len = 64,
	};
	unsigned int i, n = 0;

	if (t_ioctl(self->fd, CPTDEV_IOC_RANGE_LIST, &a))
		return "error";
	text[0] = 0;
	for (i = 0; i < a.nr; i++)
		n += snprintf(text + n, sizeof(text) - n, "%s%llu+%llu", i ? " " : "",
			      (v[i].addr - (unsigned long)self->m) / PAGE,
			      v[i].len / PAGE);
	return text;
}

static int add(FIXTURE_DATA(range) *self, unsigned int page, unsigned int n)
{
	return t_add(self->fd, self->m + page * PAGE, n * PAGE);
}

static int del(FIXTURE_DATA(range) *self, unsigned int page, unsigned int n)
{
	return t_del(self->fd, self->m + page * PAGE, n * PAGE);
}

TEST_F(range, add_and_merge)
{
	EXPECT_STREQ("", list(self));
	EXPECT_EQ(0, add(self, 10, 5));
	EXPECT_STREQ("10+5", list(self));
	EXPECT_EQ(0, add(self, 20, 5));
	EXPECT_STREQ("10+5 20+5", list(self));
	EXPECT_EQ(0, add(self, 15, 1));			/* touches */
	EXPECT_STREQ("10+6 20+5", list(self));
	EXPECT_EQ(0, add(self, 12, 10));		/* overlaps both */
	EXPECT_STREQ("10+15", list(self));
	EXPECT_EQ(0, add(self, 12, 2));			/* is in it */
	EXPECT_STREQ("10+15", list(self));
	EXPECT_EQ(0, add(self, 0, 64));			/* has it */
	EXPECT_STREQ("0+64", list(self));
	EXPECT_EQ(64 * PAGE, t_info(self->fd).session_bytes);
	EXPECT_EQ(1ULL, t_info(self->fd).session_ranges);
}

TEST_F(range, delete_parts)
{
	EXPECT_EQ(0, add(self, 0, 64));
	EXPECT_EQ(0, del(self, 0, 4));
	EXPECT_STREQ("4+60", list(self));
	EXPECT_EQ(0, del(self, 60, 4));
	EXPECT_STREQ("4+56", list(self));
	EXPECT_EQ(0, del(self, 10, 10));		/* from its middle */
	EXPECT_STREQ("4+6 20+40", list(self));
	EXPECT_EQ(0, del(self, 8, 20));			/* of both */
	EXPECT_STREQ("4+4 28+32", list(self));
	EXPECT_EQ(-ENOENT, del(self, 8, 20));		/* nothing there */
	EXPECT_EQ(36 * PAGE, t_info(self->fd).session_bytes);
	EXPECT_EQ(0, del(self, 0, 64));
	EXPECT_STREQ("", list(self));
	EXPECT_EQ(0ULL, t_info(self->fd).session_bytes);
	EXPECT_EQ(-ENOENT, del(self, 0, 64));
}

TEST_F(range, exclusive)
{
	struct cptdev_range a = {
		.size = sizeof(a), .flags = CPTDEV_RANGE_EXCL, .len = 8 * PAGE,
		.addr = (unsigned long)self->m,
	};

	EXPECT_EQ(0, t_ioctl(self->fd, CPTDEV_IOC_RANGE_ADD, &a));
	a.addr += 8 * PAGE;				/* touching isn't overlapping */
	EXPECT_EQ(0, t_ioctl(self->fd, CPTDEV_IOC_RANGE_ADD, &a));
	a.addr += 7 * PAGE;
	EXPECT_EQ(-EEXIST, t_ioctl(self->fd, CPTDEV_IOC_RANGE_ADD, &a));
	EXPECT_EQ((unsigned long)self->m + 15 * PAGE, a.bad_addr);
	EXPECT_EQ((__u32)CPTDEV_REASON_OVERLAP, a.reason);
	EXPECT_STREQ("0+16", list(self));
}

TEST_F(range, clear)
{
	struct cptdev_range a = { .size = sizeof(a) };

	EXPECT_EQ(0, add(self, 0, 4));
	EXPECT_EQ(0, add(self, 8, 4));
	EXPECT_EQ(0, t_ioctl(self->fd, CPTDEV_IOC_RANGE_CLEAR, &a));
	EXPECT_STREQ("", list(self));
	EXPECT_EQ(0, t_ioctl(self->fd, CPTDEV_IOC_RANGE_CLEAR, &a));
	a.len = PAGE;
	EXPECT_EQ(-EINVAL, t_ioctl(self->fd, CPTDEV_IOC_RANGE_CLEAR, &a));
}

TEST_F(range, list_in_pieces)
{
	struct cptdev_range_entry v[4];
	struct cptdev_range_list a = {
		.size = sizeof(a), .vec = (unsigned long)v, .vec_len = 4,
	};
	unsigned int i, seen = 0;

	for (i = 0; i < 10; i++)
		ASSERT_EQ(0, add(self, i * 3, 1));
	do {
		ASSERT_EQ(0, t_ioctl(self->fd, CPTDEV_IOC_RANGE_LIST, &a));
		ASSERT_EQ(10ULL, a.total);
		for (i = 0; i < a.nr; i++)
			EXPECT_EQ((unsigned long)self->m + seen++ * 3 * PAGE, v[i].addr);
		if (a.nr)
			a.start = v[a.nr - 1].addr + v[a.nr - 1].len;
	} while (a.nr);
	EXPECT_EQ(10U, seen);
	a.vec_len = 0;
	a.start = 0;
	EXPECT_EQ(0, t_ioctl(self->fd, CPTDEV_IOC_RANGE_LIST, &a));
	EXPECT_EQ(10ULL, a.total);
	a.vec_len = 4;
	a.vec = 8;
	EXPECT_EQ(-EFAULT, t_ioctl(self->fd, CPTDEV_IOC_RANGE_LIST, &a));
}

TEST_F(range, wrong_fields)
{
	EXPECT_EQ(-EINVAL, t_add(self->fd, self->m + 1, PAGE));
	EXPECT_EQ(-EINVAL, t_add(self->fd, self->m, PAGE - 1));
	EXPECT_EQ(-EINVAL, t_add(self->fd, self->m, 0));
	EXPECT_EQ(-EINVAL, t_add(self->fd, self->m, -PAGE));
	EXPECT_EQ(-EINVAL, t_add(self->fd, (void *)-PAGE, PAGE));
	EXPECT_EQ(-EINVAL, t_add(self->fd, (void *)(1UL << 63), PAGE));
	EXPECT_EQ(-EINVAL, t_del(self->fd, self->m + 1, PAGE));
	EXPECT_EQ(-EINVAL, t_del(self->fd, self->m, 0));
	EXPECT_EQ(-EOPNOTSUPP, t_range(self->fd, CPTDEV_IOC_RANGE_DEL, self->m, PAGE,
				       CPTDEV_RANGE_EXCL));
	EXPECT_STREQ("", list(self));
}

/* What is answered, and where and why. */
static int refused(FIXTURE_DATA(range) *self, void *addr, size_t len, uint32_t *reason,
		   uint64_t *where)
{
	struct cptdev_range a = {
		.size = sizeof(a), .addr = (unsigned long)addr, .len = len,
	};
	int ret = t_ioctl(self->fd, CPTDEV_IOC_RANGE_ADD, &a);

	*reason = a.reason;
	*where = a.bad_addr;
	return ret;
}

TEST_F(range, unmapped)
{
	uint32_t reason;
	uint64_t where;

	munmap(self->m + 5 * PAGE, PAGE);
	EXPECT_EQ(-EFAULT, refused(self, self->m, LEN, &reason, &where));
	EXPECT_EQ((unsigned long)self->m + 5 * PAGE, where);
	EXPECT_EQ((uint32_t)CPTDEV_REASON_UNMAPPED, reason);
	EXPECT_STREQ("", list(self));
}

TEST_F(range, shared)
{
	uint32_t reason;
	uint64_t where;
	char *p;

	p = mmap(self->m + 8 * PAGE, PAGE, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	ASSERT_EQ(self->m + 8 * PAGE, p);
	EXPECT_EQ(-EOPNOTSUPP, refused(self, self->m, LEN, &reason, &where));
	EXPECT_EQ((unsigned long)p, where);
	EXPECT_EQ((uint32_t)CPTDEV_REASON_SHARED, reason);
}

TEST_F(range, shared_file)
{
	int fd = memfd_create("range", 0);
	uint32_t reason;
	uint64_t where;
	char *p;

	ASSERT_EQ(0, ftruncate(fd, PAGE));
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	EXPECT_EQ(-EOPNOTSUPP, refused(self, p, PAGE, &reason, &where));
	EXPECT_EQ((uint32_t)CPTDEV_REASON_SHARED, reason);
	/* Mapped privately it is memory like any other. */
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	EXPECT_EQ(0, refused(self, p, PAGE, &reason, &where));
}

/* Mapped by any way: refused by the mapping's first page, and nothing is tracked. */
#define REFUSED(p, n, why) do {						\
	char *p_ = (p);							\
	uint32_t reason_;						\
	uint64_t where_;						\
	ASSERT_NE(MAP_FAILED, p_);					\
	EXPECT_EQ(-EOPNOTSUPP, refused(self, p_, n, &reason_, &where_)); \
	EXPECT_EQ((uint32_t)(why), reason_);				\
	EXPECT_EQ((unsigned long)p_, where_);				\
	EXPECT_STREQ("", list(self));					\
} while (0)

static char *map_shared(int fd, int prot)
{
	return mmap(NULL, PAGE, prot, MAP_SHARED, fd, 0);
}

TEST_F(range, shared_kinds)
{
	int memfd = memfd_create("range", 0), zero = open("/dev/zero", O_RDWR), read_only;
	int file = open("/tmp/range", O_RDWR | O_CREAT, 0600);
	int id = shmget(IPC_PRIVATE, PAGE, IPC_CREAT | 0600);
	char path[64], *p;

	ASSERT_EQ(0, ftruncate(memfd, PAGE));
	ASSERT_EQ(0, ftruncate(file, PAGE));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", memfd);
	read_only = open(path, O_RDONLY);
	REFUSED(map_shared(memfd, PROT_READ | PROT_WRITE), PAGE, CPTDEV_REASON_SHARED);
	/* Who can only read can't keep others from writing. */
	REFUSED(map_shared(memfd, PROT_READ), PAGE, CPTDEV_REASON_SHARED);
	REFUSED(map_shared(read_only, PROT_READ), PAGE, CPTDEV_REASON_SHARED);
	REFUSED(map_shared(file, PROT_READ | PROT_WRITE), PAGE, CPTDEV_REASON_SHARED);
	REFUSED(map_shared(zero, PROT_READ | PROT_WRITE), PAGE, CPTDEV_REASON_SHARED);
	REFUSED(shmat(id, NULL, 0), PAGE, CPTDEV_REASON_SHARED);
	REFUSED(shmat(id, NULL, SHM_RDONLY), PAGE, CPTDEV_REASON_SHARED);
	shmctl(id, IPC_RMID, NULL);
	unlink("/tmp/range");

	/* The same mapped privately is tracked; of /dev/zero it is anonymous memory. */
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, read_only, 0);
	EXPECT_EQ(0, t_add(self->fd, p, PAGE));
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
	EXPECT_EQ(0, t_add(self->fd, p, PAGE));
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, zero, 0);
	EXPECT_EQ(0, t_add(self->fd, p, PAGE));
	EXPECT_LE(0, t_snapshot(self->fd, 0, 0, NULL));
}

TEST_F(range, secret)
{
	int fd = syscall(SYS_memfd_secret, 0);

	if (fd < 0)
		SKIP(return, "this kernel gives no secret memory");
	ASSERT_EQ(0, ftruncate(fd, PAGE));
	REFUSED(map_shared(fd, PROT_READ | PROT_WRITE), PAGE, CPTDEV_REASON_SHARED);
}

/* The rings of io_uring are the kernel's memory. */
TEST_F(range, kernel_memory)
{
	struct t_uring u;

	ASSERT_EQ(0, t_uring_open(&u));
	REFUSED(u.sq, PAGE, CPTDEV_REASON_DEVICE);
	t_uring_close(&u);
}

TEST_F(range, hugetlb)
{
	int fd = memfd_create("hugetlb", MFD_HUGETLB);
	uint32_t reason;
	uint64_t where;
	char *p;

	t_write_file("/proc/sys/vm/nr_hugepages", "4");
	p = mmap(NULL, HUGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	if (p == MAP_FAILED)
		SKIP(return, "no hugetlb page to be had");
	EXPECT_EQ(-EOPNOTSUPP, refused(self, p, HUGE, &reason, &where));
	EXPECT_EQ((uint32_t)CPTDEV_REASON_HUGETLB, reason);
	ASSERT_EQ(0, ftruncate(fd, HUGE));
	REFUSED(mmap(NULL, HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0), HUGE,
		CPTDEV_REASON_HUGETLB);
	REFUSED(mmap(NULL, HUGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), HUGE,
		CPTDEV_REASON_HUGETLB);
	munmap(p, HUGE);
	t_write_file("/proc/sys/vm/nr_hugepages", "0");
}

/* A mapped snapshot is memory that belongs to the module. */
TEST_F(range, device)
{
	uint32_t reason;
	uint64_t where;
	char *p;
	int fd;

	ASSERT_EQ(0, add(self, 0, 4));
	fd = t_snapshot(self->fd, 0, 0, NULL);
	p = mmap(NULL, 4 * PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(-EOPNOTSUPP, refused(self, p, PAGE, &reason, &where));
	EXPECT_EQ((uint32_t)CPTDEV_REASON_DEVICE, reason);
}

TEST_F(range, vdso)
{
	char *p = (char *)getauxval(AT_SYSINFO_EHDR);
	uint32_t reason;
	uint64_t where;

	if (!p)
		SKIP(return, "this kernel has no vDSO");
	EXPECT_EQ(-EOPNOTSUPP, refused(self, p, PAGE, &reason, &where));
	EXPECT_TRUE(reason == CPTDEV_REASON_SPECIAL || reason == CPTDEV_REASON_DEVICE);
}

/* Text, data and bss of the program itself, the heap, the stack. */
TEST_F(range, own_program)
{
	static char bss[3 * PAGE];
	static char data[3 * PAGE] = { 1 };
	char stack[3 * PAGE];
	char *heap = malloc(1 << 20);

#define INSIDE(p) ((void *)(((unsigned long)(p) + PAGE - 1) & ~(PAGE - 1)))
	EXPECT_EQ(0, t_add(self->fd, INSIDE(bss), PAGE));
	EXPECT_EQ(0, t_add(self->fd, INSIDE(data), PAGE));
	EXPECT_EQ(0, t_add(self->fd, INSIDE(heap), 16 * PAGE));
	EXPECT_EQ(0, t_add(self->fd, INSIDE(stack), PAGE));
	EXPECT_LE(0, t_snapshot(self->fd, 0, 0, NULL));
	free(heap);
}

/* What was tracked once and can't be any more is noticed by the next call. */
TEST_F(range, becomes_shared)
{
	struct cptdev_snapshot s = { .size = sizeof(s) };
	struct cptdev_scan scan = { .size = sizeof(scan) };
	char *p;

	ASSERT_EQ(0, add(self, 0, 64));
	ASSERT_LE(0, t_snapshot(self->fd, 0, 0, NULL));
	p = mmap(self->m + 9 * PAGE, PAGE, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	ASSERT_EQ(self->m + 9 * PAGE, p);
	EXPECT_EQ(-EOPNOTSUPP, t_ioctl(self->fd, CPTDEV_IOC_SNAPSHOT, &s));
	EXPECT_EQ((unsigned long)p, s.bad_addr);
	EXPECT_EQ((__u32)CPTDEV_REASON_SHARED, s.reason);
	/* SCAN ends before that page, and one that begins there has the error. */
	EXPECT_EQ(0, t_ioctl(self->fd, CPTDEV_IOC_SCAN, &scan));
	EXPECT_EQ((unsigned long)p, scan.walk_end);
	scan.start = scan.walk_end;
	EXPECT_EQ(-EOPNOTSUPP, t_ioctl(self->fd, CPTDEV_IOC_SCAN, &scan));
	/* Without that page all is well again. */
	EXPECT_EQ(0, del(self, 9, 1));
	EXPECT_EQ(0, t_ioctl(self->fd, CPTDEV_IOC_SNAPSHOT, &s));
}

TEST_F(range, two_sessions)
{
	struct cptdev_range a = {
		.size = sizeof(a), .addr = (unsigned long)self->m, .len = 8 * PAGE,
	};
	int other = t_open();

	ASSERT_EQ(0, add(self, 4, 8));
	EXPECT_EQ(-EBUSY, t_ioctl(other, CPTDEV_IOC_RANGE_ADD, &a));
	EXPECT_EQ((unsigned long)self->m + 4 * PAGE, a.bad_addr);
	EXPECT_EQ((__u32)CPTDEV_REASON_SESSION, a.reason);
	a.len = 4 * PAGE;
	EXPECT_EQ(0, t_ioctl(other, CPTDEV_IOC_RANGE_ADD, &a));
	EXPECT_EQ(-EBUSY, add(self, 0, 8));
	close(other);
	EXPECT_EQ(0, add(self, 0, 8));
}

TEST_F(range, many)
{
	struct cptdev_info before = t_info(self->fd), after;
	size_t n = 2000, i;
	char *p = t_map(2 * n * PAGE);

	for (i = 0; i < n; i++)
		ASSERT_EQ(0, t_add(self->fd, p + 2 * i * PAGE, PAGE));
	after = t_info(self->fd);
	EXPECT_EQ(n, after.session_ranges);
	EXPECT_EQ(n * PAGE, after.session_bytes);
	EXPECT_LT(before.session_overhead, after.session_overhead);
	EXPECT_LE(0, t_snapshot(self->fd, 0, 0, NULL));
	ASSERT_EQ(0, t_add(self->fd, p, 2 * n * PAGE));
	EXPECT_EQ(1ULL, t_info(self->fd).session_ranges);
}

/* The module's own memory is a small part of what is tracked, used or not. */
TEST_F(range, overhead)
{
	size_t len = 256UL << 20;
	char *p = t_map(len);
	struct cptdev_info info;

	ASSERT_EQ(0, t_add(self->fd, p, len));
	info = t_info(self->fd);
	/* Nothing was touched. A debug kernel, where tests are short, has larger locks. */
	EXPECT_GT(t_length() == T_SHORT ? 2 * PAGE : PAGE, info.session_overhead);
	memset(p, 1, 64UL << 20);
	close(t_snapshot(self->fd, 0, 0, NULL));
	info = t_info(self->fd);
	EXPECT_LT(info.session_overhead, (64UL << 20) / 250);
	EXPECT_EQ(0ULL, T_SOON(0ULL, t_info(self->fd).session_held));
}

/* The session's own mapping in the process, from /proc/self/maps. */
static char *proxy(size_t *len)
{
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned long start, end;
	char line[256], *found = NULL;

	if (!f)
		return NULL;
	while (fgets(line, sizeof(line), f)) {
		if (!strstr(line, "cptdev-proxy"))
			continue;
		if (sscanf(line, "%lx-%lx", &start, &end) == 2) {
			found = (char *)start;
			*len = end - start;
		}
	}
	fclose(f);
	return found;
}

TEST_F(range, proxy_unmapped)
{
	size_t len;
	char *p;

	ASSERT_EQ(0, add(self, 0, 64));
	p = proxy(&len);
	ASSERT_NE(NULL, p);
	ASSERT_EQ(0, munmap(p, len));
	EXPECT_LE(0, t_snapshot(self->fd, 0, 0, NULL));
	p = proxy(&len);
	ASSERT_NE(NULL, p);
	/* What is moved isn't there, either. */
	ASSERT_EQ(self->m, mremap(p, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, self->m));
	ASSERT_EQ(self->m, mmap(self->m, len, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	EXPECT_LE(0, t_snapshot(self->fd, 0, 0, NULL));
	/* It can be neither written nor made writable. */
	p = proxy(&len);
	EXPECT_EQ(-1, mprotect(p, PAGE, PROT_READ | PROT_WRITE));
}

TEST_F(range, proxy_goes_with_session)
{
	size_t len;

	ASSERT_EQ(0, add(self, 0, 64));
	ASSERT_NE(NULL, proxy(&len));
	close(self->fd);
	EXPECT_EQ(NULL, proxy(&len));
	self->fd = t_open();
}

TEST_F(range, no_address_space)
{
	struct rlimit limit = { .rlim_cur = PAGE, .rlim_max = RLIM_INFINITY };

	ASSERT_EQ(0, setrlimit(RLIMIT_AS, &limit));
	EXPECT_EQ(-ENOMEM, add(self, 0, 64));
	EXPECT_STREQ("", list(self));
	limit.rlim_cur = RLIM_INFINITY;
	ASSERT_EQ(0, setrlimit(RLIMIT_AS, &limit));
	EXPECT_EQ(0, add(self, 0, 64));
}

/*
 * Names
 */

static void on_signal(int sig)
{
	(void)sig;
}

static int add_once(char *m)
{
	int fd = t_open(), ret = t_add(fd, m, LEN);

	close(fd);
	return ret;
}

/*
 * A signal that has a handler, at whatever moment, isn't seen by who adds a range. One
 * comes per call or so: the kernel begins anew each time, and must be able to end.
 */
TEST_F(range, signals)
{
	struct itimerval often = { 0 }, never = { 0 };
	struct sigaction sa = { .sa_handler = on_signal };
	struct timespec a, b;
	int i, ret = 0;

	clock_gettime(CLOCK_MONOTONIC, &a);
	for (i = 0; i < 10; i++)
		ASSERT_EQ(0, add_once(self->m));
	clock_gettime(CLOCK_MONOTONIC, &b);
	often.it_value.tv_usec = ((b.tv_sec - a.tv_sec) * 1000000 +
				  (b.tv_nsec - a.tv_nsec) / 1000) / 10 + 1;
	often.it_interval = often.it_value;
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	for (i = 0; i < 300 && !ret; i++)
		ret = add_once(self->m);
	setitimer(ITIMER_REAL, &never, NULL);
	EXPECT_EQ(0, ret);
}

/* The module's mapping counts as memory to come: who may lock none can't have it. */
TEST_F(range, locked_memory)
{
	struct rlimit none = { 0, 0 };

	ASSERT_EQ(0, mlockall(MCL_FUTURE));
	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &none));
	EXPECT_EQ(0, setresuid(65534, 65534, 65534));
	EXPECT_EQ(-EAGAIN, add(self, 0, 1));
	munlockall();
	EXPECT_EQ(0, add(self, 0, 1));
}

TEST_F(range, names)
{
	char name[CPTDEV_NAME_MAX + 1];
	int other = t_open();

	EXPECT_EQ(-EINVAL, t_setup(self->fd, "", 0, 0));
	EXPECT_EQ(-EINVAL, t_setup(self->fd, "term", CPTDEV_TERM_MAX + 1, 0));
	EXPECT_EQ(-EINVAL, t_setup(self->fd, "term", ~0ULL, 0));
	EXPECT_EQ(-EINVAL, t_setup(self->fd, "a b", 0, 0));
	EXPECT_EQ(-EINVAL, t_setup(self->fd, "a/b", 0, 0));
	EXPECT_EQ(-EINVAL, t_setup(self->fd, "\xc3\xa4", 0, 0));
	memset(name, 'x', sizeof(name));
	name[CPTDEV_NAME_MAX - 1] = 0;
	EXPECT_EQ(0, t_setup(self->fd, name, 7, 0));
	EXPECT_EQ(7ULL, t_info(self->fd).session_term);
	EXPECT_EQ(-EEXIST, t_setup(other, name, 0, 0));
	EXPECT_EQ(-EBUSY, t_setup(self->fd, "another", 0, 0));
	close(self->fd);
	self->fd = t_open();
	EXPECT_EQ(0, t_setup(other, name, 0, 0));	/* free again */
	EXPECT_EQ(1ULL, t_info(other).session_term);
	close(other);
}

TEST_F(range, name_without_end)
{
	struct cptdev_session_setup a = { .size = sizeof(a) };

	memset(a.name, 'x', sizeof(a.name));
	EXPECT_EQ(-EINVAL, t_ioctl(self->fd, CPTDEV_IOC_SESSION_SETUP, &a));
}

TEST_F(range, name_after_snapshot)
{
	ASSERT_EQ(0, add(self, 0, 4));
	ASSERT_LE(0, t_snapshot(self->fd, 0, 0, NULL));
	EXPECT_EQ(-EBUSY, t_setup(self->fd, "late", 0, 0));
}

TEST_HARNESS_MAIN
