// SPDX-License-Identifier: GPL-2.0-or-later
/* cptdevctl status */
#include <unistd.h>

#include "monitor.h"
#include "problems.h"
#include "top.h"
#include "view.h"

static void show_json(struct ctl *c, const struct view *v, const struct problems *p)
{
	struct json_object *o = view_json(v);

	if (c->check)
		js_put(o, "problems", problems_json(p));
	ctl_print_json(c, o);
}

static int show(struct ctl *c)
{
	struct problems p;
	struct view v;
	int status;

	view_gather(&v, c->kernel, c->socket);
	problems_find(&v, &p);
	if (c->json)
		show_json(c, &v, &p);
	else
		view_text(&v, c->out);
	if (c->check && !c->json)
		problems_text(&p, c->out);
	status = v.kernel_err ? EXIT_KERNEL : EXIT_DONE;
	view_free(&v);
	return c->check ? (int)p.worst : status;
}

/* The exit status is that of the last look. */
static int watch(struct ctl *c)
{
	u64 now = monitor_clock(CLOCK_MONOTONIC);
	const u64 end = c->timeout_s ? now + c->timeout_s * NSEC_PER_SEC : ~0ULL;
	const bool screen = isatty(fileno(c->out));
	bool first = true;
	int status;

	if (c->json)
		return ctl_fail(c, EXIT_USAGE, "usage", "cptdevctl monitor --json",
				"status --watch is for people; it has no JSON");
	c->streams = true;
	do {
		fputs(screen ? TOP_CLEAR : first ? "" : "\n", c->out);
		status = show(c);
		fflush(c->out);
		first = false;
		now = monitor_clock(CLOCK_MONOTONIC);
	} while (now + TOP_INTERVAL_MS * NSEC_PER_MSEC <= end && top_next(c->out));
	return status;
}

int verb_status(struct ctl *c, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return c->watch ? watch(c) : show(c);
}
