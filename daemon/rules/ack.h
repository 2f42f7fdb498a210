/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which spares must have a generation before it is acknowledged (rule R3 of the failure model, with
 * several spares). No I/O and no clock.
 *
 * A *member* is a spare that may be promoted: it followed, and neither left in order nor was taken out
 * of the configuration. What all members have may always be acknowledged. Less is enough for a
 * policy, but only if each member that may lack something knows that, and wrote it down: such a member
 * is *unsure*, and isn't promoted unless a person has compared the spares.
 */
#ifndef CPTDEVD_ACK_H
#define CPTDEVD_ACK_H

#include <linux/cptdev.h>

#include "types.h"

#define ACK_NODES_MAX	16
#define ACK_TEXT_MAX	256

enum ack_kind {
	ACK_ALL,		/* each member */
	ACK_ANY,		/* one of them */
	ACK_NUMBER,		/* so many */
	ACK_NAMED,		/* those that are named, whatever the others have */
};

struct ack_policy {
	enum ack_kind kind;
	u32 number;
	u32 nr;
	char names[ACK_NODES_MAX][CPTDEV_NAME_MAX];
};

struct ack_member {
	const char *name;
	u64 committed;		/* newest generation that it said it has; 0: not known */
	bool knows;		/* it is unsure and wrote that down, or needs not be */
};

/*
 * "all", "any", a number from 1 to 16, or names of nodes with blanks between them. 0, or -1: @why says
 * what is allowed.
 */
int ack_parse(const char *text, struct ack_policy *p, char *why, size_t size);

/* May the policy acknowledge what this one of @members members lacks? */
bool ack_unsure(const struct ack_policy *p, const char *name, u32 members);

/* Is the policy in force, or must each member have everything, until all know it? */
bool ack_in_force(const struct ack_policy *p, const struct ack_member *m, u32 n);

/* The newest generation that may be acknowledged; 0: none. */
u64 ack_generation(const struct ack_policy *p, const struct ack_member *m, u32 n);

#endif
