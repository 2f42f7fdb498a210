/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * cptdev: chunks, the pages of one page table, and which of them.
 */
#ifndef _CPTDEV_CHUNK_H
#define _CPTDEV_CHUNK_H

#include <linux/atomic.h>
#include <linux/bits.h>
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/rcupdate.h>

/*
 * What the module knows of a page besides its PTE. A chunk exists where a page table
 * was seen; where there is none, no page was ever present at a cut.
 */
#define CHUNK_SHIFT	PMD_SHIFT
#define CHUNK_SIZE	PMD_SIZE
#define CHUNK_MASK	PMD_MASK
#define CHUNK_PAGES	PTRS_PER_PTE
#define CHUNK_WORDS	(CHUNK_PAGES / 64)
#define CPTDEV_NUMBERS_SIZE	(CHUNK_PAGES * sizeof(u64))

/*
 * A mark says what changed since its last reading: the PTE has most of the answer
 * (writable for cuts, dirty for scans), these bits the rest.
 */
struct cptdev_mark {
	/* Something happened that the PTE doesn't tell. Set by notifiers, any time. */
	atomic64_t event[CHUNK_WORDS];
	/* No data then: a page that is present now is new, whatever its PTE says. */
	u64 hole[CHUNK_WORDS];
};

/* What cuts have done with the huge page of a chunk, if there is or was one: cut_huge.c. */
enum cptdev_huge {
	CPTDEV_HUGE_NEW,		/* no cut has seen one */
	CPTDEV_HUGE_KEPT,		/* a cut has frozen one as a whole */
	CPTDEV_HUGE_SPARSE,		/* it was written again: no huge page stays there */
};

struct cptdev_chunk {
	struct cptdev_mark scan;
	struct cptdev_mark cut;
	/* Cuts: I/O may be in flight, changed at every cut until it isn't. */
	u64 pinned[CHUNK_WORDS];
	/* That of the next page table, or NULL: a walk goes on there without a look-up. */
	struct cptdev_chunk *next;
	enum cptdev_huge huge;
	/*
	 * The generation in which each page last changed, and the highest of them. If @all isn't
	 * 0, it is that of each page, and @gen says nothing, or is NULL: cptdev_chunk_spread().
	 */
	u64 newest;
	u64 all;
	u64 *gen;			/* CHUNK_PAGES */
	/*
	 * Made exclusive by a snapshot that was freed, so this is no trace of a write. Where the
	 * event or the hole bit is set this says nothing. Set with the mmap_lock held for reading
	 * and the page-table lock, cleared with the mmap_lock held for writing. A bit may be left
	 * from before the last cut, but not where the VMA has no write permission.
	 */
	u64 given[CHUNK_WORDS];
	struct rcu_head rcu;
};

/* All pages changed in @generation. */
static inline void cptdev_chunk_number(struct cptdev_chunk *c, u64 generation)
{
	c->newest = generation;
	c->all = generation;
}

/* Which pages of chunk @index lie in [start, end); at least one does. */
static inline void cptdev_chunk_clip(unsigned long index, unsigned long start,
				     unsigned long end, unsigned int *first,
				     unsigned int *last)
{
	unsigned long base = index << CHUNK_SHIFT;

	*first = start > base ? (start - base) >> PAGE_SHIFT : 0;
	*last = end - base < CHUNK_SIZE ? (end - base - 1) >> PAGE_SHIFT : CHUNK_PAGES - 1;
}

/* Bits [first, last] of a word of pages that begins at page @base of the chunk. */
static inline u64 cptdev_word_mask(unsigned int word, unsigned int first,
				   unsigned int last)
{
	unsigned int lo = max(first, word * 64), hi = min(last, word * 64 + 63);

	if (lo > hi)
		return 0;
	return GENMASK_ULL(hi % 64, lo % 64);
}

/* How many bits in a row are set from bit @i on, which is. */
static inline unsigned int cptdev_ones(u64 bits, unsigned int i)
{
	bits = ~(bits >> i);
	return bits ? __ffs64(bits) : 64;
}

#endif /* _CPTDEV_CHUNK_H */
