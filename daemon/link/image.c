// SPDX-License-Identifier: GPL-2.0-or-later
/* Layouts, extents and pages as frames. Nothing that a peer says is believed. No I/O. */
#include "image.h"
#include "runs.h"

#define PROT_KNOWN	7U		/* PROT_READ, PROT_WRITE, PROT_EXEC */
/* The kernel takes no address from here on either. */
#define ADDR_MAX	((u64)1 << 63)

/* [addr, addr + len) in whole pages, after @from. */
static bool range_valid(u64 addr, u64 len, u32 page_size, u64 from)
{
	u64 mask = page_size - 1;

	return len && !(addr & mask) && !(len & mask) && addr >= from &&
		addr < ADDR_MAX && len <= ADDR_MAX - addr;
}

void segment_encode(struct writer *w, const struct cptdev_segment *seg)
{
	write_u64(w, seg->addr);
	write_u64(w, seg->len);
	write_u64(w, seg->offset);
	write_u32(w, seg->kind);
	write_u32(w, seg->prot);
}

static void segment_read(struct reader *r, struct cptdev_segment *seg)
{
	seg->addr = read_u64(r);
	seg->len = read_u64(r);
	seg->offset = read_u64(r);
	seg->kind = read_u32(r);
	seg->prot = read_u32(r);
}

static int segment_valid(const struct cptdev_segment *seg, u32 page_size, u64 from,
			 struct fault *f)
{
	if (!range_valid(seg->addr, seg->len, page_size, from))
		return fault_set(f, WIRE_E_PROTOCOL,
				 "LAYOUT: segment 0x%llx of 0x%llx bytes after 0x%llx",
				 seg->addr, seg->len, from);
	if (seg->kind < CPTDEV_SEGMENT_ANON || seg->kind > CPTDEV_SEGMENT_UNMAPPED)
		return fault_set(f, WIRE_E_PROTOCOL,
				 "LAYOUT: segment 0x%llx is of kind %u", seg->addr,
				 seg->kind);
	if (seg->prot & ~PROT_KNOWN)
		return fault_set(f, WIRE_E_PROTOCOL,
				 "LAYOUT: segment 0x%llx has protection 0x%x",
				 seg->addr, seg->prot);
	return 0;
}

int layout_decode(const u8 *p, size_t len, u32 page_size, u64 from,
		  struct cptdev_segment *seg, u32 max, struct fault *f)
{
	struct reader r = { .p = p, .left = len };
	size_t nr = len / WIRE_SEGMENT_LEN, i;

	if (!nr || len % WIRE_SEGMENT_LEN)
		return fault_set(f, WIRE_E_PROTOCOL, "LAYOUT of %zu bytes", len);
	if (nr > max)
		return fault_set(f, WIRE_E_PROTOCOL,
				 "LAYOUT: more segments than BEGIN said");
	for (i = 0; i < nr; i++) {
		segment_read(&r, &seg[i]);
		if (segment_valid(&seg[i], page_size, from, f))
			return -1;
		from = seg[i].addr + seg[i].len;
	}
	return nr;
}

void data_head_encode(struct writer *w, u32 extents)
{
	write_u32(w, extents);
	write_u32(w, 0);
}

void extent_encode(struct writer *w, const struct cptdev_extent *e)
{
	write_u64(w, e->addr);
	write_u64(w, e->len);
	write_u32(w, e->kind);
	write_u32(w, 0);
}

static void extent_read(struct reader *r, struct cptdev_extent *e)
{
	e->addr = read_u64(r);
	e->len = read_u64(r);
	e->kind = read_u32(r);
	e->reserved = read_u32(r);
}

static bool kind_known(u32 kind, u64 features)
{
	if (kind == WIRE_EXTENT_ZERO)
		return features & WIRE_FEATURE_ZERO;
	if (kind == WIRE_EXTENT_RUNS)
		return features & WIRE_FEATURE_SUBPAGE;
	return kind == CPTDEV_EXTENT_DATA || kind == CPTDEV_EXTENT_HOLE;
}

static int extent_valid(const struct cptdev_extent *e, u32 page_size, u64 from, u64 features,
			struct fault *f)
{
	if (!range_valid(e->addr, e->len, page_size, from))
		return fault_set(f, WIRE_E_PROTOCOL,
				 "DATA: extent 0x%llx of 0x%llx bytes after 0x%llx",
				 e->addr, e->len, from);
	if (!kind_known(e->kind, features))
		return fault_set(f, WIRE_E_PROTOCOL,
				 "DATA: extent 0x%llx is of kind %u", e->addr, e->kind);
	if (e->reserved)
		return fault_set(f, WIRE_E_PROTOCOL,
				 "DATA: reserved field of an extent isn't 0");
	return 0;
}

