// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libhotspare: what was written since a cut. How the kernel tells it is in written_*.c.
 *
 * A device writes to memory that it was given before, and no page table shows it. While a
 * transfer is under way its page was written, to the kernel's knowledge, not long ago: such
 * pages are given as changed for a while.
 *
 * Pages have a mark: the generation of the last cut before which they were written. The
 * marks are in a file without a name, sparse, by page number.
 *
 * A child may look at the memory of its parent, so that the program needn't wait for it. It
 * begins when its parent has done the rest. What it finds is for the children to come as
 * well: each tells the next one, by a pipe, that the marks are there.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "arena.h"
#include "clock.h"
#include "own.h"
#include "written.h"

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY	1
#endif

#define MARKS_LEN	((off_t)((1ULL << 47) / HS_PAGE * sizeof(uint64_t)))
#define PATIENCE_MS	10000
/* Longer than a disk takes, its own attempts to recover included. Tests have it shorter. */
uint64_t hs_written_lately_ns = 30000000000;

static const struct hs_teller *const tellers[] = { &hs_teller_scan, &hs_teller_soft };

static struct {
	pid_t pid;			/* whose memory it is for; 0: not tried yet */
	const struct hs_teller *teller;	/* NULL: there is none */
	struct hs_error why_not;
	const char *only;		/* "": none is wanted; NULL: any */
	int marks;
	uint64_t generation;
	uint64_t floor;			/* of what was written before this one nothing is known; 0:
					 * nor of what was after it
					 */
	uint64_t next_floor;		/* in the child: what it tells the next one */
	uint64_t lately, turn, turn_ns;	/* see begin_turn() */
	struct hs_intervals saved;	/* whole pages */
	int told[2];			/* the child hears when it can begin */
	int marked[2];			/* the next child hears the floor when the marks are there */
	struct pollfd before[2];	/* ... and this one did from there, if that one lives */
	bool any;			/* the child has been told something */
	uint64_t *now;			/* the last cut's generation, also in children */
} w = {
	.marks = -1, .told = { -1, -1 }, .marked = { -1, -1 },
	.before = { { .fd = -1, .events = POLLIN }, { .fd = -1, .events = POLLIN } },
};

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void forget_before(void)
{
	close_fd(&w.before[0].fd);
	close_fd(&w.before[1].fd);
}

int hs_written_uffd(uint64_t features, struct hs_error *e)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);

	if (fd < 0)
		return hs_fail(e, errno, "userfaultfd: %s", strerror(errno));
	if (!ioctl(fd, UFFDIO_API, &api))
		return fd;
	close(fd);
	return hs_fail(e, ENOTTY, "the kernel is too old");
}

/* The first one that there is; or why each isn't. */
static void choose(void)
{
	char *text = w.why_not.text;
	struct hs_error e;
	size_t i, len = 0;

	for (i = 0; i < sizeof(tellers) / sizeof(tellers[0]); i++) {
		if (w.only && strcmp(w.only, tellers[i]->name))
			continue;
		if (!tellers[i]->open(&e)) {
			w.teller = tellers[i];
			return;
		}
		len += (size_t)snprintf(text + len, sizeof(w.why_not.text) - len, "%s%s: %.90s",
					len ? "; " : "", tellers[i]->name, e.text);
	}
	if (!len)
		hs_fail(&w.why_not, 0, "as requested");
}

