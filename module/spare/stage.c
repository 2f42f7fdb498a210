// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev: staging and commit. A delta is staged beside the content, in any number of
 * calls, and committed as a whole. Staging allocates everything that the commit needs, above all
 * memory, so the commit itself can't fail half-way.
 */
#include <linux/highmem.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "../cptdev.h"
#include "entry.h"
#include "../trace.h"
#include "../mutants.h"

/* Extents copied in at a time. */
#define STAGE_BATCH	64U
/* Pages that are staged under one lock. */
#define STAGE_RUN	16U
/* So few pages are taken out of what is staged one by one: see content_merge(). */
#define ERASE_MAX	64U

/*
 * Staging. Under replica->stage_lock.
 */

/*
 * May this descriptor go on with what it has begun? A replica that was removed takes nothing
 * any more: what is committed to it nobody could find by its name.
 */
static int stage_owner(const struct cptdev_replica_file *rf)
{
	const struct cptdev_replica *r = rf->replica;

	lockdep_assert_held(&r->stage_lock);
	if (r->removed)
		return -ENOENT;
	return r->stager == rf ? 0 : -EINVAL;
}

/* The same before there is any work to do, without the lock: it is asked again. */
int cptdev_stage_owner_hint(const struct cptdev_replica_file *rf)
{
	if (READ_ONCE(rf->replica->removed))
		return -ENOENT;
	return READ_ONCE(rf->replica->stager) == rf ? 0 : -EINVAL;
}

/* Give up what is staged, and the places that were reserved for it. */
void cptdev_stage_drop(struct cptdev_replica *r)
{
	struct cptdev_gone *gone = r->staging.gone;

	lockdep_assert_held(&r->stage_lock);
	if (!r->stager)
		return;
	gone->pages = r->staged;
	gone->nr = r->nr_staged;
	gone->reserved = r->staging.base;
	r->stager = NULL;
	r->staged = NULL;
	r->nr_staged = 0;
	cptdev_layout_put(r->staging.layout);
	cptdev_blob_put(r->staging.meta);
	memset(&r->staging, 0, sizeof(r->staging));
	cptdev_gone_put(r, gone);
}

/*
 * A tree of replica pages is deep and sparse: to find a place costs more than to write there. So
 * pages in a row are written one after the other, without a search from the root for each of them.
 */

/* Into the content the pages go at commit: keep places there. */
static int stage_reserve(struct cptdev_replica *r, unsigned long index, unsigned int n)
{
	XA_STATE(xas, r->pages, index);
	unsigned int i = 0;
	void *entry;

	do {
		xas_lock(&xas);
		for (entry = xas_load(&xas); i < n; entry = xas_next(&xas)) {
			if (!entry)
				xas_store(&xas, XA_ZERO_ENTRY);
			if (xas_error(&xas) || ++i == n)
				break;
		}
		xas_unlock(&xas);
	} while (xas_nomem(&xas, GFP_KERNEL_ACCOUNT));
	return xas_error(&xas);
}

/* Give the places back of what isn't staged. */
static void stage_unreserve(struct cptdev_replica *r, unsigned long index, unsigned long end)
{
	if (!r->staging.base)
		return;
	for (; index < end; index++)
		if (!xa_load(r->staged, index))
			xa_release(r->pages, index);
}

static int stage_prepare(struct cptdev_replica *r, unsigned long index, unsigned int n)
{
	int ret = cptdev_since_stage(r, index, index + n);

	return ret || !r->staging.base ? ret : stage_reserve(r, index, n);
}

/*
 * Pages from @index on, where others may have been, if the commit is certain to succeed with them.
 * How many of them are staged now, @*done, is less than @n after an error only.
 */
static int stage_pages(struct cptdev_replica *r, unsigned long index, struct page **pages,
		       unsigned int n, unsigned int *done)
{
	XA_STATE(xas, r->staged, index);
	int ret = stage_prepare(r, index, n);
	unsigned int i = 0;
	void *old;

	*done = 0;
	if (ret)
		goto out;
	do {
		xas_lock(&xas);
		while (i < n) {
			set_page_private(pages[i], r->commits + 1);
			old = xas_store(&xas, pages[i]);
			if (xas_error(&xas))
				break;
			if (!old)
				r->nr_staged++;
			cptdev_page_drop(r, old);
			if (++i < n)
				xas_next(&xas);
		}
		xas_unlock(&xas);
	} while (xas_nomem(&xas, GFP_KERNEL_ACCOUNT));
	ret = xas_error(&xas);
	*done = i;
	if (i) {
		r->staging.first = min(r->staging.first, index);
		r->staging.last = max(r->staging.last, index + i - 1);
	}
out:
	if (ret)
		stage_unreserve(r, index + *done, index + n);
	return ret;
}

