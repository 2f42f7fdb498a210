/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libhotspare: what the library assumes about its environment, and where it puts mappings.
 */
#ifndef HS_ENVIRONMENT_H
#define HS_ENVIRONMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"

struct json_object;
struct js_from;

/*
 * Becomes the same program without address randomisation, once. Returns 0 in a process that
 * has none, or -1 with errno and @e: EPERM: it can't be had here.
 */
int hs_start_anew(char **argv, struct hs_error *e);

/* Everything else, once. Returns 0, or -1 with errno and @e. */
int hs_environment_check(struct hs_error *e);

/* What decides where the kernel and the loader put libraries. */
struct hs_layout {
	bool known;			/* checkpoints of older libraries don't say */
	uint64_t stack;			/* limit of its size when the program was started */
	bool legacy;			/* mappings grow up: vm.legacy_va_layout, setarch -L */
	char kernel[65];		/* release */
	char preload[256];		/* LD_PRELOAD, as far as it fits; so with the others */
	char path[256];			/* LD_LIBRARY_PATH */
	char tunables[256];		/* GLIBC_TUNABLES */
};

/* Of this process. */
const struct hs_layout *hs_layout_here(void);
struct json_object *hs_layout_json(const struct hs_layout *l);
void hs_layout_parse(struct hs_layout *l, struct json_object *json);
/* Why is something at another address than @there? In @text, with what to do. */
void hs_layout_explain(const struct hs_layout *there, char *text, unsigned long size);

#endif /* HS_ENVIRONMENT_H */
