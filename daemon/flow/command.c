// SPDX-License-Identifier: GPL-2.0-or-later
/* Programs that the daemon runs. SIGCHLD tells of their end, see failover_ran(). */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <unistd.h>

#include "command.h"

unsigned int command_split(char *line, char **words)
{
	unsigned int n = 0;
	char *word;

	while (n < COMMAND_WORDS && (word = strsep(&line, " \t")))
		if (*word)
			words[n++] = word;
	words[n] = NULL;
	return n;
}

/* Signals are blocked or ignored here, for the loop; the command gets them as usual. */
static int spawn(pid_t *pid, char *const argv[], char *const envp[],
		 const posix_spawn_file_actions_t *actions)
{
	short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
	posix_spawnattr_t attr;
	sigset_t none, ignored;
	int ret;

	sigemptyset(&none);
	sigemptyset(&ignored);
	sigaddset(&ignored, SIGPIPE);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &ignored);
	posix_spawnattr_setpgroup(&attr, 0);
	posix_spawnattr_setflags(&attr, flags | (actions ? POSIX_SPAWN_SETPGROUP : 0));
	ret = posix_spawn(pid, argv[0], actions, &attr, argv, envp);
	posix_spawnattr_destroy(&attr);
	return -ret;
}

int command_start(char *const argv[], char *const envp[], pid_t *pid, int *out)
{
	posix_spawn_file_actions_t actions;
	int fds[2], ret;

	if (!out)
		return spawn(pid, argv, envp, NULL);
	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&actions, fds[1], STDERR_FILENO);
	ret = spawn(pid, argv, envp, &actions);
	posix_spawn_file_actions_destroy(&actions);
	close(fds[1]);
	if (ret) {
		close(fds[0]);
		return ret;
	}
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	*out = fds[0];
	return 0;
}

void command_kill(pid_t pid)
{
	kill(-pid, SIGKILL);
}
