// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cptdevctl verify: replicas are compared with what was sent to them. The oracle is the pages
 * that the test itself has changed in a replica.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lines.h"
#include "pair.h"
#include "random.h"
#include "soft_parts.h"

static char why[400];
static const char *code;

static int setup(void **state)
{
	struct pair *p = calloc(1, sizeof(*p));

	rng = 0x243f6a8885a308d3ULL;
	pair_open(p);
	p->a.daemon.conf.checksums_mib = 64;
	p->b.daemon.conf.checksums_mib = 64;
	/* Of the daemons that are started anew as well. */
	p->a.conf.checksums_mib = p->b.conf.checksums_mib = 64;
	lines_keep();
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	lines_drop();
	return pair_teardown(state);
}

static u64 addr_of(u32 page)
{
	return FAKE_BASE + (u64)page * FAKE_PAGE;
}

static struct soft_replica *replica(struct pair *p)
{
	return fake_replica(&p->b.fake, "kv");
}

/* A session of so many pages, no two alike, which the spare has. */
static struct fake_session *session(struct pair *p, u32 pages)
{
	struct fake_session *s = fake_session(&p->a.fake, "kv", pages);

	fake_noise(s, 1);
	fake_publish(&p->a.fake, s);
	WAIT_FOR(p, pair_committed(s));
	return s;
}

static struct verify *begin(struct pair *p, bool force)
{
	return verify_begin(&p->a.daemon, "kv", force, &code, why, sizeof(why));
}

/* As far as it comes without another checkpoint. */
static bool rests(const struct verify *v)
{
	u32 i;

	for (i = 0; i < v->nr; i++)
		if (v->spare[i].state == VERIFY_COMPARING)
			return false;
	return true;
}

static const struct verify_spare *verify(struct pair *p)
{
	struct verify *v = begin(p, false);

	assert_non_null(v);
	WAIT_FOR(p, rests(v));
	assert_int_equal(v->nr, 1);
	return &v->spare[0];
}

static void assert_state(const struct verify_spare *sp, enum verify_state state)
{
	if (sp->state != state)
		fail_msg("%s instead of %s: %s", verify_word(sp->state), verify_word(state), sp->text);
}

/* The program takes the checkpoint that it is asked for. */
static const struct verify_spare *repaired(struct pair *p, struct fake_session *s)
{
	struct verify *v = verify_find(&p->a.daemon, "kv");

	WAIT_FOR(p, s->rec.flags & CPTDEV_GENL_SESSION_WANTED);
	fake_publish(&p->a.fake, s);
	WAIT_FOR(p, v->ended);
	assert_true(fake_same(replica(p), s));
	return &v->spare[0];
}

static void a_replica_is_what_was_sent(void **state)
{
	struct pair *p = *state;
	const struct verify_spare *sp;
	struct fake_session *s = session(p, 1300);

	sp = verify(p);
	assert_state(sp, VERIFY_SAME);
	assert_int_equal(sp->compared, 1300);
	assert_int_equal(sp->pages, 1300);
	assert_int_equal(sp->damaged, 0);
	assert_string_equal(sp->name, "beta");
	/* Deltas change it, with pages that become holes, and no other page. */
	fake_punch(s, 700);
	publish_some(&p->a, s, 3, 1);
	WAIT_FOR(p, pair_committed(s));
	sp = verify(p);
	assert_state(sp, VERIFY_SAME);
	assert_int_equal(sp->compared, 1300);
	assert_int_equal(sp->pages, 1299);
	assert_int_equal(sp->generation, 2);
	assert_int_equal(lines_with("differs"), 0);
}

