/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libhotspare: the key for links of the private cptdevd, -k of hs_init(3). It is read once, from
 * a file or from a descriptor that the program was started with.
 */
#ifndef HS_KEY_H
#define HS_KEY_H

#include <stdbool.h>

#include "error.h"

/*
 * @from: a path, or "fd:N"; NULL: what HOTSPARE_KEY in the environment says, if anything. The
 * descriptor is closed. Returns 0, or -1 with errno and @e.
 */
int hs_key_read(const char *from, struct hs_error *e);
bool hs_key_given(void);
/* As a file that nobody else can read. Returns 0, or -1 with errno and @e. */
int hs_key_write(const char *path, struct hs_error *e);
/* The program is about to be started anew: a descriptor is there again. */
void hs_key_pass_on(void);

#endif /* HS_KEY_H */
