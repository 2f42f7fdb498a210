// SPDX-License-Identifier: LGPL-2.1-or-later
/* cptdev-run: checkpoints that cptdevd brings to the spare, see link.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <ckdev.h>

#include "../hotspare/ask.h"
#include "../internal.h"
#include "link.h"
#include "mutants.h"

#define BATCH	(256U << 10)

int run_link_ask(struct run_link *l, struct hs_error *e)
{
	struct hs_error why = { { 0 } };
	uint64_t term = 0;

	switch (hs_ask_start(l->name, &term, &why)) {
	case HS_START_FRESH:
		l->term = term;
		return 0;
	case HS_START_UNKNOWN:
		return hs_fail(e, ENOENT, "no cptdevd answers on this host (%.200s): start it, with "
			       "engine = soft", why.text);
	default:
		return hs_fail(e, EBUSY, "'%s' can't begin here: %.250s", l->name, why.text);
	}
}

int run_link_open(struct run_link *l, struct hs_error *e)
{
	int ret;

	l->fd = ckdev_soft_open(l->programs);
	if (l->fd < 0)
		return hs_fail(e, -l->fd, "no cptdevd at %s: %s", l->programs ?: "its usual place",
			       strerror(-l->fd));
	ret = ckdev_session(l->fd, l->name, l->term, l->again ? CPTDEV_SESSION_REPLACE : 0, 0);
	if (ret) {
		run_link_drop(l);
		return hs_fail(e, -ret, "session '%s': %s", l->name, ckdev_strerror(ret));
	}
	l->again = true;
	l->generation = 0;
	if (ckdev_session_page_heeded(l->fd, &l->page))
		l->page = NULL;
	/* A program that is restored is a child of ours at first. */
	else
		madvise((void *)l->page, RUN_PAGE, MADV_DONTFORK);
	return 0;
}

void run_link_drop(struct run_link *l)
{
	if (l->page)
		munmap((void *)l->page, RUN_PAGE);
	l->page = NULL;
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
	l->generation = 0;
}

int run_link_state(struct run_link *l)
{
	int ret = ckdev_wait(l->fd, 0, 0, NULL);

	return ret == -ESTALE || ret == -ECONNRESET ? -ret : 0;
}

bool run_link_committed(struct run_link *l)
{
	struct cptdev_info info = { .size = sizeof(info) };

	return !l->generation || (!ckdev_info(l->fd, &info) && info.committed >= l->generation);
}

bool run_link_wanted(const struct run_link *l)
{
	return l->page &&
		__atomic_load_n(&l->page->flags, __ATOMIC_ACQUIRE) & CPTDEV_STATE_WANTED;
}

uint64_t run_link_held_off(const struct run_link *l)
{
	return ckdev_held_off(l->page);
}

/*
 * A delta
 */

/* The memory of a process, and where it is in the session. */
struct member {
	uint64_t base;
	const struct run_maps *maps;
	const struct run_mirror *mirror;
};

struct delta {
	uint32_t nr_members;
	struct member *members;		/* in ascending order of @base */
	struct run_runs present, changed;
	struct cptdev_segment *layout;
	uint32_t nr_segments;
	struct cptdev_extent *extents;
	uint32_t nr_extents, room;
};

static int compare_members(const void *a, const void *b)
{
	const struct member *x = a, *y = b;

	return x->base < y->base ? -1 : x->base > y->base;
}

static int list_members(struct delta *d, const struct run_state *s, const struct run_mirror *m)
{
	uint32_t i;

	d->members = calloc(s->nr_others + 1, sizeof(*d->members));
	if (!d->members)
		return -1;
	d->members[d->nr_members++] = (struct member) { 0, &s->maps, m };
	for (i = 0; i < s->nr_others; i++)
		d->members[d->nr_members++] = (struct member) {
			run_slot_base(s->others[i].slot), &s->others[i].maps, s->others[i].mirror,
		};
	qsort(d->members, d->nr_members, sizeof(*d->members), compare_members);
	return 0;
}

/* Of the first process and of the area, which don't overlap. */
static int merge(struct run_runs *to, const struct run_runs *a, const struct run_runs *b)
{
	uint64_t i = 0, j = 0;

	while (i < a->nr || j < b->nr) {
		bool first = j == b->nr || (i < a->nr && a->v[i].start < b->v[j].start);
		const struct run_run *r = first ? &a->v[i++] : &b->v[j++];

		if (run_runs_add(to, r->start, r->end))
			return -1;
	}
	return 0;
}

/* Of another process: behind those before. */
static int append(struct run_runs *to, const struct run_runs *from, uint64_t base)
{
	uint64_t i;

	for (i = 0; i < from->nr; i++)
		if (run_runs_add(to, base + from->v[i].start, base + from->v[i].end))
			return -1;
	return 0;
}

