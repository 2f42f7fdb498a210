// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libckdev: mwrwatch(), by SCAN and a session of the process. Mapping by mapping, because
 * what can't be tracked has an answer too.
 */
#include <pthread.h>
#include <string.h>

#include "internal.h"
#include "sys/mwrwatch.h"

struct watch {
	uint64_t start;
	unsigned char *vec;		/* for the page at start; may be NULL */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int session = -1;

static void fill(const struct watch *w, uint64_t from, uint64_t to, int what)
{
	uint64_t page = CKDEV_PAGE_SIZE;

	if (w->vec)
		memset(w->vec + (from - w->start) / page, what, (to - from) / page);
}

static int class_of(uint64_t categories, int absent)
{
	if (categories & CPTDEV_PAGE_FILE)
		return WATCH_FILE;
	if (categories & CPTDEV_PAGE_HOLE)
		return absent;
	return categories & CPTDEV_PAGE_DIRTY ? WATCH_DIRTY : WATCH_CLEAN;
}

static int scan(const struct watch *w, uint64_t from, uint64_t to, int absent)
{
	struct cptdev_region vec[CKDEV_BATCH];
	struct cptdev_scan arg = {
		.size = sizeof(arg), .flags = CPTDEV_SCAN_CLEAR_DIRTY,
		.start = from, .end = to,
		.vec = CKDEV_PTR(vec), .vec_len = w->vec ? CKDEV_BATCH : 0,
		.report = CPTDEV_PAGE_DIRTY | CPTDEV_PAGE_HOLE | CPTDEV_PAGE_FILE,
	};
	int i, n;

	do {
		n = ckdev_scan(session, &arg);
		for (i = 0; i < n; i++)
			fill(w, vec[i].start, vec[i].end,
			     class_of(vec[i].categories, absent));
		arg.start = arg.walk_end;
	} while (n >= 0 && arg.walk_end != to);
	return n < 0 ? n : 0;
}

static int watch_mapping(const struct watch *w, uint64_t from, uint64_t to, bool file)
{
	int ret = ckdev_range_add(session, ckdev_pointer(from), to - from, 0, NULL);

	if (!ret)
		ret = scan(w, from, to, file ? WATCH_FILE : WATCH_UNMAPPED);
	if (ret != -EOPNOTSUPP)
		return ret;
	/* What was mapped here before may have been tracked. */
	ckdev_range_del(session, ckdev_pointer(from), to - from);
	fill(w, from, to, WATCH_FILE);
	return 0;
}

static int watch(const struct watch *w, uint64_t end)
{
	struct ckdev_maps maps;
	struct ckdev_map map;
	uint64_t pos = w->start;
	int ret;

	ret = ckdev_maps_open(&maps);
	if (ret)
		return ret;
	while (pos < end && (ret = ckdev_maps_next(&maps, &map)) > 0) {
		uint64_t from = ckdev_min(ckdev_max(pos, map.start), end);
		uint64_t to = ckdev_min(map.end, end);

		if (to <= pos)
			continue;
		fill(w, pos, from, WATCH_UNMAPPED);
		pos = ckdev_max(from, to);
		if (from < to)
			ret = watch_mapping(w, from, to, map.file);
		if (ret < 0)
			break;
	}
	if (ret >= 0)
		fill(w, pos, end, WATCH_UNMAPPED);
	ckdev_maps_close(&maps);
	return ret < 0 ? ret : 0;
}

int mwrwatch(void *addr, size_t length, unsigned char *vec)
{
	struct watch w = { .start = CKDEV_PTR(addr), .vec = vec };
	uint64_t page = CKDEV_PAGE_SIZE;
	uint64_t end = (w.start + length + page - 1) & ~(page - 1);
	int ret = -EINVAL;

	if (!(w.start % page) && length <= INT64_MAX && end >= w.start) {
		pthread_mutex_lock(&lock);
		ret = ckdev_session_own(&session);
		if (ret >= 0)
			ret = watch(&w, end);
		pthread_mutex_unlock(&lock);
	}
	if (!ret)
		return 0;
	errno = -ret;
	return -1;
}
