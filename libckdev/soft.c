// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libckdev: where there is no module. The descriptor is a connection to cptdevd's soft engine,
 * and what is an ioctl() elsewhere is a message (softwire.h). Each call brings the socket for
 * its answer, so that nothing is kept between calls, and threads don't meet.
 */
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "internal.h"
#include "softwire.h"

/*
 * A daemon that hangs, or was stopped, answers no more than one that is gone, and keeps nobody: after
 * so long a call fails with -ETIME. To take what is published it may have to copy much. One that waits
 * for something else is asked why not, at the end, for a moment only.
 */
#define ANSWER_NS	10000000000ULL
#define PUBLISH_NS	60000000000ULL
#define MOMENT_NS	1000000000ULL

#define SEALS	(F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL)

/* A call on its way. */
struct call {
	__u32 cmd;
	__u32 size;		/* of @arg */
	void *arg;
	void *entries;		/* what follows it in the answer, or NULL */
	size_t room;		/* bytes there */
	int file;		/* goes along, -1: none */
	int got;		/* came along, -1: none */
	uint64_t timeout_ns;
	uint64_t end;		/* on CLOCK_MONOTONIC; CPTDEV_FOREVER: none */
};

int ckdev_is_soft(int fd)
{
	int domain = 0, type = 0, saved = errno;
	socklen_t len = sizeof(int);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0)
		getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len);
	errno = saved;
	return domain == AF_UNIX && type == SOCK_SEQPACKET;
}

int ckdev_soft_open(const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	const struct timeval patience = { .tv_sec = ANSWER_NS / 1000000000 };
	size_t len = strlen(path ? path : SOFT_SOCKET);
	int saved = errno, fd, ret;

	if (len >= sizeof(un.sun_path))
		return -ENAMETOOLONG;
	memcpy(un.sun_path, path ? path : SOFT_SOCKET, len);
	fd = (int)ckdev_result(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), saved);
	if (fd < 0)
		return fd;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	do {
		ret = (int)ckdev_result(connect(fd, (struct sockaddr *)&un, sizeof(un)), saved);
	} while (ret == -EINTR);
	if (ret == 0)
		return fd;
	ckdev_close(fd);
	return ret == -EAGAIN ? -ETIME : ret;
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Until @fd is ready for that, or the end of the call. 0, -ETIME or -EINTR. */
static int await(int fd, short events, uint64_t end)
{
	struct pollfd pfd = { .fd = fd, .events = events };
	uint64_t now = end == CPTDEV_FOREVER ? 0 : now_ns(), left = end > now ? end - now : 0;
	const struct timespec ts = {
		.tv_sec = (time_t)(left / 1000000000), .tv_nsec = (long)(left % 1000000000),
	};
	int saved = errno, ret;

	ret = (int)ckdev_result(ppoll(&pfd, 1, end == CPTDEV_FOREVER ? NULL : &ts, NULL), saved);
	return ret > 0 ? 0 : ret ? ret : -ETIME;
}

/* What the daemon has to say of itself: it is looked at by this call. */
static void drop_news(int fd)
{
	struct soft_answer news;
	int saved = errno;

	while (recv(fd, &news, sizeof(news), MSG_DONTWAIT) > 0)
		;
	errno = saved;
}

static int send_request(int fd, const struct call *c, int reply)
{
	struct soft_request head = { .cmd = c->cmd, .len = c->size };
	struct iovec iov[2] = {
		{ .iov_base = &head, .iov_len = sizeof(head) },
		{ .iov_base = c->arg, .iov_len = c->size },
	};
	int fds[2] = { reply, c->file };
	size_t nr = c->file < 0 ? 1 : 2;
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(fds))];
	} control;
	struct msghdr msg = {
		.msg_iov = iov, .msg_iovlen = 2, .msg_control = &control,
		.msg_controllen = CMSG_SPACE(nr * sizeof(int)),
	};
	struct cmsghdr *cmsg = &control.align;
	int saved = errno, ret;
	ssize_t n;

	memset(&control, 0, sizeof(control));
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(nr * sizeof(int));
	memcpy(CMSG_DATA(cmsg), fds, nr * sizeof(int));
	do {
		n = ckdev_result(sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT), saved);
		ret = n == -EAGAIN ? await(fd, POLLOUT, c->end) : 0;
	} while (n == -EINTR || (n == -EAGAIN && (ret == 0 || ret == -EINTR)));
	if (ret < 0)
		return ret;
	if (n == -EPIPE || n == -ENOTCONN)
		return -ECONNRESET;
	return n < 0 ? (int)n : 0;
}

