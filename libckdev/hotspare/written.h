/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libhotspare: what was written since a cut, as the kernel tells it (PAGEMAP_SCAN, since
 * Linux 6.7), so that the process that writes a checkpoint needn't compare all of memory.
 * It says too much rather than too little.
 */
#ifndef HS_WRITTEN_H
#define HS_WRITTEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ranges.h"

#define HS_WRITTEN_PAGES	512	/* asked for at a time */

/*
 * Each takes a safeguard away: tests/mutants.sh shows that it is missed. HS_WIDEN makes the
 * time between the scan and the fork longer.
 */
#define HS_WIDEN		1
#define HS_NO_SECOND_SCAN	2
#define HS_NO_LATELY		4
#define HS_NO_CHECK		8
#define HS_NO_FORK		16
#define HS_NO_FILES		32
#ifndef HS_MUTANT
#define HS_MUTANT		0
#endif
#define mutant(x)		(HS_MUTANT & (x))

/* For so long what was written counts as changed: a device may still be at it. */
extern uint64_t hs_written_lately_ns;

/* NULL: the kernel tells. Else: why it doesn't. */
const char *hs_written_not(void);
/* It isn't asked, before the first checkpoint. */
void hs_written_refuse(void);

/*
 * Around the fork, with the arena locked. Without hs_written_before() nothing is known.
 * The generations are those of this process's checkpoints, in their order.
 */
void hs_written_before(const struct hs_ranges *ranges, uint64_t generation);
void hs_written_after(void);

/* In the child. When the parent has come to the end of the above. */
void hs_written_wait(void);
/*
 * Up to HS_WRITTEN_PAGES from @addr on: which of them may have changed after generation
 * @base? 0: nothing is known of what was before. Returns 0, or -1 with errno.
 */
int hs_written_since(uint64_t base, const char *addr, size_t nr, bool *maybe);

#endif /* HS_WRITTEN_H */
