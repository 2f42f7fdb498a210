// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Shipping within one machine.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ckdev.h>

#include "ship.h"

#define CHUNK	(256UL << 10)

static int stage_data(int from, int replica, const struct cptdev_extent *e, uint64_t offset)
{
	static char buf[CHUNK];
	uint64_t done = 0;
	int ret = 0;

	while (ret == 0 && done < e->len) {
		uint64_t n = e->len - done < CHUNK ? e->len - done : CHUNK;
		struct cptdev_extent part = {
			.addr = e->addr + done, .len = n, .kind = CPTDEV_EXTENT_DATA,
		};

		if (pread(from, buf, n, (off_t)(offset + done)) != (ssize_t)n)
			return -EIO;
		ret = ckdev_replica_stage(replica, &part, 1, buf, n);
		done += n;
	}
	return ret;
}

static int stage_all(int from, int replica)
{
	uint64_t pos = 0, offset = 0;
	struct cptdev_extent e[16];
	int i, n, ret;

	while ((n = ckdev_image_extents(from, e, 16, &pos)) > 0) {
		for (i = 0; i < n; i++) {
			if (e[i].kind == CPTDEV_EXTENT_HOLE) {
				ret = ckdev_replica_stage(replica, &e[i], 1, NULL, 0);
			} else {
				ret = stage_data(from, replica, &e[i], offset);
				offset += e[i].len;
			}
			if (ret < 0)
				return ret;
		}
	}
	return n;
}

/* @more: CPTDEV_BEGIN_CONTINUE if it goes on with what is staged. Then everything is sent. */
static int begin(int from, int replica, const struct cptdev_image_info *info, unsigned int more)
{
	struct cptdev_segment *layout = calloc(info->segments + 1, sizeof(*layout));
	static char meta[CPTDEV_META_MAX];
	uint64_t got = 0, pos = 0;
	int n, ret = -ENOMEM;

	/* In pieces, because that is how it is meant. */
	while (layout && got < info->segments &&
	       (n = ckdev_image_layout(from, layout + got, 7, &pos)) > 0)
		got += (uint64_t)n;
	pos = 0;
	while (layout && (n = ckdev_image_meta(from, meta + pos, 1000, &pos)) > 0)
		;
	if (layout) {
		struct cptdev_replica_begin b = {
			.size = sizeof(b), .term = info->term, .base = more ? 0 : info->base,
			.generation = info->generation,
			.flags = ((info->state & CPTDEV_IMAGE_REPLACE) ?
				  CPTDEV_BEGIN_REPLACE : 0) | more,
			.layout = CKDEV_PTR(layout), .layout_len = (__u32)got,
			.meta = CKDEV_PTR(meta), .meta_len = info->meta_len,
		};

		memcpy(b.uuid, info->uuid, sizeof(b.uuid));
		ret = ckdev_replica_begin(replica, &b);
	}
	free(layout);
	return ret;
}

static int apply(int from, int replica, const struct cptdev_image_info *info)
{
	int ret = begin(from, replica, info, 0);

	if (ret < 0)
		return ret;
	ret = stage_all(from, replica);
	if (ret == 0)
		ret = ckdev_replica_commit(replica, info->generation, NULL);
	if (ret < 0)
		ckdev_replica_abort(replica);
	return ret;
}

/* What brings the replica further: what it has counts only if it is of that session. */
static int fetch(int dev, uint64_t session, int replica, struct cptdev_image_info *info)
{
	struct cptdev_image_info have = { .size = sizeof(have) };
	struct cptdev_delta d = { .size = sizeof(d), .session_id = session };
	int fd, ret;

	ret = ckdev_image_info(replica, &have);
	if (ret < 0)
		return ret;
	d.since = have.generation;
	fd = ckdev_delta(dev, &d);
	if (fd == -EINVAL && d.since) {
		d.since = 0;
		fd = ckdev_delta(dev, &d);
	}
	if (fd < 0)
		return fd;
	ret = ckdev_image_info(fd, info);
	if (ret == 0 && info->base && memcmp(have.uuid, info->uuid, sizeof(have.uuid))) {
		close(fd);
		d.since = 0;
		fd = ckdev_delta(dev, &d);
		if (fd < 0)
			return fd;
		ret = ckdev_image_info(fd, info);
	}
	if (ret == 0)
		return fd;
	close(fd);
	return ret;
}

int ship_once(int dev, uint64_t session, int replica)
{
	struct cptdev_image_info info = { .size = sizeof(info) };
	int fd, ret;

	fd = fetch(dev, session, replica, &info);
	/* Nothing new, or only the next one will do. */
	if (fd == -ENODATA || fd == -ESTALE)
		return 0;
	if (fd < 0)
		return fd;
	ret = apply(fd, replica, &info);
	close(fd);
	if (ret == -ESTALE)
		ckdev_ack(dev, session, 0, CPTDEV_ACK_FENCED);
	if (ret == 0)
		ret = ckdev_ack(dev, session, info.generation, 0);
	return ret < 0 ? ret : 1;
}

static int stage_part(int from, int replica, unsigned int more)
{
	struct cptdev_image_info info = { .size = sizeof(info) };
	int ret = ckdev_image_info(from, &info);

	if (ret == 0)
		ret = begin(from, replica, &info, more);
	return ret < 0 ? ret : stage_all(from, replica);
}

int ship_pass(int dev, uint64_t session, int replica, uint64_t *pass)
{
	struct cptdev_round r = { .size = sizeof(r), .session_id = session };
	unsigned int more = 0;
	int fd, ret;

	do {
		r.pages = CPTDEV_ROUND_MIN;
		r.pause_ns = 0;
		fd = ckdev_round(dev, &r);
		if (fd < 0)
			return fd;
		ret = stage_part(fd, replica, more);
		close(fd);
		more = CPTDEV_BEGIN_CONTINUE;
	} while (ret == 0 && r.addr);
	*pass = r.pass;
	return ret;
}

int ship_rest(int dev, uint64_t session, int replica, uint64_t pass)
{
	struct cptdev_delta d = { .size = sizeof(d), .session_id = session, .since = pass };
	int fd = ckdev_delta(dev, &d), ret;

	if (fd < 0)
		return fd;
	ret = stage_part(fd, replica, CPTDEV_BEGIN_CONTINUE);
	close(fd);
	if (ret == 0)
		ret = ckdev_replica_commit(replica, d.generation, NULL);
	return ret < 0 ? ret : ckdev_ack(dev, session, d.generation, 0);
}

uint64_t ship_find(int dev)
{
	struct cptdev_info info = { .size = sizeof(info) };
	struct cptdev_delta d = { .size = sizeof(d) };

	if (ckdev_info(dev, &info) < 0)
		return 0;
	for (d.session_id = 1; d.session_id < info.session_id; d.session_id++) {
		int fd = ckdev_delta(dev, &d);

		if (fd >= 0)
			close(fd);
		if (fd >= 0 || fd == -ENODATA || fd == -ESTALE)
			return d.session_id;
	}
	return 0;
}
