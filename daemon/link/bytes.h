/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Little-endian bytes, written and read field by field. A reader that ran out of bytes
 * reads zeros and remembers; a writer that ran out of room likewise: one check at the
 * end is enough.
 */
#ifndef CPTDEVD_BYTES_H
#define CPTDEVD_BYTES_H

#include <endian.h>
#include <string.h>

#include "types.h"

struct reader {
	const u8 *p;
	size_t left;
	bool short_of;		/* more was read than there is */
};

struct writer {
	u8 *p;
	size_t len;
	size_t cap;
	bool full;		/* more was written than fits */
};

/* The lowest @bytes of the value, up to 8. */
static inline void store_le(u8 *p, u64 value, unsigned int bytes)
{
	value = htole64(value);
	memcpy(p, &value, bytes);
}

static inline u64 load_le(const u8 *p, unsigned int bytes)
{
	u64 value = 0;

	memcpy(&value, p, bytes);
	return le64toh(value);
}

/* The next @len bytes, or NULL. */
static inline const u8 *read_bytes(struct reader *r, size_t len)
{
	const u8 *p = r->p;

	if (len > r->left) {
		r->short_of = true;
		r->left = 0;
		return NULL;
	}
	r->p += len;
	r->left -= len;
	return p;
}

static inline u64 read_le(struct reader *r, unsigned int bytes)
{
	const u8 *p = read_bytes(r, bytes);

	return p ? load_le(p, bytes) : 0;
}

static inline u16 read_u16(struct reader *r)
{
	return read_le(r, 2);
}

static inline u32 read_u32(struct reader *r)
{
	return read_le(r, 4);
}

static inline u64 read_u64(struct reader *r)
{
	return read_le(r, 8);
}

static inline void read_copy(struct reader *r, void *to, size_t len)
{
	const u8 *p = read_bytes(r, len);

	if (p)
		memcpy(to, p, len);
	else
		memset(to, 0, len);
}

/* Room for @len bytes, which the caller fills, or NULL. */
static inline u8 *write_room(struct writer *w, size_t len)
{
	u8 *p = w->p + w->len;

	if (len > w->cap - w->len) {
		w->full = true;
		return NULL;
	}
	w->len += len;
	return p;
}

static inline void write_le(struct writer *w, u64 value, unsigned int bytes)
{
	u8 *p = write_room(w, bytes);

	if (p)
		store_le(p, value, bytes);
}

static inline void write_u16(struct writer *w, u16 value)
{
	write_le(w, value, 2);
}

static inline void write_u32(struct writer *w, u32 value)
{
	write_le(w, value, 4);
}

static inline void write_u64(struct writer *w, u64 value)
{
	write_le(w, value, 8);
}

static inline void write_copy(struct writer *w, const void *from, size_t len)
{
	u8 *p = write_room(w, len);

	if (p && len)
		memcpy(p, from, len);
}

#endif
