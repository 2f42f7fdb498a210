// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libhotspare: what is mapped at an address. Memory comes back at its address, in a process that
 * has memory of its own: so only what is at the same place in each process can be saved, or
 * where nobody else puts anything. The kernel's own choice of addresses is near the libraries:
 * there the other process has its heap, its threads and its buffers.
 */
#include <errno.h>
#include <gnu/lib-names.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#include "arena.h"
#include "where.h"

/* Mappings of the kernel's choice have less between them. */
#define GAP	(64ULL << 30)

/*
 * Objects
 */

struct segment {
	uint64_t start, end;
	bool libc, program;
};

struct segments {
	size_t nr;
	struct segment *v;
	bool failed;
};

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static int add_segments(struct dl_phdr_info *info, size_t size, void *arg)
{
	const char *name = last_part(info->dlpi_name);
	struct segments *all = arg;
	struct segment *v;
	ElfW(Half) i;

	(void)size;
	v = realloc(all->v, (all->nr + info->dlpi_phnum) * sizeof(*v));
	all->failed = !v;
	if (!v)
		return 1;
	all->v = v;
	for (i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		uint64_t start = info->dlpi_addr + p->p_vaddr;

		if (p->p_type != PT_LOAD)
			continue;
		v[all->nr++] = (struct segment) {
			.start = start & ~(HS_PAGE - 1),
			.end = (start + p->p_memsz + HS_PAGE - 1) & ~(HS_PAGE - 1),
			.libc = !strcmp(name, LIBC_SO) || !strcmp(name, LD_SO),
			/* It comes first, and has no name. */
			.program = !info->dlpi_name[0],
		};
	}
	return 0;
}

static const struct segment *segment_at(const struct segments *s, uint64_t addr)
{
	size_t i;

	for (i = 0; i < s->nr; i++)
		if (s->v[i].start <= addr && addr < s->v[i].end)
			return &s->v[i];
	return NULL;
}

/*
 * Mappings
 */

struct line {
	unsigned long start, end;
	char prot[5];
	char name[300];
};

static bool parse(const char *text, struct line *l)
{
	int at = 0;

	if (sscanf(text, "%lx-%lx %4s %*s %*s %*s %n", &l->start, &l->end, l->prot, &at) < 3)
		return false;
	snprintf(l->name, sizeof(l->name), "%s", at ? text + at : "");
	l->name[strcspn(l->name, "\n")] = 0;
	return true;
}

static enum hs_where kind_of(const struct line *l)
{
	if (l->start >= HS_BASE && l->end <= HS_END)
		return HS_WHERE_ARENA;
	if (!strncmp(l->name, "[stack", 6))
		return HS_WHERE_STACK;
	if (strstr(l->name, "/anon_hugepage"))
		return HS_WHERE_HUGE;
	if (l->prot[3] == 's')
		return HS_WHERE_SHARED;
	if (l->prot[0] != 'r' || l->prot[1] != 'w')
		return HS_WHERE_READ_ONLY;
	return strcmp(l->name, "[heap]") ? HS_WHERE_CHOSEN : HS_WHERE_HEAP;
}

static int append(struct hs_maps *m, const struct hs_map *one)
{
	struct hs_map *v;

	if (one->start >= one->end)
		return 0;
	v = realloc(m->v, (m->nr + 1) * sizeof(*v));
	if (!v)
		return -1;
	m->v = v;
	v[m->nr++] = *one;
	return 0;
}

/* A mapping, in pieces where a part of it is an object's: .bss may be one with what follows. */
static int add(struct hs_maps *m, const struct line *l, const struct segments *objects)
{
	struct hs_map one = { .end = l->start };
	const struct segment *s;
	size_t i;

	while (one.end < l->end) {
		one = (struct hs_map) { .start = one.end, .end = l->end, .where = kind_of(l),
					.code = l->prot[2] == 'x' };
		s = segment_at(objects, one.start);
		if (s) {
			one.end = s->end < l->end ? s->end : l->end;
			one.libc = s->libc;
			if (one.where == HS_WHERE_CHOSEN || one.where == HS_WHERE_HEAP)
				one.where = HS_WHERE_OBJECT;
		}
		for (i = 0; !s && i < objects->nr; i++)
			if (objects->v[i].start > one.start && objects->v[i].start < one.end)
				one.end = objects->v[i].start;
		if (append(m, &one))
			return -1;
	}
	return 0;
}

