// SPDX-License-Identifier: GPL-2.0-or-later
/* A primary with four spares: who is fed, what is acknowledged, and who may be promoted. */
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ack.h"
#include "lines.h"
#include "log.h"
#include "pair.h"

#define SPARES	4U
#define HOSTS	(SPARES + 1)

static const char *const names[HOSTS] = { "alpha", "beta", "gamma", "delta", "epsilon" };

struct mesh {
	struct host h[HOSTS];		/* the first one is the primary */
	struct fake_session *s;
};

static void run(struct mesh *m)
{
	u32 i;

	for (i = 0; i < HOSTS; i++)
		if (m->h[i].runs)
			loop_turn(&m->h[i].daemon.loop, i == HOSTS - 1);
}

static void run_ms(struct mesh *m, u32 ms)
{
	u64 until = clock_mono() + ms * NSEC_PER_MSEC;

	do
		run(m);
	while (clock_mono() < until);
}

#define WAIT(m, cond)							\
	do {								\
		u64 until_ = clock_mono() + 20 * NSEC_PER_SEC;		\
		while (!(cond) && clock_mono() < until_)		\
			run(m);						\
		if (!(cond))						\
			fail_msg("not within 20 s: %s", #cond);		\
	} while (0)

static void address(struct conf_peer *p, const struct host *h)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&p->addr;

	memset(p, 0, sizeof(*p));
	in->sin_family = AF_INET;
	in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	in->sin_port = htons(h->conf.listen_port);
	p->port = h->conf.listen_port;
	strcpy(p->name, h->name);
}

/* Each host has all others as its peers. */
static void know(struct mesh *m, u32 nr, u32 hosts)
{
	struct conf *c = &m->h[nr].conf;
	u32 i;

	c->nr_peers = 0;
	for (i = 0; i < hosts; i++)
		if (i != nr)
			address(&c->peers[c->nr_peers++], &m->h[i]);
}

static struct ship *ship_to(struct mesh *m, u32 nr)
{
	struct peer *p;
	struct ship *s;

	LIST_FOREACH(p, &m->h[0].daemon.peers, entry)
		if (!p->gone && !strcmp(peer_conf(p)->name, names[nr]))
			TAILQ_FOREACH(s, &p->out.ships, entry)
				return s;
	return NULL;
}

static const struct record *record(struct mesh *m, u32 nr)
{
	static const struct record none;
	const struct record *r = record_of(&m->h[nr].daemon, "kv");

	return r ? r : &none;
}

static u32 nr_members(struct mesh *m)
{
	struct ship *s;
	u32 i, n = 0;

	for (i = 1; i < HOSTS; i++) {
		s = ship_to(m, i);
		n += s && s->member && !s->outdated && !s->ask_again && ship_follows(s);
	}
	return n;
}

static void publish(struct mesh *m, u32 page, u8 value)
{
	publish_some(&m->h[0], m->s, page, value);
}

static bool committed(struct mesh *m)
{
	return m->s->rec.committed == m->s->rec.published;
}

static bool same(struct mesh *m, u32 nr)
{
	struct soft_replica *r = fake_replica(&m->h[nr].fake, "kv");

	return r && fake_same(r, m->s);
}

static void mesh_make(struct mesh *m, const char *ack, u32 failover)
{
	u32 i;

	for (i = 0; i < HOSTS; i++) {
		host_open(&m->h[i], names[i], free_port());
		strcpy(m->h[i].conf.sessions.ack, ack);
		m->h[i].conf.sessions.failover = failover;
		m->h[i].conf.checksums_mib = 1;
	}
}

/* @spares of the hosts that run are spares of the session. */
static void mesh_start_with(struct mesh *m, u32 hosts, u32 spares)
{
	u32 i;

	for (i = 0; i < HOSTS; i++) {
		know(m, i, hosts);
		if (i < hosts)
			host_start(&m->h[i]);
	}
	m->s = fake_session(&m->h[0].fake, "kv", 64);
	/* The first may be the only one for a moment. */
	WAIT(m, nr_members(m) == spares);
	publish(m, 0, 1);
	WAIT(m, committed(m));
}

static void mesh_start(struct mesh *m, u32 hosts)
{
	mesh_start_with(m, hosts, hosts - 1);
}

static void mesh_open(struct mesh *m, u32 hosts, const char *ack, u32 failover)
{
	mesh_make(m, ack, failover);
	mesh_start(m, hosts);
}

static void mesh_close(struct mesh *m)
{
	u32 i;

	for (i = 0; i < HOSTS; i++)
		host_close(&m->h[i]);
	free(m);
}

static struct mesh *mesh(const char *ack, u32 failover)
{
	struct mesh *m = calloc(1, sizeof(*m));

