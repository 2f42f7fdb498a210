// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libhotspare: the reserved region, and the classes in it.
 *
 * Locks aren't part of a checkpoint. hs_arena_lock() takes all of them, so that no
 * allocation is half done at a cut; it comes before, and after a take-over they are new.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "area.h"
#include "arena.h"
#include "lock.h"

#define ROOT_MAGIC	0x746f6f722d7368ULL	/* "hs-root" */
#define CLASS_MAGIC	0x7373616c632d7368ULL	/* "hs-class" */
#define VERSION		1U

struct root {
	uint64_t magic;
	uint32_t version;
	uint32_t nr;			/* classes, in the slots 1 to this */
	uint16_t hash[HS_HASH];		/* slots by the class's number, 0: none */
	uint64_t area;			/* address of the state area, 0: none */
};

/* Lock order: the arena's, then the classes', by slot. */
static pthread_mutex_t arena_lock = PTHREAD_MUTEX_INITIALIZER;
#define SCRATCH_SLOT	(HS_CLASSES + 1)
static pthread_mutex_t class_lock[SCRATCH_SLOT + 1] = {
	[0 ... SCRATCH_SLOT] = PTHREAD_MUTEX_INITIALIZER,
};
static struct hs_class *scratch;
static bool reserved;			/* hs_arena_reserve() */
static struct root *root;
struct hs_class *hs_class_recent;

