// SPDX-License-Identifier: GPL-2.0-or-later
/* A peer that is given by name: what a name server says, late, wrong or not at all. */
#include <dirent.h>
#include <errno.h>
#include <netdb.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "json.h"
#include "lines.h"
#include "raw.h"

/* In place of the C library's, as far as names are concerned; a child takes it along. */
static struct {
	int err;
	bool hangs;
	unsigned int nr;
	u32 addr[4];			/* below 127.0.0.0 */
} answer;

static struct addrinfo found[4];
static struct sockaddr_in found_at[4];

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
		struct addrinfo **list)
{
	unsigned int i;

	(void)service;
	(void)hints;
	if (strcmp(node, "spare.example.org"))
		return EAI_NONAME;
	while (answer.hangs)
		pause();
	if (answer.err)
		return answer.err;
	for (i = 0; i < answer.nr; i++) {
		found_at[i] = (struct sockaddr_in) {
			.sin_family = AF_INET,
			.sin_addr.s_addr = htonl(0x7f000000 + answer.addr[i]),
		};
		found[i] = (struct addrinfo) {
			.ai_family = AF_INET, .ai_addrlen = sizeof(found_at[i]),
			.ai_addr = (struct sockaddr *)&found_at[i],
			.ai_next = i + 1 < answer.nr ? &found[i + 1] : NULL,
		};
	}
	*list = found;
	return 0;
}

void freeaddrinfo(struct addrinfo *list)
{
	(void)list;
}

static int setup(void **state)
{
	struct pair *p;

	pair_setup(state);
	p = *state;
	host_kill(&p->a);
	memset(&answer, 0, sizeof(answer));
	p->a.conf.peers[0].port = ntohs(((struct sockaddr_in *)&p->a.conf.peers[0].addr)->sin_port);
	memset(&p->a.conf.peers[0].addr, 0, sizeof(p->a.conf.peers[0].addr));
	strcpy(p->a.conf.peers[0].host, "spare.example.org");
	lines_keep();
	return 0;
}

/* No process is left of any look-up. */
static int teardown(void **state)
{
	pair_teardown(state);
	lines_drop();
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	return 0;
}

static void a_name_is_looked_up(void **state)
{
	struct pair *p = *state;
	struct json_object *o, *out;
	char want[40];

	answer.nr = 1;
	answer.addr[0] = 1;
	host_start(&p->a);
	WAIT_FOR(p, host_linked(&p->a) && host_linked(&p->b));
	o = status_json(&p->a.daemon);
	out = js_at(json_object_array_get_idx(js_at(o, "peers"), 0), "outgoing");
	snprintf(want, sizeof(want), "spare.example.org:%u", p->a.conf.peers[0].port);
	assert_string_equal(js_get_str(out, "address"), want);
	json_object_put(o);
}

/* Nobody listens on the first ones. */
static void its_addresses_are_tried_in_turn(void **state)
{
	struct pair *p = *state;

	answer.nr = 3;
	answer.addr[0] = 5;
	answer.addr[1] = 6;
	answer.addr[2] = 1;
	host_start(&p->a);
	WAIT_FOR(p, host_linked(&p->a) && host_linked(&p->b));
	assert_int_equal(host_peer(&p->a)->out.attempts, 3);
	/* The peer is the peer on each of its addresses. */
	assert_true(host_peer(&p->a)->in);
}

static void a_name_that_is_known_later(void **state)
{
	struct pair *p = *state;
	struct raw *r;

	answer.err = EAI_NONAME;
	host_start(&p->a);
	WAIT_FOR(p, lines_with("the peer's name spare.example.org isn't known"));
	pair_run(p, 700);
	assert_int_equal(lines_with("isn't known"), 1);
	/* The next attempt finds no address. When it is depends on how long the look-up took. */
	WAIT_FOR(p, strstr(host_peer(&p->a)->out.last.text, "isn't known"));
	/* As long as nobody is the peer, nobody is let in. */
	r = raw_connect(p, p->a.conf.listen_port);
	assert_false(raw_receive(r));
	raw_close(r);
	answer.err = 0;
	answer.nr = 1;
	answer.addr[0] = 1;
	WAIT_FOR(p, host_linked(&p->a) && host_linked(&p->b));
}

static void an_answer_that_fails_leaves_what_is_known(void **state)
{
	struct pair *p = *state;

	answer.nr = 1;
	answer.addr[0] = 1;
	host_start(&p->a);
	WAIT_FOR(p, host_linked(&p->a) && host_linked(&p->b));
	answer.err = EAI_AGAIN;
	host_kill(&p->b);
	WAIT_FOR(p, lines_with("the last known addresses stay in use"));
	host_start(&p->b);
	WAIT_FOR(p, host_linked(&p->a) && host_linked(&p->b));
}

static void a_new_address_is_found(void **state)
{
	struct pair *p = *state;

	answer.nr = 1;
	answer.addr[0] = 5;
	host_start(&p->a);
	WAIT_FOR(p, lines_with("can't connect: Connection refused"));
	answer.addr[0] = 1;
	WAIT_FOR(p, host_linked(&p->a) && host_linked(&p->b));
}

static u32 files_of(pid_t pid)
{
	char path[40];
	DIR *dir;
	u32 n = 0;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 2;			/* "." and ".." */
}

/* Nobody waits for it; it keeps nothing of the daemon's open; and it ends with it. */
static void a_name_server_that_doesnt_answer(void **state)
{
	struct pair *p = *state;
	struct resolver *r;
	u64 began;

	answer.hangs = true;
	p->a.conf.allow = ALLOW_ANY;
	host_start(&p->a);
	r = &host_peer(&p->a)->out.resolver;
	WAIT_FOR(p, host_peer(&p->a)->in);
	assert_true(r->pid > 0);
	WAIT_FOR(p, files_of(r->pid) <= 4);
	pair_run(p, 1200);
	assert_true(host_peer(&p->a)->in);
	assert_int_equal(host_peer(&p->b)->out.connects, 2);
	assert_string_equal(host_peer(&p->a)->out.last.text,
			    "the peer's name isn't looked up yet");
	/* After ten seconds: */
	loop_disarm(&r->timer);
	answer.hangs = false;
	answer.nr = 1;
	answer.addr[0] = 1;
	r->timer.fn(&r->timer);
	assert_int_equal(lines_with("isn't known: Temporary failure"), 1);
	WAIT_FOR(p, host_linked(&p->a) && host_linked(&p->b));
	answer.hangs = true;
	host_kill(&p->b);
	WAIT_FOR(p, r->pid > 0);
	began = clock_mono();
	host_kill(&p->a);
	assert_true(clock_mono() - began < NSEC_PER_SEC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
		T(a_name_is_looked_up),
		T(its_addresses_are_tried_in_turn),
		T(a_name_that_is_known_later),
		T(an_answer_that_fails_leaves_what_is_known),
		T(a_new_address_is_found),
		T(a_name_server_that_doesnt_answer),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("names", tests, NULL, NULL);
}
