// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Planned switch-overs, and failures in the midst of them. A program that is stopped takes no writes.
 * The program that takes over must have every write that the stopped one took, answered or not.
 */
#include <string.h>

#include "mutants.h"
#include "schedule.h"
#include "uuid.h"

/* So long the program may go on being prepared. */
#define LIMIT_NS	(3 * NSEC_PER_SEC)

/* When the next failure comes that has to do with it, 0: none is planned. */
static u64 trouble_at;
static u32 trouble;
static bool all_seeds;

/* The newest program of each host: it may have ended when the other one takes over. */
static struct {
	u8 session[CPTDEV_UUID_LEN];
	u32 state;
} newest[SIM_HOSTS];

/* What was promoted by the other host's word. */
static struct {
	const struct sim_host *host;
	u64 term;
} handed;
static bool in_handover;

void moving_reset(void)
{
	trouble_at = 0;
	memset(newest, 0, sizeof(newest));
	memset(&handed, 0, sizeof(handed));
}

void moving_everywhere(void)
{
	all_seeds = true;
}

bool moving_seed(u64 seed)
{
	return all_seeds || seed % 3 == 2 || mutant == MUTANT_SWITCH_EARLY ||
		mutant == MUTANT_SWITCH_SERVES;
}

u64 moving_trouble_at(void)
{
	return trouble_at ?: UINT64_MAX;
}

/* Mostly before the step that follows is done. */
static void plan_trouble(void)
{
	static const u64 most[] = { 3, 30, 100, 400 };

	if (trouble_at || !rng_one_in(&sim.rng_prog, 2))
		return;
	trouble = rng_range(&sim.rng_prog, 0, 11);
	trouble_at = sim.now +
		MS(rng_range(&sim.rng_prog, 0, most[rng_range(&sim.rng_prog, 0, 3)]));
}

static void crash_program(struct sim_host *h)
{
	if (!h->power || h->prog.role == PROG_NONE)
		return;
	story("the program of %s crashes", h->name);
	prog_crash(h);
	check_failure("program");
}

static void crash_daemon(struct sim_host *h, u64 ns)
{
	if (!h->runs)
		return;
	story("the daemon of %s is killed", h->name);
	engine_daemon_kill(h);
	h->daemon_start = sim.now + ns;
	check_failure("daemon");
}

static void cancel(struct sim_host *h)
{
	const char *code;
	char why[640];
	int ret;

	if (!h->runs || h->stopped_until > sim.now || h->daemon.stopping)
		return;
	sim.cur = h;
	ret = switch_cancel(&h->daemon, SIM_NAME, false, &code, why, sizeof(why));
	sim.cur = NULL;
	story("a person cancels the switch-over on %s: %s", h->name, ret ? why : "done");
}

void moving_trouble(void)
{
	struct sim_host *h = world_pair(trouble & 1);
	u64 ns = MS(rng_range(&sim.rng_prog, 20, 3500));

	trouble_at = 0;
	story("-- the next failure follows");
	switch (trouble / 2) {
	case 0:
		schedule_cut_pair(ns);
		break;
	case 1:
		schedule_cut_one(h, ns);
		break;
	case 2:
		schedule_power_off(h, ns);
		break;
	case 3:
		crash_daemon(h, ns / 4);
		break;
	case 4:
		crash_program(h);
		break;
	default:
		cancel(h);
	}
}

/* The one that serves, to the other one. */
void moving_begin(void)
{
	struct switchover *sw = NULL;
	struct sim_host *h;
	const char *code;
	char why[800];
	u32 i;

	for (i = 0; i < 2 && !sw; i++) {
		h = world_pair(i);
		if (!h->runs || h->stopped_until > sim.now || h->daemon.stopping ||
		    h->prog.role != PROG_PRIMARY)
			continue;
		sim.cur = h;
		sw = switch_begin(&h->daemon, SIM_NAME, NULL, LIMIT_NS, &code, why, sizeof(why));
		sim.cur = NULL;
		story("a person moves the service away from %s: %s", h->name, sw ? "begun" : why);
	}
	if (sw)
		plan_trouble();
}

