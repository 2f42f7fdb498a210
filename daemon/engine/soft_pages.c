// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The soft engine: pages in a file without a name, each at its address. Which of them count
 * is in a set; what else is in the file means nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "soft_parts.h"

/* What is copied at a time. */
#define COPY	(256U << 10)

void soft_pages_init(struct soft_pages *p)
{
	memset(p, 0, sizeof(*p));
	p->fd = -1;
}

void soft_pages_free(struct soft_pages *p)
{
	if (p->fd >= 0)
		soft_close_pages(p->fd);
	soft_set_free(&p->set);
	soft_pages_init(p);
}

static int have_file(struct soft_pages *p)
{
	if (p->fd >= 0)
		return 0;
	p->fd = memfd_create("cptdev-replica", MFD_CLOEXEC);
	if (p->fd < 0) {
		p->fd = -1;
		return -errno;
	}
	/* A descriptor for reading can't be made one for writing. */
	return fchmod(p->fd, 0400) ? -errno : 0;
}

/* Bad memory of the caller's is no lack of memory. */
static int write_error(int err)
{
	return err == EFAULT ? -EFAULT : -ENOMEM;
}

int soft_pages_write(struct soft_pages *p, u64 page, const void *data, u64 nr, u64 *done)
{
	u64 at = page * SOFT_PAGE, len = nr * SOFT_PAGE, n = 0;
	int ret = have_file(p), err;
	ssize_t got;

	while (!ret && n < len) {
		got = pwrite(p->fd, (const u8 *)data + n, len - n, at + n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			ret = write_error(got ? errno : ENOSPC);
		else
			n += got;
	}
	*done = n / SOFT_PAGE;
	err = soft_set_add(&p->set, page, page + *done);
	if (!err)
		return ret;
	*done = 0;
	return err;
}

static int read_all(int fd, void *data, size_t len, u64 at)
{
	size_t n = 0;
	ssize_t got;

	while (n < len) {
		got = pread(fd, (u8 *)data + n, len - n, at + n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return -EIO;
		n += got;
	}
	return 0;
}

int soft_pages_read(const struct soft_pages *p, u64 page, void *data)
{
	memset(data, 0, SOFT_PAGE);
	return soft_set_has(&p->set, page) ?
		read_all(p->fd, data, SOFT_PAGE, page * SOFT_PAGE) : 0;
}

static void punch(int fd, u64 start, u64 end)
{
	/* What stays behind takes memory and means nothing. */
	if (start < end && fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				     start * SOFT_PAGE, (end - start) * SOFT_PAGE))
		return;
}

/* Empty what isn't in @keep, of the pages of @of up to @limit. */
static void punch_others(int fd, const struct soft_set *of, const struct soft_set *keep,
			 u64 limit)
{
	u64 pos = 0, start, end, k_start, k_end;

	while (pos < limit && soft_set_run(of, pos, &start, &end)) {
		end = MIN(end, limit);
		for (pos = start; pos < end; pos = MIN(k_end, end)) {
			if (!soft_set_run(keep, pos, &k_start, &k_end))
				k_start = k_end = end;
			punch(fd, pos, MIN(k_start, end));
		}
	}
}

/* Memory for all that is new: what comes after it can't fail for want of it. */
static int allocate(struct soft_pages *p, const struct soft_set *new)
{
	u64 pos = 0, start, end;
	int ret = have_file(p);

	while (!ret && soft_set_run(new, pos, &start, &end)) {
		while (fallocate(p->fd, 0, start * SOFT_PAGE, (end - start) * SOFT_PAGE)) {
			if (errno == EINTR)
				continue;
			punch_others(p->fd, new, &p->set, start);
			return -ENOMEM;
		}
		pos = end;
	}
	return ret;
}

/* @nr pages from page @at of @from to page @to_at of @to. */
static int copy_run(int to, u64 to_at, int from, u64 at, u64 nr, void *buf)
{
	u64 pos, stop = nr * SOFT_PAGE;
	size_t len, n;
	ssize_t got;

	for (pos = 0; pos < stop; pos += len) {
		len = MIN(stop - pos, COPY);
		if (read_all(from, buf, len, at * SOFT_PAGE + pos))
			return -EIO;
		for (n = 0; n < len; n += got) {
			got = pwrite(to, (u8 *)buf + n, len - n, to_at * SOFT_PAGE + pos + n);
			if (got < 0 && errno == EINTR)
				got = 0;
			else if (got <= 0)
				return -EIO;
		}
	}
	return 0;
}

static int copy_pages(int to, int from, const struct soft_set *which, void *buf)
{
	u64 pos = 0, start, end;
	int ret = 0;

	while (!ret && soft_set_run(which, pos, &start, &end)) {
		ret = copy_run(to, start, from, start, end - start, buf);
		pos = end;
	}
	return ret;
}

/* What isn't mapped any more mustn't come back when it is mapped again. */
static void trim(struct soft_set *s, const struct soft_layout *layout)
{
	u64 pos = 0;
	u32 i;

	for (i = 0; i < layout->nr; i++) {
		soft_set_del(s, pos, layout->v[i].addr / SOFT_PAGE);
		pos = (layout->v[i].addr + layout->v[i].len) / SOFT_PAGE;
	}
	soft_set_del(s, pos, ~0ULL / SOFT_PAGE);
}

void soft_pages_del(struct soft_pages *p, u64 start, u64 end)
{
	u64 pos = start, from, to;

	while (pos < end && soft_set_run(&p->set, pos, &from, &to) && from < end) {
		pos = MIN(to, end);
		punch(p->fd, from, pos);
	}
	soft_set_del(&p->set, start, end);
}

void soft_pages_trim(struct soft_pages *p, const struct soft_layout *layout)
{
	u64 pos = 0;
	u32 i;

	for (i = 0; i < layout->nr; i++) {
		soft_pages_del(p, pos, layout->v[i].addr / SOFT_PAGE);
		pos = (layout->v[i].addr + layout->v[i].len) / SOFT_PAGE;
	}
	soft_pages_del(p, pos, ~0ULL / SOFT_PAGE);
}

static int set_apply(struct soft_set *s, const struct soft_set *new,
		     const struct soft_set *holes, const struct soft_layout *layout)
{
	int ret = soft_set_with(s, new);

	if (ret)
		return ret;
	soft_set_without(s, holes);
	trim(s, layout);
	return 0;
}

int soft_pages_after(const struct soft_pages *p, const struct soft_pages *new,
		     const struct soft_set *holes, const struct soft_layout *layout,
		     struct soft_set *set)
{
	int ret = soft_set_copy(set, &p->set);

	if (!ret)
		ret = set_apply(set, &new->set, holes, layout);
	if (ret)
		soft_set_free(set);
	return ret;
}

/* Pages one behind the other in @file, from page @at on, are those of @which in @p, or become them. */
static int pack(int file, u64 at, int p, const struct soft_set *which, bool in)
{
	u64 pos = 0, start, end;
	void *buf = malloc(COPY);
	int ret = buf ? 0 : -ENOMEM;

	while (!ret && soft_set_run(which, pos, &start, &end)) {
		ret = in ? copy_run(file, at, p, start, end - start, buf) :
			copy_run(p, start, file, at, end - start, buf);
		at += end - start;
		pos = end;
	}
	free(buf);
	return ret;
}

int soft_pages_pack(const struct soft_pages *p, const struct soft_set *which, int file, u64 at)
{
	return pack(file, at, p->fd, which, true);
}

int soft_pages_unpack(struct soft_pages *p, const struct soft_set *which, int file, u64 at)
{
	int ret = allocate(p, which);

	if (!ret)
		ret = pack(file, at, p->fd, which, false);
	return ret ? ret : soft_set_with(&p->set, which);
}

int soft_packed_read(int file, u64 at, const struct soft_set *which, u64 page, void *data)
{
	return read_all(file, data, SOFT_PAGE, (at + soft_set_count(which, 0, page)) * SOFT_PAGE);
}

int soft_packed_file(void)
{
	struct soft_pages p = { .fd = -1 };
	int ret = have_file(&p);

	if (ret && p.fd >= 0)
		close(p.fd);
	return ret ? ret : p.fd;
}

void soft_packed_drop(int file, u64 at, u64 nr)
{
	punch(file, at, at + nr);
}

int soft_pages_apply(struct soft_pages *p, const struct soft_pages *new,
		     const struct soft_set *holes, const struct soft_layout *layout)
{
	struct soft_set set;
	void *buf = malloc(COPY);
	int ret = buf ? soft_pages_after(p, new, holes, layout, &set) : -ENOMEM;

	if (ret) {
		free(buf);
		return ret;
	}
	ret = allocate(p, &new->set);
	if (!ret)
		ret = copy_pages(p->fd, new->fd, &new->set, buf);
	free(buf);
	if (ret) {
		soft_set_free(&set);
		return ret;
	}
	punch_others(p->fd, &p->set, &set, ~0ULL);
	soft_set_free(&p->set);
	p->set = set;
	return 0;
}
