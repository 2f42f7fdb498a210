// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev: frozen pages and what is known of them: chunks (the generation in which a
 * page last changed), snapshots (references to frozen pages), layouts.
 */
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "cptdev.h"

static struct kmem_cache *chunk_cache;

int cptdev_versions_init(void)
{
	chunk_cache = kmem_cache_create("cptdev_chunk", sizeof(struct cptdev_chunk),
					0, SLAB_ACCOUNT, NULL);
	return chunk_cache ? 0 : -ENOMEM;
}

void cptdev_versions_exit(void)
{
	rcu_barrier();		/* chunks on their way to the cache */
	kmem_cache_destroy(chunk_cache);
}

/*
 * Chunks
 */

/* @c is what follows whatever chunk comes before @addr. Notifiers don't look at that. */
static void chunk_link(struct cptdev_session *s, unsigned long addr, struct cptdev_chunk *c)
{
	struct cptdev_chunk *before = addr < CHUNK_SIZE ? NULL :
		cptdev_chunk_find(s, addr - CHUNK_SIZE);

	if (before)
		before->next = c;
}

/*
 * Find or make the chunk of @addr. @added is the generation since which its pages are
 * tracked. In a new one every page counts as a hole at the last cut and the last scan,
 * so that whatever is present is new.
 */
struct cptdev_chunk *cptdev_chunk_get(struct cptdev_session *s,
				      unsigned long addr, u64 added)
{
	struct cptdev_chunk *c = cptdev_chunk_find(s, addr);
	unsigned int i;
	int ret;

	if (c)
		return c;
	c = kmem_cache_zalloc(chunk_cache, GFP_KERNEL);
	if (!c)
		return ERR_PTR(-ENOMEM);
	for (i = 0; i < CHUNK_WORDS; i++) {
		c->cut.hole[i] = ~0ULL;
		c->scan.hole[i] = ~0ULL;
		atomic64_set(&c->scan.event[i], ~0ULL);
	}
	for (i = 0; i < CHUNK_PAGES; i++)
		c->gen[i] = added;
	c->newest = added;

	ret = xa_err(xa_store(&s->chunks, addr >> CHUNK_SHIFT, c,
			      GFP_KERNEL_ACCOUNT));
	if (ret) {
		kmem_cache_free(chunk_cache, c);
		return ERR_PTR(ret);
	}
	c->next = cptdev_chunk_find(s, addr + CHUNK_SIZE);
	chunk_link(s, addr, c);
	atomic64_inc(&s->nr_chunks);
	return c;
}

static void chunk_free_rcu(struct rcu_head *rcu)
{
	kmem_cache_free(chunk_cache, container_of(rcu, struct cptdev_chunk, rcu));
}

/* Notifiers may still be looking: they do so under RCU. */
void cptdev_chunk_drop(struct cptdev_session *s, unsigned long addr)
{
	struct cptdev_chunk *c = xa_erase(&s->chunks, addr >> CHUNK_SHIFT);

	if (!c)
		return;
	chunk_link(s, addr, NULL);
	atomic64_dec(&s->nr_chunks);
	call_rcu(&c->rcu, chunk_free_rcu);
}

void cptdev_chunks_free(struct cptdev_session *s)
{
	struct cptdev_chunk *c;
	unsigned long index;

	xa_for_each(&s->chunks, index, c)
		cptdev_chunk_drop(s, index << CHUNK_SHIFT);
	xa_destroy(&s->chunks);
}

/*
 * Lists that grow by pages: what is pushed under a page-table lock was reserved before.
 */

void cptdev_vec_init(struct cptdev_vec *v, u32 entry)
{
	memset(v, 0, sizeof(*v));
	INIT_LIST_HEAD(&v->blocks);
	v->entry = entry;
	v->per_block = PAGE_SIZE / entry;
}

int cptdev_vec_reserve(struct cptdev_vec *v, u32 nr)
{
	struct page *page;

	while (cptdev_vec_left(v) < nr) {
		page = alloc_page(GFP_KERNEL_ACCOUNT);
		if (!page)
			return -ENOMEM;
		list_add_tail(&page->lru, &v->blocks);
		v->places += v->per_block;
	}
	return 0;
}

