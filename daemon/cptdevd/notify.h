/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the service manager is told: ready, alive, a line about the state. */
#ifndef CPTDEVD_NOTIFY_H
#define CPTDEVD_NOTIFY_H

#include "daemon.h"

struct notify {
	struct daemon *d;
	struct timer tick;
	u64 interval;
	char last[256];
};

void notify_ready(struct notify *n, struct daemon *d);
/* Around reading the configuration anew. */
void notify_reloading(struct notify *n);
void notify_reloaded(struct notify *n);
void notify_stopping(struct notify *n);

#endif
