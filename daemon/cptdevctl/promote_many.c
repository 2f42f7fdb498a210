// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cptdevctl promote --all, --peer NAME: one replica after the other, each by the rules for one. One
 * that isn't promoted doesn't keep the others from it.
 */
#include <string.h>

#include "promote.h"

/* The peer of that name, by what the daemon knows. */
static struct json_object *peer_named(const struct view *v, const char *name)
{
	struct json_object *peers = js_at(v->daemon, "peers"), *p;
	size_t i;

	for (i = 0; peers && i < json_object_array_length(peers); i++) {
		const char *n;

		p = json_object_array_get_idx(peers, i);
		n = js_get_str(p, "name");
		if (n && !strcmp(n, name))
			return p;
	}
	return NULL;
}

static bool has_name(struct json_object *list, const char *name)
{
	size_t i;

	for (i = 0; list && i < json_object_array_length(list); i++)
		if (!strcmp(json_object_get_string(json_object_array_get_idx(list, i)), name))
			return true;
	return false;
}

/* An empty one has nothing to go on from, and a promoted one has its answer. */
bool promote_wants(const struct replica_rec *r, struct json_object *peer)
{
	if (!r->generation || r->flags & CPTDEV_GENL_REPLICA_PROMOTED)
		return false;
	return !peer || has_name(js_at(peer, "feeds"), r->name);
}

static int promote_these(struct ctl *c, const struct view *v, struct json_object *peer)
{
	u32 i, tried = 0, done = 0;
	int ret = EXIT_DONE, one;

	for (i = 0; i < v->nr_replicas; i++) {
		if (!promote_wants(&v->replicas[i], peer))
			continue;
		tried++;
		one = promote_one(c, v->replicas[i].name);
		if (one == EXIT_DONE)
			done++;
		else if (ret == EXIT_DONE)
			ret = one;
	}
	if (!tried)
		return ctl_fail(c, EXIT_FAILED, "not-found", "cptdevctl replica list",
				"this host has no replica%s%s that could be promoted",
				peer ? " of peer " : "", peer ? c->peer : "");
	if (!c->json)
		fprintf(c->out, "%u of %u replicas promoted\n", done, tried);
	return ret;
}

int promote_many(struct ctl *c)
{
	struct json_object *peer = NULL;
	struct view v;
	int ret;

	view_gather(&v, c->kernel, c->socket);
	if (c->peer)
		peer = peer_named(&v, c->peer);
	if (c->peer && !v.daemon)
		ret = ctl_fail(c, EXIT_DAEMON, "no-daemon", "cptdevctl promote NAME, or --all",
			       "only the daemon knows which replicas are of peer %s: %s", c->peer,
			       v.daemon_why);
	else if (c->peer && !peer)
		ret = ctl_fail(c, EXIT_FAILED, "not-found", "cptdevctl status",
			       "the daemon has no peer %s", c->peer);
	else
		ret = promote_these(c, &v, peer);
	view_free(&v);
	return ret;
}