void moving_program(struct sim_host *h)
{
	const struct prog *p = &h->prog;

	if (!p->session)
		return;
	memcpy(newest[h->nr].session, p->session->rec.uuid, CPTDEV_UUID_LEN);
	newest[h->nr].state = p->state;
}

bool moving_stopped(const struct sim_host *h)
{
	return h->prog.session->state.flags & CPTDEV_STATE_BLOCKED;
}

/* By a switch-over it has everything, if the one that was stopped has taken its last checkpoint. */
static bool check(struct sim_host *h, u32 state, u64 term)
{
	struct sim_host *o = world_other(h);
	const struct switchover *sw = o->runs ? switch_find(&o->daemon, SIM_NAME) : NULL;
	enum switch_phase phase = sw && sw->phase == SWITCH_OVER ? sw->until : sw ? sw->phase : 0;

	moving_program(o);
	if (!sw || sw->term != term || !uuid_same(sw->session, newest[o->nr].session))
		return false;
	if (switch_is_handed(phase) && (!sw->whole || sw->end == SWITCH_FAILED))
		return true;
	if (!history_has(state, newest[o->nr].state))
		sim_fail("%s takes over with state %u by a switch-over, without state %u of the program that was stopped for it",
			 h->name, state, newest[o->nr].state);
	return true;
}

static void promoted(struct sim_host *h, u64 term)
{
	bool is_promoted;
	u32 state;
	u64 now;

	handed.host = h;
	handed.term = term;
	if (engine_replica(h, &state, &now, &is_promoted))
		check(h, state, term);
}

/* Nothing was taken meanwhile that it lacks. */
void moving_taken(struct sim_host *h, u32 state, u64 term)
{
	if (handed.host == h && handed.term == term && check(h, state, term))
		sim.counts.moved++;
}

int __real_handover_frame(struct in *in, const u8 *payload, u32 len);
int __real_promotion_do(struct daemon *d, const char *name, u64 *term, u64 *generation, bool force);

int __wrap_handover_frame(struct in *in, const u8 *payload, u32 len)
{
	int ret;

	in_handover = true;
	ret = __real_handover_frame(in, payload, len);
	in_handover = false;
	return ret;
}

int __wrap_promotion_do(struct daemon *d, const char *name, u64 *term, u64 *generation, bool force)
{
	int ret = __real_promotion_do(d, name, term, generation, force);

	if (!ret && in_handover)
		promoted(sim.cur, *term);
	/* Terms begin anew with a service that does: an older one of the same number isn't meant. */
	else if (!ret && handed.host == sim.cur)
		handed.host = NULL;
	return ret;
}

bool moving_replaced(struct sim_host *h)
{
	const struct record *r = record_of(&h->daemon, SIM_NAME);
	const struct peer *p = LIST_FIRST(&h->daemon.peers);
	const char *code;
	char why[640];
	int ret;

	if (!r || !r->handed || p->out.state != OUT_UP ||
	    uuid_same(r->handed_to, p->out.node.uuid))
		return false;
	sim.cur = h;
	ret = switch_cancel(&h->daemon, SIM_NAME, true, &code, why, sizeof(why));
	sim.cur = NULL;
	story("a person lets %s go on, since the host that it was handed over to is replaced: %s",
	      h->name, ret ? why : "done");
	return true;
}

/*
 * Mutants
 */

bool __real_switch_promotes(bool told);
bool __real_switch_stops(enum switch_phase phase);

bool __wrap_switch_promotes(bool told)
{
	return mutant == MUTANT_SWITCH_EARLY || __real_switch_promotes(told);
}

bool __wrap_switch_stops(enum switch_phase phase)
{
	return mutant != MUTANT_SWITCH_SERVES && __real_switch_stops(phase);
}
