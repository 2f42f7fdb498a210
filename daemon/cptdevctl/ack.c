// SPDX-License-Identifier: GPL-2.0-or-later
/* cptdevctl ack: which spares must have a generation before the program may rely on it. */
#include <string.h>

#include "client.h"
#include "ctl.h"

/* Words become one policy; false: it is too long. */
static bool join(int argc, char **argv, char *text, size_t size)
{
	size_t len = 0;
	int i;

	for (i = 0; i < argc && len < size; i++)
		len += snprintf(text + len, size - len, "%s%s", i ? " " : "", argv[i]);
	return len < size;
}

static void print_text(struct ctl *c, const char *name, struct json_object *ack)
{
	fprintf(c->out, "%s is acknowledged by policy %s (%s)%s\n", name,
		js_get_str(ack, "policy"), js_get_str(ack, "by"),
		js_get_bool(ack, "in_force") ? "" :
		"; until each spare knows that, all of them have to have a generation");
}

int verb_ack(struct ctl *c, int argc, char **argv)
{
	struct json_object *request, *answer, *error;
	int err, ret = EXIT_DONE;
	char policy[256];

	if (argc < 2 || !join(argc - 1, argv + 1, policy, sizeof(policy)))
		return ctl_fail(c, EXIT_USAGE, "usage", "cptdevctl status",
				"ack needs the name of one session, and all, any, a number, names of nodes, or default");
	request = js_new();
	js_str(request, "command", "ack");
	js_str(request, "name", argv[0]);
	js_str(request, "policy", strcmp(policy, "default") ? policy : "");
	answer = client_command(c->socket, request, &err);
	if (!answer)
		return ctl_fail(c, EXIT_DAEMON, "no-daemon", "systemctl start cptdevd",
				"cptdevd can't be asked: %s", strerror(err));
	error = js_at(answer, "error");
	if (error)
		ret = ctl_fail(c, EXIT_FAILED, js_get_str(error, "code"), "cptdevctl status",
			       "the policy of %s stays: %s", argv[0], js_get_str(error, "message"));
	else if (c->json)
		ctl_print_json(c, json_object_get(answer));
	else
		print_text(c, argv[0], js_at(answer, "ack"));
	c->changed = !error;
	json_object_put(answer);
	return ret;
}
