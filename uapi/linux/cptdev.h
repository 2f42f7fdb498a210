/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * cptdev: checkpoints of a process's own memory.
 *
 * Every call is an ioctl() on one of three kinds of descriptor:
 *
 *   device	returned by open("/dev/cptdev"). The descriptor is a *session*: the
 *		context in which the address space of the opener is tracked. A
 *		session belongs to this address space only.
 *   snapshot	returned by CPTDEV_IOC_SNAPSHOT, _DELTA and _ROUND. It is a file
 *		that contains the frozen pages, packed. It supports read, pread,
 *		splice, sendfile, mmap (read-only) and poll. Closing it drops the
 *		pages.
 *   replica	returned by CPTDEV_IOC_REPLICA_OPEN. It is a named copy of a
 *		session's memory that the kernel keeps. pread and pwrite take the
 *		original address as the file offset.
 *
 * Conventions of every call:
 *
 * - Each struct begins with @size, which the caller sets to sizeof(struct). If the
 *   struct is larger than the kernel knows, the additional bytes must be zero. If
 *   it is smaller, the missing fields read as zero, and the kernel writes back only
 *   as many bytes as the caller has. @size must not be below the size of the struct
 *   in its first version.
 * - @flags and reserved fields that a call doesn't define must be zero.
 * - Addresses and lengths are in bytes and are multiples of the page size, unless
 *   stated otherwise. Pointers are passed as __u64.
 * - A call that fails has changed nothing, unless its description states otherwise.
 * - "The capability" is CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN in the initial user
 *   namespace.
 *
 * An error has the same meaning in all calls:
 *
 *   ENOTTY	unknown command, or a command for another kind of descriptor
 *   EINVAL	@size is too small, or a field has an impossible value
 *   E2BIG	the struct is larger than the kernel knows, and the additional bytes
 *		aren't zero; or too many items
 *   EOPNOTSUPP	an unknown flag; or memory that can't be tracked (see @reason)
 *   EFAULT	a pointer that can't be read or written; or memory that isn't mapped
 *   EXDEV	the session belongs to another address space: after fork, after exec,
 *		or because the descriptor was passed to another process
 *   ESRCH	the address space of the session is gone
 *   EPERM	the caller doesn't have the capability
 *   EACCES	the replica, or the name, belongs to another user
 *   EBADF	the descriptor wasn't opened for this call: a replica without
 *		CPTDEV_REPLICA_WRITE
 *   ENOENT	no such range, session or replica
 *   EEXIST	the range overlaps another range, or the name is taken
 *   EBUSY	in use: another session tracks the range, another descriptor stages,
 *		or the replica is frozen
 *   EDQUOT	the call would pass a limit: on held memory, on the memory of replicas, or
 *		on the number of sessions or replicas of a user
 *   ENOMEM	the kernel has no memory
 *   EMSGSIZE	the meta-data is longer than CPTDEV_META_MAX
 *   EAGAIN	the process locks all its future memory (mlockall(MCL_FUTURE)), and
 *		RLIMIT_MEMLOCK has no room for the module's own mapping in the process;
 *		or (CPTDEV_IOC_ROUND) try again later
 *   EALREADY	the promotion is taken, or it is older than the descriptor
 *   EINTR	a signal came first; nothing was done
 *   ETIMEDOUT	the time-out has passed
 *   ECANCELED	the generation was dropped, and won't be committed
 *   ESTALE	fenced: a newer term exists; or the generation isn't newer
 *   EILSEQ	a gap: the delta begins after the replica's generation
 *   ENODATA	nothing is newer than the given generation
 *   EOVERFLOW	there is no higher term
 *   ERANGE	the term is too high: by more than CPTDEV_TERM_STEP
 *   EHWPOISON	a page of the range was lost to a memory error
 */
#ifndef _UAPI_LINUX_CPTDEV_H
#define _UAPI_LINUX_CPTDEV_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* This number is raised when an existing field or call changes its meaning. */
#define CPTDEV_ABI_VERSION	1

#define CPTDEV_DEVICE		"/dev/cptdev"

/* Names of sessions and replicas: characters of [A-Za-z0-9._-]. The length includes the NUL. */
#define CPTDEV_NAME_MAX		64
#define CPTDEV_UUID_LEN		16
/* The most meta-data of a snapshot, in bytes. */
#define CPTDEV_META_MAX		65536
/* The most ranges of a session. */
#define CPTDEV_RANGES_MAX	65536

/* The highest fencing number (term). It also fits in a signed 64-bit number. */
#define CPTDEV_TERM_MAX		(~0ULL >> 1)
/*
 * A promotion raises the term by one. A replica refuses every term that is more than this step
 * above its own term (0: it has none yet). So no delta and no promotion can use up the terms:
 * after CPTDEV_TERM_MAX no promotion would be possible any more.
 */
#define CPTDEV_TERM_STEP	(1ULL << 20)
/* The highest generation. */
#define CPTDEV_GENERATION_MAX	(~0ULL >> 1)

#define CPTDEV_IOC_MAGIC	0xCB

enum cptdev_ioc_nr {
	/* device */
	CPTDEV_NR_INFO		= 0x40,
	CPTDEV_NR_SESSION_SETUP	= 0x41,
	CPTDEV_NR_RANGE_ADD	= 0x42,
	CPTDEV_NR_RANGE_DEL	= 0x43,
	CPTDEV_NR_RANGE_CLEAR	= 0x44,
	CPTDEV_NR_RANGE_LIST	= 0x45,
	CPTDEV_NR_SCAN		= 0x46,
	CPTDEV_NR_SNAPSHOT	= 0x47,
	CPTDEV_NR_WAIT		= 0x48,
	CPTDEV_NR_DELTA		= 0x49,
	CPTDEV_NR_ACK		= 0x4a,
	CPTDEV_NR_REPLICA_OPEN	= 0x4b,
	CPTDEV_NR_SESSION_ALIVE	= 0x4c,
	CPTDEV_NR_ROUND		= 0x4d,
	CPTDEV_NR_KEEP		= 0x4e,
	/* snapshot and replica */
	CPTDEV_NR_IMAGE_INFO	= 0x50,
	CPTDEV_NR_IMAGE_LAYOUT	= 0x51,
	CPTDEV_NR_IMAGE_EXTENTS	= 0x52,
	CPTDEV_NR_IMAGE_META	= 0x53,
	/* replica */
	CPTDEV_NR_REPLICA_BEGIN	= 0x60,
	CPTDEV_NR_REPLICA_STAGE	= 0x61,
	CPTDEV_NR_REPLICA_COMMIT = 0x62,
	CPTDEV_NR_REPLICA_ABORT	= 0x63,
	CPTDEV_NR_REPLICA_FREEZE = 0x64,
	CPTDEV_NR_REPLICA_PROMOTE = 0x65,
	CPTDEV_NR_REPLICA_REMOVE = 0x66,
	CPTDEV_NR_REPLICA_CLAIM	= 0x67,
	CPTDEV_NR_REPLICA_COPIED = 0x68,
	CPTDEV_NR_REPLICA_HISTORY = 0x69,
	CPTDEV_NR_REPLICA_AT	= 0x6a,
};

/*
 * The reason why memory was refused: @reason next to a @bad_addr. /proc/self/maps lists
 * the mapping at this address.
 */
enum cptdev_reason {
	CPTDEV_REASON_NONE	= 0,	/* nothing was refused */
	CPTDEV_REASON_UNMAPPED	= 1,	/* nothing is mapped there */
	CPTDEV_REASON_SHARED	= 2,	/* MAP_SHARED, memfd, secret memory */
	CPTDEV_REASON_HUGETLB	= 3,	/* hugetlbfs */
	CPTDEV_REASON_DEVICE	= 4,	/* PFN or mixed map, device or kernel memory, DAX */
	CPTDEV_REASON_SPECIAL	= 5,	/* vDSO, shadow stack */
	CPTDEV_REASON_SESSION	= 6,	/* tracked by another session */
	CPTDEV_REASON_OVERLAP	= 7,	/* already in a range (CPTDEV_RANGE_EXCL) */
	/* EDQUOT of SNAPSHOT, without an address: the limit that would be passed */
	CPTDEV_REASON_HELD	= 8,	/* the limit of the session, or for all snapshots */
	CPTDEV_REASON_USER	= 9,	/* the limit of the user */
	CPTDEV_REASON_GROUP	= 10,	/* the control group has no memory left for copies */
};

