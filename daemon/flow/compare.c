// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * VERIFY, on the spare's host: the primary says what pages the replica has to have. They are
 * compared with the engine's answers to reads, from which a program that takes over gets its
 * memory, too.
 */
#include <errno.h>
#include <string.h>

#include "daemon.h"
#include "log.h"

/* What is read at once. */
#define BATCH		(256U * 1024)
#define RUNS		64U

/* Pages [@first, @first + @nr) of the question have data. */
static int compare_run(struct chan *c, const struct msg_verify *m, u32 first, u32 nr,
		       struct msg_verified *a)
{
	static u8 pages[BATCH];		/* one thread */
	struct kernel *k = c->in->d->kernel;
	u32 size = c->in->d->self.page_size, done = 0, n, i;
	ssize_t got;

	for (; done < nr; done += n) {
		n = MIN(nr - done, BATCH / size);
		got = k->ops->read(k, c->fd, pages, (size_t)n * size,
				   m->addr + (u64)(first + done) * size);
		if (got != (ssize_t)n * size)
			return got < 0 ? (int)got : -EIO;
		for (i = 0; i < n; i++)
			if (m->sums[first + done + i] != WIRE_SUM_UNKNOWN &&
			    m->sums[first + done + i] != page_sum(pages + (size_t)i * size, size))
				verified_set(a, first + done + i);
	}
	return 0;
}

/* Pages [@from, @to) have no data. One of zeros reads the same, where nothing else is mapped. */
static void compare_holes(const struct msg_verify *m, u32 from, u32 to, struct msg_verified *a)
{
	for (; from < to; from++)
		if (m->sums[from] != WIRE_SUM_UNKNOWN && m->sums[from] != WIRE_SUM_HOLE)
			verified_set(a, from);
}

static int compare_pages(struct chan *c, const struct msg_verify *m, struct msg_verified *a)
{
	u32 size = c->in->d->self.page_size, at = 0, first, nr;
	u64 next = m->addr, end = m->addr + (u64)m->nr * size;
	struct cptdev_extent runs[RUNS];
	int n, i, ret;

	while (at < m->nr) {
		n = kernel_image_read(c->in->d->kernel, c->fd, CPTDEV_IOC_IMAGE_EXTENTS, runs,
				      RUNS, next, &next);
		if (n < 0)
			return n;
		for (i = 0; i < n && runs[i].addr < end; i++) {
			first = (runs[i].addr - m->addr) / size;
			nr = MIN(runs[i].len, end - runs[i].addr) / size;
			compare_holes(m, at, first, a);
			ret = compare_run(c, m, first, nr, a);
			if (ret)
				return ret;
			at = first + nr;
		}
		if (i < n || !n)
			break;
	}
	compare_holes(m, at, m->nr, a);
	return 0;
}

static u32 count_known(const struct msg_verify *m)
{
	u32 i, n = 0;

	for (i = 0; i < m->nr; i++)
		n += m->sums[i] != WIRE_SUM_UNKNOWN;
	return n;
}

/* enum wire_code */
static u32 compare(struct chan *c, const struct msg_verify *m, struct msg_verified *a)
{
	struct cptdev_image_info info;

	if (kernel_image_info(c->in->d->kernel, c->fd, &info))
		return WIRE_E_KERNEL;
	if (info.state & CPTDEV_IMAGE_PROMOTED || info.term > c->session.term)
		return WIRE_E_FENCED;
	if (info.generation != m->generation)
		return WIRE_E_GAP;
	a->pages = info.pages;
	if (compare_pages(c, m, a))
		return WIRE_E_KERNEL;
	a->compared = count_known(m);
	return WIRE_OK;
}

static void tell_damage(struct chan *c, const struct msg_verified *a)
{
	u32 i = 0;

	while (!verified_differs(a, i))
		i++;
	tell_event(&c->in->d->tell, EVENT_VERIFY_MISMATCH, LOG_ERR, TELL_REPLAY, c->session.name,
		   "replica %s differs from what %s has sent: %u pages, the first at address 0x%llx, generation %llu; %s sends a full copy",
		   c->session.name, c->in->node.name, a->damaged,
		   a->addr + (u64)i * c->in->d->self.page_size, a->generation, c->in->node.name);
}

int compare_frame(struct chan *c, const u8 *payload, u32 len)
{
	static struct msg_verify m;	/* one thread: one frame at a time */
	struct in *in = c->in;
	u8 buf[sizeof(struct msg_verified)];
	struct writer w = { .p = buf, .cap = sizeof(buf) };
	struct msg_verified a = {};

	if (!(in->features & WIRE_FEATURE_VERIFY))
		return fault_set(&in->conn->fault, WIRE_E_PROTOCOL,
				 "VERIFY, which wasn't agreed on");
	if (verify_decode(payload, len, in->d->self.page_size, &m, &in->conn->fault))
		return -1;
	in->conn->taken += (size_t)m.nr * in->d->self.page_size;
	a.generation = m.generation;
	a.addr = m.addr;
	a.nr = m.nr;
	a.code = compare(c, &m, &a);
	if (a.code) {
		a.damaged = 0;
		memset(a.bits, 0, sizeof(a.bits));
	}
	if (a.damaged)
		tell_damage(c, &a);
	verified_encode(&w, &a);
	conn_send(in->conn, WIRE_VERIFIED, c->number, &w);
	return 0;
}
