// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libhotspare: what a descriptor is, as the kernel tells: fstat(2), socket options, and
 * /proc/self/fdinfo for those that have no calls to ask them.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "fd.h"
#include "js.h"

/*
 * /proc/self/fdinfo/N: lines "key: value"
 */

struct info {
	char *text;
	size_t len;
};

static int info_read(int fd, struct info *info)
{
	char path[40];
	FILE *f, *to;
	char buf[512];
	size_t n;

	*info = (struct info) { 0 };
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "re");
	to = f ? open_memstream(&info->text, &info->len) : NULL;
	if (!to) {
		if (f)
			fclose(f);
		return -1;
	}
	while ((n = fread(buf, 1, sizeof(buf), f)) > 0)
		fwrite(buf, 1, n, to);
	fclose(f);
	if (!fclose(to))
		return 0;
	free(info->text);
	return -1;
}

/* What follows the key, or NULL. */
static const char *info_get(const struct info *info, const char *key)
{
	size_t len = strlen(key);
	const char *p = info->text;

	while (p && *p) {
		if (!strncmp(p, key, len) && p[len] == ':')
			return p + len + 1;
		p = strchr(p, '\n');
		p += !!p;
	}
	return NULL;
}

static bool info_number(const struct info *info, const char *key, int base, uint64_t *value)
{
	const char *text = info_get(info, key);

	if (text)
		*value = strtoull(text, NULL, base);
	return text;
}

/*
 * Pipes and pairs: what was written and not read yet
 */

static int capture_bytes(struct hs_fd *f, int waiting, struct hs_error *e)
{
	if (waiting < 0 || (unsigned int)waiting > HS_FD_DATA_MAX)
		return hs_fail(e, EFBIG, "descriptor %d: more than %u bytes wait in it",
				  f->fd, HS_FD_DATA_MAX);
	f->data.len = (uint32_t)waiting;
	f->data.bytes = waiting ? malloc((size_t)waiting) : NULL;
	if (waiting && !f->data.bytes)
		return hs_fail(e, ENOMEM, "descriptor %d: no memory", f->fd);
	return 0;
}

/* By way of another pipe, since reading takes it out. */
static int peek_pipe(struct hs_fd *f)
{
	ssize_t n = -1;
	int p[2];

	if (pipe2(p, O_CLOEXEC | O_NONBLOCK))
		return -1;
	if (fcntl(p[1], F_SETPIPE_SZ, f->data.size) >= 0 &&
	    tee(f->fd, p[1], f->data.len, SPLICE_F_NONBLOCK) == f->data.len)
		n = read(p[0], f->data.bytes, f->data.len);
	close(p[0]);
	close(p[1]);
	return n == f->data.len ? 0 : -1;
}

