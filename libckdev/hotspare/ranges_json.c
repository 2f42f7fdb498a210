// SPDX-License-Identifier: LGPL-2.1-or-later
/* libhotspare: memory that is saved besides the arena, as text in a checkpoint. */
#include <errno.h>
#include <stdlib.h>

#include "js.h"
#include "ranges.h"

#define MOST	65536			/* of anything in a list */

static struct json_object *intervals_json(const struct hs_intervals *l)
{
	struct json_object *all = json_object_new_array(), *o;
	size_t i;

	for (i = 0; all && i < l->nr; i++) {
		o = json_object_new_object();
		js_put_u64(o, "start", l->v[i].start);
		js_put_u64(o, "end", l->v[i].end);
		json_object_array_add(all, o);
	}
	return all;
}

static struct json_object *slots_json(const struct hs_ranges *r)
{
	struct json_object *all = json_object_new_array(), *o;
	size_t i;

	for (i = 0; all && i < r->nr_slots; i++) {
		o = json_object_new_object();
		js_put_u64(o, "address", r->slots[i].addr);
		js_put_u64(o, "value", r->slots[i].value);
		json_object_array_add(all, o);
	}
	return all;
}

struct json_object *hs_ranges_json(const struct hs_ranges *r)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "saved", intervals_json(&r->saved));
	json_object_object_add(o, "excluded", intervals_json(&r->excluded));
	json_object_object_add(o, "slots", slots_json(r));
	return o;
}

static bool parse_intervals(struct hs_intervals *l, struct json_object *list)
{
	size_t i, nr = list ? json_object_array_length(list) : 0;
	uint64_t start, end;

	if (nr > MOST)
		return false;
	for (i = 0; i < nr; i++) {
		struct js_from one = { .o = json_object_array_get_idx(list, i) };

		if (!json_object_is_type(one.o, json_type_object))
			return false;
		start = js_get_u64(&one, "start");
		end = js_get_u64(&one, "end");
		if (one.bad || start >= end || end > HS_ADDR_END ||
		    hs_intervals_add(l, start, end))
			return false;
	}
	return true;
}

static bool parse_slots(struct hs_ranges *r, struct json_object *list)
{
	size_t i, nr = list ? json_object_array_length(list) : 0;

	if (nr > MOST)
		return false;
	r->slots = calloc(nr + 1, sizeof(*r->slots));
	if (!r->slots)
		return false;
	for (i = 0; i < nr; i++) {
		struct js_from one = { .o = json_object_array_get_idx(list, i) };
		struct hs_slot *s = &r->slots[i];

		if (!json_object_is_type(one.o, json_type_object))
			return false;
		s->addr = js_get_u64(&one, "address");
		s->value = js_get_u64(&one, "value");
		if (one.bad || !hs_intervals_have(&r->saved, s->addr, s->addr + 8))
			return false;
		r->nr_slots++;
	}
	return true;
}

/* Returns 0, or -1 with errno EBADMSG and @e. */
int hs_ranges_parse(struct hs_ranges *r, struct json_object *json, struct hs_error *e)
{
	struct js_from from = { .o = json };

	*r = (struct hs_ranges) { .nr_slots = 0 };
	if (json_object_is_type(json, json_type_object) &&
	    parse_intervals(&r->saved, js_get(&from, "saved", json_type_array, true)) &&
	    parse_intervals(&r->excluded, js_get(&from, "excluded", json_type_array, true)) &&
	    parse_slots(r, js_get(&from, "slots", json_type_array, true)) && !from.bad)
		return 0;
	hs_ranges_free(r);
	return hs_fail(e, EBADMSG, "the ranges in the checkpoint are invalid");
}
