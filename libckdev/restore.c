// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libckdev: a replica back to where the memory was.
 *
 * Passes over the layout: look whether all of it can be done, map what isn't there, fill,
 * and give back the protection. The first changes nothing; the second leaves at worst
 * empty mappings, which it can't tell from those it found, so they stay.
 */
#include <string.h>
#include <sys/mman.h>

#include "internal.h"

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED	24	/* Linux 5.18 */
#endif

struct restore {
	int fd;
	int content;			/* what is read */
	struct ckdev_restore *arg;
	struct ckdev_maps maps;		/* what is mapped here, ... */
	struct ckdev_map map;		/* ... and the one that we are at */
	bool have_map;
};

/* A part of a segment: [start, end), either all in @map or all unmapped (NULL). */
struct part {
	const struct cptdev_segment *seg;
	const struct ckdev_map *map;
	uint64_t start;
	uint64_t end;
};

typedef int (*segment_fn)(struct restore *r, const struct cptdev_segment *seg);
typedef int (*part_fn)(struct restore *r, const struct part *part);

static int refuse(struct restore *r, uint64_t addr, int reason, int err)
{
	return ckdev_refuse(&r->arg->refused, addr, reason, err);
}

/* Does memory at @addr lie in the part? */
static bool part_has(const struct part *p, const void *addr)
{
	return CKDEV_PTR(addr) >= p->start && CKDEV_PTR(addr) < p->end;
}

static int each_segment(struct restore *r, segment_fn fn)
{
	struct cptdev_segment vec[CKDEV_BATCH];
	uint64_t pos = 0;
	int i, n, ret;

	r->arg->segments = 0;
	while ((n = ckdev_image_layout(r->fd, vec, CKDEV_BATCH, &pos)) > 0) {
		for (i = 0; i < n; i++) {
			r->arg->segments++;
			if (vec[i].kind == CPTDEV_SEGMENT_UNMAPPED)
				continue;
			ret = fn(r, &vec[i]);
			if (ret < 0)
				return ret;
		}
	}
	return n;
}

/*
 * Layout and mappings are both in ascending order: walked side by side.
 */

/* Go on to the first mapping that ends behind @addr. */
static int map_seek(struct restore *r, uint64_t addr)
{
	int ret = 1;

	while (ret > 0 && (!r->have_map || r->map.end <= addr)) {
		ret = ckdev_maps_next(&r->maps, &r->map);
		r->have_map = ret > 0;
	}
	return ret < 0 ? ret : 0;
}

static int segment_parts(struct restore *r, const struct cptdev_segment *seg, part_fn fn)
{
	struct part p = { .seg = seg, .end = seg->addr };
	uint64_t end = seg->addr + seg->len;
	int ret = 0;

	while (ret == 0 && p.end < end) {
		p.start = p.end;
		p.end = end;
		p.map = NULL;
		ret = map_seek(r, p.start);
		if (ret < 0)
			break;
		if (r->have_map && r->map.start <= p.start) {
			p.map = &r->map;
			p.end = ckdev_min(end, r->map.end);
		} else if (r->have_map) {
			p.end = ckdev_min(end, r->map.start);
		}
		ret = fn(r, &p);
	}
	return ret;
}

static int with_maps(struct restore *r, segment_fn fn)
{
	int ret = ckdev_maps_open(&r->maps);

	if (ret < 0)
		return ret;
	r->have_map = false;
	ret = each_segment(r, fn);
	ckdev_maps_close(&r->maps);
	return ret;
}

/*
 * First pass: can it be done?
 */

static int check_anon(struct restore *r, const struct part *p)
{
	if (r->arg->flags & CKDEV_RESTORE_EXCL)
		return refuse(r, p->start, CKDEV_REASON_TAKEN, -EEXIST);
	if (p->map->shared)
		return refuse(r, p->start, CPTDEV_REASON_SHARED, -EOPNOTSUPP);
	if (p->map->file)
		return refuse(r, p->start, CKDEV_REASON_NOT_ANON, -EOPNOTSUPP);
	if (!p->map->write)
		return refuse(r, p->start, CKDEV_REASON_READONLY, -EACCES);
	return 0;
}

