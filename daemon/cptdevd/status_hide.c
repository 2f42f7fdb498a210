// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Hidden from a user who may ask, but is neither root nor the daemon's user: UUIDs and
 * terms of other users' sessions, replicas and records, the errors about them, which have the
 * terms in their text, and addresses of their memory.
 *
 * Whatever is somebody's has the key "uid" (null: it isn't known whose it is, so it is nobody's).
 */
#include <string.h>

#include "daemon.h"
#include "json.h"

static const char *const secret[] = { "uuid", "term", "last_verify" };

static bool is_of(struct json_object *owner, u32 uid)
{
	return json_object_is_type(owner, json_type_int) && json_object_get_int64(owner) == uid;
}

static void hide_one(struct json_object *o)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(secret); i++)
		if (js_at(o, secret[i]))
			js_null(o, secret[i]);
	if (js_at(o, "error"))
		js_str(o, "error", "it belongs to another user");
}

static void hide_list(struct json_object *list, u32 uid)
{
	size_t i;

	for (i = 0; i < json_object_array_length(list); i++)
		status_hide(json_object_array_get_idx(list, i), uid);
}

void status_hide(struct json_object *o, u32 uid)
{
	struct json_object *owner;

	if (json_object_is_type(o, json_type_array))
		hide_list(o, uid);
	if (!json_object_is_type(o, json_type_object))
		return;
	if (json_object_object_get_ex(o, "uid", &owner) && !is_of(owner, uid))
		hide_one(o);
	json_object_object_foreach(o, key, value) {
		/* It may be of anybody. */
		if (!strcmp(key, "last_promotion") && value)
			hide_one(value);
		status_hide(value, uid);
	}
}
