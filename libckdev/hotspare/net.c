// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libhotspare: connections. That the other host is there at all is the kernel's to find
 * out (keepalive); that it still makes progress is ours (timeouts).
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "net.h"

static unsigned int timeout_s = HS_TIMEOUT;

void hs_set_timeout(unsigned int seconds)
{
	timeout_s = seconds;
}

/* "10.0.0.1 port 4711". Returns @text. */
const char *hs_addr_text(const struct sockaddr *addr, socklen_t len, char *text, size_t size)
{
	char host[NI_MAXHOST], port[NI_MAXSERV];

	if (getnameinfo(addr, len, host, sizeof(host), port, sizeof(port),
			NI_NUMERICHOST | NI_NUMERICSERV))
		snprintf(text, size, "an unknown address");
	else
		snprintf(text, size, "%s port %s", host, port);
	return text;
}

static void set_option(int fd, int level, int option, int value)
{
	setsockopt(fd, level, option, &value, sizeof(value));
}

/*
 * A host that is gone is noticed after about @timeout_s; and so is a process that stands
 * still in the midst of something.
 */
void hs_be_patient(int fd)
{
	const struct timeval tv = { .tv_sec = timeout_s };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, 1);
	set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, 1);
	set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, (int)timeout_s);
	set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)timeout_s * 1000);
	set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

unsigned int hs_timeout(void)
{
	return timeout_s;
}

/* Returns a descriptor that is connected or about to be, or -1 with errno. */
int hs_connect_start(const struct sockaddr *addr, socklen_t len)
{
	int fd = socket(addr->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), err;

	if (fd < 0 || !connect(fd, addr, len) || errno == EINPROGRESS)
		return fd;
	err = errno;
	close(fd);
	errno = err;
	return -1;
}

/* Returns 0, or -1 with errno; EINPROGRESS: not within @ms. */
int hs_connect_wait(int fd, unsigned int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	socklen_t len = sizeof(int);
	int ret, err = 0;

	do
		ret = poll(&p, 1, (int)ms);
	while (ret < 0 && errno == EINTR);
	if (!ret)
		err = EINPROGRESS;
	else if (ret < 0 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len))
		err = errno;
	errno = err;
	return err ? -1 : 0;
}

/*
 * The first words on a connection. @has: what the spare has. Returns 0, or -1 with errno
 * and @e.
 */
int hs_greet(int fd, char what_for, struct hs_answer *has, struct hs_error *e)
{
	if (fcntl(fd, F_SETFL, 0))
		return hs_fail(e, errno, "fcntl: %s", strerror(errno));
	hs_be_patient(fd);
	if (hs_get_answer(fd, has, e))
		return -1;
	if (send(fd, &what_for, 1, MSG_NOSIGNAL) != 1)
		return hs_fail(e, errno, "the spare has closed the connection");
	return 0;
}

/*
 * As bind(2), with patience: who had the port on this same host may be about to go, as a
 * program that has just died, or a spare that has just become master.
 */
int hs_bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	const struct timespec little = { .tv_nsec = 10000000 };
	int i, ret;

	for (i = 0; (ret = bind(fd, addr, len)) && errno == EADDRINUSE && i < 200; i++)
		nanosleep(&little, NULL);
	return ret;
}

/* Returns a descriptor, or -1 with errno and @e. */
int hs_listen(const struct sockaddr *addr, socklen_t len, struct hs_error *e)
{
	int fd = socket(addr->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), err;
	char text[96];

	if (fd < 0)
		return hs_fail(e, errno, "no socket: %s", strerror(errno));
	set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (!hs_bind(fd, addr, len) && !listen(fd, 16))
		return fd;
	err = errno;
	close(fd);
	return hs_fail(e, err, "%s can't be listened on: %s",
		       hs_addr_text(addr, len, text, sizeof(text)), strerror(err));
}

int hs_send_answer(int fd, const struct hs_answer *a)
{
	struct hs_answer now = *a;

	memcpy(now.magic, HS_ANSWER_MAGIC, sizeof(now.magic));
	return send(fd, &now, sizeof(now), MSG_NOSIGNAL) == sizeof(now) ? 0 : -1;
}

/* Returns 0, or -1 with errno and @e: none came, or none that makes sense. */
int hs_get_answer(int fd, struct hs_answer *a, struct hs_error *e)
{
	ssize_t n;

	do
		n = recv(fd, a, sizeof(*a), MSG_WAITALL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return hs_fail(e, errno == EAGAIN ? ETIMEDOUT : errno,
			       "the spare doesn't answer: %s",
			       errno == EAGAIN ? "timeout" : strerror(errno));
	if (n != sizeof(*a))
		return hs_fail(e, ECONNRESET, "the spare has closed the connection");
	if (memcmp(a->magic, HS_ANSWER_MAGIC, sizeof(a->magic)) || a->err > 255)
		return hs_fail(e, EPROTO, "what answers is no spare of this library");
	a->text[sizeof(a->text) - 1] = 0;
	return 0;
}
