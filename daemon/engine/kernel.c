// SPDX-License-Identifier: GPL-2.0-or-later
/* The ioctls, one function each. */
#include <errno.h>
#include <string.h>

#include "kernel.h"

int kernel_info(struct kernel *k, struct cptdev_info *info)
{
	int dev = k->ops->open(k), ret;

	if (dev < 0)
		return dev;
	*info = (struct cptdev_info) { .size = sizeof(*info) };
	ret = k->ops->ioctl(k, dev, CPTDEV_IOC_INFO, info);
	k->ops->close(k, dev);
	return ret;
}

int kernel_replica_whole(struct kernel *k, struct replica_rec *rec)
{
	return rec->term || !k->ops->replica ? 0 : k->ops->replica(k, rec);
}

int kernel_delta(struct kernel *k, int dev, u64 id, u64 since, u32 flags)
{
	struct cptdev_delta arg = {
		.size = sizeof(arg), .flags = flags, .session_id = id, .since = since,
	};
	int ret = k->ops->ioctl(k, dev, CPTDEV_IOC_DELTA, &arg);

	if (ret == -EOPNOTSUPP && flags)
		return kernel_delta(k, dev, id, since, 0);
	return ret ? ret : arg.fd;
}

int kernel_round(struct kernel *k, int dev, struct cptdev_round *r)
{
	int ret;

	r->size = sizeof(*r);
	ret = k->ops->ioctl(k, dev, CPTDEV_IOC_ROUND, r);
	return ret ? ret : r->fd;
}

int kernel_ack(struct kernel *k, int dev, u64 id, u64 generation, u32 flags)
{
	struct cptdev_ack arg = {
		.size = sizeof(arg), .flags = flags, .session_id = id,
		.generation = generation,
	};

	return k->ops->ioctl(k, dev, CPTDEV_IOC_ACK, &arg);
}

int kernel_tell(struct kernel *k, struct cptdev_ack *arg)
{
	int dev = k->ops->open(k), ret;

	if (dev < 0)
		return dev;
	arg->size = sizeof(*arg);
	ret = k->ops->ioctl(k, dev, CPTDEV_IOC_ACK, arg);
	k->ops->close(k, dev);
	return ret;
}

int kernel_keep(struct kernel *k, u64 id, u64 max_bytes, bool stop)
{
	struct cptdev_keep arg = {
		.size = sizeof(arg), .flags = stop ? CPTDEV_KEEP_STOP : 0, .session_id = id,
		.max_bytes = max_bytes,
	};
	int dev = k->ops->open(k), ret;

	if (dev < 0)
		return dev;
	ret = k->ops->ioctl(k, dev, CPTDEV_IOC_KEEP, &arg);
	k->ops->close(k, dev);
	return ret;
}

int kernel_hold_off(struct kernel *k, u64 id, u64 until)
{
	return k->ops->hold_off ? k->ops->hold_off(k, id, until) : -ENOTTY;
}

int kernel_image_info(struct kernel *k, int fd, struct cptdev_image_info *info)
{
	*info = (struct cptdev_image_info) { .size = sizeof(*info) };
	return k->ops->ioctl(k, fd, CPTDEV_IOC_IMAGE_INFO, info);
}

int kernel_image_read(struct kernel *k, int fd, unsigned int cmd, void *vec, u32 nr,
		      u64 start, u64 *next)
{
	struct cptdev_image_vec arg = {
		.size = sizeof(arg), .vec = (unsigned long)vec, .vec_len = nr,
		.start = start,
	};
	int ret = k->ops->ioctl(k, fd, cmd, &arg);

	if (ret)
		return ret;
	*next = arg.next;
	return arg.nr;
}

int kernel_replica_open_on(struct kernel *k, int dev, const char *name, u32 flags)
{
	struct cptdev_replica_open arg = { .size = sizeof(arg), .flags = flags };
	int ret;

	strncpy((char *)arg.name, name, sizeof(arg.name) - 1);
	ret = k->ops->ioctl(k, dev, CPTDEV_IOC_REPLICA_OPEN, &arg);
	return ret ? ret : arg.fd;
}

int kernel_replica_open(struct kernel *k, const char *name, u32 flags)
{
	int dev = k->ops->open(k), ret;

	if (dev < 0)
		return dev;
	ret = kernel_replica_open_on(k, dev, name, flags);
	k->ops->close(k, dev);
	return ret;
}

static int promote(struct kernel *k, int fd, u32 flags, u64 *term, u64 *generation)
{
	struct cptdev_replica_promote arg = {
		.size = sizeof(arg), .flags = flags, .term = *term,
	};
	int ret = k->ops->ioctl(k, fd, CPTDEV_IOC_REPLICA_PROMOTE, &arg);

	*term = arg.term;
	*generation = arg.generation;
	return ret;
}

int kernel_replica_promote(struct kernel *k, int fd, u64 *term, u64 *generation)
{
	return promote(k, fd, 0, term, generation);
}

int kernel_replica_back(struct kernel *k, int fd, u64 *term, u64 *generation)
{
	return promote(k, fd, CPTDEV_PROMOTE_AT, term, generation);
}

int kernel_replica_at(struct kernel *k, int fd, u64 generation)
{
	struct cptdev_replica_at arg = { .size = sizeof(arg), .generation = generation };

	return k->ops->ioctl(k, fd, CPTDEV_IOC_REPLICA_AT, &arg);
}

int kernel_replica_history(struct kernel *k, int fd, struct cptdev_replica_history *arg)
{
	arg->size = sizeof(*arg);
	return k->ops->ioctl(k, fd, CPTDEV_IOC_REPLICA_HISTORY, arg);
}

int kernel_replica_commit(struct kernel *k, int fd, u64 generation, u64 *pages)
{
	struct cptdev_replica_commit arg = {
		.size = sizeof(arg), .generation = generation,
	};
	int ret = k->ops->ioctl(k, fd, CPTDEV_IOC_REPLICA_COMMIT, &arg);

	*pages = arg.pages;
	return ret;
}

int kernel_replica_freeze(struct kernel *k, int fd)
{
	struct cptdev_replica_freeze arg = { .size = sizeof(arg) };

	return k->ops->ioctl(k, fd, CPTDEV_IOC_REPLICA_FREEZE, &arg);
}

int kernel_replica_remove(struct kernel *k, int fd)
{
	struct cptdev_replica_remove arg = { .size = sizeof(arg) };

	return k->ops->ioctl(k, fd, CPTDEV_IOC_REPLICA_REMOVE, &arg);
}
