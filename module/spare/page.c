// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev: pages of replicas: how they count for the limits, and the pool of those that were
 * given up.
 */
#include <linux/slab.h>

#include "../cptdev.h"
#include "entry.h"

/* Pages that a replica keeps for what is staged next. */
#define POOL_MAX	1024U

struct xarray *cptdev_pages_alloc(void)
{
	struct xarray *pages = kmalloc(sizeof(*pages), GFP_KERNEL_ACCOUNT);

	if (pages)
		xa_init_flags(pages, XA_FLAGS_ACCOUNT);
	return pages;
}

static void page_uncharge(struct cptdev_replica *r)
{
	atomic64_dec(&r->taken);
	atomic64_dec(&cptdev_replica_pages);
}

/*
 * Pages that a commit replaced are filled again by the next delta: to free one and to take
 * another, which the kernel may clear, costs more than to copy the content. They don't count
 * for the limits. Nobody finds a page any more that was given up, so its count only falls: a
 * reader that still has it is seen.
 */
static bool pool_put(struct cptdev_replica *r, struct page *page)
{
	bool kept = false;

	if (page_count(page) != 1)
		return false;
	spin_lock(&r->pool_lock);
	if (r->pooled < POOL_MAX) {
		list_add(&page->lru, &r->pool);
		r->pooled++;
		kept = true;
	}
	spin_unlock(&r->pool_lock);
	return kept;
}

static struct page *pool_get(struct cptdev_replica *r)
{
	struct page *page;

	spin_lock(&r->pool_lock);
	page = list_first_entry_or_null(&r->pool, struct page, lru);
	if (page) {
		list_del(&page->lru);
		r->pooled--;
	}
	spin_unlock(&r->pool_lock);
	return page;
}

void cptdev_pool_free(struct cptdev_replica *r)
{
	struct page *page;

	while ((page = pool_get(r)))
		__free_page(page);
}

void cptdev_page_drop(struct cptdev_replica *r, void *entry)
{
	struct cptdev_shared *sh = cptdev_entry_shared(entry);

	if (!entry || xa_is_value(entry))
		return;
	if (sh) {
		put_page(sh->page);
		kfree(sh);
	} else if (!pool_put(r, entry)) {
		__free_page(entry);
	}
	page_uncharge(r);
}

void cptdev_pages_free(struct cptdev_replica *r, struct xarray *pages)
{
	unsigned long index;
	void *entry;

	if (!pages)
		return;
	xa_for_each(pages, index, entry) {
		cptdev_page_drop(r, entry);
		cond_resched();
	}
	xa_destroy(pages);
	kfree(pages);
}

u64 cptdev_replica_limit(const struct cptdev_replica *r)
{
	return r->max_bytes ? min(r->max_bytes, cptdev_replica_max()) :
		cptdev_replica_max();
}

static bool page_charge(struct cptdev_replica *r)
{
	u64 own = atomic64_inc_return(&r->taken);
	u64 all = atomic64_inc_return(&cptdev_replica_pages);

	if (own <= cptdev_replica_limit(r) >> PAGE_SHIFT &&
	    all <= cptdev_replica_max() >> PAGE_SHIFT)
		return true;
	page_uncharge(r);
	return false;
}

/*
 * An entry for @page, which a snapshot has: with a reference of its own, charged. No lock of a
 * replica is held. For what is kept nothing else gives way.
 */
void *cptdev_page_share(struct cptdev_replica *r, struct page *page)
{
	struct cptdev_shared *sh;

	if (!page_charge(r)) {
		cptdev_gone_settle();
		if (!page_charge(r))
			return ERR_PTR(-EDQUOT);
	}
	sh = kmalloc(sizeof(*sh), GFP_KERNEL_ACCOUNT);
	if (!sh) {
		page_uncharge(r);
		return ERR_PTR(-ENOMEM);
	}
	get_page(page);
	sh->page = page;
	return cptdev_shared_entry(sh);
}

/* What commits have replaced may still be on its way out, or be kept for past generations. */
static bool charge_again(struct cptdev_replica *r)
{
	bool all;

	do {
		cptdev_gone_settle();
		if (page_charge(r))
			return true;
		all = atomic64_read(&cptdev_replica_pages) >= cptdev_replica_max() >> PAGE_SHIFT;
	} while ((all && cptdev_keep_give_way(r)) || cptdev_past_give_way(r, all));
	return false;
}

/* A page for the replica, charged. No lock is held. */
struct page *cptdev_page_take(struct cptdev_replica *r)
{
	struct page *page;

	if (!page_charge(r) && !charge_again(r))
		return ERR_PTR(-EDQUOT);
	page = pool_get(r) ?: alloc_page(GFP_HIGHUSER | __GFP_ACCOUNT);
	if (page)
		return page;
	page_uncharge(r);
	return ERR_PTR(-ENOMEM);
}
