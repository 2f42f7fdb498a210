/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A session of this host that a person moves to the spare's host; see switching.c. The last one of
 * each name is kept for the status.
 */
#ifndef CPTDEVD_SWITCHING_H
#define CPTDEVD_SWITCHING_H

#include <sys/queue.h>

#include "switchover.h"

struct daemon;
struct in;
struct json_object;
struct known;
struct out;
struct ship;

struct switchover {
	LIST_ENTRY(switchover) entry;
	char name[CPTDEV_NAME_MAX];
	u8 session[CPTDEV_UUID_LEN];
	u32 uid;
	u8 to[CPTDEV_UUID_LEN];		/* the other node */
	char to_name[CPTDEV_NAME_MAX];
	enum switch_phase phase;
	enum switch_phase until;	/* SWITCH_OVER: the phase in which it ended */
	enum switch_end end;
	char text[640];			/* why it failed, and what to do next; or empty */
	u64 term;			/* the next one, which becomes the other host's */
	u64 seen;			/* newest generation that was published then */
	u32 wanted;			/* so many checkpoints were wanted since the stop */
	u64 last;			/* the last generation */
	bool whole;			/* it was taken after the program was stopped */
	u64 deadline;			/* ns: of the phase, by clock_mono() */
	u64 limit;			/* the same of all until it is handed over */
	/* When what was done, ns by clock_mono(), 0: it wasn't. */
	u64 began, stopped, taken_last, shipped, promoted, taken;
	u64 wall;			/* when it began, ns, CLOCK_REALTIME */
};

/* The primary's host. */
void switch_open(struct daemon *d);
void switch_close(struct daemon *d);
/*
 * Begin, for a person. @peer: the name of the other host, or NULL. @limit: ns; if the session isn't
 * handed over by then, the program goes on here. Returns NULL if it is refused: *@code and @why say
 * why, and what to do next.
 */
struct switchover *switch_begin(struct daemon *d, const char *name, const char *peer, u64 limit,
				const char **code, char *why, size_t size);
/* The last one of that name, or NULL. */
struct switchover *switch_find(struct daemon *d, const char *name);
/*
 * The program goes on here. @force: the other host was told to take over and isn't linked, and a
 * person says that it hasn't taken over. Returns 0 or a negative errno with *@code and @why.
 */
int switch_cancel(struct daemon *d, const char *name, bool force, const char **code, char *why,
		  size_t size);
/* Something changed that a switch-over may wait for. */
void switch_look(struct daemon *d);
/* A link is up: what was handed over, and how that ended isn't known, is asked. */
void switch_linked(struct out *o);
/* SWITCH_STATE. */
int switch_frame(struct out *o, const u8 *payload, u32 len);
/* The other host has a higher term: that of a session which was handed over, or a higher one. */
void switch_met(struct daemon *d, const char *name, u64 term);

/* switch_check.c */
/* NULL if it may begin; else a code, and in @why the reason and the next step. */
const char *switch_check(struct daemon *d, const struct known *k, const char *name,
			 const char *peer, char *why, size_t size);
/* To @peer, or if that is NULL to a spare that the session has. */
struct out *switch_out(struct daemon *d, const struct known *k, const char *peer);
/* Its spare on that link, or NULL if that doesn't follow. */
struct ship *switch_spare(const struct known *k, const struct out *o);
/* Writes @fmt to @why, and returns @code. */
const char *switch_refuse(const char *code, char *why, size_t size, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* cptdevd/status_switch.c */
struct json_object *switch_json(const struct switchover *sw);

/* handover.c: the spare's host */
/* SWITCH. */
int handover_frame(struct in *in, const u8 *payload, u32 len);
/* A program of this host goes on from a promotion: the other host may wait for that. */
void handover_taken(struct daemon *d, const struct known *k);

#endif
