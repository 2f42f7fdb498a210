/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A kernel that plays the module: the replicas and descriptors are the soft engine's, and
 * what this adds are sessions whose memory the test writes, with snapshots as files in memory
 * (so that mmap and sendfile are the real ones), and calls that fail when a test wants it.
 */
#ifndef TESTS_FAKE_H
#define TESTS_FAKE_H

#include "soft.h"

#define FAKE_BASE	0x10000000ULL	/* where every session's memory begins */
#define FAKE_PAGE	SOFT_PAGE
#define FAKE_FDS	512
#define FAKE_SESSIONS	64
#define FAKE_REPLICA_MAX	(1ULL << 30)	/* bytes of all replicas */

struct fake_session {
	struct session_rec rec;
	bool used;
	u32 pages;
	u8 *mem;
	u8 *frozen;		/* as of the last publication */
	u64 *changed;		/* per page: generation */
	bool *dirty;		/* per page: since the last publication */
	bool *hole;		/* per page: as of the last publication */
	bool *hole_next;
	u32 segments;		/* the memory is shown as so many pieces */
	u8 meta[65536];
	u32 meta_len;
	u64 reach;		/* DELTA for less answers ESTALE, until the next */
	bool reach_next;	/* publication reaches back */
	u64 lacked;		/* to this one */
	u64 base;		/* of what was published last, if it reaches back: else ~0 */
	u64 cancelled;		/* WAIT for those up to it gets ECANCELED */
	u64 deltas;		/* that were fetched */
	u64 delta_pages;	/* in all of them */
	u64 rounds;		/* that were taken */
	u32 busy;		/* so many of the next ones get EAGAIN */
	void (*on_round)(struct fake_session *s);	/* after each of them */
	bool fenced;
	struct soft_state state;
	bool deaf;		/* the program wouldn't look whether checkpoints are held off */
	bool keeps;		/* each generation is kept in the replica of its name */
	u64 held_off;		/* they are, until then, ns; 0: they aren't */
};

enum fake_kind { FAKE_NONE, FAKE_DEVICE, FAKE_SNAPSHOT };

struct fake_fd {
	enum fake_kind kind;
	bool follows[FAKE_SESSIONS];
	struct fake_session *session;
	struct cptdev_image_info info;
	struct cptdev_extent *extents;
};

struct fake {
	struct kernel kernel;
	struct soft soft;
	bool absent;			/* the module isn't loaded */
	bool family_changed;
	bool overflow;			/* the next read answers ENOBUFS */
	int fail_stage;			/* errno of the next STAGE, and of others: */
	int fail_commit;
	int fail_delta;
	u64 limit;			/* of all replicas, pages, 0: none */
	bool limit_hidden;		/* INFO doesn't tell: memory that ends */
	int fail_ack;			/* of every ACK, until it is 0; and of others: */
	int fail_dump;
	int fail_events;
	u64 last_id;
	struct fake_session session[FAKE_SESSIONS];
	struct fake_fd fd[FAKE_FDS];
	u32 stages;			/* calls of STAGE, and of others: */
	u64 asked;			/* DELTA, whatever the answer */
	u64 dumps;
	u64 replicas_asked;		/* what events don't say of one */
};

void fake_init(struct fake *f);
void fake_free(struct fake *f);

struct fake_session *fake_session(struct fake *f, const char *name, u32 pages);
struct fake_session *fake_session_with(struct fake *f, const char *name, u32 pages,
				       u64 term, u32 flags);
/* In order. */
void fake_session_end(struct fake *f, struct fake_session *s);
/* @end: CPTDEV_END_*, @code: exit status or signal. */
void fake_session_end_by(struct fake *f, struct fake_session *s, u32 end, u32 code);
/* Write a value over page @page; it is published with the next fake_publish(). */
void fake_write(struct fake_session *s, u32 page, u8 value);
/* All pages: no two alike, and nothing that can be made shorter. */
void fake_noise(struct fake_session *s, u64 seed);
/* A part of a page. */
void fake_poke(struct fake_session *s, u32 page, u32 offset, u8 value, u32 len);
void fake_punch(struct fake_session *s, u32 page);
u64 fake_publish(struct fake *f, struct fake_session *s);
/* A snapshot has failed: there was no room for it. */
void fake_limit(struct fake *f, struct fake_session *s);
/* It gives no sign of life, or does again. */
void fake_hang(struct fake *f, struct fake_session *s, bool hung);
/* May it acknowledge and answer now: not blocked, and its lease has not run out. */
bool fake_allows(const struct fake_session *s);

struct soft_replica *fake_replica(struct fake *f, const char *name);
/* The content of page @page of a session's memory, until the next call; NULL: a hole. */
u8 *fake_page(const struct soft_replica *r, u32 page);
/* Memory that fails: a byte of page @page, which the replica has, changes without a word. */
void fake_flip(struct soft_replica *r, u32 page, u32 offset);
/* Is the replica what was published last? */
bool fake_same(const struct soft_replica *r, const struct fake_session *s);
void fake_replica_remove(struct fake *f, struct soft_replica *r);
/* Of all replicas, content and staged. */
u64 fake_replica_pages(const struct fake *f);
/* As if events had been lost: the next reading of them answers ENOBUFS. */
void fake_lose_events(struct fake *f);
/* Descriptors that stand for a spare of the session. */
u32 fake_attached(const struct fake *f, const struct fake_session *s);
/* Descriptors of any kind that are open. */
u32 fake_open_fds(const struct fake *f);

#endif
