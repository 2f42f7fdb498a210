// SPDX-License-Identifier: GPL-2.0-or-later
/* The rules about planned switch-overs. */
#include "switchover.h"
#include "uuid.h"

const char *switch_phase_word(enum switch_phase phase)
{
	static const char *const words[] = {
		[SWITCH_ASKING] = "asking", [SWITCH_PREPARING] = "preparing",
		[SWITCH_STOPPING] = "stopping", [SWITCH_SHIPPING] = "shipping",
		[SWITCH_HANDED] = "handed-over", [SWITCH_TAKING] = "taking",
		[SWITCH_OVER] = "over",
	};

	return words[phase];
}

const char *switch_end_word(enum switch_end end)
{
	static const char *const words[] = {
		[SWITCH_RUNS] = "runs", [SWITCH_DONE] = "done", [SWITCH_FAILED] = "failed",
		[SWITCH_UNKNOWN] = "unknown",
	};

	return words[end];
}

bool switch_stops(enum switch_phase phase)
{
	return phase >= SWITCH_STOPPING && phase <= SWITCH_HANDED;
}

bool switch_is_handed(enum switch_phase phase)
{
	return phase >= SWITCH_HANDED;
}

bool switch_has(u64 has, u64 last)
{
	return has >= last;
}

bool switch_promotes(bool told)
{
	return told;
}

enum handover record_handover(const struct record *r, const u8 *session, u64 term,
			      const u8 *owner, const u8 *self)
{
	if (!r)
		return HAND_OTHER;
	if (r->term >= term)
		return r->role != RECORD_SPARE && r->role != RECORD_TAKING && !r->promoting &&
			uuid_same(r->owner, self) ? HAND_DONE : HAND_FENCED;
	if (r->role != RECORD_SPARE || !uuid_same(r->owner, owner) ||
	    !uuid_same(r->session, session))
		return HAND_OTHER;
	if (r->ended)
		return HAND_ENDED;
	return r->outdated || !r->generation ? HAND_LACKS : HAND_OK;
}
