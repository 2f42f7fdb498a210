// SPDX-License-Identifier: LGPL-2.1-or-later
/* cptdev-run: the memory of a program made from its state, see restore.h. */
#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <linux/rseq.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "maps.h"
#include "restore.h"
#include "shared.h"

#define BATCH		(256U << 10)
#define SEARCH_FROM	0x100000000UL
#define PATH_AT		0U		/* in the scratch */
#define STRUCT_AT	8192U

static int64_t call(struct run_puppet *p, const char *what, long nr, uint64_t a, uint64_t b,
		    uint64_t c, uint64_t d, uint64_t f, uint64_t g)
{
	const struct run_call all = { nr, { a, b, c, d, f, g } };

	return run_puppet_call(p, p->tid, what, &all);
}

/*
 * Away with what the process has
 */

static uint64_t overlap(const struct run_maps *maps, uint64_t start, uint64_t end)
{
	const struct run_map *m;

	for (m = maps->v; m < maps->v + maps->nr; m++)
		if (start < m->end && m->start < end)
			return m->end;
	return 0;
}

/* Addresses that neither of them has, and that aren't in @ours (0: nothing). */
static uint64_t find_free(const struct run_maps *a, const struct run_maps *b, uint64_t len,
			  uint64_t ours)
{
	uint64_t at = SEARCH_FROM, end;

	for (;;) {
		end = overlap(a, at, at + len) ?: overlap(b, at, at + len);
		if (!end && ours && at < ours + RUN_SCRATCH && ours < at + len)
			end = ours + RUN_SCRATCH;
		if (!end)
			return at;
		at = end + (1UL << 20);
	}
}

/* Else the kernel kills the process when it writes to memory that is no more. */
static int forget_rseq(struct run_puppet *p)
{
	struct __ptrace_rseq_configuration c = { 0 };

	if (ptrace(PTRACE_GET_RSEQ_CONFIGURATION, p->tid, sizeof(c), &c) < 0 ||
	    !c.rseq_abi_pointer)
		return 0;
	return call(p, "rseq", SYS_rseq, c.rseq_abi_pointer, c.rseq_abi_size, RSEQ_FLAG_UNREGISTER,
		    c.signature, 0, 0) < 0 ? -1 : 0;
}

static int make_scratch(struct run_puppet *p, const struct run_maps *own)
{
	uint64_t at = find_free(own, &p->state->maps, RUN_SCRATCH, 0);

	if (call(p, "memory for the restart", SYS_mmap, at, RUN_SCRATCH, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, (uint64_t)-1, 0) != (int64_t)at)
		return -1;
	p->scratch = at;
	p->regs.rsp = at + RUN_SCRATCH - 64;
	return 0;
}

/* The first one from @at on of the kernel's pages and ours; its start is RUN_TOP if there is none. */
static struct run_run next_kept(const struct run_puppet *p, const struct run_maps *own, uint64_t at)
{
	struct run_run found = { RUN_TOP, RUN_TOP };
	const struct run_map *m;

	if (p->scratch >= at)
		found = (struct run_run) { p->scratch, p->scratch + RUN_SCRATCH };
	for (m = own->v; m < own->v + own->nr; m++)
		if (m->kind >= RUN_VVAR && m->start >= at && m->start < found.start)
			found = (struct run_run) { m->start, m->end };
	return found;
}

/* All but those: also what the list doesn't have, such as a cptdev-run that was replaced meanwhile. */
static int unmap_own(struct run_puppet *p, const struct run_maps *own)
{
	struct run_run kept;
	uint64_t at;

	for (at = 0; at < RUN_TOP; at = kept.end) {
		kept = next_kept(p, own, at);
		if (kept.start > at &&
		    call(p, "free memory", SYS_munmap, at, kept.start - at, 0, 0, 0, 0) < 0)
			return -1;
	}
	return 0;
}

/*
 * The kernel's pages: where the program has them
 */

static const struct run_map *next_kernel(const struct run_maps *maps, const struct run_map *m)
{
	for (m = m ? m + 1 : maps->v; m < maps->v + maps->nr; m++)
		if (m->kind >= RUN_VVAR)
			return m;
	return NULL;
}

/* Of the same build: their code is called by addresses that the program knows. */
static int check_kernel(struct run_puppet *p, const struct run_maps *own)
{
	const struct run_map *a = next_kernel(own, NULL), *b = next_kernel(&p->state->maps, NULL);
	const struct run_map *a0 = a, *b0 = b;

	for (; a && b; a = next_kernel(own, a), b = next_kernel(&p->state->maps, b)) {
		if (a->kind != b->kind || a->end - a->start != b->end - b->start ||
		    a->start - a0->start != b->start - b0->start)
			break;
		if (a->kind == RUN_VDSO && p->trace->vdso_sum != b->sum)
			break;
	}
	if (!a && !b)
		return 0;
	return hs_fail(p->e, ENOEXEC, "the program was started on another kernel (its vDSO differs): "
		       "use the same kernel on both hosts");
}

