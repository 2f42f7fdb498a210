// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The soft engine: why a session ended, as the module tells it. The socket of a process that
 * ends is closed by the kernel before anybody can wait for it: its state and exit code are in
 * /proc by then, for those who may trace it. Everything else would be a guess.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/cptdev_netlink.h>

#include "soft_program.h"

/* Of the kernel's: task_struct.flags, in /proc/PID/stat. */
#define PF_EXITING	0x4

struct process {
	char state;
	u64 flags;
	u64 stack;		/* where it began: another one after execve() */
	u64 exit_code;
};

static bool read_text(u32 pid, char *text, size_t size)
{
	char path[32];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%u/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, size - 1);
	close(fd);
	text[MAX(n, 0)] = '\0';
	return n > 0;
}

/* proc(5): the second field is a name in brackets, which may have anything in it. */
static bool look(u32 pid, struct process *p)
{
	char text[1024], *at, *save = NULL;
	unsigned int field = 3;

	if (!read_text(pid, text, sizeof(text)))
		return false;
	at = strrchr(text, ')');
	at = at ? strtok_r(at + 1, " ", &save) : NULL;
	for (; at; at = strtok_r(NULL, " ", &save), field++) {
		if (field == 3)
			p->state = *at;
		else if (field == 9)
			p->flags = strtoull(at, NULL, 10);
		else if (field == 28)
			p->stack = strtoull(at, NULL, 10);
		else if (field == 52)
			p->exit_code = strtoull(at, NULL, 10);
	}
	return field > 52;
}

void soft_end_begin(struct soft_client *c)
{
	struct process p = {};

	c->stack = c->pid && look(c->pid, &p) ? p.stack : 0;
}

/* Nobody has waited for it so far, and so nobody else has its number. */
static bool is_there(const struct soft_client *c)
{
	return c->process.fd >= 0 &&
		(!syscall(SYS_pidfd_send_signal, c->process.fd, 0, NULL, 0) || errno == EPERM);
}

/* Who may not see where its stack is may not see how it ended either. */
u32 soft_end(const struct soft_client *c, u32 *code)
{
	struct process p = {};
	int status;

	*code = 0;
	if (!c->stack || !look(c->pid, &p) || !is_there(c))
		return CPTDEV_END_UNKNOWN;
	if (p.state != 'Z' && p.state != 'X' && !(p.flags & PF_EXITING)) {
		if (!p.stack)
			return CPTDEV_END_UNKNOWN;
		return p.stack == c->stack ? CPTDEV_END_CLOSED : CPTDEV_END_EXEC;
	}
	status = p.exit_code;
	*code = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
	return WIFSIGNALED(status) ? CPTDEV_END_KILLED : CPTDEV_END_EXITED;
}
