// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libhotspare: what a program is made of. Memory is full of addresses of its code: it is
 * good only where program and libraries are the same, byte by byte, at the same addresses.
 * The linker's build ids tell the first, the loader the second.
 */
#include <elf.h>
#include <errno.h>
#include <limits.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "checkpoint.h"
#include "js.h"
#include "lock.h"

#define ID_MAX	32			/* bytes */

HS_LOCK(lock);

/* A note's fields are padded to four bytes. */
static size_t padded(size_t n)
{
	return (n + 3) & ~3UL;
}

/* The build id in a segment of notes, or NULL. */
static const unsigned char *find_id(const char *notes, size_t len, size_t *id_len)
{
	while (len > sizeof(ElfW(Nhdr))) {
		const ElfW(Nhdr) *n = (const void *)notes;
		size_t all = sizeof(*n) + padded(n->n_namesz) + padded(n->n_descsz);
		const char *name = notes + sizeof(*n);

		if (all > len)
			return NULL;
		if (n->n_type == NT_GNU_BUILD_ID && n->n_namesz == 4 &&
		    !memcmp(name, "GNU", 4) && n->n_descsz <= ID_MAX) {
			*id_len = n->n_descsz;
			return (const unsigned char *)name + padded(n->n_namesz);
		}
		notes += all;
		len -= all;
	}
	return NULL;
}

static const unsigned char *id_of(const struct dl_phdr_info *info, size_t *len)
{
	const unsigned char *id = NULL;
	ElfW(Half) i;

	for (i = 0; i < info->dlpi_phnum && !id; i++)
		if (info->dlpi_phdr[i].p_type == PT_NOTE)
			id = find_id((const char *)info->dlpi_addr + info->dlpi_phdr[i].p_vaddr,
				     info->dlpi_phdr[i].p_memsz, len);
	return id;
}

struct list {
	struct json_object *json;
	struct hs_error *e;
	int ret;
};

static int add(struct dl_phdr_info *info, size_t size, void *arg)
{
	const char *slash = strrchr(info->dlpi_name, '/');
	char name[PATH_MAX];
	struct list *list = arg;
	const unsigned char *id;
	struct json_object *o;
	size_t len;

	(void)size;
	/* The program itself has none. The kernel's own object isn't compared: it isn't saved. */
	snprintf(name, sizeof(name), "%s", slash ? slash + 1 : info->dlpi_name);
	if (!strncmp(name, "linux-vdso", 10) || !strncmp(name, "linux-gate", 10))
		return 0;
	id = id_of(info, &len);
	if (!id) {
		list->ret = hs_fail(list->e, ENODATA, "%s has no build id: link it with "
				    "-Wl,--build-id", name[0] ? name : "the program");
		return 1;
	}
	o = json_object_new_object();
	js_put_text(o, "name", name);
	js_put_hex(o, "build_id", id, len);
	js_put_u64(o, "address", info->dlpi_addr);
	json_object_array_add(list->json, o);
	return 0;
}

/* A list of the program, with an empty name, and its libraries. NULL: errno and @e. */
static struct json_object *build_json(struct hs_error *e)
{
	struct list list = { .json = json_object_new_array(), .e = e };

	if (list.json)
		dl_iterate_phdr(add, &list);
	else
		list.ret = hs_fail(e, ENOMEM, "no memory for the list of libraries");
	if (!list.ret)
		return list.json;
	json_object_put(list.json);
	return NULL;
}

static int count_changes(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)size;
	*(unsigned long long *)arg = info->dlpi_adds + info->dlpi_subs;
	return 1;
}

static char *text_now(struct hs_error *e)
{
	struct json_object *json = build_json(e);
	const char *text;
	char *copy = NULL;

	if (!json)
		return NULL;
	text = json_object_to_json_string_ext(json, JSON_C_TO_STRING_PLAIN);
	/* Where there was no memory for a value it isn't there. */
	if (text && !hs_build_compare(json, hs_layout_here(), e))
		copy = strdup(text);
	if (!copy)
		hs_fail(e, ENOMEM, "no memory for the list of libraries");
	json_object_put(json);
	return copy;
}

/*
 * The same as text, for ever: a checkpoint that is written meanwhile has the one of its time.
 * It changes when a library is loaded or unloaded. NULL: errno and @e.
 */
const char *hs_build_text(struct hs_error *e)
{
	static unsigned long long of;
	static const char *text;
	unsigned long long changes = 0;
	const char *now;

	dl_iterate_phdr(count_changes, &changes);
	hs_lock(&lock);
	if (!text || changes != of) {
		text = text_now(e);
		of = changes;
	}
	now = text;
	hs_unlock(&lock);
	return now;
}

static struct json_object *find(struct json_object *list, const char *name)
{
	size_t i;

	for (i = 0; i < json_object_array_length(list); i++) {
		struct js_from from = { .o = json_object_array_get_idx(list, i) };

		if (!strcmp(js_get_text(&from, "name"), name))
			return from.o;
	}
	return NULL;
}

static int other_address(const char *name, const struct hs_layout *layout, struct hs_error *e)
{
	char why[200];

	hs_layout_explain(layout, why, sizeof(why));
	return hs_fail(e, ENOEXEC, "%.60s is mapped at another address: %s", name, why);
}

static int compare_one(struct json_object *then, struct json_object *all_now,
		       const struct hs_layout *layout, struct hs_error *e)
{
	struct js_from was = { .o = then }, is = { 0 };
	const char *name, *text, *id;
	uint64_t address;

	if (!json_object_is_type(then, json_type_object))
		return hs_fail(e, EBADMSG, "a library in the checkpoint: the entry is invalid");
	name = js_get_text(&was, "name");
	id = js_get_text(&was, "build_id");
	address = js_get_u64(&was, "address");
	if (was.bad)
		return hs_fail(e, EBADMSG, "a library in the checkpoint: '%s' is invalid",
			       was.bad);
	text = name[0] ? name : "the program";
	is.o = find(all_now, name);
	if (!is.o)
		return hs_fail(e, ENOEXEC, "%s was loaded in the program, and isn't loaded here: a "
			       "library of dlopen(3) must be there before hs_init(3): load it "
			       "first, link with it, or use LD_PRELOAD", text);
	if (strcmp(js_get_text(&is, "build_id"), id))
		return hs_fail(e, ENOEXEC, "%s has the build id %.40s in the checkpoint, here "
			       "%.40s: install the same file on both hosts",
			       text, id, js_get_text(&is, "build_id"));
	if (js_get_u64(&is, "address") != address)
		return other_address(text, layout, e);
	return 0;
}

/* Returns 0, or -1 with errno ENOEXEC, EBADMSG, ... and @e: what is another one here. */
int hs_build_compare(struct json_object *json, const struct hs_layout *layout, struct hs_error *e)
{
	struct json_object *now;
	int ret = 0;
	size_t i;

	if (!json_object_is_type(json, json_type_array))
		return hs_fail(e, EBADMSG, "the list of libraries is invalid");
	now = build_json(e);
	if (!now)
		return -1;
	for (i = 0; !ret && i < json_object_array_length(json); i++)
		ret = compare_one(json_object_array_get_idx(json, i), now, layout,
				  e);
	json_object_put(now);
	return ret;
}
