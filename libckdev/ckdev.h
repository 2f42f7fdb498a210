/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libckdev: checkpoints of a program's own memory, by the cptdev module.
 *
 * These calls are thin wrappers of the ioctls of linux/cptdev.h, which has the meaning of
 * every field and of every error. ckdev(7) is the overview. sys/cpt.h and sys/mwrwatch.h
 * have the calls of earlier systems.
 *
 * Rules for all calls of this header:
 *
 * - A call returns zero or more on success (the descriptor, if it makes one), and -errno
 *   on failure. It leaves errno alone, prints nothing, keeps no state of its own and
 *   allocates no memory. So any number of threads may call it at the same time.
 * - A struct cptdev_* is passed as the kernel expects it: the caller sets @size, the fields
 *   that it uses, and all other fields to zero. A designated initialiser does that:
 *
 *	struct cptdev_snapshot snap = { .size = sizeof(snap), .flags = ... };
 *
 *   So a program works with a newer library, and a newer program with an older module.
 * - Addresses and lengths are in bytes, and are multiples of the page size unless stated
 *   otherwise. Times are in nanoseconds; a time-out of 0 doesn't wait, CPTDEV_FOREVER waits
 *   without limit.
 * - An out pointer may be NULL if the caller doesn't need the result.
 * - A call returns -EINTR only if its description says so. A signal with a handler doesn't
 *   disturb the other calls.
 * - Any call may return these errors, which aren't repeated below: -EBADF @fd isn't open;
 *   -ENOTTY @fd is another kind of descriptor; -EFAULT a pointer can't be used; -EINVAL
 *   @size is too small; -E2BIG @size is larger than the module knows, and the unknown part
 *   isn't zero; -EOPNOTSUPP the module doesn't know a flag; -ENOMEM.
 */
#ifndef CKDEV_H
#define CKDEV_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <linux/cptdev.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A pointer in the form in which the structs of linux/cptdev.h have it. */
#define CKDEV_PTR(p)	((__u64)(uintptr_t)(p))

/*
 * Reasons why memory was refused, besides those of enum cptdev_reason. Only ckdev_restore()
 * gives these.
 */
enum ckdev_reason {
	CKDEV_REASON_READONLY	= 256,	/* mapped without permission to write */
	CKDEV_REASON_TAKEN	= 257,	/* something is mapped there already */
	CKDEV_REASON_NOT_ANON	= 258,	/* a file is mapped, and the image has no file there */
	CKDEV_REASON_NOT_FILE	= 259,	/* the image has a file there: no file, or another part */
	CKDEV_REASON_IN_USE	= 260,	/* the stack that the call runs on */
	CKDEV_REASON_NO_DATA	= 261,	/* the replica couldn't be read there */
};

/**
 * struct ckdev_refusal - the address and the reason of a refusal
 * @addr:	address of the first page that was refused; NULL: no memory was refused
 * @reason:	enum cptdev_reason or enum ckdev_reason, see ckdev_strreason()
 *
 * A call that takes this struct always writes it, also on success.
 */
struct ckdev_refusal {
	void *addr;
	int reason;
};

/*
 * The session: a descriptor of /dev/cptdev
 */

/**
 * ckdev_open() - open the device: a new session
 *
 * The session belongs to the caller's address space. A child after fork(), and a program
 * after exec, need a session of their own. The descriptor is close-on-exec. close() ends
 * the session.
 *
 * Returns the descriptor, or
 * -ENOENT, -ENXIO, -ENODEV	the module isn't loaded
 * -EACCES	no permission for the device
 * -EPROTO	the module speaks another version of the interface
 * -EMFILE, -ENFILE	too many open files
 */
int ckdev_open(void);

/**
 * ckdev_soft_open() - open a session on a host without the module
 * @path:	socket of a cptdevd with the soft engine; NULL: /run/cptdevd/programs
 *
 * These calls accept the descriptor like a descriptor of the device: ckdev_info(),
 * ckdev_session(), ckdev_wait(), ckdev_alive(), ckdev_session_page(), the ckdev_replica_*()
 * of a waiting or reading program, ckdev_image_*() of a replica, and ckdev_restore(). All other
 * calls, which read the caller's memory or fill replicas, return -ENOTTY. The program itself
 * has to find out which pages changed; ckdev_soft_publish() passes them to the daemon.
 *
 * poll() reports each event only as POLLIN: an event since the last ckdev_wait(), or for a
 * replica since the last ckdev_image_info() or ckdev_replica_wait(). The wait calls with a
 * time-out of 0 report which event it is.
 *
 * Every call may fail with
 * -ECONNRESET	the daemon has ended, and its sessions and replicas are lost. Open a new
 *		session, and publish everything.
 * -ETIME	the daemon is stopped or hangs: it gave no answer for 10 s, to
 *		ckdev_soft_publish() for 60 s. It may still carry out the request later.
 * A wait with a time-out ends at most a second after the time-out, with -ETIMEDOUT.
 *
 * Returns the descriptor, close-on-exec, or
 * -ENOENT, -ECONNREFUSED	no such daemon runs
 * -EACCES	no permission for the socket
 * -ENAMETOOLONG	@path is too long for a socket
 * -EMFILE, -ENFILE	too many open files
 * -ETIME	the daemon accepts no connection
 */
int ckdev_soft_open(const char *path);

