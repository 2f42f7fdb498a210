// SPDX-License-Identifier: LGPL-2.1-or-later
/* libhotspare: memory that is saved besides the arena. */
#include <elf.h>
#include <errno.h>
#include <gnu/lib-names.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arena.h"
#include "cpt.h"
#include "hotspare.h"
#include "js.h"
#include "lock.h"
#include "ranges.h"
#include "where.h"

#define MOST	65536			/* of anything in a list */
#define ADDR_END	(1ULL << 47)

static struct hs_ranges registered;
HS_LOCK(lock);

/*
 * Lists
 */

/* [from, to) of the list becomes the @nr in @v. Returns 0, or -1 with errno ENOMEM. */
static int splice(struct hs_intervals *l, size_t from, size_t to, const struct hs_interval *v,
		  size_t nr)
{
	size_t left = l->nr - to, now = from + nr + left;
	struct hs_interval *grown;

	if (now > l->nr) {
		grown = realloc(l->v, now * sizeof(*grown));
		if (!grown)
			return -1;
		l->v = grown;
	}
	if (left)
		memmove(l->v + from + nr, l->v + to, left * sizeof(*v));
	if (nr)
		memcpy(l->v + from, v, nr * sizeof(*v));
	l->nr = now;
	return 0;
}

int hs_intervals_add(struct hs_intervals *l, uint64_t start, uint64_t end)
{
	struct hs_interval all = { start, end };
	size_t from = 0, to;

	while (from < l->nr && l->v[from].end < start)
		from++;
	for (to = from; to < l->nr && l->v[to].start <= end; to++) {
		if (l->v[to].start < all.start)
			all.start = l->v[to].start;
		if (l->v[to].end > all.end)
			all.end = l->v[to].end;
	}
	return splice(l, from, to, &all, 1);
}

int hs_intervals_remove(struct hs_intervals *l, uint64_t start, uint64_t end)
{
	struct hs_interval rest[2];
	size_t from = 0, to, nr = 0;

	while (from < l->nr && l->v[from].end <= start)
		from++;
	for (to = from; to < l->nr && l->v[to].start < end; to++)
		;
	if (from == to)
		return 0;
	if (l->v[from].start < start)
		rest[nr++] = (struct hs_interval) { l->v[from].start, start };
	if (l->v[to - 1].end > end)
		rest[nr++] = (struct hs_interval) { end, l->v[to - 1].end };
	return splice(l, from, to, rest, nr);
}

/* All of it. */
bool hs_intervals_have(const struct hs_intervals *l, uint64_t start, uint64_t end)
{
	size_t i;

	for (i = 0; i < l->nr; i++)
		if (l->v[i].start <= start && end <= l->v[i].end)
			return true;
	return false;
}

static int intervals_copy(struct hs_intervals *to, const struct hs_intervals *from)
{
	to->v = malloc((from->nr + 1) * sizeof(*to->v));
	if (!to->v)
		return -1;
	to->nr = from->nr;
	if (from->nr)
		memcpy(to->v, from->v, from->nr * sizeof(*to->v));
	return 0;
}

/*
 * What is registered
 */

static int bad_range(const void *addr, size_t len)
{
	uint64_t start = (uintptr_t)addr;

	if (len && start && start < ADDR_END && len <= ADDR_END - start)
		return 0;
	errno = EINVAL;
	return -1;
}

/* Returns 0, or -1 with errno and hs_error(). */
static int check_memory(uint64_t start, uint64_t end)
{
	struct hs_maps maps;
	int ret, err;

	if (hs_maps_read(&maps, NULL))
		return hs_fail(hs_why(), errno, "/proc/self/maps can't be read: %s", strerror(errno));
	ret = hs_where_check(&maps, start, end, hs_why());
	err = errno;
	hs_maps_free(&maps);
	errno = err;
	return ret;
}

