/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * cptdev: checkpoints of a process's own memory.
 *
 * Every call is an ioctl() on one of three kinds of descriptor:
 *
 *   device	open("/dev/cptdev"). It is a *session*: the context in which the
 *		opener's address space is tracked. It belongs to that address
 *		space and to no other.
 *   snapshot	returned by CPTDEV_IOC_SNAPSHOT and CPTDEV_IOC_DELTA. A file with
 *		the frozen pages, packed: read, pread, splice, sendfile, mmap
 *		(read-only) and poll work on it. Closing it drops the pages.
 *   replica	returned by CPTDEV_IOC_REPLICA_OPEN. A named copy of a session's
 *		memory that the kernel keeps. pread and pwrite take the original
 *		address as the file offset.
 *
 * Conventions of every call:
 *
 * - Each struct begins with @size, which the caller sets to sizeof(struct). A
 *   larger struct than the kernel knows is taken when the unknown tail is zero; a
 *   smaller one, down to the size that the call was born with, reads as if
 *   extended by zeros, and as many bytes as the caller has are written back.
 * - @flags and reserved fields that a call doesn't define must be zero.
 * - Addresses and lengths are bytes and multiples of the page size, unless said
 *   otherwise. Pointers travel as __u64.
 * - A call that fails has changed nothing, unless its description says what.
 *
 * Errors mean the same everywhere:
 *
 *   ENOTTY	unknown command, or one for another kind of descriptor
 *   EINVAL	a size below the minimum, or a field with an impossible value
 *   E2BIG	a struct larger than known whose tail isn't zero, or too many items
 *   EOPNOTSUPP	an unknown flag bit; memory that can't be tracked (see @reason)
 *   EFAULT	a pointer that can't be read or written; memory that isn't mapped
 *   EXDEV	the session belongs to another address space (fork, exec, a
 *		descriptor passed on)
 *   ESRCH	the address space of the session is gone
 *   EPERM	CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN is missing
 *   EACCES	the replica, or the name, belongs to another user
 *   EBADF	the descriptor wasn't opened for this (a replica without
 *		CPTDEV_REPLICA_WRITE)
 *   ENOENT	no such range, session or replica
 *   EEXIST	a range that overlaps; a name that is taken
 *   EBUSY	in use: a range of another session, a replica that is being
 *		staged or frozen
 *   EDQUOT	a limit on memory held, or on sessions or replicas of a user, would be
 *		passed
 *   ENOMEM	the kernel has no memory
 *   EMSGSIZE	meta-data longer than CPTDEV_META_MAX
 *   EAGAIN	the process locks its memory to come, and RLIMIT_MEMLOCK doesn't
 *		allow for the module's own mapping in it
 *   EALREADY	the promotion was taken already, or is older than the descriptor
 *   EINTR	a signal came first; nothing was done
 *   ETIMEDOUT	the time-out passed
 *   ECANCELED	the generation waited for was dropped and won't be committed
 *   ESTALE	fenced: a newer term exists; or a generation that is not newer
 *   EILSEQ	a gap: the delta starts after the replica's generation
 *   ENODATA	nothing newer than asked for
 *   EOVERFLOW	no term is higher
 *   ERANGE	a term that is higher by more than CPTDEV_TERM_STEP
 *   EHWPOISON	a page of the range was lost to a memory error
 */
#ifndef _UAPI_LINUX_CPTDEV_H
#define _UAPI_LINUX_CPTDEV_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* Raised when the meaning of an existing field or call changes. */
#define CPTDEV_ABI_VERSION	1

#define CPTDEV_DEVICE		"/dev/cptdev"

/* Names of sessions and replicas: [A-Za-z0-9._-], NUL included in the length. */
#define CPTDEV_NAME_MAX		64
#define CPTDEV_UUID_LEN		16
/* Longest meta-data blob of a snapshot, bytes. */
#define CPTDEV_META_MAX		65536
/* Most ranges of a session. */
#define CPTDEV_RANGES_MAX	65536

/* Highest fencing number (term). It fits in a signed number of 64 bits, too. */
#define CPTDEV_TERM_MAX		(~0ULL >> 1)
/*
 * A promotion raises the term by one. A term that is further than this above what a replica has
 * (0: nothing yet) is refused, wherever it comes from: after CPTDEV_TERM_MAX nobody could be
 * promoted any more.
 */
#define CPTDEV_TERM_STEP	(1ULL << 20)
/* Highest number of a generation. */
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
};

/*
 * Why memory was refused (@reason beside a @bad_addr). The address names the
 * mapping: look it up in /proc/self/maps.
 */
