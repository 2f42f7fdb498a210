/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How long ago the oldest snapshot was published that the spare doesn't have yet. A few
 * times are kept; when there are more, the oldest ones count.
 */
#ifndef CPTDEVD_LAG_H
#define CPTDEVD_LAG_H

#include "types.h"

#define LAG_MARKS	32

struct lag {
	struct {
		u64 generation;
		u64 at;
	} mark[LAG_MARKS];
	unsigned int nr;
};

void lag_published(struct lag *l, u64 generation, u64 now);
void lag_committed(struct lag *l, u64 generation);
/* ns, 0 when the spare has everything. */
u64 lag_ns(const struct lag *l, u64 now);

#endif