static void a_flipped_byte_is_found_and_repaired(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = session(p, 1300);
	const struct verify_spare *sp;
	struct ship *ship;

	/* As the module: what is committed isn't kept. */
	s->reach = 1;
	fake_flip(replica(p), 777, 4095);
	assert_false(fake_same(replica(p), s));
	sp = verify(p);
	assert_state(sp, VERIFY_COPYING);
	assert_int_equal(sp->damaged, 1);
	assert_int_equal(sp->nr_addr, 1);
	assert_int_equal(sp->addr[0], addr_of(777));
	/* Both hosts say it: the one to its monitors, too. */
	assert_int_equal(lines_with("session kv: the replica on beta differs from what was sent to it: 1 pages, the first at address 0x10309000, generation 1"), 1);
	assert_int_equal(lines_with("replica kv differs from what alpha has sent: 1 pages, the first at address 0x10309000"), 1);
	sp = repaired(p, s);
	assert_state(sp, VERIFY_REPAIRED);
	assert_int_equal(sp->damaged, 1);
	assert_int_equal(sp->again, 0);
	assert_int_equal(sp->compared, 1300);
	assert_int_equal(s->delta_pages, 2600);
	ship = host_ship(&p->a, "kv");
	assert_int_equal(ship->full_copies, 2);
	/* It goes on from there, with what changes only. */
	publish_some(&p->a, s, 5, 5);
	WAIT_FOR(p, pair_committed(s));
	assert_int_equal(s->delta_pages, 2601);
	assert_state(verify(p), VERIFY_SAME);
}

/* Wherever it is: in the first page, the last one, a page that came with a later delta. */
static void each_page_that_differs_is_named(void **state)
{
	static const u32 pages[] = { 0, 511, 512, 600, 1299 };
	struct pair *p = *state;
	struct fake_session *s = session(p, 1300);
	const struct verify_spare *sp;
	u32 i;

	publish_some(&p->a, s, 600, 6);
	WAIT_FOR(p, pair_committed(s));
	for (i = 0; i < ARRAY_SIZE(pages); i++)
		fake_flip(replica(p), pages[i], i);
	sp = verify(p);
	assert_int_equal(sp->damaged, ARRAY_SIZE(pages));
	assert_int_equal(sp->nr_addr, ARRAY_SIZE(pages));
	for (i = 0; i < ARRAY_SIZE(pages); i++)
		assert_int_equal(sp->addr[i], addr_of(pages[i]));
	assert_state(repaired(p, s), VERIFY_REPAIRED);
}

static void a_page_too_few_and_one_too_many_are_found(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = session(p, 300);
	u64 first = FAKE_BASE / FAKE_PAGE, done;
	const struct verify_spare *sp;
	u8 data[FAKE_PAGE] = { 1 };

	fake_punch(s, 20);
	fake_publish(&p->a.fake, s);
	WAIT_FOR(p, pair_committed(s));
	soft_set_del(&replica(p)->content.set, first + 10, first + 11);
	soft_pages_write(&replica(p)->content, first + 20, data, 1, &done);
	sp = verify(p);
	assert_int_equal(sp->damaged, 2);
	assert_int_equal(sp->addr[0], addr_of(10));
	assert_int_equal(sp->addr[1], addr_of(20));
	assert_state(repaired(p, s), VERIFY_REPAIRED);
}

/* Memory that changes whatever is written to it. */
static void what_differs_again_is_not_called_repaired(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = session(p, 100);
	struct verify *v;

	fake_flip(replica(p), 7, 0);
	assert_state(verify(p), VERIFY_COPYING);
	v = verify_find(&p->a.daemon, "kv");
	WAIT_FOR(p, s->rec.flags & CPTDEV_GENL_SESSION_WANTED);
	fake_publish(&p->a.fake, s);
	WAIT_FOR(p, replica(p)->rec.generation == 2);
	fake_flip(replica(p), 7, 0);
	WAIT_FOR(p, v->ended);
	assert_state(&v->spare[0], VERIFY_DIFFERS);
	assert_int_equal(v->spare[0].again, 1);
	assert_non_null(strstr(v->spare[0].text, "faulty"));
}

/* A page that is sent anew has no trace of what it was. */
static void a_page_that_was_replaced_is_well(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = session(p, 100);

	p->a.daemon.conf.differences_mib = 0;
	fake_flip(replica(p), 7, 0);
	publish_some(&p->a, s, 7, 1);
	WAIT_FOR(p, pair_committed(s));
	assert_state(verify(p), VERIFY_SAME);
}

