// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Libraries that know nothing of checkpoints: an interpreter (Lua), whose state is saved with its
 * allocator, and an event loop (libevent), which is made anew from what is saved. The oracles:
 * what the Lua program knows of its own history, and the numbers that clients were told.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "../hotspare.h"
#include "program.h"

#define CLASS	5

/*
 * Lua: tables, strings, a closure, and a coroutine that is in the middle of a loop
 */

struct lua {
	lua_State *l;
	unsigned long n;
};

static const char script[] =
	"local list, n = {}, 0\n"
	"local co = coroutine.wrap(function()\n"
	"	while true do\n"
	"		n = n + 1\n"
	"		list[#list + 1] = 'entry ' .. n\n"
	"		if #list > 100 then table.remove(list, 1) end\n"
	"		coroutine.yield(n)\n"
	"	end\n"
	"end)\n"
	"function step()\n"
	"	local now = co()\n"
	"	for i, v in ipairs(list) do\n"
	"		assert(v == 'entry ' .. (now - #list + i), v)\n"
	"	end\n"
	"	if now % 50 == 0 then collectgarbage() end\n"
	"	return now\n"
	"end\n";

/* Of the program: its address is the same in both processes. */
static void *allocate(void *unused, void *ptr, size_t old, size_t size)
{
	(void)unused;
	(void)old;
	if (size)
		return hs_realloc(CLASS, ptr, size);
	hs_free(CLASS, ptr);
	return NULL;
}

static void interpret(void *arg)
{
	struct lua *s = arg;

	if (s->n)
		tell("on", s->n);
	for (;;) {
		lua_getglobal(s->l, "step");
		if (lua_pcall(s->l, 0, 1, 0)) {
			fprintf(stderr, "# %s\n", lua_tostring(s->l, -1));
			exit(4);
		}
		/* It counts itself: both must agree. */
		s->n++;
		CHECK(lua_tointeger(s->l, -1) == (lua_Integer)s->n);
		lua_pop(s->l, 1);
		if (!hs_cpt(HSCPT_INCR))
			tell("has", s->n);
		tell("step", s->n);
	}
}

static void begin_lua(void)
{
	struct lua *s = hs_calloc(CLASS, 1, sizeof(*s));

	CHECK(s && !hs_threadreg(interpret, s) && !hs_fdreg(OUT_FD));
	s->l = lua_newstate(allocate, NULL);
	CHECK(s->l);
	luaL_requiref(s->l, "_G", luaopen_base, 1);
	luaL_requiref(s->l, "coroutine", luaopen_coroutine, 1);
	luaL_requiref(s->l, "string", luaopen_string, 1);
	luaL_requiref(s->l, "table", luaopen_table, 1);
	lua_settop(s->l, 0);
	CHECK(!luaL_dostring(s->l, script));
	/* Nothing of it is elsewhere. */
	tell("findings", (unsigned long)hs_check());
}

/*
 * libevent: a server that numbers requests, and a timer
 */

struct server {
	int fd;
	unsigned long requests, ticks;
};

static bool last_one;			/* there is no spare any more */

static void on_request(evutil_socket_t fd, short what, void *arg)
{
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	struct server *s = arg;
	char text[32];
	int n;

	(void)what;
	if (recvfrom(fd, text, sizeof(text), MSG_DONTWAIT, (struct sockaddr *)&from, &len) < 0)
		return;
	s->requests++;
	/* Only what the spare has is answered. */
	if (hs_cpt(HSCPT_INCR) && !last_one)
		return;
	n = snprintf(text, sizeof(text), "%lu", s->requests);
	CHECK(sendto(fd, text, (size_t)n, 0, (struct sockaddr *)&from, len) == n);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct server *s = arg;

	(void)fd;
	(void)what;
	tell("tick", ++s->ticks);
}

