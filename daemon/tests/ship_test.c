// SPDX-License-Identifier: GPL-2.0-or-later
/* Two daemons over loopback: what is published here is replayed there. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lines.h"
#include "pair.h"
#include "soft_parts.h"

static void a_snapshot_arrives_and_is_acknowledged(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 100);

	publish_some(&p->a, s, 3, 0x33);
	WAIT_FOR(p, pair_committed(s));
	assert_true(fake_same(fake_replica(&p->b.fake, "kv"), s));
	assert_int_equal(fake_replica(&p->b.fake, "kv")->rec.uid, 1000);
	assert_int_equal(fake_attached(&p->a.fake, s), 1);
}

static void only_what_changed_is_shipped(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 1000);

	publish_some(&p->a, s, 0, 1);
	WAIT_FOR(p, pair_committed(s));
	assert_int_equal(s->delta_pages, 1000);
	publish_some(&p->a, s, 7, 2);
	WAIT_FOR(p, pair_committed(s));
	assert_int_equal(s->delta_pages, 1001);
	assert_true(fake_same(fake_replica(&p->b.fake, "kv"), s));
}

static void pages_become_holes(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 64);

	publish_some(&p->a, s, 5, 5);
	WAIT_FOR(p, pair_committed(s));
	fake_punch(s, 5);
	fake_punch(s, 6);
	publish_some(&p->a, s, 7, 7);
	WAIT_FOR(p, pair_committed(s));
	assert_true(fake_same(fake_replica(&p->b.fake, "kv"), s));
	assert_null(fake_page(fake_replica(&p->b.fake, "kv"), 5));
}

/* More than fits into one frame of each kind. */
static void layout_meta_and_pages_come_in_pieces(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 6000);
	u32 i;

	s->segments = 5000;
	s->meta_len = sizeof(s->meta);
	memset(s->meta, 0xab, sizeof(s->meta));
	for (i = 0; i < s->pages; i += 2)
		fake_write(s, i, i);
	fake_publish(&p->a.fake, s);
	WAIT_FOR(p, pair_committed(s));
	assert_true(fake_same(fake_replica(&p->b.fake, "kv"), s));
	/* Every other page is an extent of its own: many frames full of extents. */
	for (i = 0; i < s->pages; i += 2)
		fake_write(s, i, ~i);
	for (i = 1; i < s->pages; i += 4)
		fake_punch(s, i);
	fake_publish(&p->a.fake, s);
	WAIT_FOR(p, pair_committed(s));
	assert_true(fake_same(fake_replica(&p->b.fake, "kv"), s));
}

static void an_empty_delta_moves_the_generation(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 10);

	publish_some(&p->a, s, 1, 1);
	WAIT_FOR(p, pair_committed(s));
	fake_publish(&p->a.fake, s);
	WAIT_FOR(p, pair_committed(s));
	assert_int_equal(fake_replica(&p->b.fake, "kv")->rec.generation, 2);
}

static void many_generations_and_sessions(void **state)
{
	struct pair *p = *state;
	struct fake_session *s[8];
	char name[16];
	u32 i, g;

	for (i = 0; i < ARRAY_SIZE(s); i++) {
		snprintf(name, sizeof(name), "s%u", i);
		s[i] = fake_session(&p->a.fake, name, 50 + i);
	}
	for (g = 0; g < 50; g++) {
		for (i = 0; i < ARRAY_SIZE(s); i++)
			publish_some(&p->a, s[i], (g * 7 + i) % 50, g + i);
		pair_run(p, 0);
	}
	for (i = 0; i < ARRAY_SIZE(s); i++) {
		snprintf(name, sizeof(name), "s%u", i);
		WAIT_FOR(p, pair_committed(s[i]));
		assert_true(fake_same(fake_replica(&p->b.fake, name), s[i]));
	}
}

