// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the daemons call in place of the system: clocks of their host, sockets of the simulated
 * network, epoll. A descriptor is a real one, so that its number is unique, of /dev/null; a table
 * has what it stands for. Descriptors of other kinds go to the system.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "file.h"
#include "net.h"

#define FDS	512
#define WATCHES	64

int __real_close(int fd);
ssize_t __real_send(int fd, const void *buf, size_t len, int flags);

enum fd_kind { FD_OTHER, FD_SOCKET, FD_LISTENER, FD_STREAM, FD_EPOLL, FD_EVENT, FD_FILE };

struct watched {
	int fd;
	struct epoll_event ev;
};

struct fd {
	enum fd_kind kind;
	int host;
	u16 port;			/* bound to */
	u64 timeout;			/* TCP_USER_TIMEOUT before the connection */
	struct end *end;
	u64 count;			/* FD_EVENT */
	struct file *file;
	struct watched *watched;
	int nr_watched;
};

static struct fd fds[FDS];
static int null = -1;

static struct fd *get(int fd)
{
	return fd >= 0 && fd < FDS && fds[fd].kind ? &fds[fd] : NULL;
}

static int new_fd(enum fd_kind kind)
{
	int fd;

	if (null < 0)
		null = open("/dev/null", O_RDWR | O_CLOEXEC);
	fd = dup(null);
	if (fd < 0 || fd >= FDS)
		abort();
	fds[fd] = (struct fd) { .kind = kind, .host = sim.cur ? sim.cur->nr : 0 };
	return fd;
}

void wrap_reset(void)
{
	int i;

	for (i = 0; i < FDS; i++)
		if (fds[i].kind)
			abort();	/* somebody forgot to close it */
}

/*
 * Clocks
 */

int __wrap_clock_gettime(clockid_t clock, struct timespec *ts)
{
	u64 ns = sim.cur ? world_mono(sim.cur) : sim.now;

	if (clock == CLOCK_REALTIME)
		ns = 1700000000 * NSEC_PER_SEC + sim.now + (sim.cur ? sim.cur->wall_off : 0);
	ts->tv_sec = ns / NSEC_PER_SEC;
	ts->tv_nsec = ns % NSEC_PER_SEC;
	return 0;
}

time_t __wrap_time(time_t *t)
{
	struct timespec ts;

	__wrap_clock_gettime(CLOCK_REALTIME, &ts);
	if (t)
		*t = ts.tv_sec;
	return ts.tv_sec;
}

/*
 * Sockets
 */

int __wrap_socket(int domain, int type, int protocol)
{
	(void)type;
	(void)protocol;
	/* No control socket: nobody asks these daemons by one. */
	if (domain == AF_UNIX) {
		errno = ENOENT;
		return -1;
	}
	return new_fd(FD_SOCKET);
}

int __wrap_bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	(void)len;
	get(fd)->port = ntohs(((const struct sockaddr_in *)addr)->sin_port);
	return 0;
}

static bool listens(const struct fd *f, int host, u16 port)
{
	return f->kind == FD_LISTENER && f->host == host && f->port == port;
}

bool wrap_listens(int host, u16 port)
{
	int i;

	for (i = 0; i < FDS; i++)
		if (listens(&fds[i], host, port))
			return true;
	return false;
}

int __wrap_listen(int fd, int backlog)
{
	(void)backlog;
	if (wrap_listens(get(fd)->host, get(fd)->port)) {
		errno = EADDRINUSE;
		return -1;
	}
	get(fd)->kind = FD_LISTENER;
	return 0;
}

static void host_addr(struct sockaddr_storage *ss, int host, u16 port)
{
	struct sockaddr_in *in = (struct sockaddr_in *)ss;

	memset(ss, 0, sizeof(*ss));
	in->sin_family = AF_INET;
	in->sin_port = htons(port);
	in->sin_addr.s_addr = htonl(0x0a000001 + host);
}

int __wrap_getsockname(int fd, struct sockaddr *addr, socklen_t *len)
{
	struct sockaddr_storage ss;

	host_addr(&ss, get(fd)->host, get(fd)->port);
	memcpy(addr, &ss, sizeof(struct sockaddr_in));
	*len = sizeof(struct sockaddr_in);
	return 0;
}

int __wrap_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)addr;
	struct fd *f = get(fd);

	(void)len;
	f->end = net_connect(f->host, ntohl(in->sin_addr.s_addr) - 0x0a000001,
			     ntohs(in->sin_port));
	f->end->timeout = f->timeout;
	f->kind = FD_STREAM;
	errno = EINPROGRESS;
	return -1;
}

static struct link *next_queued(const struct fd *f)
{
	struct link *l, *found = NULL;

