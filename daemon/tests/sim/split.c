// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Two that went on: a person promotes the spare's replica, and lets the old primary go on with the
 * same term at the same moment. Both have everything, so nothing is lost yet; whoever is
 * acknowledged first makes the other one old. As soon as both hosts know, both daemons are
 * started anew, and the link is cut: nobody tells them of it again.
 */
#include "mutants.h"
#include "schedule.h"

/* One seed of so many. */
#define SPLIT_SEEDS	16

/* TERM has come across, however late. */
#define MEET_NS		(4 * NSEC_PER_SEC)
/* Any lease is over, and whoever may goes on alone. */
#define CUT_NS		(9 * NSEC_PER_SEC)

bool split_seed(u64 seed)
{
	return seed % SPLIT_SEEDS == 3 || mutant == MUTANT_STILL_FORGOTTEN;
}

static bool is_well(const struct sim_host *h)
{
	return h->power && h->runs && h->stopped_until <= sim.now &&
		h->prog_stopped_until <= sim.now;
}

/* Only where everything is well: the host whose program serves, or NULL. */
static struct sim_host *serving(void)
{
	struct sim_host *h;
	u32 i;

	for (i = 0; i < 2; i++)
		if (!is_well(world_pair(i)))
			return NULL;
	for (i = 0; i < 2; i++) {
		h = world_pair(i);
		if (h->prog.role == PROG_PRIMARY && h->prog.serves && !h->prog.session->fenced &&
		    engine_allows(h, h->prog.session) && check_copy(h) &&
		    world_other(h)->prog.role == PROG_SPARE && check_copy(world_other(h)))
			return h;
	}
	return NULL;
}

u64 split_begin(void)
{
	struct sim_host *h = sim.ended ? NULL : serving(), *o;
	u64 term;

	if (!h)
		return 0;
	o = world_other(h);
	if (engine_promote(o, false))
		return 0;
	term = disk_term(o);
	story("a person promotes the replica of %s, and lets %s go on with term %llu as well",
	      o->name, h->name, term);
	prog_go_on(h, term, sim.now + MEET_NS);
	check_failure("split brain");
	return MEET_NS;
}

u64 split_known(void)
{
	struct sim_host *h;
	u32 i;

	for (i = 0; i < 2; i++)
		if (!is_well(world_pair(i)) || !records_split(&world_pair(i)->daemon, SIM_NAME))
			return 0;
	schedule_cut_pair(CUT_NS);
	for (i = 0; i < 2; i++) {
		h = world_pair(i);
		story("the daemon of %s is killed", h->name);
		engine_daemon_kill(h);
		h->daemon_start = sim.now + MS(50);
	}
	check_failure("crash");
	return CUT_NS;
}
