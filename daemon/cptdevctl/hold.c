// SPDX-License-Identifier: GPL-2.0-or-later
/* cptdevctl hold, release: a person holds checkpoints of a session off for a while. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "ctl.h"
#include "holdoff.h"
#include "table.h"

#define SECONDS_MAX	3600

void holdoff_text(struct json_object *session, FILE *to)
{
	struct json_object *off = js_at(session, "held_off");
	const char *name = js_get_str(session, "name");
	const char *clients = js_get_bool(off, "output_held") ?
		"; its output is held, so its clients wait" : "";
	char since[32];

	if (!off)
		return;
	utc_text(js_get_u64(off, "since_unix_ms"), since);
	fprintf(to, "  %s: checkpoints are HELD OFF since %s, for at most %llu s more\n", name,
		since, js_get_u64(off, "left_ms") / 1000 + 1);
	fprintf(to, "    after generation %llu nothing is saved%s. Next: cptdevctl release %s\n",
		js_get_u64(off, "generation"), clients, name);
}

/* 0: it isn't one. */
static u64 seconds_of(const char *text)
{
	char *end;
	u64 n;

	errno = 0;
	n = strtoull(text, &end, 10);
	return errno || *text < '0' || *text > '9' || *end || n > SECONDS_MAX ? 0 : n;
}

static int ask(struct ctl *c, const char *command, const char *name, u64 seconds,
	       struct json_object **answer)
{
	struct json_object *request = js_new(), *error;
	int err, ret;

	js_str(request, "command", command);
	js_str(request, "name", name);
	if (seconds)
		js_u64(request, "seconds", seconds);
	*answer = client_command(c->socket, request, &err);
	if (!*answer)
		return ctl_fail(c, EXIT_DAEMON, "no-daemon", "systemctl start cptdevd",
				"cptdevd can't be asked: %s", strerror(err));
	error = js_at(*answer, "error");
	c->changed = !error;
	if (!error)
		return EXIT_DONE;
	ret = ctl_fail(c, EXIT_FAILED, js_get_str(error, "code"), NULL, "%s of %s: %s", command,
		       name, js_get_str(error, "message"));
	json_object_put(*answer);
	*answer = NULL;
	return ret;
}

int verb_hold(struct ctl *c, int argc, char **argv)
{
	u64 seconds = argc == 2 ? seconds_of(argv[1]) : 0;
	struct json_object *answer;
	int ret;

	if (argc < 1 || argc > 2 || (argc == 2 && !seconds))
		return ctl_fail(c, EXIT_USAGE, "usage", "cptdevctl status",
				"hold needs the name of one session, and at most a time of 1 to %d seconds",
				SECONDS_MAX);
	ret = ask(c, "hold", argv[0], seconds, &answer);
	if (ret)
		return ret;
	if (c->json)
		ctl_print_json(c, answer);
	else
		holdoff_text(answer, c->out);
	if (!c->json)
		json_object_put(answer);
	return EXIT_DONE;
}

int verb_release(struct ctl *c, int argc, char **argv)
{
	struct json_object *answer;
	int ret;

	if (argc != 1)
		return ctl_fail(c, EXIT_USAGE, "usage", "cptdevctl status",
				"release needs the name of one session");
	ret = ask(c, "release", argv[0], 0, &answer);
	if (ret)
		return ret;
	if (c->json) {
		ctl_print_json(c, answer);
		return EXIT_DONE;
	}
	fprintf(c->out, "checkpoints of %s are taken again\n", argv[0]);
	json_object_put(answer);
	return EXIT_DONE;
}
