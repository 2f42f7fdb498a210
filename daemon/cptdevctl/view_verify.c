// SPDX-License-Identifier: GPL-2.0-or-later
/* Comparisons of replicas, as verify and status show them. */
#include <string.h>
#include <time.h>

#include "view.h"

static void addresses_text(struct json_object *sp, FILE *to)
{
	struct json_object *list = js_at(sp, "addresses");
	size_t i, n = list ? json_object_array_length(list) : 0;

	for (i = 0; i < n; i++)
		fprintf(to, "    the page at address %s differed\n",
			json_object_get_string(json_object_array_get_idx(list, i)));
	if (n && js_get_u64(sp, "differed") > n)
		fprintf(to, "    and %llu other pages\n", js_get_u64(sp, "differed") - n);
}

static void spare_text(struct json_object *sp, FILE *to)
{
	u64 pages = js_get_u64(sp, "pages"), compared = js_get_u64(sp, "compared");
	u64 newer = js_get_u64(sp, "changed_meanwhile");
	const char *note = js_get_str(sp, "note"), *state = js_get_str(sp, "state") ?: "";

	fprintf(to, "  %s: %s, generation %llu, %llu of %llu pages compared, %llu differed",
		js_get_str(sp, "name"), state, js_get_u64(sp, "generation"), compared, pages,
		js_get_u64(sp, "differed"));
	if (newer)
		fprintf(to, ", %llu changed meanwhile", newer);
	fprintf(to, "%s%s\n", note ? ": " : "", note ? note : "");
	addresses_text(sp, to);
	if (!note && !strcmp(state, "copying"))
		fprintf(to, "    a full copy is sent with the program's next checkpoint\n");
}

void verify_text(struct json_object *verify, const char *name, FILE *to)
{
	struct json_object *list = js_at(verify, "spares");
	time_t s = js_get_u64(verify, "unix_ms") / 1000;
	char text[32];
	struct tm tm;
	size_t i;

	gmtime_r(&s, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	fprintf(to, "Verify of %s, begun %s\n", name, text);
	for (i = 0; list && i < json_object_array_length(list); i++)
		spare_text(json_object_array_get_idx(list, i), to);
}

void verifies_text(struct json_object *sessions, FILE *to)
{
	struct json_object *o, *verify;
	size_t i;

	for (i = 0; sessions && i < json_object_array_length(sessions); i++) {
		o = json_object_array_get_idx(sessions, i);
		verify = js_at(o, "last_verify");
		if (verify)
			verify_text(verify, js_get_str(o, "name"), to);
	}
}