/* Both roles at once, under different names. */
static void both_directions_at_once(void **state)
{
	struct pair *p = *state;
	struct fake_session *a = fake_session(&p->a.fake, "from-a", 3000);
	struct fake_session *b = fake_session(&p->b.fake, "from-b", 3000);
	u32 g;

	for (g = 0; g < 10; g++) {
		publish_some(&p->a, a, g, g);
		publish_some(&p->b, b, g, ~g);
		pair_run(p, 0);
	}
	WAIT_FOR(p, pair_committed(a) && pair_committed(b));
	assert_true(fake_same(fake_replica(&p->b.fake, "from-a"), a));
	assert_true(fake_same(fake_replica(&p->a.fake, "from-b"), b));
}

static void a_big_delta_doesnt_block_a_small_one(void **state)
{
	struct pair *p = *state;
	struct fake_session *big = fake_session(&p->a.fake, "big", 8192);
	struct fake_session *small = fake_session(&p->a.fake, "small", 4);

	fake_noise(big, 1);
	fake_publish(&p->a.fake, big);
	WAIT_FOR(p, p->b.fake.stages > 2);
	publish_some(&p->a, small, 1, 1);
	WAIT_FOR(p, pair_committed(small));
	assert_false(pair_committed(big));
	WAIT_FOR(p, pair_committed(big));
	assert_true(fake_same(fake_replica(&p->b.fake, "big"), big));
}

/*
 * What goes over the wire
 */

static u64 sent(struct pair *p)
{
	return host_peer(&p->a)->out.conn->stats.bytes_out;
}

/* Publish, wait, and compare. Returns the bytes that it took, heartbeats too. */
static u64 published(struct pair *p, struct fake_session *s)
{
	u64 before = sent(p);

	fake_publish(&p->a.fake, s);
	WAIT_FOR(p, pair_committed(s));
	assert_true(fake_same(fake_replica(&p->b.fake, s->rec.name), s));
	return sent(p) - before;
}

static void pages_of_zeros_are_nothing(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 1000);

	p->a.daemon.conf.compression = COMPRESSION_OFF;
	fake_write(s, 500, 5);
	assert_true(published(p, s) < 4096 + 8192);
	/* They are pages there, as they are here: not holes. */
	assert_non_null(fake_page(fake_replica(&p->b.fake, "kv"), 7));
	assert_int_equal(host_ship(&p->a, "kv")->bytes, 1000 * 4096);
	assert_true(host_ship(&p->a, "kv")->wire < 4096 + 4096);
	/* What was something becomes zeros, and something again. */
	fake_write(s, 500, 0);
	assert_true(published(p, s) < 4096);
	fake_write(s, 500, 6);
	assert_true(published(p, s) > 4096);
	/* A peer that doesn't know of it. */
	host_peer(&p->a)->out.features &= ~WIRE_FEATURE_ZERO;
	fake_write(s, 500, 0);
	assert_true(published(p, s) > 4096);
}

static void pages_are_compressed_where_it_gains(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 200);
	u64 plain;
	u32 i;

	fake_noise(s, 7);
	assert_true(published(p, s) > 200 * 4096);
	for (i = 0; i < 200; i++)
		fake_write(s, i, i + 1);
	p->a.daemon.conf.compression = COMPRESSION_OFF;
	plain = published(p, s);
	assert_true(plain > 200 * 4096);
	p->a.daemon.conf.compression = COMPRESSION_ON;
	for (i = 0; i < 200; i++)
		fake_write(s, i, i + 2);
	assert_true(published(p, s) < plain / 10);
	/* What gained nothing before is tried again, by and by. */
	p->a.daemon.conf.compression = COMPRESSION_AUTO;
	for (i = 0; i < 2 * GAIN_WAIT_MAX; i++)
		publish_some(&p->a, s, i, i + 3);
	WAIT_FOR(p, pair_committed(s));
	for (i = 0; i < 200; i++)
		fake_write(s, i, i + 4);
	assert_true(published(p, s) < plain / 2);
	/* A peer that can't expand it. */
	p->a.daemon.conf.compression = COMPRESSION_ON;
	host_peer(&p->a)->out.features &= ~WIRE_FEATURE_ZSTD;
	for (i = 0; i < 200; i++)
		fake_write(s, i, i + 5);
	assert_true(published(p, s) > 200 * 4096);
}

