/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libhotspare: the application's own sections. What is in one never changes: a new one
 * takes its place. So a checkpoint has them by taking hold of them, without copying.
 */
#ifndef HS_SECTIONS_H
#define HS_SECTIONS_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "format.h"

struct hs_own {
	unsigned int users;		/* lists that it is in */
	char name[HS_SECTION_NAME];
	size_t len;
	unsigned char data[];
};

struct hs_sections {
	uint32_t nr;
	struct hs_own **v;
};

int hs_sections_capture(struct hs_sections *to);
void hs_sections_free(struct hs_sections *list);
/* As hs_section_set(3), also for what the library itself has. */
int hs_sections_put(const char *name, const void *data, size_t len);
/* Of that name, or NULL. */
const struct hs_own *hs_sections_find(const struct hs_sections *list, const char *name);
/* In place of those that there are. Takes the list over. */
void hs_sections_adopt(struct hs_sections *list);
/* One more, of which a checkpoint says this. Returns it, to be filled, or NULL and @e. */
struct hs_own *hs_sections_add(struct hs_sections *list, const char *name, uint64_t len,
			       struct hs_error *e);

#endif /* HS_SECTIONS_H */
