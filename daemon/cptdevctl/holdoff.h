/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CPTDEVCTL_HOLDOFF_H
#define CPTDEVCTL_HOLDOFF_H

#include <stdio.h>

#include "json.h"

/*
 * Since when checkpoints of a session are held off, and the consequences. @session: of the status,
 * or the answer to "hold". Nothing if they aren't.
 */
void holdoff_text(struct json_object *session, FILE *to);

#endif