/* Eight bytes of each page. */
static void poke_all(struct fake_session *s, u8 value)
{
	u32 i;

	for (i = 0; i < s->pages; i++)
		fake_poke(s, i, 8 * ((i * 37 + value) % 512), value, 8);
}

/*
 * 500 pages that the link keeps: the first copy of all isn't kept, what comes after that is. Their frames
 * are counted without heartbeats.
 */
static struct fake_session *kept_session(struct pair *p)
{
	struct fake_session *s = fake_session(&p->a.fake, "kv", 500);

	p->a.daemon.conf.compression = COMPRESSION_OFF;
	p->a.daemon.conf.differences_mib = 4;
	fake_noise(s, 1);
	published(p, s);
	fake_noise(s, 2);
	assert_true(published(p, s) > 500 * 4096);
	return s;
}

static u64 wire(struct pair *p)
{
	return host_ship(&p->a, "kv")->wire;
}

/* The target: 40 times less than pages. */
static void of_a_page_what_changed_is_sent(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = kept_session(p);
	u64 before;
	u32 i;

	for (i = 0; i < 10; i++) {
		before = wire(p);
		poke_all(s, i);
		published(p, s);
		assert_true(40 * (wire(p) - before) <= 500 * 4096);
	}
	/* Compressed, too. */
	p->a.daemon.conf.compression = COMPRESSION_ON;
	before = wire(p);
	poke_all(s, i);
	published(p, s);
	assert_true(60 * (wire(p) - before) <= 500 * 4096);
	/* All of it. */
	before = wire(p);
	fake_noise(s, 3);
	published(p, s);
	assert_in_range(wire(p) - before, 500 * 4096, 500 * 4096 * 101 / 100);
}

static void whole_pages_if_that_is_said_or_not_known(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = kept_session(p);

	host_peer(&p->a)->out.features &= ~WIRE_FEATURE_SUBPAGE;
	poke_all(s, 1);
	assert_true(published(p, s) > 500 * 4096);
	host_peer(&p->a)->out.features |= WIRE_FEATURE_SUBPAGE;
	poke_all(s, 2);
	assert_true(published(p, s) > 500 * 4096);
	poke_all(s, 3);
	assert_true(published(p, s) < 500 * 4096 / 10);
	p->a.daemon.conf.differences_mib = 0;
	poke_all(s, 4);
	assert_true(published(p, s) > 500 * 4096);
	assert_null(host_peer(&p->a)->out.thin.shadow);
}

/*
 * A byte of the replica isn't what was sent: what changed in its page isn't applied, whole pages are asked
 * for, and the replica is right again.
 */
static void what_changed_isnt_applied_to_another_page(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = kept_session(p);
	struct soft_replica *r;
	u8 byte;

	poke_all(s, 1);
	published(p, s);
	r = fake_replica(&p->b.fake, "kv");
	byte = fake_page(r, 77)[5] ^ 1;
	assert_int_equal(pwrite(r->content.fd, &byte, 1, FAKE_BASE + 77 * FAKE_PAGE + 5), 1);
	assert_false(fake_same(r, s));
	lines_keep();
	poke_all(s, 2);
	assert_true(published(p, s) > 500 * 4096);
	assert_int_equal(lines_with("changes that are for another page than the replica on the spare has at 0x1004d000"),
			 2);
	assert_int_equal(host_peer(&p->a)->out.connects, 1);
	poke_all(s, 3);
	published(p, s);
}

