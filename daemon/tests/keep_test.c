// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A program that fails on a healthy host goes on there from its last generation (keep = restart): the
 * rules as a table, the soft engine's copy, and two daemons.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "pair.h"
#include "uuid.h"

static const u8 alpha[CPTDEV_UUID_LEN] = { 0xa }, beta[CPTDEV_UUID_LEN] = { 0xb };
static const u8 one[CPTDEV_UUID_LEN] = { 1 }, two[CPTDEV_UUID_LEN] = { 2 };
static const u8 boot[CPTDEV_UUID_LEN] = { 0xb0 };

/*
 * The rules
 */

static struct cptdev_image_info image(const u8 *session, u64 term, u64 generation, u32 state)
{
	struct cptdev_image_info info = { .term = term, .generation = generation, .state = state };

	memcpy(info.uuid, session, sizeof(info.uuid));
	return info;
}

static bool goes_on(const struct record *r, const u8 *session, u64 term, u64 generation, u32 state)
{
	const struct cptdev_image_info info = image(session, term, generation, state);

	return record_goes_on_from(r, &info);
}

#define KEPT	CPTDEV_IMAGE_KEPT
#define BEGAN	(CPTDEV_IMAGE_KEPT | CPTDEV_IMAGE_PROMOTED)

static void what_lacks_nothing_is_gone_on_from(void **state)
{
	struct record r = {}, before;

	(void)state;
	record_started(&r, "kv", one, 1, alpha, boot);
	r.generation = 5;
	assert_true(goes_on(&r, one, 1, 5, KEPT));
	assert_true(goes_on(&r, one, 1, 6, KEPT));
	assert_false(goes_on(&r, one, 1, 4, KEPT));
	assert_false(goes_on(&r, two, 1, 9, KEPT));
	/* It wasn't kept by this host, but sent by another one. */
	assert_false(goes_on(&r, one, 1, 5, 0));
	assert_false(goes_on(&r, one, 1, 5, KEPT | CPTDEV_IMAGE_REMOVED));
	before = r;
	r.outdated = true;
	assert_false(goes_on(&r, one, 1, 5, KEPT));
	r = before;
	r.ended = true;
	assert_false(goes_on(&r, one, 1, 5, KEPT));
	r = before;
	r.split = true;
	assert_false(goes_on(&r, one, 1, 5, KEPT));
	r = before;
	r.handed = 2;
	assert_false(goes_on(&r, one, 1, 5, KEPT));
	r = before;
	r.role = RECORD_SPARE;
	assert_false(goes_on(&r, one, 1, 5, KEPT));
}

/* The next program fails before it is acknowledged anything: what it began from is as good. */
static void until_the_next_one_is_acknowledged(void **state)
{
	struct record r = {};

	(void)state;
	record_started(&r, "kv", one, 1, alpha, boot);
	r.generation = 5;
	assert_int_equal(record_promote(&r, "kv", 0, 1, alpha), 0);
	assert_false(goes_on(&r, one, 2, 5, BEGAN));
	record_promoted(&r, true);
	assert_true(goes_on(&r, one, 2, 5, BEGAN));
	assert_false(goes_on(&r, one, 1, 5, KEPT));
	record_started(&r, "kv", two, 2, alpha, boot);
	assert_true(goes_on(&r, one, 2, 5, BEGAN));
	/* Of another promotion. */
	assert_false(goes_on(&r, one, 3, 5, BEGAN));
	assert_false(goes_on(&r, one, 2, 5, KEPT));
	record_take_back(&r, alpha);
	assert_true(goes_on(&r, one, 2, 5, BEGAN));
	r.role = RECORD_PRIMARY;
	r.term = 2;
	record_progress(&r, 1);
	assert_false(goes_on(&r, one, 2, 5, BEGAN));
	assert_true(goes_on(&r, two, 2, 1, KEPT));
}

