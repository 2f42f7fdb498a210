// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libckdev: a replica back to where the memory was.
 *
 * Passes over the layout: look whether all of it can be done, map what isn't there, fill,
 * and give back the protection. The first changes nothing; the second leaves at worst
 * empty mappings, which it can't tell from those it found, so they stay.
 *
 * A copy ahead (CKDEV_RESTORE_AHEAD) reads while generations are committed. Everything that changes
 * after the commit that it began with is told to the next call, so it doesn't matter which of the
 * generations a page is of, nor that pages are gone that the list had. Only the layout has to be
 * that of one commit: a segment that is overlooked would lack what changed before.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "internal.h"

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED	24	/* Linux 5.18 */
#endif

/* A page whose copy fails is read so often: it may go and come back. */
#define READ_TRIES	8
/* So often the layout is read while generations are committed. */
#define LAYOUT_TRIES	8

struct restore {
	int fd;
	int content;			/* what is read */
	struct ckdev_restore *arg;
	uint64_t since;			/* the memory is as of this commit, 0: of none */
	uint64_t commits;		/* that there were when it began */
	struct cptdev_segment *seg;	/* the layout */
	uint64_t nr_segs;
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
	int ret = 0;
	uint64_t i;

	for (i = 0; ret == 0 && i < r->nr_segs; i++)
		if (r->seg[i].kind != CPTDEV_SEGMENT_UNMAPPED)
			ret = fn(r, &r->seg[i]);
	return ret;
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

/* Is the page not there any more? The other reason why it can't be read is our own memory. */
static bool page_gone(struct restore *r, uint64_t addr)
{
	char c;

	return ckdev_pread(r->content, &c, 1, addr) <= 0;
}

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
	bool ahead = r->arg->flags & CKDEV_RESTORE_AHEAD;
	int failed = 0;

