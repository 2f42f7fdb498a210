// SPDX-License-Identifier: LGPL-2.1-or-later
/* libhotspare and cptdev-run: the mark of a cut in output that cptdevd holds, see mark.h. */
#include <errno.h>

#include <ckdev.h>

#include "../internal.h"
#include "error.h"
#include "mark.h"

int hs_mark(int session, struct hs_error *e)
{
	const int ret = ckdev_soft_mark(session);

	if (ret == -ETIME)
		return hs_fail(e, ETIMEDOUT, "cptdevd doesn't answer, so that held output can't be marked");
	return ret > 0;
}
