// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cptdevctl verify: the replicas of a session's spares are compared with what was sent to them.
 * The daemon does this, also if this program ends meanwhile. This program asks the daemon for the
 * state until it is over.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client.h"
#include "monitor.h"
#include "verbs.h"
#include "view.h"

#define LOOK_NS		(20 * NSEC_PER_MSEC)

static struct json_object *ask(struct ctl *c, const char *name, bool look, int *err)
{
	struct json_object *request = js_new();

	js_str(request, "command", "verify");
	js_str(request, "name", name);
	js_bool(request, "look", look);
	js_bool(request, "force", c->force);
	return client_command(c->socket, request, err);
}

static struct json_object *spare_at(struct json_object *answer, size_t i)
{
	struct json_object *list = js_at(js_at(answer, "verify"), "spares");

	if (!list || i >= json_object_array_length(list))
		return NULL;
	return json_object_array_get_idx(list, i);
}

/* How many spares are in this state? */
static u32 count(struct json_object *answer, const char *state)
{
	struct json_object *sp;
	size_t i;
	u32 n = 0;

	for (i = 0; (sp = spare_at(answer, i)); i++)
		n += js_get_str(sp, "state") && !strcmp(js_get_str(sp, "state"), state);
	return n;
}

static int tell(struct ctl *c, const char *name, struct json_object *answer)
{
	size_t spares = 0;

	if (c->json)
		ctl_print_json(c, json_object_get(answer));
	else
		verify_text(js_at(answer, "verify"), name, c->out);
	while (spare_at(answer, spares))
		spares++;
	if (count(answer, "comparing"))
		return EXIT_TIMEOUT;
	return count(answer, "same") == spares ? EXIT_DONE : EXIT_FAILED;
}

static int refused(struct ctl *c, const char *name, struct json_object *error)
{
	const char *message = js_get_str(error, "message");
	const char *next = message ? strstr(message, ". Next: ") : NULL;

	return ctl_fail(c, EXIT_FAILED, js_get_str(error, "code"),
			next ? next + strlen(". Next: ") : "cptdevctl status",
			"%s isn't verified: %.*s", name,
			next ? (int)(next - message) : (int)strlen(message), message);
}

/* A full copy waits for the program: it is waited for as long as for an answer. */
static bool goes_on(struct ctl *c, struct json_object *answer, u64 *end)
{
	u64 now = monitor_clock(CLOCK_MONOTONIC);

	if (!js_get_bool(js_at(answer, "verify"), "runs"))
		return false;
	if (c->timeout_s || !count(answer, "comparing"))
		*end = *end ? *end : now + (c->timeout_s ? c->timeout_s : TIMEOUT_S) * NSEC_PER_SEC;
	return !*end || now < *end;
}

int verb_verify(struct ctl *c, int argc, char **argv)
{
	const struct timespec pause = { .tv_nsec = LOOK_NS };
	struct json_object *answer, *error;
	bool look = false;
	u64 end = 0;
	int err, ret;

	if (argc != 1)
		return ctl_fail(c, EXIT_USAGE, "usage", "cptdevctl status",
				"verify needs the name of one session");
	for (;;) {
		answer = ask(c, argv[0], look, &err);
		if (!answer)
			return ctl_fail(c, EXIT_DAEMON, "no-daemon", "systemctl start cptdevd",
					"cptdevd can't be asked: %s", strerror(err));
		error = js_at(answer, "error");
		if (error || !goes_on(c, answer, &end))
			break;
		json_object_put(answer);
		look = true;
		nanosleep(&pause, NULL);
	}
	ret = error ? refused(c, argv[0], error) : tell(c, argv[0], answer);
	json_object_put(answer);
	return ret;
}