/**
 * struct cptdev_info - CPTDEV_IOC_INFO: features and limits of the module, state of the session
 * @size:		sizeof(struct cptdev_info)
 * @flags:		0
 * @abi_version:	CPTDEV_ABI_VERSION of the module
 * @page_size:		bytes
 * @features:		CPTDEV_FEATURE_* bits
 * @range_flags:	flags that CPTDEV_IOC_RANGE_ADD knows
 * @scan_flags:		flags that CPTDEV_IOC_SCAN knows
 * @scan_categories:	CPTDEV_PAGE_* bits that CPTDEV_IOC_SCAN can report
 * @snapshot_flags:	flags that CPTDEV_IOC_SNAPSHOT knows
 * @session_flags:	flags that CPTDEV_IOC_SESSION_SETUP knows
 * @replica_flags:	flags that CPTDEV_IOC_REPLICA_OPEN knows
 * @held_max:		limit on the memory that all snapshots may hold, bytes
 * @held:		memory that all snapshots hold now, bytes
 * @replica_max:	limit on the memory of all replicas, bytes
 * @replica:		memory of all replicas now, bytes
 * @sessions:		number of sessions
 * @replicas:		number of replicas
 * @session_id:		this session: its number, unique since the module was loaded
 * @session_uuid:	this session: random bytes, unique on all hosts
 * @session_term:	this session: fencing number
 * @session_held_max:	this session: limit on the memory that its snapshots may hold, bytes
 * @session_held:	this session: memory that its snapshots hold now, bytes
 * @session_ranges:	this session: number of ranges
 * @session_bytes:	this session: bytes in the ranges
 * @session_overhead:	this session: the module's own memory for the session, bytes
 * @generation:		this session: generation of the newest snapshot, including failed
 *			ones; 0 before the first
 * @published:		this session: newest published generation
 * @committed:		this session: newest committed generation
 * @attached:		this session: number of spares that follow it
 * @scans:		this session: number of calls of CPTDEV_IOC_SCAN
 * @snapshots:		this session: number of snapshots taken
 * @user_held_max:	the caller: limit on the memory that all snapshots of one user may
 *			hold, bytes; 2^64 - 1 if the caller has no such limit
 * @user_held:		this session: memory that all snapshots of its user hold, bytes
 * @group_left:		this session: memory that the kernel may still charge for copies of
 *			held pages before the control group of the process reaches its
 *			limit, bytes; 2^64 - 1 if there is no limit. Copies that snapshots
 *			of this session may already cause are not subtracted.
 * @huge_kept:		this session: how often a snapshot froze a huge page as a whole
 * @huge_split:		this session: number of huge pages whose mapping was split, because
 *			the page was written again, was only partly in a range, or had I/O
 *			in flight
 *
 * Errors: only the common ones. Every process that has the descriptor may make this call.
 */
struct cptdev_info {
	__u32 size;
	__u32 flags;
	__u32 abi_version;
	__u32 page_size;
	__u64 features;
	__u64 range_flags;
	__u64 scan_flags;
	__u64 scan_categories;
	__u64 snapshot_flags;
	__u64 session_flags;
	__u64 replica_flags;
	__u64 held_max;
	__u64 held;
	__u64 replica_max;
	__u64 replica;
	__u64 sessions;
	__u64 replicas;
	__u64 session_id;
	__u8  session_uuid[CPTDEV_UUID_LEN];
	__u64 session_term;
	__u64 session_held_max;
	__u64 session_held;
	__u64 session_ranges;
	__u64 session_bytes;
	__u64 session_overhead;
	__u64 generation;
	__u64 published;
	__u64 committed;
	__u64 attached;
	__u64 scans;
	__u64 snapshots;
	__u64 user_held_max;
	__u64 user_held;
	__u64 group_left;
	__u64 huge_kept;
	__u64 huge_split;
};

#define CPTDEV_FEATURE_SCAN	(1ULL << 0)	/* CPTDEV_IOC_SCAN */
#define CPTDEV_FEATURE_SNAPSHOT	(1ULL << 1)	/* CPTDEV_IOC_SNAPSHOT */
#define CPTDEV_FEATURE_PUBLISH	(1ULL << 2)	/* WAIT, DELTA, ACK, netlink events */
#define CPTDEV_FEATURE_REPLICA	(1ULL << 3)	/* CPTDEV_IOC_REPLICA_* */
#define CPTDEV_FEATURE_MMAP	(1ULL << 4)	/* mmap of a snapshot */
#define CPTDEV_FEATURE_CLAIM	(1ULL << 5)	/* CPTDEV_IOC_REPLICA_CLAIM */
#define CPTDEV_FEATURE_LEASE	(1ULL << 6)	/* leases and states: ACK, WAIT, the session page */
#define CPTDEV_FEATURE_ALIVE	(1ULL << 7)	/* CPTDEV_IOC_SESSION_ALIVE */
#define CPTDEV_FEATURE_SINCE	(1ULL << 8)	/* @since of CPTDEV_IOC_IMAGE_EXTENTS */
#define CPTDEV_FEATURE_COPIED	(1ULL << 9)	/* CPTDEV_IOC_REPLICA_COPIED */
#define CPTDEV_FEATURE_HISTORY	(1ULL << 10)	/* CPTDEV_IOC_REPLICA_HISTORY, _AT */
#define CPTDEV_FEATURE_ROUND	(1ULL << 11)	/* ROUND, DELTA_AFRESH, BEGIN_CONTINUE */
#define CPTDEV_FEATURE_KEEP	(1ULL << 12)	/* CPTDEV_IOC_KEEP */

/**
 * struct cptdev_session_setup - CPTDEV_IOC_SESSION_SETUP: give the session a name and limits
 * @size:	sizeof(struct cptdev_session_setup)
 * @flags:	CPTDEV_SESSION_*
 * @name:	NUL-terminated name. Published snapshots go to the replica of this
 *		name. No other session of this machine may have the same name.
 * @term:	fencing number, 1 to CPTDEV_TERM_MAX; 0 means 1. A program that took
 *		over passes the term of its replica, so that the old primary is refused.
 * @held_max:	most memory that this session's snapshots may hold, bytes; 0: the
 *		module's limit
 *
 * Allowed once per session, before the first snapshot. A name belongs to one user, for
 * sessions and for replicas. Taking the name of another user's replica needs the
 * capability.
 *
 * Errors: EEXIST another session has the name; EACCES a replica of this name belongs to
 * another user; EBUSY the session already has a name, or has already taken a snapshot;
 * EINVAL the name is empty or has another character, or @term is too high.
 */
struct cptdev_session_setup {
	__u32 size;
	__u32 flags;
	__u8  name[CPTDEV_NAME_MAX];
	__u64 term;
	__u64 held_max;
};

/*
 * This session's memory replaces the content that the spare holds under the name, even
 * if that content came from another run of the program. Without this flag the spare
 * refuses. So a program that was restarted with empty memory can't destroy the state
 * that it lost.
 */
#define CPTDEV_SESSION_REPLACE	(1U << 0)

/**
 * struct cptdev_range - CPTDEV_IOC_RANGE_ADD, _DEL, _CLEAR
 * @size:	sizeof(struct cptdev_range)
 * @flags:	CPTDEV_RANGE_*
 * @addr:	first byte; 0 for CLEAR
 * @len:	bytes; 0 for CLEAR
 * @bad_addr:	out, with EFAULT, EOPNOTSUPP, EEXIST and EBUSY: the first address concerned
 * @reason:	out, with the same errors: enum cptdev_reason
 * @reserved:	0
 *
 * ADD tracks @len bytes of the caller's private memory from @addr: anonymous memory and
 * private file mappings. The new range is merged with ranges that it overlaps or touches;
 * with CPTDEV_RANGE_EXCL, ADD refuses an overlap. All newly tracked memory counts as
 * changed. Memory that is unmapped later stays in the range, as a hole.
 *
 * DEL stops tracking any part of any ranges. CLEAR stops tracking all ranges.
 *
 * Errors: EFAULT a part of the memory isn't mapped; EOPNOTSUPP the memory can't be
 * tracked; EEXIST the memory overlaps a range (CPTDEV_RANGE_EXCL); EBUSY another session
 * of this process tracks the memory; E2BIG too many ranges; ENOENT DEL: no page between
 * @addr and @addr + @len is tracked.
 */
struct cptdev_range {
	__u32 size;
	__u32 flags;
	__u64 addr;
	__u64 len;
	__u64 bad_addr;
	__u32 reason;
	__u32 reserved;
};