static int list_pages(struct delta *d, const struct run_area *area)
{
	const struct run_mirror *first = d->members[0].mirror;
	uint32_t i;

	if (merge(&d->present, &first->present, &area->present) ||
	    merge(&d->changed, &first->changed, &area->changed))
		return -1;
	for (i = 1; i < d->nr_members; i++)
		if (append(&d->present, &d->members[i].mirror->present, d->members[i].base) ||
		    append(&d->changed, &d->members[i].mirror->changed, d->members[i].base))
			return -1;
	return 0;
}

static void add_segment(struct delta *d, uint64_t base, const struct run_map *m)
{
	d->layout[d->nr_segments++] = (struct cptdev_segment) {
		.addr = base + m->start, .len = m->end - m->start,
		.offset = m->kind == RUN_FILE ? m->offset : 0,
		.kind = m->kind == RUN_FILE ? CPTDEV_SEGMENT_FILE : CPTDEV_SEGMENT_ANON,
		.prot = (uint32_t)m->prot,
	};
}

static int check_segments(const struct delta *d, struct hs_error *e)
{
	uint64_t nr = 1;
	uint32_t i;

	for (i = 0; i < d->nr_members; i++)
		nr += d->members[i].maps->nr;
	if (nr <= CPTDEV_LAYOUT_MAX)
		return 0;
	return hs_fail(e, E2BIG, "the processes of the program have %llu mappings, and a session takes up to "
		       "%u: take --file", (unsigned long long)nr, CPTDEV_LAYOUT_MAX);
}

/* Those of the first process, with the area between them. */
static void add_first(struct delta *d, const struct run_maps *maps)
{
	const struct run_map area = {
		.start = HS_AREA, .end = HS_AREA + HS_AREA_LEN, .prot = PROT_READ | PROT_WRITE,
	};
	const struct run_map *m;
	bool done = false;

	for (m = maps->v; m < maps->v + maps->nr; m++) {
		if (!run_map_has_content(m))
			continue;
		if (!done && m->start > area.start) {
			add_segment(d, 0, &area);
			done = true;
		}
		add_segment(d, 0, m);
	}
	if (!done)
		add_segment(d, 0, &area);
}

static int make_layout(struct delta *d)
{
	const struct member *p;
	const struct run_map *m;
	uint32_t nr = 1;

	for (p = d->members; p < d->members + d->nr_members; p++)
		nr += p->maps->nr;
	d->layout = calloc(nr, sizeof(*d->layout));
	if (!d->layout)
		return -1;
	add_first(d, d->members[0].maps);
	for (p = d->members + 1; p < d->members + d->nr_members; p++)
		for (m = p->maps->v; m < p->maps->v + p->maps->nr; m++)
			if (run_map_has_content(m))
				add_segment(d, p->base, m);
	return 0;
}

static int add_extent(struct delta *d, uint64_t start, uint64_t end, uint32_t kind)
{
	struct cptdev_extent *v;

	if (d->nr_extents == d->room) {
		d->room = d->room ? d->room * 2 : 256;
		v = reallocarray(d->extents, d->room, sizeof(*v));
		if (!v)
			return -1;
		d->extents = v;
	}
	d->extents[d->nr_extents++] = (struct cptdev_extent) {
		.addr = start, .len = end - start, .kind = kind,
	};
	return 0;
}

/* What is in the layout of [start, end). */
static int add_hole(struct delta *d, uint64_t start, uint64_t end)
{
	uint32_t i;

	for (i = 0; i < d->nr_segments; i++) {
		const struct cptdev_segment *s = &d->layout[i];
		uint64_t from = s->addr > start ? s->addr : start;
		uint64_t to = s->addr + s->len < end ? s->addr + s->len : end;

		if (from < to && add_extent(d, from, to, CPTDEV_EXTENT_HOLE))
			return -1;
	}
	return 0;
}

/* Pages that were there and are no more. */
static int add_holes(struct delta *d, const struct run_runs *had)
{
	const struct run_runs *now = &d->present;
	uint64_t i, j = 0, at;

	for (i = 0; i < had->nr; i++) {
		at = had->v[i].start;
		while (j < now->nr && now->v[j].end <= at)
			j++;
		for (; j < now->nr && now->v[j].start < had->v[i].end; j++) {
			if (now->v[j].start > at && add_hole(d, at, now->v[j].start))
				return -1;
			at = now->v[j].end;
			if (at >= had->v[i].end)
				break;
		}
		if (at < had->v[i].end && add_hole(d, at, had->v[i].end))
			return -1;
	}
	return 0;
}

