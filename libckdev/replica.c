// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libckdev: replicas, for who fills them and for who waits for one.
 */
#include <poll.h>
#include <time.h>

#include "internal.h"

int ckdev_replica_open(int fd, const char *name, unsigned int flags,
		       uint64_t max_bytes)
{
	struct cptdev_replica_open arg = {
		.size = sizeof(arg), .flags = flags, .max_bytes = max_bytes,
	};
	int ret = ckdev_copy_name(arg.name, name);

	if (ret == 0)
		ret = ckdev_ioctl(fd, CPTDEV_IOC_REPLICA_OPEN, &arg);
	return ret < 0 ? ret : arg.fd;
}

int ckdev_replica_begin(int fd, struct cptdev_replica_begin *begin)
{
	return ckdev_ioctl(fd, CPTDEV_IOC_REPLICA_BEGIN, begin);
}

int ckdev_replica_stage(int fd, const struct cptdev_extent *vec, unsigned int nr,
			const void *data, size_t len)
{
	struct cptdev_replica_stage arg = {
		.size = sizeof(arg), .vec = CKDEV_PTR(vec), .vec_len = nr,
		.data = CKDEV_PTR(data), .data_len = len,
	};

	return ckdev_ioctl(fd, CPTDEV_IOC_REPLICA_STAGE, &arg);
}

int ckdev_replica_commit(int fd, uint64_t generation, uint64_t *pages)
{
	struct cptdev_replica_commit arg = {
		.size = sizeof(arg), .generation = generation,
	};
	int ret = ckdev_ioctl(fd, CPTDEV_IOC_REPLICA_COMMIT, &arg);

	ckdev_set_out(pages, arg.pages);
	return ret;
}

int ckdev_replica_abort(int fd)
{
	struct cptdev_replica_commit arg = { .size = sizeof(arg) };

	return ckdev_ioctl(fd, CPTDEV_IOC_REPLICA_ABORT, &arg);
}

static int replica_freeze(int fd, __u32 flags, uint64_t *generation)
{
	struct cptdev_replica_freeze arg = { .size = sizeof(arg), .flags = flags };
	int ret = ckdev_ioctl(fd, CPTDEV_IOC_REPLICA_FREEZE, &arg);

	ckdev_set_out(generation, arg.generation);
	return ret;
}

int ckdev_replica_freeze(int fd, uint64_t *generation)
{
	return replica_freeze(fd, 0, generation);
}

int ckdev_replica_thaw(int fd)
{
	return replica_freeze(fd, CPTDEV_FREEZE_THAW, NULL);
}

static int replica_promote(int fd, __u32 flags, uint64_t *term, uint64_t *generation)
{
	struct cptdev_replica_promote arg = {
		.size = sizeof(arg), .flags = flags, .term = term ? *term : 0,
	};
	int ret = ckdev_ioctl(fd, CPTDEV_IOC_REPLICA_PROMOTE, &arg);

	ckdev_set_out(term, arg.term);
	ckdev_set_out(generation, arg.generation);
	return ret;
}

int ckdev_replica_promote(int fd, uint64_t *term, uint64_t *generation)
{
	return replica_promote(fd, 0, term, generation);
}

int ckdev_replica_back(int fd, uint64_t *term, uint64_t *generation)
{
	return replica_promote(fd, CPTDEV_PROMOTE_AT, term, generation);
}

int ckdev_replica_claim(int fd, uint64_t *term, uint64_t *generation, unsigned int flags)
{
	struct cptdev_replica_claim arg = {
		.size = sizeof(arg), .flags = flags, .term = term ? *term : 0,
	};
	int ret = ckdev_ioctl(fd, CPTDEV_IOC_REPLICA_CLAIM, &arg);

	ckdev_set_out(term, arg.term);
	ckdev_set_out(generation, arg.generation);
	return ret;
}

int ckdev_replica_copied(int fd, uint64_t commits, uint64_t *behind)
{
	struct cptdev_replica_copied arg = { .size = sizeof(arg), .commits = commits };
	int ret = ckdev_ioctl(fd, CPTDEV_IOC_REPLICA_COPIED, &arg);

	ckdev_set_out(behind, arg.behind);
	return ret;
}

int ckdev_replica_history(int fd, struct cptdev_past *past, unsigned int nr)
{
	struct cptdev_replica_history arg = {
		.size = sizeof(arg), .vec = CKDEV_PTR(past), .vec_len = nr,
	};
	int ret = ckdev_ioctl(fd, CPTDEV_IOC_REPLICA_HISTORY, &arg);

	return ret < 0 ? ret : (int)arg.nr;
}

int ckdev_replica_keep(int fd, unsigned int generations, uint64_t max_bytes)
{
	struct cptdev_replica_history arg = {
		.size = sizeof(arg), .flags = CPTDEV_HISTORY_SET, .keep = generations,
		.max_bytes = max_bytes,
	};

	return ckdev_ioctl(fd, CPTDEV_IOC_REPLICA_HISTORY, &arg);
}

int ckdev_replica_at(int fd, uint64_t generation)
{
	struct cptdev_replica_at arg = { .size = sizeof(arg), .generation = generation };

	return ckdev_ioctl(fd, CPTDEV_IOC_REPLICA_AT, &arg);
}

int ckdev_replica_remove(int fd)
{
	struct cptdev_replica_remove arg = { .size = sizeof(arg) };

	return ckdev_ioctl(fd, CPTDEV_IOC_REPLICA_REMOVE, &arg);
}

/*
 * Other descriptors poll as well, but for other events. A flag that no kernel will ever
 * know asks without doing anything.
 */
static int check_replica(int fd)
{
	int ret = replica_freeze(fd, ~0U, NULL);

	return ret == -EOPNOTSUPP ? 0 : ret;
}

int ckdev_replica_wait(int fd, unsigned int flags, uint64_t timeout_ns)
{
	struct pollfd pfd = { .fd = fd, .events = POLLPRI };
	struct timespec ts = {
		.tv_sec = (time_t)(timeout_ns / 1000000000),
		.tv_nsec = (long)(timeout_ns % 1000000000),
	};
	int saved = errno, ret;

	if (flags & ~CKDEV_WAIT_COMMITS)
		return -EINVAL;
	ret = check_replica(fd);
	if (ret < 0)
		return ret;
	if (ckdev_is_soft(fd))
		return ckdev_soft_replica_wait(fd, flags, timeout_ns);
	if (flags & CKDEV_WAIT_COMMITS)
		pfd.events |= POLLIN;
	ret = ppoll(&pfd, 1, timeout_ns == CPTDEV_FOREVER ? NULL : &ts, NULL);
	ret = (int)ckdev_result(ret, saved);
	if (ret <= 0)
		return ret < 0 ? ret : -ETIMEDOUT;
	ret = ((pfd.revents & POLLPRI) ? CKDEV_PROMOTED : 0) |
		((pfd.revents & POLLIN) ? CKDEV_COMMITTED : 0);
	return ret ? ret : -ENOENT;	/* removed: nothing will come */
}
