// SPDX-License-Identifier: LGPL-2.1-or-later
/* cptdev-run: the command that is run before and after a checkpoint, see around.h. */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../hotspare/command.h"
#include "around.h"
#include "proc.h"

int run_command(const struct run *r, const char *text, const char *event, struct hs_error *e)
{
	const struct hs_command c = {
		.text = text, .env = environ, .limit = r->o.hook_s,
		.option = text == r->o.around ? "--checkpoint-hook" : NULL,
	};
	struct hs_image_head head = { .generation = r->generation };

	snprintf(head.app, sizeof(head.app), "%s", r->name);
	return hs_command_run(&c, event, &head, e);
}

int run_around(const struct run *r, const char *event)
{
	struct hs_error e = { { 0 } };
	int ret = run_command(r, r->o.around, event, &e);

	if (ret)
		run_say(r, e.text);
	return ret;
}

/* In a process of its own: the command may talk to the program, which we follow meanwhile. */
static void start_hook(struct run *r, const char *event)
{
	r->hook = fork();
	if (!r->hook)
		_exit(run_around(r, event) ? 1 : 0);
	if (r->hook > 0)
		return;
	r->hook = 0;
	run_say(r, "a process for the command of --checkpoint-hook can't be made");
}

/* That of the event "post-checkpoint" changes nothing. */
void run_on_hook(struct run *r, int status)
{
	r->hook = 0;
	if (!r->preparing)
		return;
	r->preparing = false;
	r->prepared = WIFEXITED(status) && !WEXITSTATUS(status);
	if (r->prepared)
		return;
	r->refused++;
	r->next_ns = run_period_end(r);
	r->wanted_ns = r->o.every_ms ? r->next_ns : run_clock_ns(CLOCK_MONOTONIC) + RUN_AGAIN_NS;
}

void run_take(struct run *r, bool possible)
{
	if (r->o.around && !r->prepared) {
		start_hook(r, RUN_EVENT_BEFORE);
		r->preparing = r->hook;
		return;
	}
	if (possible)
		run_checkpoint(r);
	r->prepared = false;
	if (r->o.around)
		start_hook(r, RUN_EVENT_AFTER);
}

void run_hook_end(struct run *r)
{
	int status;

	if (r->hook && waitpid(r->hook, &status, 0) == r->hook)
		run_on_hook(r, status);
	if (r->prepared)
		run_around(r, RUN_EVENT_AFTER);
}
