// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reading a checkpoint, by the library's own reader. What a section says counts when its
 * sum was right, which is known when the reader has gone on from there.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hotspare/touched.h"
#include "inspect.h"

/* The library makes no more. */
#define OWN_MAX		256

struct reading {
	struct inspect_file *f;
	struct hs_reader r;
	char *text;			/* of the section that we are in, or NULL */
	u32 own;			/* the application's sections up to now */
};

static void *must(void *p)
{
	if (!p)
		abort();
	return p;
}

void inspect_problem(struct inspect_file *f, u64 section, u64 at, const char *fmt, ...)
{
	struct inspect_problem *p;
	va_list ap;

	f->problems = must(reallocarray(f->problems, f->nr_problems + 1, sizeof(*p)));
	p = &f->problems[f->nr_problems++];
	*p = (struct inspect_problem) { .section = section, .at = at };
	va_start(ap, fmt);
	vsnprintf(p->text, sizeof(p->text), fmt, ap);
	va_end(ap);
}

static struct inspect_section *last(struct inspect_file *f)
{
	return &f->sections[f->nr_sections - 1];
}

__attribute__((format(printf, 2, 3)))
static void section_problem(struct inspect_file *f, const char *fmt, ...)
{
	char text[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	inspect_problem(f, f->nr_sections, last(f)->at, "%s", text);
}

/*
 * Into a section. What is cut off here is told when the reader goes on.
 */

static void read_text(struct reading *g)
{
	u64 len = g->r.section.len;

	if (len > HS_SECTION_TEXT_MAX)
		return;
	g->text = must(calloc(1, len + 1));
	if (hs_reader_get(&g->r, g->text, len)) {
		free(g->text);
		g->text = NULL;
	}
}

static void read_piece(struct reading *g)
{
	struct inspect_section *s = last(g->f);
	struct hs_piece p;

	if (g->r.left < sizeof(p) || hs_reader_get(&g->r, &p, sizeof(p)))
		return;
	if (!s->has_piece)
		s->piece = p;
	s->has_piece = true;
	s->covered += p.len;
}

/*
 * Which pages come first in a lazy restart. A set that makes no sense is no problem of the file: the pages
 * come in another order.
 */
static bool is_touched(const struct inspect_section *s)
{
	return s->type == HS_SECTION_USER && !strcmp(s->name, HS_TOUCHED_NAME);
}

static void settle_touched(struct reading *g, const struct inspect_section *s)
{
	struct json_object *o = js_new();
	struct hs_touched t;
	u64 window;

	json_object_put(g->f->touched);
	g->f->touched = o;
	if (hs_touched_parse(&t, g->text, s->len, NULL)) {
		js_bool(o, "ok", false);
		return;
	}
	window = hs_touched_pages(&t, HS_TOUCHED_LOOKS);
	js_bool(o, "ok", true);
	js_u64(o, "generation", t.generation);
	js_u64(o, "window_ms", t.looks ? t.end_us[t.looks - 1] / 1000 : 0);
	js_u64(o, "looks", t.looks);
	js_u64(o, "pages", window);
	js_u64(o, "used_before", hs_touched_used(&t));
	hs_touched_free(&t);
}

static void begin_section(struct reading *g)
{
	const struct hs_section_head *h = &g->r.section;
	struct inspect_file *f = g->f;
	struct inspect_section *s;

	f->sections = must(reallocarray(f->sections, f->nr_sections + 1, sizeof(*s)));
	s = &f->sections[f->nr_sections++];
	*s = (struct inspect_section) { .type = h->type, .at = g->r.at, .len = h->len };
	memcpy(s->name, h->name, sizeof(s->name));
	if (hs_section_is_text(h->type) || is_touched(s))
		read_text(g);
	else if (h->type == HS_SECTION_MEMORY)
		read_piece(g);
	while (h->type == HS_SECTION_HOLES && g->r.left >= sizeof(struct hs_piece) &&
	       !g->r.lost)
		read_piece(g);
}

/*
 * Its sum is right: does it make sense?
 */

static void settle_text(struct reading *g, struct inspect_section *s)
{
	struct inspect_file *f = g->f;

	if (f->seen[s->type]) {
		section_problem(f, "section '%s' is there twice", hs_section_text(s->type));
		return;
	}
	f->seen[s->type] = true;
	if (g->text)
		f->text[s->type] = json_tokener_parse(g->text);
	if (!f->text[s->type])
		section_problem(f, "section '%s' is %s", hs_section_text(s->type),
				g->text ? "no JSON" : "too long");
}

static bool own_is_twice(const struct inspect_file *f)
{
	const struct inspect_section *s = &f->sections[f->nr_sections - 1];
	size_t i;

	for (i = 0; i + 1 < f->nr_sections; i++)
		if (f->sections[i].type == HS_SECTION_USER &&
		    !strcmp(f->sections[i].name, s->name))
			return true;
	return false;
}

static void settle_own(struct reading *g, struct inspect_section *s)
{
	if (++g->own > OWN_MAX) {
		if (g->own == OWN_MAX + 1)
			section_problem(g->f, "more than %u sections of the application's own",
					OWN_MAX);
		return;
	}
	if (!*s->name)
		section_problem(g->f, "a section of the application's own has no name");
	else if (own_is_twice(g->f))
		section_problem(g->f, "the application's section of that name is there twice");
	else if (is_touched(s) && g->text)
		settle_touched(g, s);
}

static void settle_memory(struct reading *g, struct inspect_section *s)
{
	struct inspect_file *f = g->f;
	bool good;

	if (s->type == HS_SECTION_MEMORY)
		good = s->has_piece && s->piece.len == s->len - sizeof(s->piece);
	else
		good = s->has_piece && s->len % sizeof(s->piece) == 0;
	if (!good || s->piece.addr + s->piece.len < s->piece.addr)
		section_problem(f, "its length doesn't match its range of memory");
	if (s->type == HS_SECTION_HOLES && f->head_good && !(f->head.flags & HS_IMAGE_INCREMENT))
		section_problem(f, "a whole checkpoint has no holes");
}

static void settle(struct reading *g)
{
	struct inspect_section *s = last(g->f);

	s->sum = SUM_OK;
	if (hs_section_is_text(s->type))
		settle_text(g, s);
	else if (s->type == HS_SECTION_USER)
		settle_own(g, s);
	else
		settle_memory(g, s);
}

/* The reader has left the last section: with its sum right, or damaged, or not at all. */
static void end_section(struct reading *g, int ret)
{
	struct inspect_file *f = g->f;

	/* It has seen the head of another one, or tried to. */
	bool behind = g->r.sections > f->nr_sections;

	if (f->nr_sections && last(f)->sum == SUM_UNKNOWN) {
		if (behind)
			settle(g);
		else if (!g->r.lost)
			last(f)->sum = SUM_DAMAGED;
		if (!behind && hs_section_is_text(last(f)->type))
			f->seen[last(f)->type] = true;
	}
	free(g->text);
	g->text = NULL;
	if (ret < 0)
		inspect_problem(f, g->r.sections, g->r.at, "%s", g->r.error);
}

static void read_sections(struct reading *g)
{
	int ret;

	do {
		ret = hs_reader_next(&g->r);
		end_section(g, ret);
		if (ret > 0)
			begin_section(g);
	} while (ret > 0 || (ret < 0 && !g->r.lost));
}

/* The end was found. */
static void check_whole(struct reading *g)
{
	struct inspect_file *f = g->f;
	u32 type;
	char c;

	for (type = 0; type < HS_SECTION_TYPES; type++)
		if (hs_section_is_text(type) && !f->seen[type])
			inspect_problem(f, 0, g->r.offset, "section '%s' is missing",
					hs_section_text(type));
	if (read(g->r.fd, &c, 1) == 1)
		inspect_problem(f, 0, g->r.offset, "there is more behind its end");
}

static void read_all(struct reading *g)
{
	struct inspect_file *f = g->f;
	int ret = hs_reader_head(&g->r);

	f->head = g->r.head;
	f->head_good = !ret;
	f->has_head = !ret || !g->r.lost;
	if (ret)
		inspect_problem(f, 0, 0, "%s", g->r.error);
	if (!f->has_head)
		return;
	read_sections(g);
	if (g->r.done)
		check_whole(g);
}

void inspect_read(struct inspect_file *f, const char *path)
{
	struct reading g = { .f = f };
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	*f = (struct inspect_file) { .path = path };
	if (fd < 0) {
		inspect_problem(f, 0, 0, "it can't be opened: %s", strerror(errno));
		return;
	}
	if (!fstat(fd, &st))
		f->size = (u64)st.st_size;
	must(hs_reader_create(&g.r, fd) ? NULL : f);
	read_all(&g);
	hs_reader_close(&g.r);
	close(fd);
}

void inspect_free(struct inspect_file *f)
{
	u32 type;

	for (type = 0; type < HS_SECTION_TYPES; type++)
		json_object_put(f->text[type]);
	json_object_put(f->touched);
	free(f->sections);
	free(f->problems);
}
