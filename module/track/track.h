/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * cptdev: chunks, event bits and other data about pages. A task that holds session->lock may
 * create and drop chunks; others find them under RCU.
 */
#ifndef _CPTDEV_TRACK_H
#define _CPTDEV_TRACK_H

#include "../cptdev.h"

/* chunk.c */
struct cptdev_chunk *cptdev_chunk_get(struct cptdev_session *s,
				      unsigned long addr, u64 added);
int cptdev_chunk_spread(struct cptdev_session *s, struct cptdev_chunk *c);
void cptdev_chunk_drop(struct cptdev_session *s, unsigned long addr);
void cptdev_chunks_free(struct cptdev_session *s);
static inline struct cptdev_chunk *cptdev_chunk_find(struct cptdev_session *s,
						     unsigned long addr)
{
	return xa_load(&s->chunks, addr >> CHUNK_SHIFT);
}

/*
 * Chunks in [start, end), where there may be few: all have the mark, and the bitmaps of
 * marks are quicker to search than the empty slots of the tree.
 */
#define cptdev_for_each_chunk(s, index, c, start, end)				\
	for ((index) = (start) >> CHUNK_SHIFT,					\
	     (c) = xa_find(&(s)->chunks, &(index), ((end) - 1) >> CHUNK_SHIFT, XA_MARK_0); \
	     (c);								\
	     (c) = xa_find_after(&(s)->chunks, &(index), ((end) - 1) >> CHUNK_SHIFT,	\
				 XA_MARK_0))

/* range.c */
u32 cptdev_span_at(const struct cptdev_session *s, unsigned long addr);

/* given.c */
void cptdev_take_back(struct cptdev_session *s, unsigned long start, unsigned long end);

/* Of a word's exclusive pages those that were given back, if nothing happened to them since. */
static inline u64 cptdev_given64(const struct cptdev_chunk *c, unsigned int word)
{
	return c->given[word] & ~atomic64_read(&c->cut.event[word]) & ~c->cut.hole[word];
}

/* mark.c */
void cptdev_events_set(struct cptdev_session *s, unsigned long start,
		       unsigned long end, bool cut, bool scan);
void cptdev_events_others(struct cptdev_session *s, unsigned long start,
			  unsigned long end);
void cptdev_tracker_add(struct cptdev_session *s);
void cptdev_tracker_del(struct cptdev_session *s);
u64 cptdev_event_take(struct cptdev_session *s, struct cptdev_mark *m,
		      unsigned int word, u64 mask);

static inline void cptdev_mark_set(struct cptdev_mark *m, unsigned int word, u64 bits)
{
	if (bits & ~atomic64_read(&m->event[word]))
		atomic64_or(bits, &m->event[word]);
}

/* Does it map a page of the process's alone? Under the page-table lock. */
static inline bool cptdev_pte_exclusive(pte_t pte)
{
	return pte_present(pte) && !pte_special(pte) && PageAnon(pte_page(pte)) &&
		PageAnonExclusive(pte_page(pte));
}

/* Is the huge page that begins with @page the process's alone? Under the lock of its entry. */
static inline bool cptdev_huge_exclusive(struct page *page)
{
	return PageAnonExclusive(page);
}

/* No store to a huge page from here on. */
static inline void cptdev_huge_protect(struct mm_struct *mm, unsigned long addr, pmd_t *pmd)
{
	pmdp_set_wrprotect(mm, addr, pmd);
}

#endif /* _CPTDEV_TRACK_H */