	mesh_open(m, HOSTS, ack, failover);
	return m;
}

/*
 * The rule
 */

static void what_a_policy_may_be(void **state)
{
	static const char *const wrong[] = { "", "0", "17", "99999999999", "a/b", " ", "1 *" };
	struct ack_policy p;
	char why[256];
	u32 i;

	(void)state;
	assert_int_equal(ack_parse("all", &p, why, sizeof(why)), 0);
	assert_int_equal(p.kind, ACK_ALL);
	assert_int_equal(ack_parse("any", &p, why, sizeof(why)), 0);
	assert_int_equal(p.kind, ACK_ANY);
	assert_int_equal(ack_parse("16", &p, why, sizeof(why)), 0);
	assert_int_equal(p.kind, ACK_NUMBER);
	assert_int_equal(p.number, 16);
	assert_int_equal(ack_parse(" beta gamma", &p, why, sizeof(why)), 0);
	assert_int_equal(p.kind, ACK_NAMED);
	assert_int_equal(p.nr, 2);
	assert_string_equal(p.names[1], "gamma");
	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		assert_int_equal(ack_parse(wrong[i], &p, why, sizeof(why)), -1);
		assert_non_null(strstr(why, "allowed are all, any"));
	}
}

static u64 acknowledged(const char *text, bool knows, u32 n)
{
	const struct ack_member members[] = {
		{ "beta", 7, knows }, { "gamma", 5, knows }, { "delta", 9, knows },
	};
	struct ack_policy p;
	char why[256];

	assert_int_equal(ack_parse(text, &p, why, sizeof(why)), 0);
	return ack_generation(&p, members, n);
}

static void what_is_acknowledged(void **state)
{
	(void)state;
	assert_int_equal(acknowledged("all", true, 3), 5);
	assert_int_equal(acknowledged("any", true, 3), 9);
	assert_int_equal(acknowledged("1", true, 3), 9);
	assert_int_equal(acknowledged("2", true, 3), 7);
	assert_int_equal(acknowledged("3", true, 3), 5);
	assert_int_equal(acknowledged("4", true, 3), 0);
	assert_int_equal(acknowledged("beta", true, 3), 7);
	assert_int_equal(acknowledged("beta delta", true, 3), 7);
	assert_int_equal(acknowledged("beta zeta", true, 3), 0);
	assert_int_equal(acknowledged("any", true, 0), 0);
	assert_int_equal(acknowledged("all", true, 0), 0);
	assert_int_equal(acknowledged("any", false, 1), 7);
	/* Somebody could be promoted who lacks it, and doesn't know. */
	assert_int_equal(acknowledged("any", false, 3), 5);
	assert_int_equal(acknowledged("2", false, 3), 5);
	assert_int_equal(acknowledged("beta", false, 3), 5);
	assert_int_equal(acknowledged("3", false, 3), 5);
}

/*
 * Four spares
 */

static void all_of_them_are_fed(void **state)
{
	struct mesh *m = mesh("", FAILOVER_MANUAL);
	u32 i;

	(void)state;
	publish(m, 3, 7);
	WAIT(m, committed(m));
	/* "all": whoever is asked has it. */
	for (i = 1; i < HOSTS; i++) {
		assert_true(same(m, i));
		assert_true(record(m, i)->others);
		assert_false(record(m, i)->unsure);
		assert_false(record(m, i)->outdated);
	}
	assert_int_equal(record(m, 0)->nr_followers, SPARES);
	mesh_close(m);
}

static void all_waits_for_each(void **state)
{
	struct mesh *m = mesh("", FAILOVER_MANUAL);
	u64 before;

	(void)state;
	before = m->s->rec.committed;
	host_kill(&m->h[2]);
	publish(m, 3, 7);
	WAIT(m, same(m, 1) && same(m, 3) && same(m, 4));
	run_ms(m, 300);
	assert_int_equal(m->s->rec.committed, before);
	host_start(&m->h[2]);
	WAIT(m, committed(m));
	assert_true(same(m, 2));
	mesh_close(m);
}

static void any_needs_one_and_the_others_know(void **state)
{
	struct mesh *m = mesh("any", FAILOVER_MANUAL);
	u64 term = 0, generation;
	u32 i;

	(void)state;
	for (i = 2; i < HOSTS; i++)
		host_kill(&m->h[i]);
	publish(m, 3, 7);
	WAIT(m, committed(m));
	assert_true(same(m, 1));
	host_kill(&m->h[0]);
	host_start(&m->h[3]);
	/* Also on disk. */
	assert_true(record(m, 3)->unsure);
	assert_false(same(m, 3));
	assert_int_equal(promotion_do(&m->h[3].daemon, "kv", &term, &generation, false), -ENOTUNIQ);
	assert_int_equal(promotion_do(&m->h[1].daemon, "kv", &term, &generation, false), -ENOTUNIQ);
	/* A person has compared them. */
	assert_int_equal(promotion_do(&m->h[1].daemon, "kv", &term, &generation, true), 0);
	assert_int_equal(generation, m->s->rec.published);
	mesh_close(m);
}

