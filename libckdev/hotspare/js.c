// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libhotspare: JSON, one value at a time.
 */
#include <stdlib.h>
#include <string.h>

#include "js.h"

/*
 * Each key is put once, and is in memory that stays: this is done while a program stands still, and neither a
 * search nor a copy is needed.
 */
static void put(struct json_object *o, const char *key, struct json_object *value)
{
	json_object_object_add_ex(o, key, value, JSON_C_OBJECT_ADD_KEY_IS_NEW | JSON_C_OBJECT_KEY_IS_CONSTANT);
}

void js_put_u64(struct json_object *o, const char *key, uint64_t value)
{
	put(o, key, json_object_new_uint64(value));
}

void js_put_i64(struct json_object *o, const char *key, int64_t value)
{
	put(o, key, json_object_new_int64(value));
}

void js_put_bool(struct json_object *o, const char *key, bool value)
{
	put(o, key, json_object_new_boolean(value));
}

void js_put_text(struct json_object *o, const char *key, const char *value)
{
	put(o, key, json_object_new_string(value));
}

void js_put_hex(struct json_object *o, const char *key, const void *bytes, size_t len)
{
	static const char digit[] = "0123456789abcdef";
	const unsigned char *b = bytes;
	char *text = malloc(2 * len + 1);
	size_t i;

	if (!text)
		return;
	for (i = 0; i < len; i++) {
		text[2 * i] = digit[b[i] >> 4];
		text[2 * i + 1] = digit[b[i] & 15];
	}
	put(o, key, json_object_new_string_len(text, (int)(2 * len)));
	free(text);
}

void js_put_time(struct json_object *o, const char *key, const struct timespec *t)
{
	struct json_object *pair = json_object_new_array();

	json_object_array_add(pair, json_object_new_int64(t->tv_sec));
	json_object_array_add(pair, json_object_new_int64(t->tv_nsec));
	put(o, key, pair);
}

void js_put_signals(struct json_object *o, const char *key, const sigset_t *set)
{
	struct json_object *list = json_object_new_array();
	int sig;

	for (sig = 1; sig <= 64; sig++)
		if (sigismember(set, sig) == 1)
			json_object_array_add(list, json_object_new_int(sig));
	put(o, key, list);
}

/*
 * Reading
 */

/* The value if it is of this type, else NULL; what is needed and isn't there is wrong. */
struct json_object *js_get(struct js_from *from, const char *key, enum json_type type,
			   bool needed)
{
	struct json_object *o = json_object_object_get(from->o, key);

	if (json_object_is_type(o, type) && o)
		return o;
	if ((needed || o) && !from->bad)
		from->bad = key;
	return NULL;
}

int64_t js_get_i64(struct js_from *from, const char *key, int64_t min, int64_t max)
{
	struct json_object *o = js_get(from, key, json_type_int, true);
	int64_t value = o ? json_object_get_int64(o) : min;

	if (value >= min && value <= max)
		return value;
	from->bad = from->bad ?: key;
	return min;
}

uint64_t js_get_u64(struct js_from *from, const char *key)
{
	struct json_object *o = js_get(from, key, json_type_int, true);

	return o ? json_object_get_uint64(o) : 0;
}

bool js_get_bool(struct js_from *from, const char *key)
{
	struct json_object *o = js_get(from, key, json_type_boolean, true);

	return o && json_object_get_boolean(o);
}

const char *js_get_text(struct js_from *from, const char *key)
{
	struct json_object *o = js_get(from, key, json_type_string, true);

	return o ? json_object_get_string(o) : "";
}

/* Which of the words it is. */
int js_get_word(struct js_from *from, const char *key, const char *const *words, int nr)
{
	const char *text = js_get_text(from, key);
	int i;

	for (i = 0; i < nr; i++)
		if (!strcmp(text, words[i]))
			return i;
	from->bad = from->bad ?: key;
	return 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Up to @max bytes into memory of their own; NULL if there are none. */
char *js_get_hex(struct js_from *from, const char *key, size_t max, uint32_t *len)
{
	const char *text = js_get_text(from, key);
	size_t n = strlen(text) / 2, i;
	char *bytes;

	*len = 0;
	if (strlen(text) % 2 || n > max)
		from->bad = from->bad ?: key;
	if (from->bad || !n)
		return NULL;
	bytes = malloc(n);
	for (i = 0; bytes && i < n; i++) {
		int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);

		if (high < 0 || low < 0)
			from->bad = from->bad ?: key;
		bytes[i] = (char)((unsigned int)high << 4 | (unsigned int)low);
	}
	if (!bytes)
		from->bad = from->bad ?: key;
	*len = bytes ? (uint32_t)n : 0;
	return bytes;
}

struct timespec js_get_time(struct js_from *from, const char *key)
{
	struct json_object *o = js_get(from, key, json_type_array, true), *s, *ns;
	struct timespec t = { 0 };

	if (!o)
		return t;
	s = json_object_array_get_idx(o, 0);
	ns = json_object_array_get_idx(o, 1);
	if (json_object_array_length(o) == 2 && json_object_is_type(s, json_type_int) &&
	    json_object_is_type(ns, json_type_int)) {
		t.tv_sec = json_object_get_int64(s);
		t.tv_nsec = json_object_get_int64(ns);
	}
	if (json_object_array_length(o) != 2 || t.tv_nsec < 0 || t.tv_nsec > 999999999)
		from->bad = from->bad ?: key;
	return t;
}

void js_get_signals(struct js_from *from, const char *key, sigset_t *set)
{
	struct json_object *o = js_get(from, key, json_type_array, true);
	size_t i;

	sigemptyset(set);
	for (i = 0; o && i < json_object_array_length(o); i++)
		if (sigaddset(set, json_object_get_int(json_object_array_get_idx(o, i))))
			from->bad = from->bad ?: key;
}
