/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libhotspare: memory that is saved in a checkpoint, at addresses that are the same in
 * every process. All that is known about it is kept in it, but for the locks: so it works
 * on after a take-over, as it was at the cut.
 *
 *   HS_BASE		the root page: which classes there are, and where the state area is
 *   HS_BASE + 1 GiB	the state area of a program with a session name, see area.h
 *   HS_BASE + n slots	class n: its header, its table of pages, its pages
 *
 * Between the mappings of many kinds that the kernel makes at its own choice, and where
 * neither programs nor AddressSanitizer have theirs.
 */
#ifndef HS_ARENA_H
#define HS_ARENA_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __GLIBC__
#include <sys/single_threaded.h>
#else
#define __libc_single_threaded	0
#endif

#include "error.h"

#define HS_PAGE_SHIFT	12
#define HS_PAGE		(1UL << HS_PAGE_SHIFT)
#define HS_BASE		0x200000000000UL
#define HS_SLOT		(1UL << 38)	/* 256 GiB */
#define HS_CLASSES	191		/* the first slot is the root's */
#define HS_END		(HS_BASE + (HS_CLASSES + 1) * HS_SLOT)
#define HS_HASH		512		/* places for their numbers, more than twice as many */

#define HS_TABLE	HS_PAGE		/* where in a slot the table of pages is, ... */
#define HS_DATA		(1UL << 30)	/* ... and where the pages are */
#define HS_MAX_PAGES	((HS_SLOT - HS_DATA) >> HS_PAGE_SHIFT)

#define HS_BINS		64		/* lists of free runs, by length */
#define HS_SIZES	32		/* sizes of small objects */

/* No page: page 0 of a class is never given out. */
#define HS_NONE		0U

enum hs_kind {
	HS_NOTHING,			/* in the middle of something */
	HS_FREE,			/* the first page of a free run, and its last */
	HS_LARGE,			/* the first page of an object of its own */
	HS_SPAN,			/* the first page of objects of one size, ... */
	HS_SPAN_PART,			/* ... and those behind it */
};

/* A page, or what begins there. */
struct hs_page {
	uint32_t kind : 4;		/* enum hs_kind */
	uint32_t size : 8;		/* spans: which of the sizes */
	uint32_t dirty : 1;		/* free runs: may have memory behind them */
	uint32_t pages;			/* its length; SPAN_PART: from the first page to here */
	uint32_t next, prev;		/* free runs of a bin, spans with room */
};

/* The first page of a slot. */
struct hs_class {
	uint64_t magic;
	int32_t number;			/* the program's name for it */
	uint32_t debug;
	uint32_t pages;			/* that can be read and written */
	uint32_t used;			/* that aren't free */
	uint32_t dirty;			/* free ones that may have memory behind them */
	uint64_t objects;
	uint64_t bytes;			/* in them, as they were rounded */
	uint64_t bins;			/* which have a run */
	uint32_t bin[HS_BINS];
	uint32_t span[HS_SIZES];	/* spans of that size with room */
};

/* arena.c */
struct hs_class *hs_class_look(int number);
/* The one that was looked for last: most programs have one, or use one for a while. */
extern struct hs_class *hs_class_recent;
static inline struct hs_class *hs_class_find(int number)
{
	struct hs_class *c = __atomic_load_n(&hs_class_recent, __ATOMIC_ACQUIRE);

	return c && c->number == number ? c : hs_class_look(number);
}
struct hs_class *hs_class_of(const void *addr);
struct hs_class *hs_class_create(int number, uint32_t pages, bool debug);
void hs_class_lock_it(const struct hs_class *c);
void hs_class_unlock_it(const struct hs_class *c);
/*
 * A process with one thread needs no lock, as for malloc(3). Nothing that is done between the two
 * begins a thread.
 */
static inline void hs_class_lock(const struct hs_class *c)
{
	if (!__libc_single_threaded)
		hs_class_lock_it(c);
}

static inline void hs_class_unlock(const struct hs_class *c)
{
	if (!__libc_single_threaded)
		hs_class_unlock_it(c);
}
int hs_class_grow(struct hs_class *c, uint32_t pages);
/*
 * A class behind the others, which no checkpoint has: for what the library itself takes by
 * malloc(3), if that is hs_malloc(). NULL, with errno: it can't be made.
 */
#define HS_SCRATCH	HS_END
struct hs_class *hs_scratch(void);
void hs_scratch_lock(void);
void hs_scratch_unlock(void);
static inline bool hs_in_scratch(const void *addr)
{
	return (uintptr_t)addr >= HS_SCRATCH && (uintptr_t)addr < HS_SCRATCH + HS_SLOT;
}

void hs_arena_lock(void);
void hs_arena_unlock(void);

/* Private memory without content at @addr and nowhere else; MAP_FAILED with errno, EEXIST. */
void *hs_map_at(uintptr_t addr, size_t len, int prot);
/* The same, of the arena; or nothing, if it is reserved. */
void *hs_arena_map(uintptr_t addr, size_t len, int prot);

/* The state area, see area.h; with the arena locked. NULL: there is none. */
struct hs_area;
struct hs_area *hs_arena_area(void);
int hs_arena_set_area(struct hs_area *a);
uint64_t hs_root_area(const void *page);

/* What is used of the arena: called for each piece, with the arena locked. */
typedef int (*hs_piece_fn)(void *arg, void *addr, size_t len);
int hs_arena_pieces(hs_piece_fn fn, void *arg);
/* The same in a process that has no arena yet: the caller fills each piece. */
int hs_arena_restore(hs_piece_fn fill, void *arg);
/*
 * All addresses of the arena as memory that can be written, before hs_arena_restore(), which then
 * takes what is there for the arena's. Returns 0, or -1 with errno: EEXIST: there is an arena.
 */
int hs_arena_reserve(void);
void hs_arena_unreserve(void);
/* Is it so? */
bool hs_arena_reserved(void);

/* Each class, with the arena locked or no other thread about. */
typedef void (*hs_class_fn)(void *arg, const struct hs_class *c);
void hs_classes_each(hs_class_fn fn, void *arg);

/* malloc.c: each object that is in use; and whether nothing is damaged: 0, or -1 */
typedef void (*hs_object_fn)(void *arg, const struct hs_class *c, const void *addr, size_t len);
void hs_objects_each(hs_object_fn fn, void *arg);
int hs_objects_check(void);

/* pages.c */
uint32_t hs_pages_get(struct hs_class *c, uint32_t nr, uint32_t align);
void hs_pages_put(struct hs_class *c, uint32_t first, uint32_t nr);
bool hs_pages_extend(struct hs_class *c, uint32_t first, uint32_t nr, uint32_t want);
void hs_pages_list(struct hs_class *c, uint32_t *head, uint32_t page);
void hs_pages_unlist(struct hs_class *c, uint32_t *head, uint32_t page);
void hs_pages_new(struct hs_class *c, uint32_t first, uint32_t nr);

static inline struct hs_page *hs_page(const struct hs_class *c, uint32_t nr)
{
	return (struct hs_page *)((char *)c + HS_TABLE) + nr;
}

static inline char *hs_page_addr(const struct hs_class *c, uint32_t nr)
{
	return (char *)c + HS_DATA + ((size_t)nr << HS_PAGE_SHIFT);
}

#endif /* HS_ARENA_H */
