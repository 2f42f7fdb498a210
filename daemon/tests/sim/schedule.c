// SPDX-License-Identifier: GPL-2.0-or-later
/* What happens to the hosts, and when: a list that follows from the seed alone. */
#include <errno.h>
#include <string.h>

#include "schedule.h"

/* After the last event everything works again: the service is back after this, and serves. */
#define MEND_NS		(15 * NSEC_PER_SEC)
#define SERVE_NS	(5 * NSEC_PER_SEC)
#define SERVE_TIMES	3

struct event {
	const struct event_kind *kind;
	u64 at;
	u64 x[3];			/* random numbers for the kind's use */
	bool dropped;
};

struct event_kind {
	const char *name;
	u32 weight;
	void (*fn)(const struct event *e);
};

static struct event events[SCHEDULE_MAX];
static u32 nr_events;

/* What is to be taken back. */
static u64 heal_at[SIM_HOSTS][SIM_HOSTS];
static u64 power_at[SIM_HOSTS];
static u64 leave_until[SIM_HOSTS];
static u64 errors_end;
static u64 forced_at;			/* a promotion, by a person */

static struct sim_host *host_of(const struct event *e)
{
	return world_pair(e->x[0] % 2);
}

/* Mostly short, sometimes longer than any time-out: up to 4 s. */
static u64 duration(u64 x)
{
	static const u64 most[] = { 50, 300, 1200, 2500, 4000 };

	return MS(1 + (x >> 8) % most[x % ARRAY_SIZE(most)]);
}

static void cut_one(int from, int to, u64 ns)
{
	story("the network from %s to %s is cut for %llu ms", sim.host[from].name,
	      sim.host[to].name, ns / NSEC_PER_MSEC);
	net_cut(from, to, true);
	heal_at[from][to] = MAX(heal_at[from][to], sim.now + ns);
	check_failure("cut");
}

static void ev_cut_one(const struct event *e)
{
	struct sim_host *from = host_of(e);

	cut_one(from->nr, world_other(from)->nr, duration(e->x[1]));
}

void schedule_cut_one(struct sim_host *from, u64 ns)
{
	cut_one(from->nr, world_other(from)->nr, ns);
}

void schedule_cut(u64 ns)
{
	cut_one(0, 1, ns);
	cut_one(1, 0, ns);
}

static void ev_cut(const struct event *e)
{
	cut_one(sim.pair[0], sim.pair[1], duration(e->x[1]));
	cut_one(sim.pair[1], sim.pair[0], duration(e->x[1]));
}

void schedule_power_off(struct sim_host *h, u64 ns)
{
	if (!h->power)
		return;
	power_at[h->nr] = sim.now + ns;
	story("%s loses its power, for %llu ms", h->name, ns / NSEC_PER_MSEC);
	memset(&h->prog, 0, sizeof(h->prog));
	engine_power_off(h);
	check_failure("power");
}

static void ev_power(const struct event *e)
{
	struct sim_host *h = host_of(e);
	bool alone = !sim.failures;

	if (!h->power)
		return;
	schedule_power_off(h, duration(e->x[1]) + MS(100));
	/* A host that loses memory and disk in the midst of other failures: nobody can know what was. */
	if (e->x[2] % 6 == 0 && alone) {
		story("%s loses its disk", h->name);
		disk_lose(h);
	}
}

void schedule_power_back(struct sim_host *h)
{
	story("%s has power again", h->name);
	power_at[h->nr] = 0;
	h->prog_stopped_until = 0;
	engine_boot(h);
	h->daemon_start = sim.now + MS(rng_range(&sim.rng_prog, 1, 400));
	h->prog.restart = sim.now + MS(rng_range(&sim.rng_prog, 1, 800));
}

static void ev_daemon_crash(const struct event *e)
{
	struct sim_host *h = host_of(e);

	if (!h->runs)
		return;
	story("the daemon of %s is killed", h->name);
	engine_daemon_kill(h);
	h->daemon_start = sim.now + duration(e->x[1]);
	check_failure("daemon");
}

