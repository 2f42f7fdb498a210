// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * "cptdevctl verify", again and again, while everything else happens. No page of a replica is ever
 * damaged here: a comparison that finds a difference is wrong, and would cost a full copy.
 */
#include <string.h>

#include "schedule.h"

#define EVERY_MS	400

static bool everywhere;
static struct rng rng;
static u64 next_at;

void verifying_everywhere(void)
{
	everywhere = true;
}

bool verifying_seed(u64 seed)
{
	return everywhere || seed % 7 == 3;
}

void verifying_reset(u64 seed)
{
	rng_seed(&rng, seed, 11);
	next_at = verifying_seed(seed) ? sim.now : UINT64_MAX;
}

u64 verifying_next(void)
{
	return next_at;
}

/* How did the last one end? */
static void count(struct daemon *d)
{
	struct verify *v = verify_find(d, SIM_NAME);
	u32 i;

	if (!v || !v->ended)
		return;
	for (i = 0; i < v->nr; i++)
		sim.counts.verified += v->spare[i].state == VERIFY_SAME;
}

static void begin(struct sim_host *h)
{
	const char *code;
	char why[256];

	if (!h->runs || h->stopped_until > sim.now || h->daemon.stopping)
		return;
	count(&h->daemon);
	sim.cur = h;
	verify_begin(&h->daemon, SIM_NAME, false, &code, why, sizeof(why));
	sim.cur = NULL;
}

void verifying_step(void)
{
	u32 i;

	if (next_at > sim.now)
		return;
	next_at = sim.now + MS(rng_range(&rng, 1, 2 * EVERY_MS));
	for (i = 0; i < sim.hosts; i++)
		begin(&sim.host[i]);
}

void verifying_check(const struct sim_host *h)
{
	struct verify *v;
	u32 i;

	if (!h->runs)
		return;
	LIST_FOREACH(v, &h->daemon.verifies, entry)
		for (i = 0; i < v->nr; i++)
			if (v->spare[i].damaged)
				sim_fail("verify of %s: %llu pages of %s differ, the first at 0x%llx, generation %llu; none was damaged",
					 v->name, v->spare[i].damaged, v->spare[i].name,
					 v->spare[i].addr[0], v->spare[i].generation);
}