enum cptdev_reason {
	CPTDEV_REASON_NONE	= 0,
	CPTDEV_REASON_UNMAPPED	= 1,	/* nothing is mapped there */
	CPTDEV_REASON_SHARED	= 2,	/* MAP_SHARED, memfd, secret memory */
	CPTDEV_REASON_HUGETLB	= 3,	/* hugetlbfs */
	CPTDEV_REASON_DEVICE	= 4,	/* PFN or mixed map, device or kernel memory, DAX */
	CPTDEV_REASON_SPECIAL	= 5,	/* vDSO, shadow stack */
	CPTDEV_REASON_SESSION	= 6,	/* tracked by another session */
	CPTDEV_REASON_OVERLAP	= 7,	/* already a range (CPTDEV_RANGE_EXCL) */
	/* Why more can't be held (EDQUOT of SNAPSHOT, without an address): */
	CPTDEV_REASON_HELD	= 8,	/* the limit of the session, or of all */
	CPTDEV_REASON_USER	= 9,	/* the limit of the user */
	CPTDEV_REASON_GROUP	= 10,	/* the control group has no memory left for copies */
};

/**
 * struct cptdev_info - CPTDEV_IOC_INFO: what this module can do, and counts
 * @size:		sizeof(struct cptdev_info)
 * @flags:		0
 * @abi_version:	CPTDEV_ABI_VERSION of the module
 * @page_size:		bytes
 * @features:		CPTDEV_FEATURE_* bits
 * @range_flags:	flags that CPTDEV_IOC_RANGE_ADD knows
 * @scan_flags:		flags that CPTDEV_IOC_SCAN knows
 * @scan_categories:	CPTDEV_PAGE_* bits that it can report
 * @snapshot_flags:	flags that CPTDEV_IOC_SNAPSHOT knows
 * @session_flags:	flags that CPTDEV_IOC_SESSION_SETUP knows
 * @replica_flags:	flags that CPTDEV_IOC_REPLICA_OPEN knows
 * @held_max:		limit on memory held by all snapshots, bytes
 * @held:		memory held by all snapshots now, bytes
 * @replica_max:	limit on the memory of all replicas, bytes
 * @replica:		memory of all replicas now, bytes
 * @sessions:		sessions
 * @replicas:		replicas
 * @session_id:		this session: its number, unique since the module was loaded
 * @session_uuid:	this session: random, unique everywhere
 * @session_term:	this session: fencing number
 * @session_held_max:	this session: limit on memory held by snapshots, bytes
 * @session_held:	this session: held now, bytes
 * @session_ranges:	this session: number of ranges
 * @session_bytes:	this session: bytes in them
 * @session_overhead:	this session: the module's own memory for them, bytes
 * @generation:		this session: of the newest snapshot, failed ones counted; 0
 *			before the first
 * @published:		this session: of the newest published snapshot
 * @committed:		this session: newest generation known to be on the spare
 * @attached:		this session: spares that follow it
 * @scans:		this session: calls of CPTDEV_IOC_SCAN
 * @snapshots:		this session: snapshots taken
 * @user_held_max:	the caller: limit on memory held by all snapshots of one user,
 *			bytes; 2^64 - 1 if the caller has no such limit
 * @user_held:		this session: memory held by all snapshots of its user, bytes
 * @group_left:		this session: memory that may still be charged for the copies of
 *			held pages before the control group of the process reaches its
 *			limit, bytes; 2^64 - 1 if there is no limit. Copies that snapshots
 *			of this session may already cause are not subtracted.
 * @huge_kept:		this session: how often a snapshot froze a huge page as a whole
 * @huge_split:		this session: huge pages whose mapping was split, because they were
 *			written again, were partly tracked, or had I/O in flight
 *
 * Errors: the common ones only. Any process that opened the device may ask.
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

/**
 * struct cptdev_session_setup - CPTDEV_IOC_SESSION_SETUP: a name, and limits
 * @size:	sizeof(struct cptdev_session_setup)
 * @flags:	CPTDEV_SESSION_*
 * @name:	NUL-terminated name. Published snapshots go to the replica of this
 *		name. Must be unique among the sessions of this machine.
 * @term:	fencing number, 1 to CPTDEV_TERM_MAX; a program that took over passes
 *		its replica's, so that the one it took over from is refused. 0 means 1.
 * @held_max:	most memory that this session's snapshots may hold, bytes, 0 for
 *		the module's limit
 *
 * Once per session, before the first snapshot. A name is one user's, for sessions and
 * replicas alike: to take the name of another user's replica needs the capability.
 *
 * Errors: EEXIST the name is taken; EACCES a replica of this name belongs to another user;
 * EBUSY a snapshot was taken already or the
 * session has a name; EINVAL a bad character or an empty name, @term is too high.
 */