/**
 * ckdev_is_soft() - check for a session or replica of the soft engine
 * @fd:		any descriptor
 *
 * Returns 1 if @fd is a session of ckdev_soft_open() or a replica of such a session, else 0.
 */
int ckdev_is_soft(int fd);

/**
 * struct ckdev_soft_delta - a delta for ckdev_soft_publish()
 * @size:	sizeof(struct ckdev_soft_delta)
 * @flags:	0
 * @memfd:	file of memfd_create() with MFD_ALLOW_SEALING, not mapped for writing: the pages
 *		of the DATA extents, packed from its beginning
 * @nr_extents:	entries of @extents
 * @nr_segments:	entries of @layout
 * @meta_len:	bytes of @meta, at most CPTDEV_META_MAX
 * @base:	the delta has the changes after this generation; 0: everything
 * @extents:	the pages in the delta, ascending, without overlap, inside the layout
 * @layout:	the mappings, ascending, without overlap
 * @meta:	meta-data that is sent with the delta
 * @generation:	out: generation of the delta; 0: the delta wasn't published
 * @reach:	out, on failure too: the highest @base that the next delta may have
 * @reserved:	0
 */
struct ckdev_soft_delta {
	uint32_t size;
	uint32_t flags;
	int32_t memfd;
	uint32_t nr_extents;
	uint32_t nr_segments;
	uint32_t meta_len;
	uint64_t base;
	const struct cptdev_extent *extents;
	const struct cptdev_segment *layout;
	const void *meta;
	uint64_t generation;
	uint64_t reach;
	uint64_t reserved;
};

/**
 * ckdev_soft_publish() - publish a delta
 * @fd:		session of ckdev_soft_open() that has a name
 * @delta:	in and out
 *
 * The call seals the memory file, so that nobody can change it afterwards. The caller may
 * close the file, or keep it for reading.
 *
 * Returns 0, or
 * -EILSEQ	@delta->base is above @delta->reach: the spare needs more
 * -EDQUOT	the daemon would hold more memory than allowed: let the spare catch up
 * -EINVAL	the session has no name, numbers or extents are invalid, or @delta->memfd is
 *		no memory file
 * -EFAULT	an extent is outside the layout
 * -EBUSY	the memory file is mapped for writing
 * -EPERM	the memory file can't be sealed
 * -E2BIG, -EMSGSIZE	too many entries; too much meta-data
 * -EXDEV	the caller isn't the process that opened the session
 * -ECONNRESET	the daemon has ended
 * -ETIME	the daemon doesn't answer: publish everything with the next delta
 * -ENOTTY	@fd is a session of the module: use ckdev_snapshot()
 *
 * After 0, ckdev_wait() waits for @delta->generation.
 */
int ckdev_soft_publish(int fd, struct ckdev_soft_delta *delta);

/**
 * ckdev_info() - features and limits of the module, state of the session
 * @fd:		session
 * @info:	@size in, everything out
 *
 * Returns 0.
 */
int ckdev_info(int fd, struct cptdev_info *info);

/**
 * ckdev_session() - give the session a name and limits
 * @fd:		session
 * @name:	1 to CPTDEV_NAME_MAX - 1 characters of [A-Za-z0-9._-]
 * @term:	fencing number; 0: the first term. A program that took over passes the term
 *		of its replica.
 * @flags:	CPTDEV_SESSION_*
 * @held_max:	most memory that the session's snapshots may hold, bytes; 0: the module's
 *		limit
 *
 * Allowed once, before the first snapshot. A session needs a name if its snapshots are to
 * be sent to a spare.
 *
 * Returns 0, or
 * -EINVAL	a bad name
 * -EEXIST	another session of this machine has the name
 * -EACCES	a replica of this name belongs to another user
 * -EBUSY	the session already has a name, or has already taken a snapshot
 * -EXDEV	the caller isn't the process that opened the session
 */
int ckdev_session(int fd, const char *name, uint64_t term, unsigned int flags,
		  uint64_t held_max);

/**
 * ckdev_session_end() - end a session in order, while the program continues
 * @fd:		session; is closed
 *
 * With the module this is the same as close(): the module sees that the process continues. A soft
 * engine may not see it, so this call reports it; after close() alone the reason may be unknown. A program
 * that exits needn't call it: exit(3) sends the exit status.
 *
 * Returns 0, or -errno of close().
 */
int ckdev_session_end(int fd);

/**
 * ckdev_range_add() - track memory
 * @fd:		session
 * @addr:	first byte
 * @len:	bytes
 * @flags:	CPTDEV_RANGE_EXCL: refuse memory that is already tracked. Without the flag,
 *		the new range is merged with such memory.
 * @why:	out: address and reason of a refusal
 *
 * The memory must be private: anonymous, or a private mapping of a file. Afterwards either
 * all of this memory is tracked, or nothing has changed.
 *
 * Returns 0, or
 * -EINVAL	@addr or @len isn't a multiple of the page size, or @len is 0
 * -EFAULT	@why->addr isn't mapped
 * -EOPNOTSUPP	@why->addr can't be tracked; @why->reason has the reason
 * -EEXIST	@why->addr is in a range (CPTDEV_RANGE_EXCL)
 * -EBUSY	@why->addr is in a range of another session of this process
 * -E2BIG	more than CPTDEV_RANGES_MAX ranges
 * -EXDEV, -ESRCH	the caller isn't the process that opened the session
 */
int ckdev_range_add(int fd, const void *addr, size_t len, unsigned int flags,
		    struct ckdev_refusal *why);

