// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What is in a checkpoint, for people. Nothing of it has to be of the kind that it should
 * be: what isn't is shown as it is, or as "-".
 */
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "inspect.h"
#include "table.h"

const char *inspect_clean(const char *from, char *text, size_t size)
{
	size_t n = 0;

	for (; *from && n + 5 <= size; from++) {
		if (*from >= ' ' && *from <= '~')
			text[n++] = *from;
		else
			n += (size_t)sprintf(text + n, "\\x%02x", (unsigned char)*from);
	}
	text[n] = 0;
	return text;
}

/* Of any length. Who gets it frees it. */
static char *clean_all(const char *from)
{
	size_t size = 4 * strlen(from) + 5;
	char *text = malloc(size);

	if (!text)
		abort();
	inspect_clean(from, text, size);
	return text;
}

/*
 * Values
 */

enum form { PLAIN, HEX, OCTAL, SIGNAL, LIMIT };

static void number_cell(struct table *t, struct json_object *o, enum form form)
{
	u64 n = json_object_get_uint64(o);

	if (form == HEX)
		table_cell(t, "%#llx", n);
	else if (form == LIMIT && n == RLIM_INFINITY)
		table_cell(t, "unlimited");
	else if (form == SIGNAL && n < 65 && sigabbrev_np((int)n))
		table_cell(t, "SIG%s", sigabbrev_np((int)n));
	else
		table_cell(t, "%lld", (long long)json_object_get_int64(o));
}

static void cell(struct table *t, struct json_object *o, enum form form)
{
	char *text;

	if (json_object_is_type(o, json_type_int)) {
		number_cell(t, o, form);
		return;
	}
	if (!o) {
		table_cell(t, "-");
		return;
	}
	text = clean_all(json_object_is_type(o, json_type_string) ?
			 json_object_get_string(o) : js_line(o));
	table_cell(t, "%s", *text ? text : "-");
	free(text);
}

/*
 * Lists of objects
 */

struct column {
	const char *heading;
	const char *key;		/* "": the thing itself; NULL: all that has no column */
	enum form form;
};

static bool has_column(const struct column *c, size_t nr, const char *key)
{
	size_t i;

	for (i = 0; i < nr; i++)
		if (c[i].key && !strcmp(c[i].key, key))
			return true;
	return false;
}

static void rest_cell(struct table *t, struct json_object *o, const struct column *c, size_t nr)
{
	char *text = NULL, *clean;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	if (!to)
		abort();
	if (json_object_is_type(o, json_type_object)) {
		json_object_object_foreach(o, key, value) {
			if (!has_column(c, nr, key))
				fprintf(to, "%s%s=%s", ftell(to) ? " " : "", key, js_line(value));
		}
	}
	fclose(to);
	clean = clean_all(text);
	table_cell(t, "%s", clean);
	free(clean);
	free(text);
}

static void row(struct table *t, struct json_object *o, const struct column *c, size_t nr)
{
	size_t i;

	for (i = 0; i < nr; i++)
		if (c[i].key)
			cell(t, *c[i].key ? js_at(o, c[i].key) : o, c[i].form);
		else
			rest_cell(t, o, c, nr);
}

static void list_text(const char *title, struct json_object *list, const struct column *c,
		      size_t nr, FILE *to)
{
	bool readable = json_object_is_type(list, json_type_array);
	const char *headings[TABLE_COLUMNS];
	struct table t;
	size_t i;

	if (!readable || !json_object_array_length(list)) {
		fprintf(to, "%s: %s\n", title, readable ? "none" : "not readable");
		return;
	}
	for (i = 0; i < nr; i++)
		headings[i] = c[i].heading;
	fprintf(to, "%s\n", title);
	table_init(&t, headings, (unsigned int)nr);
	for (i = 0; i < json_object_array_length(list); i++)
		row(&t, json_object_array_get_idx(list, i), c, nr);
	table_print(&t, to);
}

/* How many there are, of a list that says little to people. */
static void count_text(const char *title, struct json_object *list, FILE *to)
{
	if (json_object_is_type(list, json_type_array))
		fprintf(to, "%s: %zu\n", title, json_object_array_length(list));
}

#define LIST(title, list, columns, to) list_text(title, list, columns, ARRAY_SIZE(columns), to)

