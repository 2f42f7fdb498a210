// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "acceptor.h"
#include "tcp.h"

/* So long nothing is accepted after a failure that doesn't go away by itself at once. */
#define PAUSE_NS	(250 * NSEC_PER_MSEC)

static int reserve_open(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void acceptor_pause(struct acceptor *a)
{
	loop_change(a->loop, &a->watch, 0);
	loop_arm(a->loop, &a->pause, PAUSE_NS);
}

static void acceptor_go_on(struct timer *t)
{
	struct acceptor *a = container_of(t, struct acceptor, pause);

	loop_change(a->loop, &a->watch, EPOLLIN);
}

/* Close the connection that waits: that takes a descriptor, too. */
static bool turn_away(struct acceptor *a)
{
	struct sockaddr_storage from;
	int fd;

	if (a->reserve < 0)
		return false;
	close(a->reserve);
	fd = a->accept(a->watch.fd, &from);
	if (fd >= 0) {
		if (a->full)
			a->full(fd);
		close(fd);
	}
	a->reserve = reserve_open();
	return fd >= 0 || fd == -EAGAIN;
}

static void acceptor_failed(struct acceptor *a, int err)
{
	/* The connection was given up, or nobody waits. */
	if (err == EAGAIN || err == EINTR || err == ECONNABORTED || err == EPROTO)
		return;
	tell(a->tell, LOG_WARNING, TELL_RESOURCE, a->what,
	     "can't accept a connection to %s: %s%s", a->what, strerror(err),
	     err == EMFILE ? "; raise LimitNOFILE of the unit" : "");
	if ((err == EMFILE || err == ENFILE) && turn_away(a))
		return;
	acceptor_pause(a);
}

static void acceptor_event(struct watch *w, u32 events)
{
	struct acceptor *a = container_of(w, struct acceptor, watch);
	struct sockaddr_storage from = { .ss_family = AF_UNSPEC };
	int fd;

	(void)events;
	if (a->reserve < 0)
		a->reserve = reserve_open();
	fd = a->accept(w->fd, &from);
	if (fd < 0)
		acceptor_failed(a, -fd);
	else
		a->fn(a, fd, &from);
}

void acceptor_init(struct acceptor *a)
{
	a->watch = (struct watch) { .fd = -1, .fn = acceptor_event };
	a->pause = (struct timer) { .fn = acceptor_go_on };
	a->reserve = -1;
	if (!a->accept)
		a->accept = tcp_accept;
}

int acceptor_open(struct acceptor *a, struct loop *l, struct teller *t, int fd)
{
	acceptor_init(a);
	a->loop = l;
	a->tell = t;
	a->reserve = reserve_open();
	return loop_watch(l, &a->watch, fd, EPOLLIN);
}

void acceptor_close(struct acceptor *a)
{
	int fd = a->watch.fd;

	if (a->reserve >= 0)
		close(a->reserve);
	a->reserve = -1;
	if (fd < 0)
		return;
	loop_unwatch(a->loop, &a->watch);
	loop_disarm(&a->pause);
	close(fd);
}
