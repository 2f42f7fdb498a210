// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Restoring: in the same process, into another one, and what is refused.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ship.h"
#include "tap.h"

#define PLACE		((char *)0x210000000000)

/* The warm way: a copy ahead, and then what changed since. */
static bool warm;

static int restore(struct fixture *f, struct ckdev_restore *r)
{
	unsigned int flags = r->flags;
	uint64_t bytes, commits = 0;
	int ret;

	*r = (struct ckdev_restore){ .size = sizeof(*r), .flags = flags };
	if (!warm)
		return ckdev_restore(f->replica, r);
	r->flags = (flags & ~CKDEV_RESTORE_FREEZE) | CKDEV_RESTORE_AHEAD;
	ret = ckdev_restore_since(f->replica, r, &commits);
	bytes = r->bytes;
	if (ret == 0) {
		*r = (struct ckdev_restore){
			.size = sizeof(*r), .flags = flags & ~CKDEV_RESTORE_EXCL,
		};
		ret = ckdev_restore_since(f->replica, r, &commits);
		r->bytes += bytes;
	}
	r->flags = flags;
	return ret;
}

#define RESTORE(f, r)	restore(f, &(r))

/* Memory comes back as it was, whatever was done to it meanwhile. */
static int test_same_process(void)
{
	enum { N = 300 };
	char *m = map_pages(NULL, N), *was = malloc(N * PAGE);
	struct ckdev_restore r = { .flags = 0 };
	struct fixture f;
	int i;

	/* Many extents, and stretches without data. */
	for (i = 0; i < 200; i += 2)
		memset(m + i * PAGE, i + 1, PAGE);
	CHECK(setup(&f, m, N) == 0);
	CHECK_RET(RESTORE(&f, r), -ENODATA);
	CHECK(publish(&f) == 0);
	memset(m + 20 * PAGE, 200, PAGE);
	madvise(m + 40 * PAGE, PAGE, MADV_DONTNEED);
	CHECK(publish(&f) == 0);
	memcpy(was, m, N * PAGE);
	memset(m, 'X', N * PAGE);
	CHECK_RET(RESTORE(&f, r), 0);
	CHECK(r.generation == 2 && r.term == 1 && r.segments == 1);
	CHECK(r.bytes == 99 * PAGE);
	CHECK(!memcmp(was, m, N * PAGE));
	/* Locked memory can't be dropped by every kernel: it is zeroed then. */
	memset(m, 'X', N * PAGE);
	CHECK(mlock(m, N * PAGE) == 0);
	CHECK_RET(RESTORE(&f, r), 0);
	CHECK(!memcmp(was, m, N * PAGE));
	/* It was thawed: a commit goes through. */
	CHECK(publish(&f) == 0);
	r.flags = CKDEV_RESTORE_FREEZE;
	CHECK_RET(RESTORE(&f, r), 0);
	CHECK_RET(ckdev_checkpoint(f.fd, NULL, 0, 0, NULL), -ETIMEDOUT);
	CHECK_RET(ship_once(f.spare, f.id, f.replica), -EBUSY);
	teardown(&f);
	munmap(m, N * PAGE);
	free(was);
	return 0;
}

