/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * cptdev: the generic netlink family. It lists sessions and replicas, and reports events
 * about them. Netlink requests change nothing. Every change is an ioctl (linux/cptdev.h) on
 * a descriptor, and the kernel closes the descriptor when its process ends.
 *
 * Documentation/netlink/specs/cptdev.yaml is the specification.
 *
 *   session-get	do (by id) and dump
 *	CPTDEV_A_SESSION (nest)
 *	  CPTDEV_A_SESSION_ID ... CPTDEV_A_SESSION_GROUP_LEFT
 *   replica-get	do (by name) and dump
 *	CPTDEV_A_REPLICA (nest)
 *	  CPTDEV_A_REPLICA_NAME ... CPTDEV_A_REPLICA_BEHIND
 *   *-ntf		events, multicast group "events", with the same nests: the
 *			state right after the event
 *
 * Answers show a session or replica only to its owner and to holders of
 * CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN in the initial user namespace. Both the sender of
 * the request and the opener of the socket must meet this condition. For other requesters, a
 * dump leaves out the session or replica, and a do fails with EACCES. Every process may
 * listen to the events, so events contain neither UUID nor term.
 *
 * A listener that is too slow gets ENOBUFS from its socket, and has to dump again.
 */
#ifndef _UAPI_LINUX_CPTDEV_NETLINK_H
#define _UAPI_LINUX_CPTDEV_NETLINK_H

#define CPTDEV_GENL_NAME	"cptdev"
#define CPTDEV_GENL_VERSION	1
#define CPTDEV_GENL_MCGRP_EVENTS "events"

enum cptdev_genl_cmd {
	CPTDEV_CMD_UNSPEC,
	CPTDEV_CMD_SESSION_GET,
	CPTDEV_CMD_REPLICA_GET,
	/* events */
	CPTDEV_CMD_SESSION_NEW_NTF,	/* a session got its name or its first range */
	CPTDEV_CMD_SESSION_GONE_NTF,	/* a session was closed, or its process ended */
	CPTDEV_CMD_SNAPSHOT_NTF,	/* a snapshot was published: DELTA can fetch it */
	CPTDEV_CMD_COMMITTED_NTF,	/* a generation was acknowledged, or a flag changed */
	CPTDEV_CMD_DROPPED_NTF,		/* published generations were given up */
	CPTDEV_CMD_FENCED_NTF,		/* a newer term exists */
	CPTDEV_CMD_REPLICA_NEW_NTF,	/* a replica was created */
	CPTDEV_CMD_REPLICA_COMMITTED_NTF, /* a generation was committed to the replica */
	CPTDEV_CMD_REPLICA_PROMOTED_NTF, /* the replica was promoted */
	CPTDEV_CMD_REPLICA_GONE_NTF,	/* the replica was removed */
	CPTDEV_CMD_LIMIT_NTF,		/* a snapshot failed: limit on held memory */
	CPTDEV_CMD_REPLICA_TAKEN_NTF,	/* a program took the promotion */
	CPTDEV_CMD_SESSION_HUNG_NTF,	/* the program gave no sign of life in time */

	__CPTDEV_CMD_MAX,
	CPTDEV_CMD_MAX = __CPTDEV_CMD_MAX - 1
};

/* top level */
enum cptdev_genl_attr {
	CPTDEV_A_UNSPEC,
	CPTDEV_A_SESSION,		/* nest */
	CPTDEV_A_REPLICA,		/* nest */

	__CPTDEV_A_MAX,
	CPTDEV_A_MAX = __CPTDEV_A_MAX - 1
};

enum cptdev_genl_session_attr {
	CPTDEV_A_SESSION_UNSPEC,
	CPTDEV_A_SESSION_PAD,
	CPTDEV_A_SESSION_ID,		/* u64, unique since the module was loaded */
	CPTDEV_A_SESSION_NAME,		/* string; absent: no name, not shipped */
	CPTDEV_A_SESSION_UUID,		/* binary, 16; not in events */
	CPTDEV_A_SESSION_PID,		/* u32, thread group in the initial PID namespace */
	CPTDEV_A_SESSION_UID,		/* u32, owner in the initial user namespace */
	CPTDEV_A_SESSION_TERM,		/* u64; not in events */
	CPTDEV_A_SESSION_GENERATION,	/* u64, newest snapshot, including failed ones */
	CPTDEV_A_SESSION_PUBLISHED,	/* u64, newest published generation */
	CPTDEV_A_SESSION_COMMITTED,	/* u64, newest committed generation */
	CPTDEV_A_SESSION_ATTACHED,	/* u32, number of spares that follow the session */
	CPTDEV_A_SESSION_RANGES,	/* u32, number of ranges */
	CPTDEV_A_SESSION_BYTES,		/* u64, bytes in the ranges */
	CPTDEV_A_SESSION_HELD,		/* u64, bytes held by snapshots of the session */
	CPTDEV_A_SESSION_HELD_MAX,	/* u64, limit of HELD, bytes */
	CPTDEV_A_SESSION_FLAGS,		/* u32, CPTDEV_GENL_SESSION_* */
	CPTDEV_A_SESSION_LAST_PAGES,	/* u64, pages in the newest snapshot */
	CPTDEV_A_SESSION_LAST_PAUSE_NS,	/* u64, pause of the newest snapshot, ns */
	CPTDEV_A_SESSION_END,		/* u32, enum cptdev_session_end; only in session-gone-ntf */
	CPTDEV_A_SESSION_END_CODE,	/* u32, exit status or signal; only in session-gone-ntf */
	CPTDEV_A_SESSION_LEASE_UNTIL,	/* u64, CLOCK_BOOTTIME ns, 0: no lease is in use */
	/* The next three are in answers, not in events. */
	CPTDEV_A_SESSION_USER_HELD_MAX,	/* u64, limit of USER_HELD, bytes, ~0: no limit */
	CPTDEV_A_SESSION_USER_HELD,	/* u64, bytes held by all snapshots of its user */
	CPTDEV_A_SESSION_GROUP_LEFT,	/* u64, bytes left in its control group, ~0: no limit */

