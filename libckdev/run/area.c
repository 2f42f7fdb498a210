// SPDX-License-Identifier: LGPL-2.1-or-later
/* cptdev-run: the state beside memory as pages, see area.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "area.h"
#include "proc.h"

#define AREA_MAGIC	0x6e75727473ULL		/* "strun": the content isn't that of libhotspare */
#define AREA_VERSION		1U		/* a program of one process */
#define AREA_VERSION_TREE	2U		/* its processes have slots of addresses */

int run_area_create(struct run_area *a, struct hs_error *e)
{
	*a = (struct run_area) { .fd = memfd_create("cptdev-run state", MFD_CLOEXEC) };
	return a->fd < 0 ? hs_fail(e, errno, "the state area: %s", strerror(errno)) : 0;
}

void run_area_free(struct run_area *a)
{
	if (a->fd >= 0)
		close(a->fd);
	run_runs_free(&a->present);
	run_runs_free(&a->changed);
	*a = (struct run_area) { .fd = -1 };
}

static bool was_there(const struct run_runs *old, uint64_t addr)
{
	uint64_t i;

	for (i = 0; i < old->nr; i++)
		if (addr >= old->v[i].start && addr < old->v[i].end)
			return true;
	return false;
}

struct putting {
	struct run_area *a;
	struct run_runs present, changed;
};

static int put(struct putting *p, uint64_t addr, const char *from, size_t len)
{
	char now[RUN_PAGE], before[RUN_PAGE];
	size_t n;

	for (; len; addr += RUN_PAGE, from += n, len -= n) {
		off_t at = (off_t)(addr - HS_AREA);

		n = len < RUN_PAGE ? len : RUN_PAGE;
		memset(now, 0, sizeof(now));
		memcpy(now, from, n);
		if (run_runs_add(&p->present, addr, addr + RUN_PAGE))
			return -1;
		if (was_there(&p->a->present, addr) &&
		    pread(p->a->fd, before, RUN_PAGE, at) == (ssize_t)RUN_PAGE &&
		    !memcmp(now, before, RUN_PAGE))
			continue;
		if (pwrite(p->a->fd, now, RUN_PAGE, at) != (ssize_t)RUN_PAGE ||
		    run_runs_add(&p->changed, addr, addr + RUN_PAGE))
			return -1;
	}
	return 0;
}

static int put_all(struct putting *p, const struct run_texts *t, const struct run_state *s)
{
	struct hs_area head = {
		.magic = AREA_MAGIC, .version = s->nr_others ? AREA_VERSION_TREE : AREA_VERSION,
	};
	int i;

	head.head.time_ns = (uint64_t)run_clock_ns(CLOCK_REALTIME);
	snprintf(head.head.app, sizeof(head.head.app), "%s", s->process.comm);
	for (i = 1; i < HS_SECTION_TYPES; i++) {
		head.slot[i].len = t->text[i] ? strlen(t->text[i]) : 0;
		head.slot[i].mapped = run_page_up(head.slot[i].len);
	}
	if (put(p, HS_AREA, (const char *)&head, sizeof(head)))
		return -1;
	for (i = 1; i < HS_SECTION_TYPES; i++)
		if (t->text[i] && (head.slot[i].len > HS_SECTION_TEXT_MAX ||
				   put(p, HS_AREA + (uint64_t)i * HS_AREA_SLOT, t->text[i],
				       head.slot[i].len)))
			return -1;
	return 0;
}

int run_area_put(struct run_area *a, const struct run_state *s, struct hs_error *e)
{
	struct putting p = { .a = a };
	const struct run_map *m;
	struct run_texts t;
	int ret;

	for (m = s->maps.v; m < s->maps.v + s->maps.nr; m++)
		if (m->start < HS_AREA + HS_AREA_LEN && m->end > HS_AREA)
			return hs_fail(e, EOPNOTSUPP, "mapping 0x%llx: the state has to be there on "
				       "its way to the spare", (unsigned long long)m->start);
	if (run_texts_make(&t, s))
		return hs_fail(e, ENOMEM, "no memory for the program's state");
	ret = put_all(&p, &t, s);
	run_texts_free(&t);
	run_runs_free(&a->present);
	run_runs_free(&a->changed);
	a->present = p.present;
	a->changed = p.changed;
	return ret ? hs_fail(e, errno ?: EMSGSIZE, "the program's state can't be kept: %s",
			     strerror(errno ?: EMSGSIZE)) : 0;
}

/*
 * Reading
 */

static int read_at(int fd, void *buf, size_t len, uint64_t addr)
{
	char *p = buf;
	ssize_t n;

	for (; len; p += n, addr += (uint64_t)n, len -= (size_t)n) {
		n = pread(fd, p, len, (off_t)addr);
		if (n <= 0 && !(n < 0 && errno == EINTR))
			return -1;
		n = n < 0 ? 0 : n;
	}
	return 0;
}

int run_area_read(int content, struct run_state *s, struct hs_error *e)
{
	struct run_texts t = { { NULL } };
	struct hs_area head;
	int i, ret;

	if (read_at(content, &head, sizeof(head), HS_AREA) || head.magic != AREA_MAGIC ||
	    head.version < AREA_VERSION || head.version > AREA_VERSION_TREE)
		return hs_fail(e, ENODATA, "the replica isn't one of a program that cptdev-run runs, or "
			       "one of another version of it");
	for (i = 1; i < HS_SECTION_TYPES; i++) {
		if (!head.slot[i].len || head.slot[i].len > HS_SECTION_TEXT_MAX)
			continue;
		t.text[i] = calloc(1, head.slot[i].len + 1);
		if (!t.text[i] || read_at(content, t.text[i], head.slot[i].len,
					  HS_AREA + (uint64_t)i * HS_AREA_SLOT)) {
			run_texts_free(&t);
			return hs_fail(e, EIO, "the replica's section '%s' can't be read",
				       hs_section_text((uint32_t)i));
		}
	}
	ret = run_texts_parse(&t, s, e);
	run_texts_free(&t);
	return ret;
}