/**
 * ckdev_range_del() - stop tracking memory
 * @fd:		session
 * @addr:	first byte
 * @len:	bytes
 *
 * Stops tracking any part of any ranges. Gaps that aren't tracked are no error.
 *
 * Returns 0; -EINVAL and -EXDEV as ckdev_range_add(); or -ENOENT: no page between @addr and
 * @addr + @len is tracked.
 */
int ckdev_range_del(int fd, const void *addr, size_t len);

/**
 * ckdev_range_clear() - stop tracking all ranges
 * @fd:		session
 *
 * Returns 0, or -EXDEV, -ESRCH as ckdev_range_add().
 */
int ckdev_range_clear(int fd);

/**
 * ckdev_range_list() - list the ranges, in pieces
 * @fd:		session
 * @vec:	out: ranges in ascending order; may be NULL if @len is 0
 * @len:	number of entries that fit
 * @pos:	in: list the ranges that end after this address, 0: all; out: value for the
 *		next call
 * @total:	out: number of ranges of the session
 *
 * Returns the number of entries written: 0 when all were read.
 */
int ckdev_range_list(int fd, struct cptdev_range_entry *vec, unsigned int len,
		     uint64_t *pos, uint64_t *total);

/**
 * ckdev_scan() - report the pages that changed
 * @fd:		session
 * @scan:	in and out, see linux/cptdev.h
 *
 * The result comes in pieces: while @scan->walk_end isn't the end, copy it to @scan->start
 * and call again. With CPTDEV_SCAN_CLEAR_DIRTY, a store that isn't in this answer is in the
 * next one.
 *
 * Returns the number of regions written, or -EINVAL, -EOPNOTSUPP, -EXDEV, -ESRCH.
 */
int ckdev_scan(int fd, struct cptdev_scan *scan);

/*
 * Snapshots
 */

/**
 * ckdev_snapshot() - freeze all ranges at one instant
 * @fd:		session
 * @snap:	in and out, see linux/cptdev.h. In: flags, since, meta. Out: generation, counts.
 *
 * Returns a descriptor (also in @snap->fd), or 0 with CPTDEV_SNAPSHOT_NOFD, or
 * -EINVAL	the fields contradict each other
 * -EDQUOT	the snapshot would pass a limit on held memory: let the spare catch up, close
 *		snapshots, or raise the limit
 * -EFAULT, -EOPNOTSUPP, -EHWPOISON	the page at @snap->bad_addr can't be frozen
 * -EMSGSIZE	more meta-data than CPTDEV_META_MAX
 * -EXDEV, -ESRCH	the caller isn't the process that opened the session
 * and with CPTDEV_SNAPSHOT_WAIT the errors of ckdev_wait(): then the snapshot was taken.
 */
int ckdev_snapshot(int fd, struct cptdev_snapshot *snap);

/**
 * ckdev_wait() - wait until the spare has a generation
 * @fd:		session
 * @generation:	a published generation; 0: the newest, and check for a fence
 * @timeout_ns:	nanoseconds; 0 doesn't wait, CPTDEV_FOREVER waits without limit
 * @committed:	out, on failure too: newest committed generation
 *
 * Returns 0 when the generation is acknowledged (see struct cptdev_wait), or
 * -ETIMEDOUT	the generation isn't acknowledged yet
 * -EINTR	a signal came; call again with the rest of the time
 * -ECANCELED	the spare won't get this generation: take another snapshot
 * -ESTALE	fenced: a spare took over. Stop serving. With 0 as @generation a fenced
 *		session always gets this error, even if it never published anything.
 * -EINVAL	no such generation was published
 */
int ckdev_wait(int fd, uint64_t generation, uint64_t timeout_ns, uint64_t *committed);

/**
 * ckdev_session_page() - map the state of the session, to read it without a system call
 * @fd:		session; a session of ckdev_soft_open() must have a name
 * @page:	out: struct cptdev_session_page, kept up to date
 *
 * The mapping is one page long; munmap() ends it. With the module, the mapping holds the
 * session, as the descriptor does: unmap it before close(). A forked child inherits the
 * mapping and may read it.
 *
 * Returns 0, or
 * -EOPNOTSUPP	the module is older than this call
 * -EINVAL	the session has no name (ckdev_soft_open())
 * -EXDEV, -ESRCH	the caller isn't the process that opened the session
 */
int ckdev_session_page(int fd, const struct cptdev_session_page **page);

/**
 * ckdev_boottime() - read the clock of leases
 *
 * Returns CLOCK_BOOTTIME, nanoseconds. On most machines this needs no system call.
 */
uint64_t ckdev_boottime(void);

/**
 * ckdev_may_serve() - check whether the program may answer its clients now
 * @page:	of ckdev_session_page()
 *
 * Call it immediately before each answer is sent, also for requests that only read. Any thread
 * may make this call. It needs no system call.
 *
 * Returns 1 if the program may answer; 0 if the session is fenced or blocked, or its lease is
 * over.
 */
static inline int ckdev_may_serve(const struct cptdev_session_page *page)
{
	const __u32 stop = CPTDEV_STATE_FENCED | CPTDEV_STATE_BLOCKED;
	__u64 until;

	/* Read the flags again: a flag may be set when the lease is taken out of use. */
	if (__atomic_load_n(&page->flags, __ATOMIC_ACQUIRE) & stop)
		return 0;
	until = __atomic_load_n(&page->lease_until_ns, __ATOMIC_ACQUIRE);
	if (__atomic_load_n(&page->flags, __ATOMIC_ACQUIRE) & stop)
		return 0;
	return !until || ckdev_boottime() < until;
}