static void take_descriptor(struct call *c, struct msghdr *msg)
{
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg);

	if (cmsg && cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_RIGHTS)
		memcpy(&c->got, CMSG_DATA(cmsg), sizeof(c->got));
}

/* An answer that isn't whole comes from a daemon that speaks otherwise. */
static int receive_answer(int reply, struct call *c)
{
	struct soft_answer head;
	struct iovec iov[3] = {
		{ .iov_base = &head, .iov_len = sizeof(head) },
		{ .iov_base = c->arg, .iov_len = c->size },
		{ .iov_base = c->entries, .iov_len = c->room },
	};
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr msg = {
		.msg_iov = iov, .msg_iovlen = 3, .msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	int saved = errno;
	ssize_t n;

	n = ckdev_result(recvmsg(reply, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC), saved);
	if (n == -EAGAIN || n == -EFAULT)
		return (int)n;
	if (n < (ssize_t)sizeof(head))
		return -ECONNRESET;
	take_descriptor(c, &msg);
	if (head.err < 0)
		return head.err;
	return (size_t)n - sizeof(head) < c->size || (msg.msg_flags & MSG_TRUNC) ? -EPROTO : 0;
}

/* Calls that wait for something end with a signal; of others it is no end. */
static bool waits(const struct call *c)
{
	return c->cmd == CPTDEV_IOC_WAIT || c->cmd == SOFT_REPLICA_WAIT;
}

/* Also while the daemon dies: the other end of the reply's socket goes with it. */
static int await_answer(int reply, struct call *c)
{
	int ret;

	do {
		ret = await(reply, POLLIN, c->end);
	} while (ret == -EINTR && !waits(c));
	return ret ? ret : receive_answer(reply, c);
}

static int soft_call(int fd, struct call *c)
{
	int pair[2], saved = errno, ret;

	c->end = c->timeout_ns > CPTDEV_FOREVER - now_ns() ? CPTDEV_FOREVER : now_ns() + c->timeout_ns;
	ret = (int)ckdev_result(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair),
				saved);
	if (ret < 0)
		return ret;
	ret = send_request(fd, c, pair[1]);
	ckdev_close(pair[1]);
	if (ret == 0)
		ret = await_answer(pair[0], c);
	ckdev_close(pair[0]);
	return ret;
}

/*
 * A program gives up waiting by going away: the daemon measures no time. It is asked once more then,
 * for what it has to say on failure, too.
 */
static int soft_wait(int fd, struct call *c, __u64 *timeout)
{
	__u64 wanted = *timeout;
	int ret;

	drop_news(fd);
	c->timeout_ns = wanted ? wanted : ANSWER_NS;
	ret = soft_call(fd, c);
	if (ret != -ETIME || !wanted)
		return ret;
	*timeout = 0;
	c->timeout_ns = MOMENT_NS;
	ret = soft_call(fd, c);
	*timeout = wanted;
	return ret == -ETIME ? -ETIMEDOUT : ret;
}

/* Structs begin with their size. */
static int soft_simple(int fd, __u32 cmd, void *arg, int *got)
{
	struct call c = {
		.cmd = cmd, .size = *(__u32 *)arg, .arg = arg, .file = -1, .got = -1,
		.timeout_ns = ANSWER_NS,
	};
	int ret = soft_call(fd, &c);

	if (got && ret == 0)
		*got = c.got;
	else if (c.got >= 0)
		ckdev_close(c.got);
	return ret == 0 && got && c.got < 0 ? -EPROTO : ret;
}

