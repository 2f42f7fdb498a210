// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libhotspare: checkpoints for cptdevd's soft engine, see handover.h. At most one is under way:
 * what changed since the one before is known when that one was handed over.
 *
 * The child of the cut takes no memory: other threads may have held any lock. It writes the pages
 * to one memory file and the list of extents to another; how many there are it says in memory
 * that it shares with the program.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <ckdev.h>

#include "../internal.h"
#include "../softwire.h"
#include "arena.h"
#include "handover.h"
#include "job.h"
#include "lock.h"
#include "module.h"
#include "own.h"
#include "sums.h"
#include "written.h"

/* The engine takes twice as many. From here on gaps up to GAP are closed. */
#define EXTENTS_MANY	(1U << 19)
#define GAP		(512 * HS_PAGE)
#define BATCH		512U
#define CHUNK		(256UL << 10)
#define READ_WRITE	(PROT_READ | PROT_WRITE)

/* In memory that the child shares with the program. */
struct written {
	struct hs_result result;
	uint64_t pages;
	uint32_t extents;
};

static struct {
	bool begun;
	bool by_thread;
	pthread_t thread;
	int child;			/* can be read when it has ended */
	int pages, list;		/* memory files */
	struct written *written;
	struct hs_sums *sums;
	const struct hs_ranges *ranges;	/* at the cut, for the child */
	struct hs_intervals layout;	/* of the one under way, ... */
	struct hs_intervals last_layout; /* ... and of the one before */
	uint64_t number;		/* of the checkpoint */
	uint64_t base;			/* the session's generation before it; 0: it has everything */
	uint64_t last;			/* the session's generation that was handed over last ... */
	uint64_t last_snapshot;		/* ... and the module's, 0: it was a fork */
	struct hs_snapshot snap;	/* by the module, else fd -1 */
	struct hs_intervals out;	/* what is left out of it */
	int err;			/* of handing it over */
	struct hs_error why;
} h = { .child = -1, .pages = -1, .list = -1, .snap = { .fd = -1 } };

/*
 * In the child
 */

static const char zeros[HS_PAGE];
static struct cptdev_extent batch[BATCH];
static size_t in_batch;

static int write_all(int fd, const void *buf, size_t len)
{
	const char *p = buf;
	ssize_t n;

	for (; len; p += n, len -= (size_t)n) {
		n = write(fd, p, len);
		if (n < 0 && errno == EINTR)
			n = 0;
		if (n < 0)
			return -1;
	}
	return 0;
}

static int flush(void)
{
	int ret = write_all(h.list, batch, in_batch * sizeof(batch[0]));

	h.written->extents += (uint32_t)in_batch;
	in_batch = 0;
	return ret;
}

static int add_extent(uint64_t addr, size_t len, bool content)
{
	const __u32 kind = content ? CPTDEV_EXTENT_DATA : CPTDEV_EXTENT_HOLE;
	struct cptdev_extent *e = in_batch ? &batch[in_batch - 1] : NULL;

	if (content)
		h.written->pages += len / HS_PAGE;
	if (e && e->addr + e->len == addr && e->kind == kind) {
		e->len += len;
		return 0;
	}
	if (in_batch == BATCH && flush())
		return -1;
	batch[in_batch++] = (struct cptdev_extent) { .addr = addr, .len = len, .kind = kind };
	return 0;
}

/* What is left out of the arena reads as zeros. */
static bool left_out(uint64_t page)
{
	return page >= HS_BASE && page < HS_END &&
		hs_intervals_have(&h.ranges->excluded, page, page + HS_PAGE);
}

/*
 * When there are many extents, pages between two of them are written along: they didn't
 * change, so it does no harm.
 */
static int fill_gap(uint64_t addr)
{
	const struct cptdev_extent *e = in_batch ? &batch[in_batch - 1] : NULL;
	uint64_t at = e ? e->addr + e->len : addr;

	if (h.written->extents < EXTENTS_MANY || at == addr || addr - at > GAP ||
	    !hs_intervals_have(&h.layout, at, addr))
		return 0;
	for (; at < addr; at += HS_PAGE)
		if (write_all(h.pages, left_out(at) ? zeros : (char *)(uintptr_t)at, HS_PAGE) ||
		    add_extent(at, HS_PAGE, true))
			return -1;
	return 0;
}

