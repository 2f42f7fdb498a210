// SPDX-License-Identifier: GPL-2.0-or-later
/* The soft engine: replicas, their names and descriptors. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "boottime.h"
#include "bounds.h"
#include "name.h"
#include "soft_parts.h"

/* The owner, and a holder of the capability: whoever else was given a descriptor only reads. */
static int replica_may(const struct soft_replica *r, const struct soft_caller *who)
{
	return who->capable || who->uid == r->rec.uid ? 0 : -EACCES;
}

struct soft_replica *soft_replica_find(struct soft *s, const char *name)
{
	struct soft_replica *r;

	LIST_FOREACH(r, &s->replicas, entry)
		if (r->named && !strcmp(r->rec.name, name))
			return r;
	return NULL;
}

u64 soft_replica_bytes(const struct soft *s)
{
	struct soft_replica *r;
	u64 pages = 0;

	LIST_FOREACH(r, &s->replicas, entry)
		pages += r->content.set.pages + r->stage.data.set.pages + r->history.pages;
	return pages * SOFT_PAGE;
}

u64 soft_replica_limit(const struct soft *s, const struct soft_replica *r)
{
	return r->max_bytes ? MIN(r->max_bytes, s->replica_max) : s->replica_max;
}

u64 soft_replica_names(const struct soft *s)
{
	struct soft_replica *r;
	u64 n = 0;

	LIST_FOREACH(r, &s->replicas, entry)
		n += r->named;
	return n;
}

const struct replica_rec *soft_replica_rec(struct soft *s, struct soft_replica *r)
{
	r->rec.pages = r->content.set.pages;
	r->rec.staged = r->stage.data.set.pages;
	r->rec.max_bytes = soft_replica_limit(s, r);
	r->rec.flags = (r->promoted ? CPTDEV_GENL_REPLICA_PROMOTED : 0) |
		(r->taken_ns ? CPTDEV_GENL_REPLICA_TAKEN : 0) |
		(r->frozen ? CPTDEV_GENL_REPLICA_FROZEN : 0) |
		(r->kept ? CPTDEV_GENL_REPLICA_KEPT : 0);
	r->rec.copied = UINT64_MAX;
	r->rec.behind = UINT64_MAX;
	return &r->rec;
}

const struct replica_rec *soft_replica_answer(struct soft *s, struct soft_replica *r)
{
	u32 fd;

	soft_replica_rec(s, r);
	r->rec.copied = 0;
	for (fd = 0; fd < s->nr_files; fd++)
		if (s->file[fd] && s->file[fd]->replica == r)
			r->rec.copied = MAX(r->rec.copied, s->file[fd]->copied);
	r->rec.behind = soft_since_pages(&r->since, &r->content.set, r->rec.copied);
	return &r->rec;
}

void soft_replica_tell(struct soft *s, struct soft_replica *r, u8 cmd)
{
	soft_event(s, cmd, NULL, soft_replica_rec(s, r));
	soft_program_replica(s, r);
}

static u32 owned_by(const struct soft *s, u32 uid)
{
	struct soft_replica *r;
	u32 n = 0;

	LIST_FOREACH(r, &s->replicas, entry)
		n += r->named && r->rec.uid == uid;
	return n;
}

int soft_replica_create(struct soft *s, const char *name, u64 max_bytes,
			const struct soft_caller *who, struct soft_replica **rp)
{
	struct soft_replica *r;

	if (!who->capable && owned_by(s, who->uid) >= SOFT_USER_REPLICAS)
		return -EDQUOT;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->named = true;
	r->stage.owner = -1;
	soft_pages_init(&r->content);
	soft_pages_init(&r->stage.data);
	soft_past_init(&r->history);
	r->max_bytes = max_bytes;
	r->rec.uid = who->uid;
	strncpy(r->rec.name, name, sizeof(r->rec.name) - 1);
	LIST_INSERT_HEAD(&s->replicas, r, entry);
	soft_replica_tell(s, r, CPTDEV_CMD_REPLICA_NEW_NTF);
	*rp = r;
	return 0;
}

/* The last descriptor is closed, and the name is gone. */
static void replica_release(struct soft_replica *r)
{
	if (r->named || r->rec.openers)
		return;
	soft_stage_drop(r);
	soft_past_exit(r);
	soft_pages_free(&r->content);
	soft_since_free(&r->since);
	soft_layout_free(&r->layout);
	free(r->meta.v);
	LIST_REMOVE(r, entry);
	free(r);
}

void soft_replica_remove(struct soft *s, struct soft_replica *r)
{
	if (!r->named)
		return;
	soft_stage_drop(r);
	r->named = false;
	soft_replica_tell(s, r, CPTDEV_CMD_REPLICA_GONE_NTF);
	replica_release(r);
}

