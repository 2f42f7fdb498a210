/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which packets belong to which generation: tables without I/O. */
#ifndef CPTDEVD_HOLD_MARKS_H
#define CPTDEVD_HOLD_MARKS_H

#include "types.h"

#define MARKS_MAX	64

struct marks {
	bool cut;			/* a cut was announced and isn't published yet: */
	u32 at;				/* the newest packet before it */
	u32 nr;
	struct mark {
		u64 generation;
		u32 id;			/* the newest packet that it covers */
	} v[MARKS_MAX];			/* both ascend */
};

/* A cut comes: @id was the newest packet. */
void marks_cut(struct marks *m, u32 id);
/* It became @generation. One that was announced by nobody covers no packet. */
void marks_published(struct marks *m, u64 generation);
/* Returns whether packets may leave now: those up to *@id. */
bool marks_committed(struct marks *m, u64 generation, u32 *id);
/* Is a cut or a generation under way that covers packets? */
bool marks_any(const struct marks *m);

#endif
