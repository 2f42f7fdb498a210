// SPDX-License-Identifier: GPL-2.0-or-later
/* cptdevctl start: what a program that is started under a name would be. */
#include <string.h>

#include "ctl.h"

static int status_of(const char *answer)
{
	if (!strcmp(answer, "fresh"))
		return EXIT_DONE;
	/* It waits in both cases, and claims. */
	return !strcmp(answer, "spare") || !strcmp(answer, "take-back") ? EXIT_SPARE :
		EXIT_REFUSED;
}

int verb_start(struct ctl *c, int argc, char **argv)
{
	struct json_object *answer, *error;
	const char *word;
	int ret;

	answer = ctl_ask(c, "start", argc, argv, &ret);
	if (!answer)
		return ret;
	error = js_at(answer, "error");
	word = js_get_str(answer, "answer");
	if (error || !word) {
		ret = ctl_fail(c, EXIT_FAILED, error ? js_get_str(error, "code") : "failed",
			       "cptdevctl status", "it isn't known how %s may start: %s", argv[0],
			       error ? js_get_str(error, "message") : "no answer");
	} else {
		ret = status_of(word);
		if (c->json)
			ctl_print_json(c, json_object_get(answer));
		else
			fprintf(c->out, "%s: %s\n", word, js_get_str(answer, "text"));
	}
	json_object_put(answer);
	return ret;
}
