// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libckdev: what is in snapshots and replicas.
 */
#include <string.h>

#include "internal.h"

int ckdev_image_info(int fd, struct cptdev_image_info *info)
{
	return ckdev_ioctl(fd, CPTDEV_IOC_IMAGE_INFO, info);
}

static int image_vec(int fd, unsigned long cmd, void *vec, size_t len, uint64_t *pos,
		     uint64_t since)
{
	struct cptdev_image_vec arg = {
		.size = sizeof(arg), .vec = CKDEV_PTR(vec),
		.vec_len = ckdev_count(len), .start = *pos, .since = since,
	};
	int ret = ckdev_ioctl(fd, cmd, &arg);

	if (ret < 0)
		return ret;
	*pos = arg.next;
	return (int)arg.nr;
}

int ckdev_image_layout(int fd, struct cptdev_segment *vec, unsigned int len,
		       uint64_t *pos)
{
	return image_vec(fd, CPTDEV_IOC_IMAGE_LAYOUT, vec, len, pos, 0);
}

int ckdev_image_extents(int fd, struct cptdev_extent *vec, unsigned int len,
			uint64_t *pos)
{
	return image_vec(fd, CPTDEV_IOC_IMAGE_EXTENTS, vec, len, pos, 0);
}

int ckdev_image_extents_since(int fd, struct cptdev_extent *vec, unsigned int len,
			      uint64_t *pos, uint64_t since)
{
	return image_vec(fd, CPTDEV_IOC_IMAGE_EXTENTS, vec, len, pos, since);
}

int ckdev_image_meta(int fd, void *buf, size_t len, uint64_t *pos)
{
	return image_vec(fd, CPTDEV_IOC_IMAGE_META, buf, len, pos, 0);
}

/* An address in a snapshot's list of extents. */
struct place {
	bool found;
	__u32 kind;
	uint64_t offset;	/* in the file, for DATA */
	uint64_t end;		/* address up to which the answer is the same */
};

/*
 * The file is packed: where a page is in it, only a walk from the beginning tells.
 * Returns 1 when it is over.
 */
static int place_step(const struct cptdev_extent *e, uint64_t addr, struct place *p)
{
	if (addr < e->addr) {
		p->end = e->addr;
		return 1;
	}
	if (addr - e->addr < e->len) {
		p->found = true;
		p->kind = e->kind;
		p->end = e->addr + e->len;
		p->offset += addr - e->addr;
		return 1;
	}
	if (e->kind == CPTDEV_EXTENT_DATA)
		p->offset += e->len;
	return 0;
}

static int place_find(int fd, uint64_t addr, struct place *p)
{
	struct cptdev_extent vec[CKDEV_BATCH];
	uint64_t pos = 0;
	int i, n;

	*p = (struct place){ .end = UINT64_MAX };
	while ((n = ckdev_image_extents(fd, vec, CKDEV_BATCH, &pos)) > 0)
		for (i = 0; i < n; i++)
			if (place_step(&vec[i], addr, p))
				return 0;
	return n;
}

/* The segment with @addr; -EFAULT if there is none. */
static int segment_find(int fd, uint64_t addr, struct cptdev_segment *seg)
{
	struct cptdev_segment vec[CKDEV_BATCH];
	uint64_t pos = 0;
	int i, n;

	while ((n = ckdev_image_layout(fd, vec, CKDEV_BATCH, &pos)) > 0) {
		for (i = 0; i < n; i++) {
			if (addr < vec[i].addr)
				return -EFAULT;
			if (addr - vec[i].addr < vec[i].len) {
				*seg = vec[i];
				return 0;
			}
		}
	}
	return n < 0 ? n : -EFAULT;
}

/* A page without data is what the layout says. */
static ssize_t read_empty(const struct cptdev_segment *seg, void *buf, size_t len,
			  uint64_t addr, uint64_t end)
{
	size_t n = ckdev_min(len, ckdev_min(end, seg->addr + seg->len) - addr);

	if (seg->kind != CPTDEV_SEGMENT_ANON)
		return -ENODATA;
	memset(buf, 0, n);
	return (ssize_t)n;
}

ssize_t ckdev_snapshot_pread_at(int fd, void *buf, size_t len, const void *addr)
{
	struct cptdev_image_info info = { .size = sizeof(info) };
	uint64_t at = CKDEV_PTR(addr);
	struct cptdev_segment seg;
	struct place p;
	int ret;

	ret = ckdev_image_info(fd, &info);
	if (ret < 0)
		return ret;
	if (info.kind != CPTDEV_IMAGE_SNAPSHOT)
		return -EINVAL;
	ret = segment_find(fd, at, &seg);
	if (ret == 0)
		ret = place_find(fd, at, &p);
	if (ret < 0 || len == 0)
		return ret;
	if (!p.found && info.base)
		return -ENXIO;
	if (!p.found || p.kind == CPTDEV_EXTENT_HOLE)
		return read_empty(&seg, buf, len, at, p.end);
	return ckdev_pread(fd, buf, ckdev_min(len, p.end - at), p.offset);
}