/* They are for the generation before, which isn't what a replica has that others went on with. */
static void every_interruption_begins_with_whole_pages(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = kept_session(p);
	u32 i;

	/* The spare's daemon. */
	host_kill(&p->b);
	poke_all(s, 1);
	fake_publish(&p->a.fake, s);
	WAIT_FOR(p, host_peer(&p->a)->out.state != OUT_UP);
	assert_null(host_peer(&p->a)->out.thin.shadow);
	host_start(&p->b);
	WAIT_FOR(p, pair_committed(s));
	assert_true(fake_same(fake_replica(&p->b.fake, "kv"), s));
	/* A commit, while the next one is on its way. */
	for (i = 0; i < 20; i++) {
		p->b.fake.fail_commit = i % 3 ? 0 : EBUSY;
		p->b.fake.fail_stage = i % 5 ? 0 : EFAULT;
		poke_all(s, i);
		fake_publish(&p->a.fake, s);
		pair_run(p, 0);
	}
	WAIT_FOR(p, pair_committed(s));
	assert_true(fake_same(fake_replica(&p->b.fake, "kv"), s));
	/* The replica. */
	fake_replica_remove(&p->b.fake, fake_replica(&p->b.fake, "kv"));
	poke_all(s, 100);
	fake_publish(&p->a.fake, s);
	WAIT_FOR(p, pair_committed(s));
	assert_true(fake_same(fake_replica(&p->b.fake, "kv"), s));
}

/* A page that was unmapped is no base for its changes when it is mapped again. */
static void memory_that_was_unmapped_comes_back(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = kept_session(p);
	u32 i;

	poke_all(s, 1);
	published(p, s);
	s->pages = 400;
	fake_poke(s, 7, 7, 7, 7);
	published(p, s);
	s->pages = 500;
	lines_keep();
	for (i = 400; i < 500; i++)
		fake_poke(s, i, 8, 9, 8);
	assert_true(published(p, s) > 100 * 4096);
	assert_int_equal(lines_with("changes"), 0);
	poke_all(s, 2);
	assert_true(published(p, s) < 500 * 4096 / 10);
	fake_punch(s, 3);
	published(p, s);
	fake_poke(s, 3, 3, 3, 3);
	published(p, s);
	assert_int_equal(lines_with("changes"), 0);
}

static void two_deltas_are_on_their_way_at_most(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 10);
	u32 i;

	publish_some(&p->a, s, 0, 1);
	WAIT_FOR(p, pair_committed(s));
	/* Only A runs: nothing is committed. */
	for (i = 0; i < 20; i++) {
		publish_some(&p->a, s, i % 10, i);
		loop_turn(&p->a.daemon.loop, 0);
		loop_turn(&p->a.daemon.loop, 0);
	}
	assert_int_equal(host_ship(&p->a, "kv")->in_flight, SHIP_WINDOW);
	assert_int_equal(s->deltas, 1 + SHIP_WINDOW);
	WAIT_FOR(p, pair_committed(s));
	/* What couldn't be fetched went along with the next one. */
	assert_true(s->deltas < 20);
	assert_true(fake_same(fake_replica(&p->b.fake, "kv"), s));
}

static void nothing_reaches_back_so_the_next_one_does(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 10);

	s->reach = 1;
	publish_some(&p->a, s, 1, 1);
	WAIT_FOR(p, s->reach_next);
	pair_run(p, 50);
	assert_false(pair_committed(s));
	publish_some(&p->a, s, 2, 2);
	WAIT_FOR(p, pair_committed(s));
	assert_true(fake_same(fake_replica(&p->b.fake, "kv"), s));
}

