// SPDX-License-Identifier: LGPL-2.1-or-later
/* cptdev-run: waiting for the promotion of a program's replica, see spare.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <ckdev.h>

#include "area.h"
#include "inject.h"
#include "maps.h"
#include "restore.h"
#include "spare.h"

#define BATCH		(256U << 10)
#define LOOK_NS		1000000000ULL

struct waiting {
	const char *name, *programs;
	int fd;
	bool checked, told_old;
};

static int open_replica(struct waiting *w, struct hs_error *e)
{
	int dev = ckdev_soft_open(w->programs);

	if (dev < 0)
		return hs_fail(e, -dev, "no cptdevd at %s: %s", w->programs ?: "its usual place",
			       strerror(-dev));
	w->fd = ckdev_replica_open(dev, w->name, CPTDEV_REPLICA_CREATE, 0);
	close(dev);
	return w->fd < 0 ? hs_fail(e, -w->fd, "replica '%s': %s", w->name, ckdev_strerror(w->fd)) : 0;
}

/* The replica stays frozen. Returns its memory as a descriptor, or -1 with errno and @e. */
static int read_state(struct waiting *w, struct run_state *s, struct hs_error *e)
{
	uint64_t generation;
	int ret = ckdev_replica_freeze(w->fd, &generation), content, err;

	content = ret ? ret : ckdev_replica_content(w->fd);
	if (content < 0)
		return hs_fail(e, -content, "the replica can't be read: %s", ckdev_strerror(content));
	if (!run_area_read(content, s, e))
		return content;
	err = errno;
	close(content);
	errno = err;
	return -1;
}

static int check_here(const struct run_state *s, struct hs_error *e)
{
	struct run_trace self = { .pid = getpid() };
	struct run_report any = { .refused = 0 };
	struct run_maps own;
	uint32_t i;
	int ret;

	if (run_maps_read(&own, getpid(), &any, e))
		return -1;
	ret = run_find_syscall(&self, &own, e);
	run_maps_free(&own);
	for (i = 0; !ret && i < s->maps.nr; i++)
		if (s->maps.v[i].kind == RUN_VDSO && s->maps.v[i].sum != self.vdso_sum)
			ret = hs_fail(e, ENOEXEC, "the program runs on another kernel than this host's: "
				      "use the same kernel on both hosts");
	return ret ? ret : run_restore_check(s, e);
}

/* Once: what can't be continued here has no spare, and shall know it. */
static int look(struct waiting *w, struct hs_error *e)
{
	struct cptdev_image_info info = { .size = sizeof(info) };
	struct run_state s;
	int content, ret = 0;

	if (w->checked || ckdev_image_info(w->fd, &info) || !info.generation)
		return 0;
	content = read_state(w, &s, e);
	if (content >= 0) {
		ret = check_here(&s, e);
		run_state_free(&s);
		close(content);
		w->checked = true;
		if (!ret)
			fprintf(stderr, "cptdev-run: %s: the replica has a checkpoint that could be "
				"continued here\n", w->name);
	} else {
		ret = -1;
	}
	ckdev_replica_thaw(w->fd);
	return ret;
}

/* 1: it is ours. 0: wait on: it was promoted before we came, or somebody else has it. */
static int claim(struct waiting *w, uint64_t *term, struct hs_error *e)
{
	const struct timespec second = { .tv_sec = 1 };
	int ret;

	*term = 0;
	ret = ckdev_replica_claim(w->fd, term, NULL, 0);
	if (!ret)
		return 1;
	if (ret != -EALREADY && ret != -EINVAL)
		return hs_fail(e, -ret, "the promotion of '%s' can't be taken: %s", w->name,
			       ckdev_strerror(ret));
	if (ret == -EALREADY && !w->told_old) {
		fprintf(stderr, "cptdev-run: %s: the replica was promoted before this spare was started, or "
			"another program has taken over: waiting for new checkpoints\n", w->name);
		w->told_old = true;
	}
	nanosleep(&second, NULL);
	return 0;
}

