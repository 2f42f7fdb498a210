// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The soft engine: a delta that a program hands over. Its pages stay in the program's file,
 * which is sealed, so that neither its content nor its length changes any more; what is beside
 * them is copied and checked.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "soft_parts.h"
#include "soft_publish.h"

#define SEALS		(F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK)
#define PAGES_MAX	(1ULL << 40)

static int check_numbers(const struct soft_publish *p)
{
	if (p->flags)
		return -EOPNOTSUPP;
	if (p->reserved || p->pages > PAGES_MAX)
		return -EINVAL;
	if (p->extents > SOFT_EXTENTS_MAX || p->segments > CPTDEV_LAYOUT_MAX)
		return -E2BIG;
	return p->meta_len > CPTDEV_META_MAX ? -EMSGSIZE : 0;
}

/* A sealed file of ordinary pages, as long as it has to be. */
static int check_file(const struct soft_publish *p, int file)
{
	u64 len = p->pages * SOFT_PAGE + (u64)p->extents * sizeof(struct cptdev_extent) +
		(u64)p->segments * sizeof(struct cptdev_segment) + p->meta_len;
	int seals = fcntl(file, F_GET_SEALS);
	struct stat st;

	if (seals < 0 || (seals & SEALS) != SEALS || fstat(file, &st))
		return -EINVAL;
	if (st.st_blksize != SOFT_PAGE || (u64)st.st_size != len)
		return -EINVAL;
	return 0;
}

/* The next @len bytes, with room for one more. */
static int take(int file, u64 *pos, size_t len, void *to)
{
	size_t n = 0;
	u8 *buf = malloc(len + 1);
	ssize_t got;

	if (!buf)
		return -ENOMEM;
	while (n < len) {
		got = pread(file, buf + n, len - n, *pos + n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			free(buf);
			return -EINVAL;
		}
		n += got;
	}
	*pos += len;
	*(void **)to = buf;
	return 0;
}

static int check_extent(const struct soft_snap *snap, const struct cptdev_extent *e, u64 end)
{
	if (e->addr % SOFT_PAGE || e->len % SOFT_PAGE || !e->len || e->reserved || e->addr < end)
		return -EINVAL;
	if (e->kind != CPTDEV_EXTENT_DATA && e->kind != CPTDEV_EXTENT_HOLE)
		return -EINVAL;
	return soft_layout_covers(&snap->layout, e->addr, e->len) ? 0 : -EFAULT;
}

static int check_extents(struct soft_snap *snap)
{
	u64 end = 0, pages = 0;
	u32 i;

	for (i = 0; i < snap->nr_extents; i++) {
		const struct cptdev_extent *e = &snap->extents[i];
		int ret = check_extent(snap, e, end);

		if (ret)
			return ret;
		end = e->addr + e->len;
		if (e->kind == CPTDEV_EXTENT_DATA)
			pages += e->len / SOFT_PAGE;
		else
			snap->holes += e->len / SOFT_PAGE;
	}
	return pages == snap->pages ? 0 : -EINVAL;
}

int soft_publish_read(struct soft_snap *snap, const struct soft_publish *p, int *file)
{
	u64 pos = p->pages * SOFT_PAGE;
	int ret = check_numbers(p);

	if (!ret)
		ret = check_file(p, *file);
	if (!ret)
		ret = take(*file, &pos, p->extents * sizeof(*snap->extents), &snap->extents);
	if (!ret)
		ret = take(*file, &pos, p->segments * sizeof(*snap->layout.v),
			   &snap->layout.v);
	if (!ret)
		ret = take(*file, &pos, p->meta_len, &snap->meta.v);
	if (ret)
		return ret;
	snap->pages = p->pages;
	snap->base = p->base;
	snap->nr_extents = p->extents;
	snap->layout.nr = p->segments;
	snap->meta.len = p->meta_len;
	ret = soft_layout_check(&snap->layout);
	if (!ret)
		ret = check_extents(snap);
	if (ret)
		return ret;
	snap->fd = *file;
	*file = -1;
	return 0;
}
