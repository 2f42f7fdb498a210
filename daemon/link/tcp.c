// SPDX-License-Identifier: GPL-2.0-or-later
/* Sockets: making them, tuning them, addresses. */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tcp.h"

#define BACKLOG		16
/*
 * What the kernel may hold that isn't sent yet: enough to keep the line busy, and little
 * enough that a small checkpoint isn't behind megabytes of a large one.
 */
#define NOTSENT_LOWAT	(256 * 1024)

static socklen_t addr_len(const struct sockaddr_storage *addr)
{
	return addr->ss_family == AF_INET ? sizeof(struct sockaddr_in) :
		sizeof(struct sockaddr_in6);
}

static int tcp_socket(int family)
{
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

static void option(int fd, int level, int name, int value)
{
	setsockopt(fd, level, name, &value, sizeof(value));
}

void tcp_tune(int fd, u32 timeout_ms)
{
	option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, timeout_ms);
	option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, NOTSENT_LOWAT);
}

int tcp_connect(const struct sockaddr_storage *addr, u32 timeout_ms)
{
	int fd = tcp_socket(addr->ss_family), err;

	if (fd < 0)
		return fd;
	tcp_tune(fd, timeout_ms);
	if (!connect(fd, (const struct sockaddr *)addr, addr_len(addr)) ||
	    errno == EINPROGRESS)
		return fd;
	err = errno;
	close(fd);
	return -err;
}

static int listen_on(int fd, const struct sockaddr_storage *addr, u16 *port)
{
	struct sockaddr_storage bound;
	socklen_t len = sizeof(bound);

	option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (addr->ss_family == AF_INET6)
		option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
	if (bind(fd, (const struct sockaddr *)addr, addr_len(addr)) ||
	    listen(fd, BACKLOG) ||
	    getsockname(fd, (struct sockaddr *)&bound, &len))
		return -errno;
	*port = ntohs(bound.ss_family == AF_INET ?
		      ((struct sockaddr_in *)&bound)->sin_port :
		      ((struct sockaddr_in6 *)&bound)->sin6_port);
	return 0;
}

static bool is_any6(const struct sockaddr_storage *addr)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)addr;

	return addr->ss_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr);
}

int tcp_listen(const struct sockaddr_storage *addr, u16 *port)
{
	struct sockaddr_storage any4 = { .ss_family = AF_INET };
	int fd = tcp_socket(addr->ss_family), ret;

	/* "Everywhere" on a host without IPv6 is everywhere in IPv4. */
	if (fd == -EAFNOSUPPORT && is_any6(addr)) {
		((struct sockaddr_in *)&any4)->sin_port =
			((const struct sockaddr_in6 *)addr)->sin6_port;
		addr = &any4;
		fd = tcp_socket(AF_INET);
	}
	if (fd < 0)
		return fd;
	ret = listen_on(fd, addr, port);
	if (!ret)
		return fd;
	close(fd);
	return ret;
}

int tcp_accept(int listener, struct sockaddr_storage *from)
{
	socklen_t len = sizeof(*from);
	int fd = accept4(listener, (struct sockaddr *)from, &len,
			 SOCK_NONBLOCK | SOCK_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int tcp_error(int fd)
{
	int err = 0;
	socklen_t len = sizeof(err);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len))
		return errno;
	return err;
}

/* The address as IPv6 has it. */
static void widen(const struct sockaddr_storage *addr, struct in6_addr *to)
{
	static const u8 mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (addr->ss_family == AF_INET6) {
		*to = ((const struct sockaddr_in6 *)addr)->sin6_addr;
		return;
	}
	memcpy(to->s6_addr, mapped, sizeof(mapped));
	memcpy(to->s6_addr + sizeof(mapped),
	       &((const struct sockaddr_in *)addr)->sin_addr, 4);
}

bool tcp_same_host(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
	struct in6_addr wide_a, wide_b;

	widen(a, &wide_a);
	widen(b, &wide_b);
	return !memcmp(&wide_a, &wide_b, sizeof(wide_a));
}

void tcp_host(const struct sockaddr_storage *addr, char *text, size_t size)
{
	if (getnameinfo((const struct sockaddr *)addr, addr_len(addr), text, size, NULL, 0,
			NI_NUMERICHOST))
		snprintf(text, size, "?");
}

void tcp_text(const struct sockaddr_storage *addr, char *text, size_t size)
{
	char host[INET6_ADDRSTRLEN + 20] = "?", port[8] = "?";

	getnameinfo((const struct sockaddr *)addr, addr_len(addr), host, sizeof(host),
		    port, sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV);
	snprintf(text, size, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
}
