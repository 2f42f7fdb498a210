// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev: may the program serve its clients? The daemon sets the state with ACK (follow.c): fenced,
 * blocked, and the end of the lease. The program reads the state with WAIT, or without a system
 * call from a page that it maps.
 */
#include <linux/mm.h>
#include <linux/personality.h>

#include "cptdev.h"
#include "mutants.h"

/* Is what is committed acknowledged at this moment? */
bool cptdev_state_allows(struct cptdev_session *s)
{
	lockdep_assert_held(&s->pub_lock);
	return !cptdev_state_blocked(s) && !cptdev_lease_over(s);
}

/*
 * Bring the page up to date, after each change. A reader looks at the flags before and after
 * the lease: with the flags of both states between, it never takes the one state's flags
 * together with the other one's lease for a permission.
 */
void cptdev_state_show(struct cptdev_session *s)
{
	struct cptdev_session_page *p;
	u32 flags = s->state;

	lockdep_assert_held(&s->pub_lock);
	if (!s->page)
		return;
	/* A forked child may still look, and nobody will tell it anything. */
	if (s->ended)
		flags |= CPTDEV_STATE_BLOCKED;
	p = page_address(s->page);
	WRITE_ONCE(p->flags, p->flags | flags);
	smp_wmb();	/* the reader's loads are in this order, see ckdev_may_serve() */
	WRITE_ONCE(p->lease_until_ns, s->lease_until);
	smp_wmb();	/* likewise */
	WRITE_ONCE(p->flags, flags);
	WRITE_ONCE(p->committed, s->committed);
}

/* The page stays until the last mapping is gone, which holds the file. */
static int page_create(struct cptdev_session *s)
{
	struct cptdev_session_page *p;
	struct page *page;

	if (s->page)		/* under the mmap_lock of the session's process */
		return 0;
	page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	if (!page)
		return -ENOMEM;
	p = page_address(page);
	p->size = sizeof(*p);
	spin_lock(&s->pub_lock);
	s->page = page;
	cptdev_state_show(s);
	spin_unlock(&s->pub_lock);
	return 0;
}

void cptdev_session_page_free(struct cptdev_session *s)
{
	struct page *page;

	spin_lock(&s->pub_lock);
	page = s->page;
	s->page = NULL;
	spin_unlock(&s->pub_lock);
	/* The kernel may still read from it, for a write() of the program's. */
	if (page)
		put_page(page);
}

/* Runs under the mmap_lock of the process that faults, also of a forked child; takes no lock. */
static vm_fault_t page_fault(struct vm_fault *vmf)
{
	struct cptdev_session *s = vmf->vma->vm_private_data;

	if (vmf->pgoff)
		return VM_FAULT_SIGBUS;
	get_page(s->page);
	vmf->page = s->page;
	return 0;
}

static const struct vm_operations_struct page_vm_ops = {
	.fault	= page_fault,
};

int cptdev_session_mmap(struct file *filp, struct vm_area_struct *vma)
{
	const bool old_program = current->personality & READ_IMPLIES_EXEC;
	struct cptdev_session *s = filp->private_data;
	int ret = cptdev_session_enter(s);

	if (ret)
		return ret;
	if (vma->vm_pgoff || vma_pages(vma) != 1 || !(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;
	/* A personality may add PROT_EXEC to a mapping for reading: that isn't refused. */
	if ((vma->vm_flags & VM_WRITE) || ((vma->vm_flags & VM_EXEC) && !old_program))
		return -EACCES;
	ret = page_create(s);
	if (ret)
		return ret;
	vm_flags_mod(vma, VM_DONTEXPAND | VM_DONTDUMP, VM_MAYWRITE | VM_MAYEXEC | VM_EXEC);
	vma->vm_private_data = s;
	vma->vm_ops = &page_vm_ops;
	return 0;
}
