/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libhotspare: the program's own opinion about the master, hs_det_reg(3). */
#ifndef HS_DETECT_H
#define HS_DETECT_H

#include <stdbool.h>

#include "error.h"

enum hs_master {
	HS_MASTER_UNKNOWN,		/* cptdevd doesn't know, or can't be asked */
	HS_MASTER_ALIVE,
	HS_MASTER_DEAD,			/* it was alive, and is silent */
};

/* The master as the cptdevd with the control socket @path sees it; if unknown, @e says why. */
enum hs_master hs_det_ask(const char *path, struct hs_error *e);
/* Is there a function that decides? */
bool hs_det_asked(void);
/* It is asked, and may take its time. */
bool hs_det_dead(void);

#endif /* HS_DETECT_H */
