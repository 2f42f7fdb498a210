/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CPTDEV_NETLINK_H
#define CPTDEV_NETLINK_H

#include "kernel_event.h"

struct mnl_socket;

/* One socket of the family; events and dumps want one each. */
struct netlink {
	struct mnl_socket *sock;
	u16 family;			/* 0: the module isn't loaded */
	u32 group;
	u32 seq;
};

/* Not an error of a call: the family came or went, so that it has to be looked up. */
#define NETLINK_FAMILY_CHANGED	1

/*
 * All return 0 or a negative errno. netlink_open() without the module succeeds, with
 * @family 0; the others answer -ENOENT then.
 */
int netlink_open(struct netlink *nl);
void netlink_close(struct netlink *nl);
int netlink_fd(const struct netlink *nl);
int netlink_resolve(struct netlink *nl);

/* Ask for events: those of the family, and its coming and going. */
int netlink_listen(struct netlink *nl);
/*
 * Hand on what has come, without waiting, and no more than a loop has time for: the socket
 * stays readable if there is more. -ENOBUFS: something was lost, dump again;
 * NETLINK_FAMILY_CHANGED: look the family up and dump again.
 */
int netlink_events(struct netlink *nl, kernel_event_fn fn, void *arg);

/* @cmd is CPTDEV_CMD_SESSION_GET or CPTDEV_CMD_REPLICA_GET. */
int netlink_dump(struct netlink *nl, u8 cmd, kernel_event_fn fn, void *arg);
/* One of them; -ENOENT, or -EACCES if it is another user's and this process may not know. */
int netlink_get_session(struct netlink *nl, u64 id, kernel_event_fn fn, void *arg);
int netlink_get_replica(struct netlink *nl, const char *name, kernel_event_fn fn, void *arg);

#endif
