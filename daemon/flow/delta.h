/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A delta on its way out: a snapshot's or a replica's descriptor, taken apart into frames. */
#ifndef CPTDEVD_DELTA_H
#define CPTDEVD_DELTA_H

#include "conn.h"
#include "kernel.h"

struct sums;
struct thin;

/* Extents that are read in one go: a frame has 64 pages. */
#define DELTA_BATCH	64U

enum delta_phase {
	DELTA_BEGIN, DELTA_LAYOUT, DELTA_META, DELTA_DATA, DELTA_COMMIT, DELTA_DONE,
};

struct delta {
	struct kernel *kernel;
	int fd;
	struct cptdev_image_info info;
	size_t len;			/* of the pages */
	bool replica;			/* all of it, read by address */
	enum delta_phase phase;
	bool continues;			/* what was sent before; then the base is 0 */
	bool part;			/* of a delta: nothing is committed yet */
	bool alone;			/* its session acknowledged without the spare then */
	u64 next;			/* segment or byte of meta-data; of a replica: address */
	u64 extent;			/* which one, and what of it was sent */
	u64 extent_done;
	u64 pos;			/* in the file */
	struct thin *thin;		/* of the link */
	u64 wire;			/* bytes of the frames of pages so far */
	u32 owner;			/* of pages in the link's shadow, 0: whole pages only */
	u64 layout;			/* a sum of it; of the delta before: */
	u64 layout_before;		/* 0: nothing of it is in the shadow */
	u64 reach;			/* the base that the snapshot has, whoever gets it */
	struct sums *sums;		/* NULL: no checksums are kept of its pages */
	/* Extents that were read, from number @batch_first on. */
	u64 batch_first;
	u32 batch_nr;
	struct cptdev_extent batch[DELTA_BATCH];
};

/* Takes over @fd, also when it fails with a negative errno. */
int delta_open(struct kernel *k, int fd, struct thin *thin, struct delta **dp);
/* The same for a replica, which is frozen: a copy of everything, with that term. */
int delta_open_replica(struct kernel *k, int fd, struct thin *thin, u64 term, struct delta **dp);
void delta_free(struct delta *d);

/* Add the next frame. Returns 0 or a negative errno. */
int delta_frame(struct delta *d, struct conn *c, u32 channel);

/* Between BEGIN and the last META nobody else may begin. */
bool delta_in_head(const struct delta *d);
/* Was anything sent that the peer would have to forget? */
bool delta_unfinished(const struct delta *d);

#endif
