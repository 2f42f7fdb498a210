// SPDX-License-Identifier: GPL-2.0-or-later
/* The soft engine: what is in a replica. */
#include <errno.h>
#include <string.h>

#include "soft_parts.h"

static const struct soft_layout *layout_of(const struct soft_file *f)
{
	return f->shows ? &f->state.layout : &f->replica->layout;
}

static const struct soft_blob *meta_of(const struct soft_file *f)
{
	return f->shows ? &f->state.meta : &f->replica->meta;
}

int soft_image_info(struct soft *s, struct soft_file *f, struct cptdev_image_info *info)
{
	struct soft_replica *r = f->replica;
	u32 size = info->size;

	if (info->flags)
		return -EOPNOTSUPP;
	if (soft_past_check(f))
		return -ESTALE;
	memset(info, 0, sizeof(*info));
	info->size = size;
	info->kind = CPTDEV_IMAGE_REPLICA;
	info->state = (r->promoted ? CPTDEV_IMAGE_PROMOTED : 0) |
		(r->taken_ns ? CPTDEV_IMAGE_TAKEN : 0) |
		(r->frozen ? CPTDEV_IMAGE_FROZEN : 0) |
		(r->kept ? CPTDEV_IMAGE_KEPT : 0) |
		(r->named ? 0 : CPTDEV_IMAGE_REMOVED);
	memcpy(info->name, r->rec.name, sizeof(info->name));
	memcpy(info->uuid, r->rec.uuid, CPTDEV_UUID_LEN);
	info->term = f->shows ? f->state.term : r->rec.term;
	info->generation = f->shows ? f->state.generation : r->rec.generation;
	info->pages = f->shows ? f->state.pages : r->content.set.pages;
	info->segments = layout_of(f)->nr;
	info->meta_len = meta_of(f)->len;
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

static int list_extents(const struct soft_set *set, struct cptdev_image_vec *arg)
{
	u64 start, end;

	while (arg->nr < arg->vec_len &&
	       soft_set_run(set, arg->next / SOFT_PAGE, &start, &end)) {
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

static int image_extents(const struct soft_file *f, struct cptdev_image_vec *arg)
{
	const struct soft_replica *r = f->replica;
	struct soft_set set;
	int ret;

	if (arg->start % SOFT_PAGE)
		return -EINVAL;
	arg->nr = 0;
	arg->next = arg->start;
	if (!f->shows)
		return arg->since ?
			soft_since_extents(&r->since, r->rec.commits, &r->content.set, arg) :
			list_extents(&r->content.set, arg);
	if (arg->since)
		return -EINVAL;
	ret = soft_past_set(f, &set);
	if (ret)
		return ret;
	ret = list_extents(&set, arg);
	soft_set_free(&set);
	return ret;
}

int soft_list_read(const void *v, u64 nr, u32 entry, struct cptdev_image_vec *arg)
{
	u64 from = MIN(arg->start, nr);

	arg->nr = MIN(arg->vec_len, nr - from);
	arg->next = from + arg->nr;
	return soft_user_write(arg->vec, (const u8 *)v + from * entry, (u64)arg->nr * entry);
}

int soft_image_vec(const struct soft_file *f, unsigned int cmd, struct cptdev_image_vec *arg)
{
	const struct soft_layout *layout = layout_of(f);
	const struct soft_blob *meta = meta_of(f);

	if (arg->flags)
		return -EOPNOTSUPP;
	if (soft_past_check(f))
		return -ESTALE;
	if (arg->since && cmd != CPTDEV_IOC_IMAGE_EXTENTS)
		return -EINVAL;
	if (cmd == CPTDEV_IOC_IMAGE_LAYOUT)
		return soft_list_read(layout->v, layout->nr, sizeof(*layout->v), arg);
	if (cmd == CPTDEV_IOC_IMAGE_META)
		return soft_list_read(meta->v, meta->len, 1, arg);
	return image_extents(f, arg);
}

/* The page that the descriptor shows, into @data. Returns 0, or -ENODATA: only the file has it. */
static int page_read(const struct soft_file *f, const struct soft_set *set, u64 index,
		     const struct cptdev_segment *seg, void *data)
{
	if (!soft_set_has(set, index) && seg->kind != CPTDEV_SEGMENT_ANON)
		return -ENODATA;
	return f->shows ? soft_past_read(f, index, data) :
		soft_pages_read(&f->replica->content, index, data);
}

ssize_t soft_replica_pread(struct soft *s, int fd, void *buf, size_t len, u64 pos)
{
	const struct soft_file *f = soft_file(s, fd);
	struct soft_set past = {};
	const struct soft_set *set = f->shows ? &past : &f->replica->content.set;
	u8 page[SOFT_PAGE];
	size_t done = 0;
	int ret = soft_past_check(f);

	if (!ret && f->shows)
		ret = soft_past_set(f, &past);
	while (!ret && done < len) {
		const struct cptdev_segment *seg = soft_layout_find(layout_of(f), pos + done);
		u64 index = (pos + done) / SOFT_PAGE;
		size_t at = (pos + done) % SOFT_PAGE, n = MIN(len - done, SOFT_PAGE - at);

		ret = seg ? page_read(f, set, index, seg, page) : -EFAULT;
		if (!ret)
			ret = soft_user_write((unsigned long)buf + done, page + at, n);
		done += ret ? 0 : n;
	}
	soft_set_free(&past);
	return done ? (ssize_t)done : ret;
}
