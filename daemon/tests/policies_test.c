// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Schedules for a primary with three spares: spares and the primary's daemon are killed, stopped in
 * order and started, commits fail, the policy changes, and in the end the primary is lost. Whatever
 * happened, two things hold:
 *
 *   kept    A replica that may be promoted without force has all that was acknowledged.
 *   single  If a daemon would promote a replica by itself, no other replica may be promoted.
 *
 * A mutant acknowledges after the first of "all", and has to be noticed within so many schedules.
 * FIRST=n begins with that seed, SEEDS=n runs so many.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ack.h"
#include "log.h"
#include "pair.h"
#include "random.h"

#define HOSTS		4U
#define EVENTS		14U
#define SCHEDULES	12U
/* The mutant, if it wasn't noticed by then, isn't. */
#define MUTANT_SCHEDULES	80U

static const char *const names[HOSTS] = { "alpha", "beta", "gamma", "delta" };

static enum {
	NO_MUTANT,
	ACK_FIRST,		/* "all" is fulfilled by the first */
} mutant;

struct world {
	struct host h[HOSTS];
	struct fake_session *s;
	u64 acknowledged;
	u32 slow;			/* a spare that gets no turn; 0: none */
	char wrong[200];
};

/*
 * What the mutant changes
 */

u64 __real_ack_generation(const struct ack_policy *p, const struct ack_member *m, u32 n);

u64 __wrap_ack_generation(const struct ack_policy *p, const struct ack_member *m, u32 n)
{
	struct ack_member all[RECORD_FOLLOWERS_MAX];
	struct ack_policy any = { .kind = ACK_ANY };
	u32 i;

	memcpy(all, m, n * sizeof(*m));
	for (i = 0; i < n; i++)
		all[i].knows |= mutant == ACK_FIRST;
	return __real_ack_generation(mutant == ACK_FIRST && p->kind == ACK_ALL ? &any : p, all, n);
}

/*
 * The hosts
 */

static void run(struct world *w, u32 turns)
{
	u32 i;

	while (turns--) {
		for (i = 0; i < HOSTS; i++)
			if (w->h[i].runs && (!i || i != w->slow))
				loop_turn(&w->h[i].daemon.loop, 0);
		w->acknowledged = MAX(w->acknowledged, w->s ? w->s->rec.committed : 0);
	}
}

static void know(struct world *w, u32 nr)
{
	struct conf *c = &w->h[nr].conf;
	struct conf_peer *p;
	u32 i;

	for (i = 0; i < HOSTS; i++) {
		struct sockaddr_in *in;

		if (i == nr)
			continue;
		p = &c->peers[c->nr_peers++];
		in = (struct sockaddr_in *)&p->addr;
		in->sin_family = AF_INET;
		in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		in->sin_port = htons(w->h[i].conf.listen_port);
		p->port = w->h[i].conf.listen_port;
		strcpy(p->name, names[i]);
	}
}

static void world_open(struct world *w, u64 seed)
{
	u32 i;

	memset(w, 0, sizeof(*w));
	rng = seed * 2654435761ULL + 1;
	for (i = 0; i < HOSTS; i++)
		host_open(&w->h[i], names[i], free_port());
	for (i = 0; i < HOSTS; i++) {
		know(w, i);
		host_start(&w->h[i]);
	}
	w->s = fake_session(&w->h[0].fake, "kv", 16);
}

static void world_close(struct world *w)
{
	u32 i;

	for (i = 0; i < HOSTS; i++)
		host_close(&w->h[i]);
}

/*
 * Events
 */

static void publish(struct world *w)
{
	publish_some(&w->h[0], w->s, rnd(16),
		     1 + rnd(250));
}

static void change_policy(struct world *w)
{
	static const char *const policies[] = { "all", "any", "1", "2", "beta", "gamma delta", "" };
	const char *why;

	if (w->h[0].runs)
		members_set(&w->h[0].daemon, "kv",
			    policies[rnd(ARRAY_SIZE(policies))], &why);
}

/* In order; who gets no turn doesn't hear of it. */
static void leave(struct world *w, struct host *h)
{
	daemon_stop(&h->daemon);
	run(w, 20);
	host_kill(h);
}

/* Spares as well as the primary's daemon. */
static void toggle(struct world *w, struct host *h)
{
	if (!h->runs)
		host_start(h);
	else if (rnd(2) || h == &w->h[0])
		host_kill(h);
	else
		leave(w, h);
}

