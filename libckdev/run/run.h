/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cptdev-run: a program that runs with checkpoints. */
#ifndef RUN_RUN_H
#define RUN_RUN_H

#include "capture.h"
#include "fds.h"
#include "link.h"
#include "mirror.h"
#include "options.h"
#include "tree.h"

#define RUN_PAUSES	65536U
#define RUN_NEVER	INT64_MAX
/* Without a period: a session, or a command that has failed, is tried again after this time. */
#define RUN_AGAIN_NS	1000000000LL

struct run_pause {
	uint64_t ns, part_ns[RUN_PARTS];
};

struct run {
	struct run_options o;
	const char *name;
	struct run_tree tree;
	struct run_std std;
	struct run_mirror mirror;
	struct run_link link;
	bool linked;			/* checkpoints go to cptdevd, not to a file */
	pid_t init, writer;
	pid_t hook;			/* a process that runs the command of --checkpoint-hook, or 0 */
	bool preparing;			/* that is for the event before a checkpoint */
	bool prepared;			/* that command has succeeded, and a checkpoint follows */
	int signals;			/* signalfd */
	bool let_go;			/* a process that isn't ours continues without us */
	int64_t next_ns;		/* when the next checkpoint is due, RUN_NEVER: only if it is wanted */
	int64_t looked_ns;		/* when a session was looked for last */
	int64_t wanted_ns;		/* one that is wanted isn't taken before */
	int64_t again_ns;		/* after a failure: the next try, and 0 if there was none */
	uint32_t failed;		/* tries in turn that failed */
	uint32_t busy;			/* of them: those for which the program has to do something */
	bool held_off;			/* it was told that a person holds checkpoints off */
	bool told_not_held;		/* that output of its connections isn't held */
	uint64_t generation, written, refused;
	struct run_pause pause[RUN_PAUSES];	/* of the last cuts */
	char told[320];			/* the last message: it isn't repeated */
};

/* A message of the program's name on standard error. */
void run_say(const struct run *r, const char *text);

/* From now on: when the next checkpoint is due. */
int64_t run_period_end(const struct run *r);

/* checkpoint.c: the next one. A failure is reported, and the checkpoint is tried again later. */
void run_checkpoint(struct run *r);
/* The process that writes a file has ended. */
void run_on_writer(struct run *r, int status);
/* A daemon that was started anew gets everything. Returns true if there is a session. */
bool run_link_up(struct run *r);

#endif /* RUN_RUN_H */
