/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libhotspare: the state area: what a checkpoint has beside memory (descriptors, threads, signals,
 * the process, the application's sections), as pages of the arena. A program with a session name
 * writes the area at each cut, so the area travels to the spare as memory does. The bytes
 * are those of the sections of a checkpoint file.
 *
 * The area begins with one page, struct hs_area, which the arena's root points to. Each
 * type of section has a slot of addresses at a fixed place, so a section that grows moves no
 * other section. A page is written only if its content differs: unchanged pages stay clean.
 */
#ifndef HS_AREA_H
#define HS_AREA_H

#include "arena.h"
#include "checkpoint.h"
#include "format.h"

#define HS_AREA		(HS_BASE + (1UL << 30))
#define HS_AREA_SLOT	(1UL << 30)	/* addresses for the sections of one type */
#define HS_AREA_LEN	(HS_SECTION_TYPES * HS_AREA_SLOT)

struct hs_area_slot {
	uint64_t len;			/* bytes of text; HS_SECTION_USER: number of sections */
	uint64_t mapped;		/* bytes that can be read and written, whole pages */
};

struct hs_area {
	uint64_t magic;
	uint32_t version;
	uint32_t reserved;
	struct hs_image_head head;	/* of the checkpoint; no sum */
	struct hs_area_slot slot[HS_SECTION_TYPES];
};

/* In the slot of HS_SECTION_USER, every HS_AREA_USER bytes; the content is in the next page. */
struct hs_area_user {
	char name[HS_SECTION_NAME];
	uint64_t len;
};

#define HS_AREA_USER	((1UL << 20) + HS_PAGE)

/* At a cut, with the arena locked. Returns 0, or -1 with errno and @e. */
int hs_area_write(const struct hs_texts *t, const struct hs_image_head *head, struct hs_error *e);

/*
 * Read the area of another process. @read: reads all of [addr, addr + len) as pread(2) would,
 * returns 0, or -1 with errno. Returns 0, or -1 with errno and @e: ENODATA: there is no area;
 * EBADMSG, EPROTONOSUPPORT: the area makes no sense, is another version's; those of
 * hs_state_parse().
 */
typedef int (*hs_area_fn)(void *arg, void *buf, size_t len, uint64_t addr);
int hs_area_read(hs_area_fn read, void *arg, struct hs_state *state, struct hs_image_head *head,
		 struct hs_error *e);

/* For arena.c: as hs_arena_pieces() and hs_arena_restore(). @a: what the root says. */
int hs_area_pieces(struct hs_area *a, hs_piece_fn fn, void *arg);
int hs_area_restore(struct hs_area *a, hs_piece_fn fill, void *arg);

#endif /* HS_AREA_H */