#define CPTDEV_RANGE_EXCL	(1U << 0)

/* A range as CPTDEV_IOC_RANGE_LIST returns it. */
struct cptdev_range_entry {
	__u64 addr;
	__u64 len;
};

/**
 * struct cptdev_range_list - CPTDEV_IOC_RANGE_LIST: list the ranges of the session
 * @size:	sizeof(struct cptdev_range_list)
 * @flags:	0
 * @vec:	pointer to struct cptdev_range_entry[]
 * @vec_len:	number of entries that fit; 0 only asks for @total
 * @nr:		out: entries written, in ascending order of address
 * @start:	list the ranges that end after this address; 0: all
 * @total:	out: number of ranges of the session
 */
struct cptdev_range_list {
	__u32 size;
	__u32 flags;
	__u64 vec;
	__u32 vec_len;
	__u32 nr;
	__u64 start;
	__u64 total;
};

/*
 * Page categories. HOLE, FILE, SWAPPED and CLEAN exclude each other; a page that is
 * present and dirty has none of the four. DIRTY and ACCESSED may come in addition.
 */
#define CPTDEV_PAGE_DIRTY	(1ULL << 0)	/* changed since its mark was last cleared */
#define CPTDEV_PAGE_ACCESSED	(1ULL << 1)	/* read or written since then */
#define CPTDEV_PAGE_CLEAN	(1ULL << 2)	/* present and not dirty */
#define CPTDEV_PAGE_HOLE	(1ULL << 3)	/* no page: zeros, or nothing is mapped */
#define CPTDEV_PAGE_SWAPPED	(1ULL << 4)	/* swapped out */
#define CPTDEV_PAGE_FILE	(1ULL << 5)	/* of a private file mapping, never written */

/* A run of pages with the same categories. @end is behind the last byte. */
struct cptdev_region {
	__u64 start;
	__u64 end;
	__u64 categories;
};

/**
 * struct cptdev_scan - CPTDEV_IOC_SCAN: report the pages that changed
 * @size:	sizeof(struct cptdev_scan)
 * @flags:	CPTDEV_SCAN_*
 * @start:	first address; 0: from the first range
 * @end:	end address; 0: to the end of the last range
 * @vec:	pointer to struct cptdev_region[]
 * @vec_len:	number of entries that fit; 0: only clear and count
 * @nr:		out: entries written. Entries of @vec beyond @nr are undefined.
 * @anyof:	report pages that have at least one of these categories; 0: all pages
 * @report:	categories to report; 0: all. Neighbouring pages with the same
 *		reported categories form one region.
 * @walk_end:	out: the address at which the scan stopped. If this isn't @end, or the
 *		end of the last range, call again with this address as @start.
 * @dirty:	out: number of dirty pages seen
 * @pages:	out: number of pages visited
 *
 * With CPTDEV_SCAN_CLEAR_DIRTY, the call reads and clears the dirty mark of each
 * *reported* page in one step: a store that isn't in this answer is in the next one.
 * Clearing makes no page read-only, so a scan causes no page faults in the process.
 *
 * The dirty mark covers stores by the process and by system calls on its behalf. It
 * doesn't cover transfers that the kernel or a device makes through a page reference
 * (O_DIRECT, process_vm_writev). Snapshots have a separate mark, which covers these
 * transfers.
 *
 * Errors: EINVAL an address isn't aligned, or @end is before @start; EFAULT @vec can't
 * be written, no dirty mark is lost; EOPNOTSUPP a range now contains a mapping that
 * can't be tracked. The call fails only if it cleared nothing: if an error comes after
 * the first pages, the call succeeds, @walk_end is the address of the error, and the
 * next call that starts there reports the error.
 */
struct cptdev_scan {
	__u32 size;
	__u32 flags;
	__u64 start;
	__u64 end;
	__u64 vec;
	__u32 vec_len;
	__u32 nr;
	__u64 anyof;
	__u64 report;
	__u64 walk_end;
	__u64 dirty;
	__u64 pages;
};

#define CPTDEV_SCAN_CLEAR_DIRTY		(1U << 0)
#define CPTDEV_SCAN_CLEAR_ACCESSED	(1U << 1)

/**
 * struct cptdev_snapshot - CPTDEV_IOC_SNAPSHOT: freeze all ranges at one instant
 * @size:	sizeof(struct cptdev_snapshot)
 * @flags:	CPTDEV_SNAPSHOT_*
 * @since:	with CPTDEV_SNAPSHOT_SINCE: take the changes after this generation, 0
 *		takes everything. Without the flag: 0
 * @meta:	pointer to meta-data of the program, which is stored with the snapshot
 * @meta_len:	bytes of meta-data, at most CPTDEV_META_MAX
 * @fd:		out: descriptor of the snapshot, close-on-exec; -1 with
 *		CPTDEV_SNAPSHOT_NOFD
 * @timeout_ns:	with CPTDEV_SNAPSHOT_WAIT: as in struct cptdev_wait. Without the flag: 0
 * @generation:	out: number of this snapshot, never used again in this session
 * @base:	out: the snapshot has the changes after this generation; 0: everything
 * @pages:	out: pages in the snapshot
 * @holes:	out: pages that became holes
 * @copied:	out: pages copied because I/O may have been in flight to them
 * @visited:	out: page-table entries visited
 * @pause_ns:	out: how long the process could not take page faults
 * @bad_addr:	out, with EFAULT, EOPNOTSUPP and EHWPOISON: the address concerned
 * @reason:	out, with the same errors and with EDQUOT: enum cptdev_reason
 * @reserved:	0
 *
 * The promises of a snapshot (cptdev(4) states them sentence by sentence):
 *
 * a) A thread that stores to tracked memory during the cut waits in a page fault, at most
 *    as long as the cut takes, and notices nothing else.
 * b) A snapshot is one instant, which lies within the call. If a snapshot contains a
 *    store, it also contains every store that happened before it, by any thread, whatever
 *    established the order of the stores. A snapshot contains every change after @base:
 *    stores, system calls, unmapping, transfers by the kernel or a device. It may contain
 *    more. Its content never changes afterwards.
 * c) If a transfer by a device is in flight at the instant, the snapshot contains the part
 *    that has arrived. The page is in each later snapshot until the transfer is over, and
 *    in one more.
 *
 * Without CPTDEV_SNAPSHOT_SINCE the snapshot is incremental: a published snapshot
 * continues the newest published one, any other snapshot continues the newest of any kind.
 *
 * The session keeps a published snapshot, with or without the descriptor, until the spare
 * has it. If the daemon hasn't fetched a published snapshot when the next one is
 * published, the snapshot becomes part of the next one.
 *
 * When the process writes to a page that a snapshot holds, the kernel copies the page and
 * charges the copy to the control group of the process. If the limit of the group
 * (memory.max) leaves no room for these copies, the module drops published snapshots that
 * nobody has fetched: a WAIT for them fails with ECANCELED, and the new snapshot contains
 * their changes. If there still is no room, the snapshot fails with EDQUOT, so that the
 * OOM killer doesn't end the process. The module also drops such snapshots if memory
 * becomes short between two snapshots. It never drops a snapshot that a descriptor has
 * open.
 *
 * Before a snapshot fails with EDQUOT, the module forgets the published snapshots that a spare
 * has fetched and that no descriptor has open. They are on their way, so no WAIT fails. If a
 * spare needs them all the same, the next snapshot reaches back to what this spare has.
 *
 * Errors: EDQUOT the snapshot would pass a limit on held memory; EINTR a fatal signal;
 * EFAULT, EOPNOTSUPP, EHWPOISON the page at @bad_addr can't be frozen; with
 * CPTDEV_SNAPSHOT_WAIT also the errors of CPTDEV_IOC_WAIT: then the snapshot was taken,
 * and @generation is its number. After any other error, the snapshot may have used up a
 * generation number; the next snapshot contains its changes.
 */
struct cptdev_snapshot {
	__u32 size;
	__u32 flags;
	__u64 since;
	__u64 meta;
	__u32 meta_len;
	__s32 fd;
	__u64 timeout_ns;
	__u64 generation;
	__u64 base;
	__u64 pages;
	__u64 holes;
	__u64 copied;
	__u64 visited;
	__u64 pause_ns;
	__u64 bad_addr;
	__u32 reason;
	__u32 reserved;
};