struct cptdev_session_setup {
	__u32 size;
	__u32 flags;
	__u8  name[CPTDEV_NAME_MAX];
	__u64 term;
	__u64 held_max;
};

/*
 * This session's memory replaces what the spare holds under the name, even when
 * that came from another run of the program. Without it a spare refuses, so that a
 * program that was restarted with empty memory doesn't wipe out the state it lost.
 */
#define CPTDEV_SESSION_REPLACE	(1U << 0)

/**
 * struct cptdev_range - CPTDEV_IOC_RANGE_ADD, _DEL, _CLEAR
 * @size:	sizeof(struct cptdev_range)
 * @flags:	CPTDEV_RANGE_*
 * @addr:	first byte; 0 for CLEAR
 * @len:	bytes; 0 for CLEAR
 * @bad_addr:	out, on EFAULT, EOPNOTSUPP, EEXIST and EBUSY: where
 * @reason:	out, likewise: why (enum cptdev_reason)
 * @reserved:	0
 *
 * ADD tracks the caller's private memory from @addr: anonymous memory and private
 * file mappings. What is tracked already is merged, or refused with
 * CPTDEV_RANGE_EXCL. All of a newly added range counts as changed. Memory that is
 * unmapped later stays in the range as a hole.
 *
 * DEL stops tracking any part of any ranges, and CLEAR all of them. DEL answers
 * ENOENT when no page between is tracked.
 *
 * Errors: EFAULT part of it isn't mapped; EOPNOTSUPP it can't be tracked; EEXIST;
 * EBUSY another session of this process tracks it; E2BIG too many ranges.
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
 * struct cptdev_range_list - CPTDEV_IOC_RANGE_LIST: read the ranges back
 * @size:	sizeof(struct cptdev_range_list)
 * @flags:	0
 * @vec:	pointer to struct cptdev_range_entry[]
 * @vec_len:	its length in entries; 0 only asks for @total
 * @nr:		out: entries written, in ascending order of address
 * @start:	list ranges that end after this address, 0 for all
 * @total:	out: ranges of the session
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
 * Page categories. HOLE, FILE, SWAPPED and CLEAN say what is there, exactly one of
 * them or none (present and dirty); DIRTY and ACCESSED come on top.
 */
#define CPTDEV_PAGE_DIRTY	(1ULL << 0)	/* changed since it was last cleared */
#define CPTDEV_PAGE_ACCESSED	(1ULL << 1)	/* read or written, likewise */
#define CPTDEV_PAGE_CLEAN	(1ULL << 2)	/* present, not dirty */
#define CPTDEV_PAGE_HOLE	(1ULL << 3)	/* zeros, or nothing is mapped */
#define CPTDEV_PAGE_SWAPPED	(1ULL << 4)	/* swapped out */
#define CPTDEV_PAGE_FILE	(1ULL << 5)	/* of a private file, never written */

/* A run of pages with the same categories: [start, end). */
struct cptdev_region {
	__u64 start;
	__u64 end;
	__u64 categories;
};