	__CPTDEV_A_SESSION_MAX,
	CPTDEV_A_SESSION_MAX = __CPTDEV_A_SESSION_MAX - 1
};

#define CPTDEV_GENL_SESSION_FENCED	(1U << 0)	/* CPTDEV_STATE_FENCED */
#define CPTDEV_GENL_SESSION_REPLACE	(1U << 1)	/* CPTDEV_SESSION_REPLACE */
#define CPTDEV_GENL_SESSION_ALONE	(1U << 2)	/* CPTDEV_STATE_ALONE */
#define CPTDEV_GENL_SESSION_BLOCKED	(1U << 3)	/* CPTDEV_STATE_BLOCKED */
#define CPTDEV_GENL_SESSION_WANTED	(1U << 4)	/* CPTDEV_STATE_WANTED */
#define CPTDEV_GENL_SESSION_HUNG	(1U << 5)	/* no sign of life in time */

/*
 * The reason why a session ended: CPTDEV_A_SESSION_END, in session-gone-ntf. "The process"
 * is the one that opened the device. Another process may keep the descriptor open longer,
 * because it received or inherited the descriptor. The reason is still how the opening
 * process ended.
 */
enum cptdev_session_end {
	CPTDEV_END_UNKNOWN	= 0,	/* the engine can't determine the reason */
	CPTDEV_END_CLOSED	= 1,	/* closed while the process was running: in order */
	CPTDEV_END_EXITED	= 2,	/* the process exited; the code is the exit status */
	CPTDEV_END_KILLED	= 3,	/* a signal killed the process; the code is the signal */
	CPTDEV_END_EXEC		= 4,	/* the process called exec() */
	/* ended without a report: a signal, exec() or _exit(); never reported by the module */
	CPTDEV_END_FAILED	= 5,
};

enum cptdev_genl_replica_attr {
	CPTDEV_A_REPLICA_UNSPEC,
	CPTDEV_A_REPLICA_PAD,
	CPTDEV_A_REPLICA_NAME,		/* string */
	CPTDEV_A_REPLICA_UUID,		/* binary, 16: session of the content; not in events */
	CPTDEV_A_REPLICA_UID,		/* u32, owner in the initial user namespace */
	CPTDEV_A_REPLICA_TERM,		/* u64; not in events */
	CPTDEV_A_REPLICA_GENERATION,	/* u64, 0: nothing was committed yet */
	CPTDEV_A_REPLICA_STAGING,	/* u64, generation that is being staged, 0: none */
	CPTDEV_A_REPLICA_PAGES,		/* u64, pages with data */
	CPTDEV_A_REPLICA_STAGED,	/* u64, staged pages */
	CPTDEV_A_REPLICA_MAX_BYTES,	/* u64, limit on its memory, bytes */
	CPTDEV_A_REPLICA_FLAGS,		/* u32, CPTDEV_GENL_REPLICA_* */
	CPTDEV_A_REPLICA_COMMITS,	/* u64, commits since it was created */
	CPTDEV_A_REPLICA_OPENERS,	/* u32, open descriptors */
	CPTDEV_A_REPLICA_WAITERS,	/* u32, those of them that were polled for POLLPRI */
	/* The next two are in answers, not in events. */
	CPTDEV_A_REPLICA_COPIED,	/* u64, last commit that a program has copied, 0: none */
	CPTDEV_A_REPLICA_BEHIND,	/* u64, pages that this copy lacks */

	__CPTDEV_A_REPLICA_MAX,
	CPTDEV_A_REPLICA_MAX = __CPTDEV_A_REPLICA_MAX - 1
};

#define CPTDEV_GENL_REPLICA_PROMOTED	(1U << 0)	/* CPTDEV_IMAGE_PROMOTED */
#define CPTDEV_GENL_REPLICA_FROZEN	(1U << 1)	/* CPTDEV_IMAGE_FROZEN */
#define CPTDEV_GENL_REPLICA_TAKEN	(1U << 2)	/* CPTDEV_IMAGE_TAKEN */
#define CPTDEV_GENL_REPLICA_KEPT	(1U << 3)	/* CPTDEV_IMAGE_KEPT */

#endif /* _UAPI_LINUX_CPTDEV_NETLINK_H */
