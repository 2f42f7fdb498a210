// SPDX-License-Identifier: GPL-2.0-or-later
/* Is the primary of a replica alive? The daemon's status is all that is known here. */
#include <stdio.h>
#include <string.h>

#include "primary.h"

static bool feeds(struct json_object *peer, const char *name)
{
	struct json_object *list = js_at(js_at(peer, "incoming"), "replicas");
	size_t i;

	for (i = 0; list && i < json_object_array_length(list); i++) {
		const char *n = js_get_str(json_object_array_get_idx(list, i), "name");

		if (n && !strcmp(n, name))
			return true;
	}
	return false;
}

static bool is(const char *word, const char *want)
{
	return word && !strcmp(word, want);
}

static enum primary look_at(struct json_object *peer, const char *name, char *text,
			    size_t size)
{
	struct json_object *in = js_at(peer, "incoming");
	const char *who = js_get_str(peer, "name");
	const char *detector = js_get_str(peer, "detector");

	who = who ? who : "(has no name yet)";
	if (is(js_get_str(in, "state"), "up")) {
		snprintf(text, size, "peer %s is linked, was heard %llu ms ago and %s", who,
			 js_get_u64(in, "last_heard_ms"), feeds(peer, name) ?
			 "feeds this replica" : "feeds other replicas or none");
		return feeds(peer, name) ? PRIMARY_ALIVE : PRIMARY_GONE;
	}
	if (is(detector, "dead") || is(detector, "left")) {
		snprintf(text, size, "peer %s %s", who, is(detector, "dead") ?
			 "counts as dead" : "shut down in order");
		return PRIMARY_GONE;
	}
	snprintf(text, size, "peer %s isn't linked: %s", who, detector ? detector : "?");
	return is(detector, "never heard") ? PRIMARY_UNKNOWN : PRIMARY_UNLINKED;
}

enum primary primary_look(struct json_object *daemon, const char *why, const char *name,
			  char *text, size_t size)
{
	struct json_object *peers = js_at(daemon, "peers");
	enum primary found = PRIMARY_UNKNOWN, p;
	char about[256];
	size_t i;

	snprintf(text, size, "%s", daemon ? "the daemon has no peer" : why);
	for (i = 0; peers && i < json_object_array_length(peers); i++) {
		p = look_at(json_object_array_get_idx(peers, i), name, about, sizeof(about));
		if (i && p <= found)
			continue;
		found = p;
		snprintf(text, size, "%s", about);
	}
	return found;
}
