// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The port on which the peer connects. The address may come later than the daemon, with a
 * network interface or a cluster manager: it is waited for as the module is. An address that
 * somebody else has is a mistake that a person has to see, so that the start fails.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "daemon.h"
#include "log.h"
#include "tcp.h"

#define RETRY_NS	NSEC_PER_SEC

static bool may_come(int err)
{
	switch (err) {
	case EADDRNOTAVAIL:
	case ENODEV:
	case ENETDOWN:
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		return true;
	}
	return false;
}

static void on_connection(struct acceptor *a, int fd, const struct sockaddr_storage *from)
{
	in_accept(container_of(a, struct daemon, listener), fd, from);
}

static int listen_try(struct daemon *d)
{
	char address[64];
	int fd, ret;

	tcp_text(&d->conf.listen, address, sizeof(address));
	fd = tcp_listen(&d->conf.listen, &d->listen_port);
	ret = fd < 0 ? fd : acceptor_open(&d->listener, &d->loop, &d->tell, fd);
	if (ret && fd >= 0)
		close(fd);
	d->listen_err = -ret;
	if (!ret)
		tell(&d->tell, LOG_INFO, TELL_WAIT, "listen", "listening on %s", address);
	return ret;
}

/* Whatever it is by now: the daemon runs, and goes on. */
static void listen_wait(struct daemon *d)
{
	char address[64];

	tcp_text(&d->conf.listen, address, sizeof(address));
	tell(&d->tell, LOG_WARNING, TELL_WAIT, "listen",
	     "can't listen on %s: %s; waiting for it", address, strerror(d->listen_err));
	loop_arm(&d->loop, &d->listen_retry, RETRY_NS);
}

void listen_again(struct daemon *d)
{
	if (d->conf.listen_port && listen_try(d))
		listen_wait(d);
}

static void on_retry(struct timer *t)
{
	listen_again(container_of(t, struct daemon, listen_retry));
}

int listen_open(struct daemon *d)
{
	char address[64];
	int ret;

	d->listen_retry = (struct timer) { .fn = on_retry };
	d->listener.what = "the port of the peer";
	d->listener.fn = on_connection;
	if (!d->conf.listen_port)
		return 0;
	ret = listen_try(d);
	if (!ret)
		return 0;
	if (may_come(-ret)) {
		listen_wait(d);
		return 0;
	}
	tcp_text(&d->conf.listen, address, sizeof(address));
	log_err("can't listen on %s: %s", address, strerror(-ret));
	return ret;
}

void listen_close(struct daemon *d)
{
	loop_disarm(&d->listen_retry);
	acceptor_close(&d->listener);
	d->listen_port = 0;
	d->listen_err = 0;
}