/**
 * struct cptdev_scan - CPTDEV_IOC_SCAN: which pages changed
 * @size:	sizeof(struct cptdev_scan)
 * @flags:	CPTDEV_SCAN_*
 * @start:	first address, 0 for the first range
 * @end:	end address, 0 for the last range
 * @vec:	pointer to struct cptdev_region[]
 * @vec_len:	its length in entries; may be 0 with a CLEAR flag, to begin
 * @nr:		out: entries written
 * @anyof:	report pages that have at least one of these categories, 0 for all
 * @report:	categories to report, 0 for all. Neighbours with the same ones
 *		become one region.
 * @walk_end:	out: where the scan stopped. Equal to @end, or to the end of the
 *		last range, when all was seen; else call again with it as @start.
 * @dirty:	out: dirty pages seen
 * @pages:	out: pages looked at
 *
 * With CPTDEV_SCAN_CLEAR_DIRTY the dirty mark of each page *reported* is read and
 * cleared in one step: a store that isn't in this answer is in the next. Clearing
 * marks nothing read-only, so the process takes no page fault for being scanned.
 * The mark covers stores by the process and by system calls on its behalf; a
 * transfer that the kernel or a device makes through a page reference (O_DIRECT,
 * process_vm_writev) is covered by snapshots, which keep a mark of their own.
 *
 * Without @vec the pages that match are cleared and counted only.
 *
 * Errors: EINVAL @end before @start or not aligned; EFAULT as usual, and then no
 * dirty mark is lost; EOPNOTSUPP what is mapped there now can't be tracked. If an
 * error comes after the first pages, the call succeeds up to there (@walk_end), and
 * the next one, with that as @start, has it. Entries of @vec beyond @nr are undefined.
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
 * @since:	take what changed after this generation; 0 with CPTDEV_SNAPSHOT_SINCE
 *		takes everything. Only read with that flag.
 * @meta:	pointer to a blob that travels with the snapshot, opaque to cptdev
 * @meta_len:	its length, at most CPTDEV_META_MAX
 * @fd:		out: descriptor of the snapshot, close-on-exec; -1 with
 *		CPTDEV_SNAPSHOT_NOFD
 * @timeout_ns:	with CPTDEV_SNAPSHOT_WAIT: as in struct cptdev_wait
 * @generation:	out: number of this snapshot, never used again in this session
 * @base:	out: what it holds is what changed after this generation, 0: all
 * @pages:	out: pages in it
 * @holes:	out: pages that became holes
 * @copied:	out: pages copied because I/O may have been in flight to them
 * @visited:	out: page-table entries looked at
 * @pause_ns:	out: how long the process could not take page faults
 * @bad_addr:	out, on EFAULT, EOPNOTSUPP and EHWPOISON: where
 * @reason:	out, likewise and on EDQUOT: why (enum cptdev_reason)
 * @reserved:	0
 *
 * What a snapshot promises (cptdev(4) says it sentence by sentence):
 *
 * a) Who stores to tracked memory meanwhile waits in a page fault, at most as long as
 *    the cut takes, and notices nothing else.
 * b) It is one instant, within the call. If it has a store, it has every store that
 *    happened before it, by whichever thread, and whichever way the order came about.
 *    What changed after @base is in it: stores, system calls, unmapping, transfers by
 *    the kernel or a device. It may have more. Its content never changes afterwards.
 * c) A transfer by a device that is in flight at the instant may be in it in part; the
 *    page is in each later snapshot until the transfer is over, and once more.
 *
 * Without CPTDEV_SNAPSHOT_SINCE it is incremental: a published snapshot continues
 * the published ones, an unpublished one continues the newest of any kind.
 *
 * A published snapshot stays with the session, with or without the descriptor, until
 * the spare has it. While it waits for the daemon, the next one takes it in.
 *
 * Each page that a snapshot holds is copied if the process writes to it, and charged to its
 * control group. A snapshot for whose copies the group has no memory left (memory.max)
 * fails, so that the process isn't killed. Before that, published snapshots that nobody has
 * fetched are dropped: who waits for them gets ECANCELED, and this one reaches back. They
 * are dropped in the same way if memory becomes short between two snapshots. A snapshot that
 * a descriptor has open is never dropped.
 *
 * Errors: EDQUOT more would be held than allowed; EINTR a fatal signal; EFAULT,
 * EOPNOTSUPP, EHWPOISON with @bad_addr; with CPTDEV_SNAPSHOT_WAIT those of
 * CPTDEV_IOC_WAIT, and then the snapshot was taken and @generation tells its
 * number. A snapshot that failed otherwise uses up a generation number, no more:
 * what it would have held is in the next.
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
#define CPTDEV_SNAPSHOT_NOFD	(1U << 2)	/* no descriptor wanted */
#define CPTDEV_SNAPSHOT_WAIT	(1U << 3)	/* return when the spare has it */

/* @timeout_ns that never passes. */
#define CPTDEV_FOREVER		(~0ULL)

/*
 * The state of a session: @state of struct cptdev_wait, @flags of struct
 * cptdev_session_page.
 */
#define CPTDEV_STATE_FENCED	(1U << 0)	/* a newer term exists: stop serving */
#define CPTDEV_STATE_ALONE	(1U << 1)	/* acknowledged by policy, without a spare */
#define CPTDEV_STATE_WANTED	(1U << 2)	/* a checkpoint is wanted: publish one */
#define CPTDEV_STATE_BLOCKED	(1U << 3)	/* nothing is acknowledged: don't serve */

