/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * All differences between kernel versions (6.1 to 7.2). The rest of the module is written for
 * the newest kernel.
 */
#ifndef _CPTDEV_COMPAT_H
#define _CPTDEV_COMPAT_H

#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/rmap.h>
#include <linux/shrinker.h>
#include <linux/slab.h>
#include <linux/swap.h>
#include <linux/swapops.h>
#include <linux/version.h>
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 19, 0)
#include <linux/leafops.h>
#endif

/* Before 6.4 there are no per-VMA locks: faults need the mmap_lock. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 4, 0)
static inline void vma_start_write(struct vm_area_struct *vma)
{
}
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
static inline void vm_flags_mod(struct vm_area_struct *vma, vm_flags_t set,
				vm_flags_t clear)
{
	vma->vm_flags = (vma->vm_flags | set) & ~clear;
}
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 5, 0)
static inline long cptdev_gup(struct mm_struct *mm, unsigned long addr,
			      unsigned int flags, struct page **page)
{
	return get_user_pages_remote(mm, addr, 1, flags, page, NULL, NULL);
}
#else
static inline long cptdev_gup(struct mm_struct *mm, unsigned long addr,
			      unsigned int flags, struct page **page)
{
	return get_user_pages_remote(mm, addr, 1, flags, page, NULL);
}
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 7, 0)
static inline int folio_try_share_anon_rmap_pte(struct folio *folio,
						struct page *page)
{
	return page_try_share_anon_rmap(page);
}

static inline int folio_try_share_anon_rmap_pmd(struct folio *folio,
						struct page *page)
{
	return page_try_share_anon_rmap(page);
}
#endif

/* A note in place of a PTE that maps nothing, except one that stands for lost memory. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 6, 0)
static inline bool cptdev_pte_marker(pte_t pte)
{
	return is_pte_marker(pte);
}
#elif LINUX_VERSION_CODE >= KERNEL_VERSION(6, 19, 0)
static inline bool cptdev_pte_marker(pte_t pte)
{
	return pte_is_marker(pte) && !softleaf_is_poison_marker(softleaf_from_pte(pte));
}
#else
static inline bool cptdev_pte_marker(pte_t pte)
{
	return is_pte_marker(pte) && !is_poisoned_swp_entry(pte_to_swp_entry(pte));
}
#endif

/* VM_MTE, on arm64: the memory has tags, which no snapshot contains. */
#ifdef VM_DROPPABLE
#define CPTDEV_VM_SPECIAL	(VM_SHADOW_STACK | VM_DROPPABLE | VM_MTE)
#elif defined(VM_SHADOW_STACK)
#define CPTDEV_VM_SPECIAL	(VM_SHADOW_STACK | VM_MTE)
#else
#define CPTDEV_VM_SPECIAL	VM_MTE
#endif

/* How many page-table entries map the folio: each of them holds one reference. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 6, 0)
/* The kernel's own folio_mapcount() isn't exported; this is for anonymous folios. */
static inline int cptdev_mapcount(struct folio *folio)
{
	long i, nr = folio_nr_pages(folio);
	int count;

	if (!folio_test_large(folio))
		return atomic_read(&folio->_mapcount) + 1;
	count = folio_entire_mapcount(folio);
	for (i = 0; i < nr; i++)
		count += atomic_read(&folio_page(folio, i)->_mapcount) + 1;
	if (folio_test_double_map(folio))
		count -= nr;
	return count;
}
#else
static inline int cptdev_mapcount(struct folio *folio)
{
	return folio_mapcount(folio);
}
#endif

/*
 * Does current itself hold the mmap_lock for writing? A writer is the owner as it is, a
 * reader with a bit set.
 */
static inline bool cptdev_mmap_write_owned(struct mm_struct *mm)
{
#ifdef CONFIG_PREEMPT_RT
	/* A writer keeps the rt_mutex; the bias says that no reader is waited for. */
	const struct rwbase_rt *rwb = &mm->mmap_lock.rwbase;
	unsigned long owner = (unsigned long)READ_ONCE(rwb->rtmutex.owner);

	return (owner & ~1UL) == (unsigned long)current &&
		atomic_read(&rwb->readers) == WRITER_BIAS;
#else
	return atomic_long_read(&mm->mmap_lock.owner) == (long)current;
#endif
}

/* Under the lock: is this entry what it was when it was read without? */
static inline bool cptdev_pmd_still(pmd_t *pmdp, pmd_t val)
{
	return pmd_same(val, READ_ONCE(*pmdp));
}

