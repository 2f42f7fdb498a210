/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * cptdev: a snapshot, a list of frozen pages and one of runs.
 */
#ifndef _CPTDEV_SNAP_H
#define _CPTDEV_SNAP_H

#include "../cptdev.h"
#include "../vec.h"

/*
 * A frozen page is an unsigned long: the page that we hold a reference to, and these bits. Of a
 * huge page it is the first one, with one reference for all its CHUNK_PAGES pages.
 */
#define CPTDEV_HELD_COPY	1UL	/* has to be copied, until the cut is over */
#define CPTDEV_HELD_HUGE	2UL
#define CPTDEV_HELD_SPARSE	4UL	/* a huge page that is to be split: huge.c */
#define CPTDEV_HELD_BITS	7UL

static inline struct page *cptdev_held_page(unsigned long held)
{
	return (struct page *)(held & ~CPTDEV_HELD_BITS);
}

/* Huge pages in a row, in the list of frozen pages. */
struct cptdev_fold {
	u64 index;			/* of the first one's first page, in the snapshot */
	u64 held;			/* of the first one, in the list */
	u64 nr;
};

/* A run of pages in a snapshot, in ascending order. */
struct cptdev_run {
	unsigned long start;		/* in its low bits: CPTDEV_EXTENT_* */
	unsigned long end;
};

static inline u32 cptdev_run_kind(const struct cptdev_run *run)
{
	return run->start & ~PAGE_MASK;
}

struct cptdev_snap {
	struct kref ref;
	struct list_head entry;		/* session->pub_lock */
	struct list_head shrink;	/* shrink.c, while it is published */
	struct cptdev_session *session;	/* referenced: held is counted there */
	u64 generation;
	u64 base;
	u32 state;			/* CPTDEV_IMAGE_* */
	bool taken;			/* a spare has it open: no merging */
	bool closed;			/* no merging, for another reason: a pass begins after it */
	bool round;			/* of a round: the daemon has it, and nobody else */
	struct cptdev_layout *layout;
	struct cptdev_blob *meta;	/* or NULL */
	struct cptdev_vec held;		/* frozen pages */
	struct cptdev_vec folds;	/* struct cptdev_fold: where huge pages are among them */
	struct cptdev_fold *last_fold;	/* may grow; or NULL */
	u64 folded;			/* pages without a place of their own in @held */
	bool sparse;			/* there are CPTDEV_HELD_SPARSE */
	struct cptdev_vec runs;		/* struct cptdev_run */
	struct cptdev_run *last_run;	/* may grow */
	struct cptdev_run no_run;	/* the last one in the beginning */
	u64 charged;			/* pages counted in the limits */
	u64 group_max;			/* pages, by what the control group has left */
	u64 user_max;			/* pages of all snapshots of the user */
	enum cptdev_reason limit;	/* which one was passed */
	struct work_struct free_work;
	u64 holes;
};

/* snap.c */
struct cptdev_snap *cptdev_snap_alloc(struct cptdev_session *s);
void cptdev_snap_put(struct cptdev_snap *snap);
void cptdev_snap_put_now(struct cptdev_snap *snap);
void cptdev_snap_settle(struct cptdev_session *s);
int cptdev_snap_reserve_more(struct cptdev_snap *snap, u32 pages);
int cptdev_snap_reserve_more_huge(struct cptdev_snap *snap);
int cptdev_snap_seal(struct cptdev_snap *snap);
void cptdev_snap_push_hole(struct cptdev_snap *snap, unsigned long addr, u64 pages);
void cptdev_snap_push_huge(struct cptdev_snap *snap, unsigned long addr, struct page *page,
			   bool sparse);
unsigned long *cptdev_snap_held(const struct cptdev_snap *snap, u64 index, u32 *nth);
struct page *cptdev_snap_page(const struct cptdev_snap *snap, u64 index);

