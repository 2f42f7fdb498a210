// SPDX-License-Identifier: LGPL-2.1-or-later
/* libhotspare: the application's own sections in checkpoints, by name. */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "hotspare.h"
#include "list.h"
#include "lock.h"
#include "sections.h"
#include "touched.h"

#define MAX_SECTIONS	256U
#define MAX_LEN		(1UL << 20)

HS_LOCK(lock);
static struct hs_sections registered;

/* It is shown to people, and typed by them. */
static bool good_name(const char *name)
{
	size_t i;

	if (!name)
		return false;
	for (i = 0; name[i]; i++)
		if (name[i] <= ' ' || name[i] > '~' || i == HS_SECTION_NAME - 1)
			return false;
	return i;
}

static struct hs_own **find(const struct hs_sections *list, const char *name)
{
	uint32_t i;

	for (i = 0; i < list->nr; i++)
		if (!strcmp(list->v[i]->name, name))
			return &list->v[i];
	return NULL;
}

/* In no list yet. */
static struct hs_own *create(const char *name, size_t len)
{
	struct hs_own *s = malloc(sizeof(*s) + len);

	if (!s)
		return NULL;
	*s = (struct hs_own) { .len = len };
	strcpy(s->name, name);
	return s;
}

static void put(struct hs_own *s)
{
	if (!--s->users)
		free(s);
}

static int append(struct hs_sections *list, struct hs_own *s)
{
	if (hs_list_append(list, &s, MAX_SECTIONS))
		return -1;
	s->users++;
	return 0;
}

/*
 * What the application calls
 */

static int take_away(const char *name)
{
	struct hs_own **at;

	hs_lock(&lock);
	at = find(&registered, name);
	if (at) {
		put(*at);
		hs_list_remove(&registered, at);
	}
	hs_unlock(&lock);
	if (at)
		return 0;
	errno = ENOENT;
	return -1;
}

/* In place of the one of that name, or behind the others. */
static int bring_in(struct hs_own *s)
{
	struct hs_own **at;
	int ret = 0;

	hs_lock(&lock);
	at = find(&registered, s->name);
	if (at) {
		put(*at);
		*at = s;
		s->users++;
	} else {
		ret = append(&registered, s);
	}
	hs_unlock(&lock);
	return ret;
}

int hs_section_set(const char *name, const void *data, size_t len)
{
	if (good_name(name) && strncmp(name, HS_TOUCHED_PREFIX, strlen(HS_TOUCHED_PREFIX)))
		return hs_sections_put(name, data, len);
	errno = EINVAL;
	return -1;
}

int hs_sections_put(const char *name, const void *data, size_t len)
{
	struct hs_own *s;

	if (!len)
		return take_away(name);
	if (len > MAX_LEN || !data) {
		errno = data ? EMSGSIZE : EINVAL;
		return -1;
	}
	s = create(name, len);
	if (!s)
		return -1;
	memcpy(s->data, data, len);
	if (!bring_in(s))
		return 0;
	free(s);
	return -1;
}

ssize_t hs_section_get(const char *name, void *buf, size_t size)
{
	struct hs_own **at;
	ssize_t len = -1;

	if (!name || (size && !buf)) {
		errno = EINVAL;
		return -1;
	}
	hs_lock(&lock);
	at = find(&registered, name);
	if (at) {
		len = (ssize_t)(*at)->len;
		if (size)
			memcpy(buf, (*at)->data, size < (*at)->len ? size : (*at)->len);
	}
	hs_unlock(&lock);
	if (len < 0)
		errno = ENOENT;
	return len;
}

/*
 * For checkpoints
 */

static void drop_all(struct hs_sections *list)
{
	uint32_t i;

	for (i = 0; i < list->nr; i++)
		put(list->v[i]);
	hs_list_free(list);
}

void hs_sections_free(struct hs_sections *list)
{
	hs_lock(&lock);
	drop_all(list);
	hs_unlock(&lock);
}

int hs_sections_capture(struct hs_sections *to)
{
	uint32_t i;
	int ret;

	hs_lock(&lock);
	ret = hs_list_copy(to, &registered);
	for (i = 0; i < to->nr; i++)
		to->v[i]->users++;
	hs_unlock(&lock);
	return ret;
}

const struct hs_own *hs_sections_find(const struct hs_sections *list, const char *name)
{
	struct hs_own **at = find(list, name);

	return at ? *at : NULL;
}

void hs_sections_adopt(struct hs_sections *list)
{
	hs_lock(&lock);
	drop_all(&registered);
	hs_list_adopt(&registered, list);
	hs_unlock(&lock);
}

struct hs_own *hs_sections_add(struct hs_sections *list, const char *name, uint64_t len,
			       struct hs_error *e)
{
	struct hs_own *s;

	if (!good_name(name) || !len || len > MAX_LEN || list->nr == MAX_SECTIONS) {
		hs_fail(e, EBADMSG, "a section of the application is invalid");
		return NULL;
	}
	if (find(list, name)) {
		hs_fail(e, EBADMSG, "the application's section '%s' is there twice", name);
		return NULL;
	}
	s = create(name, len);
	if (s && !append(list, s))
		return s;
	free(s);
	hs_fail(e, ENOMEM, "no memory for the application's section '%s'", name);
	return NULL;
}
