// SPDX-License-Identifier: LGPL-2.1-or-later
/* libhotspare: the touch set, see touched.h. */
#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "touched.h"

#define TEXT_VERSION	1U

/* Numbers are little-endian. The runs follow. */
struct head {
	uint32_t version;
	uint32_t looks;
	uint64_t generation;
	uint64_t end_us[HS_TOUCHED_LOOKS];
};

/* A run as a number: its first page, its length in pages, its class. */
#define FIRST_BITS	34
#define LENGTH_BITS	22
#define LENGTH_MOST	((1ULL << LENGTH_BITS) - 1)

_Static_assert((HS_END - HS_BASE) >> HS_PAGE_SHIFT <= 1ULL << FIRST_BITS, "each page has a number");
_Static_assert(FIRST_BITS + LENGTH_BITS + 8 == 64, "a run is a number");

void hs_touched_free(struct hs_touched *t)
{
	free(t->v);
	memset(t, 0, sizeof(*t));
}

/*
 * Classes
 */

struct list {
	size_t nr;
	struct hs_touched_run *v;
};

static void append(struct list *to, uint64_t start, uint64_t end, unsigned int when)
{
	struct hs_touched_run *last = to->nr ? &to->v[to->nr - 1] : NULL;

	if (last && last->end == start && last->when == when)
		last->end = end;
	else
		to->v[to->nr++] = (struct hs_touched_run) { start, end, when };
}

/* Where a piece that begins at @at ends: at the next point at which either begins or ends. */
static uint64_t piece_end(uint64_t at, uint64_t start, uint64_t end)
{
	return start > at ? start : end;
}

/* Pages of @l get class @when, unless theirs is lower. */
static int overlay(struct hs_touched *t, const struct hs_intervals *l, unsigned int when)
{
	struct list to = { .v = calloc(2 * (t->nr + l->nr) + 1, sizeof(*to.v)) };
	const struct hs_touched_run *a = t->v, *a_end = a + t->nr;
	const struct hs_interval *b = l->v, *b_end = b + l->nr;
	uint64_t at = 0, end, other;
	bool in_a, in_b;

	if (!to.v)
		return -1;
	while (a < a_end || b < b_end) {
		end = a < a_end ? a->start : UINT64_MAX;
		other = b < b_end ? b->start : UINT64_MAX;
		if (at < end && at < other)
			at = end < other ? end : other;
		in_a = a < a_end && a->start <= at;
		in_b = b < b_end && b->start <= at;
		end = a < a_end ? piece_end(at, a->start, a->end) : UINT64_MAX;
		other = b < b_end ? piece_end(at, b->start, b->end) : UINT64_MAX;
		end = end < other ? end : other;
		if (in_a || in_b)
			append(&to, at, end, in_a && (!in_b || a->when < when) ? a->when : when);
		at = end;
		a += a < a_end && a->end <= at;
		b += b < b_end && b->end <= at;
	}
	free(t->v);
	t->v = to.v;
	t->nr = to.nr;
	return 0;
}

/* One window later. */
static void grow_older(struct hs_touched *t)
{
	struct list to = { .v = t->v };
	size_t i;

	for (i = 0; i < t->nr; i++) {
		unsigned int when = t->v[i].when < HS_TOUCHED_USED ? HS_TOUCHED_USED : t->v[i].when;

		if (when + 1 < HS_TOUCHED_CLASSES)
			append(&to, t->v[i].start, t->v[i].end, when + 1);
	}
	t->nr = to.nr;
}

int hs_touched_begin(struct hs_touched *t, const struct hs_intervals *used, uint64_t generation)
{
	grow_older(t);
	t->looks = 0;
	memset(t->end_us, 0, sizeof(t->end_us));
	t->generation = generation;
	return overlay(t, used, HS_TOUCHED_USED);
}

int hs_touched_look(struct hs_touched *t, const struct hs_intervals *found, uint64_t end_us)
{
	if (t->looks == HS_TOUCHED_LOOKS) {
		errno = ENOSPC;
		return -1;
	}
	if (overlay(t, found, t->looks))
		return -1;
	t->end_us[t->looks++] = end_us;
	return 0;
}

uint64_t hs_touched_pages(const struct hs_touched *t, unsigned int looks)
{
	uint64_t pages = 0;
	size_t i;

	for (i = 0; i < t->nr; i++)
		if (t->v[i].when < looks && t->v[i].when < HS_TOUCHED_USED)
			pages += (t->v[i].end - t->v[i].start) / HS_PAGE;
	return pages;
}

uint64_t hs_touched_used(const struct hs_touched *t)
{
	uint64_t pages = 0;
	size_t i;

	for (i = 0; i < t->nr; i++)
		if (t->v[i].when >= HS_TOUCHED_USED)
			pages += (t->v[i].end - t->v[i].start) / HS_PAGE;
	return pages;
}

/*
 * As text
 */

/* How many numbers: a run may be longer than one can say. */
static size_t numbers(const struct list *l)
{
	size_t nr = 0, i;

	for (i = 0; i < l->nr; i++)
		nr += ((l->v[i].end - l->v[i].start) / HS_PAGE + LENGTH_MOST - 1) / LENGTH_MOST;
	return nr;
}