/**
 * ckdev_alive() - give a sign of life, and promise the next one
 * @fd:		session
 * @timeout_ns:	the next sign comes within this time, nanoseconds; 0 ends the promise
 *
 * Publishing a snapshot is also a sign of life, with the @timeout_ns of the last call. If no
 * sign comes in time, the session is shown as hung until the next sign, and cptdevd acts as
 * on_hang in its configuration says. Time in which the host is suspended doesn't count. A
 * program that never calls ckdev_alive() isn't watched. Any thread may make this call; call it
 * in the thread that must not hang.
 *
 * Returns 0, or
 * -EOPNOTSUPP	the module is older than this call
 * -EINVAL	the session has no name (ckdev_soft_open())
 * -EXDEV, -ESRCH	the caller isn't the process that opened the session
 */
int ckdev_alive(int fd, uint64_t timeout_ns);

/**
 * ckdev_checkpoint() - publish a snapshot, and wait until the spare has it
 * @fd:		session with a name
 * @meta:	meta-data that is sent with the snapshot; NULL if @meta_len is 0
 * @meta_len:	bytes, at most CPTDEV_META_MAX
 * @timeout_ns:	nanoseconds for the whole call, or CPTDEV_FOREVER
 * @generation:	out, on failure too: generation of the last snapshot that was taken; 0 if
 *		none was
 *
 * If the spare needs more than the snapshot contains, the call takes another snapshot, which
 * contains all that is needed. The memory must therefore be consistent for the whole time of
 * the call, not only at its beginning: no other thread may be in the middle of a change. A
 * program that can't guarantee this uses ckdev_snapshot() and ckdev_wait().
 *
 * Returns 0 when the spare has the snapshot; or an error of ckdev_snapshot(); or
 * -ETIMEDOUT	the spare doesn't have the snapshot yet: ckdev_wait() for @generation, or call
 *		again
 * -EINTR	a signal came; continue as after -ETIMEDOUT
 * -ESTALE	fenced: a spare took over. Stop serving.
 */
int ckdev_checkpoint(int fd, const void *meta, size_t meta_len, uint64_t timeout_ns,
		     uint64_t *generation);

/**
 * ckdev_delta() - fetch a published snapshot of any session
 * @fd:		session of the caller. From the first call on, the descriptor represents a
 *		spare; closing it detaches the spare.
 * @delta:	in: session_id, since and CPTDEV_DELTA_*; out: generation, base, pages
 *
 * For the program that sends snapshots to the spare host.
 *
 * Returns a descriptor (also in @delta->fd), or
 * -EPERM	neither CAP_CHECKPOINT_RESTORE nor CAP_SYS_ADMIN
 * -ENOENT	no such session
 * -ENODATA	no published snapshot is newer than @delta->since
 * -ESTALE	the next published snapshot will reach back to @delta->since
 * -EINVAL	@delta->since is newer than every generation of the session
 */
int ckdev_delta(int fd, struct cptdev_delta *delta);

/**
 * ckdev_round() - freeze a part of any session, for a spare that has nothing
 * @fd:		any session of the caller
 * @round:	in and out, see linux/cptdev.h. The first round of a pass has @pass and @addr 0.
 *		After each call both are those of the next round, and @addr is 0 again when the
 *		pass is complete; the caller sets @pages and @pause_ns anew.
 *
 * For the program that sends snapshots to the spare host. The rounds of a pass have all memory of
 * the session, but of different instants. The snapshots that ckdev_delta() returns from @pass on
 * make one state of them. ckdev_info() reports CPTDEV_FEATURE_ROUND if the module has the call.
 *
 * Returns a descriptor (also in @round->fd), or
 * -EPERM	neither CAP_CHECKPOINT_RESTORE nor CAP_SYS_ADMIN
 * -ENOENT	no such session
 * -ESRCH	the process of the session is gone
 * -ENODATA	everything is published (@round->base is 0): ckdev_delta() returns it
 * -EAGAIN	the memory of the process is busy: call again later
 * -EDQUOT	the round would pass a limit on held memory: close snapshots, or ask for fewer pages
 * -EINVAL	@round->base or @round->pass is newer than the newest generation, @round->base
 *		isn't below @round->pass, or @round->pages is below CPTDEV_ROUND_MIN
 * -EFAULT, -EOPNOTSUPP, -EHWPOISON	a page can't be frozen: the program's next snapshot says
 *		which
 * -E2BIG	the session has more than CPTDEV_LAYOUT_MAX segments
 * -ENOTTY	the module is older than this call, or @fd is a session of ckdev_soft_open(): the
 *		soft engine has no memory that it could freeze
 */
int ckdev_round(int fd, struct cptdev_round *round);

/**
 * ckdev_ack() - report the generation that the spare has committed
 * @fd:		the descriptor that called ckdev_delta(); for CPTDEV_ACK_FENCED alone, any
 *		session
 * @session_id:	number of the session
 * @generation:	generation that the spare has committed; 0 with a flag
 * @flags:	CPTDEV_ACK_*
 *
 * Returns 0, or
 * -EPERM	neither CAP_CHECKPOINT_RESTORE nor CAP_SYS_ADMIN
 * -ENOENT	no such session
 * -EINVAL	@fd doesn't follow the session, or @generation was never published
 */