/* The newest block is full. */
void cptdev_vec_next_block(struct cptdev_vec *v)
{
	v->last = v->last ? list_next_entry(v->last, lru) :
		list_first_entry(&v->blocks, struct page, lru);
	v->next = page_address(v->last);
	v->room = v->per_block;
}

/* Nothing is pushed any more: drop what was reserved in vain, make an index. */
int cptdev_vec_seal(struct cptdev_vec *v)
{
	u32 want = DIV_ROUND_UP_ULL(v->nr, v->per_block);
	struct page *page, *tmp;
	u32 i = 0;

	v->block = kvmalloc_array(want, sizeof(*v->block), GFP_KERNEL_ACCOUNT);
	if (want && !v->block)
		return -ENOMEM;
	list_for_each_entry_safe(page, tmp, &v->blocks, lru) {
		if (i < want) {
			v->block[i++] = page;
			continue;
		}
		list_del(&page->lru);
		__free_page(page);
	}
	v->places = (u64)want * v->per_block;
	return 0;
}

void *cptdev_vec_at(const struct cptdev_vec *v, u64 index)
{
	return page_address(v->block[index / v->per_block]) +
		index % v->per_block * v->entry;
}

void cptdev_vec_free(struct cptdev_vec *v)
{
	struct page *page, *tmp;

	list_for_each_entry_safe(page, tmp, &v->blocks, lru) {
		list_del(&page->lru);
		__free_page(page);
	}
	kvfree(v->block);
}

/*
 * Blobs: meta-data, handed on without copying
 */

static struct cptdev_blob *blob_alloc(u32 len)
{
	struct cptdev_blob *b = kvmalloc(struct_size(b, data, len), GFP_KERNEL_ACCOUNT);

	if (!b)
		return NULL;
	refcount_set(&b->ref, 1);
	b->len = len;
	return b;
}

void cptdev_blob_put(struct cptdev_blob *b)
{
	if (b && refcount_dec_and_test(&b->ref))
		kvfree(b);
}

/* NULL for no bytes. */
struct cptdev_blob *cptdev_blob_from_user(u64 uptr, u32 len)
{
	struct cptdev_blob *b;

	if (!len)
		return NULL;
	if (len > CPTDEV_META_MAX)
		return ERR_PTR(-EMSGSIZE);
	b = blob_alloc(len);
	if (!b)
		return ERR_PTR(-ENOMEM);
	if (copy_from_user(b->data, u64_to_user_ptr(uptr), len)) {
		cptdev_blob_put(b);
		return ERR_PTR(-EFAULT);
	}
	return b;
}

/* CPTDEV_IOC_IMAGE_META; @b may be NULL. */
int cptdev_blob_read(const struct cptdev_blob *b, struct cptdev_image_vec *arg)
{
	u32 len = b ? b->len : 0, from = min_t(u64, arg->start, len);

	if (arg->flags)
		return -EOPNOTSUPP;
	arg->nr = min(arg->vec_len, len - from);
	arg->next = from + arg->nr;
	if (arg->nr && copy_to_user(u64_to_user_ptr(arg->vec), b->data + from, arg->nr))
		return -EFAULT;
	return 0;
}

/*
 * Snapshots
 */

struct cptdev_snap *cptdev_snap_alloc(struct cptdev_session *s)
{
	struct cptdev_snap *snap = kzalloc(sizeof(*snap), GFP_KERNEL_ACCOUNT);

	if (!snap)
		return NULL;
	kref_init(&snap->ref);
	INIT_LIST_HEAD(&snap->entry);
	cptdev_vec_init(&snap->held, sizeof(unsigned long));
	cptdev_vec_init(&snap->runs, sizeof(struct cptdev_run));
	snap->last_run = &snap->no_run;
	snap->no_run.end = 1;		/* no page's address */
	snap->session = s;
	cptdev_session_get(s);
	return snap;
}

static void snap_uncharge(struct cptdev_snap *snap, u64 pages)
{
	atomic64_sub(pages, &snap->session->held);
	atomic64_sub(pages, &cptdev_held_pages);
	snap->charged -= pages;
}

