// SPDX-License-Identifier: LGPL-2.1-or-later
/* cptdev-run: a checkpoint as a file, see image.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "image.h"
#include "maps.h"
#include "proc.h"
#include "texts.h"

#define BATCH	(256U << 10)

/*
 * Writing
 */

/* @name: of the section: empty, or the number of a process that isn't the first. */
static int write_run(struct hs_writer *w, const char *name, const struct run_mirror *m,
		     const struct run_run *run, char *buf)
{
	const struct hs_piece piece = { .addr = run->start, .len = run->end - run->start };
	uint64_t at;
	ssize_t n;

	hs_section_begin(w, HS_SECTION_MEMORY, name, sizeof(piece) + piece.len);
	hs_section_put(w, &piece, sizeof(piece));
	for (at = run->start; at < run->end; at += (uint64_t)n) {
		size_t len = run->end - at < BATCH ? run->end - at : BATCH;

		n = pread(m->fd, buf, len, (off_t)at);
		/* Behind the end of the file there are zeros. */
		if (n >= 0 && n < (ssize_t)len)
			memset(buf + n, 0, len - (size_t)n);
		if (n < 0)
			return -1;
		n = (ssize_t)len;
		hs_section_put(w, buf, len);
	}
	return 0;
}

static int write_memory(struct hs_writer *w, const char *name, const struct run_mirror *m, char *buf)
{
	uint64_t i;

	for (i = 0; i < m->present.nr; i++)
		if (write_run(w, name, m, &m->present.v[i], buf))
			return -1;
	return 0;
}

static int write_others(struct hs_writer *w, const struct run_state *s, char *buf)
{
	char name[HS_SECTION_NAME];
	uint32_t i;

	for (i = 0; i < s->nr_others; i++) {
		snprintf(name, sizeof(name), "%d", s->others[i].process.pid);
		if (write_memory(w, name, s->others[i].mirror, buf))
			return -1;
	}
	return 0;
}

static int write_all(struct hs_writer *w, int fd, uint64_t generation, const struct run_state *s,
		     const struct run_mirror *m)
{
	struct hs_image_head head = { .generation = generation,
				      .time_ns = (uint64_t)run_clock_ns(CLOCK_REALTIME) };
	char *buf = malloc(BATCH);
	struct run_texts texts;
	int type, ret;

	if (!buf || run_texts_make(&texts, s)) {
		free(buf);
		return -1;
	}
	snprintf(head.app, sizeof(head.app), "%s", s->process.comm);
	hs_image_begin(w, fd, &head);
	for (type = 0; type < HS_SECTION_TYPES; type++)
		if (texts.text[type])
			hs_section(w, (enum hs_section_type)type, "", texts.text[type],
				   strlen(texts.text[type]));
	ret = write_memory(w, "", m, buf) || write_others(w, s, buf) ? -1 : 0;
	run_texts_free(&texts);
	free(buf);
	return ret ? ret : hs_image_finish(w);
}

int run_image_write(const char *path, uint64_t generation, const struct run_state *s,
		    const struct run_mirror *m, struct hs_error *e)
{
	struct hs_writer w;
	struct hs_file f;
	int ret;

	if (hs_writer_create(&w) || hs_file_create(&f, path)) {
		hs_writer_free(&w);
		return hs_fail(e, errno, "checkpoint %s can't be written: %s", path, strerror(errno));
	}
	ret = write_all(&w, f.fd, generation, s, m);
	if (ret)
		hs_file_drop(&f);
	else
		ret = hs_file_publish(&f);
	hs_writer_free(&w);
	return ret ? hs_fail(e, errno, "checkpoint %s can't be written: %s", path, strerror(errno)) : 0;
}

/*
 * Reading
 */

struct reading {
	struct hs_reader r;
	struct run_texts texts;
	struct run_mirror *m;		/* of the first process */
	uint32_t nr_others;
	struct other {
		char name[HS_SECTION_NAME];
		struct run_mirror *m;
	} *others;
	char *buf;
	struct hs_error *e;
};

static int read_text(struct reading *rd)
{
	struct hs_reader *r = &rd->r;
	char **to = &rd->texts.text[r->section.type];

	if (*to || r->section.len > HS_SECTION_TEXT_MAX)
		return hs_fail(rd->e, EBADMSG, "the checkpoint's section '%s' makes no sense",
			       hs_section_text(r->section.type));
	*to = calloc(1, r->section.len + 1);
	if (!*to)
		return hs_fail(rd->e, ENOMEM, "no memory for a section");
	return hs_reader_get(r, *to, r->section.len) ? hs_fail(rd->e, errno, "%s", r->error) : 0;
}

/* libhotspare names sections after addresses, which have 16 digits. */
static bool is_number(const char *name)
{
	size_t n = strspn(name, "0123456789");

	return n < 8 && !name[n];
}

static struct run_mirror *add_mirror(struct reading *rd, const char *name)
{
	struct other *v;

