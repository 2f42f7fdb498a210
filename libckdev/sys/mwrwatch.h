/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mwrwatch() lists the pages that were written to. Its arguments are those of mincore().
 * mwrwatch(3) has the details. New programs should use ckdev_scan().
 *
 * Unlike the calls of ckdev.h, mwrwatch() keeps a session for the process, returns -1 and sets
 * errno as system calls do, and must not be used in signal handlers.
 */
#ifndef CKDEV_SYS_MWRWATCH_H
#define CKDEV_SYS_MWRWATCH_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The values of a byte of the vector. Each byte stands for a page. */
#define WATCH_CLEAN	0	/* not written to since the last call */
#define WATCH_DIRTY	1	/* written to since then, or this is the first call for the page */
#define WATCH_UNMAPPED	2	/* no page: reads as zeros, or nothing is mapped */
#define WATCH_FILE	3	/* reads as the mapped file, or can't be tracked */

/**
 * mwrwatch() - list the pages that were written to since the last call
 * @addr:	first byte, a multiple of the page size
 * @length:	bytes; the last page may be incomplete
 * @vec:	out: WATCH_* for each page; NULL: only clear the marks
 *
 * Returns 0, or -1, and sets errno:
 * EINVAL	@addr isn't a multiple of the page size, or the end lies beyond all addresses
 * EBUSY	another session of this process tracks some of this memory: the session of
 *		cptctl(), or a session that the program opened itself
 * The errors of ckdev_open(), ckdev_range_add() and ckdev_scan() are possible as well. After
 * an error some marks may have been cleared already: treat all pages as dirty.
 */
int mwrwatch(void *addr, size_t length, unsigned char *vec);

#ifdef __cplusplus
}
#endif

#endif /* CKDEV_SYS_MWRWATCH_H */