int hs_range(void *addr, size_t len)
{
	uint64_t start = (uintptr_t)addr;
	int ret;

	if (bad_range(addr, len))
		return hs_fail(hs_why(), EINVAL, "the address or the length makes no sense");
	if (start < HS_END && start + len > HS_BASE)
		return hs_fail(hs_why(), EEXIST, "memory of hs_malloc(3) is saved in any case");
	if (check_memory(start, start + len))
		return -1;
	hs_lock(&lock);
	ret = hs_intervals_add(&registered.saved, start, start + len);
	hs_unlock(&lock);
	return ret;
}

int hs_exclude(void *addr, size_t len)
{
	uint64_t start = (uintptr_t)addr;
	int ret;

	if (bad_range(addr, len))
		return -1;
	hs_lock(&lock);
	ret = hs_intervals_add(&registered.excluded, start, start + len);
	hs_unlock(&lock);
	return ret;
}

/* What is saved at this moment. Returns 0, or -1 with errno ENOMEM. */
int hs_ranges_capture(struct hs_ranges *to)
{
	const struct hs_intervals *out = &registered.excluded;
	int ret = -1;
	size_t i;

	*to = (struct hs_ranges) { .nr_slots = 0 };
	hs_lock(&lock);
	if (intervals_copy(&to->saved, &registered.saved) || intervals_copy(&to->excluded, out))
		goto out;
	for (i = 0; i < out->nr; i++)
		if (hs_intervals_remove(&to->saved, out->v[i].start, out->v[i].end))
			goto out;
	to->slots = malloc((registered.nr_slots + 1) * sizeof(*to->slots));
	if (!to->slots)
		goto out;
	for (i = 0; i < registered.nr_slots; i++) {
		const struct hs_slot *s = &registered.slots[i];

		if (hs_intervals_have(&to->saved, s->addr, s->addr + sizeof(s->value)))
			to->slots[to->nr_slots++] = *s;
	}
	ret = 0;
out:
	hs_unlock(&lock);
	if (ret)
		hs_ranges_free(to);
	return ret;
}

static int add_piece(void *list, void *addr, size_t len)
{
	return hs_intervals_add(list, (uintptr_t)addr, (uintptr_t)addr + len);
}

int hs_saved_pages(struct hs_intervals *all, const struct hs_ranges *r)
{
	const struct hs_interval *v = r->saved.v;
	size_t i;

	if (hs_arena_pieces(add_piece, all))
		return -1;
	for (i = 0; i < r->saved.nr; i++)
		if (hs_intervals_add(all, v[i].start & ~(HS_PAGE - 1),
				     (v[i].end + HS_PAGE - 1) & ~(HS_PAGE - 1)))
			return -1;
	return 0;
}

/* Leaves errno alone. */
void hs_ranges_free(struct hs_ranges *r)
{
	int saved = errno;

	free(r->saved.v);
	free(r->excluded.v);
	free(r->slots);
	*r = (struct hs_ranges) { .nr_slots = 0 };
	errno = saved;
}

/*
 * Libraries
 */

#if defined(__x86_64__)
#define OWN_ADDRESS	R_X86_64_RELATIVE
#elif defined(__aarch64__)
#define OWN_ADDRESS	R_AARCH64_RELATIVE
#else
/* Unknown: then all that the loader has put there are remembered. */
#define OWN_ADDRESS	0
#endif

struct object {
	const char *name;
	bool found;
	ElfW(Addr) base;
	struct hs_ranges all;		/* of it */
	int ret;
};

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

struct dynamic {
	const ElfW(Sym) *symbols;
	const ElfW(Rela) *rela, *plt_rela;
	size_t rela_len, plt_len;
	uint64_t plt_got;
};

/* Pointers in it are addresses already: the loader has seen to that. */
static struct dynamic read_dynamic(const ElfW(Dyn) *d)
{
	struct dynamic all = { .plt_got = 0 };

	for (; d->d_tag != DT_NULL; d++) {
		switch (d->d_tag) {
		case DT_SYMTAB:
			all.symbols = (const void *)d->d_un.d_ptr;
			break;
		case DT_RELA:
			all.rela = (const void *)d->d_un.d_ptr;
			break;
		case DT_RELASZ:
			all.rela_len = d->d_un.d_val;
			break;
		case DT_JMPREL:
			all.plt_rela = (const void *)d->d_un.d_ptr;
			break;
		case DT_PLTRELSZ:
			all.plt_len = d->d_un.d_val;
			break;
		case DT_PLTGOT:
			all.plt_got = d->d_un.d_ptr;
			break;
		}
	}
	return all;
}

