// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The soft engine: published snapshots, and merging two of them. What changed from a to b, and
 * from b to c, makes what changed from a to c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "soft_parts.h"

/* What is copied at a time. */
#define COPY	(256U << 10)

struct soft_snap *soft_snap_new(const struct soft_session *se)
{
	struct soft_snap *snap = calloc(1, sizeof(*snap));

	if (!snap)
		return NULL;
	snap->refs = 1;
	snap->fd = -1;
	memcpy(snap->name, se->rec.name, sizeof(snap->name));
	memcpy(snap->uuid, se->rec.uuid, sizeof(snap->uuid));
	snap->term = se->rec.term;
	snap->uid = se->rec.uid;
	snap->state = CPTDEV_IMAGE_PUBLISHED;
	if (se->rec.flags & CPTDEV_GENL_SESSION_REPLACE)
		snap->state |= CPTDEV_IMAGE_REPLACE;
	return snap;
}

void soft_snap_put(struct soft_snap *snap)
{
	if (--snap->refs)
		return;
	if (snap->fd >= 0)
		soft_close_pages(snap->fd);
	free(snap->extents);
	soft_layout_free(&snap->layout);
	free(snap->meta.v);
	free(snap);
}

static int snap_info(const struct soft_snap *snap, struct cptdev_image_info *info)
{
	u32 size = info->size;

	if (info->flags)
		return -EOPNOTSUPP;
	memset(info, 0, sizeof(*info));
	info->size = size;
	info->kind = CPTDEV_IMAGE_SNAPSHOT;
	info->state = snap->state;
	memcpy(info->name, snap->name, sizeof(info->name));
	memcpy(info->uuid, snap->uuid, sizeof(info->uuid));
	info->term = snap->term;
	info->generation = snap->generation;
	info->base = snap->base;
	info->pages = snap->pages;
	info->holes = snap->holes;
	info->segments = snap->layout.nr;
	info->extents = snap->nr_extents;
	info->meta_len = snap->meta.len;
	info->uid = snap->uid;
	return 0;
}

int soft_snap_ioctl(const struct soft_snap *snap, unsigned int cmd, void *arg)
{
	struct cptdev_image_vec *vec = arg;

	if (cmd == CPTDEV_IOC_IMAGE_INFO)
		return snap_info(snap, arg);
	if (cmd != CPTDEV_IOC_IMAGE_LAYOUT && cmd != CPTDEV_IOC_IMAGE_META &&
	    cmd != CPTDEV_IOC_IMAGE_EXTENTS)
		return -ENOTTY;
	if (vec->flags)
		return -EOPNOTSUPP;
	if (cmd == CPTDEV_IOC_IMAGE_LAYOUT)
		return soft_list_read(snap->layout.v, snap->layout.nr,
				      sizeof(*snap->layout.v), vec);
	if (cmd == CPTDEV_IOC_IMAGE_META)
		return soft_list_read(snap->meta.v, snap->meta.len, 1, vec);
	return soft_list_read(snap->extents, snap->nr_extents, sizeof(*snap->extents), vec);
}

/*
 * Merging
 */

/* A place in a snapshot's list of extents. */
struct cursor {
	const struct soft_snap *snap;
	u32 i;
	u64 skip;		/* bytes of the extent that are behind us */
	u64 file;		/* where its next page is in the file */
};

/* What is left of an extent there. */
struct rest {
	u64 addr;
	u64 len;
	u32 kind;
};

struct merge {
	struct soft_snap *to;
	u32 room;		/* extents */
	u8 *buf;
};

static bool cursor_get(const struct cursor *c, struct rest *r)
{
	const struct cptdev_extent *e = &c->snap->extents[c->i];

	if (c->i == c->snap->nr_extents)
		return false;
	*r = (struct rest) {
		.addr = e->addr + c->skip, .len = e->len - c->skip, .kind = e->kind,
	};
	return true;
}

static void cursor_advance(struct cursor *c, const struct rest *r, u64 len)
{
	if (r->kind == CPTDEV_EXTENT_DATA)
		c->file += len;
	c->skip += len;
	if (len == r->len) {
		c->i++;
		c->skip = 0;
	}
}

/* How many of the rest's bytes lie before @addr. */
static u64 before(const struct rest *r, u64 addr)
{
	return addr <= r->addr ? 0 : MIN(r->len, addr - r->addr);
}

