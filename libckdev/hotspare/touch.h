/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libhotspare: recording the touch set (touched.h). When the program goes on after a checkpoint by the
 * module, a thread of ours looks at the accessed marks of the pages: first it clears them, with a flush of the TLB, so that the next access of each
 * page sets its mark again; then it looks after 16 ms, 32 ms, 64 ms and so on, and clears them each
 * time. The window ends with the first look up to which the program has touched no more than a
 * slow store can deliver in that time. The set travels with the next checkpoint.
 *
 * Looks change nothing else: which pages changed is known by other marks.
 */
#ifndef HS_TOUCH_H
#define HS_TOUCH_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"

struct cptdev_scan;

/* In the environment: as -u. */
#define HS_TOUCH	"HOTSPARE_TOUCHED"

/*
 * "auto": for checkpoints in files, with a window as above; "no"; or milliseconds, for checkpoints
 * wherever they go. Returns 0, or -1 with errno EINVAL and @e.
 */
int hs_touch_set(const char *text, struct hs_error *e);
/* Around a cut: there is no look meanwhile. */
void hs_touch_pause(void);
void hs_touch_resume(void);
/*
 * The program goes on after a cut by the module that has this generation; @file: it went to a file. With
 * the pool locked.
 */
void hs_touch_cut(uint64_t generation, bool file);
/* A file of @bytes was written in @ns: what the store can do. */
void hs_touch_written(uint64_t bytes, uint64_t ns);
/* After fork(2). */
void hs_touch_in_child(void);

/* Looks take no more than this part of a processor's time; 0: there is no limit. */
extern unsigned int hs_touch_share;
/* For tests: what looks, where, and how many windows have ended. */
extern int (*hs_touch_scan)(struct cptdev_scan *s);
struct hs_intervals;
extern int (*hs_touch_where)(struct hs_intervals *to);
extern _Atomic unsigned int hs_touch_windows;
/* What the looks of the last window took, ns of processor time. */
extern _Atomic uint64_t hs_touch_cost;

#endif /* HS_TOUCH_H */
