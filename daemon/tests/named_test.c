// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Sections [session NAME]: of two sessions of the same hosts each goes by its own rules, and without
 * the section by those of all. Also when the section comes or goes while they run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "json.h"
#include "lines.h"
#include "log.h"
#include "pair.h"

/* "kv" has a section, "db" hasn't. */
struct rules {
	struct conf_session all, kv;
	bool section;
};

static void rule_one(struct conf *c, const struct rules *r)
{
	c->sessions = r->all;
	c->nr_named = r->section;
	memset(c->named, 0, sizeof(c->named));
	if (!r->section)
		return;
	strcpy(c->named[0].name, "kv");
	c->named[0].session = r->kv;
}

/* The same on both hosts, also when they are started anew. */
static void rule(struct pair *p, const struct rules *r)
{
	rule_one(&p->a.conf, r);
	rule_one(&p->b.conf, r);
	rule_one(&p->a.daemon.conf, r);
	rule_one(&p->b.daemon.conf, r);
}

static struct fake_session *fed(struct pair *p, const char *name)
{
	struct fake_session *s = fake_session(&p->a.fake, name, 10);

	publish_some(&p->a, s, 0, 1);
	WAIT_FOR(p, pair_committed(s) && fake_allows(s));
	fake_replica(&p->b.fake, name)->rec.waiters = 1;
	return s;
}

static bool promoted(struct pair *p, const char *name)
{
	return fake_replica(&p->b.fake, name)->promoted;
}

static bool is_alone(const struct fake_session *s)
{
	return s->state.flags & CPTDEV_STATE_ALONE;
}

static bool waits_for_a_person(const char *name)
{
	char text[64];

	snprintf(text, sizeof(text), "failover = manual: to go on with %s here", name);
	return lines_with(text);
}

/* Longer than it takes to promote, or to go on alone, where that is allowed. */
#define NOTHING_HAPPENS_MS	700

/*
 * The spare's host: failover
 */

static void one_is_promoted_and_the_other_waits_for_a_person(void **state)
{
	static const struct rules r = { .section = true, .kv.failover = FAILOVER_AUTO };
	struct pair *p = *state;
	struct fake_session *kv, *db;

	rule(p, &r);
	kv = fed(p, "kv");
	db = fed(p, "db");
	/* Only the one that may be replaced by time-out depends on its spare's answers. */
	assert_true(kv->state.lease_until);
	assert_int_equal(db->state.lease_until, 0);
	lines_keep();
	host_lose(&p->a);
	WAIT_FOR(p, promoted(p, "kv"));
	pair_run(p, NOTHING_HAPPENS_MS);
	assert_false(promoted(p, "db"));
	assert_true(waits_for_a_person("db"));
	assert_false(waits_for_a_person("kv"));
}

static void one_is_excepted_from_what_is_automatic(void **state)
{
	static const struct rules r = {
		.section = true, .all.failover = FAILOVER_AUTO, .kv.failover = FAILOVER_MANUAL,
	};
	struct pair *p = *state;

	rule(p, &r);
	fed(p, "kv");
	fed(p, "db");
	lines_keep();
	host_lose(&p->a);
	WAIT_FOR(p, promoted(p, "db"));
	pair_run(p, NOTHING_HAPPENS_MS);
	assert_false(promoted(p, "kv"));
	assert_true(waits_for_a_person("kv"));
	assert_false(waits_for_a_person("db"));
}

/* The control. */
static void without_the_section_both_wait_for_a_person(void **state)
{
	static const struct rules r = { .section = false, .kv.failover = FAILOVER_AUTO };
	struct pair *p = *state;

	rule(p, &r);
	assert_int_equal(fed(p, "kv")->state.lease_until, 0);
	fed(p, "db");
	lines_keep();
	host_lose(&p->a);
	WAIT_FOR(p, waits_for_a_person("kv") && waits_for_a_person("db"));
	pair_run(p, NOTHING_HAPPENS_MS);
	assert_false(promoted(p, "kv") || promoted(p, "db"));
}

