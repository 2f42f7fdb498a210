// SPDX-License-Identifier: LGPL-2.1-or-later
/* cptdev-run: what of a program is covered and what is refused, see report.h. */
#include <stdarg.h>

#include "report.h"

void run_covered(struct run_report *r, const char *fmt, ...)
{
	va_list ap;

	if (!r->list)
		return;
	fprintf(r->list, "covered  ");
	va_start(ap, fmt);
	vfprintf(r->list, fmt, ap);
	va_end(ap);
	fputc('\n', r->list);
}

void run_refused(struct run_report *r, const char *fmt, ...)
{
	struct hs_error e;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(e.text, sizeof(e.text), fmt, ap);
	va_end(ap);
	if (!r->refused++)
		r->first = e;
	if (r->list)
		fprintf(r->list, "refused  %s\n", e.text);
}
