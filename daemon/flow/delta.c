// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Deltas: BEGIN, the layout, the meta-data, the pages, COMMIT. The pages are copied to the
 * connection's buffer: the checksum has to see them, and to map them costs a fault for each,
 * which is more than two copies. Many pages that go out as they are go to the socket without a
 * second copy: see conn_frame_lend().
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xxhash.h>

#include "delta.h"
#include "image.h"
#include "sums.h"
#include "thin.h"

void delta_free(struct delta *d)
{
	if (!d)
		return;
	d->kernel->ops->close(d->kernel, d->fd);
	free(d);
}

int delta_open(struct kernel *k, int fd, struct thin *thin, struct delta **dp)
{
	struct delta *d = malloc(sizeof(*d));
	int ret;

	if (!d) {
		k->ops->close(k, fd);
		return -ENOMEM;
	}
	memset(d, 0, offsetof(struct delta, batch));
	d->kernel = k;
	d->fd = fd;
	d->thin = thin;
	ret = kernel_image_info(k, fd, &d->info);
	if (ret) {
		delta_free(d);
		return ret;
	}
	d->len = d->info.pages * sysconf(_SC_PAGESIZE);
	d->reach = d->info.base;
	*dp = d;
	return 0;
}

int delta_open_replica(struct kernel *k, int fd, struct thin *thin, u64 term, struct delta **dp)
{
	int ret = delta_open(k, fd, thin, dp);
	struct delta *d;

	if (ret)
		return ret;
	d = *dp;
	d->replica = true;
	d->info.base = 0;
	d->info.term = term;
	d->info.state = 0;
	/* How many there are isn't known, but whether there are any. */
	d->info.extents = d->info.pages ? 1 : 0;
	return 0;
}

bool delta_in_head(const struct delta *d)
{
	return d->phase == DELTA_LAYOUT || d->phase == DELTA_META;
}

bool delta_unfinished(const struct delta *d)
{
	return d->phase != DELTA_BEGIN && d->phase != DELTA_DONE;
}

/* The next phase that has something to say. */
static void delta_advance(struct delta *d)
{
	d->phase++;
	d->next = 0;
	if (d->phase == DELTA_LAYOUT && !d->info.segments)
		d->phase++;
	if (d->phase == DELTA_META && !d->info.meta_len)
		d->phase++;
	if (d->phase == DELTA_DATA && !d->info.extents)
		d->phase++;
	if (d->phase == DELTA_COMMIT && d->part)
		d->phase++;
}

static int frame_begin(struct delta *d, struct conn *c, u32 channel)
{
	struct msg_begin m = {
		.base = d->info.base, .generation = d->info.generation,
		.term = d->info.term, .segments = d->info.segments,
		.meta_len = d->info.meta_len, .pages = d->info.pages,
	};

	if (d->info.state & CPTDEV_IMAGE_REPLACE)
		m.flags |= WIRE_SESSION_REPLACE;
	if (d->alone)
		m.flags |= WIRE_SESSION_ALONE;
	if (d->continues)
		m.flags |= WIRE_BEGIN_CONTINUE;
	begin_encode(conn_frame(c), &m);
	conn_frame_end(c, WIRE_BEGIN, channel);
	delta_advance(d);
	return 0;
}

/*
 * A page that isn't mapped any more is gone from the replica: no later difference may refer to it,
 * and its checksum isn't known.
 */
static int layout_trim(struct delta *d, bool shadow, bool sums)
{
	static struct cptdev_segment segs[WIRE_LAYOUT_PIECE];
	u64 next = 0, from = 0, to;
	int n;

	while (next < d->info.segments) {
		n = kernel_image_read(d->kernel, d->fd, CPTDEV_IOC_IMAGE_LAYOUT, segs,
				      ARRAY_SIZE(segs), next, &next);
		if (n <= 0)
			return n ? n : -EIO;
		to = next < d->info.segments ? segs[n - 1].addr + segs[n - 1].len : ~0ULL;
		if (shadow)
			shadow_trim(d->thin->shadow, d->owner, from, to, segs, n);
		if (sums)
			sums_trim(d->sums, d->info.generation, from, to, segs, n);
		from = to;
	}
	return 0;
}

