/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of the exactness test share: exact.c has the oracle, the others the ways
 * to change memory.
 */
#ifndef _CPTDEV_EXACT_H
#define _CPTDEV_EXACT_H

#include <sys/types.h>

#include "cptdev_test.h"

#define SMALL_PAGES	512UL		/* in ordinary pages */
#define HUGE_PAGES	(2 * 512UL)	/* where huge pages may form */
#define PAGES		(SMALL_PAGES + HUGE_PAGES)

/*
 * Why a page may be in a snapshot though its content is what it was: what was done to it,
 * strongest reason first.
 */
enum cause {
	CAUSE_FLIGHT,		/* I/O was in flight at the last cut */
	CAUSE_RANGE,		/* taken out of the range and added again */
	CAUSE_SWAP,		/* swapped out, or on the way */
	CAUSE_KSM,		/* merged with others, or not any more */
	CAUSE_MOVED,		/* migrated, or mapped elsewhere meanwhile */
	CAUSE_NUMA,		/* NUMA hinting took the access away */
	CAUSE_PROTECT,		/* mprotect, userfaultfd, fork, clear_refs */
	CAUSE_HUGE,		/* in a huge page that was made, split or written to */
	CAUSE_SAME,		/* written, with what was there before */
	CAUSE_NONE,
	NR_CAUSES = CAUSE_NONE
};

struct exact {
	int fd;
	int mem;			/* /proc/self/mem */
	int disk;			/* O_DIRECT, or -1 */
	char *m;
	bool failed;
	uint64_t epoch;			/* snapshots that were compared */
	uint64_t seed;
	bool skipped;			/* a snapshot that the image doesn't have */
	pid_t child;			/* a forked one that stays */
	uint64_t landed;		/* transfers in flight at a cut */
	bool silent[PAGES];		/* changed behind the page tables since the scan */
	uint8_t why[NR_CAUSES][PAGES];	/* for how many snapshots more */
	/*
	 * What the memory must have, as the test itself stored it: where @open, that is only
	 * known when the operation has ended.
	 */
	char *truth;
	enum { CLOSED, OPEN, OPEN_BEHIND } open[PAGES];
};

extern struct exact t;

struct op {
	const char *name;
	void (*fn)(void);
	unsigned int weight;
};

extern const struct op mm_ops[], io_ops[];

/* exact.c */
void compare_truth(const char *what);
void fail(const char *what, long page);
void check(void);
int check_later(struct cptdev_snapshot *s);
void skip(void);

/* exact_mm.c */
void numa_setup(void);
void child_ends(void);
void khugepaged_setup(void);

/* exact_io.c */
void helper_start(void);
void io_setup(void);

#define FOREVER	255

static inline uint64_t rnd(uint64_t n)
{
	return t_random(&t.seed) % n;
}

static inline size_t page_of(const void *p)
{
	return ((const char *)p - t.m) / PAGE;
}

/* A random run of pages: up to @max. */
static inline char *pages(unsigned int max, unsigned int *n)
{
	*n = 1 + rnd(max);
	return t.m + rnd(PAGES - *n) * PAGE;
}

/* The same among ordinary pages only. */
static inline char *small_pages(unsigned int max, unsigned int *n)
{
	*n = 1 + rnd(max);
	return t.m + rnd(SMALL_PAGES - *n) * PAGE;
}

/* Mostly there: what the kernel takes apart of a huge page because of some is all of it. */
static inline char *mostly_small_pages(unsigned int max, unsigned int *n)
{
	return rnd(12) ? small_pages(max, n) : pages(max, n);
}

static inline void because(enum cause why, const void *p, unsigned int n, uint8_t how_long)
{
	size_t first = page_of(p), i;

	for (i = first; i < first + n && i < PAGES; i++)
		if (t.why[why][i] < how_long)
			t.why[why][i] = how_long;
}

static inline void no_more(enum cause why, const void *p, unsigned int n)
{
	memset(t.why[why] + page_of(p), 2, n);
}

/* An operation changes these pages, in ways that are its own. */
static inline void changes(const void *p, unsigned int n)
{
	size_t i;

	for (i = page_of(p); i < page_of(p) + n && i < PAGES; i++)
		if (t.open[i] == CLOSED)
			t.open[i] = OPEN;
}

/* They have been stored to, and nobody else changes them. */
static inline void stored(const void *p, unsigned int n)
{
	size_t i;

	for (i = page_of(p); i < page_of(p) + n && i < PAGES; i++) {
		if (t.open[i] == OPEN_BEHIND)
			continue;
		memcpy(t.truth + i * PAGE, t.m + i * PAGE, PAGE);
		t.open[i] = CLOSED;
	}
}

static inline void written(const void *p, unsigned int n)
{
	changes(p, n);
	because(CAUSE_SAME, p, n, 2);
}

/* Splitting or making a huge page concerns all of it. */
static inline void huge_touched(const void *p, unsigned int n)
{
	size_t page;

	if (page_of(p) + n <= SMALL_PAGES)
		return;
	for (page = SMALL_PAGES; page < PAGES; page += HUGE / PAGE)
		if (page_of(p) < page + HUGE / PAGE && page_of(p) + n > page)
			because(CAUSE_HUGE, t.m + page * PAGE, HUGE / PAGE, 4);
}

/* A transfer by page reference, which SCAN doesn't promise to see. */
static inline void behind(const void *p, unsigned int n)
{
	size_t i;

	memset(t.silent + page_of(p), 1, n);
	written(p, n);
	for (i = page_of(p); i < page_of(p) + n && i < PAGES; i++)
		t.open[i] = OPEN_BEHIND;
	because(CAUSE_FLIGHT, p, n, 6);
	huge_touched(p, n);
}

static inline void random_bytes(char *p, size_t len)
{
	size_t i;

	for (i = 0; i < len; i += 64)
		p[i + rnd(64)] = rnd(256);
}

static inline void fill(char *p, size_t len)
{
	random_bytes(p, len);
	written(p, len / PAGE);
	stored(p, len / PAGE);
	huge_touched(p, len / PAGE);
}

static inline void poke(char *p)
{
	(*p)++;
	written(p, 1);
	stored(p, 1);
	huge_touched(p, 1);
}

#endif /* _CPTDEV_EXACT_H */