static int write_run(void *arg, const char *addr, size_t len, bool content)
{
	size_t n;

	(void)arg;
	if (fill_gap((uintptr_t)addr))
		return -1;
	/* What is everything has nothing that goes away. */
	if (!content && !h.base)
		return 0;
	if (content)
		return write_all(h.pages, addr, len) || add_extent((uintptr_t)addr, len, true) ? -1 : 0;
	if (h.written->extents < EXTENTS_MANY)
		return add_extent((uintptr_t)addr, len, false);
	for (n = 0; n < len; n += HS_PAGE)
		if (write_all(h.pages, zeros, HS_PAGE))
			return -1;
	return add_extent((uintptr_t)addr, len, true);
}

static int write_changes(void *arg)
{
	(void)arg;
	in_batch = 0;
	if (!hs_sums_begin(h.sums, !h.base) &&
	    !hs_memory_changes(&h.layout, h.ranges, h.sums, h.base ? hs_sums_generation(h.sums) : 0,
			       write_run, NULL) &&
	    !flush() && !hs_sums_commit(h.sums, h.number))
		return 0;
	hs_fail(&h.written->result.why, errno, "the checkpoint can't be written: %s", strerror(errno));
	return errno ?: EIO;
}

/*
 * The cut
 */

static int prepare(struct hs_error *e)
{
	if (!h.sums)
		h.sums = hs_sums_create();
	if (!h.written) {
		h.written = mmap(NULL, sizeof(*h.written), READ_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		if (h.written == MAP_FAILED)
			h.written = NULL;
	}
	if (!h.sums || !h.written)
		return hs_fail(e, ENOMEM, "no memory for a checkpoint");
	h.written->pages = 0;
	h.written->extents = 0;
	h.pages = memfd_create("hotspare-pages", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	h.list = memfd_create("hotspare-extents", MFD_CLOEXEC);
	hs_own(h.pages, "the pages of a checkpoint");
	hs_own(h.list, "the extents of a checkpoint");
	return h.pages < 0 || h.list < 0 ?
		hs_fail(e, errno, "no memory for a checkpoint: %s", strerror(errno)) : 0;
}

static void put_away(void)
{
	hs_own_close(&h.pages);
	hs_own_close(&h.list);
	hs_snapshot_close(&h.snap);
	h.begun = false;
}

/* What left the layout is gone at the spare, and the sums don't know that. */
static bool grew(const struct hs_intervals *before, const struct hs_intervals *now)
{
	size_t i, k = 0;

	for (i = 0; i < before->nr; i++) {
		while (k < now->nr && now->v[k].end < before->v[i].end)
			k++;
		if (k == now->nr || now->v[k].start > before->v[i].start)
			return false;
	}
	return true;
}

/* The generation that the next one continues; 0: it has to have everything. */
static uint64_t find_base(int fd)
{
	struct soft_publish ask = { .size = sizeof(ask) };

	if (!h.last || !grew(&h.last_layout, &h.layout) || !h.last_snapshot == hs_by_module() ||
	    (!h.last_snapshot && !hs_sums_generation(h.sums)))
		return 0;
	/* Without a file nothing is published, but the answer says what the spare needs. */
	ckdev_ioctl(fd, SOFT_PUBLISH, &ask);
	return ask.reach < h.last ? 0 : h.last;
}

static int cut_by_module(const struct hs_ranges *ranges, struct hs_error *e)
{
	h.out.nr = 0;
	if (hs_excluded_pages(&h.out, ranges))
		return hs_fail(e, ENOMEM, "no memory for a list of pages");
	return hs_snapshot_take(&h.snap, ranges, h.base ? h.last_snapshot : 0, e);
}

static int cut(const struct hs_ranges *ranges, struct hs_error *e)
{
	int fd = hs_snapshot_session(e);

	if (fd < 0)
		return -1;
	h.layout.nr = 0;
	if (hs_saved_pages(&h.layout, ranges))
		return hs_fail(e, ENOMEM, "no memory for a list of pages");
	h.base = find_base(fd);
	if (hs_by_module())
		return cut_by_module(ranges, e);
	h.ranges = ranges;
	hs_written_before(ranges, h.number);
	h.child = hs_job_fork(&h.written->result, write_changes, NULL, e);
	return h.child < 0 ? -1 : 0;
}

int hs_handover_cut(const struct hs_ranges *ranges, uint64_t generation, struct hs_error *e)
{
	int err;

	h.number = generation;
	h.begun = true;
	if (!prepare(e) && !cut(ranges, e))
		return 0;
	err = errno;
	put_away();
	errno = err;
	return -1;
}

/*
 * The content of a snapshot by the module, in the order of addresses. Memory that is left out
 * becomes zeros.
 */

struct reading {
	char *buf;
	off_t at;			/* in the snapshot's file */
	size_t out;			/* the next of h.out */
};

static int add_holes(struct reading *r, uint64_t up_to)
{
	const struct hs_interval *v;
	uint64_t end;

	for (; r->out < h.out.nr && (v = &h.out.v[r->out])->start < up_to; r->out += v->end <= up_to) {
		end = v->end < up_to ? v->end : up_to;
		if (h.base && add_extent(v->start, end - v->start, false))
			return -1;
		h.out.v[r->out].start = end;
	}
	return 0;
}

static int copy_pages(struct reading *r, uint64_t addr, uint64_t len)
{
	off_t at = r->at;
	ssize_t n;
	uint64_t i;

	for (i = 0; i < len; i += (uint64_t)n, at += n) {
		n = pread(h.snap.fd, r->buf, len - i < CHUNK ? len - i : CHUNK, at);
		if (n <= 0 || write_all(h.pages, r->buf, (size_t)n))
			return -1;
	}
	return add_extent(addr, len, true);
}

static int take_extent(struct reading *r, const struct cptdev_extent *x)
{
	const bool content = x->kind == CPTDEV_EXTENT_DATA;
	uint64_t addr = x->addr, last = x->addr + x->len, end;
	const off_t begin = r->at;
	int ret = add_holes(r, addr);

	while (!ret && addr < last) {
		const struct hs_interval *out = r->out < h.out.nr ? &h.out.v[r->out] : NULL;

		if (out && out->start <= addr) {
			end = out->end < last ? out->end : last;
			ret = add_holes(r, end);
		} else {
			end = out && out->start < last ? out->start : last;
			r->at = begin + (off_t)(addr - x->addr);
			if (content)
				ret = copy_pages(r, addr, end - addr);
			else if (h.base)
				ret = add_extent(addr, end - addr, false);
		}
		addr = end;
	}
	r->at = begin + (content ? (off_t)x->len : 0);
	return ret;
}

/* Returns 0 or errno. */
static int read_snapshot(void)
{
	struct reading r = { .buf = malloc(CHUNK) };
	struct cptdev_extent x;
	uint64_t pos = 0;
	int n = -ENOMEM, ret = 0;

	in_batch = 0;
	while (r.buf && !ret && (n = ckdev_image_extents(h.snap.fd, &x, 1, &pos)) == 1)
		ret = take_extent(&r, &x) ? errno ?: EIO : 0;
	if (!ret && n < 0)
		ret = -n;
	if (!ret && (add_holes(&r, UINT64_MAX) || flush()))
		ret = errno ?: EIO;
	free(r.buf);
	return ret;
}

/*
 * Handing over
 */

static struct cptdev_segment *make_layout(const struct hs_intervals *l)
{
	struct cptdev_segment *v = calloc(l->nr + 1, sizeof(*v));
	size_t i;

	for (i = 0; v && i < l->nr; i++)
		v[i] = (struct cptdev_segment) {
			.addr = l->v[i].start, .kind = CPTDEV_SEGMENT_ANON,
			.len = l->v[i].end - l->v[i].start, .prot = READ_WRITE,
		};
	return v;
}

static struct cptdev_extent *read_extents(void)
{
	size_t len = h.written->extents * sizeof(struct cptdev_extent), at = 0;
	char *v = malloc(len + 1);
	ssize_t n;

	while (v && at < len) {
		n = pread(h.list, v + at, len - at, (off_t)at);
		if (n <= 0 && errno != EINTR) {
			free(v);
			return NULL;
		}
		at += n > 0 ? (size_t)n : 0;
	}
	return (struct cptdev_extent *)v;
}

static int refused(int err, struct hs_error *e)
{
	switch (err) {
	case EILSEQ:
		return hs_fail(e, ECANCELED, "the spare needs more than the changed pages");
	case EDQUOT:
		return hs_fail(e, EDQUOT, "no checkpoint can be taken until the spare has caught "
			       "up: %s", ckdev_strerror(err));
	}
	return hs_fail(e, err == ETIME ? ETIMEDOUT : err, "cptdevd doesn't accept the checkpoint: "
		       "%s", ckdev_strerror(err));
}

static int publish(int fd, struct hs_error *e)
{
	struct ckdev_soft_delta d = {
		.size = sizeof(d), .memfd = h.pages, .base = h.base,
		.nr_extents = h.written->extents, .nr_segments = (uint32_t)h.layout.nr,
	};
	struct cptdev_segment *layout = make_layout(&h.layout);
	struct cptdev_extent *extents = read_extents();
	int ret = -ENOMEM;

	d.layout = layout;
	d.extents = extents;
	if (layout && extents)
		ret = ckdev_soft_publish(fd, &d);
	free(layout);
	free(extents);
	if (ret)
		return refused(-ret, e);
	h.last = d.generation;
	h.last_snapshot = h.snap.fd >= 0 ? h.snap.generation : 0;
	return 0;
}

static int hand_over_snapshot(int fd)
{
	int err = read_snapshot();

	if (err) {
		hs_fail(&h.why, err, "the checkpoint can't be written: %s", strerror(err));
		return err;
	}
	return publish(fd, &h.why) ? errno : 0;
}

/* When the child has written, and if it could. Returns 0 or errno. */
static int hand_over(int fd)
{
	if (h.child < 0)
		return hand_over_snapshot(fd);
	hs_job_wait(h.child);
	if (!h.written->result.done || h.written->result.err)
		return 0;
	return publish(fd, &h.why) ? errno : 0;
}

static void *thread_main(void *arg)
{
	hs_inside++;
	h.err = hand_over((int)(intptr_t)arg);
	return NULL;
}

int hs_handover_later(struct hs_error *e)
{
	int fd = hs_snapshot_session(e), err;
	sigset_t all, old;

	if (fd < 0)
		return -1;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	err = pthread_create(&h.thread, NULL, thread_main, (void *)(intptr_t)fd);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	/* Without a thread it is handed over by the next call that ends it. */
	h.by_thread = !err;
	return 0;
}

/* Returns 0 or errno. */
static int end_it(int fd)
{
	int err;

	if (h.by_thread)
		pthread_join(h.thread, NULL);
	else
		h.err = hand_over(fd);
	h.by_thread = false;
	err = h.child < 0 ? 0 : hs_reap_child(&h.child, &h.written->result);
	if (err)
		h.why = h.written->result.why;
	return err ?: h.err;
}

int hs_handover_end(uint64_t *generation, struct hs_error *e)
{
	struct hs_intervals was = h.last_layout;
	int fd, err;

	*generation = h.last;
	if (!h.begun)
		return 0;
	fd = hs_snapshot_session(e);
	err = end_it(fd);
	put_away();
	if (err) {
		hs_handover_forget();
		return hs_fail(e, err, "%s", h.why.text);
	}
	h.last_layout = h.layout;
	h.layout = was;
	*generation = h.last;
	return 0;
}

int hs_handover_bye(uint64_t *generation, struct hs_error *e)
{
	struct ckdev_soft_delta d = {
		.size = sizeof(d), .base = h.last, .nr_segments = (uint32_t)h.last_layout.nr,
		.meta = HS_BYE, .meta_len = sizeof(HS_BYE),
	};
	struct cptdev_segment *layout = make_layout(&h.last_layout);
	int fd = hs_snapshot_session(e), ret = -ENODATA;

	d.memfd = memfd_create("hotspare-bye", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	d.layout = layout;
	if (fd >= 0 && layout && h.last)
		ret = ckdev_soft_publish(fd, &d);
	close(d.memfd);
	free(layout);
	*generation = d.generation;
	return ret ? refused(-ret, e) : 0;
}

void hs_handover_forget(void)
{
	h.last = 0;
	if (h.sums)
		hs_sums_forget(h.sums);
}

/* What is shared stays the parent's. */
void hs_handover_in_child(void)
{
	if (h.written)
		munmap(h.written, sizeof(*h.written));
	h.written = NULL;
	h.sums = NULL;
	h.last = 0;
	h.by_thread = false;
	hs_own_close(&h.child);
	put_away();
}

bool hs_handover_has(int fd)
{
	return fd >= 0 && (fd == h.pages || fd == h.list || fd == h.child);
}
