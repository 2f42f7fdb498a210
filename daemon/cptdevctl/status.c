// SPDX-License-Identifier: GPL-2.0-or-later
/* cptdevctl status */
#include "view.h"

int verb_status(struct ctl *c, int argc, char **argv)
{
	struct view v;
	int status;

	(void)argc;
	(void)argv;
	view_gather(&v, c->kernel, c->socket);
	if (c->json)
		ctl_print_json(c, view_json(&v));
	else
		view_text(&v, c->out);
	status = v.kernel_err ? EXIT_KERNEL : EXIT_DONE;
	view_free(&v);
	return status;
}
