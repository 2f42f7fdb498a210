// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Programs that ask their host's daemon before they begin, and as long as they wait, with
 * on_restart = take-back. Each step of that is a time for the next failure.
 */

#include "mutants.h"
#include "soft_parts.h"
#include "schedule.h"

#define AGAIN_MS	700

/* When the next failure comes that has to do with it, 0: none is planned. */
static u64 trouble_at;
static u32 trouble;
static u64 first_wait;			/* the spare's program is started so late */
static bool all_seeds, all_keep;

void takeback_everywhere(void)
{
	all_seeds = true;
}

void takeback_keeps_everywhere(void)
{
	all_keep = true;
}

/*
 * In one seed of five each host keeps the last generation of its program, and the program asks before it
 * begins. It is back in time, or too late: prog_crash().
 */
static void keep_settings(u64 seed, struct conf *conf)
{
	struct rng r;

	if (seed % 5 != 2 && !all_keep && mutant != MUTANT_KEPT_UNASKED && mutant != MUTANT_KEPT_LATE)
		return;
	rng_seed(&r, seed, 11);
	conf->sessions.keep = KEEP_RESTART;
	conf->sessions.restart_s = rng_range(&r, 0, 2);
	conf->sessions.keep_s = rng_range(&r, 1, 8);
}

/* The primary fails first, while nobody waits on the other host in most cases. */
#define TROUBLE_FIRST	8

static void plan_first(u64 seed)
{
	struct rng r;

	rng_seed(&r, seed, 9);
	trouble = TROUBLE_FIRST;
	trouble_at = sim.now + MS(rng_range(&r, 800, 4000));
	first_wait = rng_one_in(&r, 4) ? 0 : MS(rng_range(&r, 500, 9000));
}

/* In one seed of four. In half of these a program that failed isn't taken over from. */
void takeback_settings(u64 seed, struct conf *conf)
{
	trouble_at = first_wait = 0;
	keep_settings(seed, conf);
	if (seed % 4 != 1 && !all_seeds && (mutant < MUTANT_LENT_AND_KEPT || mutant >= MUTANT_THIRD))
		return;
	conf->sessions.on_restart = ON_RESTART_TAKE_BACK;
	conf->sessions.on_exit = seed / 4 % 2 ? ON_EXIT_STAY : ON_EXIT_FAILOVER;
	plan_first(seed);
}

bool takeback_rules(const struct sim_host *h)
{
	return h->conf.sessions.on_restart == ON_RESTART_TAKE_BACK ||
		h->conf.sessions.keep == KEEP_RESTART;
}

/* A waiting program makes the replica that it waits for. */
void takeback_waits(struct sim_host *h)
{
	struct kernel *k = &h->fake.kernel;

	if (!takeback_rules(h) || fake_replica(&h->fake, SIM_NAME))
		return;
	sim.cur = h;
	k->ops->create(k, SIM_NAME, 1000);
	sim.cur = NULL;
}

/* Often before the step that follows is done. */
static void plan_trouble(u32 one_in)
{
	static const u64 most[] = { 3, 30, 300, 1200 };

	if (trouble_at || !rng_one_in(&sim.rng_prog, one_in))
		return;
	trouble = rng_range(&sim.rng_prog, 0, 7);
	trouble_at = sim.now + MS(rng_range(&sim.rng_prog, 0, most[rng_range(&sim.rng_prog, 0, 3)]));
}

static void crash(struct sim_host *h, bool program, u64 ns)
{
	if (program && h->power && h->prog.role != PROG_NONE) {
		story("the program of %s crashes", h->name);
		prog_crash(h);
	} else if (!program && h->runs) {
		story("the daemon of %s is killed", h->name);
		engine_daemon_kill(h);
		h->daemon_start = sim.now + ns;
	}
	check_failure("crash");
}

void takeback_trouble(struct sim_host *h)
{
	u64 ns = MS(rng_range(&sim.rng_prog, 20, 3500));

	trouble_at = 0;
	if (trouble == TROUBLE_FIRST) {
		if (rng_one_in(&sim.rng_prog, 2))
			crash(&sim.host[0], true, 0);
		else
			schedule_power_off(&sim.host[0], ns / 2);
		return;
	}
	story("-- the next failure follows");
	switch (trouble) {
	case 0:
	case 1:
		/* Long enough for two to go on, if two may. */
		schedule_cut(2 * ns);
		break;
	case 2:
	case 3:
		schedule_power_off(trouble & 1 ? h : world_other(h), ns);
		break;
	default:
		crash(trouble & 1 ? h : world_other(h), trouble & 2, ns);
	}
}