/* A descriptor that comes along ends what is read at once, and there is no room for it. */
static int peek_pair(struct hs_fd *f)
{
	struct iovec iov = { .iov_base = f->data.bytes, .iov_len = f->data.len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n = recvmsg(f->fd, &msg, MSG_PEEK | MSG_DONTWAIT);

	if (n >= 0 && msg.msg_flags & MSG_CTRUNC)
		return -EBUSY;
	return n == f->data.len ? 0 : -1;
}

static int capture_data(struct hs_fd *f, struct hs_error *e)
{
	int waiting = 0, n;

	f->data.len = 0;
	f->data.bytes = NULL;
	if (f->kind == HS_FD_PIPE) {
		f->data.size = (uint32_t)fcntl(f->fd, F_GETPIPE_SZ);
		if ((f->flags & O_ACCMODE) == O_WRONLY)
			return 0;
	}
	if (ioctl(f->fd, FIONREAD, &waiting) || !waiting)
		return 0;
	if (f->kind == HS_FD_PAIR && f->data.type != SOCK_STREAM)
		return hs_fail(e, EBUSY, "descriptor %d: a message waits in it: read it "
				  "before the checkpoint", f->fd);
	if (capture_bytes(f, waiting, e))
		return -1;
	n = f->kind == HS_FD_PIPE ? peek_pipe(f) : peek_pair(f);
	if (n == -EBUSY)
		return hs_fail(e, EBUSY, "descriptor %d: a descriptor waits in it (SCM_RIGHTS): receive "
			       "it before the checkpoint", f->fd);
	if (!n)
		return 0;
	return hs_fail(e, EIO, "descriptor %d: the data that waits in it can't be read", f->fd);
}

/* Nothing comes in any more if the other end was told so, or this one. */
static int capture_pair(struct hs_fd *f, struct hs_error *e)
{
	struct pollfd p = { .fd = f->fd, .events = POLLRDHUP };

	f->data.shut = poll(&p, 1, 0) > 0 && p.revents & POLLRDHUP;
	return capture_data(f, e) || hs_fd_options_capture(f, e) ? -1 : 0;
}

/*
 * Those without a name
 */

static int capture_event(struct hs_fd *f, const struct info *info, struct hs_error *e)
{
	if (info_number(info, "eventfd-count", 16, &f->event.count))
		return 0;
	return hs_fail(e, EIO, "descriptor %d: no count in /proc/self/fdinfo", f->fd);
}

static int query_event(struct hs_fd *f, const struct info *info, struct hs_error *e)
{
	uint64_t semaphore;

	if (!info_number(info, "eventfd-semaphore", 10, &semaphore))
		return hs_fail(e, ENOTSUP, "descriptor %d: this kernel (before 6.5) doesn't report "
			       "EFD_SEMAPHORE: use hs_fdreg_eventfd()", f->fd);
	f->event.semaphore = semaphore;
	return 0;
}

static bool is_set(const struct timespec *t)
{
	return t->tv_sec || t->tv_nsec;
}

/* A time that is left becomes a time of day, unless there is none. */
static void add_now(struct timespec *t)
{
	struct timespec now;

	if (!is_set(t))
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	t->tv_sec += now.tv_sec;
	t->tv_nsec += now.tv_nsec;
	t->tv_sec += t->tv_nsec / 1000000000;
	t->tv_nsec %= 1000000000;
}

static bool is_later(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec != b->tv_sec ? a->tv_sec > b->tv_sec : a->tv_nsec > b->tv_nsec;
}

/*
 * Is what was told of one moment? Nothing fires while the time that is left goes down; and
 * what has fired for the last time doesn't any more. If nothing is left the timer may be one
 * that is to fire this very moment: the kernel tells the same of that as of one that isn't
 * set, until its interrupt has come.
 */
static bool is_sure(const struct hs_fd_timer *t, const struct itimerspec *before)
{
	if (is_set(&t->value.it_value))
		return !is_later(&t->value.it_value, &before->it_value);
	return t->ticks && !is_set(&before->it_value) && !is_set(&t->value.it_interval);
}

/* A time of day stays one. */
bool hs_fd_is_day(const struct hs_fd_timer *t)
{
	return (t->clock == CLOCK_REALTIME || t->clock == CLOCK_REALTIME_ALARM) &&
		t->set_flags & TFD_TIMER_ABSTIME;
}

/* Once. By timerfd_gettime(2) the kernel counts what has fired meanwhile, so that's first. */
static int ask_timer(struct hs_fd *f, struct hs_error *e)
{
	struct hs_fd_timer *t = &f->timer;
	uint64_t clock, set_flags;
	struct itimerspec before;
	struct info info;
	bool told;

	if (timerfd_gettime(f->fd, &before) || info_read(f->fd, &info))
		return hs_fail(e, EIO, "descriptor %d: the state of its timer can't be read",
			       f->fd);
	told = info_number(&info, "clockid", 10, &clock) &&
		info_number(&info, "ticks", 10, &t->ticks) &&
		info_number(&info, "settime flags", 8, &set_flags);
	free(info.text);
	if (!told || timerfd_gettime(f->fd, &t->value))
		return hs_fail(e, EIO, "descriptor %d: the state of its timer can't be read",
			       f->fd);
	t->clock = (int)clock;
	t->set_flags = (int)set_flags;
	t->sure = is_sure(t, &before);
	/* At once: others may be waited for before the end. */
	if (hs_fd_is_day(t))
		add_now(&t->value.it_value);
	return 0;
}

/*
 * How long the interrupt is waited for, which mostly takes microseconds. A program whose
 * timer has fired is no rare one, and its cut shall be short; one that isn't set but has an
 * interval is, and one that is lost never comes again. Once is enough.
 */
static uint64_t patience_ns(const struct hs_fd_timer *t)
{
	if (t->idle)
		return 0;
	return !is_set(&t->value.it_value) && is_set(&t->value.it_interval) ? 100000000 : 1000000;
}

static int settle_timer(struct hs_fd *f, uint64_t start, struct hs_error *e)
{
	struct hs_fd_timer *t = &f->timer;
	bool last = false;

	while (!t->sure && !last) {
		/* What has come in time is seen, however late we look. */
		last = hs_now_ns() - start >= patience_ns(t);
		if (ask_timer(f, e))
			return -1;
	}
	t->idle = !t->sure && !is_set(&t->value.it_value);
	return 0;
}

/* After all have been captured: so it is waited for once. */
int hs_fds_settle(struct hs_fds *list, struct hs_error *e)
{
	uint64_t start = hs_now_ns();
	uint32_t i;

	for (i = 0; i < list->nr; i++)
		if (list->v[i].kind == HS_FD_TIMER && settle_timer(&list->v[i], start, e))
			return -1;
	return 0;
}

static int capture_signals(struct hs_fd *f, const struct info *info, struct hs_error *e)
{
	uint64_t mask;
	int sig;

	if (!info_number(info, "sigmask", 16, &mask))
		return hs_fail(e, EIO, "descriptor %d: no mask in /proc/self/fdinfo", f->fd);
	sigemptyset(&f->signals);
	for (sig = 1; sig <= 64; sig++)
		if (mask & 1ULL << (sig - 1))
			sigaddset(&f->signals, sig);
	return 0;
}

static int capture_epoll(struct hs_fd *f, const struct info *info, struct hs_error *e)
{
	static const struct hs_epoll_params none;
	struct hs_epoll_params params = none;
	const char *p = info->text;
	uint32_t room = 0;

	/* Since Linux 6.9. */
	if (!ioctl(f->fd, HS_EPOLL_GET, &params) && memcmp(&params, &none, sizeof(none)))
		js_put_hex(f->extra, "busy_poll", &params, sizeof(params));
	f->epoll.nr = 0;
	f->epoll.item = NULL;
	for (; p && *p; p = strchr(p, '\n'), p += !!p) {
		struct hs_fd_epoll_item item = { 0 }, *v;
		unsigned long long data;

		if (sscanf(p, "tfd: %d events: %x data: %llx", &item.fd, &item.event.events,
			   &data) != 3)
			continue;
		item.event.data.u64 = data;
		if (f->epoll.nr == room) {
			room = room ? room * 2 : 16;
			v = reallocarray(f->epoll.item, room, sizeof(*v));
			if (!v)
				return hs_fail(e, ENOMEM, "descriptor %d: no memory", f->fd);
			f->epoll.item = v;
		}
		f->epoll.item[f->epoll.nr++] = item;
	}
	return 0;
}

/*
 * All of them
 */

static enum hs_fd_kind kind_of(const struct stat *st, const char *link)
{
	static const struct {
		const char *link;
		enum hs_fd_kind kind;
	} anon[] = {
		{ "anon_inode:[eventfd]", HS_FD_EVENT },
		{ "anon_inode:[timerfd]", HS_FD_TIMER },
		{ "anon_inode:[signalfd]", HS_FD_SIGNAL },
		{ "anon_inode:[eventpoll]", HS_FD_EPOLL },
	};
	size_t i;

	for (i = 0; i < sizeof(anon) / sizeof(anon[0]); i++)
		if (!strcmp(link, anon[i].link))
			return anon[i].kind;
	if (S_ISSOCK(st->st_mode))
		return HS_FD_SOCKET;
	if (S_ISFIFO(st->st_mode) && !strncmp(link, "pipe:", 5))
		return HS_FD_PIPE;
	if (link[0] == '/' && hs_is_file(st->st_mode))
		return HS_FD_FILE;
	return HS_FD_KINDS;
}

/* How the kernel names it. Returns 0, or -1 with errno. */
int hs_fd_link(int fd, char *link, size_t len)
{
	char path[40];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, link, len - 1);
	if (n < 0)
		return -1;
	link[n] = 0;
	return 0;
}

