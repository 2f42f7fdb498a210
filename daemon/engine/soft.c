// SPDX-License-Identifier: GPL-2.0-or-later
/* The soft engine: descriptors, events, and the table of calls. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "soft_parts.h"

static struct soft *to_soft(struct kernel *k)
{
	return container_of(k, struct soft, kernel);
}

/*
 * Events
 */

void soft_event(struct soft *s, u8 cmd, const struct session_rec *session,
		const struct replica_rec *replica)
{
	struct soft_event *e = &s->event[s->nr_events];

	if (s->nr_events < SOFT_EVENTS) {
		s->nr_events++;
		e->cmd = cmd;
		e->is_session = session;
		if (session)
			e->session = *session;
		else
			e->replica = *replica;
	} else {
		s->lost_events = true;
	}
	eventfd_write(s->eventfd, 1);
}

/* As with a new socket of netlink: who listens hears what happens from now on. */
static int soft_listen(struct kernel *k)
{
	struct soft *s = to_soft(k);

	s->nr_events = 0;
	s->lost_events = false;
	return s->listener ? s->epoll : s->eventfd;
}

static void event_tell(const struct soft_event *e, kernel_event_fn fn, void *arg)
{
	struct kernel_event ev = { .cmd = e->cmd };

	if (e->is_session)
		ev.session = &e->session;
	else
		ev.replica = &e->replica;
	fn(&ev, arg);
}

/* Requests of programs that are handled in one go: others have to get their turn. */
#define TURNS	64

/* What is done about an event may cause the next one, which comes in the next turn. */
static int soft_events(struct kernel *k, kernel_event_fn fn, void *arg)
{
	struct soft *s = to_soft(k);
	eventfd_t count;
	u32 nr, i;

	for (i = 0; i < TURNS && soft_program_turn(s); i++)
		;
	eventfd_read(s->eventfd, &count);
	nr = s->nr_events;
	if (s->lost_events) {
		s->lost_events = false;
		s->nr_events = 0;
		return -ENOBUFS;
	}
	for (i = 0; i < nr; i++)
		event_tell(&s->event[i], fn, arg);
	s->nr_events -= nr;
	memmove(s->event, s->event + nr, s->nr_events * sizeof(*s->event));
	return 0;
}

static int soft_dump(struct kernel *k, u8 cmd, kernel_event_fn fn, void *arg)
{
	struct soft *s = to_soft(k);
	struct kernel_event ev = { .cmd = cmd };
	struct soft_session *se;
	struct soft_replica *r;

	se = cmd == CPTDEV_CMD_SESSION_GET ? LIST_FIRST(&s->sessions) : NULL;
	for (; se; se = LIST_NEXT(se, entry)) {
		ev.session = soft_session_rec(se);
		fn(&ev, arg);
	}
	r = cmd == CPTDEV_CMD_REPLICA_GET ? LIST_FIRST(&s->replicas) : NULL;
	for (; r; r = LIST_NEXT(r, entry)) {
		if (!r->named)
			continue;
		ev.replica = soft_replica_answer(s, r);
		fn(&ev, arg);
	}
	return 0;
}

/*
 * Descriptors. Each is a real one, so that nobody else has its number.
 */

struct soft_file *soft_file(const struct soft *s, int fd)
{
	return fd >= 0 && (u32)fd < s->nr_files ? s->file[fd] : NULL;
}

static int files_grow(struct soft *s, u32 nr)
{
	struct soft_file **v;

	if (nr <= s->nr_files)
		return 0;
	v = realloc(s->file, nr * sizeof(*v));
	if (!v)
		return -ENOMEM;
	memset(v + s->nr_files, 0, (nr - s->nr_files) * sizeof(*v));
	s->file = v;
	s->nr_files = nr;
	return 0;
}

int soft_file_add(struct soft *s, int fd, enum soft_kind kind)
{
	struct soft_file *f = calloc(1, sizeof(*f));
	int ret = f ? files_grow(s, fd + 1) : -ENOMEM;

	if (ret) {
		free(f);
		close(fd);
		return ret;
	}
	f->kind = kind;
	s->file[fd] = f;
	return fd;
}

int soft_file_new(struct soft *s, enum soft_kind kind)
{
	int fd = eventfd(0, EFD_CLOEXEC);

	return fd < 0 ? -errno : soft_file_add(s, fd, kind);
}

static int soft_kernel_open(struct kernel *k)
{
	return soft_file_new(to_soft(k), SOFT_DEVICE);
}

static void soft_kernel_close(struct kernel *k, int fd)
{
	struct soft *s = to_soft(k);
	struct soft_file *f = soft_file(s, fd);

	if (!f)
		return;
	if (f->kind == SOFT_REPLICA)
		soft_replica_close(s, fd);
	else if (f->kind == SOFT_SNAPSHOT)
		soft_snap_put(f->snap);
	else
		soft_session_unfollow(s, fd);
	s->file[fd] = NULL;
	free(f);
	close(fd);
}

/*
 * Calls
 */

