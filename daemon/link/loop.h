/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The event loop: descriptors by epoll, and timers. One thread; whatever is called from
 * here returns soon and doesn't sleep.
 */
#ifndef CPTDEVD_LOOP_H
#define CPTDEVD_LOOP_H

#include <sys/epoll.h>
#include <sys/queue.h>

#include "boottime.h"

struct loop;

struct watch {
	int fd;				/* -1: not watched */
	u32 events;
	void (*fn)(struct watch *w, u32 events);
};

struct timer {
	u64 at;				/* ns, clock_mono() */
	bool armed;
	void (*fn)(struct timer *t);
	LIST_ENTRY(timer) entry;
};

/* Something to be done once, at the end of the turn. */
struct chore {
	bool due;
	void (*fn)(struct chore *c);
	TAILQ_ENTRY(chore) entry;
};

/* Something to be freed when no event can refer to it any more. */
struct garbage {
	void (*free)(struct garbage *g);
	SLIST_ENTRY(garbage) entry;
};

struct loop {
	int epoll;
	u64 now;			/* ns, clock_mono(), of this turn */
	LIST_HEAD(timer_list, timer) timers;
	TAILQ_HEAD(chore_list, chore) chores;
	SLIST_HEAD(garbage_list, garbage) garbage;
};

int loop_open(struct loop *l);
void loop_close(struct loop *l);

int loop_watch(struct loop *l, struct watch *w, int fd, u32 events);
void loop_change(struct loop *l, struct watch *w, u32 events);
void loop_unwatch(struct loop *l, struct watch *w);

void loop_arm(struct loop *l, struct timer *t, u64 delay_ns);
void loop_disarm(struct timer *t);

void loop_chore(struct loop *l, struct chore *c);
void loop_no_chore(struct loop *l, struct chore *c);

void loop_discard(struct loop *l, struct garbage *g, void (*fn)(struct garbage *g));

/* One turn: wait at most @max_ms, then descriptors first, timers after, chores last. */
int loop_turn(struct loop *l, int max_ms);

#endif
