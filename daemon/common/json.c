// SPDX-License-Identifier: GPL-2.0-or-later
/* A thin layer over json-c. */
#include <stdlib.h>

#include "json.h"
#include "uuid.h"

static struct json_object *need(struct json_object *o)
{
	if (!o)
		abort();
	return o;
}

struct json_object *js_new(void)
{
	return need(json_object_new_object());
}

struct json_object *js_list(void)
{
	return need(json_object_new_array());
}

struct json_object *js_document(void)
{
	struct json_object *o = js_new();

	js_u64(o, "schema_version", JSON_SCHEMA_VERSION);
	return o;
}

void js_put(struct json_object *o, const char *key, struct json_object *value)
{
	json_object_object_add(o, key, value);
}

void js_str(struct json_object *o, const char *key, const char *value)
{
	js_put(o, key, need(json_object_new_string(value)));
}

void js_u64(struct json_object *o, const char *key, u64 value)
{
	js_put(o, key, need(json_object_new_uint64(value)));
}

void js_bool(struct json_object *o, const char *key, bool value)
{
	js_put(o, key, need(json_object_new_boolean(value)));
}

void js_null(struct json_object *o, const char *key)
{
	js_put(o, key, NULL);
}

void js_uuid(struct json_object *o, const char *key, const u8 *uuid)
{
	char text[UUID_TEXT_LEN];

	js_str(o, key, uuid_text(uuid, text));
}

void js_error(struct json_object *o, const char *code, const char *message)
{
	struct json_object *e = js_new();

	js_str(e, "code", code);
	js_str(e, "message", message);
	js_put(o, "error", e);
}

struct json_object *js_at(struct json_object *o, const char *key)
{
	struct json_object *v = NULL;

	if (o && json_object_is_type(o, json_type_object))
		json_object_object_get_ex(o, key, &v);
	return v;
}

const char *js_get_str(struct json_object *o, const char *key)
{
	struct json_object *v = js_at(o, key);

	return v && json_object_is_type(v, json_type_string) ?
		json_object_get_string(v) : NULL;
}

u64 js_get_u64(struct json_object *o, const char *key)
{
	struct json_object *v = js_at(o, key);

	return v && json_object_is_type(v, json_type_int) ? json_object_get_uint64(v) : 0;
}

bool js_get_bool(struct json_object *o, const char *key)
{
	return json_object_get_boolean(js_at(o, key));
}

const char *js_line(struct json_object *o)
{
	return json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
					      JSON_C_TO_STRING_NOSLASHESCAPE);
}
