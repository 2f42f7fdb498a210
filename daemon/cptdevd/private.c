// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The daemon of one program, see private.h. Its parent is not the program: a child would be seen by
 * the program's own wait(2), and PR_SET_PDEATHSIG would end it when the program goes to the
 * background (hs_daemon(3)). Standard input ties the two, a socket whose other end only the
 * program has.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"
#include "private.h"

/* The engine learns of the end by another descriptor: the peer is told first how it ended. */
#define AGAIN_NS	(5 * NSEC_PER_MSEC)

static void ended(struct private *p)
{
	if (!LIST_EMPTY(&p->d->sessions)) {
		loop_arm(&p->d->loop, &p->again, AGAIN_NS);
		return;
	}
	log_notice("the program has ended: shutting down");
	daemon_stop(p->d);
}

static void again(struct timer *t)
{
	ended(container_of(t, struct private, again));
}

/* Nothing is said there. */
static void on_program(struct watch *w, u32 events)
{
	struct private *p = container_of(w, struct private, program);
	ssize_t n;
	char c;

	(void)events;
	n = recv(w->fd, &c, 1, MSG_DONTWAIT);
	if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
		return;
	loop_unwatch(&p->d->loop, &p->program);
	ended(p);
}

int private_open(struct private *p, struct daemon *d)
{
	*p = (struct private) {
		.d = d, .program = { .fd = -1, .fn = on_program }, .again = { .fn = again },
	};
	return loop_watch(&d->loop, &p->program, STDIN_FILENO, EPOLLIN);
}

void private_close(struct private *p, const char *path)
{
	char dir[CONF_PATH_MAX], key[CONF_PATH_MAX + 8];
	char *slash;

	loop_disarm(&p->again);
	snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	if (!slash || slash == dir)
		return;
	unlink(path);
	*slash = '\0';
	snprintf(key, sizeof(key), "%s/key", dir);
	unlink(key);
	rmdir(dir);
}
