// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Strangers who only hold connections: silent ones, ones that send a byte now and then, and ones whose
 * host is gone. Neither the peer's link nor a peer that connects anew notices, with TLS (a handshake that
 * never ends) and without.
 */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "pair.h"

#define CROWD		65
#define KEY		"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
/* Of the strangers; the peer has 127.0.0.1. */
#define ELSEWHERE	0x7f000002
/* Not finished before this, a greeting is given up (flow/in.c). */
#define GREETING_MS	5000
#define AT_ONCE		8

struct crowd {
	struct pair pair;
	char key[2][80];
	int fd[CROWD];
	u32 said[CROWD];		/* bytes */
	u64 next[CROWD];		/* when it says another one */
};

/* The begin of a frame, or of a ClientHello: good, as far as it goes. */
static const u8 frame_head[] = { 'c', 'p', 't', 'd' };
static const u8 hello_head[] = { 0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3 };

static void key_file(struct crowd *c, int i, struct host *h)
{
	FILE *f;

	snprintf(c->key[i], sizeof(c->key[i]), "%s/key", h->dir);
	f = fopen(c->key[i], "w");
	assert_non_null(f);
	fputs(KEY, f);
	fclose(f);
	chmod(c->key[i], 0600);
	strcpy(h->conf.psk_file, c->key[i]);
}

static int setup_with(void **state, bool key)
{
	struct crowd *c = calloc(1, sizeof(*c));
	struct pair *p = &c->pair;
	int i;

	for (i = 0; i < CROWD; i++)
		c->fd[i] = -1;
	host_open(&p->a, "alpha", free_port());
	host_open(&p->b, "beta", free_port());
	p->a.conf.peers[0].addr = p->b.conf.listen;
	p->b.conf.peers[0].addr = p->a.conf.listen;
	p->b.conf.allow = ALLOW_ANY;
	/* A busy machine isn't a dead peer. */
	p->a.conf.timeout_ms = p->b.conf.timeout_ms = 3000;
	if (key) {
		key_file(c, 0, &p->a);
		key_file(c, 1, &p->b);
	}
	host_start(&p->a);
	host_start(&p->b);
	WAIT_FOR(p, host_linked(&p->a) && host_linked(&p->b));
	*state = c;
	return 0;
}

static int setup(void **state)
{
	return setup_with(state, false);
}

static int setup_tls(void **state)
{
	return setup_with(state, true);
}

static int teardown(void **state)
{
	struct crowd *c = *state;
	int i;

	for (i = 0; i < CROWD; i++)
		if (c->fd[i] >= 0)
			close(c->fd[i]);
	for (i = 0; i < 2; i++)
		if (*c->key[i])
			unlink(c->key[i]);
	pair_close(&c->pair);
	free(c);
	return 0;
}

static void come(struct crowd *c, int i)
{
	struct sockaddr_in from = { .sin_family = AF_INET }, to = from;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (c->fd[i] >= 0)
		close(c->fd[i]);
	from.sin_addr.s_addr = htonl(ELSEWHERE);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	to.sin_port = htons(c->pair.b.conf.listen_port);
	assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof(from)), 0);
	connect(fd, (struct sockaddr *)&to, sizeof(to));
	c->fd[i] = fd;
	c->said[i] = 0;
	/* A third is silent for ever: as if its host was gone. */
	c->next[i] = i % 3 ? clock_mono() + i * NSEC_PER_MSEC : ~0ULL;
}

/* Each says a byte every second, as the begin of something good. */
static void drip(struct crowd *c)
{
	bool tls = *c->key[0];
	const u8 *text = tls ? hello_head : frame_head;
	u32 len = tls ? sizeof(hello_head) : sizeof(frame_head), i;

	for (i = 0; i < CROWD; i++) {
		if (c->fd[i] < 0 || clock_mono() < c->next[i] || c->said[i] == len)
			continue;
		send(c->fd[i], &text[c->said[i]++], 1, MSG_NOSIGNAL | MSG_DONTWAIT);
		c->next[i] = clock_mono() + NSEC_PER_SEC;
	}
}

static u32 held(struct crowd *c)
{
	struct in *in;
	u32 n = 0;

	LIST_FOREACH(in, &c->pair.b.daemon.ins, entry)
		n += in->state != IN_UP;
	return n;
}

/* For longer than a greeting may last: what the session publishes arrives, on the same links. */
static void the_link_is_not_disturbed(void **state)
{
	struct crowd *c = *state;
	struct pair *p = &c->pair;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 10);
	u64 connects = host_peer(&p->a)->out.connects, until;
	struct in *in = host_peer(&p->b)->in;
	u32 rounds = 0, most = 0, i;

	for (i = 0; i < CROWD; i++)
		come(c, i);
	until = clock_mono() + (GREETING_MS + 2000) * NSEC_PER_MSEC;
	while (clock_mono() < until) {
		drip(c);
		publish_some(&p->a, s, rounds % 10, rounds);
		rounds++;
		WAIT_FOR(p, pair_committed(s));
		pair_run(p, 10);
		most = MAX(most, held(c));
	}
	assert_in_range(most, 1, AT_ONCE);
	assert_int_equal(held(c), 0);
	assert_true(rounds > 20);
	assert_int_equal(host_peer(&p->a)->out.connects, connects);
	assert_ptr_equal(host_peer(&p->b)->in, in);
	assert_true(host_linked(&p->a) && host_linked(&p->b));
	assert_false(s->fenced);
}

/* The crowd comes again and again while the peer connects: its greeting isn't pushed out. */
static void a_peer_gets_in(void **state)
{
	struct crowd *c = *state;
	struct pair *p = &c->pair;
	u64 until;
	u32 i = 0;

	host_kill(&p->a);
	WAIT_FOR(p, !host_linked(&p->b));
	host_start(&p->a);
	until = clock_mono() + WAIT_MS * NSEC_PER_MSEC;
	while (!(host_linked(&p->a) && host_linked(&p->b)) && clock_mono() < until) {
		come(c, i++ % CROWD);
		come(c, i++ % CROWD);
		pair_run(p, 0);
	}
	assert_true(host_linked(&p->a) && host_linked(&p->b));
}

/* Whatever the peer's host does itself, and however slowly. */
static void the_slowest_stays_if_it_is_alone(void **state)
{
	struct crowd *c = *state;
	struct pair *p = &c->pair;
	struct sockaddr_in to = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	u8 byte;
	u32 i;

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	to.sin_port = htons(p->b.conf.listen_port);
	connect(fd, (struct sockaddr *)&to, sizeof(to));
	pair_run(p, 10);
	for (i = 0; i < CROWD; i++) {
		come(c, i);
		pair_run(p, 2);
	}
	assert_int_equal(held(c), AT_ONCE);
	assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
#define S(fn) { .name = #fn "_tls", .test_func = fn, .setup_func = setup_tls,	\
		.teardown_func = teardown }
		T(the_link_is_not_disturbed),
		T(a_peer_gets_in),
		T(the_slowest_stays_if_it_is_alone),
		S(the_link_is_not_disturbed),
		S(a_peer_gets_in),
		S(the_slowest_stays_if_it_is_alone),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("crowds", tests, NULL, NULL);
}