/* Each copy of everything has its line, which says why; nothing else has one. */
static void a_full_copy_is_told_with_its_cause(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 10);

	lines_keep();
	publish_some(&p->a, s, 1, 1);
	WAIT_FOR(p, pair_committed(s));
	assert_int_equal(lines_with("session kv: beta gets a full copy"), 1);
	assert_int_equal(lines_with("it has nothing of the session"), 1);
	assert_int_equal(host_ship(&p->a, "kv")->full_copies, 1);
	/* A link that was lost, and changes, are none. */
	host_kill(&p->b);
	host_start(&p->b);
	publish_some(&p->a, s, 2, 2);
	WAIT_FOR(p, pair_committed(s));
	assert_int_equal(host_ship(&p->a, "kv")->full_copies, 0);
	assert_int_equal(lines_with("full copy"), 1);
	/* Its replica is lost. */
	lines_keep();
	fake_replica_remove(&p->b.fake, fake_replica(&p->b.fake, "kv"));
	WAIT_FOR(p, fake_attached(&p->a.fake, s) == 0 || host_ship(&p->a, "kv")->full_copies);
	publish_some(&p->a, s, 2, 3);
	WAIT_FOR(p, pair_committed(s));
	assert_int_equal(lines_with("full copy"), 1);
	assert_int_equal(lines_with("its replica was lost"), 1);
	/* Another program under the same name: another session. */
	lines_keep();
	fake_session_end(&p->a.fake, s);
	s = fake_session_with(&p->a.fake, "kv", 10, 1, CPTDEV_GENL_SESSION_REPLACE);
	publish_some(&p->a, s, 1, 1);
	WAIT_FOR(p, pair_committed(s));
	assert_int_equal(lines_with("full copy"), 1);
	assert_int_equal(lines_with("it has another program's state"), 1);
	lines_drop();
}

/* Somebody removes the replica of a program that is idle: it has no spare, and knows. */
static void a_replica_is_removed_under_its_session(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 10);

	publish_some(&p->a, s, 1, 1);
	WAIT_FOR(p, pair_committed(s));
	s->reach = s->rec.published;
	fake_replica_remove(&p->b.fake, fake_replica(&p->b.fake, "kv"));
	WAIT_FOR(p, fake_attached(&p->a.fake, s) == 0);
	WAIT_FOR(p, host_ship(&p->a, "kv")->last.code == WIRE_E_GAP);
	assert_int_equal(fake_attached(&p->a.fake, s), 0);
	publish_some(&p->a, s, 2, 2);
	WAIT_FOR(p, pair_committed(s));
	assert_true(fake_same(fake_replica(&p->b.fake, "kv"), s));
	assert_int_equal(fake_attached(&p->a.fake, s), 1);
	assert_int_equal(host_peer(&p->a)->out.connects, 1);
}

/* What was on its way isn't acknowledged: it would be in nobody's replica. */
static void a_replica_is_removed_in_the_middle(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 8192);

	fake_noise(s, 1);
	fake_publish(&p->a.fake, s);
	WAIT_FOR(p, p->b.fake.stages > 2);
	fake_replica_remove(&p->b.fake, fake_replica(&p->b.fake, "kv"));
	WAIT_FOR(p, pair_committed(s));
	assert_true(fake_same(fake_replica(&p->b.fake, "kv"), s));
	assert_int_equal(host_peer(&p->a)->out.connects, 1);
}

static void a_session_without_a_name_is_not_shipped(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "", 10);

	publish_some(&p->a, s, 1, 1);
	pair_run(p, 50);
	assert_int_equal(s->deltas, 0);
	assert_true(TAILQ_EMPTY(&host_peer(&p->a)->out.ships));
}

static void a_session_ends_and_its_replica_stays(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 10);

	publish_some(&p->a, s, 1, 1);
	WAIT_FOR(p, pair_committed(s));
	fake_session_end(&p->a.fake, s);
	WAIT_FOR(p, LIST_EMPTY(&host_peer(&p->b)->in->channels));
	assert_true(TAILQ_EMPTY(&host_peer(&p->a)->out.ships));
	assert_int_equal(fake_replica(&p->b.fake, "kv")->rec.generation, 1);
	assert_int_equal(fake_open_fds(&p->a.fake), 0);
}

