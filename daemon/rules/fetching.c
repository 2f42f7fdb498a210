// SPDX-License-Identifier: GPL-2.0-or-later
/* The rules about programs that begin from another host's replica. */
#include <stdio.h>
#include <string.h>

#include "fetching.h"
#include "uuid.h"

/* A program of this host was acknowledged data, and nobody went on without it. */
static bool owes(const struct record *r)
{
	return r && r->role == RECORD_PRIMARY && !r->outdated && !r->taken_back && record_weighs(r);
}

enum fetching record_may_fetch(const struct record *r, const u8 *node)
{
	if (!r)
		return FETCHING_OK;
	if (record_stands_still(r) || r->promoting || r->handed)
		return FETCHING_STANDS_STILL;
	/* What was begun in this way may be begun anew, until something is acknowledged. */
	if (record_asked_back(r))
		return FETCHING_OK;
	if (r->role == RECORD_PROMOTED)
		return FETCHING_HAS;
	if (r->role == RECORD_SPARE)
		return r->generation && !r->outdated ? FETCHING_HAS : FETCHING_OK;
	if (owes(r) && (!r->spare || r->alone_since || !record_follows(r, node)))
		return FETCHING_LACKS;
	return FETCHING_OK;
}

bool record_is_there(const struct record *r, const u8 *session, u64 generation)
{
	return !owes(r) || (uuid_same(r->session, session) && r->generation <= generation);
}

void record_fetching(struct record *r, const char *name, u64 term, const u8 *self,
		     const u8 *boot, const struct fetch_from *from)
{
	const struct record old = *r;

	memset(r, 0, sizeof(*r));
	snprintf(r->name, sizeof(r->name), "%s", name);
	r->owned = old.owned;
	r->uid = old.uid;
	memcpy(r->ack, old.ack, sizeof(r->ack));
	r->term = term;
	r->role = RECORD_TAKING;
	memcpy(r->owner, self, CPTDEV_UUID_LEN);
	memcpy(r->boot, boot, CPTDEV_UUID_LEN);
	memcpy(r->session, from->session, CPTDEV_UUID_LEN);
	r->generation = from->generation;
	/* It may be asked again. */
	record_follow(r, from->node, from->node_name);
}

int record_fetched(struct record *r)
{
	if (r->term >= CPTDEV_TERM_MAX)
		return -1;
	r->term++;
	r->role = RECORD_PROMOTED;
	r->taken_back = true;
	return 0;
}

bool record_awaits(const struct record *r, u64 term)
{
	return r && r->role == RECORD_TAKING && term > r->term;
}

enum lending record_may_lend(const struct record *r, u64 term, const u8 *owner, bool again)
{
	if (!r || r->role == RECORD_PRIMARY || r->role == RECORD_TAKING)
		return LENDING_NONE;
	if (r->role == RECORD_PROMOTED)
		return LENDING_FENCED;
	if (term && (term < r->term || (term == r->term && !uuid_same(owner, r->owner))))
		return LENDING_FENCED;
	if (again && r->source && uuid_same(owner, r->owner))
		return LENDING_OK;
	return r->outdated || r->unsure || !r->generation ? LENDING_LACKS : LENDING_OK;
}

void record_lend(struct record *r, u64 term, const u8 *owner)
{
	r->term = term;
	memcpy(r->owner, owner, CPTDEV_UUID_LEN);
	/* They are of the program that was overtaken. */
	r->ended = r->failed = r->unseen = false;
}
