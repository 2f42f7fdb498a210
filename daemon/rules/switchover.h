/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A planned switch-over (failure-model.rst, "Switching a service over"): the primary's host stops
 * the program, and the spare goes on from the last generation. No I/O and no clock.
 */
#ifndef CPTDEVD_SWITCHOVER_H
#define CPTDEVD_SWITCHOVER_H

#include "record.h"

/* On the primary's host. */
enum switch_phase {
	SWITCH_ASKING,		/* the other host is asked whether it could take over */
	SWITCH_PREPARING,	/* a checkpoint is shipped while the program serves */
	SWITCH_STOPPING,	/* the program answers nobody; it takes its last checkpoint */
	SWITCH_SHIPPING,	/* the spare doesn't have that yet */
	SWITCH_HANDED,		/* the other host was told to take over, and decides */
	SWITCH_TAKING,		/* it has; its program isn't known to go on yet */
	SWITCH_OVER,
};

enum switch_end {
	SWITCH_RUNS,		/* it isn't over */
	SWITCH_DONE,
	SWITCH_FAILED,		/* the program goes on here, if it lives */
	SWITCH_UNKNOWN,		/* the link was lost after it was handed over */
};

const char *switch_phase_word(enum switch_phase phase);
const char *switch_end_word(enum switch_end end);

/* Is the program kept from answering anybody? */
bool switch_stops(enum switch_phase phase);
/* May nothing be taken back by this host alone? */
bool switch_is_handed(enum switch_phase phase);
/* Does a replica with generation @has have the last one? */
bool switch_has(u64 has, u64 last);

/* Is the replica promoted? @told: to take over; else the question was only whether it could. */
bool switch_promotes(bool told);

/* The spare's host is told to take @session of @owner over, with @term. */
enum handover {
	HAND_OK,
	HAND_DONE,		/* it has that term: the question was asked before */
	HAND_FENCED,		/* somebody has a higher pair */
	HAND_OTHER,		/* its replica isn't of that session, or of another host's */
	HAND_LACKS,		/* the replica lacks what was acknowledged */
	HAND_ENDED,		/* the program ended in order: the service isn't wanted */
};

/* @r may be NULL. */
enum handover record_handover(const struct record *r, const u8 *session, u64 term,
			      const u8 *owner, const u8 *self);

#endif