/* Who can't be written to will do where nothing is to be written. */
static int check_data(struct restore *r, const struct part *p)
{
	struct cptdev_extent e;
	uint64_t pos = p->start;
	int n = ckdev_image_extents(r->fd, &e, 1, &pos);

	if (n <= 0 || e.addr >= p->end)
		return n < 0 ? n : 0;
	return refuse(r, e.addr, CKDEV_REASON_READONLY, -EACCES);
}

static int check_file(struct restore *r, const struct part *p)
{
	uint64_t want = p->seg->offset + (p->start - p->seg->addr);
	uint64_t have = p->map->offset + (p->start - p->map->start);

	if (p->map->shared)
		return refuse(r, p->start, CPTDEV_REASON_SHARED, -EOPNOTSUPP);
	if (!p->map->file || want != have)
		return refuse(r, p->start, CKDEV_REASON_NOT_FILE, -EOPNOTSUPP);
	return p->map->write ? 0 : check_data(r, p);
}

static int check_part(struct restore *r, const struct part *p)
{
	bool anon = p->seg->kind == CPTDEV_SEGMENT_ANON;

	if (!p->map && anon && (r->arg->flags & CKDEV_RESTORE_MAP))
		return 0;
	if (!p->map)
		return refuse(r, p->start, CPTDEV_REASON_UNMAPPED, -EFAULT);
	if (part_has(p, __builtin_frame_address(0)))
		return refuse(r, p->start, CKDEV_REASON_IN_USE, -EDEADLK);
	return anon ? check_anon(r, p) : check_file(r, p);
}

static int check_segment(struct restore *r, const struct cptdev_segment *seg)
{
	return segment_parts(r, seg, check_part);
}

/*
 * Second pass: map what is missing, writable for now.
 */

static int map_part(struct restore *r, const struct part *p)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
	void *want = ckdev_pointer(p->start), *got;
	int saved = errno;
	long ret;

	if (p->map)
		return 0;
	got = mmap(want, p->end - p->start, PROT_READ | PROT_WRITE, flags, -1, 0);
	ret = ckdev_result(got == want ? 0 : -1, saved);
	if (ret == -EEXIST)
		return refuse(r, p->start, CKDEV_REASON_TAKEN, -EEXIST);
	return ret < 0 ? refuse(r, p->start, CPTDEV_REASON_UNMAPPED, (int)ret) : 0;
}

static int map_segment(struct restore *r, const struct cptdev_segment *seg)
{
	if (seg->kind != CPTDEV_SEGMENT_ANON)
		return 0;
	return segment_parts(r, seg, map_part);
}

/*
 * Third pass: content.
 */

/* As if it had never been written: zeros, or what the file has. */
static int forget(uint64_t start, uint64_t end)
{
	void *addr = ckdev_pointer(start);
	int saved = errno;
	long ret;

	ret = ckdev_result(madvise(addr, end - start, MADV_DONTNEED_LOCKED), saved);
	if (ret == -EINVAL)
		ret = ckdev_result(madvise(addr, end - start, MADV_DONTNEED), saved);
	return (int)ret;
}

static int fill_empty(struct restore *r, const struct cptdev_segment *seg,
		      uint64_t start, uint64_t end)
{
	int ret;

	if (start >= end)
		return 0;
	/* What nobody could write to is as in the file. */
	if (seg->kind == CPTDEV_SEGMENT_FILE && !(seg->prot & PROT_WRITE))
		return 0;
	ret = forget(start, end);
	if (ret == 0)
		return 0;
	if (seg->kind == CPTDEV_SEGMENT_FILE)
		return refuse(r, start, CKDEV_REASON_NOT_FILE, ret);
	memset(ckdev_pointer(start), 0, end - start);
	return 0;
}

