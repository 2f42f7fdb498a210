/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The rules that send a service's output to the queue, in nf_tables by iptables-restore(8) and
 * ip6tables-restore(8). They have a chain of their own, so that one call replaces those of before.
 * Without a reader of the queue they let nothing through.
 */
#ifndef CPTDEVD_HOLD_RULES_H
#define CPTDEVD_HOLD_RULES_H

#include <netinet/in.h>

#include "types.h"

struct service {
	struct sockaddr_storage address;	/* without the port; IPv4 or IPv6 */
	u16 port;
	u16 queue;
};

#define RULES_CHAIN	"cptdev-hold"

/* 0, or -1: @why has what failed. They take milliseconds, at the start and the end. */
int rules_make(const struct service *s, char *why, size_t size);
int rules_remove(const struct service *s, char *why, size_t size);

#endif
