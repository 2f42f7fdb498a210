// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libhotspare: running the command that is told what the program becomes. It has nothing of
 * ours but stderr, and is ended with all that it has started when it takes too long.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "command.h"

/* What is added to the environment, instead of what has these names. */
static const char *const names[] = { "HOTSPARE_EVENT=", "HOTSPARE_NAME=", "HOTSPARE_GENERATION=" };

#define VARIABLES	(sizeof(names) / sizeof(*names))

struct variables {
	char text[VARIABLES][HS_IMAGE_NAME + 32];
	char **all;			/* with the rest, for exec */
};

static bool is_ours(const char *variable)
{
	size_t i;

	for (i = 0; i < VARIABLES; i++)
		if (!strncmp(variable, names[i], strlen(names[i])))
			return true;
	return false;
}

static void fill_in(struct variables *v, const char *event, const struct hs_image_head *head)
{
	const size_t size = sizeof(v->text[0]);

	snprintf(v->text[0], size, "%s%s", names[0], event);
	snprintf(v->text[1], size, "%s%s", names[1],
		 head ? head->app : program_invocation_short_name);
	snprintf(v->text[2], size, "%s%llu", names[2],
		 head ? (unsigned long long)head->generation : 0);
}

/* Returns 0, or -1: no memory. */
static int make_environment(struct variables *v, char **env)
{
	size_t n = 0, i;

	while (env[n])
		n++;
	v->all = calloc(n + VARIABLES + 1, sizeof(*v->all));
	if (!v->all)
		return -1;
	for (i = 0; i < VARIABLES; i++)
		v->all[i] = v->text[i];
	for (n = 0; env[n]; n++)
		if (!is_ours(env[n]))
			v->all[i++] = env[n];
	return 0;
}

/* In a group of its own, which can be ended as a whole. Returns 0 or an errno. */
static int spawn(pid_t *pid, const char *command, char **env)
{
	char *const argv[] = { (char *)"sh", (char *)"-c", (char *)command, NULL };
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t set;
	int err;

	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&files, STDERR_FILENO, STDOUT_FILENO);
	posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
	posix_spawnattr_init(&attr);
	sigemptyset(&set);
	posix_spawnattr_setsigmask(&attr, &set);
	sigfillset(&set);
	posix_spawnattr_setsigdefault(&attr, &set);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
				 POSIX_SPAWN_SETSIGDEF);
	err = posix_spawn(pid, "/bin/sh", &files, &attr, argv, env);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	return err;
}

/* Returns 0, or an errno: ETIMEDOUT. */
static int wait_until(pid_t pid, int64_t end)
{
	struct pollfd p = { .fd = pidfd_open(pid, 0), .events = POLLIN };
	int64_t left;
	int ret;

	if (p.fd < 0)
		return errno;
	do {
		left = end - hs_now_ms();
		ret = poll(&p, 1, left > 0 ? (int)left : 0);
	} while (ret < 0 && errno == EINTR);
	close(p.fd);
	return ret ? 0 : ETIMEDOUT;
}

/* Returns 0, or -1 with errno and @e. */
static int run(const struct hs_command *c, const char *event, char **env, struct hs_error *e)
{
	int64_t end = hs_now_ms() + c->limit * 1000LL;
	const char *option = c->option ?: "-x";
	int status, err;
	pid_t pid;

	err = spawn(&pid, c->text, env);
	if (err)
		return hs_fail(e, err, "the command of %s can't be run: %s", option,
			       strerror(err));
	err = wait_until(pid, end);
	if (err)
		kill(-pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (err == ETIMEDOUT)
		return hs_fail(e, err, "the command of %s took more than %u seconds for '%s', and "
			       "was killed: -t gives it more time", option, c->limit, event);
	if (err)
		return hs_fail(e, err, "the command of %s can't be waited for: %s", option,
			       strerror(err));
	if (WIFSIGNALED(status))
		return hs_fail(e, ECHILD, "the command of %s was killed by signal %d for '%s'", option,
			       WTERMSIG(status), event);
	if (WEXITSTATUS(status))
		return hs_fail(e, ECHILD, "the command of %s failed with exit status %d for '%s'",
			       option, WEXITSTATUS(status), event);
	return 0;
}

/*
 * @head: of the checkpoint that is gone on with, or NULL. Only as long as there is one
 * thread. Returns 0, also if there is no command, or -1 with errno and @e.
 */
int hs_command_run(const struct hs_command *c, const char *event,
		   const struct hs_image_head *head, struct hs_error *e)
{
	/* Whoever started us may ignore it; then nobody could be waited for. */
	const struct sigaction child = { .sa_handler = SIG_DFL };
	struct sigaction before;
	struct variables v;
	int ret, err;

	if (!c->text)
		return 0;
	fill_in(&v, event, head);
	if (make_environment(&v, c->env))
		return hs_fail(e, ENOMEM, "no memory for the environment of the command of -x");
	sigaction(SIGCHLD, &child, &before);
	ret = run(c, event, v.all, e);
	err = errno;
	sigaction(SIGCHLD, &before, NULL);
	free(v.all);
	errno = err;
	return ret;
}

/* Where going on without it is better than not at all. */
void hs_command_try(const struct hs_command *c, const char *event,
		    const struct hs_image_head *head)
{
	struct hs_error e;

	if (hs_command_run(c, event, head, &e))
		hs_say("libhotspare: %s; %s continues without it", e.text,
		       head ? head->app : program_invocation_short_name);
}
