/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is shown: the kernel's side and the daemon's. It is gathered in one place
 * (gather.c) and shown in others, so that what is shown can be tested without a kernel.
 */
#ifndef CPTDEVCTL_VIEW_H
#define CPTDEVCTL_VIEW_H

#include <stdio.h>

#include "ctl.h"

struct view {
	int kernel_err;			/* ENOENT: no module; else why it can't be asked */
	bool soft;			/* it is the daemon that answers for the module */
	bool has_info;			/* the device could be opened */
	struct cptdev_info info;
	struct session_rec *sessions;
	u32 nr_sessions;
	struct replica_rec *replicas;
	u32 nr_replicas;
	u64 page_size;
	struct json_object *daemon;	/* its status, NULL: can't be asked */
	int daemon_err;
	char daemon_why[256];
};

void view_gather(struct view *v, struct kernel *k, const char *socket);
void view_free(struct view *v);

void view_text(const struct view *v, FILE *to);
struct json_object *view_json(const struct view *v);

/* In a word or two, as the status shows it. */
const char *view_session_state(const struct view *v, const struct session_rec *s);
/*
 * The program that waits for the replica's promotion: "none", "cold", "warm", or as "warm, 4.0 KiB
 * behind"; "waits": the kernel's side is older, and doesn't tell more. Maybe in @text.
 */
const char *view_copy(const struct view *v, const struct replica_rec *r, char text[40]);
/* What the daemon says of shipping the session, whichever peer has it, or NULL. */
struct json_object *view_shipped(const struct view *v, const struct session_rec *s);
/* What it says of the session's protection, or NULL. */
struct json_object *view_protection(const struct view *v, const struct session_rec *s);
/* view_records.c: the daemon's @i-th record and its state, NULL: there are no more. */
struct json_object *view_record(const struct view *v, size_t i, const char **state);
void records_text(const struct view *v, FILE *to);
/* view_verify.c: a comparison of a session's replicas, and the last one of each session */
void verify_text(struct json_object *verify, const char *name, FILE *to);
void verifies_text(struct json_object *sessions, FILE *to);
void replicas_text(const struct view *v, FILE *to);
struct json_object *session_json(const struct session_rec *s);
struct json_object *replica_json(const struct replica_rec *r, u64 page_size);

#endif
