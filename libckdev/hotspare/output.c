// SPDX-License-Identifier: LGPL-2.1-or-later
/* libhotspare: output that cptdevd holds, see output.h. */
#include <errno.h>
#include <stdbool.h>

#include <ckdev.h>

#include "../internal.h"
#include "error.h"
#include "fd.h"
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

/*
 * A daemon that is gone, or of an older version, is told by the calls that follow. One that doesn't
 * answer in time may set the mark when the program has sent more than the checkpoint has.
 */
int hs_output_mark(struct hs_error *e)
{
	enum hs_fds_tcp tcp = hs_fds_tcp();
	int fd = tcp ? hs_snapshot_session(NULL) : -1, held = 0;

	if (tcp && hs_handed_over())
		held = ckdev_soft_mark(fd);
	if (held == -ETIME)
		return hs_fail(e, ETIME, "cptdevd doesn't answer, so that held output can't be marked");
	if (tcp == HS_FDS_CONNECTED && held <= 0)
		tell_not_held();
	return 0;
}
