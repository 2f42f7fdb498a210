// SPDX-License-Identifier: GPL-2.0-or-later
/* FETCH, FETCH_STATE, READ and PAGES as bytes: every field is checked. */
#include "fetch_frame.h"
#include "message.h"

/* The kernel takes no address from here on. */
#define ADDR_MAX	((u64)1 << 63)

/* The last field but a text. */
static int take_name(struct reader *r, u16 type, u16 len, char *to, struct fault *f)
{
	const u8 *name = read_bytes(r, len);

	if (r->short_of)
		return fault_set(f, WIRE_E_PROTOCOL, "%s is cut short", wire_type_name(type));
	return field_name(to, name, len, wire_type_name(type), f);
}

void fetch_encode(struct writer *w, const struct msg_fetch *m)
{
	size_t len = strlen(m->name);

	write_u64(w, m->term);
	write_u32(w, m->id);
	write_u32(w, m->what);
	write_u32(w, m->flags);
	write_u16(w, len);
	write_u16(w, 0);
	write_copy(w, m->name, len);
}

int fetch_decode(const u8 *p, size_t len, struct msg_fetch *m, struct fault *f)
{
	struct reader r = { .p = p, .left = len };
	u16 name_len, reserved;

	m->term = read_u64(&r);
	m->id = read_u32(&r);
	m->what = read_u32(&r);
	m->flags = read_u32(&r);
	name_len = read_u16(&r);
	reserved = read_u16(&r);
	if (take_name(&r, WIRE_FETCH, name_len, m->name, f))
		return -1;
	if (r.left)
		return fault_set(f, WIRE_E_PROTOCOL, "FETCH: %zu bytes too many", r.left);
	if (m->what > WIRE_FETCH_MAX)
		return field_bad(f, WIRE_FETCH, "question", m->what);
	if (!m->term != (m->what == WIRE_FETCH_ASK) || m->term > CPTDEV_TERM_MAX)
		return field_bad(f, WIRE_FETCH, "term", m->term);
	if (!m->id)
		return field_bad(f, WIRE_FETCH, "number", m->id);
	if (m->flags & ~WIRE_FETCH_AGAIN)
		return field_bad(f, WIRE_FETCH, "flags", m->flags);
	if (reserved)
		return field_bad(f, WIRE_FETCH, "reserved field", reserved);
	return 0;
}

void fetch_state_encode(struct writer *w, const struct msg_fetch_state *m)
{
	size_t len = strlen(m->name);

	write_copy(w, m->uuid, CPTDEV_UUID_LEN);
	write_u64(w, m->term);
	write_u64(w, m->generation);
	write_u64(w, m->pages);
	write_u32(w, m->uid);
	write_u32(w, m->id);
	write_u32(w, m->what);
	write_u16(w, len);
	write_u16(w, 0);
	write_copy(w, m->name, len);
	refuse_encode(w, &(struct msg_refuse) { m->fault });
}

int fetch_state_decode(const u8 *p, size_t len, struct msg_fetch_state *m, struct fault *f)
{
	struct reader r = { .p = p, .left = len };
	struct msg_refuse text;
	u16 name_len, reserved;

	read_copy(&r, m->uuid, CPTDEV_UUID_LEN);
	m->term = read_u64(&r);
	m->generation = read_u64(&r);
	m->pages = read_u64(&r);
	m->uid = read_u32(&r);
	m->id = read_u32(&r);
	m->what = read_u32(&r);
	name_len = read_u16(&r);
	reserved = read_u16(&r);
	if (take_name(&r, WIRE_FETCH_STATE, name_len, m->name, f) ||
	    refuse_decode(r.p, r.left, &text, f))
		return -1;
	m->fault = text.fault;
	if (!m->term || m->term > CPTDEV_TERM_MAX)
		return field_bad(f, WIRE_FETCH_STATE, "term", m->term);
	if (m->generation > CPTDEV_GENERATION_MAX ||
	    (!m->generation && m->fault.code == WIRE_OK))
		return field_bad(f, WIRE_FETCH_STATE, "generation", m->generation);
	if (m->what >= WIRE_FETCH_LEAVE)
		return field_bad(f, WIRE_FETCH_STATE, "question", m->what);
	if (!m->id)
		return field_bad(f, WIRE_FETCH_STATE, "number", m->id);
	if (reserved)
		return field_bad(f, WIRE_FETCH_STATE, "reserved field", reserved);
	return 0;
}