static size_t entry_size(unsigned long cmd)
{
	if (cmd == CPTDEV_IOC_IMAGE_LAYOUT)
		return sizeof(struct cptdev_segment);
	return cmd == CPTDEV_IOC_IMAGE_EXTENTS ? sizeof(struct cptdev_extent) : 1;
}

static int soft_vec(int fd, __u32 cmd, struct cptdev_image_vec *arg)
{
	struct call c = {
		.cmd = cmd, .size = arg->size, .arg = arg, .file = -1, .got = -1,
		.entries = ckdev_pointer(arg->vec),
		.room = ckdev_min(arg->vec_len * entry_size(cmd), SOFT_ENTRIES_MAX),
		.timeout_ns = ANSWER_NS,
	};

	return soft_call(fd, &c);
}

static int soft_history(int fd, struct cptdev_replica_history *arg)
{
	struct call c = {
		.cmd = CPTDEV_IOC_REPLICA_HISTORY, .size = arg->size, .arg = arg, .file = -1,
		.got = -1, .entries = ckdev_pointer(arg->vec), .timeout_ns = ANSWER_NS,
		.room = ckdev_min(arg->vec_len * sizeof(struct cptdev_past), SOFT_ENTRIES_MAX),
	};

	return soft_call(fd, &c);
}

static int soft_open_replica(int fd, struct cptdev_replica_open *arg)
{
	int got = -1, ret = soft_simple(fd, CPTDEV_IOC_REPLICA_OPEN, arg, &got);

	arg->fd = ret == 0 ? got : -1;
	return ret;
}

static int soft_wait_session(int fd, struct cptdev_wait *arg)
{
	struct call c = {
		.cmd = CPTDEV_IOC_WAIT, .size = arg->size, .arg = arg, .file = -1, .got = -1,
	};

	return soft_wait(fd, &c, &arg->timeout_ns);
}

/* What ckdev_ioctl() does with a descriptor that isn't of the module's. */
int ckdev_soft_ioctl(int fd, unsigned long cmd, void *arg)
{
	if (!ckdev_is_soft(fd))
		return -ENOTTY;
	switch (cmd) {
	case CPTDEV_IOC_WAIT:
		return soft_wait_session(fd, arg);
	case CPTDEV_IOC_REPLICA_OPEN:
		return soft_open_replica(fd, arg);
	case CPTDEV_IOC_REPLICA_HISTORY:
		return soft_history(fd, arg);
	case CPTDEV_IOC_IMAGE_LAYOUT:
	case CPTDEV_IOC_IMAGE_EXTENTS:
	case CPTDEV_IOC_IMAGE_META:
	case SOFT_LIST:
		return soft_vec(fd, (__u32)cmd, arg);
	default:
		return soft_simple(fd, (__u32)cmd, arg, NULL);
	}
}

int ckdev_soft_say(int fd, unsigned int kind, unsigned int status, int file)
{
	struct soft_end arg = { .size = sizeof(arg), .kind = kind, .status = status };
	struct call c = {
		.cmd = SOFT_END, .size = sizeof(arg), .arg = &arg, .file = file, .got = -1,
		.end = now_ns() + MOMENT_NS,
	};
	int pair[2], saved = errno, ret;

	ret = (int)ckdev_result(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), saved);
	if (ret < 0)
		return ret;
	ret = send_request(fd, &c, pair[1]);
	ckdev_close(pair[0]);
	ckdev_close(pair[1]);
	return ret;
}

int ckdev_soft_replica_wait(int fd, unsigned int flags, uint64_t timeout_ns)
{
	struct soft_replica_wait arg = {
		.size = sizeof(arg), .flags = flags, .timeout_ns = timeout_ns,
	};
	struct call c = {
		.cmd = SOFT_REPLICA_WAIT, .size = sizeof(arg), .arg = &arg, .file = -1,
		.got = -1,
	};
	int ret = soft_wait(fd, &c, &arg.timeout_ns);

	return ret < 0 ? ret : (int)arg.result;
}