/* Pages of a file that were never written are the file's, also when they were since. */
static int test_file(void)
{
	char name[] = "/tmp/ckdev-test-XXXXXX";
	int file = mkstemp(name), i;
	struct ckdev_restore r = { .flags = 0 };
	struct fixture f;
	char *m;

	unlink(name);
	for (i = 0; i < 8; i++)
		CHECK(pwrite(file, "file", 4, i * PAGE) == 4);
	CHECK(ftruncate(file, 8 * PAGE) == 0);
	m = mmap(PLACE, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED_NOREPLACE,
		 file, 0);
	CHECK(m == PLACE);
	memcpy(m + 2 * PAGE, "mine", 4);
	CHECK(setup(&f, m, 8) == 0);
	CHECK(publish(&f) == 0);
	memcpy(m + 2 * PAGE, "XXXX", 4);
	memcpy(m + 3 * PAGE, "XXXX", 4);
	CHECK_RET(RESTORE(&f, r), 0);
	CHECK(r.bytes == PAGE);
	CHECK(!memcmp(m + 2 * PAGE, "mine", 4) && !memcmp(m + 3 * PAGE, "file", 4));

	/* Another part of the file won't do, nor will no file. */
	CHECK(mmap(PLACE, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, file,
		   PAGE) == PLACE);
	CHECK_RET(RESTORE(&f, r), -EOPNOTSUPP);
	CHECK(r.refused.addr == PLACE && r.refused.reason == CKDEV_REASON_NOT_FILE);
	CHECK(mmap(PLACE, 8 * PAGE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == PLACE);
	CHECK_RET(RESTORE(&f, r), -EOPNOTSUPP);
	CHECK(r.refused.reason == CKDEV_REASON_NOT_FILE);
	/* Not writable is enough where there is nothing to write. */
	CHECK(mmap(PLACE, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, file,
		   0) == PLACE);
	CHECK(mprotect(m + 4 * PAGE, 4 * PAGE, PROT_READ) == 0);
	CHECK_RET(RESTORE(&f, r), 0);
	CHECK(mprotect(m, 4 * PAGE, PROT_READ) == 0);
	CHECK_RET(RESTORE(&f, r), -EACCES);
	CHECK(r.refused.addr == m + 2 * PAGE &&
	      r.refused.reason == CKDEV_REASON_READONLY);
	teardown(&f);
	munmap(m, 8 * PAGE);
	close(file);
	return 0;
}

/*
 * A library as the loader maps it: pages of its file, which are .data, and behind them
 * anonymous ones, .bss. The spare has a copy of the file and has written to its own.
 */
#define DATA_PAGES	6
#define BSS_PAGES	4

static int library_file(void)
{
	char name[] = "/tmp/ckdev-test-XXXXXX";
	int file = mkstemp(name), i;

	unlink(name);
	for (i = 0; i < DATA_PAGES; i++)
		if (pwrite(file, "file", 4, i * PAGE) != 4)
			return -1;
	return ftruncate(file, DATA_PAGES * PAGE) ? -1 : file;
}

static char *map_library(void)
{
	int file = library_file();
	char *m = mmap(PLACE, DATA_PAGES * PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_FIXED_NOREPLACE, file, 0);

	close(file);
	return m == PLACE && map_pages(PLACE + DATA_PAGES * PAGE, BSS_PAGES) ? m : NULL;
}

static int spare_of_library(struct fixture *f)
{
	struct ckdev_restore r = { .flags = 0 };
	char *m, *bss = PLACE + DATA_PAGES * PAGE;

	munmap(PLACE, (DATA_PAGES + BSS_PAGES) * PAGE);
	m = map_library();
	CHECK(m);
	memcpy(m + 3 * PAGE, "mine", 4);
	memcpy(bss + 2 * PAGE, "mine", 4);
	CHECK_RET(RESTORE(f, r), 0);
	CHECK(r.segments == 2 && r.bytes == 2 * PAGE);
	CHECK(!memcmp(m + PAGE, "DATA", 4) && !memcmp(m + 3 * PAGE, "file", 4));
	CHECK(!memcmp(bss + PAGE, "BSS", 4) && !bss[2 * PAGE]);
	return 0;
}

static int test_library(void)
{
	char *m = map_library(), *bss = PLACE + DATA_PAGES * PAGE;
	struct fixture f;
	pid_t pid;

	CHECK(m);
	CHECK(setup(&f, m, DATA_PAGES + BSS_PAGES) == 0);
	memcpy(m + PAGE, "DATA", 4);
	memcpy(m + 2 * PAGE, "gone", 4);
	CHECK(publish(&f) == 0);
	memcpy(bss + PAGE, "BSS", 4);
	madvise(m + 2 * PAGE, PAGE, MADV_DONTNEED);
	CHECK(publish(&f) == 0);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		int ret = spare_of_library(&f);

		fflush(stdout);
		_exit(ret);
	}
	CHECK_RET(child_status(pid), 0);
	teardown(&f);
	munmap(m, (DATA_PAGES + BSS_PAGES) * PAGE);
	return 0;
}

