/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libhotspare: what a process is besides its memory and its descriptors: how it treats
 * signals, and the attributes that programs inherit. Both are read at the cut.
 */
#ifndef HS_PROCESS_H
#define HS_PROCESS_H

#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "environment.h"
#include "clock.h"
#include "fd.h"

#define HS_SIGNALS	64

struct hs_signals {
	sigset_t which;			/* of these there is an action */
	struct sigaction action[HS_SIGNALS + 1];
	sigset_t blocked;		/* by the thread that takes the checkpoint */
};

/* signals.c */
void hs_signals_capture(struct hs_signals *to);
int hs_signals_restore(const struct hs_signals *s, struct hs_error *e);
struct json_object *hs_signals_json(const struct hs_signals *s);
int hs_signals_parse(struct hs_signals *s, struct json_object *json, struct hs_error *e);

struct hs_process {
	mode_t umask;
	char *directory;
	int nice;
	struct rlimit limit[RLIM_NLIMITS];
	uid_t uid[3];			/* real, effective, saved */
	gid_t gid[3];
	int nr_groups;
	gid_t *groups;
	struct hs_clocks clocks;
	struct hs_layout layout;	/* that it was started with */
};

/* process.c */
int hs_process_capture(struct hs_process *to, struct hs_error *e);
int hs_process_restore(const struct hs_process *p, struct hs_error *e);
int hs_process_missing(const struct hs_process *p, struct hs_error *e);
void hs_process_free(struct hs_process *p);
struct json_object *hs_process_json(const struct hs_process *p);
int hs_process_parse(struct hs_process *p, struct json_object *json, struct hs_error *e);

#endif /* HS_PROCESS_H */
