// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev: reading and writing replicas. The file offset is the original address. Reads
 * see the content, writes go to what is being staged.
 */
#include <linux/highmem.h>
#include <linux/sched/signal.h>
#include <linux/uio.h>

#include "cptdev.h"

/* How much of @count bytes at @pos lies within one page. */
static size_t page_part(loff_t pos, size_t count)
{
	return min_t(size_t, count, PAGE_SIZE - offset_in_page(pos));
}

static ssize_t read_part(struct cptdev_replica *r, loff_t pos, struct iov_iter *to)
{
	const struct cptdev_segment *seg = NULL;
	size_t n = page_part(pos, iov_iter_count(to)), done;
	struct page *page;

	if (r->layout)
		seg = cptdev_layout_find(r->layout, pos);
	if (!seg)
		return -EFAULT;
	page = xa_load(r->pages, pos >> PAGE_SHIFT);
	if (page)
		done = copy_page_to_iter(page, offset_in_page(pos), n, to);
	else if (seg->kind == CPTDEV_SEGMENT_ANON)
		done = iov_iter_zero(n, to);
	else
		return -ENODATA;	/* only the file has it, or nobody */
	return done < n ? -EFAULT : done;
}

/* One call sees one generation: the content is locked for its time. */
ssize_t cptdev_replica_read(struct kiocb *iocb, struct iov_iter *to)
{
	struct cptdev_replica_file *rf = iocb->ki_filp->private_data;
	struct cptdev_replica *r = rf->replica;
	ssize_t done = 0, n = 0;

	down_read(&r->sem);
	while (iov_iter_count(to)) {
		n = read_part(r, iocb->ki_pos, to);
		if (n < 0)
			break;
		done += n;
		iocb->ki_pos += n;
		if (fatal_signal_pending(current)) {
			n = -EINTR;
			break;
		}
		cond_resched();
	}
	up_read(&r->sem);
	return done ?: n;
}

static ssize_t write_part(struct cptdev_replica *r, loff_t pos, struct iov_iter *from)
{
	size_t n = page_part(pos, iov_iter_count(from)), done;
	struct page *page;

	if (!cptdev_layout_find(r->staging.layout, pos))
		return -EFAULT;
	page = cptdev_stage_page(r, pos >> PAGE_SHIFT, n == PAGE_SIZE);
	if (IS_ERR(page))
		return PTR_ERR(page);
	done = copy_page_from_iter(page, offset_in_page(pos), n, from);
	return done ?: -EFAULT;
}

ssize_t cptdev_replica_write(struct kiocb *iocb, struct iov_iter *from)
{
	struct cptdev_replica_file *rf = iocb->ki_filp->private_data;
	struct cptdev_replica *r = rf->replica;
	ssize_t done = 0, n = 0;

	mutex_lock(&r->stage_lock);
	if (r->stager != rf)
		n = -EINVAL;
	while (n >= 0 && iov_iter_count(from)) {
		n = write_part(r, iocb->ki_pos, from);
		if (n < 0)
			break;
		done += n;
		iocb->ki_pos += n;
		if (fatal_signal_pending(current))
			n = -EINTR;
	}
	mutex_unlock(&r->stage_lock);
	return done ?: n;
}
