// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a host may be short of: descriptors, memory, an address that isn't there yet, a
 * directory. The daemon waits, says so once, and goes on with the rest of its work.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "files.h"
#include "json.h"
#include "lines.h"
#include "raw.h"
#include "tcp.h"

static int setup(void **state)
{
	int ret = pair_setup(state);

	lines_keep();
	return ret;
}

static int teardown(void **state)
{
	int ret = pair_teardown(state);

	lines_drop();
	return ret;
}

/* So often the loop of A comes round within @ms when it has nothing to do. */
static u32 turns(struct pair *p, u32 ms)
{
	u64 until = clock_mono() + ms * NSEC_PER_MSEC;
	u32 n = 0;

	while (clock_mono() < until) {
		loop_turn(&p->a.daemon.loop, 20);
		loop_turn(&p->b.daemon.loop, 0);
		n++;
	}
	return n;
}

/* Heartbeats and their answers, and the detector's ticks: a few each time. */
#define TURNS_MAX(ms)	(40 * (ms) / 50)

static int control_socket(const struct pair *p, struct sockaddr_un *un)
{
	*un = (struct sockaddr_un) { .sun_family = AF_UNIX };
	strcpy(un->sun_path, p->a.conf.control);
	return socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* No descriptor is free; returns the limit as it was. */
static struct rlimit no_descriptors(void)
{
	struct rlimit was, r;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	getrlimit(RLIMIT_NOFILE, &was);
	r = was;
	r.rlim_cur = fd;		/* the lowest that is free */
	close(fd);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &r), 0);
	return was;
}

static void connections_without_a_free_descriptor(void **state)
{
	struct pair *p = *state;
	struct raw *r = raw_connect(p, p->a.conf.listen_port);
	struct rlimit was = no_descriptors();
	char byte;

	assert_in_range(turns(p, 500), 1, TURNS_MAX(500));
	setrlimit(RLIMIT_NOFILE, &was);
	/* It isn't left waiting. */
	assert_int_equal(recv(r->fd, &byte, 1, 0), 0);
	raw_close(r);
	assert_int_equal(lines_with("can't accept a connection to the port"), 1);
	assert_true(host_linked(&p->a));
	/* And those who come later are let in. */
	r = raw_connect(p, p->a.conf.listen_port);
	raw_bytes(r, "?", 1);
	WAIT_FOR(p, LIST_NEXT(LIST_FIRST(&p->a.daemon.ins), entry));
	raw_close(r);
}

