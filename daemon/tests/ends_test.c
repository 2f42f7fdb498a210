// SPDX-License-Identifier: GPL-2.0-or-later
/* Programs that end, in order or otherwise: what is written down, told, and promoted. */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>
#include <linux/cptdev_netlink.h>

#include "end.h"
#include "json.h"
#include "lines.h"
#include "log.h"
#include "pair.h"

/* A program on A that B has everything of; one on B waits to take over. */
static struct fake_session *fed(struct pair *p)
{
	struct fake_session *s = fake_session(&p->a.fake, "kv", 10);

	p->b.daemon.conf.sessions.failover = FAILOVER_AUTO;
	publish_some(&p->a, s, 0, 1);
	WAIT_FOR(p, pair_committed(s));
	fake_replica(&p->b.fake, "kv")->rec.waiters = 1;
	return s;
}

static bool promoted(struct pair *p)
{
	return fake_replica(&p->b.fake, "kv")->promoted;
}

static const struct record *of(struct host *h)
{
	return record_of(&h->daemon, "kv");
}

static bool fed_by(struct pair *p)
{
	struct feed *f;

	LIST_FOREACH(f, &host_peer(&p->b)->feeds, entry)
		if (!strcmp(f->name, "kv"))
			return true;
	return false;
}

static void a_is_lost(struct pair *p)
{
	host_lose(&p->a);
	WAIT_FOR(p, host_peer(&p->b)->detector.state == DET_DEAD);
	pair_run(p, 50);
}

/* The network is away: both daemons live, and A can't connect. */
static void cut(struct pair *p)
{
	struct sockaddr_in *to = (struct sockaddr_in *)&p->a.daemon.conf.peers[0].addr;

	to->sin_port = htons(free_port());
	shutdown(host_peer(&p->a)->out.conn->fd, SHUT_RDWR);
	WAIT_FOR(p, host_peer(&p->a)->out.state != OUT_UP && !host_peer(&p->b)->in);
}

static void mend(struct pair *p)
{
	p->a.daemon.conf.peers[0].addr = p->a.conf.peers[0].addr;
	WAIT_FOR(p, host_linked(&p->a) && host_linked(&p->b));
	pair_run(p, 50);
}

/* Power is lost and comes back: the kernel's memory is gone, the disk isn't. */
static void boots(struct host *h, u8 boot)
{
	struct recorded *e;
	struct record r;

	/* The kernel of this machine stays: its records are of another one. */
	LIST_FOREACH(e, &h->daemon.records, entry) {
		r = e->r;
		memset(r.boot, boot, sizeof(r.boot));
		assert_int_equal(records_write(&h->daemon, &r), 0);
	}
	host_kill(h);
	fake_free(&h->fake);
	fake_init(&h->fake);
	host_start(h);
}

static void what_counts_as_order(void **state)
{
	(void)state;
	assert_int_equal(end_how(CPTDEV_END_CLOSED, 0), HOW_ORDER);
	assert_int_equal(end_how(CPTDEV_END_EXITED, 0), HOW_ORDER);
	assert_int_equal(end_how(CPTDEV_END_EXITED, 1), HOW_FAILED);
	assert_int_equal(end_how(CPTDEV_END_KILLED, 9), HOW_FAILED);
	/* A person's as well: nobody can tell. */
	assert_int_equal(end_how(CPTDEV_END_KILLED, 15), HOW_FAILED);
	assert_int_equal(end_how(CPTDEV_END_EXEC, 0), HOW_FAILED);
	assert_int_equal(end_how(CPTDEV_END_FAILED, 0), HOW_FAILED);
	assert_int_equal(end_how(CPTDEV_END_UNKNOWN, 0), HOW_UNKNOWN);
	assert_int_equal(end_how(99, 0), HOW_UNKNOWN);
}

static void an_end_in_order_is_on_both_disks(void **state)
{
	struct pair *p = *state;

	fake_session_end(&p->a.fake, fed(p));
	WAIT_FOR(p, of(&p->b)->ended);
	assert_true(of(&p->a)->ended);
	host_kill(&p->a);
	host_kill(&p->b);
	host_start(&p->a);
	host_start(&p->b);
	assert_true(of(&p->a)->ended && of(&p->b)->ended);
	assert_false(of(&p->a)->failed || of(&p->b)->failed);
	WAIT_FOR(p, host_linked(&p->a) && host_linked(&p->b));
	p->b.daemon.conf.sessions.failover = FAILOVER_AUTO;
	a_is_lost(p);
	assert_false(promoted(p));
}

/* A list of what lives is read before the event. */
static void a_list_does_not_hide_the_reason(void **state)
{
	struct pair *p = *state;

	fake_session_end(&p->a.fake, fed(p));
	known_refresh(&p->a.daemon);
	assert_true(of(&p->a)->ended);
}

