// SPDX-License-Identifier: GPL-2.0-or-later
/* A peer that breaks the rules towards the side that ships; and what it may say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "raw.h"
#include "tcp.h"

struct fixture {
	struct pair pair;	/* only A runs: it connects to the test */
	struct fake_session *session;
	struct raw *raw;
	int listener;
	u8 buf[8192];
	struct writer w;
};

static int setup(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));
	struct sockaddr_in *in = (struct sockaddr_in *)&x->pair.a.conf.peers[0].addr;
	u16 port = 0;

	host_open(&x->pair.a, "alpha", free_port());
	in->sin_family = AF_INET;
	in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	x->listener = tcp_listen(&x->pair.a.conf.peers[0].addr, &port);
	in->sin_port = htons(port);
	host_start(&x->pair.a);
	x->raw = raw_accept(&x->pair, x->listener);
	x->w = (struct writer) { .p = x->buf, .cap = sizeof(x->buf) };
	*state = x;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *x = *state;

	raw_close(x->raw);
	close(x->listener);
	host_close(&x->pair.a);
	free(x);
	return 0;
}

static void receive(struct fixture *x, u16 type)
{
	assert_true(raw_receive(x->raw));
	if (x->raw->frame.type != type)
		fail_msg("%s instead of %s", wire_type_name(x->raw->frame.type),
			 wire_type_name(type));
}

static struct welcome welcome(void)
{
	return (struct welcome) {
		.node = { .uuid = { 1 }, .name = "beta", .page_size = 4096,
			  .heartbeat_ms = 50, .timeout_ms = 1000 },
		.version = WIRE_VERSION,
	};
}

static void send_welcome(struct fixture *x, const struct welcome *m)
{
	receive(x, WIRE_HELLO);
	x->w.len = 0;
	welcome_encode(&x->w, m);
	raw_send_w(x->raw, WIRE_WELCOME, 0, &x->w);
}

static void up(struct fixture *x)
{
	struct welcome m = welcome();

	send_welcome(x, &m);
	x->session = fake_session(&x->pair.a.fake, "kv", 4);
	fake_publish(&x->pair.a.fake, x->session);
	receive(x, WIRE_SESSION);
}

static void state_ok(struct fixture *x, u64 generation)
{
	struct msg_state m = { .generation = generation };

	if (generation)
		memcpy(m.uuid, x->session->rec.uuid, sizeof(m.uuid));
	x->w.len = 0;
	state_encode(&x->w, &m);
	raw_send_w(x->raw, WIRE_SESSION_STATE, 1, &x->w);
}

static void delta(struct fixture *x)
{
	receive(x, WIRE_BEGIN);
	receive(x, WIRE_LAYOUT);
	receive(x, WIRE_DATA);
	receive(x, WIRE_COMMIT);
}

static void committed(struct fixture *x, u64 generation)
{
	struct msg_committed m = { .generation = generation };

	x->w.len = 0;
	committed_encode(&x->w, &m);
	raw_send_w(x->raw, WIRE_COMMITTED, 1, &x->w);
}

static void a_good_spare_is_shipped_to(void **state)
{
	struct fixture *x = *state;

	up(x);
	state_ok(x, 0);
	delta(x);
	committed(x, 1);
	WAIT_FOR(&x->pair, x->session->rec.committed == 1);
	fake_write(x->session, 1, 1);
	fake_publish(&x->pair.a.fake, x->session);
	delta(x);
	committed(x, 2);
	WAIT_FOR(&x->pair, x->session->rec.committed == 2);
}

static void a_commit_out_of_turn_is_refused(void **state)
{
	struct fixture *x = *state;

	up(x);
	state_ok(x, 0);
	delta(x);
	committed(x, 7);
	raw_refused(x->raw, "COMMITTED of generation 7");
	assert_int_equal(x->session->rec.committed, 0);
}

static void a_commit_that_wasnt_sent_is_refused(void **state)
{
	struct fixture *x = *state;

	up(x);
	state_ok(x, 0);
	delta(x);
	committed(x, 1);
	committed(x, 1);
	raw_refused(x->raw, "out of order");
	assert_int_equal(x->session->rec.committed, 1);
}

static void a_state_that_nobody_asked_for_is_refused(void **state)
{
	struct fixture *x = *state;

	up(x);
	state_ok(x, 0);
	delta(x);
	state_ok(x, 0);
	raw_refused(x->raw, "OK while WAITING");
}

static void an_unknown_channel_is_refused(void **state)
{
	struct fixture *x = *state;

	up(x);
	raw_send(x->raw, WIRE_COMMITTED, 9, NULL, 0);
	raw_refused(x->raw, "channel 9, which was never opened");
}