/**
 * struct cptdev_wait - CPTDEV_IOC_WAIT: wait until the spare has a generation
 * @size:	sizeof(struct cptdev_wait)
 * @flags:	0
 * @generation:	of a published snapshot; 0 for the newest, and to learn of a fence
 * @timeout_ns:	nanoseconds, 0 only asks, CPTDEV_FOREVER
 * @committed:	out, also on error: newest generation that is acknowledged
 * @state:	out, also on error: CPTDEV_STATE_* bits
 * @reserved:	0
 *
 * Returns 0 when @committed is @generation or newer, the session isn't blocked, and its
 * lease, if one is in use, has not run out at the time of the answer. As long as one of
 * the three is missing the call waits; a lease that is renewed and a block that ends
 * finish the call. A session's descriptor also polls readable while @committed is newer
 * than at the last WAIT that could be answered so.
 *
 * A fence comes before all other answers, with one exception: for a @generation that
 * WAIT may acknowledge the answer stays 0. With 0 as @generation a fenced session
 * always gets ESTALE, even if it never published anything.
 *
 * Errors: ETIMEDOUT; EINTR any signal; ECANCELED the generation was dropped (the
 * spare needs an older base): take another snapshot; ESTALE fenced: a spare was
 * promoted, this program must stop serving; EINVAL a generation that wasn't published.
 *
 * poll(): EPOLLPRI when fenced, when a checkpoint is wanted, or when generations were
 * dropped since the last WAIT. @state, or the session page, tells which.
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
 * struct cptdev_session_page - the session's state, without a system call
 * @size:	bytes of the struct that the module fills in
 * @flags:	CPTDEV_STATE_* bits
 * @lease_until_ns: CLOCK_BOOTTIME, when the lease ends; 0: no lease is in use
 * @committed:	newest generation that is acknowledged
 *
 * mmap(NULL, page size, PROT_READ, MAP_SHARED, device descriptor, 0) shows it. The module
 * changes it at any time; each field by itself is whole. Read @flags, @lease_until_ns, and
 * @flags again: a lease that is taken out of use may come with a flag. A program may answer
 * its clients while it is neither fenced nor blocked, and before the lease ends.
 *
 * The mapping holds the session as the descriptor does: a session ends when both are
 * gone. A forked child inherits the mapping and may read it. Once the session ended, because
 * the process ended or called exec(), it shows CPTDEV_STATE_BLOCKED.
 *
 * Errors of mmap(): EINVAL another length or offset, a private mapping; EACCES to write
 * or to execute (mprotect() as well); EXDEV, ESRCH; ENOMEM. mremap() can't make it larger.
 */
struct cptdev_session_page {
	__u32 size;
	__u32 flags;
	__u64 lease_until_ns;
	__u64 committed;
};

/**
 * struct cptdev_session_alive - CPTDEV_IOC_SESSION_ALIVE: the program is alive
 * @size:	sizeof(struct cptdev_session_alive)
 * @flags:	0
 * @timeout_ns:	the next sign of life comes within this time, nanoseconds; 0: the
 *		watchdog isn't in use any more
 *
 * Publishing a snapshot is a sign of life, too, with the @timeout_ns of the last call. If
 * none comes in time, listeners of the netlink family get CPTDEV_CMD_SESSION_HUNG_NTF, and
 * the session shows CPTDEV_GENL_SESSION_HUNG until the next one. Nothing else happens:
 * what to do is up to the listener. The time in which the host was suspended doesn't count.
 *
 * Errors: EXDEV, ESRCH: only the session's own process is asked.
 */
struct cptdev_session_alive {
	__u32 size;
	__u32 flags;
	__u64 timeout_ns;
};

/**
 * struct cptdev_delta - CPTDEV_IOC_DELTA: a published snapshot of any session
 * @size:	sizeof(struct cptdev_delta)
 * @flags:	0
 * @session_id:	which session
 * @since:	the generation that the spare has, 0 for none
 * @fd:		out: descriptor of a snapshot that brings it further
 * @reserved:	0
 * @generation:	out: what the spare has after it
 * @base:	out: at most @since
 * @pages:	out: pages in it
 *
 * For the daemon. Returns the oldest published snapshot that is newer than @since
 * and reaches back to it. If none reaches back that far, the session is told to
 * reach back with its next snapshot.
 *
 * The first call for a session, whatever it answers except EPERM and ENOENT, attaches
 * a spare to it: the descriptor of the device stands for the spare, and closing it
 * detaches.
 *
 * Errors: EPERM; ENOENT no such session; ENODATA nothing newer; ESTALE the next
 * published snapshot will reach back to @since: whoever waits for an older one gets
 * ECANCELED.
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

/**
 * struct cptdev_ack - CPTDEV_IOC_ACK: what the daemon tells a session
 * @size:	sizeof(struct cptdev_ack)
 * @flags:	CPTDEV_ACK_*
 * @session_id:	which session
 * @generation:	what is acknowledged; 0 with CPTDEV_ACK_FENCED, _DETACH, _WANT, _BLOCK or
 *		_UNBLOCK, and allowed to be 0 with _LEASE and _ALONE
 * @lease_until_ns: with CPTDEV_ACK_LEASE: CLOCK_BOOTTIME, 0 takes the lease out of use;
 *		else 0
 *
 * For the daemon. A @generation wakes whoever waits for it and drops the published
 * snapshots up to it. All flags of one call take effect together.
 *
 * To acknowledge a @generation without CPTDEV_ACK_ALONE, and to detach, the caller's
 * descriptor must have attached a spare (CPTDEV_IOC_DELTA). All else needs no attached
 * spare: any descriptor of the device may tell any session, also one that never
 * published. To say the same twice is no error.
 *
 * Errors: EPERM; ENOENT no such session; EINVAL not attached, a generation that
 * wasn't published, flags or fields that don't go together.
 */