static void lists_text(const struct inspect_file *f, FILE *to)
{
	static const struct column build[] = {
		{ "NAME", "name", PLAIN }, { "ADDRESS", "address", HEX },
		{ "BUILD ID", "build_id", PLAIN },
	};
	static const struct column fds[] = {
		{ "FD", "fd", PLAIN }, { "KIND", "kind", PLAIN }, { "FLAGS", "flags", HEX },
		{ "MORE", NULL, PLAIN },
	};
	static const struct column threads[] = {
		{ "NAME", "name", PLAIN }, { "WORKER", "worker", HEX }, { "ARG", "arg", HEX },
		{ "STACK", "stack_size", PLAIN }, { "POLICY", "policy", PLAIN },
		{ "PRIORITY", "priority", PLAIN },
	};
	static const struct column hooks[] = {
		{ "BEFORE", "before", HEX }, { "AFTER", "after", HEX },
		{ "RESTARTED", "restarted", HEX }, { "ARG", "arg", HEX },
	};
	static const struct column actions[] = {
		{ "SIGNAL", "signal", SIGNAL }, { "HANDLER", "handler", HEX },
		{ "FLAGS", "flags", HEX }, { "MASK", "mask", PLAIN },
	};
	static const struct column ranges[] = {
		{ "START", "start", HEX }, { "END", "end", HEX },
	};
	static const struct column blocked[] = { { "SIGNAL", "", SIGNAL } };
	struct json_object *const *text = f->text;

	LIST("Program and libraries", text[HS_SECTION_BUILD], build, to);
	LIST("Descriptors", text[HS_SECTION_DESCRIPTORS], fds, to);
	LIST("Threads", text[HS_SECTION_THREADS], threads, to);
	LIST("Hooks", text[HS_SECTION_HOOKS], hooks, to);
	LIST("Signals", js_at(text[HS_SECTION_SIGNALS], "actions"), actions, to);
	LIST("Blocked signals", js_at(text[HS_SECTION_SIGNALS], "blocked"), blocked, to);
	LIST("Ranges", js_at(text[HS_SECTION_RANGES], "saved"), ranges, to);
	LIST("Excluded", js_at(text[HS_SECTION_RANGES], "excluded"), ranges, to);
	count_text("Addresses in them that the loader puts there",
		   js_at(text[HS_SECTION_RANGES], "slots"), to);
}

static void touched_text(struct json_object *o, FILE *to)
{
	if (!o)
		return;
	if (!js_get_bool(o, "ok"))
		fprintf(to, "Touch set: makes no sense, and is ignored\n");
	else
		fprintf(to, "Touch set: %llu pages in %llu ms after generation %llu, %llu pages used before\n",
			js_get_u64(o, "pages"), js_get_u64(o, "window_ms"), js_get_u64(o, "generation"),
			js_get_u64(o, "used_before"));
}

/*
 * The process
 */

static void limits_text(struct json_object *list, FILE *to)
{
	static const char *const headings[] = { "LIMIT", "SOFT", "HARD" };
	static const char *const names[] = {
		[RLIMIT_CPU] = "cpu", [RLIMIT_FSIZE] = "fsize", [RLIMIT_DATA] = "data",
		[RLIMIT_STACK] = "stack", [RLIMIT_CORE] = "core", [RLIMIT_RSS] = "rss",
		[RLIMIT_NPROC] = "nproc", [RLIMIT_NOFILE] = "nofile",
		[RLIMIT_MEMLOCK] = "memlock", [RLIMIT_AS] = "as", [RLIMIT_LOCKS] = "locks",
		[RLIMIT_SIGPENDING] = "sigpending", [RLIMIT_MSGQUEUE] = "msgqueue",
		[RLIMIT_NICE] = "nice", [RLIMIT_RTPRIO] = "rtprio", [RLIMIT_RTTIME] = "rttime",
	};
	struct json_object *pair;
	struct table t;
	size_t i, n;

	if (!json_object_is_type(list, json_type_array))
		return;
	table_init(&t, headings, 3);
	for (i = 0; i < json_object_array_length(list) && i < ARRAY_SIZE(names); i++) {
		pair = json_object_array_get_idx(list, i);
		table_cell(&t, "%s", names[i]);
		for (n = 0; n < 2; n++)
			cell(&t, json_object_is_type(pair, json_type_array) ?
			     json_object_array_get_idx(pair, n) : NULL, LIMIT);
	}
	table_print(&t, to);
}

