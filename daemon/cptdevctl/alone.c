// SPDX-License-Identifier: GPL-2.0-or-later
/* cptdevctl alone: a person says that a session may go on without a spare. */
#include "ctl.h"

int verb_alone(struct ctl *c, int argc, char **argv)
{
	struct json_object *answer, *error;
	int ret = EXIT_DONE;

	answer = ctl_ask(c, "alone", argc, argv, &ret);
	if (!answer)
		return ret;
	error = js_at(answer, "error");
	if (error)
		ret = ctl_fail(c, EXIT_FAILED, js_get_str(error, "code"),
			       c->force || !ctl_needs_force(js_get_str(error, "code")) ?
			       "cptdevctl status" :
			       "look at both hosts; if the other host is off and its data may be lost: --force",
			       "%s doesn't go on alone: %s", argv[0],
			       js_get_str(error, "message"));
	else if (c->json)
		ctl_print_json(c, json_object_get(answer));
	else
		fprintf(c->out, "%s goes on ALONE until a spare follows: %s\n", argv[0],
			js_get_str(answer, "meaning"));
	c->changed = !error;
	json_object_put(answer);
	return ret;
}
