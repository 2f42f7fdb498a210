/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a host keeps on disk for the name of a session, and what follows from it: rules R1, R2,
 * R4, R5 and R9 of the failure model (Documentation/failure-model.rst). No I/O and no clock.
 *
 * A pair is a term and its owner, the node that raised it or, for the first term, on which
 * the program was started. A higher term wins. Equal terms of different owners are a split
 * brain: both hosts have been told to go on, and neither is right.
 */
#ifndef CPTDEVD_RECORD_H
#define CPTDEVD_RECORD_H

#include <linux/cptdev.h>

#include "types.h"

enum record_role {
	RECORD_PRIMARY,		/* a session of this host */
	RECORD_SPARE,		/* a replica of this host, fed by the owner */
	RECORD_PROMOTED,	/* a replica of this host that was promoted */
	RECORD_TAKING,		/* its memory is lost, and taken back from the spare */
};

#define RECORD_FOLLOWERS_MAX	16
#define RECORD_ACK_MAX	256

struct record {
	char name[CPTDEV_NAME_MAX];
	u64 term;
	u8 owner[CPTDEV_UUID_LEN];
	bool owned;			/* @uid is known; files of older versions don't say */
	u32 uid;			/* the user whose name it is, on both hosts */
	u32 role;			/* enum record_role */
	u8 session[CPTDEV_UUID_LEN];	/* whose content it is; zeros: nothing yet */
	/* Newest one acknowledged or committed; on disk it may be some seconds behind. */
	u64 generation;
	u8 boot[CPTDEV_UUID_LEN];	/* of the kernel that had the memory */
	bool ended;			/* the program ended in order */
	bool failed;			/* it ended otherwise */
	bool unseen;			/* it ended while its daemon was away: how isn't known */
	u8 before[CPTDEV_UUID_LEN];	/* the session before it, which ended in order; or zeros */
	bool outdated;			/* a primary acknowledged data without this replica */
	/* Of a replica whose owner has other spares: */
	bool others;			/* another host may be promoted as well */
	bool unsure;			/* something may be acknowledged before this one has it */
	bool source;			/* outdated only since the owner has a copy of this replica */
	/* Of a session: */
	bool taken_back;		/* it goes on from a copy, and nothing was acknowledged since */
	bool spare;			/* one followed it, and may be promoted */
	/* The nodes that may be promoted, as @spare says; none: there was none, or it isn't known. */
	struct record_follower {
		u8 node[CPTDEV_UUID_LEN];
		char name[CPTDEV_NAME_MAX];
		bool left;		/* in order, and it is outdated since */
		bool others;		/* it knows that it isn't the only one, */
		bool unsure;		/* and that it may lack something */
	} followers[RECORD_FOLLOWERS_MAX];
	u32 nr_followers;
	u64 alone_since;		/* acknowledged without one: s since 1970; 0: it isn't */
	bool alone_said;		/* by word of a person */
	char ack[RECORD_ACK_MAX];	/* a policy that a person gave, see ack.h; empty: none */
	/*
	 * It was handed over in order (switchover.h): whether the other host has taken the term isn't
	 * known yet, and nobody is answered here. 0: it wasn't.
	 */
	u64 handed;
	u8 handed_to[CPTDEV_UUID_LEN];
	char handed_name[CPTDEV_NAME_MAX];
	/* A promotion that isn't answered yet: what to return to. */
	bool promoting;
	u64 before_term;
	u8 before_owner[CPTDEV_UUID_LEN];
	u32 before_role;
	/* Until a person decides, or the other host says that one has: */
	bool split;			/* another host has the same term */
	u64 lost_term;			/* a higher one, whose host lost its memory; 0: none */
	u8 other[CPTDEV_UUID_LEN];	/* the node that has it */
	char other_name[CPTDEV_NAME_MAX];
};

/* How the pair of somebody else stands to a record's. An owner of zeros isn't known. */
enum record_meeting {
	MEET_SAME,
	MEET_LOWER,		/* the other one's is lower */
	MEET_HIGHER,		/* the other one's is higher: this host is fenced */
	MEET_SPLIT,		/* equal terms of different owners */
};

enum record_meeting record_meet(const struct record *r, u64 term, const u8 *owner);

/*
 * Nobody goes on under the name: @owner, a host that calls itself @name, has the same term, or had a
 * higher one and lost what followed from it. Only a person knows which data is given up, so it
 * outlives the daemon.
 */
void record_split(struct record *r, const u8 *owner, const char *name);
void record_overtaken(struct record *r, u64 term, const u8 *owner, const char *name);
bool record_stands_still(const struct record *r);
void record_resolved(struct record *r);

/* Is the name another user's than @uid? It stays the user's until the record is given up. */
bool record_of_other(const struct record *r, u32 uid);
void record_own(struct record *r, u32 uid);

/* What becomes of a session that is new on this host. */
enum record_start {
	START_FRESH,		/* nothing is known under its name, or it ended in order */
	START_SAME,		/* it was here before: the daemon was started anew */
	START_TAKEN,		/* it goes on with what was promoted here, or has a higher term */
	START_REPLACE,		/* the loss of what was there is accepted */
	START_LOST,		/* its memory isn't what was acknowledged: that is said */
	START_LOWER,		/* a higher term is on record: it is fenced */
};