	while (start < end) {
		ssize_t n = ckdev_pread(r->content, ckdev_pointer(start), end - start, start);

		if (n == -EINTR)
			continue;
		if (n > 0) {
			start += (uint64_t)n;
			r->arg->bytes += (uint64_t)n;
			failed = 0;
		} else if (ahead && page_gone(r, start)) {
			start += CKDEV_PAGE_SIZE - start % CKDEV_PAGE_SIZE;
		} else if (!ahead || ++failed == READ_TRIES) {
			return refuse(r, start, CKDEV_REASON_NO_DATA, -EIO);
		}
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

/* One extent of what changed; the segments before *@i end before it. */
static int fill_change(struct restore *r, const struct cptdev_extent *e, uint64_t *i)
{
	uint64_t end = e->addr + e->len, k;
	int ret = 0;

	while (*i < r->nr_segs && r->seg[*i].addr + r->seg[*i].len <= e->addr)
		++*i;
	for (k = *i; ret == 0 && k < r->nr_segs && r->seg[k].addr < end; k++) {
		const struct cptdev_segment *seg = &r->seg[k];
		uint64_t from = ckdev_max(e->addr, seg->addr);
		uint64_t to = ckdev_min(end, seg->addr + seg->len);

		if (seg->kind == CPTDEV_SEGMENT_UNMAPPED)
			continue;
		if (e->kind == CPTDEV_EXTENT_DATA)
			ret = fill_data(r, from, to);
		else
			ret = fill_empty(r, seg, from, to);
	}
	return ret;
}

/* What changed since r->since. -ESTALE: that isn't known any more. */
static int fill_changes(struct restore *r)
{
	struct cptdev_extent vec[CKDEV_BATCH];
	uint64_t pos = 0, at = 0;
	int i, n, ret = 0;

	do {
		n = ckdev_image_extents_since(r->fd, vec, CKDEV_BATCH, &pos, r->since);
		/* Of another replica; or the module doesn't know any of this. */
		if (n == -EINVAL || n == -E2BIG)
			return -ESTALE;
		for (i = 0; ret == 0 && i < n; i++)
			ret = fill_change(r, &vec[i], &at);
	} while (n > 0 && ret == 0);
	return n < 0 ? n : ret;
}

static int fill(struct restore *r)
{
	int ret = r->since ? fill_changes(r) : -ESTALE;

	return ret == -ESTALE ? each_segment(r, fill_segment) : ret;
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

/* Returns 1 if what was read is the layout of one commit, which is in @info, or 0, or -errno. */
static int try_layout(struct restore *r, struct cptdev_image_info *info)
{
	struct cptdev_image_info after = { .size = sizeof(after) };
	uint64_t pos = 0;
	int n;

	*info = after;
	n = ckdev_image_info(r->fd, info);
	if (n < 0)
		return n;
	if (info->kind != CPTDEV_IMAGE_REPLICA)
		return -ENOTTY;
	if (info->generation == 0)
		return -ENODATA;
	free(r->seg);
	r->seg = calloc(info->segments + 1, sizeof(*r->seg));
	if (!r->seg)
		return -ENOMEM;
	r->nr_segs = 0;
	do {
		n = ckdev_image_layout(r->fd, r->seg + r->nr_segs,
				       ckdev_count(info->segments - r->nr_segs), &pos);
		r->nr_segs += n > 0 ? (uint64_t)n : 0;
	} while (n > 0);
	if (n == 0)
		n = ckdev_image_info(r->fd, &after);
	if (n < 0)
		return n;
	return after.commits == info->commits && r->nr_segs == info->segments;
}

/* A layout that changes all the time is read while nothing is committed. */
static int read_layout(struct restore *r, struct cptdev_image_info *info)
{
	int i, ret = 0;

	for (i = 0; ret == 0 && i < LAYOUT_TRIES; i++)
		ret = try_layout(r, info);
	if (ret)
		return ret < 0 ? ret : 0;
	ret = ckdev_replica_freeze(r->fd, NULL);
	if (ret < 0)
		return ret;
	ret = try_layout(r, info);
	ckdev_replica_thaw(r->fd);
	return ret < 0 ? ret : ret ? 0 : -EIO;
}

static int restore_it(struct restore *r)
{
	bool map = r->arg->flags & CKDEV_RESTORE_MAP, ahead = r->arg->flags & CKDEV_RESTORE_AHEAD;
	struct cptdev_image_info info;
	int ret = read_layout(r, &info);

	if (ret < 0)
		return ret;
	r->arg->generation = info.generation;
	r->arg->term = info.term;
	r->arg->segments = r->nr_segs;
	ret = with_maps(r, check_segment);
	if (ret == 0 && map)
		ret = with_maps(r, map_segment);
	if (ret == 0)
		ret = fill(r);
	if (ret == 0 && map && !ahead)
		ret = each_segment(r, protect_segment);
	r->commits = info.commits;
	return ret;
}

/* As the kernel takes structs: what is longer than known must be zero there. */
static int check_arg(const struct ckdev_restore *arg, uint64_t since)
{
	const unsigned char *tail = (const unsigned char *)arg;
	unsigned int f = arg->flags;
	size_t i;

	if (arg->size < sizeof(*arg))
		return -EINVAL;
	for (i = sizeof(*arg); i < arg->size; i++)
		if (tail[i])
			return -E2BIG;
	if (f & ~(CKDEV_RESTORE_MAP | CKDEV_RESTORE_EXCL | CKDEV_RESTORE_FREEZE |
		  CKDEV_RESTORE_AHEAD))
		return -EINVAL;
	if ((f & CKDEV_RESTORE_EXCL) && (!(f & CKDEV_RESTORE_MAP) || since))
		return -EINVAL;
	return f & CKDEV_RESTORE_FREEZE && f & CKDEV_RESTORE_AHEAD ? -EINVAL : 0;
}

int ckdev_restore_since(int fd, struct ckdev_restore *restore, uint64_t *commits)
{
	struct restore r = { .fd = fd, .arg = restore, .since = *commits };
	int ret = check_arg(restore, r.since);
	bool ahead;

	if (ret < 0)
		return ret;
	ahead = restore->flags & CKDEV_RESTORE_AHEAD;
	restore->generation = 0;
	restore->term = 0;
	restore->segments = 0;
	restore->bytes = 0;
	ckdev_refuse(&restore->refused, 0, CPTDEV_REASON_NONE, 0);
	ret = ahead ? 0 : ckdev_replica_freeze(fd, NULL);
	if (ret < 0)
		return ret;
	r.content = ahead ? ckdev_replica_content_live(fd) : ckdev_replica_content(fd);
	/* Nothing was ever written: there is nothing to read. */
	ret = r.content < 0 && r.content != -ENODATA ? r.content : restore_it(&r);
	if (r.content >= 0)
		ckdev_close(r.content);
	free(r.seg);
	if (!ahead && (ret < 0 || !(restore->flags & CKDEV_RESTORE_FREEZE)))
		ckdev_replica_thaw(fd);
	/* After a failure the memory is as of no commit. */
	*commits = ret < 0 ? 0 : r.commits;
	return ret;
}

/* Without the number there is no next call. */
int ckdev_restore(int fd, struct ckdev_restore *restore)
{
	uint64_t commits = 0;

	if (restore->flags & CKDEV_RESTORE_AHEAD)
		return -EINVAL;
	return ckdev_restore_since(fd, restore, &commits);
}
