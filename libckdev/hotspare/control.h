/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libhotspare: asking a cptdevd by its control socket. */
#ifndef HS_CONTROL_H
#define HS_CONTROL_H

#include <json-c/json.h>

#include "error.h"

/* Of this host's cptdevd. */
#define HS_CONTROL	"/run/cptdevd/control"

/*
 * @request: a line of JSON, see cptdevd(8). Returns the answer, an object that the caller puts; or
 * NULL with errno and @e, after @timeout_ms at the latest.
 */
struct json_object *hs_control_ask(const char *path, const char *request, int timeout_ms,
				   struct hs_error *e);

/* A connection to it, which blocks; or -1 with errno and @e. */
int hs_control_connect(const char *path, struct hs_error *e);

#endif /* HS_CONTROL_H */
