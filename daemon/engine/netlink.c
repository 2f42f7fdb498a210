// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The netlink family of the module: who is there, and what happens to them. The family
 * has no number of its own; the kernel gives it one when the module is loaded, and a
 * message in the controller's "notify" group tells of that.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <libmnl/libmnl.h>
#include <linux/genetlink.h>

#include "netlink.h"
#include "nlparse.h"

/* The controller's only group has the controller's number. */
#define CTRL_GROUP_NOTIFY	GENL_ID_CTRL
#define RCVBUF			(1 << 20)
/*
 * Datagrams that are read in one call, and calls in a row: what is done about an event may cause the
 * next one, and others of the caller's loop have to get their turn.
 */
#define EVENTS_AT_A_TIME	16
#define EVENTS_CALLS		4
#define EVENT_MAX		8192	/* bytes */

struct events {
	struct netlink *nl;
	kernel_event_fn fn;
	void *arg;
	bool family_changed;
};

int netlink_fd(const struct netlink *nl)
{
	return mnl_socket_get_fd(nl->sock);
}

void netlink_close(struct netlink *nl)
{
	if (nl->sock)
		mnl_socket_close(nl->sock);
	nl->sock = NULL;
}

static int send_request(struct netlink *nl, struct nlmsghdr *nlh)
{
	nlh->nlmsg_seq = ++nl->seq;
	return mnl_socket_sendto(nl->sock, nlh, nlh->nlmsg_len) < 0 ? -errno : 0;
}

static struct nlmsghdr *request(char *buf, u16 type, u16 flags, u8 cmd, u8 version)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct genlmsghdr *genl;

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	genl = mnl_nlmsg_put_extra_header(nlh, sizeof(*genl));
	genl->cmd = cmd;
	genl->version = version;
	return nlh;
}

/* Receive until the answer to the last request is whole. */
static int answer(struct netlink *nl, mnl_cb_t cb, void *arg)
{
	static char buf[32768];
	int n, ret;

	do {
		n = mnl_socket_recvfrom(nl->sock, buf, sizeof(buf));
		if (n < 0 && errno == EINTR) {
			ret = MNL_CB_OK;
			continue;
		}
		if (n < 0)
			return -errno;
		ret = mnl_cb_run(buf, n, nl->seq, mnl_socket_get_portid(nl->sock), cb,
				 arg);
		if (ret < 0)
			return -errno;
	} while (ret > MNL_CB_STOP);
	return 0;
}

/*
 * The family's number
 */

static void family_group(struct netlink *nl, const struct nlattr *group)
{
	const struct nlattr *attr;
	const char *name = NULL;
	u32 id = 0;

	mnl_attr_for_each_nested(attr, group) {
		if (mnl_attr_get_type(attr) == CTRL_ATTR_MCAST_GRP_NAME)
			name = mnl_attr_get_str(attr);
		else if (mnl_attr_get_type(attr) == CTRL_ATTR_MCAST_GRP_ID)
			id = mnl_attr_get_u32(attr);
	}
	if (name && !strcmp(name, CPTDEV_GENL_MCGRP_EVENTS))
		nl->group = id;
}

static int family_cb(const struct nlmsghdr *nlh, void *arg)
{
	struct netlink *nl = arg;
	const struct nlattr *attr, *group;

	mnl_attr_for_each(attr, nlh, sizeof(struct genlmsghdr)) {
		if (mnl_attr_get_type(attr) == CTRL_ATTR_FAMILY_ID)
			nl->family = mnl_attr_get_u16(attr);
		else if (mnl_attr_get_type(attr) == CTRL_ATTR_MCAST_GROUPS)
			mnl_attr_for_each_nested(group, attr)
				family_group(nl, group);
	}
	return MNL_CB_OK;
}

int netlink_resolve(struct netlink *nl)
{
	char buf[256];
	struct nlmsghdr *nlh;
	int ret;

	nl->family = 0;
	nl->group = 0;
	nlh = request(buf, GENL_ID_CTRL, NLM_F_ACK, CTRL_CMD_GETFAMILY, 1);
	mnl_attr_put_strz(nlh, CTRL_ATTR_FAMILY_NAME, CPTDEV_GENL_NAME);
	ret = send_request(nl, nlh);
	return ret ? ret : answer(nl, family_cb, nl);
}