/* If the other host goes on, that it is lost is shown. */
static void what_was_acknowledged_alone_stays_on_record(void **state)
{
	struct record r = {};

	(void)state;
	record_started(&r, "kv", one, 1, alpha, boot);
	r.generation = 5;
	r.alone_since = 7;
	record_promote(&r, "kv", 0, 1, alpha);
	record_promoted(&r, true);
	record_started(&r, "kv", two, 2, alpha, boot);
	assert_int_equal(r.alone_since, 7);
	assert_true(record_lacked(&r, beta));
	/* Of a replica that was promoted: not its own. */
	record_fed(&r, "kv", one, 3, beta, boot);
	record_promote(&r, "kv", 0, 3, alpha);
	record_promoted(&r, true);
	record_started(&r, "kv", one, 4, alpha, boot);
	assert_int_equal(r.alone_since, 0);
}

static void a_spare_is_a_rival_unless_it_is_outdated(void **state)
{
	struct record r = {};

	(void)state;
	record_started(&r, "kv", one, 1, alpha, boot);
	assert_false(record_has_rival(&r));
	record_follow(&r, beta, "beta");
	assert_true(record_has_rival(&r));
	r.alone_since = 1;
	assert_false(record_has_rival(&r));
	r.alone_since = 0;
	record_take_back(&r, alpha);
	assert_true(record_has_rival(&r));
	record_promote(&r, "kv", 0, 1, alpha);
	assert_false(record_has_rival(&r));
}

static void one_of_both_goes_on(void **state)
{
	struct record r = {}, before;

	(void)state;
	assert_int_equal(record_yields(NULL, 2, alpha), SOURCE_OK);
	record_fed(&r, "kv", one, 1, alpha, boot);
	record_progress(&r, 5);
	before = r;
	assert_int_equal(record_yields(&r, 2, alpha), SOURCE_OK);
	record_yielded(&r, one, 2, alpha);
	assert_true(r.outdated && r.source && r.term == 2);
	/* The question may come again, and it may be given back if the owner loses its copy. */
	assert_int_equal(record_yields(&r, 2, alpha), SOURCE_OK);
	assert_int_equal(record_source(&r, one, 2, alpha, true), SOURCE_OK);
	/* What was outdated before isn't a source. */
	r = before;
	r.outdated = true;
	record_yielded(&r, one, 2, alpha);
	assert_false(r.source);
	/* It was promoted first. */
	r = before;
	record_promote(&r, "kv", 0, 1, beta);
	record_promoted(&r, true);
	assert_int_equal(record_yields(&r, 2, alpha), SOURCE_FENCED);
	assert_int_equal(record_yields(&r, 3, alpha), SOURCE_FENCED);
	/* And its program has gone on. */
	record_started(&r, "kv", two, 2, beta, boot);
	assert_int_equal(record_yields(&r, 2, alpha), SOURCE_FENCED);
}

/*
 * Two daemons
 */

static enum start_answer asked(struct host *h, struct start_text *t)
{
	return start_asked(&h->daemon, "kv", t);
}

static struct soft_replica *replica(struct host *h)
{
	return fake_replica(&h->fake, "kv");
}

/* A program of the name waits for a promotion: with a replica, which it makes. */
static void wait_on(struct host *h, bool waits)
{
	h->fake.kernel.ops->create(&h->fake.kernel, "kv", 1000);
	replica(h)->rec.waiters = waits;
}

static const struct record *record(struct host *h)
{
	return record_of(&h->daemon, "kv");
}

static bool promoted(struct host *h)
{
	return replica(h) && replica(h)->promoted;
}

static void configure(struct host *h)
{
	h->daemon.conf.sessions.keep = KEEP_RESTART;
	h->daemon.conf.sessions.keep_s = 60;
	h->daemon.conf.sessions.restart_s = 30;
	h->daemon.conf.sessions.failover = FAILOVER_AUTO;
}

static u8 content[40 * FAKE_PAGE];

static struct fake_session *begin(struct pair *p, bool followed)
{
	struct fake_session *s;
	u32 i;

	configure(&p->a);
	configure(&p->b);
	if (!followed)
		host_lose(&p->b);
	s = fake_session(&p->a.fake, "kv", 40);
	WAIT_FOR(p, s->keeps);
	for (i = 0; i < 30; i++)
		fake_write(s, i + (i > 12), i + 1);
	fake_publish(&p->a.fake, s);
	assert_true(fake_same(replica(&p->a), s));
	if (!followed)
		return s;
	WAIT_FOR(p, pair_committed(s));
	fake_punch(s, 5);
	publish_some(&p->a, s, 3, 99);
	assert_true(fake_same(replica(&p->a), s));
	WAIT_FOR(p, pair_committed(s));
	memcpy(content, s->mem, sizeof(content));
	return s;
}

