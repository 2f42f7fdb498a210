// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Replaying into a replica. Whether a session may is decided here, before a byte of it is
 * taken; the module decides it once more at each delta.
 */
#include <errno.h>
#include <string.h>

#include "daemon.h"
#include "log.h"
#include "uuid.h"

static int refuse(struct chan *c, u32 code, const char *why)
{
	return fault_set(&c->last, code, "%s", why);
}

static int frozen(struct chan *c)
{
	return refuse(c, WIRE_E_BUSY, "the replica on the spare is frozen by a reader");
}

/*
 * Another session of this name lives here: this host took over, or two programs were
 * started. The newer term is right; with equal ones nobody is.
 */
static int check_local(struct chan *c)
{
	const struct msg_session *m = &c->session;
	struct known *k = known_find_name(c->in->d, m->name);

	if (k && k->rec.uid != m->uid)
		return fault_set(&c->last, WIRE_E_OWNER,
				 "a program of this name runs on the spare, of user %u; this session belongs to %u: give it another name",
				 k->rec.uid, m->uid);
	/* An empty one that may not go on isn't in the way either. */
	if (!k || uuid_same(k->rec.uuid, m->uuid) || k->rec.term < m->term ||
	    (*k->barred && k->rec.term == m->term))
		return 0;
	if (k->rec.term > m->term)
		return fault_set(&c->last, WIRE_E_FENCED,
				 "a program of this name runs on the spare with term %llu, this one has %llu",
				 k->rec.term, m->term);
	return fault_set(&c->last, WIRE_E_CONFLICT,
			 "a program of this name runs on the spare as well (pid %u, term %llu): stop one of them",
			 k->rec.pid, k->rec.term);
}

static int check_fence(struct chan *c, const struct cptdev_image_info *info)
{
	const struct msg_session *m = &c->session;
	bool promoted = info->state & CPTDEV_IMAGE_PROMOTED;

	if (info->term > m->term || (promoted && info->term == m->term))
		return fault_set(&c->last, WIRE_E_FENCED,
				 "the replica on the spare has term %llu%s, this session %llu",
				 info->term, promoted ? " (promoted)" : "", m->term);
	return 0;
}

/* Its program ended in order, or this session was accepted in its place already. */
static bool gives_way(struct chan *c)
{
	const struct record *r = record_of(c->in->d, c->session.name);

	return r && r->role == RECORD_SPARE &&
		(r->ended || uuid_same(r->session, c->session.uuid));
}

static int check_terms(struct chan *c, const struct cptdev_image_info *info)
{
	const struct msg_session *m = &c->session;
	struct advice a;
	bool other;

	if (check_fence(c, info))
		return -1;
	other = info->generation && !uuid_same(info->uuid, m->uuid) && info->term == m->term;
	c->replaces = other && (m->flags & WIRE_SESSION_REPLACE || gives_way(c));
	if (other && !c->replaces)
		return fault_set(&c->last, WIRE_E_OTHER,
				 "the spare keeps another session's memory under this name (generation %llu): start with replace, or run there: %s",
				 info->generation, advice(c->in->d, &a, "replica remove", m->name));
	return 0;
}

static int check_replica(struct chan *c, const struct cptdev_image_info *info)
{
	/* First of all: whoever owns it, a session with a lower term must stop. */
	if (check_fence(c, info))
		return -1;
	if (info->uid != c->session.uid)
		return fault_set(&c->last, WIRE_E_OWNER,
				 "the replica on the spare belongs to user %u, this session to %u",
				 info->uid, c->session.uid);
	if (check_terms(c, info))
		return -1;
	if (info->state & CPTDEV_IMAGE_FROZEN)
		return frozen(c);
	return room_check(c, info);
}

static int failed(struct chan *c, const char *what, int err)
{
	u32 code = WIRE_E_KERNEL;

	if (err == -ENOMEM || err == -EDQUOT)
		code = WIRE_E_MEMORY;
	else if (err == -EBUSY)
		code = WIRE_E_BUSY;
	else if (err == -EILSEQ)
		code = WIRE_E_GAP;
	else if (err == -EEXIST)
		code = WIRE_E_OTHER;
	return fault_set(&c->last, code, "spare: can't %s: %s%s", what, strerror(-err),
			 err == -ENOENT && !c->in->d->module ?
			 " (the module isn't loaded there)" : "");
}