#define CPTDEV_SNAPSHOT_SINCE	(1U << 0)	/* @since is given */
#define CPTDEV_SNAPSHOT_PUBLISH	(1U << 1)	/* for the spare */
#define CPTDEV_SNAPSHOT_NOFD	(1U << 2)	/* return no descriptor; only with PUBLISH */
#define CPTDEV_SNAPSHOT_WAIT	(1U << 3)	/* return when the spare has it; with PUBLISH */

/* A @timeout_ns that never passes. */
#define CPTDEV_FOREVER		(~0ULL)

/*
 * The state of a session: @state of struct cptdev_wait, @flags of struct
 * cptdev_session_page.
 */
#define CPTDEV_STATE_FENCED	(1U << 0)	/* a newer term exists: stop serving */
#define CPTDEV_STATE_ALONE	(1U << 1)	/* acknowledged by policy, without a spare */
#define CPTDEV_STATE_WANTED	(1U << 2)	/* the daemon wants a checkpoint: publish one */
#define CPTDEV_STATE_BLOCKED	(1U << 3)	/* nothing is acknowledged: don't serve */

/**
 * struct cptdev_wait - CPTDEV_IOC_WAIT: wait until a generation is acknowledged
 * @size:	sizeof(struct cptdev_wait)
 * @flags:	0
 * @generation:	a published generation; 0: the newest, and check for a fence
 * @timeout_ns:	nanoseconds; 0 doesn't wait, CPTDEV_FOREVER waits without a limit
 * @committed:	out, on failure too: newest committed generation
 * @state:	out, on failure too: CPTDEV_STATE_* bits
 * @reserved:	0
 *
 * A generation is acknowledged when three conditions hold: @committed is @generation or
 * newer; the session isn't blocked; and the lease, if one is in use, hasn't ended at the
 * time of the answer. The call waits until all three hold, for example until the lease is
 * renewed, and then returns 0.
 *
 * A fence takes precedence over the other errors. The only exception is a non-zero
 * @generation that is acknowledged: the call still returns 0 for it. With 0 as
 * @generation a fenced session always gets ESTALE, even if it never published anything.
 *
 * Errors: ETIMEDOUT not acknowledged in time; EINTR any signal; ECANCELED the generation
 * was dropped (the spare needs an older base): take another snapshot; ESTALE fenced: a
 * spare was promoted, this program must stop serving; EINVAL the generation wasn't
 * published.
 *
 * poll() on the session's descriptor reports EPOLLIN if a newer generation is acknowledged
 * than at the last WAIT that found the session able to acknowledge (not blocked, and the
 * lease not ended). It reports EPOLLPRI if the session is fenced, if a checkpoint is
 * wanted, or if generations were dropped since the last WAIT: @state, or the session page,
 * says which.
 */
struct cptdev_wait {
	__u32 size;
	__u32 flags;
	__u64 generation;
	__u64 timeout_ns;
	__u64 committed;
	__u32 state;
	__u32 reserved;
};

/**
 * struct cptdev_session_page - the session's state, readable without a system call
 * @size:	bytes of the struct that the module fills in
 * @flags:	CPTDEV_STATE_* bits
 * @lease_until_ns: end of the lease, CLOCK_BOOTTIME; 0: no lease is in use
 * @committed:	newest committed generation
 *
 * mmap(NULL, page size, PROT_READ, MAP_SHARED, device descriptor, 0) maps this struct. The
 * module may change it at any time. A reader sees the old or the new value of a field, never
 * a mixture. A program may answer its clients while the session is neither fenced nor
 * blocked, and until the lease ends. It must read @flags, then @lease_until_ns, then @flags
 * again, because both may change at once.
 *
 * The mapping holds the session, as the descriptor does: the session ends when both are
 * gone. A forked child inherits the mapping and may read it. After the process has ended or
 * called exec(), a remaining child sees CPTDEV_STATE_BLOCKED.
 *
 * Errors of mmap(): EINVAL another length or offset, or a private mapping; EACCES a mapping
 * for writing or executing (also by mprotect()); EXDEV, ESRCH; ENOMEM. mremap() can't
 * enlarge the mapping.
 */
struct cptdev_session_page {
	__u32 size;
	__u32 flags;
	__u64 lease_until_ns;
	__u64 committed;
};

/**
 * struct cptdev_session_alive - CPTDEV_IOC_SESSION_ALIVE: give a sign of life
 * @size:	sizeof(struct cptdev_session_alive)
 * @flags:	0
 * @timeout_ns:	the next sign of life comes within this time, nanoseconds; 0: no
 *		watchdog any more
 *
 * Publishing a snapshot is also a sign of life, and renews the @timeout_ns of the last call.
 * If no sign of life comes in time, listeners of the netlink family get
 * CPTDEV_CMD_SESSION_HUNG_NTF, and the session has the flag CPTDEV_GENL_SESSION_HUNG until
 * the next sign of life. The module takes no other action; the listener decides. Time during
 * which the host is suspended doesn't count.
 *
 * Errors: EXDEV, ESRCH: only the session's own process may make this call.
 */
struct cptdev_session_alive {
	__u32 size;
	__u32 flags;
	__u64 timeout_ns;
};

/**
 * struct cptdev_delta - CPTDEV_IOC_DELTA: fetch a published snapshot of any session
 * @size:	sizeof(struct cptdev_delta)
 * @flags:	CPTDEV_DELTA_OTHERS, CPTDEV_DELTA_AFRESH
 * @session_id:	number of the session
 * @since:	generation that the spare has; 0: none
 * @fd:		out: descriptor of the snapshot
 * @reserved:	0
 * @generation:	out: generation that the spare has after this snapshot
 * @base:	out: base of the snapshot, at most @since
 * @pages:	out: pages in the snapshot
 *
 * For the daemon; needs the capability. Returns the oldest published snapshot that is newer
 * than @since and reaches back to @since. If no snapshot reaches back so far, the next
 * published snapshot of the session will.
 *
 * The first call for a session attaches a spare to the session, whatever the call answers
 * except EPERM and ENOENT. The caller's descriptor of the device represents the spare;
 * closing the descriptor detaches the spare.
 *
 * Errors: EPERM no capability; ENOENT no such session; ENODATA nothing newer is published;
 * EINVAL @since is newer than every generation; ESTALE the next published
 * snapshot will reach back to @since, and every WAIT for an older one fails with ECANCELED
 * unless CPTDEV_DELTA_OTHERS was given.
 */
struct cptdev_delta {
	__u32 size;
	__u32 flags;
	__u64 session_id;
	__u64 since;
	__s32 fd;
	__u32 reserved;
	__u64 generation;
	__u64 base;
	__u64 pages;
};

/*
 * Other spares can still commit what is published: if the call fails with ESTALE, WAIT goes on.
 * Modules before version 1.1 answer EOPNOTSUPP.
 */
#define CPTDEV_DELTA_OTHERS	(1U << 0)
/*
 * After a pass of rounds, when no other spare follows; @since is its generation. If no published
 * snapshot brings it further, the call fails with ESTALE, and the next one has the changes after
 * @since and no others; of a session that is kept (CPTDEV_IOC_KEEP) also those after the generation
 * kept last. What was published before is dropped, and a WAIT for it fails with ECANCELED. A spare
 * that has less gets ESTALE as ever.
 */
#define CPTDEV_DELTA_AFRESH	(1U << 1)

