/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libhotspare: what a fenced program had, until the one that took over has sent everything: it may be
 * the last copy (rule R5 of the failure model). A file in memory that outlives hs_rejoin(): a whole
 * checkpoint, from which a person may begin with -r.
 */
#ifndef HS_KEPT_H
#define HS_KEPT_H

#include <stdint.h>

/* In the program that rejoins, before it is started anew. @term: that it had. */
void hs_kept_make(uint64_t term);
/* In the one that was started anew. */
void hs_kept_find(void);
/* The spare's replica @fd has something: from here on nothing is kept if that is newer. */
void hs_kept_look(int fd);
/* The program goes on from the replica. */
void hs_kept_drop(void);

#endif /* HS_KEPT_H */
