// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cptdevctl switchover: a person moves a service to the spare's host. The daemon does this, also if
 * this program ends meanwhile. This program asks the daemon for the state until it is over.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client.h"
#include "ctl.h"

#define LOOK_NS		(10 * 1000000L)
/* As long the program may go on being prepared, unless --timeout says otherwise. */
#define LIMIT_S		10

#define NEXT		". Next: "

/* The daemon's messages have the next step at their end. */
static int failed(struct ctl *c, const char *name, const char *code, const char *message)
{
	const char *next = strstr(message, NEXT);
	int len = next ? (int)(next - message) : (int)strlen(message);

	return ctl_fail(c, EXIT_FAILED, code, next ? next + strlen(NEXT) : "cptdevctl status",
			"%s isn't switched over: %.*s", name, len, message);
}

static struct json_object *ask(struct ctl *c, const char *name, const char *peer, bool look,
			       int *err)
{
	struct json_object *request = js_new();

	js_str(request, "command", "switchover");
	js_str(request, "name", name);
	js_bool(request, "look", look);
	js_bool(request, "cancel", c->cancel);
	js_bool(request, "force", c->force);
	js_u64(request, "timeout_ms", (c->timeout_s ? c->timeout_s : LIMIT_S) * 1000ULL);
	if (peer)
		js_str(request, "peer", peer);
	return client_command(c->socket, request, err);
}

static void phase_text(struct ctl *c, struct json_object *sw, const char *key, const char *what)
{
	struct json_object *us = js_at(sw, key);

	if (us)
		fprintf(c->out, "  %-32s %9.1f ms\n", what, json_object_get_int64(us) / 1000.0);
}

static void done_text(struct ctl *c, const char *name, struct json_object *sw)
{
	const char *note = js_get_str(sw, "error");

	fprintf(c->out, "switched %s over to %s: generation %llu, term %llu\n", name,
		js_get_str(sw, "to"), js_get_u64(sw, "generation"), js_get_u64(sw, "term"));
	phase_text(c, sw, "prepared_us", "prepared, the program served:");
	phase_text(c, sw, "stopped_us", "stopped, last checkpoint taken:");
	phase_text(c, sw, "shipped_us", "shipped, committed there:");
	phase_text(c, sw, "promoted_us", "promoted there:");
	phase_text(c, sw, "taken_us", "taken by the program there:");
	phase_text(c, sw, "down_us", "down time:");
	if (!js_get_bool(sw, "last_checkpoint"))
		fprintf(c->out,
			"The program took no checkpoint after it was stopped: clients have to repeat\n"
			"requests that it hadn't answered by then.\n");
	if (note)
		fprintf(c->out, "Note: %s\n", note);
}

/* How it ended. */
static int tell(struct ctl *c, const char *name, struct json_object *answer)
{
	struct json_object *sw = js_at(answer, "switchover");
	const char *result = js_get_str(sw, "result");
	char code[64];

	if (result && !strcmp(result, "done")) {
		c->changed = true;
		if (c->json)
			ctl_print_json(c, json_object_get(answer));
		else
			done_text(c, name, sw);
		return EXIT_DONE;
	}
	snprintf(code, sizeof(code), "%s-%s", result ? result : "failed",
		 js_get_str(sw, "failed_phase") ? js_get_str(sw, "failed_phase") : "");
	return failed(c, name, code, js_get_str(sw, "error") ? js_get_str(sw, "error") : "why isn't known");
}

static bool runs(struct json_object *answer)
{
	const char *phase = js_get_str(js_at(answer, "switchover"), "phase");

	return phase && strcmp(phase, "over");
}

static int no_answer(struct ctl *c, const char *name, bool begun, int err)
{
	if (begun)
		return ctl_fail(c, EXIT_DAEMON, "no-answer", "cptdevctl status, on both hosts",
				"cptdevd doesn't answer any more; the result of the switch-over of %s isn't known: %s",
				name, strerror(err));
	return ctl_fail(c, EXIT_DAEMON, "no-daemon", "systemctl start cptdevd",
			"cptdevd can't be asked: %s", strerror(err));
}

static int cancelled(struct ctl *c, const char *name, struct json_object *answer)
{
	if (c->json)
		ctl_print_json(c, json_object_get(answer));
	else
		fprintf(c->out, "%s goes on here: the switch-over is cancelled\n", name);
	c->changed = true;
	return EXIT_DONE;
}

int verb_switchover(struct ctl *c, int argc, char **argv)
{
	const struct timespec pause = { .tv_nsec = LOOK_NS };
	struct json_object *answer, *error;
	bool look = false;
	int err, ret;

	if (argc < 1 || argc > 2)
		return ctl_fail(c, EXIT_USAGE, "usage", "cptdevctl status",
				"switchover needs the name of a session, and optionally that of the peer");
	if (c->force && !c->cancel)
		return ctl_fail(c, EXIT_USAGE, "usage", "cptdevctl promote --force, on the spare's host",
				"switchover loses nothing: its --force is only for --cancel");
	for (;;) {
		answer = ask(c, argv[0], argv[1], look, &err);
		if (!answer)
			return no_answer(c, argv[0], look, err);
		error = js_at(answer, "error");
		if (error || !runs(answer))
			break;
		json_object_put(answer);
		look = true;
		nanosleep(&pause, NULL);
	}
	if (error)
		ret = failed(c, argv[0], js_get_str(error, "code"), js_get_str(error, "message"));
	else
		ret = c->cancel ? cancelled(c, argv[0], answer) : tell(c, argv[0], answer);
	json_object_put(answer);
	return ret;
}
