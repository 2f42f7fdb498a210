// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Signals and attributes: saved as text, changed, and brought back, each in a child.
 */
#include <errno.h>
#include <grp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "../hotspare.h"
#include "../process.h"
#include "child.h"

static void in_child(void (*fn)(void))
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid) {
		fn();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* There and back, as in a file. */
static struct json_object *as_in_a_file(struct json_object *json)
{
	struct json_object *again = json_tokener_parse(json_object_to_json_string(json));

	json_object_put(json);
	CHECK(again);
	return again;
}

static volatile sig_atomic_t seen;

static void handler(int sig)
{
	seen = sig;
}

static void informed(int sig, siginfo_t *info, void *context)
{
	(void)context;
	seen = info->si_signo == sig ? sig : -1;
}

static void signals(void)
{
	struct sigaction a = { .sa_handler = handler, .sa_flags = SA_RESTART };
	struct sigaction b = { .sa_sigaction = informed, .sa_flags = SA_SIGINFO | SA_RESETHAND };
	struct sigaction now;
	struct hs_signals s;
	struct hs_error e = { "" };
	struct json_object *json;
	sigset_t set;

	sigaddset(&a.sa_mask, SIGUSR2);
	CHECK(!sigaction(SIGUSR1, &a, NULL) && !sigaction(SIGRTMAX, &b, NULL));
	CHECK(signal(SIGPIPE, SIG_IGN) != SIG_ERR && signal(SIGHUP, handler) != SIG_ERR);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_SETMASK, &set, NULL);
	CHECK(!hs_sigreg(SIGUSR1) && !hs_sigreg(SIGRTMAX) && !hs_sigreg(SIGPIPE));
	CHECK(!hs_sigreg(SIGINT));
	hs_signals_capture(&s);
	json = as_in_a_file(hs_signals_json(&s));

	signal(SIGUSR1, SIG_DFL);
	signal(SIGRTMAX, SIG_DFL);
	signal(SIGPIPE, SIG_DFL);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	sigemptyset(&set);
	sigprocmask(SIG_SETMASK, &set, NULL);
	CHECK(!hs_sigdereg(SIGUSR1));
	memset(&s, 0x55, sizeof(s));
	CHECK(!hs_signals_parse(&s, json, &e) && !hs_signals_restore(&s, &e));
	json_object_put(json);

	CHECK(!sigaction(SIGUSR1, NULL, &now));
	CHECK(now.sa_handler == handler && now.sa_flags & SA_RESTART);
	CHECK(sigismember(&now.sa_mask, SIGUSR2) == 1 && !sigismember(&now.sa_mask, SIGHUP));
	raise(SIGUSR1);
	CHECK(seen == SIGUSR1);
	raise(SIGRTMAX);
	CHECK(seen == SIGRTMAX);
	CHECK(signal(SIGPIPE, SIG_DFL) == SIG_IGN);
	CHECK(signal(SIGINT, SIG_DFL) == SIG_DFL);
	/* It wasn't registered. */
	CHECK(signal(SIGHUP, SIG_DFL) == SIG_IGN);
	sigprocmask(SIG_BLOCK, NULL, &set);
	CHECK(sigismember(&set, SIGTERM) == 1 && !sigismember(&set, SIGUSR1));
	CHECK(hs_sigreg(SIGUSR1) == -1 && errno == EEXIST);
}

static void signals_are_treated_as_before(void **state)
{
	(void)state;
	in_child(signals);
}

static void what_is_no_signal_is_refused(void **state)
{
	static const int wrong[] = { 0, -1, SIGKILL, SIGSTOP, 32, 33, 65, 1000000 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		errno = 0;
		assert_int_equal(hs_sigreg(wrong[i]), -1);
		assert_int_equal(errno, EINVAL);
		errno = 0;
		assert_int_equal(hs_sigdereg(wrong[i]), -1);
		assert_int_equal(errno, EINVAL);
	}
	errno = 0;
	assert_int_equal(hs_sigdereg(SIGUSR1), -1);
	assert_int_equal(errno, ENOENT);
}

static void attributes(void)
{
	struct rlimit files = { 300, 400 }, now;
	struct hs_process p;
	struct hs_error e = { "" };
	struct json_object *json;
	char dir[64];

	CHECK(!chdir("/tmp") && !setrlimit(RLIMIT_NOFILE, &files));
	umask(027);
	CHECK(!hs_process_capture(&p, &e) && !hs_process_missing(&p, &e));
	json = as_in_a_file(hs_process_json(&p));
	hs_process_free(&p);

	CHECK(!chdir("/"));
	umask(0);
	files.rlim_cur = 100;
	CHECK(!setrlimit(RLIMIT_NOFILE, &files));
	CHECK(!hs_process_parse(&p, json, &e));
	p.nice += p.nice < 19;
	CHECK(!hs_process_restore(&p, &e));
	CHECK(getcwd(dir, sizeof(dir)) && !strcmp(dir, "/tmp"));
	CHECK(umask(0) == 027);
	CHECK(!getrlimit(RLIMIT_NOFILE, &now) && now.rlim_cur == 300 && now.rlim_max == 400);
	CHECK(getpriority(PRIO_PROCESS, 0) == p.nice);
	hs_process_free(&p);
	json_object_put(json);
}

static void attributes_come_back(void **state)
{
	(void)state;
	in_child(attributes);
}

