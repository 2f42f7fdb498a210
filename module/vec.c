// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev: lists that grow by pages. The caller reserves places before it takes a page-table lock,
 * so a push under that lock allocates nothing.
 */
#include <linux/slab.h>

#include "vec.h"

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
