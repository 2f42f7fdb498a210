// SPDX-License-Identifier: GPL-2.0-or-later
/* cptdevctl history: the past generations of a replica, to which a promotion can go back. */
#include "ctl.h"
#include "table.h"

static void print_past(struct ctl *c, struct json_object *past)
{
	static const char *const headings[] = { "GENERATION", "TERM", "COMMITTED", "KEPT" };
	size_t i, n = json_object_array_length(past);
	char time[32], size[16];
	struct json_object *o;
	struct table t;

	table_init(&t, headings, ARRAY_SIZE(headings));
	for (i = 0; i < n; i++) {
		o = json_object_array_get_idx(past, i);
		table_cell(&t, "%llu", js_get_u64(o, "generation"));
		table_cell(&t, "%llu", js_get_u64(o, "term"));
		table_cell(&t, "%s", utc_text(js_get_u64(o, "committed_unix_ms"), time));
		table_cell(&t, "%s", size_text(js_get_u64(o, "pages") * c->page_size, size));
	}
	table_print(&t, c->out);
}

static void print_text(struct ctl *c, struct json_object *answer)
{
	struct json_object *past = js_at(answer, "past");
	const char *name = js_get_str(answer, "name");
	u64 keep = js_get_u64(answer, "keep"), max = js_get_u64(answer, "max_bytes");
	char size[16], limit[16];

	fprintf(c->out, "replica %s: generation %llu; at most %llu past generations are kept",
		name, js_get_u64(answer, "generation"), keep);
	if (max)
		fprintf(c->out, ", in %s", size_text(max, limit));
	fprintf(c->out, "; they take %s\n", size_text(js_get_u64(answer, "bytes"), size));
	if (json_object_array_length(past))
		print_past(c, past);
	else if (!keep)
		fprintf(c->out, "  none. Next: history = N in [session %s] of cptdevd.conf\n", name);
	else
		fprintf(c->out, "  none so far\n");
}

int verb_history(struct ctl *c, int argc, char **argv)
{
	struct json_object *answer, *error;
	int ret = EXIT_DONE;

	if (argc != 1)
		return ctl_fail(c, EXIT_USAGE, "usage", "cptdevctl replica list",
				"history needs the name of one replica");
	answer = ctl_ask(c, "history", 1, argv, &ret);
	if (!answer)
		return ret;
	error = js_at(answer, "error");
	if (error)
		ret = ctl_fail(c, EXIT_FAILED, js_get_str(error, "code"), "cptdevctl replica list",
			       "the history of %s isn't known: %s", argv[0],
			       js_get_str(error, "message"));
	else if (c->json)
		ctl_print_json(c, json_object_get(answer));
	else
		print_text(c, answer);
	json_object_put(answer);
	return ret;
}