/* A process that was forked has memory of its own: what its parent has opened isn't for it. */
static bool have(void)
{
	if (w.pid && (w.pid == getpid() || mutant(HS_NO_FORK)))
		return w.teller;
	if (w.teller)
		w.teller->close();
	w.teller = NULL;
	hs_own_close(&w.marks);
	forget_before();
	w.pid = getpid();
	w.floor = 0;
	w.marks = memfd_create("hotspare-marks", MFD_CLOEXEC);
	hs_own(w.marks, "the list of written pages");
	if (w.now)
		munmap(w.now, HS_PAGE);
	w.now = mmap(NULL, HS_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (w.now == MAP_FAILED)
		w.now = NULL;
	if (!w.now || w.marks < 0 || ftruncate(w.marks, MARKS_LEN))
		hs_fail(&w.why_not, errno, "no memory: %s", strerror(errno));
	else
		choose();
	return w.teller;
}

const char *hs_written_by(struct hs_error *e)
{
	if (have())
		return w.teller->name;
	*e = w.why_not;
	return NULL;
}

void hs_written_only(const char *name)
{
	w.only = name ?: "";
	w.pid = 0;
}

/*
 * Marks
 */

static off_t place_of(uint64_t addr)
{
	return (off_t)(addr / HS_PAGE * sizeof(uint64_t));
}

bool hs_written_has(int fd)
{
	return fd == w.marks || fd == w.before[0].fd || fd == w.before[1].fd;
}

static int mark(uint64_t start, uint64_t end, uint64_t generation)
{
	uint64_t v[HS_WRITTEN_PAGES], n, len, i;

	for (i = 0; i < HS_WRITTEN_PAGES && i < (end - start) / HS_PAGE; i++)
		v[i] = generation;
	for (; start < end; start += n * HS_PAGE) {
		n = (end - start) / HS_PAGE;
		if (n > HS_WRITTEN_PAGES)
			n = HS_WRITTEN_PAGES;
		len = n * sizeof(v[0]);
		if (pwrite(w.marks, v, len, place_of(start)) != (ssize_t)len)
			return -1;
	}
	return 0;
}

int hs_written_mark(uint64_t start, uint64_t end)
{
	return mark(start, end, w.generation);
}

int hs_written_mark_next(uint64_t start, uint64_t end)
{
	return mark(start, end, w.generation + 1);
}

int hs_written_mark_new(uint64_t start, uint64_t end)
{
	return mark(start, end, __atomic_load_n(w.now, __ATOMIC_SEQ_CST) + 1);
}

void hs_written_lost_next(void)
{
	w.next_floor = w.generation + 1;
}

bool hs_written_is_last(void)
{
	return __atomic_load_n(w.now, __ATOMIC_SEQ_CST) == w.generation;
}

/* Pages that were written within the last hs_written_lately_ns have at least w.lately. */
static void begin_turn(void)
{
	uint64_t now = hs_now_ns();

	if (w.turn_ns && now - w.turn_ns < hs_written_lately_ns)
		return;
	w.lately = w.turn_ns ? w.turn : w.generation;
	w.turn = w.generation;
	w.turn_ns = now;
}

/*
 * Around the fork
 */

static void close_pipes(void)
{
	/* Those that are read from last: nobody gets a SIGPIPE. */
	close_fd(&w.told[1]);
	close_fd(&w.told[0]);
	close_fd(&w.marked[1]);
	close_fd(&w.marked[0]);
}

/* Returns 0, or -1 with errno. */
static int make_pipes(void)
{
	if (!pipe2(w.told, O_CLOEXEC) && !pipe2(w.marked, O_CLOEXEC))
		return 0;
	close_pipes();
	return -1;
}

void hs_written_before(const struct hs_ranges *ranges, uint64_t generation)
{
	w.any = have() && !make_pipes();
	if (!w.any)
		return;
	w.generation = generation;
	__atomic_store_n(w.now, generation, __ATOMIC_SEQ_CST);
	if (!w.floor)
		w.floor = generation;
	begin_turn();
	w.saved.nr = 0;
	if (hs_saved_pages(&w.saved, ranges) ||
	    (w.teller->before && w.teller->before(&w.saved)))
		w.floor = generation;
	if (mutant(HS_WIDEN))
		usleep(3000);
}

void hs_written_after(pid_t child)
{
	if (!w.any)
		return;
	if (mutant(HS_WIDEN))
		usleep(3000);
	if (child > 0) {
		if (!w.teller->behind(&w.saved))
			(void)!write(w.told[1], "", 1);
		forget_before();
		w.before[0].fd = w.marked[0];
		w.before[1].fd = (int)syscall(SYS_pidfd_open, child, 0);
		w.marked[0] = -1;
	}
	close_pipes();
}

/* Another process may have the other end, too: so that there is no end of it says nothing. */
static bool hear(struct pollfd *p, nfds_t nr, int patience, void *what, size_t len)
{
	while (poll(p, nr, patience) < 0 && errno == EINTR)
		;
	return p->revents & POLLIN && read(p->fd, what, len) == (ssize_t)len;
}

/* Without the marks of the one before nothing is known of what was before this one. */
static uint64_t floor_of_the_one_before(void)
{
	uint64_t floor;

	if (w.before[0].fd < 0)
		return 0;
	return hear(w.before, 2, -1, &floor, sizeof(floor)) ? floor : w.generation;
}

void hs_written_wait(void)
{
	struct pollfd told = { .fd = w.told[0], .events = POLLIN };
	uint64_t floor;
	char c;

	if (!w.any)
		return;
	close_fd(&w.told[1]);
	floor = floor_of_the_one_before();
	forget_before();
	w.next_floor = 0;
	if (!hear(&told, 1, PATIENCE_MS, &c, 1) ||
	    (w.teller->in_child && w.teller->in_child(&w.saved)))
		w.floor = w.next_floor = w.generation + 1;
	if (floor > w.floor)
		w.floor = floor;
	if (w.floor > w.next_floor)
		w.next_floor = w.floor;
	(void)!write(w.marked[1], &w.next_floor, sizeof(w.next_floor));
	close_pipes();
}

int hs_written_since(uint64_t base, const char *addr, size_t nr, const uint64_t *entry,
		     bool *maybe)
{
	uint64_t v[HS_WRITTEN_PAGES];
	size_t len = nr * sizeof(v[0]), i;

	if (!w.any || !base || base < w.floor) {
		memset(maybe, true, nr * sizeof(*maybe));
		return 0;
	}
	if (pread(w.marks, v, len, place_of((uintptr_t)addr)) != (ssize_t)len)
		return -1;
	for (i = 0; i < nr; i++) {
		maybe[i] = v[i] > base || (v[i] >= w.lately && !mutant(HS_NO_LATELY));
		if (!maybe[i] && w.teller->unmarked)
			maybe[i] = w.teller->unmarked(entry[i], addr + i * HS_PAGE);
	}
	return 0;
}
