/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The rule for all messages that others can cause: a peer, whoever reaches the port, a
 * client of the control socket, a program, a kernel that refuses the same call again.
 *
 * Messages are counted for each cause and for each originator of that cause (a peer's name,
 * an address, a session). Within a window of a minute each pair may write a few messages,
 * and the same text only once; one that is graver than all before it is written in any case.
 * The others are counted. If there were any when the window ends, the last one of them is
 * written with their number, and the next window is twice as long, up to about a quarter of
 * an hour. A window without any ends the matter. So the log shows the first messages at once
 * and the last state at the latest when the window ends, and whatever others do, the number
 * of lines is bounded.
 */
#ifndef CPTDEVD_TELL_H
#define CPTDEVD_TELL_H

#include <sys/queue.h>

#include "log.h"
#include "loop.h"
#include "wire.h"

enum tell_cause {
	TELL_CONNECTION,	/* somebody connects who isn't let in; by address */
	TELL_LINK,		/* a link comes and goes, or can't be made; by peer */
	TELL_PEER,		/* a peer breaks a rule, or counts as dead; by peer */
	TELL_SESSION,		/* a session is shipped, or isn't; by session */
	TELL_REPLAY,		/* a session of the peer is replayed, or isn't; by session */
	TELL_CONTROL,		/* clients of the control socket */
	TELL_RESOURCE,		/* descriptors or memory are short; by what is hindered */
	TELL_WAIT,		/* for an address, a name, a directory; by what it is */
	TELL_KERNEL,		/* the module comes, goes, refuses */
	TELL_CAUSES
};

#define TELL_WINDOW_NS		(60 * NSEC_PER_SEC)
#define TELL_WINDOW_MAX_NS	(16 * TELL_WINDOW_NS)
#define TELL_BURST		8U	/* messages of one window */
/* Originators of one cause that are told apart; further ones count as one. */
#define TELL_ORIGINATORS	32U

struct told {
	LIST_ENTRY(told) entry;
	enum tell_cause cause;
	char who[80];			/* empty: all those that aren't told apart */
	u64 ends;			/* of the window, ns as loop->now */
	u64 window;
	u32 written;			/* in this window */
	u64 suppressed;
	int level;			/* of the last one */
	enum log_event event;		/* of the last one */
	int gravest;			/* level that was written, lower is graver */
	char text[WIRE_TEXT_MAX + 600];
};

struct teller {
	struct loop *loop;
	struct timer timer;
	LIST_HEAD(told_list, told) list;
	u32 nr[TELL_CAUSES];
	u64 suppressed;			/* since the start */
};

void tell_open(struct teller *t, struct loop *l);
/* Writes what is still to be told of suppressed messages. */
void tell_close(struct teller *t);

/* @who: the originator. A level that isn't shown isn't counted. */
void tell_event(struct teller *t, enum log_event event, int level, enum tell_cause cause,
		const char *who, const char *fmt, ...) __attribute__((format(printf, 6, 7)));

#define tell(t, ...)	tell_event(t, EVENT_NONE, __VA_ARGS__)

#endif
