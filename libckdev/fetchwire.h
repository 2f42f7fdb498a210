/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a program and its host's cptdevd say to each other while the program goes on from a replica
 * of another host (hs_init(3), --from). The program connects to the control socket and sends
 *
 *	{"command":"fetch","name":NAME,"from":NODE,"wait_ms":N}
 *
 * The answer is a line of JSON, too: "error", or the replica's "generation" and "pages", and the
 * "term" that the program's session takes. Then the program sends requests, as below, and gets an
 * answer to each in turn. Both ends are on one machine, so the structs travel as they are.
 *
 * The connection that ends before FETCH_DONE is answered is the end of the program: pages are missing
 * that nobody has, or the other host hasn't given up its replica.
 */
#ifndef CKDEV_FETCHWIRE_H
#define CKDEV_FETCHWIRE_H

#include <linux/types.h>

#define FETCH_LIST	0U	/* where there are pages, from @addr on */
#define FETCH_PAGES	1U	/* @len bytes at @addr: whole pages */
#define FETCH_DONE	2U	/* all of it is here: answered when the program may acknowledge */

/* Of FETCH_PAGES, and the extents of an answer to FETCH_LIST. */
#define FETCH_BYTES_MAX		(256U << 10)
#define FETCH_EXTENTS_MAX	4096U
/* Requests that wait for their answers; more aren't read meanwhile. */
#define FETCH_WINDOW		2U

struct fetch_request {
	__u32 what;
	__u32 reserved;
	__u64 addr;
	__u64 len;
};

struct fetch_answer {
	__u32 what;		/* these three: of the request */
	__s32 err;		/* 0, or a negative errno: nothing follows */
	__u64 addr;
	__u64 len;
	__u64 follows;		/* bytes: of the pages, or struct fetch_extent; 0: there are no more */
};

struct fetch_extent {
	__u64 addr;
	__u64 len;
};

#endif
