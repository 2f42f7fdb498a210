// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cptbench: the figures, for people and as JSON.
 */
#include <stdlib.h>

#include <json-c/json.h>

#include "cptbench.h"

#define SCHEMA_VERSION	1
#define MIB		(1024.0 * 1024)

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double figure_median(struct figure *f)
{
	qsort(f->v, f->n, sizeof(f->v[0]), ascending);
	return f->v[f->n / 2];
}

static double figure_worst(struct figure *f)
{
	qsort(f->v, f->n, sizeof(f->v[0]), ascending);
	return f->v[f->n - 1];
}

static const char *in_a_row(void)
{
	static char text[32];

	snprintf(text, sizeof(text), "%u in a row", knobs.contiguity);
	return knobs.scattered ? "each by itself" : text;
}

void report_begin(void)
{
	if (knobs.json)
		return;
	printf("%.1f MiB, %zu %spages, in %u regions", (double)(work_pages * work_page_size) / MIB,
	       work_pages, knobs.huge ? "(huge) " : "", knobs.regions);
	if (knobs.untouched)
		printf(", and %.1f MiB\nuntouched", (double)knobs.untouched / MIB);
	printf("; %zu pages (%u %%) are modified between\n"
	       "two checkpoints, %s; %u descriptors, %u threads, %u signals.\n"
	       "%u checkpoints%s, one each %u ms, are written to %s.\n\n",
	       work_modified, knobs.share, in_a_row(), knobs.descriptors, knobs.threads, knobs.signals, knobs.count, knobs.full ? " (full)" : "",
	       knobs.interval_ms, knobs.output);
	fflush(stdout);
}

/*
 * For people
 */

static double pause_median(struct result *r)
{
	return figure_median(&r->pause);
}

static double pause_worst(struct result *r)
{
	return figure_worst(&r->pause);
}

static double first_pause(struct result *r)
{
	return r->first_pause;
}

static double modify_median(struct result *r)
{
	return figure_median(&r->modify);
}

static double send_median(struct result *r)
{
	return figure_median(&r->send);
}

static double cpu_median(struct result *r)
{
	return figure_median(&r->cpu);
}

static double pages(struct result *r)
{
	return (double)r->pages / knobs.count;
}

static double mib(struct result *r)
{
	return (double)r->bytes / knobs.count / MIB;
}

static double late(struct result *r)
{
	return r->late;
}

static double wrong(struct result *r)
{
	return (double)r->wrong;
}

static const struct row {
	const char *what;
	double (*value)(struct result *r);
	int digits;
} rows[] = {
	{ "the program stands still, median, us", pause_median, 1 },
	{ "                          worst, us", pause_worst, 1 },
	{ "  for the first checkpoint of all, us", first_pause, 1 },
	{ "modifying the pages afterwards, us", modify_median, 1 },
	{ "a checkpoint is written after, us", send_median, 1 },
	{ "processor time of a checkpoint, us", cpu_median, 1 },
	{ "pages of a checkpoint", pages, 0 },
	{ "MiB written for it", mib, 3 },
	{ "checkpoints that took longer than the interval", late, 0 },
	{ "wrong pages found by --verify", wrong, 0 },
};

static void print_table(struct result *r, unsigned int nr)
{
	unsigned int i, j;

	printf("%-46s", "");
	for (j = 0; j < nr; j++)
		printf("%12s", r[j].method->name);
	for (i = 0; i < ARRAY_SIZE(rows) - !knobs.verify; i++) {
		printf("\n%-46s", rows[i].what);
		for (j = 0; j < nr; j++)
			printf("%12.*f", rows[i].digits, rows[i].value(&r[j]));
	}
	printf("\n\n");
}

static void print_ratio(const char *what, double a, double b)
{
	if (a <= b)
		printf("1/%.1f of it%s", b / a, what);
	else
		printf("%.1f times as long%s", a / b, what);
}

static void print_verdict(struct result *r, struct result *other)
{
	double interval = knobs.interval_ms * 1e3;

	printf("%s: the program stands still for %.1f us", r->method->name, pause_median(r));
	if (interval > 0)
		printf(", %.2g %% of the time", pause_median(r) / interval * 100);
	if (r != other) {
		printf("; compared with %s: ", other->method->name);
		print_ratio(" (median), ", pause_median(r), pause_median(other));
		print_ratio(" (worst)", pause_worst(r), pause_worst(other));
	}
	printf(".\n");
	if (r->late)
		printf("%s: %u of %u checkpoints weren't written when the next was due: take a longer --interval.\n",
		       r->method->name, r->late, knobs.count);
	if (r->wrong)
		printf("%s: WRONG: %llu pages aren't what they were at the checkpoint.\n",
		       r->method->name, (unsigned long long)r->wrong);
	else if (knobs.verify)
		printf("%s: all %u checkpoints have what the memory held.\n",
		       r->method->name, r->verified);
}

/*
 * JSON
 */

static void put(struct json_object *o, const char *key, struct json_object *value)
{
	if (!value)
		die(EXIT_FAILED, "no memory");
	json_object_object_add(o, key, value);
}

static void put_number(struct json_object *o, const char *key, uint64_t value)
{
	put(o, key, json_object_new_uint64(value));
}

static void put_figure(struct json_object *o, const char *key, struct figure *f)
{
	struct json_object *figure = json_object_new_object();

	put(o, key, figure);
	put_number(figure, "median", (uint64_t)(figure_median(f) * 1000));
	put_number(figure, "min", (uint64_t)(f->v[0] * 1000));
	put_number(figure, "max", (uint64_t)(f->v[f->n - 1] * 1000));
}

static void print_json(struct result *r)
{
	struct json_object *o = json_object_new_object();

	put_number(o, "schema_version", SCHEMA_VERSION);
	put(o, "method", json_object_new_string(r->method->name));
	put_number(o, "memory_bytes", work_pages * work_page_size);
	put_number(o, "memory_pages", work_pages);
	put_number(o, "regions", knobs.regions);
	put_number(o, "descriptors", knobs.descriptors);
	put_number(o, "threads", knobs.threads);
	put_number(o, "signals", knobs.signals);
	put_number(o, "modify_percent", knobs.share);
	put_number(o, "modified_pages", work_modified);
	put_number(o, "contiguity", knobs.contiguity);
	put(o, "scattered", json_object_new_boolean(knobs.scattered));
	put_number(o, "untouched_bytes", knobs.untouched);
	put(o, "huge", json_object_new_boolean(knobs.huge));
	put_number(o, "interval_ms", knobs.interval_ms);
	put(o, "full", json_object_new_boolean(knobs.full));
	put_number(o, "checkpoints", knobs.count);
	put_figure(o, "pause_ns", &r->pause);
	put_number(o, "first_pause_ns", (uint64_t)(r->first_pause * 1000));
	put_figure(o, "modify_ns", &r->modify);
	put_figure(o, "write_ns", &r->send);
	put_figure(o, "cpu_ns", &r->cpu);
	put_number(o, "pages", r->pages);
	put_number(o, "bytes", r->bytes);
	put_number(o, "late", r->late);
	put_number(o, "verified", r->verified);
	put_number(o, "wrong_pages", r->wrong);
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
	json_object_put(o);
}

/* The last method is what the others are compared with: fork(), if it was asked for. */
void report(struct result *r, unsigned int nr)
{
	unsigned int i;

	if (!knobs.json)
		print_table(r, nr);
	for (i = 0; i < nr; i++) {
		if (knobs.json)
			print_json(&r[i]);
		else
			print_verdict(&r[i], &r[nr - 1]);
	}
}
