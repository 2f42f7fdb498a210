// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libckdev: reasons and errors in words. What an errno means in these calls is fixed in
 * linux/cptdev.h; here it is said with what to do next.
 */
#include "internal.h"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

int ckdev_refuse(struct ckdev_refusal *why, uint64_t addr, int reason, int err)
{
	if (why) {
		why->addr = ckdev_pointer(addr);
		why->reason = reason;
	}
	return err;
}

struct text {
	int code;
	const char *text;
};

static const struct text reasons[] = {
	{ CPTDEV_REASON_NONE, "not refused" },
	{ CPTDEV_REASON_UNMAPPED, "nothing is mapped there: map it first, or leave it out" },
	{ CPTDEV_REASON_SHARED,
	  "shared memory, which others can change unseen: leave it out, or map it "
	  "MAP_PRIVATE" },
	{ CPTDEV_REASON_HUGETLB,
	  "hugetlb pages can't be tracked: leave them out, or use anonymous memory" },
	{ CPTDEV_REASON_DEVICE,
	  "memory of a device, the kernel or a DAX file can't be tracked: leave it out" },
	{ CPTDEV_REASON_SPECIAL,
	  "memory of a special kind (vDSO, shadow stack) can't be tracked: leave it out" },
	{ CPTDEV_REASON_SESSION,
	  "another session of this process tracks it: delete the range there first" },
	{ CPTDEV_REASON_OVERLAP,
	  "it is in a range already: leave it out, or don't ask for CPTDEV_RANGE_EXCL" },
	{ CPTDEV_REASON_HELD,
	  "more would be held than allowed: let the spare catch up, close snapshots, or "
	  "raise held_max" },
	{ CPTDEV_REASON_USER,
	  "the user's snapshots would hold more than allowed: close some, or raise "
	  "user_held_max_mib of the module" },
	{ CPTDEV_REASON_GROUP,
	  "the control group has no memory left for copies: raise memory.max, close "
	  "snapshots, or track less" },
	{ CKDEV_REASON_READONLY, "it is mapped without permission to write" },
	{ CKDEV_REASON_TAKEN, "something is mapped there already" },
	{ CKDEV_REASON_NOT_ANON,
	  "a file is mapped there, the image has anonymous memory" },
	{ CKDEV_REASON_NOT_FILE,
	  "the image has a file there: it isn't mapped, or another part of it" },
	{ CKDEV_REASON_IN_USE, "the call itself runs on this stack" },
	{ CKDEV_REASON_NO_DATA, "the replica couldn't be read there" },
};

static const struct text errors[] = {
	{ 0, "success" },
	{ EPERM,
	  "CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN is missing: run it with one of them "
	  "in the initial user namespace" },
	{ ENOENT,
	  "no such device, range, session or replica: is the module loaded (modprobe "
	  "cptdev), and the name or number right? (To restore: mount /proc)" },
	{ EINTR, "a signal came first: call again" },
	{ EAGAIN,
	  "memory to come is locked (mlockall), and RLIMIT_MEMLOCK doesn't allow for the "
	  "module's own mapping: raise it by a page; or, of a round, the program's memory is "
	  "busy: try again" },
	{ EIO, "the replica can't be read whole: report it, and take another spare" },
	{ ENXIO,
	  "not in this snapshot, unchanged since its base: look in an older one. (On "
	  "open: load the module, modprobe cptdev)" },
	{ E2BIG,
	  "too many ranges or segments, or a struct that is newer than the module: "
	  "register fewer, larger ranges, or update the module" },
	{ EBADF,
	  "not open, or not for this: open the replica with CPTDEV_REPLICA_WRITE" },
	{ ENOMEM,
	  "the kernel has no memory, or the process too many mappings: free some and "
	  "try again" },
	{ EACCES,
	  "no permission: for the device join the group that owns it; a replica "
	  "belongs to another user; memory to restore can't be written" },
	{ EFAULT,
	  "memory that isn't mapped, or a bad pointer: look at the address given back" },
	{ EBUSY,
	  "in use: by another session of the process, or the replica is being staged "
	  "or frozen, or the session has its name already" },
	{ EEXIST,
	  "taken: the name, or the memory is in a range or mapped already, or the "
	  "replica has another session's content (CPTDEV_SESSION_REPLACE gives it up)" },
	{ ENODEV, "the device isn't cptdev's: load the module (modprobe cptdev)" },
	{ EINVAL,
	  "a field with an impossible value: check sizes, page alignment, names "
	  "([A-Za-z0-9._-]) and numbers" },
	{ ENFILE, "too many open files in the system: close some" },
	{ EMFILE, "too many open files: close some, or raise RLIMIT_NOFILE" },
	{ ENOTTY,
	  "not this kind of descriptor: session, snapshot and replica have calls of "
	  "their own" },
	{ EDEADLK,
	  "the image covers the stack that the call runs on: call it from a stack that "
	  "isn't restored" },
	{ EDQUOT,
	  "a limit on held memory would be passed: let the spare catch up, close "
	  "snapshots, or raise held_max (replicas: max_bytes)" },
	{ ENODATA,
	  "nothing there: no generation newer, none committed yet, or a page without "
	  "data" },
	{ EPROTO,
	  "module and library speak different versions of the interface: update the "
	  "older one" },
	{ EMSGSIZE, "more meta-data than CPTDEV_META_MAX: pass less" },
	{ EOPNOTSUPP,
	  "memory that can't be tracked (look at the reason given back), or a flag "
	  "that this module doesn't know (look at ckdev_info)" },
	{ EXDEV,
	  "the session belongs to another process: after fork or exec open one of your "
	  "own" },
	{ ESRCH, "the address space of the session is gone: open another session" },
	{ ETIME, "cptdevd doesn't answer: is it stopped, or does it hang? (cptdevctl status)" },
	{ ETIMEDOUT, "not yet, in the time given: is a spare attached? Wait again" },
	{ ECANCELED, "the spare won't get this generation: take another snapshot" },
	{ ESTALE,
	  "fenced, a spare took over: stop serving. (Replicas: a newer term or "
	  "generation is there. Deltas: take the next snapshot)" },
	{ EOVERFLOW, "no term is higher: remove the replica" },
	{ EILSEQ, "a gap: send a delta that begins at the replica's generation" },
	{ EHWPOISON, "a page was lost to a memory error: unmap it, or give it up" },
};

static const char *lookup(const struct text *t, size_t nr, int code, const char *other)
{
	size_t i;

	for (i = 0; i < nr; i++)
		if (t[i].code == code)
			return t[i].text;
	return other;
}

const char *ckdev_strreason(int reason)
{
	return lookup(reasons, ARRAY_SIZE(reasons), reason,
		      "a reason that this library doesn't know");
}

const char *ckdev_strerror(int err)
{
	/* The most negative number has no counterpart; it is no error either. */
	return lookup(errors, ARRAY_SIZE(errors), err < 0 && err > INT_MIN ? -err : err,
		      "an error that has no meaning of its own here: see errno(3)");
}
