// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev: ranges: the memory that a session tracks.
 *
 * The ranges of a session are a sorted array of spans that neither overlap nor touch.
 */
#include <linux/sched/mm.h>
#include <linux/sort.h>
#include <linux/uaccess.h>

#include "track.h"

/* All of [start, end) must be mapped and trackable. */
static int range_check(struct mm_struct *mm, struct cptdev_range *arg)
{
	unsigned long addr = arg->addr, end = arg->addr + arg->len;
	int ret = 0;

	if (mmap_read_lock_killable(mm))
		return -EINTR;
	while (!ret && addr < end) {
		struct vm_area_struct *vma = find_vma(mm, addr);

		if (!vma || vma->vm_start > addr) {
			arg->reason = CPTDEV_REASON_UNMAPPED;
			ret = -EFAULT;
		} else {
			arg->reason = cptdev_vma_refuse(vma);
			if (arg->reason)
				ret = -EOPNOTSUPP;
		}
		if (ret)
			arg->bad_addr = addr;
		else
			addr = vma->vm_end;
	}
	mmap_read_unlock(mm);
	return ret;
}

static int range_valid(const struct cptdev_range *arg, u32 flags)
{
	if (arg->flags & ~flags)
		return -EOPNOTSUPP;
	if (arg->reserved || !arg->len)
		return -EINVAL;
	if (!PAGE_ALIGNED(arg->addr) || !PAGE_ALIGNED(arg->len))
		return -EINVAL;
	if (arg->addr + arg->len < arg->addr || arg->addr + arg->len > TASK_SIZE)
		return -EINVAL;
	return 0;
}

