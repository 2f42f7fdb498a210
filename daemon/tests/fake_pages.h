/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pages of a replica by number, in ascending order: as sparse as they come. */
#ifndef TESTS_FAKE_PAGES_H
#define TESTS_FAKE_PAGES_H

#include "types.h"

#define FAKE_PAGE	4096U

struct fake_entry {
	u64 index;
	u8 *data;		/* FAKE_PAGE bytes; NULL: becomes a hole */
};

struct fake_pages {
	struct fake_entry *v;
	u64 nr;
	u64 room;
};

/* The first entry at or behind @index. */
u64 pages_at(const struct fake_pages *p, u64 index);
/* The entry of @index, or NULL. */
struct fake_entry *pages_find(const struct fake_pages *p, u64 index);
/* Find or make it; a new one has no data. */
struct fake_entry *pages_get(struct fake_pages *p, u64 index);
/* Take away what is in [start, end). */
void pages_erase(struct fake_pages *p, u64 start, u64 end);
void pages_free(struct fake_pages *p);
/* Those that have data. */
u64 pages_with_data(const struct fake_pages *p);

#endif
