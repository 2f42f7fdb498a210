/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * cptdev: the generic netlink family. It shows sessions and replicas and tells what
 * happens to them; whatever changes something is an ioctl (linux/cptdev.h), where a
 * descriptor stands for who does it and goes away with him.
 *
 * Documentation/netlink/specs/cptdev.yaml is the specification.
 *
 *   session-get	do (by id) and dump
 *	CPTDEV_A_SESSION (nest)
 *	  CPTDEV_A_SESSION_ID ... CPTDEV_A_SESSION_GROUP_LEFT
 *   replica-get	do (by name) and dump
 *	CPTDEV_A_REPLICA (nest)
 *	  CPTDEV_A_REPLICA_NAME ... CPTDEV_A_REPLICA_WAITERS
 *   *-ntf		events, multicast group "events", with the same nests: the
 *			state right after it happened
 *
 * The UUID and the term of a session or replica are for its owner and for holders of
 * CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN (in the initial user namespace, both the sender of
 * the request and the opener of the socket). A dump shows others nothing of it, a do answers
 * EACCES. Everybody may listen to the events, so these have neither UUID nor term.
 *
 * A listener that was too slow gets ENOBUFS from its socket and dumps again.
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
	CPTDEV_CMD_SESSION_NEW_NTF,	/* a session was named or got its first range */
	CPTDEV_CMD_SESSION_GONE_NTF,	/* closed, or its process ended */
	CPTDEV_CMD_SNAPSHOT_NTF,	/* a snapshot was published: DELTA has it */
	CPTDEV_CMD_COMMITTED_NTF,	/* a generation is acknowledged, or a flag changed */
	CPTDEV_CMD_DROPPED_NTF,		/* published snapshots were given up */
	CPTDEV_CMD_FENCED_NTF,		/* a newer term exists */
	CPTDEV_CMD_REPLICA_NEW_NTF,
	CPTDEV_CMD_REPLICA_COMMITTED_NTF,
	CPTDEV_CMD_REPLICA_PROMOTED_NTF,
	CPTDEV_CMD_REPLICA_GONE_NTF,
	CPTDEV_CMD_LIMIT_NTF,		/* a snapshot failed: a limit on memory held */
	CPTDEV_CMD_REPLICA_TAKEN_NTF,	/* a program took the promotion */
	CPTDEV_CMD_SESSION_HUNG_NTF,	/* no sign of life in time */

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
	CPTDEV_A_SESSION_ID,		/* u64 */
	CPTDEV_A_SESSION_NAME,		/* string, missing: no name, not shipped */
	CPTDEV_A_SESSION_UUID,		/* binary, 16; not in events */
	CPTDEV_A_SESSION_PID,		/* u32, thread group in the initial namespace */
	CPTDEV_A_SESSION_UID,		/* u32, in the initial namespace */
	CPTDEV_A_SESSION_TERM,		/* u64; not in events */
	CPTDEV_A_SESSION_GENERATION,	/* u64, newest snapshot, failed ones counted */
	CPTDEV_A_SESSION_PUBLISHED,	/* u64, newest published one */
	CPTDEV_A_SESSION_COMMITTED,	/* u64, newest one on the spare */
	CPTDEV_A_SESSION_ATTACHED,	/* u32, spares that follow */
	CPTDEV_A_SESSION_RANGES,	/* u32 */
	CPTDEV_A_SESSION_BYTES,		/* u64, in the ranges */
	CPTDEV_A_SESSION_HELD,		/* u64, bytes held by snapshots */
	CPTDEV_A_SESSION_HELD_MAX,	/* u64, bytes */
	CPTDEV_A_SESSION_FLAGS,		/* u32, CPTDEV_GENL_SESSION_* */
	CPTDEV_A_SESSION_LAST_PAGES,	/* u64, pages in the newest snapshot */
	CPTDEV_A_SESSION_LAST_PAUSE_NS,	/* u64, its pause */
	CPTDEV_A_SESSION_END,		/* u32, enum cptdev_session_end; once it ended */
	CPTDEV_A_SESSION_END_CODE,	/* u32, exit status or signal; likewise */
	CPTDEV_A_SESSION_LEASE_UNTIL,	/* u64, CLOCK_BOOTTIME ns, 0: no lease is in use */
	/* in answers, not in events */
	CPTDEV_A_SESSION_USER_HELD_MAX,	/* u64, bytes for all snapshots of its user, ~0: no limit */
	CPTDEV_A_SESSION_USER_HELD,	/* u64, bytes held by all snapshots of its user */
	CPTDEV_A_SESSION_GROUP_LEFT,	/* u64, bytes left in its control group, ~0: no limit */

	__CPTDEV_A_SESSION_MAX,
	CPTDEV_A_SESSION_MAX = __CPTDEV_A_SESSION_MAX - 1
};

