// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which sessions the peer has: what ended while the link was down isn't promoted when the
 * peer's host is lost later.
 */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "pair.h"

static struct fake_session *fed(struct pair *p, const char *name)
{
	struct fake_session *s = fake_session(&p->a.fake, name, 10);

	publish_some(&p->a, s, 0, 1);
	WAIT_FOR(p, pair_committed(s));
	/* A program on B waits to take over. */
	fake_replica(&p->b.fake, name)->rec.waiters = 1;
	return s;
}

static bool promoted(struct pair *p, const char *name)
{
	return fake_replica(&p->b.fake, name)->promoted;
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

	p->b.daemon.conf.sessions.failover = FAILOVER_AUTO;
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

static void what_ended_without_a_link_is_not_promoted(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fed(p, "kv"), *t = fed(p, "other");

	cut(p);
	fake_session_end(&p->a.fake, s);
	mend(p);
	WAIT_FOR(p, pair_committed(t));
	a_is_lost(p);
	/* The one that still ran is. */
	assert_true(promoted(p, "other"));
	assert_false(promoted(p, "kv"));
	/* Its memory stays. */
	assert_int_equal(fake_replica(&p->b.fake, "kv")->rec.generation, 1);
}

/* The first daemon of A doesn't live to tell, and the second one has never known it. */
static void nor_is_what_ended_without_a_daemon(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fed(p, "kv");

	p->b.daemon.conf.sessions.failover = FAILOVER_AUTO;
	host_kill(&p->a);
	fake_session_end(&p->a.fake, s);
	host_start(&p->a);
	mend(p);
	a_is_lost(p);
	assert_false(promoted(p, "kv"));
}

static void what_goes_on_is_promoted(void **state)
{
	struct pair *p = *state;

	fed(p, "kv");
	cut(p);
	mend(p);
	a_is_lost(p);
	assert_true(promoted(p, "kv"));
}

/* Refused for the moment: it lives all the same. */
static void a_session_that_is_refused_is_in_the_list(void **state)
{
	struct pair *p = *state;

	fed(p, "kv");
	cut(p);
	fake_replica(&p->b.fake, "kv")->frozen = true;
	mend(p);
	WAIT_FOR(p, host_ship(&p->a, "kv")->last.code == WIRE_E_BUSY);
	a_is_lost(p);
	assert_true(promoted(p, "kv"));
}

/* Who can't ask the kernel doesn't know that a session ended. */
static void without_an_answer_of_the_kernel_there_is_no_list(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fed(p, "kv");

	p->b.daemon.conf.sessions.failover = FAILOVER_AUTO;
	host_kill(&p->a);
	p->a.fake.fail_dump = ENOMEM;
	host_start(&p->a);
	mend(p);
	assert_false(host_peer(&p->a)->out.listed);
	a_is_lost(p);
	assert_true(promoted(p, "kv"));
	(void)s;
}

static void the_list_comes_when_the_kernel_has_answered(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fed(p, "kv");

	p->b.daemon.conf.sessions.failover = FAILOVER_AUTO;
	host_kill(&p->a);
	fake_session_end(&p->a.fake, s);
	p->a.fake.fail_dump = ENOMEM;
	host_start(&p->a);
	mend(p);
	p->a.fake.fail_dump = 0;
	WAIT_FOR(p, host_peer(&p->a)->out.listed);
	a_is_lost(p);
	assert_false(promoted(p, "kv"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, pair_setup, pair_teardown)
		T(what_ended_without_a_link_is_not_promoted),
		T(nor_is_what_ended_without_a_daemon),
		T(what_goes_on_is_promoted),
		T(a_session_that_is_refused_is_in_the_list),
		T(without_an_answer_of_the_kernel_there_is_no_list),
		T(the_list_comes_when_the_kernel_has_answered),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("lists of sessions", tests, NULL, NULL);
}