/* Of the object itself, and no function that chooses by the CPU? */
static bool own_symbol(const struct dynamic *d, const ElfW(Rela) *r)
{
	const ElfW(Sym) *s = &d->symbols[ELF64_R_SYM(r->r_info)];

	return s->st_shndx != SHN_UNDEF && ELF64_ST_TYPE(s->st_info) != STT_GNU_IFUNC &&
		ELF64_ST_BIND(s->st_info) == STB_LOCAL;
}

static int add_slot(struct hs_ranges *r, uint64_t addr)
{
	struct hs_slot *v = realloc(r->slots, (r->nr_slots + 1) * sizeof(*v));

	if (!v)
		return -1;
	r->slots = v;
	v[r->nr_slots++] = (struct hs_slot) { addr, *(uint64_t *)(uintptr_t)addr };
	return 0;
}

static int add_slots(struct object *o, const struct dynamic *d)
{
	const ElfW(Rela) *r, *end = d->rela + d->rela_len / sizeof(*r);
	uint64_t addr;

	for (r = d->rela; r < end; r++) {
		addr = o->base + r->r_offset;
		if (ELF64_R_TYPE(r->r_info) == OWN_ADDRESS || own_symbol(d, r) ||
		    !hs_intervals_have(&o->all.saved, addr, addr + 8))
			continue;
		if (add_slot(&o->all, addr))
			return -1;
	}
	return 0;
}

/* The table that calls of other objects go through: of no use on another host. */
static int remove_plt(struct object *o, const struct dynamic *d)
{
	size_t entries = 3 + d->plt_len / sizeof(ElfW(Rela));

	if (!d->plt_got)
		return 0;
	return hs_intervals_remove(&o->all.saved, d->plt_got, d->plt_got + entries * 8);
}

static int add_segments(struct object *o, const struct dl_phdr_info *info)
{
	const ElfW(Phdr) *p = info->dlpi_phdr, *end = p + info->dlpi_phnum;
	struct hs_intervals *saved = &o->all.saved;
	uint64_t start;

	for (; p < end; p++) {
		start = info->dlpi_addr + p->p_vaddr;
		if (p->p_type == PT_LOAD && p->p_flags & PF_W &&
		    hs_intervals_add(saved, start, start + p->p_memsz))
			return -1;
	}
	/* What is made read-only when the loader has done its part. */
	for (p = info->dlpi_phdr; p < end; p++) {
		start = info->dlpi_addr + p->p_vaddr;
		if (p->p_type == PT_GNU_RELRO &&
		    hs_intervals_remove(saved, start, (start + p->p_memsz) & ~(HS_PAGE - 1)))
			return -1;
	}
	return 0;
}

static int look_at(struct dl_phdr_info *info, size_t size, void *arg)
{
	const ElfW(Phdr) *p = info->dlpi_phdr, *end = p + info->dlpi_phnum;
	struct object *o = arg;
	struct dynamic d;

	(void)size;
	/* The program itself comes first, and has no name. */
	if (strcmp(last_part(info->dlpi_name), o->name))
		return 0;
	o->found = true;
	o->base = info->dlpi_addr;
	o->ret = add_segments(o, info);
	for (; !o->ret && p < end; p++) {
		if (p->p_type != PT_DYNAMIC)
			continue;
		d = read_dynamic((const void *)(info->dlpi_addr + p->p_vaddr));
		o->ret = remove_plt(o, &d) ?: add_slots(o, &d);
	}
	return 1;
}

/* With the registry locked. */
static int merge(const struct hs_ranges *from)
{
	struct hs_slot *v = realloc(registered.slots, (registered.nr_slots + from->nr_slots + 1) *
				    sizeof(*v));
	size_t i;

	if (!v)
		return -1;
	registered.slots = v;
	for (i = 0; i < from->saved.nr; i++)
		if (hs_intervals_add(&registered.saved, from->saved.v[i].start,
				     from->saved.v[i].end))
			return -1;
	if (from->nr_slots)
		memcpy(v + registered.nr_slots, from->slots, from->nr_slots * sizeof(*v));
	registered.nr_slots += from->nr_slots;
	return 0;
}