/**
 * struct cptdev_round - CPTDEV_IOC_ROUND: freeze a part of any session, for a spare with nothing
 * @size:	sizeof(struct cptdev_round)
 * @flags:	CPTDEV_ROUND_COOL
 * @session_id:	number of the session
 * @base:	the round takes the pages that changed after this generation; 0: all pages
 * @pass:	in: 0 to begin a pass; in its further rounds, what the first has answered. out:
 *		the generation of the pass
 * @addr:	in: address at which the round begins. out: where the next round begins, or 0 if
 *		this was the last one of the pass
 * @pages:	in: the most pages that the round may take, at least 512. out: pages in the
 *		snapshot
 * @pause_ns:	in: the round ends early when the process was stopped for this long,
 *		nanoseconds; 0: no limit. out: how long the process was stopped
 * @fd:		out: descriptor of the snapshot
 * @reserved:	0
 *
 * For the daemon; needs the capability. A snapshot of all pages of a large session stops the
 * process for long, and holds all of its memory until the spare has it. A spare that has nothing
 * of the session can get the memory in rounds instead, while the program runs. Each round
 * freezes some of it, in ascending order of addresses. The rounds of a *pass* together have all
 * memory of the session; each page as it was at generation @pass or later. So the pages of a
 * pass aren't the state of any instant. They become one with what changed since: the snapshots
 * that CPTDEV_IOC_DELTA returns from @since = @pass on, staged on top of them in their order
 * (CPTDEV_BEGIN_CONTINUE), up to the first one whose generation is above those of all rounds.
 * CPTDEV_DELTA_AFRESH makes that one small.
 *
 * The program goes on writing during a pass. A further pass, with the last one's generation as
 * its @base, takes what changed meanwhile. With CPTDEV_ROUND_COOL it leaves out pages that were
 * written since the newest snapshot or round that found them changed: these would change again
 * before they are sent. They are part of the snapshot that completes the pass.
 *
 * A round is no snapshot of the program's own: the next SNAPSHOT continues from the one before.
 * The snapshot has the layout of the whole session, and a pause (@pause_ns) of its own.
 *
 * Errors: EPERM no capability; ENOENT no such session; ESRCH its process is gone; ENODATA @base
 * is 0, and a snapshot of everything is published: CPTDEV_IOC_DELTA returns it; EINVAL @base or
 * @pass is newer than the newest generation, @base isn't below @pass, or @pages is too small;
 * EAGAIN the memory of the process is busy (the call doesn't wait for it), or the process has
 * unmapped the mapping that the module needs there, and its next snapshot restores it; EDQUOT a
 * limit on held memory; E2BIG too many segments; EOPNOTSUPP memory in the ranges can't be tracked
 * any more; EFAULT a page can't be read; EHWPOISON a page was lost to a memory error; EINTR a fatal
 * signal.
 */
struct cptdev_round {
	__u32 size;
	__u32 flags;
	__u64 session_id;
	__u64 base;
	__u64 pass;
	__u64 addr;
	__u64 pages;
	__u64 pause_ns;
	__s32 fd;
	__u32 reserved;
};

#define CPTDEV_ROUND_COOL	(1U << 0)	/* leave out pages that have just changed */

/* The fewest @pages of a round: what one page table maps. */
#define CPTDEV_ROUND_MIN	512

/**
 * struct cptdev_ack - CPTDEV_IOC_ACK: acknowledge a generation, or set a session's state
 * @size:	sizeof(struct cptdev_ack)
 * @flags:	CPTDEV_ACK_*
 * @session_id:	number of the session
 * @generation:	acknowledged generation; 0 with CPTDEV_ACK_FENCED, _DETACH, _WANT, _BLOCK or
 *		_UNBLOCK, may be 0 with _LEASE and _ALONE
 * @lease_until_ns: with CPTDEV_ACK_LEASE: CLOCK_BOOTTIME, 0 takes the lease out of use.
 *		Without the flag: 0
 *
 * For the daemon; needs the capability. Acknowledging a @generation wakes the waiters for it
 * and drops the published snapshots up to it. All flags of one call take effect together.
 *
 * To detach, and to acknowledge a @generation without CPTDEV_ACK_ALONE, the caller must use
 * the descriptor that called CPTDEV_IOC_DELTA. Everything else works on any descriptor of the
 * device and for any session, also for a session that never published. Repeating a call is no
 * error.
 *
 * Errors: EPERM no capability; ENOENT no such session; EINVAL no spare is attached, the
 * generation wasn't published, or the flags and fields contradict each other.
 */
struct cptdev_ack {
	__u32 size;
	__u32 flags;
	__u64 session_id;
	__u64 generation;
	__u64 lease_until_ns;
};

/* A newer term is known: the session is fenced, and WAIT fails with ESTALE. Can't be undone. */
#define CPTDEV_ACK_FENCED	(1U << 0)
/* The spare doesn't follow this session any more. */
#define CPTDEV_ACK_DETACH	(1U << 1)
/*
 * Set the lease to @lease_until_ns. The lease never moves backwards: an earlier time changes
 * nothing, except 0, which takes the lease out of use.
 */
#define CPTDEV_ACK_LEASE	(1U << 2)
/*
 * @generation is acknowledged by policy, without a spare. The session stays alone until an
 * attached spare acknowledges, without this flag, a generation that isn't below the newest
 * acknowledged one.
 */
#define CPTDEV_ACK_ALONE	(1U << 3)
/* A checkpoint is wanted, until the next snapshot is published. */
#define CPTDEV_ACK_WANT		(1U << 4)
/* Nothing is acknowledged (WAIT continues to wait) until CPTDEV_ACK_UNBLOCK. */
#define CPTDEV_ACK_BLOCK	(1U << 5)
#define CPTDEV_ACK_UNBLOCK	(1U << 6)

/**
 * struct cptdev_keep - CPTDEV_IOC_KEEP: keep what a session publishes on this host, too
 * @size:	sizeof(struct cptdev_keep)
 * @flags:	CPTDEV_KEEP_*
 * @session_id:	number of the session
 * @max_bytes:	of the replica, if it is created for this: most memory that it may take; 0: the
 *		engine's limit
 *
 * For the daemon; needs the capability. A program that crashed and is started again goes on from
 * the replica that this call keeps (feature KEEP).
 *
 * From now on each generation that the session publishes is committed to the replica of its name
 * before the call that publishes it returns, and before CPTDEV_IOC_WAIT and CPTDEV_IOC_DELTA see
 * it. So the replica has every generation that was acknowledged. If there is no replica, it is
 * created with the first of them, and belongs to the user of the session. If the replica lacks
 * what was published before this call, the next snapshot contains it, as for a spare.
 *
 * The module shares the frozen pages with the replica. As long as the replica has such a page, the
 * next store of the process copies it. Shared pages count for the limits of replicas.
 *
 * A generation that can't be kept (a limit, no memory, the replica is frozen by a reader) is
 * published all the same. Then the replica is removed if it was kept, and nothing more is kept
 * until the next CPTDEV_IOC_KEEP. A replica that has a higher term than the session, or into which
 * another descriptor stages, is left as it is.
 *
 * The replica outlives the session. It has CPTDEV_IMAGE_KEPT until CPTDEV_IOC_REPLICA_COMMIT
 * commits something else to it. It is promoted, claimed and removed like every replica.
 *
 * Errors: EPERM no capability; ENOENT no session with a name has this number.
 */
struct cptdev_keep {
	__u32 size;
	__u32 flags;
	__u64 session_id;
	__u64 max_bytes;
};

/* Nothing more is kept. The replica stays. */
#define CPTDEV_KEEP_STOP	(1U << 0)

/**
 * struct cptdev_replica_open - CPTDEV_IOC_REPLICA_OPEN: open or create a replica
 * @size:	sizeof(struct cptdev_replica_open)
 * @flags:	CPTDEV_REPLICA_*
 * @name:	as in struct cptdev_session_setup
 * @max_bytes:	for a new replica: most memory that it may take; 0: the module's limit
 * @fd:		out: descriptor, close-on-exec
 * @reserved:	0
 *
 * A replica belongs to the user who created it. This user and holders of the capability
 * may open it. A replica stays until it is removed, and until then the module can't be
 * unloaded.
 *
 * poll() on the descriptor reports EPOLLIN if a generation was committed since the last
 * CPTDEV_IOC_IMAGE_INFO on the descriptor, EPOLLPRI once the replica is promoted, and
 * EPOLLHUP once the replica is removed.
 *
 * A name belongs to one user, for sessions and for replicas. Creating a replica with the
 * name of another user's session needs the capability.
 *
 * Errors: ENOENT no replica has this name; EEXIST with CPTDEV_REPLICA_EXCL: a replica has
 * this name; EACCES the replica belongs to another user, or with CPTDEV_REPLICA_CREATE a
 * session of this name does; EPERM CPTDEV_REPLICA_WRITE without the capability; EINVAL a
 * bad name, or CPTDEV_REPLICA_EXCL without CPTDEV_REPLICA_CREATE.
 */
struct cptdev_replica_open {
	__u32 size;
	__u32 flags;
	__u8  name[CPTDEV_NAME_MAX];
	__u64 max_bytes;
	__s32 fd;
	__u32 reserved;
};

#define CPTDEV_REPLICA_CREATE	(1U << 0)	/* create the replica if it doesn't exist */
#define CPTDEV_REPLICA_EXCL	(1U << 1)	/* with CREATE: fail if it exists */
#define CPTDEV_REPLICA_WRITE	(1U << 2)	/* stage, commit, promote: needs the capability */

