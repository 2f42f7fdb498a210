// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev: which mappings can be tracked.
 */
#include <linux/hugetlb.h>

#include "../cptdev.h"

/* Memory whose changes the page tables of this process don't tell is refused. */
enum cptdev_reason cptdev_vma_refuse(struct vm_area_struct *vma)
{
	if (is_vm_hugetlb_page(vma))
		return CPTDEV_REASON_HUGETLB;
	if (vma->vm_flags & (VM_IO | VM_PFNMAP | VM_MIXEDMAP))
		return CPTDEV_REASON_DEVICE;
	if (vma->vm_flags & (VM_SHARED | VM_MAYSHARE))
		return CPTDEV_REASON_SHARED;
	if (vma_is_dax(vma))
		return CPTDEV_REASON_DEVICE;
	if (vma->vm_flags & CPTDEV_VM_SPECIAL)
		return CPTDEV_REASON_SPECIAL;
	if (!vma_is_anonymous(vma) && !vma->vm_file)
		return CPTDEV_REASON_SPECIAL;
	return CPTDEV_REASON_NONE;
}
