// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Asking cptdevd whether the other host is alive, and how a program may start: what it may say,
 * and what anybody might who is in its place. Only "dead" is an answer that counts, and "fresh".
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../ask.h"
#include "../detect.h"
#include "../hotspare.h"
#include "child.h"

#define PATH	"control"
#define ENDLESS	"endless"
#define SILENT	"silent"

#define STATUS(detector)						\
	"{\"schema_version\":1,\"peers\":[{\"name\":\"a\",\"detector\":" detector "}]}\n"

static struct hs_error why;
static const char *request = "{\"command\":\"status\"}\n";

static int listen_at(const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(un.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	assert_int_equal(listen(fd, 4), 0);
	return fd;
}

/* Until who has asked has had enough. */
static void say_for_ever(int to, const char *first, const char *what)
{
	CHECK(send(to, first, strlen(first), MSG_NOSIGNAL) > 0);
	while (send(to, what, strlen(what), MSG_NOSIGNAL) > 0)
		;
}

/* In a child: whatever is asked, this is the answer. */
static void be_daemon(int fd, const char *answer)
{
	char asked[64];
	int to = accept(fd, NULL, NULL);
	ssize_t n = recv(to, asked, sizeof(asked) - 1, 0);

	CHECK(n > 0);
	asked[n] = 0;
	CHECK(!strcmp(asked, request));
	if (!strcmp(answer, ENDLESS)) {
		say_for_ever(to, "[\"", "dead");
	} else if (!strcmp(answer, SILENT)) {
		recv(to, asked, 1, 0);
	} else {
		n = (ssize_t)strlen(answer);
		CHECK(send(to, answer, (size_t)n, MSG_NOSIGNAL) == n);
	}
	_exit(0);
}

static pid_t daemon_that_says(const char *answer)
{
	int fd = listen_at(PATH);
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid) {
		end_with_parent();
		be_daemon(fd, answer);
	}
	close(fd);
	strcpy(why.text, "nothing");
	return pid;
}

static void daemon_is_gone(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(unlink(PATH), 0);
}

static enum hs_master ask(const char *answer)
{
	pid_t pid = daemon_that_says(answer);
	enum hs_master state = hs_det_ask(PATH, &why);

	daemon_is_gone(pid);
	return state;
}

static enum hs_start ask_start(const char *answer, uint64_t *term)
{
	enum hs_start start;
	pid_t pid;

	request = "{\"command\":\"start\",\"name\":\"db\"}\n";
	pid = daemon_that_says(answer);
	start = hs_ask_start("db", term, &why);
	request = "{\"command\":\"status\"}\n";
	daemon_is_gone(pid);
	return start;
}

/* Nothing is known, and why. */
#define assert_none(answer, wanted)					\
	do {								\
		assert_int_equal(ask(answer), HS_MASTER_UNKNOWN);	\
		if (!strstr(why.text, wanted))				\
			fail_msg("'%s' isn't '%s'", why.text, wanted);	\
	} while (0)

static void its_words_are_understood(void **state)
{
	(void)state;
	assert_int_equal(ask(STATUS("\"alive\"")), HS_MASTER_ALIVE);
	assert_int_equal(ask(STATUS("\"suspect\"")), HS_MASTER_ALIVE);
	assert_int_equal(ask(STATUS("\"lost\"")), HS_MASTER_ALIVE);
	assert_int_equal(ask(STATUS("\"dead\"")), HS_MASTER_DEAD);
	assert_none(STATUS("\"left\""), "the cptdevd of the other host was stopped");
	assert_none(STATUS("\"no daemon\""), "the cptdevd of the other host has ended");
	assert_none(STATUS("\"never heard\""), "no link with the other host");
}

static void nonsense_is_no_answer(void **state)
{
	char *deep = calloc(1, 1 << 16);
	size_t i;

	(void)state;
	assert_none(STATUS("\"DEAD\""), "is invalid");
	assert_none(STATUS("1"), "is invalid");
	assert_none(STATUS("null"), "is invalid");
	assert_none(STATUS("[\"dead\"]"), "is invalid");
	assert_none("{\"peers\":[\"dead\"]}\n", "is invalid");
	assert_none("{\"peers\":[null]}\n", "is invalid");
	assert_none("{\"peers\":[]}\n", "doesn't have exactly one peer");
	assert_none("{\"peers\":[{\"detector\":\"dead\"},{\"detector\":\"dead\"}]}\n",
		    "doesn't have exactly one peer");
	assert_none("{\"peers\":{\"detector\":\"dead\"}}\n", "doesn't have exactly one peer");
	assert_none("{\"detector\":\"dead\"}\n", "doesn't have exactly one peer");
	assert_none("{\"error\":{\"code\":\"too-many-clients\"}}\n", "max_clients");
	assert_none("[]\n", "doesn't answer");
	assert_none("\"dead\"\n", "doesn't answer");
	assert_none("dead\n", "doesn't answer");
	assert_none("\n", "doesn't answer");
	assert_none("{\"peers\":[{\"detector\":\"dead\"}", "doesn't answer");
	for (i = 0; i < (1 << 16) - 1; i++)
		deep[i] = '[';
	assert_none(deep, "doesn't answer");
	free(deep);
}

