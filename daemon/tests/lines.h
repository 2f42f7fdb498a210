/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the daemon logs, kept for a test. */
#ifndef TESTS_LINES_H
#define TESTS_LINES_H

#include "types.h"

/* From now on lines up to LOG_INFO are kept, and those before are forgotten. */
void lines_keep(void);
void lines_drop(void);
/* How many have this in them; "": all. */
u32 lines_with(const char *words);
const char *lines_last(void);

#endif
