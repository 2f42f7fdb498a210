// SPDX-License-Identifier: GPL-2.0-or-later
/* The truth: which states there were, and what follows from which. */
#include <string.h>

#include "sim.h"

#define STATES	8192

static struct state states[STATES];
static u32 nr = 1;

void rng_seed(struct rng *r, u64 seed, u64 stream)
{
	r->x = seed * 0x9e3779b97f4a7c15ULL + stream * 0xbf58476d1ce4e5b9ULL + 1;
	rng_next(r);
	rng_next(r);
}

/* splitmix64 */
u64 rng_next(struct rng *r)
{
	u64 z = r->x += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

u64 rng_range(struct rng *r, u64 lo, u64 hi)
{
	return hi > lo ? lo + rng_next(r) % (hi - lo + 1) : lo;
}

bool rng_one_in(struct rng *r, u32 n)
{
	return rng_next(r) % n == 0;
}

void history_reset(void)
{
	nr = 1;
}

const struct state *history_state(u32 id)
{
	return id < nr ? &states[id] : NULL;
}

/* Page 0 is the head: each write changes it, so it tells the state. */
u32 history_write(u32 parent, struct rng *r)
{
	struct state *s = &states[nr];

	if (nr == STATES) {
		sim_fail("more than %u writes: raise STATES", STATES);
		return parent;
	}
	*s = states[parent];
	s->parent = parent;
	s->depth++;
	s->writer[0] = nr;
	s->writer[rng_range(r, 1, SIM_PAGES - 1)] = nr;
	if (rng_one_in(r, 3))
		s->writer[rng_range(r, 1, SIM_PAGES - 1)] = nr;
	return nr++;
}

bool history_has(u32 id, u32 of)
{
	while (states[id].depth > states[of].depth)
		id = states[id].parent;
	return id == of;
}

u64 history_fill(u32 id, u32 page)
{
	u32 writer = states[id].writer[page];

	return writer ? (u64)writer << 8 | page : 0;
}
