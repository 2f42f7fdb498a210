// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The fence command: whoever is surely off has no lease that is waited for; in every other case
 * the lease decides as before.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lines.h"
#include "log.h"
#include "pair.h"

#define MS	NSEC_PER_MSEC

/* SIGCHLD comes to main() of the daemon, which isn't here. */
#define REAP_FOR(p, cond)	WAIT_FOR(p, (failover_ran(&(p)->b.daemon), (cond)))

/*
 * The table
 */

/* Every combination: what is never to happen, whatever else holds. */
static void no_promotion_without_a_reason(void **state)
{
	u32 i;

	(void)state;
	for (i = 0; i < 32 * 5; i++) {
		const struct takeover_facts f = {
			.automatic = i & 1, .failed = i & 2, .dead = i & 4, .waited = i & 8,
			.lease_over = i & 16, .fencing = i / 32,
		};
		enum takeover t = takeover_decide(&f);

		if (!f.automatic || (!f.dead && !f.failed))
			assert_int_equal(t, TAKEOVER_NO);
		if (!f.waited)
			assert_true(t != TAKEOVER_NOW && t != TAKEOVER_FENCE);
		/* While its host may be alive, the lease has to be over. */
		if (t == TAKEOVER_NOW && !f.failed)
			assert_true(f.fencing == FENCING_OFF || f.lease_over);
		if (t == TAKEOVER_NOW && !f.failed)
			assert_true(f.fencing != FENCING_DUE && f.fencing != FENCING_RUNS);
		if (t == TAKEOVER_FENCE)
			assert_true(f.dead && f.fencing == FENCING_DUE);
		/* A failed command is as good as none. */
		if (f.fencing == FENCING_FAILED) {
			struct takeover_facts none = f;

			none.fencing = FENCING_NONE;
			assert_int_equal(t, takeover_decide(&none));
		}
	}
}

/*
 * The daemon. A's lease is long: whoever doesn't wait for its end has a reason.
 */

static void lend(struct pair *p, u32 ms)
{
	host_peer(&p->b)->lent_until = clock_mono() + ms * MS;
}

static void fed(struct pair *p, u32 waiters)
{
	struct fake_session *s = fake_session(&p->a.fake, "kv", 10);

	p->b.daemon.conf.sessions.failover = FAILOVER_AUTO;
	p->b.daemon.conf.fence_timeout_ms = 5000;
	publish_some(&p->a, s, 0, 1);
	WAIT_FOR(p, pair_committed(s));
	fake_replica(&p->b.fake, "kv")->rec.waiters = waiters;
	lines_keep();
}

static void path(struct pair *p, const char *name, char *to, size_t size)
{
	snprintf(to, size, "%s/%s", p->b.dir, name);
}

/* A script of that content; $D is a directory for its files. */
static void fence_with(struct pair *p, const char *script)
{
	char file[100];
	FILE *to;

	path(p, "fence", file, sizeof(file));
	to = fopen(file, "w");
	assert_non_null(to);
	fprintf(to, "#!/bin/sh\nD=%s\n%s\n", p->b.dir, script);
	fclose(to);
	assert_int_equal(chmod(file, 0700), 0);
	snprintf(p->b.daemon.conf.fence_command, sizeof(p->b.daemon.conf.fence_command),
		 "%s  --action off", file);
}

static void touch(struct pair *p, const char *name)
{
	char file[100];

	path(p, name, file, sizeof(file));
	fclose(fopen(file, "w"));
}

static bool promoted(struct pair *p)
{
	return fake_replica(&p->b.fake, "kv")->promoted;
}

static bool dead(struct pair *p)
{
	return host_peer(&p->b)->detector.state == DET_DEAD;
}

static enum fencing fencing(struct pair *p)
{
	return host_peer(&p->b)->fence.state;
}

/* Not promoted before the lease is over, and then it is. */
static void waits_for_the_lease(struct pair *p)
{
	u64 until = host_peer(&p->b)->lent_until;

	assert_true(clock_mono() < until);
	while (clock_mono() < until) {
		assert_false(promoted(p));
		failover_ran(&p->b.daemon);
		pair_run(p, 1);
	}
	REAP_FOR(p, promoted(p));
}

