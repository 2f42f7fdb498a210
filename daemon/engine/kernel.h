/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel's side, behind a table: the module, or memory that plays it in a test.
 * Descriptors are real ones in both cases, so that poll, mmap and sendfile work on them.
 */
#ifndef CPTDEV_KERNEL_H
#define CPTDEV_KERNEL_H

#include <sys/types.h>

#include "kernel_event.h"

struct kernel;

/* Calls return a descriptor or 0, or a negative errno. */
struct kernel_ops {
	const char *name;				/* module or soft */
	int (*open)(struct kernel *k);			/* CPTDEV_DEVICE */
	void (*close)(struct kernel *k, int fd);	/* any of the three kinds */
	int (*ioctl)(struct kernel *k, int fd, unsigned int cmd, void *arg);
	bool lends;					/* a snapshot's pages can be sent as they are */
	/* The content of a replica at address @pos: bytes, fewer than @len only at an end. */
	ssize_t (*read)(struct kernel *k, int fd, void *buf, size_t len, u64 pos);
	/* Make the replica, owned by @uid; it is no error if there is one. */
	int (*create)(struct kernel *k, const char *name, u32 uid);
	/* A descriptor that polls readable when there are events. */
	int (*listen)(struct kernel *k);
	/* As netlink_events() and netlink_dump(). */
	int (*events)(struct kernel *k, kernel_event_fn fn, void *arg);
	int (*dump)(struct kernel *k, u8 cmd, kernel_event_fn fn, void *arg);
	/* All of a replica, by its name: 0 or a negative errno. NULL: events say all. */
	int (*replica)(struct kernel *k, struct replica_rec *rec);
	/* As kernel_hold_off(). NULL: the engine can't tell the program. */
	int (*hold_off)(struct kernel *k, u64 id, u64 until);
};

struct kernel {
	const struct kernel_ops *ops;
};

/* The module. One per process. */
struct kernel *kernel_module(void);

int kernel_info(struct kernel *k, struct cptdev_info *info);
/*
 * The replica of an event: everybody may listen to the module's, so neither UUID nor term is in
 * them, and both are asked for here. They are what they are by now. 0 or a negative errno.
 */
int kernel_replica_whole(struct kernel *k, struct replica_rec *rec);

/* @flags: CPTDEV_DELTA_*; an engine that doesn't know them acts as without. */
int kernel_delta(struct kernel *k, int dev, u64 id, u64 since, u32 flags);
/* CPTDEV_IOC_ROUND, on any descriptor of the device; @r without its size. -ENOTTY: there are none. */
int kernel_round(struct kernel *k, int dev, struct cptdev_round *r);
int kernel_ack(struct kernel *k, int dev, u64 id, u64 generation, u32 flags);
/* What needs no attached spare; @arg without its size. */
int kernel_tell(struct kernel *k, struct cptdev_ack *arg);

/*
 * Generations that the session publishes are kept in the replica of its name, too; or, with @stop, no
 * more. -ENOTTY: the engine can't.
 */
int kernel_keep(struct kernel *k, u64 id, u64 max_bytes, bool stop);

/*
 * The program takes no checkpoint before @until, CLOCK_BOOTTIME in ns; 0: it may again. -ENOENT:
 * no such session; -ENOTTY: the engine can't tell the program; -EOPNOTSUPP: the program doesn't look.
 */
int kernel_hold_off(struct kernel *k, u64 id, u64 until);

int kernel_image_info(struct kernel *k, int fd, struct cptdev_image_info *info);
/*
 * IMAGE_LAYOUT, _EXTENTS or _META: at most @nr entries from @start on. Returns how many
 * were read; @next is where to go on.
 */
int kernel_image_read(struct kernel *k, int fd, unsigned int cmd, void *vec, u32 nr,
		      u64 start, u64 *next);

/* @flags: CPTDEV_REPLICA_*. */
int kernel_replica_open(struct kernel *k, const char *name, u32 flags);
/* The same on a descriptor of the device that is open already. */
int kernel_replica_open_on(struct kernel *k, int dev, const char *name, u32 flags);
/* @term: 0 for the next one; both are answers as well. */
int kernel_replica_promote(struct kernel *k, int fd, u64 *term, u64 *generation);
/* Show this generation, 0: the newest; CPTDEV_IOC_REPLICA_AT. */
int kernel_replica_at(struct kernel *k, int fd, u64 generation);
/* Promote it and go back to the generation that the descriptor shows. */
int kernel_replica_back(struct kernel *k, int fd, u64 *term, u64 *generation);
/* CPTDEV_IOC_REPLICA_HISTORY; @arg without its size. */
int kernel_replica_history(struct kernel *k, int fd, struct cptdev_replica_history *arg);
int kernel_replica_commit(struct kernel *k, int fd, u64 generation, u64 *pages);
int kernel_replica_remove(struct kernel *k, int fd);
/* No generation is committed until the descriptor is closed. */
int kernel_replica_freeze(struct kernel *k, int fd);

#endif