static void clients_without_a_free_descriptor(void **state)
{
	struct pair *p = *state;
	struct sockaddr_un un;
	int fd = control_socket(p, &un);
	struct rlimit was;
	char text[512] = "";

	assert_int_equal(connect(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	was = no_descriptors();
	assert_in_range(turns(p, 500), 1, TURNS_MAX(500));
	setrlimit(RLIMIT_NOFILE, &was);
	assert_true(recv(fd, text, sizeof(text) - 1, 0) > 0);
	assert_non_null(strstr(text, "no free descriptor"));
	assert_int_equal(lines_with("can't accept a connection to the control socket"), 1);
	close(fd);
}

static int no_memory(int listener, struct sockaddr_storage *from)
{
	(void)listener;
	(void)from;
	return -ENOMEM;
}

/* The connection stays where it is, and the socket readable. */
static void accept_that_fails_otherwise(void **state)
{
	struct pair *p = *state;
	struct raw *r = raw_connect(p, p->a.conf.listen_port);

	p->a.daemon.listener.accept = no_memory;
	assert_in_range(turns(p, 500), 1, TURNS_MAX(500));
	assert_int_equal(lines_with("can't accept a connection to the port"), 1);
	p->a.daemon.listener.accept = tcp_accept;
	raw_bytes(r, "?", 1);
	WAIT_FOR(p, LIST_NEXT(LIST_FIRST(&p->a.daemon.ins), entry));
	raw_close(r);
}

static void the_limit_fits_the_configuration(void **state)
{
	struct conf c = { .max_sessions = 4096, .max_clients = 1024 };
	struct rlimit was, r;

	(void)state;
	getrlimit(RLIMIT_NOFILE, &was);
	r = was;
	r.rlim_cur = 100;
	setrlimit(RLIMIT_NOFILE, &r);
	c.max_sessions = 20;
	c.max_clients = 4;
	files_raise(&c);
	getrlimit(RLIMIT_NOFILE, &r);
	assert_int_equal(r.rlim_cur, files_needed(&c));
	assert_int_equal(lines_with(""), 0);
	setrlimit(RLIMIT_NOFILE, &was);
}

/* TEST-NET-1 is nobody's. */
static void elsewhere(struct conf *c)
{
	((struct sockaddr_in *)&c->listen)->sin_addr.s_addr = htonl(0xc000024d);
}

static void an_address_that_comes_later(void **state)
{
	struct pair *p = *state;
	struct json_object *o;

	host_kill(&p->a);
	elsewhere(&p->a.conf);
	lines_keep();
	host_start(&p->a);
	assert_int_equal(p->a.daemon.listen_err, EADDRNOTAVAIL);
	o = status_json(&p->a.daemon);
	assert_non_null(strstr(js_get_str(o, "listen_error"), "assign requested address"));
	json_object_put(o);
	/* Shipping needs no address here. */
	WAIT_FOR(p, host_peer(&p->a)->out.state == OUT_UP);
	assert_int_equal(lines_with("can't listen on 192.0.2.77"), 1);
	((struct sockaddr_in *)&p->a.daemon.conf.listen)->sin_addr.s_addr =
		htonl(INADDR_LOOPBACK);
	WAIT_FOR(p, host_linked(&p->a) && host_linked(&p->b));
	assert_int_equal(lines_with("can't listen on"), 1);
	assert_true(lines_with("listening on 127.0.0.1") >= 1);
	o = status_json(&p->a.daemon);
	assert_null(js_at(o, "listen_error"));
	json_object_put(o);
}

/* An address that has moved here, say: the two ends of a link are two nodes. */
static void a_peer_that_is_this_node(void **state)
{
	struct pair *p = *state;

	host_kill(&p->a);
	p->a.conf.peers[0].addr = p->a.conf.listen;
	lines_keep();
	host_start(&p->a);
	WAIT_FOR(p, lines_with("the peer refuses: the peer is this node itself"));
	assert_int_equal(host_peer(&p->a)->out.connects, 0);
}

/* Somebody has to see that, now. */
static void an_address_that_is_taken(void **state)
{
	struct pair *p = *state;
	struct daemon second;
	struct conf conf = p->a.conf;

	conf.control[strlen(conf.control) - 1] = '2';
	assert_int_not_equal(daemon_open(&second, &conf, &p->a.fake.kernel), 0);
	daemon_close(&second);
	assert_int_equal(lines_with("can't listen on"), 1);
}

static void a_directory_that_comes_later(void **state)
{
	struct pair *p = *state;
	char dir[80], below[90];

	host_kill(&p->a);
	snprintf(dir, sizeof(dir), "%s/later", p->a.dir);
	snprintf(below, sizeof(below), "%s/cptdevd", dir);
	snprintf(p->a.conf.control, sizeof(p->a.conf.control), "%s/control", below);
	lines_keep();
	host_start(&p->a);
	assert_int_equal(p->a.daemon.control_err, ENOENT);
	WAIT_FOR(p, host_linked(&p->a) && host_linked(&p->b));
	assert_int_equal(mkdir(dir, 0700), 0);
	WAIT_FOR(p, !p->a.daemon.control_err);
	assert_int_equal(lines_with("no control socket"), 1);
	assert_int_equal(access(p->a.conf.control, F_OK), 0);
	host_kill(&p->a);
	assert_int_equal(rmdir(below), 0);
	assert_int_equal(rmdir(dir), 0);
}

/* It may be anybody's. */
static void a_file_in_the_sockets_place(void **state)
{
	struct pair *p = *state;
	struct daemon second;
	int fd;

	host_kill(&p->a);
	fd = open(p->a.conf.control, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_int_not_equal(daemon_open(&second, &p->a.conf, &p->a.fake.kernel), 0);
	daemon_close(&second);
	assert_int_equal(access(p->a.conf.control, F_OK), 0);
	assert_int_equal(lines_with("a file that isn't a socket is there"), 1);
	unlink(p->a.conf.control);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
		T(connections_without_a_free_descriptor),
		T(clients_without_a_free_descriptor),
		T(accept_that_fails_otherwise),
		T(the_limit_fits_the_configuration),
		T(an_address_that_comes_later),
		T(a_peer_that_is_this_node),
		T(an_address_that_is_taken),
		T(a_directory_that_comes_later),
		T(a_file_in_the_sockets_place),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("shortages", tests, NULL, NULL);
}
