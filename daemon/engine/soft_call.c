// SPDX-License-Identifier: GPL-2.0-or-later
/* The soft engine: what programs ask, by a table. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "soft_program.h"
#include "soft_publish.h"

typedef int (*call_fn)(struct soft_client *c, struct soft_message *m, struct soft_reply *r);

struct call {
	u32 cmd;
	u32 size;		/* of the struct */
	u32 min;		/* with which it was born */
	bool replica;		/* of a replica, else of a session */
	call_fn fn;
};

static int call_info(struct soft_client *c, struct soft_message *m, struct soft_reply *r)
{
	struct cptdev_info *info = (void *)m->arg;
	int ret = soft_info(c->s, info);
	const struct session_rec *rec;

	(void)r;
	if (ret || !c->session)
		return ret;
	rec = soft_session_rec(c->session);
	info->session_id = rec->id;
	memcpy(info->session_uuid, rec->uuid, sizeof(info->session_uuid));
	info->session_term = rec->term;
	info->session_held_max = rec->held_max;
	info->session_held = rec->held;
	info->session_ranges = rec->ranges;
	info->session_bytes = rec->bytes;
	info->generation = info->snapshots = rec->generation;
	info->published = rec->published;
	info->committed = rec->committed;
	info->attached = rec->attached;
	return 0;
}

/* A child after fork(), or whoever was given the descriptor, isn't the session's program. */
static int own(const struct soft_client *c, const struct soft_message *m)
{
	return m->pid == c->pid ? 0 : -EXDEV;
}

static int call_setup(struct soft_client *c, struct soft_message *m, struct soft_reply *r)
{
	int ret = own(c, m);

	(void)r;
	if (!ret && c->session)
		ret = -EBUSY;
	if (!ret)
		ret = soft_session_setup(c->s, (void *)m->arg, &c->who, c->pid, &c->session);
	if (!ret)
		c->session->client = c;
	return ret;
}

static int call_publish(struct soft_client *c, struct soft_message *m, struct soft_reply *r)
{
	struct soft_publish *p = (void *)m->arg;
	struct soft_session *se = c->session;
	struct soft_snap *snap;
	int ret = own(c, m);

	(void)r;
	if (ret || !se)
		return ret ? ret : -EINVAL;
	p->reach = soft_session_reach(se);
	if (m->file < 0)
		return -EINVAL;
	snap = soft_snap_new(se);
	if (!snap)
		return -ENOMEM;
	ret = soft_publish_read(snap, p, &m->file);
	if (ret)
		soft_snap_put(snap);
	else
		ret = soft_session_publish(c->s, se, snap);
	p->generation = ret ? 0 : se->rec.published;
	p->reach = soft_session_reach(se);
	return ret;
}

static int call_wait(struct soft_client *c, struct soft_message *m, struct soft_reply *r)
{
	int ret = own(c, m);

	return ret ? ret : soft_wait_session(c, m, r);
}

static int call_alive(struct soft_client *c, struct soft_message *m, struct soft_reply *r)
{
	int ret = own(c, m);

	(void)r;
	if (!ret && !c->session)
		ret = -EINVAL;
	return ret ? ret : soft_alive(c, (void *)m->arg);
}

static int call_end(struct soft_client *c, struct soft_message *m, struct soft_reply *r)
{
	int ret = own(c, m);

	(void)r;
	return ret ? ret : soft_end_word(c, m);
}

static int call_mark(struct soft_client *c, struct soft_message *m, struct soft_reply *r)
{
	struct soft_mark *arg = (void *)m->arg;
	struct soft_output *o = c->s->output;
	int ret = own(c, m);

	(void)r;
	if (!ret && !c->session)
		ret = -EINVAL;
	if (!ret && arg->flags)
		ret = -EOPNOTSUPP;
	if (!ret)
		arg->held = o && o->mark(o, c->session->rec.name);
	return ret;
}

/* Another process may look, too: it sees what the program sees, and can change nothing. */
static int call_page(struct soft_client *c, struct soft_message *m, struct soft_reply *r)
{
	const struct soft_session_page *arg = (void *)m->arg;
	int fd;

	if (arg->flags & ~SOFT_PAGE_HEEDED)
		return -EOPNOTSUPP;
	if (!c->session)
		return -EINVAL;
	c->session->heeds |= arg->flags & SOFT_PAGE_HEEDED;
	fd = soft_page_fd(c->session);
	if (fd < 0)
		return fd;
	r->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return r->fd < 0 ? -errno : 0;
}

