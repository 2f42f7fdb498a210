/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libhotspare: a restart from files in which the program continues before its memory is read. The
 * memory of hs_malloc(3) is registered with userfaultfd(2), and a thread of ours reads it: the touch
 * set first, then what is accessed at once, the rest in the background. Then it is ordinary memory
 * again.
 *
 * The thread has a descriptor table of its own, takes no memory and no lock while pages are missing,
 * and accesses none of the memory that it fills. If a file can't be read, it ends the process:
 * nobody sees zeros instead.
 */
#ifndef HS_LAZY_H
#define HS_LAZY_H

#include <stdbool.h>
#include <stddef.h>

#include "error.h"
#include "index.h"
#include "touched.h"

/* For tests: the device that is tried after userfaultfd(2), a stop of the background, who waits. */
extern const char *hs_lazy_device;
extern volatile bool hs_lazy_hold;
extern _Atomic unsigned int hs_lazy_waiters;

/* Can it be done here? If not it says why. */
bool hs_lazy_start(void);
/* It isn't done after all, and nothing was registered, or all of that is unmapped. */
void hs_lazy_end(void);
/*
 * Memory without content, at whole pages: it is filled later. Returns 0, or -1 with errno: the
 * caller fills it.
 */
int hs_lazy_piece(void *addr, size_t len);
/*
 * All pieces are known: begin, with the pages of @touched if it isn't NULL. Takes over @ix in any case.
 * Returns 0, or -1 with errno and @e.
 */
int hs_lazy_run(struct hs_index *ix, const struct hs_touched *touched, struct hs_error *e);
/* Before fork(2) and before a cut: until nothing is missing. */
void hs_lazy_wait(void);
/* Is anything? */
bool hs_lazy_missing(void);
/* The same, and somebody else may go on from it meanwhile: nobody is answered. */
bool hs_lazy_owes(void);

#endif /* HS_LAZY_H */