/* All of libevent is made here, of what is saved, and known here only. */
static void serve(void *arg)
{
	const struct timeval period = { 0, 20000 };
	struct event_base *base = event_base_new();
	struct server *s = arg;
	struct event *request, *tick;

	CHECK(base);
	request = event_new(base, s->fd, EV_READ | EV_PERSIST, on_request, s);
	tick = event_new(base, -1, EV_PERSIST, on_tick, s);
	CHECK(request && tick && !event_add(request, NULL) && !event_add(tick, &period));
	last_one = s->requests;
	tell(last_one ? "on" : "begins", s->requests);
	event_base_dispatch(base);
	exit(5);
}

static void begin_server(void)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons((uint16_t)atoi(setting("SERVE"))),
	};
	struct server *s = hs_calloc(CLASS, 1, sizeof(*s));

	CHECK(s && !hs_threadreg(serve, s));
	s->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	CHECK(!bind(s->fd, (struct sockaddr *)&a, sizeof(a)) && !hs_fdreg(s->fd) && !hs_fdreg(OUT_FD));
	tell("findings", (unsigned long)hs_check());
}

static int program(int argc, char **argv)
{
	open_out();
	if (hs_init(argc, argv) < 0)
		return 3;
	CHECK(!hs_malloc_create(CLASS, 1 << 20));
	if (*setting("SERVE"))
		begin_server();
	else
		begin_lua();
	return hs_run();
}

/*
 * The tests
 */

static void an_interpreter_goes_on(void **state)
{
	unsigned long n;
	pid_t spare, master;

	(void)state;
	if (!fixed_addresses())
		skip();
	spare = start("spare", "-s");
	wait_for_spare();
	master = start("master", "-m", "-a", "127.0.0.1");
	wait_for("master", "has", 230);
	assert_int_equal(last("master", "findings"), 0);
	kill_off(master);
	n = last("master", "has");
	/* It begins from there, and its history is right, in each step. */
	wait_for("master", "on", n);
	assert_in_range(last("master", "on"), n, n + 1);
	wait_for("master", "step", n + 150);
	kill_off(spare);
}

/* The answer to one request, which is asked for again and again. */
static unsigned long ask(int s, const struct sockaddr_in *a)
{
	const time_t limit = seconds() + PATIENCE_S;
	char text[32] = "";
	ssize_t n = -1;

	while (n <= 0 && seconds() < limit) {
		sendto(s, "?", 1, 0, (const struct sockaddr *)a, sizeof(*a));
		memset(text, 0, sizeof(text));
		n = recv(s, text, sizeof(text) - 1, 0);
	}
	assert_true(n > 0);
	return strtoul(text, NULL, 10);
}

static void an_event_loop_is_made_anew(void **state)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons((uint16_t)(own_port() + 1)),
	};
	const struct timeval patience = { 0, 200000 };
	unsigned long told = 0, now, ticks;
	int s = socket(AF_INET, SOCK_DGRAM, 0), i;
	pid_t spare, master;
	char serve[32];

	(void)state;
	if (!fixed_addresses())
		skip();
	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	snprintf(serve, sizeof(serve), "SERVE=%d", own_port() + 1);
	spare = start("spare", "-s");
	wait_for_spare();
	master = start("master", "-m", "-a", "127.0.0.1", serve);
	for (i = 0; i < 100; i++, told = now) {
		now = ask(s, &a);
		assert_true(now > told);
	}
	assert_int_equal(last("master", "findings"), 0);
	kill_off(master);
	for (i = 0; i < 100; i++, told = now) {
		now = ask(s, &a);
		assert_true(now > told);
	}
	assert_true(last("master", "on") >= 100);
	ticks = last("master", "tick");
	wait_for("master", "tick", ticks + 5);
	kill_off(spare);
	close(s);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(an_interpreter_goes_on, clean),
		cmocka_unit_test_teardown(an_event_loop_is_made_anew, clean),
	};
	char dir[] = "/tmp/hotspare-foreign-test.XXXXXX";
	int ret;

	if (is_program())
		return program(argc, argv);
	self = realpath("/proc/self/exe", NULL);
	own_network();
	snprintf(port, sizeof(port), "%d", own_port());
	if (!mkdtemp(dir) || chdir(dir))
		return 1;
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	if (chdir("/") || rmdir(dir))
		printf("# %s: %s\n", dir, strerrorname_np(errno));
	return ret;
}
