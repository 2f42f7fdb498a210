// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev: layouts. A layout lists the mappings in the ranges at a cut. A restore needs it, because
 * it says what a page without data reads as.
 */
#include <linux/mman.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "../cptdev.h"
#include "../mutants.h"

struct cptdev_layout *cptdev_layout_alloc(u32 max)
{
	struct cptdev_layout *l;

	l = kvzalloc(struct_size(l, v, max), GFP_KERNEL_ACCOUNT);
	if (!l)
		return NULL;
	refcount_set(&l->ref, 1);
	l->max = max;
	return l;
}

void cptdev_layout_put(struct cptdev_layout *l)
{
	if (l && refcount_dec_and_test(&l->ref))
		kvfree(l);
}

/* The segment at @addr, or NULL. */
const struct cptdev_segment *cptdev_layout_find(const struct cptdev_layout *l,
						u64 addr)
{
	u32 lo = 0, hi = l->nr;

	while (lo < hi) {
		u32 mid = lo + (hi - lo) / 2;

		if (addr < l->v[mid].addr)
			hi = mid;
		else if (addr - l->v[mid].addr >= l->v[mid].len)
			lo = mid + 1;
		else
			return &l->v[mid];
	}
	return NULL;
}

/* Is all of [addr, addr + len) in segments? */
bool cptdev_layout_covers(const struct cptdev_layout *l, u64 addr, u64 len)
{
	const struct cptdev_segment *seg = cptdev_layout_find(l, addr);

	while (seg) {
		u64 rest = seg->addr + seg->len - addr;

		if (len <= rest)
			return true;
		addr += rest;
		len -= rest;
		if (++seg == l->v + l->nr || seg->addr != addr)
			return false;
	}
	return false;
}

/* CPTDEV_IOC_IMAGE_LAYOUT; @l may be NULL. */
int cptdev_layout_read(const struct cptdev_layout *l, struct cptdev_image_vec *arg)
{
	u32 nr = l ? l->nr : 0, from = min_t(u64, arg->start, nr);

	if (arg->flags)
		return -EOPNOTSUPP;
	if (arg->since)
		return -EINVAL;
	arg->nr = min(arg->vec_len, nr - from);
	arg->next = from + arg->nr;
	if (arg->nr && copy_to_user(u64_to_user_ptr(arg->vec), l->v + from,
				    arg->nr * sizeof(l->v[0])))
		return -EFAULT;
	return 0;
}

/* From another host: nothing in it is believed. NULL for an empty one. */
struct cptdev_layout *cptdev_layout_from_user(u64 uptr, u32 nr)
{
	struct cptdev_layout *l;
	u64 end = 0;
	u32 i;

	if (nr > CPTDEV_LAYOUT_MAX)
		return ERR_PTR(-E2BIG);
	l = cptdev_layout_alloc(nr);
	if (!l)
		return ERR_PTR(-ENOMEM);
	l->nr = nr;
	if (copy_from_user(l->v, u64_to_user_ptr(uptr), nr * sizeof(l->v[0]))) {
		cptdev_layout_put(l);
		return ERR_PTR(-EFAULT);
	}
	for (i = 0; i < nr; i++) {
		const struct cptdev_segment *seg = &l->v[i];

		if (!PAGE_ALIGNED(seg->addr) || !PAGE_ALIGNED(seg->len) || !seg->len ||
		    seg->addr < end || seg->addr > LLONG_MAX ||
		    seg->len > LLONG_MAX - seg->addr ||
		    seg->kind < CPTDEV_SEGMENT_ANON ||
		    seg->kind > CPTDEV_SEGMENT_UNMAPPED ||
		    (seg->prot & ~(PROT_READ | PROT_WRITE | PROT_EXEC))) {
			cptdev_layout_put(l);
			return ERR_PTR(-EINVAL);
		}
		end = seg->addr + seg->len;
	}
	return l;
}

/*
 * Taking the layout of a session. It rarely changes: what is found is compared with the
 * last one, and only from the first difference on a new one is made.
 */
struct layout_take {
	struct cptdev_session *s;
	struct cptdev_layout *new;	/* NULL as long as all is as before */
	u32 nr;
	struct cptdev_segment last;	/* not yet stored: may grow */
};

static bool segment_follows(const struct cptdev_segment *a,
			    const struct cptdev_segment *b)
{
	return a->len && a->addr + a->len == b->addr && a->kind == b->kind &&
		a->prot == b->prot &&
		(a->kind != CPTDEV_SEGMENT_FILE || a->offset + a->len == b->offset);
}

static int take_grow(struct layout_take *t)
{
	struct cptdev_layout *old = t->new ?: t->s->layout, *l;
	u32 max = max(16U, t->nr * 2);

	if (t->new && t->nr < t->new->max)
		return 0;
	l = cptdev_layout_alloc(max);
	if (!l)
		return -ENOMEM;
	if (t->nr)
		memcpy(l->v, old->v, t->nr * sizeof(l->v[0]));
	cptdev_layout_put(t->new);
	t->new = l;
	return 0;
}