static void kill_it(struct pair *p, struct fake_session *s)
{
	fake_session_end_by(&p->a.fake, s, CPTDEV_END_KILLED, 9);
	WAIT_FOR(p, record(&p->a)->failed);
}

static void assert_content(struct host *h, const u8 *pages)
{
	static const u8 zeros[FAKE_PAGE];
	u32 i;

	for (i = 0; i < 40; i++)
		assert_memory_equal(fake_page(replica(h), i) ?: zeros, pages + i * FAKE_PAGE, FAKE_PAGE);
}

/* The program that was promoted claims it, and begins a session with what was there. */
static struct fake_session *go_on(struct pair *p)
{
	struct fake_session *s = fake_session_with(&p->a.fake, "kv", 40, record(&p->a)->term, 0);

	replica(&p->a)->rec.waiters = 0;
	replica(&p->a)->taken_ns = 1;
	memcpy(s->mem, content, sizeof(content));
	memset(s->dirty, true, 40 * sizeof(*s->dirty));
	WAIT_FOR(p, s->keeps);
	return s;
}

static void it_goes_on_on_the_spot(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = begin(p, true);
	struct start_text t;
	int i;

	wait_on(&p->b, true);
	for (i = 0; i < 3; i++) {
		kill_it(p, s);
		pair_run(p, 300);
		/* The spare, which a program waits for, hasn't heard of it. */
		assert_false(promoted(&p->b) || record(&p->b)->failed);
		assert_int_equal(asked(&p->a, &t), ANSWER_TAKE_BACK);
		assert_non_null(strstr(t.text, "was kept on this host"));
		assert_false(promoted(&p->a));
		wait_on(&p->a, true);
		WAIT_FOR(p, promoted(&p->a));
		assert_content(&p->a, content);
		assert_true(record(&p->b)->outdated);
		assert_int_equal(record(&p->a)->role, RECORD_PROMOTED);
		s = go_on(p);
		content[4 * FAKE_PAGE] = i + 7;
		fake_poke(s, 4, 0, i + 7, 1);
		fake_publish(&p->a.fake, s);
		assert_true(fake_same(replica(&p->a), s));
		WAIT_FOR(p, pair_committed(s) && !record(&p->b)->outdated);
		assert_true(fake_same(replica(&p->b), s));
		assert_false(promoted(&p->b));
	}
	assert_int_equal(record(&p->a)->term, 7);
}

/* It is killed again and again, before it is acknowledged anything. */
static void whoever_fails_at_once_goes_on_again(void **state)
{
	struct pair *p = *state;
	struct start_text t;
	struct fake_session *s = begin(p, true);
	u64 term;

	kill_it(p, s);
	assert_int_equal(asked(&p->a, &t), ANSWER_TAKE_BACK);
	wait_on(&p->a, true);
	WAIT_FOR(p, promoted(&p->a));
	/* It was promoted, and the program is gone. */
	term = record(&p->a)->term;
	assert_int_equal(asked(&p->a, &t), ANSWER_TAKE_BACK);
	WAIT_FOR(p, record(&p->a)->term > term && promoted(&p->a));
	assert_content(&p->a, content);
	/* It had claimed it, and begun a session. */
	s = go_on(p);
	pair_run(p, 100);
	fake_session_end_by(&p->a.fake, s, CPTDEV_END_KILLED, 9);
	term = record(&p->a)->term;
	assert_int_equal(asked(&p->a, &t), ANSWER_TAKE_BACK);
	wait_on(&p->a, true);
	WAIT_FOR(p, record(&p->a)->term > term && record(&p->a)->role == RECORD_PROMOTED);
	assert_content(&p->a, content);
	/* And published, which nobody has acknowledged: that is what it goes on from. */
	s = go_on(p);
	host_kill(&p->b);
	content[0] = 77;
	publish_some(&p->a, s, 0, 77);
	memset(content, 77, FAKE_PAGE);
	fake_session_end_by(&p->a.fake, s, CPTDEV_END_KILLED, 9);
	host_start(&p->b);
	configure(&p->b);
	WAIT_FOR(p, host_linked(&p->a) && host_linked(&p->b));
	assert_int_equal(asked(&p->a, &t), ANSWER_TAKE_BACK);
	wait_on(&p->a, true);
	WAIT_FOR(p, promoted(&p->a));
	assert_content(&p->a, content);
}

