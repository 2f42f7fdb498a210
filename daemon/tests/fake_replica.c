// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The kernel that plays the module: replicas, their names and descriptors. It answers as
 * linux/cptdev.h says: the cases of selftests/replica.c run against the module and against
 * this (replica_test.c).
 */
#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "fake_parts.h"

struct fake_replica *fake_replica(struct fake *f, const char *name)
{
	int i;

	for (i = 0; i < FAKE_REPLICAS; i++)
		if (f->replica[i].named && !strcmp(f->replica[i].rec.name, name))
			return &f->replica[i];
	return NULL;
}

u8 *fake_page(const struct fake_replica *r, u32 page)
{
	struct fake_entry *e = pages_find(&r->content, FAKE_BASE / FAKE_PAGE + page);

	return e ? e->data : NULL;
}

u64 fake_replica_bytes(const struct fake *f)
{
	u64 pages = 0;
	int i;

	for (i = 0; i < FAKE_REPLICAS; i++)
		if (f->replica[i].used)
			pages += f->replica[i].content.nr +
				pages_with_data(&f->replica[i].staged);
	return pages * FAKE_PAGE;
}

u64 fake_replica_pages(const struct fake *f)
{
	return fake_replica_bytes(f) / FAKE_PAGE;
}

u64 fake_replica_max(const struct fake *f)
{
	return f->limit ? f->limit * FAKE_PAGE : FAKE_REPLICA_MAX;
}

u64 fake_replica_names(const struct fake *f)
{
	u64 n = 0;
	int i;

	for (i = 0; i < FAKE_REPLICAS; i++)
		n += f->replica[i].named;
	return n;
}

struct fake_replica *fake_replica_new(struct fake *f, const char *name, u32 uid)
{
	struct fake_replica *r = f->replica;

	while (r->used)
		if (++r == f->replica + FAKE_REPLICAS)
			abort();
	memset(r, 0, sizeof(*r));
	r->used = true;
	r->named = true;
	r->stager = -1;
	r->rec.uid = uid;
	strcpy(r->rec.name, name);
	fake_replica_event(f, CPTDEV_CMD_REPLICA_NEW_NTF, r);
	return r;
}

/* The last descriptor is closed, and the name is gone. */
static void replica_release(struct fake *f, struct fake_replica *r)
{
	int i;

	if (r->named)
		return;
	for (i = 0; i < FAKE_FDS; i++)
		if (f->fd[i].replica == r)
			return;
	stage_drop(r);
	pages_free(&r->content);
	free(r->layout.v);
	free(r->meta);
	r->used = false;
}

void fake_replica_remove(struct fake *f, struct fake_replica *r)
{
	if (!r->named)
		return;
	stage_drop(r);
	r->named = false;
	fake_replica_event(f, CPTDEV_CMD_REPLICA_GONE_NTF, r);
	replica_release(f, r);
}

static bool name_good(const u8 *name)
{
	size_t len = strnlen((const char *)name, CPTDEV_NAME_MAX), i;

	for (i = 0; i < len; i++)
		if (name[i] >= 0x80 || (!isalnum(name[i]) && !strchr("._-", name[i])))
			return false;
	return len && len < CPTDEV_NAME_MAX;
}

static int find_or_create(struct fake *f, const struct cptdev_replica_open *arg,
			  struct fake_replica **r)
{
	const char *name = (const char *)arg->name;

	if (arg->flags & ~(CPTDEV_REPLICA_CREATE | CPTDEV_REPLICA_EXCL |
			   CPTDEV_REPLICA_WRITE))
		return -EOPNOTSUPP;
	if ((arg->flags & CPTDEV_REPLICA_EXCL) && !(arg->flags & CPTDEV_REPLICA_CREATE))
		return -EINVAL;
	if (arg->reserved || !name_good(arg->name))
		return -EINVAL;
	*r = fake_replica(f, name);
	if (*r)
		return arg->flags & CPTDEV_REPLICA_EXCL ? -EEXIST : 0;
	if (!(arg->flags & CPTDEV_REPLICA_CREATE))
		return -ENOENT;
	*r = fake_replica_new(f, name, 0);
	(*r)->max_bytes = arg->max_bytes;
	return 0;
}

int fake_replica_open(struct fake *f, struct cptdev_replica_open *arg)
{
	struct fake_replica *r;
	int ret = find_or_create(f, arg, &r);

	arg->fd = -1;
	if (ret)
		return ret;
	ret = fake_new_fd(f, FAKE_REPLICA);
	if (ret < 0)
		return ret;
	arg->fd = ret;
	f->fd[ret].replica = r;
	f->fd[ret].write = arg->flags & CPTDEV_REPLICA_WRITE;
	return 0;
}

