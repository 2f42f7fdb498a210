/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cptdev-run: the mappings of a program. */
#ifndef RUN_MAPS_H
#define RUN_MAPS_H

#include "state.h"

/*
 * Read the mappings of the process @pid. What can't be covered is refused in @r, by its address.
 * Returns 0, or -1 with errno and @e: /proc can't be read.
 */
int run_maps_read(struct run_maps *maps, pid_t pid, struct run_report *r, struct hs_error *e);

/* The mapping that has @addr, or NULL. */
const struct run_map *run_maps_find(const struct run_maps *maps, uint64_t addr);

/* Size and XXH3 of a regular file. Each file is read once, as long as its time stays the same. */
int run_file_sum(const char *path, uint64_t *size, uint64_t *sum);

/* What is mapped there, for reading. -1 and errno. */
int run_maps_open(pid_t pid, const struct run_map *m);

#endif /* RUN_MAPS_H */