/* The lock of a table of PTEs, as cptdev_pmd_ptes() has it: in the direct map. */
static inline spinlock_t *cptdev_table_lock(struct mm_struct *mm, pte_t *ptes)
{
#if defined(CONFIG_SPLIT_PTE_PTLOCKS) || USE_SPLIT_PTE_PTLOCKS
	struct page *table = cptdev_ptes_page(ptes);

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 6, 0)
	return ptlock_ptr(table);
#else
	return ptlock_ptr(page_ptdesc(table));
#endif
#else
	return &mm->page_table_lock;
#endif
}

/* PageAnonExclusive(), without asking whether it is a page of hugetlb: those are refused. */
static inline bool cptdev_page_exclusive(struct page *page)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 18, 0)
	return test_bit(PG_anon_exclusive, &page->flags);
#else
	return test_bit(PG_anon_exclusive, &page->flags.f);
#endif
}

/* No tail page, which has neither references nor a mapping of its own. */
static inline bool cptdev_page_anon(struct page *page)
{
	return folio_test_anon((struct folio *)page);
}

/* An anonymous page of this process's alone, mapped once, with no other reference. */
static inline bool cptdev_page_alone(struct page *page)
{
	return page_ref_count(page) == 1 && atomic_read(&page->_mapcount) == 0 &&
		cptdev_page_exclusive(page) && cptdev_page_anon(page);
}

/* A page that one page table maps and we refer to, and nobody else. */
static inline bool cptdev_page_ours(struct page *page)
{
	return page_ref_count(page) == 2 && atomic_read(&page->_mapcount) == 0;
}

/* An anonymous page that isn't exclusive any more. */
static inline bool cptdev_page_shared(struct page *page)
{
	return !PageTail(page) && cptdev_page_anon(page) && !cptdev_page_exclusive(page);
}

/* The second argument is gone since 6.10. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 10, 0)
#define cptdev_assign_str(dst, src)	__assign_str(dst, src)
#else
#define cptdev_assign_str(dst, src)	__assign_str(dst)
#endif

/*
 * A shrinker for a list_lru: allocated, so that the list can be made for it, and then
 * registered. Before 6.7 the allocated one is live: it has to wait for the list by itself.
 */
#define CPTDEV_SHRINKER_FLAGS	(SHRINKER_NUMA_AWARE | SHRINKER_MEMCG_AWARE | SHRINKER_NONSLAB)

typedef unsigned long (*cptdev_shrinker_fn)(struct shrinker *shrink, struct shrink_control *sc);

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 7, 0)
static inline struct shrinker *cptdev_shrinker_alloc(const char *name, cptdev_shrinker_fn count,
						     cptdev_shrinker_fn scan, long batch)
{
	struct shrinker *s = kzalloc(sizeof(*s), GFP_KERNEL);

	if (!s)
		return NULL;
	s->count_objects = count;
	s->scan_objects = scan;
	s->batch = batch;
	s->seeks = DEFAULT_SEEKS;
	s->flags = CPTDEV_SHRINKER_FLAGS;
	if (register_shrinker(s, "%s", name)) {
		kfree(s);
		return NULL;
	}
	return s;
}

static inline void cptdev_shrinker_register(struct shrinker *s)
{
}

static inline void cptdev_shrinker_free(struct shrinker *s)
{
	unregister_shrinker(s);
	kfree(s);
}
#else
static inline struct shrinker *cptdev_shrinker_alloc(const char *name, cptdev_shrinker_fn count,
						     cptdev_shrinker_fn scan, long batch)
{
	struct shrinker *s = shrinker_alloc(CPTDEV_SHRINKER_FLAGS, "%s", name);

	if (!s)
		return NULL;
	s->count_objects = count;
	s->scan_objects = scan;
	s->batch = batch;
	return s;
}

static inline void cptdev_shrinker_register(struct shrinker *s)
{
	shrinker_register(s);
}

static inline void cptdev_shrinker_free(struct shrinker *s)
{
	shrinker_free(s);
}
#endif

/* The object's own node and control group. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 8, 0)
#define list_lru_add_obj(lru, item)	list_lru_add(lru, item)
#define list_lru_del_obj(lru, item)	list_lru_del(lru, item)
#endif

/* What a list_lru's walk passes between the item and the caller's own argument. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
#define CPTDEV_LRU_WALK_ARGS	struct list_lru_one *list, spinlock_t *lock
#else
#define CPTDEV_LRU_WALK_ARGS	struct list_lru_one *list
#endif

#endif /* _CPTDEV_COMPAT_H */
