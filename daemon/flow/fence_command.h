/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The fence command: a program of the configuration that makes sure that the peer's host is off,
 * before a program of this host takes over from it.
 */
#ifndef CPTDEVD_FENCE_COMMAND_H
#define CPTDEVD_FENCE_COMMAND_H

#include <sys/types.h>

#include "loop.h"
#include "takeover.h"

struct daemon;
struct peer;

struct fence_command {
	enum fencing state;
	bool stale;			/* what runs was started before the peer was heard again */
	pid_t pid;			/* 0: it doesn't run */
	bool late;			/* it was killed, at the end of its time */
	u64 began;			/* ns, clock_mono() */
	struct watch output;
	struct timer limit;
	char line[240];			/* of its output, as far as it was read */
	u32 len;
	u32 lines;			/* that were logged */
	char error[160];		/* why it failed */
};

void fence_command_init(struct peer *p);
void fence_command_close(struct peer *p);
/* The peer counts as dead: what was known of its host before doesn't count any more. */
void fence_command_dead(struct peer *p);
/* Run it, for the replicas of these names, with blanks between them. */
void fence_command_run(struct peer *p, const char *names);
/* The process @pid has ended; true if it was this one's. */
bool fence_command_reaped(struct peer *p, pid_t pid, int status);

#endif
