// SPDX-License-Identifier: GPL-2.0-or-later
/* Past generations of a replica: kept as configured, listed, and a promotion that goes back to one. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "dial.h"
#include "json.h"
#include "pair.h"

#define PROMOTE(more)	"{\"command\":\"promote\",\"name\":\"kv\"" more "}\n"

/* A session with @nr generations; in the n-th, page n changed, and so did page 0. */
static struct fake_session *session(struct pair *p, u32 nr)
{
	struct fake_session *s = fake_session(&p->a.fake, "kv", 16);
	u32 i;

	fake_noise(s, 1);
	for (i = 1; i <= nr; i++) {
		fake_write(s, 0, i);
		fake_write(s, i, i);
		fake_publish(&p->a.fake, s);
		WAIT_FOR(p, s->rec.committed == i);
	}
	return s;
}

static struct json_object *ask_b(struct pair *p, const char *line)
{
	int fd = dial(&p->b);
	struct json_object *o = ask(p, fd, line);

	close(fd);
	return o;
}

/* The generations that b tells, "4 3". */
static const char *past(struct pair *p)
{
	struct json_object *o = ask_b(p, "{\"command\":\"history\",\"name\":\"kv\"}\n"), *list;
	static char text[256];
	size_t i, n = 0;

	list = js_at(o, "past");
	text[0] = '\0';
	for (i = 0; list && i < json_object_array_length(list); i++)
		n += snprintf(text + n, sizeof(text) - n, "%s%llu", i ? " " : "",
			      js_get_u64(json_object_array_get_idx(list, i), "generation"));
	if (!list)
		snprintf(text, sizeof(text), "%s", js_get_str(js_at(o, "error"), "code"));
	json_object_put(o);
	return text;
}

static void refused(struct pair *p, const char *line, const char *code, const char *words)
{
	struct json_object *o = ask_b(p, line);

	assert_string_equal(js_get_str(js_at(o, "error"), "code"), code);
	if (!strstr(js_get_str(js_at(o, "error"), "message"), words))
		fail_msg("'%s' isn't in: %s", words, js_get_str(js_at(o, "error"), "message"));
	json_object_put(o);
}

static void as_many_as_configured_are_kept(void **state)
{
	struct pair *p = *state;
	struct fake_session *s;
	struct json_object *o, *first;

	assert_string_equal(past(p), "no-replica");
	p->b.daemon.conf.sessions.history = 3;
	s = session(p, 6);
	assert_string_equal(past(p), "5 4 3");
	o = ask_b(p, "{\"command\":\"history\",\"name\":\"kv\"}\n");
	assert_int_equal(js_get_u64(o, "generation"), 6);
	assert_int_equal(js_get_u64(o, "keep"), 3);
	assert_int_equal(js_get_u64(o, "bytes"), 6 * 4096);
	first = json_object_array_get_idx(js_at(o, "past"), 0);
	assert_int_equal(js_get_u64(first, "pages"), 2);
	assert_int_equal(js_get_u64(first, "term"), 1);
	assert_true(js_get_u64(first, "committed_unix_ms") > 1600000000000ULL);
	json_object_put(o);

	/* The configuration was read anew. */
	p->b.daemon.conf.sessions.history = 1;
	in_reload(host_peer(&p->b)->in);
	assert_string_equal(past(p), "5");
	p->b.daemon.conf.sessions.history = 0;
	in_reload(host_peer(&p->b)->in);
	assert_string_equal(past(p), "");
	publish_some(&p->a, s, 3, 3);
	WAIT_FOR(p, pair_committed(s));
	assert_string_equal(past(p), "");
	assert_int_equal(fake_replica_pages(&p->b.fake), 16);
}

