// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libckdev: snapshots and their way to the spare.
 */
#include <time.h>

#include "internal.h"

int ckdev_snapshot(int fd, struct cptdev_snapshot *snap)
{
	int ret = ckdev_ioctl(fd, CPTDEV_IOC_SNAPSHOT, snap);

	if (ret < 0)
		return ret;
	return (snap->flags & CPTDEV_SNAPSHOT_NOFD) ? 0 : snap->fd;
}

int ckdev_wait(int fd, uint64_t generation, uint64_t timeout_ns, uint64_t *committed)
{
	struct cptdev_wait arg = {
		.size = sizeof(arg), .generation = generation,
		.timeout_ns = timeout_ns,
	};
	int ret = ckdev_ioctl(fd, CPTDEV_IOC_WAIT, &arg);

	ckdev_set_out(committed, arg.committed);
	return ret;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static uint64_t deadline_in(uint64_t timeout_ns)
{
	uint64_t now = now_ns();

	return timeout_ns > CPTDEV_FOREVER - now ? CPTDEV_FOREVER : now + timeout_ns;
}

static uint64_t time_left(uint64_t deadline)
{
	uint64_t now;

	if (deadline == CPTDEV_FOREVER)
		return CPTDEV_FOREVER;
	now = now_ns();
	return now < deadline ? deadline - now : 0;
}

int ckdev_checkpoint(int fd, const void *meta, size_t meta_len, uint64_t timeout_ns,
		     uint64_t *generation)
{
	uint64_t deadline = deadline_in(timeout_ns);
	int ret;

	ckdev_set_out(generation, 0);
	if (meta_len > CPTDEV_META_MAX)
		return -EMSGSIZE;
	do {
		struct cptdev_snapshot snap = {
			.size = sizeof(snap),
			.flags = CPTDEV_SNAPSHOT_PUBLISH | CPTDEV_SNAPSHOT_NOFD,
			.meta = CKDEV_PTR(meta), .meta_len = (__u32)meta_len,
		};

		ret = ckdev_snapshot(fd, &snap);
		if (ret < 0)
			return ret;
		ckdev_set_out(generation, snap.generation);
		ret = ckdev_wait(fd, snap.generation, time_left(deadline), NULL);
		/* Dropped, because it doesn't reach back far enough: the next does. */
	} while (ret == -ECANCELED);
	return ret;
}

int ckdev_delta(int fd, struct cptdev_delta *delta)
{
	int ret = ckdev_ioctl(fd, CPTDEV_IOC_DELTA, delta);

	return ret < 0 ? ret : delta->fd;
}

int ckdev_round(int fd, struct cptdev_round *round)
{
	int ret = ckdev_ioctl(fd, CPTDEV_IOC_ROUND, round);

	return ret < 0 ? ret : round->fd;
}

int ckdev_ack(int fd, uint64_t session_id, uint64_t generation, unsigned int flags)
{
	struct cptdev_ack arg = {
		.size = sizeof(arg), .flags = flags, .session_id = session_id,
		.generation = generation,
	};

	return ckdev_ioctl(fd, CPTDEV_IOC_ACK, &arg);
}
