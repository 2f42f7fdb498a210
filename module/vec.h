/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * cptdev: lists that grow by pages.
 */
#ifndef _CPTDEV_VEC_H
#define _CPTDEV_VEC_H

#include <linux/list.h>
#include <linux/mm.h>

/* A list of entries of one size that grows by pages (vec.c). */
struct cptdev_vec {
	struct list_head blocks;
	struct page *last;		/* the block that is being filled */
	void *next;			/* the place in it for the next entry */
	u32 room;			/* entries that fit there */
	u32 entry;			/* bytes */
	u32 per_block;
	u64 places;			/* in all blocks */
	u64 nr;
	struct page **block;		/* index, once sealed */
};

void cptdev_vec_init(struct cptdev_vec *v, u32 entry);
int cptdev_vec_reserve(struct cptdev_vec *v, u32 nr);
void cptdev_vec_next_block(struct cptdev_vec *v);
int cptdev_vec_seal(struct cptdev_vec *v);
void cptdev_vec_free(struct cptdev_vec *v);
void *cptdev_vec_at(const struct cptdev_vec *v, u64 index);

/* A place for one more entry. The caller has reserved. */
static inline void *cptdev_vec_push(struct cptdev_vec *v)
{
	void *place;

	if (unlikely(!v->room))
		cptdev_vec_next_block(v);
	place = v->next;
	v->next += v->entry;
	v->room--;
	v->nr++;
	return place;
}

/* Places for up to @nr entries in a row, and how many; what was used is said next. */
static inline void *cptdev_vec_places(struct cptdev_vec *v, u32 *nr)
{
	if (unlikely(!v->room))
		cptdev_vec_next_block(v);
	*nr = min(*nr, v->room);
	return v->next;
}

/* The first @nr of them, up to @end. */
static inline void cptdev_vec_used(struct cptdev_vec *v, u32 nr, void *end)
{
	v->next = end;
	v->room -= nr;
	v->nr += nr;
}

static inline u64 cptdev_vec_left(const struct cptdev_vec *v)
{
	return v->places - v->nr;
}

#endif /* _CPTDEV_VEC_H */
