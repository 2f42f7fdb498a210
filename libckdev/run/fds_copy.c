// SPDX-License-Identifier: LGPL-2.1-or-later
/* cptdev-run: copies of the descriptors of all processes, see fds_copy.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fds_copy.h"
#include "proc.h"

static int compare(const void *a, const void *b)
{
	const struct run_copy *x = a, *y = b;

	return x->of != y->of ? (x->of > y->of) - (x->of < y->of) : x->fd - y->fd;
}

static pid_t host_of(const struct run_copies *c, uint32_t of)
{
	return run_state_of(c->state, of)->process.host;
}

pid_t run_copies_host(const struct run_copies *c, const struct run_copy *copy)
{
	return host_of(c, copy->of);
}

static int add_number(struct run_copies *c, uint32_t of, int fd)
{
	char file[40], text[64];
	struct run_copy *v = c->v;

	snprintf(file, sizeof(file), "fdinfo/%d", fd);
	if (run_proc_line(host_of(c, of), file, "flags", text, sizeof(text)))
		return 0;
	if (!(c->nr % 64)) {
		v = reallocarray(c->v, c->nr + 64, sizeof(*v));
		if (!v)
			return -1;
		c->v = v;
	}
	v[c->nr++] = (struct run_copy) {
		.of = of, .fd = fd, .at = fd, .cloexec = strtoul(text, NULL, 8) & O_CLOEXEC,
	};
	c->above = fd >= c->above ? fd + 1 : c->above;
	return 0;
}

static int list_numbers(struct run_copies *c, uint32_t of)
{
	struct dirent *entry;
	char path[40];
	int ret = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", host_of(c, of));
	d = opendir(path);
	if (!d)
		return -1;
	while (!ret && (entry = readdir(d)))
		if (entry->d_name[0] != '.')
			ret = add_number(c, of, atoi(entry->d_name));
	closedir(d);
	return ret;
}

/* The first process has its own numbers, and the others have those behind all. */
static void number_all(struct run_copies *c)
{
	uint32_t i;

	if (c->nr)
		qsort(c->v, c->nr, sizeof(*c->v), compare);
	for (i = 0; i < c->nr; i++)
		if (c->v[i].of)
			c->v[i].at = c->above++;
}

int run_copies_list(struct run_copies *c, struct run_state *s, struct hs_error *e)
{
	uint32_t i;

	*c = (struct run_copies) { .state = s, .nr_processes = s->nr_others + 1 };
	c->pidfd = calloc(c->nr_processes, sizeof(*c->pidfd));
	if (!c->pidfd)
		return hs_fail(e, ENOMEM, "no memory for the list of processes");
	for (i = 0; i < c->nr_processes; i++)
		c->pidfd[i] = -1;
	for (i = 0; i < c->nr_processes; i++) {
		c->pidfd[i] = (int)syscall(SYS_pidfd_open, host_of(c, i), 0);
		if (c->pidfd[i] < 0 || list_numbers(c, i))
			return hs_fail(e, errno, "process %d: its descriptors: %s", host_of(c, i),
				       strerror(errno));
	}
	number_all(c);
	return 0;
}

void run_copies_free(struct run_copies *c)
{
	uint32_t i;

	for (i = 0; c->pidfd && i < c->nr_processes; i++)
		if (c->pidfd[i] >= 0)
			close(c->pidfd[i]);
	free(c->pidfd);
	free(c->v);
	*c = (struct run_copies) { 0 };
}

const struct run_copy *run_copies_at(const struct run_copies *c, int at)
{
	uint32_t i;

	for (i = 0; i < c->nr; i++)
		if (c->v[i].at == at)
			return &c->v[i];
	return NULL;
}

static int copy_one(const struct run_copies *c, const struct run_copy *copy, int pidfd, struct hs_error *e)
{
	int fd = (int)syscall(SYS_pidfd_getfd, pidfd, copy->fd, 0);

	if (fd < 0)
		return hs_fail(e, errno, "process %d: descriptor %d can't be looked at: %s",
			       run_copies_host(c, copy), copy->fd, strerror(errno));
	if (fd != copy->at) {
		if (dup2(fd, copy->at) < 0)
			return hs_fail(e, errno, "descriptor %d: %s: raise the limit of open files of "
				       "cptdev-run (ulimit -n)", copy->at, strerror(errno));
		close(fd);
	}
	fcntl(copy->at, F_SETFD, copy->cloexec ? FD_CLOEXEC : 0);
	return 0;
}

/* What stands for a process has to be out of the way of the copies. */
static int move_up(const struct run_copies *c, int *pidfd, struct hs_error *e)
{
	uint32_t i;

	for (i = 0; i < c->nr_processes; i++) {
		pidfd[i] = fcntl(c->pidfd[i], F_DUPFD_CLOEXEC, c->above);
		if (pidfd[i] < 0)
			return hs_fail(e, errno, "descriptor %d: %s: raise the limit of open files of "
				       "cptdev-run (ulimit -n)", c->above, strerror(errno));
	}
	return 0;
}

int run_copies_make(const struct run_copies *c, struct hs_error *e)
{
	int *pidfd = calloc(c->nr_processes, sizeof(*pidfd)), ret;
	uint32_t i;

	if (!pidfd)
		return hs_fail(e, ENOMEM, "no memory for the list of processes");
	ret = move_up(c, pidfd, e);
	for (i = 0; !ret && i < c->nr; i++)
		ret = copy_one(c, &c->v[i], pidfd[c->v[i].of], e);
	free(pidfd);
	return ret;
}