/* The last segment won't grow any more. */
static int take_store(struct layout_take *t)
{
	const struct cptdev_layout *old = t->s->layout;
	int ret;

	if (!t->last.len)
		return 0;
	if (t->nr == CPTDEV_LAYOUT_MAX)
		return -E2BIG;
	if (!t->new && old && t->nr < old->nr &&
	    !memcmp(&old->v[t->nr], &t->last, sizeof(t->last))) {
		t->nr++;
		return 0;
	}
	ret = take_grow(t);
	if (!ret)
		t->new->v[t->nr++] = t->last;
	return ret;
}

static int take_segment(struct layout_take *t, const struct cptdev_segment *seg)
{
	int ret;

	if (segment_follows(&t->last, seg)) {
		t->last.len += seg->len;
		return 0;
	}
	ret = take_store(t);
	t->last = *seg;
	return ret;
}

static int take_gap(struct layout_take *t, unsigned long addr, unsigned long end)
{
	struct cptdev_segment seg = {
		.addr = addr, .len = end - addr, .kind = CPTDEV_SEGMENT_UNMAPPED,
	};

	return take_segment(t, &seg);
}

static int take_vma(struct layout_take *t, struct vm_area_struct *vma,
		    unsigned long addr, unsigned long end)
{
	struct cptdev_segment seg = {
		.addr = addr, .len = end - addr, .kind = CPTDEV_SEGMENT_ANON,
		.prot = (vma->vm_flags & VM_READ ? PROT_READ : 0) |
			(vma->vm_flags & VM_WRITE ? PROT_WRITE : 0) |
			(vma->vm_flags & VM_EXEC ? PROT_EXEC : 0),
	};

	if (!vma_is_anonymous(vma)) {
		seg.kind = CPTDEV_SEGMENT_FILE;
		seg.offset = ((u64)vma->vm_pgoff << PAGE_SHIFT) + addr - vma->vm_start;
	}
	return take_segment(t, &seg);
}

/*
 * Keep out faults under the VMA lock alone. If no page was ever written none can be
 * without the mmap_lock, which the first anonymous page takes (vmf_anon_prepare()).
 */
static void take_lock(struct vm_area_struct *vma)
{
	if (vma->anon_vma)
		vma_start_write(vma);
}

/* The permissions, and what may be a reason to refuse it (cptdev_vma_refuse()). */
#define TAKE_FLAGS	(VM_READ | VM_WRITE | VM_EXEC | VM_HUGETLB | VM_IO | VM_PFNMAP | \
			 VM_MIXEDMAP | VM_SHARED | VM_MAYSHARE | CPTDEV_VM_SPECIAL)

/*
 * Does @vma, from @addr on, continue the anonymous memory of @last, with the same
 * permissions? The quick way for a heap of many VMAs.
 */
static bool take_more(struct layout_take *t, const struct vm_area_struct *last,
		      struct vm_area_struct *vma, unsigned long addr, unsigned long end)
{
	if (!last || last->vm_end != addr || last->vm_ops || vma->vm_ops ||
	    ((last->vm_flags ^ vma->vm_flags) & TAKE_FLAGS))
		return false;
	t->last.len += end - addr;
	return true;
}

static int take_span(struct layout_take *t, struct cptdev_walk *w,
		     unsigned long addr, unsigned long end)
{
	VMA_ITERATOR(vmi, t->s->mm, addr);
	struct vm_area_struct *vma, *last = NULL;
	unsigned long next;
	int ret = 0;

	for (; !ret && addr < end; addr = next) {
		vma = vma_next(&vmi);
		if (!vma || vma->vm_start >= end)
			return take_gap(t, addr, end);
		if (vma->vm_start > addr) {
			ret = take_gap(t, addr, vma->vm_start);
			if (ret)
				break;
			addr = vma->vm_start;
		}
		next = min(vma->vm_end, end);
		take_lock(vma);
		if (!take_more(t, last, vma, addr, next)) {
			w->reason = cptdev_vma_refuse(vma);
			if (w->reason) {
				w->bad_addr = addr;
				return -EOPNOTSUPP;
			}
			ret = take_vma(t, vma, addr, next);
		}
		last = vma;
	}
	return ret;
}

/*
 * Before the cut: look at what is mapped in the ranges, refuse what can't be tracked
 * (it was mapped since the range was added), lock the VMAs. s->layout is up to date
 * afterwards. session->lock and the mmap_lock, for writing, are held.
 */
int cptdev_layout_take(struct cptdev_session *s, struct cptdev_walk *w)
{
	struct layout_take t = { .s = s };
	int ret = 0;
	u32 i;

	lockdep_assert_held_write(&s->mm->mmap_lock);
	for (i = 0; !ret && i < s->nr_ranges; i++)
		ret = take_span(&t, w, s->ranges[i].start, s->ranges[i].end);
	if (!ret)
		ret = take_store(&t);
	/* Shorter than the last one, or the first and empty. */
	if (!ret && !t.new && (!s->layout || t.nr < s->layout->nr))
		ret = take_grow(&t);
	if (ret) {
		cptdev_layout_put(t.new);
		return ret;
	}
	if (t.new) {
		t.new->nr = t.nr;
		for (i = 0; i < t.nr; i++)
			t.new->nr_read_only += cptdev_segment_read_only(&t.new->v[i]);
		cptdev_layout_put(s->layout);
		s->layout = t.new;
	}
	return 0;
}
