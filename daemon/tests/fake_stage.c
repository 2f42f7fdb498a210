// SPDX-License-Identifier: GPL-2.0-or-later
/* The kernel that plays the module: staging and commit. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "fake_parts.h"
#include "uuid.h"

static void layout_free(struct fake_layout *l)
{
	free(l->v);
	memset(l, 0, sizeof(*l));
}

void stage_drop(struct fake_replica *r)
{
	pages_free(&r->staged);
	layout_free(&r->stage_layout);
	free(r->stage_meta);
	r->stage_meta = NULL;
	r->stager = -1;
	r->stage_failed = 0;
	r->rec.staging = 0;
}

static bool segment_valid(const struct cptdev_segment *s, u64 end)
{
	return s->len && !(s->addr % FAKE_PAGE) && !(s->len % FAKE_PAGE) && s->addr >= end &&
		s->addr <= LLONG_MAX && s->len <= LLONG_MAX - s->addr &&
		s->kind >= CPTDEV_SEGMENT_ANON && s->kind <= CPTDEV_SEGMENT_UNMAPPED &&
		!(s->prot & ~(u32)(PROT_READ | PROT_WRITE | PROT_EXEC));
}

static int layout_read(struct fake_layout *l, u64 from, u32 nr)
{
	u64 end = 0;
	u32 i;

	if (nr > CPTDEV_LAYOUT_MAX)
		return -E2BIG;
	l->nr = nr;
	l->v = calloc(nr + 1, sizeof(*l->v));
	if (user_read(l->v, from, nr * sizeof(*l->v)))
		return -EFAULT;
	for (i = 0; i < nr; i++) {
		if (!segment_valid(&l->v[i], end))
			return -EINVAL;
		end = l->v[i].addr + l->v[i].len;
	}
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

int replica_begin(struct fake_replica *r, int fd, const struct cptdev_replica_begin *b)
{
	struct fake_layout layout = { .nr = 0 };
	u8 *meta = NULL;
	int ret;

	if (b->flags & ~CPTDEV_BEGIN_REPLACE)
		return -EOPNOTSUPP;
	ret = layout_read(&layout, b->layout, b->layout_len);
	if (!ret && b->meta_len > CPTDEV_META_MAX)
		ret = -EMSGSIZE;
	if (!ret) {
		meta = malloc(b->meta_len + 1);
		ret = user_read(meta, b->meta, b->meta_len);
	}
	if (!ret && !r->named)
		ret = -ENOENT;
	if (!ret && r->stager >= 0 && r->stager != fd)
		ret = -EBUSY;
	if (!ret)
		ret = begin_check(r, b);
	if (ret) {
		layout_free(&layout);
		free(meta);
		return ret;
	}
	stage_drop(r);
	r->stager = fd;
	r->stage_base = b->base;
	r->stage_term = b->term;
	r->stage_layout = layout;
	r->stage_meta = meta;
	r->stage_meta_len = b->meta_len;
	memcpy(r->stage_uuid, b->uuid, CPTDEV_UUID_LEN);
	r->rec.staging = b->generation;
	return 0;
}

/* A page more: is there room for it? The delta isn't whole any more without. */
static int stage_charge(struct fake *f, struct fake_replica *r)
{
	u64 own = (r->content.nr + pages_with_data(&r->staged) + 1) * FAKE_PAGE;

	if ((r->max_bytes && own > r->max_bytes) ||
	    fake_replica_bytes(f) + FAKE_PAGE > fake_replica_max(f))
		r->stage_failed = f->limit_hidden ? -ENOMEM : -EDQUOT;
	return r->stage_failed;
}

int stage_bytes(struct fake *f, struct fake_replica *r, u64 pos, const void *from,
		size_t len)
{
	u64 index = pos / FAKE_PAGE;
	struct fake_entry *e = pages_find(&r->staged, index), *old;
	int ret;

	if (!layout_find(&r->stage_layout, pos))
		return -EFAULT;
	if (!e || !e->data) {
		old = !e && r->stage_base ? pages_find(&r->content, index) : NULL;
		ret = stage_charge(f, r);
		if (ret)
			return ret;
		e = pages_get(&r->staged, index);
		e->data = calloc(1, FAKE_PAGE);
		if (old)
			memcpy(e->data, old->data, FAKE_PAGE);
	}
	memcpy(e->data + pos % FAKE_PAGE, from, len);
	return 0;
}

/* Pages that become holes: those with content need a note, the others nothing. */
static void stage_holes(struct fake_replica *r, u64 start, u64 end)
{
	u64 i;

	pages_erase(&r->staged, start, end);
	if (!r->stage_base)
		return;
	for (i = pages_at(&r->content, start);
	     i < r->content.nr && r->content.v[i].index < end; i++)
		pages_get(&r->staged, r->content.v[i].index);
}

