/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libhotspare: the cut as a snapshot by the cptdev module, which also says what changed
 * since another one. Where there is no module the cut is a fork, see cut.c.
 */
#ifndef HS_MODULE_H
#define HS_MODULE_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "fd.h"
#include "format.h"
#include "ranges.h"

/* In the environment: where cptdevd's soft engine is, if not at its usual place. */
#define HS_PROGRAMS	"CPTDEVD_PROGRAMS"

enum hs_wish { HS_AUTO, HS_MODULE, HS_PORTABLE, HS_COMPARE };

struct hs_snapshot {
	int fd;				/* -1: there is none */
	uint64_t generation;		/* the module's number for it */
	uint64_t since;			/* it has what changed after this one; 0: all */
};

int hs_backend_by_name(const char *name, enum hs_wish *to, struct hs_error *e);
/* What will be chosen; HS_AUTO: as HOTSPARE_BACKEND says. Returns 0, or -1 with errno and @e. */
int hs_backend_wish(enum hs_wish wish, struct hs_error *e);
/* Before the first checkpoint; HS_AUTO: as HOTSPARE_BACKEND says. Returns 0, or -1 with
 * errno and @e: HS_MODULE, and it can't be had.
 */
int hs_backend_choose(enum hs_wish wish, struct hs_error *e);
/* Not yet: nothing is open. */
void hs_backend_release(void);
/* The same in order: when it has returned the engine knows that this process lives. */
void hs_backend_leave(void);
/* After fork(2): the session is of another process's memory. */
void hs_backend_in_child(void);

/* If not: why not. HS_AUTO: that may change when hs_snapshot_take() has failed. */
bool hs_by_module(void);
const char *hs_not_by_module(void);

/* The arena, which is locked, and @ranges. Returns 0, or -1 with errno and @e. */
int hs_snapshot_take(struct hs_snapshot *s, const struct hs_ranges *ranges, uint64_t since,
		     struct hs_error *e);
/* Its memory, as sections. Returns 0, or -1 with errno. */
int hs_snapshot_write(const struct hs_snapshot *s, struct hs_writer *w,
		      const struct hs_ranges *ranges);
/*
 * Of the module, or of the soft engine where there is none, as hs_backend_choose() was told:
 * a descriptor that has no name yet, or -1 with errno and @e.
 */
int hs_engine_open(struct hs_error *e);
/*
 * The session has this name from here on, and an engine has to be there. Before hs_backend_choose();
 * @name lives for ever. @term: 0 for a new one.
 */
void hs_snapshot_name(const char *name, uint64_t term);
/* Its descriptor, opened if it isn't. Or -1 with errno and @e. */
int hs_snapshot_session(struct hs_error *e);
/* Has the soft engine's daemon ended? Nothing is opened. */
bool hs_session_lost(void);
/* What the session may do, or NULL: it isn't open, or the module is older than that. */
const struct cptdev_session_page *hs_session_page(void);
/* It gets a descriptor that none of @fds has: these are about to come back. */
int hs_backend_make_room(const struct hs_fds *fds, struct hs_error *e);
/* Is that of the soft engine? */
bool hs_handed_over(void);
/* The pages of the arena that are excluded as a whole. Returns 0, or -1 with errno. */
int hs_excluded_pages(struct hs_intervals *out, const struct hs_ranges *ranges);
/* As hs_snapshot_take(), but for cptdevd: @s gets a generation and no descriptor. */
int hs_snapshot_publish(struct hs_snapshot *s, const struct hs_ranges *ranges, struct hs_error *e);
void hs_snapshot_close(struct hs_snapshot *s);
/* As ckdev_scan() of the module's session, from any thread; -EBADF: there is none. */
struct cptdev_scan;
int hs_session_scan(struct cptdev_scan *s);
/* What is tracked of the arena, with the pool locked. Returns 0, or -1 with errno ENOMEM. */
int hs_tracked_arena(struct hs_intervals *to);

#endif /* HS_MODULE_H */
