// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The library against the module: sessions, ranges, scans, snapshots; and what runs all
 * tests, the other files' too.
 * Needs root and the module; without it everything is skipped (exit status 4).
 */
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#include "ship.h"
#include "tap.h"


char *map_pages(void *want, size_t pages)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | (want ? MAP_FIXED_NOREPLACE : 0);
	char *p = mmap(want, pages * PAGE, PROT_READ | PROT_WRITE, flags, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	madvise(p, pages * PAGE, MADV_NOHUGEPAGE);
	return p;
}

int setup(struct fixture *f, void *addr, size_t pages)
{
	struct cptdev_info info = { .size = sizeof(info) };
	static unsigned int nr;

	memset(f, 0, sizeof(*f));
	snprintf(f->name, sizeof(f->name), "test-%d-%u", (int)getpid(), nr++);
	f->fd = ckdev_open();
	f->spare = ckdev_open();
	CHECK_OK(f->fd);
	CHECK_OK(f->spare);
	CHECK_RET(ckdev_session(f->fd, f->name, 0, 0, 0), 0);
	CHECK_RET(ckdev_range_add(f->fd, addr, pages * PAGE, 0, NULL), 0);
	CHECK_RET(ckdev_info(f->fd, &info), 0);
	f->id = info.session_id;
	f->replica = ckdev_replica_open(f->spare, f->name, CPTDEV_REPLICA_CREATE |
					CPTDEV_REPLICA_EXCL | CPTDEV_REPLICA_WRITE, 0);
	CHECK_OK(f->replica);
	return 0;
}

void teardown(struct fixture *f)
{
	ckdev_replica_remove(f->replica);
	close(f->replica);
	close(f->spare);
	close(f->fd);
}

int publish(struct fixture *f)
{
	struct cptdev_snapshot snap = {
		.size = sizeof(snap),
		.flags = CPTDEV_SNAPSHOT_PUBLISH | CPTDEV_SNAPSHOT_NOFD,
	};

	CHECK_RET(ckdev_snapshot(f->fd, &snap), 0);
	CHECK_RET(ship_once(f->spare, f->id, f->replica), 1);
	CHECK_RET(ckdev_wait(f->fd, snap.generation, 0, NULL), 0);
	return 0;
}

/*
 * Sessions
 */

static int test_open(void)
{
	struct cptdev_info info = { .size = sizeof(info) };
	int fd;

	errno = 77;
	fd = ckdev_open();
	CHECK_OK(fd);
	CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	CHECK_RET(ckdev_info(fd, &info), 0);
	CHECK(info.abi_version == CPTDEV_ABI_VERSION && info.page_size == PAGE);
	CHECK(info.features & CPTDEV_FEATURE_SNAPSHOT);
	CHECK_RET(ckdev_info(-1, &info), -EBADF);
	CHECK_RET(ckdev_info(STDIN_FILENO, &info), -ENOTTY);
	info.size = 8;
	CHECK_RET(ckdev_info(fd, &info), -EINVAL);
	CHECK(errno == 77);
	close(fd);
	return 0;
}

static int test_session(void)
{
	char name[CPTDEV_NAME_MAX + 8];
	int a = ckdev_open(), b = ckdev_open();

	memset(name, 'x', sizeof(name));
	name[CPTDEV_NAME_MAX] = '\0';
	CHECK_RET(ckdev_session(a, NULL, 0, 0, 0), -EINVAL);
	CHECK_RET(ckdev_session(a, "", 0, 0, 0), -EINVAL);
	CHECK_RET(ckdev_session(a, "a/b", 0, 0, 0), -EINVAL);
	CHECK_RET(ckdev_session(a, name, 0, 0, 0), -EINVAL);
	CHECK_RET(ckdev_session(a, "ok", 0, 1U << 31, 0), -EOPNOTSUPP);
	name[CPTDEV_NAME_MAX - 1] = '\0';
	CHECK_RET(ckdev_session(a, name, 7, CPTDEV_SESSION_REPLACE, 1 << 20), 0);
	CHECK_RET(ckdev_session(a, "other", 0, 0, 0), -EBUSY);
	CHECK_RET(ckdev_session(b, name, 0, 0, 0), -EEXIST);
	close(a);
	CHECK_RET(ckdev_session(b, name, 0, 0, 0), 0);
	close(b);
	return 0;
}

