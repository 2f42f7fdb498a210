/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The calls of selftests/engine.h, answered by the kernel that plays the module. */
#ifndef TESTS_ENGINE_FAKE_H
#define TESTS_ENGINE_FAKE_H

#include "fake.h"

static inline struct fake *t_fake(void)
{
	static struct fake fake;

	if (!fake.kernel.ops)
		fake_init(&fake);
	return &fake;
}

static inline int t_open(void)
{
	struct kernel *k = &t_fake()->kernel;

	return k->ops->open(k);
}

static inline void t_close(int fd)
{
	struct kernel *k = &t_fake()->kernel;

	k->ops->close(k, fd);
}

static inline int t_ioctl(int fd, unsigned long cmd, void *arg)
{
	struct kernel *k = &t_fake()->kernel;

	return k->ops->ioctl(k, fd, cmd, arg);
}

static inline ssize_t t_pread(int fd, void *buf, size_t len, u64 pos)
{
	return soft_replica_pread(&t_fake()->soft, fd, buf, len, pos);
}

static inline ssize_t t_pwrite(int fd, const void *buf, size_t len, u64 pos)
{
	return soft_replica_pwrite(&t_fake()->soft, fd, buf, len, pos);
}

static inline short t_poll(int fd, short events)
{
	return soft_replica_poll(&t_fake()->soft, fd) & (events | POLLHUP | POLLERR);
}

#endif
