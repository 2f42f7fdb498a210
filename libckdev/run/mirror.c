// SPDX-License-Identifier: LGPL-2.1-or-later
/* cptdev-run: the memory of the program at the last checkpoint, see mirror.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "maps.h"
#include "mirror.h"
#include "mutants.h"
#include "pagemap.h"

#define BATCH		64U			/* pages that are read at a time */
#define PM_SOFT_DIRTY	(1ULL << 55)
#define PM_FILE		(1ULL << 61)
#define PM_SWAP		(1ULL << 62)
#define PM_PRESENT	(1ULL << 63)

int run_runs_add(struct run_runs *runs, uint64_t start, uint64_t end)
{
	struct run_run *v;

	if (runs->nr && runs->v[runs->nr - 1].end == start) {
		runs->v[runs->nr - 1].end = end;
		return 0;
	}
	if (!(runs->nr % 256)) {
		v = reallocarray(runs->v, runs->nr + 256, sizeof(*v));
		if (!v)
			return -1;
		runs->v = v;
	}
	runs->v[runs->nr++] = (struct run_run) { start, end };
	return 0;
}

void run_runs_free(struct run_runs *runs)
{
	free(runs->v);
	*runs = (struct run_runs) { 0 };
}

int run_mirror_create(struct run_mirror *m, struct hs_error *e)
{
	*m = (struct run_mirror) { .fd = memfd_create("cptdev-run", MFD_CLOEXEC) };
	if (m->fd < 0)
		return hs_fail(e, errno, "a mirror of the program's memory: %s", strerror(errno));
	return 0;
}

void run_mirror_free(struct run_mirror *m)
{
	if (m->fd >= 0)
		close(m->fd);
	run_runs_free(&m->present);
	run_runs_free(&m->changed);
	*m = (struct run_mirror) { .fd = -1 };
}