/* A session ends while megabytes of it are on their way. */
static void a_session_ends_in_the_middle(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 8192);
	struct fake_session *other = fake_session(&p->a.fake, "other", 8);

	fake_noise(s, 1);
	fake_publish(&p->a.fake, s);
	WAIT_FOR(p, p->b.fake.stages > 2);
	fake_session_end(&p->a.fake, s);
	publish_some(&p->a, other, 1, 1);
	WAIT_FOR(p, pair_committed(other));
	assert_true(host_linked(&p->a));
	assert_int_equal(host_peer(&p->a)->out.connects, 1);
	assert_int_equal(fake_replica(&p->b.fake, "kv")->rec.generation, 0);
	assert_int_equal(fake_replica(&p->b.fake, "kv")->stage.owner, -1);
}

static void no_memory_for_a_stage_is_tried_again(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 1000);

	p->b.fake.fail_stage = ENOMEM;
	publish_some(&p->a, s, 1, 1);
	WAIT_FOR(p, p->b.fake.stages == 1);
	WAIT_FOR(p, pair_committed(s));
	assert_true(fake_same(fake_replica(&p->b.fake, "kv"), s));
	assert_int_equal(host_peer(&p->a)->out.connects, 1);
}

/*
 * A limit that is reached: it is known, and the delta isn't sent again and again.
 */

static u64 shipped(struct pair *p)
{
	return host_peer(&p->a)->out.conn->stats.bytes_out;
}

static void refused_for_room(struct pair *p, struct fake_session *s, const char *words)
{
	u64 deltas, lines, bytes;

	lines_keep();
	publish_some(&p->a, s, 1, 1);
	WAIT_FOR(p, host_ship(&p->a, "kv") &&
		 host_ship(&p->a, "kv")->last.code == WIRE_E_MEMORY);
	deltas = s->deltas;
	bytes = shipped(p);
	pair_run(p, 3000);
	/* After 500 ms, 1000 ms and 2000 ms one is let through at most. */
	lines = lines_with("");
	deltas = s->deltas - deltas;
	bytes = shipped(p) - bytes;
	if (deltas > 3 || bytes > 4 * 2000 * 4096ULL || lines > 2 * TELL_BURST)
		fail_msg("%llu deltas, %llu bytes, %llu lines", deltas, bytes, lines);
	lines_drop();
	/* The program has no spare, and the status says why. */
	assert_int_equal(host_ship(&p->a, "kv")->state, SHIP_REFUSED);
	assert_int_equal(fake_attached(&p->a.fake, s), 0);
	assert_non_null(strstr(host_ship(&p->a, "kv")->last.text, words));
	assert_int_equal(host_peer(&p->a)->out.connects, 1);
}

static void a_limit_is_waited_for(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 2000);
	u64 begin;

	p->b.fake.limit = 1500;
	refused_for_room(p, s, "8000 KiB, 6000 KiB are free");
	/* As soon as there is room. */
	p->b.fake.limit = 2000;
	begin = clock_mono();
	WAIT_FOR(p, pair_committed(s));
	assert_true(clock_mono() - begin < 2500 * NSEC_PER_MSEC);
	assert_true(fake_same(fake_replica(&p->b.fake, "kv"), s));
	assert_int_equal(fake_attached(&p->a.fake, s), 1);
}

/* The same where nobody can say how much is free. */
static void the_end_of_memory_is_waited_for(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 2000);

	p->b.fake.limit = 1500;
	p->b.fake.limit_hidden = true;
	refused_for_room(p, s, "memory");
	p->b.fake.limit = 0;
	WAIT_FOR(p, pair_committed(s));
	assert_true(fake_same(fake_replica(&p->b.fake, "kv"), s));
}

