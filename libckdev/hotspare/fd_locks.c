// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libhotspare: what the kernel keeps for an open file of any kind: locks and leases, and who gets
 * signals about it. /proc/self/fdinfo tells the first.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "clock.h"
#include "fd.h"
#include "js.h"

enum lock_kind { FLOCK, OPEN_FILE, PROCESS, LEASE, LOCK_KINDS };

static const char *const kind_text[LOCK_KINDS] = { "flock", "ofd", "posix", "lease" };

enum owner_kind { SELF, MAIN_THREAD, GROUP, OWNER_KINDS };

static const char *const owner_text[OWNER_KINDS] = { "process", "thread", "group" };

/*
 * At the cut
 */

/* "1: FLOCK  ADVISORY  WRITE 1234 08:01:131 0 EOF" */
static int put_lock(const struct hs_fd *f, const char *line, struct json_object *list,
		    struct hs_error *e)
{
	static const char *const words[LOCK_KINDS] = { "FLOCK", "OFDLCK", "POSIX", "LEASE" };
	char kind[16], state[16], mode[16], end[32];
	struct json_object *o;
	long long start;
	int i;

	if (sscanf(line, "%*u: %15s %15s %15s %*d %*s %lld %31s", kind, state, mode, &start, end) != 5)
		return hs_fail(e, EIO, "descriptor %d: a lock in /proc/self/fdinfo has an unknown "
			       "form", f->fd);
	for (i = 0; i < LOCK_KINDS && strcmp(kind, words[i]); i++)
		;
	if (i == LOCK_KINDS)
		return hs_fail(e, EOPNOTSUPP, "descriptor %d: a lock of kind %s can't be saved", f->fd,
			       kind);
	if (i == LEASE && strcmp(state, "ACTIVE"))
		return hs_fail(e, EBUSY, "descriptor %d: its lease is being broken: give it up before "
			       "the checkpoint", f->fd);
	o = json_object_new_object();
	js_put_text(o, "kind", kind_text[i]);
	js_put_bool(o, "write", !strcmp(mode, "WRITE"));
	js_put_i64(o, "start", start);
	js_put_i64(o, "end", strcmp(end, "EOF") ? strtoll(end, NULL, 10) : INT64_MAX);
	json_object_array_add(list, o);
	return 0;
}

static int capture_locks(struct hs_fd *f, struct hs_error *e)
{
	struct json_object *list = json_object_new_array();
	char path[40], line[256];
	int ret = 0;
	FILE *info;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", f->fd);
	info = fopen(path, "re");
	if (!info)
		ret = hs_fail(e, errno, "descriptor %d: /proc can't be read", f->fd);
	while (!ret && fgets(line, sizeof(line), info))
		if (!strncmp(line, "lock:", 5))
			ret = put_lock(f, line + 5, list, e);
	if (info)
		fclose(info);
	if (!ret && json_object_array_length(list))
		json_object_object_add(f->extra, "locks", list);
	else
		json_object_put(list);
	return ret;
}

/* Other processes and threads aren't there after a restart. */
static int capture_owner(struct hs_fd *f, struct hs_error *e)
{
	struct f_owner_ex owner = { 0 };
	int kind;

	js_put_i64(f->extra, "signal", fcntl(f->fd, F_GETSIG));
	if (fcntl(f->fd, F_GETOWN_EX, &owner) || !owner.pid)
		return 0;
	if (owner.type == F_OWNER_PID && owner.pid == getpid())
		kind = SELF;
	else if (owner.type == F_OWNER_TID && owner.pid == getpid())
		kind = MAIN_THREAD;
	else if (owner.type == F_OWNER_PGRP && owner.pid == getpgrp())
		kind = GROUP;
	else
		return hs_fail(e, EOPNOTSUPP, "descriptor %d: its signals go to another process or "
			       "thread (F_SETOWN), which a restart doesn't have", f->fd);
	js_put_text(f->extra, "owner", owner_text[kind]);
	return 0;
}

/* Into f->extra. Returns 0, or -1 with errno and @e. */
int hs_fd_locks_capture(struct hs_fd *f, struct hs_error *e)
{
	return capture_owner(f, e) || (f->kind == HS_FD_FILE && capture_locks(f, e)) ? -1 : 0;
}

/*
 * At the restart
 */

struct lock {
	enum lock_kind kind;
	bool write;
	int64_t start, end;
};

static void get_lock(struct js_from *from, struct json_object *o, struct lock *l)
{
	struct js_from in = { .o = o };

	*l = (struct lock) { 0 };
	if (!json_object_is_type(o, json_type_object)) {
		from->bad = from->bad ?: "locks";
		return;
	}
	l->kind = (enum lock_kind)js_get_word(&in, "kind", kind_text, LOCK_KINDS);
	l->write = js_get_bool(&in, "write");
	l->start = js_get_i64(&in, "start", 0, INT64_MAX);
	l->end = js_get_i64(&in, "end", l->start, INT64_MAX);
	from->bad = from->bad ?: in.bad;
}

