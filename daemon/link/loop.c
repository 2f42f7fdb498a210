// SPDX-License-Identifier: GPL-2.0-or-later
/* The event loop. */
#include <errno.h>
#include <unistd.h>

#include "loop.h"

#define EVENTS		32

int loop_open(struct loop *l)
{
	LIST_INIT(&l->timers);
	TAILQ_INIT(&l->chores);
	SLIST_INIT(&l->garbage);
	l->now = clock_mono();
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	return l->epoll < 0 ? -errno : 0;
}

static void collect_garbage(struct loop *l)
{
	struct garbage *g;

	while ((g = SLIST_FIRST(&l->garbage))) {
		SLIST_REMOVE_HEAD(&l->garbage, entry);
		g->free(g);
	}
}

void loop_close(struct loop *l)
{
	collect_garbage(l);
	close(l->epoll);
}

void loop_discard(struct loop *l, struct garbage *g, void (*fn)(struct garbage *g))
{
	g->free = fn;
	SLIST_INSERT_HEAD(&l->garbage, g, entry);
}

void loop_chore(struct loop *l, struct chore *c)
{
	if (!c->due)
		TAILQ_INSERT_TAIL(&l->chores, c, entry);
	c->due = true;
}

void loop_no_chore(struct loop *l, struct chore *c)
{
	if (c->due)
		TAILQ_REMOVE(&l->chores, c, entry);
	c->due = false;
}

int loop_watch(struct loop *l, struct watch *w, int fd, u32 events)
{
	struct epoll_event ev = { .events = events, .data.ptr = w };

	w->fd = fd;
	w->events = events;
	if (!epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &ev))
		return 0;
	w->fd = -1;
	return -errno;
}

void loop_change(struct loop *l, struct watch *w, u32 events)
{
	struct epoll_event ev = { .events = events, .data.ptr = w };

	if (w->fd < 0 || w->events == events)
		return;
	w->events = events;
	epoll_ctl(l->epoll, EPOLL_CTL_MOD, w->fd, &ev);
}

void loop_unwatch(struct loop *l, struct watch *w)
{
	if (w->fd < 0)
		return;
	epoll_ctl(l->epoll, EPOLL_CTL_DEL, w->fd, NULL);
	w->fd = -1;
}

void loop_arm(struct loop *l, struct timer *t, u64 delay_ns)
{
	t->at = l->now + delay_ns;
	if (!t->armed)
		LIST_INSERT_HEAD(&l->timers, t, entry);
	t->armed = true;
}

void loop_disarm(struct timer *t)
{
	if (t->armed)
		LIST_REMOVE(t, entry);
	t->armed = false;
}

static struct timer *earliest(struct loop *l)
{
	struct timer *t, *first = NULL;

	LIST_FOREACH(t, &l->timers, entry)
		if (!first || t->at < first->at)
			first = t;
	return first;
}

/* Milliseconds until the next timer, rounded up: a timer must not be early. */
static int wait_ms(struct loop *l, int max_ms)
{
	struct timer *t = earliest(l);
	u64 now = clock_mono(), ms;

	if (!t)
		return max_ms;
	if (t->at <= now)
		return 0;
	ms = (t->at - now + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC;
	return max_ms >= 0 && ms > (u64)max_ms ? max_ms : (int)MIN(ms, 1U << 30);
}

/* Each timer at most once a turn, however often it is armed anew. */
static void run_timers(struct loop *l)
{
	u64 until = l->now;
	struct timer *t;

	while ((t = earliest(l)) && t->at <= until) {
		loop_disarm(t);
		t->fn(t);
		if (t->armed && t->at <= until)
			t->at = until + 1;
	}
}

/* Those that were due when it began: what they bring about may wait. */
static void run_chores(struct loop *l)
{
	struct chore *c, *last = TAILQ_LAST(&l->chores, chore_list);

	while ((c = TAILQ_FIRST(&l->chores))) {
		loop_no_chore(l, c);
		c->fn(c);
		if (c == last)
			break;
	}
}

int loop_turn(struct loop *l, int max_ms)
{
	struct epoll_event ev[EVENTS];
	int n, i;

	n = epoll_wait(l->epoll, ev, EVENTS,
		       TAILQ_EMPTY(&l->chores) ? wait_ms(l, max_ms) : 0);
	if (n < 0 && errno != EINTR)
		return -errno;
	l->now = clock_mono();
	for (i = 0; i < n; i++) {
		struct watch *w = ev[i].data.ptr;

		/* Something before it may have closed it. */
		if (w->fd >= 0)
			w->fn(w, ev[i].events);
	}
	l->now = clock_mono();
	run_timers(l);
	run_chores(l);
	collect_garbage(l);
	return 0;
}
