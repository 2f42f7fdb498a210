// SPDX-License-Identifier: GPL-2.0-or-later
/* cptdevctl role: what scripts are told that decide, for each state of a host. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fake.h"
#include "pair.h"
#include "role.h"

/* A host as the test wants it: @daemon is the status, in JSON with ' in place of ". */
struct host_view {
	struct session_rec sessions[2];
	struct replica_rec replica;
	struct view view;
	struct role role;
};

static struct json_object *parsed(const char *text)
{
	char *copy = strdup(text), *c;
	struct json_object *o;

	for (c = copy; *c; c++)
		if (*c == '\'')
			*c = '"';
	o = json_tokener_parse(copy);
	assert_non_null(o);
	free(copy);
	return o;
}

static void look(struct host_view *h, const char *daemon)
{
	u32 n = 0;

	while (n < ARRAY_SIZE(h->sessions) && *h->sessions[n].name)
		n++;
	h->view = (struct view) {
		.sessions = h->sessions, .nr_sessions = n, .replicas = &h->replica,
		.nr_replicas = *h->replica.name ? 1 : 0, .daemon = parsed(daemon),
	};
	role_look(&h->view, "kv", &h->role);
}

static void looked(struct host_view *h)
{
	json_object_put(h->view.daemon);
}

#define HEAD "{'node':{'name':'alpha'},'failover':'manual'," \
	"'policies':[{'name':null,'alone':'block','on_restart':'spare'}],"
#define PEER_FEEDS "'peers':[{'name':'beta','detector':'alive'," \
	"'outgoing':{'state':'up'},'incoming':{'state':'up','replicas':[{'name':'kv'}]}}]"
#define PEER_DEAD "'peers':[{'name':null,'configured_name':'beta','detector':'dead'," \
	"'outgoing':{'state':'connecting'},'incoming':{'state':'down','replicas':[]}}]"
#define RECORD(state, role, more) "'records':[{'name':'other','state':'damaged','error':'x'}," \
	"{'name':'kv','state':'" state "','term':3,'role':'" role "'" more "}]"

static void a_primary_is_told_with_its_state(void **state)
{
	struct host_view h = {
		.sessions = { { .name = "kv", .uuid = { 1 }, .term = 3, .generation = 120 } },
	};

	(void)state;
	look(&h, HEAD PEER_DEAD "," RECORD("ok", "primary", "") ",'sessions':["
	     "{'name':'kv','uuid':'01000000-0000-0000-0000-000000000000','state':'no-spare'}]}");
	assert_string_equal(h.role.role, "primary");
	assert_string_equal(h.role.state, "no-spare");
	assert_int_equal(h.role.term, 3);
	assert_int_equal(h.role.generation, 120);
	assert_string_equal(h.role.replica, "none");
	assert_false(h.role.promotable);
	assert_string_equal(h.role.why, "");
	/* The name that the configuration has, until the peer has said it. */
	assert_string_equal(h.role.peer, "beta");
	assert_string_equal(h.role.detector, "dead");
	assert_string_equal(h.role.primary, "gone");
	assert_false(h.role.linked);
	looked(&h);
}

static void a_fenced_session_makes_room_for_one_that_lives(void **state)
{
	struct host_view h = {
		.sessions = { { .name = "kv", .uuid = { 1 }, .term = 2,
				.flags = CPTDEV_GENL_SESSION_FENCED } },
	};

	(void)state;
	look(&h, HEAD PEER_FEEDS "}");
	assert_string_equal(h.role.role, "fenced");
	assert_string_equal(h.role.why, "another host has taken over");
	looked(&h);
	h.sessions[1] = (struct session_rec) { .name = "kv", .uuid = { 2 }, .term = 3 };
	look(&h, HEAD PEER_FEEDS "}");
	assert_string_equal(h.role.role, "primary");
	assert_int_equal(h.role.term, 3);
	looked(&h);
}

static void why_a_session_is_blocked_is_told(void **state)
{
	struct host_view h = { .sessions = { { .name = "kv", .uuid = { 1 } } } };

	(void)state;
	look(&h, HEAD PEER_FEEDS "," RECORD("split-brain", "primary", ",'error':'two went on'")
	     ",'sessions':[{'name':'kv','uuid':'01000000-0000-0000-0000-000000000000',"
	     "'state':'blocked','error':'split brain: ...'}]}");
	assert_string_equal(h.role.role, "primary");
	assert_string_equal(h.role.state, "blocked");
	assert_string_equal(h.role.record, "split-brain");
	assert_string_equal(h.role.why, "split brain: ...");
	looked(&h);
}

static struct host_view spare(u64 generation, u32 waiters)
{
	return (struct host_view) {
		.replica = { .name = "kv", .term = 3, .generation = generation,
			     .waiters = waiters },
	};
}

