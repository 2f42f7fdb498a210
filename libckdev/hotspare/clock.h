/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libhotspare: time that nobody sets, CLOCK_MONOTONIC. */
#ifndef HS_CLOCK_H
#define HS_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t hs_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Signed: what is left until a time may be less than nothing. */
static inline int64_t hs_now_ms(void)
{
	return (int64_t)(hs_now_ns() / 1000000);
}

#define HS_CLOCKS	2		/* CLOCK_MONOTONIC, CLOCK_BOOTTIME */

/* What a checkpoint has of them; nanoseconds. */
struct hs_clocks {
	int64_t at_cut[HS_CLOCKS];
	int64_t moved_before[HS_CLOCKS];	/* by restarts */
};

/* clock.c */
void hs_clocks_capture(struct hs_clocks *to);
void hs_clocks_restore(const struct hs_clocks *c);

/* So long is waited for the other host, and what it may have: option -t of hs_init(3). */
#define HS_TIMEOUT	5
void hs_set_timeout(unsigned int seconds);
unsigned int hs_timeout(void);

#endif
