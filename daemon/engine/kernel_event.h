/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sessions and replicas as netlink tells of them (linux/cptdev_netlink.h).
 */
#ifndef CPTDEV_KERNEL_EVENT_H
#define CPTDEV_KERNEL_EVENT_H

#include <stdint.h>

#include <linux/cptdev.h>
#include <linux/cptdev_netlink.h>

#include "types.h"

struct session_rec {
	u64 id;
	char name[CPTDEV_NAME_MAX];	/* empty: has no name */
	u8 uuid[CPTDEV_UUID_LEN];
	u32 pid;
	u32 uid;
	u64 term;
	u64 generation;
	u64 published;
	u64 committed;
	u32 attached;
	u32 ranges;
	u64 bytes;
	u64 held;
	u64 held_max;
	u32 flags;
	u64 last_pages;
	u64 last_pause_ns;
	u32 end;			/* CPTDEV_END_*: once it is gone */
	u32 end_code;			/* exit status or signal */
	u64 lease_until;
	/* UINT64_MAX: no limit; or it wasn't told, as in events */
	u64 user_held_max;
	u64 user_held;
	u64 group_left;
};

struct replica_rec {
	char name[CPTDEV_NAME_MAX];
	u8 uuid[CPTDEV_UUID_LEN];
	u32 uid;
	u64 term;
	u64 generation;
	u64 staging;
	u64 pages;
	u64 staged;
	u64 max_bytes;
	u32 flags;
	u64 commits;
	u32 openers;
	u32 waiters;
	/* Of programs' own copies. UINT64_MAX: it wasn't told, as in events or by an older module */
	u64 copied;			/* the last commit that one has, 0: there is none */
	u64 behind;			/* pages that this copy lacks */
};

/* One message: exactly one of the two is there. */
struct kernel_event {
	u8 cmd;				/* enum cptdev_genl_cmd */
	const struct session_rec *session;
	const struct replica_rec *replica;
};

typedef void (*kernel_event_fn)(const struct kernel_event *ev, void *arg);

#endif
