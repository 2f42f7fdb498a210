// SPDX-License-Identifier: GPL-2.0-only
/*
 * fork(): a child that has the memory as it was. It lives while the parent writes.
 */
#include <sys/wait.h>

#include "bench.h"

static pid_t child;
static int to_child[2];

static bool fork_begin(void)
{
	if (pipe(to_child))
		die("pipe: %s", strerror(errno));
	child = 0;
	return true;
}

/* Waits until the parent has written, and looks whether it sees that. */
static void fork_child(void)
{
	size_t i;
	char c;

	if (read(to_child[0], &c, 1) != 1)
		_exit(1);
	for (i = 0; i < t.nr_dirty; i++)
		if (*memory_at(t.list[i]) != t.stamp)
			_exit(2);
	_exit(0);
}

static void fork_stop(void)
{
	child = fork();
	if (!child)
		fork_child();
}

static void fork_settle(void)
{
	int status;

	if (!child)
		return;
	if (write(to_child[1], "g", 1) != 1 || waitpid(child, &status, 0) < 0 ||
	    !WIFEXITED(status) || WEXITSTATUS(status))
		die("the child saw what was written later");
}

static void fork_check(void)
{
	if (child < 0)
		die("fork: %s", strerror(errno));
}

static void fork_end(void)
{
	close(to_child[0]);
	close(to_child[1]);
}

const struct method fork_method = {
	.name = "fork", .begin = fork_begin, .settle = fork_settle, .stop = fork_stop,
	.check = fork_check, .end = fork_end, .freezes = true,
};
