// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libhotspare: clocks that nobody sets. Each host has its own, since it was started; so what
 * was left until a time is told by the difference between the clock at the cut and the clock
 * at the restart. What was between them doesn't count, as with timers.
 */
#include <errno.h>

#include "clock.h"
#include "hotspare.h"

#define SECOND	1000000000LL

static const int ids[HS_CLOCKS] = { CLOCK_MONOTONIC, CLOCK_BOOTTIME };

/* By how much these are ahead of those of the program: by the last restart, and by all. */
static int64_t moved[HS_CLOCKS], moved_by_all[HS_CLOCKS];

static int64_t now_ns(int clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * SECOND + t.tv_nsec;
}

static int index_of(int clock)
{
	int i;

	for (i = 0; i < HS_CLOCKS; i++)
		if (ids[i] == clock)
			return i;
	return -1;
}

/* @t and @ns later, which may be less than nothing. */
static void add(struct timespec *t, int64_t ns)
{
	t->tv_sec += ns / SECOND;
	t->tv_nsec += ns % SECOND;
	if (t->tv_nsec >= SECOND) {
		t->tv_sec++;
		t->tv_nsec -= SECOND;
	} else if (t->tv_nsec < 0) {
		t->tv_sec--;
		t->tv_nsec += SECOND;
	}
}

int hs_clock(int clock, struct timespec *now)
{
	int i = index_of(clock);

	if (i < 0 || !now) {
		errno = EINVAL;
		return -1;
	}
	clock_gettime(clock, now);
	add(now, -moved_by_all[i]);
	return 0;
}

int hs_clock_host(int clock, struct timespec *time)
{
	int i = index_of(clock);

	if (i < 0 || !time) {
		errno = EINVAL;
		return -1;
	}
	add(time, moved_by_all[i]);
	return 0;
}

int64_t hs_clock_moved(int clock)
{
	int i = index_of(clock);

	return i < 0 ? 0 : moved[i];
}

/* At the cut. */
void hs_clocks_capture(struct hs_clocks *to)
{
	int i;

	for (i = 0; i < HS_CLOCKS; i++) {
		to->at_cut[i] = now_ns(ids[i]);
		to->moved_before[i] = moved_by_all[i];
	}
}

/* At the restart: from here on. */
void hs_clocks_restore(const struct hs_clocks *c)
{
	int i;

	for (i = 0; i < HS_CLOCKS; i++) {
		moved[i] = now_ns(ids[i]) - c->at_cut[i];
		moved_by_all[i] = c->moved_before[i] + moved[i];
	}
}

static unsigned int timeout = HS_TIMEOUT;

void hs_set_timeout(unsigned int seconds)
{
	timeout = seconds;
}

unsigned int hs_timeout(void)
{
	return timeout;
}
