/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CPTDEVCTL_TOP_H
#define CPTDEVCTL_TOP_H

#include <time.h>

#include "view.h"

/* @v, with rates since @old, @seconds ago; NULL: there was nothing before. @now: the wall clock. */
void top_text(const struct view *old, const struct view *v, double seconds, time_t now, FILE *to);

#endif