static void ev_daemon_stop(const struct event *e)
{
	struct sim_host *h = host_of(e);
	u64 ns = duration(e->x[1]);

	if (!h->runs)
		return;
	story("the daemon of %s does not run for %llu ms", h->name, ns / NSEC_PER_MSEC);
	h->stopped_until = MAX(h->stopped_until, sim.now + ns);
	check_failure("stop");
}

static void ev_prog_crash(const struct event *e)
{
	struct sim_host *h = host_of(e);

	if (!h->power || h->prog.role == PROG_NONE)
		return;
	story("the program of %s crashes", h->name);
	prog_crash(h);
	check_failure("program");
}

static void ev_prog_stop(const struct event *e)
{
	struct sim_host *h = host_of(e);
	u64 ns = duration(e->x[1]);

	if (!h->power || h->prog.role == PROG_NONE)
		return;
	story("the program of %s does not run for %llu ms", h->name, ns / NSEC_PER_MSEC);
	h->prog_stopped_until = MAX(h->prog_stopped_until, sim.now + ns);
	check_failure("program stop");
}

/* The daemon says BYE, and is started again later. */
static void ev_daemon_leave(const struct event *e)
{
	struct sim_host *h = host_of(e);

	if (!h->runs || h->stopped_until > sim.now)
		return;
	story("the daemon of %s is stopped in order", h->name);
	sim.cur = h;
	daemon_stop(&h->daemon);
	sim.cur = NULL;
	leave_until[h->nr] = sim.now + NSEC_PER_SEC;
	h->daemon_away = duration(e->x[1]);
	check_failure("leave");
}

static void ev_service_end(const struct event *e)
{
	struct sim_host *h;
	u32 i;

	for (i = 0; i < 2; i++) {
		h = world_pair(i);
		if (!h->power || h->prog.role != PROG_PRIMARY || h->prog.session->fenced)
			continue;
		/* Another primary, that this one doesn't know of yet, wouldn't end. */
		if (sim.top_term > h->prog.term || !history_has(h->prog.state, sim.top) ||
		    world_other(h)->prog.term > h->prog.term)
			continue;
		/* An empty one, that is in the way, would begin. */
		if (world_other(h)->prog.role == PROG_PRIMARY && !world_other(h)->prog.acked)
			continue;
		story("the program of %s ends in order", h->name);
		prog_leave(h);
		sim.ended = true;
		sim.ended_at = sim.now;
		operator_begin_at = sim.now + 2 * duration(e->x[1]) + MS(500);
		return;
	}
}

/* The other host's program took over, and has done nothing since. */
static bool other_is_idle(const struct sim_host *h)
{
	const struct prog *p = &world_other(h)->prog;

	return p->role == PROG_PRIMARY && !p->session->rec.published;
}

/*
 * A spare that was just put back may not have heard yet that it is outdated: a person promotes it only
 * when it is in step. As long as no host is replaced, a replica that isn't outdated
 * has everything.
 */
static bool may_lack(u32 state)
{
	return sim.hosts == SIM_HOSTS && !history_has(state, sim.top);
}

/*
 * A person moves the service, by a replica that has all that was acknowledged; or gives up what
 * it lacks.
 */
static void ev_promote(const struct event *e)
{
	struct sim_host *h = host_of(e), *o;
	bool give_up = false;
	int ret;
	bool promoted;
	u32 state;
	u64 term;

	if (h->prog.role != PROG_SPARE)
		h = world_other(h);
	o = world_other(h);
	if (!h->power || h->prog.role != PROG_SPARE || sim.ended ||
	    !engine_replica(h, &state, &term, &promoted))
		return;
	if (!history_has(state, sim.top)) {
		give_up = other_is_idle(h);
		if (!give_up && (!rules.careless_promote || may_lack(state)))
			return;
	}
	if (give_up) {
		story("a person gives up what %s has", o->name);
		sim.top = state;
		operator_stops(o);
	}
	story("a person promotes the replica of %s (state %u, term %llu)", h->name, state, term);
	ret = engine_promote(h, give_up);
	if (ret)
		story("this is refused: %s", strerror(-ret));
	/* Whoever has looked knows that nothing is missing there. */
	if (ret == -EREMCHG && e->x[1] & 1 && history_has(state, sim.top)) {
		story("the person forces it");
		operator_stops(o);
		engine_promote(h, true);
		forced_at = sim.now;
	}
	check_failure("promotion");
}