void takeback_first_spare(struct sim_host *h)
{
	if (first_wait)
		h->prog.restart = sim.now + first_wait;
	else
		prog_start(h, PROG_SPARE);
}

u64 takeback_trouble_at(void)
{
	return trouble_at ?: UINT64_MAX;
}

/* ANSWERS: the daemon doesn't answer. */
static enum start_answer ask(struct sim_host *h)
{
	static const char *const words[] = {
		[ANSWER_FRESH] = "begin", [ANSWER_SPARE] = "wait", [ANSWER_REFUSED] = "stop",
		[ANSWER_TAKE_BACK] = "take back",
	};
	enum start_answer answer;
	struct start_text t;

	if (!h->runs || h->stopped_until > sim.now || h->daemon.stopping)
		return ANSWERS;
	sim.cur = h;
	answer = start_asked(&h->daemon, SIM_NAME, &t);
	sim.cur = NULL;
	story("the program of %s asks: %s: %s", h->name, words[answer], t.text);
	if (answer == ANSWER_TAKE_BACK)
		plan_trouble(4);
	return answer;
}

bool takeback_begins(struct sim_host *h)
{
	enum start_answer answer;

	if (!takeback_rules(h) || sim.ended)
		return true;
	answer = ask(h);
	if (answer == ANSWER_FRESH || answer == ANSWER_SPARE || answer == ANSWER_TAKE_BACK)
		return true;
	h->prog.restart = sim.now + MS(rng_range(&sim.rng_prog, 100, AGAIN_MS));
	return false;
}

bool takeback_goes_on(struct sim_host *h)
{
	struct prog *p = &h->prog;

	if (!takeback_rules(h) || p->ask_at > sim.now)
		return true;
	/* To ask is to say that the service is wanted. */
	if (p->ask_at && !sim.ended && ask(h) == ANSWER_REFUSED)
		return false;
	p->ask_at = sim.now + MS(rng_range(&sim.rng_prog, AGAIN_MS, 2 * AGAIN_MS));
	return true;
}

void takeback_count(struct sim_host *h)
{
	const struct record *r = h->runs ? record_of(&h->daemon, SIM_NAME) : NULL;
	const struct soft_replica *replica = fake_replica(&h->fake, SIM_NAME);

	if (replica && replica->kept) {
		sim.counts.kept++;
		plan_trouble(2);
		return;
	}
	if (!r || !r->taken_back)
		return;
	sim.counts.taken_back++;
	plan_trouble(2);
}

u64 takeback_next(const struct sim_host *h)
{
	const struct prog *p = &h->prog;

	if (!takeback_rules(h) || p->role != PROG_SPARE || !p->ask_at)
		return UINT64_MAX;
	return MAX(p->ask_at, p->wake);
}

/*
 * Mutants
 */

void __real_record_lent(struct record *r);
bool __real_record_may_take_back(const struct record *r);
bool __real_record_has_rival(const struct record *r);
bool __real_record_goes_on_from(const struct record *r, const struct cptdev_image_info *info);

void __real_soft_keep(struct soft *s, struct soft_session *se, const struct soft_snap *snap);

void __wrap_soft_keep(struct soft *s, struct soft_session *se, const struct soft_snap *snap)
{
	if (mutant != MUTANT_KEPT_LATE || rng_one_in(&sim.rng_prog, 2))
		__real_soft_keep(s, se, snap);
}

/* The spare isn't asked whether it has taken over. */
bool __wrap_record_has_rival(const struct record *r)
{
	return mutant != MUTANT_KEPT_UNASKED && __real_record_has_rival(r);
}

/* What is kept counts, even if it lacks the last ones. */
bool __wrap_record_goes_on_from(const struct record *r, const struct cptdev_image_info *info)
{
	struct record other = *r;

	if (mutant == MUTANT_KEPT_LATE)
		other.generation = MIN(other.generation, info->generation);
	return __real_record_goes_on_from(&other, info);
}

void __wrap_record_lent(struct record *r)
{
	if (mutant != MUTANT_LENT_AND_KEPT)
		__real_record_lent(r);
}

bool __wrap_record_may_take_back(const struct record *r)
{
	struct record other = *r;

	/* Whatever was acknowledged without the spare. */
	if (mutant == MUTANT_TAKE_WHAT_LACKS && r->role == RECORD_PRIMARY) {
		other.spare = true;
		other.alone_since = 0;
	}
	return __real_record_may_take_back(&other);
}