	LIST_FOREACH(l, &net_links, entry)
		if (l->queued && l->end[1].host == f->host && l->end[1].port == f->port)
			found = l;	/* the oldest is the last */
	return found;
}

int __wrap_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	struct link *l = next_queued(get(fd));
	struct sockaddr_storage ss;
	int new;

	(void)flags;
	if (!l) {
		errno = EAGAIN;
		return -1;
	}
	new = new_fd(FD_STREAM);
	l->queued = false;
	l->end[1].open = true;
	fds[new].end = &l->end[1];
	host_addr(&ss, l->end[0].host, l->end[0].port);
	memcpy(addr, &ss, sizeof(struct sockaddr_in));
	*len = sizeof(struct sockaddr_in);
	return new;
}

int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	struct fd *f = get(fd);

	(void)len;
	if (!f || level != IPPROTO_TCP || name != TCP_USER_TIMEOUT)
		return 0;
	f->timeout = MS(*(const u32 *)value);
	if (f->end)
		f->end->timeout = f->timeout;
	return 0;
}

int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
	struct end *e = get(fd)->end;

	(void)level;
	(void)name;
	*(int *)value = e->error;
	e->error = 0;
	*len = sizeof(int);
	return 0;
}

int __wrap_shutdown(int fd, int how)
{
	struct end *e = get(fd)->end;

	(void)how;
	if (e->there && !e->shut)
		net_send(e, SEG_FIN, NULL, 0);
	e->shut = true;
	return 0;
}

/* -1 with errno: nothing can be sent. */
static int may_send(const struct end *e)
{
	if (e->error)
		errno = e->error;
	else if (!e->there || e->shut)
		errno = EPIPE;
	else if (!e->up || e->other->in_flight + e->other->rx_len >= NET_WINDOW)
		errno = EAGAIN;
	else
		return 0;
	return -1;
}

ssize_t __wrap_send(int fd, const void *buf, size_t len, int flags)
{
	struct fd *f = get(fd);
	size_t room;

	if (!f)
		return __real_send(fd, buf, len, flags);
	if (may_send(f->end))
		return -1;
	room = NET_WINDOW - f->end->other->in_flight - f->end->other->rx_len;
	len = MIN(len, room);
	net_send(f->end, SEG_DATA, buf, len);
	return len;
}

ssize_t __wrap_sendfile64(int to, int from, off_t *pos, size_t len)
{
	static u8 buf[NET_WINDOW];
	ssize_t n;

	if (may_send(get(to)->end))
		return -1;
	n = pread(from, buf, MIN(len, sizeof(buf)), *pos);
	n = n > 0 ? __wrap_send(to, buf, n, 0) : n;
	if (n > 0)
		*pos += n;
	return n;
}

ssize_t __wrap_recv(int fd, void *buf, size_t len, int flags)
{
	struct end *e = get(fd)->end;
	size_t n = MIN(len, e->rx_len);

	(void)flags;
	if (n) {
		memcpy(buf, e->rx, n);
		memmove(e->rx, e->rx + n, e->rx_len - n);
		e->rx_len -= n;
		return n;
	}
	if (e->error) {
		errno = e->error;
		return -1;
	}
	if (e->eof)
		return 0;
	errno = EAGAIN;
	return -1;
}

/*
 * epoll and eventfd
 */

int __wrap_epoll_create1(int flags)
{
	int fd = new_fd(FD_EPOLL);

	(void)flags;
	fds[fd].watched = calloc(WATCHES, sizeof(struct watched));
	return fd;
}

int __wrap_epoll_ctl(int epfd, int op, int fd, struct epoll_event *ev)
{
	struct fd *e = get(epfd);
	int i;

	for (i = 0; i < e->nr_watched; i++)
		if (e->watched[i].fd == fd)
			break;
	if (op == EPOLL_CTL_DEL) {
		if (i == e->nr_watched)
			abort();
		memmove(e->watched + i, e->watched + i + 1,
			(--e->nr_watched - i) * sizeof(*e->watched));
		return 0;
	}
	if (i == WATCHES || (op == EPOLL_CTL_MOD) != (i < e->nr_watched))
		abort();
	e->watched[i] = (struct watched) { .fd = fd, .ev = *ev };
	e->nr_watched += op == EPOLL_CTL_ADD;
	return 0;
}

static u32 stream_state(const struct end *e)
{
	u32 ev = 0;

	if (e->error)
		return EPOLLERR | EPOLLHUP | EPOLLIN | EPOLLOUT;
	if (e->rx_len || e->eof)
		ev |= EPOLLIN;
	if (e->up && e->other->in_flight + e->other->rx_len < NET_WINDOW)
		ev |= EPOLLOUT;
	if (!e->there)
		ev |= EPOLLHUP;
	return ev;
}

