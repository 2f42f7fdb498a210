/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the verbs share. */
#ifndef CPTDEVCTL_CTL_H
#define CPTDEVCTL_CTL_H

#include <stdio.h>

#include "json.h"
#include "kernel.h"

enum exit_status {
	EXIT_DONE	= 0,
	EXIT_FAILED	= 1,	/* it was tried and didn't work; a check that fails */
	EXIT_USAGE	= 2,
	EXIT_KERNEL	= 3,	/* the module isn't there or can't be asked */
	EXIT_TIMEOUT	= 4,
	/* status --check: */
	EXIT_DAEMON	= 5,	/* the daemon can't be asked */
	EXIT_LINK	= 6,	/* a peer isn't linked, or counts as dead */
	EXIT_UNSAFE	= 7,	/* a session has no spare, or is fenced */
	/* start: */
	EXIT_SPARE	= 8,	/* a program would be a spare */
	EXIT_REFUSED	= 9,	/* it must not start before a person has decided */
};

struct ctl {
	bool json;
	u32 timeout_s;			/* 0: none was given */
	const char *socket;		/* of the daemon */
	u64 term;			/* promote */
	bool term_given;
	u64 generation;			/* promote: to go back to; 0: the newest */
	bool check;			/* status */
	bool watch;			/* status */
	bool force;			/* promote, replica remove */
	bool all;			/* promote */
	const char *peer;		/* promote; NULL: none */
	bool cancel;			/* switchover */
	bool protection;		/* wait */
	bool changed;			/* something was done that stays */
	bool streams;			/* whoever reads may have had enough */
	struct kernel *kernel;
	u64 page_size;
	FILE *out;
	FILE *err;
};

typedef int (*verb_fn)(struct ctl *c, int argc, char **argv);

int verb_status(struct ctl *c, int argc, char **argv);
int verb_monitor(struct ctl *c, int argc, char **argv);
int verb_top(struct ctl *c, int argc, char **argv);
int verb_plot(struct ctl *c, int argc, char **argv);
int verb_wait(struct ctl *c, int argc, char **argv);
int verb_metrics(struct ctl *c, int argc, char **argv);
int verb_promote(struct ctl *c, int argc, char **argv);
int verb_ack(struct ctl *c, int argc, char **argv);
int verb_checkpoint(struct ctl *c, int argc, char **argv);
int verb_hold(struct ctl *c, int argc, char **argv);
int verb_release(struct ctl *c, int argc, char **argv);
int verb_alone(struct ctl *c, int argc, char **argv);
int verb_switchover(struct ctl *c, int argc, char **argv);
int verb_verify(struct ctl *c, int argc, char **argv);
int verb_forget(struct ctl *c, int argc, char **argv);
int verb_history(struct ctl *c, int argc, char **argv);
/* Refused with this code, and done with --force. */
bool ctl_needs_force(const char *code);
int verb_start(struct ctl *c, int argc, char **argv);
int verb_role(struct ctl *c, int argc, char **argv);
int verb_pki(struct ctl *c, int argc, char **argv);
int verb_key(struct ctl *c, int argc, char **argv);
int verb_replica(struct ctl *c, int argc, char **argv);
int verb_inspect(struct ctl *c, int argc, char **argv);
int verb_restart(struct ctl *c, int argc, char **argv);
int verb_check(struct ctl *c, int argc, char **argv);
int verb_report(struct ctl *c, int argc, char **argv);
int verb_completion(struct ctl *c, int argc, char **argv);
int verb_version(struct ctl *c, int argc, char **argv);

/*
 * Say what went wrong and what to do next, as text or as JSON; @status is returned.
 * @code is a word for programs; @next may be NULL.
 */
int ctl_fail(struct ctl *c, enum exit_status status, const char *code, const char *next,
	     const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* Can the device be opened at all? 0, or the status of the failure that was told. */
int ctl_need_device(struct ctl *c);
/* ctl_fail() for a call on a replica that answered -@err. */
int ctl_fail_replica(struct ctl *c, const char *name, const char *what, int err);

/*
 * Ask the daemon for @verb with the name that is the only argument. The answer, which may have
 * "error"; or NULL: why not was told, and *@ret is the exit status.
 */
struct json_object *ctl_ask(struct ctl *c, const char *verb, int argc, char **argv, int *ret);

void ctl_print_json(struct ctl *c, struct json_object *o);

#endif
