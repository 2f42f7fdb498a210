/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libhotspare: checkpoints for cptdevd's soft engine, where there is no module. A child of the cut
 * writes the pages that changed to a memory file, and the program hands that file over.
 */
#ifndef HS_HANDOVER_H
#define HS_HANDOVER_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "ranges.h"

/*
 * Begins one, at the cut, with the arena locked: @generation is the checkpoint's number. The one
 * before was ended. Returns 0, or -1 with errno and @e.
 */
int hs_handover_cut(const struct hs_ranges *ranges, uint64_t generation, struct hs_error *e);

/*
 * With the pool locked: waits until the child has written, and hands over. Returns 0 and the
 * session's @generation for it, or -1 with errno and @e: ECANCELED: the spare needs more than that,
 * and the next one has it; EDQUOT: the spare has to catch up; ECONNRESET: the daemon has ended.
 * Without one that was begun it returns what was last handed over.
 */
int hs_handover_end(uint64_t *generation, struct hs_error *e);
/* The same by a thread: hs_handover_end() says how it went. */
int hs_handover_later(struct hs_error *e);

/*
 * The last checkpoint is handed over once more, with HS_BYE beside it: the program ends in
 * order. As hs_handover_end().
 */
#define HS_BYE	"hotspare: bye"
int hs_handover_bye(uint64_t *generation, struct hs_error *e);

/* The next one has all of memory. */
void hs_handover_forget(void);
void hs_handover_in_child(void);
/* Is it one of the descriptors here? */
bool hs_handover_has(int fd);

#endif /* HS_HANDOVER_H */
