// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Identities, in the daemon: whose a name is, what a client of the control socket is shown and
 * may do, and how far a term may be told. The table is in Documentation/security.rst; that of the
 * module is walked by selftests/identity.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "ctl.h"
#include "json.h"
#include "raw.h"
#include "state.h"
#include "uuid.h"

#define OWNER	1000U		/* of all sessions that the tests' kernel has */
#define OTHER	1001U

/*
 * The control socket
 */

static const char *const commands[] = { "start", "promote", "alone", "forget" };

static struct json_object *said(struct pair *p, int fd, const char *line)
{
	static char buf[1 << 20];
	u64 until = clock_mono() + WAIT_MS * NSEC_PER_MSEC;
	size_t len = 0;

	assert_int_equal(send(fd, line, strlen(line), MSG_NOSIGNAL), strlen(line));
	while (clock_mono() < until) {
		if (recv(fd, buf + len, 1, 0) != 1) {
			pair_run(p, 0);
		} else if (buf[len++] == '\n') {
			buf[len] = 0;
			return json_tokener_parse(buf);
		}
	}
	fail_msg("no answer to %s", line);
	return NULL;
}

/* Connected as user @uid. */
static int dial(struct pair *p, struct host *h, u32 uid)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	u32 before = h->daemon.nr_clients;

	strcpy(un.sun_path, h->conf.control);
	assert_int_equal(connect(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	WAIT_FOR(p, h->daemon.nr_clients == before + 1);
	LIST_FIRST(&h->daemon.clients)->cred.uid = uid;
	return fd;
}

static void hang_up(struct pair *p, struct host *h, int fd)
{
	u32 before = h->daemon.nr_clients;

	close(fd);
	WAIT_FOR(p, h->daemon.nr_clients == before - 1);
}

static struct json_object *first(struct json_object *o, const char *key)
{
	return json_object_array_get_idx(js_at(o, key), 0);
}

/* Of each list of the two statuses: is what belongs to the owner shown with UUID and term? */
static void shown(struct pair *p, u32 uid, bool whole)
{
	int a = dial(p, &p->a, uid), b = dial(p, &p->b, uid);
	struct json_object *at_a = said(p, a, "{\"command\":\"status\"}\n");
	struct json_object *at_b = said(p, b, "{\"command\":\"status\"}\n");
	struct json_object *session = first(at_a, "sessions");
	struct json_object *ship = first(js_at(first(at_a, "peers"), "outgoing"), "sessions");
	struct json_object *replica = first(js_at(first(at_b, "peers"), "incoming"), "replicas");
	struct json_object *record = first(at_b, "records");

	assert_int_equal(js_get_u64(session, "uid"), OWNER);
	assert_int_equal(js_get_u64(record, "uid"), OWNER);
	assert_int_equal(!!js_get_str(session, "uuid"), whole);
	assert_int_equal(!!js_get_str(ship, "uuid"), whole);
	assert_int_equal(!!js_get_str(replica, "uuid"), whole);
	assert_int_equal(!!js_get_u64(replica, "term"), whole);
	assert_int_equal(!!js_get_u64(record, "term"), whole);
	/* Names and how it goes are everybody's who may connect. */
	assert_string_equal(js_get_str(record, "name"), "kv");
	assert_int_equal(js_get_u64(replica, "committed"), 1);
	json_object_put(at_a);
	json_object_put(at_b);
	hang_up(p, &p->a, a);
	hang_up(p, &p->b, b);
}

static void others_are_shown_no_uuid_and_no_term(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 10);

	fake_publish(&p->a.fake, s);
	WAIT_FOR(p, s->rec.committed == 1);
	shown(p, 0, true);
	shown(p, geteuid(), true);
	shown(p, OWNER, true);
	shown(p, OTHER, false);
}

