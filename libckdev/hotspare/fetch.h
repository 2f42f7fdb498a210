/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libhotspare: a program that goes on from a replica of another host (-F): its host's cptdevd fetches the
 * pages, see fetchwire.h. The program runs before all of them are here, as after a lazy restart from files
 * (lazy.h); it answers nobody, and takes no checkpoint, until the other host has given its replica up.
 */
#ifndef HS_FETCH_H
#define HS_FETCH_H

#include <stdint.h>

#include "error.h"
#include "mirror.h"

/*
 * The replica of the session @name on the node @from, into @m, whose index reads its pages. So many @seconds
 * a replica is waited for that is in use. Returns 0 and the @term of the program's session, or -1 with
 * errno and @e.
 */
int hs_fetch(const char *name, const char *from, unsigned int seconds, struct hs_mirror *m,
	     uint64_t *term, struct hs_error *e);

#endif /* HS_FETCH_H */
