// SPDX-License-Identifier: GPL-2.0-or-later
/* Which packets belong to which generation, see marks.h. */
#include <string.h>

#include "marks.h"

void marks_cut(struct marks *m, u32 id)
{
	m->cut = true;
	m->at = id;
}

/* Where there are too many the newest two become one: its packets leave later, never earlier. */
void marks_published(struct marks *m, u64 generation)
{
	if (!m->cut)
		return;
	m->cut = false;
	if (m->nr == MARKS_MAX)
		m->nr--;
	m->v[m->nr++] = (struct mark) { .generation = generation, .id = m->at };
}

bool marks_committed(struct marks *m, u64 generation, u32 *id)
{
	u32 n = 0;

	while (n < m->nr && m->v[n].generation <= generation)
		*id = m->v[n++].id;
	m->nr -= n;
	memmove(m->v, m->v + n, m->nr * sizeof(m->v[0]));
	return n;
}

bool marks_any(const struct marks *m)
{
	return m->cut || m->nr;
}
