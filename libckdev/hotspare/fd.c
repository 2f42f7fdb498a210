// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libhotspare: which descriptors a checkpoint has.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "fd.h"
#include "hotspare.h"
#include "js.h"
#include "list.h"
#include "lock.h"
#include "tcp.h"

HS_LOCK(lock);
static struct hs_fds registered;

static void clear_connection(struct hs_fd *f)
{
	hs_tcp_free(f->socket.tcp);
	f->socket.tcp = NULL;
	if (f->socket.made >= 0)
		close(f->socket.made);
	f->socket.made = -1;
}

/* What it points to. */
void hs_fd_clear(struct hs_fd *f)
{
	json_object_put(f->extra);
	f->extra = NULL;
	if (hs_fd_is_connection(f))
		clear_connection(f);
	else if (f->kind == HS_FD_FILE)
		free(f->file.path);
	else if (f->kind == HS_FD_PIPE || f->kind == HS_FD_PAIR)
		free(f->data.bytes);
	else if (f->kind == HS_FD_EPOLL)
		free(f->epoll.item);
}

void hs_fds_free(struct hs_fds *list)
{
	uint32_t i;

	for (i = 0; i < list->nr; i++)
		hs_fd_clear(&list->v[i]);
	hs_list_free(list);
}

/* Where @fd is, or would be. */
static uint32_t place_of(const struct hs_fds *list, int fd)
{
	uint32_t i = 0;

	while (i < list->nr && list->v[i].fd < fd)
		i++;
	return i;
}

struct hs_fd *hs_fds_find(const struct hs_fds *list, int fd)
{
	uint32_t i = place_of(list, fd);

	return i < list->nr && list->v[i].fd == fd ? &list->v[i] : NULL;
}

/* As if it had been registered here: what was in it has been given back. */
static void make_ours(struct hs_fd *f)
{
	struct stat st;

	if (!fstat(f->fd, &st)) {
		f->device = st.st_dev;
		f->inode = st.st_ino;
	}
	hs_fd_unix_keep(f);
	if (hs_fd_is_connection(f))
		clear_connection(f);
	if (f->kind == HS_FD_FILE || f->kind == HS_FD_SOCKET)
		return;
	hs_fd_clear(f);
	if (f->kind == HS_FD_PIPE || f->kind == HS_FD_PAIR) {
		f->data.bytes = NULL;
		f->data.len = 0;
	} else if (f->kind == HS_FD_EPOLL) {
		f->epoll = (struct hs_fd_epoll) { 0 };
	}
}

/* The list of who has been restored: in place of what is here. */
void hs_fds_adopt(struct hs_fds *list)
{
	uint32_t i;

	for (i = 0; i < list->nr; i++)
		make_ours(&list->v[i]);
	hs_lock(&lock);
	hs_fds_free(&registered);
	hs_list_adopt(&registered, list);
	hs_unlock(&lock);
}

enum hs_fds_tcp hs_fds_tcp(void)
{
	enum hs_fds_tcp found = HS_FDS_NO_TCP;
	const struct hs_fd *f;

	hs_lock(&lock);
	for (f = registered.v; f < registered.v + registered.nr && found != HS_FDS_CONNECTED; f++) {
		if (f->kind != HS_FD_SOCKET || f->socket.domain == AF_UNIX ||
		    f->socket.type != SOCK_STREAM)
			continue;
		found = f->socket.connected ? HS_FDS_CONNECTED : HS_FDS_LISTENING;
	}
	hs_unlock(&lock);
	return found;
}

static int insert(struct hs_fd *f)
{
	if (hs_fds_find(&registered, f->fd)) {
		errno = EEXIST;
		return -1;
	}
	return hs_list_insert(&registered, place_of(&registered, f->fd), f, UINT32_MAX);
}

/* Both or none of them; @v[1].fd may be -1. What they point to is taken over. */
static int insert_all(struct hs_fd *v)
{
	int ret;

	hs_lock(&lock);
	ret = insert(&v[0]);
	if (!ret && v[1].fd >= 0) {
		ret = insert(&v[1]);
		if (ret)
			hs_list_remove(&registered, hs_fds_find(&registered, v[0].fd));
	}
	hs_unlock(&lock);
	return ret;
}

bool hs_fd_is_registered(int fd)
{
	bool is;

	hs_lock(&lock);
	is = hs_fds_find(&registered, fd);
	hs_unlock(&lock);
	return is;
}

/*
 * Connections that were closed here keep the port for a minute, from who doesn't say that he
 * doesn't mind: both have to, so those that are still to come do.
 */
