// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libhotspare: what was written, by soft-dirty bits (Documentation/admin-guide/mm/soft-dirty.rst
 * in the kernel's source), where there is no PAGEMAP_SCAN.
 *
 * The child of the cut has the bits as they were then, and reads its own. Its parent clears
 * them, a moment after the cut; what its threads write in between would be lost. But a fork
 * makes all pages common to both processes, and who writes to one of them gets one of his
 * own, which /proc/PID/pagemap calls exclusive. So the child looks, when they are cleared,
 * which pages of its parent's aren't its own as well: these count for the next cut.
 *
 * What would make that wrong is asked for:
 *
 *  - Another process may have the page, too, which was forked between the cut and the
 *    look: by fork(3), whose handlers count, or for the next cut.
 *  - Others clear the bits (CRIU does). A page that is written right after they are cleared
 *    tells, the canary: if it isn't dirty before the next time, then others did.
 *  - Mappings are replaced, and mremap(2) may move whole page tables without a bit. Mappings
 *    are registered with userfaultfd, which does nothing: what took the place of one isn't.
 *  - Pages are merged (KSM), and the one that takes their place has no bit. While the process
 *    has pages that may be merged nothing is known.
 *  - Pages that were given back and read since are zero, without a bit: such ones count.
 *
 * A bit is for a whole huge page, where there are such: so there are none.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../internal.h"
#include "arena.h"
#include "own.h"
#include "written.h"

#define HUGE	(1UL << 21)

/* Of the program, also in its children. */
static int uffd, pagemap, ksm;
static char *canary;			/* a page in a mapping of its own */

/* Of the program, by fork(3). */
struct forks {
	uint64_t begun, ended;
};

static struct forks *forks;		/* one for all these processes */
static struct forks at_cut;
static pid_t owner;

/*
 * What the kernel tells
 */

/* A small file, as a string: empty if it can't be read. */
static void read_text(int fd, char *text, size_t size)
{
	ssize_t n = pread(fd, text, size - 1, 0);

	text[n > 0 ? n : 0] = '\0';
}

/* None of the program's pages is looked at by who merges them. */
static bool none_is_merged(void)
{
	static const char name[] = "ksm_rmap_items ";
	char text[256], *items;

	if (ksm < 0 || mutant(HS_NO_KSM))
		return true;
	read_text(ksm, text, sizeof(text));
	items = strstr(text, name);
	return items && !atol(items + strlen(name));
}