/* Is it one of those by which the kernel's own choice is known? */
static bool of_the_kernel(const struct hs_map *m, const struct segments *objects)
{
	const struct segment *s = segment_at(objects, m->start);

	return m->where == HS_WHERE_STACK || m->start == getauxval(AT_SYSINFO_EHDR) ||
		(s && !s->program);
}

/* From one gap to the next. */
static void settle_group(struct hs_map *v, size_t nr, const struct segments *objects)
{
	bool found = false;
	size_t i;

	for (i = 0; i < nr; i++)
		found |= of_the_kernel(&v[i], objects);
	for (i = 0; found && i < nr; i++)
		if (v[i].where == HS_WHERE_CHOSEN)
			v[i].where = HS_WHERE_KERNEL;
}

static void settle(struct hs_maps *m, const struct segments *objects)
{
	size_t i, first = 0;

	for (i = 1; i <= m->nr; i++) {
		if (i < m->nr && m->v[i].start - m->v[i - 1].end < GAP)
			continue;
		settle_group(m->v + first, i - first, objects);
		first = i;
	}
}

int hs_maps_read(struct hs_maps *m, const char *path)
{
	FILE *f = fopen(path ?: "/proc/self/maps", "re");
	struct segments objects = { 0 };
	char text[4400];
	struct line l;
	int ret = 0;

	*m = (struct hs_maps) { 0 };
	if (!f)
		return -1;
	dl_iterate_phdr(add_segments, &objects);
	while (!ret && !objects.failed && fgets(text, sizeof(text), f))
		if (parse(text, &l))
			ret = add(m, &l, &objects);
	fclose(f);
	if (ret || objects.failed) {
		hs_maps_free(m);
		errno = ENOMEM;
		ret = -1;
	}
	settle(m, &objects);
	free(objects.v);
	return ret;
}

void hs_maps_free(struct hs_maps *m)
{
	free(m->v);
	*m = (struct hs_maps) { 0 };
}

const struct hs_map *hs_maps_at(const struct hs_maps *m, uint64_t addr)
{
	size_t low = 0, high = m->nr, mid;

	while (low < high) {
		mid = (low + high) / 2;
		if (m->v[mid].end <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low < m->nr && m->v[low].start <= addr ? &m->v[low] : NULL;
}

/*
 * What can be saved
 */

const char *hs_where_text(enum hs_where where)
{
	static const char *const text[] = {
		[HS_WHERE_OBJECT] = "a variable",
		[HS_WHERE_CHOSEN] = "memory at an address that the program chose",
		[HS_WHERE_ARENA] = "memory of hs_malloc(3)",
		[HS_WHERE_HEAP] = "memory of malloc(3)",
		[HS_WHERE_STACK] = "the stack",
		[HS_WHERE_KERNEL] = "memory at an address that the kernel chose, as that of "
			"malloc(3), mmap(2), stacks and variables of threads",
		[HS_WHERE_SHARED] = "shared memory",
		[HS_WHERE_HUGE] = "memory of hugetlb",
		[HS_WHERE_READ_ONLY] = "memory that can't be read and written",
	};

	return text[where];
}

static const char *advice(enum hs_where where)
{
	switch (where) {
	case HS_WHERE_SHARED:
		return "other processes may change it during the cut: it can't be saved";
	case HS_WHERE_HUGE:
		return "use ordinary pages";
	case HS_WHERE_READ_ONLY:
		return "it is the same on the spare; if not, make it writable first";
	default:
		return "another process has other memory there: use hs_malloc(3)";
	}
}

static int refuse(const struct hs_map *m, uint64_t addr, struct hs_error *e)
{
	if (m->libc)
		return hs_fail(e, EINVAL, "at %#llx are variables of the C library, which can't be "
			       "saved", (unsigned long long)addr);
	return hs_fail(e, m->where == HS_WHERE_READ_ONLY ? EACCES : EOPNOTSUPP, "at %#llx is %s: %s",
		       (unsigned long long)addr, hs_where_text(m->where), advice(m->where));
}

int hs_where_check(const struct hs_maps *m, uint64_t start, uint64_t end, struct hs_error *e)
{
	const struct hs_map *at;

	for (; start < end; start = at->end) {
		at = hs_maps_at(m, start);
		if (!at)
			return hs_fail(e, ENOMEM, "at %#llx nothing is mapped", (unsigned long long)start);
		if (at->libc || at->where > HS_WHERE_CHOSEN)
			return refuse(at, start, e);
	}
	return 0;
}