/* A peer can't fill this host with replicas. */
static int create(struct chan *c)
{
	struct daemon *d = c->in->d;
	struct cptdev_info info;
	int ret = kernel_info(d->kernel, &info);

	if (ret)
		return failed(c, "create the replica", ret);
	if (info.replicas >= d->conf.max_sessions)
		return fault_set(&c->last, WIRE_E_LIMIT,
				 "the spare has %llu replicas, max_sessions allows %u",
				 info.replicas, d->conf.max_sessions);
	ret = d->kernel->ops->create(d->kernel, c->session.name, c->session.uid);
	return ret ? failed(c, "create the replica", ret) : 0;
}

static int open_replica(struct chan *c)
{
	struct kernel *k = c->in->d->kernel;
	const char *name = c->session.name;

	c->fd = kernel_replica_open(k, name, CPTDEV_REPLICA_WRITE);
	if (c->fd == -ENOENT) {
		/* Nothing is made for a session that is refused. */
		if (records_may_feed(c->in->d, &c->session, c->in->node.name, &c->last) ||
		    create(c))
			return -1;
		c->fd = kernel_replica_open(k, name, CPTDEV_REPLICA_WRITE);
	}
	return c->fd < 0 ? failed(c, "open the replica", c->fd) : 0;
}

static int look(struct chan *c, struct msg_state *m)
{
	struct cptdev_image_info info;
	int ret;

	if (check_local(c) || open_replica(c))
		return -1;
	ret = kernel_image_info(c->in->d->kernel, c->fd, &info);
	if (ret)
		return failed(c, "look at the replica", ret);
	m->generation = info.generation;
	m->term = info.term;
	memcpy(m->uuid, info.uuid, sizeof(m->uuid));
	if (info.state & CPTDEV_IMAGE_PROMOTED)
		m->flags |= WIRE_STATE_PROMOTED;
	c->committed = info.generation;
	return check_replica(c, &info);
}

/* Open the replica for the session; @m becomes the answer. */
int replay_open(struct chan *c, struct msg_state *m)
{
	replay_close(c);
	*m = (struct msg_state) {};
	if (look(c, m)) {
		m->fault = c->last;
		replay_close(c);
		return -1;
	}
	if (records_feed(c->in->d, &c->session, c->in->node.name, &c->last)) {
		replay_close(c);
		m->fault = c->last;
		return -1;
	}
	if (!(c->session.flags & WIRE_SESSION_TAKE_BACK) &&
	    !feeds_add(c->in->peer, c->session.name)) {
		replay_close(c);
		refuse(c, WIRE_E_LIMIT, "the spare has no place for more replicas");
		m->fault = c->last;
		return -1;
	}
	if (records_is_outdated(c->in->d, c->session.name))
		m->flags |= WIRE_STATE_OUTDATED;
	replay_history(c);
	c->last.code = WIRE_OK;
	return 0;
}

/* Without it the replica is as good: a module that doesn't know the call says nothing of importance. */
void replay_history(struct chan *c)
{
	struct daemon *d = c->in->d;
	const struct conf_session *s = conf_session(&d->conf, c->session.name);
	struct cptdev_replica_history arg = {
		.flags = CPTDEV_HISTORY_SET, .keep = s->history,
		.max_bytes = (u64)s->history_mib << 20,
	};
	int ret = kernel_replica_history(d->kernel, c->fd, &arg);

	if (ret && s->history)
		tell(&d->tell, LOG_WARNING, TELL_REPLAY, c->session.name,
		     "replica %s: no past generations are kept: %s", c->session.name,
		     ret == -ENOTTY ? "the module is too old" : strerror(-ret));
}

/*
 * A call on the replica failed. If it was promoted in between that is the reason,
 * whatever the call says.
 */
static int replay_failed(struct chan *c, const char *what, int err)
{
	struct cptdev_image_info info;

	if (!kernel_image_info(c->in->d->kernel, c->fd, &info) && check_terms(c, &info))
		return -1;
	if (err == -ESTALE)
		return fault_set(&c->last, WIRE_E_STALE,
				 "spare: generation %llu isn't newer than the replica's",
				 c->staging);
	if (err == -ENOMEM || err == -EDQUOT)
		room_short(c, -err);
	return failed(c, what, err);
}

