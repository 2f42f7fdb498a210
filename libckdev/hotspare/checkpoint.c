// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libhotspare: writing checkpoints. Sections with what the process is come first, so that
 * a reader knows whether it can go on at all before it has any memory; then memory, in the
 * order in which the arena has it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arena.h"
#include "checkpoint.h"
#include "js.h"
#include "module.h"
#include "sums.h"
#include "written.h"

/* A section with memory is no longer than this: a fault of a lazy restart reads a whole section. */
#define MEMORY_MAX	(256UL << 10)

static int state_capture(struct hs_state *to, struct hs_error *e)
{
	memset(to, 0, sizeof(*to));
	if (hs_fds_capture(&to->fds, e))
		return -1;
	if (hs_process_capture(&to->process, e)) {
		hs_fds_free(&to->fds);
		return -1;
	}
	if (hs_threads_capture(&to->threads)) {
		hs_state_free(to);
		return hs_fail(e, ENOMEM, "no memory for the list of threads");
	}
	if (hs_ranges_capture(&to->ranges)) {
		hs_state_free(to);
		return hs_fail(e, ENOMEM, "no memory for the list of ranges");
	}
	if (hs_hooks_capture(&to->hooks)) {
		hs_state_free(to);
		return hs_fail(e, ENOMEM, "no memory for the list of hooks");
	}
	if (hs_sections_capture(&to->own)) {
		hs_state_free(to);
		return hs_fail(e, ENOMEM, "no memory for the list of sections");
	}
	if (hs_syncs_capture(&to->syncs, &to->ranges, e)) {
		hs_state_free(to);
		return -1;
	}
	hs_signals_capture(&to->signals);
	return 0;
}

void hs_state_free(struct hs_state *s)
{
	hs_fds_free(&s->fds);
	hs_threads_free(&s->threads);
	hs_process_free(&s->process);
	hs_ranges_free(&s->ranges);
	hs_hooks_free(&s->hooks);
	hs_sections_free(&s->own);
	hs_syncs_free(&s->syncs);
}

/* A section of @type into @s; the build is compared. Others are of no interest. */
int hs_state_parse(uint32_t type, struct json_object *o, struct hs_state *s, struct hs_error *e)
{
	switch (type) {
	case HS_SECTION_BUILD:
		return hs_build_compare(o, &s->process.layout, e);
	case HS_SECTION_RANGES:
		return hs_ranges_parse(&s->ranges, o, e);
	case HS_SECTION_PROCESS:
		return hs_process_parse(&s->process, o, e) ||
			hs_syncs_parse(&s->syncs, json_object_object_get(o, "sync"), e) ? -1 : 0;
	case HS_SECTION_SIGNALS:
		return hs_signals_parse(&s->signals, o, e);
	case HS_SECTION_DESCRIPTORS:
		return hs_fds_parse(&s->fds, o, e);
	case HS_SECTION_THREADS:
		return hs_threads_parse(&s->threads, o, e);
	case HS_SECTION_HOOKS:
		return hs_hooks_parse(&s->hooks, o, e);
	}
	return 0;
}

/*
 * What the process is, as text
 */

static const enum hs_section_type text_types[HS_TEXTS] = {
	HS_SECTION_BUILD, HS_SECTION_PROCESS, HS_SECTION_SIGNALS, HS_SECTION_DESCRIPTORS,
	HS_SECTION_THREADS, HS_SECTION_RANGES, HS_SECTION_HOOKS,
};

enum hs_section_type hs_text_type(unsigned int i)
{
	return text_types[i];
}

/* The process first: it explains why libraries are at other addresses. */
unsigned int hs_text_order(unsigned int i)
{
	static const unsigned int order[HS_TEXTS] = { 1, 0, 2, 3, 4, 5, 6 };

	return order[i];
}

/* As it is now. Returns 0, or -1 with errno and @e. */
int hs_texts_capture(struct hs_texts *t, struct hs_error *e)
{
	memset(t, 0, sizeof(*t));
	t->build = hs_build_text(e);
	if (!t->build)
		return -1;
	if (!state_capture(&t->state, e))
		return 0;
	memset(&t->state, 0, sizeof(t->state));
	return -1;
}

/* Where there was no memory for a value it isn't there: read it as who restores it. */
static int check_texts(const struct hs_texts *t, struct hs_error *e)
{
	struct hs_state again = { 0 };
	int i, ret = 0;

	for (i = 1; !ret && i < HS_TEXTS; i++)
		ret = hs_state_parse(text_types[i], t->json[i], &again, e);
	hs_state_free(&again);
	return ret;
}

