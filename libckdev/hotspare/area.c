// SPDX-License-Identifier: LGPL-2.1-or-later
/* libhotspare: the state area, see area.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "area.h"
#include "js.h"

#define AREA_MAGIC	0x657461747368ULL	/* "hstate" */
#define VERSION		1U
#define USER_MAX	(HS_AREA_SLOT / HS_AREA_USER)

static uint64_t slot_addr(unsigned int type)
{
	return HS_AREA + type * HS_AREA_SLOT;
}

static uint64_t pages(uint64_t len)
{
	return (len + HS_PAGE - 1) & ~(HS_PAGE - 1);
}

/* Where the slot's memory begins: the first page of the area is in slot 0, which has no section. */
static int grow(struct hs_area_slot *s, unsigned int type, uint64_t len)
{
	len = pages(len);
	if (len <= s->mapped)
		return 0;
	if (len > HS_AREA_SLOT) {
		errno = EMSGSIZE;
		return -1;
	}
	if (mprotect((void *)(uintptr_t)slot_addr(type), len, PROT_READ | PROT_WRITE))
		return -1;
	s->mapped = len;
	return 0;
}

/*
 * Writing
 */

/* What is behind @len in the last page stays: nobody reads that. */
static void put(uint64_t to, const void *from, size_t len)
{
	const char *p = from;
	size_t n;

	for (; len; to += n, p += n, len -= n) {
		n = HS_PAGE - to % HS_PAGE;
		n = len < n ? len : n;
		if (memcmp((void *)(uintptr_t)to, p, n))
			memcpy((void *)(uintptr_t)to, p, n);
	}
}

static int put_text(struct hs_area *now, unsigned int type, const char *text, size_t len)
{
	struct hs_area_slot *s = &now->slot[type];

	if (len > HS_SECTION_TEXT_MAX) {
		errno = EMSGSIZE;
		return -1;
	}
	if (grow(s, type, len))
		return -1;
	put(slot_addr(type), text, len);
	s->len = len;
	return 0;
}

static int put_users(struct hs_area *now, const struct hs_sections *own)
{
	struct hs_area_slot *s = &now->slot[HS_SECTION_USER];
	struct hs_area_user head;
	uint64_t at;
	uint32_t i;

	if (grow(s, HS_SECTION_USER, own->nr * HS_AREA_USER))
		return -1;
	for (i = 0; i < own->nr; i++) {
		at = slot_addr(HS_SECTION_USER) + i * HS_AREA_USER;
		head = (struct hs_area_user) { .len = own->v[i]->len };
		memcpy(head.name, own->v[i]->name, sizeof(head.name));
		put(at, &head, sizeof(head));
		put(at + HS_PAGE, own->v[i]->data, own->v[i]->len);
	}
	s->len = own->nr;
	return 0;
}

static struct hs_area *get_area(void)
{
	struct hs_area *a = hs_arena_area();

	if (a)
		return a;
	if (hs_map_at(HS_AREA, HS_AREA_LEN, PROT_NONE) == MAP_FAILED)
		return NULL;
	a = (struct hs_area *)HS_AREA;
	if (mprotect(a, HS_PAGE, PROT_READ | PROT_WRITE) || hs_arena_set_area(a)) {
		munmap(a, HS_AREA_LEN);
		return NULL;
	}
	return a;
}

int hs_area_write(const struct hs_texts *t, const struct hs_image_head *head, struct hs_error *e)
{
	struct hs_area *a = get_area(), now;
	unsigned int i;
	int ret = 0;

	if (!a)
		return hs_fail(e, errno, "no memory for the state area: %s", strerror(errno));
	now = *a;
	now.magic = AREA_MAGIC;
	now.version = VERSION;
	now.head = *head;
	for (i = 0; !ret && i < HS_TEXTS; i++)
		ret = put_text(&now, hs_text_type(i), t->text[i], t->len[i]);
	if (!ret)
		ret = put_users(&now, &t->state.own);
	/* What was mapped is mapped, also if the rest failed. */
	if (ret)
		memcpy(a->slot, now.slot, sizeof(a->slot));
	else
		put(HS_AREA, &now, sizeof(now));
	return ret ? hs_fail(e, errno, "the state area can't be written: %s", strerror(errno)) : 0;
}

/*
 * Reading another process's
 */

static int check(const struct hs_area *a)
{
	const struct hs_area_slot *s;
	unsigned int i;

	if (a->magic != AREA_MAGIC || a->version != VERSION || a->reserved || a->slot[0].len ||
	    a->slot[0].mapped || a->slot[HS_SECTION_USER].len > USER_MAX)
		return -1;
	for (i = 1; i < HS_SECTION_TYPES; i++) {
		s = &a->slot[i];
		if (s->mapped > HS_AREA_SLOT || s->mapped % HS_PAGE)
			return -1;
		if (i == HS_SECTION_USER ? s->len * HS_AREA_USER > s->mapped :
		    s->len > s->mapped || s->len > HS_SECTION_TEXT_MAX)
			return -1;
	}
	return 0;
}