int ckdev_ack(int fd, uint64_t session_id, uint64_t generation, unsigned int flags);

/*
 * Images: snapshots and replicas
 */

/**
 * ckdev_image_info() - describe a snapshot or replica
 * @fd:		snapshot or replica
 * @info:	@size in, everything out
 *
 * On a replica, the call also marks the newest generation as seen: ckdev_replica_wait() and
 * poll() report the next one.
 *
 * Returns 0.
 */
int ckdev_image_info(int fd, struct cptdev_image_info *info);

/**
 * ckdev_image_layout() - list the mappings in the ranges, in pieces
 * @fd:		snapshot or replica
 * @vec:	out: segments in ascending order
 * @len:	number of entries that fit
 * @pos:	0 at the beginning; each call advances it
 *
 * Returns the number of entries written: 0 when all were read.
 */
int ckdev_image_layout(int fd, struct cptdev_segment *vec, unsigned int len,
		       uint64_t *pos);

/**
 * ckdev_image_extents() - list the pages of a snapshot or replica, in pieces
 * @fd:		snapshot or replica
 * @vec:	out: extents in ascending order
 * @len:	number of entries that fit
 * @pos:	0 at the beginning; each call advances it. For a snapshot, @pos is an index. For
 *		a replica, it is an address, and may begin at any page.
 *
 * Returns the number of entries written: 0 when all were read.
 */
int ckdev_image_extents(int fd, struct cptdev_extent *vec, unsigned int len,
			uint64_t *pos);

/**
 * ckdev_image_extents_since() - list what changed in a replica since a commit, in pieces
 * @fd:		replica
 * @vec:	out: extents in ascending order. CPTDEV_EXTENT_HOLE: the pages have no data; they
 *		contain every page that lost its data since, and may contain others
 * @len:	number of entries that fit
 * @pos:	address, 0 at the beginning; each call advances it
 * @since:	number of a commit, as ckdev_image_info() reports it in @commits; 0: everything
 *
 * Returns the number of entries written: 0 when all were read. Or
 * -ESTALE	the replica doesn't know what changed since: all of it may have changed
 * -EINVAL	the replica had no such commit
 * -E2BIG	the module is too old for this (CPTDEV_FEATURE_SINCE)
 */
int ckdev_image_extents_since(int fd, struct cptdev_extent *vec, unsigned int len,
			      uint64_t *pos, uint64_t since);

/**
 * ckdev_image_meta() - read the meta-data that was sent with the snapshot, in pieces
 * @fd:		snapshot or replica
 * @buf:	out
 * @len:	bytes; CPTDEV_META_MAX are always enough
 * @pos:	0 at the beginning; each call advances it
 *
 * Returns the number of bytes written: 0 when all were read.
 */
int ckdev_image_meta(int fd, void *buf, size_t len, uint64_t *pos);

/**
 * ckdev_snapshot_pread_at() - read memory as it was at the instant of a snapshot
 * @fd:		snapshot
 * @buf:	out
 * @len:	bytes; any number
 * @addr:	first byte; any address
 *
 * The call searches the list of extents from its beginning. To read a whole snapshot, read the
 * list once (ckdev_image_extents()), and the file from its beginning.
 *
 * Returns the number of bytes read. The number is less than @len, but at least one, if the
 * following bytes are of another kind; call again for these. Or
 * -ENXIO	the address isn't in this snapshot: its content hasn't changed since the base. Read
 *		an older snapshot.
 * -ENODATA	the address is in this snapshot, without data: the page read as the mapped file, or
 *		nothing was mapped
 * -EFAULT	the address was in no range of the session; or @buf can't be written
 * -EINVAL	@fd is a replica: use pread() with @addr as the offset
 */
ssize_t ckdev_snapshot_pread_at(int fd, void *buf, size_t len, const void *addr);

/*
 * Replicas
 */

/**
 * ckdev_replica_open() - open or create a replica
 * @fd:		any session of the caller
 * @name:	as in ckdev_session()
 * @flags:	CPTDEV_REPLICA_*
 * @max_bytes:	for a new replica: most memory that it may take; 0: the module's limit
 *
 * pread() on the descriptor takes the original address as the offset.
 *
 * Returns a descriptor, close-on-exec, or
 * -EINVAL	a bad name, or CPTDEV_REPLICA_EXCL without CPTDEV_REPLICA_CREATE
 * -ENOENT	no replica has this name, and CPTDEV_REPLICA_CREATE isn't given
 * -EEXIST	a replica has this name (CPTDEV_REPLICA_EXCL)
 * -EACCES	the replica, or a session of this name, belongs to another user
 * -EPERM	CPTDEV_REPLICA_WRITE without CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN
 */
int ckdev_replica_open(int fd, const char *name, unsigned int flags,
		       uint64_t max_bytes);

