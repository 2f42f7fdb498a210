// SPDX-License-Identifier: GPL-2.0-or-later
/* The person: what daemons leave to one, after a look at both hosts. */
#include <errno.h>
#include <string.h>

#include "schedule.h"

/* So long a person waits before doing anything. */
#define PATIENCE_NS	(4 * NSEC_PER_SEC)

u64 operator_begin_at;

/* When a person has looked last, and when there was something to do. */
static u64 acted_at, done_at;

void operator_reset(void)
{
	operator_begin_at = 0;
	acted_at = 0;
	done_at = 0;
}

static bool idle(const struct sim_host *h)
{
	return h->power && h->prog.role == PROG_NONE && !h->prog.restart;
}

/* What a person has to do today: nobody else knows that the old data isn't wanted any more. */
void operator_begins(void)
{
	enum prog_role role = sim.ended ? PROG_PRIMARY : PROG_SPARE;
	u32 i;

	for (i = 0; i < 2; i++) {
		/* And it has heard of the end of the last one. */
		if (world_pair(i)->power && world_pair(i)->runs &&
		    world_pair(i)->stopped_until + MS(100) < sim.now)
			continue;
		operator_begin_at = sim.now + MS(500);
		return;
	}
	operator_begin_at = 0;
	if (sim.ended) {
		story("a person removes all replicas and starts the service anew");
		for (i = 0; i < sim.hosts; i++) {
			/* Nobody relies on what the third one has, on disk or in memory. */
			if (!world_paired(&sim.host[i]))
				third_empties();
			if (!sim.host[i].power)
				continue;
			engine_remove(&sim.host[i]);
			/* It was overtaken, and never heard of that. */
			if (sim.host[i].prog.role == PROG_PRIMARY)
				prog_leave(&sim.host[i]);
			engine_forget(&sim.host[i]);
		}
		sim.top = 0;
		sim.top_term = 0;
	}
	/* Else the other host had decided meanwhile that this one is lost. */
	sim.ended = sim.ended_known = false;
	for (i = 0; i < 2; i++) {
		if (!idle(world_pair(i)))
			continue;
		prog_start(world_pair(i), role);
		role = PROG_SPARE;
	}
}

/*
 * A person who looks every second, and knows more than any daemon. Where nobody acknowledges for
 * long, the program that has everything is left alone, or the replica that has everything is
 * promoted. Where none has, the data is known to be lost, and the service begins anew.
 */
static bool operator_may_act(void)
{
	u32 i;

	if (sim.ended || operator_begin_at)
		return false;
	for (i = 0; i < 2; i++)
		if (!world_pair(i)->power || !world_pair(i)->runs ||
		    world_pair(i)->stopped_until > sim.now)
			return false;
	return sim.now - MAX(sim.acked_at, acted_at) >= PATIENCE_NS;
}

static bool has_program(const struct sim_host *h)
{
	return h->prog.role == PROG_PRIMARY && !h->prog.session->fenced &&
		history_has(h->prog.state, sim.top);
}

void operator_stops(struct sim_host *h)
{
	if (h->power && h->prog.role == PROG_PRIMARY)
		prog_make_spare(h);
}

/* @force: it is outdated, as far as its host knows. A look at both hosts says that it has everything. */
static int operator_promotes(struct sim_host *h, bool force)
{
	int ret;

	if (h->prog.role == PROG_PRIMARY)
		prog_make_spare(h);
	else if (idle(h))
		prog_start(h, PROG_SPARE);
	operator_stops(world_other(h));
	ret = engine_promote(h, force);
	story("a person promotes the replica of %s%s: %s", h->name, force ? " by force" : "",
	      ret ? strerror(-ret) : "done");
	return ret;
}

/* A replica that has everything is promoted there, and its program was only slow: that one goes on. */
static bool other_takes_over(const struct sim_host *h)
{
	struct sim_host *o = world_other(h);
	bool promoted;
	u32 state;
	u64 term;

	return o->prog.role == PROG_SPARE && engine_replica(o, &state, &term, &promoted) &&
		promoted && term != o->taken && history_has(state, sim.top);
}

static void begin_empty(void)
{
	u32 i;

	story("a person gives up what is lost: the service begins anew");
	for (i = 0; i < 2; i++) {
		prog_make_spare(world_pair(i));
		engine_remove(world_pair(i));
	}
	sim.ended = true;
	sim.ended_at = sim.now;
	for (i = 0; i < 2; i++)
		prog_leave(world_pair(i));
	operator_begin_at = sim.now + NSEC_PER_SEC;
}

u64 operator_done_at(void)
{
	return done_at;
}

/* Returns whether there was something to do. */
static bool act(void)
{
	struct sim_host *a = world_pair(0), *b = world_pair(1), *h;
	u32 state, i;
	bool promoted;
	u64 term;
	int ret;

	/* A split brain: the host that lacks something gives up what it has. */
	for (i = 0; i < 2; i++) {
		h = world_pair(i);
		if (!records_split(&h->daemon, SIM_NAME) ||
		    (check_copy(h) && !check_copy(world_other(h))))
			continue;
		story("a person gives up the data of %s", h->name);
		/* Neither has it: a loss that was shown. */
		if (!check_copy(world_other(h)))
			sim.top = 0;
		engine_forget(h);
		return true;
	}
	for (i = 0; i < 2; i++) {
		h = world_pair(i);
		if (!has_program(h))
			continue;
		if (moving_replaced(h))
			return true;
		/* The other one is in its way. */
		if (world_other(h)->prog.role == PROG_PRIMARY) {
			story("a person makes %s a spare", world_other(h)->name);
			prog_make_spare(world_other(h));
			/* Its memory was a copy, as that of a program that learns of its fence. */
			check_failure("made a spare");
			return true;
		}
		/* Or what is known of another session is, of which nobody was told anything. */
		story("a person removes what %s keeps, and what %s remembers",
		      world_other(h)->name, h->name);
		engine_remove(world_other(h));
		engine_forget(world_other(h));
		if (!records_split(&h->daemon, SIM_NAME))
			engine_forget(h);
		check_failure("removal");
		return true;
	}
	/* By force only where neither of them may be promoted otherwise, and so by itself. */
	for (i = 0; i < 4; i++) {
		h = world_pair(i % 2);
		if (!engine_replica(h, &state, &term, &promoted) || !history_has(state, sim.top) ||
		    other_takes_over(h))
			continue;
		ret = operator_promotes(h, i >= 2);
		if (ret != -EREMCHG && ret != -EINPROGRESS)
			return true;
	}
	if (check_copy(a) || check_copy(b))
		return false;
	if (!third_returns())
		begin_empty();
	return true;
}

void operator_looks(void)
{
	if (!operator_may_act())
		return;
	acted_at = sim.now;
	if (act())
		done_at = sim.now;
}