/* huge.c */
int cptdev_huge_split(struct cptdev_session *s, unsigned long addr, unsigned int flags);
void cptdev_huge_split_sparse(struct cptdev_snap *snap);

/* shrink.c */
struct cptdev_snap *cptdev_shrink_alloc(void);
void cptdev_shrink_free(struct cptdev_snap *snap);
void cptdev_shrink_add(struct cptdev_snap *snap);
void cptdev_shrink_del(struct cptdev_snap *snap);

/* giveback.c */
void cptdev_give_back(struct cptdev_snap *snap);

/* merge.c */
struct cptdev_snap *cptdev_snap_merge(struct cptdev_snap *old,
				      struct cptdev_snap *new);

/* Frozen pages. */
static inline u64 cptdev_snap_pages(const struct cptdev_snap *snap)
{
	return snap->held.nr + snap->folded;
}

/*
 * Of a published one: no spare has fetched it and no descriptor has it open, so that dropping
 * it gives its memory back. The one reference is that of the list.
 */
static inline bool cptdev_snap_unfetched(const struct cptdev_snap *snap)
{
	return !READ_ONCE(snap->taken) && kref_read(&snap->ref) == 1;
}

/* Likewise: a spare has fetched it, and no descriptor has it open any more. */
static inline bool cptdev_snap_fetched(const struct cptdev_snap *snap)
{
	return READ_ONCE(snap->taken) && kref_read(&snap->ref) == 1;
}

/*
 * How many pages may be pushed. Holes leave their charge to what comes next, and huge pages their
 * places in the list of those that are held.
 */
static inline u64 cptdev_snap_room(const struct cptdev_snap *snap)
{
	return min3(snap->charged - cptdev_snap_pages(snap), cptdev_vec_left(&snap->held),
		    cptdev_vec_left(&snap->runs));
}

/* Before pushing up to @pages pages or holes: memory for the lists, and the limits. */
static inline int cptdev_snap_reserve(struct cptdev_snap *snap, u32 pages)
{
	if (likely(cptdev_snap_room(snap) >= pages))
		return 0;
	return cptdev_snap_reserve_more(snap, pages);
}

/* Before pushing a huge page, likewise. */
static inline int cptdev_snap_reserve_huge(struct cptdev_snap *snap)
{
	if (likely(cptdev_vec_left(&snap->folds) && cptdev_vec_left(&snap->held) &&
		   cptdev_vec_left(&snap->runs) &&
		   snap->charged - cptdev_snap_pages(snap) >= CHUNK_PAGES))
		return 0;
	return cptdev_snap_reserve_more_huge(snap);
}

static inline struct cptdev_run *cptdev_snap_new_run(struct cptdev_snap *snap,
						     unsigned long addr, u32 kind)
{
	struct cptdev_run *run = cptdev_vec_push(&snap->runs);

	run->start = addr | kind;
	snap->last_run = run;
	return run;
}

static inline void cptdev_snap_push_run(struct cptdev_snap *snap, unsigned long addr,
					u64 pages, u32 kind)
{
	struct cptdev_run *run = snap->last_run;

	if (addr != run->end || cptdev_run_kind(run) != kind)
		run = cptdev_snap_new_run(snap, addr, kind);
	run->end = addr + pages * PAGE_SIZE;
}

/* The pages from @addr on are in the list of those that are held. */
static inline void cptdev_snap_extend(struct cptdev_snap *snap, unsigned long addr,
				      u32 pages)
{
	cptdev_snap_push_run(snap, addr, pages, CPTDEV_EXTENT_DATA);
}

/* Takes over the caller's reference to the page. */
static inline void cptdev_snap_push(struct cptdev_snap *snap, unsigned long addr,
				    struct page *page, bool in_flight)
{
	unsigned long *held = cptdev_vec_push(&snap->held);

	*held = (unsigned long)page | (in_flight ? CPTDEV_HELD_COPY : 0);
	cptdev_snap_extend(snap, addr, 1);
}

#endif /* _CPTDEV_SNAP_H */