struct cptdev_ack {
	__u32 size;
	__u32 flags;
	__u64 session_id;
	__u64 generation;
	__u64 lease_until_ns;
};

/* A newer term is known: the session is fenced, WAIT answers ESTALE. */
#define CPTDEV_ACK_FENCED	(1U << 0)
/* The spare doesn't follow this session any more. */
#define CPTDEV_ACK_DETACH	(1U << 1)
/*
 * Set the lease. It never moves backwards: an earlier time than the present one changes
 * nothing, except 0, which takes the lease out of use.
 */
#define CPTDEV_ACK_LEASE	(1U << 2)
/*
 * @generation is acknowledged by policy, without a spare. The session is alone until an
 * attached spare acknowledges, without this flag, all that was acknowledged: a generation
 * that isn't below the newest one.
 */
#define CPTDEV_ACK_ALONE	(1U << 3)
/* A checkpoint is wanted, until the next snapshot is published. */
#define CPTDEV_ACK_WANT		(1U << 4)
/* Nothing is acknowledged (WAIT goes on waiting) until CPTDEV_ACK_UNBLOCK. */
#define CPTDEV_ACK_BLOCK	(1U << 5)
#define CPTDEV_ACK_UNBLOCK	(1U << 6)

/**
 * struct cptdev_replica_open - CPTDEV_IOC_REPLICA_OPEN
 * @size:	sizeof(struct cptdev_replica_open)
 * @flags:	CPTDEV_REPLICA_*
 * @name:	as in struct cptdev_session_setup
 * @max_bytes:	when created: most memory it may take, 0 for the module's limit
 * @fd:		out: descriptor, close-on-exec
 * @reserved:	0
 *
 * A replica belongs to the user who created it; that user and a holder of the
 * capability may open it. It stays until it is removed, and the module with it.
 *
 * The descriptor polls readable when a generation was committed since the last
 * CPTDEV_IOC_IMAGE_INFO on it, with EPOLLPRI once the replica is promoted, and with
 * EPOLLHUP once it is removed.
 *
 * A name is one user's, for sessions and replicas alike: to create one under the name of
 * another user's session needs the capability.
 *
 * Errors: ENOENT, EEXIST with CPTDEV_REPLICA_EXCL, EACCES it, or a session of this name,
 * belongs to another user, EPERM for CPTDEV_REPLICA_WRITE, EINVAL a bad name.
 */
struct cptdev_replica_open {
	__u32 size;
	__u32 flags;
	__u8  name[CPTDEV_NAME_MAX];
	__u64 max_bytes;
	__s32 fd;
	__u32 reserved;
};

#define CPTDEV_REPLICA_CREATE	(1U << 0)	/* create if there is none */
#define CPTDEV_REPLICA_EXCL	(1U << 1)	/* with CREATE: fail if there is one */
#define CPTDEV_REPLICA_WRITE	(1U << 2)	/* stage, commit, promote; capability */

/**
 * struct cptdev_image_info - CPTDEV_IOC_IMAGE_INFO: of a snapshot or replica
 * @size:	sizeof(struct cptdev_image_info)
 * @flags:	0
 * @kind:	CPTDEV_IMAGE_SNAPSHOT or _REPLICA
 * @state:	CPTDEV_IMAGE_* bits
 * @name:	of the session or replica, empty for a session without one
 * @uuid:	of the session that the content comes from
 * @term:	fencing number
 * @generation:	0: a replica that nothing was committed to
 * @base:	snapshot: what changed after this generation; replica: 0
 * @pages:	pages with data
 * @holes:	snapshot: pages that became holes
 * @segments:	entries of the layout
 * @extents:	snapshot: entries of the extent list; replica: 0 (unknown)
 * @meta_len:	bytes of meta-data
 * @uid:	user who owns the session or replica
 * @staged:	replica: pages staged
 * @staging:	replica: generation being staged, 0 for none
 * @max_bytes:	replica: most memory it may take
 * @promoted_ns: replica: CLOCK_REALTIME when it was promoted, 0: it isn't promoted
 * @taken_ns:	replica: CLOCK_REALTIME when the promotion was taken, 0: it isn't taken
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
};

#define CPTDEV_IMAGE_SNAPSHOT	1
#define CPTDEV_IMAGE_REPLICA	2

#define CPTDEV_IMAGE_PUBLISHED	(1U << 0)	/* snapshot */
#define CPTDEV_IMAGE_REPLACE	(1U << 1)	/* snapshot: CPTDEV_SESSION_REPLACE */
#define CPTDEV_IMAGE_PROMOTED	(1U << 2)	/* replica */
#define CPTDEV_IMAGE_FROZEN	(1U << 3)	/* replica */
#define CPTDEV_IMAGE_REMOVED	(1U << 4)	/* replica: its name is gone, nothing comes in */
#define CPTDEV_IMAGE_TAKEN	(1U << 5)	/* replica: promoted, and a program took it */

