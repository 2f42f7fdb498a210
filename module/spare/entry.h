/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * cptdev: entries of a replica's arrays. An entry is a page of the module, which has its number in
 * page->private; or, in a replica that is kept (keep.c), a page of a process that the replica
 * shares. The kernel uses ->private and ->lru of such a page, so these are beside it. In what is
 * staged an entry may also be CPTDEV_STAGED_HOLE.
 */
#ifndef _CPTDEV_ENTRY_H
#define _CPTDEV_ENTRY_H

#include <linux/list.h>
#include <linux/mm.h>

struct cptdev_shared {
	struct page *page;		/* referenced; nobody writes to it any more */
	unsigned long number;		/* of the commit that brought it */
	struct list_head lru;		/* when it is given up */
};

/* No other kind of entry has these three bits: values have the lowest, the array's own the next. */
#define CPTDEV_ENTRY_BITS	7UL
#define CPTDEV_ENTRY_SHARED	4UL

static inline struct cptdev_shared *cptdev_entry_shared(void *entry)
{
	unsigned long e = (unsigned long)entry;

	return (e & CPTDEV_ENTRY_BITS) == CPTDEV_ENTRY_SHARED ?
		(struct cptdev_shared *)(e & ~CPTDEV_ENTRY_BITS) : NULL;
}

static inline void *cptdev_shared_entry(struct cptdev_shared *sh)
{
	return (void *)((unsigned long)sh | CPTDEV_ENTRY_SHARED);
}

/* The page; NULL if there is no entry. */
static inline struct page *cptdev_entry_page(void *entry)
{
	struct cptdev_shared *sh = cptdev_entry_shared(entry);

	return sh ? sh->page : entry;
}

static inline unsigned long cptdev_entry_number(void *entry)
{
	struct cptdev_shared *sh = cptdev_entry_shared(entry);

	return sh ? sh->number : page_private((struct page *)entry);
}

#endif /* _CPTDEV_ENTRY_H */
