// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev: chunks. A chunk has the module's data about the pages of one page table: the generation
 * in which each page last changed, and the marks.
 */
#include <linux/slab.h>
#include <linux/string.h>

#include "track.h"

static struct kmem_cache *chunk_cache;
static struct kmem_cache *numbers_cache;

int cptdev_chunks_init(void)
{
	chunk_cache = kmem_cache_create("cptdev_chunk", sizeof(struct cptdev_chunk),
					0, SLAB_ACCOUNT, NULL);
	if (!chunk_cache)
		return -ENOMEM;
	numbers_cache = kmem_cache_create("cptdev_numbers", CPTDEV_NUMBERS_SIZE, 0,
					  SLAB_ACCOUNT, NULL);
	if (!numbers_cache) {
		kmem_cache_destroy(chunk_cache);
		return -ENOMEM;
	}
	return 0;
}

void cptdev_chunks_exit(void)
{
	rcu_barrier();		/* chunks on their way to the cache */
	kmem_cache_destroy(numbers_cache);
	kmem_cache_destroy(chunk_cache);
}

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
	cptdev_chunk_number(c, added);

	ret = xa_err(xa_store(&s->chunks, addr >> CHUNK_SHIFT, c,
			      GFP_KERNEL_ACCOUNT));
	if (ret) {
		kmem_cache_free(chunk_cache, c);
		return ERR_PTR(ret);
	}
	/* See cptdev_for_each_chunk(). */
	xa_set_mark(&s->chunks, addr >> CHUNK_SHIFT, XA_MARK_0);
	c->next = cptdev_chunk_find(s, addr + CHUNK_SIZE);
	chunk_link(s, addr, c);
	atomic64_inc(&s->nr_chunks);
	return c;
}

/*
 * Before the number of a single page is changed: give each page its own. Most huge pages never
 * need that.
 */
int cptdev_chunk_spread(struct cptdev_session *s, struct cptdev_chunk *c)
{
	if (likely(!c->all))
		return 0;
	if (!c->gen) {
		c->gen = kmem_cache_alloc(numbers_cache, GFP_KERNEL);
		if (!c->gen)
			return -ENOMEM;
		atomic64_inc(&s->nr_numbers);
	}
	memset64(c->gen, c->all, CHUNK_PAGES);
	c->all = 0;
	return 0;
}

static void chunk_free_rcu(struct rcu_head *rcu)
{
	struct cptdev_chunk *c = container_of(rcu, struct cptdev_chunk, rcu);

	if (c->gen)
		kmem_cache_free(numbers_cache, c->gen);
	kmem_cache_free(chunk_cache, c);
}

/* Notifiers may still be looking: they do so under RCU. */
void cptdev_chunk_drop(struct cptdev_session *s, unsigned long addr)
{
	struct cptdev_chunk *c = xa_erase(&s->chunks, addr >> CHUNK_SHIFT);

	if (!c)
		return;
	chunk_link(s, addr, NULL);
	atomic64_dec(&s->nr_chunks);
	if (c->gen)
		atomic64_dec(&s->nr_numbers);
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