#define CPTDEV_GENL_SESSION_FENCED	(1U << 0)
#define CPTDEV_GENL_SESSION_REPLACE	(1U << 1)	/* CPTDEV_SESSION_REPLACE */
#define CPTDEV_GENL_SESSION_ALONE	(1U << 2)	/* CPTDEV_STATE_ALONE */
#define CPTDEV_GENL_SESSION_BLOCKED	(1U << 3)	/* CPTDEV_STATE_BLOCKED */
#define CPTDEV_GENL_SESSION_WANTED	(1U << 4)	/* CPTDEV_STATE_WANTED */
#define CPTDEV_GENL_SESSION_HUNG	(1U << 5)	/* no sign of life in time */

/*
 * Why a session ended: CPTDEV_A_SESSION_END, in session-gone-ntf. The process that opened
 * the device counts. Descriptors that it passed on, or that a forked child inherited, don't
 * change that: after they outlived the process, the reason is how the process ended.
 */
enum cptdev_session_end {
	CPTDEV_END_UNKNOWN	= 0,	/* told by an engine that can't know */
	CPTDEV_END_CLOSED	= 1,	/* closed, the program goes on: in order */
	CPTDEV_END_EXITED	= 2,	/* the code is the exit status */
	CPTDEV_END_KILLED	= 3,	/* the code is the signal */
	CPTDEV_END_EXEC		= 4,	/* another program took the process's place */
};

enum cptdev_genl_replica_attr {
	CPTDEV_A_REPLICA_UNSPEC,
	CPTDEV_A_REPLICA_PAD,
	CPTDEV_A_REPLICA_NAME,		/* string */
	CPTDEV_A_REPLICA_UUID,		/* binary, 16: session it comes from; not in events */
	CPTDEV_A_REPLICA_UID,		/* u32, owner */
	CPTDEV_A_REPLICA_TERM,		/* u64; not in events */
	CPTDEV_A_REPLICA_GENERATION,	/* u64, 0: nothing committed yet */
	CPTDEV_A_REPLICA_STAGING,	/* u64, generation being staged, 0: none */
	CPTDEV_A_REPLICA_PAGES,		/* u64 */
	CPTDEV_A_REPLICA_STAGED,	/* u64, pages staged */
	CPTDEV_A_REPLICA_MAX_BYTES,	/* u64 */
	CPTDEV_A_REPLICA_FLAGS,		/* u32, CPTDEV_GENL_REPLICA_* */
	CPTDEV_A_REPLICA_COMMITS,	/* u64, since it was created */
	CPTDEV_A_REPLICA_OPENERS,	/* u32, descriptors */
	CPTDEV_A_REPLICA_WAITERS,	/* u32, of them: polled with POLLPRI once */

	__CPTDEV_A_REPLICA_MAX,
	CPTDEV_A_REPLICA_MAX = __CPTDEV_A_REPLICA_MAX - 1
};

#define CPTDEV_GENL_REPLICA_PROMOTED	(1U << 0)
#define CPTDEV_GENL_REPLICA_FROZEN	(1U << 1)
#define CPTDEV_GENL_REPLICA_TAKEN	(1U << 2)

#endif /* _UAPI_LINUX_CPTDEV_NETLINK_H */
