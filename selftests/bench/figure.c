// SPDX-License-Identifier: GPL-2.0-only
/*
 * Figures: one line of JSON each, kept for the ratios between them.
 */
#include <stdarg.h>

#include "bench.h"

#define MAX_FIGURES	1024

static struct {
	char name[64];
	struct figure f;
} figures[MAX_FIGURES];

static size_t nr_figures;
static const char *kernel = "unknown";

void figure_kernel(const char *name)
{
	kernel = name;
}

void figure_add(struct figure *f, double value)
{
	f->v[f->n++] = value;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

void figure_print(const struct figure *f, const char *unit, const char *format, ...)
{
	struct figure sorted = *f;
	va_list ap;
	char *name;

	if (!f->n)
		return;
	if (nr_figures == MAX_FIGURES)
		die("more than %u figures", MAX_FIGURES);
	name = figures[nr_figures].name;
	va_start(ap, format);
	vsnprintf(name, sizeof(figures[0].name), format, ap);
	va_end(ap);
	figures[nr_figures++].f = *f;
	qsort(sorted.v, sorted.n, sizeof(sorted.v[0]), ascending);
	printf("{\"name\":\"%s\",\"kernel\":\"%s\",\"value\":%.6g,\"unit\":\"%s\",\"n\":%u,\"min\":%.6g,\"max\":%.6g}\n",
	       name, kernel, sorted.v[f->n / 2], unit, f->n, sorted.v[0], sorted.v[f->n - 1]);
	fflush(stdout);
}

static const struct figure *figure_find(const char *name)
{
	size_t i;

	for (i = 0; i < nr_figures; i++)
		if (!strcmp(figures[i].name, name))
			return &figures[i].f;
	return NULL;
}

void figure_scaled(const char *name, const char *of, double factor, const char *unit)
{
	const struct figure *f = figure_find(of);
	struct figure scaled = { .n = 0 };
	unsigned int i;

	for (i = 0; f && i < f->n; i++)
		figure_add(&scaled, f->v[i] * factor);
	figure_print(&scaled, unit, "%s", name);
}

void figure_ratio(const char *name, const char *above, const char *below)
{
	const struct figure *a = figure_find(above), *b = figure_find(below);
	struct figure ratio = { .n = 0 };
	unsigned int i;

	for (i = 0; a && b && i < a->n && i < b->n; i++)
		figure_add(&ratio, a->v[i] / b->v[i]);
	figure_print(&ratio, "ratio", "%s", name);
}