static void event(struct world *w)
{
	struct host *h = &w->h[1 + rnd(HOSTS - 1)];

	switch (rnd(9)) {
	case 0:
		change_policy(w);
		break;
	case 1:
		h->fake.fail_commit = ENOMEM;
		break;
	case 2:
	case 3:
		toggle(w, h);
		break;
	case 4:
		if (!rnd(4) || !w->h[0].runs)
			toggle(w, &w->h[0]);
		break;
	case 5:
		w->slow = rnd(HOSTS);
		break;
	default:
		publish(w);
	}
}

/*
 * Checks
 */

static bool may_be_promoted(struct host *h, bool by_itself)
{
	const struct record *r = record_of(&h->daemon, "kv");
	struct soft_replica *rep = fake_replica(&h->fake, "kv");

	if (!r || !rep || !rep->rec.generation || r->role != RECORD_SPARE)
		return false;
	if (record_outdated(r, rep->rec.uuid) || r->unsure)
		return false;
	return !by_itself || !r->others;
}

static void check(struct world *w)
{
	u32 i, n = 0, alone = 0;

	host_kill(&w->h[0]);
	for (i = 1; i < HOSTS; i++) {
		if (!w->h[i].runs)
			host_start(&w->h[i]);
		n += may_be_promoted(&w->h[i], false);
		alone += may_be_promoted(&w->h[i], true);
	}
	if (alone && n > 1)
		snprintf(w->wrong, sizeof(w->wrong),
			 "%u replicas may be promoted, %u of them by itself", n, alone);
	for (i = 1; i < HOSTS; i++) {
		u64 term = 0, generation = 0;
		int ret = promotion_do(&w->h[i].daemon, "kv", &term, &generation, false);

		if (!ret && generation < w->acknowledged)
			snprintf(w->wrong, sizeof(w->wrong),
				 "%s is promoted with generation %llu, %llu was acknowledged",
				 names[i], generation, w->acknowledged);
	}
}

static bool settled(struct world *w)
{
	return w->s->rec.committed == w->s->rec.published;
}

/* Everybody is there: whatever was published is acknowledged. */
static void settle(struct world *w)
{
	u64 until = clock_mono() + 20 * NSEC_PER_SEC;
	const char *why;
	u32 i;

	w->slow = 0;
	for (i = 0; i < HOSTS; i++) {
		w->h[i].fake.fail_commit = 0;
		if (!w->h[i].runs)
			host_start(&w->h[i]);
	}
	run(w, 30);
	members_set(&w->h[0].daemon, "kv", "all", &why);
	publish(w);
	while (!settled(w) && clock_mono() < until) {
		run(w, 1);
		if (w->s->state.flags & CPTDEV_STATE_WANTED)
			publish(w);
	}
	if (!settled(w))
		snprintf(w->wrong, sizeof(w->wrong),
			 "generation %llu isn't acknowledged, %llu is, although all are there",
			 w->s->rec.published, w->s->rec.committed);
}

/* False: @w->wrong says what is. */
static bool schedule(struct world *w, u64 seed)
{
	u32 i;

	world_open(w, seed);
	run(w, 60 + rnd(60));
	for (i = 0; i < EVENTS; i++) {
		event(w);
		run(w, rnd(3) ? rnd(12) :
		    rnd(200));
		if (w->s->state.flags & CPTDEV_STATE_WANTED)
			publish(w);
	}
	if (!rnd(3))
		settle(w);
	if (!*w->wrong)
		check(w);
	world_close(w);
	return !*w->wrong;
}

static u32 number(const char *name, u32 other)
{
	const char *text = getenv(name);

	return text ? strtoul(text, NULL, 0) : other;
}

static void nothing_that_was_acknowledged_is_lost(void **state)
{
	u32 first = number("FIRST", 1), n = number("SEEDS", SCHEDULES), i;
	struct world *w = calloc(1, sizeof(*w));

	(void)state;
	mutant = NO_MUTANT;
	for (i = first; i < first + n; i++)
		if (!schedule(w, i))
			fail_msg("FIRST=%u: %s", i, w->wrong);
	free(w);
}

static void an_acknowledgement_by_the_first_of_all_is_noticed(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	u32 i;

	(void)state;
	mutant = ACK_FIRST;
	for (i = 1; i <= MUTANT_SCHEDULES; i++)
		if (!schedule(w, i) && strstr(w->wrong, "was acknowledged"))
			break;
	print_message("# seed %u: %s\n", i, w->wrong);
	assert_true(i <= MUTANT_SCHEDULES);
	mutant = NO_MUTANT;
	free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_that_was_acknowledged_is_lost),
		cmocka_unit_test(an_acknowledgement_by_the_first_of_all_is_noticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
