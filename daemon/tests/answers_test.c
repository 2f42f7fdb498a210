// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The control socket's answers to commands that change something. control_test has the others, and
 * schema.sh compares all of them with the schema.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "ctl.h"
#include "dial.h"
#include "json.h"

/* A session of a that b's host follows. */
static struct fake_session *begin(struct pair *p)
{
	struct fake_session *s = fake_session(&p->a.fake, "kv", 10);

	publish_some(&p->a, s, 3, 9);
	WAIT_FOR(p, pair_committed(s) && record_of(&p->b.daemon, "kv") &&
		 record_of(&p->b.daemon, "kv")->generation);
	fake_replica(&p->b.fake, "kv")->rec.waiters = 1;
	return s;
}

static struct json_object *say(struct pair *p, struct host *h, const char *line)
{
	int fd = dial(h);
	struct json_object *o = ask(p, fd, line);

	close(fd);
	return o;
}

static void refused(struct pair *p, struct host *h, const char *line, const char *code)
{
	struct json_object *o = say(p, h, line), *error = js_at(o, "error");

	if (!error || strcmp(js_get_str(error, "code"), code))
		fail_msg("%s instead of %s", js_line(o), code);
	assert_true(strlen(js_get_str(error, "message")) > 0);
	json_object_put(o);
}

static void a_promotion_is_answered(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = begin(p);
	struct json_object *o;

	refused(p, &p->b, "{\"command\":\"promote\",\"name\":\"other\"}\n", "failed");
	o = say(p, &p->b, "{\"command\":\"promote\",\"name\":\"kv\"}\n");
	assert_string_equal(js_get_str(o, "name"), "kv");
	assert_int_equal(js_get_u64(o, "generation"), 1);
	assert_int_equal(js_get_u64(o, "term"), 2);
	json_object_put(o);
	WAIT_FOR(p, s->fenced);
	o = say(p, &p->b, "{\"command\":\"status\"}\n");
	assert_string_equal(js_get_str(json_object_array_get_idx(js_at(o, "records"), 0), "role"),
			    "promoted");
	json_object_put(o);
}

static void what_is_forgotten_is_answered(void **state)
{
	struct pair *p = *state;
	struct json_object *o;

	begin(p);
	host_kill(&p->a);
	WAIT_FOR(p, !host_peer(&p->b)->in);
	o = say(p, &p->b, "{\"command\":\"forget\",\"name\":\"kv\"}\n");
	assert_string_equal(js_get_str(o, "name"), "kv");
	assert_null(js_at(o, "error"));
	json_object_put(o);
	refused(p, &p->b, "{\"command\":\"forget\",\"name\":\"kv\"}\n", "failed");
}

#define SWITCH(more)	"{\"command\":\"switchover\",\"name\":\"kv\"" more "}\n"

static void is_at(struct json_object *o, const char *phase, const char *result)
{
	struct json_object *sw = js_at(o, "switchover");

	if (!sw)
		fail_msg("%s", js_line(o));
	assert_string_equal(js_get_str(sw, "phase"), phase);
	assert_string_equal(js_get_str(sw, "result"), result);
	json_object_put(o);
}

static void a_switch_over_is_answered(void **state)
{
	struct pair *p = *state;
	struct json_object *o;

	begin(p);
	refused(p, &p->a, SWITCH(",\"look\":true"), "no-switch-over");
	refused(p, &p->a, SWITCH(",\"peer\":\"gamma\""), "not-linked");
	refused(p, &p->b, SWITCH(), "spare");
	refused(p, &p->a, "{\"command\":\"switchover\",\"name\":\"other\"}\n", "no-session");
	/* Its program answers no request for a checkpoint. */
	is_at(say(p, &p->a, SWITCH(",\"timeout_ms\":86400000")), "asking", "runs");
	WAIT_FOR(p, LIST_FIRST(&p->a.daemon.switches)->phase > SWITCH_ASKING);
	refused(p, &p->a, SWITCH(), "busy");
	o = say(p, &p->a, SWITCH(",\"cancel\":true"));
	assert_string_equal(js_get_str(o, "name"), "kv");
	json_object_put(o);
	is_at(say(p, &p->a, SWITCH(",\"look\":true")), "over", "failed");
	refused(p, &p->a, SWITCH(",\"cancel\":true"), "no-switch-over");
}

static void who_may_not_is_told_so(void **state)
{
	struct pair *p = *state;
	int fd = dial(&p->a);
	struct json_object *o;

	WAIT_FOR(p, p->a.daemon.nr_clients == 1);
	LIST_FIRST(&p->a.daemon.clients)->cred.uid = geteuid() + 1;
	o = ask(p, fd, "{\"command\":\"forget\",\"name\":\"kv\"}\n");
	assert_string_equal(js_get_str(js_at(o, "error"), "code"), "permission");
	json_object_put(o);
	close(fd);
}

int main(void)
{
#define T(fn)	cmocka_unit_test_setup_teardown(fn, pair_setup, pair_teardown)
	static const struct CMUnitTest tests[] = {
		T(a_promotion_is_answered),
		T(what_is_forgotten_is_answered),
		T(a_switch_over_is_answered),
		T(who_may_not_is_told_so),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("answers", tests, NULL, NULL);
}