/*
 * What is the same as long as it is registered. f->what and, for pairs, f->kind say what
 * the caller knows; @path is a file's, or NULL.
 */
int hs_fd_query(struct hs_fd *f, const char *path, struct hs_error *e)
{
	enum hs_fd_kind kind;
	struct info info;
	char link[4096];
	struct stat st;
	int ret = 0;

	if (fstat(f->fd, &st))
		return hs_fail(e, errno, "descriptor %d: %s", f->fd, strerror(errno));
	if (hs_fd_link(f->fd, link, sizeof(link)) || info_read(f->fd, &info))
		return hs_fail(e, errno, "descriptor %d: /proc can't be read: mount it",
				  f->fd);
	kind = f->kind == HS_FD_PAIR ? HS_FD_PAIR : kind_of(&st, link);
	/* Opened for its name only. */
	if (fcntl(f->fd, F_GETFL) & O_PATH)
		kind = HS_FD_KINDS;
	f->device = st.st_dev;
	f->inode = st.st_ino;
	if (kind == HS_FD_FILE)
		ret = hs_fd_file_query(f, &st, path, link, e);
	else if (kind == HS_FD_SOCKET)
		ret = hs_fd_socket_query(f, e);
	else if (kind == HS_FD_EVENT && f->kind != HS_FD_EVENT)
		ret = query_event(f, &info, e);
	else if (kind == HS_FD_KINDS)
		ret = hs_fail(e, EOPNOTSUPP, "descriptor %d: '%s' can't be saved", f->fd,
				 link);
	free(info.text);
	f->kind = ret ? f->kind : kind;
	return ret;
}