static void a_spare_in_step_can_be_promoted(void **state)
{
	struct host_view h = spare(118, 1);

	(void)state;
	look(&h, HEAD PEER_FEEDS "," RECORD("ok", "spare", "") "}");
	assert_string_equal(h.role.role, "spare");
	assert_string_equal(h.role.state, "none");
	assert_string_equal(h.role.replica, "committed");
	assert_int_equal(h.role.waiters, 1);
	assert_int_equal(h.role.term, 3);
	assert_int_equal(h.role.record_term, 3);
	assert_int_equal(h.role.generation, 118);
	assert_true(h.role.promotable);
	assert_string_equal(h.role.why, "");
	assert_string_equal(h.role.primary, "alive");
	assert_true(h.role.linked);
	looked(&h);
	/* Its content is there all the same; nobody waits. */
	h = spare(118, 0);
	look(&h, HEAD PEER_DEAD "," RECORD("ok", "spare", "") "}");
	assert_string_equal(h.role.role, "none");
	assert_true(h.role.promotable);
	looked(&h);
}

static void each_refusal_of_a_promotion_is_known_before(void **state)
{
	static const struct {
		const char *daemon, *why;
	} cases[] = {
		{ HEAD PEER_FEEDS "," RECORD("damaged", "spare", ",'error':'torn'") "}", "torn" },
		{ HEAD PEER_FEEDS "," RECORD("split-brain", "spare", "") "}",
		  "split brain: both hosts went on" },
		{ HEAD PEER_FEEDS "," RECORD("overtaken", "spare", "") "}",
		  "a host took over and lost its memory since" },
		{ HEAD PEER_FEEDS "," RECORD("outdated", "spare", "") "}",
		  "the replica is outdated: it lacks data that was acknowledged" },
		{ HEAD PEER_FEEDS "," RECORD("ok", "spare", ",'source':true") "}",
		  "the state is on its way back to the host that lost it" },
		{ HEAD PEER_FEEDS "," RECORD("ok", "taking-back", "") "}",
		  "the state is on its way back to the host that lost it" },
	};
	struct host_view h;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		h = spare(118, 1);
		look(&h, cases[i].daemon);
		assert_false(h.role.promotable);
		assert_string_equal(h.role.why, cases[i].why);
		assert_string_equal(h.role.role, "spare");
		looked(&h);
	}
	/* Promoted, and the program that went on from it has failed. */
	h = spare(118, 1);
	h.replica.flags = CPTDEV_GENL_REPLICA_PROMOTED;
	look(&h, HEAD PEER_DEAD "," RECORD("lost", "primary", ",'generation':7") "}");
	assert_string_equal(h.role.replica, "promoted");
	assert_false(h.role.promotable);
	assert_string_equal(h.role.why, "the replica is outdated: a program of this host went on from it and was acknowledged");
	looked(&h);
	/* It is this host's own, and lacks nothing. */
	h.replica.flags = CPTDEV_GENL_REPLICA_KEPT;
	look(&h, HEAD PEER_FEEDS ","
	     RECORD("lost", "primary", ",'generation':7,'kept':{'generation':7}") "}");
	assert_false(h.role.promotable);
	assert_string_equal(h.role.why, "it was kept for a restart of this host's program (keep = restart). Next: start the program here");
	looked(&h);
	/* It is from before the other host's program, which has sent nothing yet. */
	look(&h, HEAD PEER_FEEDS "," RECORD("ok", "spare", ",'generation':0,'kept':null") "}");
	assert_false(h.role.promotable);
	assert_string_equal(h.role.why, "nothing was committed to the replica yet");
	looked(&h);
	h.replica.flags = CPTDEV_GENL_REPLICA_PROMOTED;
	/* As above, but nobody relies on what it did. */
	look(&h, HEAD PEER_DEAD "," RECORD("lost", "primary", ",'generation':0") "}");
	assert_true(h.role.promotable);
	looked(&h);
	h = spare(0, 1);
	look(&h, HEAD PEER_FEEDS "}");
	assert_string_equal(h.role.replica, "empty");
	assert_string_equal(h.role.why, "nothing was committed to the replica yet");
	assert_string_equal(h.role.record, "none");
	looked(&h);
	h = (struct host_view) {};
	look(&h, HEAD PEER_FEEDS "}");
	assert_string_equal(h.role.replica, "none");
	assert_string_equal(h.role.why, "this host has no replica of it");
	looked(&h);
}

static void a_policy_of_the_name_wins(void **state)
{
	struct host_view h = {};

	(void)state;
	look(&h, HEAD PEER_FEEDS "}");
	assert_string_equal(h.role.node, "alpha");
	assert_string_equal(h.role.failover, "manual");
	assert_string_equal(h.role.alone, "block");
	assert_string_equal(h.role.on_restart, "spare");
	looked(&h);
	look(&h, "{'policies':[{'name':'kv','alone':'go-on','on_restart':'take-back'},"
	     "{'name':null,'alone':'block'}]}");
	assert_string_equal(h.role.alone, "go-on");
	assert_string_equal(h.role.on_restart, "take-back");
	looked(&h);
	look(&h, "{'failover':'manual','policies':[{'name':'kv','failover':'auto'},{'name':null,"
	     "'failover':'manual'}]}");
	assert_string_equal(h.role.failover, "auto");
	looked(&h);
	look(&h, "{'policies':[{'name':null,'alone':'block'}]}");
	/* An older daemon doesn't tell. */
	assert_string_equal(h.role.failover, "");
	assert_string_equal(h.role.detector, "none");
	looked(&h);
}