static int fill_data(struct restore *r, uint64_t start, uint64_t end)
{
	while (start < end) {
		ssize_t n = ckdev_pread(r->content, ckdev_pointer(start), end - start, start);

		if (n == -EINTR)
			continue;
		if (n <= 0)
			return refuse(r, start, CKDEV_REASON_NO_DATA, -EIO);
		start += (uint64_t)n;
		r->arg->bytes += (uint64_t)n;
	}
	return 0;
}

static int fill_segment(struct restore *r, const struct cptdev_segment *seg)
{
	uint64_t done = seg->addr, end = seg->addr + seg->len, pos = seg->addr;
	struct cptdev_extent vec[CKDEV_BATCH];
	int i, n, ret;

	do {
		n = ckdev_image_extents(r->fd, vec, CKDEV_BATCH, &pos);
		for (i = 0; i < n && vec[i].addr < end; i++) {
			uint64_t to = ckdev_min(vec[i].addr + vec[i].len, end);

			ret = fill_empty(r, seg, done, vec[i].addr);
			if (ret == 0)
				ret = fill_data(r, vec[i].addr, to);
			if (ret < 0)
				return ret;
			done = to;
		}
	} while (n > 0 && i == n);
	return n < 0 ? n : fill_empty(r, seg, done, end);
}

/*
 * Last pass: the protection that the memory had.
 */

static int protect_segment(struct restore *r, const struct cptdev_segment *seg)
{
	int saved = errno;
	long ret;

	if (seg->kind != CPTDEV_SEGMENT_ANON)
		return 0;
	ret = ckdev_result(mprotect(ckdev_pointer(seg->addr), seg->len, (int)seg->prot),
			   saved);
	return ret < 0 ? refuse(r, seg->addr, CKDEV_REASON_READONLY, (int)ret) : 0;
}

static int restore_frozen(struct restore *r)
{
	struct cptdev_image_info info = { .size = sizeof(info) };
	bool map = r->arg->flags & CKDEV_RESTORE_MAP;
	int ret;

	ret = ckdev_image_info(r->fd, &info);
	if (ret < 0)
		return ret;
	if (info.generation == 0)
		return -ENODATA;
	r->arg->generation = info.generation;
	r->arg->term = info.term;
	ret = with_maps(r, check_segment);
	if (ret == 0 && map)
		ret = with_maps(r, map_segment);
	if (ret == 0)
		ret = each_segment(r, fill_segment);
	if (ret == 0 && map)
		ret = each_segment(r, protect_segment);
	return ret;
}

/* As the kernel takes structs: what is longer than known must be zero there. */
static int check_arg(const struct ckdev_restore *arg)
{
	const unsigned char *tail = (const unsigned char *)arg;
	size_t i;

	if (arg->size < sizeof(*arg))
		return -EINVAL;
	for (i = sizeof(*arg); i < arg->size; i++)
		if (tail[i])
			return -E2BIG;
	if (arg->flags & ~(CKDEV_RESTORE_MAP | CKDEV_RESTORE_EXCL | CKDEV_RESTORE_FREEZE))
		return -EINVAL;
	if ((arg->flags & CKDEV_RESTORE_EXCL) && !(arg->flags & CKDEV_RESTORE_MAP))
		return -EINVAL;
	return 0;
}

int ckdev_restore(int fd, struct ckdev_restore *restore)
{
	struct restore r = { .fd = fd, .arg = restore };
	int ret = check_arg(restore);

	if (ret < 0)
		return ret;
	restore->generation = 0;
	restore->term = 0;
	restore->segments = 0;
	restore->bytes = 0;
	ckdev_refuse(&restore->refused, 0, CPTDEV_REASON_NONE, 0);
	ret = ckdev_replica_freeze(fd, NULL);
	if (ret < 0)
		return ret;
	r.content = ckdev_replica_content(fd);
	/* Nothing was ever written: there is nothing to read. */
	ret = r.content < 0 && r.content != -ENODATA ? r.content : restore_frozen(&r);
	if (r.content >= 0)
		ckdev_close(r.content);
	if (ret < 0 || !(restore->flags & CKDEV_RESTORE_FREEZE))
		ckdev_replica_thaw(fd);
	return ret;
}
