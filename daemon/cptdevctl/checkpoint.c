// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cptdevctl checkpoint: a program is asked for one, until a spare has it. When the program is asked,
 * one may be under way that lacks what was done last: the second that comes afterwards has everything.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "monitor.h"
#include "problems.h"
#include "verbs.h"
#include "wait.h"

#define LOOK_NS		(20 * NSEC_PER_MSEC)
#define TIMES		2

struct checkpoint {
	const char *name;
	u64 generation;			/* the newest that the program has taken */
	u64 committed;
	char why[400];
};

/* Has the program taken another one; and if it is the last: does a spare have it? */
static bool look(struct ctl *c, struct checkpoint *p, u64 before, bool last)
{
	const struct session_rec *s;
	struct view v;
	bool done = false;

	view_gather(&v, c->kernel, c->socket);
	s = wait_session(&v, p->name);
	p->generation = s ? s->published : 0;
	p->committed = s ? s->committed : 0;
	if (!s) {
		wait_is_over(&v, p->name, false, p->why, sizeof(p->why));
	} else if (s->published <= before) {
		snprintf(p->why, sizeof(p->why), "the program hasn't taken one");
	} else if (!last) {
		done = true;
	/* A session that goes on alone commits without a spare: then there is a problem. */
	} else if (!problems_session(&v, s, p->why, sizeof(p->why))) {
		done = s->committed > before;
		if (!done)
			snprintf(p->why, sizeof(p->why), "no spare has it yet");
	}
	view_free(&v);
	return done;
}

static int ask_for_one(struct ctl *c, char **argv)
{
	struct json_object *answer, *error;
	const char *code, *next;
	int ret = EXIT_DONE;

	answer = ctl_ask(c, "checkpoint", 1, argv, &ret);
	if (!answer)
		return ret;
	error = js_at(answer, "error");
	if (error) {
		code = js_get_str(error, "code") ?: "failed";
		next = strcmp(code, "held-off") ? "cptdevctl status" : "cptdevctl release";
		ret = ctl_fail(c, EXIT_FAILED, code, next, "no checkpoint of %s: %s", argv[0],
			       js_get_str(error, "message"));
	}
	json_object_put(answer);
	return ret;
}

static void tell(struct ctl *c, const struct checkpoint *p)
{
	struct json_object *o;

	if (!c->json) {
		fprintf(c->out, "checkpoint of %s: a spare has generation %llu\n", p->name,
			p->committed);
		return;
	}
	o = js_document();
	js_str(o, "name", p->name);
	js_u64(o, "committed", p->committed);
	ctl_print_json(c, o);
}

int verb_checkpoint(struct ctl *c, int argc, char **argv)
{
	const struct timespec pause = { .tv_nsec = LOOK_NS };
	const u32 seconds = c->timeout_s ? c->timeout_s : TIMEOUT_S;
	const u64 end = monitor_clock(CLOCK_MONOTONIC) + seconds * NSEC_PER_SEC;
	struct checkpoint p = { .name = argc ? argv[0] : NULL };
	u64 before;
	int i, ret;

	if (argc != 1)
		return ctl_fail(c, EXIT_USAGE, "usage", "cptdevctl status",
				"checkpoint needs the name of one session");
	for (i = 1; i <= TIMES; i++) {
		ret = ask_for_one(c, argv);
		if (ret)
			return ret;
		if (i == 1)
			look(c, &p, ~0ULL, false);
		before = p.generation;
		while (!look(c, &p, before, i == TIMES)) {
			if (monitor_clock(CLOCK_MONOTONIC) >= end)
				return ctl_fail(c, EXIT_TIMEOUT, "timeout", "cptdevctl status",
						"not within %u s: %s", seconds, p.why);
			nanosleep(&pause, NULL);
		}
	}
	tell(c, &p);
	return EXIT_DONE;
}
