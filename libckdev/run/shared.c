// SPDX-License-Identifier: LGPL-2.1-or-later
/* cptdev-run: memory that processes of the program share, see shared.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "mutants.h"
#include "shared.h"
#include "users.h"

/* The mapping of the process that has this offset, or NULL. */
static struct run_map *find(const struct run_maps *maps, uint64_t object, uint64_t at)
{
	struct run_map *m;

	for (m = maps->v; m < maps->v + maps->nr; m++)
		if (m->kind == RUN_SHARED && m->object == object && m->offset <= at &&
		    at - m->offset < m->end - m->start)
			return m;
	return NULL;
}

static bool has_all(const struct run_maps *maps, const struct run_map *of, bool mark)
{
	struct run_map *m;
	uint64_t at;

	for (at = 0; at < of->size; at = m->offset + (m->end - m->start)) {
		m = find(maps, of->object, at);
		if (!m)
			return false;
		m->owns |= mark;
	}
	return true;
}

static void settle(struct run_state *s, const struct run_map *of, struct run_report *r)
{
	uint32_t i;

	for (i = 0; i <= s->nr_others; i++)
		if (has_all(&run_state_of(s, i)->maps, of, false)) {
			has_all(&run_state_of(s, i)->maps, of, true);
			return;
		}
	run_refused(r, "mapping 0x%llx: shared memory of which no process has all of its %llu KiB",
		    (unsigned long long)of->start, (unsigned long long)of->size >> 10);
}

/* A file that had a name: another process may have opened it by that. */
static bool is_outside(struct run_state *s, const struct run_map *of, struct run_report *r)
{
	const pid_t pid = of->device ? run_users_outside(s, of->device, of->inode) : 0;

	if (pid < 0)
		run_refused(r, "mapping 0x%llx: shared memory: /proc doesn't tell which processes have it",
			    (unsigned long long)of->start);
	if (pid > 0)
		run_refused(r, "mapping 0x%llx: shared memory, which process %d has, too, and that isn't a part "
			    "of the program", (unsigned long long)of->start, pid);
	return pid;
}

static bool was_before(struct run_state *s, uint32_t i, const struct run_map *of)
{
	const struct run_map *m;
	uint32_t k;

	for (k = 0; k <= i; k++) {
		const struct run_maps *maps = &run_state_of(s, k)->maps;

		for (m = maps->v; m < maps->v + maps->nr && m != of; m++)
			if (m->kind == RUN_SHARED && m->object == of->object)
				return true;
	}
	return false;
}

void run_shared_settle(struct run_state *s, const struct run_tree *tree, struct run_report *r)
{
	const struct run_map *m;
	uint32_t i;

	for (i = 0; i <= s->nr_others; i++) {
		const struct run_maps *maps = &run_state_of(s, i)->maps;

		for (m = maps->v; m < maps->v + maps->nr; m++) {
			if (m->kind != RUN_SHARED || was_before(s, i, m))
				continue;
			if (tree->attached)
				run_refused(r, "mapping 0x%llx: shared memory, which a process outside of the "
					    "program may have, too: start the program by cptdev-run",
					    (unsigned long long)m->start);
			else if (!is_outside(s, m, r))
				settle(s, m, r);
		}
	}
}

/*
 * A restart
 */

static int64_t call(struct run_puppet *p, long nr, uint64_t a, uint64_t b, uint64_t c)
{
	const struct run_call all = { nr, { a, b, c } };

	return run_puppet_call(p, p->tid, "shared memory", &all);
}

static int make(struct run_puppet *p, const struct run_map *m)
{
	int64_t fd;

	if (run_puppet_put(p, 0, RUN_SHARED_NAME, sizeof(RUN_SHARED_NAME)))
		return -1;
	fd = call(p, SYS_memfd_create, p->scratch, MFD_CLOEXEC, 0);
	if (fd >= 0 && call(p, SYS_ftruncate, (uint64_t)fd, m->size, 0))
		return -1;
	return (int)fd;
}

static int get(struct run_puppet *p, const struct run_shared *from)
{
	int64_t pidfd = call(p, SYS_pidfd_open, (uint64_t)from->by->state->process.pid, 0, 0), fd;

	if (pidfd < 0)
		return -1;
	fd = call(p, SYS_pidfd_getfd, (uint64_t)pidfd, (uint64_t)from->fd, 0);
	return call(p, SYS_close, (uint64_t)pidfd, 0, 0) ? -1 : (int)fd;
}

static int keep(struct run_puppet *p, const struct run_map *m, int fd)
{
	struct run_all_shared *all = p->shared;
	struct run_shared *v = reallocarray(all->v, all->nr + 1, sizeof(*v));

	if (!v)
		return hs_fail(p->e, ENOMEM, "no memory for the list of shared memory");
	all->v = v;
	v[all->nr++] = (struct run_shared) { .object = m->object, .by = p, .fd = fd };
	return (int)call(p, SYS_dup, (uint64_t)fd, 0, 0);
}

int run_shared_open(struct run_puppet *p, const struct run_map *m)
{
	const struct run_all_shared *all = p->shared;
	uint32_t i;
	int fd;

	for (i = 0; i < all->nr && !run_mutant("shared"); i++)
		if (all->v[i].object == m->object)
			return all->v[i].by == p ? (int)call(p, SYS_dup, (uint64_t)all->v[i].fd, 0, 0) :
				get(p, &all->v[i]);
	fd = make(p, m);
	return fd < 0 ? -1 : keep(p, m, fd);
}

int run_shared_close(struct run_all_shared *all)
{
	uint32_t i;

	for (i = 0; i < all->nr; i++)
		if (call(all->v[i].by, SYS_close, (uint64_t)all->v[i].fd, 0, 0))
			return -1;
	return 0;
}
