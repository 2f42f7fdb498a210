// SPDX-License-Identifier: LGPL-2.1-or-later
/* libhotspare: recording the touch set, see touch.h. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <ckdev.h>

#include "../internal.h"
#include "arena.h"
#include "clock.h"
#include "lock.h"
#include "module.h"
#include "ranges.h"
#include "sections.h"
#include "touch.h"
#include "touched.h"

#define MS		1000000ULL
#define FIRST_NS	(16 * MS)
#define AUTO_LOOKS	11U		/* the last one after 16 seconds */
#define FIXED_LOOKS	8U
#define WINDOW_MOST_MS	3600000UL
/*
 * 1 Gbit/s, while nothing was written, and at most: what was written may be in a cache. A restart may
 * read from a slower place, and chooses from the looks by the speed that it measures: so the window is as
 * long as that place needs.
 */
#define RATE		(117ULL << 20)
#define SLOWER		4
#define WRITTEN_LEAST	(1ULL << 20)
/*
 * A look at so much at a time: a cut waits for one of these at most. They begin where huge pages begin:
 * the mark of a huge page is cleared by a look at all of it.
 */
#define PIECE		(8ULL << 20)

int (*hs_touch_scan)(struct cptdev_scan *s) = hs_session_scan;
int (*hs_touch_where)(struct hs_intervals *to) = hs_tracked_arena;
unsigned int hs_touch_share = 100;
_Atomic unsigned int hs_touch_windows;
_Atomic uint64_t hs_touch_cost;

static bool off;
static uint64_t fixed_ns;		/* the window; 0: automatic */
static _Atomic uint64_t rate = RATE;	/* bytes a second */

struct window {
	struct hs_intervals where;
	uint64_t generation;
	uint64_t since;			/* when the cut was */
	uint64_t cost;			/* of its looks, ns of processor time */
};

HS_LOCK(lock);				/* of what follows */
static pthread_cond_t news = PTHREAD_COND_INITIALIZER;
static struct window asked;
static bool is_asked, busy, running;
static uint64_t not_before;

/*
 * A look is under way. It takes the lock of the session, so this isn't one of the locks that a fork
 * takes: that has another order for the two.
 */
static pthread_mutex_t looking = PTHREAD_MUTEX_INITIALIZER;
static _Atomic unsigned int paused;

/* The thread's own. */
static struct hs_touched set;
static struct hs_intervals swapped;	/* at the last look */
static bool complete;			/* a window's whole set was recorded */

int hs_touch_set(const char *text, struct hs_error *e)
{
	unsigned long ms;
	char *end;

	off = !strcmp(text, "no");
	fixed_ns = 0;
	if (off || !strcmp(text, "auto"))
		return 0;
	errno = 0;
	ms = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || !ms || ms > WINDOW_MOST_MS)
		return hs_fail(e, EINVAL, "window '%.60s' isn't auto, no, or milliseconds from 1 to %lu",
			       text, WINDOW_MOST_MS);
	fixed_ns = ms * MS;
	return 0;
}

void hs_touch_written(uint64_t bytes, uint64_t ns)
{
	const double written = ns ? (double)bytes * 1e9 / (double)ns : 0;

	if (bytes >= WRITTEN_LEAST && ns)
		rate = written < (double)RATE ? (uint64_t)written + 1 : RATE;
}

void hs_touch_pause(void)
{
	paused++;
	hs_lock(&looking);
	hs_unlock(&looking);
}

void hs_touch_resume(void)
{
	paused--;
}

/*
 * A look
 */

/* Ascending. Returns 0, or -1 with errno ENOMEM. */
static int push(struct hs_intervals *to, uint64_t start, uint64_t end)
{
	struct hs_interval *v = to->v;

	if (to->nr && v[to->nr - 1].end == start) {
		v[to->nr - 1].end = end;
		return 0;
	}
	/* The array has room for the next power of two. */
	if (!(to->nr & (to->nr - 1))) {
		v = reallocarray(to->v, to->nr ? 2 * to->nr : 1, sizeof(*v));
		if (!v)
			return -1;
		to->v = v;
	}
	v[to->nr++] = (struct hs_interval) { start, end };
	return 0;
}

/* One piece, and no cut meanwhile. Returns the number of regions, or -errno. */
static int scan(struct cptdev_scan *s)
{
	int nr;

	for (;;) {
		hs_lock(&looking);
		if (!paused)
			break;
		hs_unlock(&looking);
		nanosleep(&(const struct timespec) { .tv_nsec = MS }, NULL);
	}
	nr = hs_touch_scan(s);
	hs_unlock(&looking);
	return nr;
}

/*
 * A page that was swapped out since the last look counts as accessed: nobody can say whether it was
 * before it went.
 */
struct seen {
	struct hs_intervals accessed, swapped;
	size_t before;			/* in the list of the last look */
};

static int see_swapped(struct seen *to, uint64_t start, uint64_t end)
{
	uint64_t at = start, stop;

	if (push(&to->swapped, start, end))
		return -1;
	while (at < end) {
		while (to->before < swapped.nr && swapped.v[to->before].end <= at)
			to->before++;
		stop = to->before < swapped.nr ? swapped.v[to->before].start : UINT64_MAX;
		if (stop <= at) {
			at = swapped.v[to->before].end;
			continue;
		}
		stop = stop < end ? stop : end;
		if (push(&to->accessed, at, stop))
			return -1;
		at = stop;
	}
	return 0;
}