/* Others have room, and go on. */
static void one_without_room_keeps_nobody_back(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 2000);
	struct fake_session *t = fake_session(&p->a.fake, "small", 10);
	u32 i;

	p->b.fake.limit = 1500;
	publish_some(&p->a, s, 1, 1);
	for (i = 1; i < 20; i++) {
		publish_some(&p->a, t, 0, i);
		WAIT_FOR(p, pair_committed(t));
	}
	assert_false(pair_committed(s));
	/* It is the other one's room. */
	fake_session_end(&p->a.fake, t);
	fake_replica_remove(&p->b.fake, fake_replica(&p->b.fake, "small"));
	p->b.fake.limit = 2000;
	WAIT_FOR(p, pair_committed(s));
}

static void a_commit_that_fails_is_tried_again(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 10);

	p->b.fake.fail_commit = ENOMEM;
	publish_some(&p->a, s, 1, 1);
	publish_some(&p->a, s, 2, 2);
	WAIT_FOR(p, pair_committed(s));
	assert_true(fake_same(fake_replica(&p->b.fake, "kv"), s));
}

static void trouble_of_the_own_kernel_is_tried_again(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 10);

	p->a.fake.fail_delta = ENOMEM;
	publish_some(&p->a, s, 1, 1);
	WAIT_FOR(p, host_ship(&p->a, "kv") &&
		 host_ship(&p->a, "kv")->state == SHIP_REFUSED);
	p->a.fake.fail_delta = 0;
	WAIT_FOR(p, pair_committed(s));
}

static void lost_events_are_made_good_by_a_dump(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 10), *t;

	publish_some(&p->a, s, 1, 1);
	WAIT_FOR(p, pair_committed(s));
	p->a.fake.overflow = true;
	t = fake_session(&p->a.fake, "new", 10);
	fake_session_end(&p->a.fake, s);
	publish_some(&p->a, t, 1, 1);
	WAIT_FOR(p, pair_committed(t));
	assert_null(host_ship(&p->a, "kv"));
}

/* The module's events don't say the term of a replica. To ask about each commit would cost more than it. */
static void only_commits_of_others_are_asked_about(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 10);
	struct fake *spare = &p->b.fake;
	struct soft_replica *r;
	u64 asked;
	u32 i;

	publish_some(&p->a, s, 1, 1);
	WAIT_FOR(p, pair_committed(s) && held_find(&p->b.daemon, "kv"));
	pair_run(p, 10);
	asked = spare->replicas_asked;
	for (i = 0; i < 20; i++) {
		publish_some(&p->a, s, i % 10, i);
		WAIT_FOR(p, pair_committed(s));
		pair_run(p, 10);
	}
	assert_int_equal(spare->replicas_asked, asked);
	/* By somebody else on this host, with a term that is news. */
	r = fake_replica(spare, "kv");
	r->rec.term += 5;
	r->rec.generation++;
	soft_replica_tell(&spare->soft, r, CPTDEV_CMD_REPLICA_COMMITTED_NTF);
	WAIT_FOR(p, held_find(&p->b.daemon, "kv")->term == r->rec.term);
	assert_true(spare->replicas_asked > asked);
}

static void the_module_comes_later(void **state)
{
	struct pair *p = *state;
	struct fake_session *s;

	host_kill(&p->a);
	p->a.fake.absent = true;
	host_start(&p->a);
	WAIT_FOR(p, host_linked(&p->a));
	assert_false(p->a.daemon.module);
	p->a.fake.absent = false;
	p->a.fake.family_changed = true;
	s = fake_session(&p->a.fake, "kv", 10);
	publish_some(&p->a, s, 1, 1);
	WAIT_FOR(p, pair_committed(s));
	assert_true(p->a.daemon.module);
}

static u32 nr_committed(struct fake_session **s, u32 nr)
{
	u32 n = 0;

	while (nr--)
		n += pair_committed(s[nr]);
	return n;
}

