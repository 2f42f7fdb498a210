// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Comparisons of replicas in the status and in the answer to the command. cptdevctl(8) describes
 * the keys.
 */
#include <stdio.h>

#include "daemon.h"
#include "json.h"

static struct json_object *addresses(const struct verify_spare *sp)
{
	struct json_object *list = js_list();
	char text[24];
	u32 i;

	for (i = 0; i < sp->nr_addr; i++) {
		snprintf(text, sizeof(text), "0x%llx", sp->addr[i]);
		json_object_array_add(list, json_object_new_string(text));
	}
	return list;
}

static struct json_object *spare(const struct verify_spare *sp)
{
	struct json_object *o = js_new();

	js_str(o, "name", sp->name);
	js_str(o, "state", verify_word(sp->state));
	js_u64(o, "generation", sp->generation);
	js_u64(o, "pages", sp->pages);
	js_u64(o, "compared", sp->compared);
	js_u64(o, "changed_meanwhile", sp->newer);
	js_u64(o, "differed", sp->damaged);
	js_u64(o, "differed_again", sp->again);
	js_put(o, "addresses", addresses(sp));
	if (*sp->text)
		js_str(o, "note", sp->text);
	else
		js_null(o, "note");
	return o;
}

struct json_object *verify_json(const struct verify *v)
{
	struct json_object *o = js_new(), *list = js_list();
	u32 i;

	js_bool(o, "runs", !v->ended);
	js_u64(o, "unix_ms", v->wall / NSEC_PER_MSEC);
	if (v->ended)
		js_u64(o, "took_ms", (v->ended - v->began) / NSEC_PER_MSEC);
	else
		js_null(o, "took_ms");
	for (i = 0; i < v->nr; i++)
		json_object_array_add(list, spare(&v->spare[i]));
	js_put(o, "spares", list);
	return o;
}
