// SPDX-License-Identifier: GPL-2.0-or-later
/* A queue of the kernel's, see queue.h. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>

#include "queue.h"

/* Packets that may wait, and bytes for their numbers. More are dropped, and TCP repeats them. */
#define PACKETS_MAX	65536
#define ROOM		(32 << 20)
/* Messages about one packet without its content are a few hundred bytes long. */
#define MESSAGE_MAX	8192

static struct nlmsghdr *message(char *buf, const struct queue *q, u16 type, u16 flags)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *nfg;

	nlh->nlmsg_type = NFNL_SUBSYS_QUEUE << 8 | type;
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));
	nfg->nfgen_family = AF_UNSPEC;
	nfg->version = NFNETLINK_V0;
	nfg->res_id = htons(q->number);
	return nlh;
}

/* The kernel's answer to the only request that is under way; packets may come before it. */
static int answer(struct queue *q)
{
	char buf[MESSAGE_MAX];
	const struct nlmsghdr *nlh = (const void *)buf;
	const struct nlmsgerr *err;
	ssize_t n;

	do {
		n = mnl_socket_recvfrom(q->sock, buf, sizeof(buf));
		if (n < 0 && errno != EINTR)
			return -errno;
	} while (n < 0 || nlh->nlmsg_type != NLMSG_ERROR);
	err = mnl_nlmsg_get_payload(nlh);
	return err->error;
}

static int configure(struct queue *q)
{
	const struct nfqnl_msg_config_cmd bind = {
		.command = NFQNL_CFG_CMD_BIND, .pf = htons(AF_UNSPEC),
	};
	const struct nfqnl_msg_config_params params = { .copy_mode = NFQNL_COPY_META };
	char buf[MNL_SOCKET_BUFFER_SIZE];
	struct nlmsghdr *nlh = message(buf, q, NFQNL_MSG_CONFIG, NLM_F_ACK);

	mnl_attr_put(nlh, NFQA_CFG_CMD, sizeof(bind), &bind);
	mnl_attr_put(nlh, NFQA_CFG_PARAMS, sizeof(params), &params);
	/* A large segment is one packet; never NFQA_CFG_F_FAIL_OPEN. */
	mnl_attr_put_u32(nlh, NFQA_CFG_FLAGS, htonl(NFQA_CFG_F_GSO));
	mnl_attr_put_u32(nlh, NFQA_CFG_MASK, htonl(NFQA_CFG_F_GSO | NFQA_CFG_F_FAIL_OPEN));
	mnl_attr_put_u32(nlh, NFQA_CFG_QUEUE_MAXLEN, htonl(PACKETS_MAX));
	if (mnl_socket_sendto(q->sock, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	return answer(q);
}

int queue_open(struct queue *q, u16 number)
{
	int room = ROOM, one = 1, ret;

	*q = (struct queue) { .number = number };
	q->sock = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	if (!q->sock)
		return -errno;
	ret = mnl_socket_bind(q->sock, 0, MNL_SOCKET_AUTOPID) ? -errno : configure(q);
	if (ret) {
		queue_close(q);
		return ret;
	}
	/* A number that is lost is of a packet that the kernel drops. */
	mnl_socket_setsockopt(q->sock, NETLINK_NO_ENOBUFS, &one, sizeof(one));
	setsockopt(queue_fd(q), SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	return 0;
}

void queue_close(struct queue *q)
{
	if (q->sock)
		mnl_socket_close(q->sock);
	q->sock = NULL;
}

int queue_fd(const struct queue *q)
{
	return mnl_socket_get_fd(q->sock);
}

static int take_attr(const struct nlattr *attr, void *arg)
{
	const struct nfqnl_msg_packet_hdr *packet;
	struct queue *q = arg;

	if (mnl_attr_get_type(attr) != NFQA_PACKET_HDR ||
	    mnl_attr_get_payload_len(attr) < sizeof(*packet))
		return MNL_CB_OK;
	packet = mnl_attr_get_payload(attr);
	q->last = ntohl(packet->packet_id);
	return MNL_CB_STOP;
}

void queue_read(struct queue *q)
{
	char buf[MESSAGE_MAX];
	const struct nlmsghdr *nlh;
	ssize_t n;
	int left;

	while ((n = recv(queue_fd(q), buf, sizeof(buf), MSG_DONTWAIT)) > 0 ||
	       (n < 0 && errno == EINTR)) {
		nlh = (const void *)buf;
		left = n > 0 ? (int)n : 0;
		for (; mnl_nlmsg_ok(nlh, left); nlh = mnl_nlmsg_next(nlh, &left))
			if (nlh->nlmsg_type == (NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET))
				mnl_attr_parse(nlh, sizeof(struct nfgenmsg), take_attr, q);
	}
}

/* That nothing waits any more is no error. */
static void decide(struct queue *q, u32 id, u32 verdict)
{
	const struct nfqnl_msg_verdict_hdr v = { .verdict = htonl(verdict), .id = htonl(id) };
	char buf[MNL_SOCKET_BUFFER_SIZE];
	struct nlmsghdr *nlh = message(buf, q, NFQNL_MSG_VERDICT_BATCH, 0);

	mnl_attr_put(nlh, NFQA_VERDICT_HDR, sizeof(v), &v);
	mnl_socket_sendto(q->sock, nlh, nlh->nlmsg_len);
}

void queue_release(struct queue *q, u32 id)
{
	decide(q, id, NF_ACCEPT);
}

void queue_drop(struct queue *q, u32 id)
{
	decide(q, id, NF_DROP);
}