static void nobody_is_waited_for_long(void **state)
{
	(void)state;
	assert_none(ENDLESS, "doesn't answer");
	assert_none("", "doesn't answer");
	/* The daemon of the test ends only when it is left. */
	assert_none(SILENT, "doesn't answer");
}

static void a_daemon_that_is_not_there_is_told(void **state)
{
	char name[200];

	(void)state;
	assert_int_equal(hs_det_ask(PATH, &why), HS_MASTER_UNKNOWN);
	assert_non_null(strstr(why.text, PATH ": cptdevd isn't running"));
	/* It was killed. */
	close(listen_at(PATH));
	assert_int_equal(hs_det_ask(PATH, &why), HS_MASTER_UNKNOWN);
	assert_non_null(strstr(why.text, "cptdevd isn't running"));
	unlink(PATH);
	memset(name, 'x', sizeof(name));
	name[sizeof(name) - 1] = 0;
	assert_int_equal(hs_det_ask(name, &why), HS_MASTER_UNKNOWN);
	assert_non_null(strstr(why.text, "File name too long"));
}

static void a_socket_that_is_not_for_us_is_told(void **state)
{
	int fd = listen_at(PATH), status;
	pid_t pid;

	(void)state;
	assert_int_equal(chmod(PATH, 0), 0);
	fflush(NULL);
	pid = fork();
	if (!pid) {
		CHECK(getuid() || !setuid(65534));
		CHECK(hs_det_ask(PATH, &why) == HS_MASTER_UNKNOWN);
		CHECK(strstr(why.text, "it isn't open to this program: be root or a member"));
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(fd);
	unlink(PATH);
}

static void as_a_function_it_says_dead_or_not(void **state)
{
	int fd, i;
	pid_t pid;

	(void)state;
	assert_int_equal(hs_det_daemon((char []) { PATH }), 0);
	for (i = 0; i < 2; i++) {
		fd = listen_at(PATH);
		fflush(NULL);
		pid = fork();
		if (!pid) {
			end_with_parent();
			be_daemon(fd, i ? STATUS("\"dead\"") : STATUS("\"alive\""));
		}
		close(fd);
		assert_int_equal(hs_det_daemon((char []) { PATH }), i);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		unlink(PATH);
	}
}

/* An unknown answer is no leave to begin; a daemon that doesn't know the question is none. */
static void how_a_program_starts_is_asked(void **state)
{
	uint64_t term;

	(void)state;
	setenv(HS_ASKED, PATH, 1);
	assert_int_equal(ask_start("{\"answer\":\"fresh\",\"term\":7,\"text\":\"so\"}\n", &term),
			 HS_START_FRESH);
	assert_int_equal(term, 7);
	assert_string_equal(why.text, "so");
	assert_int_equal(ask_start("{\"answer\":\"fresh\",\"term\":\"7\"}\n", &term), HS_START_FRESH);
	assert_int_equal(term, 0);
	assert_int_equal(ask_start("{\"answer\":\"spare\",\"term\":2}\n", &term), HS_START_SPARE);
	assert_int_equal(ask_start("{\"answer\":\"take-back\"}\n", &term), HS_START_TAKE_BACK);
	assert_int_equal(ask_start("{\"answer\":\"refused\",\"text\":\"no\"}\n", &term), HS_START_REFUSED);
	assert_string_equal(why.text, "no");
	assert_int_equal(ask_start("{\"answer\":\"perhaps\"}\n", &term), HS_START_REFUSED);
	assert_int_equal(ask_start("{\"answer\":1}\n", &term), HS_START_UNKNOWN);
	assert_int_equal(ask_start("{\"error\":{\"code\":\"unknown-command\"}}\n", &term), HS_START_UNKNOWN);
	assert_int_equal(ask_start("fresh\n", &term), HS_START_UNKNOWN);
	assert_int_equal(hs_ask_start("db", &term, &why), HS_START_UNKNOWN);
	assert_non_null(strstr(why.text, "isn't running"));
	assert_int_equal(hs_ask_start("d\"b", &term, &why), HS_START_UNKNOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(its_words_are_understood),
		cmocka_unit_test(nonsense_is_no_answer),
		cmocka_unit_test(nobody_is_waited_for_long),
		cmocka_unit_test(a_daemon_that_is_not_there_is_told),
		cmocka_unit_test(a_socket_that_is_not_for_us_is_told),
		cmocka_unit_test(as_a_function_it_says_dead_or_not),
		cmocka_unit_test(how_a_program_starts_is_asked),
	};
	char dir[] = "/tmp/hotspare-control-test.XXXXXX";
	int ret;

	/* For one with fewer rights, too. */
	if (!mkdtemp(dir) || chmod(dir, 0755) || chdir(dir))
		return 1;
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	if (chdir("/") || rmdir(dir))
		printf("# %s: %s\n", dir, strerrorname_np(errno));
	return ret;
}
