// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Tests that report in TAP: running them.
 */
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"

#define TIME_LIMIT	240	/* seconds for a test */

int child_status(pid_t pid)
{
	int status;

	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* In a process of its own: what it leaves behind or breaks is nobody else's. */
static int run_one(const struct test *t)
{
	pid_t pid;
	int ret;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		alarm(TIME_LIMIT);
		ret = t->fn();
		fflush(stdout);
		_exit(ret);
	}
	ret = child_status(pid);
	if (ret < 0)
		printf("# killed by a signal (SIGALRM after %d s)\n", TIME_LIMIT);
	return ret;
}

unsigned int run_tests(const struct test *t, unsigned int nr, unsigned int *number)
{
	unsigned int i, failed = 0;

	for (i = 0; i < nr; i++) {
		int ret = run_one(&t[i]);

		failed += ret != 0;
		printf("%sok %u %s\n", ret ? "not " : "", ++*number, t[i].name);
		fflush(stdout);
	}
	return failed;
}