static int frame_layout(struct delta *d, struct conn *c, u32 channel)
{
	static struct cptdev_segment segs[WIRE_LAYOUT_PIECE];
	bool shadow, sums;
	struct writer *w;
	int n, i;

	n = kernel_image_read(d->kernel, d->fd, CPTDEV_IOC_IMAGE_LAYOUT, segs,
			      ARRAY_SIZE(segs), d->next, &d->next);
	if (n <= 0)
		return n ? n : -EIO;
	w = conn_frame(c);
	for (i = 0; i < n; i++)
		segment_encode(w, &segs[i]);
	conn_frame_end(c, WIRE_LAYOUT, channel);
	d->layout = XXH3_64bits_withSeed(segs, n * sizeof(*segs), d->layout) | 1;
	if (d->next < d->info.segments)
		return 0;
	delta_advance(d);
	shadow = d->layout_before && d->layout_before != d->layout && d->thin->shadow;
	sums = d->sums && sums_layout(d->sums, d->info.generation, d->layout);
	return shadow || sums ? layout_trim(d, shadow, sums) : 0;
}

static int frame_meta(struct delta *d, struct conn *c, u32 channel)
{
	struct writer *w = conn_frame(c);
	u8 *room = write_room(w, d->info.meta_len);
	u64 next = 0;
	int n;

	n = kernel_image_read(d->kernel, d->fd, CPTDEV_IOC_IMAGE_META, room,
			      d->info.meta_len, 0, &next);
	if (n != (int)d->info.meta_len) {
		conn_frame_cancel(c);
		return n < 0 ? n : -EIO;
	}
	conn_frame_end(c, WIRE_META, channel);
	delta_advance(d);
	return 0;
}

/* A frame of pages begins. One thread: one at a time. */
static struct thin_frame *data_begin(struct delta *d, struct conn *c)
{
	static struct thin_frame frame;

	frame.owner = d->owner;
	frame.w = conn_frame(c);
	frame.start = frame.w->len;
	frame.nr = 0;
	frame.bytes = 0;
	frame.nr_sums = 0;
	return &frame;
}

static void data_end(struct delta *d, struct conn *c, struct thin_frame *f, u32 channel)
{
	u16 type = thin_end(d->thin, f);
	u64 len;

	conn_frame_end_pages(c, type, channel, f->sums, f->whole ? f->nr_sums : 0);
	if (f->whole && !d->replica && d->kernel->ops->lends)
		conn_frame_lend(c, d->fd, d->pos, f->bytes);
	len = c->tx.len - c->tx_frame;
	d->wire += len;
	d->thin->wire += len;
	d->thin->pages += f->bytes;
	c->spent += f->bytes;
}

/* As much of the extent as fits; true when that is all of it. */
static bool data_add(struct delta *d, struct thin_frame *f, const struct cptdev_extent *e)
{
	struct cptdev_extent part = {
		.addr = e->addr + d->extent_done, .len = e->len - d->extent_done,
		.kind = e->kind,
	};
	bool rest = false;

	if (e->kind == CPTDEV_EXTENT_DATA) {
		rest = part.len > CONN_DATA_MAX - f->bytes;
		if (rest)
			part.len = CONN_DATA_MAX - f->bytes;
		f->bytes += part.len;
	}
	if (part.len)
		f->extents[f->nr++] = part;
	d->extent_done = rest ? d->extent_done + part.len : 0;
	return !rest;
}

/* No page is smaller than 4 KiB. */
_Static_assert(THIN_PAGES * 4096U == CONN_DATA_MAX, "thin_end() has an extent for each page");

static bool data_full(const struct thin_frame *f)
{
	return f->nr == THIN_EXTENTS || f->bytes == CONN_DATA_MAX;
}

static int batch_read(struct delta *d)
{
	u64 next;
	int n;

	if (d->extent - d->batch_first < d->batch_nr)
		return 0;
	n = kernel_image_read(d->kernel, d->fd, CPTDEV_IOC_IMAGE_EXTENTS, d->batch,
			      ARRAY_SIZE(d->batch), d->extent, &next);
	d->batch_first = d->extent;
	d->batch_nr = MAX(n, 0);
	return n > 0 ? 0 : n ? n : -EIO;
}

/* The next extents, until the frame is full or all were taken. */
static int data_fill(struct delta *d, struct thin_frame *f)
{
	int ret = 0;

	while (!ret && !data_full(f) && d->extent < d->info.extents) {
		ret = batch_read(d);
		if (!ret && data_add(d, f, &d->batch[d->extent - d->batch_first]))
			d->extent++;
	}
	return ret;
}