static int find_or_create(struct soft *s, const struct cptdev_replica_open *arg,
			  const struct soft_caller *who, struct soft_replica **r)
{
	const char *name = (const char *)arg->name;

	if (arg->flags & ~(CPTDEV_REPLICA_CREATE | CPTDEV_REPLICA_EXCL |
			   CPTDEV_REPLICA_WRITE))
		return -EOPNOTSUPP;
	if ((arg->flags & CPTDEV_REPLICA_EXCL) && !(arg->flags & CPTDEV_REPLICA_CREATE))
		return -EINVAL;
	if (arg->reserved || !name_valid(name, strnlen(name, sizeof(arg->name))))
		return -EINVAL;
	if ((arg->flags & CPTDEV_REPLICA_WRITE) && !who->capable)
		return -EPERM;
	*r = soft_replica_find(s, name);
	if (*r && (arg->flags & CPTDEV_REPLICA_EXCL))
		return -EEXIST;
	if (*r)
		return replica_may(*r, who);
	if (!(arg->flags & CPTDEV_REPLICA_CREATE))
		return -ENOENT;
	if (!who->capable && soft_session_of_other(s, name, who->uid))
		return -EACCES;
	return soft_replica_create(s, name, arg->max_bytes, who, r);
}

int soft_replica_open(struct soft *s, struct cptdev_replica_open *arg,
		      const struct soft_caller *who)
{
	struct soft_replica *r;
	struct soft_file *f;
	int fd = soft_file_new(s, SOFT_REPLICA), ret;

	arg->fd = -1;
	if (fd < 0)
		return fd;
	ret = find_or_create(s, arg, who, &r);
	if (ret) {
		s->kernel.ops->close(&s->kernel, fd);
		return ret;
	}
	f = soft_file(s, fd);
	f->replica = r;
	f->write = arg->flags & CPTDEV_REPLICA_WRITE;
	f->promotions = r->promoted ? r->promotions : 0;
	r->rec.openers++;
	arg->fd = fd;
	return 0;
}

void soft_replica_close(struct soft *s, int fd)
{
	struct soft_file *f = soft_file(s, fd);
	struct soft_replica *r = f->replica;

	if (!r)
		return;
	if (r->stage.owner == fd)
		soft_stage_drop(r);
	soft_past_close(s, f);
	r->frozen -= f->froze;
	r->rec.waiters -= f->waits;
	r->rec.openers--;
	f->replica = NULL;
	replica_release(r);
}

static int replica_freeze(struct soft_file *f, struct cptdev_replica_freeze *arg,
			  const struct soft_caller *who)
{
	bool freeze = !(arg->flags & CPTDEV_FREEZE_THAW);

	if (arg->flags & ~CPTDEV_FREEZE_THAW)
		return -EOPNOTSUPP;
	if (replica_may(f->replica, who))
		return -EACCES;
	f->replica->frozen += freeze - f->froze;
	f->froze = freeze;
	arg->generation = f->replica->rec.generation;
	return 0;
}

/* Go back to the generation that the descriptor shows; it shows the newest one then. */
static int promote_at(struct soft *s, int fd)
{
	struct soft_file *f = soft_file(s, fd);
	int ret = soft_past_back(f, fd);

	if (!ret)
		ret = soft_stage_back(s, f->replica);
	if (!ret)
		soft_past_close(s, f);
	return ret;
}

static int replica_promote(struct soft *s, int fd, struct cptdev_replica_promote *arg)
{
	struct soft_replica *r = soft_file(s, fd)->replica;
	u64 wanted = arg->term;
	int ret = 0;

	if (arg->flags & ~CPTDEV_PROMOTE_AT)
		return -EOPNOTSUPP;
	if (wanted > CPTDEV_TERM_MAX)
		return -EINVAL;
	arg->term = r->rec.term;
	arg->generation = r->rec.generation;
	if (!r->named)
		return -ENOENT;
	if (!r->rec.generation)
		return -ENODATA;
	if (wanted && wanted <= r->rec.term)
		return -ESTALE;
	if (r->rec.term == CPTDEV_TERM_MAX)
		return -EOVERFLOW;
	if (term_jumps(r->rec.term, wanted))
		return -ERANGE;
	if (arg->flags & CPTDEV_PROMOTE_AT)
		ret = promote_at(s, fd);
	arg->generation = r->rec.generation;
	if (ret)
		return ret;
	r->rec.term = wanted ? wanted : r->rec.term + 1;
	r->promoted = true;
	r->promotions++;
	r->promoted_ns = clock_wall();
	r->taken_ns = 0;
	arg->term = r->rec.term;
	soft_stage_drop(r);
	soft_replica_tell(s, r, CPTDEV_CMD_REPLICA_PROMOTED_NTF);
	return 0;
}