static void more_sessions_than_allowed_wait(void **state)
{
	struct pair *p = *state;
	struct fake_session *s[20];
	char name[16];
	u32 i;

	for (i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "s%u", i);
		s[i] = fake_session(&p->a.fake, name, 4);
		publish_some(&p->a, s[i], 0, i);
	}
	WAIT_FOR(p, nr_committed(s, 20) == 16);
	/* And no more. */
	pair_run(p, 200);
	assert_int_equal(nr_committed(s, 20), 16);
	assert_true(host_linked(&p->a));
}

static u32 nr_refused(struct pair *p, struct fake_session **s, u32 nr)
{
	const struct ship *ship;
	u32 n = 0;

	while (nr--) {
		ship = host_ship(&p->a, s[nr]->rec.name);
		n += ship && ship->last.code == WIRE_E_LIMIT;
	}
	return n;
}

/* The spare's limit is lower: a session too many is refused, and costs the others nothing. */
static void the_spares_limit_may_be_another(void **state)
{
	struct pair *p = *state;
	struct fake_session *s[20];
	char name[16];
	u32 i;

	p->a.daemon.conf.max_sessions = 32;
	for (i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "s%u", i);
		s[i] = fake_session(&p->a.fake, name, 4);
		publish_some(&p->a, s[i], 0, i);
	}
	WAIT_FOR(p, nr_committed(s, 20) == 16 && nr_refused(p, s, 20) == 4);
	pair_run(p, 400);
	assert_int_equal(nr_committed(s, 20), 16);
	assert_int_equal(host_peer(&p->a)->out.connects, 1);
	/* Room is made. */
	for (i = 0; i < 20; i++) {
		if (!pair_committed(s[i]))
			continue;
		fake_replica_remove(&p->b.fake, fake_replica(&p->b.fake, s[i]->rec.name));
		fake_session_end(&p->a.fake, s[i]);
	}
	for (i = 0; i < 20; i++)
		WAIT_FOR(p, !s[i]->used || pair_committed(s[i]));
	assert_int_equal(host_peer(&p->a)->out.connects, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, pair_setup, pair_teardown)
		T(a_snapshot_arrives_and_is_acknowledged),
		T(only_what_changed_is_shipped),
		T(pages_become_holes),
		T(layout_meta_and_pages_come_in_pieces),
		T(an_empty_delta_moves_the_generation),
		T(many_generations_and_sessions),
		T(both_directions_at_once),
		T(a_big_delta_doesnt_block_a_small_one),
		T(pages_of_zeros_are_nothing),
		T(pages_are_compressed_where_it_gains),
		T(of_a_page_what_changed_is_sent),
		T(whole_pages_if_that_is_said_or_not_known),
		T(what_changed_isnt_applied_to_another_page),
		T(every_interruption_begins_with_whole_pages),
		T(memory_that_was_unmapped_comes_back),
		T(two_deltas_are_on_their_way_at_most),
		T(nothing_reaches_back_so_the_next_one_does),
		T(a_full_copy_is_told_with_its_cause),
		T(a_replica_is_removed_under_its_session),
		T(a_replica_is_removed_in_the_middle),
		T(a_session_without_a_name_is_not_shipped),
		T(a_session_ends_and_its_replica_stays),
		T(a_session_ends_in_the_middle),
		T(no_memory_for_a_stage_is_tried_again),
		T(a_limit_is_waited_for),
		T(the_end_of_memory_is_waited_for),
		T(one_without_room_keeps_nobody_back),
		T(a_commit_that_fails_is_tried_again),
		T(trouble_of_the_own_kernel_is_tried_again),
		T(lost_events_are_made_good_by_a_dump),
		T(only_commits_of_others_are_asked_about),
		T(the_module_comes_later),
		T(more_sessions_than_allowed_wait),
		T(the_spares_limit_may_be_another),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("shipping", tests, NULL, NULL);
}
