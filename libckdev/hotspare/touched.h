/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libhotspare: the touch set: which pages of the arena a program accessed in the time after a cut,
 * in the order of first touch, and which it used before that. A lazy restart reads these pages
 * first. It is a hint: if it is wrong, pages come in another order, and never with another content.
 *
 * Each page has a class. Classes below HS_TOUCHED_LOOKS are of the window: the first look at the
 * accessed marks after the cut that found the page. Classes from HS_TOUCHED_USED on are of the
 * time before the window: how many windows ago the page was used last. The lowest class of a page
 * counts.
 */
#ifndef HS_TOUCHED_H
#define HS_TOUCHED_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "ranges.h"

/* It travels as a section of this name. Names that begin like this are the library's. */
#define HS_TOUCHED_PREFIX	"hotspare."
#define HS_TOUCHED_NAME		HS_TOUCHED_PREFIX "touched"

#define HS_TOUCHED_LOOKS	16U
#define HS_TOUCHED_USED		16U
#define HS_TOUCHED_CLASSES	24U
/* Of its text: each checkpoint has it. If there are more, neighbouring runs become one. */
#define HS_TOUCHED_RUNS		32768U

struct hs_touched_run {
	uint64_t start, end;
	unsigned int when;		/* its class */
};

struct hs_touched {
	uint64_t generation;		/* of the cut at which the window began */
	unsigned int looks;
	uint64_t end_us[HS_TOUCHED_LOOKS];	/* of each look: how long after the cut */
	size_t nr;
	struct hs_touched_run *v;	/* by address; none overlaps another */
};

void hs_touched_free(struct hs_touched *t);
/*
 * A window begins: what there is becomes older. @used: what was accessed since the last look. Returns
 * 0, or -1 with errno ENOMEM: only @used is missing.
 */
int hs_touched_begin(struct hs_touched *t, const struct hs_intervals *used, uint64_t generation);
/* A look found these. As hs_touched_begin(); ENOSPC: there were HS_TOUCHED_LOOKS. */
int hs_touched_look(struct hs_touched *t, const struct hs_intervals *found, uint64_t end_us);
/* Pages of the window up to that look, of all looks with HS_TOUCHED_LOOKS. */
uint64_t hs_touched_pages(const struct hs_touched *t, unsigned int looks);

/* Pages that were used before the window, and not in it. */
uint64_t hs_touched_used(const struct hs_touched *t);

/* As it travels; the caller frees it. Returns 0, or -1 with errno ENOMEM. */
int hs_touched_text(const struct hs_touched *t, unsigned char **text, size_t *len);
/* Anything may come. Returns 0, or -1 with errno EBADMSG, ENOMEM and @e. */
int hs_touched_parse(struct hs_touched *t, const void *text, size_t len, struct hs_error *e);

#endif /* HS_TOUCHED_H */