static void the_spare_takes_over_if_it_isnt_back(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = begin(p, true);
	struct start_text t;

	p->a.daemon.conf.sessions.restart_s = 1;
	p->a.daemon.conf.sessions.keep_s = 3;
	wait_on(&p->b, true);
	kill_it(p, s);
	WAIT_FOR(p, promoted(&p->b));
	assert_content(&p->b, content);
	WAIT_FOR(p, record(&p->a)->outdated);
	/* Too late: the program is the spare. What was kept is a copy until it is fed, or for its time. */
	assert_int_equal(asked(&p->a, &t), ANSWER_SPARE);
	assert_content(&p->a, content);
	WAIT_FOR(p, !replica(&p->a));
}

static void both_at_once_and_one_goes_on(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = begin(p, true);
	u64 term = 0, generation;
	struct start_text t;

	kill_it(p, s);
	wait_on(&p->a, true);
	assert_int_equal(asked(&p->a, &t), ANSWER_TAKE_BACK);
	/* The question is on its way, and the spare is promoted: by whoever. */
	while (record(&p->a)->role != RECORD_TAKING)
		loop_turn(&p->a.daemon.loop, 1);
	assert_int_equal(promotion_do(&p->b.daemon, "kv", &term, &generation, false), 0);
	WAIT_FOR(p, record(&p->a)->outdated);
	pair_run(p, 300);
	assert_false(promoted(&p->a));
	assert_int_equal(asked(&p->a, &t), ANSWER_SPARE);
	assert_false(records_split(&p->a.daemon, "kv") || records_split(&p->b.daemon, "kv"));
}

static void and_the_other_way_round(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = begin(p, true);
	u64 term = 0, generation;
	struct start_text t;

	kill_it(p, s);
	wait_on(&p->a, true);
	assert_int_equal(asked(&p->a, &t), ANSWER_TAKE_BACK);
	WAIT_FOR(p, record(&p->b)->outdated);
	assert_int_equal(promotion_do(&p->b.daemon, "kv", &term, &generation, false), -EREMCHG);
	WAIT_FOR(p, promoted(&p->a));
}

/* The spare may have been promoted: nobody knows before the hosts are linked again. */
static void without_a_link_it_waits(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = begin(p, true);
	u64 term = 0, generation;
	struct start_text t;

	host_kill(&p->b);
	WAIT_FOR(p, host_peer(&p->a)->out.state != OUT_UP);
	kill_it(p, s);
	wait_on(&p->a, true);
	assert_int_equal(asked(&p->a, &t), ANSWER_TAKE_BACK);
	assert_non_null(strstr(t.text, "when the hosts are linked"));
	pair_run(p, 300);
	assert_false(promoted(&p->a));
	/* A person who knows that the spare was not promoted says so. */
	assert_int_equal(promotion_do(&p->a.daemon, "kv", &term, &generation, false), -EINPROGRESS);
	host_start(&p->b);
	configure(&p->b);
	WAIT_FOR(p, promoted(&p->a));
	assert_content(&p->a, content);
}

static void without_a_spare_nobody_is_asked(void **state)
{
	struct pair *p = *state;
	struct fake_session *s;
	struct start_text t;

	p->a.daemon.conf.sessions.alone = CONF_GO_ON;
	s = begin(p, false);
	WAIT_FOR(p, pair_committed(s));
	memcpy(content, s->mem, sizeof(content));
	kill_it(p, s);
	wait_on(&p->a, true);
	assert_int_equal(asked(&p->a, &t), ANSWER_TAKE_BACK);
	WAIT_FOR(p, promoted(&p->a));
	assert_content(&p->a, content);
	assert_int_equal(record(&p->a)->term, 2);
	/* The last copy stays, however long nobody comes. */
	p->a.daemon.conf.sessions.keep_s = 1;
	s = go_on(p);
	publish_some(&p->a, s, 3, 3);
	WAIT_FOR(p, pair_committed(s));
	kill_it(p, s);
	pair_run(p, 1500);
	assert_int_equal(asked(&p->a, &t), ANSWER_TAKE_BACK);
	host_start(&p->b);
}