static int capture_kind(const struct hs_fd *from, struct hs_fd *f, const struct stat *st,
			struct hs_error *e)
{
	struct info info;
	int ret = 0;

	switch (f->kind) {
	case HS_FD_FILE:
		return hs_fd_file_capture(f, st, e);
	case HS_FD_SOCKET:
		return hs_fd_socket_capture(from, f, e);
	case HS_FD_PAIR:
		return capture_pair(f, e);
	case HS_FD_PIPE:
		return capture_data(f, e);
	case HS_FD_TIMER:
		return ask_timer(f, e);
	default:
		break;
	}
	if (info_read(f->fd, &info))
		return hs_fail(e, errno, "descriptor %d: /proc can't be read", f->fd);
	if (f->kind == HS_FD_EVENT)
		ret = capture_event(f, &info, e);
	else if (f->kind == HS_FD_SIGNAL)
		ret = capture_signals(f, &info, e);
	else
		ret = capture_epoll(f, &info, e);
	free(info.text);
	return ret;
}

/* The one that is registered as @from, as it is now. */
int hs_fd_capture(const struct hs_fd *from, struct hs_fd *to, struct hs_error *e)
{
	struct stat st;
	int fd_flags;

	*to = *from;
	to->extra = json_object_new_object();
	if (to->kind == HS_FD_FILE) {
		to->file.path = strdup(from->file.path);
		if (!to->file.path)
			return hs_fail(e, ENOMEM, "descriptor %d: no memory", to->fd);
	} else if (to->kind == HS_FD_PIPE || to->kind == HS_FD_PAIR) {
		to->data.bytes = NULL;
	} else if (to->kind == HS_FD_EPOLL) {
		to->epoll.item = NULL;
	} else if (hs_fd_is_connection(to)) {
		to->socket.tcp = NULL;
		to->socket.made = -1;
	}
	fd_flags = fcntl(to->fd, F_GETFD);
	to->flags = fcntl(to->fd, F_GETFL);
	if (fstat(to->fd, &st) || st.st_dev != to->device || st.st_ino != to->inode) {
		hs_fd_clear(to);
		return hs_fail(e, EBADF, "descriptor %d was closed, or is another object now: "
			       "deregister it before you close it (hs_fd_deregister)", from->fd);
	}
	to->cloexec = fd_flags & FD_CLOEXEC;
	if (to->extra && !capture_kind(from, to, &st, e) && !hs_fd_locks_capture(to, e))
		return 0;
	if (!to->extra)
		hs_fail(e, ENOMEM, "descriptor %d: no memory", to->fd);
	hs_fd_clear(to);
	return -1;
}

/*
 * What belongs together
 */

/* 1 if it is one open file, 0 if not, -1: nobody tells. */
static int same_file(const struct hs_fd *a, const struct hs_fd *b, struct hs_error *e)
{
	pid_t pid;
	long ret;

	if (a->kind != b->kind || a->device != b->device || a->inode != b->inode)
		return 0;
	/* Not before: each pair of descriptors comes here at each cut. */
	pid = getpid();
	ret = syscall(SYS_kcmp, pid, pid, KCMP_FILE, a->fd, b->fd);
	if (ret >= 0)
		return !ret;
	/* In some containers. Of files it matters: one offset, or two? */
	if (a->kind != HS_FD_FILE || a->flags != b->flags ||
	    a->file.offset != b->file.offset)
		return 0;
	return hs_fail(e, ENOTSUP, "descriptors %d and %d may be one open file; kcmp(2), which "
		       "could tell, isn't allowed here: deregister one of them", a->fd, b->fd);
}