static void two_need_two(void **state)
{
	struct mesh *m = mesh("2", FAILOVER_MANUAL);
	u64 before = m->s->rec.committed;

	(void)state;
	host_kill(&m->h[1]);
	host_kill(&m->h[2]);
	publish(m, 3, 7);
	WAIT(m, committed(m));
	host_kill(&m->h[3]);
	before = m->s->rec.committed;
	publish(m, 3, 8);
	WAIT(m, same(m, 4));
	run_ms(m, 300);
	assert_int_equal(m->s->rec.committed, before);
	host_start(&m->h[1]);
	WAIT(m, committed(m));
	mesh_close(m);
}

static void those_that_are_named_are_needed(void **state)
{
	struct mesh *m = mesh("beta gamma", FAILOVER_MANUAL);
	u64 before;

	(void)state;
	assert_false(record(m, 1)->unsure);
	assert_false(record(m, 2)->unsure);
	assert_true(record(m, 3)->unsure);
	assert_true(record(m, 4)->unsure);
	host_kill(&m->h[3]);
	host_kill(&m->h[4]);
	publish(m, 3, 7);
	WAIT(m, committed(m));
	host_kill(&m->h[2]);
	before = m->s->rec.committed;
	publish(m, 3, 8);
	WAIT(m, same(m, 1));
	run_ms(m, 300);
	assert_int_equal(m->s->rec.committed, before);
	mesh_close(m);
}

/* A program waits on each spare's host, and nobody but a person may choose. */
static void none_of_several_is_promoted_by_itself(void **state)
{
	struct mesh *m = mesh("", FAILOVER_AUTO);
	u64 term = 0, generation;
	u32 i;

	(void)state;
	assert_int_equal(m->s->state.lease_until, 0);
	for (i = 1; i < HOSTS; i++)
		fake_replica(&m->h[i].fake, "kv")->rec.waiters = 1;
	lines_keep();
	host_lose(&m->h[0]);
	WAIT(m, lines_with("another host has a replica that may be promoted as well") >= 1);
	run_ms(m, 1500);
	for (i = 1; i < HOSTS; i++)
		assert_int_equal(record(m, i)->role, RECORD_SPARE);
	/* Each has everything: a person needs no force. */
	assert_int_equal(promotion_do(&m->h[2].daemon, "kv", &term, &generation, false), 0);
	assert_int_equal(generation, m->s->rec.published);
	lines_drop();
	mesh_close(m);
}

/* Nobody would take over, so it is not fenced. */
static void a_program_that_hangs_stays_if_nobody_is_chosen(void **state)
{
	struct mesh *m = mesh("", FAILOVER_AUTO);

	(void)state;
	m->h[0].daemon.conf.sessions.on_hang = ON_HANG_FAILOVER;
	lines_keep();
	fake_hang(&m->h[0].fake, m->s, true);
	WAIT(m, lines_with("more than one spare may be promoted") == 1);
	run_ms(m, 500);
	assert_false(m->s->fenced);
	lines_drop();
	mesh_close(m);
}

