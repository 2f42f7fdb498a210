// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev: reading and writing replicas. The file offset is the original address. Reads
 * return the content, writes stage data.
 */
#include <linux/highmem.h>
#include <linux/sched/signal.h>
#include <linux/uio.h>

#include "../cptdev.h"

/* How much of @count bytes at @pos lies within one page. */
static size_t page_part(loff_t pos, size_t count)
{
	return min_t(size_t, count, PAGE_SIZE - offset_in_page(pos));
}

/* Pages that are read in one go. */
#define READ_BATCH	16

/*
 * Reference what the descriptor shows from @pos on, up to @count bytes; a hole is the zero
 * page. Returns the number of pages, or the error if there is none. The generation must be
 * *@generation, unless that is 0.
 */
static int read_gather(struct cptdev_replica_file *rf, loff_t pos, size_t count,
		       struct page **pages, u64 *generation)
{
	struct cptdev_replica *r = rf->replica;
	struct cptdev_view *v = cptdev_view_lock(rf);
	const struct cptdev_segment *seg;
	struct cptdev_layout *layout;
	u64 shown;
	int n, ret = 0;

	if (IS_ERR(v))
		return PTR_ERR(v);
	layout = v ? v->state.layout : r->layout;
	shown = v ? v->state.generation : r->generation;
	if (*generation && *generation != shown)
		count = 0;
	*generation = shown;
	for (n = 0; n < READ_BATCH && count; n++) {
		size_t part = page_part(pos, count);
		struct page *page;

		seg = layout ? cptdev_layout_find(layout, pos) : NULL;
		page = seg ? cptdev_view_page(r, v, pos >> PAGE_SHIFT) : NULL;
		if (!seg)
			ret = -EFAULT;
		else if (!page && seg->kind != CPTDEV_SEGMENT_ANON)
			ret = -ENODATA;		/* only the file has it, or nobody */
		if (ret)
			break;
		pages[n] = page ?: ZERO_PAGE(0);
		get_page(pages[n]);
		pos += part;
		count -= part;
	}
	up_read(&r->sem);
	return n ?: ret;
}

/*
 * One call sees one generation: it ends early when another is committed meanwhile. What
 * is copied out is referenced, not locked: the caller's memory may be slow (userfaultfd),
 * and a commit mustn't wait for it.
 */
ssize_t cptdev_replica_read(struct kiocb *iocb, struct iov_iter *to)
{
	struct cptdev_replica_file *rf = iocb->ki_filp->private_data;
	struct page *pages[READ_BATCH];
	u64 generation = 0;
	ssize_t done = 0;
	int i, n, ret = 0;

	while (!ret && iov_iter_count(to)) {
		n = read_gather(rf, iocb->ki_pos, iov_iter_count(to), pages,
				&generation);
		if (n <= 0) {
			ret = n;
			break;
		}
		for (i = 0; i < n; i++) {
			size_t part = page_part(iocb->ki_pos, iov_iter_count(to)), got = 0;

			if (!ret)
				got = copy_page_to_iter(pages[i],
							offset_in_page(iocb->ki_pos),
							part, to);
			put_page(pages[i]);
			done += got;
			iocb->ki_pos += got;
			if (got < part)
				ret = -EFAULT;
		}
		if (fatal_signal_pending(current))
			ret = -EINTR;
		cond_resched();
	}
	return done ?: ret;
}

static ssize_t write_part(struct cptdev_replica_file *rf, loff_t pos,
			  struct iov_iter *from)
{
	size_t n = page_part(pos, iov_iter_count(from)), done;
	struct page *page = cptdev_page_take(rf->replica);
	int ret;

	if (!IS_ERR(page)) {
		done = copy_page_from_iter(page, offset_in_page(pos), n, from);
		if (!done) {
			cptdev_page_drop(rf->replica, page);
			return -EFAULT;
		}
		n = done;
	}
	ret = cptdev_stage_put(rf, pos, n, page);
	return ret ?: n;
}

ssize_t cptdev_replica_write(struct kiocb *iocb, struct iov_iter *from)
{
	struct cptdev_replica_file *rf = iocb->ki_filp->private_data;
	ssize_t done = 0, n;

	n = cptdev_stage_owner_hint(rf);
	while (n >= 0 && iov_iter_count(from)) {
		n = write_part(rf, iocb->ki_pos, from);
		if (n < 0)
			break;
		done += n;
		iocb->ki_pos += n;
		if (fatal_signal_pending(current))
			n = -EINTR;
		cond_resched();
	}
	return done ?: n;
}
