/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * cptdev: declarations shared by the files of the cut. cut.c goes from table to table,
 * cut_find.c finds the pages that the snapshot takes, and cut_quick.c and cut_slow.c take them.
 * cut_huge.c takes huge pages, which have no table of PTEs.
 */
#ifndef _CPTDEV_CUT_H
#define _CPTDEV_CUT_H

#include "snap.h"
#include "../track/track.h"

struct cut {
	struct cptdev_walk walk;
	struct cptdev_snap *snap;
	u64 generation;
	u64 base;
	/* A round: see round.c. */
	u64 pass;			/* its generation, 0: this is no round, or a pass begins */
	u64 max;			/* the most pages, 0: this is no round */
	unsigned long pos;		/* where it begins; then where the next one does, or 0 */
	u64 pause_max;			/* nanoseconds, 0: no limit */
	u64 deadline;
	bool cool;			/* leave out what has just changed */
	bool flush;
	bool in_flight;			/* pages to copy */
	struct folio *large;		/* the last large folio, for cut_share() */
	bool large_in_flight;
	u64 visited;
	u64 copied;
};

/* Nothing there that has content of its own. */
static inline bool cptdev_pte_is_hole(pte_t pte)
{
	if (pte_none(pte))
		return true;
	if (!pte_present(pte))
		return cptdev_pte_marker(pte);
	if (pte_special(pte))		/* the zero page */
		return true;
	return !PageAnon(pte_page(pte));
}

static inline bool cptdev_pte_filled(pte_t pte)
{
	return !cptdev_pte_is_hole(pte);
}

/* Has no other cut come since the pass began? Under session->lock. */
static inline bool cptdev_pass_newest(const struct cut *cut)
{
	return cut->pass == cut->walk.s->generation;
}

/* cut.c */
int cptdev_cut_table(struct cptdev_walk *walk, struct cptdev_table *t);
int cptdev_cut_empty(struct cptdev_walk *walk, unsigned long start, unsigned long end);
int cptdev_cut_empty_chunk(struct cut *cut, struct cptdev_chunk *c, unsigned long base,
			   unsigned int first, unsigned int last);
int cptdev_cut_all(struct cut *cut);

/* snapshot.c */
int cptdev_cut_begin(struct cut *cut, struct cptdev_session *s, u64 base);
int cptdev_cut_locked(struct cut *cut, u64 *pause_ns);
int cptdev_cut_seal(struct cut *cut);

/* cut_find.c */
u64 cptdev_numbers_above(const struct cptdev_chunk *c, unsigned int word, u64 base);
void cptdev_set_numbers(struct cptdev_chunk *c, unsigned int word, u64 changed,
			u64 generation);
void cptdev_cut_forced(struct cut *cut, struct cptdev_table *t, unsigned int first,
		       unsigned int last);
void cptdev_cut_fresh(struct cut *cut, struct cptdev_table *t);
unsigned int cptdev_cut_find(struct cut *cut, struct cptdev_table *t);

/* cut_quick.c */
unsigned int cptdev_cut_quick(struct cptdev_walk *walk, unsigned int i, unsigned int nr);

/* cut_slow.c */
void cptdev_cut_hole(struct cut *cut, struct cptdev_chunk *c, unsigned long base,
		     unsigned int i);
int cptdev_cut_process(struct cut *cut, struct cptdev_table *t, unsigned int nr);

/* cut_huge.c */
int cptdev_cut_huge(struct cut *cut, struct cptdev_table *t);

#endif /* _CPTDEV_CUT_H */
