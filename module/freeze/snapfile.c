// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev: a snapshot as a file. Its bytes are the frozen pages, packed in the order of
 * the extents. The file never changes, so no lock is needed.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/mutex.h>
#include <linux/personality.h>
#include <linux/poll.h>
#include <linux/pipe_fs_i.h>	/* after what brings mutexes and wait queues */
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/splice.h>
#include <linux/uaccess.h>
#include <linux/uio.h>

#include "snap.h"

static loff_t snap_size(const struct cptdev_snap *snap)
{
	return (loff_t)cptdev_snap_pages(snap) << PAGE_SHIFT;
}

static ssize_t snap_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct cptdev_snap *snap = iocb->ki_filp->private_data;
	ssize_t done = 0;

	while (iov_iter_count(to) && iocb->ki_pos < snap_size(snap)) {
		size_t offset = offset_in_page(iocb->ki_pos);
		size_t n = min(iov_iter_count(to), PAGE_SIZE - offset);
		struct page *page = cptdev_snap_page(snap, iocb->ki_pos >> PAGE_SHIFT);
		size_t copied = copy_page_to_iter(page, offset, n, to);

		done += copied;
		iocb->ki_pos += copied;
		if (copied < n)
			return done ?: -EFAULT;
		if (fatal_signal_pending(current))
			return done ?: -EINTR;
	}
	return done;
}

/*
 * Pages go into the pipe by reference: to the file, so that they count as held for as long as
 * they are there. Whoever gets them must not take them away.
 */
static void snap_buf_release(struct pipe_inode_info *pipe, struct pipe_buffer *buf)
{
	fput((struct file *)buf->private);
}

static bool snap_buf_get(struct pipe_inode_info *pipe, struct pipe_buffer *buf)
{
	get_file((struct file *)buf->private);
	return true;
}

static const struct pipe_buf_operations snap_buf_ops = {
	.release	= snap_buf_release,
	.get		= snap_buf_get,
};

static void spd_release(struct splice_pipe_desc *spd, unsigned int i)
{
	fput((struct file *)spd->partial[i].private);
}

static ssize_t snap_splice_read(struct file *in, loff_t *ppos,
				struct pipe_inode_info *pipe, size_t len,
				unsigned int flags)
{
	struct cptdev_snap *snap = in->private_data;
	struct page *pages[PIPE_DEF_BUFFERS];
	struct partial_page partial[PIPE_DEF_BUFFERS];
	struct splice_pipe_desc spd = {
		.pages		= pages,
		.partial	= partial,
		.nr_pages_max	= PIPE_DEF_BUFFERS,
		.ops		= &snap_buf_ops,
		.spd_release	= spd_release,
	};
	loff_t pos = *ppos, end = min_t(loff_t, snap_size(snap), pos + len);
	ssize_t ret;

	while (pos < end && spd.nr_pages < PIPE_DEF_BUFFERS) {
		size_t offset = offset_in_page(pos);
		size_t n = min_t(loff_t, end - pos, PAGE_SIZE - offset);
		struct page *page = cptdev_snap_page(snap, pos >> PAGE_SHIFT);

		pages[spd.nr_pages] = page;
		partial[spd.nr_pages++] = (struct partial_page) {
			.offset = offset, .len = n,
			.private = (unsigned long)get_file(in),
		};
		pos += n;
	}
	if (!spd.nr_pages)
		return 0;
	ret = splice_to_pipe(pipe, &spd);
	if (ret > 0)
		*ppos += ret;
	return ret;
}

/*
 * A page of anonymous memory can be mapped by its number only. The mapping keeps the file, and
 * the file keeps the page. Runs under the mmap_lock of the process that mapped the file, and
 * takes no lock.
 */
static vm_fault_t snap_fault(struct vm_fault *vmf)
{
	struct cptdev_snap *snap = vmf->vma->vm_private_data;
	struct page *page;

	if (vmf->pgoff >= cptdev_snap_pages(snap))
		return VM_FAULT_SIGBUS;
	page = cptdev_snap_page(snap, vmf->pgoff);
	return vmf_insert_pfn(vmf->vma, vmf->address, page_to_pfn(page));
}

static const struct vm_operations_struct snap_vm_ops = {
	.fault	= snap_fault,
};

static int snap_mmap(struct file *file, struct vm_area_struct *vma)
{
	const bool old_program = current->personality & READ_IMPLIES_EXEC;

	/* A personality may add PROT_EXEC to a mapping for reading: that isn't refused. */
	if ((vma->vm_flags & VM_WRITE) || ((vma->vm_flags & VM_EXEC) && !old_program))
		return -EPERM;
	vm_flags_mod(vma, VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP,
		     VM_MAYWRITE | VM_MAYEXEC | VM_EXEC);
	vma->vm_private_data = file->private_data;
	vma->vm_ops = &snap_vm_ops;
	return 0;
}