/* At its place and nowhere else: EEXIST if there is something already. */
void *hs_map_at(uintptr_t addr, size_t len, int prot)
{
	void *p = mmap((void *)addr, len, prot,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

	if (p == MAP_FAILED || p == (void *)addr)
		return p;
	/* Linux before 4.17 takes the address for a wish. */
	munmap(p, len);
	errno = EEXIST;
	return MAP_FAILED;
}

static int root_create(void)
{
	struct root *r;

	if (root)
		return 0;
	r = hs_map_at(HS_BASE, HS_PAGE, PROT_READ | PROT_WRITE);
	if (r == MAP_FAILED)
		return -1;
	r->magic = ROOT_MAGIC;
	r->version = VERSION;
	__atomic_store_n(&root, r, __ATOMIC_RELEASE);
	return 0;
}

/*
 * The state area: with the arena locked
 */

struct hs_area *hs_arena_area(void)
{
	return root ? (struct hs_area *)(uintptr_t)root->area : NULL;
}

/* A program may have variables only, and no class. Returns 0, or -1 with errno. */
int hs_arena_set_area(struct hs_area *a)
{
	if (root_create())
		return -1;
	root->area = (uintptr_t)a;
	return 0;
}

/* @page: a root page. Returns what it says, 0: it is no root page, or has no area. */
uint64_t hs_root_area(const void *page)
{
	const struct root *r = page;

	return r->magic == ROOT_MAGIC && r->version == VERSION ? r->area : 0;
}

static struct hs_class *class_at(unsigned int slot)
{
	return (struct hs_class *)(HS_BASE + slot * HS_SLOT);
}

static unsigned int slot_of(const void *addr)
{
	return (unsigned int)(((uintptr_t)addr - HS_BASE) / HS_SLOT);
}

static unsigned int hash_of(int number)
{
	return ((uint32_t)number * 2654435761U) >> 23;
}

/* The place of the class in the table, or the free one where it would be. */
static uint16_t *hash_place(struct root *r, int number)
{
	unsigned int i = hash_of(number);
	uint16_t slot;

	while ((slot = __atomic_load_n(&r->hash[i], __ATOMIC_ACQUIRE))) {
		if (class_at(slot)->number == number)
			break;
		i = (i + 1) % HS_HASH;
	}
	return &r->hash[i];
}

/* Without locks: classes don't go away. */
struct hs_class *hs_class_look(int number)
{
	struct root *r = __atomic_load_n(&root, __ATOMIC_ACQUIRE);
	uint16_t slot = r ? __atomic_load_n(hash_place(r, number), __ATOMIC_ACQUIRE) : 0;

	if (!slot)
		return NULL;
	__atomic_store_n(&hs_class_recent, class_at(slot), __ATOMIC_RELEASE);
	return class_at(slot);
}

/* The class that the address is in, or NULL. */
struct hs_class *hs_class_of(const void *addr)
{
	struct root *r = __atomic_load_n(&root, __ATOMIC_ACQUIRE);
	unsigned int slot;

	if (hs_in_scratch(addr))
		return scratch;
	if (!r || (uintptr_t)addr < HS_BASE + HS_SLOT)
		return NULL;
	if ((uintptr_t)addr >= HS_BASE + (HS_CLASSES + 1) * HS_SLOT)
		return NULL;
	slot = slot_of(addr);
	return slot <= __atomic_load_n(&r->nr, __ATOMIC_ACQUIRE) ? class_at(slot) : NULL;
}

void hs_class_lock_it(const struct hs_class *c)
{
	pthread_mutex_lock(&class_lock[slot_of(c)]);
}

void hs_class_unlock_it(const struct hs_class *c)
{
	pthread_mutex_unlock(&class_lock[slot_of(c)]);
}

void hs_arena_lock(void)
{
	unsigned int i;

	hs_inside++;
	pthread_mutex_lock(&arena_lock);
	for (i = 1; i <= (root ? root->nr : 0); i++)
		pthread_mutex_lock(&class_lock[i]);
}

void hs_arena_unlock(void)
{
	unsigned int i;

	for (i = root ? root->nr : 0; i; i--)
		pthread_mutex_unlock(&class_lock[i]);
	pthread_mutex_unlock(&arena_lock);
	hs_inside--;
}

void hs_scratch_lock(void)
{
	pthread_mutex_lock(&class_lock[SCRATCH_SLOT]);
}

void hs_scratch_unlock(void)
{
	pthread_mutex_unlock(&class_lock[SCRATCH_SLOT]);
}

/*
 * A class
 */

static size_t table_len(uint32_t pages)
{
	/* One more: the page behind the last is looked at, and is nothing. */
	return ((pages + 2ULL) * sizeof(struct hs_page) + HS_PAGE - 1) & ~(HS_PAGE - 1);
}

static int make_writable(void *addr, size_t len)
{
	return reserved ? 0 : mprotect(addr, len, PROT_READ | PROT_WRITE);
}

/* From @c->pages to @pages; nothing has changed if it fails. */
static int grow_to(struct hs_class *c, uint32_t pages)
{
	uint32_t nr = pages - c->pages;

	if (make_writable(c, HS_TABLE + table_len(pages)) ||
	    make_writable(hs_page_addr(c, c->pages + 1), (size_t)nr << HS_PAGE_SHIFT))
		return -1;
	c->pages = pages;
	hs_pages_new(c, pages - nr + 1, nr);
	return 0;
}

/* By at least @pages, to twice the size if that can be had. The class is locked. */
int hs_class_grow(struct hs_class *c, uint32_t pages)
{
	uint64_t least = (uint64_t)c->pages + pages, twice = (uint64_t)c->pages * 2;

	if (least > HS_MAX_PAGES - 2) {
		errno = ENOMEM;
		return -1;
	}
	if (twice > HS_MAX_PAGES - 2)
		twice = HS_MAX_PAGES - 2;
	if (twice > least && !grow_to(c, (uint32_t)twice))
		return 0;
	return grow_to(c, (uint32_t)least);
}

static struct hs_class *class_map(unsigned int slot, int number, uint32_t pages, bool debug)
{
	struct hs_class *c = hs_map_at(HS_BASE + slot * HS_SLOT, HS_SLOT, PROT_NONE);

	if (c == MAP_FAILED)
		return NULL;
	if (make_writable(c, HS_TABLE))
		goto fail;
	c->magic = CLASS_MAGIC;
	c->number = number;
	c->debug = debug;
	if (hs_class_grow(c, pages))
		goto fail;
	return c;
fail:
	munmap(c, HS_SLOT);
	return NULL;
}

struct hs_class *hs_scratch(void)
{
	hs_scratch_lock();
	if (!scratch)
		scratch = class_map(SCRATCH_SLOT, 0, 16, false);
	hs_scratch_unlock();
	return scratch;
}

/* NULL, with errno: EEXIST, ENOSPC, ENOMEM. */
struct hs_class *hs_class_create(int number, uint32_t pages, bool debug)
{
	struct hs_class *c = NULL;

	pthread_mutex_lock(&arena_lock);
	if (root_create())
		goto out;
	if (hs_class_find(number)) {
		errno = EEXIST;
	} else if (root->nr == HS_CLASSES) {
		errno = ENOSPC;
	} else {
		c = class_map(root->nr + 1, number, pages, debug);
		if (c) {
			__atomic_store_n(&root->nr, root->nr + 1, __ATOMIC_RELEASE);
			__atomic_store_n(hash_place(root, number), root->nr,
					 __ATOMIC_RELEASE);
		}
	}
out:
	pthread_mutex_unlock(&arena_lock);
	return c;
}

void hs_classes_each(hs_class_fn fn, void *arg)
{
	unsigned int i;

	for (i = 1; i <= (root ? root->nr : 0); i++)
		fn(arg, class_at(i));
}

int hs_arena_pieces(hs_piece_fn fn, void *arg)
{
	unsigned int i;
	int ret;

	if (!root)
		return 0;
	ret = fn(arg, root, HS_PAGE);
	if (!ret && root->area)
		ret = hs_area_pieces(hs_arena_area(), fn, arg);
	for (i = 1; !ret && i <= root->nr; i++) {
		struct hs_class *c = class_at(i);

		ret = fn(arg, c, HS_TABLE + table_len(c->pages));
		if (!ret && c->pages)
			ret = fn(arg, hs_page_addr(c, 1), (size_t)c->pages << HS_PAGE_SHIFT);
	}
	return ret;
}

/*
 * Restoring: what the first pages say is believed only as far as it can be true
 */

int hs_arena_reserve(void)
{
	int ret = -1;

	pthread_mutex_lock(&arena_lock);
	if (root || reserved)
		errno = EEXIST;
	else if (hs_map_at(HS_BASE, HS_END - HS_BASE, PROT_READ | PROT_WRITE) != MAP_FAILED)
		ret = 0;
	reserved |= !ret;
	pthread_mutex_unlock(&arena_lock);
	return ret;
}

/* Leaves errno alone. */
void hs_arena_unreserve(void)
{
	int saved = errno;

	if (reserved)
		munmap((void *)HS_BASE, HS_END - HS_BASE);
	reserved = false;
	errno = saved;
}

bool hs_arena_reserved(void)
{
	return reserved;
}

void *hs_arena_map(uintptr_t addr, size_t len, int prot)
{
	return reserved ? (void *)addr : hs_map_at(addr, len, prot);
}

/* Of what was reserved: no access to what lies between the pieces, ... */
static int close_gap(void *done, void *addr, size_t len)
{
	uintptr_t *from = done, to = (uintptr_t)addr;
	int ret = *from < to ? mprotect((void *)*from, to - *from, PROT_NONE) : 0;

	*from = to + len;
	return ret;
}

static int unmap(uintptr_t from, uintptr_t to)
{
	return from < to ? munmap((void *)from, to - from) : 0;
}

/* ... and nothing where no area or class is. With @root set. */
static int close_gaps(void)
{
	uintptr_t done = HS_BASE, end = HS_BASE + (root->nr + 1UL) * HS_SLOT;
	uintptr_t area = root->area ? HS_AREA : HS_BASE + HS_SLOT;
	uintptr_t behind = root->area ? HS_AREA + HS_AREA_LEN : HS_BASE + HS_SLOT;

	if (hs_arena_pieces(close_gap, &done) || close_gap(&done, (void *)end, 0))
		return -1;
	return unmap(HS_BASE + HS_PAGE, area) || unmap(behind, HS_BASE + HS_SLOT) ||
		unmap(end, HS_END) ? -1 : 0;
}

static int not_an_arena(void)
{
	errno = EUCLEAN;
	return -1;
}

static int restore_class(struct hs_class *c, hs_piece_fn fill, void *arg)
{
	if (make_writable(c, HS_TABLE) || fill(arg, c, HS_TABLE))
		return -1;
	if (c->magic != CLASS_MAGIC || c->pages > HS_MAX_PAGES - 2)
		return not_an_arena();
	if (make_writable(c, HS_TABLE + table_len(c->pages)) ||
	    make_writable(hs_page_addr(c, 1), (size_t)c->pages << HS_PAGE_SHIFT))
		return -1;
	if (fill(arg, hs_page(c, 0), table_len(c->pages)))
		return -1;
	return fill(arg, hs_page_addr(c, 1), (size_t)c->pages << HS_PAGE_SHIFT);
}

static int restore_root(struct root *r, hs_piece_fn fill, void *arg)
{
	unsigned int i, used = 0;

	if (fill(arg, r, HS_PAGE))
		return -1;
	for (i = 0; i < HS_HASH; i++) {
		used += !!r->hash[i];
		if (r->hash[i] > r->nr)
			return not_an_arena();
	}
	if (r->magic != ROOT_MAGIC || r->version != VERSION || r->nr > HS_CLASSES ||
	    used != r->nr)
		return not_an_arena();
	return 0;
}

/* @mapped: how many slots are, the root's among them. @area: whether the state area is. */
static int restore_all(unsigned int *mapped, bool *area, hs_piece_fn fill, void *arg)
{
	struct root *r = hs_arena_map(HS_BASE, HS_PAGE, PROT_READ | PROT_WRITE);
	int ret;

	if (r == MAP_FAILED)
		return -1;
	*mapped = 1;
	ret = restore_root(r, fill, arg);
	if (!ret && r->area) {
		ret = hs_area_restore((struct hs_area *)(uintptr_t)r->area, fill, arg);
		*area = !ret;
	}
	for (; !ret && *mapped <= r->nr; ++*mapped) {
		struct hs_class *c = class_at(*mapped);

		if (hs_arena_map((uintptr_t)c, HS_SLOT, PROT_NONE) == MAP_FAILED)
			return -1;
		ret = restore_class(c, fill, arg);
	}
	return ret ?: fill(arg, NULL, 0);
}

/*
 * @fill is called in the order of addresses, and with NULL in the end. Returns 0, or -1:
 * nothing is mapped then. errno: EEXIST: there is an arena, or something else at its place.
 * EUCLEAN: that is no arena. ENOMEM. Or what @fill left.
 */
int hs_arena_restore(hs_piece_fn fill, void *arg)
{
	unsigned int mapped = 0;
	bool area = false;
	int saved, ret = -1;

	pthread_mutex_lock(&arena_lock);
	if (root)
		errno = EEXIST;
	else
		ret = restore_all(&mapped, &area, fill, arg);
	if (!ret)
		__atomic_store_n(&root, (struct root *)HS_BASE, __ATOMIC_RELEASE);
	if (!ret && reserved && close_gaps()) {
		root = NULL;
		ret = -1;
	}
	saved = errno;
	if (ret && reserved) {
		hs_arena_unreserve();
		mapped = 0;
		area = false;
	}
	reserved = false;
	if (ret && mapped)
		munmap((void *)HS_BASE, HS_PAGE);
	if (ret && area)
		munmap((void *)HS_AREA, HS_AREA_LEN);
	for (; ret && mapped > 1; mapped--)
		munmap(class_at(mapped - 1), HS_SLOT);
	pthread_mutex_unlock(&arena_lock);
	errno = saved;
	return ret ? -1 : 0;
}
