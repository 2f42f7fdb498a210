/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CPTDEVCTL_MONITOR_H
#define CPTDEVCTL_MONITOR_H

#include "ctl.h"

/* "present" for a dump, "snapshot", "committed" ... for events. */
const char *monitor_word(u8 cmd);

/* One record, on one line. @wall: ns since the epoch. */
void monitor_record(struct ctl *c, u64 wall, const struct kernel_event *ev);
/* Something about the stream itself: "loaded", "absent", "resync". */
void monitor_note(struct ctl *c, u64 wall, const char *word);

#endif