/**
 * struct cptdev_segment - a piece of the layout: what is mapped in the ranges
 * @addr:	first byte
 * @len:	bytes
 * @offset:	CPTDEV_SEGMENT_FILE: offset in the file, bytes
 * @kind:	CPTDEV_SEGMENT_*: what a page reads as that has no data
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
#define CPTDEV_SEGMENT_FILE	2	/* the file that is mapped */
#define CPTDEV_SEGMENT_UNMAPPED	3	/* nothing */

/**
 * struct cptdev_extent - a run of pages of an image
 * @addr:	first byte
 * @len:	bytes
 * @kind:	CPTDEV_EXTENT_DATA: the pages are in the snapshot's file, packed in
 *		the order of the extents. CPTDEV_EXTENT_HOLE: they became holes and
 *		read as the layout says.
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
 * struct cptdev_image_vec - CPTDEV_IOC_IMAGE_LAYOUT, _EXTENTS, _META
 * @size:	sizeof(struct cptdev_image_vec)
 * @flags:	0
 * @vec:	pointer to struct cptdev_segment[], struct cptdev_extent[] or bytes
 * @vec_len:	its length in entries
 * @nr:		out: entries written
 * @start:	LAYOUT and META, and EXTENTS of a snapshot: index of the first entry
 *		wanted. EXTENTS of a replica: address to begin at.
 * @next:	out: pass as @start to go on
 *
 * All entries were read when @nr is 0. Extents of a replica are of kind DATA and in
 * ascending order; those of a snapshot are ascending as well.
 */
struct cptdev_image_vec {
	__u32 size;
	__u32 flags;
	__u64 vec;
	__u32 vec_len;
	__u32 nr;
	__u64 start;
	__u64 next;
};

/**
 * struct cptdev_replica_begin - CPTDEV_IOC_REPLICA_BEGIN: start to stage a delta
 * @size:	sizeof(struct cptdev_replica_begin)
 * @flags:	CPTDEV_BEGIN_*
 * @uuid:	of the session
 * @term:	of the session
 * @base:	the delta has what changed after this generation; 0 is everything
 * @generation:	of the delta
 * @layout:	pointer to struct cptdev_segment[], ascending, without overlap
 * @layout_len:	its length in entries
 * @meta_len:	bytes
 * @meta:	pointer to the meta-data
 *
 * A delta that was being staged through this descriptor is dropped. Readers see
 * nothing of what is staged.
 *
 * Errors: ESTALE @term is lower than the replica's, or equal although it was promoted,
 * or @generation is not newer; EILSEQ @base is newer than the replica's generation, or
 * the delta is of another session and @base isn't 0; EEXIST of another session, with
 * the same term and without CPTDEV_BEGIN_REPLACE; EBUSY another descriptor stages;
 * E2BIG, EMSGSIZE; EINVAL @base not below @generation, @generation above
 * CPTDEV_GENERATION_MAX, @term 0 or above CPTDEV_TERM_MAX, a layout that isn't ascending;
 * ERANGE @term is more than CPTDEV_TERM_STEP above the replica's; ENOENT the replica was
 * removed.
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

#define CPTDEV_BEGIN_REPLACE	(1U << 0)	/* another session's content may go */

/* Most segments of a layout. */
#define CPTDEV_LAYOUT_MAX	131072

/**
 * struct cptdev_replica_stage - CPTDEV_IOC_REPLICA_STAGE: stage pages
 * @size:	sizeof(struct cptdev_replica_stage)
 * @flags:	0
 * @vec:	pointer to struct cptdev_extent[]
 * @data:	pointer to the pages of the DATA extents, packed
 * @data_len:	bytes
 * @vec_len:	extents
 * @reserved:	0
 *
 * May be called any number of times between BEGIN and COMMIT; the last one for a
 * page counts. pwrite() at the address stages data too, down to single bytes, on top
 * of what the page held.
 *
 * Errors: EINVAL nothing was begun, or @data_len isn't what the extents say; EFAULT a
 * pointer, or an extent outside the layout; ENOENT the replica was removed; EDQUOT,
 * ENOMEM: the delta can't be committed any more, begin again. A call that failed
 * otherwise may be repeated; a part of it may be staged.
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
 * @generation:	COMMIT: must be the one begun. ABORT: 0.
 * @pages:	out: pages of the replica
 *
 * COMMIT makes what was staged the replica's content: all of it or nothing, and no
 * reader sees a mixture within one read.
 *
 * Errors: EINVAL nothing was begun, or another generation; EBUSY the replica is
 * frozen, EDQUOT and ENOMEM: a STAGE failed so; ENOENT the replica was removed. A
 * promotion drops what was begun, and so does a removal.
 */
