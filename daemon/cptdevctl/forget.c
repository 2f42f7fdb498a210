// SPDX-License-Identifier: GPL-2.0-or-later
/* cptdevctl forget: a person says that what was acknowledged under a name may be lost. */
#include <string.h>

#include "ctl.h"

bool ctl_needs_force(const char *code)
{
	return !strcmp(code, "split-brain") || !strcmp(code, "overtaken");
}

int verb_forget(struct ctl *c, int argc, char **argv)
{
	struct json_object *answer, *error;
	int ret = EXIT_DONE;

	answer = ctl_ask(c, "forget", argc, argv, &ret);
	if (!answer)
		return ret;
	error = js_at(answer, "error");
	if (error)
		ret = ctl_fail(c, EXIT_FAILED, js_get_str(error, "code"),
			       c->force || !ctl_needs_force(js_get_str(error, "code")) ?
			       "cptdevctl status" :
			       "look at both hosts with cptdevctl status; to give up this host's data: --force",
			       "the record of %s isn't deleted: %s", argv[0],
			       js_get_str(error, "message"));
	else if (c->json)
		ctl_print_json(c, json_object_get(answer));
	else
		fprintf(c->out, "the record of %s is deleted\n", argv[0]);
	c->changed = !error;
	json_object_put(answer);
	return ret;
}
