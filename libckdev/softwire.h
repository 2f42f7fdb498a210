/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What libckdev and cptdevd's soft engine say to each other, where there is no module. Both
 * ends are on one machine, so the structs of linux/cptdev.h travel as they are.
 *
 * A program connects to a Unix socket (SOCK_SEQPACKET): the connection is a session, as an
 * open of /dev/cptdev is. A request is a header and a struct; with it comes, as SCM_RIGHTS,
 * a socket that takes the answer, so that threads don't read each other's, and with PUBLISH
 * a file. An answer is a header, the struct, and, for the lists of an image, the entries;
 * with it may come a descriptor. On the connection itself the daemon sends nothing but
 * "there is news", at most once until the program asks again, so that poll() tells.
 */
#ifndef CKDEV_SOFTWIRE_H
#define CKDEV_SOFTWIRE_H

#include <linux/cptdev.h>

#define SOFT_SOCKET	"/run/cptdevd/programs"

struct soft_request {
	__u32 cmd;		/* CPTDEV_IOC_* or SOFT_* */
	__u32 len;		/* bytes that follow */
};

struct soft_answer {
	__s32 err;		/* 0 or a negative errno */
	__u32 len;		/* bytes that follow */
};

/* Largest struct, and most bytes of entries after one. */
#define SOFT_STRUCT_MAX		512
#define SOFT_ENTRIES_MAX	61440

#define SOFT_PUBLISH		_IO(CPTDEV_IOC_MAGIC, 0x80)
#define SOFT_REPLICA_WAIT	_IO(CPTDEV_IOC_MAGIC, 0x81)
#define SOFT_REPLICA_CONTENT	_IO(CPTDEV_IOC_MAGIC, 0x82)

/*
 * For cptdevctl: a struct cptdev_image_vec, with CPTDEV_CMD_SESSION_GET or CPTDEV_CMD_REPLICA_GET
 * as @flags. @start counts records, @vec_len and @nr bytes; one record at a time, as the daemon
 * has it. A session or replica of somebody else is shown to who may open it.
 */
#define SOFT_LIST		_IO(CPTDEV_IOC_MAGIC, 0x83)

#define SOFT_SESSION_PAGE	_IO(CPTDEV_IOC_MAGIC, 0x84)

/*
 * The file has @pages pages, those of the DATA extents, then @extents of struct cptdev_extent,
 * @segments of struct cptdev_segment, @meta_len bytes, and ends there. It is a memfd with the
 * seals F_SEAL_WRITE, _GROW and _SHRINK.
 */
struct soft_publish {
	__u32 size;
	__u32 flags;
	__u64 base;		/* what changed after this generation; 0: everything */
	__u64 pages;
	__u32 extents;
	__u32 segments;
	__u32 meta_len;
	__u32 reserved;
	__u64 generation;	/* out */
	__u64 reach;		/* out, on failure too: the next @base may be no higher */
};

/*
 * Answered with a descriptor of the session page, for reading: a memfd that nobody but the daemon
 * can change. For a session that has a name.
 */
struct soft_session_page {
	__u32 size;
	__u32 flags;		/* SOFT_PAGE_HEEDED */
};

/* The program takes no checkpoint while they are held off. Older daemons answer -EOPNOTSUPP. */
#define SOFT_PAGE_HEEDED	(1U << 0)

/*
 * The content of the session page: the struct that every engine has, and more. Checkpoints are held off
 * (cptdevctl hold) until @held_off_until_ns, CLOCK_BOOTTIME; 0: they aren't. The time passes by itself, so
 * that a daemon that hangs or is gone holds nobody off for longer.
 */
struct soft_page_content {
	struct cptdev_session_page page;
	__u64 held_off_until_ns;
};

/*
 * The program reports the end of its session before it ends, because a daemon without rights can't
 * see how a process of another user ends:
 *
 *	PROMISED	there will be a report. From then on, an end without a report is a failure. The
 *			message carries /proc/self/maps, opened for reading: it is empty when the
 *			address space is gone.
 *	CLOSES		the program closes the session and continues.
 *	EXITS		the program called exit(3), or returned from main(), with @status.
 *
 * The program needn't wait for the answer: the daemon reads all messages before it handles the
 * end of the connection. The last report counts; PROMISED can't be revoked.
 */
#define SOFT_END		_IO(CPTDEV_IOC_MAGIC, 0x85)

enum soft_end_kind {
	SOFT_END_PROMISED	= 1,
	SOFT_END_CLOSES		= 2,
	SOFT_END_EXITS		= 3,
};

struct soft_end {
	__u32 size;
	__u32 flags;
	__u32 kind;		/* enum soft_end_kind */
	__u32 status;		/* EXITS only, 0 to 255 */
};

/*
 * A cut comes, which the next PUBLISH is of: what the host has sent for the session's service until
 * now may leave it when that one is committed. Connections are read after the answer.
 */
#define SOFT_MARK		_IO(CPTDEV_IOC_MAGIC, 0x86)

struct soft_mark {
	__u32 size;
	__u32 flags;
	__u32 held;		/* out: 0: output of this session isn't held */
	__u32 reserved;
};

/* @flags as those of ckdev_replica_wait(); @result what that returns. */
struct soft_replica_wait {
	__u32 size;
	__u32 flags;
	__u64 timeout_ns;	/* 0 only asks; else the program gives up by itself */
	__u32 result;		/* out */
	__u32 reserved;
};

/* Answered with a descriptor for reading, where a byte's offset is its address. */
struct soft_replica_content {
	__u32 size;
	__u32 flags;
};

/*
 * The replica needn't be frozen: the file changes with each commit, and a commit of everything
 * leaves it behind. A reader finds out by the number of commits (@since of struct cptdev_image_vec).
 */
#define SOFT_CONTENT_LIVE	(1U << 0)

#endif
