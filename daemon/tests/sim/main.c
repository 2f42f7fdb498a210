// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * daemon-sim: two daemons, their programs and clients, in virtual time; see sim.h.
 *
 *	SEED=n		one schedule, with its story
 *	DROP=i,j	without these of its events
 *	FIRST=n		begin with this seed
 *	SECONDS=n	how long; by CPTDEV_TIER and CPTDEV_LENGTH otherwise
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "schedule.h"

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

int main(void)
{
	double until = now() + env("SECONDS", seconds()), began = now();
	u64 seed = env("FIRST", 1), n = 0, acks = 0, takeovers = 0, dropped, turns = 0;
	bool good = true;

	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (getenv("SEED"))
		return one(env("SEED", 0));
	story_show(false);
	printf("1..1\n");
	while (good && now() < until) {
		good = schedule_run(seed + n, 0);
		acks += sim.acks;
		takeovers += sim.takeovers;
		turns += sim.turns;
		n++;
	}
	printf("# %llu schedules in %.1f s (%.0f in a minute): %llu writes acknowledged, %llu take-overs, %llu turns\n",
	       n, now() - began, n * 60 / (now() - began), acks, takeovers, turns);
	if (!good) {
		seed += n - 1;
		printf("# seed %llu: %s\n", seed, sim.why);
		dropped = shorten(seed, 0);
		tell_story(seed, dropped);
	}
	printf("%s 1 - %s\n", good ? "ok" : "not ok",
	       good ? "nothing is lost, nothing is old, one acknowledges" : sim.why);
	return !good;
}