int soft_info(struct soft *s, struct cptdev_info *info)
{
	const struct soft_session *se;
	u32 size = info->size;

	if (info->flags)
		return -EOPNOTSUPP;
	memset(info, 0, sizeof(*info));
	info->size = size;
	info->abi_version = CPTDEV_ABI_VERSION;
	info->page_size = SOFT_PAGE;
	info->features = CPTDEV_FEATURE_PUBLISH | CPTDEV_FEATURE_REPLICA |
		CPTDEV_FEATURE_CLAIM | CPTDEV_FEATURE_LEASE | CPTDEV_FEATURE_ALIVE |
		CPTDEV_FEATURE_SINCE | CPTDEV_FEATURE_COPIED | CPTDEV_FEATURE_HISTORY |
		CPTDEV_FEATURE_KEEP;
	info->session_flags = CPTDEV_SESSION_REPLACE;
	info->replica_flags = CPTDEV_REPLICA_CREATE | CPTDEV_REPLICA_EXCL |
		CPTDEV_REPLICA_WRITE;
	info->replica_max = s->replica_max;
	info->replica = soft_replica_bytes(s);
	info->replicas = soft_replica_names(s);
	info->held_max = s->held_max;
	for (se = LIST_FIRST(&s->sessions); se; se = LIST_NEXT(se, entry)) {
		info->sessions++;
		info->held += se->rec.held;
	}
	return 0;
}

static int device_ioctl(struct soft *s, int fd, unsigned int cmd, void *arg,
			const struct soft_caller *who)
{
	switch (cmd) {
	case CPTDEV_IOC_INFO:
		return soft_info(s, arg);
	case CPTDEV_IOC_DELTA:
		return who->capable ? soft_session_delta(s, fd, arg) : -EPERM;
	case CPTDEV_IOC_ACK:
		return who->capable ? soft_session_ack(s, fd, arg) : -EPERM;
	case CPTDEV_IOC_KEEP:
		return who->capable ? soft_session_keep(s, arg) : -EPERM;
	case CPTDEV_IOC_REPLICA_OPEN:
		return soft_replica_open(s, arg, who);
	}
	return -ENOTTY;
}

int soft_ioctl(struct soft *s, int fd, unsigned int cmd, void *arg,
	       const struct soft_caller *who)
{
	struct soft_file *f = soft_file(s, fd);

	if (!f)
		return -EBADF;
	if (f->kind == SOFT_REPLICA)
		return soft_replica_ioctl(s, fd, cmd, arg, who);
	if (f->kind == SOFT_SNAPSHOT)
		return soft_snap_ioctl(f->snap, cmd, arg);
	return device_ioctl(s, fd, cmd, arg, who);
}

/* The daemon may do everything. */
static int soft_kernel_ioctl(struct kernel *k, int fd, unsigned int cmd, void *arg)
{
	const struct soft_caller who = { .uid = geteuid(), .capable = true };

	return soft_ioctl(to_soft(k), fd, cmd, arg, &who);
}

static ssize_t soft_read(struct kernel *k, int fd, void *buf, size_t len, u64 pos)
{
	return soft_replica_pread(to_soft(k), fd, buf, len, pos);
}

static int soft_create(struct kernel *k, const char *name, u32 uid)
{
	const struct soft_caller who = { .uid = uid, .capable = !uid };
	struct soft *s = to_soft(k);
	struct soft_replica *r;

	return soft_replica_find(s, name) ? 0 : soft_replica_create(s, name, 0, &who, &r);
}

static int soft_hold_off(struct kernel *k, u64 id, u64 until)
{
	return soft_session_hold_off(to_soft(k), id, until);
}

static const struct kernel_ops soft_ops = {
	.name	= "soft",
	.open	= soft_kernel_open,
	.close	= soft_kernel_close,
	.ioctl	= soft_kernel_ioctl,
	.read	= soft_read,
	.create	= soft_create,
	.listen	= soft_listen,
	.events	= soft_events,
	.dump	= soft_dump,
	.hold_off = soft_hold_off,
};

/* As the module: three quarters of the memory for replicas, a half for snapshots. */
static u64 memory_quarters(u64 n)
{
	return (u64)sysconf(_SC_PHYS_PAGES) / 4 * n * (u64)sysconf(_SC_PAGESIZE);
}

int soft_open(struct soft *s, u64 replica_max)
{
	memset(s, 0, sizeof(*s));
	s->kernel.ops = &soft_ops;
	s->replica_max = replica_max ? replica_max : memory_quarters(3);
	s->held_max = memory_quarters(2);
	s->clients_max = SOFT_CLIENTS(0);
	LIST_INIT(&s->replicas);
	LIST_INIT(&s->sessions);
	LIST_INIT(&s->clients);
	s->epoll = -1;
	s->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->eventfd < 0)
		return -errno;
	return sysconf(_SC_PAGESIZE) == SOFT_PAGE ? 0 : -EOPNOTSUPP;
}

void soft_close(struct soft *s)
{
	struct soft_replica *r, *next;
	u32 i;

	soft_program_close(s);
	for (i = 0; i < s->nr_files; i++)
		soft_kernel_close(&s->kernel, i);
	while (!LIST_EMPTY(&s->sessions))
		soft_session_end(s, LIST_FIRST(&s->sessions));
	for (r = LIST_FIRST(&s->replicas); r; r = next) {
		next = LIST_NEXT(r, entry);
		soft_replica_remove(s, r);
	}
	free(s->file);
	if (s->eventfd >= 0)
		close(s->eventfd);
}

struct soft *soft_daemon(void)
{
	static struct soft soft;

	return &soft;
}
