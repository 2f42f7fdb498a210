// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Sending a delta that finds no room costs both hosts as much as one that does, and is of no
 * use. So after a failure the session is refused before it sends anything, until there is room
 * for as many pages as the delta had. Where it isn't known what is free (no limit was reached,
 * but memory ended), or the delta may have become smaller, one is let through now and then,
 * less and less often. The sender detaches its spare meanwhile, and the program sees that.
 */
#include <errno.h>

#include "daemon.h"

#define SHORT_MIN_MS	500U
#define SHORT_MAX_MS	60000U
/* A delta of fewer pages is tried without asking whether there is room. */
#define ASK_FOR_PAGES	1024U

void room_short(struct chan *c, int err)
{
	c->short_pages = c->expected;
	c->short_limit = err == EDQUOT;
	c->short_ms = c->short_ms ? MIN(2 * c->short_ms, SHORT_MAX_MS) : SHORT_MIN_MS;
	c->short_until = c->in->d->loop.now + c->short_ms * NSEC_PER_MSEC;
}

static u64 left(u64 limit, u64 used)
{
	return !limit ? ~0ULL : limit > used ? limit - used : 0;
}

/* Pages that can be staged before a limit is reached. */
static u64 room(struct chan *c, const struct cptdev_image_info *replica)
{
	struct daemon *d = c->in->d;
	u64 size = d->self.page_size;
	struct cptdev_info info;

	if (kernel_info(d->kernel, &info))
		return ~0ULL;
	return MIN(left(replica->max_bytes, replica->pages * size),
		   left(info.replica_max, info.replica)) / size;
}

static int no_room(struct chan *c, u64 pages, u64 free)
{
	u64 size = c->in->d->self.page_size;

	return fault_set(&c->last, WIRE_E_MEMORY,
			 "the spare has no room: the delta has %llu KiB, %llu KiB are free; raise replica_max of its module, or remove replicas",
			 pages * size / 1024, free * size / 1024);
}

/* Before anything is sent. */
int room_check(struct chan *c, const struct cptdev_image_info *info)
{
	u64 free;

	if (!c->short_ms || c->in->d->loop.now >= c->short_until)
		return 0;
	free = room(c, info);
	if (free < c->short_pages)
		return no_room(c, c->short_pages, free);
	if (c->short_limit)
		return 0;
	return fault_set(&c->last, WIRE_E_MEMORY,
			 "the spare had no memory for the delta; it is tried again now and then");
}

/* What doesn't fit is refused before its pages come, as far as they aren't on their way. */
int room_fits(struct chan *c, u64 pages)
{
	struct cptdev_image_info info;
	u64 free;

	if ((!c->short_ms && pages < ASK_FOR_PAGES) ||
	    kernel_image_info(c->in->d->kernel, c->fd, &info))
		return 0;
	free = room(c, &info);
	if (pages <= free)
		return 0;
	room_short(c, EDQUOT);
	return no_room(c, pages, free);
}
