/* SPDX-License-Identifier: GPL-2.0-or-later */
/* JSON as this project writes it: objects that carry the version of their shape. */
#ifndef CPTDEV_JSON_H
#define CPTDEV_JSON_H

#include <json-c/json.h>

#include "types.h"

#define JSON_SCHEMA_VERSION	1

/* With "schema_version". Memory that isn't there ends the program: nothing is lost. */
struct json_object *js_document(void);
struct json_object *js_new(void);
struct json_object *js_list(void);

void js_str(struct json_object *o, const char *key, const char *value);
void js_u64(struct json_object *o, const char *key, u64 value);
void js_bool(struct json_object *o, const char *key, bool value);
void js_null(struct json_object *o, const char *key);
void js_uuid(struct json_object *o, const char *key, const u8 *uuid);
void js_put(struct json_object *o, const char *key, struct json_object *value);

/* "error": { "code": ..., "message": ... } */
void js_error(struct json_object *o, const char *code, const char *message);

/* Reading: NULL or 0 when it isn't there or isn't of the kind. */
struct json_object *js_at(struct json_object *o, const char *key);
const char *js_get_str(struct json_object *o, const char *key);
u64 js_get_u64(struct json_object *o, const char *key);
/* False when it isn't there. */
bool js_get_bool(struct json_object *o, const char *key);

/* On one line. */
const char *js_line(struct json_object *o);

#endif
