/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kvstore: clients, and the line protocol over TCP. Requests are answered at once, but
 * answers are held back until kv_net_release(): nobody is told what could be lost.
 */
#ifndef KVNET_H
#define KVNET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "kvstate.h"

struct kv_conn;

struct kv_net {
	struct kv_state *state;
	int epoll;			/* also for events of the caller's */
	int listener;
	uint16_t port;			/* where it listens */
	unsigned int stall_ms;		/* a client that doesn't read may do so for */
	bool changed;			/* the state, since the caller last cleared it */
	bool held;			/* there are answers that weren't marked */
	uint64_t requests;
	uint64_t repeats;
	unsigned int nr;		/* clients connected */
	struct kv_conn *conns;		/* also those that were just closed */
	struct kv_conn *dumper;		/* who has a big buffer: one at a time */
};

/* Errors are -errno. @address NULL: all; port 0: any free one. */
int kv_net_init(struct kv_net *net);
int kv_net_listen(struct kv_net *net, const char *address, uint16_t port);

/* An event of the epoll descriptor whose data.ptr isn't the caller's. */
void kv_net_event(struct kv_net *net, const struct epoll_event *ev);

/* Mark all answers there are; ... */
void kv_net_mark(struct kv_net *net);
/* ... what was marked before may go out. */
void kv_net_release(struct kv_net *net);

/* After each round: close clients that don't read, free those that went. */
void kv_net_tidy(struct kv_net *net);

uint64_t kv_now_ms(void);

#endif /* KVNET_H */