/* A sum over the limit is right again when the snapshot is freed. */
static int snap_charge(struct cptdev_snap *snap, u64 pages)
{
	struct cptdev_session *s = snap->session;
	u64 max = cptdev_held_max() >> PAGE_SHIFT;
	u64 own = s->held_max ? s->held_max >> PAGE_SHIFT : max;
	u64 own_held, all_held;

	snap->charged += pages;
	own_held = atomic64_add_return(pages, &s->held);
	all_held = atomic64_add_return(pages, &cptdev_held_pages);
	return own_held > own || all_held > max ? -EDQUOT : 0;
}

/* Pages that are reserved beyond what was asked for, if the limits allow. */
#define SNAP_AHEAD	64

/* See cptdev_snap_reserve(). */
int cptdev_snap_reserve_more(struct cptdev_snap *snap, u32 pages)
{
	u64 left = snap->charged - snap->held.nr, want = pages + SNAP_AHEAD;
	int ret;

	ret = cptdev_vec_reserve(&snap->held, max(left, want));
	if (!ret)
		ret = cptdev_vec_reserve(&snap->runs, want);
	if (!ret && left < pages) {
		ret = snap_charge(snap, pages - left);
		left = pages;
	}
	if (!ret && left < want && snap_charge(snap, want - left))
		snap_uncharge(snap, want - left);
	return ret;
}

void cptdev_snap_push_hole(struct cptdev_snap *snap, unsigned long addr, u64 pages)
{
	snap->holes += pages;
	cptdev_snap_push_run(snap, addr, pages, CPTDEV_EXTENT_HOLE);
}

int cptdev_snap_seal(struct cptdev_snap *snap)
{
	int ret;

	/* What was reserved and not needed. */
	snap_uncharge(snap, snap->charged - snap->held.nr);
	ret = cptdev_vec_seal(&snap->held);
	return ret ?: cptdev_vec_seal(&snap->runs);
}

struct page *cptdev_snap_page(const struct cptdev_snap *snap, u64 index)
{
	unsigned long *held = cptdev_vec_at(&snap->held, index);

	return (struct page *)*held;
}

/* Works on a snapshot that was given up half-way, too: not sealed, pages to copy. */
static void snap_drop_pages(struct cptdev_snap *snap)
{
	u64 left = snap->held.nr;
	struct page *block;

	list_for_each_entry(block, &snap->held.blocks, lru) {
		unsigned long *held = page_address(block);
		u64 i, n = min_t(u64, left, snap->held.per_block);

		for (i = 0; i < n; i++)
			put_page((struct page *)(held[i] & ~CPTDEV_HELD_COPY));
		left -= n;
		cond_resched();
	}
}

static void snap_release(struct kref *ref)
{
	struct cptdev_snap *snap = container_of(ref, struct cptdev_snap, ref);

	snap_drop_pages(snap);
	snap_uncharge(snap, snap->charged);
	cptdev_vec_free(&snap->held);
	cptdev_vec_free(&snap->runs);
	cptdev_layout_put(snap->layout);
	cptdev_blob_put(snap->meta);
	cptdev_session_put(snap->session);
	kfree(snap);
}

void cptdev_snap_put(struct cptdev_snap *snap)
{
	if (snap)
		kref_put(&snap->ref, snap_release);
}

/*
 * Merging: what changed from a to b, and from b to c, makes what changed from a to c.
 */

/* A place in a snapshot's list of runs. */
struct snap_cursor {
	const struct cptdev_snap *snap;
	u64 run;
	u64 held;		/* page of a DATA run */
	u64 skip;		/* pages of the run that are behind us */
};

/* What is left of a run there. */
struct snap_rest {
	unsigned long addr;
	u64 pages;
	u32 kind;
};

static bool cursor_get(const struct snap_cursor *c, struct snap_rest *r)
{
	const struct cptdev_run *run;

	if (c->run == c->snap->runs.nr)
		return false;
	run = cptdev_vec_at(&c->snap->runs, c->run);
	r->kind = cptdev_run_kind(run);
	r->addr = (run->start & PAGE_MASK) + c->skip * PAGE_SIZE;
	r->pages = (run->end - r->addr) >> PAGE_SHIFT;
	return true;
}

