// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Established TCP connections move between hosts: a server's socket from namespace a to namespace
 * b, which gets the same address; the client in c knows nothing of it. Both sides check each byte
 * by its place in the stream, and that none is missing.
 *
 *	client c 10.9.0.3, fd09::3
 *	   switch --- a 10.9.0.11, fd09::11   and first 10.9.0.1, fd09::1
 *	         \--- b 10.9.0.12, fd09::12   and then  10.9.0.1, fd09::1
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "../clock.h"
#include "../js.h"
#include "../tcp.h"
#include "child.h"

/* So long a transfer may take that comes to its end; and so long one that doesn't is looked at. */
#define LONG_MS		60000
#define STUCK_MS	4000

enum { C, A, B, HOSTS };
static int host[HOSTS];
static bool moved;			/* b has the address */

__attribute__((format(printf, 1, 2)))
static void run(const char *fmt, ...)
{
	char command[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	if (system(command)) {
		printf("# failed: %s\n", command);
		abort();
	}
}

static void enter(int which)
{
	CHECK(!setns(host[which], CLONE_NEWNET));
}

static bool make_hosts(void)
{
	int i;

	for (i = 0; i < HOSTS; i++) {
		if (unshare(CLONE_NEWNET))
			return false;
		host[i] = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
		CHECK(host[i] >= 0);
	}
	if (system("ip link set lo up 2>/dev/null"))
		return false;
	enter(C);
	run("ip link set lo up; ip link add switch type bridge; ip addr add 10.9.0.3/24 dev switch;"
	    "ip link set switch addrgenmode none; ip addr add fd09::3/64 dev switch nodad;"
	    "ip link set switch up");
	for (i = A; i < HOSTS; i++) {
		enter(C);
		/* The same address of the link: a client needn't learn a new one. */
		run("ip link add to-%d type veth peer name eth0 address 02:00:00:00:00:01 "
		    "netns /proc/%d/fd/%d; ip link set to-%d master switch up", i, getpid(),
		    host[i], i);
		enter(i);
		/* On a busy machine a connection is idle for long. Its window stays as it is. */
		run("echo 0 >/proc/sys/net/ipv4/tcp_slow_start_after_idle");
		run("ip link set lo up; ip link set eth0 addrgenmode none; ip link set eth0 up;"
		    "ip addr add 10.9.0.1%d/24 dev eth0;"
		    "ip addr add fd09::1%d/64 dev eth0 nodad", i, i);
	}
	return true;
}

/* Host @to has the address, and the other one no link any more. */
static void move_address(int to)
{
	int from = to == A ? B : A;

	enter(C);
	run("ip link set to-%d down; ip link set to-%d master switch up", from, to);
	enter(from);
	run("ip addr flush dev eth0 to 10.9.0.1; ip addr flush dev eth0 to fd09::1");
	enter(to);
	run("ip addr replace 10.9.0.1/32 dev eth0;"
	    "ip addr replace fd09::1/128 dev eth0 nodad");
	moved = to == B;
}

/*
 * Host @which is taken off the switch until the address moves to it. Its link itself stays up: at a
 * link that is down the kernel may refuse to send, and what it refused was never sent.
 */
static void lose(int which)
{
	enter(C);
	run("ip link set to-%d nomaster", which);
}

/*
 * A connection
 */

struct stream {
	uint64_t done, wanted;
};

struct side {
	int fd;
	struct stream out, in;
	bool ended;			/* the other side has said all */
	int err;
};

struct pair {
	struct side client, server;
	struct sockaddr_storage name, peer;
	socklen_t name_len, peer_len;
};

static char byte_at(uint64_t at)
{
	return (char)((at * 2654435761U + at / 251) >> 16);
}

static struct addrinfo *resolve(const char *text)
{
	const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM };
	struct addrinfo *a;

	CHECK(!getaddrinfo(text, "7000", &hints, &a));
	return a;
}

