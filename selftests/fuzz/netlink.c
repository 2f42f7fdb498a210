// SPDX-License-Identifier: GPL-2.0-only
/*
 * Requests to the generic netlink family, right ones and spoilt ones. The answers are
 * read until the end, whatever they are.
 */
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <linux/cptdev_netlink.h>

#include "fuzz.h"

struct request {
	struct nlmsghdr nlh;
	struct genlmsghdr g;
	char attrs[200];
};

static struct nlattr *put(struct request *r, int type, const void *v, size_t len)
{
	struct nlattr *a = (void *)((char *)r + NLMSG_ALIGN(r->nlh.nlmsg_len));

	a->nla_type = type;
	a->nla_len = NLA_HDRLEN + len;
	if (v)
		memcpy((char *)a + NLA_HDRLEN, v, len);
	r->nlh.nlmsg_len = NLMSG_ALIGN(r->nlh.nlmsg_len) + NLA_ALIGN(a->nla_len);
	return a;
}

static void request(struct request *r, int type, int cmd, int flags)
{
	memset(r, 0, sizeof(*r));
	r->nlh.nlmsg_len = NLMSG_LENGTH(GENL_HDRLEN);
	r->nlh.nlmsg_type = type;
	r->nlh.nlmsg_flags = NLM_F_REQUEST | flags;
	r->g.cmd = cmd;
	r->g.version = 1;
}

/* Everything that comes. Returns 0, or the error of the answer. */
static int answers(struct thread *t)
{
	struct nlmsghdr *nlh;
	int n, ret = 0;

	while ((n = recv(t->netlink, t->data, DATA_LEN, MSG_DONTWAIT)) > 0) {
		for (nlh = (void *)t->data; NLMSG_OK(nlh, n); nlh = NLMSG_NEXT(nlh, n)) {
			struct nlmsgerr *e = NLMSG_DATA(nlh);

			if (nlh->nlmsg_type == NLMSG_ERROR && e->error)
				ret = e->error;
		}
	}
	return ret;
}

/*
 * Asked on a socket of its own. A child has those of its parent, who may be in the midst of
 * reading all that comes: the answer would be gone.
 */
static int ask(const struct request *r, char *to)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC), n = -1;

	if (send(fd, r, r->nlh.nlmsg_len, 0) > 0)
		n = recv(fd, to, DATA_LEN, 0);
	close(fd);
	return n;
}

static uint16_t family(struct thread *t)
{
	static atomic_int id;
	struct request r;
	struct nlmsghdr *nlh = (void *)t->data;
	struct nlattr *a;
	int n;

	if (id)
		return id;
	request(&r, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 0);
	put(&r, CTRL_ATTR_FAMILY_NAME, CPTDEV_GENL_NAME, sizeof(CPTDEV_GENL_NAME));
	n = ask(&r, t->data);
	if (n < (int)NLMSG_LENGTH(GENL_HDRLEN) || nlh->nlmsg_type != GENL_ID_CTRL)
		return 0;
	n -= NLMSG_LENGTH(GENL_HDRLEN);
	a = (void *)(t->data + NLMSG_LENGTH(GENL_HDRLEN));
	while (n >= NLA_HDRLEN && a->nla_len >= NLA_HDRLEN) {
		if (a->nla_type == CTRL_ATTR_FAMILY_ID)
			id = *(uint16_t *)((char *)a + NLA_HDRLEN);
		n -= NLA_ALIGN(a->nla_len);
		a = (void *)((char *)a + NLA_ALIGN(a->nla_len));
	}
	return id;
}

/* Lengths and types of attributes, the command, flags; not whom it is for. */
static void spoil(struct thread *t, struct request *r)
{
	uint16_t *half = (uint16_t *)r->attrs + rnd(t, 6);

	switch (rnd(t, 5)) {
	case 0:
		r->g.cmd = rnd(t, 256);
		break;
	case 1:
		r->nlh.nlmsg_flags ^= NLM_F_DUMP;
		break;
	case 2:
		r->nlh.nlmsg_len = NLMSG_LENGTH(rnd(t, sizeof(*r) - NLMSG_HDRLEN));
		break;
	default:
		*half ^= 1U << rnd(t, 16);
	}
	t->bad |= BAD_FIELD;
}

static void run_request(struct thread *t, const struct kind *k)
{
	bool dump = strstr(k->name, "dump"), session = strstr(k->name, "session");
	uint64_t id = shared->ids[rnd(t, PROCS * DEVICES)];
	uint8_t name[CPTDEV_NAME_MAX] = { 0 };
	struct request r;
	struct nlattr *nest;

	request(&r, family(t), session ? CPTDEV_CMD_SESSION_GET : CPTDEV_CMD_REPLICA_GET,
		dump ? NLM_F_DUMP : NLM_F_ACK);
	if (!dump) {
		nest = put(&r, (session ? CPTDEV_A_SESSION : CPTDEV_A_REPLICA) | NLA_F_NESTED,
			   NULL, 0);
		fuzz_name(t, name);
		if (session)
			put(&r, CPTDEV_A_SESSION_ID, &id, sizeof(id));
		else
			put(&r, CPTDEV_A_REPLICA_NAME, name, strlen((char *)name) + 1);
		nest->nla_len = (char *)&r + r.nlh.nlmsg_len - (char *)nest;
	}
	t->bad = 0;
	if (!rnd(t, 3))
		spoil(t, &r);
	fuzz_begin(t, k, t->netlink, (uint64_t *)&r);
	if (send(t->netlink, &r, r.nlh.nlmsg_len, 0) < 0)
		fuzz_end(t, k, -errno);
	else
		fuzz_end(t, k, answers(t));
}

/* What the kernel itself says about a message that isn't well-formed comes on top. */
#define KIND(_name)							\
	{ .name = _name, .weight = 2, .run = run_request, .slot = NO_SLOT,	\
	  .errors = ERRORS(EINVAL, ENOENT, ERANGE, EOPNOTSUPP, EBUSY, EACCES) }

static const struct kind requests[] = {
	KIND("netlink session-get"),
	KIND("netlink session-get dump"),
	KIND("netlink replica-get"),
	KIND("netlink replica-get dump"),
};

const struct kind_group netlink_group = { requests, sizeof(requests) / sizeof(requests[0]) };