static void who_ends_in_order_begins_anew(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = begin(p, true);
	struct start_text t;

	fake_session_end(&p->a.fake, s);
	WAIT_FOR(p, record(&p->a)->ended && !replica(&p->a));
	assert_int_equal(asked(&p->a, &t), ANSWER_FRESH);
}

/* A program that doesn't ask is barred, and overwrites nothing. */
static void an_empty_program_overwrites_nothing(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = begin(p, true);
	struct start_text t;

	kill_it(p, s);
	s = fake_session(&p->a.fake, "kv", 40);
	publish_some(&p->a, s, 1, 1);
	pair_run(p, 200);
	assert_false(s->keeps);
	assert_content(&p->a, content);
	fake_session_end_by(&p->a.fake, s, CPTDEV_END_KILLED, 9);
	pair_run(p, 50);
	assert_int_equal(asked(&p->a, &t), ANSWER_TAKE_BACK);
}

/* One that can't be kept takes the replica with it: what was acknowledged would be missing. */
static void what_isnt_kept_is_gone(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = begin(p, true);
	struct start_text t;

	p->a.fake.soft.replica_max = 5 * FAKE_PAGE;
	publish_some(&p->a, s, 7, 1);
	assert_null(replica(&p->a));
	assert_false(s->keeps);
	WAIT_FOR(p, pair_committed(s));
	kill_it(p, s);
	assert_int_equal(asked(&p->a, &t), ANSWER_SPARE);
	/* And the spare's host isn't kept waiting. */
	WAIT_FOR(p, record(&p->b)->failed);
}

static void it_is_removed_after_its_time(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = begin(p, true);
	struct start_text t;

	p->a.daemon.conf.sessions.keep_s = 1;
	kill_it(p, s);
	WAIT_FOR(p, !replica(&p->a));
	assert_true(record(&p->b)->failed);
	assert_int_equal(asked(&p->a, &t), ANSWER_SPARE);
}

/* The daemon of the host ends in between: the module has kept it. */
static void a_daemon_may_end(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = begin(p, true);
	struct start_text t;

	kill_it(p, s);
	wait_on(&p->a, true);
	assert_int_equal(asked(&p->a, &t), ANSWER_TAKE_BACK);
	while (record(&p->a)->role != RECORD_TAKING)
		loop_turn(&p->a.daemon.loop, 1);
	host_kill(&p->a);
	host_start(&p->a);
	configure(&p->a);
	WAIT_FOR(p, host_linked(&p->a) && host_linked(&p->b));
	assert_int_equal(asked(&p->a, &t), ANSWER_TAKE_BACK);
	WAIT_FOR(p, promoted(&p->a));
	assert_content(&p->a, content);
}

/* A host that needs the memory for a replica of another one gives up what it has kept. */
static void it_gives_way(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = begin(p, true), *other;

	p->a.fake.limit = 60;
	other = fake_session(&p->b.fake, "other", 40);
	memset(other->mem, 1, 40 * FAKE_PAGE);
	memset(other->dirty, true, 40 * sizeof(*other->dirty));
	memset(other->hole_next, false, 40 * sizeof(*other->hole_next));
	fake_publish(&p->b.fake, other);
	WAIT_FOR(p, pair_committed(other));
	assert_null(replica(&p->a));
	WAIT_FOR(p, pair_committed(s));
}

/* The program's end can't be written down: the spare's host doesn't wait for its return. */
static void only_what_is_on_record_is_waited_for(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = begin(p, true);

	strcpy(p->a.daemon.conf.state_dir, "/nonexistent/cptdev");
	fake_session_end_by(&p->a.fake, s, CPTDEV_END_KILLED, 9);
	pair_run(p, 500);
	strcpy(p->a.daemon.conf.state_dir, p->a.conf.state_dir);
	assert_true(record(&p->b)->failed);
}

static void an_unknown_end_is_told_at_once(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = begin(p, true);

	fake_session_end_by(&p->a.fake, s, CPTDEV_END_UNKNOWN, 0);
	WAIT_FOR(p, record(&p->a)->unseen);
	assert_false(keep_waits(recorded_find(&p->a.daemon, "kv")));
}