/* Memory that isn't there is mapped, with the protection it had. */
static int test_map(void)
{
	enum { N = 400 };
	struct ckdev_restore r = { .flags = 0 };
	char *m = map_pages(PLACE, N);
	struct fixture f;
	int i, in[2];

	CHECK(m == PLACE);
	for (i = 0; i < N; i++)
		m[i * PAGE] = (char)i;
	CHECK(setup(&f, m, N) == 0);
	/* More segments than are read at a time; one is not mapped. */
	for (i = 0; i < 300; i += 2)
		CHECK(mprotect(m + i * PAGE, PAGE, PROT_READ) == 0);
	munmap(m + 350 * PAGE, 10 * PAGE);
	CHECK(publish(&f) == 0);
	munmap(m, N * PAGE);

	CHECK_RET(RESTORE(&f, r), -EFAULT);
	CHECK(r.refused.addr == m && r.refused.reason == CPTDEV_REASON_UNMAPPED);
	/* A part is there already, and keeps its place. */
	CHECK(map_pages(m + 100 * PAGE, 50) == m + 100 * PAGE);
	memset(m + 100 * PAGE, 'X', 50 * PAGE);
	r.flags = CKDEV_RESTORE_MAP | CKDEV_RESTORE_EXCL;
	CHECK_RET(RESTORE(&f, r), -EEXIST);
	CHECK(r.refused.addr == m + 100 * PAGE && r.refused.reason == CKDEV_REASON_TAKEN);
	CHECK(m[100 * PAGE] == 'X');
	r.flags = CKDEV_RESTORE_MAP;
	CHECK_RET(RESTORE(&f, r), 0);
	CHECK(r.segments > 300);
	CHECK(pipe(in) == 0);
	for (i = 0; i < N; i++) {
		bool mapped = i < 350 || i >= 360, writable = mapped && (i % 2 || i >= 300);

		if (mapped)
			CHECK(m[i * PAGE] == (char)i);
		/* The kernel tells whether it can be read and written. */
		CHECK((write(in[1], m + i * PAGE, 1) == 1) == mapped);
		if (mapped)
			CHECK((read(in[0], m + i * PAGE, 1) == 1) == writable);
		if (mapped && !writable)
			CHECK(read(in[0], &(char){ 0 }, 1) == 1);
	}
	close(in[0]);
	close(in[1]);
	teardown(&f);
	munmap(m, N * PAGE);
	return 0;
}

