/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libhotspare: what was written since a cut, as the kernel tells it, so that the process
 * that writes a checkpoint needn't compare all of memory. It says too much rather than too
 * little.
 */
#ifndef HS_WRITTEN_H
#define HS_WRITTEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "ranges.h"

#define HS_WRITTEN_PAGES	512	/* asked for at a time */

/*
 * Each takes a safeguard away: tests/mutants.sh shows that it is missed. HS_WIDEN makes the
 * times between the fork and what is asked before and after it longer.
 */
#define HS_WIDEN		(1 << 0)
#define HS_NO_SECOND_SCAN	(1 << 1)
#define HS_NO_LATELY		(1 << 2)
#define HS_NO_CHECK		(1 << 3)
#define HS_NO_FORK		(1 << 4)
#define HS_NO_FILES		(1 << 5)
#define HS_NO_ZEROS		(1 << 6)
#define HS_NO_OTHERS		(1 << 7)
#define HS_NO_CANARY		(1 << 8)
#define HS_NO_KSM		(1 << 9)
#define HS_NO_CHILD		(1 << 10)
#ifdef HS_MUTANTS
extern unsigned int hs_mutant;
#define mutant(x)		(hs_mutant & (x))
#else
#define mutant(x)		0
#endif

/* For so long what was written counts as changed: a device may still be at it. */
extern uint64_t hs_written_lately_ns;

/* "PAGEMAP_SCAN" or "soft-dirty"; NULL if the kernel doesn't tell, and @e: why. */
const char *hs_written_by(struct hs_error *e);
/* Before the first checkpoint: no other way than this one; NULL: none. */
void hs_written_only(const char *name);

/*
 * Around the fork, with the arena locked. Without hs_written_before() nothing is known.
 * The generations are those of this process's checkpoints, in their order. @child: below 0
 * if there is none.
 */
void hs_written_before(const struct hs_ranges *ranges, uint64_t generation);
void hs_written_after(pid_t child);

/* Is it one of its descriptors? */
bool hs_written_has(int fd);

/* In the child, before all else: it waits for its parent, and for the child before it. */
void hs_written_wait(void);
/*
 * Up to HS_WRITTEN_PAGES from @addr on: which of them may have changed after generation
 * @base? 0: nothing is known of what was before. @entry: theirs in /proc/PID/pagemap, in
 * the child. Returns 0, or -1 with errno.
 */
int hs_written_since(uint64_t base, const char *addr, size_t nr, const uint64_t *entry,
		     bool *maybe);

/*
 * For those who ask the kernel, written_*.c
 */

/* Of /proc/PID/pagemap. */
#define HS_IN_MEMORY	(1ULL << 63)
#define HS_SWAPPED	(1ULL << 62)
#define HS_OF_A_FILE	(1ULL << 61)
#define HS_EXCLUSIVE	(1ULL << 56)
#define HS_SOFT_DIRTY	(1ULL << 55)

struct hs_teller {
	const char *name;
	/* Returns 0, or -1 with errno and @e: why not. */
	int (*open)(struct hs_error *e);
	void (*close)(void);
	/*
	 * Before the fork, behind it, and in the child (NULL: nothing to do there), when the
	 * child before has done that. With its parent's descriptors a child can ask about its
	 * parent's memory. -1: of what was written until then nothing is known; but for the
	 * first, nor until the next cut. Only a parent marks, or only its children.
	 */
	int (*before)(const struct hs_intervals *saved);
	int (*behind)(const struct hs_intervals *saved);
	int (*in_child)(const struct hs_intervals *saved);
	/* In the child; NULL: the marks are all. Whether an unmarked page may have changed. */
	bool (*unmarked)(uint64_t entry, const char *page);
};

extern const struct hs_teller hs_teller_scan, hs_teller_soft;

/* Returns it with @features, which are all there; or -1 with errno and @e. */
int hs_written_uffd(uint64_t features, struct hs_error *e);
/*
 * Written before this cut, or perhaps only before the next one; or before now, when there
 * may have been others. Return 0, or -1 with errno.
 */
int hs_written_mark(uint64_t start, uint64_t end);
int hs_written_mark_next(uint64_t start, uint64_t end);
int hs_written_mark_new(uint64_t start, uint64_t end);
/* In the child: of what is written until the next cut nothing is known. */
void hs_written_lost_next(void);
/* In the child: the next cut hasn't begun yet. */
bool hs_written_is_last(void);

#endif /* HS_WRITTEN_H */