/* The link is made anew meanwhile, and then the host is lost: the spare takes over as always. */
static void the_host_may_be_lost_while_it_waits(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = begin(p, true);
	struct peer *a = host_peer(&p->a);
	u64 made = a->out.connects;

	kill_it(p, s);
	shutdown(a->out.conn->fd, SHUT_RDWR);
	WAIT_FOR(p, a->out.connects > made && host_linked(&p->a) && host_linked(&p->b));
	pair_run(p, 300);
	assert_false(record(&p->b)->failed);
	wait_on(&p->b, true);
	host_lose(&p->a);
	WAIT_FOR(p, promoted(&p->b));
}

/* What this host's own program had isn't what a spare was sent. */
static void what_was_kept_is_no_spares_replica(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = begin(p, false);
	u64 term = 0, generation;
	struct record r = {};

	fake_session_end_by(&p->a.fake, s, CPTDEV_END_KILLED, 9);
	WAIT_FOR(p, !known_find_name(&p->a.daemon, "kv"));
	/* The other host feeds this one, which has committed nothing yet. */
	record_fed(&r, "kv", two, 5, beta, p->a.daemon.boot);
	assert_int_equal(records_write(&p->a.daemon, &r), 0);
	assert_true(replica(&p->a)->kept);
	assert_int_equal(promotion_do(&p->a.daemon, "kv", &term, &generation, false), -EREMCHG);
	term = 0;
	assert_int_equal(promotion_do(&p->a.daemon, "kv", &term, &generation, true), 0);
}

/* One program reads the spare's replica; another one is started, and finds what was kept. */
static void one_of_two_ways_is_gone(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = begin(p, true);
	struct start_text t;
	char why[256];
	int sv[2];

	kill_it(p, s);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sv), 0);
	assert_null(fetch_begin(&p->a.daemon, sv[0], 0, true, "kv", p->b.name, NSEC_PER_SEC, why,
				sizeof(why)));
	WAIT_FOR(p, lend_gives(&p->b.daemon, "kv"));
	assert_int_equal(asked(&p->a, &t), ANSWER_TAKE_BACK);
	wait_on(&p->a, true);
	pair_run(p, 500);
	assert_false(promoted(&p->a) || record(&p->b)->outdated);
	close(sv[1]);
	WAIT_FOR(p, promoted(&p->a));
	assert_content(&p->a, content);
	assert_true(record(&p->b)->outdated);
}

/* What isn't kept up to date is of no use, and may look as if it lacked nothing. */
static void a_policy_that_is_changed_leaves_nothing(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = begin(p, true);

	p->a.daemon.conf.sessions.keep = KEEP_NO;
	keep_reload(&p->a.daemon);
	assert_false(s->keeps);
	assert_null(replica(&p->a));
	p->a.daemon.conf.sessions.keep = KEEP_RESTART;
	keep_reload(&p->a.daemon);
	publish_some(&p->a, s, 3, 98);
	assert_true(fake_same(replica(&p->a), s));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, pair_setup, pair_teardown)
		cmocka_unit_test(what_lacks_nothing_is_gone_on_from),
		cmocka_unit_test(until_the_next_one_is_acknowledged),
		cmocka_unit_test(what_was_acknowledged_alone_stays_on_record),
		cmocka_unit_test(a_spare_is_a_rival_unless_it_is_outdated),
		cmocka_unit_test(one_of_both_goes_on),
		T(it_goes_on_on_the_spot),
		T(whoever_fails_at_once_goes_on_again),
		T(the_spare_takes_over_if_it_isnt_back),
		T(both_at_once_and_one_goes_on),
		T(and_the_other_way_round),
		T(without_a_link_it_waits),
		T(without_a_spare_nobody_is_asked),
		T(who_ends_in_order_begins_anew),
		T(an_empty_program_overwrites_nothing),
		T(what_isnt_kept_is_gone),
		T(it_is_removed_after_its_time),
		T(a_daemon_may_end),
		T(it_gives_way),
		T(only_what_is_on_record_is_waited_for),
		T(an_unknown_end_is_told_at_once),
		T(the_host_may_be_lost_while_it_waits),
		T(what_was_kept_is_no_spares_replica),
		T(one_of_two_ways_is_gone),
		T(a_policy_that_is_changed_leaves_nothing),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("restarts on the spot", tests, NULL, NULL);
}
