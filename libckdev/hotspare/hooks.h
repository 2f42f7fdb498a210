/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libhotspare: functions of the program that are called around the cut and after a
 * restart. They are addresses: see signals.c.
 */
#ifndef HS_HOOKS_H
#define HS_HOOKS_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "hotspare.h"

struct json_object;

struct hs_hooked {
	struct hs_hook fn;
	void *arg;
};

/* In the order in which they were registered. */
struct hs_hooks {
	uint32_t nr;
	struct hs_hooked *v;
};

int hs_hooks_capture(struct hs_hooks *to);
void hs_hooks_free(struct hs_hooks *list);
/* They are registered then. Takes the list over. */
void hs_hooks_adopt(struct hs_hooks *list);

void hs_hooks_before(const struct hs_hooks *list);
void hs_hooks_after(const struct hs_hooks *list);
int hs_hooks_restarted(struct hs_error *e);
/* Is this thread in one that was called around the cut? */
bool hs_in_hook(void);

struct json_object *hs_hooks_json(const struct hs_hooks *list);
int hs_hooks_parse(struct hs_hooks *list, struct json_object *json, struct hs_error *e);

#endif /* HS_HOOKS_H */
