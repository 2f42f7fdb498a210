/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Text in columns, each as wide as its widest cell. */
#ifndef CPTDEVCTL_TABLE_H
#define CPTDEVCTL_TABLE_H

#include <stdio.h>

#include "types.h"

#define TABLE_COLUMNS	16

struct table {
	unsigned int columns;
	unsigned int rows;
	unsigned int cells;		/* of the row that is being filled */
	char *(*row)[TABLE_COLUMNS];
};

/* The first row is the heading. */
void table_init(struct table *t, const char *const *headings, unsigned int columns);
void table_cell(struct table *t, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Print it, indented, and free it. */
void table_print(struct table *t, FILE *to);

/* In UTC, as monitor has it, into @text, which is returned. */
const char *utc_text(u64 unix_ms, char text[32]);

/* "4.0 MiB" into @text, which is returned. */
char *size_text(u64 bytes, char text[16]);

#endif