static void what_an_earlier_daemon_sent_is_unknown(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = session(p, 100);
	const struct verify_spare *sp;
	struct verify *v;

	host_kill(&p->a);
	host_start(&p->a);
	WAIT_FOR(p, host_ship(&p->a, "kv") && ship_follows(host_ship(&p->a, "kv")));
	fake_flip(replica(p), 7, 0);
	sp = verify(p);
	assert_state(sp, VERIFY_UNKNOWN);
	assert_non_null(strstr(sp->text, "verify --force"));
	/* What was sent since is known, and compared. */
	publish_some(&p->a, s, 8, 8);
	WAIT_FOR(p, pair_committed(s));
	sp = verify(p);
	assert_state(sp, VERIFY_SAME);
	assert_int_equal(sp->compared, 1);
	assert_int_equal(sp->pages, 100);
	/* By force, everything is sent and compared. */
	host_kill(&p->a);
	host_start(&p->a);
	WAIT_FOR(p, host_ship(&p->a, "kv") && ship_follows(host_ship(&p->a, "kv")));
	v = begin(p, true);
	assert_non_null(v);
	WAIT_FOR(p, s->rec.flags & CPTDEV_GENL_SESSION_WANTED);
	fake_publish(&p->a.fake, s);
	WAIT_FOR(p, v->ended);
	assert_state(&v->spare[0], VERIFY_SAME);
	assert_int_equal(v->spare[0].compared, 100);
	assert_true(fake_same(replica(p), s));
}

/* Links come and go, and what was sent before is still known. */
static void a_new_link_forgets_nothing(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = session(p, 1300);
	const struct verify_spare *sp;
	struct verify *v;

	host_kill(&p->b);
	WAIT_FOR(p, !host_ship(&p->a, "kv"));
	publish_some(&p->a, s, 1, 1);
	host_start(&p->b);
	WAIT_FOR(p, pair_committed(s));
	sp = verify(p);
	assert_state(sp, VERIFY_SAME);
	assert_int_equal(sp->compared, 1300);
	/* One that is lost in the middle ends it. */
	v = begin(p, false);
	assert_non_null(v);
	WAIT_FOR(p, host_ship(&p->a, "kv")->question.nr);
	host_kill(&p->b);
	WAIT_FOR(p, v->ended);
	assert_state(&v->spare[0], VERIFY_BROKEN);
	assert_non_null(strstr(v->spare[0].text, "link was lost"));
	/* The copy that is wanted is made on the next link. */
	host_start(&p->b);
	WAIT_FOR(p, host_ship(&p->a, "kv") && ship_follows(host_ship(&p->a, "kv")));
	fake_flip(replica(p), 9, 0);
	assert_state(verify(p), VERIFY_COPYING);
	host_kill(&p->b);
	WAIT_FOR(p, !host_ship(&p->a, "kv"));
	host_start(&p->b);
	assert_state(repaired(p, s), VERIFY_REPAIRED);
}

static void what_it_refuses(void **state)
{
	struct pair *p = *state;
	struct fake_session *s;
	struct verify *v;

	assert_null(begin(p, false));
	assert_string_equal(code, "no-session");
	s = session(p, 1300);
	v = begin(p, false);
	assert_non_null(v);
	/* One that runs is joined. */
	assert_ptr_equal(begin(p, false), v);
	WAIT_FOR(p, v->ended);
	/* The program ends in the middle. */
	v = begin(p, false);
	WAIT_FOR(p, host_ship(&p->a, "kv")->question.nr);
	fake_session_end(&p->a.fake, s);
	WAIT_FOR(p, v->ended);
	assert_state(&v->spare[0], VERIFY_BROKEN);
	assert_string_equal(v->spare[0].text, "the program has ended");
	assert_null(begin(p, false));
}

static void a_spare_that_left_is_none(void **state)
{
	struct pair *p = *state;

	session(p, 10);
	host_kill(&p->b);
	WAIT_FOR(p, !host_ship(&p->a, "kv"));
	assert_null(begin(p, false));
	assert_string_equal(code, "no-spare");
}

static void an_older_daemon_is_told_apart(void **state)
{
	struct pair *p = *state;
	const struct verify_spare *sp;

	host_kill(&p->b);
	host_start(&p->b);
	p->b.daemon.self.without = WIRE_FEATURE_VERIFY;
	WAIT_FOR(p, host_linked(&p->a));
	session(p, 10);
	sp = verify(p);
	assert_state(sp, VERIFY_OLD);
	assert_non_null(strstr(sp->text, "cptdevd of beta is too old"));
}

