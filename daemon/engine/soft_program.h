/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The soft engine: programs that are connected, and what they wait for. */
#ifndef CPTDEV_SOFT_PROGRAM_H
#define CPTDEV_SOFT_PROGRAM_H

#include "soft_parts.h"
#include "soft_receive.h"

/* Calls of a program that wait at a time. */
#define SOFT_WAITS_MAX		64
/* Messages that are read after a process has ended; each thread has one call at a time. */
#define SOFT_LAST_WORDS		256

struct soft_watch {
	int fd;				/* -1: not watched */
	void (*fn)(struct soft_watch *w);
};

/* A call that is answered later. */
struct soft_wait {
	LIST_ENTRY(soft_wait) entry;
	struct soft_client *client;
	struct soft_watch reply;	/* readable: who waited has gone away */
	u32 len;			/* of the struct, as the program has it */
	u64 wanted;			/* WAIT: the generation */
	union {
		struct cptdev_wait session;
		struct soft_replica_wait replica;
	};
};

/* A connection: a session, or, made by REPLICA_OPEN, a replica. */
struct soft_client {
	LIST_ENTRY(soft_client) entry;
	struct soft *s;
	struct soft_watch socket;
	struct soft_watch process;	/* pidfd: readable when it has ended */
	struct soft_watch alive;	/* timerfd of the watchdog */
	struct soft_caller who;
	u32 pid;			/* 0: isn't known in this namespace */
	u64 stack;			/* of the process, 0: it can't be seen */
	int maps;			/* the program's /proc/PID/maps, -1: none */
	bool promised;			/* the program reports an end in order */
	u32 word;			/* enum soft_end_kind: the last report, 0: none */
	u32 status;			/* of SOFT_END_EXITS */
	struct soft_session *session;
	int file;			/* of the replica, -1: it is a session */
	bool news;			/* it was told, and has not asked yet */
	LIST_HEAD(soft_waits, soft_wait) waits;
	u32 nr_waits;
};

/* What an answer has beside the struct. */
struct soft_reply {
	const void *entries;
	u32 bytes;
	int fd;				/* goes along and is closed, -1: none */
	bool later;			/* the answer comes another time */
};

/* soft_program.c */
/* Root, and whoever runs the daemon, may do what a holder of the capability may. */
struct soft_caller soft_caller_of(u32 uid);
int soft_watch(struct soft *s, struct soft_watch *w, int fd);
void soft_unwatch(struct soft *s, struct soft_watch *w);
int soft_client_new(struct soft *s, int fd, struct soft_client **c);
void soft_client_free(struct soft_client *c);

/* soft_call.c: what a program asks; 0 or a negative errno. */
int soft_call(struct soft_client *c, struct soft_message *m, struct soft_reply *r);

/* soft_end.c: CPTDEV_END_*, of a session whose connection is over; *@code: see there */
void soft_end_begin(struct soft_client *c);
/* SOFT_END: 0 or a negative errno. Takes the file out of @m if it keeps it. */
int soft_end_word(struct soft_client *c, struct soft_message *m);
u32 soft_end(struct soft_client *c, u32 *code);
void soft_end_free(struct soft_client *c);

/* soft_alive.c */
int soft_alive(struct soft_client *c, const struct cptdev_session_alive *arg);
void soft_alive_expired(struct soft_watch *w);

/* soft_wait.c */
int soft_wait_session(struct soft_client *c, struct soft_message *m, struct soft_reply *r);
int soft_wait_replica(struct soft_client *c, struct soft_message *m, struct soft_reply *r);
void soft_wait_free(struct soft_wait *w);

#endif