/* A hole where there was something else. */
static int stage_hole(struct cptdev_replica *r, unsigned long index)
{
	void *old = xa_store(r->staged, index, CPTDEV_STAGED_HOLE, GFP_KERNEL_ACCOUNT);

	if (xa_is_err(old))
		return xa_err(old);
	if (!old)
		r->nr_staged++;
	r->staging.first = min(r->staging.first, index);
	r->staging.last = max(r->staging.last, index);
	cptdev_page_drop(r, old);
	return 0;
}

/* What the rest of a page is of which [from, to) was written. */
static void fill_rest(struct page *page, struct page *content, size_t from, size_t to)
{
	if (content) {
		memcpy_page(page, 0, content, 0, from);
		memcpy_page(page, to, content, to, PAGE_SIZE - to);
	} else {
		memzero_page(page, 0, from);
		memzero_page(page, to, PAGE_SIZE - to);
	}
}

/*
 * Stage a part of a page, on top of what there is; it is in @page, at the same place.
 * Sets *@used if that is now staged itself.
 */
static int stage_part(struct cptdev_replica *r, unsigned long index, size_t from,
		      size_t len, struct page *page, bool *used)
{
	struct page *content = NULL;
	unsigned int done;
	void *staged;
	int ret;

	if (len == PAGE_SIZE)
		goto store;
	staged = xa_load(r->staged, index);
	if (staged && !xa_is_value(staged)) {
		memcpy_page(staged, from, page, from, len);
		return 0;
	}
	/* Only a commit changes the content, under the lock that we hold. */
	if (!staged && r->staging.base)
		content = cptdev_entry_page(xa_load(r->pages, index));
	fill_rest(page, content, from, from + len);
store:
	ret = stage_pages(r, index, &page, 1, &done);
	*used = done;
	return ret;
}

/*
 * Stage @len bytes at the address @pos, all in one page; they are in @page, at the same
 * place. Takes over @page, or the error that there is none. It was filled without a
 * lock: the caller's memory may be slow (userfaultfd), and a promotion mustn't wait for
 * it.
 */
int cptdev_stage_put(struct cptdev_replica_file *rf, u64 pos, size_t len,
		     struct page *page)
{
	struct cptdev_replica *r = rf->replica;
	unsigned long index = pos >> PAGE_SHIFT;
	bool used = false;
	int ret;

	mutex_lock(&r->stage_lock);
	ret = stage_owner(rf);
	if (ret)
		goto out;
	if (!cptdev_layout_find(r->staging.layout, pos)) {
		ret = -EFAULT;
		goto out;
	}
	ret = PTR_ERR_OR_ZERO(page);
	if (!ret)
		ret = stage_part(r, index, offset_in_page(pos), len, page, &used);
	/* Without this page the delta isn't what the primary sent. */
	if (ret)
		r->staging.failed = ret;
out:
	mutex_unlock(&r->stage_lock);
	if (!IS_ERR(page) && !used)
		cptdev_page_drop(r, page);
	return ret;
}

static int begin_valid(struct cptdev_replica *r, const struct cptdev_replica_begin *arg)
{
	uuid_t uuid;
	bool other;

	import_uuid(&uuid, arg->uuid);
	other = r->generation && !uuid_equal(&uuid, &r->uuid);
	if (arg->base >= arg->generation || arg->generation > CPTDEV_GENERATION_MAX ||
	    !arg->term || arg->term > CPTDEV_TERM_MAX)
		return -EINVAL;
	if (arg->term < r->term)
		return -ESTALE;
	if (cptdev_term_jumps(r->term, arg->term))
		return -ERANGE;
	/* Another session may take over with a higher term, or when told to. */
	if (other && arg->term == r->term && !(arg->flags & CPTDEV_BEGIN_REPLACE))
		return -EEXIST;
	/* A promoted replica is in use: only a later term may write to it. */
	if (r->promoted && arg->term == r->term)
		return -ESTALE;
	if (arg->base && (other || arg->base > r->generation))
		return -EILSEQ;
	if (!other && arg->generation <= r->generation)
		return -ESTALE;
	return 0;
}

static int begin_take(struct cptdev_replica *r, const struct cptdev_replica_begin *arg,
		      struct cptdev_staging *st)
{
	int ret;