static void a_promoted_replica_is_not_compared(void **state)
{
	struct pair *p = *state;
	u64 term = 0, generation;
	struct verify *v;

	session(p, 1300);
	v = begin(p, false);
	WAIT_FOR(p, host_ship(&p->a, "kv")->question.nr);
	assert_int_equal(promotion_do(&p->b.daemon, "kv", &term, &generation, true), 0);
	WAIT_FOR(p, v->ended);
	assert_state(&v->spare[0], VERIFY_BROKEN);
}

static void without_memory_nothing_is_known(void **state)
{
	struct pair *p = *state;
	struct fake_session *s;

	p->a.daemon.conf.checksums_mib = 0;
	s = session(p, 100);
	assert_state(verify(p), VERIFY_UNKNOWN);
	/* What is sent from now on is. */
	p->a.daemon.conf.checksums_mib = 1;
	publish_some(&p->a, s, 3, 3);
	WAIT_FOR(p, pair_committed(s));
	assert_int_equal(verify(p)->compared, 1);
	p->a.daemon.conf.checksums_mib = 0;
	publish_some(&p->a, s, 4, 4);
	WAIT_FOR(p, pair_committed(s));
	assert_int_equal(p->a.daemon.checksums.used, 0);
	assert_state(verify(p), VERIFY_UNKNOWN);
}

/* Whatever happens meanwhile: a page that nobody has damaged doesn't differ. */
static void nothing_is_found_where_nothing_is(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = session(p, 600);
	struct verify *v = begin(p, false);
	u32 round, done = 0, i;

	p->a.daemon.conf.differences_mib = 4;
	for (round = 0; round < 200 || (done < 5 && round < 100000); round++) {
		for (i = 0; i < rnd(40); i++) {
			if (rnd(4))
				fake_write(s, rnd(s->pages), rnd(256));
			else
				fake_punch(s, rnd(s->pages));
		}
		s->segments = 1 + rnd(3);
		if (rnd(3))
			fake_publish(&p->a.fake, s);
		if (!rnd(60)) {
			struct host *h = rnd(2) ? &p->b : &p->a;

			host_kill(h);
			host_start(h);
			v = NULL;
		}
		pair_run(p, 0);
		if (v && v->ended) {
			assert_int_equal(v->spare[0].damaged, 0);
			done += v->spare[0].state == VERIFY_SAME;
		}
		if (!v || v->ended)
			v = begin(p, false);
	}
	publish_some(&p->a, s, 0, 1);
	WAIT_FOR(p, pair_committed(s));
	assert_state(verify(p), VERIFY_SAME);
	assert_int_equal(lines_with("differs from"), 0);
	assert_true(done >= 5);
}

/*
 * The table of checksums
 */

#define PIECE	((u64)WIRE_VERIFY_PAGES * FAKE_PAGE)

/* Of page @page of piece @piece. */
static u64 at(u32 piece, u32 page)
{
	return FAKE_BASE + piece * PIECE + (u64)page * FAKE_PAGE;
}

static void memory_is_bounded(void **state)
{
	struct sums_budget b = { .max = 3 * 16384 };
	struct sums *s = sums_new(&b, FAKE_PAGE);
	struct msg_verify m;
	u32 i, newer, n = 0;
	u64 next = 0;

	(void)state;
	for (i = 0; i < 100; i++)
		sums_page(s, 1, at(i, i), 100 + i);
	sums_sent(s, 0, 1);
	assert_in_range(b.used, 1, b.max);
	for (; sums_next(s, 1, next, &m, &newer); n++) {
		assert_int_equal(m.addr, at(n, n));
		assert_int_equal(m.nr, 1);
		assert_int_equal(m.sums[0], 100 + n);
		next = m.addr + (u64)m.nr * FAKE_PAGE;
	}
	assert_in_range(n, 2, 99);
	sums_clear(s);
	assert_int_equal(b.used, 0);
	assert_false(sums_next(s, 1, 0, &m, &newer));
	sums_free(s);
}