static void credentials(void)
{
	const gid_t groups[] = { 7, 9 };
	struct hs_process p, now;
	struct hs_error e = { "" };

	CHECK(!hs_process_capture(&p, &e));
	p.uid[0] = p.uid[1] = p.uid[2] = 65534;
	p.gid[0] = p.gid[1] = p.gid[2] = 65534;
	free(p.groups);
	p.groups = memcpy(malloc(sizeof(groups)), groups, sizeof(groups));
	p.nr_groups = 2;
	/* From wherever: here is a directory that is gone. */
	CHECK(!mkdir("/tmp/hotspare-gone", 0700) && !chdir("/tmp/hotspare-gone"));
	CHECK(!rmdir("/tmp/hotspare-gone"));
	free(p.directory);
	p.directory = strdup("/nonexistent");
	CHECK(hs_process_restore(&p, &e) == -1 && errno == ENOENT && !strchr(e.text, ';'));
	CHECK(!chdir("/") && !hs_process_capture(&now, &e));
	CHECK(now.uid[0] == 65534 && now.uid[2] == 65534 && now.gid[1] == 65534);
	CHECK(now.nr_groups == 2 && now.groups[1] == 9);
	/* There is no way back: that is told, and all else is done. */
	now.uid[0] = 0;
	now.umask = 0123;
	now.limit[RLIMIT_NOFILE].rlim_max++;
	CHECK(hs_process_restore(&now, &e) == -1 && errno == EPERM);
	CHECK(strstr(e.text, "resource limit 7 can't be restored"));
	CHECK(strstr(e.text, "; the user can't be restored"));
	CHECK(umask(0) == 0123);
	hs_process_free(&p);
	hs_process_free(&now);
}

static void credentials_come_back_where_permitted(void **state)
{
	(void)state;
	if (geteuid())
		skip();
	in_child(credentials);
}

static void no_directory(void)
{
	struct hs_process p;
	struct hs_error e = { "" };

	CHECK(!hs_process_capture(&p, &e));
	free(p.directory);
	p.directory = strdup("/nonexistent");
	p.umask = 0111;
	CHECK(hs_process_missing(&p, &e) == -1 && errno == ENOENT);
	CHECK(strstr(e.text, "/nonexistent"));
	CHECK(hs_process_restore(&p, &e) == -1 && errno == ENOENT);
	CHECK(strstr(e.text, "/nonexistent can't be restored"));
	CHECK(umask(0) == 0111);
	hs_process_free(&p);
}

static void what_cannot_be_had_is_told(void **state)
{
	(void)state;
	in_child(no_directory);
}

/* Each byte of what is right is altered in turn: neither crash nor leak. */
static void alter_each_byte(const char *sample, int (*parse)(struct json_object *json))
{
	static const char bytes[] = "\"{}[]:,0-9e.xnt ";
	char *text = strdup(sample);
	struct json_object *json;
	size_t i, j;

	json = json_tokener_parse(text);
	assert_int_equal(parse(json), 0);
	json_object_put(json);
	for (i = 0; text[i]; i++) {
		for (j = 0; j < sizeof(bytes) - 1; j++) {
			text[i] = bytes[j];
			json = json_tokener_parse(text);
			parse(json);
			json_object_put(json);
		}
		text[i] = sample[i];
	}
	free(text);
}

static int parse_signals(struct json_object *json)
{
	struct hs_error e = { "" };
	struct hs_signals s;
	int ret = hs_signals_parse(&s, json, &e);

	assert_true(!ret || (errno == EBADMSG && e.text[0]));
	return ret;
}

static int parse_process(struct json_object *json)
{
	struct hs_error e = { "" };
	struct hs_process p;
	int ret = hs_process_parse(&p, json, &e);

	assert_true(!ret || (errno == EBADMSG && e.text[0]));
	if (!ret)
		hs_process_free(&p);
	return ret;
}

static void nonsense_is_refused(void **state)
{
	static const char *const wrong[] = {
		"[]", "{}", "{\"actions\":[],\"blocked\":[0]}",
		"{\"actions\":[{\"signal\":9,\"handler\":\"ignore\",\"flags\":0,\"mask\":[]}],\"blocked\":[]}",
		"{\"actions\":[{\"signal\":1,\"handler\":\"no\",\"flags\":0,\"mask\":[]}],\"blocked\":[]}",
	};
	struct json_object *json;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		json = json_tokener_parse(wrong[i]);
		assert_int_equal(parse_signals(json), -1);
		assert_int_equal(parse_process(json), -1);
		json_object_put(json);
	}
	alter_each_byte("{\"actions\":[{\"signal\":10,\"handler\":4711,\"flags\":268435456,"
			"\"mask\":[1,2]},{\"signal\":13,\"handler\":\"ignore\",\"flags\":0,"
			"\"mask\":[]}],\"blocked\":[15]}", parse_signals);
	alter_each_byte("{\"umask\":18,\"directory\":\"/\",\"nice\":0,\"limits\":[[1,2],[3,4]],"
			"\"uid\":[0,0,0],\"gid\":[0,0,0],\"groups\":[4,27],"
			"\"clocks\":{\"monotonic\":[10,-3],\"boottime\":[20,0]}}", parse_process);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(signals_are_treated_as_before),
		cmocka_unit_test(what_is_no_signal_is_refused),
		cmocka_unit_test(attributes_come_back),
		cmocka_unit_test(credentials_come_back_where_permitted),
		cmocka_unit_test(what_cannot_be_had_is_told),
		cmocka_unit_test(nonsense_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