/* The program does what it is asked for. */
#define MOVE(m, cond)							\
	do {								\
		u64 until_ = clock_mono() + 20 * NSEC_PER_SEC;		\
		while (!(cond) && clock_mono() < until_) {		\
			if ((m)->s->state.flags & CPTDEV_STATE_WANTED)	\
				fake_publish(&(m)->h[0].fake, (m)->s);	\
			run(m);						\
		}							\
		if (!(cond))						\
			fail_msg("not within 20 s: %s", #cond);		\
	} while (0)

/* Whichever of them that is; it takes over as the only one. */
static void a_service_moves_to_the_spare_that_is_named(void **state)
{
	struct switchover *sw;
	const char *code;
	char why[800];
	struct mesh *m;
	u32 to, i;

	(void)state;
	for (to = 1; to < HOSTS; to++) {
		m = mesh("", FAILOVER_MANUAL);
		for (i = 1; i < HOSTS; i++)
			fake_replica(&m->h[i].fake, "kv")->rec.waiters = 1;
		sw = switch_begin(&m->h[0].daemon, "kv", names[to], 10 * NSEC_PER_SEC, &code, why,
				  sizeof(why));
		if (!sw)
			fail_msg("to %s: %s: %s", names[to], code, why);
		MOVE(m, sw->phase == SWITCH_TAKING || sw->phase == SWITCH_OVER);
		if (sw->end == SWITCH_FAILED)
			fail_msg("to %s: %s", names[to], sw->text);
		for (i = 1; i < HOSTS; i++)
			assert_int_equal(record(m, i)->role, i == to ? RECORD_PROMOTED : RECORD_SPARE);
		assert_int_equal(fake_replica(&m->h[to].fake, "kv")->rec.generation, sw->last);
		mesh_close(m);
	}
}

/*
 * Coming back
 */

/* Each page is sent as it is. */
static struct mesh *plain_mesh(const char *ack, u32 pages)
{
	struct mesh *m = calloc(1, sizeof(*m));
	u32 i;

	for (i = 0; i < HOSTS; i++) {
		host_open(&m->h[i], names[i], free_port());
		strcpy(m->h[i].conf.sessions.ack, ack);
		m->h[i].conf.compression = COMPRESSION_OFF;
	}
	for (i = 0; i < HOSTS; i++) {
		know(m, i, HOSTS);
		host_start(&m->h[i]);
	}
	m->s = fake_session(&m->h[0].fake, "kv", pages);
	WAIT(m, nr_members(m) == SPARES);
	for (i = 0; i < pages; i++)
		fake_write(m->s, i, 1 + i % 255);
	publish(m, 0, 1);
	WAIT(m, committed(m));
	for (i = 1; i <= SPARES; i++)
		WAIT(m, same(m, i) && ship_to(m, i)->committed == m->s->rec.published);
	return m;
}

#define PAGES	2000U
#define CHANGED	500U

/* What changed since its generation travels once, however often it changed, and nothing else. */
static void a_spare_that_was_away_gets_one_delta(void **state)
{
	struct mesh *m = plain_mesh("2", PAGES);
	u64 sent, pages = CHANGED;
	u32 round, i;

	(void)state;
	host_kill(&m->h[4]);
	for (round = 0; round < 5; round++) {
		for (i = 0; i < CHANGED; i++)
			fake_write(m->s, 3 * i, 100 + round);
		publish(m, 0, 100 + round);
		WAIT(m, committed(m));
	}
	/* What was acknowledged isn't kept: a delta has to reach back. */
	m->s->reach = m->s->rec.published;
	host_start(&m->h[4]);
	WAIT(m, ship_to(m, 4) && ship_to(m, 4)->lacks);
	assert_true(ship_to(m, 4)->member);
	assert_false(same(m, 4));
	/* The others go on meanwhile. */
	fake_write(m->s, 1, 9);
	publish(m, 0, 9);
	pages += 1;
	WAIT(m, committed(m) && same(m, 4));
	WAIT(m, ship_to(m, 4)->committed == m->s->rec.published);
	sent = ship_to(m, 4)->out->conn->stats.bytes_out;
	assert_int_equal(ship_to(m, 4)->bytes, pages * FAKE_PAGE);
	assert_true(sent >= pages * FAKE_PAGE);
	assert_true(sent * 100 <= pages * FAKE_PAGE * 102);
	mesh_close(m);
}

static u64 sent_to(struct mesh *m, u32 nr)
{
	return ship_to(m, nr)->out->conn->stats.bytes_out;
}

/* The next snapshot reaches back for one spare; the others have what is in it. */
static void what_one_lacks_is_not_sent_to_the_others_again(void **state)
{
	struct mesh *m = plain_mesh("2", CHANGED + 1);
	u64 before[HOSTS] = {};
	u32 i;

	(void)state;
	m->h[0].conf.differences_mib = 64;
	m->h[0].daemon.conf.differences_mib = 64;
	host_kill(&m->h[4]);
	for (i = 0; i < CHANGED; i++)
		fake_write(m->s, i, 100 + i % 100);
	publish(m, 0, 100);
	WAIT(m, committed(m) && same(m, 1) && same(m, 2) && same(m, 3));
	m->s->reach = m->s->rec.published;
	host_start(&m->h[4]);
	WAIT(m, ship_to(m, 4) && ship_to(m, 4)->lacks);
	for (i = 1; i < 4; i++)
		before[i] = sent_to(m, i);
	publish(m, CHANGED, 9);
	for (i = 1; i < HOSTS; i++)
		WAIT(m, same(m, i));
	assert_int_equal(ship_to(m, 4)->bytes, (CHANGED + 1) * FAKE_PAGE);
	for (i = 1; i < 4; i++)
		assert_true(sent_to(m, i) - before[i] < CHANGED * FAKE_PAGE / 20);
	mesh_close(m);
}

/* Two that were away at different times get different deltas. */
static void each_is_caught_up_from_where_it_was(void **state)
{
	struct mesh *m = plain_mesh("any", 100);

	(void)state;
	host_kill(&m->h[3]);
	publish(m, 10, 7);
	WAIT(m, same(m, 1) && same(m, 2) && same(m, 4));
	host_kill(&m->h[4]);
	publish(m, 11, 7);
	WAIT(m, same(m, 1) && same(m, 2));
	host_start(&m->h[3]);
	host_start(&m->h[4]);
	WAIT(m, same(m, 3) && same(m, 4));
	WAIT(m, nr_members(m) == SPARES);
	assert_int_equal(ship_to(m, 3)->bytes, 2 * FAKE_PAGE);
	assert_int_equal(ship_to(m, 4)->bytes, FAKE_PAGE);
	mesh_close(m);
}

/* The spare is back, and lacks what isn't kept; what was published last isn't acknowledged. */
static struct mesh *one_lacks(const char *ack)
{
	struct mesh *m = calloc(1, sizeof(*m));
	u32 i;

	mesh_make(m, ack, FAILOVER_MANUAL);
	/* Those that don't run for a while are waited for. */
	for (i = 0; i < HOSTS; i++)
		m->h[i].conf.timeout_ms = 60000;
	mesh_start(m, HOSTS);
	host_kill(&m->h[4]);
	publish(m, 3, 7);
	WAIT(m, same(m, 1) && same(m, 2) && same(m, 3));
	m->s->reach = m->s->rec.published;
	m->h[1].runs = m->h[2].runs = m->h[3].runs = false;
	publish(m, 3, 8);
	host_start(&m->h[4]);
	WAIT(m, ship_to(m, 4) && ship_to(m, 4)->lacks);
	return m;
}

static void others_serve(struct mesh *m)
{
	m->h[1].runs = m->h[2].runs = m->h[3].runs = true;
}

/* The others can fulfil the policy: whoever waits for the generation gets it. */
static void one_that_lacks_cancels_nothing_that_others_commit(void **state)
{
	static const char *const policies[] = { "any", "2", "beta gamma" };
	struct mesh *m;
	u32 i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(policies); i++) {
		m = one_lacks(policies[i]);
		assert_int_not_equal(m->s->rec.committed, m->s->rec.published);
		assert_int_equal(m->s->cancelled, 0);
		others_serve(m);
		WAIT(m, committed(m));
		assert_int_equal(m->s->cancelled, 0);
		/* The next one reaches back. */
		publish(m, 4, 9);
		WAIT(m, same(m, 4) && committed(m));
		mesh_close(m);
	}
}