/* What the spare of each generation has to have, whoever was sent what first. */
static void each_generation_has_its_own(void **state)
{
	struct sums_budget b = { .max = 1 << 20 };
	struct sums *s = sums_new(&b, FAKE_PAGE);
	struct cptdev_segment seg = { .addr = at(0, 0), .len = 3 * FAKE_PAGE };
	struct msg_verify m;
	u32 newer;

	(void)state;
	/* Out of order, and nothing of it counts before it was sent. */
	sums_page(s, 1, at(0, 2), 12);
	sums_page(s, 1, at(0, 0), 10);
	sums_page(s, 1, at(0, 1), 11);
	assert_false(sums_next(s, 1, 0, &m, &newer));
	sums_sent(s, 0, 1);
	/* One spare is sent the next one; another one still has the first. */
	sums_page(s, 2, at(0, 1), 21);
	sums_holes(s, 2, at(0, 2), FAKE_PAGE);
	assert_true(sums_next(s, 1, 0, &m, &newer));
	assert_int_equal(m.nr, 1);
	assert_int_equal(m.sums[0], 10);
	assert_int_equal(newer, 2);
	sums_sent(s, 1, 2);
	assert_true(sums_next(s, 2, 0, &m, &newer));
	assert_int_equal(m.nr, 3);
	assert_int_equal(newer, 0);
	assert_int_equal(m.sums[1], 21);
	assert_int_equal(m.sums[2], WIRE_SUM_HOLE);
	/* The other one is sent it as well, from further back: nothing new. */
	sums_page(s, 2, at(0, 0), 10);
	sums_page(s, 1, at(0, 1), 11);
	sums_sent(s, 0, 2);
	assert_true(sums_next(s, 2, 0, &m, &newer));
	assert_int_equal(m.sums[1], 21);
	/* A page that isn't mapped any more. */
	seg.len = FAKE_PAGE;
	assert_true(sums_layout(s, 3, 77));
	sums_trim(s, 3, 0, ~0ULL, &seg, 1);
	sums_sent(s, 2, 3);
	assert_false(sums_layout(s, 4, 77));
	assert_true(sums_next(s, 3, 0, &m, &newer));
	assert_int_equal(m.nr, 1);
	/* Everything anew: what it doesn't have is a hole. */
	sums_page(s, 4, at(0, 5), 45);
	sums_sent(s, 0, 4);
	assert_true(sums_next(s, 4, 0, &m, &newer));
	assert_int_equal(m.addr, at(0, 0));
	assert_int_equal(m.nr, 6);
	assert_int_equal(m.sums[0], WIRE_SUM_HOLE);
	assert_int_equal(m.sums[5], 45);
	/* Changes between 4 and 6 were never seen. */
	sums_page(s, 7, at(0, 6), 76);
	sums_sent(s, 6, 7);
	assert_true(sums_next(s, 7, 0, &m, &newer));
	assert_int_equal(m.addr, at(0, 6));
	assert_int_equal(m.nr, 1);
	assert_false(sums_next(s, 8, 0, &m, &newer));
	sums_free(s);
}

/*
 * The frames
 */

static struct msg_verify question(void)
{
	static struct msg_verify m;

	memset(&m, 0, sizeof(m));
	m.generation = 5;
	m.addr = FAKE_BASE;
	m.nr = 3;
	m.sums[0] = 0x1122334455667788ULL;
	m.sums[1] = WIRE_SUM_HOLE;
	return m;
}

