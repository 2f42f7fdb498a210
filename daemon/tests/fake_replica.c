// SPDX-License-Identifier: GPL-2.0-or-later
/* The kernel that plays the module: replicas. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fake_replica.h"
#include "uuid.h"

/* Staged: the page becomes a hole. */
static u8 hole_mark;

struct fake_replica *fake_replica(struct fake *f, const char *name)
{
	int i;

	for (i = 0; i < FAKE_REPLICAS; i++)
		if (f->replica[i].used && !strcmp(f->replica[i].rec.name, name))
			return &f->replica[i];
	return NULL;
}

struct fake_replica *fake_replica_new(struct fake *f, const char *name, u32 uid)
{
	struct fake_replica *r = f->replica;

	while (r->used)
		r++;
	memset(r, 0, sizeof(*r));
	r->used = true;
	r->stager = -1;
	r->rec.uid = uid;
	strcpy(r->rec.name, name);
	fake_replica_event(f, CPTDEV_CMD_REPLICA_NEW_NTF, r);
	return r;
}

static void pages_free(u8 ***pages, u32 nr)
{
	u32 i;

	for (i = 0; *pages && i < nr; i++)
		if ((*pages)[i] != &hole_mark)
			free((*pages)[i]);
	free(*pages);
	*pages = NULL;
}

static void stage_drop(struct fake_replica *r)
{
	pages_free(&r->staged, r->pages);
	free(r->stage_meta);
	r->stage_meta = NULL;
	r->stager = -1;
	r->rec.staging = 0;
}

void fake_replica_remove(struct fake *f, struct fake_replica *r)
{
	int i;

	for (i = 0; i < FAKE_FDS; i++)
		if (f->fd[i].replica == r)
			f->fd[i].replica = NULL;
	fake_replica_event(f, CPTDEV_CMD_REPLICA_GONE_NTF, r);
	stage_drop(r);
	pages_free(&r->content, r->pages);
	free(r->meta);
	r->used = false;
}

int fake_replica_open(struct fake *f, struct cptdev_replica_open *arg)
{
	struct fake_replica *r = fake_replica(f, (const char *)arg->name);

	if (!r)
		return -ENOENT;
	arg->fd = fake_new_fd(f, FAKE_REPLICA);
	if (arg->fd < 0)
		return arg->fd;
	f->fd[arg->fd].replica = r;
	f->fd[arg->fd].write = arg->flags & CPTDEV_REPLICA_WRITE;
	return 0;
}

void fake_replica_close(struct fake_replica *r, int fd)
{
	if (r && r->stager == fd)
		stage_drop(r);
}

static int replica_info(const struct fake_replica *r, struct cptdev_image_info *info)
{
	info->kind = CPTDEV_IMAGE_REPLICA;
	info->state = (r->promoted ? CPTDEV_IMAGE_PROMOTED : 0) |
		(r->frozen ? CPTDEV_IMAGE_FROZEN : 0);
	memcpy(info->uuid, r->rec.uuid, CPTDEV_UUID_LEN);
	info->term = r->rec.term;
	info->generation = r->rec.generation;
	info->uid = r->rec.uid;
	return 0;
}

static int begin_check(const struct fake_replica *r, const struct cptdev_replica_begin *b)
{
	bool other = r->rec.generation && !uuid_same(r->rec.uuid, b->uuid);

	if (b->base >= b->generation || !b->term || b->term > CPTDEV_TERM_MAX)
		return -EINVAL;
	if (b->term < r->rec.term || (r->promoted && b->term == r->rec.term))
		return -ESTALE;
	if (other && b->term == r->rec.term && !(b->flags & CPTDEV_BEGIN_REPLACE))
		return -EEXIST;
	if (b->base && (other || b->base > r->rec.generation))
		return -EILSEQ;
	return !other && b->generation <= r->rec.generation ? -ESTALE : 0;
}

static int replica_begin(struct fake_replica *r, int fd,
			 const struct cptdev_replica_begin *b)
{
	const struct cptdev_segment *seg = (void *)(unsigned long)b->layout;
	int ret = begin_check(r, b);
	u64 end;

	if (ret)
		return ret;
	if (r->stager >= 0 && r->stager != fd)
		return -EBUSY;
	if (!b->layout_len)
		return -EINVAL;
	stage_drop(r);
	end = seg[b->layout_len - 1].addr + seg[b->layout_len - 1].len;
	if (!r->pages) {
		r->pages = (end - FAKE_BASE) / FAKE_PAGE;
		r->content = calloc(r->pages, sizeof(*r->content));
	}
	r->staged = calloc(r->pages, sizeof(*r->staged));
	r->stager = fd;
	r->stage_base = b->base;
	r->stage_term = b->term;
	r->stage_segments = b->layout_len;
	r->stage_meta_len = b->meta_len;
	r->stage_meta = malloc(b->meta_len + 1);
	memcpy(r->stage_meta, (void *)(unsigned long)b->meta, b->meta_len);
	memcpy(r->stage_uuid, b->uuid, CPTDEV_UUID_LEN);
	r->rec.staging = b->generation;
	return 0;
}

static void stage_page(struct fake_replica *r, u64 i, const u8 *from)
{
	if (r->staged[i] != &hole_mark)
		free(r->staged[i]);
	r->staged[i] = &hole_mark;
	if (!from)
		return;
	r->staged[i] = malloc(FAKE_PAGE);
	memcpy(r->staged[i], from, FAKE_PAGE);
}