static u32 fd_state(const struct fd *f)
{
	switch (f->kind) {
	case FD_LISTENER:
		return next_queued(f) ? EPOLLIN : 0;
	case FD_STREAM:
		return stream_state(f->end);
	case FD_EVENT:
		return f->count ? EPOLLIN : 0;
	default:
		return 0;
	}
}

static u32 ready(const struct watched *w)
{
	return fd_state(&fds[w->fd]) & (w->ev.events | EPOLLERR | EPOLLHUP);
}

bool wrap_ready(int epfd)
{
	const struct fd *e = get(epfd);
	int i;

	for (i = 0; i < e->nr_watched; i++)
		if (ready(&e->watched[i]))
			return true;
	return false;
}

/* Which is looked at first is different each time, as it is with a real one. */
int __wrap_epoll_wait(int epfd, struct epoll_event *ev, int max, int timeout)
{
	struct fd *e = get(epfd);
	int i, n = 0, first;
	u32 state;

	(void)timeout;
	first = e->nr_watched ? rng_range(&sim.rng_net, 0, e->nr_watched - 1) : 0;
	for (i = 0; i < e->nr_watched && n < max; i++) {
		const struct watched *w = &e->watched[(first + i) % e->nr_watched];

		state = ready(w);
		if (!state)
			continue;
		ev[n] = w->ev;
		ev[n++].events = state;
	}
	return n;
}

int __wrap_eventfd(unsigned int count, int flags)
{
	int fd = new_fd(FD_EVENT);

	(void)flags;
	fds[fd].count = count;
	return fd;
}

int __wrap_eventfd_write(int fd, eventfd_t value)
{
	get(fd)->count += value;
	return 0;
}

int __wrap_eventfd_read(int fd, eventfd_t *value)
{
	struct fd *f = get(fd);

	if (!f->count) {
		errno = EAGAIN;
		return -1;
	}
	*value = f->count;
	f->count = 0;
	return 0;
}

/*
 * Files without a name, of the engine
 */

int __real_fchmod(int fd, mode_t mode);
ssize_t __real_pread64(int fd, void *buf, size_t len, off_t pos);
ssize_t __real_pwrite64(int fd, const void *buf, size_t len, off_t pos);

int __wrap_memfd_create(const char *name, unsigned int flags)
{
	int fd = new_fd(FD_FILE);

	(void)name;
	(void)flags;
	fds[fd].file = file_new();
	return fd;
}

int __wrap_fchmod(int fd, mode_t mode)
{
	return get(fd) ? 0 : __real_fchmod(fd, mode);
}

/* Memory is there, and what is behind a hole isn't looked at. */
int __wrap_fallocate64(int fd, int mode, off_t pos, off_t len)
{
	(void)mode;
	(void)pos;
	(void)len;
	if (!get(fd))
		abort();
	return 0;
}

ssize_t __wrap_pread64(int fd, void *buf, size_t len, off_t pos)
{
	struct fd *f = get(fd);

	return f ? file_read(f->file, buf, len, pos) : __real_pread64(fd, buf, len, pos);
}

ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off_t pos)
{
	struct fd *f = get(fd);

	return f ? file_write(f->file, buf, len, pos) : __real_pwrite64(fd, buf, len, pos);
}

/* What the engine asks the kernel to copy, since a program's address may lead nowhere. */
ssize_t __wrap_process_vm_readv(pid_t pid, const struct iovec *to, unsigned long nr_to,
				const struct iovec *from, unsigned long nr_from,
				unsigned long flags)
{
	(void)pid;
	(void)flags;
	if (nr_to != 1 || nr_from != 1)
		abort();
	memcpy(to->iov_base, from->iov_base, to->iov_len);
	return to->iov_len;
}

ssize_t __wrap_process_vm_writev(pid_t pid, const struct iovec *from, unsigned long nr_from,
				 const struct iovec *to, unsigned long nr_to,
				 unsigned long flags)
{
	return __wrap_process_vm_readv(pid, to, nr_to, from, nr_from, flags);
}

/*
 * The end of a descriptor
 */

static void listener_close(struct fd *f)
{
	struct link *l;

	while ((l = next_queued(f))) {
		l->queued = false;
		net_send(&l->end[1], SEG_RST, NULL, 0);
		l->end[1].there = false;
	}
}

int __wrap_close(int fd)
{
	struct fd *f = get(fd);

	if (f) {
		f->kind = f->kind == FD_LISTENER ? (listener_close(f), FD_OTHER) : f->kind;
		if (f->kind == FD_STREAM && f->end->open)
			net_close(f->end);
		free(f->watched);
		if (f->file)
			file_free(f->file);
		memset(f, 0, sizeof(*f));
	}
	return __real_close(fd);
}
