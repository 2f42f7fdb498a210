/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * cptdev: page-table entries of arm64. The functions are those of arch/x86/pte.h.
 *
 * An entry has two write bits. PTE_WRITE says that the process may write. PTE_RDONLY says that the
 * next store doesn't go through: either the processor removes it at that store (and so marks the
 * page as dirty), or, if the processor can't do that, the store faults and the kernel removes it.
 * PTE_DIRTY is a third bit, which only the kernel sets. So a page is dirty if PTE_DIRTY is set, or
 * if PTE_WRITE is set and PTE_RDONLY isn't. pte_mkclean() and pte_wrprotect() keep these rules.
 */
#ifndef _CPTDEV_ARCH_ARM64_PTE_H
#define _CPTDEV_ARCH_ARM64_PTE_H

#include <linux/mm.h>
#include <linux/pgtable.h>

#ifndef CONFIG_ARM64_4K_PAGES
#error "cptdev needs pages of 4 KiB. Next: build it for a kernel with CONFIG_ARM64_4K_PAGES."
#endif
/* Sixteen entries that share their dirty and accessed bits, behind the back of this file. */
#ifdef CONFIG_ARM64_CONTPTE
#error "cptdev can't track contiguous PTEs. Next: use a kernel without CONFIG_ARM64_CONTPTE."
#endif

static inline bool cptdev_pte_replace(pte_t *ptep, pte_t old, pte_t new)
{
	return try_cmpxchg(&pte_val(*ptep), &pte_val(old), pte_val(new));
}

static inline bool cptdev_pmd_replace(pmd_t *pmdp, pmd_t old, pmd_t new)
{
	return try_cmpxchg(&pmd_val(*pmdp), &pmd_val(old), pmd_val(new));
}

#define CPTDEV_PTE_WRITE	PTE_WRITE

/* cptdev_ptes64() finds with this bit what the processor made dirty, too. */
#define CPTDEV_PTE_DIRTY	PTE_DIRTY

/*
 * The entry, with PTE_DIRTY if the page is dirty in either way. In an entry that isn't present,
 * these bits belong to an address in swap space that no machine has.
 */
static __always_inline pteval_t cptdev_pte_bits(pteval_t v)
{
	pteval_t written = v & ~(v << (ilog2(PTE_WRITE) - ilog2(PTE_RDONLY))) & PTE_WRITE;

	return v | written << (ilog2(PTE_DIRTY) - ilog2(PTE_WRITE));
}

static __always_inline u64 cptdev_ptes64(const pte_t *ptep, pteval_t bits)
{
	const pteval_t *v = (const pteval_t *)ptep;
	pteval_t all = 0;
	u64 found = 0;
	unsigned int i;

	barrier();
	for (i = 0; i < 64; i++)
		all |= cptdev_pte_bits(v[i]);
	if (likely(!(all & bits)))
		return 0;
	barrier();
	for (i = 0; i < 64; i++)
		found |= (u64)!!(cptdev_pte_bits(v[i]) & bits) << i;
	return found;
}

static __always_inline u64 cptdev_ptes64_filled(const pte_t *ptep)
{
	return cptdev_ptes64(ptep, ~0ULL);
}

static inline bool cptdev_pmd_table(pmd_t pmd)
{
	return (pmd_val(pmd) & PMD_TYPE_MASK) == PMD_TYPE_TABLE;
}

static inline pmdval_t cptdev_pmds8(const pmd_t *pmdp)
{
	const pmdval_t *v = (const pmdval_t *)pmdp;

	return v[0] | v[1] | v[2] | v[3] | v[4] | v[5] | v[6] | v[7];
}

static inline pte_t *cptdev_pmd_ptes(pmd_t pmd)
{
	return (pte_t *)pmd_page_vaddr(pmd);
}

static inline struct page *cptdev_ptes_page(const pte_t *ptes)
{
	return virt_to_page(ptes);
}

static inline bool cptdev_pte_plain(pteval_t pte)
{
	return (pte & (PTE_VALID | PTE_SPECIAL)) == PTE_VALID;
}

static inline bool cptdev_pte_plain_rw(pteval_t pte)
{
	return (pte & (PTE_VALID | PTE_SPECIAL | PTE_WRITE)) == (PTE_VALID | PTE_WRITE);
}

static inline struct page *cptdev_plain_page(pteval_t pte)
{
	return pfn_to_page(pte_pfn(__pte(pte)));
}

/* The sweep is in C: NEON isn't used. */
struct cptdev_swept;

static inline void cptdev_simd_init(void)
{
}

static inline bool cptdev_simd_usable(void)
{
	return false;
}

static inline u32 cptdev_sweep_simd(struct cptdev_swept *swept, u32 nr, u64 bits, u64 mark,
				    u64 third)
{
	return 0;
}

#endif /* _CPTDEV_ARCH_ARM64_PTE_H */