static int socket_bind(struct netlink *nl)
{
	int size = RCVBUF;

	if (mnl_socket_bind(nl->sock, 0, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	/* As much as is allowed; what is lost nevertheless is dumped again. */
	setsockopt(netlink_fd(nl), SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	return 0;
}

int netlink_open(struct netlink *nl)
{
	int ret;

	memset(nl, 0, sizeof(*nl));
	nl->sock = mnl_socket_open2(NETLINK_GENERIC, SOCK_CLOEXEC);
	if (!nl->sock)
		return -errno;
	ret = socket_bind(nl);
	if (!ret)
		ret = netlink_resolve(nl);
	if (ret && ret != -ENOENT) {
		netlink_close(nl);
		return ret;
	}
	return 0;
}

/*
 * Events
 */

static int join(struct netlink *nl, u32 group)
{
	return mnl_socket_setsockopt(nl->sock, NETLINK_ADD_MEMBERSHIP, &group,
				     sizeof(group)) < 0 ? -errno : 0;
}

int netlink_listen(struct netlink *nl)
{
	int ret = join(nl, CTRL_GROUP_NOTIFY);

	return ret || !nl->group ? ret : join(nl, nl->group);
}

static bool about_family(const struct nlmsghdr *nlh)
{
	const struct nlattr *attr;

	mnl_attr_for_each(attr, nlh, sizeof(struct genlmsghdr))
		if (mnl_attr_get_type(attr) == CTRL_ATTR_FAMILY_NAME)
			return !strcmp(mnl_attr_get_str(attr), CPTDEV_GENL_NAME);
	return false;
}

static int event_cb(const struct nlmsghdr *nlh, void *arg)
{
	struct events *ev = arg;
	const struct genlmsghdr *genl = mnl_nlmsg_get_payload(nlh);

	if (nlh->nlmsg_type == GENL_ID_CTRL) {
		if ((genl->cmd == CTRL_CMD_NEWFAMILY ||
		     genl->cmd == CTRL_CMD_DELFAMILY) && about_family(nlh))
			ev->family_changed = true;
	} else if (nlh->nlmsg_type == ev->nl->family) {
		nlparse_event(nlh, ev->fn, ev->arg);
	}
	return MNL_CB_OK;
}

/* As many as there are, up to a number: 1: there may be more, 0: that was all. */
static int events_read(struct events *ev)
{
	static char buf[EVENTS_AT_A_TIME][EVENT_MAX];
	struct iovec iov[EVENTS_AT_A_TIME];
	struct mmsghdr msg[EVENTS_AT_A_TIME] = {};
	int n, i;

	for (i = 0; i < EVENTS_AT_A_TIME; i++) {
		iov[i] = (struct iovec) { buf[i], EVENT_MAX };
		msg[i].msg_hdr.msg_iov = &iov[i];
		msg[i].msg_hdr.msg_iovlen = 1;
	}
	n = recvmmsg(netlink_fd(ev->nl), msg, EVENTS_AT_A_TIME, MSG_DONTWAIT, NULL);
	if (n < 0 && errno == EINTR)
		return 1;
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	/* Events carry no sequence number and come from no port. */
	for (i = 0; i < n; i++)
		if (mnl_cb_run(buf[i], msg[i].msg_len, 0, 0, event_cb, ev) < 0)
			return -errno;
	return n == EVENTS_AT_A_TIME;
}

int netlink_events(struct netlink *nl, kernel_event_fn fn, void *arg)
{
	struct events ev = { .nl = nl, .fn = fn, .arg = arg };
	int ret = 1, i;

	for (i = 0; i < EVENTS_CALLS && ret > 0 && !ev.family_changed; i++)
		ret = events_read(&ev);
	if (ev.family_changed)
		return NETLINK_FAMILY_CHANGED;
	return MIN(ret, 0);
}

/*
 * Dumps
 */

static int dump_cb(const struct nlmsghdr *nlh, void *arg)
{
	struct events *ev = arg;

	if (nlh->nlmsg_type == ev->nl->family)
		nlparse_event(nlh, ev->fn, ev->arg);
	return MNL_CB_OK;
}

/* The answer is one message. */
static int get_cb(const struct nlmsghdr *nlh, void *arg)
{
	dump_cb(nlh, arg);
	return MNL_CB_STOP;
}

static int get(struct netlink *nl, struct nlmsghdr *nlh, kernel_event_fn fn, void *arg)
{
	struct events ev = { .nl = nl, .fn = fn, .arg = arg };
	int ret = send_request(nl, nlh);

	return ret ? ret : answer(nl, get_cb, &ev);
}

int netlink_get_session(struct netlink *nl, u64 id, kernel_event_fn fn, void *arg)
{
	char buf[64];
	struct nlmsghdr *nlh;
	struct nlattr *nest;

	if (!nl->family)
		return -ENOENT;
	nlh = request(buf, nl->family, 0, CPTDEV_CMD_SESSION_GET, CPTDEV_GENL_VERSION);
	nest = mnl_attr_nest_start(nlh, CPTDEV_A_SESSION);
	mnl_attr_put_u64(nlh, CPTDEV_A_SESSION_ID, id);
	mnl_attr_nest_end(nlh, nest);
	return get(nl, nlh, fn, arg);
}

int netlink_get_replica(struct netlink *nl, const char *name, kernel_event_fn fn, void *arg)
{
	char buf[64 + CPTDEV_NAME_MAX];
	struct nlmsghdr *nlh;
	struct nlattr *nest;

	if (!nl->family)
		return -ENOENT;
	nlh = request(buf, nl->family, 0, CPTDEV_CMD_REPLICA_GET, CPTDEV_GENL_VERSION);
	nest = mnl_attr_nest_start(nlh, CPTDEV_A_REPLICA);
	mnl_attr_put_strz(nlh, CPTDEV_A_REPLICA_NAME, name);
	mnl_attr_nest_end(nlh, nest);
	return get(nl, nlh, fn, arg);
}

int netlink_dump(struct netlink *nl, u8 cmd, kernel_event_fn fn, void *arg)
{
	struct events ev = { .nl = nl, .fn = fn, .arg = arg };
	char buf[64];
	int ret;

	if (!nl->family)
		return -ENOENT;
	ret = send_request(nl, request(buf, nl->family, NLM_F_DUMP, cmd,
				       CPTDEV_GENL_VERSION));
	return ret ? ret : answer(nl, dump_cb, &ev);
}
