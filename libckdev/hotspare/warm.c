// SPDX-License-Identifier: LGPL-2.1-or-later
/* libhotspare: copying ahead, see warm.h. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <ckdev.h>

#include "../internal.h"
#include "arena.h"
#include "error.h"
#include "warm.h"

/* "no": cold; or the most memory that is copied ahead, in MiB. */
#define WARM	"HOTSPARE_WARM"
/* What stays free for everything else, at least. */
#define LEFT_KIB	(64UL << 10)
#define EXTENTS	64U
/* A page whose copy fails is read so often: it may go and come back. */
#define READ_TRIES	8

static bool wanted;
static bool told;			/* that it is cold */
static bool there;			/* the arena is reserved, and is as of the commit @since */
static uint64_t since;			/* 0: it is empty */
static uint64_t copied;			/* pages that the replica had then */
static uint64_t max_kib = UINT64_MAX;
static uint64_t bytes;			/* that the pass copied */

/*
 * Say how far the copy is: "cptdevctl status" shows it. An older module or cptdevd doesn't know the
 * call, and shows nothing.
 */
static void report(int fd)
{
	ckdev_replica_copied(fd, since, NULL);
}

static void cold(int fd, const char *why)
{
	bool first = wanted;

	hs_warm_end();
	if (first)
		report(fd);
	if (!told)
		hs_say("libhotspare: the memory is copied only after the promotion: %s", why);
	told = true;
}

void hs_warm_start(void)
{
	const char *text = getenv(WARM);
	char *end;

	wanted = !text || strcmp(text, "no");
	if (!text || !wanted || !strcmp(text, "yes"))
		return;
	errno = 0;
	max_kib = strtoull(text, &end, 10);
	if (!errno && !*end && end != text && *text != '-' && max_kib <= UINT64_MAX >> 10) {
		max_kib <<= 10;
	} else {
		max_kib = UINT64_MAX;
		hs_say("libhotspare: " WARM " must be yes, no, or a number of MiB: it is '%s', and "
		       "taken as yes", text);
	}
}

bool hs_warm(void)
{
	return wanted;
}

void hs_warm_end(void)
{
	hs_warm_anew();
	wanted = false;
}

void hs_warm_anew(void)
{
	if (there)
		hs_arena_unreserve();
	there = false;
	since = 0;
}

/* KiB that programs can have, as the kernel estimates it; UINT64_MAX: it doesn't tell. */
static uint64_t available_kib(void)
{
	FILE *f = fopen("/proc/meminfo", "re");
	uint64_t kib = UINT64_MAX;
	char line[128];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "MemAvailable: %" SCNu64 " kB", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return kib;
}

/* The replica has its memory already, and the copy of its @pages takes as much once more. */
static bool has_room(int fd, uint64_t pages)
{
	uint64_t kib = pages * (HS_PAGE >> 10), have = since ? copied * (HS_PAGE >> 10) : 0;

	have = ckdev_min(have, kib);
	if (kib > max_kib) {
		cold(fd, "there is more of it than " WARM " allows");
		return false;
	}
	if (available_kib() < LEFT_KIB + kib - have) {
		cold(fd, "there is too little free memory to have it twice");
		return false;
	}
	return true;
}