/* Its program failed, and its host lives. */
static void a_program_that_failed_is_replaced_by_its_own_rule(void **state)
{
	static const struct rules r = { .section = true, .kv.failover = FAILOVER_AUTO };
	struct pair *p = *state;
	struct fake_session *kv, *db;

	rule(p, &r);
	kv = fed(p, "kv");
	db = fed(p, "db");
	lines_keep();
	fake_session_end_by(&p->a.fake, kv, CPTDEV_END_KILLED, 11);
	fake_session_end_by(&p->a.fake, db, CPTDEV_END_KILLED, 11);
	WAIT_FOR(p, promoted(p, "kv"));
	WAIT_FOR(p, waits_for_a_person("db"));
	assert_false(promoted(p, "db"));
	assert_false(waits_for_a_person("kv"));
}

/* The files that its command makes. */
static void each_has_its_own_command(void **state)
{
	struct rules r = { .section = true, .all.failover = FAILOVER_AUTO };
	char command[2][96], made[2][96];
	struct pair *p = *state;
	FILE *f;
	u32 i;

	for (i = 0; i < 2; i++) {
		snprintf(command[i], sizeof(command[i]), "%s/command%u", p->b.dir, i);
		snprintf(made[i], sizeof(made[i]), "%s/made%u", p->b.dir, i);
		f = fopen(command[i], "w");
		assert_non_null(f);
		fprintf(f, "#!/bin/sh\necho $1 >%s.new\nmv %s.new %s\n", made[i], made[i], made[i]);
		fclose(f);
		assert_int_equal(chmod(command[i], 0755), 0);
	}
	r.kv = r.all;
	strcpy(r.all.on_promote, command[0]);
	strcpy(r.kv.on_promote, command[1]);
	rule(p, &r);
	fed(p, "kv");
	fed(p, "db");
	host_lose(&p->a);
	WAIT_FOR(p, !access(made[0], F_OK) && !access(made[1], F_OK));
	for (i = 0; i < 2; i++) {
		char name[8] = "";

		f = fopen(made[i], "r");
		assert_non_null(f);
		assert_non_null(fgets(name, sizeof(name), f));
		fclose(f);
		assert_string_equal(name, i ? "kv\n" : "db\n");
		unlink(made[i]);
		unlink(command[i]);
	}
}

/*
 * The primary's host: alone, and with failover the lease
 */

static void one_goes_on_alone_and_the_other_blocks(void **state)
{
	static const struct rules r = { .section = true, .kv.alone = CONF_GO_ON };
	struct pair *p = *state;
	struct fake_session *kv, *db;

	rule(p, &r);
	kv = fed(p, "kv");
	db = fed(p, "db");
	host_stop(&p->b, &p->a);
	WAIT_FOR(p, is_alone(kv));
	publish_some(&p->a, kv, 1, 7);
	publish_some(&p->a, db, 1, 7);
	WAIT_FOR(p, pair_committed(kv));
	pair_run(p, NOTHING_HAPPENS_MS);
	assert_false(is_alone(db) || pair_committed(db));
}

/* The control. */
static void without_the_section_both_block(void **state)
{
	static const struct rules r = { .section = false, .kv.alone = CONF_GO_ON };
	struct pair *p = *state;
	struct fake_session *kv, *db;

	rule(p, &r);
	kv = fed(p, "kv");
	db = fed(p, "db");
	host_stop(&p->b, &p->a);
	publish_some(&p->a, kv, 1, 7);
	publish_some(&p->a, db, 1, 7);
	pair_run(p, NOTHING_HAPPENS_MS);
	assert_false(is_alone(kv) || is_alone(db));
	assert_false(pair_committed(kv) || pair_committed(db));
}

/*
 * The spare's host is lost. If the spare may take over, going on would be a second primary; if only a
 * person promotes, the session takes the risk that `alone` says.
 */