static int data_head_decode(struct reader *r, struct data *d, struct fault *f)
{
	u32 reserved;

	d->nr = read_u32(r);
	reserved = read_u32(r);
	if (r->short_of)
		return fault_set(f, WIRE_E_PROTOCOL, "DATA is cut short");
	if (reserved)
		return fault_set(f, WIRE_E_PROTOCOL, "DATA: reserved field isn't 0");
	if (!d->nr || d->nr > WIRE_DATA_EXTENTS)
		return fault_set(f, WIRE_E_PROTOCOL, "DATA with %u extents", d->nr);
	if (r->left < (size_t)d->nr * WIRE_EXTENT_LEN)
		return fault_set(f, WIRE_E_PROTOCOL, "DATA: extents are cut short");
	return 0;
}

/* Step over what belongs to the extent. */
static int body_skip(const struct cptdev_extent *e, u32 page_size, struct reader *r,
		     struct fault *f)
{
	u64 done;

	if (e->kind == CPTDEV_EXTENT_DATA)
		read_bytes(r, e->len);
	if (e->kind != WIRE_EXTENT_RUNS)
		return 0;
	for (done = 0; done < e->len; done += page_size)
		if (runs_decode(r, page_size, f))
			return -1;
	return 0;
}

static int body_check(struct data *d, u32 page_size, struct reader *r, struct fault *f)
{
	struct reader body = *r;
	u64 plain = 0;
	u32 i;

	for (i = 0; i < d->nr; i++) {
		plain += d->extents[i].kind == CPTDEV_EXTENT_DATA ? d->extents[i].len : 0;
		if (body_skip(&d->extents[i], page_size, &body, f))
			return -1;
	}
	if (body.short_of || body.left)
		return fault_set(f, WIRE_E_PROTOCOL,
				 "DATA: %zu bytes of pages, the extents say %llu%s", r->left, plain,
				 d->runs ? " and runs" : "");
	d->body = r->p;
	d->body_len = r->left;
	d->pages = d->whole ? d->body : NULL;
	return 0;
}

int data_decode(const u8 *p, size_t len, u32 page_size, u64 from, u64 features,
		struct data *d, struct fault *f)
{
	struct reader r = { .p = p, .left = len };
	struct cptdev_extent *e;
	u64 pages = 0;
	u32 i;

	if (data_head_decode(&r, d, f))
		return -1;
	d->whole = true;
	d->runs = false;
	for (i = 0; i < d->nr; i++) {
		e = &d->extents[i];
		extent_read(&r, e);
		if (extent_valid(e, page_size, from, features, f))
			return -1;
		from = e->addr + e->len;
		if (e->kind == CPTDEV_EXTENT_HOLE)
			continue;
		d->whole &= e->kind == CPTDEV_EXTENT_DATA;
		d->runs |= e->kind == WIRE_EXTENT_RUNS;
		pages += e->len;
		if (pages > WIRE_DATA_BYTES)
			return fault_set(f, WIRE_E_PROTOCOL,
					 "DATA: more than %u bytes of pages",
					 WIRE_DATA_BYTES);
	}
	d->pages_len = pages;
	d->end = from;
	return body_check(d, page_size, &r, f);
}

static int expand_runs(const struct cptdev_extent *e, u32 page_size, struct reader *r, u8 *to,
		       data_old_fn old, void *arg, struct fault *f)
{
	u64 done;

	if (old(arg, e->addr, to, e->len))
		return fault_set(f, WIRE_E_BASE,
				 "the replica on the spare has no pages at 0x%llx to apply changes to",
				 e->addr);
	for (done = 0; done < e->len; done += page_size)
		if (runs_apply(r, to + done, page_size))
			return fault_set(f, WIRE_E_BASE,
					 "changes that are for another page than the replica on the spare has at 0x%llx",
					 e->addr + done);
	return 0;
}

int data_expand(struct data *d, u32 page_size, data_old_fn old, void *arg, struct fault *f)
{
	static u8 pages[WIRE_DATA_BYTES];	/* one thread: one frame at a time */
	struct reader r = { .p = d->body, .left = d->body_len };
	u8 *to = pages;
	u32 i;

	if (d->whole)
		return 0;
	for (i = 0; i < d->nr; i++) {
		struct cptdev_extent *e = &d->extents[i];

		if (e->kind == CPTDEV_EXTENT_HOLE)
			continue;
		if (e->kind == WIRE_EXTENT_ZERO)
			memset(to, 0, e->len);
		else if (e->kind == CPTDEV_EXTENT_DATA)
			read_copy(&r, to, e->len);
		else if (expand_runs(e, page_size, &r, to, old, arg, f))
			return -1;
		to += e->len;
		e->kind = CPTDEV_EXTENT_DATA;
	}
	d->pages = pages;
	d->whole = true;
	return 0;
}
