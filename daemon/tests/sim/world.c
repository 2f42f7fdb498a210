// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The hosts and their time. Everything that is due now is done, until nobody has anything to
 * do; then time goes to the next timer, packet, or event.
 */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "schedule.h"

/* Turns of loops without time going on: somebody is busy with nothing. */
#define TURNS_MAX	20000U

struct sim sim;
struct sim_rules rules;

struct sim_host *world_other(const struct sim_host *h)
{
	return world_pair(h->nr == sim.pair[0]);
}

struct sim_host *world_pair(u32 i)
{
	return &sim.host[sim.pair[i]];
}

bool world_paired(const struct sim_host *h)
{
	return h->nr == sim.pair[0] || h->nr == sim.pair[1];
}

/* CLOCK_MONOTONIC of the host. */
u64 world_mono(const struct sim_host *h)
{
	return h->mono_off + sim.now + (s64)(sim.now / 1000000) * h->drift_ppm;
}

/* When that clock shows @at, rounded up. */
static u64 world_when(const struct sim_host *h, u64 at)
{
	u64 mono = world_mono(h), ns;

	if (at <= mono)
		return sim.now;
	ns = at - mono;
	return sim.now + ns - (s64)(ns / 1000000) * h->drift_ppm + 1000;
}

static u64 next_timer(const struct sim_host *h)
{
	u64 at = UINT64_MAX;
	struct timer *t;

	LIST_FOREACH(t, &h->daemon.loop.timers, entry)
		at = MIN(at, t->at);
	return at == UINT64_MAX ? at : world_when(h, at);
}

static bool stopped(const struct sim_host *h)
{
	return h->stopped_until > sim.now;
}

static bool due(const struct sim_host *h)
{
	if (!h->runs || stopped(h))
		return false;
	return wrap_ready(h->daemon.loop.epoll) || !TAILQ_EMPTY(&h->daemon.loop.chores) ||
		next_timer(h) <= sim.now;
}

/* It said BYE to all, or can't wait any longer: it ends. */
void world_left(struct sim_host *h)
{
	if (!h->runs || !h->daemon.stopping)
		return;
	story("the daemon of %s ends", h->name);
	engine_daemon_kill(h);
	h->daemon_start = sim.now + h->daemon_away;
	third_left(h);
}

static void turn(struct sim_host *h)
{
	sim.cur = h;
	loop_turn(&h->daemon.loop, 0);
	sim.cur = NULL;
	sim.counts.turns++;
	if (h->daemon.stopping && !daemon_busy(&h->daemon))
		world_left(h);
}

/* Whose turn is first is different each time. */
static void drain(void)
{
	u32 n = 0, first;
	bool again = true;

	while (again && !sim.failed) {
		again = false;
		first = rng_range(&sim.rng_net, 0, sim.hosts - 1);
		for (u32 i = 0; i < sim.hosts; i++) {
			struct sim_host *h = &sim.host[(first + i) % sim.hosts];

			if (!due(h))
				continue;
			again = true;
			turn(h);
			check_step();
			if (++n > TURNS_MAX)
				sim_fail("the daemon of %s is busy and does nothing", h->name);
		}
	}
}

static u64 next_of(const struct sim_host *h)
{
	u64 next = UINT64_MAX;

	if (h->runs)
		next = MAX(next_timer(h), h->stopped_until);
	if (h->late_write)
		next = MIN(next, h->late_write);
	next = MIN(next, fence_next(h));
	if (h->power && h->daemon_start)
		next = MIN(next, h->daemon_start);
	if (h->power)
		next = MIN(next, prog_next(h));
	return next;
}

static void step(void)
{
	u32 i;

	net_deliver();
	for (i = 0; i < sim.hosts; i++) {
		struct sim_host *h = &sim.host[i];

		fence_step(h);
		if (h->late_write && h->late_write <= sim.now)
			disk_late(h);
		if (h->power && h->daemon_start && h->daemon_start <= sim.now) {
			story("the daemon of %s starts", h->name);
			engine_daemon_start(h);
		}
	}
	drain();
	for (i = 0; i < sim.hosts; i++)
		prog_step(&sim.host[i]);
	if (client_next() <= sim.now)
		client_step();
	verifying_step();
	drain();
	check_step();
}

void world_run(u64 until)
{
	u64 next;
	u32 i;

	while (!sim.failed) {
		step();
		next = MIN(net_next(), client_next());
		next = MIN(next, verifying_next());
		for (i = 0; i < sim.hosts; i++)
			next = MIN(next, next_of(&sim.host[i]));
		if (next > until)
			break;
		sim.now = MAX(next, sim.now + 1);
	}
	sim.now = MAX(sim.now, until);
}

void world_address(struct sockaddr_storage *ss, int nr)
{
	struct sockaddr_in *in = (struct sockaddr_in *)ss;

	memset(ss, 0, sizeof(*ss));
	in->sin_family = AF_INET;
	in->sin_port = htons(SIM_PORT);
	in->sin_addr.s_addr = htonl(0x0a000001 + nr);
}

static void host_open(struct sim_host *h, int nr)
{
	static const char *const names[SIM_HOSTS] = { "alpha", "beta", "gamma" };

	memset(h, 0, sizeof(*h));
	h->nr = nr;
	snprintf(h->name, sizeof(h->name), "%s", names[nr]);
	h->conf = (struct conf) {
		.listen_port = SIM_PORT, .heartbeat_ms = 200, .timeout_ms = 1000,
		.max_sessions = 16, .max_clients = 4, .sessions.failover = FAILOVER_AUTO,
		.differences_mib = 1, .checksums_mib = verifying_seed(sim.seed),
	};
	strcpy(h->conf.name, h->name);
	strcpy(h->conf.control, "/nonexistent/control");
	snprintf(h->conf.state_dir, sizeof(h->conf.state_dir), "%d", nr);
	world_address(&h->conf.listen, nr);
	world_address(&h->conf.peers[0].addr, !nr);
}

void world_open(u64 seed)
{
	u32 i;

	memset(&sim, 0, sizeof(sim));
	sim.seed = seed;
	sim.now = NSEC_PER_SEC;
	sim.hosts = seed % THIRD_SEEDS ? 2 : SIM_HOSTS;
	sim.pair[1] = 1;
	srand(seed);
	rng_seed(&sim.rng_net, seed, 1);
	rng_seed(&sim.rng_prog, seed, 2);
	history_reset();
	net_reset();
	disk_reset();
	client_reset();
	verifying_reset(seed);
	for (i = 0; i < sim.hosts; i++) {
		host_open(&sim.host[i], i);
		schedule_settings(seed, &sim.host[i].conf, i);
		sim.host[i].mono_off = rng_range(&sim.rng_prog, 1, 1000) * NSEC_PER_SEC;
		/* The third one is switched on when it is needed. */
		if (!world_paired(&sim.host[i]))
			continue;
		engine_boot(&sim.host[i]);
		engine_daemon_start(&sim.host[i]);
	}
}

void world_close(void)
{
	u32 i;

	for (i = 0; i < sim.hosts; i++)
		if (sim.host[i].power)
			engine_power_off(&sim.host[i]);
	net_reset();
	wrap_reset();
}
