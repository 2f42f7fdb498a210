// SPDX-License-Identifier: GPL-2.0-or-later
/* The soft engine: the watchdog of a session. A suspended host doesn't count: CLOCK_MONOTONIC. */
#include <errno.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "soft_program.h"

/* As far as the kernel's timers go. */
#define LONGEST	(1ULL << 62)

static void arm(const struct soft_client *c, u64 ns)
{
	struct itimerspec at = {};

	at.it_value.tv_sec = MIN(ns, LONGEST) / NSEC_PER_SEC;
	at.it_value.tv_nsec = MIN(ns, LONGEST) % NSEC_PER_SEC;
	timerfd_settime(c->alive.fd, 0, &at, NULL);
}

void soft_alive_expired(struct soft_watch *w)
{
	struct soft_client *c = container_of(w, struct soft_client, alive);
	u64 count;

	/* A sign of life may have come since the timer ran out. */
	if (read(w->fd, &count, sizeof(count)) == sizeof(count) && c->session)
		soft_session_hung(c->s, c->session, true);
}

void soft_program_alive(struct soft_session *se)
{
	struct soft_client *c = se->client;

	if (!c || c->alive.fd < 0)
		return;
	arm(c, se->alive_ns);
	soft_session_hung(c->s, se, false);
}

static int timer_open(struct soft_client *c)
{
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC), ret;

	if (fd < 0)
		return -errno;
	ret = soft_watch(c->s, &c->alive, fd);
	if (ret)
		close(fd);
	return ret;
}

int soft_alive(struct soft_client *c, const struct cptdev_session_alive *arg)
{
	int ret = 0;

	if (arg->flags)
		return -EOPNOTSUPP;
	if (c->alive.fd < 0 && arg->timeout_ns)
		ret = timer_open(c);
	if (ret)
		return ret;
	c->session->alive_ns = arg->timeout_ns;
	soft_program_alive(c->session);
	return 0;
}
