// SPDX-License-Identifier: LGPL-2.1-or-later
/* cptdev-run: the mappings of a program, from /proc/PID/smaps. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <xxhash.h>

#include "maps.h"

#define MAPS_MAX	65530U			/* vm.max_map_count */

void run_maps_free(struct run_maps *maps)
{
	uint32_t i;

	for (i = 0; i < maps->nr; i++)
		free(maps->v[i].path);
	free(maps->v);
	*maps = (struct run_maps) { 0 };
}

const struct run_map *run_maps_find(const struct run_maps *maps, uint64_t addr)
{
	uint32_t i;

	for (i = 0; i < maps->nr; i++)
		if (addr >= maps->v[i].start && addr < maps->v[i].end)
			return &maps->v[i];
	return NULL;
}

/*
 * Files: memory holds addresses of their content, so a restart needs the same files.
 */

struct known {
	struct known *next;
	dev_t dev;
	ino_t ino;
	struct timespec mtime;
	uint64_t size, sum;
};

static struct known *known_files;

static int sum_file(int fd, const struct stat *st, uint64_t *sum)
{
	size_t len = (size_t)st->st_size;
	void *p = len ? mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;

	if (p == MAP_FAILED)
		return -1;
	*sum = XXH3_64bits(p, len);
	if (len)
		munmap(p, len);
	return 0;
}

static struct known *find_known(const struct stat *st)
{
	struct known *k;

	for (k = known_files; k; k = k->next)
		if (k->dev == st->st_dev && k->ino == st->st_ino &&
		    k->size == (uint64_t)st->st_size && k->mtime.tv_sec == st->st_mtim.tv_sec &&
		    k->mtime.tv_nsec == st->st_mtim.tv_nsec)
			return k;
	return NULL;
}

static struct known *learn(int fd, const struct stat *st)
{
	struct known *k = calloc(1, sizeof(*k));

	if (!k || sum_file(fd, st, &k->sum)) {
		free(k);
		return NULL;
	}
	k->dev = st->st_dev;
	k->ino = st->st_ino;
	k->mtime = st->st_mtim;
	k->size = (uint64_t)st->st_size;
	k->next = known_files;
	known_files = k;
	return k;
}

int run_file_sum(const char *path, uint64_t *size, uint64_t *sum)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), err;
	struct known *k = NULL;
	struct stat st;

	if (fd < 0)
		return -1;
	if (fstat(fd, &st)) {
		err = errno;
	} else if (!S_ISREG(st.st_mode)) {
		err = EPROTOTYPE;
	} else {
		k = find_known(&st) ?: learn(fd, &st);
		err = errno;
	}
	close(fd);
	if (!k) {
		errno = err;
		return -1;
	}
	*size = k->size;
	*sum = k->sum;
	return 0;
}

/*
 * One mapping
 */

struct lines {
	struct run_map map;
	char path[4096 + 64];
	char perms[8];
	char vm[256];			/* VmFlags, with a blank before and behind each */
	unsigned long rss, swap, key;
	bool unlinked;			/* a file in memory (tmpfs) that has lost its name */
};

static bool has(const struct lines *l, const char *flag)
{
	char text[5] = { ' ', flag[0], flag[1], ' ', 0 };

	return strstr(l->vm, text);
}

static bool ends_with(const char *text, const char *end)
{
	size_t a = strlen(text), b = strlen(end);

	return a >= b && !strcmp(text + a - b, end);
}

/* Memory without a name, or what it has become by a restart. */
static bool is_anonymous(const struct lines *l)
{
	return l->perms[3] == 's' && (!strcmp(l->path, "/dev/zero (deleted)") ||
				      !strcmp(l->path, "/memfd:" RUN_SHARED_NAME " (deleted)"));
}

static bool is_shared(const struct lines *l)
{
	return is_anonymous(l) || l->unlinked;
}

/* Others can still find a segment of System V, by its number. */
static bool is_unlinked(pid_t pid, const struct lines *l)
{
	struct statfs fs;
	struct stat st;
	bool ret;
	int fd;

	if (l->perms[3] != 's' || l->path[0] != '/' || !ends_with(l->path, " (deleted)") || is_anonymous(l) ||
	    !strncmp(l->path, "/SYSV", 5))
		return false;
	fd = run_maps_open(pid, &l->map);
	ret = fd >= 0 && !fstatfs(fd, &fs) && fs.f_type == TMPFS_MAGIC && !fstat(fd, &st) && !st.st_nlink;
	if (fd >= 0)
		close(fd);
	return ret;
}