static int extent_push(struct merge *m, u64 addr, u64 len, u32 kind)
{
	struct soft_snap *to = m->to;
	struct cptdev_extent *last = to->extents ? &to->extents[to->nr_extents - 1] : NULL;

	if (to->nr_extents && last->kind == kind && last->addr + last->len == addr) {
		last->len += len;
		return 0;
	}
	if (to->nr_extents == m->room) {
		u32 more = MAX(64U, 2 * m->room);
		struct cptdev_extent *v = realloc(to->extents, more * sizeof(*v));

		if (!v)
			return -ENOMEM;
		to->extents = v;
		m->room = more;
	}
	to->extents[to->nr_extents++] = (struct cptdev_extent) {
		.addr = addr, .len = len, .kind = kind,
	};
	return 0;
}

static int data_copy(struct merge *m, const struct cursor *from, u64 len)
{
	u64 done = 0, at = m->to->pages * SOFT_PAGE;

	while (done < len) {
		size_t n = MIN(len - done, COPY);
		ssize_t got = pread(from->snap->fd, m->buf, n, from->file + done);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0 || pwrite(m->to->fd, m->buf, got, at + done) != got)
			return -ENOMEM;
		done += got;
	}
	return 0;
}

static int merge_copy(struct merge *m, const struct cursor *from, const struct rest *r,
		      u64 len)
{
	int ret = extent_push(m, r->addr, len, r->kind);

	if (ret)
		return ret;
	if (r->kind == CPTDEV_EXTENT_HOLE) {
		m->to->holes += len / SOFT_PAGE;
		return 0;
	}
	ret = data_copy(m, from, len);
	m->to->pages += len / SOFT_PAGE;
	return ret;
}

/* How many bytes of the older rest, from its start, are alike: in the layout, or not. */
static u64 covered(const struct soft_layout *l, const struct rest *r, u64 len, bool *in)
{
	const struct cptdev_segment *seg = soft_layout_find(l, r->addr);
	u32 i;

	*in = seg;
	if (seg)
		return MIN(len, seg->addr + seg->len - r->addr);
	for (i = 0; i < l->nr; i++)
		if (l->v[i].addr > r->addr)
			return MIN(len, l->v[i].addr - r->addr);
	return len;
}

/* The newer has it, and maybe the older as well, which is passed over. */
static int merge_newer(struct merge *m, struct cursor *a, struct cursor *b,
		       const struct rest *rb)
{
	u64 end = rb->addr + rb->len, n;
	int ret = merge_copy(m, b, rb, rb->len);
	struct rest ra;

	cursor_advance(b, rb, rb->len);
	while (cursor_get(a, &ra) && (n = before(&ra, end)))
		cursor_advance(a, &ra, n);
	return ret;
}

static int merge_extents(struct merge *m, struct cursor *a, struct cursor *b)
{
	struct rest ra, rb;
	bool has_a, has_b, in;
	int ret = 0;
	u64 n;

	while (!ret) {
		has_a = cursor_get(a, &ra);
		has_b = cursor_get(b, &rb);
		if (!has_a && !has_b)
			break;
		n = has_a ? before(&ra, has_b ? rb.addr : ~0ULL) : 0;
		if (!n) {
			ret = merge_newer(m, a, b, &rb);
			continue;
		}
		n = covered(&m->to->layout, &ra, n, &in);
		if (in)
			ret = merge_copy(m, a, &ra, n);
		cursor_advance(a, &ra, n);
	}
	return ret;
}

static int copy_of(void **to, const void *from, size_t len)
{
	*to = malloc(len + 1);
	if (!*to)
		return -ENOMEM;
	if (len)
		memcpy(*to, from, len);
	return 0;
}

static int merge_head(struct soft_snap *to, const struct soft_snap *old,
		      const struct soft_snap *new)
{
	*to = *new;
	to->refs = 1;
	to->taken = false;
	to->base = old->base;
	to->pages = to->holes = to->nr_extents = 0;
	to->extents = NULL;
	to->layout.v = NULL;
	to->meta.v = NULL;
	to->fd = memfd_create("cptdev-merged", MFD_CLOEXEC);
	if (to->fd < 0)
		return -ENOMEM;
	if (copy_of((void **)&to->meta.v, new->meta.v, new->meta.len))
		return -ENOMEM;
	return copy_of((void **)&to->layout.v, new->layout.v,
		       new->layout.nr * sizeof(*new->layout.v));
}

struct soft_snap *soft_snap_merge(const struct soft_snap *old, const struct soft_snap *new)
{
	struct cursor a = { .snap = old }, b = { .snap = new };
	struct merge m = { .to = calloc(1, sizeof(*m.to)), .buf = malloc(COPY) };
	int ret = -ENOMEM;

	if (m.to && m.buf) {
		ret = merge_head(m.to, old, new);
		if (!ret)
			ret = merge_extents(&m, &a, &b);
	}
	free(m.buf);
	if (!ret)
		return m.to;
	if (m.to && m.to->refs)
		soft_snap_put(m.to);
	else
		free(m.to);
	return NULL;
}
