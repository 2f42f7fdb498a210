// SPDX-License-Identifier: GPL-2.0-or-later
/* Figures, see figures.h. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "figures.h"

static const char *of_kernel = "";

void figures_kernel(const char *kernel)
{
	of_kernel = kernel;
}

void figure_add(struct figure *f, double v)
{
	f->v[f->nr++] = v;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double figure_median(struct figure *f)
{
	qsort(f->v, f->nr, sizeof(*f->v), ascending);
	return f->v[f->nr / 2];
}

static void print(const char *name, const char *unit, unsigned int nr, double median, double least,
		  double most)
{
	printf("{\"name\":\"%s\",\"kernel\":\"%s\",\"value\":%.6g,\"unit\":\"%s\",\"n\":%u,"
	       "\"min\":%.6g,\"max\":%.6g}\n", name, of_kernel, median, unit, nr, least, most);
	fflush(stdout);
}

void figure_print(struct figure *f, const char *unit, const char *name, ...)
{
	double median = figure_median(f);
	char text[96];
	va_list args;

	va_start(args, name);
	vsnprintf(text, sizeof(text), name, args);
	va_end(args);
	print(text, unit, f->nr, median, f->v[0], f->v[f->nr - 1]);
}

void figure_value(double v, const char *unit, const char *name, ...)
{
	char text[96];
	va_list args;

	va_start(args, name);
	vsnprintf(text, sizeof(text), name, args);
	va_end(args);
	print(text, unit, 1, v, v, v);
}

void figure_ratio(double v, unsigned int nr, const char *name)
{
	print(name, "ratio", nr, v, v, v);
}
