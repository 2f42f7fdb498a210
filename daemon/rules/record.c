// SPDX-License-Identifier: GPL-2.0-or-later
/* The rules about records. */
#include <stdio.h>
#include <string.h>

#include "bounds.h"
#include "record.h"
#include "uuid.h"

enum record_meeting record_meet(const struct record *r, u64 term, const u8 *owner)
{
	if (term != r->term)
		return term < r->term ? MEET_LOWER : MEET_HIGHER;
	if (uuid_same(owner, uuid_none) || uuid_same(r->owner, uuid_none))
		return MEET_SAME;
	return uuid_same(owner, r->owner) ? MEET_SAME : MEET_SPLIT;
}

static void stand_still(struct record *r, const u8 *owner, const char *name)
{
	memcpy(r->other, owner, sizeof(r->other));
	snprintf(r->other_name, sizeof(r->other_name), "%s", name);
}

void record_split(struct record *r, const u8 *owner, const char *name)
{
	stand_still(r, owner, name);
	r->split = true;
}

void record_overtaken(struct record *r, u64 term, const u8 *owner, const char *name)
{
	stand_still(r, owner, name);
	r->lost_term = term;
}

bool record_stands_still(const struct record *r)
{
	return r->split || r->lost_term;
}

void record_resolved(struct record *r)
{
	r->split = false;
	r->lost_term = 0;
	memset(r->other, 0, sizeof(r->other));
	memset(r->other_name, 0, sizeof(r->other_name));
}

bool record_of_other(const struct record *r, u32 uid)
{
	return r && r->owned && r->uid != uid;
}

void record_own(struct record *r, u32 uid)
{
	r->owned = true;
	r->uid = uid;
}

int record_hand(struct record *r, const u8 *node, const char *name)
{
	if (r->term >= CPTDEV_TERM_MAX)
		return -1;
	r->handed = r->term + 1;
	memcpy(r->handed_to, node, sizeof(r->handed_to));
	snprintf(r->handed_name, sizeof(r->handed_name), "%s", name);
	return 0;
}

void record_kept(struct record *r)
{
	r->handed = 0;
	memset(r->handed_to, 0, sizeof(r->handed_to));
	memset(r->handed_name, 0, sizeof(r->handed_name));
}

bool record_weighs(const struct record *r)
{
	return r->generation && !r->ended;
}

bool record_used(const struct record *r)
{
	/* Whoever only asks for its state has gone on with nothing. */
	return r->role != RECORD_TAKING && (r->term > 1 || record_weighs(r));
}

/* Is there content under this name that somebody relied on, other than this session's? */
static bool holds_other(const struct record *r, const u8 *session)
{
	return record_weighs(r) && !uuid_same(r->session, session);
}

/* Goes on with what was promoted here: with its term, which is this host's. */
static bool goes_on(const struct record *r, u64 term, const u8 *self)
{
	return r->role == RECORD_PROMOTED && !r->promoting && r->term == term &&
		uuid_same(r->owner, self);
}

enum record_start record_start(const struct record *r, const u8 *session, u64 term,
			       bool replace, const u8 *self)
{
	if (!r)
		return START_FRESH;
	if (term < r->term)
		return START_LOWER;
	if (uuid_same(r->session, session) && r->role == RECORD_PRIMARY)
		return START_SAME;
	/* A higher term isn't an accident: somebody restored what there was, and said so. */
	if (goes_on(r, term, self) || term > r->term)
		return START_TAKEN;
	if (replace)
		return START_REPLACE;
	return holds_other(r, session) ? START_LOST : START_FRESH;
}

void record_unfollowed(struct record *r)
{
	memset(r->followers, 0, sizeof(r->followers));
	r->nr_followers = 0;
	r->spare = false;
	r->alone_since = 0;
	r->alone_said = false;
}

static struct record_follower *follower(const struct record *r, const u8 *node)
{
	u32 i;

	for (i = 0; i < r->nr_followers; i++)
		if (uuid_same(r->followers[i].node, node))
			return (struct record_follower *)&r->followers[i];
	return NULL;
}

bool record_follows(const struct record *r, const u8 *node)
{
	const struct record_follower *f = follower(r, node);

	return f && !f->left;
}

int record_follow(struct record *r, const u8 *node, const char *name)
{
	struct record_follower *f;

	/* Those that followed before lack what was acknowledged meanwhile. */
	if (r->alone_since || !r->spare)
		record_unfollowed(r);
	f = follower(r, node);
	if (!f) {
		if (r->nr_followers == RECORD_FOLLOWERS_MAX)
			return -1;
		f = &r->followers[r->nr_followers++];
		memcpy(f->node, node, CPTDEV_UUID_LEN);
	}
	memset(f->name, 0, sizeof(f->name));
	snprintf(f->name, sizeof(f->name), "%s", name);
	f->left = false;
	r->spare = true;
	return 0;
}

