// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The soft engine: the socket, and the programs that connect to it. All descriptors are in one
 * epoll set, which the daemon's loop watches as it watches the module's events; one thing is
 * looked at at a time, so that none refers to what another has just freed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "log.h"
#include "soft_program.h"
#include "unix_bind.h"

int soft_watch(struct soft *s, struct soft_watch *w, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLRDHUP, .data.ptr = w };

	if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &ev))
		return -errno;
	w->fd = fd;
	return 0;
}

/* In words: somebody else may hold the same open file, and closing it would say nothing. */
void soft_unwatch(struct soft *s, struct soft_watch *w)
{
	if (w->fd >= 0)
		epoll_ctl(s->epoll, EPOLL_CTL_DEL, w->fd, NULL);
	w->fd = -1;
}

static void watch_close(struct soft *s, struct soft_watch *w)
{
	int fd = w->fd;

	soft_unwatch(s, w);
	if (fd >= 0)
		close(fd);
}

void soft_client_free(struct soft_client *c)
{
	struct soft *s = c->s;

	LIST_REMOVE(c, entry);
	s->nr_clients--;
	while (!LIST_EMPTY(&c->waits))
		soft_wait_free(LIST_FIRST(&c->waits));
	if (c->session)
		c->session->rec.end = soft_end(c, &c->session->rec.end_code);
	watch_close(s, &c->socket);
	watch_close(s, &c->process);
	watch_close(s, &c->alive);
	soft_end_free(c);
	if (c->session)
		soft_session_end(s, c->session);
	if (c->file >= 0)
		s->kernel.ops->close(&s->kernel, c->file);
	free(c);
}

/*
 * The process has ended, and its session with it, though a child may hold the socket. Its last
 * messages may report the end. Their number is bounded, because a child may send without end.
 */
static void process_ended(struct soft_watch *w)
{
	struct soft_client *c = container_of(w, struct soft_client, process);
	struct soft_message m;
	int left = SOFT_LAST_WORDS;

	while (left-- && soft_receive(c->socket.fd, &m) > 0) {
		if (m.cmd == SOFT_END) {
			struct soft_reply r = { .fd = -1 };

			soft_call(c, &m, &r);
		}
		soft_message_end(&m);
	}
	soft_client_free(c);
}

static void client_readable(struct soft_watch *w)
{
	struct soft_client *c = container_of(w, struct soft_client, socket);
	struct soft_reply r = { .fd = -1 };
	struct soft_message m;
	int ret = soft_receive(w->fd, &m);

	if (ret <= 0) {
		if (ret < 0)
			soft_client_free(c);
		return;
	}
	ret = soft_call(c, &m, &r);
	if (!r.later)
		soft_answer(m.reply, ret, m.arg, ret == -ENOTTY ? 0 : MIN(m.len, sizeof(m.arg)),
			    r.entries, r.bytes, r.fd);
	if (r.fd >= 0)
		close(r.fd);
	soft_message_end(&m);
}

/* Takes over @fd, also on failure. */
int soft_client_new(struct soft *s, int fd, struct soft_client **cp)
{
	struct soft_client *c = NULL;
	int one = 1, ret = -EDQUOT;

	if (s->nr_clients < s->clients_max) {
		c = calloc(1, sizeof(*c));
		ret = c ? 0 : -ENOMEM;
	}
	if (!ret && setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)))
		ret = -errno;
	if (!ret) {
		c->s = s;
		c->file = c->maps = -1;
		c->socket = (struct soft_watch) { .fd = -1, .fn = client_readable };
		c->process = (struct soft_watch) { .fd = -1, .fn = process_ended };
		c->alive = (struct soft_watch) { .fd = -1, .fn = soft_alive_expired };
		LIST_INIT(&c->waits);
		ret = soft_watch(s, &c->socket, fd);
	}
	if (ret) {
		free(c);
		close(fd);
		return ret;
	}
	LIST_INSERT_HEAD(&s->clients, c, entry);
	s->nr_clients++;
	*cp = c;
	return 0;
}

struct soft_caller soft_caller_of(u32 uid)
{
	return (struct soft_caller) { .uid = uid, .capable = !uid || uid == geteuid() };
}

