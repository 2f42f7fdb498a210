// SPDX-License-Identifier: GPL-2.0-or-later
/* Tables for people. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "table.h"

static char *must(char *p)
{
	if (!p)
		abort();
	return p;
}

static void table_row(struct table *t)
{
	t->row = reallocarray(t->row, t->rows + 1, sizeof(*t->row));
	must((char *)t->row);
	memset(t->row[t->rows++], 0, sizeof(*t->row));
	t->cells = 0;
}

void table_init(struct table *t, const char *const *headings, unsigned int columns)
{
	unsigned int i;

	*t = (struct table) { .columns = columns };
	for (i = 0; i < columns; i++)
		table_cell(t, "%s", headings[i]);
}

void table_cell(struct table *t, const char *fmt, ...)
{
	char *text;
	va_list ap;

	if (!t->rows || t->cells == t->columns)
		table_row(t);
	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	t->row[t->rows - 1][t->cells++] = must(text);
}

static int table_width(const struct table *t, unsigned int column)
{
	unsigned int i, width = 0;

	for (i = 0; i < t->rows; i++)
		if (t->row[i][column])
			width = MAX(width, (unsigned int)strlen(t->row[i][column]));
	return width;
}

void table_print(struct table *t, FILE *to)
{
	int width[TABLE_COLUMNS];
	unsigned int i, c;

	for (c = 0; c < t->columns; c++)
		width[c] = table_width(t, c);
	for (i = 0; i < t->rows; i++) {
		fputs(" ", to);
		for (c = 0; c + 1 < t->columns; c++)
			fprintf(to, " %-*s ", width[c], t->row[i][c]);
		fprintf(to, " %s\n", t->row[i][c]);
	}
	for (i = 0; i < t->rows; i++)
		for (c = 0; c < t->columns; c++)
			free(t->row[i][c]);
	free(t->row);
}

char *size_text(u64 bytes, char text[16])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
	double value = bytes;
	unsigned int u = 0;

	while (value >= 1024 && u + 1 < ARRAY_SIZE(units)) {
		value /= 1024;
		u++;
	}
	snprintf(text, 16, u ? "%.1f %s" : "%.0f %s", value, units[u]);
	return text;
}

const char *utc_text(u64 unix_ms, char text[32])
{
	time_t s = unix_ms / 1000;
	struct tm tm;

	gmtime_r(&s, &tm);
	strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
	return text;
}
