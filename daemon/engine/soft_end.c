// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The soft engine: the reason for which a session ended, as the module reports it, without any
 * right over the program. The evidence, the most certain first:
 *
 * 1. The program reports (SOFT_END) that it closes the session. It continues, or has ended
 *    since.
 * 2. /proc/PID/stat has the exit code, and the start of the stack, which exec changes. It shows
 *    both only to a process that may trace the program, and only until the parent has waited for
 *    it. When a process ends, the kernel closes its socket before the parent can wait; but the
 *    daemon may be late.
 * 3. The pidfd has the exit code, for everybody, after the parent has waited (Linux 6.15).
 * 4. The program reports that it exits, and with which status. A crash in a later exit handler
 *    isn't seen: the program wanted to end.
 * 5. The program promised a report and sent none. With the promise it passed its /proc/PID/maps,
 *    which is empty when the address space is gone. The kernel releases the address space before
 *    it closes the descriptors, in exit and in exec. So if it is gone, the program was killed,
 *    or called _exit(2) or execve(2). If it exists, the program called close(2), or a child of
 *    vfork(2) uses it.
 *
 * If the evidence doesn't decide, the reason is unknown: then nothing is promoted, and no empty
 * program begins. There is one exception in case 5: _exit(2) counts as a failure whatever its
 * status is, because it looks like SIGKILL. The spare then continues with all acknowledged data,
 * so nothing is lost. A program that wants to end in order calls exit(3). failure-model.rst, "A
 * program that ends".
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
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

/* linux/pidfd.h, which may be older than the kernel. */
struct pidfd_info_v0 {
	u64 mask;
	u64 cgroup;
	u32 ids[11];
	int exit_code;
};

#define PIDFD_GET_INFO_V0	_IOWR(0xff, 11, struct pidfd_info_v0)
#define PIDFD_INFO_EXIT_V0	(1ULL << 3)

static bool waited_for(const struct soft_client *c, int *status)
{
	struct pidfd_info_v0 info = { .mask = PIDFD_INFO_EXIT_V0 };

	if (c->process.fd < 0 || ioctl(c->process.fd, PIDFD_GET_INFO_V0, &info) ||
	    !(info.mask & PIDFD_INFO_EXIT_V0))
		return false;
	*status = info.exit_code;
	return true;
}

static u32 end_of_status(int status, u32 *code)
{
	*code = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
	return WIFSIGNALED(status) ? CPTDEV_END_KILLED : CPTDEV_END_EXITED;
}

/* By /proc. A process that may not see the start of the stack may not see the exit code either. */
static bool seen(const struct soft_client *c, u32 *end, u32 *code)
{
	struct process p = {};

	if (!c->stack || !look(c->pid, &p) || !is_there(c))
		return false;
	if (p.state == 'Z' || p.state == 'X' || p.flags & PF_EXITING) {
		*end = end_of_status(p.exit_code, code);
		return true;
	}
	*end = p.stack == c->stack ? CPTDEV_END_CLOSED : CPTDEV_END_EXEC;
	return p.stack;
}

/*
 * The address space
 */

/* The program may pass any file. Reading maps never waits for another process; other files may. */
static bool is_maps(int fd)
{
	char link[32], path[64] = "";
	struct statfs fs;
	size_t len;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if (fstatfs(fd, &fs) || fs.f_type != PROC_SUPER_MAGIC ||
	    readlink(link, path, sizeof(path) - 1) < 0)
		return false;
	len = strlen(path);
	return len > 5 && !strcmp(path + len - 5, "/maps");
}

/* 1: it exists, 0: it is gone, -1: not known */
static int space(int maps)
{
	char byte;
	ssize_t n = maps < 0 ? -1 : pread(maps, &byte, 1, 0);

	return n < 0 ? -1 : n > 0;
}

static bool is_over(const struct soft_client *c)
{
	struct pollfd p = { .fd = c->process.fd, .events = POLLIN };
	int there = space(c->maps);

	return !there || (there < 0 && p.fd >= 0 && poll(&p, 1, 0) == 1);
}

/*
 * Reports
 */

static void take_promise(struct soft_client *c, struct soft_message *m)
{
	c->promised = true;
	if (c->maps >= 0 || m->file < 0 || !is_maps(m->file) || space(m->file) < 0)
		return;
	c->maps = m->file;
	m->file = -1;
}

int soft_end_word(struct soft_client *c, struct soft_message *m)
{
	const struct soft_end *arg = (void *)m->arg;

	if (arg->flags)
		return -EOPNOTSUPP;
	if (!c->session || arg->kind < SOFT_END_PROMISED || arg->kind > SOFT_END_EXITS ||
	    arg->status > 255 || (arg->status && arg->kind != SOFT_END_EXITS))
		return -EINVAL;
	if (arg->kind == SOFT_END_PROMISED) {
		take_promise(c, m);
		return 0;
	}
	c->word = arg->kind;
	c->status = arg->status;
	return 0;
}

void soft_end_free(struct soft_client *c)
{
	if (c->maps >= 0)
		close(c->maps);
	c->maps = -1;
}

u32 soft_end(struct soft_client *c, u32 *code)
{
	u32 end = CPTDEV_END_UNKNOWN;
	int status;

	*code = 0;
	if (c->word == SOFT_END_CLOSES)
		return CPTDEV_END_CLOSED;
	if (seen(c, &end, code))
		return end;
	if (waited_for(c, &status))
		return end_of_status(status, code);
	if (c->word == SOFT_END_EXITS) {
		*code = c->status;
		return CPTDEV_END_EXITED;
	}
	return c->promised && is_over(c) ? CPTDEV_END_FAILED : CPTDEV_END_UNKNOWN;
}