static int move_kernel(struct run_puppet *p, const struct run_maps *own, uint64_t distance)
{
	const struct run_map *m = NULL;

	while ((m = next_kernel(own, m))) {
		uint64_t len = m->end - m->start, to = m->start + distance;

		if (call(p, "the vDSO", SYS_mremap, m->start, len, len,
			 MREMAP_MAYMOVE | MREMAP_FIXED, to, 0) != (int64_t)to)
			return -1;
		if (m->kind == RUN_VDSO)
			p->trace->insn += distance;
	}
	return 0;
}

static int place_kernel(struct run_puppet *p, struct run_maps *own)
{
	const struct run_map *a = next_kernel(own, NULL), *b = next_kernel(&p->state->maps, NULL), *m;
	uint64_t end = 0, aside;
	uint32_t i;

	/* A kernel that was started with vdso=0 has none; check_kernel() has compared them. */
	if (!a || a->start == b->start)
		return 0;
	for (m = a; m; m = next_kernel(own, m))
		end = m->end;
	/* By way of a place that is free, should they overlap. */
	aside = find_free(own, &p->state->maps, end - a->start, p->scratch) - a->start;
	if (move_kernel(p, own, aside))
		return -1;
	for (i = 0; i < own->nr; i++)
		if (own->v[i].kind >= RUN_VVAR) {
			own->v[i].start += aside;
			own->v[i].end += aside;
		}
	return move_kernel(p, own, b->start - a->start);
}

/*
 * The program's mappings
 */

static int open_there(struct run_puppet *p, const char *path)
{
	if (run_puppet_put(p, PATH_AT, path, strlen(path) + 1))
		return -1;
	return (int)call(p, path, SYS_openat, (uint64_t)AT_FDCWD, p->scratch + PATH_AT,
			 O_RDONLY | O_CLOEXEC, 0, 0, 0);
}

static int close_there(struct run_puppet *p, int fd)
{
	return fd < 0 || call(p, "a descriptor", SYS_close, (uint64_t)fd, 0, 0, 0, 0, 0) >= 0 ? 0 : -1;
}

static int map_one(struct run_puppet *p, const struct run_map *m, int fd)
{
	/* What is shared is filled by way of the mapping. */
	const int prot = m->kind == RUN_SHARED ? PROT_READ | PROT_WRITE : m->prot;
	uint64_t flags = MAP_FIXED_NOREPLACE;
	char what[64];

	flags |= m->flags & RUN_MAP_SHARED || m->kind == RUN_SHARED ? MAP_SHARED : MAP_PRIVATE;
	flags |= m->kind == RUN_ANON ? MAP_ANONYMOUS : 0;
	flags |= m->flags & RUN_MAP_GROWS ? MAP_GROWSDOWN : 0;
	flags |= m->flags & RUN_MAP_NORES ? MAP_NORESERVE : 0;
	snprintf(what, sizeof(what), "mapping 0x%llx", (unsigned long long)m->start);
	if (call(p, what, SYS_mmap, m->start, m->end - m->start, (uint64_t)prot, flags,
		 (uint64_t)(int64_t)fd, m->offset) == (int64_t)m->start)
		return 0;
	return -1;
}

static int map_shared(struct run_puppet *p, const struct run_map *m)
{
	int fd = run_shared_open(p, m);

	return fd < 0 || map_one(p, m, fd) ? -1 : close_there(p, fd);
}

static int map_all(struct run_puppet *p)
{
	const struct run_maps *maps = &p->state->maps;
	const struct run_map *m;
	const char *open = NULL;
	int fd = -1;

	for (m = maps->v; m < maps->v + maps->nr; m++) {
		if (m->kind == RUN_FILE && (!open || strcmp(open, m->path))) {
			if (close_there(p, fd))
				return -1;
			fd = open_there(p, m->path);
			if (fd < 0)
				return -1;
			open = m->path;
		}
		if (m->kind == RUN_SHARED && map_shared(p, m))
			return -1;
		if (m->kind <= RUN_FILE && m->kind != RUN_SHARED &&
		    map_one(p, m, m->kind == RUN_FILE ? fd : -1))
			return -1;
	}
	return close_there(p, fd);
}

static int advise(struct run_puppet *p, const struct run_map *m)
{
	static const struct {
		unsigned int flag;
		int advice;
	} of[] = {
		{ RUN_MAP_HUGE, MADV_HUGEPAGE }, { RUN_MAP_NOHUGE, MADV_NOHUGEPAGE },
		{ RUN_MAP_NOFORK, MADV_DONTFORK }, { RUN_MAP_NODUMP, MADV_DONTDUMP },
		{ RUN_MAP_WIPE, MADV_WIPEONFORK },
	};
	size_t i;

	for (i = 0; i < sizeof(of) / sizeof(of[0]); i++)
		if (m->flags & of[i].flag &&
		    call(p, "madvise", SYS_madvise, m->start, m->end - m->start,
			 (uint64_t)of[i].advice, 0, 0, 0) < 0)
			return -1;
	if (m->kind == RUN_SHARED && m->prot != (PROT_READ | PROT_WRITE) &&
	    call(p, "shared memory", SYS_mprotect, m->start, m->end - m->start, (uint64_t)m->prot, 0, 0, 0) < 0)
		return -1;
	if (m->flags & RUN_MAP_LOCKED &&
	    call(p, "locked memory", SYS_mlock, m->start, m->end - m->start, 0, 0, 0, 0) < 0)
		return -1;
	return 0;
}

