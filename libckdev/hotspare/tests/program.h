/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of programs that are killed and go on elsewhere: a test starts itself as the
 * program, in a directory of its own. What the program tells goes to a file, as lines "WHAT
 * NUMBER". Behind <cmocka.h>.
 */
#ifndef HS_TESTS_PROGRAM_H
#define HS_TESTS_PROGRAM_H

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "child.h"

/*
 * In the program
 */

#define OUT_FD	50

static inline const char *setting(const char *name)
{
	return getenv(name) ?: "";
}

static inline bool is_program(void)
{
	return *setting("HS_TEST_PROGRAM");
}

static inline int open_out(void)
{
	int fd = open(setting("OUT"), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);

	CHECK(fd >= 0 && dup2(fd, OUT_FD) == OUT_FD);
	return close(fd);
}

static inline void tell(const char *what, unsigned long n)
{
	char text[64];
	int len = snprintf(text, sizeof(text), "%s %lu\n", what, n);

	CHECK(write(OUT_FD, text, (size_t)len) == len);
}

/*
 * In the test
 */

#define PATIENCE_S	300		/* whatever is waited for comes sooner, on any machine */

static const char *self;		/* the program */
static char port[8];			/* that spares listen on */
static pid_t running[8];		/* programs, 0: none */

static inline void now_runs(pid_t before, pid_t pid)
{
	size_t i = 0;

	while (i < sizeof(running) / sizeof(running[0]) && running[i] != before)
		i++;
	if (i < sizeof(running) / sizeof(running[0]))
		running[i] = pid;
}

static inline void rest(unsigned int ms)
{
	const struct timespec t = { ms / 1000, ms % 1000 * 1000000L };

	nanosleep(&t, NULL);
}

/* Each of these is a NAME=VALUE or an option; what is told goes to @out. */
static inline pid_t launch(const char *out, const char *const *args)
{
	/* Nobody is taken for dead because the machine is busy. */
	const char *argv[24] = { "program", "-t", "60", "-p", port };
	int n = 5;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid) {
		now_runs(0, pid);
		return pid;
	}
	end_with_parent();
	setenv("OUT", out, 1);
	setenv("HS_TEST_PROGRAM", "1", 1);
	for (; *args; args++) {
		if (strchr(*args, '='))
			CHECK(!putenv((char *)*args));
		else
			argv[n++] = *args;
	}
	argv[n++] = "--";
	execv(self, (char **)argv);
	_exit(127);
}

#define start(out, ...)	launch(out, (const char *const []) { __VA_ARGS__, NULL })

/* Until somebody listens. */
static inline void wait_for_spare(void)
{
	const struct sockaddr_in addr = {
		.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int i, fd, ret = -1;

	for (i = 0; i < 1000 && ret; i++) {
		fd = socket(AF_INET, SOCK_STREAM, 0);
		ret = connect(fd, (const struct sockaddr *)&addr, sizeof(addr));
		close(fd);
		if (ret)
			usleep(10000);
	}
	assert_int_equal(ret, 0);
}

/* The last number that was told with @what in @out, 0 if there is none. */
static inline unsigned long last(const char *out, const char *what)
{
	unsigned long n = 0;
	char line[128];
	FILE *f = fopen(out, "r");

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, what, strlen(what)) && line[strlen(what)] == ' ')
			n = strtoul(line + strlen(what), NULL, 10);
	if (f)
		fclose(f);
	return n;
}

/* One that nobody has waited for yet. */
static inline bool a_program_has_ended(void)
{
	siginfo_t info = { .si_pid = 0 };

	return !waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) && info.si_pid;
}

static inline time_t seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

/* Until @what is told with at least @n. None of those that run ends meanwhile. */
static inline void wait_for(const char *out, const char *what, unsigned long n)
{
	const time_t limit = seconds() + PATIENCE_S;

	while (last(out, what) < n && seconds() < limit && !a_program_has_ended())
		rest(10);
	if (last(out, what) < n)
		fail_msg("%s: no '%s %lu', but %lu", out, what, n, last(out, what));
}

/* How it ended: its exit status, or minus the signal. */
static inline int end_of(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	now_runs(pid, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static inline void kill_off(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(end_of(pid), -SIGKILL);
}

/* Programs are left by a test that has failed. */
static inline int clean(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(running) / sizeof(running[0]); i++)
		if (running[i])
			kill_off(running[i]);
	return system("rm -rf ./*");
}

#endif /* HS_TESTS_PROGRAM_H */