/* Is what we remember ourselves in it? It would be taken for that of another process. */
static bool has_our_own(const struct hs_ranges *r)
{
	return hs_intervals_have(&r->saved, (uintptr_t)&registered, (uintptr_t)&registered + 1);
}

/* What the C library and the loader remember is of their process, too. */
static bool of_the_process(const char *name)
{
	return !strcmp(name, LIBC_SO) || !strcmp(name, LD_SO);
}

int hs_dso(const char *name)
{
	struct object o = { .name = name ?: "" };
	int ret = -1;

	/* The program's is the empty name. */
	if (!name || *name)
		dl_iterate_phdr(look_at, &o);
	if (!o.found) {
		errno = ENOENT;
	} else if (o.ret) {
		errno = ENOMEM;
	} else if (of_the_process(o.name) || has_our_own(&o.all)) {
		errno = EINVAL;
	} else {
		hs_lock(&lock);
		if (o.all.saved.nr &&
		    hs_intervals_have(&registered.saved, o.all.saved.v[0].start,
				      o.all.saved.v[0].end))
			errno = EEXIST;
		else
			ret = merge(&o.all);
		hs_unlock(&lock);
	}
	hs_ranges_free(&o.all);
	return ret;
}

/*
 * Restoring
 */

/* What is here already is what it was there, or it would be written over. */
static int check_here(const struct hs_intervals *saved, struct hs_error *e)
{
	struct hs_maps maps;
	uint64_t at, next;
	int ret = 0;
	size_t i;

	if (hs_maps_read(&maps, NULL))
		return hs_fail(e, errno, "/proc/self/maps can't be read: %s", strerror(errno));
	for (i = 0; !ret && i < saved->nr; i++) {
		for (at = saved->v[i].start; !ret && at < saved->v[i].end; at = next) {
			const struct hs_map *m = hs_maps_at(&maps, at);

			next = m ? m->end : (at & ~(HS_PAGE - 1)) + HS_PAGE;
			if (m && (m->libc || m->where > HS_WHERE_CHOSEN))
				ret = hs_fail(e, EEXIST, "memory at %#llx was saved, here that is %s",
					      (unsigned long long)at, hs_where_text(m->where));
		}
	}
	hs_maps_free(&maps);
	if (ret)
		errno = EEXIST;
	return ret;
}

