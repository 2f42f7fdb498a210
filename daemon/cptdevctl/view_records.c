// SPDX-License-Identifier: GPL-2.0-or-later
/* Records that need a person, or that say what was lost. */
#include <string.h>

#include "view.h"

struct json_object *view_record(const struct view *v, size_t i, const char **state)
{
	struct json_object *list = js_at(v->daemon, "records"), *o;

	if (!list || i >= json_object_array_length(list))
		return NULL;
	o = json_object_array_get_idx(list, i);
	*state = js_get_str(o, "state");
	if (!*state)
		*state = "ok";
	return o;
}

static void kept_text(const char *name, struct json_object *o, FILE *to)
{
	struct json_object *spare = js_at(o, "spare_waits");

	fprintf(to, "Record %s: generation %llu is kept on this host for a restart, %llu MiB", name,
		js_get_u64(o, "generation"), js_get_u64(o, "bytes") >> 20);
	if (js_at(o, "removed_in_ms"))
		fprintf(to, "; its program has ended, and it is removed in %llu s",
			js_get_u64(o, "removed_in_ms") / 1000);
	if (spare && json_object_get_boolean(spare))
		fprintf(to, "; the spare doesn't take over yet");
	fputc('\n', to);
}

void records_text(const struct view *v, FILE *to)
{
	struct json_object *o;
	const char *state;
	size_t i;

	for (i = 0; (o = view_record(v, i, &state)); i++) {
		const char *name = js_get_str(o, "name"), *error = js_get_str(o, "error");
		const char *role = js_get_str(o, "role");
		struct json_object *source = js_at(o, "source");

		if (role && !strcmp(role, "taking-back"))
			fprintf(to, "Record %s: taking the lost state back, with term %llu\n",
				name, js_get_u64(o, "term"));
		else if (source && json_object_get_boolean(source))
			fprintf(to, "Record %s: SOURCE: the other host has taken this replica's state back; this replica isn't promoted before it is fed again\n",
				name);

		if (js_at(o, "kept"))
			kept_text(name, js_at(o, "kept"), to);
		if (!strcmp(state, "split-brain"))
			fprintf(to, "Record %s: SPLIT BRAIN: %s\n", name, error);
		else if (!strcmp(state, "overtaken"))
			fprintf(to, "Record %s: OVERTAKEN by a host that lost its memory: %s\n", name, error);
		else if (!strcmp(state, "damaged"))
			fprintf(to, "Record %s: DAMAGED: %s\n", name, error);
		else if (!strcmp(state, "lost"))
			fprintf(to, "Record %s: the data up to generation %llu of term %llu isn't in memory any more\n",
				name, js_get_u64(o, "generation"), js_get_u64(o, "term"));
	}
}
