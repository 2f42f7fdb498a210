// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A third host. A person who replaces a host by it keeps to failure-model.rst: the old one can't be
 * promoted any more, since it left in order, has no power, or was overtaken; and it didn't
 * take over before, which its record says. It comes back with its old configuration and its
 * old copy, and may be the spare once more; or it is the last one that has everything, where the new
 * spare was lost before it had.
 */
#include "mutants.h"
#include "schedule.h"

/* The host that leaves for it; NULL: none. */
static struct sim_host *leaves;

void third_reset(void)
{
	leaves = NULL;
}

static struct sim_host *third(void)
{
	return &sim.host[SIM_HOSTS - sim.pair[0] - sim.pair[1]];
}

static bool runs(const struct sim_host *h)
{
	return h->power && h->runs && h->stopped_until <= sim.now && !h->daemon.stopping;
}

/* A program that serves, as its host shows it. That it has everything follows from the records. */
static struct sim_host *primary(void)
{
	struct sim_host *h;
	u32 i;

	for (i = 0; i < 2; i++) {
		h = world_pair(i);
		if (runs(h) && h->prog.role == PROG_PRIMARY && h->prog.serves &&
		    !h->prog.session->fenced &&
		    !records_overtaken(&h->daemon, SIM_NAME) &&
		    !records_split(&h->daemon, SIM_NAME))
			return h;
	}
	return NULL;
}

/* Its record says so; the host that stays may not have heard of it. */
static bool has_taken_over(const struct sim_host *old, const struct sim_host *stays)
{
	return mutant != MUTANT_SWAP_UNREAD && disk_term(old) > stays->prog.term;
}

static void configure(struct sim_host *h, const struct sim_host *peer)
{
	world_address(&h->conf.peers[0].addr, peer->nr);
	if (!h->runs)
		return;
	sim.cur = h;
	h->daemon.conf.peers[0].addr = h->conf.peers[0].addr;
	peer_configured(LIST_FIRST(&h->daemon.peers));
	sim.cur = NULL;
}

static void takes_its_place(struct sim_host *h, struct sim_host *old)
{
	struct sim_host *new = third();

	story("a person replaces %s by %s, as the spare of %s", old->name, new->name, h->name);
	sim.pair[0] = h->nr;
	sim.pair[1] = new->nr;
	sim.linked_since = 0;
	configure(h, new);
	configure(new, h);
	if (!new->power)
		schedule_power_back(new);
	else if (new->prog.role == PROG_PRIMARY)
		prog_make_spare(new);
	else if (new->prog.role == PROG_NONE && !new->prog.restart)
		prog_start(new, PROG_SPARE);
	check_failure("replacement");
}

struct sim_host *third_replace(u64 ns)
{
	struct sim_host *h = primary(), *old;

	if (sim.hosts < SIM_HOSTS || sim.ended || leaves || !h)
		return NULL;
	old = world_other(h);
	if (has_taken_over(old, h))
		return NULL;
	/* A daemon that runs is stopped: a link that it has would keep the new host out. */
	if (mutant == MUTANT_SWAP_EARLY || !old->power ||
	    (!old->runs && disk_term(old) < h->prog.term)) {
		takes_its_place(h, old);
		return NULL;
	}
	if (!runs(old))
		return NULL;
	story("the daemon of %s is stopped in order, to be replaced", old->name);
	leaves = old;
	old->daemon_away = ns;
	sim.cur = old;
	daemon_stop(&old->daemon);
	sim.cur = NULL;
	check_failure("leave");
	return old;
}

void third_left(struct sim_host *h)
{
	struct sim_host *serves = primary();

	if (h != leaves)
		return;
	leaves = NULL;
	/* The other one may have failed meanwhile. */
	if (serves && world_other(serves) == h && !has_taken_over(h, serves))
		takes_its_place(serves, h);
}

bool third_returns(void)
{
	struct sim_host *h = third(), *o = world_pair(0);

	if (sim.hosts < SIM_HOSTS || !runs(h) || !check_copy(h))
		return false;
	story("a person takes %s back, which has everything, instead of %s", h->name,
	      world_pair(1)->name);
	sim.pair[0] = h->nr;
	sim.pair[1] = o->nr;
	sim.linked_since = 0;
	configure(h, o);
	configure(o, h);
	check_failure("replacement");
	return true;
}

void third_empties(void)
{
	struct sim_host *h = third();

	if (!h->power || !h->runs)
		disk_lose(h);
}
