// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * daemon-sim: two daemons, their programs and clients, in virtual time; see sim.h.
 *
 *	SEED=n		one schedule, with its story
 *	DROP=i,j	without these of its events
 *	FIRST=n		begin with this seed
 *	MUTANT=name	of mutants.h; none: no mutant, and nothing but the schedules
 *	TAKE_BACK=1	in every seed programs take their state back, not in one of four
 *	KEEP=1		in every seed programs go on on the spot, not in one of five
 *	MOVE=1		in every seed the service is moved, not in one of three
 *	VERIFY=1	in every seed replicas are compared, not in one of seven
 *	SECONDS=n	how long; by CPTDEV_TIER and CPTDEV_LENGTH otherwise
 */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "mutants.h"
#include "schedule.h"

/*
 * A mutant that wasn't noticed by then isn't. Each needs fewer than a third of that; a number of
 * schedules is the same on a slow machine.
 */
#define MUTANT_SCHEDULES 15000
/* "make check" has no use for more on a fast machine. */
#define CHECK_SCHEDULES	5000
#define REPEATED	20
/* So much of what clients did is in a story that was shortened. */
#define CLIENTS_NS	(2 * NSEC_PER_SEC)

static u64 env(const char *name, u64 other)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 0) : other;
}

static u64 env_bits(const char *name)
{
	const char *text = getenv(name);
	u64 bits = 0;
	char *end;

	while (text && *text) {
		bits |= 1ULL << strtoul(text, &end, 0);
		text = *end ? end + 1 : end;
	}
	return bits;
}

/* gettimeofday(), since clock_gettime() is the simulated one. */
static double now(void)
{
	struct timeval tv;

	gettimeofday(&tv, NULL);
	return tv.tv_sec + tv.tv_usec / 1e6;
}

/* Leave out one event after the other, as long as it still fails. */
static u64 shorten(u64 seed, u64 dropped)
{
	u32 nr = schedule_events(seed), i;
	bool again = true;

	while (again) {
		again = false;
		for (i = nr; i-- > 0;) {
			if (dropped & 1ULL << i || schedule_run(seed, dropped | 1ULL << i))
				continue;
			dropped |= 1ULL << i;
			again = true;
		}
	}
	return dropped;
}

static void tell_story(u64 seed, u64 dropped)
{
	const char *comma = "";
	u32 i;

	schedule_run(seed, dropped);
	story_clients(sim.now - MIN(sim.now, CLIENTS_NS));
	story_show(true);
	schedule_run(seed, dropped);
	story_show(false);
	printf("# again: SEED=%llu DROP=", seed);
	for (i = 0; i < 64; i++) {
		if (!(dropped & 1ULL << i))
			continue;
		printf("%s%u", comma, i);
		comma = ",";
	}
	printf(" build/unit/daemon-sim\n");
}

static int one(u64 seed)
{
	bool good;

	story_show(true);
	good = schedule_run(seed, env_bits("DROP"));
	printf("1..1\n%s 1 - seed %llu: %s\n", good ? "ok" : "not ok", seed,
	       good ? "nothing is wrong" : sim.why);
	return !good;
}

static u64 seconds(void)
{
	const char *tier = getenv("CPTDEV_TIER"), *length = getenv("CPTDEV_LENGTH");

	if (length && !strcmp(length, "soak"))
		return 10 * 3600;
	if (tier && !strcmp(tier, "all"))
		return 3600;
	return tier && !strcmp(tier, "check") ? 60 : 20;
}

/* How many there may be at most. */
static u64 schedules(void)
{
	const char *tier = getenv("CPTDEV_TIER");

	return tier && !strcmp(tier, "check") && !getenv("SECONDS") ? CHECK_SCHEDULES : ~0ULL;
}

static void mutant_of(const char *name)
{
	int i;

	for (i = 0; i < MUTANTS; i++)
		if (!strcmp(mutant_info[i].name, name))
			mutant = i;
	if (strcmp(mutant_info[mutant].name, name)) {
		fprintf(stderr, "daemon-sim: no mutant %s\n", name);
		exit(2);
	}
}

/*
 * Seeds until one is wrong, in words that contain @why, or the time or @most of them are over; the
 * number of the wrong one, or 0. @step: only every so many.
 */
