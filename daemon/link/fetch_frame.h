/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * FETCH and READ: the shipper's host starts a program from a replica of the replayer's host, before
 * all of it is there. Nothing that a peer says is believed. No I/O.
 */
#ifndef CPTDEVD_FETCH_FRAME_H
#define CPTDEVD_FETCH_FRAME_H

#include "bytes.h"
#include "wire.h"

/* Bytes of pages of one READ, and extents of one PAGES, at most. */
#define WIRE_READ_BYTES		(256U * 1024)
#define WIRE_READ_EXTENTS	4096U
#define WIRE_READ_EXTENT_LEN	16

/* Flags of FETCH. */
#define WIRE_FETCH_AGAIN	(1U << 0)	/* nothing was acknowledged since it was taken first */

enum wire_fetch {
	WIRE_FETCH_ASK,			/* what is there? Nothing changes */
	WIRE_FETCH_TAKE,		/* the next term is the sender's */
	WIRE_FETCH_DONE,		/* all of it is there, and the sender's program goes on */
	WIRE_FETCH_LEAVE,		/* it won't: not answered */
	WIRE_FETCH_MAX = WIRE_FETCH_LEAVE
};

enum wire_read {
	WIRE_READ_LIST,			/* where there are pages */
	WIRE_READ_PAGES,
	WIRE_READ_MAX = WIRE_READ_PAGES
};

struct msg_fetch {			/* FETCH */
	u64 term;			/* that the sender takes; ASK: 0 */
	u32 id;				/* of this fetch on this link, 1 and up */
	u32 what;			/* enum wire_fetch */
	u32 flags;			/* WIRE_FETCH_* */
	char name[CPTDEV_NAME_MAX];
};

struct msg_fetch_state {		/* FETCH_STATE */
	u8 uuid[CPTDEV_UUID_LEN];	/* of the session whose content it is */
	u64 term;			/* ASK: the highest that is known; else of the question */
	u64 generation;			/* of the replica, and how many pages it has */
	u64 pages;
	u32 uid;			/* whose replica it is */
	u32 id;				/* these two: of the question */
	u32 what;
	char name[CPTDEV_NAME_MAX];
	struct fault fault;		/* other than WIRE_OK: nothing has changed */
};

struct msg_read {			/* READ; the channel is the id of FETCH */
	u32 what;			/* enum wire_read */
	u64 addr;			/* LIST: from where on */
	u64 len;			/* LIST: 0 */
};

struct msg_pages {			/* PAGES */
	u32 what;			/* these three: of the question */
	u64 addr;
	u64 len;
	u32 code;			/* WIRE_OK, or nothing follows: enum wire_code */
	u32 nr;				/* LIST: extents that follow; 0: there are no more */
	const u8 *content;		/* of the frame */
};

void fetch_encode(struct writer *w, const struct msg_fetch *m);
int fetch_decode(const u8 *p, size_t len, struct msg_fetch *m, struct fault *f);
void fetch_state_encode(struct writer *w, const struct msg_fetch_state *m);
int fetch_state_decode(const u8 *p, size_t len, struct msg_fetch_state *m, struct fault *f);
void read_encode(struct writer *w, const struct msg_read *m);
int read_decode(const u8 *p, size_t len, u32 page_size, struct msg_read *m, struct fault *f);
/* The head; the content is the caller's to write behind it. */
void pages_encode(struct writer *w, const struct msg_pages *m);
int pages_decode(const u8 *p, size_t len, u32 page_size, struct msg_pages *m, struct fault *f);
/* The @i-th extent of a LIST that was decoded. */
void pages_extent(const struct msg_pages *m, u32 i, u64 *addr, u64 *len);

#endif