/* Returns 0, or -1 with errno and @e. */
int hs_texts_make(struct hs_texts *t, struct hs_error *e)
{
	const struct hs_state *s = &t->state;
	int i;

	t->text[0] = t->build;
	t->len[0] = strlen(t->build);
	t->json[1] = hs_process_json(&s->process);
	json_object_object_add(t->json[1], "sync", hs_syncs_json(&s->syncs));
	t->json[2] = hs_signals_json(&s->signals);
	t->json[3] = hs_fds_json(&s->fds);
	t->json[4] = hs_threads_json(&s->threads);
	t->json[5] = hs_ranges_json(&s->ranges);
	t->json[6] = hs_hooks_json(&s->hooks);
	if (check_texts(t, e))
		return -1;
	for (i = 1; i < HS_TEXTS; i++) {
		t->text[i] = json_object_to_json_string_length(t->json[i], JSON_C_TO_STRING_PLAIN,
							       &t->len[i]);
		if (!t->text[i])
			return hs_fail(e, ENOMEM, "no memory for section '%s'",
				       hs_section_text(text_types[i]));
	}
	return 0;
}

/* Leaves errno alone. */
void hs_texts_free(struct hs_texts *t)
{
	int saved = errno, i;

	for (i = 1; i < HS_TEXTS; i++)
		json_object_put(t->json[i]);
	hs_state_free(&t->state);
	memset(t, 0, sizeof(*t));
	errno = saved;
}

static void write_texts(struct hs_writer *w, const struct hs_texts *t)
{
	unsigned int i, n;

	for (i = 0; i < HS_TEXTS; i++) {
		n = hs_text_order(i);
		hs_section(w, text_types[n], "", t->text[n], t->len[n]);
	}
}

static void write_own(struct hs_writer *w, const struct hs_sections *own)
{
	uint32_t i;

	for (i = 0; i < own->nr; i++)
		hs_section(w, HS_SECTION_USER, own->v[i]->name, own->v[i]->data, own->v[i]->len);
}

/*
 * Memory
 */

struct memory {
	hs_run_fn run;			/* takes what changed, in the order in which it is looked at */
	void *arg;
	struct hs_sums *sums;
	const struct hs_ranges *ranges;
	bool arena;			/* it's the arena's turn */
	int pagemap;			/* -1: it may not look: see prctl(2), PR_SET_DUMPABLE */
	uint64_t base;			/* what changed after that generation is looked for */
	uint64_t entry[HS_SUMS_PAGES];	/* of /proc/PID/pagemap */
	bool content[HS_SUMS_PAGES], maybe[HS_SUMS_PAGES], changed[HS_SUMS_PAGES];
};

static void write_data(struct hs_writer *w, const char *addr, size_t len)
{
	size_t n;

	for (; len; addr += n, len -= n) {
		n = len < MEMORY_MAX ? len : MEMORY_MAX;
		hs_memory_begin(w, (uintptr_t)addr, n);
		hs_section_put(w, addr, n);
	}
}

static void write_hole(struct hs_writer *w, const char *addr, size_t len)
{
	const struct hs_piece piece = { (uintptr_t)addr, len };

	hs_section(w, HS_SECTION_HOLES, "", &piece, sizeof(piece));
}

static int write_run(void *arg, const char *addr, size_t len, bool content)
{
	(content ? write_data : write_hole)(arg, addr, len);
	return 0;
}

/* The arena: in memory or in swap; what never was either is zero. */
static void look_at_arena(struct memory *m, size_t nr)
{
	size_t i;

	for (i = 0; i < nr; i++)
		m->content[i] = m->entry[i] & (HS_IN_MEMORY | HS_SWAPPED);
}

static void leave_out(struct memory *m, const char *addr, size_t nr)
{
	const struct hs_intervals *out = &m->ranges->excluded;
	uint64_t at = (uintptr_t)addr;
	size_t i;

	for (i = 0; out->nr && i < nr; i++)
		if (hs_intervals_have(out, at + i * HS_PAGE, at + (i + 1) * HS_PAGE))
			m->content[i] = false;
}

/*
 * Elsewhere what isn't in memory may be a file's, and so may be what is; then it can change
 * without being written to, when it is thrown away. Nor is it known without a pagemap.
 */
static void look_elsewhere(struct memory *m, const char *addr, size_t nr)
{
	const uint64_t bits = HS_IN_MEMORY | (mutant(HS_NO_FILES) ? 0 : HS_OF_A_FILE);
	static const char zeros[HS_PAGE];
	size_t i;

	for (i = 0; i < nr; i++) {
		if ((m->entry[i] & bits) != HS_IN_MEMORY)
			m->maybe[i] = true;
		m->content[i] = m->maybe[i] ? memcmp(addr + i * HS_PAGE, zeros, HS_PAGE) :
			hs_sums_had(m->sums, i);
	}
}

_Static_assert(HS_SUMS_PAGES <= HS_WRITTEN_PAGES, "batches are asked about as a whole");

static int load_entries(struct memory *m, const char *addr, size_t nr)
{
	const size_t len = nr * sizeof(m->entry[0]);
	const off_t at = (off_t)((uintptr_t)addr / HS_PAGE * sizeof(m->entry[0]));

	if (m->pagemap >= 0)
		return pread(m->pagemap, m->entry, len, at) == (ssize_t)len ? 0 : -1;
	memset(m->entry, 0, len);
	return 0;
}

