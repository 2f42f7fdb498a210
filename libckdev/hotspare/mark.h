/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libhotspare and cptdev-run: the mark of a cut in output that cptdevd holds. */
#ifndef HS_MARK_H
#define HS_MARK_H

struct hs_error;

/*
 * A cut of the session with this descriptor comes: what the program has sent until now may leave the
 * host when the cut is committed. Returns 1 or 0: whether output of the session is held; or -1 with errno
 * ETIMEDOUT and @e: the daemon may set the mark when the program has sent more than the cut has, so the
 * cut must not be taken. Other failures of the daemon are reported by the calls that follow: then 0.
 */
int hs_mark(int session, struct hs_error *e);

#endif /* HS_MARK_H */