static int test_refused(void)
{
	uint64_t commits = 0;
	struct ckdev_restore r = { .flags = 0 };
	char *m = map_pages(PLACE, 8), *s;
	struct fixture f;

	CHECK(m == PLACE);
	memset(m, 'a', 8 * PAGE);
	CHECK(setup(&f, m, 8) == 0);
	CHECK(publish(&f) == 0);
	memset(m, 'b', 8 * PAGE);

	CHECK(mprotect(m + 5 * PAGE, PAGE, PROT_READ) == 0);
	CHECK_RET(RESTORE(&f, r), -EACCES);
	CHECK(r.refused.addr == m + 5 * PAGE && r.refused.reason == CKDEV_REASON_READONLY);
	CHECK(m[0] == 'b');
	munmap(m + 5 * PAGE, PAGE);
	CHECK_RET(RESTORE(&f, r), -EFAULT);
	CHECK(r.refused.addr == m + 5 * PAGE &&
	      r.refused.reason == CPTDEV_REASON_UNMAPPED);
	s = mmap(m + 5 * PAGE, PAGE, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	*s = 's';
	CHECK_RET(RESTORE(&f, r), -EOPNOTSUPP);
	CHECK(r.refused.addr == s && r.refused.reason == CPTDEV_REASON_SHARED);
	CHECK(m[0] == 'b' && *s == 's');

	/* The argument itself. */
	r = (struct ckdev_restore){ .size = sizeof(r) - 1 };
	CHECK_RET(ckdev_restore(f.replica, &r), -EINVAL);
	r = (struct ckdev_restore){ .size = sizeof(r), .flags = 1U << 30 };
	CHECK_RET(ckdev_restore(f.replica, &r), -EINVAL);
	r = (struct ckdev_restore){ .size = sizeof(r), .flags = CKDEV_RESTORE_EXCL };
	CHECK_RET(ckdev_restore(f.replica, &r), -EINVAL);
	r = (struct ckdev_restore){ .size = sizeof(r), .flags = CKDEV_RESTORE_AHEAD };
	CHECK_RET(ckdev_restore(f.replica, &r), -EINVAL);
	CHECK_RET(ckdev_restore_since(f.fd, &r, &commits), -ENOTTY);
	r.flags |= CKDEV_RESTORE_FREEZE;
	CHECK_RET(ckdev_restore_since(f.replica, &r, &commits), -EINVAL);
	r.flags = CKDEV_RESTORE_MAP | CKDEV_RESTORE_EXCL;
	commits = 1;
	CHECK_RET(ckdev_restore_since(f.replica, &r, &commits), -EINVAL);
	r = (struct ckdev_restore){ .size = sizeof(r) };
	CHECK_RET(ckdev_restore(f.fd, &r), -ENOTTY);
	teardown(&f);
	munmap(m, 8 * PAGE);
	return 0;
}

static int test_stack(void)
{
	struct ckdev_restore r = { .flags = 0 };
	char *here = (char *)(CKDEV_PTR(__builtin_frame_address(0)) & ~(PAGE - 1));
	struct fixture f;

	/* A page further down as well: there the library will be. */
	CHECK(setup(&f, here - 7 * PAGE, 8) == 0);
	CHECK(publish(&f) == 0);
	CHECK_RET(RESTORE(&f, r), -EDEADLK);
	CHECK(r.refused.reason == CKDEV_REASON_IN_USE);
	teardown(&f);
	return 0;
}

/*
 * From one process to another: a list with pointers, in a program that is then killed.
 */
struct node {
	struct node *next;
	unsigned long value;
};

#define NODES	5000

static void primary(int ready)
{
	struct node *n = (struct node *)map_pages(PLACE, 64), *prev = NULL;
	int fd = ckdev_open(), i, ret;

	ret = ckdev_session(fd, "chain", 0, 0, 0);
	if (ret == 0)
		ret = ckdev_range_add(fd, n, 64 * PAGE, 0, NULL);
	for (i = 0; ret == 0 && i < NODES; i++) {
		n[i] = (struct node){ .next = prev, .value = (unsigned long)i };
		prev = &n[i];
		if (i % 1000 == 999)
			ret = ckdev_checkpoint(fd, NULL, 0, CPTDEV_FOREVER, NULL);
	}
	/* Not acknowledged: gone with us. */
	n[NODES - 1].value = 0;
	if (write(ready, &ret, sizeof(ret)) != sizeof(ret))
		_exit(1);
	pause();
}

static int test_two_processes(void)
{
	struct ckdev_restore r = { .flags = CKDEV_RESTORE_MAP | CKDEV_RESTORE_EXCL };
	int dev = ckdev_open(), replica, pipes[2], ret = -1;
	struct node *n = (struct node *)PLACE + NODES - 1;
	struct fixture f = { .fd = -1, .spare = -1 };
	uint64_t session, term = 0;
	int i = NODES - 1, shipped = 0;
	pid_t pid;

	CHECK(pipe(pipes) == 0);
	replica = ckdev_replica_open(dev, "chain", CPTDEV_REPLICA_CREATE |
				     CPTDEV_REPLICA_WRITE, 0);
	CHECK_OK(replica);
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		primary(pipes[1]);
	/* The primary's number is below that of a descriptor opened after its own. */
	do {
		close(dev);
		usleep(10000);
		dev = ckdev_open();
		session = ship_find(dev);
	} while (!session);
	while (shipped < 5) {
		ret = ship_once(dev, session, replica);
		CHECK_OK(ret);
		shipped += ret;
	}
	CHECK(read(pipes[0], &ret, sizeof(ret)) == sizeof(ret));
	CHECK_RET(ret, 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	CHECK_RET(ckdev_replica_promote(replica, &term, NULL), 0);
	CHECK_RET(ckdev_replica_wait(replica, 0, 0), CKDEV_PROMOTED);
	f.replica = replica;
	CHECK_RET(RESTORE(&f, r), 0);
	CHECK(r.term == term && term == 2);
	for (; n; n = n->next)
		CHECK(n->value == (unsigned long)i--);
	CHECK(i == -1);
	CHECK_RET(ckdev_session(dev, "chain", term, 0, 0), 0);
	CHECK_RET(ckdev_range_add(dev, PLACE, 64 * PAGE, 0, NULL), 0);
	ckdev_replica_remove(replica);
	close(replica);
	close(dev);
	munmap(PLACE, 64 * PAGE);
	return 0;
}

/* The same the warm way. Each test is a process. */
#define WARM(fn)							\
static int warm_##fn(void)						\
{									\
	warm = true;							\
	return fn();							\
}

WARM(test_same_process)
WARM(test_file)
WARM(test_library)
WARM(test_map)
WARM(test_refused)
WARM(test_stack)
WARM(test_two_processes)

const struct test restore_tests[] = {
	{ "restore: all comes back, and nothing else stays", test_same_process },
	{ "restore: private mappings of files", test_file },
	{ "restore: a library's .data and .bss, with another copy of its file", test_library },
	{ "restore: maps what isn't there, with its protection", test_map },
	{ "restore: what can't be done is refused before anything is", test_refused },
	{ "restore: not over its own stack", test_stack },
	{ "restore: a killed program goes on in another", test_two_processes },
	{ "restore, copied ahead: all comes back, and nothing else stays", warm_test_same_process },
	{ "restore, copied ahead: private mappings of files", warm_test_file },
	{ "restore, copied ahead: a library's .data and .bss, with another copy of its file", warm_test_library },
	{ "restore, copied ahead: maps what isn't there, with its protection", warm_test_map },
	{ "restore, copied ahead: what can't be done is refused before anything is", warm_test_refused },
	{ "restore, copied ahead: not over its own stack", warm_test_stack },
	{ "restore, copied ahead: a killed program goes on in another", warm_test_two_processes },
};
const unsigned int nr_restore_tests = ARRAY_SIZE(restore_tests);