/* The control: what all others are compared with. */
static void without_a_command_the_lease_is_waited_for(void **state)
{
	struct pair *p = *state;

	fed(p, 1);
	host_lose(&p->a);
	lend(p, 2000);
	WAIT_FOR(p, dead(p));
	assert_int_equal(fencing(p), FENCING_NONE);
	waits_for_the_lease(p);
}

static void a_host_that_is_off_has_no_lease(void **state)
{
	struct pair *p = *state;

	fed(p, 1);
	fence_with(p, "echo \"$CPTDEV_NODE fences $CPTDEV_PEER for $CPTDEV_SESSIONS: $*\"");
	host_lose(&p->a);
	lend(p, 600000);
	REAP_FOR(p, promoted(p));
	assert_int_equal(fencing(p), FENCING_OFF);
	assert_true(peer_lease_over(host_peer(&p->b)));
	assert_int_equal(lines_with("beta fences alpha for kv: --action off"), 1);
	assert_int_equal(lines_with("the peer's host is off"), 1);
}

static void a_command_that_fails_changes_nothing(void **state)
{
	struct pair *p = *state;

	fed(p, 1);
	fence_with(p, "exit 7");
	host_lose(&p->a);
	lend(p, 2000);
	REAP_FOR(p, fencing(p) == FENCING_FAILED);
	assert_string_equal(host_peer(&p->b)->fence.error, "it failed with exit status 7");
	waits_for_the_lease(p);
	assert_int_equal(lines_with("running the fence command"), 1);
	assert_int_equal(lines_with("promoted when the last lease ends"), 1);
}

static void a_command_that_is_killed_changes_nothing(void **state)
{
	struct pair *p = *state;

	fed(p, 1);
	fence_with(p, "kill -9 $$");
	host_lose(&p->a);
	lend(p, 2000);
	REAP_FOR(p, fencing(p) == FENCING_FAILED);
	assert_string_equal(host_peer(&p->b)->fence.error, "it was killed by signal 9");
	waits_for_the_lease(p);
}

/* With all that it has started. */
static void a_command_that_hangs_is_killed(void **state)
{
	struct pair *p = *state;
	pid_t pid;

	fed(p, 1);
	fence_with(p, "trap '' TERM; sleep 1000 & wait; exit 0");
	p->b.daemon.conf.fence_timeout_ms = 100;
	host_lose(&p->a);
	lend(p, 2000);
	WAIT_FOR(p, fencing(p) == FENCING_RUNS);
	pid = host_peer(&p->b)->fence.pid;
	REAP_FOR(p, fencing(p) == FENCING_FAILED);
	assert_string_equal(host_peer(&p->b)->fence.error,
			    "it took longer than 100 ms and was killed");
	waits_for_the_lease(p);
	/* The processes of the group are init's to reap by now. */
	WAIT_FOR(p, kill(-pid, 0) && errno == ESRCH);
}

static void a_command_that_is_missing_changes_nothing(void **state)
{
	struct pair *p = *state;

	fed(p, 1);
	strcpy(p->b.daemon.conf.fence_command, "/nonexistent/fence_none -o off");
	host_lose(&p->a);
	lend(p, 2000);
	WAIT_FOR(p, fencing(p) == FENCING_FAILED);
	assert_int_equal(lines_with("can't be run: No such file or directory"), 1);
	waits_for_the_lease(p);
}

/* Two failures at a time are one too many: the host is asked first, also without a lease. */
static void a_promotion_waits_for_the_command(void **state)
{
	struct pair *p = *state;

	fed(p, 1);
	fence_with(p, "until test -e $D/go; do sleep 0.05; done");
	host_lose(&p->a);
	WAIT_FOR(p, fencing(p) == FENCING_RUNS);
	pair_run(p, 300);
	assert_true(peer_lease_over(host_peer(&p->b)));
	assert_false(promoted(p));
	touch(p, "go");
	REAP_FOR(p, promoted(p));
}