struct cptdev_replica_commit {
	__u32 size;
	__u32 flags;
	__u64 generation;
	__u64 pages;
};

/**
 * struct cptdev_replica_freeze - CPTDEV_IOC_REPLICA_FREEZE: hold the generation
 * @size:	sizeof(struct cptdev_replica_freeze)
 * @flags:	0 to freeze, CPTDEV_FREEZE_THAW to thaw
 * @generation:	out: the generation held
 *
 * While frozen, COMMIT fails with EBUSY: any number of reads see one generation, from
 * the return of this call on. Closing the descriptor thaws. For the owner and a holder of
 * the capability: EACCES, for another user who was given the descriptor.
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
 * @flags:	0
 * @term:	in: the new term, higher than the replica's, at most CPTDEV_TERM_MAX;
 *		0 for the next one. out: the replica's term.
 * @generation:	out: what the spare goes on from
 *
 * What is staged is dropped; deltas of a lower term are refused from now on. A program
 * takes the promotion with CPTDEV_IOC_REPLICA_CLAIM. To promote a replica again raises the
 * term again, and it can be taken again. Needs CPTDEV_REPLICA_WRITE.
 *
 * Errors: ESTALE @term isn't higher; EINVAL it is above CPTDEV_TERM_MAX; ERANGE it is more
 * than CPTDEV_TERM_STEP above the replica's; EOVERFLOW there is no next one; ENODATA nothing
 * was ever committed; ENOENT the replica was removed.
 */
struct cptdev_replica_promote {
	__u32 size;
	__u32 flags;
	__u64 term;
	__u64 generation;
};

/**
 * struct cptdev_replica_remove - CPTDEV_IOC_REPLICA_REMOVE
 * @size:	sizeof(struct cptdev_replica_remove)
 * @flags:	0
 *
 * The name is free at once, the memory when the last descriptor is closed. The owner
 * and a holder of the capability may do it: EACCES, for another user who was given the
 * descriptor.
 *
 * What is staged is dropped. From then on BEGIN, STAGE, COMMIT, ABORT, PROMOTE and write()
 * on any descriptor of the replica answer ENOENT: whoever fills it learns that nobody can
 * find what it commits, and opens the name anew. Reading goes on; the descriptors poll
 * EPOLLHUP, and IMAGE_INFO shows CPTDEV_IMAGE_REMOVED. To remove it again is no error.
 */
struct cptdev_replica_remove {
	__u32 size;
	__u32 flags;
};

/**
 * struct cptdev_replica_claim - CPTDEV_IOC_REPLICA_CLAIM: take the promotion
 * @size:	sizeof(struct cptdev_replica_claim)
 * @flags:	CPTDEV_CLAIM_*
 * @term:	in: of the promotion, 0 for the present one. out: the replica's term
 * @generation:	out: what the program goes on from
 * @promoted_ns: out: CLOCK_REALTIME when it was promoted
 *
 * A promotion is taken once: of two programs that wait for it one goes on from the
 * replica. A replica is a spare, then promoted, then taken; a commit of a higher term makes
 * it a spare again. The owner and a holder of the capability may take it; the descriptor
 * doesn't need CPTDEV_REPLICA_WRITE.
 *
 * Errors: EINVAL it isn't promoted; ESTALE @term isn't the promotion's; EALREADY it is
 * taken, or it was promoted before this descriptor was opened and CPTDEV_CLAIM_OLD isn't
 * given; EACCES it belongs to another user; ENOENT the replica was removed.
 */
struct cptdev_replica_claim {
	__u32 size;
	__u32 flags;
	__u64 term;
	__u64 generation;
	__u64 promoted_ns;
};

/*
 * The promotion may be older than the descriptor. Without this flag a program that is
 * started later doesn't go on from a state that may be long past; to give the flag is a
 * person's decision. It doesn't give a taken promotion a second time.
 */
#define CPTDEV_CLAIM_OLD	(1U << 0)

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

#endif /* _UAPI_LINUX_CPTDEV_H */
