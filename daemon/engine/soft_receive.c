// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The soft engine: messages from programs, and answers to them. Every byte that comes is
 * somebody else's; nothing here waits for a program.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "soft_receive.h"

/* The kernel hands over no more descriptors than there is room for, and closes the others. */
#define FDS	2

union control {
	struct cmsghdr align;
	char buf[CMSG_SPACE(FDS * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
};

static void take_descriptors(struct soft_message *m, const struct cmsghdr *c)
{
	size_t nr = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int), i;
	int fd;

	for (i = 0; i < nr; i++) {
		memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
		if (i == 0)
			m->reply = fd;
		else if (i == 1)
			m->file = fd;
		else
			close(fd);
	}
}

static void take_control(struct soft_message *m, struct msghdr *msg)
{
	struct cmsghdr *c;
	struct ucred cred;

	for (c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SCM_RIGHTS && m->reply < 0) {
			take_descriptors(m, c);
		} else if (c->cmsg_type == SCM_CREDENTIALS) {
			memcpy(&cred, CMSG_DATA(c), sizeof(cred));
			m->pid = cred.pid;
			m->uid = cred.uid;
		}
	}
}

void soft_message_end(struct soft_message *m)
{
	if (m->reply >= 0)
		close(m->reply);
	if (m->file >= 0)
		close(m->file);
	m->reply = m->file = -1;
}

int soft_receive(int fd, struct soft_message *m)
{
	struct soft_request head;
	struct iovec iov[2] = {
		{ .iov_base = &head, .iov_len = sizeof(head) },
		{ .iov_base = m->arg, .iov_len = sizeof(m->arg) },
	};
	union control control;
	struct msghdr msg = {
		.msg_iov = iov, .msg_iovlen = 2, .msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n;

	memset(m, 0, sizeof(*m));
	m->reply = m->file = -1;
	m->uid = ~0U;
	n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return n ? -errno : -EPIPE;
	take_control(m, &msg);
	if ((size_t)n < sizeof(head) || (msg.msg_flags & MSG_TRUNC) || m->reply < 0 ||
	    head.len != n - sizeof(head)) {
		soft_message_end(m);
		return -EBADMSG;
	}
	m->cmd = head.cmd;
	m->len = head.len;
	return 1;
}

int soft_message_check(struct soft_message *m, u32 size, u32 min)
{
	const u8 *tail = (const u8 *)m->arg;
	u32 told, i;

	memcpy(&told, m->arg, sizeof(told));
	if (m->len < min || told != m->len)
		return -EINVAL;
	for (i = size; i < m->len; i++)
		if (tail[i])
			return -E2BIG;
	return 0;
}

void soft_answer(int reply, int err, const void *arg, u32 len, const void *entries, u32 bytes,
		 int fd)
{
	struct soft_answer head = { .err = err, .len = len + bytes };
	struct iovec iov[3] = {
		{ .iov_base = &head, .iov_len = sizeof(head) },
		{ .iov_base = (void *)arg, .iov_len = len },
		{ .iov_base = (void *)entries, .iov_len = bytes },
	};
	union control control;
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 3 };
	struct cmsghdr *c;

	memset(&control, 0, sizeof(control));
	if (fd >= 0) {
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(sizeof(fd));
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	/* A program that doesn't take its answer has none. */
	if (sendmsg(reply, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return;
}