/* The pages, copied behind the extents. */
static int data_copy(struct delta *d, struct thin_frame *f)
{
	ssize_t n = pread(d->fd, thin_pages(f), f->bytes, d->pos);

	if (n < 0)
		return -errno;
	return n == (ssize_t)f->bytes ? 0 : -EIO;
}

/* The pages are there, as the snapshot has them. */
static void data_sums(struct delta *d, struct thin_frame *f)
{
	const u8 *page = f->w->p + f->w->len - f->bytes;
	u64 done, sum;
	u32 i;

	for (i = 0; i < f->nr; i++) {
		const struct cptdev_extent *e = &f->extents[i];

		if (e->kind != CPTDEV_EXTENT_DATA) {
			sums_holes(d->sums, d->info.generation, e->addr, e->len);
			continue;
		}
		for (done = 0; done < e->len; done += d->thin->page_size) {
			sum = page_sum(page, d->thin->page_size);
			f->sums[f->nr_sums++] = sum;
			sums_page(d->sums, d->info.generation, e->addr + done, sum);
			page += d->thin->page_size;
		}
	}
}

/* The next runs, cut to what may be in a frame: 0 or a negative errno. */
static int replica_runs(struct delta *d, struct thin_frame *f)
{
	struct cptdev_extent runs[DELTA_BATCH];
	int n = kernel_image_read(d->kernel, d->fd, CPTDEV_IOC_IMAGE_EXTENTS, runs,
				  ARRAY_SIZE(runs), d->next, &d->next);
	int i;

	for (i = 0; i < n && f->bytes < CONN_DATA_MAX; i++) {
		runs[i].len = MIN(runs[i].len, CONN_DATA_MAX - f->bytes);
		f->extents[f->nr++] = runs[i];
		f->bytes += runs[i].len;
		d->next = runs[i].addr + runs[i].len;
	}
	/* It isn't written to, so there is what it said. */
	return n > 0 ? 0 : n ? n : -EIO;
}

static int replica_copy(struct delta *d, struct thin_frame *f)
{
	u8 *to = thin_pages(f);
	ssize_t n;
	u32 i;

	for (i = 0; i < f->nr; i++) {
		const struct cptdev_extent *e = &f->extents[i];

		n = d->kernel->ops->read(d->kernel, d->fd, to, e->len, e->addr);
		if (n != (ssize_t)e->len)
			return n < 0 ? n : -EIO;
		to += e->len;
	}
	return 0;
}

static int frame_replica(struct delta *d, struct conn *c, u32 channel)
{
	struct thin_frame *f = data_begin(d, c);
	struct cptdev_extent run;
	u64 after;
	int ret = replica_runs(d, f);

	if (!ret)
		ret = replica_copy(d, f);
	if (!ret)
		ret = kernel_image_read(d->kernel, d->fd, CPTDEV_IOC_IMAGE_EXTENTS, &run, 1,
					d->next, &after);
	if (ret < 0) {
		conn_frame_cancel(c);
		return ret;
	}
	data_end(d, c, f, channel);
	if (!ret)
		delta_advance(d);
	return 0;
}

static int frame_data(struct delta *d, struct conn *c, u32 channel)
{
	struct thin_frame *f = data_begin(d, c);
	int ret = data_fill(d, f);

	if (!ret)
		ret = data_copy(d, f);
	if (ret) {
		conn_frame_cancel(c);
		return ret;
	}
	if (d->sums)
		data_sums(d, f);
	data_end(d, c, f, channel);
	d->pos += f->bytes;
	if (d->extent >= d->info.extents)
		delta_advance(d);
	return 0;
}

static int frame_commit(struct delta *d, struct conn *c, u32 channel)
{
	commit_encode(conn_frame(c), d->info.generation);
	conn_frame_end(c, WIRE_COMMIT, channel);
	if (d->sums)
		sums_sent(d->sums, d->reach, d->info.generation);
	delta_advance(d);
	return 0;
}

int delta_frame(struct delta *d, struct conn *c, u32 channel)
{
	switch (d->phase) {
	case DELTA_BEGIN:
		return frame_begin(d, c, channel);
	case DELTA_LAYOUT:
		return frame_layout(d, c, channel);
	case DELTA_META:
		return frame_meta(d, c, channel);
	case DELTA_DATA:
		return d->replica ? frame_replica(d, c, channel) : frame_data(d, c, channel);
	case DELTA_COMMIT:
		return frame_commit(d, c, channel);
	case DELTA_DONE:
		break;
	}
	return -EIO;
}
