/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libckdev: checkpoints of a program's own memory, by the cptdev module.
 *
 * Thin calls over the ioctls of linux/cptdev.h, which has the meaning of every field and
 * of every error. ckdev(7) is the overview. Calls that programs for other systems know are
 * in sys/cpt.h and sys/mwrwatch.h.
 *
 * What holds for each call here:
 *
 * - It returns zero or more on success, a descriptor where it makes one, and -errno on
 *   failure. It leaves errno alone, prints nothing, keeps no state of its own and
 *   allocates no memory. So any thread may call it, and any number at once.
 * - A struct cptdev_* is passed as the kernel wants it: the caller sets @size, and all
 *   that it doesn't name to zero, best by a designated initialiser:
 *
 *	struct cptdev_snapshot snap = { .size = sizeof(snap), .flags = ... };
 *
 *   So a program works with a newer library, and a newer program with an older module.
 * - Addresses and lengths are bytes, multiples of the page size unless said otherwise.
 *   Times are nanoseconds; CPTDEV_FOREVER never passes, 0 only asks.
 * - Where an out pointer is described it may be NULL: not wanted.
 * - -EINTR is returned only where it is named below. Elsewhere a signal that has a
 *   handler doesn't disturb the call.
 * - Common to all calls, so not repeated below: -EBADF @fd isn't open, -ENOTTY it is
 *   another kind of descriptor, -EFAULT a pointer that can't be used, -EINVAL @size is
 *   too small, -E2BIG it is larger than the module knows and what it doesn't know isn't
 *   zero, -EOPNOTSUPP a flag that the module doesn't know, -ENOMEM.
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

/* A pointer as it travels in the structs of linux/cptdev.h. */
#define CKDEV_PTR(p)	((__u64)(uintptr_t)(p))

/*
 * Why memory was refused: enum cptdev_reason, and what only ckdev_restore() says.
 */
enum ckdev_reason {
	CKDEV_REASON_READONLY	= 256,	/* mapped without permission to write */
	CKDEV_REASON_TAKEN	= 257,	/* something is mapped there already */
	CKDEV_REASON_NOT_ANON	= 258,	/* a file, where the image has no file */
	CKDEV_REASON_NOT_FILE	= 259,	/* no file there, or another part of one */
	CKDEV_REASON_IN_USE	= 260,	/* the stack that the call runs on */
	CKDEV_REASON_NO_DATA	= 261,	/* the replica couldn't be read there */
};

/**
 * struct ckdev_refusal - where something was refused, and why
 * @addr:	address of the first page that was refused, NULL: it wasn't about memory
 * @reason:	enum cptdev_reason or enum ckdev_reason, see ckdev_strreason()
 *
 * Always written by a call that takes one, also when it succeeds.
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
 * The session belongs to the caller's address space: a child after fork(), and a program
 * after exec, need one of their own. The descriptor is close-on-exec. close() ends the
 * session.
 *
 * Returns the descriptor, or
 * -ENOENT, -ENXIO, -ENODEV	the module isn't loaded
 * -EACCES	no permission for the device
 * -EPROTO	the module speaks another version of the interface
 * -EMFILE, -ENFILE	too many open files
 */
int ckdev_open(void);

/**
 * ckdev_soft_open() - a session where there is no module
 * @path:	socket of a cptdevd whose engine is soft; NULL: /run/cptdevd/programs
 *
 * The calls here take the descriptor as they take one of the device, as far as they don't look
 * into the caller's memory: ckdev_info(), ckdev_session(), ckdev_wait(), ckdev_alive(),
 * ckdev_session_page(), ckdev_replica_*() for who waits and reads, ckdev_image_*() of a replica,
 * ckdev_restore(). What changed the program finds out by itself, and hands it over with
 * ckdev_soft_publish(). Other calls give -ENOTTY.
 *
 * poll() reports POLLIN, and nothing else, when there is news since the last ckdev_wait(), or
 * for a replica since the last ckdev_image_info() or ckdev_replica_wait(): call those with a
 * time-out of 0. Every call may fail with -ECONNRESET: the daemon has ended, and what it kept
 * is gone. Open a new one, and publish everything. And with -ETIME: it is stopped, or hangs, and
 * has given no answer for 10 s, to ckdev_soft_publish() for 60 s; whether it does what was asked isn't
 * known. A wait with a time-out ends a second after that at the latest, with -ETIMEDOUT.
 *
 * Returns the descriptor, close-on-exec, or
 * -ENOENT, -ECONNREFUSED	no such daemon runs
 * -EACCES	no permission for the socket
 * -ENAMETOOLONG	@path is too long for a socket
 * -EMFILE, -ENFILE	too many open files
 * -ETIME	the daemon lets nobody in
 */