/* The program's end of a connection that stands for the replica. */
static int replica_connect(struct soft_client *c, int file, int *theirs)
{
	struct soft_client *n;
	int pair[2], ret;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	ret = soft_client_new(c->s, pair[0], &n);
	if (ret) {
		close(pair[1]);
		return ret;
	}
	n->file = file;
	n->who = c->who;
	*theirs = pair[1];
	return 0;
}

/* Whoever asks, which counts for replicas: the connection may have been passed on. */
static struct soft_caller caller(const struct soft_message *m)
{
	return soft_caller_of(m->uid);
}

static int call_open(struct soft_client *c, struct soft_message *m, struct soft_reply *r)
{
	struct cptdev_replica_open *arg = (void *)m->arg;
	const struct soft_caller who = caller(m);
	int ret = soft_replica_open(c->s, arg, &who);

	if (ret)
		return ret;
	ret = replica_connect(c, arg->fd, &r->fd);
	if (ret)
		c->s->kernel.ops->close(&c->s->kernel, arg->fd);
	arg->fd = -1;
	return ret;
}

static int call_replica(struct soft_client *c, struct soft_message *m, struct soft_reply *r)
{
	const struct soft_caller who = caller(m);

	(void)r;
	if (m->cmd == CPTDEV_IOC_IMAGE_INFO)
		c->news = false;
	return soft_replica_ioctl(c->s, c->file, m->cmd, m->arg, &who);
}

static u32 entry_size(u32 cmd)
{
	if (cmd == CPTDEV_IOC_IMAGE_LAYOUT)
		return sizeof(struct cptdev_segment);
	return cmd == CPTDEV_IOC_IMAGE_EXTENTS ? sizeof(struct cptdev_extent) : 1;
}

/* The entries travel behind the struct; where the program has them is its own business. */
static int call_vec(struct soft_client *c, struct soft_message *m, struct soft_reply *r)
{
	static u8 entries[SOFT_ENTRIES_MAX];
	struct cptdev_image_vec *arg = (void *)m->arg;
	u32 size = entry_size(m->cmd), len = arg->vec_len;
	u64 theirs = arg->vec;
	int ret;

	arg->vec = (unsigned long)entries;
	arg->vec_len = MIN(len, SOFT_ENTRIES_MAX / size);
	ret = soft_replica_ioctl(c->s, c->file, m->cmd, arg, &c->who);
	arg->vec = theirs;
	arg->vec_len = len;
	if (ret)
		return ret;
	r->entries = entries;
	r->bytes = arg->nr * size;
	return 0;
}

/* As above. A program can list past generations, but not read them: AT isn't among the calls. */
static int call_history(struct soft_client *c, struct soft_message *m, struct soft_reply *r)
{
	static struct cptdev_past past[SOFT_ENTRIES_MAX / sizeof(struct cptdev_past)];
	struct cptdev_replica_history *arg = (void *)m->arg;
	u32 len = arg->vec_len;
	u64 theirs = arg->vec;
	int ret;

	arg->vec = (unsigned long)past;
	arg->vec_len = MIN(len, ARRAY_SIZE(past));
	ret = soft_replica_ioctl(c->s, c->file, m->cmd, arg, &c->who);
	r->entries = past;
	r->bytes = MIN(arg->nr, arg->vec_len) * sizeof(*past);
	arg->vec = theirs;
	arg->vec_len = len;
	return ret;
}

struct listing {
	struct soft_caller who;
	u64 wanted;
	u8 *to;
	u32 size;
};

static void listed(const struct kernel_event *ev, void *arg)
{
	struct listing *l = arg;
	u32 uid = ev->session ? ev->session->uid : ev->replica->uid;
	const void *rec = ev->session ? (const void *)ev->session : ev->replica;

	if ((!l->who.capable && uid != l->who.uid) || l->wanted-- != 0)
		return;
	l->size = ev->session ? sizeof(*ev->session) : sizeof(*ev->replica);
	memcpy(l->to, rec, l->size);
}

static int call_list(struct soft_client *c, struct soft_message *m, struct soft_reply *r)
{
	static u8 rec[MAX(sizeof(struct session_rec), sizeof(struct replica_rec))];
	struct cptdev_image_vec *arg = (void *)m->arg;
	struct listing l = { .who = caller(m), .wanted = arg->start, .to = rec };
	struct kernel *k = &c->s->kernel;

	if (arg->flags != CPTDEV_CMD_SESSION_GET && arg->flags != CPTDEV_CMD_REPLICA_GET)
		return -EOPNOTSUPP;
	k->ops->dump(k, arg->flags, listed, &l);
	arg->nr = MIN(l.size, arg->vec_len);
	arg->next = arg->start + !!l.size;
	r->entries = rec;
	r->bytes = arg->nr;
	return 0;
}