/* Whoever forced one host has looked at both: nobody promotes the other one before they have met. */
static bool was_forced(void)
{
	return forced_at && (!sim.linked_since ||
			     sim.now - MAX(sim.linked_since, forced_at) < NSEC_PER_SEC);
}

/* A person sees one host only, and promotes there what may be promoted. */
static void ev_promote_cut(const struct event *e)
{
	struct sim_host *h = host_of(e), *o = world_other(h);
	bool promoted;
	u32 state;
	u64 term;
	int ret;

	if (!h->power || h->prog.role != PROG_SPARE || sim.ended ||
	    !engine_replica(h, &state, &term, &promoted) || may_lack(state) || was_forced())
		return;
	cut_one(h->nr, o->nr, duration(e->x[1]));
	cut_one(o->nr, h->nr, duration(e->x[2]));
	ret = engine_promote(h, false);
	story("a person promotes the replica of %s, which is cut off: %s", h->name,
	      ret ? strerror(-ret) : "done");
	check_failure("promotion");
}

/* A person moves the service while both hosts work. */
static void ev_switchover(const struct event *e)
{
	(void)e;
	moving_begin();
}

/* A person replaces the spare's host. */
static void ev_replace(const struct event *e)
{
	struct sim_host *old = third_replace(duration(e->x[1]));

	if (old)
		leave_until[old->nr] = sim.now + NSEC_PER_SEC;
}

/* Calls of the daemon fail: one of them, or all for a while. */
static void ev_engine_error(const struct event *e)
{
	static const int errors[] = { ENOMEM, EIO, EDQUOT, EBUSY };
	struct sim_host *h = host_of(e);
	int error = errors[(e->x[1] >> 4) % ARRAY_SIZE(errors)];

	if (!h->power)
		return;
	switch (e->x[1] % 4) {
	case 0:
		h->fake.fail_stage = error;
		break;
	case 1:
		h->fake.fail_commit = error;
		break;
	case 2:
		h->fake.fail_delta = error;
		errors_end = sim.now + duration(e->x[2]);
		break;
	default:
		/* What the spare lacks isn't kept any more. */
		if (!h->prog.session)
			return;
		h->prog.session->reach = h->prog.session->rec.published;
	}
	story("calls of the engine of %s fail: %s", h->name,
	      e->x[1] % 4 < 3 ? strerror(error) : "ESTALE");
}

static void errors_over(void)
{
	u32 i;

	errors_end = 0;
	for (i = 0; i < SIM_HOSTS; i++)
		sim.host[i].fake.fail_delta = 0;
}

static void ev_lost_events(const struct event *e)
{
	struct sim_host *h = host_of(e);

	if (!h->power)
		return;
	story("events of the engine of %s are lost", h->name);
	fake_lose_events(&h->fake);
}

/* Nothing of the host runs, and nothing of it is lost. */
static void ev_suspend(const struct event *e)
{
	struct sim_host *h = host_of(e);
	u64 ns = duration(e->x[1]);

	if (!h->power)
		return;
	story("%s is suspended for %llu ms", h->name, ns / NSEC_PER_MSEC);
	h->stopped_until = MAX(h->stopped_until, sim.now + ns);
	h->prog_stopped_until = MAX(h->prog_stopped_until, sim.now + ns);
	cut_one(h->nr, world_other(h)->nr, ns);
	cut_one(world_other(h)->nr, h->nr, ns);
}

static void ev_wall(const struct event *e)
{
	struct sim_host *h = host_of(e);
	s64 ns = (s64)(e->x[1] % (2 * 86400 * NSEC_PER_SEC)) - 86400 * (s64)NSEC_PER_SEC;

	story("the wall clock of %s is set by %lld s", h->name, ns / (s64)NSEC_PER_SEC);
	h->wall_off += ns;
}

/* Its place in the list. */
#define MOVING_KIND	15
/* Only where there is a third host; so it is the last one. */
#define REPLACE_WEIGHT	8