/**
 * struct cptdev_image_info - CPTDEV_IOC_IMAGE_INFO: describe a snapshot or replica
 * @size:	sizeof(struct cptdev_image_info)
 * @flags:	0
 * @kind:	CPTDEV_IMAGE_SNAPSHOT or CPTDEV_IMAGE_REPLICA
 * @state:	CPTDEV_IMAGE_* bits
 * @name:	name of the session or replica; empty: a session without a name
 * @uuid:	UUID of the session that the content comes from
 * @term:	fencing number
 * @generation:	generation of the content; 0: a replica to which nothing was committed
 * @base:	snapshot: it has the changes after this generation; replica: 0
 * @pages:	pages with data
 * @holes:	snapshot: pages that became holes
 * @segments:	entries of the layout
 * @extents:	snapshot: entries of the list of extents; replica: 0 (not counted)
 * @meta_len:	bytes of meta-data
 * @uid:	owner of the session or replica, in the initial user namespace
 * @staged:	replica: staged pages
 * @staging:	replica: generation that is being staged; 0: none
 * @max_bytes:	replica: most memory that it may take
 * @promoted_ns: replica: CLOCK_REALTIME of the promotion; 0: it isn't promoted
 * @taken_ns:	replica: CLOCK_REALTIME when the promotion was taken; 0: it isn't taken
 * @commits:	replica: number of commits so far, which is the number of the last commit; see
 *		@since of struct cptdev_image_vec
 */
struct cptdev_image_info {
	__u32 size;
	__u32 flags;
	__u32 kind;
	__u32 state;
	__u8  name[CPTDEV_NAME_MAX];
	__u8  uuid[CPTDEV_UUID_LEN];
	__u64 term;
	__u64 generation;
	__u64 base;
	__u64 pages;
	__u64 holes;
	__u64 segments;
	__u64 extents;
	__u32 meta_len;
	__u32 uid;
	__u64 staged;
	__u64 staging;
	__u64 max_bytes;
	__u64 promoted_ns;
	__u64 taken_ns;
	__u64 commits;
};

#define CPTDEV_IMAGE_SNAPSHOT	1
#define CPTDEV_IMAGE_REPLICA	2

#define CPTDEV_IMAGE_PUBLISHED	(1U << 0)	/* snapshot */
#define CPTDEV_IMAGE_REPLACE	(1U << 1)	/* snapshot: CPTDEV_SESSION_REPLACE */
#define CPTDEV_IMAGE_PROMOTED	(1U << 2)	/* replica */
#define CPTDEV_IMAGE_FROZEN	(1U << 3)	/* replica */
#define CPTDEV_IMAGE_REMOVED	(1U << 4)	/* replica: it has no name, and accepts no data */
#define CPTDEV_IMAGE_TAKEN	(1U << 5)	/* replica: a program took the promotion */
#define CPTDEV_IMAGE_KEPT	(1U << 6)	/* replica: of a session of this host, by KEEP */

/**
 * struct cptdev_segment - a piece of the layout: one mapping in the ranges
 * @addr:	first byte
 * @len:	bytes
 * @offset:	CPTDEV_SEGMENT_FILE: offset in the file, bytes
 * @kind:	CPTDEV_SEGMENT_*: the content of a page without data
 * @prot:	PROT_READ, PROT_WRITE, PROT_EXEC
 */
struct cptdev_segment {
	__u64 addr;
	__u64 len;
	__u64 offset;
	__u32 kind;
	__u32 prot;
};

#define CPTDEV_SEGMENT_ANON	1	/* zeros */
#define CPTDEV_SEGMENT_FILE	2	/* the content of the mapped file */
#define CPTDEV_SEGMENT_UNMAPPED	3	/* none: nothing was mapped */

/**
 * struct cptdev_extent - a run of pages of an image
 * @addr:	first byte
 * @len:	bytes
 * @kind:	CPTDEV_EXTENT_DATA: the pages have data, which the snapshot's file
 *		contains, packed in the order of the extents. CPTDEV_EXTENT_HOLE: the
 *		pages became holes; the layout says how they read.
 * @reserved:	0
 */
struct cptdev_extent {
	__u64 addr;
	__u64 len;
	__u32 kind;
	__u32 reserved;
};

#define CPTDEV_EXTENT_DATA	1
#define CPTDEV_EXTENT_HOLE	2

/**
 * struct cptdev_image_vec - CPTDEV_IOC_IMAGE_LAYOUT, _EXTENTS, _META: read a list in pieces
 * @size:	sizeof(struct cptdev_image_vec)
 * @flags:	0
 * @vec:	pointer to struct cptdev_segment[], struct cptdev_extent[] or bytes
 * @vec_len:	number of entries that fit
 * @nr:		out: entries written
 * @start:	LAYOUT, META, and EXTENTS of a snapshot: index of the first entry.
 *		EXTENTS of a replica: address to begin at.
 * @next:	out: @start of the next call
 * @since:	EXTENTS of a replica: number of a commit, at most the last; the list has what
 *		changed after it. 0: everything. Otherwise 0.
 *
 * Begin with @start 0, and stop when @nr is 0. Extents are in ascending order. A replica
 * and a full snapshot have only DATA extents. A replica may report a long run as several
 * extents that touch. On a replica, a commit may come between two calls; to prevent this,
 * freeze the replica first.
 *
 * With @since, DATA extents are the pages whose data a later commit replaced. HOLE extents
 * contain every page that had data at that commit and has none now. They may contain other
 * pages without data, also such that the layout doesn't have. To follow a replica that isn't
 * frozen: read @commits of struct cptdev_image_info first, then copy the extents; this number
 * is @since of the next pass, which sees what changed meanwhile.
 *
 * Errors: ESTALE all content was replaced after @since, or @since is so long ago that the
 * replica has forgotten which pages became holes: take everything; EINVAL @since is above the
 * last commit's number, or isn't 0 in another list. INFO reports CPTDEV_FEATURE_SINCE if the
 * module knows @since.
 */
struct cptdev_image_vec {
	__u32 size;
	__u32 flags;
	__u64 vec;
	__u32 vec_len;
	__u32 nr;
	__u64 start;
	__u64 next;
	__u64 since;
};

/**
 * struct cptdev_replica_begin - CPTDEV_IOC_REPLICA_BEGIN: start to stage a delta
 * @size:	sizeof(struct cptdev_replica_begin)
 * @flags:	CPTDEV_BEGIN_*
 * @uuid:	UUID of the session
 * @term:	term of the session
 * @base:	the delta has the changes after this generation; 0: everything
 * @generation:	generation of the delta
 * @layout:	pointer to struct cptdev_segment[], ascending, without overlap
 * @layout_len:	number of entries
 * @meta_len:	bytes of meta-data
 * @meta:	pointer to the meta-data
 *
 * The call drops the delta that this descriptor was staging, unless CPTDEV_BEGIN_CONTINUE is
 * given. Readers don't see staged pages.
 *
 * Errors: ESTALE @term is lower than the replica's term, or @term is equal and the replica
 * was promoted, or @generation isn't newer; EILSEQ @base is newer than the replica's
 * generation, or the delta is from another session and @base isn't 0; EEXIST the delta is
 * from another session, @term is equal, and CPTDEV_BEGIN_REPLACE isn't given; EBUSY another
 * descriptor stages; E2BIG too many segments; EMSGSIZE too much meta-data; EINVAL @base
 * isn't below @generation, @generation is above CPTDEV_GENERATION_MAX, @term is 0 or above
 * CPTDEV_TERM_MAX, or the layout isn't ascending; ERANGE @term is more than
 * CPTDEV_TERM_STEP above the replica's term; ENOENT the replica was removed.
 */
struct cptdev_replica_begin {
	__u32 size;
	__u32 flags;
	__u8  uuid[CPTDEV_UUID_LEN];
	__u64 term;
	__u64 base;
	__u64 generation;
	__u64 layout;
	__u32 layout_len;
	__u32 meta_len;
	__u64 meta;
};

#define CPTDEV_BEGIN_REPLACE	(1U << 0)	/* another session's content may be replaced */
/*
 * Keep what this descriptor has staged: the delta gets this generation, layout and meta-data, and
 * more pages. Staged pages outside of the layout are dropped. EINVAL: this descriptor has begun
 * nothing, or the two aren't of one session and term, or one of them has a base. EDQUOT, ENOMEM: a
 * STAGE failed with this error.
 */
#define CPTDEV_BEGIN_CONTINUE	(1U << 1)

