/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * cptdev: page-table entries of x86-64. Functions that test many entries at a time, and functions
 * that replace an entry while the processor may set its dirty and accessed bits.
 */
#ifndef _CPTDEV_ARCH_X86_PTE_H
#define _CPTDEV_ARCH_X86_PTE_H

#include <linux/mm.h>
#include <linux/pgtable.h>

/*
 * Replace a present PTE by one that differs in the dirty and accessed bits. Returns
 * false when the processor changed it meanwhile: read it again. The page-table lock
 * is held. As ptep_set_wrprotect() does it since 6.6, on Xen PV too; where to begin for
 * another processor than x86-64.
 */
static inline bool cptdev_pte_replace(pte_t *ptep, pte_t old, pte_t new)
{
	return try_cmpxchg(&ptep->pte, &old.pte, new.pte);
}

/* The same for the mapping of a huge page. */
static inline bool cptdev_pmd_replace(pmd_t *pmdp, pmd_t old, pmd_t new)
{
	return try_cmpxchg(&pmdp->pmd, &old.pmd, new.pmd);
}

/* The bit of a PTE that can be written through. */
#define CPTDEV_PTE_WRITE	_PAGE_RW

/* Bits of a PTE that says its page is dirty. */
#ifdef _PAGE_DIRTY_BITS
#define CPTDEV_PTE_DIRTY	_PAGE_DIRTY_BITS
#else
#define CPTDEV_PTE_DIRTY	_PAGE_DIRTY
#endif

/* Of 64 PTEs, those that have one of @bits: the sweep without SIMD. */
static __always_inline pteval_t cptdev_or16(const pteval_t *v)
{
	barrier();
	return v[0] | v[1] | v[2] | v[3] | v[4] | v[5] | v[6] | v[7] | v[8] | v[9] |
	       v[10] | v[11] | v[12] | v[13] | v[14] | v[15];
}

static __always_inline u64 cptdev_ptes64(const pte_t *ptep, pteval_t bits)
{
	const pteval_t *v = (const pteval_t *)ptep;
	u64 found = 0, some;
	unsigned int i, j;

	if (likely(!((cptdev_or16(v) | cptdev_or16(v + 16) | cptdev_or16(v + 32) |
		      cptdev_or16(v + 48)) & bits)))
		return 0;
	for (i = 0; i < 64; i += 16, v += 16) {
		if (!(cptdev_or16(v) & bits))
			continue;
		some = 0;
#pragma GCC unroll 16
		for (j = 0; j < 16; j++)
			some |= (u64)!!(v[j] & bits) << j;
		found |= some << i;
	}
	return found;
}

static __always_inline pteval_t cptdev_and16(const pteval_t *v)
{
	barrier();
	return v[0] & v[1] & v[2] & v[3] & v[4] & v[5] & v[6] & v[7] & v[8] & v[9] &
	       v[10] & v[11] & v[12] & v[13] & v[14] & v[15];
}

/* Of 64 PTEs, those that aren't none. Nearly always all are present, or none is there. */
static __always_inline u64 cptdev_ptes64_filled(const pte_t *ptep)
{
	const pteval_t *v = (const pteval_t *)ptep;

	if (likely(cptdev_and16(v) & cptdev_and16(v + 16) & cptdev_and16(v + 32) &
		   cptdev_and16(v + 48) & _PAGE_PRESENT))
		return ~0ULL;
	return cptdev_ptes64(ptep, ~0ULL);
}

/* Does this entry lead to a table of PTEs? And to which: with no second look. */
static inline bool cptdev_pmd_table(pmd_t pmd)
{
	return (native_pmd_val(pmd) & (_PAGE_PRESENT | _PAGE_PSE)) == _PAGE_PRESENT;
}

/* Bits of any of 8 entries of the level above. Under the lock. */
static inline pmdval_t cptdev_pmds8(const pmd_t *pmdp)
{
	const pmdval_t *v = (const pmdval_t *)pmdp;

	return v[0] | v[1] | v[2] | v[3] | v[4] | v[5] | v[6] | v[7];
}

static inline pte_t *cptdev_pmd_ptes(pmd_t pmd)
{
	return __va(pmd_val(pmd) & PTE_PFN_MASK);
}

/* The page that a table of PTEs is, as cptdev_pmd_ptes() has it: in the direct map. */
static inline struct page *cptdev_ptes_page(const pte_t *ptes)
{
	return pfn_to_page(((unsigned long)ptes - PAGE_OFFSET) >> PAGE_SHIFT);
}

/*
 * What a cut asks of nearly all pages, with as few instructions as it takes. A plain PTE
 * maps a page that has a struct page: pte_page() needs no second look.
 */
static inline bool cptdev_pte_plain(pteval_t pte)
{
	return (pte & (_PAGE_PRESENT | _PAGE_SPECIAL)) == _PAGE_PRESENT;
}

static inline bool cptdev_pte_plain_rw(pteval_t pte)
{
	return (pte & (_PAGE_PRESENT | _PAGE_SPECIAL | _PAGE_RW)) ==
		(_PAGE_PRESENT | _PAGE_RW);
}

static inline struct page *cptdev_plain_page(pteval_t pte)
{
	return pfn_to_page((pte & PTE_PFN_MASK) >> PAGE_SHIFT);
}

/* simd.c: the tables of a sweep (track/walk.h) at once, with the processor's wide registers. */
struct cptdev_swept;

void cptdev_simd_init(void);
bool cptdev_simd_usable(void);
u32 cptdev_sweep_simd(struct cptdev_swept *swept, u32 nr, u64 bits, u64 mark, u64 third);

#endif /* _CPTDEV_ARCH_X86_PTE_H */