void record_left(struct record *r, const u8 *node)
{
	struct record_follower *f = follower(r, node);
	u32 i, left = 0;

	if (f)
		f->left = true;
	for (i = 0; i < r->nr_followers; i++)
		left += r->followers[i].left;
	if (left < r->nr_followers)
		return;
	/* It lacks nothing, as long as nothing is acknowledged. */
	if (f)
		f->left = false;
	r->spare = false;
}

void record_drop(struct record *r, const u8 *node)
{
	struct record_follower *f = follower(r, node);

	if (!f)
		return;
	memmove(f, f + 1, (char *)&r->followers[r->nr_followers--] - (char *)(f + 1));
	memset(&r->followers[r->nr_followers], 0, sizeof(*f));
}

bool record_lacked(const struct record *r, const u8 *node)
{
	return r->alone_since || (r->generation && !record_follows(r, node));
}

void record_started(struct record *r, const char *name, const u8 *session, u64 term,
		    const u8 *self, const u8 *boot)
{
	bool same = uuid_same(r->session, session) && r->role == RECORD_PRIMARY;
	/* What was acknowledged alone is in the copy that it goes on from, and nowhere else. */
	bool on_the_spot = r->role == RECORD_PROMOTED && r->term == term && !r->promoting &&
		r->before_role == RECORD_PRIMARY;
	u64 alone_since = on_the_spot ? r->alone_since : 0;
	bool alone_said = on_the_spot && r->alone_said;
	struct record_follower gave = r->followers[0];

	r->taken_back = r->taken_back && (same || (r->role == RECORD_PROMOTED && r->term == term));
	r->source = false;
	/* Whoever follows it may not have heard that it ended. */
	if (!same && r->ended && r->generation)
		memcpy(r->before, r->session, CPTDEV_UUID_LEN);
	strcpy(r->name, name);
	if (term != r->term || !same)
		memcpy(r->owner, self, CPTDEV_UUID_LEN);
	r->term = term;
	r->role = RECORD_PRIMARY;
	if (!same) {
		r->generation = 0;
		/* The host that gave the state may be asked for it again. */
		record_unfollowed(r);
		r->alone_since = alone_since;
		r->alone_said = alone_said;
		if (r->taken_back && !uuid_same(gave.node, uuid_none)) {
			r->followers[0] = gave;
			r->nr_followers = 1;
		}
		r->others = r->unsure = false;
	}
	memcpy(r->session, session, CPTDEV_UUID_LEN);
	memcpy(r->boot, boot, CPTDEV_UUID_LEN);
	r->ended = false;
	r->failed = false;
	r->unseen = false;
	r->outdated = false;
	r->promoting = false;
	record_kept(r);
}

enum record_feed record_feed(const struct record *r, const u8 *session, u64 term,
			     const u8 *owner, bool replace)
{
	enum record_meeting met;

	if (!r)
		return FEED_OK;
	met = record_meet(r, term, owner);
	if (met == MEET_LOWER)
		return FEED_FENCED;
	if (met == MEET_SPLIT && record_used(r))
		return FEED_SPLIT;
	/* A higher term comes from a promotion: it goes on from what was acknowledged. */
	if (met == MEET_SAME && holds_other(r, session) && !replace)
		return FEED_OTHER;
	return FEED_OK;
}

void record_fed(struct record *r, const char *name, const u8 *session, u64 term,
		const u8 *owner, const u8 *boot)
{
	/* The replica still has another session's content, until the first commit. */
	if (!uuid_same(r->session, session)) {
		r->outdated |= r->generation != 0;
		r->generation = 0;
	}
	strcpy(r->name, name);
	r->term = term;
	r->role = RECORD_SPARE;
	memcpy(r->owner, owner, CPTDEV_UUID_LEN);
	memcpy(r->session, session, CPTDEV_UUID_LEN);
	memcpy(r->boot, boot, CPTDEV_UUID_LEN);
	memset(r->before, 0, CPTDEV_UUID_LEN);
	record_resolved(r);
	record_kept(r);
	r->ended = false;
	r->failed = false;
	r->unseen = false;
	r->promoting = false;
	r->taken_back = false;
}

bool record_outdated(const struct record *r, const u8 *session)
{
	/* The program that went on from it is none the older for having ended in order. */
	return r->outdated ||
		(r->role == RECORD_PRIMARY && r->generation && !uuid_same(r->session, session));
}

void record_progress(struct record *r, u64 generation)
{
	r->generation = generation;
	r->outdated = false;
	r->source = false;
	r->taken_back = false;
}