static void their_memory_is_limited(void **state)
{
	struct pair *p = *state;
	struct fake_session *s;

	p->b.daemon.conf.sessions.history = 100;
	p->b.daemon.conf.sessions.history_mib = 1;
	s = fake_session(&p->a.fake, "kv", 200);
	fake_noise(s, 1);
	fake_publish(&p->a.fake, s);
	WAIT_FOR(p, s->rec.committed == 1);
	fake_noise(s, 2);
	fake_publish(&p->a.fake, s);
	WAIT_FOR(p, s->rec.committed == 2);
	assert_string_equal(past(p), "1");
	/* 400 pages are more than 1 MiB. */
	fake_noise(s, 3);
	fake_publish(&p->a.fake, s);
	WAIT_FOR(p, s->rec.committed == 3);
	assert_string_equal(past(p), "2");
}

static void a_promotion_goes_back(void **state)
{
	struct pair *p = *state;
	const struct soft_replica *r;
	struct fake_session *s;
	struct json_object *o;
	u32 i;

	p->b.daemon.conf.sessions.history = 8;
	s = session(p, 6);
	r = fake_replica(&p->b.fake, "kv");
	/* What would be lost is said before. */
	refused(p, PROMOTE(",\"generation\":3"), "goes-back", "lost for good");
	assert_int_equal(r->rec.term, 1);
	assert_string_equal(past(p), "5 4 3 2 1");
	o = ask_b(p, PROMOTE(",\"generation\":3,\"force\":true"));
	assert_null(js_at(o, "error"));
	assert_int_equal(js_get_u64(o, "generation"), 3);
	assert_int_equal(js_get_u64(o, "term"), 2);
	json_object_put(o);
	assert_int_equal(r->rec.generation, 3);
	assert_true(r->promoted);
	assert_int_equal(fake_page(r, 0)[100], 3);
	for (i = 1; i <= 3; i++)
		assert_int_equal(fake_page(r, i)[100], i);
	/* As the first generation has it, in which only page 1 isn't noise. */
	for (i = 4; i < 7; i++)
		assert_int_not_equal(memcmp(fake_page(r, i), fake_page(r, i) + 1, 4095), 0);
	assert_string_equal(past(p), "");
	/* Nobody goes on from what is given up. */
	WAIT_FOR(p, s->fenced);
	assert_int_equal(record_of(&p->b.daemon, "kv")->generation, 3);
	assert_int_equal(record_of(&p->b.daemon, "kv")->term, 2);
}

static void one_that_is_not_there_is_refused(void **state)
{
	struct pair *p = *state;
	const struct soft_replica *r;
	struct fake_session *s;

	p->b.daemon.conf.sessions.history = 2;
	s = session(p, 5);
	r = fake_replica(&p->b.fake, "kv");
	refused(p, PROMOTE(",\"generation\":2,\"force\":true"), "failed", "not any more");
	refused(p, PROMOTE(",\"generation\":9,\"force\":true"), "failed", "doesn't have");
	refused(p, PROMOTE(",\"generation\":5,\"force\":true"), "failed", "newest");
	fake_replica(&p->b.fake, "kv")->frozen++;
	refused(p, PROMOTE(",\"generation\":4,\"force\":true"), "failed", "reads the replica");
	fake_replica(&p->b.fake, "kv")->frozen--;
	refused(p, "{\"command\":\"history\",\"name\":\"other\"}\n", "no-replica", "no replica");
	refused(p, "{\"command\":\"history\"}\n", "bad-request", "name");
	/* Nothing of it has changed anything. */
	assert_int_equal(r->rec.term, 1);
	assert_int_equal(r->rec.generation, 5);
	assert_false(r->promoted);
	assert_int_equal(fake_page(r, 0)[100], 5);
	publish_some(&p->a, s, 3, 3);
	WAIT_FOR(p, pair_committed(s));
	assert_false(s->fenced);
	assert_string_equal(past(p), "5 4");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, pair_setup, pair_teardown)
	const struct CMUnitTest tests[] = {
		TEST(as_many_as_configured_are_kept),
		TEST(their_memory_is_limited),
		TEST(a_promotion_goes_back),
		TEST(one_that_is_not_there_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