struct reading {
	hs_area_fn read;
	void *arg;
	struct hs_error *e;
};

static int no_read(const struct reading *r)
{
	return hs_fail(r->e, errno, "the state area can't be read: %s", strerror(errno));
}

static int read_text(const struct reading *r, unsigned int type, uint64_t len,
		     struct hs_state *state)
{
	char *text = calloc(1, len + 1);
	struct json_object *o;
	int ret;

	if (!text)
		return hs_fail(r->e, ENOMEM, "no memory for section '%s'", hs_section_text(type));
	if (r->read(r->arg, text, len, slot_addr(type))) {
		free(text);
		return no_read(r);
	}
	o = json_tokener_parse(text);
	free(text);
	ret = hs_state_parse(type, o, state, r->e);
	json_object_put(o);
	return ret;
}

static int read_user(const struct reading *r, uint64_t at, struct hs_sections *own)
{
	struct hs_area_user head;
	struct hs_own *s;

	if (r->read(r->arg, &head, sizeof(head), at))
		return no_read(r);
	head.name[sizeof(head.name) - 1] = 0;
	s = hs_sections_add(own, head.name, head.len, r->e);
	if (!s)
		return -1;
	return r->read(r->arg, s->data, s->len, at + HS_PAGE) ? no_read(r) : 0;
}

static int read_all(const struct reading *r, const struct hs_area *a, struct hs_state *state)
{
	uint64_t n;
	int i, ret = 0;

	/* In the order of a file: the process explains the build. */
	for (i = 0; !ret && i < HS_TEXTS; i++) {
		unsigned int type = hs_text_type(hs_text_order(i));

		if (!a->slot[type].len)
			return hs_fail(r->e, EBADMSG, "section '%s' is missing", hs_section_text(type));
		ret = read_text(r, type, a->slot[type].len, state);
	}
	for (n = 0; !ret && n < a->slot[HS_SECTION_USER].len; n++)
		ret = read_user(r, slot_addr(HS_SECTION_USER) + n * HS_AREA_USER, &state->own);
	return ret;
}

int hs_area_read(hs_area_fn read, void *arg, struct hs_state *state, struct hs_image_head *head,
		 struct hs_error *e)
{
	const struct reading r = { .read = read, .arg = arg, .e = e };
	unsigned char root[HS_PAGE];
	struct hs_area a;

	memset(state, 0, sizeof(*state));
	if (read(arg, root, sizeof(root), HS_BASE))
		return no_read(&r);
	if (hs_root_area(root) != HS_AREA)
		return hs_fail(e, ENODATA, "there is no state area: the memory isn't from a "
			       "program of this library, or is from an older version of it");
	if (read(arg, &a, sizeof(a), HS_AREA))
		return no_read(&r);
	if (a.magic == AREA_MAGIC && a.version != VERSION)
		return hs_fail(e, EPROTONOSUPPORT, "the state area has version %u, this library "
			       "supports version %u: use the library version that made it",
			       a.version, VERSION);
	if (check(&a))
		return hs_fail(e, EBADMSG, "the state area is invalid");
	if (read_all(&r, &a, state)) {
		int err = errno;

		hs_state_free(state);
		memset(state, 0, sizeof(*state));
		errno = err;
		return -1;
	}
	*head = a.head;
	head->app[HS_IMAGE_NAME - 1] = 0;
	return 0;
}

/*
 * As a part of the arena
 */

int hs_area_pieces(struct hs_area *a, hs_piece_fn fn, void *arg)
{
	int ret = fn(arg, a, HS_PAGE);
	unsigned int i;

	for (i = 1; !ret && i < HS_SECTION_TYPES; i++)
		if (a->slot[i].mapped)
			ret = fn(arg, (void *)(uintptr_t)slot_addr(i), a->slot[i].mapped);
	return ret;
}

static int writable(void *addr, size_t len)
{
	return hs_arena_reserved() ? 0 : mprotect(addr, len, PROT_READ | PROT_WRITE);
}

/* Nothing is left mapped if it fails, unless the arena is reserved. */
int hs_area_restore(struct hs_area *a, hs_piece_fn fill, void *arg)
{
	unsigned int i;
	int err;

	if ((uintptr_t)a != HS_AREA) {
		errno = EUCLEAN;
		return -1;
	}
	if (hs_arena_map(HS_AREA, HS_AREA_LEN, PROT_NONE) == MAP_FAILED)
		return -1;
	if (writable(a, HS_PAGE) || fill(arg, a, HS_PAGE))
		goto fail;
	if (check(a)) {
		errno = EUCLEAN;
		goto fail;
	}
	for (i = 1; i < HS_SECTION_TYPES; i++) {
		void *slot = (void *)(uintptr_t)slot_addr(i);

		if (!a->slot[i].mapped)
			continue;
		if (writable(slot, a->slot[i].mapped) ||
		    fill(arg, slot, a->slot[i].mapped))
			goto fail;
	}
	return 0;
fail:
	err = errno;
	if (!hs_arena_reserved())
		munmap(a, HS_AREA_LEN);
	errno = err;
	return -1;
}
