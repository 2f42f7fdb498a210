// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libhotspare: descriptors as they were. All are made first, under numbers that nobody
 * wants; only when that has worked they take their places. So a failure changes nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

#include "fd.h"
#include "js.h"
#include "tcp.h"

#ifndef TFD_IOC_SET_TICKS
#define TFD_IOC_SET_TICKS	_IOW('T', 0, uint64_t)
#endif
#ifndef IPV6_FREEBIND
#define IPV6_FREEBIND	78
#endif

#define SET_FLAGS	(O_APPEND | O_NONBLOCK)

struct restore {
	struct hs_fds *list;
	int *made;			/* for each of the list, or -1 */
	int above;			/* all that is made is from here on */
	struct hs_error *e;
};

static int fail(const struct restore *r, const struct hs_fd *f, const char *what)
{
	return hs_fail(r->e, errno, "descriptor %d: %s: %s", f->fd, what, strerror(errno));
}

static uint32_t index_of(const struct restore *r, int fd)
{
	const struct hs_fd *f = hs_fds_find(r->list, fd);

	return f ? (uint32_t)(f - r->list->v) : r->list->nr;
}

/* Takes @fd over, to where it is in nobody's way. */
static int keep(struct restore *r, uint32_t i, int fd)
{
	if (fd < 0)
		return -1;
	r->made[i] = fcntl(fd, F_DUPFD_CLOEXEC, r->above);
	close(fd);
	return r->made[i] < 0 ? -1 : 0;
}

/*
 * Files
 */

static int make_file(struct restore *r, uint32_t i)
{
	struct hs_fd *f = &r->list->v[i];
	int fd = hs_fd_file_open(f, r->e);

	if (fd < 0)
		return -1;
	return keep(r, i, fd) ? fail(r, f, f->file.path) : 0;
}

/* Could files be opened and connections be made, if it had to be now? Returns 0, or -1 with errno and @e. */
int hs_fds_missing(const struct hs_fds *list, struct hs_error *e)
{
	const struct hs_fd *f;

	for (f = list->v; f < list->v + list->nr; f++)
		if ((f->kind == HS_FD_FILE && f->same_as < 0 && hs_fd_file_missing(f, e)) ||
		    (hs_fd_is_connection(f) && hs_tcp_missing(e)))
			return -1;
	return 0;
}

/*
 * Sockets
 */

static bool has_name(const struct hs_fd_socket *s)
{
	const struct sockaddr_in6 *in6 = (const void *)&s->name.addr;
	const struct sockaddr_in *in = (const void *)&s->name.addr;

	if (s->domain == AF_INET)
		return s->name.len >= sizeof(*in) && in->sin_port;
	if (s->domain == AF_INET6)
		return s->name.len >= sizeof(*in6) && in6->sin6_port;
	return s->name.len > sizeof(sa_family_t);
}

static int set_option(int fd, int level, int name, bool wanted)
{
	int one = 1;

	return wanted ? setsockopt(fd, level, name, &one, sizeof(one)) : 0;
}

static int set_options(int fd, const struct hs_fd_socket *s)
{
	int v6_only = s->v6_only;

	if (s->domain == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, sizeof(v6_only)))
		return -1;
	return set_option(fd, SOL_SOCKET, SO_REUSEADDR, s->reuse_addr) ||
		set_option(fd, SOL_SOCKET, SO_REUSEPORT, s->reuse_port) ||
		set_option(fd, SOL_SOCKET, SO_BROADCAST, s->broadcast) ? -1 : 0;
}