static u64 pages_count(u8 **pages, u32 nr)
{
	u64 n = 0;
	u32 i;

	for (i = 0; pages && i < nr; i++)
		n += pages[i] && pages[i] != &hole_mark;
	return n;
}

u64 fake_replica_pages(const struct fake *f)
{
	const struct fake_replica *r;
	u64 n = 0;

	for (r = f->replica; r < f->replica + FAKE_REPLICAS; r++)
		if (r->used)
			n += pages_count(r->content, r->pages) +
				pages_count(r->staged, r->pages);
	return n;
}

static int replica_stage(struct fake *f, struct fake_replica *r,
			 const struct cptdev_replica_stage *arg)
{
	const struct cptdev_extent *e = (void *)(unsigned long)arg->vec;
	const u8 *data = (void *)(unsigned long)arg->data;
	u64 a;
	u32 i;
	int ret = f->fail_stage;

	f->stages++;
	f->fail_stage = 0;
	if (ret)
		return -ret;
	if (f->limit && fake_replica_pages(f) + arg->data_len / FAKE_PAGE > f->limit)
		return f->limit_hidden ? -ENOMEM : -EDQUOT;
	for (i = 0; i < arg->vec_len; i++) {
		for (a = e[i].addr; a < e[i].addr + e[i].len; a += FAKE_PAGE) {
			u64 page = (a - FAKE_BASE) / FAKE_PAGE;

			if (a < FAKE_BASE || page >= r->pages)
				return -EFAULT;
			stage_page(r, page,
				   e[i].kind == CPTDEV_EXTENT_DATA ? data : NULL);
			if (e[i].kind == CPTDEV_EXTENT_DATA)
				data += FAKE_PAGE;
		}
	}
	return data == (u8 *)(unsigned long)arg->data + arg->data_len ? 0 : -EINVAL;
}

static void commit_pages(struct fake_replica *r)
{
	u32 i;

	for (i = 0; i < r->pages; i++) {
		if (!r->staged[i] && r->stage_base)
			continue;
		free(r->content[i]);
		r->content[i] = r->staged[i] == &hole_mark ? NULL : r->staged[i];
		r->staged[i] = NULL;
	}
}

static int replica_commit(struct fake *f, struct fake_replica *r, int fd,
			  struct cptdev_replica_commit *arg)
{
	int ret = f->fail_commit;

	f->fail_commit = 0;
	if (ret)
		return -ret;
	if (r->stager != fd || arg->generation != r->rec.staging)
		return -EINVAL;
	if (r->frozen)
		return -EBUSY;
	commit_pages(r);
	r->rec.generation = arg->generation;
	r->rec.term = r->stage_term;
	r->promoted = false;
	r->rec.commits++;
	memcpy(r->rec.uuid, r->stage_uuid, CPTDEV_UUID_LEN);
	free(r->meta);
	r->meta = r->stage_meta;
	r->meta_len = r->stage_meta_len;
	r->stage_meta = NULL;
	r->segments = r->stage_segments;
	stage_drop(r);
	fake_replica_event(f, CPTDEV_CMD_REPLICA_COMMITTED_NTF, r);
	return 0;
}

static int replica_promote(struct fake *f, struct fake_replica *r,
			   struct cptdev_replica_promote *arg)
{
	if (arg->term > CPTDEV_TERM_MAX)
		return -EINVAL;
	if (!r->rec.generation)
		return -ENODATA;
	if (arg->term && arg->term <= r->rec.term)
		return -ESTALE;
	if (r->rec.term == CPTDEV_TERM_MAX)
		return -EOVERFLOW;
	r->rec.term = arg->term ? arg->term : r->rec.term + 1;
	r->promoted = true;
	arg->term = r->rec.term;
	arg->generation = r->rec.generation;
	stage_drop(r);
	fake_replica_event(f, CPTDEV_CMD_REPLICA_PROMOTED_NTF, r);
	return 0;
}

int fake_replica_ioctl(struct fake *f, int fd, unsigned int cmd, void *arg)
{
	struct fake_replica *r = f->fd[fd].replica;

	if (!r)
		return -ENOENT;		/* removed */
	switch (cmd) {
	case CPTDEV_IOC_IMAGE_INFO:
		return replica_info(r, arg);
	case CPTDEV_IOC_REPLICA_BEGIN:
		return replica_begin(r, fd, arg);
	case CPTDEV_IOC_REPLICA_STAGE:
		return r->stager == fd ? replica_stage(f, r, arg) : -EINVAL;
	case CPTDEV_IOC_REPLICA_COMMIT:
		return replica_commit(f, r, fd, arg);
	case CPTDEV_IOC_REPLICA_ABORT:
		if (r->stager == fd)
			stage_drop(r);
		return 0;
	case CPTDEV_IOC_REPLICA_REMOVE:
		fake_replica_remove(f, r);
		return 0;
	case CPTDEV_IOC_REPLICA_PROMOTE:
		return replica_promote(f, r, arg);
	}
	return -ENOTTY;
}

bool fake_same(const struct fake_replica *r, const struct fake_session *s)
{
	static const u8 zeros[FAKE_PAGE];
	u32 i;

	if (!r || r->rec.generation != s->rec.published || r->pages != s->pages)
		return false;
	for (i = 0; i < s->pages; i++)
		if (memcmp(r->content[i] ? r->content[i] : zeros,
			   s->frozen + (size_t)i * FAKE_PAGE, FAKE_PAGE))
			return false;
	return r->segments == s->segments && r->meta_len == s->meta_len &&
		!memcmp(r->meta, s->meta, s->meta_len);
}
