// SPDX-License-Identifier: GPL-2.0-or-later
/* Without --foreground: a parent that stays until it is known whether the start works. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "background.h"

static int ready_fd = -1;

static void wait_for_child(int fd)
{
	char byte;

	_exit(read(fd, &byte, 1) == 1 ? 0 : 1);
}

int background(void)
{
	int pipefd[2];
	pid_t pid;

	if (pipe2(pipefd, O_CLOEXEC))
		return -errno;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid) {
		close(pipefd[1]);
		wait_for_child(pipefd[0]);
	}
	close(pipefd[0]);
	ready_fd = pipefd[1];
	setsid();
	return chdir("/") ? -errno : 0;
}

void background_ready(void)
{
	int null;
	ssize_t n;

	if (ready_fd < 0)
		return;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	dup2(null, 0);
	dup2(null, 1);
	dup2(null, 2);
	n = write(ready_fd, "", 1);
	(void)n;
	close(ready_fd);
	ready_fd = -1;
}
