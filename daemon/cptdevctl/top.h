/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CPTDEVCTL_TOP_H
#define CPTDEVCTL_TOP_H

#include <time.h>

#include "view.h"

/* @v, with rates since @old, @seconds ago; NULL: there was nothing before. @now: the wall clock. */
void top_text(const struct view *old, const struct view *v, double seconds, time_t now, FILE *to);

/* Home, and clear what is below: ECMA-48, CUP and ED. */
#define TOP_CLEAR	"\033[H\033[J"
#define TOP_INTERVAL_MS	1000

/* Wait for the next second. False: nobody reads @to any more. */
bool top_next(FILE *to);

#endif