/* It can't be fulfilled without it: the program is told to take another one. */
static void one_that_lacks_and_is_needed_cancels(void **state)
{
	static const char *const policies[] = { "all", "4", "epsilon" };
	struct mesh *m;
	u32 i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(policies); i++) {
		m = one_lacks(policies[i]);
		assert_int_equal(m->s->cancelled, m->s->rec.published);
		others_serve(m);
		publish(m, 4, 9);
		WAIT(m, same(m, 4) && committed(m));
		mesh_close(m);
	}
}

/* The others were enough, until they were lost. */
static void one_that_lacks_is_needed_later(void **state)
{
	struct mesh *m = one_lacks("any");
	u32 i;

	(void)state;
	assert_int_equal(m->s->cancelled, 0);
	m->h[1].runs = m->h[2].runs = m->h[3].runs = true;
	host_kill(&m->h[1]);
	host_kill(&m->h[2]);
	m->h[3].runs = false;
	for (i = 0; i < 50; i++)
		run(m);
	assert_int_equal(m->s->cancelled, 0);
	m->h[3].runs = true;
	host_kill(&m->h[3]);
	WAIT(m, m->s->cancelled == m->s->rec.published);
	publish(m, 4, 9);
	WAIT(m, same(m, 4) && committed(m));
	mesh_close(m);
}

/* It holds back nobody if the policy doesn't ask for it, and is shown. */
static void a_spare_that_lags_is_left_behind(void **state)
{
	struct mesh *m = mesh("3", FAILOVER_MANUAL);
	u32 i;

	(void)state;
	m->h[4].runs = false;
	for (i = 0; i < 50; i++) {
		publish(m, i, 9);
		WAIT(m, committed(m));
	}
	assert_true(ship_to(m, 4)->committed < m->s->rec.published);
	assert_true(ship_to(m, 4)->in_flight <= SHIP_WINDOW);
	m->h[4].runs = true;
	WAIT(m, same(m, 4));
	mesh_close(m);
}

/*
 * Changes while it runs
 */

