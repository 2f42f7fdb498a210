/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libhotspare: the threads that a program goes on with after a restart. Their stacks
 * aren't part of a checkpoint: each begins anew, with the function and the argument that
 * were registered.
 */
#ifndef HS_THREADS_H
#define HS_THREADS_H

#include <stdint.h>

#include "error.h"
#include "hotspare.h"

struct json_object;

struct hs_thread {
	void (*worker)(void *arg);
	void *arg;
	struct hs_thread_attr attr;
};

struct hs_threads {
	uint32_t nr;
	struct hs_thread *v;
};

int hs_threads_capture(struct hs_threads *to);
void hs_threads_free(struct hs_threads *list);
/* Takes the list over. */
void hs_threads_adopt(struct hs_threads *list);
/* Returns when all have returned. */
int hs_threads_run(struct hs_error *e);
struct json_object *hs_threads_json(const struct hs_threads *list);
int hs_threads_parse(struct hs_threads *list, struct json_object *json, struct hs_error *e);

#endif /* HS_THREADS_H */