static void process_text(struct json_object *o, FILE *to)
{
	struct json_object *umask = js_at(o, "umask");
	char *text, name[80];

	if (!json_object_is_type(o, json_type_object)) {
		fprintf(to, "Process: not readable\n");
		return;
	}
	fprintf(to, "Process\n");
	json_object_object_foreach(o, key, value) {
		if (value == umask || !strcmp(key, "limits"))
			continue;
		text = clean_all(js_line(value));
		fprintf(to, "  %s: %s\n", inspect_clean(key, name, sizeof(name)), text);
		free(text);
	}
	fprintf(to, "  umask: %03llo\n", (u64)json_object_get_uint64(umask));
	limits_text(js_at(o, "limits"), to);
}

/*
 * The file
 */

static void head_text(const struct inspect_file *f, FILE *to)
{
	const struct hs_image_head *h = &f->head;
	time_t seconds = (time_t)(h->time_ns / NSEC_PER_SEC);
	char app[HS_IMAGE_NAME + 1], clean[4 * HS_IMAGE_NAME + 1], when[32];
	struct tm tm;
	size_t i;

	snprintf(app, sizeof(app), "%.*s", HS_IMAGE_NAME, h->app);
	strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", gmtime_r(&seconds, &tm));
	fprintf(to, "  format:      version %u, flags %#x%s\n", h->version, h->flags,
		f->head_good ? "" : " (the head is damaged: these values may be wrong)");
	fprintf(to, "  application: %s\n", inspect_clean(app, clean, sizeof(clean)));
	fprintf(to, "  run:         ");
	for (i = 0; i < sizeof(h->run); i++)
		fprintf(to, "%02x", h->run[i]);
	fprintf(to, "\n  generation:  %llu, ", (u64)h->generation);
	if (h->flags & HS_IMAGE_INCREMENT)
		fprintf(to, "what changed since %llu\n", (u64)h->base);
	else
		fprintf(to, "whole\n");
	fprintf(to, "  taken:       %s UTC\n", when);
}

static void memory_cell(struct table *t, const struct inspect_section *s)
{
	if (s->has_piece && s->sum == SUM_OK)
		table_cell(t, "%#llx %s%llu", (u64)s->piece.addr,
			   s->type == HS_SECTION_HOLES ? "-" : "+", s->covered);
	else
		table_cell(t, "-");
}

static void sections_text(const struct inspect_file *f, FILE *to)
{
	static const char *const headings[] = {
		"NO", "KIND", "NAME", "OFFSET", "SIZE", "SUM", "MEMORY",
	};
	static const char *const sums[] = {
		[SUM_UNKNOWN] = "CUT OFF", [SUM_OK] = "ok", [SUM_DAMAGED] = "DAMAGED",
	};
	char name[4 * HS_SECTION_NAME];
	struct table t;
	size_t i;

	fprintf(to, "Sections\n");
	table_init(&t, headings, ARRAY_SIZE(headings));
	for (i = 0; i < f->nr_sections; i++) {
		const struct inspect_section *s = &f->sections[i];

		table_cell(&t, "%zu", i + 1);
		table_cell(&t, "%s", hs_section_text(s->type));
		table_cell(&t, "%s", *s->name ? inspect_clean(s->name, name, sizeof(name)) : "-");
		table_cell(&t, "%llu", s->at);
		table_cell(&t, "%llu", s->len);
		table_cell(&t, "%s", sums[s->sum]);
		memory_cell(&t, s);
	}
	table_print(&t, to);
}

static void problems_text(const struct inspect_file *f, FILE *to)
{
	size_t i;

	if (!f->nr_problems)
		return;
	fprintf(to, "PROBLEMS\n");
	for (i = 0; i < f->nr_problems; i++) {
		const struct inspect_problem *p = &f->problems[i];

		if (p->section)
			fprintf(to, "  section %llu at %llu: %s\n", p->section, p->at, p->text);
		else
			fprintf(to, "  at %llu: %s\n", p->at, p->text);
	}
}

void inspect_text(const struct inspect_file *f, FILE *to)
{
	char size[16];

	fprintf(to, "%s: %s, %s\n", f->path, size_text(f->size, size),
		f->nr_problems ? "NOT a good checkpoint" : "all sums are right");
	if (f->has_head) {
		head_text(f, to);
		sections_text(f, to);
		lists_text(f, to);
		touched_text(f->touched, to);
		process_text(f->text[HS_SECTION_PROCESS], to);
	}
	problems_text(f, to);
}
