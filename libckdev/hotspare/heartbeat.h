/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libhotspare: what this host's cptdevd knows of the other host by its heartbeat. */
#ifndef HS_HEARTBEAT_H
#define HS_HEARTBEAT_H

#include <stdatomic.h>

#include "error.h"

#define HS_CONTROL	"/run/cptdevd/control"

enum hs_heartbeat {
	HS_HEARTBEAT_NONE,		/* it doesn't know, or can't be asked */
	HS_HEARTBEAT_ALIVE,
	HS_HEARTBEAT_DEAD,		/* it was alive, and is silent */
};

enum hs_heartbeat hs_heartbeat_ask(const char *path, const atomic_bool *over,
				   struct hs_error *e);

#endif /* HS_HEARTBEAT_H */
