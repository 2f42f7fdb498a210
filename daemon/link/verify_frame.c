// SPDX-License-Identifier: GPL-2.0-or-later
/* VERIFY and VERIFIED as bytes, and the checksum of a page. */
#include <xxhash.h>
#ifdef XXH_DISPATCH
/* The same sums with the widest registers that the processor has. */
#include <xxh_x86dispatch.h>
#endif

#include "verify_frame.h"

/* The kernel takes no address from here on. */
#define ADDR_MAX	((u64)1 << 63)

u64 page_sum(const void *page, size_t len)
{
	u64 sum = XXH3_64bits(page, len);

	return sum < WIRE_SUM_MIN ? sum + WIRE_SUM_MIN : sum;
}

void verify_encode(struct writer *w, const struct msg_verify *m)
{
	u32 i;

	write_u64(w, m->generation);
	write_u64(w, m->addr);
	write_u32(w, m->nr);
	write_u32(w, 0);
	for (i = 0; i < m->nr; i++)
		write_u64(w, m->sums[i]);
}

static bool range_valid(u64 addr, u32 nr, u32 page_size)
{
	return !(addr & (page_size - 1)) && addr < ADDR_MAX &&
		(u64)nr * page_size <= ADDR_MAX - addr;
}

int verify_decode(const u8 *p, size_t len, u32 page_size, struct msg_verify *m, struct fault *f)
{
	struct reader r = { .p = p, .left = len };
	u32 reserved, i;

	m->generation = read_u64(&r);
	m->addr = read_u64(&r);
	m->nr = read_u32(&r);
	reserved = read_u32(&r);
	if (r.short_of || r.left != m->nr * sizeof(m->sums[0]))
		return fault_set(f, WIRE_E_PROTOCOL, "VERIFY of %zu bytes for %u pages", len, m->nr);
	if (!m->nr || m->nr > WIRE_VERIFY_PAGES)
		return fault_set(f, WIRE_E_PROTOCOL, "VERIFY of %u pages", m->nr);
	if (reserved || !m->generation || m->generation > CPTDEV_GENERATION_MAX)
		return fault_set(f, WIRE_E_PROTOCOL, "VERIFY: generation %llu, reserved field %u",
				 m->generation, reserved);
	if (!range_valid(m->addr, m->nr, page_size))
		return fault_set(f, WIRE_E_PROTOCOL, "VERIFY: %u pages from 0x%llx on", m->nr,
				 m->addr);
	for (i = 0; i < m->nr; i++)
		m->sums[i] = read_u64(&r);
	return 0;
}

void verified_encode(struct writer *w, const struct msg_verified *m)
{
	write_u64(w, m->generation);
	write_u64(w, m->addr);
	write_u32(w, m->nr);
	write_u32(w, m->code);
	write_u64(w, m->pages);
	write_u32(w, m->compared);
	write_u32(w, m->damaged);
	write_copy(w, m->bits, sizeof(m->bits));
}

/* Those behind the last page are 0. */
static bool bits_valid(const struct msg_verified *m)
{
	u32 i, n = 0;

	for (i = 0; i < WIRE_VERIFY_PAGES; i++) {
		n += verified_differs(m, i);
		if (i >= m->nr && verified_differs(m, i))
			return false;
	}
	return n == m->damaged;
}

int verified_decode(const u8 *p, size_t len, struct msg_verified *m, struct fault *f)
{
	struct reader r = { .p = p, .left = len };

	m->generation = read_u64(&r);
	m->addr = read_u64(&r);
	m->nr = read_u32(&r);
	m->code = read_u32(&r);
	m->pages = read_u64(&r);
	m->compared = read_u32(&r);
	m->damaged = read_u32(&r);
	read_copy(&r, m->bits, sizeof(m->bits));
	if (r.short_of || r.left)
		return fault_set(f, WIRE_E_PROTOCOL, "VERIFIED of %zu bytes", len);
	if (m->nr > WIRE_VERIFY_PAGES || m->compared > m->nr || m->damaged > m->compared ||
	    !bits_valid(m) || (m->code && m->compared))
		return fault_set(f, WIRE_E_PROTOCOL,
				 "VERIFIED: %u of %u pages differ, of %u that were asked for",
				 m->damaged, m->compared, m->nr);
	return 0;
}
