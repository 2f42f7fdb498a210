// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Copying ahead: a primary changes memory and mappings and commits, a spare follows, and takes over
 * at any moment. What the spare has then is compared with the replica, page by page.
 */
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ship.h"
#include "tap.h"

#define PLACE		((char *)0x210000000000)
#define PAGES		512

/* A primary in a process of its own; it does what it is told by a byte, and answers with one. */
struct primary {
	pid_t pid;
	int to, from;
	int replica;
};

static void map_some(unsigned int page, unsigned int nr)
{
	mmap(PLACE + page * PAGE, nr * PAGE, PROT_READ | PROT_WRITE,
	     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

/* One change; memory without permission to write is made writable again. */
static void change(unsigned int round)
{
	unsigned int page = (unsigned int)random() % PAGES, nr = 1 + (unsigned int)random() % 16, i;

	nr = nr > PAGES - page ? PAGES - page : nr;
	switch (random() % 10) {
	case 0:
		madvise(PLACE + page * PAGE, nr * PAGE, MADV_DONTNEED);
		return;
	case 1:
		munmap(PLACE + page * PAGE, nr * PAGE);
		return;
	case 2:
		mprotect(PLACE + page * PAGE, nr * PAGE, PROT_READ);
		return;
	case 3:
		map_some(page, nr);
		return;
	default:
		break;
	}
	for (i = page; i < page + nr; i++) {
		if (mprotect(PLACE + i * PAGE, PAGE, PROT_READ | PROT_WRITE))
			map_some(i, 1);
		memset(PLACE + i * PAGE, (int)(round % 250 + 1), PAGE);
	}
}

static void round_of_changes(void)
{
	static unsigned int round;
	unsigned int n;

	for (n = 1 + (unsigned int)random() % 8; n; n--)
		change(++round);
}

/* Until something is told. While the spare freezes the replica a commit fails, and is made later. */
static int go_on(struct fixture *f, int in)
{
	struct cptdev_snapshot snap = {
		.size = sizeof(snap),
		.flags = CPTDEV_SNAPSHOT_PUBLISH | CPTDEV_SNAPSHOT_NOFD,
	};
	struct pollfd told = { .fd = in, .events = POLLIN };
	int ret;

	while (poll(&told, 1, 0) == 0) {
		round_of_changes();
		CHECK_RET(ckdev_snapshot(f->fd, &snap), 0);
		ret = ship_once(f->spare, f->id, f->replica);
		CHECK(ret == 1 || ret == -EBUSY);
	}
	return 0;
}

/* 'o': one round; 'm': rounds until the next byte. Each 'o', and what ends an 'm', is answered. */
static int be_primary(int in, int out)
{
	struct fixture f;
	char what;

	CHECK(map_pages(PLACE, PAGES) == PLACE);
	CHECK(setup(&f, PLACE, PAGES) == 0);
	CHECK(write(out, f.name, sizeof(f.name)) == sizeof(f.name));
	while (read(in, &what, 1) == 1) {
		if (what == 'm') {
			CHECK(go_on(&f, in) == 0);
			continue;
		}
		if (what == 'o') {
			round_of_changes();
			CHECK(publish(&f) == 0);
		}
		CHECK(write(out, &what, 1) == 1);
	}
	teardown(&f);
	return 0;
}

static int start(struct primary *p)
{
	int to[2], from[2], dev = ckdev_open(), ret;
	char name[CPTDEV_NAME_MAX];

	CHECK_OK(dev);
	CHECK(pipe(to) == 0 && pipe(from) == 0);
	fflush(stdout);
	p->pid = fork();
	if (p->pid == 0) {
		close(to[1]);
		close(from[0]);
		ret = be_primary(to[0], from[1]);
		fflush(stdout);
		_exit(ret);
	}
	close(to[0]);
	close(from[1]);
	p->to = to[1];
	p->from = from[0];
	CHECK(read(p->from, name, sizeof(name)) == sizeof(name));
	p->replica = ckdev_replica_open(dev, name, 0, 0);
	CHECK_OK(p->replica);
	close(dev);
	return 0;
}

static int tell(struct primary *p, char what, bool wait)
{
	char done;

	CHECK(write(p->to, &what, 1) == 1);
	CHECK(!wait || read(p->from, &done, 1) == 1);
	return 0;
}

static int end(struct primary *p)
{
	close(p->to);
	CHECK_RET(child_status(p->pid), 0);
	close(p->from);
	close(p->replica);
	return 0;
}

/* How many pages of the memory aren't what the replica has, which is frozen. */
static int differs(int replica)
{
	struct cptdev_segment seg[8];
	uint64_t pos = 0, at;
	static char page[PAGE];
	int n, i, bad = 0;

	while ((n = ckdev_image_layout(replica, seg, 8, &pos)) > 0)
		for (i = 0; i < n; i++)
			for (at = seg[i].addr; at < seg[i].addr + seg[i].len &&
			     seg[i].kind != CPTDEV_SEGMENT_UNMAPPED; at += PAGE)
				bad += pread(replica, page, PAGE, (off_t)at) != (ssize_t)PAGE ||
					memcmp(page, (char *)at, PAGE);
	return n < 0 ? n : bad;
}

static int pass(struct primary *p, uint64_t *since, unsigned int flags)
{
	struct ckdev_restore r = { .size = sizeof(r), .flags = flags | CKDEV_RESTORE_MAP };

	CHECK_RET(ckdev_restore_since(p->replica, &r, since), 0);
	CHECK(*since);
	return 0;
}

/* The last pass, and a look at all of it. Then the spare begins anew. */
static int take_over(struct primary *p, uint64_t *since)
{
	CHECK(pass(p, since, CKDEV_RESTORE_FREEZE) == 0);
	CHECK_RET(differs(p->replica), 0);
	CHECK_RET(ckdev_replica_thaw(p->replica), 0);
	munmap(PLACE, PAGES * PAGE);
	*since = 0;
	return 0;
}

/* Promotions after any number of passes and of commits since the last. */
static int test_rounds(void)
{
	uint64_t since = 0;
	struct primary p;
	int i;

	srandom(1);
	CHECK(start(&p) == 0);
	CHECK(tell(&p, 'o', true) == 0);
	for (i = 0; i < 300; i++) {
		if (random() % 3)
			CHECK(tell(&p, 'o', true) == 0);
		if (random() % 2)
			CHECK(pass(&p, &since, CKDEV_RESTORE_AHEAD) == 0);
		if (random() % 8 == 0)
			CHECK(take_over(&p, &since) == 0);
	}
	CHECK(take_over(&p, &since) == 0);
	return end(&p);
}

/* Commits come at any moment of a pass. */
static int test_under_way(void)
{
	struct cptdev_image_info info = { .size = sizeof(info) };
	uint64_t since = 0, first = 0;
	unsigned int passes, met = 0;
	struct primary p;
	int i;

	srandom(2);
	CHECK(start(&p) == 0);
	for (i = 0; i < 10; i++) {
		CHECK(tell(&p, 'm', false) == 0);
		do {
			CHECK_RET(ckdev_image_info(p.replica, &info), 0);
		} while (info.commits == first);
		for (passes = 0; passes < 20 || info.commits < first + 20; passes++) {
			uint64_t before = info.commits;

			CHECK(pass(&p, &since, CKDEV_RESTORE_AHEAD) == 0);
			CHECK_RET(ckdev_image_info(p.replica, &info), 0);
			met += info.commits != before;
		}
		CHECK(take_over(&p, &since) == 0);
		CHECK(tell(&p, 's', true) == 0);
		CHECK_RET(ckdev_image_info(p.replica, &info), 0);
		first = info.commits;
	}
	printf("# %u passes met a commit\n", met);
	CHECK(met);
	return end(&p);
}

/* The control: what isn't copied in the last pass is seen. */
static int test_missed(void)
{
	struct cptdev_image_info info = { .size = sizeof(info) };
	struct primary p;
	uint64_t since = 0;
	int i, seen = 0;

	srandom(3);
	CHECK(start(&p) == 0);
	CHECK(tell(&p, 'o', true) == 0);
	for (i = 0; i < 20; i++) {
		CHECK(pass(&p, &since, CKDEV_RESTORE_AHEAD) == 0);
		CHECK(tell(&p, 'o', true) == 0);
		CHECK_RET(ckdev_image_info(p.replica, &info), 0);
		since = info.commits;		/* a lie */
		CHECK(pass(&p, &since, CKDEV_RESTORE_FREEZE) == 0);
		seen += differs(p.replica) > 0;
		CHECK_RET(ckdev_replica_thaw(p.replica), 0);
		munmap(PLACE, PAGES * PAGE);
		since = 0;
	}
	CHECK(seen > 10);
	return end(&p);
}

const struct test ahead_tests[] = {
	{ "copied ahead: taken over after any number of passes", test_rounds },
	{ "copied ahead: commits come during a pass", test_under_way },
	{ "copied ahead: what the last pass misses is seen", test_missed },
};
const unsigned int nr_ahead_tests = ARRAY_SIZE(ahead_tests);