/* The last promotion may be of anybody. */
static void nor_in_what_happened(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 10);
	int root = dial(p, &p->b, 0), other = dial(p, &p->b, OTHER);
	struct json_object *o;
	u64 term = 0, generation;

	fake_publish(&p->a.fake, s);
	WAIT_FOR(p, s->rec.committed == 1);
	assert_int_equal(promotion_do(&p->b.daemon, "kv", &term, &generation, false), 0);
	o = said(p, root, "{\"command\":\"status\"}\n");
	assert_int_equal(js_get_u64(js_at(o, "last_promotion"), "term"), 2);
	json_object_put(o);
	o = said(p, other, "{\"command\":\"status\"}\n");
	assert_int_equal(js_get_u64(js_at(o, "last_promotion"), "term"), 0);
	json_object_put(o);
	hang_up(p, &p->b, root);
	hang_up(p, &p->b, other);
}

/* Whoever monitors is shown what the status shows. */
static void nor_in_news(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 10);
	struct json_object *o;
	char line[256];
	int fd;

	WAIT_FOR(p, record_of(&p->a.daemon, "kv"));
	fd = dial(p, &p->a, OTHER);
	json_object_put(said(p, fd, "{\"command\":\"monitor\"}\n"));
	o = json_tokener_parse(
		"{\"session\":{\"uid\":1000,\"uuid\":\"x\",\"term\":7,\"error\":\"term 7\"}}");
	snprintf(line, sizeof(line), "%s", js_line(o));
	ctl_news(&p->a.daemon, line);
	json_object_put(o);
	do
		o = said(p, fd, "");
	while (!js_at(o, "session") || js_at(js_at(o, "session"), "name"));
	assert_null(js_get_str(js_at(o, "session"), "uuid"));
	assert_int_equal(js_get_u64(js_at(o, "session"), "term"), 0);
	assert_null(strstr(js_get_str(js_at(o, "session"), "error"), "7"));
	json_object_put(o);
	close(fd);
	(void)s;
}

/* Is the command refused for who asks? */
static bool refused(struct pair *p, u32 uid, const char *command)
{
	int fd = dial(p, &p->a, uid);
	struct json_object *o, *error;
	char line[128];
	bool ret;

	snprintf(line, sizeof(line), "{\"command\":\"%s\",\"name\":\"kv\"}\n", command);
	o = said(p, fd, line);
	error = js_at(o, "error");
	ret = error && !strcmp(js_get_str(error, "code"), "permission");
	json_object_put(o);
	hang_up(p, &p->a, fd);
	return ret;
}

/* The owner may ask what to do; to decide is for root, and for who runs the daemon. */
static void commands_are_for_root(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 10);
	size_t i;

	fake_publish(&p->a.fake, s);
	WAIT_FOR(p, s->rec.committed == 1);
	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		bool asks = !strcmp(commands[i], "start");

		assert_true(refused(p, OTHER, commands[i]));
		assert_int_equal(refused(p, OWNER, commands[i]), !asks);
		assert_false(refused(p, geteuid(), commands[i]));
		assert_false(refused(p, 0, commands[i]));
	}
}

/*
 * Names
 */

/* What the record says outlives the program and the daemon. */
static void a_name_stays_its_users(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 10), *other;
	struct known *k;

	fake_publish(&p->a.fake, s);
	WAIT_FOR(p, s->rec.committed == 1);
	assert_int_equal(record_of(&p->b.daemon, "kv")->uid, OWNER);
	host_kill(&p->b);
	host_start(&p->b);
	other = fake_session(&p->b.fake, "kv", 10);
	other->rec.uid = OTHER;
	WAIT_FOR(p, (k = known_find_name(&p->b.daemon, "kv")));
	known_refresh(&p->b.daemon);
	records_decide(&p->b.daemon, "kv");
	assert_non_null(strstr(k->barred, "belongs to user 1000, the program to user 1001"));
	assert_int_equal(record_of(&p->b.daemon, "kv")->role, RECORD_SPARE);
	/* It neither fences the owner's program nor keeps it from being fed. */
	publish_some(&p->a, s, 1, 2);
	pair_run(p, 50);
	assert_false(s->fenced);
	assert_int_equal(record_of(&p->a.daemon, "kv")->term, 1);
}

