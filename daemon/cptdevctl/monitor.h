/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CPTDEVCTL_MONITOR_H
#define CPTDEVCTL_MONITOR_H

#include <time.h>

#include "ctl.h"

/* "present" for a dump, "snapshot", "committed" ... for events. */
const char *monitor_word(u8 cmd);

/* One record, on one line. @wall: ns since the epoch. */
void monitor_record(struct ctl *c, u64 wall, const struct kernel_event *ev);
/* A line of the daemon's about a peer. */
void monitor_peer(struct ctl *c, u64 wall, struct json_object *news);
/* Something about the stream itself: the module or the daemon is "absent", "resync". */
void monitor_note(struct ctl *c, u64 wall, const char *object, const char *word);

u64 monitor_clock(clockid_t clock);	/* ns */

/* monitor_daemon.c */
struct monitor_daemon {
	int fd;				/* -1: not connected */
	bool absent;			/* that was told */
	u64 retry_at;			/* ns, CLOCK_MONOTONIC */
	char buf[65536];
	size_t len;
};

void monitor_daemon_open(struct ctl *c, struct monitor_daemon *m);
void monitor_daemon_read(struct ctl *c, struct monitor_daemon *m);
void monitor_daemon_close(struct monitor_daemon *m);

#endif