/* Why it can't be covered, or NULL. */
static const char *why_not(const struct lines *l)
{
	static const struct {
		const char *flag, *why;
	} flags[] = {
		{ "ht", "huge pages of hugetlbfs" },
		{ "io", "memory of a device" },
		{ "pf", "memory of a device" },
		{ "mm", "memory of a device" },
		{ "um", "memory with a page fault handler (userfaultfd)" },
		{ "uw", "memory with a page fault handler (userfaultfd)" },
		{ "ui", "memory with a page fault handler (userfaultfd)" },
		{ "ss", "a shadow stack" },
		{ "gu", "guard pages (MADV_GUARD_INSTALL)" },
		{ "sl", "a sealed mapping (mseal)" },
	};
	size_t i;

	for (i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		if (has(l, flags[i].flag) && strncmp(l->path, "[v", 2))
			return flags[i].why;
	if (l->key)
		return "memory with a protection key";
	if (is_shared(l))
		return NULL;
	if (l->path[0] == '/' && ends_with(l->path, " (deleted)"))
		return l->perms[3] == 's' ? "shared memory" :
			"a file that was deleted or replaced: start the program again";
	if (l->perms[3] == 's' && (l->path[0] != '/' || has(l, "mw")))
		return "shared memory";
	if (!strncmp(l->path, "anon_inode:", 11) || !strcmp(l->path, "[uprobes]"))
		return "memory of the kernel";
	return NULL;
}

static enum run_map_kind kind_of(const struct lines *l)
{
	if (!strcmp(l->path, "[vdso]"))
		return RUN_VDSO;
	if (!strncmp(l->path, "[vvar", 5))
		return RUN_VVAR;
	if (is_shared(l))
		return RUN_SHARED;
	return l->path[0] == '/' ? RUN_FILE : RUN_ANON;
}

static unsigned int flags_of(const struct lines *l)
{
	static const struct {
		const char *vm;
		unsigned int flag;
	} flags[] = {
		{ "gd", RUN_MAP_GROWS }, { "nr", RUN_MAP_NORES }, { "lo", RUN_MAP_LOCKED },
		{ "hg", RUN_MAP_HUGE }, { "nh", RUN_MAP_NOHUGE }, { "dc", RUN_MAP_NOFORK },
		{ "dd", RUN_MAP_NODUMP }, { "wf", RUN_MAP_WIPE },
	};
	unsigned int all = l->perms[3] == 's' && !is_shared(l) ? RUN_MAP_SHARED : 0;
	size_t i;

	for (i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		if (has(l, flags[i].vm))
			all |= flags[i].flag;
	return all;
}

static int add(struct run_maps *maps, const struct run_map *map, struct hs_error *e)
{
	struct run_map *v;

	if (!(maps->nr % 64)) {
		v = reallocarray(maps->v, maps->nr + 64, sizeof(*v));
		if (!v || maps->nr > MAPS_MAX) {
			free(map->path);
			return hs_fail(e, ENOMEM, "no memory for the list of mappings");
		}
		maps->v = v;
	}
	maps->v[maps->nr++] = *map;
	return 0;
}

/* Most files have several mappings, one behind the other. */
static bool same_as_before(struct run_map *m, const struct run_maps *maps)
{
	const struct run_map *before = maps->nr ? &maps->v[maps->nr - 1] : NULL;

	if (!m->path || !before || before->kind != RUN_FILE || strcmp(before->path, m->path))
		return false;
	m->size = before->size;
	m->sum = before->sum;
	return true;
}

static int file_of(struct run_map *m, const struct run_maps *maps, const struct lines *l,
		   struct run_report *r)
{
	if (m->kind != RUN_FILE)
		return 0;
	m->path = strdup(l->path);
	if (same_as_before(m, maps))
		return 0;
	if (m->path && !run_file_sum(m->path, &m->size, &m->sum))
		return 0;
	run_refused(r, "mapping 0x%llx: %s: %s", (unsigned long long)m->start, l->path,
		    errno == EPROTOTYPE ? "not a regular file" : strerror(errno));
	free(m->path);
	return -1;
}

int run_maps_open(pid_t pid, const struct run_map *m)
{
	char path[80];

	snprintf(path, sizeof(path), "/proc/%d/map_files/%llx-%llx", pid, (unsigned long long)m->start,
		 (unsigned long long)m->end);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static int object_of(struct run_map *m, pid_t pid, const struct lines *l, struct run_report *r)
{
	struct stat st;
	int fd, ret;

	if (m->kind != RUN_SHARED)
		return 0;
	fd = run_maps_open(pid, m);
	ret = fd < 0 ? -1 : fstat(fd, &st);
	if (ret)
		run_refused(r, "mapping 0x%llx: shared memory that can't be looked at: %s",
			    (unsigned long long)m->start, strerror(errno));
	if (fd >= 0)
		close(fd);
	if (ret)
		return ret;
	/* Each file system in memory has inodes from 1 on. */
	m->object = (uint64_t)st.st_dev << 44 ^ st.st_ino;
	m->device = l->unlinked ? st.st_dev : 0;
	m->inode = l->unlinked ? st.st_ino : 0;
	m->size = run_page_up((uint64_t)st.st_size);
	return 0;
}

static int take(struct run_maps *maps, pid_t pid, struct lines *l, struct run_report *r, struct hs_error *e)
{
	struct run_map m = l->map;
	const char *why;

	l->unlinked = is_unlinked(pid, l);
	why = why_not(l);
	if (!strcmp(l->path, "[vsyscall]"))
		return 0;
	if (why) {
		run_refused(r, "mapping 0x%llx (%s): %s", (unsigned long long)m.start,
			    l->path[0] ? l->path : "anonymous", why);
		return 0;
	}
	m.kind = kind_of(l);
	m.flags = flags_of(l);
	m.empty = !l->rss && !l->swap;
	m.prot = (l->perms[0] == 'r' ? PROT_READ : 0) | (l->perms[1] == 'w' ? PROT_WRITE : 0) |
		(l->perms[2] == 'x' ? PROT_EXEC : 0);
	if (file_of(&m, maps, l, r) || object_of(&m, pid, l, r))
		return 0;
	run_covered(r, "mapping 0x%llx, %llu KiB, %s %s", (unsigned long long)m.start,
		    (unsigned long long)(m.end - m.start) >> 10, l->perms,
		    l->path[0] ? l->path : "anonymous");
	return add(maps, &m, e);
}

static bool parse_head(const char *line, struct lines *l)
{
	unsigned long long start, end, offset;
	int at = 0;

	if (sscanf(line, "%llx-%llx %7s %llx %*s %*u %n", &start, &end, l->perms, &offset, &at) != 4)
		return false;
	l->map = (struct run_map) { .start = start, .end = end, .offset = offset };
	snprintf(l->path, sizeof(l->path), "%s", line + at);
	l->path[strcspn(l->path, "\n")] = 0;
	l->rss = l->swap = l->key = 0;
	return true;
}

int run_maps_read(struct run_maps *maps, pid_t pid, struct run_report *r, struct hs_error *e)
{
	struct lines l = { 0 };
	char path[40], line[4096 + 128];
	int ret = 0;
	FILE *f;

	*maps = (struct run_maps) { 0 };
	snprintf(path, sizeof(path), "/proc/%d/smaps", pid);
	f = fopen(path, "re");
	if (!f)
		return hs_fail(e, errno, "%s: %s", path, strerror(errno));
	while (!ret && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "Rss: %lu", &l.rss) == 1 || sscanf(line, "Swap: %lu", &l.swap) == 1 ||
		    sscanf(line, "ProtectionKey: %lu", &l.key) == 1)
			continue;
		if (!strncmp(line, "VmFlags:", 8)) {
			snprintf(l.vm, sizeof(l.vm), "%.250s", line + 8);
			l.vm[strcspn(l.vm, "\n")] = 0;
			ret = take(maps, pid, &l, r, e);
		} else {
			parse_head(line, &l);
		}
	}
	fclose(f);
	if (ret)
		run_maps_free(maps);
	return ret;
}