static int clear(void)
{
	int fd = open("/proc/thread-self/clear_refs", O_WRONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : write(fd, "4", 1);

	if (fd >= 0)
		close(fd);
	return n == 1 ? 0 : -1;
}

/* From a pagemap. Returns 0, or -1. */
static int entries(int fd, uint64_t addr, uint64_t *entry, size_t nr)
{
	size_t len = nr * sizeof(*entry);

	return pread(fd, entry, len, (off_t)(addr / HS_PAGE * sizeof(*entry))) == (ssize_t)len ?
		0 : -1;
}

static bool is_dirty(const char *page)
{
	uint64_t entry;

	return !entries(pagemap, (uintptr_t)page, &entry, 1) && entry & HS_SOFT_DIRTY;
}

/*
 * What there is to open
 */

/* Between two pages of another kind, so that no mapping beside it has to do with it. */
static int make_canary(void)
{
	char *p = mmap(NULL, 3 * HS_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return -1;
	canary = p + HS_PAGE;
	return mprotect(canary, HS_PAGE, PROT_READ | PROT_WRITE);
}

static void touch_canary(void)
{
	__atomic_add_fetch(canary, 1, __ATOMIC_SEQ_CST);
}

/* Bits that are cleared and set: there are kernels without. */
static int try(struct hs_error *e)
{
	if (clear())
		return hs_fail(e, errno, "/proc/thread-self/clear_refs: %s", strerror(errno));
	if (is_dirty(canary))
		return hs_fail(e, ENOTSUP, "soft-dirty bits can't be cleared");
	touch_canary();
	if (!is_dirty(canary))
		return hs_fail(e, ENOTSUP, "the kernel has no soft-dirty bits");
	if (ksm < 0 && !access("/sys/kernel/mm/ksm", F_OK))
		return hs_fail(e, ENOTSUP, "pages may be merged (KSM), and this kernel doesn't "
			       "report it (Linux 6.1 does)");
	return 0;
}

static void close_all(void)
{
	int saved = errno;

	if (canary)
		munmap(canary - HS_PAGE, 3 * HS_PAGE);
	canary = NULL;
	if (forks)
		munmap(forks, sizeof(*forks));
	forks = NULL;
	hs_own_close(&pagemap);
	hs_own_close(&uffd);
	hs_own_close(&ksm);
	errno = saved;
}

/* What a process does that was forked is of no interest. */
static void fork_begins(void)
{
	if (forks && getpid() == owner)
		__atomic_add_fetch(&forks->begun, 1, __ATOMIC_SEQ_CST);
}

static void fork_ended(void)
{
	if (forks && getpid() == owner)
		__atomic_add_fetch(&forks->ended, 1, __ATOMIC_SEQ_CST);
}

static int count_forks(void)
{
	static bool registered;

	forks = mmap(NULL, sizeof(*forks), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (forks == MAP_FAILED) {
		forks = NULL;
		return -1;
	}
	owner = getpid();
	errno = registered ? 0 : pthread_atfork(fork_begins, fork_ended, NULL);
	registered = !errno;
	return errno ? -1 : 0;
}

static int open_all(struct hs_error *e)
{
	uffd = hs_written_uffd(0, e);
	if (uffd < 0)
		return -1;
	pagemap = open("/proc/thread-self/pagemap", O_RDONLY | O_CLOEXEC);
	ksm = open("/proc/self/ksm_stat", O_RDONLY | O_CLOEXEC);
	hs_own(uffd, "userfaultfd");
	hs_own(pagemap, "pagemap");
	hs_own(ksm, "ksm_stat");
	if (pagemap < 0 || make_canary() || count_forks())
		hs_fail(e, errno, "the files to read them: %s", strerror(errno));
	else if (!try(e))
		return 0;
	close_all();
	return -1;
}

/*
 * Around the fork
 */

static int begin(const struct hs_intervals *saved)
{
	size_t i;

	at_cut.ended = __atomic_load_n(&forks->ended, __ATOMIC_SEQ_CST);
	at_cut.begun = __atomic_load_n(&forks->begun, __ATOMIC_SEQ_CST);
	/* No huge pages; where there can't be any it says so. */
	for (i = 0; i < saved->nr; i++)
		madvise((void *)(uintptr_t)saved->v[i].start, saved->v[i].end - saved->v[i].start,
			MADV_NOHUGEPAGE);
	return 0;
}

static int clear_all(const struct hs_intervals *saved)
{
	(void)saved;
	if (!(is_dirty(canary) || mutant(HS_NO_CANARY)) || clear())
		return -1;
	touch_canary();
	return 0;
}

/*
 * In the child
 */

/* Pages whose entry in that pagemap has one of these bits. */
static int mark_those(int fd, const struct hs_interval *in, uint64_t bits,
		      int (*mark)(uint64_t start, uint64_t end))
{
	uint64_t entry[HS_WRITTEN_PAGES], at;
	size_t n, i, first;

	for (at = in->start; at < in->end; at += n * HS_PAGE) {
		n = (in->end - at) / HS_PAGE;
		if (n > HS_WRITTEN_PAGES)
			n = HS_WRITTEN_PAGES;
		if (entries(fd, at, entry, n))
			return -1;
		for (i = 0; i < n; i++) {
			for (first = i; i < n && entry[i] & bits; i++)
				;
			if (i > first && mark(at + first * HS_PAGE, at + i * HS_PAGE))
				return -1;
		}
	}
	return 0;
}

static int mark_all(int fd, const struct hs_intervals *saved, uint64_t bits,
		    int (*mark)(uint64_t start, uint64_t end))
{
	size_t i;

	for (i = 0; i < saved->nr; i++)
		if (mark_those(fd, &saved->v[i], bits, mark))
			return -1;
	return 0;
}

static int mark_own(const struct hs_intervals *saved)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC), ret;

	if (mutant(HS_NO_CHILD)) {
		close(fd);
		return mark_all(pagemap, saved, HS_SOFT_DIRTY, hs_written_mark);
	}
	ret = mark_all(fd, saved, HS_SOFT_DIRTY, hs_written_mark);
	close(fd);
	return ret;
}

/*
 * A piece of one mapping: if it is a new one, nothing is known of it. That it has a page
 * looked at takes a huge page apart.
 */
static int check(uint64_t start, uint64_t end)
{
	struct uffdio_writeprotect one = { .range = { start, HS_PAGE } };
	struct uffdio_register reg = {
		.range = { start, end - start }, .mode = UFFDIO_REGISTER_MODE_WP,
	};

	if (!ioctl(uffd, UFFDIO_WRITEPROTECT, &one) || mutant(HS_NO_CHECK))
		return 0;
	/* If that fails it counts as written each time. */
	if (!ioctl(uffd, UFFDIO_REGISTER, &reg))
		for (; one.range.start < end; one.range.start = (one.range.start | (HUGE - 1)) + 1)
			ioctl(uffd, UFFDIO_WRITEPROTECT, &one);
	return hs_written_mark_new(start, end);
}

static int check_mapping(const struct hs_intervals *saved, const struct ckdev_map *map)
{
	uint64_t start, end;
	size_t i;

	for (i = 0; i < saved->nr; i++) {
		start = saved->v[i].start > map->start ? saved->v[i].start : map->start;
		end = saved->v[i].end < map->end ? saved->v[i].end : map->end;
		if (start < end && check(start, end))
			return -1;
	}
	return 0;
}

/* They are the program's, as they were at the cut. */
static int check_mappings(const struct hs_intervals *saved)
{
	struct ckdev_maps maps;
	struct ckdev_map map;
	int ret;

	if (ckdev_maps_open(&maps) < 0)
		return -1;
	do
		ret = ckdev_maps_next(&maps, &map);
	while (ret > 0 && !check_mapping(saved, &map));
	ckdev_maps_close(&maps);
	return ret ? -1 : 0;
}

/* What isn't in memory may have been, and exclusive. */
static int mark_next(const struct hs_intervals *saved)
{
	if (mutant(HS_NO_SECOND_SCAN))
		return 0;
	return mark_all(pagemap, saved, HS_EXCLUSIVE | HS_SWAPPED, hs_written_mark_next);
}

/* Since before the cut. */
static bool others_may_have_pages(void)
{
	if (mutant(HS_NO_OTHERS))
		return false;
	return at_cut.begun != at_cut.ended || !hs_written_is_last() ||
		__atomic_load_n(&forks->begun, __ATOMIC_SEQ_CST) != at_cut.begun;
}

static int look_at_both(const struct hs_intervals *saved)
{
	if (mutant(HS_WIDEN))
		usleep(10000);
	if (mark_own(saved) || check_mappings(saved) || mark_next(saved))
		return -1;
	if (others_may_have_pages())
		hs_written_lost_next();
	return none_is_merged() ? 0 : -1;
}

static bool is_zero(uint64_t entry, const char *page)
{
	static const char zeros[HS_PAGE];

	return entry & HS_IN_MEMORY && !mutant(HS_NO_ZEROS) && !memcmp(page, zeros, HS_PAGE);
}

const struct hs_teller hs_teller_soft = {
	.name = "soft-dirty",
	.open = open_all,
	.close = close_all,
	.before = begin,
	.behind = clear_all,
	.in_child = look_at_both,
	.unmarked = is_zero,
};