int ckdev_soft_open(const char *path);

/**
 * ckdev_is_soft() - is it a session or replica of ckdev_soft_open()
 * @fd:		any descriptor
 *
 * Returns 1 or 0.
 */
int ckdev_is_soft(int fd);

/**
 * struct ckdev_soft_delta - what changed, for ckdev_soft_publish()
 * @size:	sizeof(struct ckdev_soft_delta)
 * @flags:	0
 * @memfd:	of memfd_create() with MFD_ALLOW_SEALING: the pages of the DATA extents, packed
 *		from its beginning. It must not be mapped for writing.
 * @nr_extents:	entries of @extents
 * @nr_segments:	entries of @layout
 * @meta_len:	bytes of @meta, at most CPTDEV_META_MAX
 * @base:	it has what changed after this generation; 0: everything
 * @extents:	which pages are in it, ascending, without overlap, inside the layout
 * @layout:	what is mapped, ascending, without overlap
 * @meta:	blob that travels along
 * @generation:	out: the number that it got; 0: it wasn't published
 * @reach:	out, on failure too: @base of the next one may be no higher
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
 * ckdev_soft_publish() - hand over what changed
 * @fd:		session of ckdev_soft_open() that has a name
 * @delta:	in and out
 *
 * The memory file is sealed: it can't be changed afterwards. Close it, or keep it for reading.
 *
 * Returns 0: ckdev_wait() for @delta->generation. Or
 * -EILSEQ	@delta->base is above @delta->reach: the spare needs more
 * -EDQUOT	more would be held than allowed: let the spare catch up
 * -EINVAL	no name, numbers or extents that make no sense, not a memory file
 * -EFAULT	an extent outside the layout
 * -EBUSY	the memory file is mapped for writing
 * -EPERM	the memory file can't be sealed
 * -E2BIG, -EMSGSIZE	too many entries, too much meta-data
 * -EXDEV	not in the process that opened the session
 * -ECONNRESET	the daemon has ended
 * -ETIME	the daemon doesn't answer: publish everything with the next one
 * -ENOTTY	a session of the module: ckdev_snapshot()
 */
int ckdev_soft_publish(int fd, struct ckdev_soft_delta *delta);

/**
 * ckdev_info() - what the module can do, and the state of the session
 * @fd:		session
 * @info:	@size in, everything out
 *
 * Returns 0.
 */
int ckdev_info(int fd, struct cptdev_info *info);

/**
 * ckdev_session() - give the session its name, and limits
 * @fd:		session
 * @name:	1 to CPTDEV_NAME_MAX - 1 characters of [A-Za-z0-9._-]
 * @term:	fencing number; 0 for the first. Who took over passes its replica's.
 * @flags:	CPTDEV_SESSION_*
 * @held_max:	most memory that snapshots may hold, bytes; 0: the module's limit
 *
 * Once, before the first snapshot. Needed for snapshots that go to a spare.
 *
 * Returns 0, or
 * -EINVAL	a bad name
 * -EEXIST	another session of this machine has the name
 * -EACCES	a replica of this name belongs to another user
 * -EBUSY	the session has a name, or had a snapshot, already
 * -EXDEV	not in the process that opened it
 */
int ckdev_session(int fd, const char *name, uint64_t term, unsigned int flags,
		  uint64_t held_max);

/**
 * ckdev_range_add() - track memory
 * @fd:		session
 * @addr:	first byte
 * @len:	bytes
 * @flags:	CPTDEV_RANGE_EXCL refuses what is tracked already, else it is merged
 * @why:	out: what was refused
 *
 * The memory must be private: anonymous, or a private mapping of a file. All of it is
 * tracked, or nothing.
 *
 * Returns 0, or
 * -EINVAL	not multiples of the page size, or no bytes
 * -EFAULT	@why->addr isn't mapped
 * -EOPNOTSUPP	@why->addr can't be tracked, @why->reason says why
 * -EEXIST	@why->addr is in a range (CPTDEV_RANGE_EXCL)
 * -EBUSY	@why->addr is in a range of another session of this process
 * -E2BIG	more than CPTDEV_RANGES_MAX ranges
 * -EXDEV, -ESRCH	not in the process that opened the session
 */
