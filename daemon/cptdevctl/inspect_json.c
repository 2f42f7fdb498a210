// SPDX-License-Identifier: GPL-2.0-or-later
/* What is in a checkpoint, as JSON. Sections that are JSON are shown as they are. */
#include "inspect.h"

static const char *const sum_words[] = {
	[SUM_UNKNOWN] = "unknown", [SUM_OK] = "ok", [SUM_DAMAGED] = "damaged",
};

static struct json_object *head_json(const struct inspect_file *f)
{
	const struct hs_image_head *h = &f->head;
	struct json_object *o = js_new();
	char run[2 * sizeof(h->run) + 1], app[HS_IMAGE_NAME + 1], clean[4 * HS_IMAGE_NAME + 1];
	size_t i;

	for (i = 0; i < sizeof(h->run); i++)
		snprintf(run + 2 * i, 3, "%02x", h->run[i]);
	/* Damaged, it may have no end. */
	snprintf(app, sizeof(app), "%.*s", HS_IMAGE_NAME, h->app);
	js_u64(o, "version", h->version);
	js_str(o, "application", inspect_clean(app, clean, sizeof(clean)));
	js_str(o, "run", run);
	js_u64(o, "generation", h->generation);
	js_u64(o, "base", h->base);
	js_bool(o, "increment", h->flags & HS_IMAGE_INCREMENT);
	js_u64(o, "flags", h->flags);
	js_u64(o, "time_unix_ns", h->time_ns);
	js_bool(o, "damaged", !f->head_good);
	return o;
}

static struct json_object *section_json(const struct inspect_section *s, size_t number)
{
	struct json_object *o = js_new();
	char name[4 * HS_SECTION_NAME];

	js_u64(o, "section", number);
	js_str(o, "kind", hs_section_text(s->type));
	js_str(o, "name", inspect_clean(s->name, name, sizeof(name)));
	js_u64(o, "offset", s->at);
	js_u64(o, "size", s->len);
	js_str(o, "sum", sum_words[s->sum]);
	if (s->has_piece) {
		js_u64(o, "address", s->piece.addr);
		js_u64(o, "bytes", s->covered);
	}
	return o;
}

static struct json_object *own_json(const struct inspect_file *f)
{
	struct json_object *list = js_list(), *o;
	char name[4 * HS_SECTION_NAME];
	size_t i;

	for (i = 0; i < f->nr_sections; i++) {
		if (f->sections[i].type != HS_SECTION_USER || f->sections[i].sum != SUM_OK)
			continue;
		o = js_new();
		js_str(o, "name", inspect_clean(f->sections[i].name, name, sizeof(name)));
		js_u64(o, "size", f->sections[i].len);
		json_object_array_add(list, o);
	}
	return list;
}

static struct json_object *problem_json(const struct inspect_problem *p)
{
	struct json_object *o = js_new();

	js_u64(o, "section", p->section);
	js_u64(o, "offset", p->at);
	js_str(o, "text", p->text);
	return o;
}

struct json_object *inspect_json(const struct inspect_file *f)
{
	struct json_object *o = js_new(), *sections = js_list(), *problems = js_list();
	size_t i;
	u32 type;

	js_str(o, "path", f->path);
	js_bool(o, "ok", !f->nr_problems);
	js_u64(o, "size", f->size);
	js_put(o, "head", f->has_head ? head_json(f) : NULL);
	for (i = 0; i < f->nr_sections; i++)
		json_object_array_add(sections, section_json(&f->sections[i], i + 1));
	js_put(o, "sections", sections);
	for (type = 0; type < HS_SECTION_TYPES; type++)
		if (hs_section_is_text(type))
			js_put(o, hs_section_text(type), json_object_get(f->text[type]));
	js_put(o, "own", own_json(f));
	js_put(o, "touched", json_object_get(f->touched));
	for (i = 0; i < f->nr_problems; i++)
		json_object_array_add(problems, problem_json(&f->problems[i]));
	js_put(o, "problems", problems);
	return o;
}
