// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev: flushing the TLB of a process, with nothing but exported symbols.
 *
 * The kernel's flush functions aren't exported, and a flush by hand would be wrong on processors
 * and hypervisors with methods of their own (broadcast invalidation, lazy TLB, Xen PV). So the
 * module makes the kernel flush. mm->tlb_flush_pending counts the tasks that change page tables
 * and flush later. A task that ends a batch of unmapping while another batch is pending flushes
 * the whole address space (tlb_finish_mmu()), because both may have changed the same entries. So
 * the module counts itself before its first change, as the kernel's rules require anyway, and
 * then zaps an empty mapping of its own, the *proxy*.
 */
#include <linux/delay.h>
#include <linux/file.h>
#include <linux/mman.h>
#include <linux/mm.h>
#include <linux/mm_inline.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pseudo_fs.h>
#include <linux/sched/mm.h>

#include "../cptdev.h"
#include "../mutants.h"

#define PROXY_SIZE	PAGE_SIZE

/* Each session's proxy has an inode of its own, and so an i_mmap tree of its own. */
static struct vfsmount *proxy_mnt;

static int proxy_init_fs_context(struct fs_context *fc)
{
	return init_pseudo(fc, 0x63707464) ? 0 : -ENOMEM;
}

/* No owner: mounted by the module itself, it would never let it go. */
static struct file_system_type proxy_fs = {
	.name			= "cptdev",
	.init_fs_context	= proxy_init_fs_context,
	.kill_sb		= kill_anon_super,
};

int cptdev_flush_init(void)
{
	proxy_mnt = kern_mount(&proxy_fs);
	return PTR_ERR_OR_ZERO(proxy_mnt);
}

void cptdev_flush_exit(void)
{
	kern_unmount(proxy_mnt);
}

static int proxy_mmap(struct file *file, struct vm_area_struct *vma)
{
	vm_flags_mod(vma, VM_PFNMAP | VM_DONTCOPY | VM_DONTEXPAND | VM_DONTDUMP,
		     VM_MAYWRITE | VM_MAYEXEC | VM_EXEC);
	return 0;
}

static const struct file_operations proxy_fops = {
	.owner	= THIS_MODULE,
	.mmap	= proxy_mmap,
};

static struct file *proxy_file(void)
{
	struct inode *inode = alloc_anon_inode(proxy_mnt->mnt_sb);
	struct file *file;

	if (IS_ERR(inode))
		return ERR_CAST(inode);
	file = alloc_file_pseudo(inode, proxy_mnt, "[cptdev-proxy]", O_RDWR,
				 &proxy_fops);
	if (IS_ERR(file))
		iput(inode);
	else
		__module_get(THIS_MODULE);	/* the file's last fput() drops it */
	return file;
}

/* The proxy's VMA, unless the process unmapped it. The mmap_lock is held. */
static struct vm_area_struct *proxy_vma(struct cptdev_session *s)
{
	struct vm_area_struct *vma;

	if (!s->proxy.file)
		return NULL;
	vma = find_vma(s->mm, s->proxy.addr);
	if (!vma || vma->vm_file != s->proxy.file ||
	    vma->vm_start != s->proxy.addr ||
	    vma->vm_end != s->proxy.addr + PROXY_SIZE)
		return NULL;
	return vma;
}

/* See to it that there is a proxy. Without the mmap_lock; by the process itself. */
int cptdev_proxy_create(struct cptdev_session *s)
{
	struct mm_struct *mm = s->mm;
	unsigned long addr;
	bool whole;

	if (!s->proxy.file) {
		struct file *file = proxy_file();

		if (IS_ERR(file))
			return PTR_ERR(file);
		s->proxy.file = file;
	}
	mmap_read_lock(mm);
	whole = proxy_vma(s);
	mmap_read_unlock(mm);
	if (whole)
		return 0;

	addr = vm_mmap(s->proxy.file, 0, PROXY_SIZE, PROT_READ, MAP_SHARED, 0);
	if (IS_ERR_VALUE(addr))
		return addr;
	s->proxy.addr = addr;
	return 0;
}

/* Only the process itself can unmap, or a kernel thread in its place. */
static void proxy_unmap(struct cptdev_session *s)
{
	unsigned long addr = s->proxy.addr;
	bool whole;

	mmap_read_lock(s->mm);
	whole = proxy_vma(s);
	mmap_read_unlock(s->mm);
	if (whole)
		vm_munmap(addr, PROXY_SIZE);
}

/* At the end of the session, from any context that may sleep. */
void cptdev_proxy_destroy(struct cptdev_session *s)
{
	if (!s->proxy.file)
		return;
	if (current->mm == s->mm) {
		proxy_unmap(s);
	} else if ((current->flags & PF_KTHREAD) && mmget_not_zero(s->mm)) {
		kthread_use_mm(s->mm);
		proxy_unmap(s);
		kthread_unuse_mm(s->mm);
		mmput(s->mm);
	}
	fput(s->proxy.file);
	s->proxy.file = NULL;
}

/* How often a process that isn't the session's own tries to get the lock, and the waits between. */
#define OTHER_TRIES	50
#define OTHER_WAIT_US	100

/*
 * The session's own process waits for its memory. The daemon doesn't, since the lock may be held
 * for long: it gets EAGAIN after some milliseconds. Not all kernels can try to lock for writing, so
 * this looks first. Somebody may come in between; that is a moment in which few things begin.
 */
static int flush_lock_mm(struct mm_struct *mm, bool write)
{
	unsigned int i;

	for (i = 0; current->mm != mm && rwsem_is_locked(&mm->mmap_lock); i++) {
		if (i == OTHER_TRIES)
			return -EAGAIN;
		usleep_range(OTHER_WAIT_US, 2 * OTHER_WAIT_US);
	}
	return (write ? mmap_write_lock_killable(mm) : mmap_read_lock_killable(mm)) ? -EINTR : 0;
}

/*
 * Take the mmap_lock, with everything in place for cptdev_flush(): what can fail fails
 * here, before a page table was changed. Under session->lock. A process that unmaps the proxy
 * gets a new one at its own next call; for others there is none until then (EAGAIN).
 */
int cptdev_flush_lock(struct cptdev_session *s, bool write)
{
	struct mm_struct *mm = s->mm;
	bool own = current->mm == mm;
	int ret;

	for (;;) {
		ret = own ? cptdev_proxy_create(s) : 0;
		if (ret)
			return ret;
		ret = flush_lock_mm(mm, write);
		if (ret)
			return ret;
		if (proxy_vma(s))
			break;
		if (write)
			mmap_write_unlock(mm);
		else
			mmap_read_unlock(mm);
		if (!own)
			return -EAGAIN;
	}
	inc_tlb_flush_pending(mm);
	return 0;
}

/*
 * After this every processor sees the page tables as they are now. The mmap_lock has
 * been held since cptdev_flush_lock().
 */
void cptdev_flush(struct cptdev_session *s)
{
	unmap_mapping_range(s->proxy.file->f_mapping, 0, PROXY_SIZE, 0);
}

/* The reverse of cptdev_flush_lock(). */
void cptdev_flush_unlock(struct cptdev_session *s, bool write)
{
	dec_tlb_flush_pending(s->mm);
	if (write)
		mmap_write_unlock(s->mm);
	else
		mmap_read_unlock(s->mm);
}
