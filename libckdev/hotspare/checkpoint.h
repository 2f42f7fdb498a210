/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libhotspare: a checkpoint: the arena, and what the process is besides.
 */
#ifndef HS_CHECKPOINT_H
#define HS_CHECKPOINT_H

#include "format.h"
#include "hooks.h"
#include "process.h"
#include "ranges.h"
#include "sections.h"
#include "sync.h"
#include "threads.h"

struct json_object;
struct hs_snapshot;
struct hs_sums;

/* All but memory, as it was at the cut. */
struct hs_state {
	struct hs_fds fds;
	struct hs_threads threads;
	struct hs_signals signals;
	struct hs_process process;
	struct hs_ranges ranges;
	struct hs_hooks hooks;
	struct hs_sections own;
	struct hs_syncs syncs;
};

#define HS_TEXTS	7

/*
 * The same as it is written. To capture it is for the moment of the cut; making texts of it
 * has time, but takes memory.
 */
struct hs_texts {
	struct hs_state state;
	const char *build;
	struct json_object *json[HS_TEXTS];
	const char *text[HS_TEXTS];
	size_t len[HS_TEXTS];
};

/* build.c: what program and libraries this is, and where they are mapped */
const char *hs_build_text(struct hs_error *e);
/* @layout: of the process that it is of. */
int hs_build_compare(struct json_object *json, const struct hs_layout *layout, struct hs_error *e);

/* checkpoint.c */
void hs_state_free(struct hs_state *s);
int hs_state_parse(uint32_t type, struct json_object *o, struct hs_state *s, struct hs_error *e);
int hs_texts_capture(struct hs_texts *t, struct hs_error *e);
int hs_texts_make(struct hs_texts *t, struct hs_error *e);
void hs_texts_free(struct hs_texts *t);
/* Which section text @i of struct hs_texts is of; and which text comes as the @i-th. */
enum hs_section_type hs_text_type(unsigned int i);
unsigned int hs_text_order(unsigned int i);
int hs_checkpoint_write(struct hs_writer *w, int fd, const struct hs_image_head *head,
			const struct hs_texts *t, const struct hs_snapshot *snap,
			struct hs_sums *sums);

/*
 * What changed of @pages, sorted, in their order: @run gets runs of whole pages, with or
 * without @content (zeros now). @sums: hs_sums_begin() was called. For a process of its own
 * that was made under the arena's lock; takes no memory. Returns 0, or -1 with errno; so does @run.
 */
typedef int (*hs_run_fn)(void *arg, const char *addr, size_t len, bool content);
int hs_memory_changes(const struct hs_intervals *pages, const struct hs_ranges *ranges,
		      struct hs_sums *sums, uint64_t base, hs_run_fn run, void *arg);

#endif /* HS_CHECKPOINT_H */