static int try_lock(int fd, const struct lock *l)
{
	struct flock range = {
		.l_type = l->write ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET, .l_start = l->start,
		.l_len = l->end == INT64_MAX ? 0 : l->end - l->start + 1,
	};

	switch (l->kind) {
	case FLOCK:
		return flock(fd, (l->write ? LOCK_EX : LOCK_SH) | LOCK_NB);
	case OPEN_FILE:
		return fcntl(fd, F_OFD_SETLK, &range);
	case PROCESS:
		return fcntl(fd, F_SETLK, &range);
	default:
		return fcntl(fd, F_SETLEASE, l->write ? F_WRLCK : F_RDLCK);
	}
}

/*
 * The process that was killed may have one that still writes a checkpoint, with its open files:
 * that takes no longer than another host's answer may.
 */
static int take_lock(const struct hs_fd *f, int fd, const struct lock *l, struct hs_error *e)
{
	const uint64_t limit = hs_now_ns() + hs_timeout() * 1000000000ULL;
	const struct timespec little = { .tv_nsec = 10000000 };
	int ret;

	while ((ret = try_lock(fd, l)) && (errno == EAGAIN || errno == EACCES) && hs_now_ns() < limit)
		nanosleep(&little, NULL);
	if (!ret)
		return 0;
	if (errno == EAGAIN || errno == EACCES)
		return hs_fail(e, EAGAIN, "descriptor %d: another process holds its lock (%s) "
			       "here: end that process first", f->fd, kind_text[l->kind]);
	return hs_fail(e, errno, "descriptor %d: its lock (%s): %s", f->fd, kind_text[l->kind],
		       strerror(errno));
}

/* Those of the process, or the others. @fd -1: only look whether they make sense. */
static int set_locks(const struct hs_fd *f, int fd, bool of_process, struct js_from *from,
		     struct hs_error *e)
{
	struct json_object *list = js_get(from, "locks", json_type_array, false);
	struct lock l;
	size_t i;

	for (i = 0; list && i < json_object_array_length(list); i++) {
		get_lock(from, json_object_array_get_idx(list, i), &l);
		if (from->bad)
			return 0;
		if (fd >= 0 && (l.kind == PROCESS) == of_process && take_lock(f, fd, &l, e))
			return -1;
	}
	return 0;
}

static int set_owner(int fd, int kind)
{
	const struct f_owner_ex owner = {
		.type = kind == SELF ? F_OWNER_PID : kind == GROUP ? F_OWNER_PGRP : F_OWNER_TID,
		.pid = kind == GROUP ? getpgrp() : getpid(),
	};

	return fcntl(fd, F_SETOWN_EX, &owner);
}

/*
 * On a new open file. A lease has made the process its owner. Returns 0, or -1 with errno and
 * @e; @from says what makes no sense.
 */
int hs_fd_locks_set(const struct hs_fd *f, int fd, struct js_from *from, struct hs_error *e)
{
	int signal = (int)js_get_i64(from, "signal", 0, 64), owner = -1;

	if (json_object_object_get(from->o, "owner"))
		owner = js_get_word(from, "owner", owner_text, OWNER_KINDS);
	if (set_locks(f, fd, false, from, e))
		return -1;
	if (fd < 0 || from->bad)
		return 0;
	if ((signal && fcntl(fd, F_SETSIG, signal)) || (owner >= 0 && set_owner(fd, owner)))
		return hs_fail(e, errno, "descriptor %d: the receiver of its signals: %s", f->fd,
			       strerror(errno));
	return 0;
}

/*
 * Those that any close(2) of the same file by this process would take away: last of all. Returns
 * 0, or -1 with errno and @e.
 */
int hs_fds_lock(const struct hs_fds *list, struct hs_error *e)
{
	const struct hs_fd *f;

	for (f = list->v; f < list->v + list->nr; f++) {
		struct js_from from = { .o = f->extra };

		if (f->extra && f->same_as < 0 && set_locks(f, f->fd, true, &from, e))
			return -1;
	}
	return 0;
}

/* Signals about them, from here on: what handles them is back. */
void hs_fds_arm(const struct hs_fds *list)
{
	const struct hs_fd *f;

	for (f = list->v; f < list->v + list->nr; f++)
		if (f->flags & O_ASYNC && f->same_as < 0)
			fcntl(f->fd, F_SETFL, fcntl(f->fd, F_GETFL) | O_ASYNC);
}
