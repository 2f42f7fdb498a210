/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libhotspare: JSON as the sections of a checkpoint have it. What is read may be anything:
 * each value is checked for its type and range, and the first that is wrong is remembered.
 */
#ifndef HS_JS_H
#define HS_JS_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <json-c/json.h>

/* @key isn't there yet, and stays in memory as long as @o. */
void js_put_u64(struct json_object *o, const char *key, uint64_t value);
void js_put_i64(struct json_object *o, const char *key, int64_t value);
void js_put_bool(struct json_object *o, const char *key, bool value);
void js_put_text(struct json_object *o, const char *key, const char *value);
void js_put_hex(struct json_object *o, const char *key, const void *bytes, size_t len);
void js_put_time(struct json_object *o, const char *key, const struct timespec *t);
void js_put_signals(struct json_object *o, const char *key, const sigset_t *set);

/* An object that is read from. */
struct js_from {
	struct json_object *o;
	const char *bad;		/* the first key that is wrong, or NULL */
};

struct json_object *js_get(struct js_from *from, const char *key, enum json_type type,
			   bool needed);
int64_t js_get_i64(struct js_from *from, const char *key, int64_t min, int64_t max);
uint64_t js_get_u64(struct js_from *from, const char *key);
bool js_get_bool(struct js_from *from, const char *key);
const char *js_get_text(struct js_from *from, const char *key);
int js_get_word(struct js_from *from, const char *key, const char *const *words, int nr);
char *js_get_hex(struct js_from *from, const char *key, size_t max, uint32_t *len);
struct timespec js_get_time(struct js_from *from, const char *key);
void js_get_signals(struct js_from *from, const char *key, sigset_t *set);

#endif /* HS_JS_H */