static int test_fork(void)
{
	char *m = map_pages(NULL, 1);
	struct fixture f;
	pid_t pid;

	CHECK(setup(&f, m, 1) == 0);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		struct cptdev_snapshot snap = { .size = sizeof(snap) };

		_exit(ckdev_snapshot(f.fd, &snap) == -EXDEV &&
		      ckdev_range_clear(f.fd) == -EXDEV ? 0 : 1);
	}
	CHECK(child_status(pid) == 0);
	teardown(&f);
	munmap(m, PAGE);
	return 0;
}

static int unprivileged(int fd)
{
	struct cptdev_round r = {
		.size = sizeof(r), .session_id = 1, .pages = CPTDEV_ROUND_MIN,
	};
	struct cptdev_delta d = { .size = sizeof(d), .session_id = 1 };

	if (setgroups(0, NULL) || setgid(65534) || setuid(65534))
		return 1;
	if (ckdev_open() != -EACCES)
		return 2;
	if (ckdev_delta(fd, &d) != -EPERM || ckdev_round(fd, &r) != -EPERM ||
	    ckdev_ack(fd, 1, 1, 0) != -EPERM)
		return 3;
	if (ckdev_replica_open(fd, "nobodys", CPTDEV_REPLICA_CREATE |
			       CPTDEV_REPLICA_WRITE, 0) != -EPERM)
		return 4;
	return 0;
}

static int test_unprivileged(void)
{
	int fd = ckdev_open();
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0)
		_exit(unprivileged(fd));
	CHECK_RET(child_status(pid), 0);
	close(fd);
	return 0;
}

/*
 * Ranges
 */