static int write_all(int fd, const char *buf, size_t len, uint64_t at)
{
	while (len) {
		ssize_t n = pwrite(fd, buf, len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		buf += n;
		at += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

int run_mirror_add(struct run_mirror *m, uint64_t addr, const void *buf, size_t len)
{
	if (run_runs_add(&m->present, addr, addr + len) || write_all(m->fd, buf, len, addr))
		return -1;
	m->pages += len / RUN_PAGE;
	return 0;
}

/*
 * An update
 */

struct update {
	struct run_mirror *m;
	pid_t pid;
	int mem, pagemap, clear;
	struct run_runs present, changed;
	uint64_t pages;
	bool soft_dirty;		/* the kernel says what was written */
	uint64_t old;			/* index in m->present: runs before are behind us */
	struct hs_error *e;
};

/* Does the kernel have CONFIG_MEM_SOFT_DIRTY? A new page is reported as written. */
static bool has_soft_dirty(void)
{
	static int known = -1;
	volatile char *p;
	uint64_t entry = 0;
	int fd;

	if (known >= 0)
		return known;
	fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	p = mmap(NULL, RUN_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (fd >= 0 && p != MAP_FAILED) {
		*p = 1;
		if (pread(fd, &entry, sizeof(entry), (off_t)((uintptr_t)p / RUN_PAGE * 8)) < 0)
			entry = 0;
	}
	if (p != MAP_FAILED)
		munmap((void *)p, RUN_PAGE);
	if (fd >= 0)
		close(fd);
	known = entry & PM_SOFT_DIRTY ? 1 : 0;
	return known;
}

static bool was_there(struct update *u, uint64_t addr)
{
	const struct run_runs *old = &u->m->present;

	while (u->old < old->nr && old->v[u->old].end <= addr)
		u->old++;
	return u->old < old->nr && old->v[u->old].start <= addr;
}

/* Up to BATCH pages that lie together. Only those that differ are written, and count as changed. */
static int take_pages(struct update *u, uint64_t addr, uint64_t len)
{
	static char now[BATCH * RUN_PAGE], before[BATCH * RUN_PAGE];
	uint64_t at;
	ssize_t n;

	n = pread(u->mem, now, len, (off_t)addr);
	if (n != (ssize_t)len)
		return hs_fail(u->e, n < 0 ? errno : EFAULT, "the program's memory at 0x%llx can't be "
			       "read", (unsigned long long)addr);
	n = pread(u->m->fd, before, len, (off_t)addr);
	if (n < (ssize_t)len)
		memset(before + (n < 0 ? 0 : n), 0, len - (size_t)(n < 0 ? 0 : n));
	for (at = 0; at < len; at += RUN_PAGE) {
		if (was_there(u, addr + at) && !memcmp(now + at, before + at, RUN_PAGE))
			continue;
		if (run_mutant("page") && u->m->present.nr && (addr + at) / RUN_PAGE % 3 == 0)
			continue;
		if (run_runs_add(&u->changed, addr + at, addr + at + RUN_PAGE) ||
		    write_all(u->m->fd, now + at, RUN_PAGE, addr + at))
			return hs_fail(u->e, errno, "the mirror of the program's memory: %s",
				       strerror(errno));
	}
	return 0;
}

static bool is_content(const struct run_map *map, uint64_t entry)
{
	if (map->kind == RUN_FILE)
		return entry & PM_SWAP || (entry & PM_PRESENT && !(entry & PM_FILE));
	return entry & (PM_PRESENT | PM_SWAP);
}

static int take_run(struct update *u, uint64_t start, uint64_t end)
{
	uint64_t n;

	for (; start < end; start += n) {
		n = end - start < BATCH * RUN_PAGE ? end - start : BATCH * RUN_PAGE;
		if (take_pages(u, start, n))
			return -1;
	}
	return 0;
}

/* Those of them that weren't there before. */
static int take_new(struct update *u, uint64_t start, uint64_t end)
{
	const struct run_runs *old = &u->m->present;
	uint64_t to;

	for (; start < end; start = to) {
		const bool there = was_there(u, start);

		to = u->old == old->nr ? end : there ? old->v[u->old].end : old->v[u->old].start;
		to = to < end ? to : end;
		if (!there && take_run(u, start, to))
			return -1;
	}
	return 0;
}

struct taking {
	struct update *u;
	const struct run_map *map;
};

static int take_these(void *arg, const struct run_pages *pages)
{
	const struct taking *t = arg;
	struct update *u = t->u;

	if (t->map->kind == RUN_FILE && pages->file && !pages->swapped)
		return 0;
	if (run_runs_add(&u->present, pages->start, pages->end))
		return hs_fail(u->e, ENOMEM, "no memory for the list of pages");
	u->pages += (pages->end - pages->start) / RUN_PAGE;
	return !u->soft_dirty || pages->written ? take_run(u, pages->start, pages->end) :
		take_new(u, pages->start, pages->end);
}

/* A page at a time, where the kernel doesn't tell of runs. */
static int take_entries(struct update *u, const struct run_map *map)
{
	uint64_t entry[512], addr = map->start, from = 0, i, n;

	while (addr < map->end) {
		n = (map->end - addr) / RUN_PAGE < 512 ? (map->end - addr) / RUN_PAGE : 512;
		if (pread(u->pagemap, entry, n * 8, (off_t)(addr / RUN_PAGE * 8)) != (ssize_t)(n * 8))
			return hs_fail(u->e, EIO, "/proc/%d/pagemap can't be read", u->pid);
		for (i = 0; i < n; i++, addr += RUN_PAGE) {
			bool content = is_content(map, entry[i]);
			bool read = content && (!u->soft_dirty || entry[i] & PM_SOFT_DIRTY ||
						!was_there(u, addr));

			if (content && run_runs_add(&u->present, addr, addr + RUN_PAGE))
				return hs_fail(u->e, ENOMEM, "no memory for the list of pages");
			u->pages += content;
			if (read) {
				from = from ?: addr;
			} else if (from) {
				if (take_run(u, from, addr))
					return -1;
				from = 0;
			}
		}
	}
	return from ? take_run(u, from, addr) : 0;
}

static int take_map(struct update *u, const struct run_map *map)
{
	struct taking t = { u, map };
	int ret;

	errno = 0;
	u->e->text[0] = 0;
	ret = run_pagemap_each(u->pagemap, map->start, map->end, take_these, &t);
	if (ret < 0 && !u->e->text[0])
		return hs_fail(u->e, errno, "/proc/%d/pagemap: %s", u->pid, strerror(errno));
	return ret > 0 ? take_entries(u, map) : ret;
}

/* Which pages there are: not only those that this process has touched. */
static int take_shared(struct update *u, const struct run_map *map)
{
	const uint64_t len = map->end - map->start;
	int fd = run_maps_open(u->pid, map), ret = 0;
	uint64_t from, to = 0;

	if (fd < 0)
		return hs_fail(u->e, errno, "shared memory at 0x%llx: %s", (unsigned long long)map->start,
			       strerror(errno));
	while (!ret && to < len) {
		off_t at = lseek(fd, (off_t)(map->offset + to), SEEK_DATA);

		if (at < 0 || (uint64_t)at - map->offset >= len) {
			ret = at < 0 && errno != ENXIO ? hs_fail(u->e, errno, "shared memory: %s",
								 strerror(errno)) : 0;
			break;
		}
		from = (uint64_t)at - map->offset;
		to = (uint64_t)lseek(fd, at, SEEK_HOLE) - map->offset;
		to = run_page_up(to) < len ? run_page_up(to) : len;
		ret = run_runs_add(&u->present, map->start + from, map->start + to) ?
			hs_fail(u->e, ENOMEM, "no memory for the list of pages") :
			take_run(u, map->start + from, map->start + to);
		u->pages += (to - from) / RUN_PAGE;
	}
	close(fd);
	return ret;
}

/* What is gone: the holes of the new list. */
static void punch(struct update *u)
{
	const struct run_runs *a = &u->m->present, *b = &u->present;
	uint64_t at = 0, i;

	if (a->nr == b->nr && !memcmp(a->v, b->v, a->nr * sizeof(*a->v)))
		return;
	for (i = 0; i <= b->nr; i++) {
		uint64_t end = i < b->nr ? b->v[i].start : RUN_TOP;

		if (end > at)
			fallocate(u->m->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at,
				  (off_t)(end - at));
		at = i < b->nr ? b->v[i].end : at;
	}
}

static int open_of(pid_t pid, const char *name, int flags)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	return open(path, flags | O_CLOEXEC);
}

static int update_all(struct update *u, const struct run_maps *maps)
{
	const struct run_map *map;

	if (u->mem < 0 || u->pagemap < 0 || u->clear < 0)
		return hs_fail(u->e, errno, "the memory of process %d: %s", u->pid, strerror(errno));
	for (map = maps->v; map < maps->v + maps->nr; map++)
		if (map->kind == RUN_SHARED ? map->owns && take_shared(u, map) :
		    run_map_has_content(map) && !map->empty && take_map(u, map))
			return -1;
	if (u->soft_dirty && write(u->clear, "4", 1) != 1)
		return hs_fail(u->e, errno, "/proc/%d/clear_refs: %s", u->pid, strerror(errno));
	return 0;
}

int run_mirror_update(struct run_mirror *m, pid_t pid, const struct run_maps *maps,
		      struct hs_error *e)
{
	struct update u = { .m = m, .pid = pid, .soft_dirty = has_soft_dirty(), .e = e };
	int ret, err;

	u.mem = open_of(pid, "mem", O_RDONLY);
	u.pagemap = open_of(pid, "pagemap", O_RDONLY);
	u.clear = open_of(pid, "clear_refs", O_WRONLY);
	ret = update_all(&u, maps);
	err = errno;
	if (!ret)
		punch(&u);
	if (u.mem >= 0)
		close(u.mem);
	if (u.pagemap >= 0)
		close(u.pagemap);
	if (u.clear >= 0)
		close(u.clear);
	run_runs_free(&m->changed);
	run_runs_free(&m->present);
	m->changed = u.changed;
	m->present = u.present;
	m->pages = u.pages;
	errno = err;
	return ret;
}
