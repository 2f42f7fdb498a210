/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libhotspare: lists of what the program has registered: an array that grows, in any struct with the
 * members "uint32_t nr" and "TYPE *v". A checkpoint has a copy of each list as it was at the cut,
 * and who restores takes that copy over. Locks are the caller's.
 */
#ifndef HS_LIST_H
#define HS_LIST_H

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Returns the array, or NULL: ENOMEM, or ENOSPC: there are @most. */
static inline void *hs_array_insert(void *v, uint32_t *nr, uint32_t at, const void *item,
				    size_t size, uint32_t most)
{
	char *now;

	if (*nr >= most) {
		errno = ENOSPC;
		return NULL;
	}
	now = reallocarray(v, *nr + 1UL, size);
	if (!now)
		return NULL;
	memmove(now + (at + 1UL) * size, now + at * size, (*nr - at) * size);
	memcpy(now + at * size, item, size);
	++*nr;
	return now;
}

static inline void hs_array_remove(void *v, uint32_t *nr, size_t at, size_t size)
{
	char *p = v;

	--*nr;
	memmove(p + at * size, p + (at + 1) * size, (*nr - at) * size);
}

/* Never empty, so that NULL is no memory. */
static inline void *hs_array_copy(const void *v, uint32_t nr, size_t size)
{
	void *copy = calloc(nr + 1UL, size);

	if (copy && nr)
		memcpy(copy, v, nr * size);
	return copy;
}

/* Put *@item in front of the one at @at. Evaluates to 0, or -1 with errno ENOSPC, ENOMEM. */
#define hs_list_insert(list, at, item, most) ({						\
		void *hs_v_ = hs_array_insert((list)->v, &(list)->nr, at, item,		\
					      sizeof(*(list)->v), most);		\
		if (hs_v_)								\
			(list)->v = hs_v_;						\
		hs_v_ ? 0 : -1;								\
	})

#define hs_list_append(list, item, most) hs_list_insert(list, (list)->nr, item, most)

/* @item: a pointer into the list. */
#define hs_list_remove(list, item)							\
	hs_array_remove((list)->v, &(list)->nr, (size_t)((item) - (list)->v), sizeof(*(list)->v))

/* @to is uninitialised. Evaluates to 0, or -1 with errno ENOMEM: @to is empty then. */
#define hs_list_copy(to, from) ({							\
		memset(to, 0, sizeof(*(to)));						\
		(to)->v = hs_array_copy((from)->v, (from)->nr, sizeof(*(to)->v));	\
		(to)->nr = (to)->v ? (from)->nr : 0;					\
		(to)->v ? 0 : -1;							\
	})

/* Of elements that point to nothing. */
#define hs_list_free(list) do {								\
		free((list)->v);							\
		memset(list, 0, sizeof(*(list)));					\
	} while (0)

/* @from takes the place of what is in @to, which points to nothing; @from is empty then. */
#define hs_list_adopt(to, from) do {							\
		free((to)->v);								\
		*(to) = *(from);							\
		memset(from, 0, sizeof(*(from)));					\
	} while (0)

#endif /* HS_LIST_H */
