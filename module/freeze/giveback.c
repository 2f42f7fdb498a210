// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev: giving pages back. A cut takes the exclusiveness of each page that it holds, so
 * that the next store copies the page. The kernel makes a page exclusive again when the
 * process writes to it. Until then UFFDIO_MOVE refuses the page, and a pin for reading takes
 * a fault. With the parameter give_back, a snapshot that is freed makes those of its pages
 * exclusive again that nobody else has. It is off by default, because few programs need it and
 * it makes all programs slower.
 *
 * The conditions are those of the kernel's wp_can_reuse_anon_folio(), which does the same at
 * the next store, under the same locks:
 *
 *  a) the page-table lock: no fork() shares the page, and no fault replaces it;
 *  b) the folio's lock: the page doesn't become a KSM page or enter the swap cache;
 *  c) two references, one of the page table and ours: no other snapshot has the page, no pipe
 *     that it was spliced to, no I/O. Only a cut, which needs a), or a snapshot that has the
 *     page already, makes a reference that counts; fast GUP may make one to read.
 *
 * folio_move_anon_rmap(), which the kernel calls there, is left out: it shortens walks of the
 * reverse mapping, and the anon_vma that the folio has stays right.
 *
 * Exclusiveness is also a trace of a change: in memory without write permission, ptrace writes
 * to exclusive pages, and the PTE doesn't show it. So pages are given back only in VMAs with
 * write permission, and chunk->given marks them (track/given.c).
 *
 * Giving back may fail, because a snapshot is freed under various locks, session->lock among
 * them: the module only tries to take the mmap_lock and the folio's lock. Pages of large folios
 * stay shared, and so do pages in an LRU batch of a processor, because the batch has a reference.
 *
 * The mm may have no users. exit_mmap() begins when there are none, and removes page tables and
 * VMAs with the mmap_lock held for writing. So while there are users and the mmap_lock is held
 * for reading, page tables and VMAs stay. The module takes no reference to the mm, because that
 * would keep the memory of a process that has ended.
 */
#include <linux/pagemap.h>
#include <linux/mmap_lock.h>
#include <linux/moduleparam.h>

#include "snap.h"
#include "../track/track.h"
#include "../mutants.h"

static bool give_back;
module_param(give_back, bool, 0644);
MODULE_PARM_DESC(give_back, "Freed snapshots make pages exclusive to the process again (UFFDIO_MOVE)");

/* The page-table lock is held. */
static bool give_page(pteval_t pte, struct page *page)
{
	struct folio *folio = (struct folio *)page;
	bool give;

	if (!cptdev_pte_plain(pte) || cptdev_plain_page(pte) != page || PageCompound(page))
		return false;
	if (!cptdev_page_shared(page) || !cptdev_page_ours(page) || !folio_trylock(folio))
		return false;
	give = cptdev_page_ours(page) && !folio_test_swapcache(folio) && !folio_test_ksm(folio);
	if (give)
		SetPageAnonExclusive(page);
	folio_unlock(folio);
	return give;
}

/* A place in a snapshot: the next of its pages is at @addr. */
struct place {
	struct cptdev_snap *snap;
	u64 run;			/* the next one */
	u64 index;			/* of the page, in the list of those that are held */
	unsigned long addr;
	unsigned long end;		/* of the run */
};

/* Is there another page? */
static bool place_valid(struct place *p)
{
	while (p->addr == p->end) {
		const struct cptdev_run *run;

		if (p->run == p->snap->runs.nr)
			return false;
		run = cptdev_vec_at(&p->snap->runs, p->run++);
		if (cptdev_run_kind(run) != CPTDEV_EXTENT_DATA)
			continue;
		p->addr = run->start & PAGE_MASK;
		p->end = run->end;
	}
	return true;
}

/* Leave out all pages below @end. */
static void place_skip(struct place *p, unsigned long end)
{
	while (place_valid(p) && p->addr < end) {
		unsigned long to = min(p->end, end);

		p->index += (to - p->addr) >> PAGE_SHIFT;
		p->addr = to;
	}
}

/* Pages below @end, of one table. @c is NULL if they aren't tracked any more. */
static void give_ptes(struct place *p, struct cptdev_chunk *c, pte_t *ptes, unsigned long end)
{
	for (; place_valid(p) && p->addr < end; p->addr += PAGE_SIZE, p->index++) {
		u32 nth;
		unsigned long *held = cptdev_snap_held(p->snap, p->index, &nth);
		struct page *page = cptdev_held_page(*held);
		unsigned int i = pte_index(p->addr);

		if ((*held & CPTDEV_HELD_HUGE) || !give_page(pte_val(ptep_get(ptes + i)), page))
			continue;
		if (c)
			c->given[i / 64] |= 1ULL << (i % 64);
		/* Now, or the next cut would take it for I/O in flight. */
		put_page(page);
		*held = 0;
	}
}

/* The mmap_lock is held for reading: the table may go away until its lock is held. */
static void give_table(struct place *p, unsigned long end)
{
	struct cptdev_session *s = p->snap->session;
	unsigned long next;
	pmd_t *pmd = cptdev_walk_pmd(s->mm, p->addr, &next), val;
	spinlock_t *ptl;		/* of the table */

	if (!pmd)
		return;
	rcu_read_lock();
	val = READ_ONCE(*pmd);
	if (cptdev_pmd_table(val)) {
		ptl = pte_lockptr(s->mm, &val);
		spin_lock(ptl);
		if (cptdev_pmd_still(pmd, val))
			give_ptes(p, cptdev_chunk_find(s, p->addr), cptdev_pmd_ptes(val), end);
		spin_unlock(ptl);
	}
	rcu_read_unlock();
}

/* Pages between two looks whether somebody waits for the mmap_lock. */
#define GIVE_BATCH	512

/* Some of the pages that lie in @vma, from the place on. */
static void give_vma(struct place *p, struct vm_area_struct *vma)
{
	u64 stop = p->index + GIVE_BATCH;

	if (p->addr < vma->vm_start) {
		place_skip(p, vma->vm_start);
		return;
	}
	if (!(vma->vm_flags & VM_WRITE) || cptdev_vma_refuse(vma)) {
		place_skip(p, vma->vm_end);
		return;
	}
	while (p->index < stop && place_valid(p) && p->addr < vma->vm_end) {
		unsigned long end = pmd_addr_end(p->addr, vma->vm_end);

		give_table(p, end);
		place_skip(p, end);
	}
}

static void give_some(struct place *p)
{
	struct mm_struct *mm = p->snap->session->mm;
	struct vm_area_struct *vma;

	if (!mmap_read_trylock(mm)) {
		place_skip(p, (p->addr & PMD_MASK) + PMD_SIZE);
		return;
	}
	vma = atomic_read(&mm->mm_users) ? find_vma(mm, p->addr) : NULL;
	if (vma)
		give_vma(p, vma);
	else
		place_skip(p, ULONG_MAX);
	mmap_read_unlock(mm);
}

/*
 * Called when @snap is freed. With the parameter give_back, makes the pages of @snap exclusive to
 * the process where possible. Drops the references to these pages; their places in the list are 0.
 */
void cptdev_give_back(struct cptdev_snap *snap)
{
	struct place p = { .snap = snap };

	if (!READ_ONCE(give_back))
		return;
	/* A snapshot that was given up has no index. */
	while (snap->runs.block && place_valid(&p)) {
		give_some(&p);
		cond_resched();
	}
}
