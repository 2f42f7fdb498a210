// SPDX-License-Identifier: GPL-2.0-or-later
/* cptdevctl wait: until a session is there, or is protected. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "monitor.h"
#include "problems.h"
#include "verbs.h"
#include "wait.h"

/* The daemon's part of a status has no events. */
#define LOOK_NS		(100 * NSEC_PER_MSEC)

const struct session_rec *wait_session(const struct view *v, const char *name)
{
	u32 i;

	for (i = 0; i < v->nr_sessions; i++)
		if (!strcmp(v->sessions[i].name, name) &&
		    !(v->sessions[i].flags & CPTDEV_GENL_SESSION_FENCED))
			return &v->sessions[i];
	return NULL;
}

bool wait_is_over(const struct view *v, const char *name, bool protection, char *why, size_t size)
{
	const struct session_rec *s = wait_session(v, name);

	if (v->kernel_err == ENOENT)
		snprintf(why, size, "the module cptdev isn't loaded");
	else if (v->kernel_err)
		snprintf(why, size, "the kernel's side can't be asked: %s",
			 strerror(v->kernel_err));
	else if (protection && !v->daemon)
		snprintf(why, size, "%s", v->daemon_why);
	else if (!s)
		snprintf(why, size, "this host has no session %s", name);
	else if (!protection)
		return true;
	else
		return !problems_session(v, s, why, size);
	return false;
}

static bool look(struct ctl *c, const char *name, char *why, size_t size)
{
	struct view v;
	bool over;

	view_gather(&v, c->kernel, c->socket);
	over = wait_is_over(&v, name, c->protection, why, size);
	view_free(&v);
	return over;
}

int verb_wait(struct ctl *c, int argc, char **argv)
{
	const struct timespec pause = { .tv_nsec = LOOK_NS };
	const u32 seconds = c->timeout_s ? c->timeout_s : TIMEOUT_S;
	u64 end = monitor_clock(CLOCK_MONOTONIC) + seconds * NSEC_PER_SEC;
	char why[400];

	if (argc != 1)
		return ctl_fail(c, EXIT_USAGE, "usage", "cptdevctl status",
				"wait needs the name of one session");
	while (!look(c, argv[0], why, sizeof(why))) {
		if (monitor_clock(CLOCK_MONOTONIC) >= end)
			return ctl_fail(c, EXIT_TIMEOUT, "timeout", "cptdevctl status",
					"not within %u s: %s", seconds, why);
		nanosleep(&pause, NULL);
	}
	if (c->json)
		ctl_print_json(c, js_document());
	return EXIT_DONE;
}
