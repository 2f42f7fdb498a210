/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libhotspare: what is mapped at an address of this process, and whether it can be saved. */
#ifndef HS_WHERE_H
#define HS_WHERE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

enum hs_where {
	HS_WHERE_OBJECT,		/* variables of the program or of a library */
	HS_WHERE_CHOSEN,		/* private memory at an address that the program has chosen */
	HS_WHERE_ARENA,			/* of hs_malloc() */
	HS_WHERE_HEAP,			/* of malloc(3), as far as it grows by brk(2) */
	HS_WHERE_STACK,			/* of the main thread */
	HS_WHERE_KERNEL,		/* at an address that the kernel has chosen: malloc(3), threads */
	HS_WHERE_SHARED,
	HS_WHERE_HUGE,			/* hugetlb */
	HS_WHERE_READ_ONLY,		/* or not even that */
};

struct hs_map {
	uint64_t start, end;
	enum hs_where where;
	bool libc;			/* of the C library or the loader */
	bool code;			/* can be executed */
};

/* Sorted. */
struct hs_maps {
	size_t nr;
	struct hs_map *v;
};

/* Of this process (@path NULL), or a copy of its /proc/PID/maps. Returns 0, or -1 with errno. */
int hs_maps_read(struct hs_maps *m, const char *path);
void hs_maps_free(struct hs_maps *m);
/* What is mapped there, or NULL. */
const struct hs_map *hs_maps_at(const struct hs_maps *m, uint64_t addr);
/* What it is, in words. */
const char *hs_where_text(enum hs_where where);
/*
 * Can it be saved, and brought back? Returns 0, or -1 with errno and @e: ENOMEM: there is a
 * hole. EACCES: it can't be written to. EINVAL: it is the C library's. EOPNOTSUPP: it is none
 * of the first two kinds.
 */
int hs_where_check(const struct hs_maps *m, uint64_t start, uint64_t end, struct hs_error *e);

#endif /* HS_WHERE_H */
