/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cptdev-run: a checkpoint as a file, in the format of libhotspare (hotspare/format.h). */
#ifndef RUN_IMAGE_H
#define RUN_IMAGE_H

#include "mirror.h"
#include "state.h"

/*
 * Write a checkpoint in place of what has the name: at each time there is a whole one. Returns 0,
 * or -1 with errno and @e.
 */
int run_image_write(const char *path, uint64_t generation, const struct run_state *s,
		    const struct run_mirror *m, struct hs_error *e);

/*
 * Read one. @m: empty. Returns 0, or -1 with errno and @e: see hs_reader_open() and
 * run_texts_parse(); nothing of it may be used then. Memory of the other processes is in @s, and belongs
 * to the caller.
 */
int run_image_read(const char *path, struct run_state *s, struct run_mirror *m, struct hs_error *e);

#endif /* RUN_IMAGE_H */
