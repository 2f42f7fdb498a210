// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev: the sweep (track/sweep.c) with AVX2, if the processor has it and the context allows
 * the use of its registers.
 */
#include <asm/simd.h>
#include <linux/cpufeature.h>

#include "../../track/walk.h"
#include "pte.h"

u32 cptdev_sweep_avx2(struct cptdev_swept *swept, u32 nr, u64 bits, u64 mark, u64 third);

static bool have_avx2 __ro_after_init;

void __init cptdev_simd_init(void)
{
	have_avx2 = boot_cpu_has(X86_FEATURE_AVX2) &&
		cpu_has_xfeatures(XFEATURE_MASK_SSE | XFEATURE_MASK_YMM, NULL);
}

bool cptdev_simd_usable(void)
{
	return have_avx2 && may_use_simd();
}

u32 cptdev_sweep_simd(struct cptdev_swept *swept, u32 nr, u64 bits, u64 mark, u64 third)
{
	u32 all;

	BUILD_BUG_ON(offsetof(struct cptdev_swept, ptes) != 0);
	BUILD_BUG_ON(offsetof(struct cptdev_swept, chunk) != 8);
	BUILD_BUG_ON(offsetof(struct cptdev_swept, found) != 16);
	BUILD_BUG_ON(offsetof(struct cptdev_swept, what) != 80);
	BUILD_BUG_ON(sizeof(struct cptdev_swept) != 88);
	BUILD_BUG_ON(offsetof(struct cptdev_mark, hole) != CHUNK_WORDS * sizeof(u64));
	kernel_fpu_begin();
	all = cptdev_sweep_avx2(swept, nr, bits, mark, third);
	kernel_fpu_end();
	return all;
}