static int test_range_refused(void)
{
	char *m = map_pages(NULL, 8), text[300];
	char *shared = mmap(NULL, PAGE, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int a = ckdev_open(), b = ckdev_open(), n;
	struct ckdev_refusal why;

	CHECK_RET(ckdev_range_add(a, shared, PAGE, 0, &why), -EOPNOTSUPP);
	CHECK(why.addr == shared && why.reason == CPTDEV_REASON_SHARED);
	n = ckdev_describe_refusal(&why, text, sizeof(text));
	CHECK(n > 0 && strlen(text) == (size_t)n);
	/* Where, why, what to do, and which mapping. */
	CHECK(strtoull(text, NULL, 16) == CKDEV_PTR(shared));
	CHECK(strstr(text, "shared memory") && strstr(text, "MAP_PRIVATE"));
	CHECK(strstr(text, " r--s "));
	CHECK(ckdev_describe_refusal(&why, text, 10) == 9 && strlen(text) == 9);

	munmap(m + 4 * PAGE, PAGE);
	CHECK_RET(ckdev_range_add(a, m, 8 * PAGE, 0, &why), -EFAULT);
	CHECK(why.addr == m + 4 * PAGE && why.reason == CPTDEV_REASON_UNMAPPED);
	CHECK(ckdev_describe_refusal(&why, text, sizeof(text)) > 0);
	CHECK(strstr(text, "nothing is mapped"));
	CHECK_RET(ckdev_range_add(a, m + 1, PAGE, 0, &why), -EINVAL);
	CHECK(!why.addr && why.reason == CPTDEV_REASON_NONE);
	CHECK_RET(ckdev_range_add(a, m, 0, 0, NULL), -EINVAL);

	CHECK_RET(ckdev_range_add(a, m, 2 * PAGE, 0, &why), 0);
	CHECK_RET(ckdev_range_add(a, m, 4 * PAGE, CPTDEV_RANGE_EXCL, &why), -EEXIST);
	CHECK(why.addr == m && why.reason == CPTDEV_REASON_OVERLAP);
	CHECK_RET(ckdev_range_add(b, m, 4 * PAGE, 0, &why), -EBUSY);
	CHECK(why.addr == m && why.reason == CPTDEV_REASON_SESSION);
	CHECK_RET(ckdev_range_del(b, m, PAGE), -ENOENT);
	close(a);
	CHECK_RET(ckdev_range_add(b, m, 4 * PAGE, 0, &why), 0);
	close(b);
	munmap(shared, PAGE);
	munmap(m, 8 * PAGE);
	return 0;
}

static int test_range_list(void)
{
	enum { N = 200, PIECE = 7 };
	char *m = map_pages(NULL, 2 * N);
	struct cptdev_range_entry e[PIECE];
	uint64_t pos = 0, total = 0;
	int fd = ckdev_open(), i, n, seen = 0;

	for (i = 0; i < N; i++)
		CHECK_RET(ckdev_range_add(fd, m + 2 * PAGE * i, PAGE, 0, NULL), 0);
	CHECK_RET(ckdev_range_list(fd, NULL, 0, NULL, &total), 0);
	CHECK(total == N);
	while ((n = ckdev_range_list(fd, e, PIECE, &pos, NULL)) > 0) {
		CHECK(n <= PIECE);
		for (i = 0; i < n; i++, seen++)
			CHECK(e[i].addr == CKDEV_PTR(m + 2 * PAGE * seen) &&
			      e[i].len == PAGE);
	}
	CHECK_RET(n, 0);
	CHECK(seen == N);
	CHECK_RET(ckdev_range_del(fd, m, N * PAGE), 0);
	CHECK_RET(ckdev_range_list(fd, NULL, 0, NULL, &total), 0);
	CHECK(total == N / 2);
	CHECK_RET(ckdev_range_clear(fd), 0);
	CHECK_RET(ckdev_range_del(fd, m, 2 * N * PAGE), -ENOENT);
	close(fd);
	munmap(m, 2 * N * PAGE);
	return 0;
}

/*
 * Scans
 */

static int scan_all(int fd, uint64_t *pages)
{
	struct cptdev_region r[3];
	struct cptdev_scan scan = {
		.size = sizeof(scan), .flags = CPTDEV_SCAN_CLEAR_DIRTY,
		.vec = CKDEV_PTR(r), .vec_len = 3,
		.anyof = CPTDEV_PAGE_DIRTY, .report = CPTDEV_PAGE_DIRTY,
	};
	struct cptdev_range_entry range;
	uint64_t pos = 0;

	*pages = 0;
	CHECK_RET(ckdev_range_list(fd, &range, 1, &pos, NULL), 1);
	scan.end = range.addr + range.len;
	do {
		int i, n = ckdev_scan(fd, &scan);

		CHECK_OK(n);
		for (i = 0; i < n; i++)
			*pages += (r[i].end - r[i].start) / PAGE;
		scan.start = scan.walk_end;
	} while (scan.walk_end != scan.end);
	return 0;
}

static int test_scan(void)
{
	enum { N = 1000 };
	char *m = map_pages(NULL, N);
	struct cptdev_scan bad = { .size = sizeof(bad), .start = 1 };
	int fd = ckdev_open(), i;
	uint64_t pages;

	memset(m, 1, N * PAGE);
	CHECK_RET(ckdev_range_add(fd, m, N * PAGE, 0, NULL), 0);
	CHECK(scan_all(fd, &pages) == 0 && pages == N);
	CHECK(scan_all(fd, &pages) == 0 && pages == 0);
	for (i = 0; i < N; i += 10)
		m[i * PAGE]++;
	CHECK(scan_all(fd, &pages) == 0 && pages == N / 10);
	CHECK_RET(ckdev_scan(fd, &bad), -EINVAL);
	close(fd);
	munmap(m, N * PAGE);
	return 0;
}

/*
 * Snapshots
 */

static int test_snapshot(void)
{
	enum { N = 400 };
	char *m = map_pages(NULL, N);
	struct cptdev_image_info info = { .size = sizeof(info) };
	struct cptdev_snapshot snap = { .size = sizeof(snap) };
	struct cptdev_extent e[11];
	uint64_t pos = 0;
	int fd = ckdev_open(), sfd, n, i, seen = 0;
	char b[16];

	/* Every other page: as many extents as possible. */
	for (i = 0; i < N; i += 2)
		memset(m + i * PAGE, 'a' + i % 26, PAGE);
	CHECK_RET(ckdev_range_add(fd, m, N * PAGE, 0, NULL), 0);
	sfd = ckdev_snapshot(fd, &snap);
	CHECK_OK(sfd);
	CHECK(sfd == snap.fd && snap.pages == N / 2 && snap.base == 0);
	memset(m, '!', N * PAGE);
	CHECK_RET(ckdev_image_info(sfd, &info), 0);
	CHECK(info.kind == CPTDEV_IMAGE_SNAPSHOT && info.extents == N / 2);
	while ((n = ckdev_image_extents(sfd, e, ARRAY_SIZE(e), &pos)) > 0) {
		for (i = 0; i < n; i++, seen++) {
			CHECK(e[i].addr == CKDEV_PTR(m + 2 * PAGE * seen));
			CHECK(pread(sfd, b, 1, seen * PAGE) == 1);
			CHECK(b[0] == 'a' + 2 * seen % 26);
		}
	}
	CHECK_RET(n, 0);
	CHECK(seen == N / 2);
	close(sfd);
	close(fd);
	munmap(m, N * PAGE);
	return 0;
}

static int test_pread_at(void)
{
	char *m = map_pages(NULL, 8), b[3 * PAGE];
	struct cptdev_snapshot full = { .size = sizeof(full) };
	struct cptdev_snapshot delta = { .size = sizeof(delta) };
	int fd = ckdev_open(), a, d;

	/* x x . . x . . x */
	memset(m, 'x', 2 * PAGE);
	memset(m + 4 * PAGE, 'y', PAGE);
	memset(m + 7 * PAGE, 'z', PAGE);
	CHECK_RET(ckdev_range_add(fd, m, 8 * PAGE, 0, NULL), 0);
	a = ckdev_snapshot(fd, &full);
	CHECK_OK(a);
	m[4 * PAGE + 100] = 'Y';
	madvise(m + 7 * PAGE, PAGE, MADV_DONTNEED);
	d = ckdev_snapshot(fd, &delta);
	CHECK_OK(d);
	CHECK(delta.base == full.generation && delta.pages == 1 && delta.holes == 1);

	CHECK_RET(ckdev_snapshot_pread_at(a, b, 5, m + 4 * PAGE + 98), 5);
	CHECK(!memcmp(b, "yyyyy", 5));
	CHECK_RET(ckdev_snapshot_pread_at(d, b, 5, m + 4 * PAGE + 98), 5);
	CHECK(!memcmp(b, "yyYyy", 5));
	/* Data to its end, then what the layout says, to where data begins again. */
	CHECK_RET(ckdev_snapshot_pread_at(a, b, sizeof(b), m + PAGE + 1), PAGE - 1);
	CHECK(b[0] == 'x' && b[PAGE - 2] == 'x');
	CHECK_RET(ckdev_snapshot_pread_at(a, b, sizeof(b), m + 3 * PAGE - 1), PAGE + 1);
	CHECK(b[0] == 0 && b[PAGE] == 0);
	/* A hole that came, data that stayed. */
	CHECK_RET(ckdev_snapshot_pread_at(d, b, 2 * PAGE, m + 7 * PAGE), PAGE);
	CHECK(b[0] == 0);
	CHECK_RET(ckdev_snapshot_pread_at(d, b, 1, m), -ENXIO);
	CHECK_RET(ckdev_snapshot_pread_at(d, b, 1, m + 2 * PAGE), -ENXIO);
	CHECK_RET(ckdev_snapshot_pread_at(d, b, 1, m + 8 * PAGE), -EFAULT);
	CHECK_RET(ckdev_snapshot_pread_at(a, b, 1, m - 1), -EFAULT);
	CHECK_RET(ckdev_snapshot_pread_at(a, b, 0, m), 0);
	CHECK_RET(ckdev_snapshot_pread_at(fd, b, 1, m), -ENOTTY);
	close(a);
	close(d);
	close(fd);
	munmap(m, 8 * PAGE);
	return 0;
}

static int test_pread_at_file(void)
{
	char name[] = "/tmp/ckdev-test-XXXXXX", b[8];
	struct cptdev_snapshot snap = { .size = sizeof(snap) };
	int file = mkstemp(name), fd = ckdev_open(), sfd;
	char *m;

	unlink(name);
	CHECK(ftruncate(file, 4 * PAGE) == 0);
	m = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
	m[PAGE] = 'w';
	CHECK_RET(ckdev_range_add(fd, m, 4 * PAGE, 0, NULL), 0);
	munmap(m + 3 * PAGE, PAGE);
	sfd = ckdev_snapshot(fd, &snap);
	CHECK_OK(sfd);
	CHECK_RET(ckdev_snapshot_pread_at(sfd, b, 1, m + PAGE), 1);
	CHECK(b[0] == 'w');
	CHECK_RET(ckdev_snapshot_pread_at(sfd, b, 1, m), -ENODATA);
	CHECK_RET(ckdev_snapshot_pread_at(sfd, b, 1, m + 3 * PAGE), -ENODATA);
	close(sfd);
	close(fd);
	close(file);
	munmap(m, 3 * PAGE);
	return 0;
}

static int test_meta(void)
{
	static char meta[CPTDEV_META_MAX], back[CPTDEV_META_MAX];
	char *m = map_pages(NULL, 1);
	struct cptdev_snapshot snap = {
		.size = sizeof(snap), .meta = CKDEV_PTR(meta), .meta_len = sizeof(meta),
	};
	int fd = ckdev_open(), sfd, n;
	uint64_t pos = 0;
	size_t i;

	for (i = 0; i < sizeof(meta); i++)
		meta[i] = (char)(i * 7 >> 3);
	CHECK_RET(ckdev_range_add(fd, m, PAGE, 0, NULL), 0);
	sfd = ckdev_snapshot(fd, &snap);
	CHECK_OK(sfd);
	while ((n = ckdev_image_meta(sfd, back + pos, 999, &pos)) > 0)
		;
	CHECK_RET(n, 0);
	CHECK(pos == sizeof(meta) && !memcmp(meta, back, sizeof(meta)));
	CHECK_RET(ckdev_checkpoint(fd, meta, sizeof(meta) + 1, 0, NULL), -EMSGSIZE);
	close(sfd);
	close(fd);
	munmap(m, PAGE);
	return 0;
}

static int test_words(void)
{
	int i;

	for (i = -200; i < 600; i++) {
		CHECK(ckdev_strerror(i) && *ckdev_strerror(i));
		CHECK(ckdev_strreason(i) && *ckdev_strreason(i));
		CHECK(ckdev_strerror(i) == ckdev_strerror(-i));
	}
	CHECK(ckdev_strerror(-2147483647 - 1) == ckdev_strerror(4000));
	CHECK(ckdev_strerror(ESTALE) != ckdev_strerror(4000));
	CHECK(strcmp(ckdev_strreason(CPTDEV_REASON_SHARED), ckdev_strreason(4000)));
	return 0;
}

static const struct test tests[] = {
	{ "open gives a session, and leaves errno alone", test_open },
	{ "session refuses bad and taken names", test_session },
	{ "a forked child can't use the session", test_fork },
	{ "what needs privilege is refused without it", test_unprivileged },
	{ "refused memory is named, with the reason", test_range_refused },
	{ "ranges are read back in pieces", test_range_list },
	{ "scan finds what changed, in pieces", test_scan },
	{ "a snapshot keeps its content and lists it in pieces", test_snapshot },
	{ "pread_at finds data, holes, and what isn't in the snapshot", test_pread_at },
	{ "pread_at tells pages that only the file has", test_pread_at_file },
	{ "meta-data comes back in pieces", test_meta },
	{ "every error and reason has words", test_words },
};

int main(void)
{
	unsigned int number = 0, failed;
	int fd = ckdev_open();

	printf("TAP version 13\n");
	if (fd < 0 || getuid()) {
		printf("1..0 # SKIP %s\n", fd < 0 ? ckdev_strerror(fd) : "not root");
		return EXIT_SKIP;
	}
	close(fd);
	printf("1..%u\n",
	       (unsigned int)ARRAY_SIZE(tests) + nr_spare_tests + nr_restore_tests +
	       nr_ahead_tests);
	failed = run_tests(tests, ARRAY_SIZE(tests), &number);
	failed += run_tests(spare_tests, nr_spare_tests, &number);
	failed += run_tests(restore_tests, nr_restore_tests, &number);
	failed += run_tests(ahead_tests, nr_ahead_tests, &number);
	return failed ? 1 : 0;
}
