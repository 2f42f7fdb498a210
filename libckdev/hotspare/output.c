// SPDX-License-Identifier: LGPL-2.1-or-later
/* libhotspare: output that cptdevd holds, see output.h. */
#include <stdbool.h>

#include "error.h"
#include "fd.h"
#include "mark.h"
#include "module.h"
#include "output.h"

/* Once: it may be what the program wants, with connections that are idle when it is moved. */
static void tell_not_held(void)
{
	static bool told;

	if (told)
		return;
	told = true;
	hs_say("libhotspare: TCP connections are registered, but their output isn't held: after a "
	       "take-over clients may wait for ever: see [hold] in cptdevd.conf(5)");
}

int hs_output_mark(struct hs_error *e)
{
	enum hs_fds_tcp tcp = hs_fds_tcp();
	int fd = tcp ? hs_snapshot_session(NULL) : -1, held = 0;

	if (tcp && hs_handed_over())
		held = hs_mark(fd, e);
	if (held < 0)
		return -1;
	if (tcp == HS_FDS_CONNECTED && !held)
		tell_not_held();
	return 0;
}