static void reload(struct mesh *m, u32 nr)
{
	struct daemon *d = &m->h[nr].daemon;
	const struct conf was = d->conf;

	struct peer *p;

	d->conf = m->h[nr].conf;
	peer_reload(d, &was);
	LIST_FOREACH(p, &d->peers, entry)
		out_reload(&p->out);
	members_look_all(d);
}

static void spares_come_and_go(void **state)
{
	struct mesh *m = calloc(1, sizeof(*m));
	u32 i;

	(void)state;
	mesh_open(m, 3, "", FAILOVER_AUTO);
	for (i = 0; i < HOSTS; i++)
		know(m, i, HOSTS);
	for (i = 0; i < 3; i++)
		reload(m, i);
	publish(m, 1, 7);
	WAIT(m, committed(m));
	host_start(&m->h[3]);
	host_start(&m->h[4]);
	/* An idle program is asked for a checkpoint, so that they count. */
	WAIT(m, m->s->state.flags & CPTDEV_STATE_WANTED);
	publish(m, 2, 7);
	WAIT(m, nr_members(m) == SPARES);
	WAIT(m, same(m, 3) && same(m, 4));
	/* The third leaves for good, and the others, but one. */
	for (i = 4; i > 1; i--) {
		know(m, 0, i);
		reload(m, 0);
		WAIT(m, record(m, 0)->nr_followers == i - 1);
		publish(m, 3, i);
		WAIT(m, committed(m));
	}
	WAIT(m, nr_members(m) == 1);
	WAIT(m, !record(m, 1)->others);
	assert_int_not_equal(m->s->state.lease_until, 0);
	assert_false(same(m, 2));
	assert_true(record(m, 2)->others);
	/* Now it may be promoted by itself. */
	fake_replica(&m->h[1].fake, "kv")->rec.waiters = 1;
	host_lose(&m->h[0]);
	WAIT(m, record(m, 1)->role == RECORD_PROMOTED);
	mesh_close(m);
}

static struct out *out_to(struct mesh *m, u32 nr)
{
	struct peer *p = peer_of_name(&m->h[0].daemon, names[nr]);

	assert_non_null(p);
	return &p->out;
}

/* It is linked, and no session is for it. */
static bool has_none(struct mesh *m, u32 nr)
{
	return out_to(m, nr)->state == OUT_UP && out_to(m, nr)->listed && !ship_to(m, nr);
}

/* The session's spares by the configuration of the primary's host. */
static void may_be_spares(struct mesh *m, const char *spares)
{
	strcpy(m->h[0].conf.sessions.spares, spares);
	reload(m, 0);
}

static void only_those_that_are_named_are_spares(void **state)
{
	struct mesh *m = calloc(1, sizeof(*m));
	u32 i;

	(void)state;
	mesh_make(m, "all", FAILOVER_AUTO);
	strcpy(m->h[0].conf.sessions.spares, "beta gamma");
	mesh_start_with(m, HOSTS, 2);
	WAIT(m, has_none(m, 3) && has_none(m, 4));
	assert_null(fake_replica(&m->h[3].fake, "kv"));
	assert_null(fake_replica(&m->h[4].fake, "kv"));
	/* All of them may be. */
	may_be_spares(m, "");
	WAIT(m, m->s->state.flags & CPTDEV_STATE_WANTED);
	publish(m, 2, 7);
	WAIT(m, nr_members(m) == SPARES && committed(m));
	WAIT(m, same(m, 3) && same(m, 4));
	/* One of the new ones remains, and is the only one that goes on by itself. */
	may_be_spares(m, "delta");
	WAIT(m, record(m, 0)->nr_followers == 1);
	publish(m, 3, 7);
	WAIT(m, committed(m) && same(m, 3) && !record(m, 3)->others);
	WAIT(m, has_none(m, 1) && has_none(m, 2) && has_none(m, 4));
	assert_false(same(m, 1) || same(m, 2) || same(m, 4));
	for (i = 1; i < HOSTS; i++)
		fake_replica(&m->h[i].fake, "kv")->rec.waiters = 1;
	host_lose(&m->h[0]);
	WAIT(m, record(m, 3)->role == RECORD_PROMOTED);
	for (i = 1; i < HOSTS; i++)
		assert_true(i == 3 || record(m, i)->role == RECORD_SPARE);
	mesh_close(m);
}