void fake_replica_close(struct fake *f, int fd)
{
	struct fake_replica *r = f->fd[fd].replica;

	if (r->stager == fd)
		stage_drop(r);
	r->frozen -= f->fd[fd].froze;
	f->fd[fd].replica = NULL;
	replica_release(f, r);
}

static int replica_freeze(struct fake_fd *d, struct cptdev_replica_freeze *arg)
{
	bool freeze = !(arg->flags & CPTDEV_FREEZE_THAW);

	if (arg->flags & ~CPTDEV_FREEZE_THAW)
		return -EOPNOTSUPP;
	d->replica->frozen += freeze - d->froze;
	d->froze = freeze;
	arg->generation = d->replica->rec.generation;
	return 0;
}

static int replica_promote(struct fake *f, struct fake_replica *r,
			   struct cptdev_replica_promote *arg)
{
	u64 wanted = arg->term;

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
	r->rec.term = wanted ? wanted : r->rec.term + 1;
	r->promoted = true;
	arg->term = r->rec.term;
	stage_drop(r);
	fake_replica_event(f, CPTDEV_CMD_REPLICA_PROMOTED_NTF, r);
	return 0;
}

/* May this descriptor go on with what it has begun? */
static int stage_owner(const struct fake_replica *r, int fd)
{
	if (!r->named)
		return -ENOENT;
	return r->stager == fd ? 0 : -EINVAL;
}

static int write_ioctl(struct fake *f, int fd, unsigned int cmd, void *arg)
{
	struct fake_replica *r = f->fd[fd].replica;
	int ret;

	if (!f->fd[fd].write)
		return -EBADF;
	if (cmd == CPTDEV_IOC_REPLICA_BEGIN)
		return replica_begin(r, fd, arg);
	if (cmd == CPTDEV_IOC_REPLICA_PROMOTE)
		return replica_promote(f, r, arg);
	ret = stage_owner(r, fd);
	if (ret)
		return ret;
	if (cmd == CPTDEV_IOC_REPLICA_STAGE)
		return replica_stage(f, r, arg);
	if (cmd == CPTDEV_IOC_REPLICA_COMMIT)
		return replica_commit(f, r, arg);
	stage_drop(r);
	return 0;
}

int fake_replica_ioctl(struct fake *f, int fd, unsigned int cmd, void *arg)
{
	struct fake_replica *r = f->fd[fd].replica;

	switch (cmd) {
	case CPTDEV_IOC_IMAGE_INFO:
		return replica_info(&f->fd[fd], arg);
	case CPTDEV_IOC_IMAGE_LAYOUT:
	case CPTDEV_IOC_IMAGE_EXTENTS:
	case CPTDEV_IOC_IMAGE_META:
		return replica_vec(r, cmd, arg);
	case CPTDEV_IOC_REPLICA_FREEZE:
		return replica_freeze(&f->fd[fd], arg);
	case CPTDEV_IOC_REPLICA_REMOVE:
		fake_replica_remove(f, r);
		return 0;
	case CPTDEV_IOC_REPLICA_BEGIN:
	case CPTDEV_IOC_REPLICA_STAGE:
	case CPTDEV_IOC_REPLICA_COMMIT:
	case CPTDEV_IOC_REPLICA_ABORT:
	case CPTDEV_IOC_REPLICA_PROMOTE:
		return write_ioctl(f, fd, cmd, arg);
	}
	return -ENOTTY;
}

short fake_replica_poll(const struct fake *f, int fd)
{
	const struct fake_replica *r = f->fd[fd].replica;

	return (r->rec.commits != f->fd[fd].seen ? POLLIN : 0) |
		(r->promoted ? POLLPRI : 0) | (r->named ? 0 : POLLHUP);
}

ssize_t fake_replica_pwrite(struct fake *f, int fd, const void *buf, size_t len, u64 pos)
{
	struct fake_replica *r = f->fd[fd].replica;
	int ret = stage_owner(r, fd);
	u8 part[FAKE_PAGE];
	size_t done = 0;

	while (!ret && done < len) {
		size_t n = MIN(len - done, FAKE_PAGE - (pos + done) % FAKE_PAGE);

		ret = user_read(part, (unsigned long)buf + done, n);
		if (!ret)
			ret = stage_bytes(f, r, pos + done, part, n);
		done += ret ? 0 : n;
	}
	return done ? (ssize_t)done : ret;
}

bool fake_same(const struct fake_replica *r, const struct fake_session *s)
{
	static const u8 zeros[FAKE_PAGE];
	u32 i;

	if (!r || r->rec.generation != s->rec.published)
		return false;
	for (i = 0; i < s->pages; i++) {
		const u8 *page = fake_page(r, i);

		if (memcmp(page ? page : zeros, s->frozen + (size_t)i * FAKE_PAGE, FAKE_PAGE))
			return false;
	}
	return r->layout.nr == s->segments && r->meta_len == s->meta_len &&
		!memcmp(r->meta, s->meta, s->meta_len);
}