/* The most segments of a layout. */
#define CPTDEV_LAYOUT_MAX	131072

/**
 * struct cptdev_replica_stage - CPTDEV_IOC_REPLICA_STAGE: stage pages
 * @size:	sizeof(struct cptdev_replica_stage)
 * @flags:	0
 * @vec:	pointer to struct cptdev_extent[]
 * @data:	pointer to the pages of the DATA extents, packed
 * @data_len:	bytes at @data
 * @vec_len:	number of extents
 * @reserved:	0
 *
 * May be called any number of times between BEGIN and COMMIT. If a page is staged more than
 * once, the last call counts. pwrite() at the address also stages data, down to single
 * bytes; the other bytes of the page keep their content.
 *
 * Errors: EINVAL no BEGIN, @data_len differs from the length of the DATA extents, or an
 * impossible extent; EFAULT a pointer that can't be used, or an extent outside the layout;
 * ENOENT the replica was removed; EINTR a fatal signal; EDQUOT, ENOMEM the delta can't be
 * committed any more, begin again. After any other error the extents before the failed one
 * are staged, and the call may be repeated.
 */
struct cptdev_replica_stage {
	__u32 size;
	__u32 flags;
	__u64 vec;
	__u64 data;
	__u64 data_len;
	__u32 vec_len;
	__u32 reserved;
};

/**
 * struct cptdev_replica_commit - CPTDEV_IOC_REPLICA_COMMIT, _ABORT
 * @size:	sizeof(struct cptdev_replica_commit)
 * @flags:	0
 * @generation:	COMMIT: the generation of BEGIN. ABORT: 0.
 * @pages:	out: pages of the replica
 *
 * COMMIT makes the staged delta the content of the replica, all of it or nothing. No reader
 * sees a mixture of two generations within one read. ABORT drops the staged delta; so do a
 * promotion and a removal.
 *
 * Errors: EINVAL no BEGIN, or another generation; EBUSY the replica is frozen, commit again
 * later; EDQUOT, ENOMEM a STAGE failed with this error; ENOENT the replica was removed.
 */
struct cptdev_replica_commit {
	__u32 size;
	__u32 flags;
	__u64 generation;
	__u64 pages;
};

/**
 * struct cptdev_replica_freeze - CPTDEV_IOC_REPLICA_FREEZE: freeze or thaw the replica
 * @size:	sizeof(struct cptdev_replica_freeze)
 * @flags:	0 to freeze, CPTDEV_FREEZE_THAW to thaw
 * @generation:	out: generation of the content
 *
 * While any descriptor freezes the replica, COMMIT fails with EBUSY. So all reads between
 * this call and the thaw see the same generation. Closing the descriptor thaws.
 *
 * Errors: EACCES the replica belongs to another user, and the caller has no capability.
 */
struct cptdev_replica_freeze {
	__u32 size;
	__u32 flags;
	__u64 generation;
};

#define CPTDEV_FREEZE_THAW	(1U << 0)

/**
 * struct cptdev_replica_promote - CPTDEV_IOC_REPLICA_PROMOTE: the spare takes over
 * @size:	sizeof(struct cptdev_replica_promote)
 * @flags:	CPTDEV_PROMOTE_*
 * @term:	in: the new term, higher than the replica's, at most CPTDEV_TERM_MAX; 0:
 *		the next term. out: the term of the replica.
 * @generation:	out: generation that the spare continues from
 *
 * The call raises the term, and drops the staged delta. From now on the replica refuses
 * deltas of a lower term. A program takes the promotion with CPTDEV_IOC_REPLICA_CLAIM. A
 * replica can be promoted again: this raises the term again, and the new promotion can be
 * taken. Needs CPTDEV_REPLICA_WRITE.
 *
 * With CPTDEV_PROMOTE_AT the replica goes back to the generation that this descriptor shows
 * (CPTDEV_IOC_REPLICA_AT). All later generations and the history are gone then. For programs
 * that copy the replica ahead this is one more commit: the list of changes has what the way back
 * has changed. Afterwards the descriptor shows the newest generation.
 *
 * Errors: ESTALE @term isn't higher than the replica's, or the generation to go back to was
 * forgotten; EINVAL @term is above CPTDEV_TERM_MAX, or the descriptor shows no generation to go
 * back to; ERANGE @term is more than CPTDEV_TERM_STEP above the replica's; EOVERFLOW
 * there is no next term; ENODATA nothing was ever committed; ENOENT the replica was removed;
 * EBUSY the way back would change what a descriptor has frozen; ENOMEM. After an error the content
 * and the history are as they were.
 */
struct cptdev_replica_promote {
	__u32 size;
	__u32 flags;
	__u64 term;
	__u64 generation;
};

#define CPTDEV_PROMOTE_AT	(1U << 0)	/* go back to the generation that is shown */

/**
 * struct cptdev_replica_remove - CPTDEV_IOC_REPLICA_REMOVE: remove the replica
 * @size:	sizeof(struct cptdev_replica_remove)
 * @flags:	0
 *
 * The name of the replica is free at once, its memory when the last descriptor is closed.
 *
 * The call drops the staged delta. From then on BEGIN, STAGE, COMMIT, ABORT, PROMOTE, CLAIM
 * and write() fail with ENOENT on every descriptor of the replica, because nobody could find
 * newly committed data. The program that fills the replica opens the name again. Reading
 * still works, poll() reports EPOLLHUP, and IMAGE_INFO shows CPTDEV_IMAGE_REMOVED. Removing
 * a replica again is no error.
 *
 * Errors: EACCES the replica belongs to another user, and the caller has no capability.
 */
struct cptdev_replica_remove {
	__u32 size;
	__u32 flags;
};

/**
 * struct cptdev_replica_claim - CPTDEV_IOC_REPLICA_CLAIM: take the promotion
 * @size:	sizeof(struct cptdev_replica_claim)
 * @flags:	CPTDEV_CLAIM_*
 * @term:	in: term of the promotion, 0: the present one. out: the term of the replica
 * @generation:	out: generation that the program continues from
 * @promoted_ns: out: CLOCK_REALTIME of the promotion
 *
 * A promotion is taken only once, so that only one of several waiting programs continues
 * from the replica. A replica is first a spare, then promoted, then taken. A commit with a
 * higher term makes it a spare again. The owner and holders of the capability may take the
 * promotion; the descriptor doesn't need CPTDEV_REPLICA_WRITE.
 *
 * Errors: EINVAL the replica isn't promoted, or @term is above CPTDEV_TERM_MAX; ESTALE @term
 * isn't the term of the promotion; EALREADY the promotion is taken, or it is older than the
 * descriptor and CPTDEV_CLAIM_OLD isn't given; EACCES the replica belongs to another user;
 * ENOENT the replica was removed.
 */
struct cptdev_replica_claim {
	__u32 size;
	__u32 flags;
	__u64 term;
	__u64 generation;
	__u64 promoted_ns;
};

/*
 * The promotion may be older than the descriptor. Without this flag, a program that was
 * started after the promotion can't continue from a state that may be out of date. Only a
 * person should decide to set this flag. Even with the flag, a promotion that is taken can't
 * be taken again.
 */
#define CPTDEV_CLAIM_OLD	(1U << 0)

/**
 * struct cptdev_replica_copied - CPTDEV_IOC_REPLICA_COPIED: how far the program's own copy is
 * @size:	sizeof(struct cptdev_replica_copied)
 * @flags:	0
 * @commits:	number of the last commit that the copy has completely (@commits of IMAGE_INFO);
 *		0: the program has no copy
 * @behind:	out: pages with data that changed after this commit, so they are left to copy.
 *		All pages with data, if there is no copy or if the replica has forgotten what
 *		changed (ESTALE of IMAGE_EXTENTS)
 *
 * A program that waits for the promotion may copy the replica ahead (@since of
 * CPTDEV_IOC_IMAGE_EXTENTS), and reports its progress with this call after each pass.
 * The number changes nothing in the replica. Netlink shows the highest number of all
 * descriptors of the replica. The descriptor's number is forgotten when the descriptor is
 * closed. The call doesn't need CPTDEV_REPLICA_WRITE.
 *
 * Errors: EINVAL @commits is above the replica's number of commits; EACCES the replica
 * belongs to another user, and the caller has no capability; ENOENT the replica was removed.
 */
struct cptdev_replica_copied {
	__u32 size;
	__u32 flags;
	__u64 commits;
	__u64 behind;
};

