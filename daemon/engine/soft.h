/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The soft engine: what the module does, in the daemon's own memory. Replicas are sparse
 * files without a name, where each byte's offset is its address; they live as long as the
 * daemon. Nothing is global, so that a test can have two.
 *
 * It answers as linux/cptdev.h says: the cases of selftests/replica.c run against the module
 * and against this (daemon/tests/replica_test.c).
 */
#ifndef CPTDEV_SOFT_H
#define CPTDEV_SOFT_H

#include <sys/queue.h>
#include <sys/types.h>

#include "kernel.h"
#include "soft_set.h"

#define SOFT_PAGE	4096U
/* Events that wait for the daemon: more than these are lost, and it asks for the state. */
#define SOFT_EVENTS	256
/* As the module's parameter user_replicas_max. */
#define SOFT_USER_REPLICAS	32

struct soft_layout {
	struct cptdev_segment *v;
	u32 nr;
};

/* Pages in a file, each at its address. */
struct soft_pages {
	int fd;			/* -1: there are none */
	struct soft_set set;
};

struct soft_blob {
	u8 *v;
	u32 len;
};

/* What is staged. */
struct soft_stage {
	int owner;		/* descriptor, -1: nobody stages */
	int failed;		/* it can't be whole any more: why */
	u64 base;
	u64 term;
	u8 uuid[CPTDEV_UUID_LEN];
	struct soft_pages data;
	struct soft_set holes;	/* pages with content that become holes */
	struct soft_layout layout;
	struct soft_blob meta;
};

struct soft_replica {
	LIST_ENTRY(soft_replica) entry;
	struct replica_rec rec;	/* as soft_replica_rec() leaves it */
	bool named;		/* it isn't removed */
	bool promoted;
	u32 frozen;		/* descriptors that hold the generation */
	u64 max_bytes;		/* 0: the engine's limit */
	struct soft_pages content;
	struct soft_layout layout;
	struct soft_blob meta;
	struct soft_stage stage;
};

enum soft_kind { SOFT_DEVICE, SOFT_REPLICA };

/* An open descriptor. */
struct soft_file {
	enum soft_kind kind;
	struct soft_replica *replica;
	bool write;
	bool froze;
	u64 seen;		/* commits at the last IMAGE_INFO */
};

/* Who asks. */
struct soft_caller {
	u32 uid;
	bool capable;
};

struct soft_event {
	u8 cmd;
	bool is_session;
	union {
		struct session_rec session;
		struct replica_rec replica;
	};
};

struct soft {
	struct kernel kernel;
	u64 replica_max;	/* of all replicas, bytes */
	u64 page_size;
	int eventfd;		/* readable when there are events */
	struct soft_file **file;	/* by descriptor */
	u32 nr_files;
	LIST_HEAD(soft_replicas, soft_replica) replicas;
	struct soft_event event[SOFT_EVENTS];
	u32 nr_events;
	bool lost_events;
};

/* 0 or a negative errno. @replica_max: bytes, 0: three quarters of the memory. */
int soft_open(struct soft *s, u64 replica_max);
void soft_close(struct soft *s);

/* The file of a descriptor of the engine's, or NULL. */
struct soft_file *soft_file(const struct soft *s, int fd);

/* The replica of the name, or NULL. */
struct soft_replica *soft_replica_find(struct soft *s, const char *name);
/* Its record, brought up to date. */
const struct replica_rec *soft_replica_rec(struct soft *s, struct soft_replica *r);
void soft_replica_remove(struct soft *s, struct soft_replica *r);
/* Bytes of all replicas, staged ones as well. */
u64 soft_replica_bytes(const struct soft *s);

/* What poll(), pread() and pwrite() are for a replica of the module's; -errno. */
short soft_replica_poll(const struct soft *s, int fd);
ssize_t soft_replica_pread(struct soft *s, int fd, void *buf, size_t len, u64 pos);
ssize_t soft_replica_pwrite(struct soft *s, int fd, const void *buf, size_t len, u64 pos);

#endif
