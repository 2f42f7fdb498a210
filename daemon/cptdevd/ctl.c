// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The control socket: few clients, short requests, and nobody is waited for. Without it the
 * daemon does its work all the same, so that a directory that isn't there yet, or a full
 * /run, is waited for.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ctl.h"
#include "log.h"
#include "unix_bind.h"

#define RETRY_NS	NSEC_PER_SEC
/* A client that has been idle for so long makes room for a new one. */
#define IDLE_NS		NSEC_PER_SEC

static void too_many(int fd)
{
	static const char text[] =
		"{\"schema_version\":1,\"error\":{\"code\":\"too-many-clients\",\"message\":\"max_clients of the configuration is reached\"}}\n";
	ssize_t n = send(fd, text, sizeof(text) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);

	(void)n;
}

static void no_descriptor(int fd)
{
	static const char text[] =
		"{\"schema_version\":1,\"error\":{\"code\":\"failed\",\"message\":\"cptdevd has no free descriptor: raise LimitNOFILE of the unit\"}}\n";
	ssize_t n = send(fd, text, sizeof(text) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);

	(void)n;
}

/* The one that is waited for longest. Those who monitor are idle by nature. */
static struct client *longest_idle(struct daemon *d)
{
	struct client *c, *idle = NULL;

	LIST_FOREACH(c, &d->clients, entry)
		if (!c->monitors && (!idle || c->since <= idle->since))
			idle = c;
	return idle && d->loop.now - idle->since >= IDLE_NS ? idle : NULL;
}

/* Those who hold connections and do nothing mustn't keep others out. */
static bool make_room(struct daemon *d)
{
	struct client *c;

	if (d->nr_clients < d->conf.max_clients)
		return true;
	c = longest_idle(d);
	if (!c) {
		tell(&d->tell, LOG_WARNING, TELL_CONTROL, "full",
		     "control socket: max_clients = %u connections are open, a further one is refused",
		     d->conf.max_clients);
		return false;
	}
	tell(&d->tell, LOG_NOTICE, TELL_CONTROL, "full",
	     "control socket: max_clients = %u connections are open; that of process %d (user %u), idle for %llu s, is closed for a new one",
	     d->conf.max_clients, c->cred.pid, c->cred.uid,
	     (d->loop.now - c->since) / NSEC_PER_SEC);
	client_drop(c);
	return true;
}

static void on_client(struct acceptor *a, int fd, const struct sockaddr_storage *from)
{
	struct daemon *d = container_of(a, struct daemon, control);

	(void)from;
	if (!make_room(d))
		too_many(fd);
	else if (!client_new(d, fd))
		return;
	close(fd);
}

static int ctl_try(struct daemon *d)
{
	int fd = unix_bind(d->conf.control, SOCK_STREAM), ret;

	if (fd < 0)
		return fd;
	ret = listen(fd, 16) ? -errno : 0;
	if (!ret)
		ret = acceptor_open(&d->control, &d->loop, &d->tell, fd);
	if (ret)
		close(fd);
	return ret;
}

static int ctl_attempt(struct daemon *d)
{
	int ret = ctl_try(d);

	d->control_err = -ret;
	return ret;
}

static bool may_come(int err)
{
	switch (err) {
	case ENOENT:
	case ENOSPC:
	case EDQUOT:
	case EROFS:
	case ENOMEM:
	case ENOBUFS:
	case EMFILE:
	case ENFILE:
		return true;
	}
	return false;
}

static void ctl_wait(struct daemon *d)
{
	tell(&d->tell, LOG_WARNING, TELL_WAIT, "control",
	     "no control socket %s: %s; cptdevctl can't ask this daemon until there is one",
	     d->conf.control, strerror(d->control_err));
	loop_arm(&d->loop, &d->control_retry, RETRY_NS);
}

static void ctl_again(struct timer *t)
{
	struct daemon *d = container_of(t, struct daemon, control_retry);

	if (ctl_attempt(d))
		ctl_wait(d);
	else
		tell(&d->tell, LOG_NOTICE, TELL_WAIT, "control", "the control socket %s is available now",
		     d->conf.control);
}

int ctl_open(struct daemon *d)
{
	int ret;

	d->control_retry = (struct timer) { .fn = ctl_again };
	d->control.what = "the control socket";
	d->control.fn = on_client;
	d->control.full = no_descriptor;
	ret = ctl_attempt(d);
	if (!ret)
		return 0;
	if (may_come(-ret)) {
		ctl_wait(d);
		return 0;
	}
	if (ret == -EADDRINUSE)
		log_err("another cptdevd answers on %s", d->conf.control);
	else if (ret == -EEXIST)
		log_err("control socket %s: a file that isn't a socket is there, and isn't removed",
			d->conf.control);
	else
		log_err("control socket %s: %s", d->conf.control, strerror(-ret));
	return ret;
}

void ctl_news(struct daemon *d, const char *line)
{
	struct client *c, *next;

	for (c = LIST_FIRST(&d->clients); c; c = next) {
		next = LIST_NEXT(c, entry);
		if (c->monitors)
			client_news(c, line);
	}
}

void ctl_close(struct daemon *d)
{
	bool bound = d->control.watch.fd >= 0;

	while (!LIST_EMPTY(&d->clients))
		client_drop(LIST_FIRST(&d->clients));
	loop_disarm(&d->control_retry);
	acceptor_close(&d->control);
	if (bound)
		unlink(d->conf.control);
}
