/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CPTDEVCTL_PROMOTE_H
#define CPTDEVCTL_PROMOTE_H

#include "view.h"

/* Returns an exit status; what was done, or why not, was told. */
int promote_one(struct ctl *c, const char *name);
/* promote_many.c: those that --all or --peer names. */
int promote_many(struct ctl *c);
/* Is the replica one of them? @peer: of the daemon's status, NULL: --all. */
bool promote_wants(const struct replica_rec *r, struct json_object *peer);

#endif