/* Without sums there is no generation before, and each page may have changed. */
static int look(struct memory *m, const char *addr, size_t nr)
{
	if (load_entries(m, addr, nr) ||
	    hs_written_since(m->base, addr, nr, m->entry, m->maybe) ||
	    (m->sums && hs_sums_load(m->sums, addr, nr)))
		return -1;
	if (m->arena && m->pagemap >= 0)
		look_at_arena(m, nr);
	else
		look_elsewhere(m, addr, nr);
	if (m->arena)
		leave_out(m, addr, nr);
	memcpy(m->changed, m->content, nr * sizeof(m->content[0]));
	return m->sums ? hs_sums_compare(m->sums, addr, nr, m->content, m->maybe, m->changed) : 0;
}

/* What changed of up to HS_SUMS_PAGES pages. */
static int write_pages(struct memory *m, const char *addr, size_t nr)
{
	size_t i, first;

	if (look(m, addr, nr))
		return -1;
	for (i = 0; i < nr;) {
		for (first = i++; i < nr && m->changed[i] == m->changed[first] &&
		     m->content[i] == m->content[first]; i++)
			;
		if (m->changed[first] && m->run(m->arg, addr + first * HS_PAGE,
						(i - first) * HS_PAGE, m->content[first]))
			return -1;
	}
	return 0;
}

static int write_piece(void *arg, void *addr, size_t len)
{
	size_t at, n, most = HS_SUMS_PAGES * HS_PAGE;
	struct memory *m = arg;

	for (at = 0; at < len; at += n) {
		n = len - at < most ? len - at : most;
		if (write_pages(m, (char *)addr + at, n / HS_PAGE))
			return -1;
	}
	return 0;
}

/* Of the address sanitizer, in programs that are built with it. */
void __asan_unpoison_memory_region(void const volatile *addr, size_t len) __attribute__((weak));

/*
 * A page of variables has the sanitizer's red zones as well, which memcmp(3) and write(2) would
 * stumble over. Here they are a child's own, for which nothing else is to be found.
 */
static int write_poisoned(struct memory *m, void *addr, size_t len)
{
	if (!m->arena && __asan_unpoison_memory_region)
		__asan_unpoison_memory_region(addr, len);
	return write_piece(m, addr, len);
}

/* Whole pages, each once. */
static int write_ranges(struct memory *m)
{
	const struct hs_intervals *l = &m->ranges->saved;
	uint64_t start, end, done = 0;
	size_t i;
	int ret = 0;

	for (i = 0; !ret && i < l->nr; i++, done = end) {
		start = l->v[i].start & ~(HS_PAGE - 1);
		end = (l->v[i].end + HS_PAGE - 1) & ~(HS_PAGE - 1);
		if (start < done)
			start = done;
		if (start < end)
			ret = write_poisoned(m, (void *)(uintptr_t)start, end - start);
	}
	return ret;
}

/* Static: it is large, and there is only one. */
static struct memory memory;

static int begin_memory(const struct hs_ranges *ranges, struct hs_sums *sums, uint64_t base,
			hs_run_fn run, void *arg)
{
	memory = (struct memory) {
		.run = run, .arg = arg, .sums = sums, .ranges = ranges, .arena = true,
		.base = sums ? base : 0,
		.pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC),
	};
	return memory.pagemap < 0 && errno != EACCES ? -1 : 0;
}

static void end_memory(void)
{
	if (memory.pagemap >= 0)
		close(memory.pagemap);
}

static int write_memory(struct hs_writer *w, const struct hs_ranges *ranges, struct hs_sums *sums,
			uint64_t base)
{
	int ret;

	if (begin_memory(ranges, sums, base, write_run, w))
		return -1;
	ret = hs_arena_pieces(write_piece, &memory);
	memory.arena = false;
	if (!ret)
		ret = write_ranges(&memory);
	end_memory();
	return ret;
}

int hs_memory_changes(const struct hs_intervals *pages, const struct hs_ranges *ranges,
		      struct hs_sums *sums, uint64_t base, hs_run_fn run, void *arg)
{
	size_t i;
	int ret = 0;

	if (begin_memory(ranges, sums, base, run, arg))
		return -1;
	for (i = 0; !ret && i < pages->nr; i++) {
		const struct hs_interval *v = &pages->v[i];

		memory.arena = v->start >= HS_BASE && v->end <= HS_END;
		ret = write_poisoned(&memory, (void *)(uintptr_t)v->start, v->end - v->start);
	}
	end_memory();
	return ret;
}

/*
 * @snap: memory as it was then. NULL: as it is now: the caller holds the arena's lock, or is
 * a process of its own that was made under it; takes no memory. @sums: leave out what didn't
 * change; NULL: write all. Returns 0, or -1 with errno.
 */
int hs_checkpoint_write(struct hs_writer *w, int fd, const struct hs_image_head *head,
			const struct hs_texts *t, const struct hs_snapshot *snap,
			struct hs_sums *sums)
{
	int ret;

	hs_image_begin(w, fd, head);
	write_texts(w, t);
	write_own(w, &t->state.own);
	ret = snap ? hs_snapshot_write(snap, w, &t->state.ranges) :
		write_memory(w, &t->state.ranges, sums, head->base);
	if (ret)
		w->err = w->err ?: errno;
	return hs_image_finish(w);
}
