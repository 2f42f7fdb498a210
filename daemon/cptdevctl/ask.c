// SPDX-License-Identifier: GPL-2.0-or-later
/* What verbs share that ask the daemon for something about one session. */
#include <string.h>

#include "client.h"
#include "ctl.h"

struct json_object *ctl_ask(struct ctl *c, const char *verb, int argc, char **argv, int *ret)
{
	struct json_object *request, *answer;
	int err;

	if (argc != 1) {
		*ret = ctl_fail(c, EXIT_USAGE, "usage", "cptdevctl status",
				"%s needs the name of one session", verb);
		return NULL;
	}
	request = js_new();
	js_str(request, "command", verb);
	js_str(request, "name", argv[0]);
	js_bool(request, "force", c->force);
	answer = client_command(c->socket, request, &err);
	if (!answer)
		*ret = ctl_fail(c, EXIT_DAEMON, "no-daemon", "systemctl start cptdevd",
				"cptdevd can't be asked: %s", strerror(err));
	return answer;
}