	st->generation = arg->generation;
	st->base = arg->base;
	st->term = arg->term;
	st->first = ULONG_MAX;
	import_uuid(&st->uuid, arg->uuid);
	st->layout = cptdev_layout_from_user(arg->layout, arg->layout_len);
	if (IS_ERR(st->layout))
		return PTR_ERR(st->layout);
	st->meta = cptdev_blob_from_user(arg->meta, arg->meta_len);
	if (IS_ERR(st->meta)) {
		ret = PTR_ERR(st->meta);
		goto err_layout;
	}
	st->gone = cptdev_gone_alloc();
	if (!st->gone) {
		ret = -ENOMEM;
		goto err_meta;
	}
	return 0;

err_meta:
	cptdev_blob_put(st->meta);
err_layout:
	cptdev_layout_put(st->layout);
	return ret;
}

/* Pages that were staged and no longer are. */
static void staged_erase(struct cptdev_replica *r, unsigned long index, unsigned long end)
{
	unsigned long i;
	void *entry;

	xa_for_each_range(r->staged, i, entry, index, end - 1) {
		if (xa_is_value(entry))
			continue;
		xa_erase(r->staged, i);
		xa_release(r->pages, i);
		r->nr_staged--;
		cptdev_page_drop(r, entry);
		cond_resched();
	}
}

static int staged_trim(struct cptdev_replica *r, u64 start, u64 end, void *unused)
{
	staged_erase(r, start >> PAGE_SHIFT, end >> PAGE_SHIFT);
	return 0;
}

/*
 * The delta goes on with another generation, layout and meta-data: these are what the commit takes.
 * Everything is sent, so nothing that is staged says anything about the content.
 */
static int begin_continue(struct cptdev_replica_file *rf, struct cptdev_staging *st)
{
	struct cptdev_replica *r = rf->replica;
	struct cptdev_staging *old = &r->staging;

	if (r->stager != rf || old->base || st->base || st->term != old->term ||
	    !uuid_equal(&st->uuid, &old->uuid))
		return -EINVAL;
	if (old->failed)
		return old->failed;
	cptdev_trimmed(r, old->layout, st->layout, staged_trim, NULL);
	old->generation = st->generation;
	swap(old->layout, st->layout);
	swap(old->meta, st->meta);
	return 0;
}

static void begin_anew(struct cptdev_replica_file *rf, struct cptdev_staging *st,
		       struct xarray **staged)
{
	struct cptdev_replica *r = rf->replica;

	cptdev_stage_drop(r);
	cptdev_since_trim(r);
	r->stager = rf;
	r->staged = *staged;
	r->staging = *st;
	*staged = NULL;
	memset(st, 0, sizeof(*st));
}

int cptdev_stage_begin(struct cptdev_call *call, void *uarg)
{
	struct cptdev_replica_file *rf = call->filp->private_data;
	struct cptdev_replica *r = rf->replica;
	struct cptdev_replica_begin *arg = uarg;
	struct cptdev_staging st = {};
	struct xarray *staged = NULL;
	int ret;

	if (arg->flags & ~(CPTDEV_BEGIN_REPLACE | CPTDEV_BEGIN_CONTINUE))
		return -EOPNOTSUPP;
	if (!rf->write)
		return -EBADF;
	ret = begin_take(r, arg, &st);
	if (ret)
		return ret;
	staged = cptdev_pages_alloc();

	mutex_lock(&r->stage_lock);
	if (!staged)
		ret = -ENOMEM;
	else if (r->removed)
		ret = -ENOENT;
	else if (r->stager && r->stager != rf)
		ret = -EBUSY;
	else
		ret = begin_valid(r, arg);
	if (!ret && (arg->flags & CPTDEV_BEGIN_CONTINUE))
		ret = begin_continue(rf, &st);
	else if (!ret)
		begin_anew(rf, &st, &staged);
	mutex_unlock(&r->stage_lock);
	/* What isn't staged now. */
	cptdev_pages_free(r, staged);
	cptdev_layout_put(st.layout);
	cptdev_blob_put(st.meta);
	kfree(st.gone);
	return ret;
}

/*
 * Pages that become holes. Those without content need no note: nothing but a commit
 * gives them any.
 */
