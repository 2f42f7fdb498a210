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
#include "soft_past.h"
#include "soft_set.h"
#include "soft_since.h"
#include "soft_state.h"

#define SOFT_PAGE	4096U
/* Events that wait for the daemon: more than these are lost, and it asks for the state. */
#define SOFT_EVENTS	256
/* As the module's parameter user_replicas_max. */
#define SOFT_USER_REPLICAS	32
#define SOFT_USER_SESSIONS	256

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

/* A generation after its commit. */
struct soft_state_of {
	u64 number;		/* of the commit */
	u64 generation;
	u64 term;
	u64 committed_ns;	/* CLOCK_REALTIME */
	u64 pages;
	struct soft_layout layout;
	struct soft_blob meta;
};

/* What is staged. */
struct soft_stage {
	int owner;		/* descriptor, -1: nobody stages */
	int failed;		/* it can't be whole any more: why */
	u64 base;
	bool back;		/* no delta: the way back to a past generation */
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
	bool kept;		/* its content is of a session of this engine: soft_keep.c */
	u64 promotions;		/* that there were */
	u64 promoted_ns;	/* CLOCK_REALTIME, 0: not promoted */
	u64 taken_ns;		/* likewise, 0: the promotion isn't taken */
	u32 frozen;		/* descriptors that hold the generation */
	u64 max_bytes;		/* 0: the engine's limit */
	struct soft_pages content;
	struct soft_since since;	/* which of them changed when */
	struct soft_layout layout;
	struct soft_blob meta;
	struct soft_history history;
	struct soft_stage stage;
};

/* What changed from one generation to another, published. */
struct soft_snap {
	TAILQ_ENTRY(soft_snap) entry;
	u32 refs;		/* the session's, and of each descriptor */
	int fd;			/* memfd: the pages, packed */
	bool taken;		/* by a spare: it isn't merged any more */
	u64 base;
	u64 generation;
	u64 pages;
	u64 holes;
	struct cptdev_extent *extents;
	u32 nr_extents;
	struct soft_layout layout;
	struct soft_blob meta;
	/* of the session */
	char name[CPTDEV_NAME_MAX];
	u8 uuid[CPTDEV_UUID_LEN];
	u64 term;
	u32 uid;
	u32 state;		/* CPTDEV_IMAGE_* */
};

struct soft_session {
	LIST_ENTRY(soft_session) entry;
	struct session_rec rec;
	TAILQ_HEAD(soft_snaps, soft_snap) published;	/* the oldest first */
	LIST_HEAD(soft_follows, soft_follow) follows;
	u64 base;		/* the next one must reach back to it; SOFT_NO_BASE */
	u64 cancelled;		/* those up to it won't be committed */
	struct soft_state state;
	u64 alive_ns;		/* watchdog: the next sign of life comes in this time, 0: off */
	int page_fd;		/* of the session page, -1: nobody has asked for it */
	struct cptdev_session_page *page;
	bool output_waits;	/* for a checkpoint; the program is told as if one was wanted */
	void *client;		/* the program, NULL: played by a test */
	bool keeps;		/* each generation is kept in the replica of its name */
	u64 keep_max;		/* bytes, of this replica if it is created, 0: no limit of its own */
	bool heeds;		/* the program takes no checkpoint while they are held off */
	u64 held_off_until;	/* CLOCK_BOOTTIME, ns; 0: they aren't */
};

#define SOFT_NO_BASE	(~0ULL)

/* A spare that follows a session: a descriptor of the device. */
struct soft_follow {
	LIST_ENTRY(soft_follow) entry;	/* of the session */
	int fd;
};

enum soft_kind { SOFT_DEVICE, SOFT_SNAPSHOT, SOFT_REPLICA };

/* An open descriptor. */
struct soft_file {
	enum soft_kind kind;
	u32 nr_follows;		/* sessions that this device follows */
	struct soft_snap *snap;
	struct soft_replica *replica;
	bool write;
	bool froze;
	bool waits;		/* stands for a program that waits for the promotion */
	u64 seen;		/* commits at the last IMAGE_INFO */
	u64 promotions;		/* that it was too late for */
	u64 copied;		/* the last commit that the program's own copy has, 0: it has none */
	bool shows;		/* the generation of @state, not always the newest */
	struct soft_state_of state;
};

/* The caller of a request. */
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

/*
 * Output of sessions that is held until the spare has what it tells (hold/hold.h). All are told
 * the name of the session.
 */
struct soft_output {
	void (*begin)(struct soft_output *o, const char *name);
	void (*end)(struct soft_output *o, const char *name);
	/* A cut comes, and is published after it. Returns whether output of the session is held. */
	bool (*mark)(struct soft_output *o, const char *name);
	void (*published)(struct soft_output *o, const char *name, u64 generation);
	/* All generations up to this one. */
	void (*committed)(struct soft_output *o, const char *name, u64 generation);
};

struct soft {
	struct kernel kernel;
	u64 replica_max;	/* of all replicas, bytes */
	u64 held_max;		/* of all published snapshots, bytes */
	int epoll;		/* of all that programs do, with @listener */
	int eventfd;		/* readable when there are events */
	struct soft_file **file;	/* by descriptor */
	u32 nr_files;
	LIST_HEAD(soft_replicas, soft_replica) replicas;
	LIST_HEAD(soft_sessions, soft_session) sessions;
	LIST_HEAD(soft_clients, soft_client) clients;
	u32 nr_clients;
	u32 clients_max;
	u64 last_id;
	struct soft_output *output;	/* NULL: nothing is held */
	struct soft_listener *listener;	/* where programs connect, NULL: nowhere */
	struct soft_event event[SOFT_EVENTS];
	u32 nr_events;
	bool lost_events;
};

/* 0 or a negative errno. @replica_max: bytes, 0: three quarters of the memory. */
int soft_open(struct soft *s, u64 replica_max);
void soft_close(struct soft *s);
/*
 * So many connections of programs are allowed: each session has one, a spare that waits has two, and a user
 * without rights gets no more than half of all.
 */
#define SOFT_CLIENTS(max_sessions)	MAX(512U, 4 * (max_sessions))
/* Let programs connect to @path: 0 or a negative errno. */
int soft_programs_open(struct soft *s, const char *path);
/* The engine of the daemon: one per process. */
struct soft *soft_daemon(void);

/* The file of a descriptor of the engine's, or NULL. */
struct soft_file *soft_file(const struct soft *s, int fd);

/* The replica of the name, or NULL. */
struct soft_replica *soft_replica_find(struct soft *s, const char *name);
/* Its record, brought up to date, as in events: nothing of copies. */
const struct replica_rec *soft_replica_rec(struct soft *s, struct soft_replica *r);
/* The same, as in answers. */
const struct replica_rec *soft_replica_answer(struct soft *s, struct soft_replica *r);
void soft_replica_remove(struct soft *s, struct soft_replica *r);
/* Bytes of all replicas, staged ones as well. */
u64 soft_replica_bytes(const struct soft *s);

/* Output of the session waits, and no checkpoint is under way. */
void soft_output_waits(struct soft *s, const char *name);

/* What poll(), pread() and pwrite() are for a replica of the module's; -errno. */
short soft_replica_poll(const struct soft *s, int fd);
ssize_t soft_replica_pread(struct soft *s, int fd, void *buf, size_t len, u64 pos);
ssize_t soft_replica_pwrite(struct soft *s, int fd, const void *buf, size_t len, u64 pos);

#endif
