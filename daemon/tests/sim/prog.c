// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The programs, one on each host, and their clients. A primary takes writes, publishes each, and
 * tells the client that it is safe when WAIT says so. A spare waits for a promotion, claims
 * it, and goes on with what the replica has. Whoever was fenced or has crashed is started anew,
 * as a spare.
 */
#include <string.h>

#include "mutants.h"
#include "sim.h"

#define CLIENT_MIN_MS	10
#define CLIENT_MAX_MS	120

static u64 client_at;
static u64 quiet_until;			/* clients only read */


static void rest(struct prog *p)
{
	p->wake = sim.now + rng_range(&sim.rng_prog, 0, MS(8));
}

static void end(struct sim_host *h, u64 restart_ms, u32 how, u32 code)
{
	struct prog *p = &h->prog;

	moving_program(h);
	if (p->session)
		engine_session_end(h, p->session, how, code);
	if (p->role == PROG_SPARE)
		engine_waits(h, false);
	memset(p, 0, sizeof(*p));
	p->restart = sim.now + MS(restart_ms);
}

void prog_crash(struct sim_host *h)
{
	end(h, rng_range(&sim.rng_prog, 30, 1500), CPTDEV_END_KILLED, 11);
}

/* Ended in order: the service isn't wanted any more, until somebody starts it again. */
void prog_leave(struct sim_host *h)
{
	end(h, 0, CPTDEV_END_CLOSED, 0);
	h->prog.restart = 0;
}

/* A person kills it, and starts it as a spare. */
void prog_make_spare(struct sim_host *h)
{
	end(h, 0, CPTDEV_END_KILLED, 15);
	prog_start(h, PROG_SPARE);
}

static void spare_begin(struct sim_host *h)
{
	u64 term = 0;
	u32 state;
	bool promoted = false;

	h->prog = (struct prog) { .role = PROG_SPARE };
	takeback_waits(h);
	if (mutant != MUTANT_CLAIM_TWICE && engine_replica(h, &state, &term, &promoted) &&
	    promoted)
		h->prog.ignored = term;
	rest(&h->prog);
}

/* That mutant shows itself with programs that never published. */
static bool stays_idle(void)
{
	return mutant == MUTANT_LATE_FENCE;
}

static void primary_begin(struct sim_host *h, u64 term, u32 state)
{
	struct prog *p = &h->prog;

	*p = (struct prog) {
		.role = PROG_PRIMARY, .term = term, .state = state,
		.session = engine_session(h, term),
	};
	/* Half of them are idle until a client writes. */
	if (rng_one_in(&sim.rng_prog, 2) && !stays_idle())
		engine_publish(h, p->session, state);
	rest(p);
}

void prog_go_on(struct sim_host *h, u64 term, u64 wake)
{
	struct prog *p = &h->prog;

	engine_session_end(h, p->session, CPTDEV_END_KILLED, 15);
	primary_begin(h, term, p->state);
	p->serves = true;
	p->wake = wake;
}

void prog_start(struct sim_host *h, enum prog_role role)
{
	story("the program of %s starts as %s", h->name,
	      role == PROG_SPARE ? "a spare" : "the primary");
	if (role == PROG_SPARE)
		spare_begin(h);
	else
		primary_begin(h, 1, 0);
}

/* The present state, which has all that is waited for. */
static void republish(struct sim_host *h)
{
	struct prog *p = &h->prog;
	u64 generation = engine_publish(h, p->session, p->state);
	u32 i;

	for (i = 0; i < p->nr_pending; i++)
		p->gen[i] = generation;
}

static void primary_step(struct sim_host *h)
{
	struct prog *p = &h->prog;

	if (p->session->fenced) {
		story("the program of %s learns that it is fenced, and ends", h->name);
		/* Its memory was a copy, and is gone before the other host could feed this one. */
		check_failure("fence");
		end(h, rng_range(&sim.rng_prog, 1, 300), CPTDEV_END_EXITED, 0);
		return;
	}
	if (p->session->state.flags & CPTDEV_STATE_WANTED && !stays_idle()) {
		story("the program of %s takes the checkpoint that is wanted", h->name);
		republish(h);
	}
	while (p->nr_pending && p->session->rec.committed >= p->gen[0] &&
	       engine_allows(h, p->session)) {
		story_client("%s acknowledges state %u (generation %llu, term %llu)", h->name,
		      p->pending[0], p->gen[0], p->term);
		p->acked = p->pending[0];
		p->serves = true;
		check_ack(h, p->acked, p->term);
		/* It was said that there is one copy: the next failure may take it. */
		if (p->session->state.flags & CPTDEV_STATE_ALONE && !sim.failures)
			check_failure("alone");
		p->nr_pending--;
		memmove(p->gen, p->gen + 1, p->nr_pending * sizeof(p->gen[0]));
		memmove(p->pending, p->pending + 1, p->nr_pending * sizeof(p->pending[0]));
		sim.counts.acks++;
	}
}