int ckdev_range_add(int fd, const void *addr, size_t len, unsigned int flags,
		    struct ckdev_refusal *why);

/**
 * ckdev_range_del() - track memory no longer
 * @fd:		session
 * @addr:	first byte
 * @len:	bytes
 *
 * Any part of any ranges. What isn't tracked between is no error.
 *
 * Returns 0, -EINVAL and -EXDEV as ckdev_range_add(), or -ENOENT: nothing between is
 * tracked.
 */
int ckdev_range_del(int fd, const void *addr, size_t len);

/**
 * ckdev_range_clear() - track nothing
 * @fd:		session
 *
 * Returns 0, or -EXDEV, -ESRCH as ckdev_range_add().
 */
int ckdev_range_clear(int fd);

/**
 * ckdev_range_list() - read the ranges back, in pieces
 * @fd:		session
 * @vec:	out: ranges in ascending order; may be NULL if @len is 0
 * @len:	its length in entries
 * @pos:	in: ranges that end after this address, 0 for all; out: where to go on
 * @total:	out: how many ranges the session has
 *
 * Returns the number of entries written: 0 when all were read.
 */
int ckdev_range_list(int fd, struct cptdev_range_entry *vec, unsigned int len,
		     uint64_t *pos, uint64_t *total);

/**
 * ckdev_scan() - which pages changed
 * @fd:		session
 * @scan:	in and out, as linux/cptdev.h says
 *
 * Read in pieces: while @scan->walk_end isn't the end, copy it to @scan->start and call
 * again. With CPTDEV_SCAN_CLEAR_DIRTY a store that isn't in this answer is in the next.
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
 * @snap:	in and out, as linux/cptdev.h says: flags, since, meta; generation, counts
 *
 * Returns a descriptor (also in @snap->fd), or 0 with CPTDEV_SNAPSHOT_NOFD, or
 * -EINVAL	a combination of fields that makes no sense
 * -EDQUOT	more memory would be held than allowed: let the spare catch up, close
 *		snapshots, or allow more
 * -EFAULT, -EOPNOTSUPP, -EHWPOISON	@snap->bad_addr can't be frozen
 * -EMSGSIZE	more meta-data than CPTDEV_META_MAX
 * -EXDEV, -ESRCH	not in the process that opened the session
 * and with CPTDEV_SNAPSHOT_WAIT those of ckdev_wait(): the snapshot was taken then.
 */
int ckdev_snapshot(int fd, struct cptdev_snapshot *snap);

/**
 * ckdev_wait() - wait until the spare has a generation
 * @fd:		session
 * @generation:	of a published snapshot; 0 for the newest, and to learn of a fence
 * @timeout_ns:	nanoseconds, 0 only asks, or CPTDEV_FOREVER
 * @committed:	out, on failure too: the newest generation that the spare has
 *
 * Returns 0 when the spare has it, or
 * -ETIMEDOUT	it hasn't yet
 * -EINTR	a signal came; call again with what is left of the time
 * -ECANCELED	it won't get this one: take another snapshot
 * -ESTALE	fenced: a spare took over. Stop serving. With 0 as @generation a fenced
 *		session always gets this, also if it never published anything.
 * -EINVAL	no such generation was published
 */
int ckdev_wait(int fd, uint64_t generation, uint64_t timeout_ns, uint64_t *committed);

/**
 * ckdev_session_page() - map what WAIT tells, to read it without a call
 * @fd:		session; one of ckdev_soft_open() must have a name
 * @page:	out: struct cptdev_session_page, kept up to date
 *
 * The mapping is as long as a page; munmap() ends it. With the module it holds the session
 * as the descriptor does: unmap it before close(). A forked child inherits it and may read it.
 *
 * Returns 0, or
 * -EOPNOTSUPP	the module is older than this call
 * -EINVAL	the session has no name (ckdev_soft_open())
 * -EXDEV, -ESRCH	not in the process that opened the session
 */
int ckdev_session_page(int fd, const struct cptdev_session_page **page);

/**
 * ckdev_boottime() - the clock of leases
 *
 * Returns CLOCK_BOOTTIME, nanoseconds. On most machines that is no system call.
 */
uint64_t ckdev_boottime(void);