static void a_late_word_on_a_channel_that_ended_is_fine(void **state)
{
	struct fixture *x = *state;

	up(x);
	state_ok(x, 0);
	delta(x);
	fake_session_end(&x->pair.a.fake, x->session);
	receive(x, WIRE_GONE);
	committed(x, 1);
	pair_run(&x->pair, 20);
	assert_int_equal(host_peer(&x->pair.a)->out.state, OUT_UP);
}

/* The spare can't have more than was published. */
static void a_spare_that_is_ahead_isnt_believed(void **state)
{
	struct fixture *x = *state;

	up(x);
	state_ok(x, 99);
	WAIT_FOR(&x->pair, host_ship(&x->pair.a, "kv")->state == SHIP_REFUSED);
	assert_int_equal(x->session->rec.committed, 0);
}

static void a_failure_is_asked_about_and_repeated(void **state)
{
	struct fixture *x = *state;
	struct msg_failed m = { .generation = 1, .fault = { WIRE_E_GAP, "a gap" } };

	up(x);
	state_ok(x, 0);
	delta(x);
	x->w.len = 0;
	failed_encode(&x->w, &m);
	raw_send_w(x->raw, WIRE_FAILED, 1, &x->w);
	receive(x, WIRE_SESSION);
	assert_int_equal(fake_attached(&x->pair.a.fake, x->session), 0);
	state_ok(x, 0);
	delta(x);
	committed(x, 1);
	WAIT_FOR(&x->pair, x->session->rec.committed == 1);
}

static void frames_before_welcome_are_refused(void **state)
{
	struct fixture *x = *state;

	receive(x, WIRE_HELLO);
	raw_send(x->raw, WIRE_SESSION_STATE, 1, NULL, 0);
	raw_refused(x->raw, "CHANNEL while GREETING");
}

static void a_welcome_for_another_version_is_refused(void **state)
{
	struct fixture *x = *state;
	struct welcome m = welcome();

	m.version = 9;
	send_welcome(x, &m);
	raw_refused(x->raw, "version 9");
}

static void a_refusal_is_kept_and_the_attempt_repeated(void **state)
{
	struct fixture *x = *state;
	struct msg_refuse m = { { WIRE_E_IDENTITY, "go away" } };

	receive(x, WIRE_HELLO);
	refuse_encode(&x->w, &m);
	raw_send_w(x->raw, WIRE_REFUSE, 0, &x->w);
	WAIT_FOR(&x->pair, host_peer(&x->pair.a)->out.attempts == 2);
	assert_string_equal(host_peer(&x->pair.a)->out.last.text, "go away");
}

static void a_spare_that_says_nothing_is_given_up(void **state)
{
	struct fixture *x = *state;

	up(x);
	state_ok(x, 0);
	delta(x);
	assert_int_equal(fake_attached(&x->pair.a.fake, x->session), 1);
	WAIT_FOR(&x->pair, fake_attached(&x->pair.a.fake, x->session) == 0);
	assert_non_null(strstr(host_peer(&x->pair.a)->out.last.text, "no answer"));
}

/*
 * Who is it? Not a page is sent before that is known.
 */

static void a_node_of_another_name_gets_nothing(void **state)
{
	struct fixture *x = *state;
	struct welcome m = welcome();

	strcpy(x->pair.a.daemon.conf.peers[0].name, "beta");
	strcpy(m.node.name, "gamma");
	x->session = fake_session(&x->pair.a.fake, "kv", 4);
	fake_publish(&x->pair.a.fake, x->session);
	send_welcome(x, &m);
	raw_refused(x->raw, "called gamma, beta is expected here");
	assert_int_equal(x->raw->refuse.fault.code, WIRE_E_IDENTITY);
	assert_int_equal(x->session->deltas, 0);
	assert_int_equal(fake_attached(&x->pair.a.fake, x->session), 0);
}

static void the_node_of_that_name_is_served(void **state)
{
	struct fixture *x = *state;

	strcpy(x->pair.a.daemon.conf.peers[0].name, "beta");
	up(x);
	state_ok(x, 0);
	delta(x);
}

static void the_own_node_gets_nothing(void **state)
{
	struct fixture *x = *state;
	struct welcome m = welcome();

	memcpy(m.node.uuid, x->pair.a.daemon.self.uuid, sizeof(m.node.uuid));
	send_welcome(x, &m);
	raw_refused(x->raw, "the peer is this node itself");
}

/* What ships to this node isn't what answers at the peer's address. */
static void two_nodes_are_not_one_peer(void **state)
{
	struct fixture *x = *state;
	struct welcome m = welcome();
	struct raw *in = raw_connect(&x->pair, x->pair.a.conf.listen_port);

	raw_greet(in, "delta");
	send_welcome(x, &m);
	raw_refused(x->raw, "another node, delta, ships to this one; beta isn't its peer");
	raw_close(in);
}

