/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory whose page faults wait until the test serves them (userfaultfd), and a call in
 * another thread that is stuck in one. A disk that is slow.
 */
#ifndef _CPTDEV_SLOW_H
#define _CPTDEV_SLOW_H

#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "cptdev_test.h"

struct t_slow {
	size_t len;
	char *m;
	int fd;
};

struct t_slow_call {
	struct t_slow *slow;
	int fd;
	off_t pos;
	pthread_t thread;
	ssize_t ret;			/* of the call, or -errno */
};

static inline bool t_slow_map(struct t_slow *s)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg;

	s->fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (s->fd < 0)
		return false;
	s->m = mmap(NULL, s->len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		    -1, 0);
	reg = (struct uffdio_register) {
		.range = { .start = (unsigned long)s->m, .len = s->len },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	return s->m != MAP_FAILED && !ioctl(s->fd, UFFDIO_API, &api) &&
	       !ioctl(s->fd, UFFDIO_REGISTER, &reg);
}

static inline void *t_slow_read(void *arg)
{
	struct t_slow_call *c = arg;

	c->ret = pread(c->fd, c->slow->m, c->slow->len, c->pos);
	c->ret = c->ret < 0 ? -errno : c->ret;
	return NULL;
}

static inline void *t_slow_write(void *arg)
{
	struct t_slow_call *c = arg;

	c->ret = pwrite(c->fd, c->slow->m, c->slow->len, c->pos);
	c->ret = c->ret < 0 ? -errno : c->ret;
	return NULL;
}

/* Returns once the call waits for its page. */
static inline void t_slow_begin(struct t_slow_call *c, void *(*fn)(void *))
{
	struct pollfd pfd = { .fd = c->slow->fd, .events = POLLIN };

	pthread_create(&c->thread, NULL, fn, c);
	poll(&pfd, 1, -1);
}

/* Serves the page; returns what the call did. */
static inline ssize_t t_slow_end(struct t_slow_call *c)
{
	struct uffdio_zeropage zero = {
		.range = { .start = (unsigned long)c->slow->m, .len = c->slow->len },
	};

	ioctl(c->slow->fd, UFFDIO_ZEROPAGE, &zero);
	pthread_join(c->thread, NULL);
	close(c->slow->fd);
	return c->ret;
}

#define T_SLOW_GROUP	"/sys/fs/cgroup/cptdev-slow"

/* Let this process read few blocks a second, so that requests are under way for long. */
static inline int t_slow_disk(const char *disk, unsigned int reads)
{
	struct stat st;
	char text[64];

	if (stat(disk, &st))
		return -errno;
	t_write_file("/sys/fs/cgroup/cgroup.subtree_control", "+io");
	mkdir(T_SLOW_GROUP, 0755);
	snprintf(text, sizeof(text), "%u:%u riops=%u", major(st.st_rdev), minor(st.st_rdev),
		 reads);
	if (t_write_file(T_SLOW_GROUP "/io.max", text))
		return -ENOTSUP;
	return t_write_file(T_SLOW_GROUP "/cgroup.procs", "0");
}

/* What a thread of this process does, as proc(5) has it; 0: it is no more. */
static inline char t_thread_state(pid_t tid)
{
	char path[64], text[512] = "", *p;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	fd = open(path, O_RDONLY);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
		text[0] = 0;
	close(fd);
	p = strrchr(text, ')');
	return p ? p[2] : 0;
}

/* Until the thread, which says who it is, waits for the disk, or has ended already. */
static inline void t_wait_for_disk(const volatile pid_t *tid)
{
	char now;

	do {
		usleep(100);
		now = *tid ? t_thread_state(*tid) : 'R';
	} while (now && now != 'D');
}

static inline void t_fast_disk(void)
{
	t_write_file("/sys/fs/cgroup/cgroup.procs", "0");
	rmdir(T_SLOW_GROUP);
}

#endif /* _CPTDEV_SLOW_H */
