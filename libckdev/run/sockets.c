// SPDX-License-Identifier: LGPL-2.1-or-later
/* cptdev-run: TCP sockets of a program, see sockets.h. */
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../hotspare/tcp.h"
#include "sockets.h"

/* As the kernel numbers them: TCP_ESTABLISHED of <netinet/tcp.h>, which can't be included here. */
#define ESTABLISHED		1
#define CLOSED			7
#define CLOSE_WAIT		8
#define LISTENING		10

static bool is_tcp(int fd)
{
	int protocol = 0;
	socklen_t len = sizeof(protocol);

	return !getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) && protocol == IPPROTO_TCP;
}

static bool is_bound(int fd)
{
	struct sockaddr_in6 name = { 0 };
	socklen_t len = sizeof(name);

	/* The port is at the same place for IPv4. */
	return !getsockname(fd, (struct sockaddr *)&name, &len) && name.sin6_port;
}

const char *run_tcp_why_not(struct run_fds *to, int fd, bool connections)
{
	static char text[160];
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	if (!is_tcp(fd) || getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len))
		return NULL;
	switch (info.tcpi_state) {
	case LISTENING:
		/* The kernel keeps it where connections have what wasn't acknowledged. */
		to->nr_waiting += info.tcpi_unacked;
		return NULL;
	case ESTABLISHED:
	case CLOSE_WAIT:
		to->nr_connections++;
		return connections ? NULL : "a connection, which is covered only on its way to a "
			"spare: use --name without --file";
	case CLOSED:
		/* One that was connected has lost its port, or doesn't need it any more. */
		return is_bound(fd) && !info.tcpi_segs_in && !info.tcpi_segs_out ?
			"a socket that has an address and neither listens nor is connected yet" : NULL;
	default:
		snprintf(text, sizeof(text), "a connection in the state %s: only ESTABLISHED and "
			 "CLOSE_WAIT are covered", hs_tcp_state_name(info.tcpi_state));
		return text;
	}
}

void run_tcp_look(struct hs_fd *f)
{
	socklen_t len = sizeof(f->socket.linger);

	if (hs_fd_is_connection(f))
		getsockopt(f->fd, SOL_SOCKET, SO_LINGER, &f->socket.linger, &len);
}

struct destroy {
	struct nlmsghdr head;
	struct inet_diag_req_v2 req;
};

/* The port is at the same place for IPv4. */
static void put_end(const struct hs_fd_address *a, __be16 *port, __be32 address[4])
{
	const struct sockaddr_in6 *in6 = (const void *)&a->addr;
	const struct sockaddr_in *in = (const void *)&a->addr;

	*port = in6->sin6_port;
	if (a->addr.ss_family == AF_INET)
		memcpy(address, &in->sin_addr, sizeof(in->sin_addr));
	else
		memcpy(address, &in6->sin6_addr, sizeof(in6->sin6_addr));
}

/* Mostly there is none; and where the kernel can't do it, making the connection tells. */
static void destroy(int netlink, const struct hs_fd_socket *s)
{
	struct inet_diag_sockid *id;
	struct destroy d = {
		.head = {
			.nlmsg_len = sizeof(d), .nlmsg_type = SOCK_DESTROY,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK,
		},
		.req = {
			.sdiag_family = (__u8)s->domain, .sdiag_protocol = IPPROTO_TCP,
			.idiag_states = ~0U,
			.id = { .idiag_cookie = { INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE } },
		},
	};
	char answer[512];

	id = &d.req.id;
	put_end(&s->name, &id->idiag_sport, id->idiag_src);
	put_end(&s->peer, &id->idiag_dport, id->idiag_dst);
	/* It has been done when the answer is there. */
	if (send(netlink, &d, sizeof(d), 0) == sizeof(d))
		recv(netlink, answer, sizeof(answer), 0);
}

void run_tcp_destroy(const struct hs_fds *list)
{
	int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	const struct hs_fd *f;

	for (f = list->v; netlink >= 0 && f < list->v + list->nr; f++)
		if (hs_fd_is_connection(f) && f->same_as < 0 && !f->socket.tcp->gone)
			destroy(netlink, &f->socket);
	if (netlink >= 0)
		close(netlink);
}

/* Until here they would have ended at once with the new process. */
void run_tcp_go_on(struct hs_fds *list)
{
	const struct hs_fd *f;

	hs_fds_go_on(list);
	for (f = list->v; f < list->v + list->nr; f++)
		if (f->same_as < 0)
			hs_fd_connection_leave(f);
}