static void nor_in_the_other_order(void **state)
{
	struct fixture *x = *state;
	struct node self = { .page_size = 4096, .heartbeat_ms = 10, .timeout_ms = 100,
			     .name = "delta", .uuid = { 3 } };
	struct raw *in;
	struct hello m;

	up(x);
	in = raw_connect(&x->pair, x->pair.a.conf.listen_port);
	hello_make(&m, &self);
	x->w.len = 0;
	hello_encode(&x->w, &m);
	raw_send_w(in, WIRE_HELLO, 0, &x->w);
	raw_refused(in, "ships to another node, beta; delta isn't its peer");
	raw_close(in);
}

/*
 * Terms
 */

static void told(struct fixture *x, u64 term)
{
	struct msg_term m = { .term = term, .name = "kv" };

	x->w.len = 0;
	term_encode(&x->w, &m);
	raw_send_w(x->raw, WIRE_TERM, 0, &x->w);
}

static void a_peer_that_does_not_know_terms_is_not_told(void **state)
{
	struct fixture *x = *state;

	fake_session_with(&x->pair.a.fake, "other", 4, 9, 0);
	x->pair.a.fake.family_changed = true;
	up(x);		/* SESSION is the first frame */
	told(x, 2);
	raw_refused(x->raw, "TERM, which wasn't agreed on");
	assert_false(x->session->fenced);
}

static void a_higher_term_is_believed_and_a_lower_one_is_no_news(void **state)
{
	struct fixture *x = *state;
	struct welcome m = welcome();

	m.features = WIRE_FEATURE_TERMS;
	send_welcome(x, &m);
	receive(x, WIRE_LISTED);
	x->session = fake_session_with(&x->pair.a.fake, "kv", 4, 5, 0);
	receive(x, WIRE_TERM);
	receive(x, WIRE_SESSION);
	told(x, 4);
	told(x, 5);
	pair_run(&x->pair, 20);
	assert_false(x->session->fenced);
	told(x, 6);
	WAIT_FOR(&x->pair, x->session->fenced);
}

/* Whatever it answers. */
static void the_term_of_an_answer_fences(void **state)
{
	struct fixture *x = *state;
	struct msg_state m = { .generation = 1, .term = 2 };

	up(x);
	x->w.len = 0;
	state_encode(&x->w, &m);
	raw_send_w(x->raw, WIRE_SESSION_STATE, 1, &x->w);
	WAIT_FOR(&x->pair, x->session->fenced);
	assert_int_equal(x->session->deltas, 0);
}

/* The socket fills up; memory doesn't, and others aren't kept waiting. */
static void a_spare_that_reads_nothing_costs_nothing(void **state)
{
	struct fixture *x = *state;
	struct fake_session *big;
	struct conn *c;
	u64 sent;

	x->pair.a.daemon.conf.timeout_ms = 60000;
	up(x);
	state_ok(x, 0);
	delta(x);
	big = fake_session(&x->pair.a.fake, "big", 8192);
	fake_publish(&x->pair.a.fake, big);
	receive(x, WIRE_SESSION);
	x->w.len = 0;
	state_encode(&x->w, &(struct msg_state) {});
	raw_send_w(x->raw, WIRE_SESSION_STATE, 2, &x->w);
	c = host_peer(&x->pair.a)->out.conn;
	WAIT_FOR(&x->pair, c->blocked);
	pair_run(&x->pair, 100);
	sent = c->stats.bytes_out;
	pair_run(&x->pair, 200);
	assert_int_equal(c->stats.bytes_out, sent);
	assert_true(sent < 8192 * 4096ULL);
	assert_true(c->queued < 1024);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
		T(a_good_spare_is_shipped_to),
		T(a_commit_out_of_turn_is_refused),
		T(a_commit_that_wasnt_sent_is_refused),
		T(a_state_that_nobody_asked_for_is_refused),
		T(an_unknown_channel_is_refused),
		T(a_late_word_on_a_channel_that_ended_is_fine),
		T(a_spare_that_is_ahead_isnt_believed),
		T(a_failure_is_asked_about_and_repeated),
		T(frames_before_welcome_are_refused),
		T(a_welcome_for_another_version_is_refused),
		T(a_refusal_is_kept_and_the_attempt_repeated),
		T(a_spare_that_says_nothing_is_given_up),
		T(a_spare_that_reads_nothing_costs_nothing),
		T(a_node_of_another_name_gets_nothing),
		T(the_node_of_that_name_is_served),
		T(the_own_node_gets_nothing),
		T(two_nodes_are_not_one_peer),
		T(nor_in_the_other_order),
		T(a_peer_that_does_not_know_terms_is_not_told),
		T(a_higher_term_is_believed_and_a_lower_one_is_no_news),
		T(the_term_of_an_answer_fences),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("hostile receivers", tests, NULL, NULL);
}