static int stage_holes(struct cptdev_replica *r, unsigned long index,
		       unsigned long end)
{
	unsigned long i;
	void *entry;
	int ret = 0;

	staged_erase(r, index, end);
	if (!r->staging.base)
		return 0;
	xa_for_each_range(r->pages, i, entry, index, end - 1) {
		ret = stage_hole(r, i);
		if (ret) {
			r->staging.failed = ret;
			break;
		}
		cond_resched();
	}
	return ret;
}

/* A page with what is at @data; it belongs to nobody else yet. */
static struct page *page_fill(struct cptdev_replica *r, u64 data)
{
	struct page *page = cptdev_page_take(r);
	unsigned long left;
	void *to;

	if (IS_ERR(page))
		return page;
	to = kmap_local_page(page);
	left = copy_from_user(to, u64_to_user_ptr(data), PAGE_SIZE);
	kunmap_local(to);
	if (!left)
		return page;
	cptdev_page_drop(r, page);
	return ERR_PTR(-EFAULT);
}

/* @n pages from @addr on are in @pages, and @err kept the next one from being there. */
static int stage_run(struct cptdev_replica_file *rf, u64 addr, struct page **pages,
		     unsigned int n, int err, unsigned int *done)
{
	struct cptdev_replica *r = rf->replica;
	int ret;

	mutex_lock(&r->stage_lock);
	ret = stage_owner(rf);
	if (!ret && n && !cptdev_layout_covers(r->staging.layout, addr, (u64)n << PAGE_SHIFT))
		ret = -EFAULT;
	if (ret)
		goto out;
	if (n)
		ret = stage_pages(r, addr >> PAGE_SHIFT, pages, n, done);
	ret = ret ?: err;
	/*
	 * Without this page the delta isn't what the primary sent. After a fault of the caller's
	 * memory he can stage it again.
	 */
	if (ret && ret != -EFAULT)
		r->staging.failed = ret;
out:
	mutex_unlock(&r->stage_lock);
	return ret;
}

/*
 * @n pages at @addr, up to STAGE_RUN. They are filled without a lock: the caller's memory may be
 * slow (userfaultfd), and a promotion mustn't wait for it.
 */
static int stage_data(struct cptdev_replica_file *rf, u64 addr, u64 data, unsigned int n)
{
	struct page *pages[STAGE_RUN];
	unsigned int i, done = 0;
	int ret, err = 0;

	for (i = 0; i < n; i++) {
		pages[i] = page_fill(rf->replica, data + i * PAGE_SIZE);
		err = PTR_ERR_OR_ZERO(pages[i]);
		if (err)
			break;
	}
	ret = stage_run(rf, addr, pages, i, err, &done);
	while (i > done)
		cptdev_page_drop(rf->replica, pages[--i]);
	return ret;
}

/* One extent: @data is what is left of the pages, and moves on. */
static int stage_extent(struct cptdev_replica_file *rf, const struct cptdev_extent *e,
			u64 *data, u64 *left)
{
	struct cptdev_replica *r = rf->replica;
	u64 addr, end = e->addr + e->len, len;
	int ret = 0;

	if (!PAGE_ALIGNED(e->addr) || !PAGE_ALIGNED(e->len) || !e->len || e->reserved)
		return -EINVAL;
	if (e->kind != CPTDEV_EXTENT_DATA && e->kind != CPTDEV_EXTENT_HOLE)
		return -EINVAL;
	mutex_lock(&r->stage_lock);
	ret = stage_owner(rf);
	if (!ret && !cptdev_layout_covers(r->staging.layout, e->addr, e->len))
		ret = -EFAULT;
	else if (!ret && e->kind == CPTDEV_EXTENT_HOLE)
		ret = stage_holes(r, e->addr >> PAGE_SHIFT, end >> PAGE_SHIFT);
	mutex_unlock(&r->stage_lock);
	if (ret || e->kind == CPTDEV_EXTENT_HOLE)
		return ret;
	if (*left < e->len)
		return -EINVAL;

	for (addr = e->addr; !ret && addr < end; addr += len) {
		len = min(end - addr, (u64)STAGE_RUN << PAGE_SHIFT);
		ret = stage_data(rf, addr, *data, len >> PAGE_SHIFT);
		*data += len;
		*left -= len;
		if (fatal_signal_pending(current))
			ret = -EINTR;
		cond_resched();
	}
	return ret;
}