int ckdev_soft_session_page(int fd, unsigned int flags)
{
	struct soft_session_page arg = { .size = sizeof(arg), .flags = flags };
	int got = -1, ret;

	if (!ckdev_is_soft(fd))
		return -ENOTTY;
	ret = soft_simple(fd, SOFT_SESSION_PAGE, &arg, &got);
	/* An older daemon, which holds nothing off. */
	if (ret == -EOPNOTSUPP && flags == SOFT_PAGE_HEEDED)
		return ckdev_soft_session_page(fd, 0);
	return ret < 0 ? ret : got;
}

int ckdev_soft_mark(int fd)
{
	struct soft_mark arg = { .size = sizeof(arg) };
	int ret;

	if (!ckdev_is_soft(fd))
		return -ENOTTY;
	ret = soft_simple(fd, SOFT_MARK, &arg, NULL);
	return ret < 0 ? ret : !!arg.held;
}

static int replica_content(int fd, unsigned int flags)
{
	struct soft_replica_content arg = { .size = sizeof(arg), .flags = flags };
	int got = -1, saved = errno, ret;

	if (!ckdev_is_soft(fd))
		return (int)ckdev_result(fcntl(fd, F_DUPFD_CLOEXEC, 0), saved);
	ret = soft_simple(fd, SOFT_REPLICA_CONTENT, &arg, &got);
	return ret < 0 ? ret : got;
}

int ckdev_replica_content(int fd)
{
	return replica_content(fd, 0);
}

int ckdev_replica_content_live(int fd)
{
	return replica_content(fd, SOFT_CONTENT_LIVE);
}

/*
 * Publishing
 */

static int write_all(int fd, const void *buf, size_t len, uint64_t *pos)
{
	const char *from = buf;
	int saved = errno;
	ssize_t n;

	while (len) {
		n = ckdev_result(pwrite(fd, from, len, (off_t)*pos), saved);
		if (n < 0 && n != -EINTR)
			return (int)n;
		if (n > 0) {
			from += n;
			len -= (size_t)n;
			*pos += (uint64_t)n;
		}
	}
	return 0;
}

/* Behind the pages, what tells what they are; then nothing changes any more. */
static int finish_file(const struct ckdev_soft_delta *d, uint64_t pages)
{
	uint64_t pos = pages * CKDEV_PAGE_SIZE;
	int saved = errno, ret;

	ret = write_all(d->memfd, d->extents, d->nr_extents * sizeof(*d->extents), &pos);
	if (ret == 0)
		ret = write_all(d->memfd, d->layout, d->nr_segments * sizeof(*d->layout), &pos);
	if (ret == 0)
		ret = write_all(d->memfd, d->meta, d->meta_len, &pos);
	if (ret == 0)
		ret = (int)ckdev_result(ftruncate(d->memfd, (off_t)pos), saved);
	if (ret == 0)
		ret = (int)ckdev_result(fcntl(d->memfd, F_ADD_SEALS, SEALS), saved);
	return ret;
}

int ckdev_soft_publish(int fd, struct ckdev_soft_delta *d)
{
	struct soft_publish arg = {
		.size = sizeof(arg), .base = d->base, .extents = d->nr_extents,
		.segments = d->nr_segments, .meta_len = d->meta_len,
	};
	struct call c = {
		.cmd = SOFT_PUBLISH, .size = sizeof(arg), .arg = &arg, .file = d->memfd,
		.got = -1, .timeout_ns = PUBLISH_NS,
	};
	uint32_t i;
	int ret;

	d->generation = 0;
	d->reach = 0;
	if (d->size < sizeof(*d) || d->flags || d->reserved)
		return -EINVAL;
	if (!ckdev_is_soft(fd))
		return -ENOTTY;
	for (i = 0; i < d->nr_extents; i++)
		if (d->extents[i].kind == CPTDEV_EXTENT_DATA)
			arg.pages += d->extents[i].len / CKDEV_PAGE_SIZE;
	ret = finish_file(d, arg.pages);
	if (ret == 0)
		ret = soft_call(fd, &c);
	d->generation = arg.generation;
	d->reach = arg.reach;
	return ret;
}