/**
 * ckdev_replica_begin() - start to stage a delta, or go on with one
 * @fd:		replica, opened with CPTDEV_REPLICA_WRITE
 * @begin:	see linux/cptdev.h
 *
 * Returns 0, or
 * -ESTALE	the replica knows a newer term, or was promoted, or has this generation or a
 *		newer one
 * -EILSEQ	a gap: @begin->base is newer than the replica's generation, or the delta is
 *		from another session and isn't full
 * -EEXIST	the replica has another session's content (CPTDEV_BEGIN_REPLACE)
 * -EBUSY	another descriptor is staging
 * -EBADF	@fd was opened without CPTDEV_REPLICA_WRITE
 * -ENOENT	the replica was removed: open the name again
 * -E2BIG, -EMSGSIZE, -EINVAL	the layout, the meta-data or the numbers are wrong; or with
 *		CPTDEV_BEGIN_CONTINUE, nothing is staged that could go on
 * -EDQUOT, -ENOMEM	with CPTDEV_BEGIN_CONTINUE: what was staged can't be committed any more
 */
int ckdev_replica_begin(int fd, struct cptdev_replica_begin *begin);

/**
 * ckdev_replica_stage() - stage pages of the delta
 * @fd:		the descriptor that began
 * @vec:	extents
 * @nr:		number of extents
 * @data:	the pages of the DATA extents, packed
 * @len:	bytes at @data
 *
 * Returns 0, or
 * -EINVAL	no delta was begun, or @len differs from the length of the DATA extents
 * -EFAULT	a pointer can't be used, or an extent is outside the layout
 * -ENOENT	the replica was removed
 * -EDQUOT, -ENOMEM	the delta can't be committed any more: begin again
 */
int ckdev_replica_stage(int fd, const struct cptdev_extent *vec, unsigned int nr,
			const void *data, size_t len);

/**
 * ckdev_replica_commit() - make the staged delta the content of the replica
 * @fd:		the descriptor that began
 * @generation:	the generation that was begun
 * @pages:	out: pages of the replica
 *
 * Commits all staged pages, or none.
 *
 * Returns 0, or
 * -EINVAL	no delta was begun, a promotion ended it, or @generation is another one
 * -EBUSY	the replica is frozen: try again later
 * -ENOENT	the replica was removed
 * -EDQUOT, -ENOMEM	staging failed with this error: begin again
 */
int ckdev_replica_commit(int fd, uint64_t generation, uint64_t *pages);

/**
 * ckdev_replica_abort() - drop the staged delta
 * @fd:		the descriptor that began
 *
 * Returns 0, or -EINVAL: no delta was begun; -ENOENT: the replica was removed.
 */
int ckdev_replica_abort(int fd);

/**
 * ckdev_replica_freeze() - keep the present generation, so that all reads see the same one
 * @fd:		replica
 * @generation:	out: the present generation; 0: nothing was ever committed
 *
 * Commits fail with -EBUSY until ckdev_replica_thaw() or close().
 *
 * Returns 0, or
 * -EACCES	the replica belongs to another user
 */
int ckdev_replica_freeze(int fd, uint64_t *generation);

/**
 * ckdev_replica_thaw() - allow commits again
 * @fd:		the descriptor that froze the replica
 *
 * Returns 0, also if the replica wasn't frozen.
 */
int ckdev_replica_thaw(int fd);

/**
 * ckdev_replica_content() - get a descriptor for reading the replica's memory
 * @fd:		replica, frozen through this descriptor
 *
 * pread() on the new descriptor takes the original address as the offset. Only the pages that
 * ckdev_image_extents() lists are meaningful. After ckdev_replica_thaw() the pages may change
 * while they are read.
 *
 * Returns a descriptor, close-on-exec, or
 * -EINVAL	the replica isn't frozen through @fd (only for a replica of the soft engine)
 * -ENODATA	no page was ever committed
 * -EMFILE, -ENFILE	too many open files
 */
int ckdev_replica_content(int fd);

/**
 * ckdev_replica_promote() - promote the replica: the spare takes over
 * @fd:		replica, opened with CPTDEV_REPLICA_WRITE
 * @term:	in: the new term, at most CPTDEV_TERM_MAX, 0: the next one; out: the new
 *		term. NULL: the next one.
 * @generation:	out: generation that the spare continues from
 *
 * For a program that has decided that the spare takes over.
 *
 * Returns 0, or
 * -ESTALE	@term isn't higher than the replica's
 * -EINVAL	@term is above CPTDEV_TERM_MAX
 * -ERANGE	@term is more than CPTDEV_TERM_STEP above the replica's
 * -EOVERFLOW	the replica has the highest term
 * -ENOENT	the replica was removed
 * -ENODATA	nothing was ever committed: there is no generation to continue from
 * -EBADF	@fd was opened without CPTDEV_REPLICA_WRITE
 */
int ckdev_replica_promote(int fd, uint64_t *term, uint64_t *generation);

/**
 * ckdev_replica_claim() - take the promotion of a replica
 * @fd:		replica
 * @term:	in: term of the promotion, 0: the present one; out: the replica's term. NULL:
 *		the present one.
 * @generation:	out: generation that the program continues from
 * @flags:	CPTDEV_CLAIM_OLD: the promotion may be older than the descriptor; to be set
 *		only if a person decided so
 *
 * For the program that continues from the replica, after ckdev_replica_wait() and before
 * ckdev_restore(). A promotion can be taken only once: if several programs wait, one of them
 * gets 0.
 *
 * Returns 0, or
 * -EALREADY	the promotion is taken; or it is older than @fd, and CPTDEV_CLAIM_OLD isn't
 *		given: the state may be out of date
 * -EINVAL	the replica isn't promoted, or @term is above CPTDEV_TERM_MAX
 * -ESTALE	@term isn't the term of the promotion
 * -EACCES	the replica belongs to another user
 * -ENOENT	the replica was removed
 * -ENOTTY	@fd isn't a replica, or the module is older than this call
 */