static void who_is_killed_is_taken_over_from_at_once(void **state)
{
	struct pair *p = *state;

	lines_keep();
	fake_session_end_by(&p->a.fake, fed(p), CPTDEV_END_KILLED, 9);
	WAIT_FOR(p, promoted(p));
	assert_int_not_equal(host_peer(&p->b)->detector.state, DET_DEAD);
	assert_int_equal(lines_with("was killed by signal 9"), 2);
	lines_drop();
	assert_false(of(&p->a)->ended);
	assert_int_equal(of(&p->b)->role, RECORD_PROMOTED);
	/* The host that lives is no failover's. */
	assert_int_equal(host_peer(&p->b)->failover.replicas, 0);
}

static void so_is_who_exits_with_an_error(void **state)
{
	struct pair *p = *state;

	fake_session_end_by(&p->a.fake, fed(p), CPTDEV_END_EXITED, 3);
	WAIT_FOR(p, promoted(p));
}

static void who_exits_with_success_is_not(void **state)
{
	struct pair *p = *state;

	fake_session_end_by(&p->a.fake, fed(p), CPTDEV_END_EXITED, 0);
	WAIT_FOR(p, of(&p->b)->ended);
	pair_run(p, 600);
	assert_false(promoted(p));
	a_is_lost(p);
	assert_false(promoted(p));
}

/* Nobody saw it: that may have been in order. */
static void an_end_that_nobody_saw(void **state)
{
	struct pair *p = *state;

	fake_session_end_by(&p->a.fake, fed(p), CPTDEV_END_UNKNOWN, 0);
	WAIT_FOR(p, !fed_by(p));
	assert_false(of(&p->a)->ended || of(&p->b)->ended);
	a_is_lost(p);
	assert_false(promoted(p));
}

/* Power that is lost later doesn't make a failure of it. */
static void nor_is_it_a_failure_when_its_host_is_started_anew(void **state)
{
	struct pair *p = *state;

	fake_session_end_by(&p->a.fake, fed(p), CPTDEV_END_UNKNOWN, 0);
	WAIT_FOR(p, !fed_by(p));
	boots(&p->a, 0xaa);
	WAIT_FOR(p, host_linked(&p->a) && host_linked(&p->b));
	pair_run(p, 100);
	assert_false(promoted(p) || of(&p->b)->failed);
}

/* In order, but there was nobody to write that down. */
static void an_end_while_the_daemon_was_away(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fed(p);

	host_kill(&p->a);
	fake_session_end(&p->a.fake, s);
	host_start(&p->a);
	assert_true(of(&p->a)->unseen);
	WAIT_FOR(p, !fed_by(p) && host_linked(&p->a) && host_linked(&p->b));
	boots(&p->a, 0xaa);
	WAIT_FOR(p, host_linked(&p->a) && host_linked(&p->b));
	pair_run(p, 100);
	assert_false(promoted(p) || of(&p->b)->failed);
	assert_false(of(&p->a)->ended);
}

/* It lives, and the host that is lost with it later is taken over from. */
static void who_lives_on_has_not_ended_unseen(void **state)
{
	struct pair *p = *state;

	fed(p);
	host_kill(&p->a);
	host_start(&p->a);
	assert_false(of(&p->a)->unseen);
	WAIT_FOR(p, host_linked(&p->a) && host_linked(&p->b));
	boots(&p->a, 0xaa);
	WAIT_FOR(p, promoted(p));
}

/* Until then the spare's program was away. */
static void a_program_that_waits_later_is_in_time(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fed(p);

	fake_replica(&p->b.fake, "kv")->rec.waiters = 0;
	fake_session_end_by(&p->a.fake, s, CPTDEV_END_KILLED, 11);
	WAIT_FOR(p, of(&p->b)->failed);
	pair_run(p, 50);
	assert_false(promoted(p));
	fake_replica(&p->b.fake, "kv")->rec.waiters = 1;
	WAIT_FOR(p, promoted(p));
}

static void who_is_to_stay_stays_until_the_host_is_lost(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fed(p);

	p->b.daemon.conf.sessions.on_exit = ON_EXIT_STAY;
	lines_keep();
	fake_session_end_by(&p->a.fake, s, CPTDEV_END_KILLED, 11);
	WAIT_FOR(p, of(&p->b)->failed);
	pair_run(p, 600);
	assert_false(promoted(p));
	assert_int_equal(lines_with("on_exit = stay: to go on with kv here, run: cptdevctl promote kv"), 1);
	lines_drop();
	a_is_lost(p);
	assert_true(promoted(p));
}