int replay_begin(struct chan *c, const struct collect *col)
{
	struct kernel *k = c->in->d->kernel;
	struct cptdev_replica_begin arg = {
		.size = sizeof(arg),
		.term = col->begin.term, .base = col->begin.base,
		.generation = col->begin.generation,
		.layout = (unsigned long)col->segments, .layout_len = col->nr_segments,
		.meta = (unsigned long)col->meta, .meta_len = col->meta_len,
	};
	int ret;

	c->staging = col->begin.generation;
	c->alone = col->begin.flags & WIRE_SESSION_ALONE;
	c->end = 0;
	c->pages = 0;
	if (col->begin.flags & WIRE_SESSION_REPLACE || c->replaces)
		arg.flags |= CPTDEV_BEGIN_REPLACE;
	if (col->begin.flags & WIRE_BEGIN_CONTINUE)
		arg.flags |= CPTDEV_BEGIN_CONTINUE;
	memcpy(arg.uuid, c->session.uuid, sizeof(arg.uuid));
	if (room_fits(c, col->begin.pages))
		return -1;
	ret = k->ops->ioctl(k, c->fd, CPTDEV_IOC_REPLICA_BEGIN, &arg);
	return ret ? replay_failed(c, "begin", ret) : 0;
}

static int read_old(void *arg, u64 addr, u8 *to, size_t len)
{
	struct chan *c = arg;
	struct kernel *k = c->in->d->kernel;

	return k->ops->read(k, c->fd, to, len, addr) == (ssize_t)len ? 0 : -1;
}

/* The old page is that of the generation that BEGIN named, and no other. */
int replay_expand(struct chan *c, struct data *data)
{
	if (data->runs && c->base != c->committed)
		return fault_set(&c->last, WIRE_E_BASE,
				 "changes to pages of generation %llu, the replica on the spare has %llu",
				 c->base, c->committed);
	return data_expand(data, c->in->d->self.page_size, read_old, c, &c->last);
}

int replay_stage(struct chan *c, const struct data *data)
{
	struct daemon *d = c->in->d;
	struct cptdev_replica_stage arg = {
		.size = sizeof(arg),
		.vec = (unsigned long)data->extents, .vec_len = data->nr,
		.data = (unsigned long)data->pages, .data_len = data->pages_len,
	};
	int ret;

	c->end = data->end;
	c->pages += data->pages_len / d->self.page_size;
	ret = d->kernel->ops->ioctl(d->kernel, c->fd, CPTDEV_IOC_REPLICA_STAGE, &arg);
	return ret ? replay_failed(c, "stage pages", ret) : 0;
}

/*
 * The record of the feed may have been given up by a person, or be an empty program's by now. The
 * sender asks anew, and the answer writes it down again, or refuses.
 */
static int check_record(struct chan *c)
{
	const struct record *r = record_of(c->in->d, c->session.name);

	if (c->session.flags & WIRE_SESSION_TAKE_BACK)
		return takeback_may(c->in->d, &c->session, &c->last);
	if (r && r->role != RECORD_PRIMARY && uuid_same(r->session, c->session.uuid))
		return 0;
	return fault_set(&c->last, WIRE_E_OTHER,
			 "the spare has no record of this session any more");
}

int replay_commit(struct chan *c, struct msg_committed *m)
{
	int ret;

	m->generation = c->staging;
	if (check_record(c))
		return -1;
	ret = kernel_replica_commit(c->in->d->kernel, c->fd, c->staging, &m->pages);
	if (ret == -EBUSY)
		return frozen(c);
	if (ret)
		return replay_failed(c, "commit", ret);
	c->committed = c->staging;
	c->short_ms = 0;
	if (c->session.flags & WIRE_SESSION_TAKE_BACK) {
		takeback_look(c->in->d);
		return 0;
	}
	if (c->alone) {
		records_progress_alone(c->in->d, c->session.name, c->session.uuid, c->staging);
		return 0;
	}
	/* It is committed, but without the record nobody may rely on that. */
	ret = records_progress(c->in->d, c->session.name, c->session.uuid, c->staging);
	return ret ? failed(c, "write the record", ret) : 0;
}

void replay_abort(struct chan *c)
{
	struct cptdev_replica_commit arg = { .size = sizeof(arg) };
	struct kernel *k = c->in->d->kernel;

	if (c->fd >= 0)
		k->ops->ioctl(k, c->fd, CPTDEV_IOC_REPLICA_ABORT, &arg);
}

void replay_close(struct chan *c)
{
	if (c->fd >= 0)
		c->in->d->kernel->ops->close(c->in->d->kernel, c->fd);
	c->fd = -1;
}
