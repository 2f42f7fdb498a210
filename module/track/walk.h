/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * cptdev: the walk of the page tables, and the results of a sweep.
 */
#ifndef _CPTDEV_WALK_H
#define _CPTDEV_WALK_H

#include <linux/mm.h>

#include <linux/cptdev.h>

#include "chunk.h"

struct cptdev_session;

/* A range: [start, end), pages added at generation @added or before. */
struct cptdev_span {
	unsigned long start;
	unsigned long end;
	u64 added;
};

/* What a sweep has found in a page table (sweep.c). sweep_avx2.S knows where things are. */
struct cptdev_swept {
	pte_t *ptes;			/* 512; NULL: it wasn't swept */
	struct cptdev_chunk *chunk;	/* NULL: there is none yet */
	u64 found[CHUNK_WORDS];		/* entries that the walk looks for */
	u32 what;			/* 0: nothing, it is quiet */
};

#define CPTDEV_FOUND_WORDS	0x0ffU	/* those that have any bits in @found */
#define CPTDEV_FOUND_MARKS	0x100U	/* a mark has bits: there may be more to it */
#define CPTDEV_FOUND_PART	0x200U	/* the walk doesn't ask for all of the table */
#define CPTDEV_UNSWEPT		0x400U

/* What a walk has come to: the pages [first, last] of one page table, all in one VMA. */
struct cptdev_table {
	pmd_t *pmd;
	pte_t *ptes;			/* 512, if it was swept */
	struct cptdev_chunk *chunk;	/* NULL: there is none yet */
	unsigned long base;
	unsigned int first;
	unsigned int last;
	bool swept;
	bool fresh;			/* cuts: none has seen it, @found is what it takes */
	bool marks;			/* as in struct cptdev_swept */
	u32 words;
	u64 *found;
};

/*
 * Tables that are swept at a time: short enough to do without preemption, and few enough for
 * a session to fit in a page, in a debug kernel too.
 */
#define CPTDEV_SWEEP	28

/* The pages of word @i that are asked for: nearly always all. */
static inline u64 cptdev_table_mask(const struct cptdev_table *t, unsigned int i)
{
	if (likely(t->first == 0 && t->last == CHUNK_PAGES - 1))
		return ~0ULL;
	return cptdev_word_mask(i, t->first, t->last);
}

struct cptdev_walk {
	struct cptdev_session *s;
	/* Look for PTEs with these bits, and for this mark; 0: visit every table. */
	u64 bits;
	bool cut;
	u64 newer;			/* cuts: and for chunks with numbers above this */
	int (*table)(struct cptdev_walk *w, struct cptdev_table *t);
	/*
	 * May be NULL. A quicker visit of swept tables, from @i on, for as long as that
	 * will do: returns the first that has to be visited, or @nr.
	 */
	unsigned int (*quick)(struct cptdev_walk *w, unsigned int i, unsigned int nr);
	/* Nothing is mapped in [start, end). */
	int (*empty)(struct cptdev_walk *w, unsigned long start, unsigned long end);
	/*
	 * The place of the walk; @vma is NULL where there is none, and in a cut: that goes by
	 * tables, whatever VMAs they are of. @segment: the first of the layout, in a cut, that
	 * ends behind @start.
	 */
	const struct cptdev_span *span;
	struct vm_area_struct *vma;
	u32 segment;
	/* Tables that were swept: the first one's entry, and what is asked for of them. */
	pmd_t *pmd;
	unsigned long start;
	unsigned long end;
	u64 quiet;			/* pages that were passed over */
	unsigned long pos;		/* after an error: all before this was visited */
	unsigned long bad_addr;
	enum cptdev_reason reason;
};

int cptdev_walk_ranges(struct cptdev_walk *w, unsigned long start,
		       unsigned long end);
pmd_t *cptdev_walk_pmd(struct mm_struct *mm, unsigned long addr,
		       unsigned long *next);

/* sweep.c */
void cptdev_table_look(const struct cptdev_walk *w, struct cptdev_table *t);
unsigned int cptdev_sweep(struct cptdev_walk *w, unsigned long end);

#endif /* _CPTDEV_WALK_H */