/* The only spare that the session had: is it one when the primary's host is lost? */
static void loses_the_primary(const char *spares, bool promoted)
{
	struct mesh *m = calloc(1, sizeof(*m));
	struct peer *p;

	mesh_open(m, 2, "", FAILOVER_AUTO);
	fake_replica(&m->h[1].fake, "kv")->rec.waiters = 1;
	may_be_spares(m, spares);
	p = LIST_FIRST(&m->h[1].daemon.peers);
	WAIT(m, p->in && LIST_EMPTY(&p->feeds) == !promoted && has_none(m, 1) == !promoted);
	publish(m, 2, 7);
	if (promoted)
		WAIT(m, committed(m));
	run_ms(m, 100);
	assert_int_equal(committed(m), promoted);
	host_lose(&m->h[0]);
	WAIT(m, p->detector.state == DET_DEAD && peer_lease_over(p));
	WAIT(m, !promoted || record(m, 1)->role == RECORD_PROMOTED);
	run_ms(m, 300);
	assert_int_equal(record(m, 1)->role, promoted ? RECORD_PROMOTED : RECORD_SPARE);
	mesh_close(m);
}

static void one_that_is_no_spare_any_more_is_not_promoted_by_itself(void **state)
{
	(void)state;
	loses_the_primary("gamma", false);
	/* The control. */
	loses_the_primary("gamma beta", true);
}

static void the_policy_is_changed(void **state)
{
	struct mesh *m = mesh("", FAILOVER_MANUAL);
	struct daemon *d = &m->h[0].daemon;
	const char *why;
	u64 before;

	(void)state;
	assert_int_equal(members_set(d, "kv", "0", &why), -EINVAL);
	assert_non_null(strstr(why, "allowed are"));
	assert_int_equal(members_set(d, "other", "any", &why), -EINVAL);
	/* The one that doesn't answer doesn't know of it: it may be promoted. */
	assert_int_equal(members_set(d, "kv", "all", &why), 0);
	WAIT(m, nr_members(m) == SPARES);
	host_kill(&m->h[4]);
	WAIT(m, !ship_to(m, 4));
	assert_int_equal(members_set(d, "kv", "any", &why), 0);
	before = m->s->rec.committed;
	publish(m, 3, 7);
	WAIT(m, same(m, 1) && same(m, 2) && same(m, 3) && record(m, 3)->unsure);
	run_ms(m, 300);
	assert_int_equal(m->s->rec.committed, before);
	host_start(&m->h[4]);
	WAIT(m, committed(m) && record(m, 4)->unsure);
	host_kill(&m->h[4]);
	publish(m, 4, 7);
	WAIT(m, committed(m));
	/* It survives the daemon. */
	host_kill(&m->h[0]);
	host_start(&m->h[0]);
	publish(m, 5, 7);
	WAIT(m, committed(m));
	assert_string_equal(members_policy_text(&m->h[0].daemon, "kv"), "any");
	/* Back: whoever has everything is sure, and waited for again. */
	assert_int_equal(members_set(&m->h[0].daemon, "kv", "", &why), 0);
	WAIT(m, !record(m, 1)->unsure && !record(m, 2)->unsure && !record(m, 3)->unsure);
	before = m->s->rec.committed;
	publish(m, 6, 7);
	WAIT(m, same(m, 1) && same(m, 2) && same(m, 3));
	run_ms(m, 300);
	assert_int_equal(m->s->rec.committed, before);
	host_start(&m->h[4]);
	WAIT(m, committed(m) && !record(m, 4)->unsure);
	mesh_close(m);
}

/* The first one would be promoted by itself, as long as it doesn't know of another one. */
static void a_spare_counts_when_the_others_know_of_it(void **state)
{
	struct mesh *m = calloc(1, sizeof(*m));
	u32 i;

	(void)state;
	mesh_open(m, 2, "", FAILOVER_AUTO);
	assert_false(record(m, 1)->others);
	assert_int_not_equal(m->s->state.lease_until, 0);
	for (i = 0; i < 2; i++) {
		know(m, i, 3);
		reload(m, i);
	}
	host_start(&m->h[2]);
	WAIT(m, ship_to(m, 2) && ship_follows(ship_to(m, 2)));
	/* It hears nothing. */
	m->h[1].runs = false;
	publish(m, 1, 7);
	WAIT(m, same(m, 2) && ship_to(m, 2)->ready);
	for (i = 0; i < 200; i++)
		run(m);
	assert_false(ship_to(m, 2)->member);
	assert_true(record(m, 2)->outdated);
	m->h[1].runs = true;
	WAIT(m, ship_to(m, 2)->member);
	assert_true(record(m, 1)->others);
	publish(m, 1, 8);
	WAIT(m, nr_members(m) == 2 && committed(m));
	assert_int_equal(m->s->state.lease_until, 0);
	mesh_close(m);
}

