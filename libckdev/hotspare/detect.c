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

#include "control.h"
#include "detect.h"
#include "error.h"
#include "hotspare.h"
#include "js.h"

static int (*detect)(void *arg);
static void *detect_arg;

void hs_det_reg(int (*detfunc)(void *), void *funcarg)
{
	detect = detfunc;
	detect_arg = funcarg;
}

/* cptdevd needs no such question: it acts by itself. */
bool hs_det_asked(void)
{
	return detect && detect != hs_det_daemon;
}

bool hs_det_dead(void)
{
	return detect(detect_arg);
}

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
		       ": net.ipv4.ping_group_range must include this group" : "");
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

/*
 * Asking cptdevd
 */

#define ANSWER_MS	1000

static enum hs_master unknown(struct hs_error *e, const char *why)
{
	hs_fail(e, 0, "%s", why);
	return HS_MASTER_UNKNOWN;
}

/* The daemon's word for it. A link that is lost isn't a peer that is dead. */
static enum hs_master meaning(const char *word, struct hs_error *e)
{
	if (!strcmp(word, "alive") || !strcmp(word, "suspect") || !strcmp(word, "lost"))
		return HS_MASTER_ALIVE;
	if (!strcmp(word, "dead"))
		return HS_MASTER_DEAD;
	if (!strcmp(word, "no daemon"))
		return unknown(e, "the cptdevd of the other host has ended, and the host still "
			       "answers");
	if (!strcmp(word, "left"))
		return unknown(e, "the cptdevd of the other host was stopped");
	if (!strcmp(word, "never heard"))
		return unknown(e, "cptdevd has no link with the other host");
	return unknown(e, "cptdevd's answer is invalid: is it another version?");
}

static enum hs_master look(struct json_object *status, struct hs_error *e)
{
	struct js_from from = { .o = status }, peer;
	struct json_object *peers;

	if (js_get(&from, "error", json_type_object, false))
		return unknown(e, "cptdevd refuses the question: is its max_clients too small?");
	peers = js_get(&from, "peers", json_type_array, true);
	if (!peers || json_object_array_length(peers) != 1)
		return unknown(e, "cptdevd doesn't have exactly one peer");
	peer = (struct js_from) { .o = json_object_array_get_idx(peers, 0) };
	if (!json_object_is_type(peer.o, json_type_object))
		return meaning("", e);
	return meaning(js_get_text(&peer, "detector"), e);
}

enum hs_master hs_det_ask(const char *path, struct hs_error *e)
{
	struct json_object *o = hs_control_ask(path, "{\"command\":\"status\"}\n", ANSWER_MS, e);
	enum hs_master state = o ? look(o, e) : HS_MASTER_UNKNOWN;

	json_object_put(o);
	return state;
}

int hs_det_daemon(void *funcarg)
{
	static atomic_flag told = ATOMIC_FLAG_INIT;
	enum hs_master state;
	struct hs_error e;

	state = hs_det_ask(funcarg ?: HS_CONTROL, &e);
	if (state == HS_MASTER_UNKNOWN && !atomic_flag_test_and_set(&told))
		hs_say("libhotspare: cptdevd can't tell whether the master is dead, and it counts "
		       "as alive: %s", e.text);
	return state == HS_MASTER_DEAD;
}