static bool layout_covers(const struct fake_layout *l, u64 addr, u64 len)
{
	const struct cptdev_segment *seg = layout_find(l, addr);

	while (seg) {
		u64 rest = seg->addr + seg->len - addr;

		if (len <= rest)
			return true;
		addr += rest;
		len -= rest;
		if (++seg == l->v + l->nr || seg->addr != addr)
			return false;
	}
	return false;
}

static int stage_extent(struct fake *f, struct fake_replica *r,
			const struct cptdev_extent *e, u64 *data, u64 *left)
{
	u8 page[FAKE_PAGE];
	u64 a;
	int ret = 0;

	if (e->addr % FAKE_PAGE || e->len % FAKE_PAGE || !e->len || e->reserved)
		return -EINVAL;
	if (e->kind != CPTDEV_EXTENT_DATA && e->kind != CPTDEV_EXTENT_HOLE)
		return -EINVAL;
	if (!layout_covers(&r->stage_layout, e->addr, e->len))
		return -EFAULT;
	if (e->kind == CPTDEV_EXTENT_HOLE) {
		stage_holes(r, e->addr / FAKE_PAGE, (e->addr + e->len) / FAKE_PAGE);
		return 0;
	}
	if (*left < e->len)
		return -EINVAL;
	for (a = e->addr; !ret && a < e->addr + e->len; a += FAKE_PAGE) {
		ret = user_read(page, *data, FAKE_PAGE);
		if (!ret)
			ret = stage_bytes(f, r, a, page, FAKE_PAGE);
		*data += FAKE_PAGE;
		*left -= FAKE_PAGE;
	}
	return ret;
}

int replica_stage(struct fake *f, struct fake_replica *r,
		  const struct cptdev_replica_stage *arg)
{
	u64 data = arg->data, left = arg->data_len;
	struct cptdev_extent e;
	int ret = f->fail_stage;
	u32 i;

	f->stages++;
	f->fail_stage = 0;
	if (ret)
		return -ret;
	if (arg->flags)
		return -EOPNOTSUPP;
	if (arg->reserved)
		return -EINVAL;
	for (i = 0; !ret && i < arg->vec_len; i++) {
		ret = user_read(&e, arg->vec + i * sizeof(e), sizeof(e));
		if (!ret)
			ret = stage_extent(f, r, &e, &data, &left);
	}
	return ret ? ret : left ? -EINVAL : 0;
}

/* What isn't mapped any more mustn't come back when it is mapped again. */
static void content_trim(struct fake_replica *r)
{
	u64 i, kept = 0;

	for (i = 0; i < r->content.nr; i++) {
		struct fake_entry *e = &r->content.v[i];

		if (layout_find(&r->layout, e->index * FAKE_PAGE))
			r->content.v[kept++] = *e;
		else
			free(e->data);
	}
	r->content.nr = kept;
}

static void commit_pages(struct fake_replica *r)
{
	u64 i;

	if (!r->stage_base)
		pages_free(&r->content);
	for (i = 0; i < r->staged.nr; i++) {
		struct fake_entry *from = &r->staged.v[i], *to;

		if (!from->data) {
			pages_erase(&r->content, from->index, from->index + 1);
			continue;
		}
		to = pages_get(&r->content, from->index);
		free(to->data);
		to->data = from->data;
		from->data = NULL;
	}
}

int replica_commit(struct fake *f, struct fake_replica *r,
		   struct cptdev_replica_commit *arg)
{
	int ret = f->fail_commit;

	f->fail_commit = 0;
	if (ret)
		return -ret;
	if (arg->generation != r->rec.staging)
		return -EINVAL;
	if (r->stage_failed)
		return r->stage_failed;
	if (r->frozen)
		return -EBUSY;
	commit_pages(r);
	layout_free(&r->layout);
	r->layout = r->stage_layout;
	memset(&r->stage_layout, 0, sizeof(r->stage_layout));
	content_trim(r);
	r->rec.generation = arg->generation;
	r->rec.term = r->stage_term;
	r->promoted = false;
	r->rec.commits++;
	memcpy(r->rec.uuid, r->stage_uuid, CPTDEV_UUID_LEN);
	free(r->meta);
	r->meta = r->stage_meta;
	r->meta_len = r->stage_meta_len;
	r->stage_meta = NULL;
	stage_drop(r);
	fake_replica_event(f, CPTDEV_CMD_REPLICA_COMMITTED_NTF, r);
	return 0;
}