/* The content lies within private mappings: else it would be written into somebody's file. */
static int check_content(const struct run_puppet *p)
{
	const struct run_maps *maps = &p->state->maps;
	uint64_t i, at;
	uint32_t m = 0;

	for (i = 0; i < p->mirror->present.nr; i++) {
		const struct run_run *run = &p->mirror->present.v[i];

		for (at = run->start; at < run->end; at = maps->v[m].end) {
			while (m < maps->nr && maps->v[m].end <= at)
				m++;
			if (m == maps->nr || maps->v[m].start > at || !run_map_has_content(&maps->v[m]))
				return hs_fail(p->e, EBADMSG, "the checkpoint has memory at 0x%llx that "
					       "isn't the program's", (unsigned long long)at);
		}
	}
	return 0;
}

static int fill(struct run_puppet *p)
{
	char path[40], *buf = malloc(BATCH);
	uint64_t i, at;
	int fd, ret = 0;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/mem", p->tid);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 || !buf)
		ret = hs_fail(p->e, errno, "%s: %s", path, strerror(errno));
	for (i = 0; !ret && i < p->mirror->present.nr; i++) {
		const struct run_run *run = &p->mirror->present.v[i];

		for (at = run->start; !ret && at < run->end; at += (uint64_t)n) {
			size_t len = run->end - at < BATCH ? run->end - at : BATCH;

			n = pread(p->mirror->fd, buf, len, (off_t)at);
			if (n >= 0 && n < (ssize_t)len)
				memset(buf + n, 0, len - (size_t)n);
			n = (ssize_t)len;
			if (pwrite(fd, buf, len, (off_t)at) != n)
				ret = hs_fail(p->e, errno, "memory at 0x%llx can't be filled: %s",
					      (unsigned long long)at, strerror(errno));
		}
	}
	if (fd >= 0)
		close(fd);
	free(buf);
	return ret;
}

/* Where program, heap, stack, arguments are, which program it is. */
static int set_mm(struct run_puppet *p)
{
	const struct run_process *from = &p->state->process;
	const uint64_t *mm = from->mm;
	struct prctl_mm_map map = {
		.start_code = mm[RUN_START_CODE], .end_code = mm[RUN_END_CODE],
		.start_data = mm[RUN_START_DATA], .end_data = mm[RUN_END_DATA],
		.start_brk = mm[RUN_START_BRK], .brk = mm[RUN_BRK],
		.start_stack = mm[RUN_START_STACK], .arg_start = mm[RUN_ARG_START],
		.arg_end = mm[RUN_ARG_END], .env_start = mm[RUN_ENV_START],
		.env_end = mm[RUN_ENV_END], .auxv_size = from->auxv_len,
	};
	int fd = open_there(p, from->exe);
	uint64_t at = STRUCT_AT + sizeof(map);

	if (fd < 0)
		return -1;
	map.exe_fd = (uint32_t)fd;
	map.auxv = (void *)(uintptr_t)(p->scratch + at);
	if (run_puppet_put(p, STRUCT_AT, &map, sizeof(map)) ||
	    run_puppet_put(p, at, from->auxv, from->auxv_len) ||
	    call(p, "the map of the program", SYS_prctl, PR_SET_MM, PR_SET_MM_MAP,
		 p->scratch + STRUCT_AT, sizeof(map), 0, 0) < 0)
		return -1;
	return close_there(p, fd);
}

static int replace(struct run_puppet *p, struct run_maps *own)
{
	const struct run_map *m;

	if (run_find_syscall(p->trace, own, p->e) || check_kernel(p, own) || forget_rseq(p) ||
	    make_scratch(p, own) || unmap_own(p, own) || place_kernel(p, own) || map_all(p) ||
	    fill(p) || set_mm(p))
		return -1;
	for (m = p->state->maps.v; m < p->state->maps.v + p->state->maps.nr; m++)
		if (m->kind <= RUN_FILE && advise(p, m))
			return -1;
	return 0;
}

int run_restore_memory(struct run_puppet *p)
{
	struct run_report any = { 0 };
	struct run_maps own;
	int ret, err;

	if (check_content(p) || run_maps_read(&own, p->tid, &any, p->e))
		return -1;
	ret = replace(p, &own);
	err = errno;
	run_maps_free(&own);
	errno = err;
	return ret;
}