static const struct event_kind kinds[] = {
	{ "cut-one",		4, ev_cut_one },
	{ "cut",		4, ev_cut },
	{ "power",		4, ev_power },
	{ "daemon-crash",	3, ev_daemon_crash },
	{ "daemon-stop",	3, ev_daemon_stop },
	{ "program-crash",	2, ev_prog_crash },
	{ "program-stop",	2, ev_prog_stop },
	{ "daemon-leave",	2, ev_daemon_leave },
	{ "service-end",	1, ev_service_end },
	{ "suspend",		2, ev_suspend },
	{ "engine-error",	2, ev_engine_error },
	{ "promote",		2, ev_promote },
	{ "promote-cut",	2, ev_promote_cut },
	{ "lost-events",	1, ev_lost_events },
	{ "wall-clock",		1, ev_wall },
	{ "switchover",		2, ev_switchover },
	{ "replace",		REPLACE_WEIGHT, ev_replace },
};

static const struct event_kind *pick(struct rng *r, bool third, bool moving)
{
	u32 total = 0, n, i;

	if (moving && rng_one_in(r, 3))
		return &kinds[MOVING_KIND];

	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		total += kinds[i].weight;
	if (!third)
		total -= REPLACE_WEIGHT;
	n = rng_range(r, 0, total - 1);
	for (i = 0; n >= kinds[i].weight; i++)
		n -= kinds[i].weight;
	return &kinds[i];
}

/* The next failure often comes while the last one is being mended. */
static u64 pause_before(struct rng *r)
{
	static const u64 most[] = { 20, 200, 1500, 3000, 8000 };

	return MS(rng_range(r, 0, most[rng_range(r, 0, ARRAY_SIZE(most) - 1)]));
}

static void make(u64 seed)
{
	u64 at = NSEC_PER_SEC + MS(1500);
	struct rng r;
	u32 i;

	rng_seed(&r, seed, 3);
	nr_events = rng_range(&r, 1, 12);
	for (i = 0; i < nr_events; i++) {
		at += pause_before(&r);
		events[i] = (struct event) {
			.kind = pick(&r, seed % THIRD_SEEDS == 0, moving_seed(seed)),
			.at = at,
			.x = { rng_next(&r), rng_next(&r), rng_next(&r) },
		};
	}
}

u32 schedule_events(u64 seed)
{
	make(seed);
	return nr_events;
}

static void network_kind(u64 seed)
{
	struct rng r;

	rng_seed(&r, seed, 4);
	switch (rng_range(&r, 0, 3)) {
	case 0:
		net_latency(MS(1) / 10, MS(1) / 10, 0, 0);
		break;
	case 1:
		net_latency(MS(1), MS(5), 50, MS(250));
		break;
	case 2:
		net_latency(MS(20), MS(60), 20, MS(600));
		break;
	default:
		net_latency(MS(1) / 2, MS(1), 30, MS(1500));
	}
	sim.host[0].drift_ppm = (s64)rng_range(&r, 0, 400) - 200;
	sim.host[1].drift_ppm = (s64)rng_range(&r, 0, 400) - 200;
	sim.host[2].drift_ppm = (s64)rng_range(&r, 0, 400) - 200;
}

/* The settings of the two hosts need not be the same. */
void schedule_settings(u64 seed, struct conf *conf, int host)
{
	static const u32 timeouts[] = { 400, 1000, 1000, 1000, 2000, 3000 };
	struct rng r;

	rng_seed(&r, seed, 5 + rng_one_in(&(struct rng) { seed }, 4) * host);
	conf->timeout_ms = timeouts[rng_range(&r, 0, ARRAY_SIZE(timeouts) - 1)];
	conf->heartbeat_ms = conf->timeout_ms / rng_range(&r, 3, 10);
	if (rng_one_in(&r, 3))
		strcpy(conf->fence_command, "/fence");
	conf->fence_timeout_ms = 2500;
	conf->sessions.alone = seed % 3 ? CONF_GO_ON : CONF_BLOCK;
	takeback_settings(seed, conf);
}