static void files_without_a_user_are_read(void **state)
{
	struct record r = { .name = "kv", .term = 3, .role = RECORD_SPARE };

	(void)state;
	assert_false(record_of_other(&r, OTHER));
	record_own(&r, OWNER);
	assert_true(record_of_other(&r, OTHER));
	assert_true(record_of_other(&r, 0));
	assert_false(record_of_other(&r, OWNER));
	assert_false(record_of_other(NULL, OTHER));
}

/*
 * Frames of a peer that says anything
 */

struct fixture {
	struct pair pair;	/* only B runs */
	struct raw *raw;
	u8 buf[8192];
	struct writer w;
};

static int raw_setup(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));

	host_open(&x->pair.b, "beta", free_port());
	x->pair.b.conf.allow = ALLOW_ANY;
	x->pair.b.conf.timeout_ms = 60000;
	host_start(&x->pair.b);
	x->raw = raw_connect(&x->pair, x->pair.b.conf.listen_port);
	x->w = (struct writer) { .p = x->buf, .cap = sizeof(x->buf) };
	raw_greet(x->raw, "alpha");
	*state = x;
	return 0;
}

static int raw_teardown(void **state)
{
	struct fixture *x = *state;

	raw_close(x->raw);
	host_close(&x->pair.b);
	free(x);
	return 0;
}

static void send_session(struct fixture *x, u32 channel, u64 term, u32 uid)
{
	struct msg_session m = { .term = term, .uid = uid, .name = "kv" };

	memset(m.uuid, 0x77, sizeof(m.uuid));
	x->w.len = 0;
	session_encode(&x->w, &m);
	raw_send_w(x->raw, WIRE_SESSION, channel, &x->w);
}

static u32 answer(struct fixture *x)
{
	struct msg_state m;
	struct fault f;

	assert_true(raw_receive(x->raw));
	assert_int_equal(x->raw->frame.type, WIRE_SESSION_STATE);
	assert_int_equal(state_decode(x->raw->payload, x->raw->frame.length, &m, &f), 0);
	return m.fault.code;
}

static void send_term(struct fixture *x, u64 term)
{
	struct msg_term m = { .term = term, .name = "kv", .owner = { 9 } };

	x->w.len = 0;
	term_encode(&x->w, &m);
	raw_send_w(x->raw, WIRE_TERM, 0, &x->w);
}

static void another_user_gets_no_replica_of_the_name(void **state)
{
	struct fixture *x = *state;

	send_session(x, 1, 1, 7);
	assert_int_equal(answer(x), WIRE_OK);
	send_session(x, 2, 1, 8);
	assert_int_equal(answer(x), WIRE_E_OWNER);
	/* Nor root of the other host, nor with a higher term, nor once the replica is gone. */
	send_session(x, 3, 2, 0);
	assert_int_equal(answer(x), WIRE_E_OWNER);
	assert_int_equal(record_of(&x->pair.b.daemon, "kv")->term, 1);
	assert_int_equal(record_of(&x->pair.b.daemon, "kv")->uid, 7);
}

static void nor_of_the_name_of_a_program_here(void **state)
{
	struct fixture *x = *state;
	struct fake_session *s = fake_session(&x->pair.b.fake, "kv", 10);

	WAIT_FOR(&x->pair, record_of(&x->pair.b.daemon, "kv"));
	send_session(x, 1, 5, 7);
	assert_int_equal(answer(x), WIRE_E_OWNER);
	assert_int_equal(record_of(&x->pair.b.daemon, "kv")->term, 1);
	assert_null(fake_replica(&x->pair.b.fake, "kv"));
	(void)s;
}

static void a_first_term_may_not_be_the_last(void **state)
{
	struct fixture *x = *state;

	send_session(x, 1, CPTDEV_TERM_MAX, 7);
	raw_refused(x->raw, "is too far above");
	assert_null(record_of(&x->pair.b.daemon, "kv"));
	assert_null(fake_replica(&x->pair.b.fake, "kv"));
}

