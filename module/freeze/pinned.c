// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev: pages with I/O in flight. A device, or the kernel on a process's behalf, may
 * write to a page through a reference that it took before the cut. No page table prevents
 * this, so sharing doesn't freeze such a page. The cut copies the page after the flush, and
 * the page counts as changed at every cut until the reference is gone.
 */
#include <linux/highmem.h>
#include <linux/swap.h>

#include "snap.h"

/*
 * Does the folio have a reference that nothing explains? page_maybe_dma_pinned() isn't
 * enough: before 6.3 O_DIRECT took plain references, and some file systems still do.
 * These references are explained: one for each mapping, one per page in the swap cache, and
 * one of a task that took the folio off the LRU lists (or is about to put it there).
 *
 * The caller holds the page-table lock and made the PTEs of the folio in this table
 * read-only before: a fast GUP that came later sees the change and backs off. Too many
 * references are only a reason to copy, so a moment's extra one does no harm.
 */
bool cptdev_folio_in_flight(struct folio *folio)
{
	int expected;

	expected = cptdev_mapcount(folio);
	if (unlikely(folio_test_swapcache(folio)))
		expected += folio_nr_pages(folio);
	if (unlikely(!folio_test_lru(folio)))
		expected++;
	return folio_ref_count(folio) > expected;
}

/*
 * Replace the pages of @snap that were marked for it by copies. After the flush, with
 * the mmap_lock still held: nothing but the I/O itself can change them now. Copying
 * during the walk would give torn pages, since other processors may still write to them
 * through the TLB.
 */
int cptdev_copy_in_flight(struct cptdev_snap *snap, u64 *copied)
{
	u64 left = snap->held.nr;
	struct page *block;

	list_for_each_entry(block, &snap->held.blocks, lru) {
		unsigned long *held = page_address(block);
		u64 i, n = min_t(u64, left, snap->held.per_block);

		for (i = 0; i < n; i++) {
			struct page *from, *to;

			if (!(held[i] & CPTDEV_HELD_COPY))
				continue;
			to = alloc_page(GFP_HIGHUSER | __GFP_ACCOUNT);
			if (!to)
				return -ENOMEM;
			from = cptdev_held_page(held[i]);
			copy_highpage(to, from);
			held[i] = (unsigned long)to;
			put_page(from);
			(*copied)++;
		}
		left -= n;
	}
	return 0;
}