/* Where it may be asked for: whole pages, and not too many. */
static bool question_valid(u32 what, u64 addr, u64 len, u32 page_size)
{
	if (what > WIRE_READ_MAX || addr % page_size || addr >= ADDR_MAX)
		return false;
	if (what == WIRE_READ_LIST)
		return !len;
	return len && len <= WIRE_READ_BYTES && !(len % page_size) && len <= ADDR_MAX - addr;
}

void read_encode(struct writer *w, const struct msg_read *m)
{
	write_u64(w, m->addr);
	write_u64(w, m->len);
	write_u32(w, m->what);
	write_u32(w, 0);
}

int read_decode(const u8 *p, size_t len, u32 page_size, struct msg_read *m, struct fault *f)
{
	struct reader r = { .p = p, .left = len };
	u32 reserved;

	m->addr = read_u64(&r);
	m->len = read_u64(&r);
	m->what = read_u32(&r);
	reserved = read_u32(&r);
	if (r.short_of || r.left)
		return fault_set(f, WIRE_E_PROTOCOL, "READ of %zu bytes", len);
	if (reserved)
		return field_bad(f, WIRE_READ, "reserved field", reserved);
	if (!question_valid(m->what, m->addr, m->len, page_size))
		return fault_set(f, WIRE_E_PROTOCOL, "READ: %u, %llu bytes at 0x%llx", m->what,
				 m->len, m->addr);
	return 0;
}

void pages_encode(struct writer *w, const struct msg_pages *m)
{
	write_u64(w, m->addr);
	write_u64(w, m->len);
	write_u32(w, m->what);
	write_u32(w, m->code);
	write_u32(w, m->nr);
	write_u32(w, 0);
}

void pages_extent(const struct msg_pages *m, u32 i, u64 *addr, u64 *len)
{
	struct reader r = { .p = m->content + i * WIRE_READ_EXTENT_LEN, .left = WIRE_READ_EXTENT_LEN };

	*addr = read_u64(&r);
	*len = read_u64(&r);
}

/* They ascend from the address that was asked for. */
static int list_valid(const struct msg_pages *m, u32 page_size, struct fault *f)
{
	u64 from = m->addr, addr, len;
	u32 i;

	for (i = 0; i < m->nr; i++, from = addr + len) {
		pages_extent(m, i, &addr, &len);
		if (!len || addr % page_size || len % page_size || addr < from || addr >= ADDR_MAX ||
		    len > ADDR_MAX - addr)
			return fault_set(f, WIRE_E_PROTOCOL,
					 "PAGES: extent 0x%llx of 0x%llx bytes after 0x%llx", addr,
					 len, from);
	}
	return 0;
}

int pages_decode(const u8 *p, size_t len, u32 page_size, struct msg_pages *m, struct fault *f)
{
	struct reader r = { .p = p, .left = len };
	u64 follows;
	u32 reserved;

	m->addr = read_u64(&r);
	m->len = read_u64(&r);
	m->what = read_u32(&r);
	m->code = read_u32(&r);
	m->nr = read_u32(&r);
	reserved = read_u32(&r);
	if (r.short_of)
		return fault_set(f, WIRE_E_PROTOCOL, "PAGES is cut short");
	if (reserved)
		return field_bad(f, WIRE_PAGES, "reserved field", reserved);
	if (!question_valid(m->what, m->addr, m->len, page_size))
		return fault_set(f, WIRE_E_PROTOCOL, "PAGES: %u, %llu bytes at 0x%llx", m->what,
				 m->len, m->addr);
	if (m->nr > WIRE_READ_EXTENTS || (m->nr && (m->what != WIRE_READ_LIST || m->code)))
		return field_bad(f, WIRE_PAGES, "number of extents", m->nr);
	follows = m->code ? 0 : m->what == WIRE_READ_LIST ? m->nr * WIRE_READ_EXTENT_LEN : m->len;
	if (r.left != follows)
		return fault_set(f, WIRE_E_PROTOCOL, "PAGES: %zu bytes instead of %llu", r.left, follows);
	m->content = r.p;
	return m->what == WIRE_READ_LIST ? list_valid(m, page_size, f) : 0;
}
