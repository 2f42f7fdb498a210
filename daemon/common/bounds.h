/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How far a number that somebody tells may be from what is known. Terms and generations only rise;
 * a host that believed any of them could be told the last one, and nothing of that name could be
 * promoted or fed any more.
 */
#ifndef CPTDEV_BOUNDS_H
#define CPTDEV_BOUNDS_H

#include <linux/cptdev.h>

#include "types.h"

/*
 * Is @term further above @known (0: nothing is known) than promotions explain? The module refuses the
 * same. A lower one is no matter of this rule: it is fenced.
 */
static inline bool term_jumps(u64 known, u64 term)
{
	return term > known && term - known > CPTDEV_TERM_STEP;
}

/* May a generation have this number? 0 is none. */
static inline bool generation_valid(u64 generation)
{
	return generation <= CPTDEV_GENERATION_MAX;
}

#endif
