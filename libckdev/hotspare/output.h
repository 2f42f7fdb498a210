/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libhotspare: output that cptdevd holds until the spare has what it tells. */
#ifndef HS_OUTPUT_H
#define HS_OUTPUT_H

struct hs_error;

/*
 * A cut comes: what was sent until now may leave the host when it is committed. Before connections
 * are read. A program without TCP sockets has nothing that is held. Returns 0, or -1 with errno and @e:
 * the checkpoint must not be taken.
 */
int hs_output_mark(struct hs_error *e);

#endif /* HS_OUTPUT_H */
