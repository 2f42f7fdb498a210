/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libckdev: what its files share. System calls that return -errno and leave errno alone,
 * and a reader of the process's own mappings.
 */
#ifndef CKDEV_INTERNAL_H
#define CKDEV_INTERNAL_H

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "ckdev.h"

/* Entries of a list that are fetched at a time, onto the stack. */
#define CKDEV_BATCH	64U

#define CKDEV_PAGE_SIZE	((uint64_t)sysconf(_SC_PAGESIZE))

/* The result of a system call, with @saved_errno as it was before. */
static inline long ckdev_result(long ret, int saved_errno)
{
	if (ret < 0)
		ret = -errno;
	errno = saved_errno;
	return ret;
}

/* soft.c: the same for a connection to cptdevd's soft engine; -ENOTTY: it isn't one. */
int ckdev_soft_ioctl(int fd, unsigned long cmd, void *arg);
/* A descriptor of the session page, for reading; the caller closes it. @flags: SOFT_PAGE_HEEDED */
int ckdev_soft_session_page(int fd, unsigned int flags);
/* Returns whether output of the session is held: 1 or 0, or -errno. */
int ckdev_soft_mark(int fd);
int ckdev_soft_replica_wait(int fd, unsigned int flags, uint64_t timeout_ns);

/* As ckdev_replica_content() of a replica that isn't frozen. */
int ckdev_replica_content_live(int fd);

/* Sends struct soft_end and doesn't wait for the answer. @file: passed along, -1: none. */
int ckdev_soft_say(int fd, unsigned int kind, unsigned int status, int file);

/*
 * session.c: as ckdev_session_page(), and the engine hears that this program takes no checkpoint while
 * ckdev_held_off() is not 0.
 */
int ckdev_session_page_heeded(int fd, const struct cptdev_session_page **page);
/*
 * For how long checkpoints of the session are held off, in nanoseconds; 0: they aren't. @page: of the soft
 * engine, or NULL.
 */
uint64_t ckdev_held_off(const struct cptdev_session_page *page);

/* ending.c: the library will report how the session ends. Does nothing with the module. */
void ckdev_promise_end(int fd);

static inline int ckdev_ioctl(int fd, unsigned long cmd, void *arg)
{
	int saved = errno;
	int ret = (int)ckdev_result(ioctl(fd, cmd, arg), saved);

	return ret == -ENOTTY ? ckdev_soft_ioctl(fd, cmd, arg) : ret;
}

static inline int ckdev_close(int fd)
{
	int saved = errno;

	return (int)ckdev_result(close(fd), saved);
}

static inline ssize_t ckdev_pread(int fd, void *buf, size_t len, uint64_t offset)
{
	int saved = errno;

	return ckdev_result(pread(fd, buf, len, (off_t)offset), saved);
}

static inline uint64_t ckdev_min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t ckdev_max(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static inline void ckdev_set_out(uint64_t *out, uint64_t value)
{
	if (out)
		*out = value;
}

static inline void *ckdev_pointer(uint64_t addr)
{
	return (void *)(uintptr_t)addr;
}

/* More than a list can count is as good as all that it can. */
static inline __u32 ckdev_count(size_t len)
{
	return len > INT_MAX ? INT_MAX : (__u32)len;
}

int ckdev_copy_name(__u8 *to, const char *name);

/*
 * session.c: @fd is the caller's own variable, negative at first. Returns 0, 1 if it is a
 * new session, or -errno.
 */
int ckdev_session_own(int *fd);

/* error.c: @err, with where and why if the caller wants to know. */
int ckdev_refuse(struct ckdev_refusal *why, uint64_t addr, int reason, int err);

/*
 * maps.c: the mappings of this process, in ascending order.
 */
struct ckdev_maps {
	int fd;
	size_t fill;
	size_t pos;
	char buf[2048];
};

struct ckdev_map {
	uint64_t start;
	uint64_t end;
	uint64_t offset;
	bool write;
	bool shared;
	bool file;
	char line[192];		/* as /proc has it, perhaps cut short */
};

int ckdev_maps_open(struct ckdev_maps *maps);
void ckdev_maps_close(struct ckdev_maps *maps);
int ckdev_maps_next(struct ckdev_maps *maps, struct ckdev_map *map);

#endif /* CKDEV_INTERNAL_H */
