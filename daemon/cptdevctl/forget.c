// SPDX-License-Identifier: GPL-2.0-or-later
/* cptdevctl forget: a person says that what was acknowledged under a name may be lost. */
#include <string.h>

#include "client.h"
#include "ctl.h"

int verb_forget(struct ctl *c, int argc, char **argv)
{
	struct json_object *request, *answer, *error;
	int err, ret = EXIT_DONE;

	if (argc != 1)
		return ctl_fail(c, EXIT_USAGE, "usage", "cptdevctl status",
				"forget needs the name of one session");
	request = js_new();
	js_str(request, "command", "forget");
	js_str(request, "name", argv[0]);
	js_bool(request, "force", c->force);
	answer = client_command(c->socket, request, &err);
	if (!answer)
		return ctl_fail(c, EXIT_DAEMON, "no-daemon", "systemctl start cptdevd",
				"cptdevd can't be asked: %s", strerror(err));
	error = js_at(answer, "error");
	if (error)
		ret = ctl_fail(c, EXIT_FAILED, js_get_str(error, "code"),
			       c->force ? "cptdevctl status" :
			       "look at both hosts with cptdevctl status; to give this one's data up: --force",
			       "the record of %s stays: %s", argv[0],
			       js_get_str(error, "message"));
	else if (c->json)
		ctl_print_json(c, json_object_get(answer));
	else
		fprintf(c->out, "what was on record for %s is forgotten\n", argv[0]);
	c->changed = !error;
	json_object_put(answer);
	return ret;
}
