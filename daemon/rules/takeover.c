// SPDX-License-Identifier: GPL-2.0-or-later
/* Whether a program of this host takes over. */
#include "takeover.h"

enum takeover takeover_decide(const struct takeover_facts *f)
{
	if (!f->automatic || (!f->failed && !f->dead))
		return TAKEOVER_NO;
	if (f->others)
		return TAKEOVER_OTHERS;
	/* A program that has ended answers nobody, whatever its host does. */
	if (f->failed)
		return f->waited ? TAKEOVER_NOW : TAKEOVER_NOBODY;
	/* A host isn't switched off for a replica that nobody goes on with. */
	if (f->waited && f->fencing == FENCING_DUE)
		return TAKEOVER_FENCE;
	if (f->fencing == FENCING_RUNS)
		return TAKEOVER_LATER;
	if (f->fencing != FENCING_OFF && !f->lease_over)
		return TAKEOVER_LATER;
	return f->waited ? TAKEOVER_NOW : TAKEOVER_NOBODY;
}

const char *fencing_word(enum fencing f)
{
	static const char *const words[] = {
		[FENCING_NONE] = "none", [FENCING_DUE] = "not run", [FENCING_RUNS] = "runs",
		[FENCING_OFF] = "succeeded", [FENCING_FAILED] = "failed",
	};

	return words[f];
}
