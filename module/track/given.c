// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev: pages that a freed snapshot gave back to the process (freeze/giveback.c). They are
 * exclusive though nobody has written to them.
 *
 * In a VMA with write permission, exclusiveness is no trace of a write, because every write makes
 * the PTE writable. In a VMA without write permission it is a trace: ptrace writes to exclusive
 * pages. So before mprotect() may take the permission away, pages that were given back are shared
 * again. Then the next write of ptrace makes them exclusive, and leaves its trace. Every
 * mprotect() shares them: if the permission stays, mprotect() makes exclusive pages writable, and
 * they would count as written.
 */
#include "track.h"

/* The page-table lock is held. A page that is pinned for reading stays exclusive. */
static void take_back64(const pte_t *ptep, u64 given)
{
	for (; given; given &= given - 1) {
		pte_t pte = ptep_get((pte_t *)ptep + __ffs64(given));

		if (!pte_write(pte) && cptdev_pte_exclusive(pte))
			folio_try_share_anon_rmap_pte(page_folio(pte_page(pte)), pte_page(pte));
	}
}

static void take_back_chunk(struct cptdev_session *s, struct cptdev_chunk *c,
			    unsigned long base, unsigned int first, unsigned int last)
{
	unsigned long next;
	pmd_t *pmdp = cptdev_walk_pmd(s->mm, base, &next);
	pmd_t pmd = pmdp ? READ_ONCE(*pmdp) : __pmd(0);
	bool table = cptdev_pmd_table(pmd);
	spinlock_t *ptl = table ? pte_lockptr(s->mm, &pmd) : NULL;
	unsigned int i;

	for (i = first / 64; i <= last / 64; i++) {
		u64 mask = cptdev_word_mask(i, first, last);
		u64 given = cptdev_given64(c, i) & mask;

		c->given[i] &= ~mask;
		if (!given || !table)
			continue;
		spin_lock(ptl);
		take_back64(cptdev_pmd_ptes(pmd) + i * 64, given);
		spin_unlock(ptl);
	}
}

/*
 * By mprotect() of [start, end), with the mmap_lock and the VMAs locked for writing: share the
 * pages that were given back. One that stays exclusive counts as written from here on.
 */
void cptdev_take_back(struct cptdev_session *s, unsigned long start, unsigned long end)
{
	unsigned int first, last;
	struct cptdev_chunk *c;
	unsigned long index;

	lockdep_assert_held_write(&s->mm->mmap_lock);
	rcu_read_lock();
	/* The PTEs don't change: this alone makes a fast GUP that pins back off. */
	raw_write_seqcount_begin(&s->mm->write_protect_seq);
	xa_for_each_range(&s->chunks, index, c, start >> CHUNK_SHIFT,
			  (end - 1) >> CHUNK_SHIFT) {
		cptdev_chunk_clip(index, start, end, &first, &last);
		take_back_chunk(s, c, index << CHUNK_SHIFT, first, last);
	}
	raw_write_seqcount_end(&s->mm->write_protect_seq);
	rcu_read_unlock();
}