int record_promote(struct record *r, const char *name, u64 term, u64 replica,
		   const u8 *self)
{
	u64 highest = MAX(r->term, replica);

	if (!term && highest < CPTDEV_TERM_MAX)
		term = highest + 1;
	if (!term || term <= highest || term > CPTDEV_TERM_MAX || term_jumps(highest, term))
		return -1;
	strcpy(r->name, name);
	r->before_term = r->term;
	r->before_role = r->role;
	r->taken_back = r->role == RECORD_TAKING;
	memcpy(r->before_owner, r->owner, CPTDEV_UUID_LEN);
	r->term = term;
	r->role = RECORD_PROMOTED;
	memcpy(r->owner, self, CPTDEV_UUID_LEN);
	r->promoting = true;
	return 0;
}

void record_promoted(struct record *r, bool done)
{
	if (!r->promoting)
		return;
	r->promoting = false;
	if (done) {
		r->others = r->unsure = false;
		/* A term that nobody else has. */
		record_resolved(r);
		record_kept(r);
		return;
	}
	r->taken_back = false;
	r->term = r->before_term;
	r->role = r->before_role;
	memcpy(r->owner, r->before_owner, CPTDEV_UUID_LEN);
}

bool record_lost(const struct record *r, const u8 *boot)
{
	return record_weighs(r) && !uuid_same(r->boot, boot);
}

bool record_gone(const struct record *r, const u8 *self, const u8 *boot)
{
	return r->term > 1 && r->role != RECORD_SPARE && !r->ended && !r->promoting &&
		uuid_same(r->owner, self) &&
		(r->failed || r->role == RECORD_TAKING || !uuid_same(r->boot, boot));
}

bool record_may_take_back(const struct record *r)
{
	if (r->ended || r->outdated || r->promoting)
		return false;
	/* Another one may have been promoted meanwhile. */
	if (r->nr_followers > 1)
		return false;
	if (record_asked_back(r))
		return true;
	return r->role == RECORD_PRIMARY && r->spare && !r->alone_since && record_weighs(r);
}

bool record_asked_back(const struct record *r)
{
	return r->role == RECORD_TAKING || r->taken_back;
}

int record_take_back(struct record *r, const u8 *self)
{
	if (r->term >= CPTDEV_TERM_MAX)
		return -1;
	r->term++;
	r->role = RECORD_TAKING;
	memcpy(r->owner, self, CPTDEV_UUID_LEN);
	return 0;
}

enum record_source record_source(const struct record *r, const u8 *session, u64 term,
				 const u8 *owner, bool again)
{
	enum record_meeting met;

	if (!r)
		return SOURCE_OTHER;
	met = record_meet(r, term, owner);
	if (met == MEET_LOWER || met == MEET_SPLIT || r->role == RECORD_PROMOTED)
		return SOURCE_FENCED;
	if (r->role != RECORD_SPARE || !uuid_same(r->owner, owner))
		return SOURCE_OTHER;
	if (r->source && again)
		return SOURCE_OK;
	if (!uuid_same(r->session, session))
		return SOURCE_OTHER;
	return r->outdated || r->others || !r->generation ? SOURCE_LACKS : SOURCE_OK;
}

enum record_source record_yields(const struct record *r, u64 term, const u8 *owner)
{
	enum record_meeting met;

	/* There is nothing that could be promoted. */
	if (!r)
		return SOURCE_OK;
	met = record_meet(r, term, owner);
	if (met == MEET_LOWER || met == MEET_SPLIT || r->role == RECORD_PROMOTED)
		return SOURCE_FENCED;
	return r->role == RECORD_SPARE ? SOURCE_OK : SOURCE_OTHER;
}

void record_yielded(struct record *r, const u8 *session, u64 term, const u8 *owner)
{
	r->term = term;
	memcpy(r->owner, owner, CPTDEV_UUID_LEN);
	/* If the owner loses its copy, too, this one is as good. */
	if (!r->outdated && r->generation && uuid_same(r->session, session))
		r->source = true;
	r->outdated = true;
}

bool record_goes_on_from(const struct record *r, const struct cptdev_image_info *info)
{
	bool began = info->state & CPTDEV_IMAGE_PROMOTED;

	if (!(info->state & CPTDEV_IMAGE_KEPT) || info->state & CPTDEV_IMAGE_REMOVED || !info->generation)
		return false;
	if (r->outdated || r->ended || r->promoting || r->handed || record_stands_still(r))
		return false;
	if (r->role == RECORD_PROMOTED)
		return began && info->term == r->term;
	if (r->role != RECORD_PRIMARY && r->role != RECORD_TAKING)
		return false;
	if (uuid_same(info->uuid, r->session))
		return info->generation >= r->generation;
	/* The last program began from it, and was acknowledged nothing. */
	return !r->generation && began && info->term + (r->role == RECORD_TAKING) == r->term;
}

bool record_has_rival(const struct record *r)
{
	return r->role == RECORD_TAKING ||
		(r->role == RECORD_PRIMARY && r->spare && !r->alone_since);
}

void record_lends(struct record *r, u64 term)
{
	r->term = term;
}

void record_lent(struct record *r)
{
	r->outdated = true;
	r->source = true;
}
