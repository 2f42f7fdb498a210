// SPDX-License-Identifier: GPL-2.0-or-later
/* What must hold, looked at after each step. */
#include <stdarg.h>
#include <stdio.h>

#include "schedule.h"

/* So long after both links came up each daemon knows what the other one does. */
#define KNOWN_NS	(2 * NSEC_PER_SEC)

void sim_fail(const char *fmt, ...)
{
	va_list ap;

	if (sim.failed)
		return;
	sim.failed = true;
	va_start(ap, fmt);
	vsnprintf(sim.why, sizeof(sim.why), fmt, ap);
	va_end(ap);
	story("VIOLATION: %s", sim.why);
}

void check_failure(const char *what)
{
	(void)what;
	sim.failures++;
	sim.in_sync = false;
}

/*
 * What one client was told to be safe is in everything that any client is told later, by
 * whichever host. Two primaries that acknowledge at the same time break this as well as a
 * primary that lost data and doesn't say so.
 */
void check_ack(struct sim_host *h, u32 state, u64 term)
{
	if (history_has(state, sim.top))
		sim.top = state;
	else if (!history_has(sim.top, state))
		sim_fail("%s acknowledges state %u with term %llu, which lacks state %u that was acknowledged with term %llu",
			 h->name, state, term, sim.top, sim.top_term);
	if (term < sim.top_term)
		sim_fail("%s acknowledges with term %llu after somebody did with term %llu",
			 h->name, term, sim.top_term);
	sim.acked_at = sim.now;
	sim.top_term = MAX(sim.top_term, term);
}

/*
 * Nothing that is read is older than what somebody was told. A primary that was overtaken and is
 * cut off doesn't know; but then the other one has no spare, and acknowledges nothing.
 */
void check_read(struct sim_host *h, u32 state)
{
	if (!history_has(state, sim.top))
		sim_fail("a client reads state %u of %s; state %u was acknowledged before",
			 state, h->name, sim.top);
}

/* Does this host have what was acknowledged, in a program or in a replica? */
bool check_copy(struct sim_host *h)
{
	bool promoted;
	u32 state;
	u64 term;

	if (!h->power)
		return false;
	if (h->prog.role == PROG_PRIMARY && history_has(h->prog.state, sim.top))
		return true;
	return engine_replica(h, &state, &term, &promoted) && history_has(state, sim.top);
}

static bool calm(const struct sim_host *h)
{
	return h->power && h->runs && h->stopped_until <= sim.now &&
		h->prog_stopped_until <= sim.now && h->prog.role != PROG_NONE;
}

static bool linked(struct sim_host *h)
{
	struct peer *p;

	if (!h->runs || h->stopped_until > sim.now || h->daemon.stopping)
		return false;
	p = LIST_FIRST(&h->daemon.peers);
	return p->in && p->out.state == OUT_UP;
}

static bool is_cut(void)
{
	return net_is_cut(sim.pair[0], sim.pair[1]) || net_is_cut(sim.pair[1], sim.pair[0]);
}

/*
 * A service that was ended in order doesn't come back to life. As long as the hosts aren't linked
 * the other one can't know, and may decide that this one is lost.
 */
static void check_ended(void)
{
	struct sim_host *h;
	bool promoted;
	u32 state, i;
	u64 term;

	if (is_cut() || !linked(world_pair(0)) || !linked(world_pair(1)))
		sim.linked_since = 0;
	else if (!sim.linked_since)
		sim.linked_since = sim.now;
	if (!sim.ended || sim.ended_known || !sim.linked_since ||
	    sim.now - MAX(sim.linked_since, sim.ended_at) < KNOWN_NS)
		return;
	sim.ended_known = true;
	for (i = 0; i < sim.hosts; i++) {
		h = &sim.host[i];
		if (engine_replica(h, &state, &term, &promoted) && promoted && term != h->taken)
			sim.ended = sim.ended_known = false;
	}
}

void check_step(void)
{
	bool copy[SIM_HOSTS] = {}, both;
	u32 i;

	if (sim.failed)
		return;
	check_ended();
	for (i = 0; i < sim.hosts; i++) {
		copy[i] = check_copy(&sim.host[i]);
		verifying_check(&sim.host[i]);
	}
	both = copy[sim.pair[0]] && copy[sim.pair[1]];
	if (!copy[0] && !copy[1] && !copy[2] && !sim.ended && sim.top && sim.failures <= 1)
		sim_fail("state %u was acknowledged, and nobody has it any more after one failure",
			 sim.top);
	sim.in_sync = both && calm(world_pair(0)) && calm(world_pair(1)) && !is_cut();
	if (sim.in_sync)
		sim.failures = 0;
}

bool check_served(void)
{
	return !sim.ended;
}
