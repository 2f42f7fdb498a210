/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kvstore: the state, all of it in one arena at a fixed address, so that the pointers in
 * it are as good in the program that takes over. Nothing here does I/O.
 */
#ifndef KVSTATE_H
#define KVSTATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * 32 TiB. On x86-64 address space randomisation puts programs and their heap around
 * 0x55..., libraries, mappings and stacks around 0x7f..., each within 16 TiB, and
 * programs that aren't position-independent below 0x1000000. On arm64 (48 bits) it is
 * around 0xaa... and 0xff.... What a sanitizer reserves ends at 16 TiB. So this is free
 * in each run, and the same on both hosts.
 */
#define KV_ARENA	((void *)0x200000000000)

#define KV_NAME_MAX	255

/* A key and its count, or a client and the number of its last request. */
struct kv_entry {
	struct kv_entry *next;		/* in the bucket */
	uint64_t value;
	uint32_t hash;
	uint16_t len;
	char name[];			/* with a NUL */
};

struct kv_table {
	struct kv_entry **bucket;
	uint64_t nr_buckets;		/* a power of two */
	uint64_t nr;
};

/* At the beginning of the arena. */
struct kv_state {
	uint64_t magic;
	uint64_t size;			/* of the arena, bytes */
	uint64_t used;			/* from the bottom up */
	void *free[64];			/* blocks of 1 << index bytes, linked */
	struct kv_table keys;
	struct kv_table clients;
	uint64_t total;			/* sum of all counts */
};

enum kv_result {
	KV_OK,
	KV_SEEN,			/* a repeat: nothing was done */
	KV_FULL,			/* no room: nothing was done */
};

/* Begin with nothing. NULL if @size is too small for that. */
struct kv_state *kv_format(void *arena, size_t size);

/* What a replica brought: NULL if it isn't this program's. */
struct kv_state *kv_attach(void *arena, size_t size);

/*
 * Request @seq of @client: count @key. A request whose number isn't above the client's
 * last one was done before. @count is the key's count now, either way.
 */
enum kv_result kv_incr(struct kv_state *s, const char *client, uint64_t seq,
		       const char *key, uint64_t *count);

/* 0 for a name that isn't there. */
uint64_t kv_get(const struct kv_table *t, const char *name);

/* All entries, in no order: NULL to begin with, NULL at the end. */
const struct kv_entry *kv_next(const struct kv_table *t, const struct kv_entry *e);

#endif /* KVSTATE_H */