static void cursor_advance(struct snap_cursor *c, const struct snap_rest *r,
			   u64 pages)
{
	if (r->kind == CPTDEV_EXTENT_DATA)
		c->held += pages;
	c->skip += pages;
	if (pages == r->pages) {
		c->run++;
		c->skip = 0;
	}
}

/* How many of the run's pages lie before @addr. */
static u64 run_before(const struct snap_rest *r, unsigned long addr)
{
	if (addr <= r->addr)
		return 0;
	return min_t(u64, r->pages, (addr - r->addr) >> PAGE_SHIFT);
}

static int merge_copy(struct cptdev_snap *to, const struct snap_cursor *from,
		      const struct snap_rest *r, u64 pages)
{
	u64 i, n;
	int ret;

	if (r->kind == CPTDEV_EXTENT_HOLE) {
		ret = cptdev_vec_reserve(&to->runs, 1);
		if (!ret)
			cptdev_snap_push_hole(to, r->addr, pages);
		return ret;
	}
	for (i = 0; i < pages; i += n) {
		u64 j;

		n = min_t(u64, pages - i, CHUNK_PAGES);
		ret = cptdev_snap_reserve(to, n);
		if (ret)
			return ret;
		for (j = i; j < i + n; j++) {
			struct page *page = cptdev_snap_page(from->snap,
							     from->held + j);

			get_page(page);
			cptdev_snap_push(to, r->addr + j * PAGE_SIZE, page, false);
		}
		cond_resched();
	}
	return 0;
}

/* How many pages of the older run, from its start, are alike: in the layout, or not. */
static u64 merge_covered(const struct cptdev_layout *l, const struct snap_rest *r,
			 u64 pages, bool *covered)
{
	const struct cptdev_segment *seg = cptdev_layout_find(l, r->addr);
	u32 i;

	*covered = seg;
	if (seg)
		return min_t(u64, pages, (seg->addr + seg->len - r->addr) >> PAGE_SHIFT);
	for (i = 0; i < l->nr; i++)
		if (l->v[i].addr > r->addr)
			return min_t(u64, pages, (l->v[i].addr - r->addr) >> PAGE_SHIFT);
	return pages;
}

static int merge_runs(struct cptdev_snap *to, struct snap_cursor *a,
		      struct snap_cursor *b)
{
	struct snap_rest ra, rb;
	bool has_a = cursor_get(a, &ra), has_b = cursor_get(b, &rb);
	bool covered;
	u64 n;
	int ret = 0;

	while (!ret && (has_a || has_b)) {
		n = has_a ? run_before(&ra, has_b ? rb.addr : ULONG_MAX) : 0;
		if (n) {
			/* only the older has it */
			n = merge_covered(to->layout, &ra, n, &covered);
			if (covered)
				ret = merge_copy(to, a, &ra, n);
			cursor_advance(a, &ra, n);
		} else {
			/* the newer has it, and maybe the older as well */
			unsigned long end;

			n = rb.pages;
			end = rb.addr + n * PAGE_SIZE;
			ret = merge_copy(to, b, &rb, n);
			cursor_advance(b, &rb, n);
			while (has_a && (n = run_before(&ra, end))) {
				cursor_advance(a, &ra, n);
				has_a = cursor_get(a, &ra);
			}
		}
		has_a = cursor_get(a, &ra);
		has_b = cursor_get(b, &rb);
	}
	return ret;
}

/*
 * A snapshot with everything that changed from @old's base to @new's generation, or
 * NULL: no memory, or over a limit.
 */
struct cptdev_snap *cptdev_snap_merge(struct cptdev_snap *old,
				      struct cptdev_snap *new)
{
	struct snap_cursor a = { .snap = old }, b = { .snap = new };
	struct cptdev_snap *snap = cptdev_snap_alloc(new->session);

	if (!snap)
		return NULL;
	snap->base = old->base;
	snap->generation = new->generation;
	snap->state = new->state;
	snap->layout = cptdev_layout_get(new->layout);
	snap->meta = cptdev_blob_get(new->meta);
	if (merge_runs(snap, &a, &b) || cptdev_snap_seal(snap)) {
		cptdev_snap_put(snap);
		return NULL;
	}
	return snap;
}