/* The name of a Unix socket stays when its process is gone; one that is in use doesn't. */
static void unlink_if_dead(const struct hs_fd_socket *s)
{
	const struct sockaddr_un *un = (const void *)&s->name.addr;
	struct stat st;
	int fd;

	if (s->domain != AF_UNIX || !un->sun_path[0] || lstat(un->sun_path, &st) ||
	    !S_ISSOCK(st.st_mode))
		return;
	fd = socket(AF_UNIX, s->type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (connect(fd, (const struct sockaddr *)un, s->name.len) && errno == ECONNREFUSED)
		unlink(un->sun_path);
	close(fd);
}

/* The service's address may come to this host later than the program. */
static int bind_to(int fd, const struct hs_fd_socket *s)
{
	const struct sockaddr *addr = (const struct sockaddr *)&s->name.addr;
	int level = s->domain == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP;
	int name = s->domain == AF_INET6 ? IPV6_FREEBIND : IP_FREEBIND;

	unlink_if_dead(s);
	if (!hs_bind(fd, addr, s->name.len))
		return 0;
	if (errno != EADDRNOTAVAIL || s->domain == AF_UNIX)
		return -1;
	return set_option(fd, level, name, true) || hs_bind(fd, addr, s->name.len) ? -1 : 0;
}

/* Its addresses, where relative names of them are meant from. */
static int set_addresses(struct restore *r, struct hs_fd *f, int fd)
{
	struct hs_fd_socket *s = &f->socket;

	if (has_name(s) && bind_to(fd, s))
		return fail(r, f, "its address");
	if (s->backlog >= 0 && listen(fd, s->backlog))
		return fail(r, f, "to listen");
	if (s->peer.len && connect(fd, (const struct sockaddr *)&s->peer.addr, s->peer.len))
		return fail(r, f, "its peer");
	return 0;
}

static int make_socket(struct restore *r, uint32_t i)
{
	struct hs_fd *f = &r->list->v[i];
	struct js_from extra = { .o = f->extra };
	struct hs_fd_socket *s = &f->socket;
	struct hs_fd_there there;
	int ret;

	if (s->connected) {
		r->made[i] = s->made;
		s->made = -1;
		return 0;
	}
	if (keep(r, i, socket(s->domain, s->type | SOCK_CLOEXEC, s->protocol)))
		return fail(r, f, "a socket");
	if (set_options(r->made[i], s))
		return fail(r, f, "its options");
	if (f->extra && hs_fd_options_set(f, r->made[i], &extra, r->e))
		return -1;
	ret = hs_fd_unix_enter(f, &there) ? fail(r, f, "the directory of its name") :
		set_addresses(r, f, r->made[i]);
	if (hs_fd_unix_leave(f, &there, !ret && has_name(s)) && !ret)
		ret = fail(r, f, "the mode of its name");
	return ret;
}

/*
 * Two ends
 */

/* What waits at @f is written into the other end, which doesn't block. */
static int fill(int other, const struct hs_fd *f)
{
	ssize_t n;

	if (!f->data.len)
		return 0;
	n = write(other, f->data.bytes, f->data.len);
	if (n < 0 || n == f->data.len)
		return n < 0 ? -1 : 0;
	errno = ENOBUFS;
	return -1;
}

/* The kernel shuts both ends of a direction, but of datagrams. */
static int shut(int fd, int other, const struct hs_fd *f)
{
	if (!f->data.shut)
		return 0;
	return f->data.type == SOCK_DGRAM ? shutdown(fd, SHUT_RD) : shutdown(other, SHUT_WR);
}

static int finish_pair(struct restore *r, uint32_t i, uint32_t j)
{
	struct hs_fd *f = &r->list->v[i], *o = &r->list->v[j];
	struct js_from a = { .o = f->extra }, b = { .o = o->extra };

	if ((f->extra && hs_fd_options_set(f, r->made[i], &a, r->e)) ||
	    (o->extra && hs_fd_options_set(o, r->made[j], &b, r->e)))
		return -1;
	if (shut(r->made[i], r->made[j], f) || shut(r->made[j], r->made[i], o))
		return fail(r, f, "that it was shut down");
	return 0;
}

/* Of a pipe whose other end is closed. What waits in it comes before the end of the file. */
static int make_end(struct restore *r, uint32_t i)
{
	struct hs_fd *f = &r->list->v[i];
	bool reads = (f->flags & O_ACCMODE) != O_WRONLY;
	int p[2], ret;

	if (pipe2(p, O_CLOEXEC | O_NONBLOCK))
		return fail(r, f, "a pipe");
	ret = fcntl(p[0], F_SETPIPE_SZ, f->data.size) < 0 || (reads && fill(p[1], f)) ? -1 : 0;
	if (keep(r, i, p[!reads]) || ret)
		ret = fail(r, f, "a pipe");
	close(p[reads]);
	return ret;
}

static int make_ends(struct restore *r, uint32_t i)
{
	struct hs_fd *f = &r->list->v[i], *o;
	uint32_t j = index_of(r, f->data.other);
	bool reads = (f->flags & O_ACCMODE) != O_WRONLY;
	int p[2], ret;

	if (f->kind == HS_FD_PIPE && f->data.other < 0)
		return make_end(r, i);
	if (j == r->list->nr) {
		errno = ENOENT;
		return fail(r, f, "its other end");
	}
	o = &r->list->v[j];
	if (r->made[i] >= 0)
		return 0;			/* with the other one */
	if (f->kind == HS_FD_PAIR)
		ret = socketpair(AF_UNIX, f->data.type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, p);
	else
		ret = pipe2(p, O_CLOEXEC | O_NONBLOCK);
	if (ret)
		return fail(r, f, "a pipe or pair");
	ret = keep(r, f->kind == HS_FD_PAIR || reads ? i : j, p[0]);
	if (keep(r, f->kind == HS_FD_PAIR || reads ? j : i, p[1]) || ret)
		return fail(r, f, "a pipe or pair");
	if (f->kind == HS_FD_PIPE && fcntl(r->made[i], F_SETPIPE_SZ, f->data.size) < 0)
		return fail(r, f, "its size");
	if (fill(r->made[j], f) || fill(r->made[i], o))
		return fail(r, f, "what waits in it");
	return f->kind == HS_FD_PAIR ? finish_pair(r, i, j) : 0;
}

/*
 * Those without a name
 */

static int make_event(struct restore *r, uint32_t i)
{
	struct hs_fd *f = &r->list->v[i];
	uint64_t count = f->event.count;

	if (keep(r, i, eventfd(0, EFD_CLOEXEC | (f->event.semaphore ? EFD_SEMAPHORE : 0))))
		return fail(r, f, "an eventfd");
	if (count && write(r->made[i], &count, sizeof(count)) != sizeof(count))
		return fail(r, f, "its count");
	return 0;
}

static int make_timer(struct restore *r, uint32_t i)
{
	struct hs_fd *f = &r->list->v[i];
	bool day = hs_fd_is_day(&f->timer);
	uint64_t ticks = f->timer.ticks;

	if (keep(r, i, timerfd_create(f->timer.clock, TFD_CLOEXEC)))
		return fail(r, f, "a timerfd");
	if (timerfd_settime(r->made[i], day ? f->timer.set_flags : 0, &f->timer.value, NULL))
		return fail(r, f, "its time");
	if (ticks && ioctl(r->made[i], TFD_IOC_SET_TICKS, &ticks))
		return fail(r, f, "its ticks (kernels have that with CONFIG_CHECKPOINT_RESTORE)");
	return 0;
}

/* That it polls is no more than faster: a kernel that can't do that is good enough. */
static void set_busy_poll(const struct hs_fd *f, int fd)
{
	struct js_from from = { .o = f->extra };
	uint32_t len = 0;
	char *params;

	if (!json_object_object_get(f->extra, "busy_poll"))
		return;
	params = js_get_hex(&from, "busy_poll", sizeof(struct hs_epoll_params), &len);
	if (len != sizeof(struct hs_epoll_params) || ioctl(fd, HS_EPOLL_SET, params))
		fprintf(stderr, "libhotspare: descriptor %d: its busy polling can't be restored: "
			"%s\n", f->fd, strerror(errno));
	free(params);
}

static int make_set(struct restore *r, uint32_t i)
{
	struct hs_fd *f = &r->list->v[i];

	if (keep(r, i, epoll_create1(EPOLL_CLOEXEC)))
		return fail(r, f, "an epoll set");
	set_busy_poll(f, r->made[i]);
	return 0;
}

static int make(struct restore *r, uint32_t i)
{
	struct hs_fd *f = &r->list->v[i];

	switch (f->kind) {
	case HS_FD_FILE:
		return make_file(r, i);
	case HS_FD_SOCKET:
		return make_socket(r, i);
	case HS_FD_PAIR:
	case HS_FD_PIPE:
		return make_ends(r, i);
	case HS_FD_EVENT:
		return make_event(r, i);
	case HS_FD_TIMER:
		return make_timer(r, i);
	case HS_FD_SIGNAL:
		return keep(r, i, signalfd(-1, &f->signals, SFD_CLOEXEC)) ?
			fail(r, f, "a signalfd") : 0;
	case HS_FD_EPOLL:
		return make_set(r, i);
	default:
		errno = EINVAL;
		return fail(r, f, "what it is");
	}
}

/* A pipe of packets is one by a flag, too. */
static int set_flags(const struct hs_fd *f)
{
	return f->kind == HS_FD_PIPE ? SET_FLAGS | O_DIRECT : SET_FLAGS;
}

static int make_all(struct restore *r)
{
	uint32_t i;

	for (i = 0; i < r->list->nr; i++) {
		struct hs_fd *f = &r->list->v[i];
		struct js_from extra = { .o = f->extra };

		if (f->same_as >= 0)
			continue;
		if (make(r, i))
			return -1;
		if (f->kind != HS_FD_FILE && fcntl(r->made[i], F_SETFL, f->flags & set_flags(f)))
			return fail(r, f, "its flags");
		if (f->extra && hs_fd_locks_set(f, r->made[i], &extra, r->e))
			return -1;
	}
	return 0;
}

/*
 * In their places
 */

static int place(const struct restore *r, uint32_t i)
{
	const struct hs_fd *f = &r->list->v[i];
	int from = f->same_as >= 0 ? f->same_as : r->made[i];

	if (dup3(from, f->fd, f->cloexec ? O_CLOEXEC : 0) == f->fd)
		return 0;
	return fail(r, f, "its number");
}

static int fill_set(const struct restore *r, const struct hs_fd *f)
{
	uint32_t i;

	for (i = 0; i < f->epoll.nr; i++) {
		struct epoll_event event = f->epoll.item[i].event;

		if (epoll_ctl(f->fd, EPOLL_CTL_ADD, f->epoll.item[i].fd, &event))
			return fail(r, f, "what is in the epoll set");
	}
	return 0;
}

static int place_all(const struct restore *r)
{
	uint32_t i;

	for (i = 0; i < r->list->nr; i++)
		if (place(r, i))
			return -1;
	for (i = 0; i < r->list->nr; i++)
		if (r->list->v[i].kind == HS_FD_EPOLL && r->list->v[i].same_as < 0 &&
		    fill_set(r, &r->list->v[i]))
			return -1;
	return 0;
}

/*
 * Returns 0, or -1 with errno and @e: nothing has changed then, unless the very numbers
 * couldn't be had (RLIMIT_NOFILE), or a lock of the process (see hs_fds_lock()). What had one of
 * the numbers is closed.
 */
int hs_fds_restore(struct hs_fds *list, struct hs_error *e)
{
	struct restore r = { .list = list, .e = e };
	int ret = -1, saved;
	uint32_t i;

	r.above = list->nr ? list->v[list->nr - 1].fd + 1 : 0;
	r.made = malloc((list->nr + 1) * sizeof(*r.made));
	if (!r.made)
		return hs_fail(e, ENOMEM, "no memory for the list of descriptors");
	for (i = 0; i < list->nr; i++)
		r.made[i] = -1;
	if (!make_all(&r))
		ret = place_all(&r);
	saved = errno;
	for (i = 0; i < list->nr; i++)
		if (r.made[i] >= 0)
			close(r.made[i]);
	free(r.made);
	errno = saved;
	return ret ? ret : hs_fds_lock(list, e);
}