static void one_goes_on_at_a_risk_and_the_other_must_not(void **state)
{
	static const struct rules r = {
		.section = true, .kv.alone = CONF_GO_ON, .kv.failover = FAILOVER_MANUAL,
		.all.alone = CONF_GO_ON, .all.failover = FAILOVER_AUTO,
	};
	struct pair *p = *state;
	struct fake_session *kv, *db;

	rule(p, &r);
	kv = fed(p, "kv");
	db = fed(p, "db");
	host_lose(&p->b);
	WAIT_FOR(p, is_alone(kv));
	pair_run(p, NOTHING_HAPPENS_MS);
	assert_false(is_alone(db));
	assert_false(fake_allows(db));
	assert_true(fake_allows(kv));
}

/*
 * SIGHUP
 */

static char path[128];

/* A's configuration with this section [session kv]. */
static void reload(struct pair *p, const char *section)
{
	const struct conf *c = &p->a.conf;
	const struct sockaddr_in *peer = (const struct sockaddr_in *)&c->peers[0].addr;
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fprintf(f, "[node]\nname = %s\ncontrol = %s\nstate_dir = %s\n", c->name, c->control,
		c->state_dir);
	fprintf(f, "[listen]\naddress = 127.0.0.1\nport = %u\n", c->listen_port);
	fprintf(f, "[peer]\naddress = 127.0.0.1\nport = %u\ninsecure = yes\n", ntohs(peer->sin_port));
	fprintf(f, "differences_mib = 0\n[failover]\nheartbeat_interval_ms = %u\ntimeout_ms = %u\n%s",
		c->heartbeat_ms, c->timeout_ms, section);
	fclose(f);
	lines_keep();
	assert_int_equal(daemon_reload(&p->a.daemon, path), 0);
	unlink(path);
}

static void a_section_that_comes_and_goes_counts_at_once(void **state)
{
	struct pair *p = *state;
	struct fake_session *kv = fed(p, "kv"), *db = fed(p, "db");

	assert_int_equal(kv->state.lease_until, 0);
	reload(p, "[session kv]\nfailover = auto\nalone = go-on\n");
	assert_int_equal(lines_with("configuration: [session kv] failover has changed"), 1);
	assert_int_equal(lines_with("configuration: [session kv] alone has changed"), 1);
	assert_int_equal(lines_with("is restarted"), 0);
	WAIT_FOR(p, kv->state.lease_until > 1);
	assert_int_equal(db->state.lease_until, 0);
	reload(p, "");
	assert_int_equal(lines_with("configuration: [session kv] failover has changed"), 1);
	WAIT_FOR(p, !kv->state.lease_until);
	assert_int_equal(db->state.lease_until, 0);
	/* And an exception from what is automatic. */
	reload(p, "failover = auto\n");
	WAIT_FOR(p, kv->state.lease_until > 1 && db->state.lease_until > 1);
	reload(p, "failover = auto\n[session kv]\nfailover = manual\n");
	WAIT_FOR(p, !kv->state.lease_until);
	assert_true(db->state.lease_until > 1);
	assert_true(host_linked(&p->a) && host_linked(&p->b));
	assert_int_equal(host_peer(&p->a)->out.connects, 1);
}

static void what_has_no_effect_is_logged(void **state)
{
	struct pair *p = *state;

	reload(p, "[session kv]\non_exit = failover\n");
	assert_int_equal(lines_with("warning: [session kv] on_exit = failover has no effect"), 1);
}

static int setup(void **state)
{
	struct pair *p;

	pair_setup(state);
	p = *state;
	snprintf(path, sizeof(path), "%s/conf", p->a.dir);
	return 0;
}

static int teardown(void **state)
{
	lines_drop();
	return pair_teardown(state);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(one_is_promoted_and_the_other_waits_for_a_person),
		T(one_is_excepted_from_what_is_automatic),
		T(without_the_section_both_wait_for_a_person),
		T(a_program_that_failed_is_replaced_by_its_own_rule),
		T(each_has_its_own_command),
		T(one_goes_on_alone_and_the_other_blocks),
		T(without_the_section_both_block),
		T(one_goes_on_at_a_risk_and_the_other_must_not),
		T(a_section_that_comes_and_goes_counts_at_once),
		T(what_has_no_effect_is_logged),
	};

	return cmocka_run_group_tests_name("named", tests, NULL, NULL);
}
