// SPDX-License-Identifier: LGPL-2.1-or-later
/* libhotspare: asking before a master begins, see ask.h. "cptdevctl start" asks the same. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/cptdev.h>

#include "ask.h"
#include "control.h"
#include "js.h"

/* A daemon that hangs is none. */
#define ANSWER_MS	10000

/* A word of a later version is none that a program may begin by. */
static enum hs_start meaning(const char *word)
{
	if (!strcmp(word, "fresh"))
		return HS_START_FRESH;
	if (!strcmp(word, "take-back"))
		return HS_START_TAKE_BACK;
	return !strcmp(word, "spare") ? HS_START_SPARE : HS_START_REFUSED;
}

static enum hs_start read_answer(struct json_object *answer, uint64_t *term, struct hs_error *why)
{
	struct js_from from = { .o = answer };
	struct json_object *word = js_get(&from, "answer", json_type_string, false), *text;

	text = js_get(&from, "text", json_type_string, false);
	hs_fail(why, 0, "%s", text ? json_object_get_string(text) : json_object_to_json_string(answer));
	if (!word)
		return HS_START_UNKNOWN;
	*term = js_get(&from, "term", json_type_int, false) ? js_get_u64(&from, "term") : 0;
	return meaning(json_object_get_string(word));
}

enum hs_start hs_ask_start(const char *name, uint64_t *term, struct hs_error *why)
{
	enum hs_start start = HS_START_UNKNOWN;
	struct json_object *answer;
	char request[CPTDEV_NAME_MAX + 64];

	*term = 0;
	/* A name that is none is refused with the session. */
	if (strlen(name) >= CPTDEV_NAME_MAX || strpbrk(name, "\"\\\n"))
		return start;
	snprintf(request, sizeof(request), "{\"command\":\"start\",\"name\":\"%s\"}\n", name);
	answer = hs_control_ask(secure_getenv(HS_ASKED) ?: HS_CONTROL, request, ANSWER_MS, why);
	if (answer)
		start = read_answer(answer, term, why);
	json_object_put(answer);
	return start;
}
