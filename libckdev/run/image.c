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

static int write_run(struct hs_writer *w, const struct run_mirror *m, const struct run_run *run,
		     char *buf)
{
	const struct hs_piece piece = { .addr = run->start, .len = run->end - run->start };
	uint64_t at;
	ssize_t n;

	hs_section_begin(w, HS_SECTION_MEMORY, "", sizeof(piece) + piece.len);
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

static int write_all(struct hs_writer *w, int fd, uint64_t generation, const struct run_state *s,
		     const struct run_mirror *m)
{
	struct hs_image_head head = { .generation = generation,
				      .time_ns = (uint64_t)run_clock_ns(CLOCK_REALTIME) };
	char *buf = malloc(BATCH);
	struct run_texts texts;
	uint64_t i;
	int type, ret = 0;

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
	for (i = 0; !ret && i < m->present.nr; i++)
		ret = write_run(w, m, &m->present.v[i], buf);
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
	struct run_mirror *m;
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

static bool is_good(const struct reading *rd, const struct hs_piece *p)
{
	const struct run_runs *had = &rd->m->present;
	uint64_t before = had->nr ? had->v[had->nr - 1].end : 0;

	return p->addr % RUN_PAGE == 0 && p->len && p->len % RUN_PAGE == 0 && p->addr >= before &&
		p->addr < RUN_TOP && p->len <= RUN_TOP - p->addr &&
		rd->r.left == p->len;
}

static int read_memory(struct reading *rd)
{
	struct hs_reader *r = &rd->r;
	struct hs_piece p;
	uint64_t at;
	size_t n;

	if (hs_reader_get(r, &p, sizeof(p)))
		return hs_fail(rd->e, errno, "%s", r->error);
	if (!is_good(rd, &p))
		return hs_fail(rd->e, EBADMSG, "a piece of memory in the checkpoint makes no sense");
	for (at = 0; at < p.len; at += n) {
		n = p.len - at < BATCH ? p.len - at : BATCH;
		if (hs_reader_get(r, rd->buf, n))
			return hs_fail(rd->e, errno, "%s", r->error);
		if (run_mirror_add(rd->m, p.addr + at, rd->buf, n))
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

int run_image_read(const char *path, struct run_state *s, struct run_mirror *m, struct hs_error *e)
{
	struct reading rd = { .m = m, .buf = malloc(BATCH), .e = e };
	int fd = open(path, O_RDONLY | O_CLOEXEC), ret;

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
	}
	if (fd >= 0)
		close(fd);
	run_texts_free(&rd.texts);
	free(rd.buf);
	return ret;
}