static void frames_have_these_bytes(void **state)
{
	static const u8 head[] = {
		5, 0, 0, 0, 0, 0, 0, 0,  0, 0, 0, 0x10, 0, 0, 0, 0,  3, 0, 0, 0,  0, 0, 0, 0,
		0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11,  1, 0, 0, 0, 0, 0, 0, 0,
		0, 0, 0, 0, 0, 0, 0, 0,
	};
	static const u8 answer[32] = {
		5, 0, 0, 0, 0, 0, 0, 0,  0, 0, 0, 0x10, 0, 0, 0, 0,  3, 0, 0, 0,  0, 0, 0, 0,
		9, 0, 0, 0, 0, 0, 0, 0,
	};
	static const u8 tail[9] = { 2, 0, 0, 0,  1, 0, 0, 0,  2 };
	struct msg_verified a = {
		.generation = 5, .addr = FAKE_BASE, .nr = 3, .pages = 9, .compared = 2,
	};
	struct msg_verify m = question();
	u8 buf[8192], page[4096] = { 1 };
	struct writer w = { .p = buf, .cap = sizeof(buf) };

	(void)state;
	verify_encode(&w, &m);
	assert_int_equal(w.len, sizeof(head));
	assert_memory_equal(buf, head, sizeof(head));
	w.len = 0;
	verified_set(&a, 1);
	verified_encode(&w, &a);
	assert_int_equal(w.len, 104);
	assert_memory_equal(buf, answer, sizeof(answer));
	assert_memory_equal(buf + 32, tail, sizeof(tail));
	/* XXH3-64 with seed 0, by xxhsum. */
	assert_true(page_sum(page, sizeof(page)) >= WIRE_SUM_MIN);
}

static int decode_verify(const struct msg_verify *m, size_t cut)
{
	static u8 buf[8192];
	struct writer w = { .p = buf, .cap = sizeof(buf) };
	struct msg_verify out;
	struct fault f;

	verify_encode(&w, m);
	return verify_decode(buf, w.len - cut, 4096, &out, &f);
}

static int decode_verified(const struct msg_verified *m, size_t cut)
{
	static u8 buf[256];
	struct writer w = { .p = buf, .cap = sizeof(buf) };
	struct msg_verified out;
	struct fault f;

	verified_encode(&w, m);
	return verified_decode(buf, w.len - cut, &out, &f);
}

static void wrong_frames_are_refused(void **state)
{
	struct msg_verified a = { .generation = 5, .addr = FAKE_BASE, .nr = 3, .compared = 2 };
	struct msg_verify m = question();
	u32 i;

	(void)state;
	assert_int_equal(decode_verify(&m, 0), 0);
	for (i = 1; i <= 48; i++)
		assert_int_equal(decode_verify(&m, i), -1);
	m.addr++;
	assert_int_equal(decode_verify(&m, 0), -1);
	m = question();
	m.addr = (1ULL << 63) - 2 * 4096;
	assert_int_equal(decode_verify(&m, 0), -1);
	m = question();
	m.generation = 0;
	assert_int_equal(decode_verify(&m, 0), -1);
	m = question();
	m.nr = 0;
	assert_int_equal(decode_verify(&m, 0), -1);
	assert_int_equal(decode_verified(&a, 0), 0);
	for (i = 1; i <= 104; i++)
		assert_int_equal(decode_verified(&a, i), -1);
	a.compared = 4;
	assert_int_equal(decode_verified(&a, 0), -1);
	a.compared = 2;
	a.damaged = 1;			/* and no bit */
	assert_int_equal(decode_verified(&a, 0), -1);
	a.damaged = 0;
	verified_set(&a, 3);		/* behind the last page */
	assert_int_equal(decode_verified(&a, 0), -1);
	a.bits[0] = 0;
	a.damaged = 0;
	a.code = WIRE_E_KERNEL;		/* and compared */
	assert_int_equal(decode_verified(&a, 0), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(a_replica_is_what_was_sent),
		T(a_flipped_byte_is_found_and_repaired),
		T(each_page_that_differs_is_named),
		T(a_page_too_few_and_one_too_many_are_found),
		T(what_differs_again_is_not_called_repaired),
		T(a_page_that_was_replaced_is_well),
		T(what_an_earlier_daemon_sent_is_unknown),
		T(a_new_link_forgets_nothing),
		T(what_it_refuses),
		T(a_spare_that_left_is_none),
		T(an_older_daemon_is_told_apart),
		T(a_promoted_replica_is_not_compared),
		T(without_memory_nothing_is_known),
		T(nothing_is_found_where_nothing_is),
		cmocka_unit_test(memory_is_bounded),
		cmocka_unit_test(each_generation_has_its_own),
		cmocka_unit_test(frames_have_these_bytes),
		cmocka_unit_test(wrong_frames_are_refused),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("verify", tests, NULL, NULL);
}