/* Time goes on to @at; what ends before is taken back on the way. */
static void run_to(u64 at)
{
	u64 next;
	int i, j;

	do {
		next = operator_begin_at ? MIN(at, operator_begin_at) : at;
		if (errors_end)
			next = MIN(next, errors_end);
		for (i = 0; i < SIM_HOSTS; i++) {
			if (power_at[i])
				next = MIN(next, power_at[i]);
			if (leave_until[i])
				next = MIN(next, leave_until[i]);
			for (j = 0; j < SIM_HOSTS; j++)
				if (heal_at[i][j])
					next = MIN(next, heal_at[i][j]);
		}
		world_run(MAX(next, sim.now));
		for (i = 0; i < SIM_HOSTS && !sim.failed; i++) {
			if (power_at[i] && power_at[i] <= sim.now)
				schedule_power_back(&sim.host[i]);
			if (leave_until[i] && leave_until[i] <= sim.now) {
				leave_until[i] = 0;
				world_left(&sim.host[i]);
			}
			for (j = 0; j < SIM_HOSTS; j++) {
				if (!heal_at[i][j] || heal_at[i][j] > sim.now)
					continue;
				heal_at[i][j] = 0;
				net_cut(i, j, false);
				story("the network from %s to %s works again",
				      sim.host[i].name, sim.host[j].name);
			}
		}
		if (errors_end && errors_end <= sim.now)
			errors_over();
		if (operator_begin_at && operator_begin_at <= sim.now && !sim.failed)
			operator_begins();
	} while (next < at && !sim.failed);
}

static void run_watched(u64 at)
{
	while (sim.now < at && !sim.failed) {
		run_to(MIN(at, sim.now + NSEC_PER_SEC));
		operator_looks();
	}
}

static void run_events(u64 dropped)
{
	u32 i;

	prog_start(&sim.host[0], PROG_PRIMARY);
	takeback_first_spare(&sim.host[1]);
	for (i = 0; i < nr_events && !sim.failed; i++) {
		if (dropped & 1ULL << i)
			continue;
		run_watched(events[i].at);
		if (sim.failed)
			break;
		story("-- event %u: %s", i, events[i].kind->name);
		events[i].kind->fn(&events[i]);
	}
}

void schedule_cut_pair(u64 ns)
{
	cut_one(sim.pair[0], sim.pair[1], ns);
	cut_one(sim.pair[1], sim.pair[0], ns);
}

static void run_split(void)
{
	u64 ns = split_begin();

	if (ns)
		run_to(sim.now + ns);
	ns = ns && !sim.failed ? split_known() : 0;
	if (ns)
		run_to(sim.now + ns);
	if (!sim.failed)
		run_watched(sim.now + MEND_NS);
}

/* Soon after the last act of a person. One whose acts change nothing is no excuse for ever. */
static bool is_served(void)
{
	const u64 acks = sim.counts.acks;
	u64 from;
	int i;

	for (i = 0; i < SERVE_TIMES; i++) {
		from = sim.now;
		run_watched(sim.now + SERVE_NS);
		if (sim.failed || sim.counts.acks != acks || !check_served())
			return true;
		if (operator_done_at() < from)
			return false;
	}
	return false;
}

bool schedule_run(u64 seed, u64 dropped)
{
	make(seed);
	memset(heal_at, 0, sizeof(heal_at));
	memset(power_at, 0, sizeof(power_at));
	memset(leave_until, 0, sizeof(leave_until));
	errors_end = 0;
	forced_at = 0;
	operator_reset();
	third_reset();
	moving_reset();
	rules.careless_promote = seed % 5 == 0;
	rules.careless_start = seed % 3 == 0;
	world_open(seed);
	network_kind(seed);
	run_events(dropped);
	net_latency(MS(1) / 10, MS(1) / 10, 0, 0);
	if (!sim.failed)
		run_watched(sim.now + MEND_NS);
	if (!sim.failed && split_seed(seed))
		run_split();
	if (!sim.failed && !is_served())
		sim_fail("nobody acknowledges anything, and nothing is wrong any more");
	world_close();
	return !sim.failed;
}
