/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cptdev-run: what of a program is covered and what is refused. The same code looks before each
 * checkpoint, when only the first refusal is kept, and for --check, when everything is listed.
 */
#ifndef RUN_REPORT_H
#define RUN_REPORT_H

#include <stdio.h>

#include "../hotspare/error.h"

/**
 * struct run_report - findings
 * @list:	where each of them is written, or NULL
 * @refused:	how many things were refused
 * @first:	the first of these
 */
struct run_report {
	FILE *list;
	unsigned int refused;
	struct hs_error first;
};

void run_covered(struct run_report *r, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void run_refused(struct run_report *r, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif /* RUN_REPORT_H */
