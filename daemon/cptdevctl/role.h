/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The role of this host for a name, for scripts that decide: a cluster's resource agent. */
#ifndef CPTDEVCTL_ROLE_H
#define CPTDEVCTL_ROLE_H

#include "primary.h"
#include "view.h"

struct role {
	const char *name;
	const char *node;	/* how the daemon calls this host */
	const char *peer;	/* the other host's name, "" if it isn't known */
	const char *role;	/* primary, fenced, spare (a program waits), none */
	const char *state;	/* the daemon's word of the session, "none" without one */
	bool hung;		/* its program gives no sign of life */
	const char *replica;	/* none, empty, committed, promoted */
	bool kept;		/* it is of this host's own program, for its restart */
	u64 waiters;		/* programs that wait for its promotion */
	u64 term;		/* of the session; without one of the replica. 0: neither */
	u64 generation;		/* likewise */
	u64 record_term;	/* the highest that this host has on record, 0: none */
	const char *record;	/* the daemon's word, "none" without one */
	bool promotable;	/* promote works without --force, unless the primary is alive */
	const char *primary;	/* alive, gone, unlinked, unknown: of the replica's host */
	bool linked;		/* this host can ship to the peer */
	const char *detector;	/* the daemon's word of the peer: alive, dead, left ... */
	const char *failover;	/* manual, auto */
	const char *alone;	/* the policies: block, go-on */
	const char *on_restart;	/* spare, refuse, take-back */
	const char *why;	/* why it is fenced, blocked or can't be promoted; "" */
};

/*
 * The facts of @v about @name. Strings live as long as @v and @name, and none is NULL. The daemon
 * must have been asked: its status is where records and policies are.
 */
void role_look(const struct view *v, const char *name, struct role *r);
struct json_object *role_json(const struct role *r);
/* The same as lines "key=value"; values have no line break. */
void role_text(const struct role *r, FILE *to);

#endif