static void what_nobody_waits_for_fences_nobody(void **state)
{
	struct pair *p = *state;

	fed(p, 0);
	fence_with(p, "exit 0");
	host_lose(&p->a);
	WAIT_FOR(p, dead(p));
	pair_run(p, 700);
	assert_int_equal(fencing(p), FENCING_DUE);
	assert_int_equal(lines_with("running the fence command"), 0);
	fake_replica(&p->b.fake, "kv")->rec.waiters = 1;
	REAP_FOR(p, promoted(p));
	assert_int_equal(lines_with("running the fence command"), 1);
}

static void what_is_outdated_fences_nobody(void **state)
{
	struct pair *p = *state;

	fed(p, 1);
	fence_with(p, "exit 0");
	recorded_find(&p->b.daemon, "kv")->r.outdated = true;
	host_lose(&p->a);
	WAIT_FOR(p, dead(p));
	WAIT_FOR(p, LIST_FIRST(&host_peer(&p->b)->feeds)->decided);
	assert_false(promoted(p));
	assert_int_equal(lines_with("running the fence command"), 0);
}

static void where_a_person_promotes_nobody_is_fenced(void **state)
{
	struct pair *p = *state;

	fed(p, 1);
	fence_with(p, "exit 0");
	p->b.daemon.conf.sessions.failover = FAILOVER_MANUAL;
	host_lose(&p->a);
	WAIT_FOR(p, dead(p));
	pair_run(p, 700);
	assert_false(promoted(p));
	assert_int_equal(lines_with("running the fence command"), 0);
}

/* The peer was back meanwhile: that it was off then says nothing of its second death. */
static void a_result_is_of_one_death(void **state)
{
	struct pair *p = *state;

	fed(p, 1);
	fence_with(p, "echo begun; until test -e $D/go; do sleep 0.05; done");
	host_lose(&p->a);
	/* Its process has nothing of this one's any more, such as A's sockets. */
	WAIT_FOR(p, lines_with("begun"));
	host_start(&p->a);
	WAIT_FOR(p, host_peer(&p->b)->detector.state == DET_ALIVE && host_linked(&p->b));
	WAIT_FOR(p, LIST_FIRST(&host_peer(&p->b)->feeds));
	host_lose(&p->a);
	lend(p, 600000);
	WAIT_FOR(p, dead(p));
	touch(p, "go");
	REAP_FOR(p, lines_with("its result isn't used") == 1);
	REAP_FOR(p, promoted(p));
	assert_int_equal(lines_with("running the fence command"), 2);
}

static void a_daemon_that_ends_leaves_no_command(void **state)
{
	struct pair *p = *state;
	pid_t pid;

	fed(p, 1);
	fence_with(p, "sleep 1000");
	host_lose(&p->a);
	WAIT_FOR(p, fencing(p) == FENCING_RUNS);
	pid = host_peer(&p->b)->fence.pid;
	host_kill(&p->b);
	WAIT_FOR(p, kill(-pid, 0) && errno == ESRCH);
}

static int teardown(void **state)
{
	struct pair *p = *state;
	char file[100];

	lines_drop();
	path(p, "fence", file, sizeof(file));
	unlink(file);
	path(p, "go", file, sizeof(file));
	unlink(file);
	return pair_teardown(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, pair_setup, teardown)
		cmocka_unit_test(no_promotion_without_a_reason),
		T(without_a_command_the_lease_is_waited_for),
		T(a_host_that_is_off_has_no_lease),
		T(a_command_that_fails_changes_nothing),
		T(a_command_that_is_killed_changes_nothing),
		T(a_command_that_hangs_is_killed),
		T(a_command_that_is_missing_changes_nothing),
		T(a_promotion_waits_for_the_command),
		T(what_nobody_waits_for_fences_nobody),
		T(what_is_outdated_fences_nobody),
		T(where_a_person_promotes_nobody_is_fenced),
		T(a_result_is_of_one_death),
		T(a_daemon_that_ends_leaves_no_command),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("take-overs", tests, NULL, NULL);
}