static int compare(const void *a, const void *b)
{
	const struct cptdev_extent *x = a, *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

static int fill_delta(struct delta *d, const struct run_link *l)
{
	const struct run_runs *data;
	uint64_t i;

	if (make_layout(d) || list_pages(d, &l->area))
		return -1;
	data = l->generation ? &d->changed : &d->present;
	for (i = 0; i < data->nr; i++)
		if (add_extent(d, data->v[i].start, data->v[i].end, CPTDEV_EXTENT_DATA))
			return -1;
	if (l->generation && add_holes(d, &l->had))
		return -1;
	qsort(d->extents, d->nr_extents, sizeof(*d->extents), compare);
	return 0;
}

static int make_delta(struct delta *d, const struct run_link *l, const struct run_state *s,
		      const struct run_mirror *m, struct hs_error *e)
{
	*d = (struct delta) { .nr_extents = 0 };
	if (list_members(d, s, m))
		return hs_fail(e, ENOMEM, "no memory for a checkpoint");
	if (check_segments(d, e))
		return -1;
	return fill_delta(d, l) ? hs_fail(e, ENOMEM, "no memory for a checkpoint") : 0;
}

static void free_delta(struct delta *d)
{
	free(d->members);
	run_runs_free(&d->present);
	run_runs_free(&d->changed);
	free(d->layout);
	free(d->extents);
}

/* The file with these pages, and the address at which it begins. @from: the member of the extent before. */
static int file_of(const struct delta *d, const struct run_link *l, uint64_t addr, uint32_t *from,
		   uint64_t *start)
{
	*start = HS_AREA;
	if (run_area_has(addr))
		return l->area.fd;
	while (*from + 1 < d->nr_members && d->members[*from + 1].base <= addr)
		++*from;
	*start = d->members[*from].base;
	if (run_mutant("slot") && *from)
		return d->members[*from % (d->nr_members - 1) + 1].mirror->fd;
	return d->members[*from].mirror->fd;
}

/* Extents are in ascending order. */
static int copy_pages(int to, const struct delta *d, const struct run_link *l)
{
	static char buf[BATCH];
	uint64_t at, pos = 0, start;
	uint32_t i, member = 0;
	ssize_t n;

	for (i = 0; i < d->nr_extents; i++) {
		const struct cptdev_extent *x = &d->extents[i];
		int file = file_of(d, l, x->addr, &member, &start);

		for (at = x->addr; x->kind == CPTDEV_EXTENT_DATA && at < x->addr + x->len;) {
			uint64_t rest = x->addr + x->len - at;
			size_t len = rest < BATCH ? rest : BATCH;

			n = pread(file, buf, len, (off_t)(at - start));
			if (n >= 0 && n < (ssize_t)len)
				memset(buf + n, 0, len - (size_t)n);
			if (n < 0 || pwrite(to, buf, len, (off_t)pos) != (ssize_t)len)
				return -1;
			pos += len;
			at += len;
		}
	}
	return 0;
}

static int hand_over(struct run_link *l, const struct delta *d, struct hs_error *e)
{
	struct ckdev_soft_delta delta = {
		.size = sizeof(delta), .nr_extents = d->nr_extents, .nr_segments = d->nr_segments,
		.base = l->generation, .extents = d->extents, .layout = d->layout,
	};
	int ret;

	delta.memfd = memfd_create("cptdev-run delta", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (delta.memfd < 0 || copy_pages(delta.memfd, d, l))
		ret = -errno;
	else
		ret = ckdev_soft_publish(l->fd, &delta);
	if (delta.memfd >= 0)
		close(delta.memfd);
	/* The next one has everything if this one isn't there. */
	l->generation = ret ? 0 : delta.generation;
	if (!ret)
		return 0;
	return hs_fail(e, -ret, "cptdevd doesn't take the checkpoint: %s", ckdev_strerror(ret));
}

int run_link_publish(struct run_link *l, const struct run_state *s, const struct run_mirror *m,
		     struct hs_error *e)
{
	struct delta d;
	int ret, err;

	if (run_area_put(&l->area, s, e)) {
		l->generation = 0;
		return -1;
	}
	if (make_delta(&d, l, s, m, e)) {
		l->generation = 0;
		ret = -1;
	} else {
		ret = hand_over(l, &d, e);
		/* The spare has lost what this one refers to: it gets everything. */
		if (ret && errno == EILSEQ) {
			free_delta(&d);
			ret = make_delta(&d, l, s, m, e) ? -1 : hand_over(l, &d, e);
		}
	}
	err = errno;
	run_runs_free(&l->had);
	l->had = d.present;
	d.present = (struct run_runs) { 0 };
	free_delta(&d);
	errno = err;
	return ret;
}