/* What isn't mapped will be; what is stays, and is written to. */
static int map_missing(uint64_t start, uint64_t end)
{
	uint64_t at = start & ~(HS_PAGE - 1);

	for (; at < end; at += HS_PAGE)
		if (mmap((void *)(uintptr_t)at, HS_PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED &&
		    errno != EEXIST)
			return -1;
	return 0;
}

static int read_into(int fd, uint64_t start, uint64_t end)
{
	ssize_t n;

	for (; start < end; start += (uint64_t)n) {
		n = pread(fd, (void *)(uintptr_t)start, end - start, (off_t)start);
		if (n < 0 && errno == EINTR)
			n = 0;
		else if (n <= 0)
			return -1;
	}
	return 0;
}

/* What was the loader's choice there is the loader's choice here, if nobody changed it. */
static int keep_slot(struct hs_slot *s, int fd, uint64_t *here)
{
	uint64_t saved;

	*here = *(uint64_t *)(uintptr_t)s->addr;
	if (pread(fd, &saved, sizeof(saved), (off_t)s->addr) != sizeof(saved))
		return -1;
	if (saved != s->value)
		*here = saved;
	else
		s->value = *here;
	return 0;
}

int hs_ranges_restore(struct hs_ranges *r, int fd, struct hs_error *e)
{
	uint64_t *here = malloc((r->nr_slots + 1) * sizeof(*here));
	const struct hs_interval *v = r->saved.v;
	int ret = here ? 0 : -1;
	size_t i;

	if (here && check_here(&r->saved, e)) {
		free(here);
		return -1;
	}
	for (i = 0; !ret && i < r->saved.nr; i++)
		ret = map_missing(v[i].start, v[i].end);
	for (i = 0; !ret && i < r->nr_slots; i++)
		ret = keep_slot(&r->slots[i], fd, &here[i]);
	for (i = 0; !ret && i < r->saved.nr; i++)
		ret = read_into(fd, v[i].start, v[i].end);
	for (i = 0; !ret && i < r->nr_slots; i++)
		*(uint64_t *)(uintptr_t)r->slots[i].addr = here[i];
	free(here);
	if (ret)
		return hs_fail(e, errno, "memory besides the arena can't be restored: %s",
			       strerror(errno));
	registered = *r;
	*r = (struct hs_ranges) { .nr_slots = 0 };
	return 0;
}

/*
 * As text
 */

static struct json_object *intervals_json(const struct hs_intervals *l)
{
	struct json_object *all = json_object_new_array(), *o;
	size_t i;

	for (i = 0; all && i < l->nr; i++) {
		o = json_object_new_object();
		js_put_u64(o, "start", l->v[i].start);
		js_put_u64(o, "end", l->v[i].end);
		json_object_array_add(all, o);
	}
	return all;
}

static struct json_object *slots_json(const struct hs_ranges *r)
{
	struct json_object *all = json_object_new_array(), *o;
	size_t i;

	for (i = 0; all && i < r->nr_slots; i++) {
		o = json_object_new_object();
		js_put_u64(o, "address", r->slots[i].addr);
		js_put_u64(o, "value", r->slots[i].value);
		json_object_array_add(all, o);
	}
	return all;
}

struct json_object *hs_ranges_json(const struct hs_ranges *r)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "saved", intervals_json(&r->saved));
	json_object_object_add(o, "excluded", intervals_json(&r->excluded));
	json_object_object_add(o, "slots", slots_json(r));
	return o;
}

static bool parse_intervals(struct hs_intervals *l, struct json_object *list)
{
	size_t i, nr = list ? json_object_array_length(list) : 0;
	uint64_t start, end;

	if (nr > MOST)
		return false;
	for (i = 0; i < nr; i++) {
		struct js_from one = { .o = json_object_array_get_idx(list, i) };

		if (!json_object_is_type(one.o, json_type_object))
			return false;
		start = js_get_u64(&one, "start");
		end = js_get_u64(&one, "end");
		if (one.bad || start >= end || end > ADDR_END ||
		    hs_intervals_add(l, start, end))
			return false;
	}
	return true;
}

static bool parse_slots(struct hs_ranges *r, struct json_object *list)
{
	size_t i, nr = list ? json_object_array_length(list) : 0;

	if (nr > MOST)
		return false;
	r->slots = calloc(nr + 1, sizeof(*r->slots));
	if (!r->slots)
		return false;
	for (i = 0; i < nr; i++) {
		struct js_from one = { .o = json_object_array_get_idx(list, i) };
		struct hs_slot *s = &r->slots[i];

		if (!json_object_is_type(one.o, json_type_object))
			return false;
		s->addr = js_get_u64(&one, "address");
		s->value = js_get_u64(&one, "value");
		if (one.bad || !hs_intervals_have(&r->saved, s->addr, s->addr + 8))
			return false;
		r->nr_slots++;
	}
	return true;
}

/* Returns 0, or -1 with errno EBADMSG and @e. */
int hs_ranges_parse(struct hs_ranges *r, struct json_object *json, struct hs_error *e)
{
	struct js_from from = { .o = json };

	*r = (struct hs_ranges) { .nr_slots = 0 };
	if (json_object_is_type(json, json_type_object) &&
	    parse_intervals(&r->saved, js_get(&from, "saved", json_type_array, true)) &&
	    parse_intervals(&r->excluded, js_get(&from, "excluded", json_type_array, true)) &&
	    parse_slots(r, js_get(&from, "slots", json_type_array, true)) && !from.bad)
		return 0;
	hs_ranges_free(r);
	return hs_fail(e, EBADMSG, "the ranges in the checkpoint make no sense");
}
