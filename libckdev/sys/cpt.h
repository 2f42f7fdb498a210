/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cptctl() and cptfork(): checkpoints by a child process, as programs for NetBSD with
 * checkpoint memory are written. cptctl(3) and cptfork(3) have the details, and what is
 * different here. New programs rather use ckdev.h.
 *
 * Unlike the calls of ckdev.h these keep a session for the process, return -1 with errno
 * as system calls do, and are not to be used in signal handlers.
 */
#ifndef CKDEV_SYS_CPT_H
#define CKDEV_SYS_CPT_H

#include <stddef.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * struct cpt_range - a piece of memory
 * @addr:	first byte, a multiple of the page size
 * @len:	bytes, likewise, not 0
 */
struct cpt_range {
	void *addr;
	size_t len;
};

/* What cptctl() is to do. */
#define CPT_INSTALL	1	/* add ranges */
#define CPT_PURGE	2	/* remove ranges, or parts of them */
#define CPT_PURGE_ALL	3	/* remove all; the other arguments are ignored */
#define CPT_QUERY	4	/* what changed between the last two calls of cptfork() */

/* With CPT_INSTALL: the old rule, refuse what overlaps a range. Else it is merged. */
#define CPT_EXCL	0x100

/**
 * cptctl() - the memory that cptfork() takes, and what changed in it
 * @ranges:	in; CPT_QUERY: out
 * @nranges:	how many there are; CPT_QUERY: how many there is room for
 * @op:		CPT_*
 *
 * The memory must be private. It need not be locked.
 *
 * Returns 0; CPT_QUERY: how many ranges there are, and if that is more than @nranges,
 * nothing was written. Or -1 with errno
 * EINVAL	an unknown @op; a range that isn't whole pages, or empty
 * EFAULT	a range isn't mapped, can't be tracked, belongs to another session, or
 *		overlaps (CPT_EXCL); CPT_PURGE: nothing of it was installed; @ranges
 *		can't be used
 * EIO		CPT_QUERY: the list couldn't be completed. Take a full checkpoint.
 * and CPT_INSTALL those of ckdev_open() and ckdev_range_add().
 */
ssize_t cptctl(struct cpt_range *ranges, size_t nranges, int op);

/**
 * cptfork() - a child process that has the ranges as they are now
 *
 * The child is init's: nobody has to wait for it. It ends with _exit().
 *
 * Returns the child's number, and 0 in the child. Or -1 with errno, and no child
 * EAGAIN	too many processes
 * ENOMEM	no memory
 * EDQUOT	what changed is more than the module may hold (held_max_mib)
 * and those of ckdev_snapshot().
 */
pid_t cptfork(void);

#ifdef __cplusplus
}
#endif

#endif /* CKDEV_SYS_CPT_H */