/* Runs with less than @gap between them become one, with the lower class. */
static void join(struct list *l, uint64_t gap)
{
	struct hs_touched_run *last = l->v;
	size_t i;

	for (i = 1; i < l->nr; i++) {
		if (l->v[i].start - last->end >= gap) {
			*++last = l->v[i];
			continue;
		}
		last->end = l->v[i].end;
		if (l->v[i].when < last->when)
			last->when = l->v[i].when;
	}
	l->nr = (size_t)(last - l->v) + 1;
}

/* What was used longest ago goes first. */
static void drop_class(struct list *l, unsigned int when)
{
	size_t i, k;

	for (i = k = 0; i < l->nr; i++)
		if (l->v[i].when != when)
			l->v[k++] = l->v[i];
	l->nr = k;
}

static void make_short(struct list *l)
{
	unsigned int when = HS_TOUCHED_CLASSES;
	uint64_t gap = 2 * HS_PAGE;

	while (numbers(l) > HS_TOUCHED_RUNS && when > HS_TOUCHED_USED)
		drop_class(l, --when);
	for (; numbers(l) > HS_TOUCHED_RUNS && gap < HS_END - HS_BASE; gap *= 2)
		join(l, gap);
}

static unsigned char *put_run(unsigned char *to, const struct hs_touched_run *r)
{
	uint64_t first = (r->start - HS_BASE) / HS_PAGE, left = (r->end - r->start) / HS_PAGE, n, v;

	for (; left; first += n, left -= n, to += sizeof(v)) {
		n = left < LENGTH_MOST ? left : LENGTH_MOST;
		v = htole64(first | n << FIRST_BITS | (uint64_t)r->when << (FIRST_BITS + LENGTH_BITS));
		memcpy(to, &v, sizeof(v));
	}
	return to;
}

static void put_head(unsigned char *to, const struct hs_touched *t)
{
	struct head h = {
		.version = htole32(TEXT_VERSION), .looks = htole32(t->looks), .generation = htole64(t->generation),
	};
	unsigned int i;

	for (i = 0; i < HS_TOUCHED_LOOKS; i++)
		h.end_us[i] = htole64(t->end_us[i]);
	memcpy(to, &h, sizeof(h));
}

int hs_touched_text(const struct hs_touched *t, unsigned char **text, size_t *len)
{
	struct list l = { .nr = t->nr, .v = calloc(t->nr + 1, sizeof(*l.v)) };
	unsigned char *to;
	size_t i;

	if (!l.v)
		return -1;
	if (t->nr)
		memcpy(l.v, t->v, t->nr * sizeof(*l.v));
	make_short(&l);
	*len = sizeof(struct head) + numbers(&l) * sizeof(uint64_t);
	to = malloc(*len);
	*text = to;
	if (to) {
		put_head(to, t);
		to += sizeof(struct head);
		for (i = 0; i < l.nr; i++)
			to = put_run(to, &l.v[i]);
	}
	free(l.v);
	return to ? 0 : -1;
}

static bool get_head(struct hs_touched *t, const void *text)
{
	struct head h;
	unsigned int i;

	memcpy(&h, text, sizeof(h));
	t->looks = le32toh(h.looks);
	t->generation = le64toh(h.generation);
	for (i = 0; i < HS_TOUCHED_LOOKS; i++)
		t->end_us[i] = le64toh(h.end_us[i]);
	return le32toh(h.version) == TEXT_VERSION && t->looks <= HS_TOUCHED_LOOKS;
}

/* Behind the last one, and within the arena. */
static bool get_run(struct hs_touched *t, const unsigned char *from)
{
	struct hs_touched_run *r = &t->v[t->nr];
	uint64_t v, pages;

	memcpy(&v, from, sizeof(v));
	v = le64toh(v);
	pages = v >> FIRST_BITS & LENGTH_MOST;
	r->start = HS_BASE + (v & ((1ULL << FIRST_BITS) - 1)) * HS_PAGE;
	r->end = r->start + pages * HS_PAGE;
	r->when = (unsigned int)(v >> (FIRST_BITS + LENGTH_BITS));
	if (!pages || r->end > HS_END || (t->nr && r->start < r[-1].end))
		return false;
	if (r->when >= HS_TOUCHED_USED ? r->when >= HS_TOUCHED_CLASSES : r->when >= t->looks)
		return false;
	t->nr++;
	return true;
}

int hs_touched_parse(struct hs_touched *t, const void *text, size_t len, struct hs_error *e)
{
	const unsigned char *from = text;
	size_t left = len < sizeof(struct head) ? 0 : (len - sizeof(struct head)) / sizeof(uint64_t);
	bool good;

	memset(t, 0, sizeof(*t));
	good = len == sizeof(struct head) + left * sizeof(uint64_t) && left <= HS_TOUCHED_RUNS &&
		get_head(t, text);
	t->v = good ? calloc(left + 1, sizeof(*t->v)) : NULL;
	if (good && !t->v)
		return hs_fail(e, ENOMEM, "no memory for the touch set");
	for (from += sizeof(struct head); good && left; left--, from += sizeof(uint64_t))
		good = get_run(t, from);
	if (good)
		return 0;
	hs_touched_free(t);
	return hs_fail(e, EBADMSG, "the touch set is invalid");
}
