// SPDX-License-Identifier: GPL-2.0-or-later
/* The kernel that plays the module: what is in a replica. */
#include <errno.h>
#include <string.h>

#include "fake_parts.h"

const struct cptdev_segment *layout_find(const struct fake_layout *l, u64 addr)
{
	u32 i;

	for (i = 0; i < l->nr; i++)
		if (addr >= l->v[i].addr && addr - l->v[i].addr < l->v[i].len)
			return &l->v[i];
	return NULL;
}

int replica_info(struct fake_fd *d, struct cptdev_image_info *info)
{
	const struct fake_replica *r = d->replica;
	u32 size = info->size;

	if (info->flags)
		return -EOPNOTSUPP;
	memset(info, 0, sizeof(*info));
	info->size = size;
	info->kind = CPTDEV_IMAGE_REPLICA;
	info->state = (r->promoted ? CPTDEV_IMAGE_PROMOTED : 0) |
		(r->frozen ? CPTDEV_IMAGE_FROZEN : 0) |
		(r->named ? 0 : CPTDEV_IMAGE_REMOVED);
	memcpy(info->name, r->rec.name, sizeof(info->name));
	memcpy(info->uuid, r->rec.uuid, CPTDEV_UUID_LEN);
	info->term = r->rec.term;
	info->generation = r->rec.generation;
	info->pages = r->content.nr;
	info->segments = r->layout.nr;
	info->meta_len = r->meta_len;
	info->uid = r->rec.uid;
	info->staged = r->staged.nr;
	info->staging = r->rec.staging;
	info->max_bytes = r->max_bytes ? r->max_bytes : FAKE_REPLICA_MAX;
	d->seen = r->rec.commits;
	return 0;
}

/* The next run of pages from address @start on. */
static bool next_run(const struct fake_pages *p, u64 start, struct cptdev_extent *e)
{
	u64 i = pages_at(p, start / FAKE_PAGE), n = 1;

	if (i == p->nr)
		return false;
	while (i + n < p->nr && p->v[i + n].index == p->v[i].index + n)
		n++;
	*e = (struct cptdev_extent) {
		.addr = p->v[i].index * FAKE_PAGE, .len = n * FAKE_PAGE,
		.kind = CPTDEV_EXTENT_DATA,
	};
	return true;
}

static int replica_extents(const struct fake_replica *r, struct cptdev_image_vec *arg)
{
	struct cptdev_extent e;

	if (arg->start % FAKE_PAGE)
		return -EINVAL;
	arg->nr = 0;
	arg->next = arg->start;
	while (arg->nr < arg->vec_len && next_run(&r->content, arg->next, &e)) {
		if (user_write(arg->vec + arg->nr * sizeof(e), &e, sizeof(e)))
			return -EFAULT;
		arg->next = e.addr + e.len;
		arg->nr++;
	}
	return 0;
}

static int list_read(const void *v, u64 nr, u32 entry, struct cptdev_image_vec *arg)
{
	u64 from = MIN(arg->start, nr);

	arg->nr = MIN(arg->vec_len, nr - from);
	arg->next = from + arg->nr;
	return user_write(arg->vec, (const u8 *)v + from * entry, (u64)arg->nr * entry);
}

int replica_vec(const struct fake_replica *r, unsigned int cmd, struct cptdev_image_vec *arg)
{
	if (arg->flags)
		return -EOPNOTSUPP;
	if (cmd == CPTDEV_IOC_IMAGE_LAYOUT)
		return list_read(r->layout.v, r->layout.nr, sizeof(*r->layout.v), arg);
	if (cmd == CPTDEV_IOC_IMAGE_META)
		return list_read(r->meta, r->meta_len, 1, arg);
	return replica_extents(r, arg);
}

ssize_t fake_replica_pread(struct fake *f, int fd, void *buf, size_t len, u64 pos)
{
	const struct fake_replica *r = f->fd[fd].replica;
	static const u8 zeros[FAKE_PAGE];
	size_t done = 0;
	int ret = 0;

	while (!ret && done < len) {
		const struct cptdev_segment *seg = layout_find(&r->layout, pos + done);
		const struct fake_entry *e = pages_find(&r->content, (pos + done) / FAKE_PAGE);
		size_t at = (pos + done) % FAKE_PAGE, n = MIN(len - done, FAKE_PAGE - at);

		if (!seg)
			ret = -EFAULT;
		else if (!e && seg->kind != CPTDEV_SEGMENT_ANON)
			ret = -ENODATA;
		else
			ret = user_write((unsigned long)buf + done,
					 (e ? e->data : zeros) + at, n);
		done += ret ? 0 : n;
	}
	return done ? (ssize_t)done : ret;
}