static void nothing_is_promoted_unless_that_is_configured(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fed(p);

	p->b.daemon.conf.sessions.failover = FAILOVER_MANUAL;
	lines_keep();
	fake_session_end_by(&p->a.fake, s, CPTDEV_END_KILLED, 11);
	WAIT_FOR(p, of(&p->b)->failed);
	pair_run(p, 600);
	assert_false(promoted(p));
	assert_int_equal(lines_with("failover = manual: to go on with kv here"), 1);
	lines_drop();
}

/*
 * Without a link
 */

static void an_end_in_order_without_a_link_is_told_later(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fed(p);

	cut(p);
	fake_session_end(&p->a.fake, s);
	pair_run(p, 20);
	assert_false(of(&p->b)->ended);
	mend(p);
	WAIT_FOR(p, of(&p->b)->ended);
	a_is_lost(p);
	assert_false(promoted(p));
}

static void a_failure_without_a_link_is_told_later(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fed(p);

	cut(p);
	fake_session_end_by(&p->a.fake, s, CPTDEV_END_KILLED, 9);
	pair_run(p, 20);
	assert_false(promoted(p));
	mend(p);
	WAIT_FOR(p, promoted(p));
}

/* The list of what lives, which comes next, doesn't take that back. */
static void nor_does_the_list_hide_it(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fed(p);

	fake_replica(&p->b.fake, "kv")->rec.waiters = 0;
	cut(p);
	fake_session_end_by(&p->a.fake, s, CPTDEV_END_KILLED, 9);
	mend(p);
	WAIT_FOR(p, host_peer(&p->a)->out.listed && of(&p->b)->failed);
	pair_run(p, 50);
	assert_false(promoted(p));
	fake_replica(&p->b.fake, "kv")->rec.waiters = 1;
	WAIT_FOR(p, promoted(p));
}

/* Also by another daemon. */
static void a_failure_is_remembered(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fed(p);

	cut(p);
	fake_session_end_by(&p->a.fake, s, CPTDEV_END_KILLED, 9);
	pair_run(p, 20);
	host_kill(&p->a);
	host_start(&p->a);
	WAIT_FOR(p, promoted(p));
}

/* Faster than the time-out: nobody has missed it. */
static void a_host_that_is_back_soon_has_lost_its_program(void **state)
{
	struct pair *p = *state;

	fed(p);
	boots(&p->a, 0xaa);
	WAIT_FOR(p, promoted(p));
	assert_int_not_equal(host_peer(&p->b)->detector.state, DET_DEAD);
}

/* The spare's host has heard of neither. */
static void ended_and_begun_anew_without_a_link(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fed(p), *t;

	cut(p);
	fake_session_end(&p->a.fake, s);
	pair_run(p, 20);
	t = fake_session(&p->a.fake, "kv", 10);
	publish_some(&p->a, t, 0, 7);
	pair_run(p, 20);
	mend(p);
	WAIT_FOR(p, pair_committed(t));
	assert_true(fake_same(fake_replica(&p->b.fake, "kv"), t));
	a_is_lost(p);
	assert_true(promoted(p));
}

/* What ended is not promoted in the place of what has only just begun. */
static void what_ended_is_not_taken_for_what_begins(void **state)
{
	struct pair *p = *state;

	fake_session_end(&p->a.fake, fed(p));
	WAIT_FOR(p, of(&p->b)->ended);
	fake_session(&p->a.fake, "kv", 10);
	WAIT_FOR(p, fed_by(p));
	a_is_lost(p);
	assert_false(promoted(p));
}

/*
 * What isn't an end
 */

/* Its record is damaged, say: the program lives, and nobody has ended it. */
static void a_session_that_is_barred_has_not_ended(void **state)
{
	struct pair *p = *state;
	struct known *k;

	fed(p);
	k = LIST_FIRST(&p->a.daemon.sessions);
	strcpy(k->barred, "for a test");
	out_known(&host_peer(&p->a)->out, k);
	WAIT_FOR(p, LIST_EMPTY(&host_peer(&p->b)->in->channels));
	assert_true(fed_by(p));
	assert_false(of(&p->b)->ended);
}

/* Whoever was overtaken has no say. */
static void who_was_fenced_ends_nothing(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fed(p);
	u64 term = 0, generation;

	assert_int_equal(promotion_do(&p->b.daemon, "kv", &term, &generation, false), 0);
	WAIT_FOR(p, s->fenced);
	fake_session_end_by(&p->a.fake, s, CPTDEV_END_EXITED, 0);
	pair_run(p, 100);
	assert_false(of(&p->a)->ended);
	assert_false(of(&p->b)->ended);
}

/* It was acknowledged more than the replica has. */
static void a_replica_that_lacks_something_is_not_promoted(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fed(p);

	assert_int_equal(records_progress(&p->a.daemon, "kv", s->rec.uuid, 9), 0);
	lines_keep();
	fake_session_end_by(&p->a.fake, s, CPTDEV_END_KILLED, 9);
	WAIT_FOR(p, of(&p->b)->outdated);
	assert_int_equal(lines_with("it acknowledged generation 9, which the replica lacks"), 1);
	lines_drop();
	a_is_lost(p);
	assert_false(promoted(p));
}