static void client_identify(struct soft_client *c)
{
	struct ucred cred = {};
	socklen_t len = sizeof(cred);
	int pidfd;

	if (getsockopt(c->socket.fd, SOL_SOCKET, SO_PEERCRED, &cred, &len))
		cred = (struct ucred) { .uid = -1 };
	c->who = soft_caller_of(cred.uid);
	c->pid = cred.pid;
	pidfd = c->pid ? (int)syscall(SYS_pidfd_open, c->pid, 0) : -1;
	if (pidfd >= 0 && soft_watch(c->s, &c->process, pidfd))
		close(pidfd);
	soft_end_begin(c);
}

/* One user can't keep the others out. */
static bool too_many(const struct soft_client *c)
{
	const struct soft_client *other;
	u32 own = 0;

	for (other = LIST_FIRST(&c->s->clients); other; other = LIST_NEXT(other, entry))
		own += other->who.uid == c->who.uid;
	return own > c->s->clients_max / 2 && !c->who.capable;
}

/*
 * The socket
 */

struct soft_listener {
	struct soft_watch watch;
	struct soft *s;
	int spare;		/* a descriptor for when there is none left */
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
};

/* A program that can't be served is sent away: left in the queue, the socket would stay readable. */
static void accept_scarce(struct soft_listener *l)
{
	int fd;

	if (l->spare >= 0)
		close(l->spare);
	fd = accept4(l->watch.fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0)
		close(fd);
	l->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void program_comes(struct soft_watch *w)
{
	struct soft_listener *l = container_of(w, struct soft_listener, watch);
	int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct soft_client *c;

	if (fd < 0 && (errno == EMFILE || errno == ENFILE))
		accept_scarce(l);
	if (fd < 0 || soft_client_new(l->s, fd, &c))
		return;
	client_identify(c);
	if (too_many(c))
		soft_client_free(c);
}

static int socket_open(const char *path)
{
	int fd = unix_bind(path, SOCK_SEQPACKET), one = 1, ret = 0;

	if (fd < 0)
		return fd;
	if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)) ||
	    listen(fd, SOMAXCONN))
		ret = -errno;
	if (!ret)
		return fd;
	close(fd);
	return ret;
}

static struct soft_listener *listener_new(struct soft *s, const char *path)
{
	struct soft_listener *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	strcpy(l->path, path);
	l->s = s;
	l->watch = (struct soft_watch) { .fd = -1, .fn = program_comes };
	l->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return l;
}

/* One set for all, the engine's own events as well: those have no pointer. */
static int watch_all(struct soft *s, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN };

	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (s->epoll < 0 || epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->eventfd, &ev))
		return -errno;
	return soft_watch(s, &s->listener->watch, fd);
}

int soft_programs_open(struct soft *s, const char *path)
{
	int fd, ret;

	if (strlen(path) >= sizeof(s->listener->path))
		return -ENAMETOOLONG;
	fd = socket_open(path);
	if (fd < 0)
		return fd;
	s->listener = listener_new(s, path);
	ret = s->listener ? watch_all(s, fd) : -ENOMEM;
	if (ret)
		close(fd);
	return ret;
}

bool soft_program_turn(struct soft *s)
{
	struct epoll_event ev;
	struct soft_watch *w;
	eventfd_t count;

	if (!s->listener || epoll_wait(s->epoll, &ev, 1, 0) != 1)
		return false;
	w = ev.data.ptr;
	if (w)
		w->fn(w);
	else
		eventfd_read(s->eventfd, &count);
	return true;
}

void soft_program_close(struct soft *s)
{
	struct soft_listener *l = s->listener;

	while (!LIST_EMPTY(&s->clients))
		soft_client_free(LIST_FIRST(&s->clients));
	if (!l)
		return;
	if (l->watch.fd >= 0)
		unlink(l->path);
	watch_close(s, &l->watch);
	if (l->spare >= 0)
		close(l->spare);
	if (s->epoll >= 0)
		close(s->epoll);
	s->epoll = -1;
	free(l);
	s->listener = NULL;
}