static void allow_to_come_back(struct hs_fd *f)
{
	const int on = 1;

	if (f->kind != HS_FD_SOCKET || f->socket.backlog < 0 || f->socket.domain == AF_UNIX)
		return;
	f->socket.reuse_addr = !setsockopt(f->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
}

/* @kind: what it has to be, and for a socket its @type; HS_FD_KINDS: anything. */
static int add(struct hs_fd *f, enum hs_fd_kind kind, const char *path, int type)
{
	struct hs_fd v[2] = { *f, { .fd = -1 } };

	if (hs_fd_is_registered(f->fd)) {
		errno = EEXIST;
		return -1;
	}
	if (hs_fd_query(&v[0], path, NULL))
		return -1;
	if ((kind != HS_FD_KINDS && v[0].kind != kind) ||
	    (kind == HS_FD_SOCKET && v[0].socket.type != type)) {
		hs_fd_clear(&v[0]);
		errno = EPROTOTYPE;
		return -1;
	}
	allow_to_come_back(&v[0]);
	hs_fd_connection_keep(&v[0]);
	if (!insert_all(v))
		return 0;
	hs_fd_connection_leave(&v[0]);
	hs_fd_clear(&v[0]);
	return -1;
}

int hs_fdreg(int fd)
{
	struct hs_fd f = {
		.fd = fd, .same_as = -1,
		.what = HS_FD_NAME | HS_FD_PEER | HS_FD_REFRESH | HS_FD_CONNECTED,
	};

	return add(&f, HS_FD_KINDS, NULL, 0);
}

int hs_fdreg_filefd(int fd, const char *path)
{
	struct hs_fd f = { .fd = fd, .same_as = -1 };

	if (path)
		return add(&f, HS_FD_FILE, path, 0);
	errno = EINVAL;
	return -1;
}

int hs_fdreg_sockudp4(int s, int flags)
{
	struct hs_fd f = { .fd = s, .same_as = -1 };

	f.what = (flags & HSFD_UDP4_GETNAME ? HS_FD_NAME : 0) |
		(flags & HSFD_UDP4_GETPEER ? HS_FD_PEER : 0) |
		(flags & HSFD_UDP4_CPTREFRESH ? HS_FD_REFRESH : 0);

	if (flags & ~(HSFD_UDP4_GETNAME | HSFD_UDP4_GETPEER | HSFD_UDP4_CPTREFRESH)) {
		errno = EINVAL;
		return -1;
	}
	return add(&f, HS_FD_SOCKET, NULL, SOCK_DGRAM);
}

int hs_fdreg_socktcp4_listen(int s)
{
	struct hs_fd f = { .fd = s, .what = HS_FD_NAME, .same_as = -1 };

	return add(&f, HS_FD_SOCKET, NULL, SOCK_STREAM);
}

int hs_fdreg_eventfd(int fd, int flags)
{
	struct hs_fd f = { .fd = fd, .kind = HS_FD_EVENT, .same_as = -1 };

	if (flags & ~(EFD_SEMAPHORE | EFD_CLOEXEC | EFD_NONBLOCK)) {
		errno = EINVAL;
		return -1;
	}
	f.event.semaphore = flags & EFD_SEMAPHORE;
	return add(&f, HS_FD_EVENT, NULL, 0);
}

/* An end of a pair has a peer, and neither of them a name. */
static int pair_type(int fd)
{
	struct sockaddr_un name, peer;
	socklen_t name_len = sizeof(name), peer_len = sizeof(peer), len = sizeof(int);
	int type;

	if (getsockname(fd, (struct sockaddr *)&name, &name_len) ||
	    getpeername(fd, (struct sockaddr *)&peer, &peer_len) ||
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len)) {
		errno = errno == ENOTSOCK ? EPROTOTYPE : errno;
		return -1;
	}
	if (name.sun_family == AF_UNIX && name_len == sizeof(sa_family_t) &&
	    peer_len == sizeof(sa_family_t))
		return type;
	errno = EPROTOTYPE;
	return -1;
}

int hs_fdreg_pair(int a, int b)
{
	struct hs_fd v[2] = {
		{ .fd = a, .kind = HS_FD_PAIR, .same_as = -1, .data = { .other = b } },
		{ .fd = b, .kind = HS_FD_PAIR, .same_as = -1, .data = { .other = a } },
	};

	v[0].data.type = pair_type(a);
	v[1].data.type = v[0].data.type < 0 ? -1 : pair_type(b);
	if (v[1].data.type < 0)
		return -1;
	if (a == b || v[0].data.type != v[1].data.type) {
		errno = EPROTOTYPE;
		return -1;
	}
	if (hs_fd_query(&v[0], NULL, NULL) || hs_fd_query(&v[1], NULL, NULL))
		return -1;
	return insert_all(v);
}

int hs_fd_deregister(int fd)
{
	struct hs_fd *f;

	hs_lock(&lock);
	f = hs_fds_find(&registered, fd);
	if (f) {
		hs_fd_connection_leave(f);
		hs_fd_clear(f);
		hs_list_remove(&registered, f);
	}
	hs_unlock(&lock);
	if (f)
		return 0;
	errno = ENOENT;
	return -1;
}

/*
 * Now, with all that changes. A descriptor that was closed since, or is another thing now,
 * is told. What is captured is the caller's to free.
 */
int hs_fds_capture(struct hs_fds *to, struct hs_error *e)
{
	uint32_t i;
	int ret = 0;

	hs_lock(&lock);
	*to = (struct hs_fds) { .v = calloc(registered.nr + 1, sizeof(*to->v)) };
	if (!to->v)
		ret = hs_fail(e, ENOMEM, "no memory for the list of descriptors");
	for (i = 0; !ret && i < registered.nr; i++) {
		ret = hs_fd_capture(&registered.v[i], &to->v[i], e);
		to->nr += !ret;
	}
	if (!ret)
		ret = hs_fds_settle(to, e);
	for (i = 0; !ret && i < to->nr; i++)
		if (to->v[i].kind == HS_FD_TIMER)
			registered.v[i].timer.idle = to->v[i].timer.idle;
	hs_unlock(&lock);
	if (!ret)
		ret = hs_fds_link(to, e);
	if (ret)
		hs_fds_free(to);
	return ret;
}