/* What it has is older than what was acknowledged. */
static void one_that_left_in_order_is_not_waited_for(void **state)
{
	struct mesh *m = mesh("", FAILOVER_MANUAL);
	u64 term = 0, generation;

	(void)state;
	host_stop(&m->h[4], &m->h[0]);
	publish(m, 3, 7);
	WAIT(m, committed(m));
	WAIT(m, record(m, 0)->nr_followers == SPARES - 1);
	host_kill(&m->h[0]);
	host_start(&m->h[4]);
	assert_int_equal(promotion_do(&m->h[4].daemon, "kv", &term, &generation, false), -EREMCHG);
	assert_int_equal(promotion_do(&m->h[1].daemon, "kv", &term, &generation, false), 0);
	mesh_close(m);
}

/* It feeds the others; the one that took over has everything. */
static void the_others_follow_the_one_that_took_over(void **state)
{
	struct mesh *m = mesh("", FAILOVER_MANUAL);
	u64 term = 0, generation;
	struct fake_session *s;

	(void)state;
	host_lose(&m->h[0]);
	assert_int_equal(promotion_do(&m->h[2].daemon, "kv", &term, &generation, false), 0);
	s = fake_session_with(&m->h[2].fake, "kv", 64, term, 0);
	publish_some(&m->h[2], s, 9, 9);
	WAIT(m, s->rec.committed == s->rec.published);
	WAIT(m, record(m, 2)->nr_followers == SPARES - 1);
	assert_int_equal(record(m, 1)->term, term);
	assert_true(fake_same(fake_replica(&m->h[1].fake, "kv"), s));
	mesh_close(m);
}

static bool rests(const struct verify *v)
{
	u32 i;

	for (i = 0; i < v->nr; i++)
		if (v->spare[i].state == VERIFY_COMPARING)
			return false;
	return true;
}

/* One replica is damaged: it is told which, the others are well, and in the end all are. */
static void each_spare_is_verified(void **state)
{
	struct mesh *m = mesh("", FAILOVER_MANUAL);
	struct verify *v;
	char why[400];
	const char *code;
	u32 i;

	(void)state;
	fake_flip(fake_replica(&m->h[3].fake, "kv"), 5, 1);
	v = verify_begin(&m->h[0].daemon, "kv", false, &code, why, sizeof(why));
	assert_non_null(v);
	assert_int_equal(v->nr, SPARES);
	WAIT(m, rests(v));
	for (i = 0; i < v->nr; i++)
		assert_int_equal(v->spare[i].state, strcmp(v->spare[i].name, names[3]) ?
				 VERIFY_SAME : VERIFY_COPYING);
	WAIT(m, m->s->rec.flags & CPTDEV_GENL_SESSION_WANTED);
	publish(m, 0, 2);
	WAIT(m, v->ended);
	for (i = 0; i < v->nr; i++)
		assert_int_equal(v->spare[i].damaged, !strcmp(v->spare[i].name, names[3]));
	WAIT(m, committed(m) && same(m, 1) && same(m, 2) && same(m, 3) && same(m, 4));
	assert_int_equal(nr_members(m), SPARES);
	mesh_close(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_policy_may_be),
		cmocka_unit_test(what_is_acknowledged),
		cmocka_unit_test(all_of_them_are_fed),
		cmocka_unit_test(all_waits_for_each),
		cmocka_unit_test(any_needs_one_and_the_others_know),
		cmocka_unit_test(two_need_two),
		cmocka_unit_test(those_that_are_named_are_needed),
		cmocka_unit_test(none_of_several_is_promoted_by_itself),
		cmocka_unit_test(a_program_that_hangs_stays_if_nobody_is_chosen),
		cmocka_unit_test(a_service_moves_to_the_spare_that_is_named),
		cmocka_unit_test(a_spare_that_was_away_gets_one_delta),
		cmocka_unit_test(what_one_lacks_is_not_sent_to_the_others_again),
		cmocka_unit_test(each_is_caught_up_from_where_it_was),
		cmocka_unit_test(one_that_lacks_cancels_nothing_that_others_commit),
		cmocka_unit_test(one_that_lacks_and_is_needed_cancels),
		cmocka_unit_test(one_that_lacks_is_needed_later),
		cmocka_unit_test(a_spare_that_lags_is_left_behind),
		cmocka_unit_test(spares_come_and_go),
		cmocka_unit_test(only_those_that_are_named_are_spares),
		cmocka_unit_test(one_that_is_no_spare_any_more_is_not_promoted_by_itself),
		cmocka_unit_test(a_spare_counts_when_the_others_know_of_it),
		cmocka_unit_test(the_policy_is_changed),
		cmocka_unit_test(one_that_left_in_order_is_not_waited_for),
		cmocka_unit_test(the_others_follow_the_one_that_took_over),
		cmocka_unit_test(each_spare_is_verified),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