int ckdev_replica_claim(int fd, uint64_t *term, uint64_t *generation, unsigned int flags);

/**
 * ckdev_replica_copied() - report how far the program's own copy of a replica is
 * @fd:		replica
 * @commits:	number of the last commit that the copy has completely, as ckdev_restore_since()
 *		returns it in *@commits; 0: the program has no copy
 * @behind:	out: pages with data that changed after this commit; all pages with data, if
 *		there is no copy. NULL: not wanted.
 *
 * For a program that waits for the promotion and copies the replica ahead, after each pass.
 * "cptdevctl status" shows the newest copy of all descriptors of the replica. The number is
 * forgotten when @fd is closed. It changes nothing in the replica.
 *
 * Returns 0, or
 * -EINVAL	the replica has no such commit yet
 * -EACCES	the replica belongs to another user
 * -ENOENT	the replica was removed
 * -ENOTTY	@fd isn't a replica, or the module is older than this call
 */
int ckdev_replica_copied(int fd, uint64_t commits, uint64_t *behind);

/**
 * ckdev_replica_keep() - keep past generations of a replica
 * @fd:		replica, opened with CPTDEV_REPLICA_WRITE
 * @generations: how many to keep, at most CPTDEV_HISTORY_MAX; 0: none
 * @max_bytes:	most memory that their pages may take, 0: only the replica's limits
 *
 * A commit then keeps the pages that it replaces. See struct cptdev_replica_history for when the
 * oldest generation is forgotten.
 *
 * Returns 0, or
 * -EBADF	@fd was opened without CPTDEV_REPLICA_WRITE
 * -EINVAL	@generations is above CPTDEV_HISTORY_MAX
 * -ENOTTY	@fd isn't a replica, or the module is older than this call
 */
int ckdev_replica_keep(int fd, unsigned int generations, uint64_t max_bytes);

/**
 * ckdev_replica_history() - list the past generations of a replica
 * @fd:		replica
 * @past:	gets the newest @nr of them, the newest first
 * @nr:		number of entries that fit
 *
 * Returns how many there are, which may be more than @nr, or
 * -EFAULT	@past can't be written
 * -ENOMEM	no memory
 * -ENOTTY	@fd isn't a replica, or the module is older than this call
 */
int ckdev_replica_history(int fd, struct cptdev_past *past, unsigned int nr);

/**
 * ckdev_replica_at() - show another generation of a replica
 * @fd:		replica
 * @generation:	the present generation, or one of ckdev_replica_history(); 0: always the newest
 *
 * pread() and the ckdev_image_*() calls on @fd then show this generation, while others are
 * committed. They fail with -ESTALE once it is forgotten.
 *
 * Returns 0, or
 * -ENODATA	the replica doesn't have the generation, or not any more
 * -EACCES	the replica belongs to another user
 * -ENOMEM	no memory
 * -ENOTTY	@fd isn't a replica, or it is one of the soft engine, or the module is older than
 *		this call
 */
int ckdev_replica_at(int fd, uint64_t generation);

/**
 * ckdev_replica_back() - promote the replica, and go back to a past generation
 * @fd:		replica, opened with CPTDEV_REPLICA_WRITE, that shows this generation; see
 *		ckdev_replica_at()
 * @term:	as for ckdev_replica_promote()
 * @generation:	out: generation that the spare continues from
 *
 * All later generations are lost for good, also if they were acknowledged.
 *
 * Returns 0, an error of ckdev_replica_promote(), or
 * -EINVAL	@fd shows no generation to go back to
 * -ESTALE	this generation was forgotten
 * -EBUSY	the replica is frozen
 * -ENOMEM	no memory
 */
int ckdev_replica_back(int fd, uint64_t *term, uint64_t *generation);

/**
 * ckdev_replica_remove() - remove the replica
 * @fd:		replica
 *
 * The name is free at once, the memory when the last descriptor is closed. Staged pages are
 * dropped, and the program that fills the replica gets -ENOENT from its next call.
 *
 * Returns 0, or
 * -EACCES	the replica belongs to another user
 */
int ckdev_replica_remove(int fd);

/* Flag of ckdev_replica_wait(). */
#define CKDEV_WAIT_COMMITS	(1U << 0)	/* return on commits too */

/* Bits that ckdev_replica_wait() returns. */
#define CKDEV_PROMOTED		(1 << 0)
#define CKDEV_COMMITTED		(1 << 1)

/**
 * ckdev_replica_wait() - wait until the replica is promoted
 * @fd:		replica
 * @flags:	CKDEV_WAIT_COMMITS: also return when a generation was committed
 * @timeout_ns:	nanoseconds; 0 doesn't wait, CPTDEV_FOREVER waits without limit
 *
 * A commit is reported until ckdev_image_info() is called for the descriptor.
 *
 * Returns CKDEV_PROMOTED, CKDEV_COMMITTED or both, or
 * -ETIMEDOUT	nothing happened in time
 * -EINTR	a signal came; call again with the rest of the time
 * -ENOENT	the replica was removed, and can't be promoted any more
 * -ENOTTY, -EINVAL	@fd isn't a replica; an unknown flag
 */
int ckdev_replica_wait(int fd, unsigned int flags, uint64_t timeout_ns);