static int claim(struct soft_replica *r, const struct soft_file *f,
		 const struct cptdev_replica_claim *arg)
{
	if (!r->named)
		return -ENOENT;
	if (!r->promoted)
		return -EINVAL;
	if (arg->term && arg->term != r->rec.term)
		return -ESTALE;
	if (r->taken_ns)
		return -EALREADY;
	if (r->promotions == f->promotions && !(arg->flags & CPTDEV_CLAIM_OLD))
		return -EALREADY;
	r->taken_ns = clock_wall();
	return 0;
}

static int replica_claim(struct soft *s, const struct soft_file *f,
			 struct cptdev_replica_claim *arg, const struct soft_caller *who)
{
	struct soft_replica *r = f->replica;
	int ret;

	if (arg->flags & ~CPTDEV_CLAIM_OLD)
		return -EOPNOTSUPP;
	if (arg->term > CPTDEV_TERM_MAX)
		return -EINVAL;
	if (replica_may(r, who))
		return -EACCES;
	ret = claim(r, f, arg);
	arg->term = r->rec.term;
	arg->generation = r->rec.generation;
	arg->promoted_ns = r->promoted_ns;
	if (!ret)
		soft_event(s, CPTDEV_CMD_REPLICA_TAKEN_NTF, NULL, soft_replica_rec(s, r));
	return ret;
}

static int replica_copied(struct soft_file *f, struct cptdev_replica_copied *arg,
			  const struct soft_caller *who)
{
	const struct soft_replica *r = f->replica;

	if (arg->flags)
		return -EOPNOTSUPP;
	if (replica_may(r, who))
		return -EACCES;
	if (!r->named)
		return -ENOENT;
	if (arg->commits > r->rec.commits)
		return -EINVAL;
	f->copied = arg->commits;
	arg->behind = soft_since_pages(&r->since, &r->content.set, arg->commits);
	return 0;
}

static int replica_remove(struct soft *s, struct soft_replica *r,
			  const struct cptdev_replica_remove *arg,
			  const struct soft_caller *who)
{
	if (arg->flags)
		return -EOPNOTSUPP;
	if (replica_may(r, who))
		return -EACCES;
	soft_replica_remove(s, r);
	return 0;
}

static int write_ioctl(struct soft *s, int fd, unsigned int cmd, void *arg)
{
	struct soft_replica *r = soft_file(s, fd)->replica;

	if (!soft_file(s, fd)->write)
		return -EBADF;
	if (cmd == CPTDEV_IOC_REPLICA_BEGIN)
		return soft_stage_begin(r, fd, arg);
	if (cmd == CPTDEV_IOC_REPLICA_PROMOTE)
		return replica_promote(s, fd, arg);
	/* May this descriptor go on with what it has begun? */
	if (!r->named)
		return -ENOENT;
	if (r->stage.owner != fd)
		return -EINVAL;
	if (cmd == CPTDEV_IOC_REPLICA_STAGE)
		return soft_stage(s, r, arg);
	if (cmd == CPTDEV_IOC_REPLICA_COMMIT)
		return soft_stage_commit(s, r, arg);
	return soft_stage_abort(r, arg);
}

int soft_replica_ioctl(struct soft *s, int fd, unsigned int cmd, void *arg,
		       const struct soft_caller *who)
{
	struct soft_file *f = soft_file(s, fd);

	switch (cmd) {
	case CPTDEV_IOC_IMAGE_INFO:
		return soft_image_info(s, f, arg);
	case CPTDEV_IOC_IMAGE_LAYOUT:
	case CPTDEV_IOC_IMAGE_EXTENTS:
	case CPTDEV_IOC_IMAGE_META:
		return soft_image_vec(f, cmd, arg);
	case CPTDEV_IOC_REPLICA_HISTORY:
		return soft_past_history(s, f, arg);
	case CPTDEV_IOC_REPLICA_AT:
		return replica_may(f->replica, who) ? -EACCES : soft_past_at(s, f, arg);
	case CPTDEV_IOC_REPLICA_FREEZE:
		return replica_freeze(f, arg, who);
	case CPTDEV_IOC_REPLICA_CLAIM:
		return replica_claim(s, f, arg, who);
	case CPTDEV_IOC_REPLICA_COPIED:
		return replica_copied(f, arg, who);
	case CPTDEV_IOC_REPLICA_REMOVE:
		return replica_remove(s, f->replica, arg, who);
	case CPTDEV_IOC_REPLICA_BEGIN:
	case CPTDEV_IOC_REPLICA_STAGE:
	case CPTDEV_IOC_REPLICA_COMMIT:
	case CPTDEV_IOC_REPLICA_ABORT:
	case CPTDEV_IOC_REPLICA_PROMOTE:
		return write_ioctl(s, fd, cmd, arg);
	}
	return -ENOTTY;
}

short soft_replica_poll(const struct soft *s, int fd)
{
	const struct soft_file *f = soft_file(s, fd);
	const struct soft_replica *r = f->replica;

	return (r->rec.commits != f->seen ? POLLIN : 0) | (r->promoted ? POLLPRI : 0) |
		(r->named ? 0 : POLLHUP);
}
