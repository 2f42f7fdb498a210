// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libhotspare: hooks. They are called without a lock of this file, so that one may
 * register or take away others: who calls them has a copy of the list.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "hooks.h"
#include "js.h"
#include "list.h"
#include "lock.h"

/* More than this many are a mistake. */
#define MAX_HOOKS	1024U

HS_LOCK(lock);
static struct hs_hooks registered;
static __thread bool in_hook;

bool hs_in_hook(void)
{
	return in_hook;
}

static struct hs_hooked *find(const struct hs_hook *hook, const void *arg)
{
	struct hs_hooked *h;
	uint32_t i;

	for (i = 0; i < registered.nr; i++) {
		h = &registered.v[i];
		if (h->fn.before == hook->before && h->fn.after == hook->after &&
		    h->fn.restarted == hook->restarted && h->arg == arg)
			return h;
	}
	return NULL;
}

static int append(const struct hs_hook *hook, void *arg)
{
	const struct hs_hooked h = { *hook, arg };

	if (find(hook, arg)) {
		errno = EEXIST;
		return -1;
	}
	return hs_list_append(&registered, &h, MAX_HOOKS);
}

static bool has_any(const struct hs_hook *hook)
{
	return hook && (hook->before || hook->after || hook->restarted);
}

int hs_hook(const struct hs_hook *hook, void *arg)
{
	int ret;

	if (!has_any(hook)) {
		errno = EINVAL;
		return -1;
	}
	hs_lock(&lock);
	ret = append(hook, arg);
	hs_unlock(&lock);
	return ret;
}

int hs_unhook(const struct hs_hook *hook, void *arg)
{
	struct hs_hooked *h;

	hs_lock(&lock);
	h = hook ? find(hook, arg) : NULL;
	if (h)
		hs_list_remove(&registered, h);
	hs_unlock(&lock);
	if (h)
		return 0;
	errno = ENOENT;
	return -1;
}

void hs_hooks_free(struct hs_hooks *list)
{
	hs_list_free(list);
}

int hs_hooks_capture(struct hs_hooks *to)
{
	int ret;

	hs_lock(&lock);
	ret = hs_list_copy(to, &registered);
	hs_unlock(&lock);
	return ret;
}

void hs_hooks_adopt(struct hs_hooks *list)
{
	hs_lock(&lock);
	hs_list_adopt(&registered, list);
	hs_unlock(&lock);
}

/*
 * Calling them, in the order of pthread_atfork(3)
 */

/* What the program takes there is the program's. */
static void call(void (*fn)(void *arg), void *arg)
{
	unsigned int was = hs_inside;

	hs_inside = 0;
	fn(arg);
	hs_inside = was;
}

void hs_hooks_before(const struct hs_hooks *list)
{
	uint32_t i;

	in_hook = true;
	for (i = list->nr; i > 0; i--)
		if (list->v[i - 1].fn.before)
			call(list->v[i - 1].fn.before, list->v[i - 1].arg);
	in_hook = false;
}

void hs_hooks_after(const struct hs_hooks *list)
{
	uint32_t i;

	in_hook = true;
	for (i = 0; i < list->nr; i++)
		if (list->v[i].fn.after)
			call(list->v[i].fn.after, list->v[i].arg);
	in_hook = false;
}

/* Nothing is locked: they may do what the program may. Returns 0, or -1 with errno and @e. */
int hs_hooks_restarted(struct hs_error *e)
{
	struct hs_hooks list;
	uint32_t i;

	if (hs_hooks_capture(&list))
		return hs_fail(e, ENOMEM, "no memory for the list of hooks");
	for (i = 0; i < list.nr; i++)
		if (list.v[i].fn.restarted)
			list.v[i].fn.restarted(list.v[i].arg);
	hs_hooks_free(&list);
	return 0;
}

/*
 * As text
 */

struct json_object *hs_hooks_json(const struct hs_hooks *list)
{
	struct json_object *all = json_object_new_array(), *o;
	uint32_t i;

	for (i = 0; all && i < list->nr; i++) {
		const struct hs_hooked *h = &list->v[i];

		o = json_object_new_object();
		js_put_u64(o, "before", (uintptr_t)h->fn.before);
		js_put_u64(o, "after", (uintptr_t)h->fn.after);
		js_put_u64(o, "restarted", (uintptr_t)h->fn.restarted);
		js_put_u64(o, "arg", (uintptr_t)h->arg);
		json_object_array_add(all, o);
	}
	return all;
}

static bool parse_one(struct hs_hooked *h, struct json_object *o)
{
	struct js_from from = { .o = o };

	if (!json_object_is_type(o, json_type_object))
		return false;
	h->fn.before = (void (*)(void *))(uintptr_t)js_get_u64(&from, "before");
	h->fn.after = (void (*)(void *))(uintptr_t)js_get_u64(&from, "after");
	h->fn.restarted = (void (*)(void *))(uintptr_t)js_get_u64(&from, "restarted");
	h->arg = (void *)(uintptr_t)js_get_u64(&from, "arg");
	return !from.bad && has_any(&h->fn);
}

/* Returns 0, or -1 with errno EBADMSG or ENOMEM, and @e. */
int hs_hooks_parse(struct hs_hooks *list, struct json_object *json, struct hs_error *e)
{
	size_t i, nr;

	*list = (struct hs_hooks) { 0 };
	if (!json_object_is_type(json, json_type_array))
		return hs_fail(e, EBADMSG, "the list of hooks is invalid");
	nr = json_object_array_length(json);
	if (nr > MAX_HOOKS)
		return hs_fail(e, EBADMSG, "%zu hooks are too many", nr);
	list->v = calloc(nr + 1, sizeof(*list->v));
	if (!list->v)
		return hs_fail(e, ENOMEM, "no memory for the list of hooks");
	for (i = 0; i < nr; i++) {
		if (parse_one(&list->v[i], json_object_array_get_idx(json, i)))
			continue;
		hs_hooks_free(list);
		return hs_fail(e, EBADMSG, "hook %zu in the checkpoint is invalid", i + 1);
	}
	list->nr = (uint32_t)nr;
	return 0;
}
