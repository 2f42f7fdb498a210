/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cptdev-run: the state beside memory as pages, so that it travels to the spare as memory does:
 * the state area of libhotspare (hotspare/area.h), at the same addresses. The program doesn't have it
 * mapped: it is the tracer's.
 */
#ifndef RUN_AREA_H
#define RUN_AREA_H

#include "../hotspare/area.h"
#include "mirror.h"
#include "texts.h"

/**
 * struct run_area - the area as it was published last
 * @fd:		its pages; offset 0 is HS_AREA
 * @present:	the pages that it has, by their addresses
 * @changed:	those of @present that have changed by the last run_area_put()
 */
struct run_area {
	int fd;
	struct run_runs present, changed;
};

int run_area_create(struct run_area *a, struct hs_error *e);
void run_area_free(struct run_area *a);

/* Returns 0, or -1 with errno and @e: EOPNOTSUPP: the program has memory there itself. */
int run_area_put(struct run_area *a, const struct run_state *s, struct hs_error *e);

/*
 * Read the state from a replica, whose memory is in @content by address. Returns 0, or -1 with errno
 * and @e: ENODATA: there is none; those of run_texts_parse().
 */
int run_area_read(int content, struct run_state *s, struct hs_error *e);

static inline bool run_area_has(uint64_t addr)
{
	return addr >= HS_AREA && addr < HS_AREA + HS_AREA_LEN;
}

#endif /* RUN_AREA_H */
