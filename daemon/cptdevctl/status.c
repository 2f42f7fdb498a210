// SPDX-License-Identifier: GPL-2.0-or-later
/* cptdevctl status */
#include "problems.h"
#include "view.h"

static void show_json(struct ctl *c, const struct view *v, const struct problems *p)
{
	struct json_object *o = view_json(v);

	if (c->check)
		js_put(o, "problems", problems_json(p));
	ctl_print_json(c, o);
}

int verb_status(struct ctl *c, int argc, char **argv)
{
	struct problems p;
	struct view v;
	int status;

	(void)argc;
	(void)argv;
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