	if (!is_number(name)) {
		hs_fail(rd->e, ENOEXEC, "the checkpoint isn't one of cptdev-run: restart it by its own program");
		return NULL;
	}
	v = reallocarray(rd->others, rd->nr_others + 1, sizeof(*v));
	if (v)
		rd->others = v;
	if (!v || rd->nr_others == RUN_PROCESSES_MAX) {
		hs_fail(rd->e, v ? E2BIG : ENOMEM, "memory of too many processes");
		return NULL;
	}
	v += rd->nr_others;
	*v = (struct other) { .m = calloc(1, sizeof(*v->m)) };
	if (!v->m || run_mirror_create(v->m, rd->e)) {
		free(v->m);
		return NULL;
	}
	snprintf(v->name, sizeof(v->name), "%s", name);
	rd->nr_others++;
	return v->m;
}

/* That of the process that the section names. The reader has checked that the name ends. */
static struct run_mirror *mirror_of(struct reading *rd)
{
	const char *name = rd->r.section.name;
	uint32_t i;

	if (!*name)
		return rd->m;
	for (i = 0; i < rd->nr_others; i++)
		if (!strncmp(rd->others[i].name, name, HS_SECTION_NAME))
			return rd->others[i].m;
	return add_mirror(rd, name);
}

static bool is_good(const struct reading *rd, const struct run_mirror *m, const struct hs_piece *p)
{
	const struct run_runs *had = &m->present;
	uint64_t before = had->nr ? had->v[had->nr - 1].end : 0;

	return p->addr % RUN_PAGE == 0 && p->len && p->len % RUN_PAGE == 0 && p->addr >= before &&
		p->addr < RUN_TOP && p->len <= RUN_TOP - p->addr &&
		rd->r.left == p->len;
}

static int read_memory(struct reading *rd)
{
	struct run_mirror *m = mirror_of(rd);
	struct hs_reader *r = &rd->r;
	struct hs_piece p;
	uint64_t at;
	size_t n;

	if (!m)
		return -1;
	if (hs_reader_get(r, &p, sizeof(p)))
		return hs_fail(rd->e, errno, "%s", r->error);
	if (!is_good(rd, m, &p))
		return hs_fail(rd->e, EBADMSG, "a piece of memory in the checkpoint makes no sense");
	for (at = 0; at < p.len; at += n) {
		n = p.len - at < BATCH ? p.len - at : BATCH;
		if (hs_reader_get(r, rd->buf, n))
			return hs_fail(rd->e, errno, "%s", r->error);
		if (run_mirror_add(m, p.addr + at, rd->buf, n))
			return hs_fail(rd->e, errno, "memory for the program: %s", strerror(errno));
	}
	return 0;
}

static int read_all(struct reading *rd)
{
	int ret;

	while ((ret = hs_reader_next(&rd->r)) > 0) {
		uint32_t type = rd->r.section.type;

		if (type == HS_SECTION_MEMORY ? read_memory(rd) :
		    hs_section_is_text(type) ? read_text(rd) : 0)
			return -1;
	}
	return ret ? hs_fail(rd->e, errno, "%s", rd->r.error) : 0;
}

/* Each process has memory, and all memory belongs to a process. */
static int give_mirrors(struct reading *rd, struct run_state *s)
{
	char name[HS_SECTION_NAME];
	uint32_t i, k;

	for (i = 0; i < s->nr_others; i++) {
		snprintf(name, sizeof(name), "%d", s->others[i].process.pid);
		for (k = 0; k < rd->nr_others && strcmp(rd->others[k].name, name); k++)
			;
		if (k == rd->nr_others)
			return hs_fail(rd->e, EBADMSG, "the checkpoint has no memory of process %s", name);
		s->others[i].mirror = rd->others[k].m;
		rd->others[k] = rd->others[--rd->nr_others];
	}
	return rd->nr_others ? hs_fail(rd->e, EBADMSG, "the checkpoint has memory of a process '%s' that it "
				       "doesn't have", rd->others[0].name) : 0;
}

static void free_reading(struct reading *rd)
{
	uint32_t i;

	for (i = 0; i < rd->nr_others; i++) {
		run_mirror_free(rd->others[i].m);
		free(rd->others[i].m);
	}
	free(rd->others);
	run_texts_free(&rd->texts);
	free(rd->buf);
}

int run_image_read(const char *path, struct run_state *s, struct run_mirror *m, struct hs_error *e)
{
	struct reading rd = { .m = m, .buf = malloc(BATCH), .e = e };
	int fd = open(path, O_RDONLY | O_CLOEXEC), ret, err;

	if (fd < 0 || !rd.buf) {
		ret = hs_fail(e, errno, "checkpoint %s: %s", path, strerror(errno));
	} else if (hs_reader_open(&rd.r, fd)) {
		ret = hs_fail(e, errno, "checkpoint %s: %s", path, rd.r.error);
	} else {
		ret = rd.r.head.flags & HS_IMAGE_INCREMENT ?
			hs_fail(e, ENOTSUP, "checkpoint %s is an increment: name the whole one", path) :
			read_all(&rd);
		hs_reader_close(&rd.r);
		if (!ret)
			ret = run_texts_parse(&rd.texts, s, e);
		if (!ret && give_mirrors(&rd, s)) {
			run_state_free(s);
			ret = -1;
		}
	}
	err = errno;
	if (fd >= 0)
		close(fd);
	free_reading(&rd);
	errno = err;
	return ret;
}
