// SPDX-License-Identifier: GPL-2.0-or-later
/* The facts of the kernel and of the daemon about one name, brought together. */
#include <string.h>

#include "role.h"

static const char *word(struct json_object *o, const char *key, const char *without)
{
	const char *text = js_get_str(o, key);

	return text ? text : without;
}

/* Of the objects in a list, that which has this name; NULL is a name as well. */
static struct json_object *of_name(struct json_object *list, const char *name)
{
	size_t i;

	for (i = 0; list && i < json_object_array_length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);
		const char *text = js_get_str(o, "name");

		if ((!name && !text) || (name && text && !strcmp(text, name)))
			return o;
	}
	return NULL;
}

/* A session that is fenced makes room for one that isn't. */
static const struct session_rec *session_of(const struct view *v, const char *name)
{
	const struct session_rec *s = NULL;
	u32 i;

	for (i = 0; i < v->nr_sessions; i++) {
		if (strcmp(v->sessions[i].name, name))
			continue;
		if (!s || !(v->sessions[i].flags & CPTDEV_GENL_SESSION_FENCED))
			s = &v->sessions[i];
	}
	return s;
}

static const struct replica_rec *replica_of(const struct view *v, const char *name)
{
	u32 i;

	for (i = 0; i < v->nr_replicas; i++)
		if (!strcmp(v->replicas[i].name, name))
			return &v->replicas[i];
	return NULL;
}

static void look_at_session(const struct view *v, const struct session_rec *s, struct role *r)
{
	struct json_object *o = view_protection(v, s);
	bool fenced = s->flags & CPTDEV_GENL_SESSION_FENCED;

	r->role = fenced ? "fenced" : "primary";
	r->state = fenced ? "fenced" : word(o, "state", "unknown");
	r->hung = s->flags & CPTDEV_GENL_SESSION_HUNG;
	r->term = s->term;
	r->generation = s->generation;
	r->why = word(o, "error", "");
	if (fenced)
		r->why = "another host has taken over";
}

static void look_at_replica(const struct replica_rec *rec, struct role *r)
{
	r->replica = rec->flags & CPTDEV_GENL_REPLICA_PROMOTED ? "promoted" :
		rec->generation ? "committed" : "empty";
	r->kept = rec->flags & CPTDEV_GENL_REPLICA_KEPT;
	r->waiters = rec->waiters;
	r->term = rec->term;
	r->generation = rec->generation;
	if (rec->waiters)
		r->role = "spare";
}

/* The record's words that leave nothing to a promotion, and why. */
static const char *unfit(const struct role *r, struct json_object *record)
{
	static const struct {
		const char *state, *why;
	} known[] = {
		{ "damaged", "its record is damaged" },
		{ "split-brain", "split brain: both hosts went on" },
		{ "overtaken", "a host took over and lost its memory since" },
		{ "outdated", "the replica is outdated: it lacks data that was acknowledged" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(known); i++)
		if (!strcmp(r->record, known[i].state))
			return word(record, "error", known[i].why);
	/* As records_promote() has them. */
	if (!strcmp(word(record, "role", ""), "primary") && js_at(record, "kept"))
		return "it was kept for a restart of this host's program (keep = restart). Next: start the program here";
	if (!strcmp(word(record, "role", ""), "spare") && r->kept)
		return "nothing was committed to the replica yet";
	/* As record_outdated() has it. */
	if (!strcmp(word(record, "role", ""), "primary") && js_get_u64(record, "generation") &&
	    strcmp(r->replica, "none"))
		return "the replica is outdated: a program of this host went on from it and was acknowledged";
	if (js_get_bool(record, "source") || !strcmp(word(record, "role", ""), "taking-back"))
		return "the state is on its way back to the host that lost it";
	if (js_get_bool(record, "unsure"))
		return "there are other spares, and it may lack data that was acknowledged (policy ack)";
	if (!strcmp(r->replica, "none"))
		return "this host has no replica of it";
	if (!strcmp(r->replica, "empty"))
		return "nothing was committed to the replica yet";
	return NULL;
}

static void look_at_record(struct json_object *record, struct role *r)
{
	const char *why;

	r->record = record ? word(record, "state", "ok") : "none";
	r->record_term = js_get_u64(record, "term");
	if (!strcmp(r->role, "primary") || !strcmp(r->role, "fenced"))
		return;
	why = unfit(r, record);
	r->promotable = !why;
	r->why = why ? why : "";
}

/* The peer that feeds this host's replica, or else follows its session; or else the first. */
static struct json_object *peer_with(struct json_object *peers, const char *name)
{
	struct json_object *p, *follows = NULL;
	size_t i, n = peers ? json_object_array_length(peers) : 0;

	for (i = 0; i < n; i++) {
		p = json_object_array_get_idx(peers, i);
		if (of_name(js_at(js_at(p, "incoming"), "replicas"), name))
			return p;
		if (!follows && of_name(js_at(js_at(p, "outgoing"), "sessions"), name))
			follows = p;
	}
	return follows || !n ? follows : json_object_array_get_idx(peers, 0);
}

static void look_at_peer(const struct view *v, struct role *r)
{
	static const char *const words[] = {
		[PRIMARY_UNKNOWN] = "unknown", [PRIMARY_GONE] = "gone",
		[PRIMARY_UNLINKED] = "unlinked", [PRIMARY_ALIVE] = "alive",
	};
	struct json_object *peer = peer_with(js_at(v->daemon, "peers"), r->name);
	char text[300];

	r->peer = word(peer, "name", word(peer, "configured_name", ""));
	r->linked = !strcmp(word(js_at(peer, "outgoing"), "state", ""), "up");
	r->detector = word(peer, "detector", "none");
	r->primary = words[primary_look(v->daemon, "", r->name, text, sizeof(text))];
}

void role_look(const struct view *v, const char *name, struct role *r)
{
	struct json_object *policies = js_at(v->daemon, "policies"), *policy;
	const struct session_rec *s = session_of(v, name);
	const struct replica_rec *rec = replica_of(v, name);

	*r = (struct role) {
		.name = name, .role = "none", .state = "none", .replica = "none", .why = "",
		.node = word(js_at(v->daemon, "node"), "name", ""),
		.failover = word(v->daemon, "failover", ""),
	};
	if (rec)
		look_at_replica(rec, r);
	if (s)
		look_at_session(v, s, r);
	look_at_record(of_name(js_at(v->daemon, "records"), name), r);
	look_at_peer(v, r);
	policy = of_name(policies, name);
	if (!policy)
		policy = of_name(policies, NULL);
	r->failover = word(policy, "failover", r->failover);
	r->alone = word(policy, "alone", "");
	r->on_restart = word(policy, "on_restart", "");
}