/* Always ready: it was whole before there was a descriptor. */
static __poll_t snap_poll(struct file *filp, poll_table *wait)
{
	return EPOLLIN | EPOLLRDNORM;
}

static loff_t snap_llseek(struct file *filp, loff_t offset, int whence)
{
	return fixed_size_llseek(filp, offset, whence, snap_size(filp->private_data));
}

static int snap_release(struct inode *inode, struct file *filp)
{
	cptdev_snap_put(filp->private_data);
	return 0;
}

static int snap_info(struct cptdev_call *call, void *uarg)
{
	struct cptdev_snap *snap = call->filp->private_data;
	struct cptdev_session *s = snap->session;
	struct cptdev_image_info *info = uarg;
	u32 size = info->size;

	if (info->flags)
		return -EOPNOTSUPP;
	memset(info, 0, sizeof(*info));
	info->size = size;
	info->kind = CPTDEV_IMAGE_SNAPSHOT;
	info->state = snap->state;
	if (s->flags & CPTDEV_SESSION_REPLACE)
		info->state |= CPTDEV_IMAGE_REPLACE;
	/* Fixed since before the first snapshot. */
	strscpy((char *)info->name, s->name, sizeof(info->name));
	export_uuid(info->uuid, &s->uuid);
	info->term = s->term;
	info->uid = from_kuid(&init_user_ns, s->uid);
	info->generation = snap->generation;
	info->base = snap->base;
	info->pages = cptdev_snap_pages(snap);
	info->holes = snap->holes;
	info->segments = snap->layout->nr;
	info->extents = snap->runs.nr;
	info->meta_len = snap->meta ? snap->meta->len : 0;
	return 0;
}

static int snap_extents(struct cptdev_call *call, void *uarg)
{
	struct cptdev_snap *snap = call->filp->private_data;
	struct cptdev_image_vec *arg = uarg;
	struct cptdev_extent __user *vec = u64_to_user_ptr(arg->vec);
	u64 i;

	if (arg->flags)
		return -EOPNOTSUPP;
	if (arg->since)
		return -EINVAL;
	arg->nr = 0;
	for (i = arg->start; i < snap->runs.nr && arg->nr < arg->vec_len; i++) {
		const struct cptdev_run *run = cptdev_vec_at(&snap->runs, i);
		struct cptdev_extent e = {
			.addr = run->start & PAGE_MASK,
			.len = run->end - (run->start & PAGE_MASK),
			.kind = cptdev_run_kind(run),
		};

		if (copy_to_user(vec + arg->nr, &e, sizeof(e)))
			return -EFAULT;
		arg->nr++;
	}
	arg->next = i;
	return 0;
}

static int snap_layout(struct cptdev_call *call, void *uarg)
{
	struct cptdev_snap *snap = call->filp->private_data;

	return cptdev_layout_read(snap->layout, uarg);
}

static int snap_meta(struct cptdev_call *call, void *uarg)
{
	struct cptdev_snap *snap = call->filp->private_data;

	return cptdev_blob_read(snap->meta, uarg);
}

static const struct cptdev_ioctl_op snap_ops[] = {
	CPTDEV_OP(CPTDEV_IOC_IMAGE_INFO, snap_info, cptdev_image_info, max_bytes),
	CPTDEV_OP(CPTDEV_IOC_IMAGE_LAYOUT, snap_layout, cptdev_image_vec, next),
	CPTDEV_OP(CPTDEV_IOC_IMAGE_EXTENTS, snap_extents, cptdev_image_vec, next),
	CPTDEV_OP(CPTDEV_IOC_IMAGE_META, snap_meta, cptdev_image_vec, next),
};

static long snap_ioctl(struct file *filp, unsigned int cmd, unsigned long arg)
{
	return cptdev_ioctl(filp, cmd, arg, snap_ops, ARRAY_SIZE(snap_ops));
}

static const struct file_operations snap_fops = {
	.owner		= THIS_MODULE,
	.read_iter	= snap_read_iter,
	.splice_read	= snap_splice_read,
	.mmap		= snap_mmap,
	.poll		= snap_poll,
	.llseek		= snap_llseek,
	.release	= snap_release,
	.unlocked_ioctl	= snap_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
};

/* A file for the snapshot, with a reference of its own. */
struct file *cptdev_snapfile(struct cptdev_snap *snap)
{
	struct file *file = anon_inode_getfile("[cptdev-snapshot]", &snap_fops, snap,
					       O_RDONLY);

	if (IS_ERR(file))
		return file;
	/* An anonymous inode can't seek unless told. */
	file->f_mode |= FMODE_LSEEK | FMODE_PREAD;
	kref_get(&snap->ref);
	return file;
}