static bool shown_as_hung(struct host *h)
{
	struct known *k = known_find_name(&h->daemon, "kv");
	struct json_object *o = status_session(&h->daemon, k);
	bool hung = json_object_get_boolean(js_at(o, "hung"));

	json_object_put(o);
	return hung;
}

/* Unless it is wanted, nothing follows but that it is shown. */
/* Its record has the generation of a moment ago, and another node had the newest one. */
static void nor_is_one_that_another_spare_took_the_place_of(void **state)
{
	static const struct node other = { .uuid = { 9 }, .name = "other" };
	struct pair *p = *state;
	struct fake_session *s = fed(p);

	assert_int_equal(records_follow(&p->a.daemon, "kv", &other), 0);
	assert_int_equal(records_unfollow(&p->a.daemon, "kv", p->b.daemon.self.uuid), 0);
	lines_keep();
	fake_session_end_by(&p->a.fake, s, CPTDEV_END_KILLED, 9);
	WAIT_FOR(p, records_is_outdated(&p->b.daemon, "kv"));
	assert_int_equal(lines_with("it acknowledged data without this host, which the replica lacks"), 1);
	pair_run(p, 100);
	assert_false(promoted(p));
}

static void a_program_that_hangs_is_left_alone(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fed(p);

	fake_hang(&p->a.fake, s, true);
	WAIT_FOR(p, shown_as_hung(&p->a));
	pair_run(p, 300);
	assert_false(promoted(p) || s->fenced || of(&p->a)->failed);
	fake_hang(&p->a.fake, s, false);
	WAIT_FOR(p, !shown_as_hung(&p->a));
}

static void a_program_that_hangs_is_fenced_and_taken_over_from(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fed(p);

	p->a.daemon.conf.sessions.on_hang = ON_HANG_FAILOVER;
	fake_hang(&p->a.fake, s, true);
	do {
		assert_false(promoted(p) && !s->fenced);
		pair_run(p, 0);
	} while (!s->fenced);
	WAIT_FOR(p, promoted(p));
	assert_true(of(&p->a)->failed);
}

static void nobody_is_fenced_that_has_no_spare(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fed(p);

	p->a.daemon.conf.sessions.on_hang = ON_HANG_FAILOVER;
	cut(p);
	fake_hang(&p->a.fake, s, true);
	WAIT_FOR(p, shown_as_hung(&p->a));
	pair_run(p, 100);
	assert_false(s->fenced);
}

/* And nor is one that is gone with its host's memory: what it had isn't forgotten for that. */
static void a_replica_that_is_gone_is_remembered(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fed(p);

	host_kill(&p->a);
	boots(&p->b, 0xbb);
	fake_session_end_by(&p->a.fake, s, CPTDEV_END_KILLED, 9);
	host_start(&p->a);
	WAIT_FOR(p, host_linked(&p->a) && host_linked(&p->b));
	pair_run(p, 50);
	assert_int_equal(of(&p->b)->generation, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, pair_setup, pair_teardown)
		cmocka_unit_test(what_counts_as_order),
		T(an_end_in_order_is_on_both_disks),
		T(a_list_does_not_hide_the_reason),
		T(who_is_killed_is_taken_over_from_at_once),
		T(so_is_who_exits_with_an_error),
		T(who_exits_with_success_is_not),
		T(an_end_that_nobody_saw),
		T(nor_is_it_a_failure_when_its_host_is_started_anew),
		T(an_end_while_the_daemon_was_away),
		T(who_lives_on_has_not_ended_unseen),
		T(a_program_that_waits_later_is_in_time),
		T(who_is_to_stay_stays_until_the_host_is_lost),
		T(nothing_is_promoted_unless_that_is_configured),
		T(an_end_in_order_without_a_link_is_told_later),
		T(a_failure_without_a_link_is_told_later),
		T(nor_does_the_list_hide_it),
		T(a_failure_is_remembered),
		T(a_host_that_is_back_soon_has_lost_its_program),
		T(ended_and_begun_anew_without_a_link),
		T(what_ended_is_not_taken_for_what_begins),
		T(a_session_that_is_barred_has_not_ended),
		T(who_was_fenced_ends_nothing),
		T(a_replica_that_lacks_something_is_not_promoted),
		T(nor_is_one_that_another_spare_took_the_place_of),
		T(a_program_that_hangs_is_left_alone),
		T(a_program_that_hangs_is_fenced_and_taken_over_from),
		T(nobody_is_fenced_that_has_no_spare),
		T(a_replica_that_is_gone_is_remembered),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("ends of programs", tests, NULL, NULL);
}