/* For reading only: another open file, of a file that nobody else may open for writing. */
static int call_content(struct soft_client *c, struct soft_message *m, struct soft_reply *r)
{
	const struct soft_replica_content *arg = (void *)m->arg;
	const struct soft_file *f = soft_file(c->s, c->file);
	char path[64];

	if (arg->flags & ~SOFT_CONTENT_LIVE)
		return -EOPNOTSUPP;
	/* What is read must not change meanwhile, unless the reader sees to that. */
	if (!f->froze && !(arg->flags & SOFT_CONTENT_LIVE))
		return -EINVAL;
	if (f->replica->content.fd < 0)
		return -ENODATA;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", f->replica->content.fd);
	r->fd = open(path, O_RDONLY | O_CLOEXEC);
	return r->fd < 0 ? -errno : 0;
}

#define END_OF(type, last)						\
	(offsetof(struct type, last) + sizeof(((struct type *)0)->last))
#define SESSION(cmd, fn, type, last)					\
	{ cmd, sizeof(struct type), END_OF(type, last), false, fn }
#define REPLICA(cmd, fn, type, last)					\
	{ cmd, sizeof(struct type), END_OF(type, last), true, fn }

static const struct call calls[] = {
	SESSION(CPTDEV_IOC_INFO, call_info, cptdev_info, snapshots),
	SESSION(CPTDEV_IOC_SESSION_SETUP, call_setup, cptdev_session_setup, held_max),
	SESSION(CPTDEV_IOC_WAIT, call_wait, cptdev_wait, committed),
	SESSION(SOFT_PUBLISH, call_publish, soft_publish, reach),
	SESSION(CPTDEV_IOC_REPLICA_OPEN, call_open, cptdev_replica_open, reserved),
	SESSION(CPTDEV_IOC_SESSION_ALIVE, call_alive, cptdev_session_alive, timeout_ns),
	SESSION(SOFT_END, call_end, soft_end, status),
	SESSION(SOFT_SESSION_PAGE, call_page, soft_session_page, flags),
	SESSION(SOFT_MARK, call_mark, soft_mark, held),
	SESSION(SOFT_LIST, call_list, cptdev_image_vec, next),
	REPLICA(CPTDEV_IOC_IMAGE_INFO, call_replica, cptdev_image_info, max_bytes),
	REPLICA(CPTDEV_IOC_IMAGE_LAYOUT, call_vec, cptdev_image_vec, next),
	REPLICA(CPTDEV_IOC_IMAGE_EXTENTS, call_vec, cptdev_image_vec, next),
	REPLICA(CPTDEV_IOC_IMAGE_META, call_vec, cptdev_image_vec, next),
	REPLICA(CPTDEV_IOC_REPLICA_FREEZE, call_replica, cptdev_replica_freeze, generation),
	REPLICA(CPTDEV_IOC_REPLICA_PROMOTE, call_replica, cptdev_replica_promote, generation),
	REPLICA(CPTDEV_IOC_REPLICA_CLAIM, call_replica, cptdev_replica_claim, promoted_ns),
	REPLICA(CPTDEV_IOC_REPLICA_COPIED, call_replica, cptdev_replica_copied, behind),
	REPLICA(CPTDEV_IOC_REPLICA_HISTORY, call_history, cptdev_replica_history, bytes),
	REPLICA(CPTDEV_IOC_REPLICA_REMOVE, call_replica, cptdev_replica_remove, flags),
	REPLICA(SOFT_REPLICA_WAIT, soft_wait_replica, soft_replica_wait, reserved),
	REPLICA(SOFT_REPLICA_CONTENT, call_content, soft_replica_content, flags),
};

/* An answer with more than the program has room for would be none. */
int soft_call(struct soft_client *c, struct soft_message *m, struct soft_reply *r)
{
	const struct call *call = NULL;
	size_t i;
	int ret;

	for (i = 0; i < ARRAY_SIZE(calls); i++)
		if (calls[i].cmd == m->cmd && calls[i].replica == (c->file >= 0))
			call = &calls[i];
	if (!call)
		return -ENOTTY;
	ret = soft_message_check(m, call->size, call->min);
	return ret ? ret : call->fn(c, m, r);
}