static int stage_vec(struct cptdev_replica_file *rf,
		     const struct cptdev_replica_stage *arg)
{
	const struct cptdev_extent __user *vec = u64_to_user_ptr(arg->vec);
	struct cptdev_extent batch[STAGE_BATCH];
	u64 data = arg->data, left = arg->data_len;
	u32 done, i, n;
	int ret;

	for (done = 0; done < arg->vec_len; done += n) {
		n = min(arg->vec_len - done, STAGE_BATCH);
		if (copy_from_user(batch, vec + done, n * sizeof(*batch)))
			return -EFAULT;
		for (i = 0; i < n; i++) {
			ret = stage_extent(rf, &batch[i], &data, &left);
			if (ret)
				return ret;
		}
	}
	return left ? -EINVAL : 0;
}

int cptdev_stage(struct cptdev_call *call, void *uarg)
{
	struct cptdev_replica_file *rf = call->filp->private_data;
	struct cptdev_replica_stage *arg = uarg;
	int ret;

	if (arg->flags)
		return -EOPNOTSUPP;
	if (arg->reserved)
		return -EINVAL;
	if (!rf->write)
		return -EBADF;
	ret = cptdev_stage_owner_hint(rf);
	return ret ?: stage_vec(rf, arg);
}

/*
 * Commit. Under replica->stage_lock and, for writing, replica->sem. Pages that go away
 * are collected and freed when readers are back.
 */

/* At @to, in the content. */
static void content_replace(struct cptdev_replica *r, struct xa_state *to, void *entry,
			    struct cptdev_gone *gone)
{
	struct cptdev_shared *sh;
	void *old;

	r->visited++;
	cptdev_since_mark(r, to->xa_index);
	xas_lock(to);
	old = xas_store(to, xa_is_value(entry) ? NULL : entry);
	xas_unlock(to);
	/* The place was reserved: this allocates nothing. */
	if (WARN_ON_ONCE(xas_error(to)))
		return;
	if (!xa_is_value(entry))
		r->nr_pages++;
	if (!old || xa_is_zero(old))
		return;
	r->nr_pages--;
	if (cptdev_past_keep(r->staging.undo, to->xa_index, old))
		return;
	gone->nr++;
	sh = cptdev_entry_shared(old);
	if (sh)
		list_add(&sh->lru, &gone->shared);
	else
		list_add(&((struct page *)old)->lru, &gone->list);
}

static int content_erase(struct cptdev_replica *r, u64 start, u64 end, void *gone)
{
	unsigned long index;
	void *entry;

	xa_for_each_range(r->pages, index, entry, start >> PAGE_SHIFT,
			  (end - 1) >> PAGE_SHIFT) {
		XA_STATE(to, r->pages, index);

		content_replace(r, &to, CPTDEV_STAGED_HOLE, gone);
	}
	return 0;
}

/*
 * What isn't mapped any more mustn't come back when it is mapped again. All pages lie in
 * the @old layout: @fn gets what lies between the segments of the new one there.
 */
int cptdev_trimmed(struct cptdev_replica *r, const struct cptdev_layout *old,
		   const struct cptdev_layout *layout,
		   int (*fn)(struct cptdev_replica *r, u64 start, u64 end, void *arg), void *arg)
{
	const struct cptdev_segment *seg = layout->v, *last = layout->v + layout->nr;
	int ret = 0;
	u32 i;

	for (i = 0; !ret && old && i < old->nr; i++) {
		u64 pos = old->v[i].addr, end = pos + old->v[i].len;

		while (seg < last && seg->addr + seg->len <= pos)
			seg++;
		/* The segment that reaches beyond the old one meets the next, too. */
		for (; !ret && seg < last && seg->addr < end; seg++) {
			if (pos < seg->addr)
				ret = fn(r, pos, seg->addr, arg);
			pos = seg->addr + seg->len;
			if (pos >= end)
				break;
		}
		if (!ret && pos < end)
			ret = fn(r, pos, end, arg);
	}
	return ret;
}

/*
 * Staged pages go into the content. They are looked for between their bounds only: the end of a
 * sparse tree is found by a look at every place of each of its levels. To free the tree is another
 * such look, unless it is empty.
 */
static void content_merge(struct cptdev_replica *r, struct cptdev_gone *gone)
{
	XA_STATE(xas, r->staged, r->staging.first);
	XA_STATE(to, r->pages, r->staging.first);
	unsigned long index, next = ULONG_MAX;
	void *entry;

	/* It doesn't change: stage_lock is held. */
	rcu_read_lock();
	xas_for_each(&xas, entry, r->staging.last) {
		if (xas.xa_index == next)
			xas_next(&to);
		else
			xas_set(&to, xas.xa_index);
		content_replace(r, &to, entry, gone);
		/* Where a page was taken away, parts of the tree may be gone with it. */
		next = xa_is_value(entry) ? ULONG_MAX : xas.xa_index + 1;
	}
	rcu_read_unlock();
	if (r->nr_staged > ERASE_MAX)
		return;
	xa_for_each_range(r->staged, index, entry, r->staging.first, r->staging.last)
		xa_erase(r->staged, index);
}