static void connect_pair(struct pair *p, const char *address)
{
	struct addrinfo *a = resolve(address);
	int listener, one = 1;

	*p = (struct pair) { .name_len = sizeof(p->name), .peer_len = sizeof(p->peer) };
	move_address(A);
	enter(A);
	listener = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(!setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
	CHECK(!bind(listener, a->ai_addr, a->ai_addrlen) && !listen(listener, 1));
	enter(C);
	p->client.fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(!connect(p->client.fd, a->ai_addr, a->ai_addrlen));
	p->server.fd = accept(listener, NULL, NULL);
	CHECK(p->server.fd >= 0);
	close(listener);
	CHECK(!getsockname(p->server.fd, (void *)&p->name, &p->name_len));
	CHECK(!getpeername(p->server.fd, (void *)&p->peer, &p->peer_len));
	fcntl(p->client.fd, F_SETFL, O_NONBLOCK);
	fcntl(p->server.fd, F_SETFL, O_NONBLOCK);
	freeaddrinfo(a);
}

static void close_pair(struct pair *p)
{
	close(p->client.fd);
	close(p->server.fd);
}

static bool push(struct side *s)
{
	char buf[4096];
	ssize_t n;
	size_t i, len = sizeof(buf);

	if (s->out.wanted - s->out.done < len)
		len = s->out.wanted - s->out.done;
	for (i = 0; i < len; i++)
		buf[i] = byte_at(s->out.done + i);
	n = len ? send(s->fd, buf, len, MSG_NOSIGNAL) : -1;
	if (n > 0)
		s->out.done += (uint64_t)n;
	else if (len && errno != EAGAIN)
		s->err = errno;
	return n > 0;
}

static bool pull(struct side *s)
{
	char buf[4096];
	ssize_t n, i;

	if (s->in.done == s->in.wanted)
		return false;
	n = recv(s->fd, buf, sizeof(buf), 0);
	for (i = 0; i < n; i++)
		if (buf[i] != byte_at(s->in.done + (uint64_t)i)) {
			printf("# byte %llu is wrong\n", (unsigned long long)s->in.done + i);
			abort();
		}
	if (n > 0)
		s->in.done += (uint64_t)n;
	else if (!n)
		s->ended = true;
	else if (errno != EAGAIN)
		s->err = errno;
	return n > 0;
}

static bool complete(const struct side *s)
{
	return s->out.done == s->out.wanted && s->in.done == s->in.wanted;
}

/* Both ways, until all is there, or for so long. Returns whether it is. */
static bool transfer(struct pair *p, uint64_t ms)
{
	const uint64_t end = hs_now_ns() + ms * 1000000;
	const struct timespec little = { .tv_nsec = 1000000 };
	bool any;

	while (hs_now_ns() < end && !p->client.err && !p->server.err) {
		any = push(&p->client);
		any |= push(&p->server);
		any |= pull(&p->client);
		any |= pull(&p->server);
		if (complete(&p->client) && complete(&p->server))
			return true;
		if (!any)
			nanosleep(&little, NULL);
	}
	return false;
}

/* So many more bytes both ways. */
static bool more(struct pair *p, uint64_t bytes, uint64_t ms)
{
	p->client.out.wanted += bytes;
	p->server.out.wanted += bytes;
	p->client.in.wanted = p->server.out.wanted;
	p->server.in.wanted = p->client.out.wanted;
	return transfer(p, ms);
}

/* The other program may have read bytes that its kernel hasn't acknowledged yet. */
static bool acknowledged(const struct pair *p)
{
	const uint64_t end = hs_now_ns() + LONG_MS * 1000000ULL;
	const struct timespec little = { .tv_nsec = 1000000 };
	int client, server;

	while (!ioctl(p->client.fd, SIOCOUTQ, &client) && !ioctl(p->server.fd, SIOCOUTQ, &server) &&
	       hs_now_ns() < end) {
		if (!client && !server)
			return true;
		nanosleep(&little, NULL);
	}
	return false;
}

/* Until the socket takes no more. */
static void stuff(struct side *s, struct side *other, uint64_t bytes)
{
	const struct timespec little = { .tv_nsec = 1000000 };
	int idle;

	s->out.wanted += bytes;
	other->in.wanted = s->out.wanted;
	for (idle = 0; s->out.done < s->out.wanted && idle < 200; idle++)
		if (push(s))
			idle = 0;
		else
			nanosleep(&little, NULL);
	s->out.wanted = s->out.done;
	other->in.wanted = s->out.done;
}

/* By way of text, as a checkpoint has it. */
static struct hs_tcp *again(struct hs_tcp *t)
{
	struct js_from from = { .o = hs_tcp_json(t) };
	struct hs_tcp *copy = hs_tcp_parse(&from);

	assert_null(from.bad);
	json_object_put(from.o);
	hs_tcp_free(t);
	return copy;
}

static struct hs_tcp *read_server(struct pair *p)
{
	struct hs_error e = { "" };
	struct hs_tcp *t;

	enter(A);
	t = hs_tcp_read(p->server.fd, &e);
	if (!t)
		printf("# %s\n", e.text);
	assert_non_null(t);
	return again(t);
}

/* The host is lost; another one goes on with @t. */
static void take_over(struct pair *p, struct hs_tcp *t)
{
	const struct hs_tcp_ends ends = {
		(void *)&p->name, (void *)&p->peer, p->name_len, p->peer_len,
	};

	enter(C);
	run("ip link set to-%d down", A);
	close(p->server.fd);
	enter(B);
	p->server.fd = socket(p->name.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (hs_tcp_make(p->server.fd, t, &ends)) {
		printf("# made: %s\n", strerror(errno));
		abort();
	}
	move_address(B);
	if (hs_tcp_go_on(p->server.fd, t, &ends))
		printf("# goes on: %s\n", strerror(errno));
	hs_tcp_free(t);
}

static const char *const addresses[] = { "10.9.0.1", "fd09::1" };
#define EACH_FAMILY(i) for (i = 0; i < 2; i++)

/*
 * Tests
 */

static void an_idle_connection_moves(void **state)
{
	struct pair p;
	size_t i;

	(void)state;
	EACH_FAMILY(i) {
		connect_pair(&p, addresses[i]);
		assert_true(more(&p, 100000, LONG_MS));
		take_over(&p, read_server(&p));
		assert_true(more(&p, 1000000, LONG_MS));
		close_pair(&p);
	}
}

/* The peer reads nothing, and the server reads nothing, until the other host has it. */
static void bytes_in_both_queues_move(void **state)
{
	struct hs_tcp *t;
	struct pair p;
	size_t i;

	(void)state;
	EACH_FAMILY(i) {
		connect_pair(&p, addresses[i]);
		stuff(&p.client, &p.server, 64 << 20);
		stuff(&p.server, &p.client, 64 << 20);
		t = read_server(&p);
		printf("# received %u, to send %u, of them never sent %u\n", t->receive.len,
		       t->send.len, t->unsent);
		assert_true(t->receive.len > 10000 && t->send.len > 10000 && t->unsent > 0);
		take_over(&p, t);
		assert_true(more(&p, 100000, LONG_MS));
		close_pair(&p);
	}
}

/* What was sent is lost with the host, and the answers to what came. */
static void what_is_under_way_is_sent_again(void **state)
{
	struct hs_tcp *t;
	struct pair p;
	size_t i;

	(void)state;
	EACH_FAMILY(i) {
		connect_pair(&p, addresses[i]);
		assert_true(more(&p, 300000, LONG_MS) && acknowledged(&p));
		lose(A);
		stuff(&p.server, &p.client, 8000);
		stuff(&p.client, &p.server, 8000);
		t = read_server(&p);
		print_message("# to send %u, of them never sent %u\n", t->send.len, t->unsent);
		assert_true(t->send.len == 8000 && t->unsent < 8000);
		take_over(&p, t);
		assert_true(more(&p, 100000, LONG_MS));
		close_pair(&p);
	}
}

/* Sent, received, and the answer is lost: as it is at a crash behind held output. */
static struct hs_tcp *with_lost_answers(struct pair *p)
{
	connect_pair(p, addresses[0]);
	/*
	 * A window for all of it. Bytes whose answer is lost would take some of it for ever, and the
	 * sender would wait.
	 */
	p->server.out.wanted = p->client.in.wanted = 4000000;
	assert_true(transfer(p, LONG_MS) && acknowledged(p));
	enter(C);
	run("ip neigh replace 10.9.0.1 lladdr 02:00:00:00:00:99 dev switch nud permanent");
	stuff(&p->server, &p->client, 100000);
	assert_true(transfer(p, LONG_MS));
	return read_server(p);
}

static void answers_heard(void)
{
	enter(C);
	run("ip neigh replace 10.9.0.1 lladdr 02:00:00:00:00:01 dev switch nud permanent");
}

static void lost_answers_do_no_harm(void **state)
{
	struct hs_tcp *t;
	struct pair p;

	(void)state;
	t = with_lost_answers(&p);
	assert_true(t->send.len >= 90000 && t->unsent == 0);
	answers_heard();
	take_over(&p, t);
	assert_true(more(&p, 100000, LONG_MS));
	close_pair(&p);
}

/* The control: what was sent is restored as if it had never been. */
static void what_was_sent_must_not_become_unsent(void **state)
{
	struct hs_tcp *t;
	struct pair p;

	(void)state;
	t = with_lost_answers(&p);
	t->unsent = t->send.len;
	answers_heard();
	take_over(&p, t);
	assert_false(more(&p, 100000, STUCK_MS));
	close_pair(&p);
}

/* The control: a position that isn't the connection's. */
static void a_wrong_position_is_seen(void **state)
{
	struct hs_tcp *t;
	struct pair p;

	(void)state;
	connect_pair(&p, addresses[0]);
	assert_true(more(&p, 1000, LONG_MS));
	t = read_server(&p);
	t->send.seq += 1000000000;
	take_over(&p, t);
	assert_false(more(&p, 1000, STUCK_MS));
	close_pair(&p);
}

/* Reads until the other side's end. */
static bool ends(struct side *s)
{
	const uint64_t end = hs_now_ns() + LONG_MS * 1000000ULL;

	s->in.wanted++;
	while (!s->ended && !s->err && hs_now_ns() < end)
		pull(s);
	return s->ended;
}

/* The state of the server's side when it has heard of the client's end. */
static struct hs_tcp *read_ended(struct pair *p)
{
	const uint64_t end = hs_now_ns() + LONG_MS * 1000000ULL;
	struct hs_tcp *t = read_server(p);

	while (!t->fin && !t->gone && hs_now_ns() < end) {
		hs_tcp_free(t);
		t = read_server(p);
	}
	return t;
}

static void an_ended_input_stays_ended(void **state)
{
	struct hs_tcp *t;
	struct pair p;
	size_t i;

	(void)state;
	EACH_FAMILY(i) {
		connect_pair(&p, addresses[i]);
		assert_true(more(&p, 1000, LONG_MS));
		stuff(&p.client, &p.server, 5000);
		shutdown(p.client.fd, SHUT_WR);
		t = read_ended(&p);
		assert_true(t->fin);
		take_over(&p, t);
		p.server.out.wanted += 100000;
		p.client.in.wanted = p.server.out.wanted;
		assert_true(transfer(&p, LONG_MS));
		assert_true(ends(&p.server));
		close(p.server.fd);
		assert_true(ends(&p.client));
		p.server.fd = -1;
		close_pair(&p);
	}
}

static void a_reset_is_no_hindrance(void **state)
{
	const struct linger now = { 1, 0 };
	struct hs_tcp *t;
	struct pair p;
	char c;

	(void)state;
	connect_pair(&p, addresses[0]);
	assert_true(more(&p, 1000, LONG_MS));
	setsockopt(p.client.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(p.client.fd);
	t = read_ended(&p);
	assert_true(t->gone);
	p.client.fd = -1;
	take_over(&p, t);
	assert_int_equal(recv(p.server.fd, &c, 1, 0), -1);
	assert_int_equal(errno, ENOTCONN);
	close_pair(&p);
}

static void other_states_are_refused_by_name(void **state)
{
	struct hs_error e = { "" };
	struct pair p;

	(void)state;
	connect_pair(&p, addresses[0]);
	assert_true(more(&p, 1000, LONG_MS));
	enter(A);
	assert_int_equal(hs_tcp_check(p.server.fd, &e), 0);
	shutdown(p.server.fd, SHUT_WR);
	assert_null(hs_tcp_read(p.server.fd, &e));
	assert_int_equal(errno, EOPNOTSUPP);
	assert_non_null(strstr(e.text, "FIN_WAIT"));
	assert_int_equal(hs_tcp_check(p.server.fd, &e), -1);
	close_pair(&p);
}

/* Reading leaves no trace, while segments come: position and queue are of one moment. */
static void a_cut_under_load_is_of_one_moment(void **state)
{
	uint64_t received = 0;
	uint32_t first, i, n;
	struct hs_tcp *t;
	struct pair p;
	int on = 0;
	socklen_t len = sizeof(on);

	(void)state;
	connect_pair(&p, addresses[0]);
	enter(A);
	CHECK(!setsockopt(p.server.fd, SOL_SOCKET, SO_REUSEADDR, &(int) { 1 }, sizeof(int)));
	t = read_server(&p);
	first = t->receive.seq;
	hs_tcp_free(t);
	p.client.out.wanted = p.server.in.wanted = 1ULL << 40;
	for (n = 0; n < 500; n++) {
		push(&p.client);
		push(&p.client);
		t = read_server(&p);
		received = t->receive.seq - first;
		assert_int_equal(received - t->receive.len, p.server.in.done);
		for (i = 0; i < t->receive.len; i++)
			if (t->receive.bytes[i] != byte_at(p.server.in.done + i))
				fail();
		hs_tcp_free(t);
		if (n % 8 == 7)
			pull(&p.server);
	}
	assert_true(received > 200000);
	CHECK(!getsockopt(p.server.fd, SOL_SOCKET, SO_REUSEADDR, &on, &len));
	assert_int_equal(on, 1);
	close_pair(&p);
}

static void without_the_capability_it_is_refused(void **state)
{
	struct hs_error e = { "" };
	struct pair p;
	pid_t pid;
	int status;

	(void)state;
	connect_pair(&p, addresses[0]);
	fflush(NULL);
	pid = fork();
	if (!pid) {
		/* Another user: no capability. */
		CHECK(!setresuid(65534, 65534, 65534));
		CHECK(hs_tcp_check(p.server.fd, &e) == -1 && errno == EPERM);
		CHECK(strstr(e.text, "CAP_NET_ADMIN"));
		CHECK(hs_tcp_missing(&e) == -1 && errno == EPERM);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	assert_int_equal(status, 0);
	close_pair(&p);
}

static void nonsense_is_refused(void **state)
{
	char text[] = "{\"gone\":false,\"ended\":true,\"send\":{\"seq\":4294967295,\"bytes\":\"0001\"},"
		"\"unsent\":2,\"receive\":{\"seq\":1,\"bytes\":\"\"},\"mss\":1460,\"sack\":true,"
		"\"timestamp\":7,\"send_scale\":14,\"receive_scale\":7,\"snd_wl1\":1,\"snd_wnd\":2,"
		"\"max_window\":3,\"rcv_wnd\":4,\"rcv_wup\":5,\"buf_lock\":0,\"reuse\":false}";
	static const char bytes[] = "9-\"{}[,:x";
	size_t i, j, good = 0;
	char was;

	(void)state;
	for (i = 0; text[i]; i++) {
		was = text[i];
		for (j = 0; j < sizeof(bytes) - 1; j++) {
			struct js_from from = { 0 };
			struct hs_tcp *t;

			text[i] = bytes[j];
			from.o = json_tokener_parse(text);
			if (json_object_is_type(from.o, json_type_object)) {
				t = hs_tcp_parse(&from);
				good += !from.bad;
				hs_tcp_free(t);
			}
			json_object_put(from.o);
		}
		text[i] = was;
	}
	assert_true(good < strlen(text) * 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_idle_connection_moves),
		cmocka_unit_test(bytes_in_both_queues_move),
		cmocka_unit_test(what_is_under_way_is_sent_again),
		cmocka_unit_test(lost_answers_do_no_harm),
		cmocka_unit_test(what_was_sent_must_not_become_unsent),
		cmocka_unit_test(a_wrong_position_is_seen),
		cmocka_unit_test(an_ended_input_stays_ended),
		cmocka_unit_test(a_reset_is_no_hindrance),
		cmocka_unit_test(other_states_are_refused_by_name),
		cmocka_unit_test(a_cut_under_load_is_of_one_moment),
		cmocka_unit_test(without_the_capability_it_is_refused),
		cmocka_unit_test(nonsense_is_refused),
	};

	if (geteuid() || !make_hosts()) {
		printf("1..0 # SKIP namespaces need root, and ip (iproute2)\n");
		return 4;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
