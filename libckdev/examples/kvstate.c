// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * kvstore: the arena's allocator, hash tables with chains, and what a request does.
 */
#include <string.h>

#include "kvstate.h"

/* Raise the last digit when a struct in the arena changes. */
#define KV_MAGIC	0x316574617473766bULL	/* "kvstate1" */
#define KV_BUCKETS	1024

/*
 * Blocks have powers of two as sizes. What was freed waits in the list of its size; the
 * rest comes off the untouched end.
 */
static unsigned int block_order(size_t size)
{
	unsigned int order = 5;

	while (((size_t)1 << order) < size)
		order++;
	return order;
}

static void *kv_alloc(struct kv_state *s, size_t size)
{
	unsigned int order = block_order(size);
	void *block = s->free[order];

	if (block) {
		memcpy(&s->free[order], block, sizeof(void *));
		return block;
	}
	if (((uint64_t)1 << order) > s->size - s->used)
		return NULL;
	block = (char *)s + s->used;
	s->used += (uint64_t)1 << order;
	return block;
}

static void kv_free(struct kv_state *s, void *block, size_t size)
{
	unsigned int order = block_order(size);

	memcpy(block, &s->free[order], sizeof(void *));
	s->free[order] = block;
}

/* FNV-1a. */
static uint32_t kv_hash(const char *name)
{
	uint32_t h = 2166136261U;

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 16777619U;
	return h;
}

static struct kv_entry **table_bucket(const struct kv_table *t, uint32_t hash)
{
	return &t->bucket[hash & (t->nr_buckets - 1)];
}

/* If it can't, @t is as before. */
static bool table_init(struct kv_state *s, struct kv_table *t, uint64_t nr_buckets)
{
	struct kv_entry **bucket = kv_alloc(s, nr_buckets * sizeof(*bucket));

	if (!bucket)
		return false;
	memset(bucket, 0, nr_buckets * sizeof(*bucket));
	t->bucket = bucket;
	t->nr_buckets = nr_buckets;
	return true;
}

/* Twice as many buckets; if there is no room for them, chains just get longer. */
static void table_grow(struct kv_state *s, struct kv_table *t)
{
	struct kv_table old = *t;
	uint64_t i;

	if (!table_init(s, t, old.nr_buckets * 2))
		return;
	for (i = 0; i < old.nr_buckets; i++) {
		struct kv_entry *e = old.bucket[i], *next;

		for (; e; e = next) {
			struct kv_entry **to = table_bucket(t, e->hash);

			next = e->next;
			e->next = *to;
			*to = e;
		}
	}
	kv_free(s, old.bucket, old.nr_buckets * sizeof(*old.bucket));
}

static struct kv_entry *table_find(const struct kv_table *t, const char *name)
{
	uint32_t hash = kv_hash(name);
	struct kv_entry *e = *table_bucket(t, hash);

	while (e && (e->hash != hash || strcmp(e->name, name)))
		e = e->next;
	return e;
}

static struct kv_entry *table_get(struct kv_state *s, struct kv_table *t,
				  const char *name)
{
	struct kv_entry *e = table_find(t, name), **to;
	size_t len = strlen(name);

	if (e)
		return e;
	e = kv_alloc(s, sizeof(*e) + len + 1);
	if (!e)
		return NULL;
	if (t->nr >= t->nr_buckets)
		table_grow(s, t);
	e->hash = kv_hash(name);
	e->len = (uint16_t)len;
	e->value = 0;
	memcpy(e->name, name, len + 1);
	to = table_bucket(t, e->hash);
	e->next = *to;
	*to = e;
	t->nr++;
	return e;
}

struct kv_state *kv_format(void *arena, size_t size)
{
	struct kv_state *s = arena;

	if (size < sizeof(*s))
		return NULL;
	memset(s, 0, sizeof(*s));
	s->magic = KV_MAGIC;
	s->size = size;
	s->used = (sizeof(*s) + 63) / 64 * 64;
	if (!table_init(s, &s->keys, KV_BUCKETS) ||
	    !table_init(s, &s->clients, KV_BUCKETS))
		return NULL;
	return s;
}

struct kv_state *kv_attach(void *arena, size_t size)
{
	struct kv_state *s = arena;

	if (size < sizeof(*s) || s->magic != KV_MAGIC || s->size != size)
		return NULL;
	return s;
}

enum kv_result kv_incr(struct kv_state *s, const char *client, uint64_t seq,
		       const char *key, uint64_t *count)
{
	struct kv_entry *c, *k;

	c = table_get(s, &s->clients, client);
	if (!c)
		return KV_FULL;
	if (seq <= c->value) {
		*count = kv_get(&s->keys, key);
		return KV_SEEN;
	}
	k = table_get(s, &s->keys, key);
	if (!k)
		return KV_FULL;
	*count = ++k->value;
	c->value = seq;
	s->total++;
	return KV_OK;
}

uint64_t kv_get(const struct kv_table *t, const char *name)
{
	const struct kv_entry *e = table_find(t, name);

	return e ? e->value : 0;
}

const struct kv_entry *kv_next(const struct kv_table *t, const struct kv_entry *e)
{
	uint64_t i = 0;

	if (e && e->next)
		return e->next;
	if (e)
		i = (e->hash & (t->nr_buckets - 1)) + 1;
	while (i < t->nr_buckets && !t->bucket[i])
		i++;
	return i < t->nr_buckets ? t->bucket[i] : NULL;
}
