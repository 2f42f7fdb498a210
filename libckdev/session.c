// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libckdev: the session and its ranges, and what changed in them.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "internal.h"
#include "softwire.h"

/* Fields whose meaning differs are worse than a program that doesn't start. */
static int check_version(int fd)
{
	struct cptdev_info info = { .size = sizeof(info) };
	int ret = ckdev_info(fd, &info);

	if (ret < 0)
		return ret;
	return info.abi_version == CPTDEV_ABI_VERSION ? 0 : -EPROTO;
}

int ckdev_open(void)
{
	int saved = errno;
	int fd = (int)ckdev_result(open(CPTDEV_DEVICE, O_RDWR | O_CLOEXEC), saved);
	int ret;

	if (fd < 0)
		return fd;
	ret = check_version(fd);
	if (ret == 0)
		return fd;
	ckdev_close(fd);
	/* Something else has the name of the device. */
	return ret == -ENOTTY ? -ENODEV : ret;
}

/*
 * A session for the process, opened when it is first needed. After a fork() it is of no
 * use, and the child opens another.
 */
int ckdev_session_own(int *fd)
{
	int ret = *fd < 0 ? -EXDEV : ckdev_range_list(*fd, NULL, 0, NULL, NULL);

	if (ret != -EXDEV)
		return ret;
	if (*fd >= 0)
		ckdev_close(*fd);
	*fd = ckdev_open();
	return *fd < 0 ? *fd : 1;
}

int ckdev_info(int fd, struct cptdev_info *info)
{
	return ckdev_ioctl(fd, CPTDEV_IOC_INFO, info);
}

/* Whatever can't be a name is left to the kernel to refuse. */
int ckdev_copy_name(__u8 *to, const char *name)
{
	size_t len = name ? strnlen(name, CPTDEV_NAME_MAX) : 0;

	if (len == 0 || len == CPTDEV_NAME_MAX)
		return -EINVAL;
	memcpy(to, name, len);
	return 0;
}

int ckdev_session(int fd, const char *name, uint64_t term, unsigned int flags,
		  uint64_t held_max)
{
	struct cptdev_session_setup arg = {
		.size = sizeof(arg), .flags = flags, .term = term,
		.held_max = held_max,
	};
	int ret = ckdev_copy_name(arg.name, name);

	if (ret == 0)
		ret = ckdev_ioctl(fd, CPTDEV_IOC_SESSION_SETUP, &arg);
	if (ret == 0)
		ckdev_promise_end(fd);
	return ret;
}

int ckdev_range_add(int fd, const void *addr, size_t len, unsigned int flags,
		    struct ckdev_refusal *why)
{
	struct cptdev_range arg = {
		.size = sizeof(arg), .flags = flags, .addr = CKDEV_PTR(addr),
		.len = len,
	};
	int ret = ckdev_ioctl(fd, CPTDEV_IOC_RANGE_ADD, &arg);

	return ckdev_refuse(why, arg.bad_addr, (int)arg.reason, ret);
}

int ckdev_range_del(int fd, const void *addr, size_t len)
{
	struct cptdev_range arg = {
		.size = sizeof(arg), .addr = CKDEV_PTR(addr), .len = len,
	};

	return ckdev_ioctl(fd, CPTDEV_IOC_RANGE_DEL, &arg);
}

int ckdev_range_clear(int fd)
{
	struct cptdev_range arg = { .size = sizeof(arg) };

	return ckdev_ioctl(fd, CPTDEV_IOC_RANGE_CLEAR, &arg);
}

int ckdev_range_list(int fd, struct cptdev_range_entry *vec, unsigned int len,
		     uint64_t *pos, uint64_t *total)
{
	struct cptdev_range_list arg = {
		.size = sizeof(arg), .vec = CKDEV_PTR(vec),
		.vec_len = ckdev_count(len), .start = pos ? *pos : 0,
	};
	int ret = ckdev_ioctl(fd, CPTDEV_IOC_RANGE_LIST, &arg);

	if (ret < 0)
		return ret;
	ckdev_set_out(total, arg.total);
	if (arg.nr)
		ckdev_set_out(pos, vec[arg.nr - 1].addr + vec[arg.nr - 1].len);
	return (int)arg.nr;
}

int ckdev_scan(int fd, struct cptdev_scan *scan)
{
	int ret = ckdev_ioctl(fd, CPTDEV_IOC_SCAN, scan);

	return ret < 0 ? ret : (int)scan->nr;
}

int ckdev_alive(int fd, uint64_t timeout_ns)
{
	struct cptdev_session_alive arg = { .size = sizeof(arg), .timeout_ns = timeout_ns };
	int ret = ckdev_ioctl(fd, CPTDEV_IOC_SESSION_ALIVE, &arg);
	struct cptdev_info info = { .size = sizeof(info) };

	/* A session of an older module, or no session. */
	if (ret == -ENOTTY && ckdev_info(fd, &info) == 0)
		return -EOPNOTSUPP;
	return ret;
}

static int page_map(int fd, const struct cptdev_session_page **page)
{
	int saved = errno;
	void *p = mmap(NULL, CKDEV_PAGE_SIZE, PROT_READ, MAP_SHARED, fd, 0);
	int ret = (int)ckdev_result(p == MAP_FAILED ? -1 : 0, saved);

	if (ret == 0)
		*page = p;
	return ret;
}

static int session_page(int fd, unsigned int flags, const struct cptdev_session_page **page)
{
	struct cptdev_info info = { .size = sizeof(info) };
	int ret = ckdev_info(fd, &info), soft;

	if (ret < 0)
		return ret;
	if (!(info.features & CPTDEV_FEATURE_LEASE))
		return -EOPNOTSUPP;
	soft = ckdev_soft_session_page(fd, flags);
	if (soft == -ENOTTY)
		return page_map(fd, page);
	if (soft < 0)
		return soft;
	ret = page_map(soft, page);
	ckdev_close(soft);
	return ret;
}

int ckdev_session_page(int fd, const struct cptdev_session_page **page)
{
	return session_page(fd, 0, page);
}

int ckdev_session_page_heeded(int fd, const struct cptdev_session_page **page)
{
	return session_page(fd, SOFT_PAGE_HEEDED, page);
}

uint64_t ckdev_held_off(const struct cptdev_session_page *page)
{
	const struct soft_page_content *soft = (const void *)page;
	uint64_t until, now;

	until = soft ? __atomic_load_n(&soft->held_off_until_ns, __ATOMIC_ACQUIRE) : 0;
	if (!until)
		return 0;
	now = ckdev_boottime();
	return until > now ? until - now : 0;
}

uint64_t ckdev_boottime(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}