static int wait_for_promotion(struct waiting *w, uint64_t *term, struct hs_error *e)
{
	int ret;

	for (;;) {
		ret = ckdev_replica_wait(w->fd, w->checked ? 0 : CKDEV_WAIT_COMMITS, LOOK_NS);
		if (ret > 0 && ret & CKDEV_PROMOTED) {
			ret = claim(w, term, e);
			if (ret)
				return ret < 0 ? -1 : 0;
		} else if (ret > 0) {
			if (look(w, e))
				return -1;
		} else if (ret != -ETIMEDOUT && ret != -EINTR) {
			return hs_fail(e, -ret, "the replica '%s': %s", w->name, ckdev_strerror(ret));
		}
	}
}

/* Where the memory of each process goes, by its slot. */
struct reading {
	int content;
	struct run_mirror *mirror[RUN_SLOTS];
	char *buf;
};

/* Each process has a slot of its own, and all memory belongs to a process. */
static int make_mirrors(struct reading *rd, struct run_state *s, struct run_mirror *first, struct hs_error *e)
{
	uint32_t i;

	rd->mirror[0] = first;
	for (i = 0; i < s->nr_others; i++) {
		struct run_state *o = &s->others[i];

		if (rd->mirror[o->slot])
			return hs_fail(e, EBADMSG, "the replica has no memory of process %d", o->process.pid);
		o->mirror = calloc(1, sizeof(*o->mirror));
		if (!o->mirror)
			return hs_fail(e, ENOMEM, "no memory for the list of processes");
		if (run_mirror_create(o->mirror, e))
			return -1;
		rd->mirror[o->slot] = o->mirror;
	}
	return 0;
}

static int read_extent(struct reading *rd, const struct cptdev_extent *x)
{
	const uint64_t slot = x->addr >> RUN_SLOT_SHIFT, base = run_slot_base((uint32_t)slot);
	uint64_t at;
	ssize_t n;

	if (x->kind != CPTDEV_EXTENT_DATA || run_area_has(x->addr))
		return 0;
	if (slot >= RUN_SLOTS || !rd->mirror[slot] || x->addr + x->len - base > RUN_TOP)
		return -1;
	for (at = x->addr; at < x->addr + x->len; at += (uint64_t)n) {
		uint64_t rest = x->addr + x->len - at;

		n = pread(rd->content, rd->buf, rest < BATCH ? rest : BATCH, (off_t)at);
		if (n <= 0 || n % (ssize_t)RUN_PAGE ||
		    run_mirror_add(rd->mirror[slot], at - base, rd->buf, (size_t)n))
			return -1;
	}
	return 0;
}

static int read_memory(struct waiting *w, int content, struct run_state *s, struct run_mirror *first,
		       struct hs_error *e)
{
	struct reading rd = { .content = content };
	struct cptdev_extent v[64];
	uint64_t pos = 0;
	int nr = 0, i, ret;

	if (make_mirrors(&rd, s, first, e))
		return -1;
	rd.buf = malloc(BATCH);
	ret = rd.buf ? 0 : -1;
	while (!ret && (nr = ckdev_image_extents(w->fd, v, 64, &pos)) > 0)
		for (i = 0; !ret && i < nr; i++)
			ret = read_extent(&rd, &v[i]);
	free(rd.buf);
	return ret || nr < 0 ? hs_fail(e, EIO, "the replica's memory can't be read") : 0;
}

int run_spare_wait(const char *name, const char *programs, struct run_state *s,
		   struct run_mirror *m, uint64_t *term, struct hs_error *e)
{
	struct waiting w = { .name = name, .programs = programs };
	int content, ret;

	if (open_replica(&w, e))
		return -1;
	fprintf(stderr, "cptdev-run: %s: waiting for the promotion\n", name);
	if (look(&w, e) || wait_for_promotion(&w, term, e))
		return -1;
	content = read_state(&w, s, e);
	if (content < 0)
		return -1;
	ret = read_memory(&w, content, s, m, e);
	close(content);
	ckdev_replica_thaw(w.fd);
	close(w.fd);
	return ret;
}