/**
 * struct cptdev_past - a generation of a replica's history
 * @generation:	its number
 * @term:	term with which it was committed
 * @committed_ns: CLOCK_REALTIME when it was committed
 * @pages:	pages with data that the next generation replaced; they are kept for this one
 */
struct cptdev_past {
	__u64 generation;
	__u64 term;
	__u64 committed_ns;
	__u64 pages;
};

/**
 * struct cptdev_replica_history - CPTDEV_IOC_REPLICA_HISTORY: list past generations
 * @size:	sizeof(struct cptdev_replica_history)
 * @flags:	0, or CPTDEV_HISTORY_SET
 * @vec:	pointer to struct cptdev_past[]
 * @vec_len:	number of entries that fit
 * @nr:		out: number of past generations that there are. The newest @vec_len of them
 *		are in @vec, the newest first.
 * @keep:	with CPTDEV_HISTORY_SET in: how many to keep, at most CPTDEV_HISTORY_MAX; 0,
 *		which a new replica has: none. out: what is set.
 * @reserved:	0
 * @max_bytes:	with CPTDEV_HISTORY_SET in: most memory that their pages may take; 0: no limit
 *		of their own. out: what is set.
 * @bytes:	out: memory that their pages take
 *
 * A commit replaces pages. A replica with a history keeps the replaced ones, and so each of its
 * last @keep generations before the present one. A generation shares all other pages with the
 * generations after it. CPTDEV_IOC_REPLICA_AT shows a past generation, and the promotion can go
 * back to one.
 *
 * The pages count for the replica's limits. Whenever there are more generations than @keep, more
 * memory than @max_bytes, or no room for a staged page, the oldest generation is forgotten. A
 * generation that a descriptor shows isn't forgotten because of @keep. A delta with everything
 * (@base 0) and a promotion that goes back end the history: it begins anew after them.
 *
 * Errors: EBADF CPTDEV_HISTORY_SET without CPTDEV_REPLICA_WRITE; EINVAL @keep is above
 * CPTDEV_HISTORY_MAX, or @keep or @max_bytes isn't 0 without CPTDEV_HISTORY_SET; EFAULT @vec can't
 * be written. INFO reports CPTDEV_FEATURE_HISTORY if the module knows the call.
 */
struct cptdev_replica_history {
	__u32 size;
	__u32 flags;
	__u64 vec;
	__u32 vec_len;
	__u32 nr;
	__u32 keep;
	__u32 reserved;
	__u64 max_bytes;
	__u64 bytes;
};

#define CPTDEV_HISTORY_SET	(1U << 0)	/* set @keep and @max_bytes */

/* The most past generations that a replica keeps. */
#define CPTDEV_HISTORY_MAX	1024

/**
 * struct cptdev_replica_at - CPTDEV_IOC_REPLICA_AT: show another generation
 * @size:	sizeof(struct cptdev_replica_at)
 * @flags:	0
 * @generation:	the present one, or one of the history; 0: always the newest
 *
 * From now on read() and the calls CPTDEV_IOC_IMAGE_* on this descriptor show this generation,
 * while others are committed. All other calls are still about the replica: poll() reports
 * commits, and staged are changes of the newest generation. The list of changes (@since of
 * struct cptdev_image_vec) is only there for the newest generation.
 *
 * When the generation is forgotten, read() and CPTDEV_IOC_IMAGE_* fail with ESTALE until another
 * CPTDEV_IOC_REPLICA_AT. The memory for the index of replaced pages is charged to the caller.
 *
 * Errors: ENODATA the replica doesn't have the generation, or not any more; EACCES the replica
 * belongs to another user, and the caller has no capability; ENOMEM.
 */
struct cptdev_replica_at {
	__u32 size;
	__u32 flags;
	__u64 generation;
};

#define CPTDEV_IOC_INFO		_IO(CPTDEV_IOC_MAGIC, CPTDEV_NR_INFO)
#define CPTDEV_IOC_SESSION_SETUP	_IO(CPTDEV_IOC_MAGIC, CPTDEV_NR_SESSION_SETUP)
#define CPTDEV_IOC_RANGE_ADD	_IO(CPTDEV_IOC_MAGIC, CPTDEV_NR_RANGE_ADD)
#define CPTDEV_IOC_RANGE_DEL	_IO(CPTDEV_IOC_MAGIC, CPTDEV_NR_RANGE_DEL)
#define CPTDEV_IOC_RANGE_CLEAR	_IO(CPTDEV_IOC_MAGIC, CPTDEV_NR_RANGE_CLEAR)
#define CPTDEV_IOC_RANGE_LIST	_IO(CPTDEV_IOC_MAGIC, CPTDEV_NR_RANGE_LIST)
#define CPTDEV_IOC_SCAN		_IO(CPTDEV_IOC_MAGIC, CPTDEV_NR_SCAN)
#define CPTDEV_IOC_SNAPSHOT	_IO(CPTDEV_IOC_MAGIC, CPTDEV_NR_SNAPSHOT)
#define CPTDEV_IOC_WAIT		_IO(CPTDEV_IOC_MAGIC, CPTDEV_NR_WAIT)
#define CPTDEV_IOC_DELTA	_IO(CPTDEV_IOC_MAGIC, CPTDEV_NR_DELTA)
#define CPTDEV_IOC_ACK		_IO(CPTDEV_IOC_MAGIC, CPTDEV_NR_ACK)
#define CPTDEV_IOC_ROUND	_IO(CPTDEV_IOC_MAGIC, CPTDEV_NR_ROUND)
#define CPTDEV_IOC_KEEP		_IO(CPTDEV_IOC_MAGIC, CPTDEV_NR_KEEP)
#define CPTDEV_IOC_REPLICA_OPEN	_IO(CPTDEV_IOC_MAGIC, CPTDEV_NR_REPLICA_OPEN)
#define CPTDEV_IOC_SESSION_ALIVE _IO(CPTDEV_IOC_MAGIC, CPTDEV_NR_SESSION_ALIVE)
#define CPTDEV_IOC_IMAGE_INFO	_IO(CPTDEV_IOC_MAGIC, CPTDEV_NR_IMAGE_INFO)
#define CPTDEV_IOC_IMAGE_LAYOUT	_IO(CPTDEV_IOC_MAGIC, CPTDEV_NR_IMAGE_LAYOUT)
#define CPTDEV_IOC_IMAGE_EXTENTS _IO(CPTDEV_IOC_MAGIC, CPTDEV_NR_IMAGE_EXTENTS)
#define CPTDEV_IOC_IMAGE_META	_IO(CPTDEV_IOC_MAGIC, CPTDEV_NR_IMAGE_META)
#define CPTDEV_IOC_REPLICA_BEGIN _IO(CPTDEV_IOC_MAGIC, CPTDEV_NR_REPLICA_BEGIN)
#define CPTDEV_IOC_REPLICA_STAGE _IO(CPTDEV_IOC_MAGIC, CPTDEV_NR_REPLICA_STAGE)
#define CPTDEV_IOC_REPLICA_COMMIT _IO(CPTDEV_IOC_MAGIC, CPTDEV_NR_REPLICA_COMMIT)
#define CPTDEV_IOC_REPLICA_ABORT _IO(CPTDEV_IOC_MAGIC, CPTDEV_NR_REPLICA_ABORT)
#define CPTDEV_IOC_REPLICA_FREEZE _IO(CPTDEV_IOC_MAGIC, CPTDEV_NR_REPLICA_FREEZE)
#define CPTDEV_IOC_REPLICA_PROMOTE _IO(CPTDEV_IOC_MAGIC, CPTDEV_NR_REPLICA_PROMOTE)
#define CPTDEV_IOC_REPLICA_REMOVE _IO(CPTDEV_IOC_MAGIC, CPTDEV_NR_REPLICA_REMOVE)
#define CPTDEV_IOC_REPLICA_CLAIM _IO(CPTDEV_IOC_MAGIC, CPTDEV_NR_REPLICA_CLAIM)
#define CPTDEV_IOC_REPLICA_COPIED _IO(CPTDEV_IOC_MAGIC, CPTDEV_NR_REPLICA_COPIED)
#define CPTDEV_IOC_REPLICA_HISTORY _IO(CPTDEV_IOC_MAGIC, CPTDEV_NR_REPLICA_HISTORY)
#define CPTDEV_IOC_REPLICA_AT	_IO(CPTDEV_IOC_MAGIC, CPTDEV_NR_REPLICA_AT)

#endif /* _UAPI_LINUX_CPTDEV_H */
