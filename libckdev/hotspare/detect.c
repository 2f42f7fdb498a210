// SPDX-License-Identifier: LGPL-2.1-or-later
/* libhotspare: functions that tell whether the master has failed. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "hotspare.h"

/* As many without an answer in a row. */
#define PINGS		3
#define PING_MS		1000

/* A socket on which the kernel fills in identifier and checksum. */
static int ping_socket(const struct sockaddr *addr, socklen_t len)
{
	int protocol = addr->sa_family == AF_INET6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	int fd = socket(addr->sa_family, SOCK_DGRAM | SOCK_CLOEXEC, protocol);

	if (fd >= 0 && connect(fd, addr, len)) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Both kinds begin alike. */
struct echo {
	uint8_t type, code;
	uint16_t sum, id, sequence;
};

/* Does it answer to the request @n? */
static int answers(int fd, uint16_t n, uint8_t request, uint8_t reply)
{
	const struct echo e = { .type = request, .sequence = htons(n) };
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct echo got;

	if (send(fd, &e, sizeof(e), 0) != sizeof(e))
		return 0;
	while (poll(&p, 1, PING_MS) > 0) {
		if (recv(fd, &got, sizeof(got), 0) < (ssize_t)sizeof(got))
			return 0;
		if (got.type == reply && got.sequence == e.sequence)
			return 1;
	}
	return 0;
}

static void tell_once(void)
{
	static atomic_flag told = ATOMIC_FLAG_INIT;

	if (!atomic_flag_test_and_set(&told))
		hs_say("libhotspare: the master can't be pinged, and counts as alive: %s%s",
		       strerror(errno), errno == EACCES || errno == EPERM ?
		       ": net.ipv4.ping_group_range must have this group" : "");
}

static int ping(const struct sockaddr *addr, socklen_t len)
{
	int v6 = addr->sa_family == AF_INET6, fd = ping_socket(addr, len);
	uint16_t i;

	/* That we can't ask says nothing about the master. */
	if (fd < 0) {
		tell_once();
		return 0;
	}
	for (i = 0; i < PINGS; i++)
		if (answers(fd, i, v6 ? ICMP6_ECHO_REQUEST : ICMP_ECHO,
			    v6 ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY))
			break;
	close(fd);
	return i == PINGS;
}

static int ping_host(const char *host, int family)
{
	const struct addrinfo hints = { .ai_family = family, .ai_flags = AI_NUMERICHOST };
	struct addrinfo *list;
	int dead;

	if (getaddrinfo(host, NULL, &hints, &list))
		return 0;
	dead = ping(list->ai_addr, list->ai_addrlen);
	freeaddrinfo(list);
	return dead;
}

int hs_det_ping4(void *funcarg)
{
	return ping_host(funcarg, AF_INET);
}

int hs_det_ping6(void *funcarg)
{
	return ping_host(funcarg, AF_INET6);
}

int hs_det_file(void *funcarg)
{
	const char *path = funcarg;

	return path && !unlink(path);
}