/* @session, @term, @replace: as it was set up. @r may be NULL. */
enum record_start record_start(const struct record *r, const u8 *session, u64 term,
			       bool replace, const u8 *self);
/* The record of a session that may start. */
void record_started(struct record *r, const char *name, const u8 *session, u64 term,
		    const u8 *self, const u8 *boot);

/* May this host be fed by a session of @owner? */
enum record_feed {
	FEED_OK,
	FEED_FENCED,		/* this host has a higher pair */
	FEED_SPLIT,
	FEED_OTHER,		/* of another session, whose data would be lost in silence */
};

/* Would anybody miss what is on record? */
bool record_weighs(const struct record *r);
/*
 * Did anything follow from its pair: a promotion, an acknowledgement? Two programs that were both
 * started anew are no split brain, and an empty one is none for a host that has data.
 */
bool record_used(const struct record *r);
enum record_feed record_feed(const struct record *r, const u8 *session, u64 term,
			     const u8 *owner, bool replace);
void record_fed(struct record *r, const char *name, const u8 *session, u64 term,
		const u8 *owner, const u8 *boot);

/*
 * Does somebody rely on data that a replica with content of @session lacks? A program of this
 * host went on from it and was acknowledged, or another host has a higher pair and has not fed
 * this one since.
 */
bool record_outdated(const struct record *r, const u8 *session);
/* Generation @generation was committed here or acknowledged. */
void record_progress(struct record *r, u64 generation);

/*
 * A promotion on this host: on disk before the replica is promoted. @term: 0 for the next one,
 * and never below what the @replica has. 0, or -1: no term is higher, or @term is too far above.
 */
int record_promote(struct record *r, const char *name, u64 term, u64 replica,
		   const u8 *self);
/* It was done, or it failed: as before. */
void record_promoted(struct record *r, bool done);

/* The next term is offered to @node, which calls itself @name; 0, or -1: no term is higher. */
int record_hand(struct record *r, const u8 *node, const char *name);
/* That is known to be over, one way or the other. */
void record_kept(struct record *r);

/* No spare did. */
void record_unfollowed(struct record *r);
/* A spare follows the session, in addition to those that are in step. 0, or -1: there are too many. */
int record_follow(struct record *r, const u8 *node, const char *name);
/* It isn't waited for any more. */
void record_drop(struct record *r, const u8 *node);
/* It left in order. */
void record_left(struct record *r, const u8 *node);
bool record_follows(const struct record *r, const u8 *node);
/* Was data of the session acknowledged that this node may not have? */
bool record_lacked(const struct record *r, const u8 *node);

/*
 * This host went on with a term of its own, and hasn't what followed from it any more: it was
 * started anew, or the program failed. A person decides whether that is given up.
 */
bool record_gone(const struct record *r, const u8 *self, const u8 *boot);

/* The memory that the record is of is gone: the host was started anew. */
bool record_lost(const struct record *r, const u8 *boot);

/*
 * Taking back (rule R1): a host whose program and memory are gone gets them from its spare's
 * replica. May it? Everything that it acknowledged has to be there: a spare followed, and nothing
 * was acknowledged without it.
 */
bool record_may_take_back(const struct record *r);
/* The other host was asked before: it may have handed out its replica already. */
bool record_asked_back(const struct record *r);
/*
 * The next term, which is this host's: on disk before the spare is asked. 0, or -1: no term is
 * higher.
 */
int record_take_back(struct record *r, const u8 *self);

/* The answer of the spare's host to @owner, which asks for @session's content with @term. */
enum record_source {
	SOURCE_OK,
	SOURCE_FENCED,		/* this host has a higher pair, or it took over */
	SOURCE_OTHER,		/* the replica isn't of that session, or of another host's */
	SOURCE_LACKS,		/* the replica lacks what was acknowledged */
};

/* @again: nothing was acknowledged since this host was asked before. @r may be NULL. */
enum record_source record_source(const struct record *r, const u8 *session, u64 term,
				 const u8 *owner, bool again);
/*
 * The owner goes on from a copy of its own, and asks with its next @term: may it, as far as this host
 * knows? From then on this host's replica isn't promoted: on disk before the answer. @session: whose
 * content the owner has.
 */
enum record_source record_yields(const struct record *r, u64 term, const u8 *owner);
void record_yielded(struct record *r, const u8 *session, u64 term, const u8 *owner);

/*
 * A copy of @info that this host has kept of its own session: does a program that is started anew go on
 * from it? It has everything that was acknowledged.
 */
bool record_goes_on_from(const struct record *r, const struct cptdev_image_info *info);
/* Its spare may be promoted at any time, so that the copy alone decides nothing. */
bool record_has_rival(const struct record *r);

/* The spare's record: the owner's next term, and then, before the last frame, the mark. */
void record_lends(struct record *r, u64 term);
void record_lent(struct record *r);

#endif
