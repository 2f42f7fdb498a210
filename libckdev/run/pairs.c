// SPDX-License-Identifier: LGPL-2.1-or-later
/* cptdev-run: socket pairs of a program, see pairs.h. */
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "pairs.h"

static bool has_no_name(int fd, bool peer)
{
	struct sockaddr_un name;
	socklen_t len = sizeof(name);
	int ret = peer ? getpeername(fd, (struct sockaddr *)&name, &len) :
		getsockname(fd, (struct sockaddr *)&name, &len);

	return !ret && name.sun_family == AF_UNIX && len == sizeof(name.sun_family);
}

/* A connection has the name of the socket that has accepted it, at one of its ends. */
bool run_pair_is(int fd, int *type)
{
	socklen_t len = sizeof(*type);

	return has_no_name(fd, false) && has_no_name(fd, true) &&
		!getsockopt(fd, SOL_SOCKET, SO_TYPE, type, &len);
}

/* As unix_diag(7), sock_diag(7) have it: the inode of the other end, or 0. */
static uint32_t peer_of(int netlink, uint32_t inode)
{
	const struct {
		struct nlmsghdr head;
		struct unix_diag_req req;
	} ask = {
		.head = {
			.nlmsg_len = sizeof(ask), .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			.nlmsg_flags = NLM_F_REQUEST,
		},
		.req = {
			.sdiag_family = AF_UNIX, .udiag_states = ~0U, .udiag_ino = inode,
			.udiag_show = UDIAG_SHOW_PEER, .udiag_cookie = { ~0U, ~0U },
		},
	};
	_Alignas(struct nlmsghdr) char answer[1024];
	const struct nlmsghdr *head = (void *)answer;
	const struct unix_diag_msg *msg;
	const struct rtattr *a;
	uint32_t peer;
	ssize_t n;
	int left;

	if (send(netlink, &ask, sizeof(ask), 0) != sizeof(ask))
		return 0;
	n = recv(netlink, answer, sizeof(answer), 0);
	if (n < 0 || !NLMSG_OK(head, (size_t)n) || head->nlmsg_type != SOCK_DIAG_BY_FAMILY)
		return 0;
	msg = NLMSG_DATA(head);
	a = (const void *)(msg + 1);
	for (left = (int)(head->nlmsg_len - NLMSG_LENGTH(sizeof(*msg))); RTA_OK(a, left);
	     a = RTA_NEXT(a, left))
		if (a->rta_type == UNIX_DIAG_PEER && RTA_PAYLOAD(a) == sizeof(peer)) {
			memcpy(&peer, RTA_DATA(a), sizeof(peer));
			return peer;
		}
	return 0;
}

/* The lowest number that leads to it, or -1. */
static int find(const struct hs_fds *list, uint32_t inode)
{
	const struct hs_fd *f;

	for (f = list->v; inode && f < list->v + list->nr; f++)
		if (f->kind == HS_FD_PAIR && f->inode == inode)
			return f->fd;
	return -1;
}

void run_pairs_settle(struct hs_fds *list, struct run_report *r)
{
	int netlink = -1;
	struct hs_fd *f;

	for (f = list->v; f < list->v + list->nr; f++) {
		if (f->kind != HS_FD_PAIR)
			continue;
		if (netlink < 0)
			netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
		f->data.other = find(list, peer_of(netlink, (uint32_t)f->inode));
		if (f->data.other < 0)
			run_refused(r, "descriptor %d: the other end of this socket pair is closed, or "
				    "belongs to another process", f->fd);
	}
	if (netlink >= 0)
		close(netlink);
}