static u64 search(u64 first, u32 step, u64 most, double until, const char *why)
{
	u64 n = 0, acks = 0, takeovers = 0, back = 0, kept = 0, moved = 0, verified = 0, wrong = 0;
	double began = now();

	while (!wrong && n < most && now() < until) {
		if (!schedule_run(first + n * step, 0) && strstr(sim.why, why))
			wrong = first + n * step;
		acks += sim.counts.acks;
		takeovers += sim.counts.takeovers;
		back += sim.counts.taken_back;
		kept += sim.counts.kept;
		moved += sim.counts.moved;
		verified += sim.counts.verified;
		n++;
	}
	printf("# %llu schedules in %.1f s (%.0f in a minute): %llu writes acknowledged, %llu take-overs, %llu of them of what came back, %llu on the spot, %llu by a switch-over, %llu comparisons\n",
	       n, now() - began, n * 60 / (now() - began), acks, takeovers, back, kept, moved, verified);
	return wrong;
}

static bool point(u32 nr, bool good, const char *what)
{
	printf("%s %u - %s\n", good ? "ok" : "not ok", nr, what);
	return good;
}

static bool all_hold(u32 nr, u64 first, double until)
{
	u64 wrong = search(first, 1, schedules(), until, mutant ? mutant_info[mutant].why : "");

	if (wrong) {
		printf("# seed %llu: %s\n", wrong, sim.why);
		tell_story(wrong, shorten(wrong, 0));
	}
	return point(nr, !wrong, wrong ? sim.why : "nothing is lost, nothing is old, one acknowledges");
}

/* A simulator that notices nothing proves nothing. */
static bool is_noticed(u32 nr, enum mutant m, u64 first)
{
	char what[200];
	u32 step = 1;
	u64 wrong;

	mutant = m;
	first += mutant_info[m].from;
	/* Those of the third host show themselves where there is one. */
	if (m >= MUTANT_THIRD) {
		step = THIRD_SEEDS;
		first = (first + step - 1) / step * step;
	}
	wrong = search(first, step, MUTANT_SCHEDULES, INFINITY, mutant_info[m].why);
	if (wrong)
		printf("# seed %llu: %s\n", wrong, sim.why);
	mutant = MUTANT_NONE;
	snprintf(what, sizeof(what), "mutant %s is noticed: %s", mutant_info[m].name,
		 mutant_info[m].what);
	return point(nr, wrong, what);
}

/* The same seed is the same run: a story that can't be told again is worth little. */
static bool is_repeatable(u32 nr, u64 first)
{
	struct sim_counts counts;
	bool same = true;
	u64 seed;

	for (seed = first; same && seed < first + REPEATED; seed++) {
		schedule_run(seed, 0);
		counts = sim.counts;
		schedule_run(seed, 0);
		same = !memcmp(&counts, &sim.counts, sizeof(counts));
	}
	return point(nr, same, "two runs of a seed are the same");
}

int main(void)
{
	u64 first = env("FIRST", 1), length = env("SECONDS", seconds());
	double began, third = 0;
	bool good = true;
	u32 i;

	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (getenv("MUTANT"))
		mutant_of(getenv("MUTANT"));
	if (getenv("TAKE_BACK"))
		takeback_everywhere();
	if (getenv("KEEP"))
		takeback_keeps_everywhere();
	if (getenv("MOVE"))
		moving_everywhere();
	if (getenv("VERIFY"))
		verifying_everywhere();
	if (getenv("SEED"))
		return one(env("SEED", 0));
	story_show(false);
	/* Whatever hangs, the test ends. */
	alarm(length + 1200);
	printf("1..%u\n", getenv("MUTANT") ? 1U : MUTANTS + 1U);
	if (getenv("MUTANT"))
		return !all_hold(1, first, now() + length);
	for (i = 1; i < MUTANTS; i++) {
		began = now();
		good &= is_noticed(i, i, first);
		if (i >= MUTANT_THIRD)
			third += now() - began;
	}
	good &= is_repeatable(MUTANTS, first);
	/* Those mutants take some of the seeds' time, so that the test isn't longer by them. */
	good &= all_hold(MUTANTS + 1, first, now() + length - MIN(third, length / 2.0));
	return !good;
}
