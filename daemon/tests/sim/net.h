/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The simulated network: connections between hosts, and what the calls of wrap.c do to them. */
#ifndef TESTS_SIM_NET_H
#define TESTS_SIM_NET_H

#include "sim.h"

enum seg_type { SEG_SYN, SEG_SYNACK, SEG_DATA, SEG_FIN, SEG_RST };

struct seg {
	TAILQ_ENTRY(seg) entry;
	enum seg_type type;
	u64 sent;
	u64 at;				/* when it arrives, if the link isn't cut */
	size_t len;
	u8 data[];
};

/* Bytes that one direction of a connection takes. */
#define NET_WINDOW	(128U * 1024)

/* One end of a connection. */
struct end {
	struct link *link;
	struct end *other;
	int host;
	u16 port;
	bool open;			/* a descriptor refers to it */
	bool there;			/* its kernel knows of it */
	bool up;			/* established */
	bool eof;
	bool shut;			/* our FIN was sent */
	int error;
	u64 timeout;			/* TCP_USER_TIMEOUT, ns */
	u64 unacked;			/* sending time of the oldest that isn't acknowledged */
	u8 *rx;
	size_t rx_len, rx_cap;
	size_t in_flight;		/* bytes on their way to this end */
	TAILQ_HEAD(seg_list, seg) segs;	/* on their way to this end */
};

struct link {
	LIST_ENTRY(link) entry;
	struct end end[2];		/* who connected, who accepts */
	bool accepted;			/* end[1] was taken by accept(), or waits for it */
	bool queued;			/* waits for accept() */
	u64 number;
};

LIST_HEAD(link_list, link);
extern struct link_list net_links;

struct end *net_connect(int from, int to, u16 port);
void net_send(struct end *e, enum seg_type type, const void *data, size_t len);
void net_close(struct end *e);
/* Does somebody listen there? wrap.c */
bool wrap_listens(int host, u16 port);

#endif