/**
 * ckdev_may_serve() - may the program answer its clients at this moment
 * @page:	of ckdev_session_page()
 *
 * Any thread, no system call. A program asks right before an answer goes out, for reads too.
 *
 * Returns 1, or 0: fenced, blocked, or the lease is over.
 */
static inline int ckdev_may_serve(const struct cptdev_session_page *page)
{
	const __u32 stop = CPTDEV_STATE_FENCED | CPTDEV_STATE_BLOCKED;
	__u64 until;

	/* The flags again: a lease that is taken out of use may come with one. */
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
 * @timeout_ns:	the next sign comes within this time, nanoseconds; 0: there will be none
 *
 * To publish a snapshot is a sign of life, too, with the time of the last call. If none comes
 * in time, the session is shown as hung until the next one, and cptdevd does what on_hang in
 * its configuration says. The time in which the host was suspended doesn't count. Without
 * this call nobody watches a program. Any thread may call it: let it be the one whose hanging
 * is to be noticed.
 *
 * Returns 0, or
 * -EOPNOTSUPP	the module is older than this call
 * -EINVAL	the session has no name (ckdev_soft_open())
 * -EXDEV, -ESRCH	not in the process that opened the session
 */
int ckdev_alive(int fd, uint64_t timeout_ns);

/**
 * ckdev_checkpoint() - bring what the memory holds now to the spare
 * @fd:		session with a name
 * @meta:	blob that travels along; NULL if @meta_len is 0
 * @meta_len:	bytes, at most CPTDEV_META_MAX
 * @timeout_ns:	nanoseconds for all of it, or CPTDEV_FOREVER
 * @generation:	out: of the last snapshot taken, on failure too; 0 if none was
 *
 * Publishes a snapshot and waits for the spare. When the spare turns out to need more
 * than is kept, takes the next one, which has it. Because of that the memory must be
 * consistent for the whole time of the call, not only at its beginning: no other thread
 * may be half-way through a change. (Who can't promise that calls ckdev_snapshot() and
 * ckdev_wait().)
 *
 * Returns 0: what the memory held is on the spare. Else those of ckdev_snapshot(), and
 * -ETIMEDOUT	not there yet: ckdev_wait() for @generation, or call again
 * -EINTR	a signal came; likewise
 * -ESTALE	fenced: a spare took over. Stop serving.
 */
int ckdev_checkpoint(int fd, const void *meta, size_t meta_len, uint64_t timeout_ns,
		     uint64_t *generation);

/**
 * ckdev_delta() - fetch a published snapshot of any session
 * @fd:		session of the caller; from the first call on it stands for a spare
 * @delta:	in: session_id and since; out: generation, base, pages
 *
 * For the program that ships snapshots.
 *
 * Returns a descriptor (also in @delta->fd), or
 * -EPERM	no CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN
 * -ENOENT	no such session
 * -ENODATA	nothing newer than @since
 * -ESTALE	the next published snapshot will reach back to @since
 * -EINVAL	@since was never published
 */
int ckdev_delta(int fd, struct cptdev_delta *delta);

/**
 * ckdev_ack() - tell what the spare has
 * @fd:		the descriptor that called ckdev_delta(); any session for
 *		CPTDEV_ACK_FENCED alone
 * @session_id:	which session
 * @generation:	what the spare has committed; 0 with a flag
 * @flags:	CPTDEV_ACK_*
 *
 * Returns 0, or
 * -EPERM	no CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN
 * -ENOENT	no such session
 * -EINVAL	@fd doesn't follow it, or @generation was never published
 */
int ckdev_ack(int fd, uint64_t session_id, uint64_t generation, unsigned int flags);

/*
 * Images: snapshots and replicas alike
 */

/**
 * ckdev_image_info() - what is in a snapshot or replica
 * @fd:		snapshot or replica
 * @info:	@size in, everything out
 *
 * On a replica this also ends "a generation was committed" for ckdev_replica_wait() and
 * poll().
 *
 * Returns 0.
 */
int ckdev_image_info(int fd, struct cptdev_image_info *info);

/**
 * ckdev_image_layout() - what was mapped in the ranges, in pieces
 * @fd:		snapshot or replica
 * @vec:	out: segments in ascending order
 * @len:	its length in entries
 * @pos:	0 to begin; moves on
 *
 * Returns the number of entries written: 0 when all were read.
 */
int ckdev_image_layout(int fd, struct cptdev_segment *vec, unsigned int len,
		       uint64_t *pos);

/**
 * ckdev_image_extents() - which pages are in it, in pieces
 * @fd:		snapshot or replica
 * @vec:	out: extents in ascending order
 * @len:	its length in entries
 * @pos:	0 to begin; moves on. In a snapshot an index, in a replica an address, so
 *		that there one may begin anywhere.
 *
 * Returns the number of entries written: 0 when all were read.
 */
int ckdev_image_extents(int fd, struct cptdev_extent *vec, unsigned int len,
			uint64_t *pos);

/**
 * ckdev_image_meta() - the blob that travelled along, in pieces
 * @fd:		snapshot or replica
 * @buf:	out
 * @len:	bytes; CPTDEV_META_MAX are always enough
 * @pos:	0 to begin; moves on
 *
 * Returns the number of bytes written: 0 when all were read.
 */
int ckdev_image_meta(int fd, void *buf, size_t len, uint64_t *pos);

/**
 * ckdev_snapshot_pread_at() - what an address held at the instant of a snapshot
 * @fd:		snapshot
 * @buf:	out
 * @len:	bytes; need not be a multiple of anything
 * @addr:	first byte; likewise
 *
 * Looks for the extent, so it takes longer the more extents there are: who reads a whole
 * snapshot reads the list once (ckdev_image_extents()) and the file from its beginning.
 *
 * Returns the number of bytes read. Fewer than @len, but at least one, when the next ones
 * are of another kind: call again for them. Or
 * -ENXIO	not in this snapshot: unchanged since its base. An older one has it.
 * -ENODATA	in this snapshot, without data: as in the file, or nothing was mapped
 * -EFAULT	in no range of the session then; or @buf
 * -EINVAL	@fd is a replica: use pread() with @addr as the offset
 */
ssize_t ckdev_snapshot_pread_at(int fd, void *buf, size_t len, const void *addr);

/*
 * Replicas
 */

/**
 * ckdev_replica_open() - open a replica, or create it
 * @fd:		session, any of the caller's
 * @name:	as in ckdev_session()
 * @flags:	CPTDEV_REPLICA_*
 * @max_bytes:	if it is created: most memory it may take; 0: the module's limit
 *
 * Returns a descriptor: pread() takes the original address as the offset. Or
 * -EINVAL	a bad name
 * -ENOENT	there is none, and no CPTDEV_REPLICA_CREATE
 * -EEXIST	there is one (CPTDEV_REPLICA_EXCL)
 * -EACCES	it, or a session of this name, belongs to another user
 * -EPERM	CPTDEV_REPLICA_WRITE without CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN
 */
int ckdev_replica_open(int fd, const char *name, unsigned int flags,
		       uint64_t max_bytes);

/**
 * ckdev_replica_begin() - start to stage a delta
 * @fd:		replica, opened with CPTDEV_REPLICA_WRITE
 * @begin:	as linux/cptdev.h says
 *
 * Returns 0, or
 * -ESTALE	a newer term, or generation, is there already
 * -EILSEQ	a gap: the delta begins after what the replica has
 * -EEXIST	it has another session's content (CPTDEV_BEGIN_REPLACE)
 * -EBUSY	another descriptor is staging
 * -EBADF	without CPTDEV_REPLICA_WRITE
 * -ENOENT	the replica was removed: open the name anew
 * -E2BIG, -EMSGSIZE, -EINVAL	layout, meta-data or numbers are wrong
 */
int ckdev_replica_begin(int fd, struct cptdev_replica_begin *begin);

/**
 * ckdev_replica_stage() - stage pages of the delta
 * @fd:		the descriptor that began
 * @vec:	extents
 * @nr:		how many
 * @data:	the pages of the DATA extents, packed
 * @len:	bytes
 *
 * Returns 0, or
 * -EINVAL	nothing was begun, or @len isn't what the extents say
 * -EFAULT	a pointer, or an extent outside the layout
 * -ENOENT	the replica was removed
 * -EDQUOT, -ENOMEM	the delta can't be committed any more: begin again
 */
int ckdev_replica_stage(int fd, const struct cptdev_extent *vec, unsigned int nr,
			const void *data, size_t len);

/**
 * ckdev_replica_commit() - make what was staged the replica's content
 * @fd:		the descriptor that began
 * @generation:	the one begun
 * @pages:	out: pages of the replica
 *
 * All of it or nothing.
 *
 * Returns 0, or
 * -EINVAL	nothing was begun, or another generation; also after a promotion
 * -EBUSY	the replica is frozen: try again later
 * -ENOENT	the replica was removed
 * -EDQUOT, -ENOMEM	staging failed so: begin again
 */
int ckdev_replica_commit(int fd, uint64_t generation, uint64_t *pages);

/**
 * ckdev_replica_abort() - drop what was staged
 * @fd:		the descriptor that began
 *
 * Returns 0, or -EINVAL: nothing was begun; -ENOENT: the replica was removed.
 */
int ckdev_replica_abort(int fd);

/**
 * ckdev_replica_freeze() - hold the generation, so that several reads see the same
 * @fd:		replica
 * @generation:	out: which
 *
 * Commits fail with -EBUSY until ckdev_replica_thaw() or close().
 *
 * Returns 0, or
 * -EACCES	the replica belongs to another user
 */
int ckdev_replica_freeze(int fd, uint64_t *generation);

/**
 * ckdev_replica_thaw() - let the replica go on
 * @fd:		the descriptor that froze it
 *
 * Returns 0, also if it wasn't frozen.
 */
int ckdev_replica_thaw(int fd);

/**
 * ckdev_replica_content() - a descriptor to read the replica's memory from
 * @fd:		replica, frozen through this descriptor
 *
 * pread() takes the original address as the offset, for the pages that ckdev_image_extents()
 * lists; what else it reads means nothing. After ckdev_replica_thaw() it may change under the
 * reader.
 *
 * Returns a descriptor, close-on-exec, or
 * -EINVAL	it isn't frozen (a replica of the soft engine)
 * -ENODATA	no page was ever committed
 * -EMFILE, -ENFILE	too many open files
 */
int ckdev_replica_content(int fd);

/**
 * ckdev_replica_promote() - the spare takes over
 * @fd:		replica, opened with CPTDEV_REPLICA_WRITE
 * @term:	in: the new term, at most CPTDEV_TERM_MAX, 0 for the next one; out: the
 *		term. NULL: the next one.
 * @generation:	out: what the spare goes on from
 *
 * For whoever decides that the primary is gone.
 *
 * Returns 0, or
 * -ESTALE	@term isn't higher than the replica's
 * -EINVAL	@term is above CPTDEV_TERM_MAX
 * -ERANGE	@term is more than CPTDEV_TERM_STEP above the replica's
 * -EOVERFLOW	the replica has the highest term
 * -ENOENT	the replica was removed
 * -ENODATA	nothing was ever committed: there is nothing to go on from
 * -EBADF	without CPTDEV_REPLICA_WRITE
 */
int ckdev_replica_promote(int fd, uint64_t *term, uint64_t *generation);

/**
 * ckdev_replica_claim() - take the promotion of a replica
 * @fd:		replica
 * @term:	in: of the promotion, 0 for the present one; out: the replica's term. NULL:
 *		the present one.
 * @generation:	out: what the program goes on from
 * @flags:	CPTDEV_CLAIM_OLD: the promotion may be older than the descriptor; a
 *		person decided so
 *
 * For the program that goes on from the replica, after ckdev_replica_wait() and before
 * ckdev_restore(). A promotion is taken once.
 *
 * Returns 0, or
 * -EALREADY	it is taken; or it was promoted before @fd was opened, without
 *		CPTDEV_CLAIM_OLD: the state may be long past
 * -EINVAL	it isn't promoted
 * -ESTALE	@term isn't the promotion's
 * -EACCES	the replica belongs to another user
 * -ENOENT	the replica was removed
 * -ENOTTY	@fd isn't a replica, or the module doesn't know the call
 */
int ckdev_replica_claim(int fd, uint64_t *term, uint64_t *generation, unsigned int flags);

/**
 * ckdev_replica_remove() - free the name, and the memory when the last one closes
 * @fd:		replica
 *
 * What is staged is dropped, and whoever fills the replica gets -ENOENT from then on.
 *
 * Returns 0, or
 * -EACCES	the replica belongs to another user
 */
int ckdev_replica_remove(int fd);

/* Flag of ckdev_replica_wait(). */
#define CKDEV_WAIT_COMMITS	(1U << 0)	/* return on commits too */

/* Bits that it returns. */
#define CKDEV_PROMOTED		(1 << 0)
#define CKDEV_COMMITTED		(1 << 1)

/**
 * ckdev_replica_wait() - wait until the replica is promoted
 * @fd:		replica
 * @flags:	CKDEV_WAIT_COMMITS: return when a generation was committed, too
 * @timeout_ns:	nanoseconds, 0 only asks, or CPTDEV_FOREVER
 *
 * A commit is reported until ckdev_image_info() is called for the descriptor.
 *
 * Returns CKDEV_PROMOTED, CKDEV_COMMITTED or both, or
 * -ETIMEDOUT	nothing yet
 * -EINTR	a signal came; call again with what is left of the time
 * -ENOENT	the replica was removed: nothing will come
 * -ENOTTY, -EINVAL	not a replica, an unknown flag
 */
int ckdev_replica_wait(int fd, unsigned int flags, uint64_t timeout_ns);

/**
 * struct ckdev_restore - ckdev_restore(): how, and what became of it
 * @size:	sizeof(struct ckdev_restore)
 * @flags:	CKDEV_RESTORE_*
 * @generation:	out: what was restored
 * @term:	out: of the replica; for ckdev_session()
 * @segments:	out: segments of the layout
 * @bytes:	out: bytes copied
 * @refused:	out, on failure: where and why
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

/* Map anonymous memory that isn't there, and give it the protection it had. */
#define CKDEV_RESTORE_MAP	(1U << 0)
/* With MAP: refuse if anything is mapped where anonymous memory goes. */
#define CKDEV_RESTORE_EXCL	(1U << 1)
/* Leave the replica frozen: the caller reads on, and thaws. */
#define CKDEV_RESTORE_FREEZE	(1U << 2)

/**
 * ckdev_restore() - copy a replica to where the memory was
 * @fd:		replica
 * @restore:	@size and @flags in, the rest out
 *
 * Everything goes to its original address. For each segment of the layout:
 *
 *   anonymous memory	must be mapped, private, anonymous and writable, or, with
 *			CKDEV_RESTORE_MAP, is mapped here. It then has the replica's
 *			content, and zeros where the replica has no data, whatever it
 *			held before.
 *   mapping of a file	the same part of the file must be mapped private, and writable
 *			where the replica has data. Other pages read as the file.
 *   unmapped		nothing is done.
 *
 * All this is checked, for the whole layout, before the first byte is written. The
 * replica is frozen meanwhile. The memory of the call itself (its stack) must not be part
 * of it, and no other thread may use what is restored. Whether the replica is promoted
 * doesn't matter: ckdev_replica_wait() tells.
 *
 * Returns 0, or
 * -EINVAL	an unknown flag, CKDEV_RESTORE_EXCL alone, a @size that is too small
 * -ENODATA	nothing was ever committed
 * -ENOENT	/proc isn't mounted: what is mapped can't be checked
 * -EMFILE, -ENFILE	too many open files
 * and, with @restore->refused:
 * -EFAULT	isn't mapped
 * -EACCES	can't be written
 * -EEXIST	is mapped (CKDEV_RESTORE_EXCL)
 * -EOPNOTSUPP	is shared, or a file where there was none, or the other way round
 * -EDEADLK	is the stack that the call runs on
 * After these nothing was changed. The rest comes too late for that, and leaves memory
 * half restored, fit for another attempt only:
 * -ENOMEM	no memory, or too many mappings
 * -EIO		the replica has less than it says (a defect of the module)
 */
int ckdev_restore(int fd, struct ckdev_restore *restore);

/*
 * Words for people
 */

/**
 * ckdev_strreason() - why memory was refused, in words
 * @reason:	enum cptdev_reason or enum ckdev_reason
 *
 * Never NULL.
 */
const char *ckdev_strreason(int reason);

/**
 * ckdev_strerror() - what an error of these calls means, and what to do
 * @err:	errno, positive or negative
 *
 * Never NULL. An error without a meaning of its own here says so.
 */
const char *ckdev_strerror(int err);

/**
 * ckdev_describe_refusal() - address, reason, and the mapping's line of /proc/self/maps
 * @why:	what a call gave
 * @buf:	out: one line without newline, always terminated if @len isn't 0
 * @len:	bytes; 256 are enough for most
 *
 * Returns the length of the text as it is in @buf, which may have been cut short.
 */
int ckdev_describe_refusal(const struct ckdev_refusal *why, char *buf, size_t len);

#ifdef __cplusplus
}
#endif

#endif /* CKDEV_H */