static int see(struct seen *to, const struct cptdev_region *r)
{
	if (r->categories & CPTDEV_PAGE_SWAPPED)
		return see_swapped(to, r->start, r->end);
	return push(&to->accessed, r->start, r->end);
}

static int look_at(struct seen *to, uint64_t start, uint64_t end)
{
	struct cptdev_region v[CKDEV_BATCH];
	struct cptdev_scan s = {
		.size = sizeof(s), .flags = CPTDEV_SCAN_CLEAR_ACCESSED, .vec = CKDEV_PTR(v),
		.vec_len = CKDEV_BATCH, .anyof = CPTDEV_PAGE_ACCESSED | CPTDEV_PAGE_SWAPPED,
		.report = CPTDEV_PAGE_ACCESSED | CPTDEV_PAGE_SWAPPED, .start = start,
	};
	int nr, i;

	for (; s.start < end; s.start = s.walk_end) {
		s.end = (s.start | (PIECE - 1)) + 1;
		s.end = s.end < end ? s.end : end;
		nr = scan(&s);
		if (nr < 0) {
			errno = -nr;
			return -1;
		}
		for (i = 0; i < nr; i++)
			if (see(to, &v[i]))
				return -1;
	}
	return 0;
}

static int look_everywhere(const struct hs_intervals *where, struct seen *to)
{
	size_t i;

	for (i = 0; i < where->nr; i++)
		if (look_at(to, where->v[i].start, where->v[i].end))
			return -1;
	return 0;
}

static uint64_t processor_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* @number: -1: the first one, which only clears. Returns 0, or -1 with errno. */
static int look(struct window *w, int number)
{
	uint64_t before = processor_ns(), us = (hs_now_ns() - w->since) / 1000;
	struct seen s = { .before = 0 };
	int ret = look_everywhere(&w->where, &s);

	if (!ret)
		ret = number < 0 ? hs_touched_begin(&set, &s.accessed, w->generation) :
			hs_touched_look(&set, &s.accessed, us);
	free(s.accessed.v);
	free(swapped.v);
	swapped = s.swapped;
	w->cost += processor_ns() - before;
	return ret;
}

/*
 * A window
 */

static void hand_over(void)
{
	unsigned char *text;
	size_t len;

	if (hs_touched_text(&set, &text, &len))
		return;
	hs_sections_put(HS_TOUCHED_NAME, text, len);
	free(text);
}

static unsigned int looks(void)
{
	unsigned int nr = 1;

	if (!fixed_ns)
		return AUTO_LOOKS;
	while (nr < FIXED_LOOKS && fixed_ns >> nr >= MS)
		nr++;
	return nr;
}

static void sleep_until(uint64_t ns)
{
	const struct timespec t = { .tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000) };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
}

/* Would what was touched up to here arrive in the time that it covers, from a slower store as well? */
static bool covers(uint64_t ns)
{
	const double bytes = (double)hs_touched_pages(&set, HS_TOUCHED_LOOKS) * HS_PAGE;

	return bytes * 1e9 * SLOWER <= (double)ns * (double)rate;
}

static void record(struct window *w)
{
	unsigned int nr = looks(), i;
	uint64_t at;

	if (look(w, -1))
		return;
	for (i = 0; i < nr; i++) {
		at = fixed_ns ? fixed_ns >> (nr - 1 - i) : FIRST_NS << i;
		sleep_until(w->since + at);
		if (look(w, (int)i))
			return;
		/* The first set, as far as it goes, is better than none. */
		if (!complete)
			hand_over();
		if (!fixed_ns && covers(at))
			break;
	}
	hand_over();
	complete = true;
}

static void *thread_main(void *arg)
{
	struct window w;

	(void)arg;
	hs_inside++;
	pthread_mutex_lock(&lock);
	for (;;) {
		while (!is_asked)
			pthread_cond_wait(&news, &lock);
		is_asked = false;
		w = asked;
		pthread_mutex_unlock(&lock);
		record(&w);
		free(w.where.v);
		pthread_mutex_lock(&lock);
		not_before = w.since + hs_touch_share * w.cost;
		busy = false;
		hs_touch_cost = w.cost;
		hs_touch_windows++;
	}
	return NULL;
}

/* Signals are for the program's own threads. */
static bool start_thread(void)
{
	sigset_t all, old;
	pthread_t thread;
	int err;

	if (running)
		return true;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	err = pthread_create(&thread, NULL, thread_main, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!err)
		pthread_detach(thread);
	running = !err;
	return running;
}

/* A window that has begun goes on: a program that takes checkpoints all the time has windows, too. */
void hs_touch_cut(uint64_t generation, bool file)
{
	const uint64_t now = hs_now_ns();

	if (off || (!file && !fixed_ns))
		return;
	hs_lock(&lock);
	if (!busy && now >= not_before) {
		asked = (struct window) { .generation = generation, .since = now };
		if (!hs_touch_where(&asked.where) && start_thread()) {
			is_asked = busy = true;
			pthread_cond_signal(&news);
		} else {
			free(asked.where.v);
		}
	}
	hs_unlock(&lock);
}

/* The thread is the parent's, and so is what it was about to change. */
void hs_touch_in_child(void)
{
	news = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
	looking = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
	paused = 0;
	is_asked = busy = running = complete = false;
	set = (struct hs_touched) { 0 };
	swapped = (struct hs_intervals) { 0 };
}