/* The first span that ends behind @addr; nr_ranges if there is none. */
u32 cptdev_span_at(const struct cptdev_session *s, unsigned long addr)
{
	u32 lo = 0, hi = s->nr_ranges;

	while (lo < hi) {
		u32 mid = lo + (hi - lo) / 2;

		if (s->ranges[mid].end <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static bool span_overlap(const struct cptdev_session *s, unsigned long start,
			 unsigned long end, unsigned long *where)
{
	u32 i = cptdev_span_at(s, start);

	if (i == s->nr_ranges || s->ranges[i].start >= end)
		return false;
	*where = max(start, s->ranges[i].start);
	return true;
}

/* Make room for @total spans. Others may be looking: not under the lock they have. */
static int span_reserve(struct cptdev_session *s, u32 total)
{
	u32 max = max(16U, total + total / 2);
	struct cptdev_span *v, *old = s->ranges;

	if (total > CPTDEV_RANGES_MAX)
		return -E2BIG;
	if (total <= s->max_ranges)
		return 0;
	v = kvmalloc_array(max, sizeof(*v), GFP_KERNEL_ACCOUNT);
	if (!v)
		return -ENOMEM;
	if (s->nr_ranges)
		memcpy(v, old, s->nr_ranges * sizeof(*v));
	mutex_lock(&cptdev_sessions_lock);
	s->ranges = v;
	s->max_ranges = max;
	mutex_unlock(&cptdev_sessions_lock);
	kvfree(old);
	return 0;
}

/* Replace @nr spans from @at by @with[0..nr_with), for which there is room. */
static void span_replace(struct cptdev_session *s, u32 at, u32 nr,
			 const struct cptdev_span *with, u32 nr_with)
{
	u32 total = s->nr_ranges - nr + nr_with;

	lockdep_assert_held(&s->lock);
	lockdep_assert_held(&cptdev_sessions_lock);
	memmove(s->ranges + at + nr_with, s->ranges + at + nr,
		(s->nr_ranges - at - nr) * sizeof(*s->ranges));
	memcpy(s->ranges + at, with, nr_with * sizeof(*with));
	s->nr_ranges = total;
}

/*
 * Newly tracked pages in chunks that exist: whatever is known of them is out of date.
 * With no hole bit even a hole is a change.
 */
static void range_renew(struct cptdev_session *s, unsigned long start,
			unsigned long end)
{
	struct cptdev_chunk *c;
	unsigned long index;

	cptdev_events_set(s, start, end, true, true);
	xa_for_each_range(&s->chunks, index, c, start >> CHUNK_SHIFT,
			  (end - 1) >> CHUNK_SHIFT) {
		unsigned int first, last, i;

		cptdev_chunk_clip(index, start, end, &first, &last);
		for (i = first / 64; i <= last / 64; i++) {
			u64 mask = cptdev_word_mask(i, first, last);

			c->cut.hole[i] &= ~mask;
			c->scan.hole[i] &= ~mask;
		}
	}
}

/* Marks are in the PTEs: two sessions of one process can't track the same page. */
static int range_check_others(struct cptdev_session *s, struct cptdev_range *arg)
{
	struct cptdev_session *other;
	unsigned long where;

	lockdep_assert_held(&cptdev_sessions_lock);
	list_for_each_entry(other, &cptdev_sessions, entry) {
		if (other == s || other->mm != s->mm ||
		    !span_overlap(other, arg->addr, arg->addr + arg->len, &where))
			continue;
		arg->bad_addr = where;
		arg->reason = CPTDEV_REASON_SESSION;
		return -EBUSY;
	}
	return 0;
}

static int range_insert(struct cptdev_session *s, struct cptdev_range *arg)
{
	unsigned long start = arg->addr, end = arg->addr + arg->len;
	struct cptdev_span merged = {
		.start = start, .end = end, .added = s->generation + 1,
	};
	/* Neighbours that touch are merged too. */
	u32 at = cptdev_span_at(s, start ? start - 1 : 0), nr = 0;
	unsigned long from = start;
	u64 overlap = 0;
	u32 i;
	int ret;

	for (i = at; i < s->nr_ranges && s->ranges[i].start <= end; i++, nr++) {
		const struct cptdev_span *old = &s->ranges[i];

		merged.start = min(merged.start, old->start);
		merged.end = max(merged.end, old->end);
		overlap += min(end, old->end) - min(min(end, old->end),
						    max(start, old->start));
	}
	if (overlap == end - start)
		return 0;

	/* The gaps between the old ones are new. */
	for (i = at; i < at + nr; i++) {
		if (s->ranges[i].start > from)
			range_renew(s, from, min(end, s->ranges[i].start));
		from = max(from, s->ranges[i].end);
	}
	if (from < end)
		range_renew(s, from, end);

	ret = span_reserve(s, s->nr_ranges - nr + 1);
	if (ret)
		return ret;
	mutex_lock(&cptdev_sessions_lock);
	ret = range_check_others(s, arg);
	if (!ret) {
		span_replace(s, at, nr, &merged, 1);
		s->bytes += end - start - overlap;
		cptdev_session_list(s);
	}
	mutex_unlock(&cptdev_sessions_lock);
	return ret;
}

/*
 * Chunks for huge pages, whose first cut has little else to do. Without memory for them the cut
 * makes them.
 */
static int prepare_table(struct cptdev_walk *w, struct cptdev_table *t)
{
	pmd_t val = READ_ONCE(*t->pmd);

	if (t->chunk || !pmd_present(val) || !pmd_leaf(val))
		return 0;
	return PTR_ERR_OR_ZERO(cptdev_chunk_get(w->s, t->base, w->span->added));
}

static int prepare_empty(struct cptdev_walk *w, unsigned long start, unsigned long end)
{
	return 0;
}

static void range_prepare(struct cptdev_session *s, unsigned long start, unsigned long end)
{
	struct cptdev_walk w = { .s = s, .table = prepare_table, .empty = prepare_empty };

	if (mmap_read_lock_killable(s->mm))
		return;
	cptdev_walk_ranges(&w, start, end);
	mmap_read_unlock(s->mm);
}

int cptdev_range_add(struct cptdev_call *call, void *uarg)
{
	struct cptdev_session *s = call->filp->private_data;
	struct cptdev_range *arg = uarg;
	unsigned long where;
	int ret;

	ret = range_valid(arg, CPTDEV_RANGE_EXCL);
	if (!ret)
		ret = cptdev_session_enter(s);
	if (ret)
		return ret;

	mutex_lock(&s->lock);
	ret = range_check(s->mm, arg);
	if (!ret && (arg->flags & CPTDEV_RANGE_EXCL) &&
	    span_overlap(s, arg->addr, arg->addr + arg->len, &where)) {
		arg->bad_addr = where;
		arg->reason = CPTDEV_REASON_OVERLAP;
		ret = -EEXIST;
	}
	if (!ret)
		ret = cptdev_session_start(s);
	if (!ret)
		ret = range_insert(s, arg);
	if (!ret)
		range_prepare(s, arg->addr, arg->addr + arg->len);
	mutex_unlock(&s->lock);
	return ret;
}

/* Forget chunks in [start, end) that no range needs any more. */
static void range_forget(struct cptdev_session *s, unsigned long start,
			 unsigned long end)
{
	struct cptdev_chunk *c;
	unsigned long index, where;

	xa_for_each_range(&s->chunks, index, c, start >> CHUNK_SHIFT,
			  (end - 1) >> CHUNK_SHIFT) {
		unsigned long base = index << CHUNK_SHIFT;

		if (!span_overlap(s, base, base + CHUNK_SIZE, &where))
			cptdev_chunk_drop(s, base);
	}
}

static int range_remove(struct cptdev_session *s, unsigned long start,
			unsigned long end)
{
	u32 at = cptdev_span_at(s, start), nr = 0, nr_rest = 0, i;
	struct cptdev_span rest[2];
	u64 gone = 0;
	int ret;

	for (i = at; i < s->nr_ranges && s->ranges[i].start < end; i++, nr++) {
		struct cptdev_span old = s->ranges[i];

		gone += min(end, old.end) - max(start, old.start);
		if (old.start < start) {
			rest[nr_rest] = old;
			rest[nr_rest++].end = start;
		}
		if (old.end > end) {
			rest[nr_rest] = old;
			rest[nr_rest++].start = end;
		}
	}
	if (!nr)
		return -ENOENT;
	ret = span_reserve(s, s->nr_ranges - nr + nr_rest);
	if (ret)
		return ret;
	mutex_lock(&cptdev_sessions_lock);
	span_replace(s, at, nr, rest, nr_rest);
	mutex_unlock(&cptdev_sessions_lock);
	s->bytes -= gone;
	range_forget(s, start, end);
	return 0;
}

int cptdev_range_del(struct cptdev_call *call, void *uarg)
{
	struct cptdev_session *s = call->filp->private_data;
	struct cptdev_range *arg = uarg;
	int ret;

	ret = range_valid(arg, 0);
	if (!ret)
		ret = cptdev_session_enter(s);
	if (ret)
		return ret;
	mutex_lock(&s->lock);
	ret = range_remove(s, arg->addr, arg->addr + arg->len);
	mutex_unlock(&s->lock);
	return ret;
}

int cptdev_range_clear(struct cptdev_call *call, void *uarg)
{
	struct cptdev_session *s = call->filp->private_data;
	struct cptdev_range *arg = uarg;
	int ret;

	if (arg->flags)
		return -EOPNOTSUPP;
	if (arg->addr || arg->len || arg->reserved)
		return -EINVAL;
	ret = cptdev_session_enter(s);
	if (ret)
		return ret;
	mutex_lock(&s->lock);
	mutex_lock(&cptdev_sessions_lock);
	s->nr_ranges = 0;
	mutex_unlock(&cptdev_sessions_lock);
	s->bytes = 0;
	cptdev_chunks_free(s);
	mutex_unlock(&s->lock);
	return 0;
}

/* Entries are copied out in pieces: user memory isn't touched under the lock. */
#define LIST_BATCH	32

int cptdev_range_list(struct cptdev_call *call, void *uarg)
{
	struct cptdev_session *s = call->filp->private_data;
	struct cptdev_range_entry __user *vec;
	struct cptdev_range_list *arg = uarg;
	struct cptdev_range_entry batch[LIST_BATCH];
	unsigned long from = arg->start;
	u32 done = 0, n;
	int ret;

	if (arg->flags)
		return -EOPNOTSUPP;
	ret = cptdev_session_enter(s);
	if (ret)
		return ret;
	vec = u64_to_user_ptr(arg->vec);
	do {
		u32 i, want = min_t(u32, arg->vec_len - done, LIST_BATCH);

		mutex_lock(&s->lock);
		arg->total = s->nr_ranges;
		i = cptdev_span_at(s, from);
		for (n = 0; n < want && i < s->nr_ranges; i++, n++) {
			batch[n].addr = s->ranges[i].start;
			batch[n].len = s->ranges[i].end - s->ranges[i].start;
			from = s->ranges[i].end;
		}
		mutex_unlock(&s->lock);
		if (copy_to_user(vec + done, batch, n * sizeof(*batch)))
			return -EFAULT;
		done += n;
	} while (n == LIST_BATCH);
	arg->nr = done;
	return 0;
}

void cptdev_ranges_free(struct cptdev_session *s)
{
	kvfree(s->ranges);
	s->ranges = NULL;
	s->nr_ranges = 0;
	s->max_ranges = 0;
	s->bytes = 0;
}
