/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mwrwatch(): which pages were written to, in the manner of mincore(). mwrwatch(3) has
 * the details. New programs rather use ckdev_scan().
 *
 * Unlike the calls of ckdev.h it keeps a session for the process, returns -1 with errno
 * as system calls do, and is not to be used in signal handlers.
 */
#ifndef CKDEV_SYS_MWRWATCH_H
#define CKDEV_SYS_MWRWATCH_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A byte of the vector, for a page. */
#define WATCH_CLEAN	0	/* not written to since the last call */
#define WATCH_DIRTY	1	/* written to since then, or never asked for before */
#define WATCH_UNMAPPED	2	/* not there: reads as zeros, or isn't mapped */
#define WATCH_FILE	3	/* a file's, or of another kind that isn't tracked */

/**
 * mwrwatch() - which pages were written to since the last call
 * @addr:	first byte, a multiple of the page size
 * @length:	bytes; up to the end of the last page
 * @vec:	out: WATCH_* for each page; NULL: only begin to watch
 *
 * Returns 0, or -1 with errno
 * EINVAL	@addr isn't a multiple of the page size, or the end lies beyond memory
 * EBUSY	another session of this process tracks some of it: cptctl()'s, or one
 *		that the program opened itself
 * and those of ckdev_open(), ckdev_range_add() and ckdev_scan(). After an error what was
 * written to may count as clean: take all of it for dirty.
 */
int mwrwatch(void *addr, size_t length, unsigned char *vec);

#ifdef __cplusplus
}
#endif

#endif /* CKDEV_SYS_MWRWATCH_H */