static void content_commit(struct cptdev_replica *r, struct cptdev_gone *gone)
{
	r->visited = 0;
	r->marked = ULONG_MAX;
	if (!r->staging.base) {
		r->since_min = r->commits + 1;
		gone->pages = r->pages;
		gone->nr = r->nr_pages;
		r->pages = r->staged;
		r->nr_pages = r->nr_staged;
	} else {
		content_merge(r, gone);
		cptdev_trimmed(r, r->layout, r->staging.layout, content_erase, gone);
	}
}

/*
 * The staged delta becomes the content, under replica->stage_lock. Under the content's lock FREEZE
 * has either returned, and nothing is committed, or hasn't read the generation yet.
 */
int cptdev_stage_apply(struct cptdev_replica *r)
{
	struct cptdev_gone *gone = r->staging.gone;
	struct cptdev_layout *layout = r->layout;
	struct cptdev_blob *meta = r->meta;
	struct cptdev_undo *undo = cptdev_past_begin(r);

	down_write(&r->sem);
	if (r->frozen) {
		up_write(&r->sem);
		cptdev_past_cancel(undo);
		return -EBUSY;
	}
	if (r->staging.back)
		cptdev_view_back_take(r);
	r->staging.undo = undo;
	content_commit(r, gone);
	cptdev_past_add(r, undo);
	r->layout = r->staging.layout;
	r->meta = r->staging.meta;
	r->uuid = r->staging.uuid;
	r->term = r->staging.term;
	r->generation = r->staging.generation;
	r->promoted = false;
	r->promoted_ns = 0;
	r->taken_ns = 0;
	r->committed_ns = ktime_get_real_ns();
	r->commits++;
	up_write(&r->sem);

	if (undo)
		cptdev_past_trim(r);
	else
		cptdev_past_clear(r);
	if (r->pages != r->staged) {
		xa_destroy(r->staged);
		kfree(r->staged);
	}
	r->staged = NULL;
	r->nr_staged = 0;
	r->stager = NULL;
	memset(&r->staging, 0, sizeof(r->staging));
	cptdev_layout_put(layout);
	cptdev_blob_put(meta);
	cptdev_gone_put(r, gone);
	return 0;
}

static int commit_valid(const struct cptdev_replica *r,
			const struct cptdev_replica_file *rf,
			const struct cptdev_replica_commit *arg)
{
	int ret = stage_owner(rf);

	if (ret)
		return ret;
	return arg->generation == r->staging.generation ? r->staging.failed : -EINVAL;
}

int cptdev_stage_commit(struct cptdev_call *call, void *uarg)
{
	struct cptdev_replica_file *rf = call->filp->private_data;
	struct cptdev_replica *r = rf->replica;
	struct cptdev_replica_commit *arg = uarg;
	u64 staged;
	int ret;

	if (arg->flags)
		return -EOPNOTSUPP;
	if (!rf->write)
		return -EBADF;
	mutex_lock(&r->stage_lock);
	staged = r->nr_staged;
	ret = commit_valid(r, rf, arg);
	if (!ret)
		ret = cptdev_stage_apply(r);
	if (!ret)
		r->kept = false;
	arg->pages = r->nr_pages;
	trace_cptdev_commit(r, staged, ret);
	mutex_unlock(&r->stage_lock);
	if (!ret) {
		wake_up_all(&r->wq);
		cptdev_event_replica(r, CPTDEV_CMD_REPLICA_COMMITTED_NTF);
	}
	return ret;
}

int cptdev_stage_abort(struct cptdev_call *call, void *uarg)
{
	struct cptdev_replica_file *rf = call->filp->private_data;
	struct cptdev_replica *r = rf->replica;
	struct cptdev_replica_commit *arg = uarg;
	int ret;

	if (arg->flags)
		return -EOPNOTSUPP;
	if (arg->generation)
		return -EINVAL;
	if (!rf->write)
		return -EBADF;
	mutex_lock(&r->stage_lock);
	ret = stage_owner(rf);
	if (!ret)
		cptdev_stage_drop(r);
	arg->pages = r->nr_pages;
	mutex_unlock(&r->stage_lock);
	return ret;
}