/**
 * struct ckdev_restore - arguments and results of ckdev_restore()
 * @size:	sizeof(struct ckdev_restore)
 * @flags:	CKDEV_RESTORE_*
 * @generation:	out: the restored generation
 * @term:	out: term of the replica, for ckdev_session()
 * @segments:	out: segments of the layout
 * @bytes:	out: bytes copied
 * @refused:	out, on failure: address and reason of the refusal
 */
struct ckdev_restore {
	uint32_t size;
	uint32_t flags;
	uint64_t generation;
	uint64_t term;
	uint64_t segments;
	uint64_t bytes;
	struct ckdev_refusal refused;
};

/* Map anonymous memory that isn't mapped, and give all of it its original protection. */
#define CKDEV_RESTORE_MAP	(1U << 0)
/* With MAP: fail if anything is mapped at an address of the replica's anonymous memory. */
#define CKDEV_RESTORE_EXCL	(1U << 1)
/* Leave the replica frozen, so that the caller can read more of it; the caller thaws it. */
#define CKDEV_RESTORE_FREEZE	(1U << 2)
/* For ckdev_restore_since() only: copy ahead, while generations are committed. */
#define CKDEV_RESTORE_AHEAD	(1U << 3)

/**
 * ckdev_restore() - copy the content of a replica to its original addresses
 * @fd:		replica
 * @restore:	@size and @flags in, the rest out
 *
 * The effect on an address depends on the segment of the layout:
 *
 *   anonymous memory	The memory must be mapped, private, anonymous and writable. With
 *			CKDEV_RESTORE_MAP, the call itself maps memory that isn't mapped.
 *			Afterwards the memory has the replica's content, and zeros where
 *			the replica has no data, whatever the memory contained before.
 *   mapping of a file	The same part of the file must be mapped, private, and writable
 *			where the replica has data. Afterwards pages without data read
 *			as the file.
 *   no mapping		The address is left unchanged.
 *
 * The whole layout is checked before the first byte is written. The replica is frozen during
 * the call. The stack of the calling thread must not be part of the memory, and no other
 * thread may use the memory during the call. The call doesn't check whether the replica was
 * promoted; ckdev_replica_wait() does.
 *
 * Returns 0, or
 * -EINVAL	an unknown flag, CKDEV_RESTORE_EXCL alone, or a @size that is too small
 * -ENODATA	nothing was ever committed
 * -ENOENT	/proc isn't mounted, so the mappings can't be checked
 * -EMFILE, -ENFILE	too many open files
 * or one of these errors, for the address in @restore->refused:
 * -EFAULT	the address isn't mapped
 * -EACCES	the memory can't be written
 * -EEXIST	something is mapped there (CKDEV_RESTORE_EXCL)
 * -EOPNOTSUPP	the mapping is shared; or a file is mapped where the primary had no file; or
 *		the primary had a file there, and no file, or another part of one, is mapped
 * -EDEADLK	the memory is the stack of the calling thread
 * After all these errors nothing was changed. The following errors can occur after a part was
 * restored. The memory then can be used only for another attempt:
 * -ENOMEM	no memory, or too many mappings
 * -EIO		the replica couldn't be read (a defect of the module)
 */
int ckdev_restore(int fd, struct ckdev_restore *restore);

/**
 * ckdev_restore_since() - copy what changed in a replica since an earlier call
 * @fd:		replica
 * @restore:	as for ckdev_restore()
 * @commits:	in: 0, or the number that the call before returned for the same descriptor: the
 *		memory is as that call left it, and only what changed since is copied. If the
 *		replica doesn't know what changed, everything is copied. out: number of the
 *		replica's last commit that the memory has; 0: the module is too old for that
 *
 * For a spare that copies ahead of the promotion. With CKDEV_RESTORE_AHEAD the replica isn't
 * frozen, and the memory stays writable. It may have pages of several generations, and may be
 * neither used nor changed until the next call. A call without this flag, after the promotion,
 * makes it whole. Memory that a call mapped stays mapped when the layout doesn't have it any more.
 *
 * Returns as ckdev_restore(), and
 * -EINVAL	also: CKDEV_RESTORE_EXCL and *@commits isn't 0; CKDEV_RESTORE_FREEZE with
 *		CKDEV_RESTORE_AHEAD
 */
int ckdev_restore_since(int fd, struct ckdev_restore *restore, uint64_t *commits);

/*
 * Texts of errors
 */

/**
 * ckdev_strreason() - the text for a reason why memory was refused
 * @reason:	enum cptdev_reason or enum ckdev_reason
 *
 * Returns a string that stays valid, never NULL.
 */
const char *ckdev_strreason(int reason);

/**
 * ckdev_strerror() - the text for an error of these calls: its meaning and the next step
 * @err:	errno, positive or negative
 *
 * Returns a string that stays valid, never NULL. For an error that has no special meaning in
 * this library, the text says so.
 */
const char *ckdev_strerror(int err);

/**
 * ckdev_describe_refusal() - describe a refusal in one line
 * @why:	the refusal, as a call wrote it
 * @buf:	out: the address, the reason, and the mapping's line of /proc/self/maps; without
 *		newline, and terminated if @len isn't 0
 * @len:	bytes; 256 are enough for most lines
 *
 * Returns the length of the text in @buf, which may have been cut short.
 */
int ckdev_describe_refusal(const struct ckdev_refusal *why, char *buf, size_t len);

#ifdef __cplusplus
}
#endif

#endif /* CKDEV_H */
