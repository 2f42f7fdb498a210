// SPDX-License-Identifier: GPL-2.0-or-later
/* The soft engine: what is in a replica. */
#include <errno.h>
#include <string.h>

#include "soft_parts.h"

int soft_image_info(struct soft *s, struct soft_file *f, struct cptdev_image_info *info)
{
	struct soft_replica *r = f->replica;
	u32 size = info->size;

	if (info->flags)
		return -EOPNOTSUPP;
	memset(info, 0, sizeof(*info));
	info->size = size;
	info->kind = CPTDEV_IMAGE_REPLICA;
	info->state = (r->promoted ? CPTDEV_IMAGE_PROMOTED : 0) |
		(r->taken_ns ? CPTDEV_IMAGE_TAKEN : 0) |
		(r->frozen ? CPTDEV_IMAGE_FROZEN : 0) |
		(r->named ? 0 : CPTDEV_IMAGE_REMOVED);
	memcpy(info->name, r->rec.name, sizeof(info->name));
	memcpy(info->uuid, r->rec.uuid, CPTDEV_UUID_LEN);
	info->term = r->rec.term;
	info->generation = r->rec.generation;
	info->pages = r->content.set.pages;
	info->segments = r->layout.nr;
	info->meta_len = r->meta.len;
	info->uid = r->rec.uid;
	info->staged = r->stage.data.set.pages;
	info->staging = r->rec.staging;
	info->max_bytes = soft_replica_limit(s, r);
	info->promoted_ns = r->promoted_ns;
	info->taken_ns = r->taken_ns;
	info->commits = r->rec.commits;
	f->seen = r->rec.commits;
	return 0;
}

static int image_extents(const struct soft_replica *r, struct cptdev_image_vec *arg)
{
	u64 start, end;

	if (arg->start % SOFT_PAGE)
		return -EINVAL;
	arg->nr = 0;
	arg->next = arg->start;
	if (arg->since)
		return soft_since_extents(&r->since, r->rec.commits, &r->content.set, arg);
	while (arg->nr < arg->vec_len &&
	       soft_set_run(&r->content.set, arg->next / SOFT_PAGE, &start, &end)) {
		struct cptdev_extent e = {
			.addr = start * SOFT_PAGE, .len = (end - start) * SOFT_PAGE,
			.kind = CPTDEV_EXTENT_DATA,
		};

		if (soft_user_write(arg->vec + arg->nr * sizeof(e), &e, sizeof(e)))
			return -EFAULT;
		arg->next = end * SOFT_PAGE;
		arg->nr++;
	}
	return 0;
}

int soft_list_read(const void *v, u64 nr, u32 entry, struct cptdev_image_vec *arg)
{
	u64 from = MIN(arg->start, nr);

	arg->nr = MIN(arg->vec_len, nr - from);
	arg->next = from + arg->nr;
	return soft_user_write(arg->vec, (const u8 *)v + from * entry, (u64)arg->nr * entry);
}

int soft_image_vec(const struct soft_replica *r, unsigned int cmd,
		   struct cptdev_image_vec *arg)
{
	if (arg->flags)
		return -EOPNOTSUPP;
	if (arg->since && cmd != CPTDEV_IOC_IMAGE_EXTENTS)
		return -EINVAL;
	if (cmd == CPTDEV_IOC_IMAGE_LAYOUT)
		return soft_list_read(r->layout.v, r->layout.nr, sizeof(*r->layout.v), arg);
	if (cmd == CPTDEV_IOC_IMAGE_META)
		return soft_list_read(r->meta.v, r->meta.len, 1, arg);
	return image_extents(r, arg);
}

ssize_t soft_replica_pread(struct soft *s, int fd, void *buf, size_t len, u64 pos)
{
	const struct soft_replica *r = soft_file(s, fd)->replica;
	u8 page[SOFT_PAGE];
	size_t done = 0;
	int ret = 0;

	while (!ret && done < len) {
		const struct cptdev_segment *seg = soft_layout_find(&r->layout, pos + done);
		u64 index = (pos + done) / SOFT_PAGE;
		size_t at = (pos + done) % SOFT_PAGE, n = MIN(len - done, SOFT_PAGE - at);

		if (!seg)
			ret = -EFAULT;
		else if (!soft_set_has(&r->content.set, index) &&
			 seg->kind != CPTDEV_SEGMENT_ANON)
			ret = -ENODATA;
		else
			ret = soft_pages_read(&r->content, index, page);
		if (!ret)
			ret = soft_user_write((unsigned long)buf + done, page + at, n);
		done += ret ? 0 : n;
	}
	return done ? (ssize_t)done : ret;
}
