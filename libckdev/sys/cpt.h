/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cptctl() and cptfork(): checkpoints by a child process, for programs that were written
 * for a NetBSD with checkpoint memory. cptctl(3) and cptfork(3) have the details, and the
 * differences. New programs should use ckdev.h.
 *
 * Unlike the calls of ckdev.h, these calls keep a session for the process, return -1 and set
 * errno as system calls do, and must not be used in signal handlers.
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
 * @len:	bytes, a multiple of the page size, not 0
 */
struct cpt_range {
	void *addr;
	size_t len;
};

/* The operation of cptctl(). */
#define CPT_INSTALL	1	/* add ranges */
#define CPT_PURGE	2	/* remove ranges, or parts of them */
#define CPT_PURGE_ALL	3	/* remove all ranges; the other arguments are ignored */
#define CPT_QUERY	4	/* list the changes between the last two calls of cptfork() */

/*
 * With CPT_INSTALL: refuse a range that overlaps an installed one, as the first
 * implementation did. Without the flag, such ranges are merged.
 */
#define CPT_EXCL	0x100

/**
 * cptctl() - set the memory that cptfork() takes, or list the changes in it
 * @ranges:	in; CPT_QUERY: out
 * @nranges:	number of ranges; CPT_QUERY: number of ranges that fit
 * @op:		CPT_*
 *
 * The memory must be private. It need not be locked.
 *
 * Returns 0; CPT_QUERY: the number of changed ranges. If this number is more than @nranges,
 * nothing was written. Or -1, and sets errno:
 * EINVAL	@op is unknown; or a range has no length, or doesn't consist of whole pages
 * EFAULT	a range isn't mapped, can't be tracked, belongs to another session, or
 *		overlaps an installed range (CPT_EXCL); CPT_PURGE: no part of the range was
 *		installed; or @ranges can't be used
 * EIO		CPT_QUERY: the list couldn't be completed. Take a full checkpoint.
 * CPT_INSTALL also has the errors of ckdev_open() and ckdev_range_add().
 */
ssize_t cptctl(struct cpt_range *ranges, size_t nranges, int op);

/**
 * cptfork() - create a child process that has the ranges with their present content
 *
 * The child belongs to init, so the parent doesn't wait for it. The child ends with _exit().
 *
 * Returns the child's process number, and 0 in the child. Or -1, sets errno, and creates no
 * child:
 * EAGAIN	too many processes
 * ENOMEM	no memory
 * EDQUOT	the changes are more than the module may hold (held_max_mib)
 * The errors of ckdev_snapshot() are possible as well.
 */
pid_t cptfork(void);

#ifdef __cplusplus
}
#endif

#endif /* CKDEV_SYS_CPT_H */
