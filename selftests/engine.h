/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the cases run against: whoever answers the calls of linux/cptdev.h. Here it is the
 * device. A program that defines T_ENGINE before it includes the cases names a header with
 * the same functions, which all answer -errno; so the same cases ask another engine, in
 * user space (daemon/tests/replica_test.c).
 *
 * Cases that need more than these calls, such as other processes, memory that is slow, or
 * tracepoints, stand under T_ENGINE_KERNEL.
 */
#ifndef _CPTDEV_ENGINE_H
#define _CPTDEV_ENGINE_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/types.h>
#include <unistd.h>

#include <linux/cptdev.h>

#ifdef T_ENGINE
#include T_ENGINE
#else

#define T_ENGINE_KERNEL

static inline int t_open(void)
{
	int fd = open(CPTDEV_DEVICE, O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static inline void t_close(int fd)
{
	close(fd);
}

static inline int t_ioctl(int fd, unsigned long cmd, void *arg)
{
	int ret = ioctl(fd, cmd, arg);

	return ret < 0 ? -errno : ret;
}

static inline ssize_t t_pread(int fd, void *buf, size_t len, uint64_t pos)
{
	ssize_t ret = pread(fd, buf, len, pos);

	return ret < 0 ? -errno : ret;
}

static inline ssize_t t_pwrite(int fd, const void *buf, size_t len, uint64_t pos)
{
	ssize_t ret = pwrite(fd, buf, len, pos);

	return ret < 0 ? -errno : ret;
}

/* What poll() reports of @events at once, and of errors. */
static inline short t_poll(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	return poll(&p, 1, 0) < 0 ? -errno : p.revents;
}

#endif /* T_ENGINE */
#endif /* _CPTDEV_ENGINE_H */