static void a_term_rises_by_steps(void **state)
{
	struct fixture *x = *state;
	u64 term = 2 * CPTDEV_TERM_STEP + 1;
	const struct record *r;

	send_session(x, 1, CPTDEV_TERM_STEP, 7);
	assert_int_equal(answer(x), WIRE_OK);
	r = record_of(&x->pair.b.daemon, "kv");
	assert_int_equal(r->term, CPTDEV_TERM_STEP);
	send_session(x, 1, term, 7);
	raw_refused(x->raw, "is too far above");
	assert_int_equal(record_of(&x->pair.b.daemon, "kv")->term, CPTDEV_TERM_STEP);
}

/* One frame fences nobody for good, and leaves a term for the next promotion. */
static void a_word_of_the_peer_is_no_last_term(void **state)
{
	struct fixture *x = *state;
	struct fake_session *s = fake_session(&x->pair.b.fake, "kv", 10);

	WAIT_FOR(&x->pair, record_of(&x->pair.b.daemon, "kv"));
	send_term(x, CPTDEV_TERM_MAX);
	raw_refused(x->raw, "is too far above");
	assert_false(s->fenced);
	assert_int_equal(record_of(&x->pair.b.daemon, "kv")->term, 1);
	assert_false(record_of(&x->pair.b.daemon, "kv")->outdated);
}

/* Negative control: a term that promotions explain fences. */
static void but_a_higher_one_fences(void **state)
{
	struct fixture *x = *state;
	struct fake_session *s = fake_session(&x->pair.b.fake, "kv", 10);

	WAIT_FOR(&x->pair, record_of(&x->pair.b.daemon, "kv"));
	send_term(x, 1 + CPTDEV_TERM_STEP);
	WAIT_FOR(&x->pair, s->fenced);
}

static void to_take_back_is_no_jump(void **state)
{
	struct fixture *x = *state;
	struct msg_take_back m = { .term = CPTDEV_TERM_MAX, .name = "kv" };

	send_session(x, 1, 1, 7);
	assert_int_equal(answer(x), WIRE_OK);
	x->w.len = 0;
	take_back_encode(&x->w, &m);
	raw_send_w(x->raw, WIRE_TAKE_BACK, 0, &x->w);
	raw_refused(x->raw, "is too far above");
	assert_int_equal(record_of(&x->pair.b.daemon, "kv")->term, 1);
}

static void nor_is_a_generation_the_last(void **state)
{
	struct fixture *x = *state;
	struct msg_begin m = {
		.generation = CPTDEV_GENERATION_MAX + 1, .term = 1, .segments = 1,
	};

	send_session(x, 1, 1, 7);
	assert_int_equal(answer(x), WIRE_OK);
	x->w.len = 0;
	begin_encode(&x->w, &m);
	raw_send_w(x->raw, WIRE_BEGIN, 1, &x->w);
	raw_refused(x->raw, "BEGIN: base 0, generation 9223372036854775808");
}

/* A person doesn't do it either. */
static void no_promotion_jumps(void **state)
{
	struct record r = { .name = "kv", .term = 4 };
	u8 self[CPTDEV_UUID_LEN] = { 1 };

	(void)state;
	assert_int_equal(record_promote(&r, "kv", CPTDEV_TERM_MAX, 0, self), -1);
	assert_int_equal(record_promote(&r, "kv", 5 + CPTDEV_TERM_STEP, 0, self), -1);
	assert_int_equal(r.term, 4);
	assert_int_equal(record_promote(&r, "kv", 4 + CPTDEV_TERM_STEP, 0, self), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, pair_setup, pair_teardown)
#define R(fn) cmocka_unit_test_setup_teardown(fn, raw_setup, raw_teardown)
		T(others_are_shown_no_uuid_and_no_term),
		T(nor_in_what_happened),
		T(nor_in_news),
		T(commands_are_for_root),
		T(a_name_stays_its_users),
		cmocka_unit_test(files_without_a_user_are_read),
		R(another_user_gets_no_replica_of_the_name),
		R(nor_of_the_name_of_a_program_here),
		R(a_first_term_may_not_be_the_last),
		R(a_term_rises_by_steps),
		R(a_word_of_the_peer_is_no_last_term),
		R(but_a_higher_one_fences),
		R(to_take_back_is_no_jump),
		R(nor_is_a_generation_the_last),
		cmocka_unit_test(no_promotion_jumps),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("identities", tests, NULL, NULL);
}