static void a_line_is_a_fact(void **state)
{
	struct host_view h = spare(118, 1);
	struct json_object *o;
	size_t len;
	char *text;
	FILE *to = open_memstream(&text, &len);

	(void)state;
	look(&h, HEAD PEER_FEEDS ","
	     RECORD("damaged", "spare", ",'error':'two\\nlines, role=primary'") "}");
	role_text(&h.role, to);
	fclose(to);
	assert_string_equal(text,
		"name=kv\nnode=alpha\npeer=beta\nrole=spare\nstate=none\nhung=no\n"
		"replica=committed\nwaiters=1\nterm=3\ngeneration=118\nrecord=damaged\n"
		"record_term=3\npromotable=no\nprimary=alive\nlinked=yes\ndetector=alive\n"
		"failover=manual\nalone=block\non_restart=spare\n"
		"why=two lines, role=primary\n");
	free(text);
	o = role_json(&h.role);
	assert_int_equal(js_get_u64(o, "schema_version"), 1);
	assert_string_equal(js_get_str(o, "role"), "spare");
	assert_int_equal(js_get_u64(o, "generation"), 118);
	assert_string_equal(js_get_str(o, "why"), "two\nlines, role=primary");
	assert_null(js_at(o, "error"));
	json_object_put(o);
	looked(&h);
}

/* The daemon's side of it: what the configuration says, and how the peer is called there. */
static void the_daemon_tells_its_policies(void **state)
{
	struct pair *p = *state;
	struct json_object *o, *list;
	struct conf *c = &p->a.daemon.conf;

	c->sessions.alone = CONF_GO_ON;
	c->nr_named = 1;
	strcpy(c->named[0].name, "kv");
	c->named[0].session = (struct conf_session) { .on_restart = ON_RESTART_TAKE_BACK,
						      .on_exit = ON_EXIT_STAY,
						      .failover = FAILOVER_AUTO };
	strcpy(c->peers[0].name, "beta");
	o = status_json(&p->a.daemon);
	list = js_at(o, "policies");
	assert_int_equal(json_object_array_length(list), 2);
	assert_null(js_at(json_object_array_get_idx(list, 0), "name"));
	assert_string_equal(js_line(json_object_array_get_idx(list, 1)),
		"{\"name\":\"kv\",\"failover\":\"auto\",\"on_promote\":null,\"on_exit\":\"stay\",\"on_hang\":\"stay\","
		"\"alone\":\"block\",\"ack\":\"all\",\"spares\":\"all\",\"history\":0,"
		"\"history_mib\":0,\"on_restart\":\"take-back\","
		"\"keep\":\"no\",\"keep_s\":0,\"keep_mib\":0,\"restart_s\":0}");
	assert_string_equal(js_get_str(json_object_array_get_idx(list, 0), "alone"), "go-on");
	assert_string_equal(js_get_str(json_object_array_get_idx(js_at(o, "peers"), 0),
				       "configured_name"), "beta");
	json_object_put(o);
	*c->peers[0].name = '\0';
	o = status_json(&p->a.daemon);
	assert_null(js_at(json_object_array_get_idx(js_at(o, "peers"), 0), "configured_name"));
	json_object_put(o);
}

static void without_a_daemon_nothing_is_told(void **state)
{
	struct fake fake;
	struct ctl ctl = { .kernel = &fake.kernel, .socket = "/nonexistent/control" };
	char name_text[] = "kv", *name = name_text, *text;
	size_t len;

	(void)state;
	fake_init(&fake);
	ctl.out = ctl.err = open_memstream(&text, &len);
	assert_int_equal(verb_role(&ctl, 1, &name), EXIT_DAEMON);
	assert_int_equal(verb_role(&ctl, 0, NULL), EXIT_USAGE);
	fclose(ctl.out);
	assert_non_null(strstr(text, "Next: systemctl start cptdevd"));
	assert_null(strstr(text, "role="));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_primary_is_told_with_its_state),
		cmocka_unit_test(a_fenced_session_makes_room_for_one_that_lives),
		cmocka_unit_test(why_a_session_is_blocked_is_told),
		cmocka_unit_test(a_spare_in_step_can_be_promoted),
		cmocka_unit_test(each_refusal_of_a_promotion_is_known_before),
		cmocka_unit_test(a_policy_of_the_name_wins),
		cmocka_unit_test(a_line_is_a_fact),
		cmocka_unit_test_setup_teardown(the_daemon_tells_its_policies, pair_setup,
						pair_teardown),
		cmocka_unit_test(without_a_daemon_nothing_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
