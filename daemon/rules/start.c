// SPDX-License-Identifier: GPL-2.0-or-later
/* The rules about programs that ask before they start. */
#include "start.h"

static enum start_why why_of(const struct start_facts *f)
{
	const struct record *r = f->r;

	if (f->damaged)
		return WHY_DAMAGED;
	if (f->split)
		return WHY_SPLIT;
	if (f->lives)
		return WHY_LIVES;
	if (!r)
		return f->fed ? WHY_REPLICA : WHY_NOTHING;
	/* It is fed its own state then. */
	if (r->role == RECORD_TAKING && !r->outdated)
		return WHY_TAKING;
	/* The other host's program lives, whatever the last one did. */
	if (f->fed)
		return WHY_REPLICA;
	if (r->outdated && r->role != RECORD_SPARE)
		return WHY_OVERTAKEN;
	if (r->role == RECORD_PROMOTED)
		return WHY_PROMOTED;
	if (r->ended)
		return WHY_ENDED;
	if (r->role == RECORD_SPARE)
		return record_used(r) || r->outdated ? WHY_REPLICA : WHY_NOTHING;
	/* Whoever took over has acknowledged nothing of its own so far, but goes on from much. */
	return record_used(r) ? WHY_LOST : WHY_NOTHING;
}

/* Nobody took over: the state is in the other host's replica, if that has all of it. */
static enum start_answer take_back(const struct start_facts *f, enum start_why *why)
{
	if (!record_may_take_back(f->r))
		*why = WHY_LACKS;
	else if (f->other_host)
		*why = WHY_OTHER_HOST;
	else if (f->no_feature)
		*why = WHY_NO_FEATURE;
	else if (f->not_given)
		*why = WHY_NOT_GIVEN;
	else
		return ANSWER_TAKE_BACK;
	return ANSWER_REFUSED;
}

static bool is_lost(const struct start_facts *f, enum start_why why)
{
	return why == WHY_LOST || why == WHY_TAKING ||
		(why == WHY_PROMOTED && record_asked_back(f->r));
}

/* To become a spare loses nothing, so it is the answer wherever there is something to lose. */
enum start_answer start_ask(const struct start_facts *f, enum start_why *why)
{
	*why = why_of(f);
	if (f->kept && !f->not_given &&
	    (*why == WHY_LOST || *why == WHY_TAKING || *why == WHY_PROMOTED)) {
		*why = WHY_KEPT;
		return ANSWER_TAKE_BACK;
	}
	if (f->take_back && is_lost(f, *why))
		return take_back(f, why);
	switch (*why) {
	case WHY_NOTHING:
	case WHY_ENDED:
		return ANSWER_FRESH;
	case WHY_LIVES:
	case WHY_DAMAGED:
	case WHY_SPLIT:
		return ANSWER_REFUSED;
	default:
		return f->refuse ? ANSWER_REFUSED : ANSWER_SPARE;
	}
}

u64 start_term(const struct record *r)
{
	return r && r->term ? r->term : 1;
}