static int find_same(struct hs_fds *list, uint32_t i, struct hs_error *e)
{
	uint32_t j;
	int same;

	for (j = 0; j < i; j++) {
		if (list->v[j].same_as >= 0)
			continue;
		same = same_file(&list->v[j], &list->v[i], e);
		if (same < 0)
			return -1;
		if (!same)
			continue;
		list->v[i].same_as = list->v[j].fd;
		return 0;
	}
	return 0;
}

/* A process that writes has written its last, or nobody reads any more. */
static bool other_is_closed(const struct hs_fd *f)
{
	struct pollfd p = { .fd = f->fd };

	return poll(&p, 1, 0) > 0 && p.revents & (POLLHUP | POLLERR);
}

static int find_other_end(struct hs_fds *list, struct hs_fd *f, struct hs_error *e)
{
	uint32_t i;

	for (i = 0; i < list->nr; i++) {
		const struct hs_fd *o = &list->v[i];

		if (o->kind == HS_FD_PIPE && o->inode == f->inode && o->device == f->device &&
		    (o->flags & O_ACCMODE) != (f->flags & O_ACCMODE) && o->same_as < 0) {
			f->data.other = o->fd;
			if (f->data.len && o->flags & O_DIRECT)
				return hs_fail(e, EBUSY, "descriptor %d: a packet waits in it: "
					       "read it before the checkpoint", f->fd);
			return 0;
		}
	}
	f->data.other = -1;
	if (other_is_closed(f))
		return 0;
	return hs_fail(e, EPIPE, "descriptor %d: the other end of this pipe isn't "
			  "registered", f->fd);
}

/* An end may have been opened again (/proc/self/fd): a pipe with more than two open files. */
static int check_ends(const struct hs_fds *list, const struct hs_fd *f, struct hs_error *e)
{
	const struct hs_fd *o;

	for (o = list->v; o < list->v + list->nr; o++)
		if (o != f && o->kind == HS_FD_PIPE && o->same_as < 0 && o->inode == f->inode &&
		    o->device == f->device && o->fd != f->data.other)
			return hs_fail(e, EOPNOTSUPP, "descriptor %d: descriptor %d is the same end of this pipe, "
				       "opened again", f->fd, o->fd);
	return 0;
}

/*
 * The set has open files: does the number still lead to the one that was added? Where kcmp(2)
 * isn't allowed nobody tells.
 */
static bool is_target(const struct hs_fd *f, uint32_t i)
{
	const struct hs_fd_epoll_item *item = f->epoll.item;
	struct kcmp_epoll_slot slot = { .efd = (uint32_t)f->fd, .tfd = (uint32_t)item[i].fd };
	pid_t pid = getpid();
	uint32_t j;

	for (j = 0; j < i; j++)
		slot.toff += item[j].fd == item[i].fd;
	return syscall(SYS_kcmp, pid, pid, KCMP_EPOLL_TFD, item[i].fd, &slot) <= 0;
}

static int check_epoll(const struct hs_fds *list, const struct hs_fd *f,
		       struct hs_error *e)
{
	uint32_t i;

	for (i = 0; i < f->epoll.nr; i++) {
		if (!hs_fds_find(list, f->epoll.item[i].fd))
			return hs_fail(e, ENOENT, "descriptor %d: this epoll set contains "
				       "descriptor %d, which isn't registered",
				       f->fd, f->epoll.item[i].fd);
		if (!is_target(f, i))
			return hs_fail(e, ENOENT, "descriptor %d: this epoll set still contains "
				       "the file that descriptor %d was before it was closed: "
				       "remove a descriptor (EPOLL_CTL_DEL) before you close it",
				       f->fd, f->epoll.item[i].fd);
	}
	return 0;
}

/* Several numbers for one open file, the two ends of a pipe, what an epoll set has. */
int hs_fds_link(struct hs_fds *list, struct hs_error *e)
{
	uint32_t i;
	int ret = 0;

	for (i = 0; !ret && i < list->nr; i++)
		ret = find_same(list, i, e);
	for (i = 0; !ret && i < list->nr; i++) {
		struct hs_fd *f = &list->v[i];

		if (f->kind == HS_FD_PIPE && f->same_as < 0)
			ret = find_other_end(list, f, e) || check_ends(list, f, e) ? -1 : 0;
		else if (f->kind == HS_FD_EPOLL)
			ret = check_epoll(list, f, e);
	}
	return ret;
}
