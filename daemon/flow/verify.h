/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The replicas of a session's spares, compared with what was sent to them. */
#ifndef CPTDEVD_VERIFY_H
#define CPTDEVD_VERIFY_H

#include <sys/queue.h>

#include "conf.h"
#include "wire.h"

struct daemon;
struct known;
struct ship;

/* Addresses of pages that differ, which are kept of a spare. */
#define VERIFY_ADDRS	8U

enum verify_state {
	VERIFY_COMPARING,
	VERIFY_COPYING,		/* a full copy is on its way, then the comparison begins anew */
	VERIFY_SAME,		/* every page that was compared */
	VERIFY_DIFFERS,
	VERIFY_REPAIRED,	/* pages differed; after a full copy none does */
	VERIFY_UNKNOWN,		/* nothing could be compared */
	VERIFY_BROKEN,		/* it ended before all was compared */
	VERIFY_OLD,		/* the spare's daemon doesn't know the feature */
};

struct verify_spare {
	u8 node[CPTDEV_UUID_LEN];
	char name[CPTDEV_NAME_MAX];
	enum verify_state state;
	u64 next;			/* address to go on from */
	u64 due;			/* ns: nothing is asked before */
	u64 heard;			/* ns: of the last progress */
	u32 yields;			/* to a delta that is on its way */
	bool copied;			/* the copy was made: this is the second comparison */
	u64 generation;			/* of the last question */
	u64 pages;			/* of the replica, with data */
	u64 compared;
	u64 newer;			/* pages that weren't, since they changed meanwhile */
	u64 damaged;			/* pages that differed before the copy */
	u64 again;			/* and after it */
	u64 addr[VERIFY_ADDRS];
	u32 nr_addr;
	char text[WIRE_TEXT_MAX + 1];	/* why, and what to do next; empty: nothing */
};

struct verify {
	LIST_ENTRY(verify) entry;
	char name[CPTDEV_NAME_MAX];
	u8 session[CPTDEV_UUID_LEN];
	u32 uid;
	bool force;			/* what can't be compared is sent anew */
	u64 wall;			/* ns, CLOCK_REALTIME, when it began */
	u64 began;			/* ns */
	u64 ended;			/* ns, 0: it runs */
	u32 nr;
	struct verify_spare spare[CONF_PEERS_MAX];
};

/* A question to a spare that isn't answered yet. */
struct verify_question {
	u64 generation;
	u64 addr;
	u32 nr;				/* 0: there is none */
	u32 newer;
	u64 at;				/* ns */
};

const char *verify_word(enum verify_state state);

void verify_open(struct daemon *d);
void verify_close(struct daemon *d);
/* The last one of the name, or NULL. */
struct verify *verify_find(struct daemon *d, const char *name);
/* Begins one, or returns the one that runs. NULL: *@code and @why say why not. */
struct verify *verify_begin(struct daemon *d, const char *name, bool force, const char **code,
			    char *why, size_t size);
/* VERIFIED */
int verify_answer(struct ship *s, const u8 *payload, u32 len);
/* Is the spare to get everything anew? */
bool verify_wants_copy(const struct ship *s);
/* It has. */
void verify_copied(struct ship *s);

#endif