/* Whether the process has everything resident that it maps, by mlockall(2). */
static bool locks_all(void)
{
	void *p = mmap(NULL, HS_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned char resident = 1;

	if (p == MAP_FAILED)
		return true;
	if (mincore(p, HS_PAGE, &resident))
		resident = 1;
	munmap(p, HS_PAGE);
	return resident & 1;
}

static bool reserve(int fd)
{
	if (there)
		return true;
	since = 0;
	if (locks_all())
		cold(fd, "the program locks all its memory (mlockall)");
	else if (!hs_arena_reserve())
		there = true;
	else if (errno == EEXIST)
		cold(fd, "something is mapped already where the memory of hs_malloc(3) will be");
	else
		cold(fd, "there are too few addresses (ulimit -v, or vm.overcommit_memory is 2)");
	return there;
}

/* Is the page not in the replica any more? The other reason why it can't be read is our memory. */
static bool page_gone(int content, uint64_t addr)
{
	char c;

	return ckdev_pread(content, &c, 1, addr) <= 0;
}

static int copy_data(int content, uint64_t addr, uint64_t end, bool live)
{
	int failed = 0;

	while (addr < end) {
		ssize_t n = ckdev_pread(content, ckdev_pointer(addr), end - addr, addr);

		if (n == -EINTR)
			continue;
		if (n > 0) {
			addr += (uint64_t)n;
			bytes += (uint64_t)n;
			failed = 0;
		} else if (live && page_gone(content, addr)) {
			addr += HS_PAGE - addr % HS_PAGE;
		} else if (!live || ++failed == READ_TRIES) {
			return n < 0 ? (int)n : -EIO;
		}
	}
	return 0;
}

static int copy_extent(int content, const struct cptdev_extent *e, bool live)
{
	uint64_t from = ckdev_max(e->addr, HS_BASE), to = ckdev_min(e->addr + e->len, HS_END);

	if (from >= to)
		return 0;
	if (e->kind == CPTDEV_EXTENT_DATA)
		return copy_data(content, from, to, live);
	if (warm_mutant(HS_WARM_NO_HOLES))
		return 0;
	return madvise(ckdev_pointer(from), to - from, MADV_DONTNEED) ? -errno : 0;
}

static int copy_changes(int fd, int content, bool live)
{
	struct cptdev_extent vec[EXTENTS];
	uint64_t pos = HS_BASE;
	int i, n, ret = 0;

	do {
		n = ckdev_image_extents_since(fd, vec, EXTENTS, &pos, since);
		for (i = 0; ret == 0 && i < n; i++)
			ret = copy_extent(content, &vec[i], live);
	} while (ret == 0 && n > 0 && pos < HS_END);
	return n < 0 ? n : ret;
}

/* Up to the last commit that there was when it began. 0, or -errno. */
static int pass(int fd, int content, bool live)
{
	struct cptdev_image_info info = { .size = sizeof(info) };
	int ret = ckdev_image_info(fd, &info);

	if (ret)
		return ret;
	/* Without a number each pass would be over everything. */
	if (!info.commits)
		return -EOPNOTSUPP;
	bytes = 0;
	if ((live && !has_room(fd, info.pages)) || !reserve(fd))
		return -ENOMEM;
	ret = copy_changes(fd, content, live);
	if (ret == -ESTALE && since) {
		if (warm_mutant(HS_WARM_NO_ANEW))
			since = 0;
		else
			hs_warm_anew();
		report(fd);
		return reserve(fd) ? pass(fd, content, live) : -ENOMEM;
	}
	if (ret)
		return ret;
	if (warm_mutant(HS_WARM_LATE))
		ckdev_image_info(fd, &info);
	since = info.commits;
	copied = info.pages;
	return 0;
}

/* Nothing was committed yet: the soft engine has no content, the module one without commits. */
static bool is_empty(int fd)
{
	struct cptdev_image_info info = { .size = sizeof(info) };

	return ckdev_image_info(fd, &info) == 0 && !info.generation;
}

void hs_warm_pass(int fd)
{
	int content = wanted && !is_empty(fd) ? ckdev_replica_content_live(fd) : -ENODATA, ret;

	if (content == -ENODATA)
		return;
	ret = content < 0 ? content : pass(fd, content, true);
	if (content >= 0)
		ckdev_close(content);
	if (ret == -EOPNOTSUPP)
		cold(fd, "the module or cptdevd is too old to report what changed");
	else if (ret == -ECONNRESET)
		hs_warm_anew();		/* cptdevd has ended: the replica of the next one is copied */
	else if (ret)
		cold(fd, ckdev_strerror(ret));
	else
		report(fd);
}

bool hs_warm_last(int fd, int content)
{
	/* Never copied: the cold way does no more than is left. */
	if (!wanted || !there || !since)
		return false;
	if (!warm_mutant(HS_WARM_NO_LAST) && pass(fd, content, false)) {
		hs_warm_anew();
		return false;
	}
	hs_say("libhotspare: %" PRIu64 " of %" PRIu64 " KiB of the memory were left to copy", bytes >> 10,
	       copied * (HS_PAGE >> 10));
	return true;
}