static void spare_step(struct sim_host *h)
{
	struct prog *p = &h->prog;
	bool promoted = false;
	u64 term = 0;
	u32 state;

	if (!takeback_goes_on(h)) {
		end(h, rng_range(&sim.rng_prog, 100, 700), CPTDEV_END_EXITED, 1);
		return;
	}
	takeback_waits(h);
	engine_waits(h, true);
	if (!engine_replica(h, &state, &term, &promoted))
		return;
	if (!promoted || term == p->ignored) {
		p->ignored = promoted ? p->ignored : 0;
		return;
	}
	if (engine_claim(h, &term)) {
		p->ignored = term;
		return;
	}
	engine_waits(h, false);
	if (sim.ended_known)
		sim_fail("the program of %s takes over, and the service was ended in order",
			 h->name);
	story("the program of %s takes over with state %u and term %llu", h->name, state, term);
	sim.counts.takeovers++;
	takeback_count(h);
	moving_taken(h, state, term);
	/* Its end hadn't come across: the memory of the one that ended was a copy. */
	if (sim.ended)
		check_failure("end");
	sim.ended = false;
	primary_begin(h, term, state);
	p->serves = true;
	/* An idle program has nothing to publish. */
	if (rng_one_in(&sim.rng_prog, 4) || stays_idle())
		quiet_until = sim.now + rng_range(&sim.rng_prog, 0, 5 * NSEC_PER_SEC);
}

static bool sleeps(const struct sim_host *h)
{
	return h->prog_stopped_until > sim.now || h->prog.wake > sim.now;
}

/* What was ended is begun anew by a person, who says so; see operator.c. */
static enum prog_role starts_as(const struct sim_host *h)
{
	/* No person starts a primary on a host that isn't configured for anybody. */
	if (!world_paired(h))
		return PROG_SPARE;
	return rules.careless_start && !sim.ended && rng_one_in(&sim.rng_prog, 2) ?
		PROG_PRIMARY : PROG_SPARE;
}

void prog_step(struct sim_host *h)
{
	struct prog *p = &h->prog;

	if (takeback_trouble_at() <= sim.now)
		takeback_trouble(h);
	if (moving_trouble_at() <= sim.now)
		moving_trouble();
	if (!h->power)
		return;
	if (p->role == PROG_NONE && p->restart && p->restart <= sim.now && takeback_begins(h))
		prog_start(h, starts_as(h));
	if (p->role == PROG_NONE || sleeps(h))
		return;
	if (p->role == PROG_PRIMARY)
		primary_step(h);
	else
		spare_step(h);
}

u64 prog_next(const struct sim_host *h)
{
	const struct prog *p = &h->prog;
	u64 next = UINT64_MAX;

	next = MIN(takeback_trouble_at(), moving_trouble_at());
	if (p->role == PROG_NONE)
		return p->restart ? MIN(p->restart, next) : next;
	next = UINT64_MAX;
	if (p->wake > sim.now)
		next = p->wake;
	next = MIN(next, takeback_next(h));
	if (h->prog_stopped_until > sim.now)
		next = MAX(next == UINT64_MAX ? 0 : next, h->prog_stopped_until);
	return MIN(next, MIN(takeback_trouble_at(), moving_trouble_at()));
}

/*
 * Clients: they ask both hosts.
 */

/* WAIT says that nobody follows: the next checkpoint has all that was waited for. */
static void checkpoint_again(struct sim_host *h)
{
	if (!engine_follows(h, h->prog.session))
		republish(h);
}

static void client_write(struct sim_host *h)
{
	struct prog *p = &h->prog;

	if (p->nr_pending == PROG_WINDOW) {
		checkpoint_again(h);
		return;
	}
	p->state = history_write(p->state, &sim.rng_prog);
	p->gen[p->nr_pending] = engine_publish(h, p->session, p->state);
	p->pending[p->nr_pending++] = p->state;
	story_client("a client writes to %s: state %u follows %u", h->name, p->state,
	      history_state(p->state)->parent);
	sim.counts.writes++;
}

void client_step(void)
{
	struct sim_host *h = &sim.host[rng_range(&sim.rng_prog, 0, sim.hosts - 1)];
	bool writes = rng_one_in(&sim.rng_prog, 2);

	client_at = sim.now + MS(rng_range(&sim.rng_prog, CLIENT_MIN_MS, CLIENT_MAX_MS));
	if (!h->power || h->prog.role != PROG_PRIMARY || sleeps(h) || h->prog.session->fenced)
		return;
	if (writes && (quiet_until > sim.now || moving_stopped(h)))
		return;
	if (writes) {
		client_write(h);
		return;
	}
	/* It was started, and whether it may go on isn't known yet. */
	if (!h->prog.serves)
		return;
	/* hs_may_serve() */
	if (!engine_allows(h, h->prog.session)) {
		sim.counts.refused++;
		return;
	}
	sim.counts.reads++;
	check_read(h, h->prog.state);
}

u64 client_next(void)
{
	return client_at;
}

void client_reset(void)
{
	client_at = sim.now;
	quiet_until = 0;
}
