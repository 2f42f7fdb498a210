// SPDX-License-Identifier: GPL-2.0-or-later
/* The kernel's side as it is: the device and the netlink family of the module. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kernel.h"
#include "netlink.h"

struct module {
	struct kernel kernel;
	struct netlink events;
	struct netlink dumps;
};

static struct module *to_module(struct kernel *k)
{
	return container_of(k, struct module, kernel);
}

static int module_open(struct kernel *k)
{
	int fd = open(CPTDEV_DEVICE, O_RDWR | O_CLOEXEC);

	(void)k;
	return fd < 0 ? -errno : fd;
}

static void module_close(struct kernel *k, int fd)
{
	(void)k;
	close(fd);
}

static int module_ioctl(struct kernel *k, int fd, unsigned int cmd, void *arg)
{
	int ret;

	(void)k;
	do {
		ret = ioctl(fd, cmd, arg);
	} while (ret < 0 && errno == EINTR);
	return ret < 0 ? -errno : 0;
}

static ssize_t module_read(struct kernel *k, int fd, void *buf, size_t len, u64 pos)
{
	ssize_t n;

	(void)k;
	do {
		n = pread(fd, buf, len, pos);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/*
 * A replica belongs to the effective user of whoever creates it, and the program that
 * takes over has to be that user. The device is opened before: its permissions are for
 * a group that the user needn't be in. A daemon that couldn't come back from the user
 * would go on with somebody else's rights, so it doesn't go on.
 */
static int create_as(struct kernel *k, int dev, const char *name, u32 uid)
{
	uid_t self = geteuid();
	int ret;

	if (uid != self && seteuid(uid) < 0)
		return -errno;
	ret = kernel_replica_open_on(k, dev, name, CPTDEV_REPLICA_CREATE);
	if (uid != self && seteuid(self) < 0)
		abort();
	return ret;
}

static int module_create(struct kernel *k, const char *name, u32 uid)
{
	int dev = module_open(k), fd;

	if (dev < 0)
		return dev;
	fd = create_as(k, dev, name, uid);
	close(dev);
	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

static int module_listen(struct kernel *k)
{
	struct module *m = to_module(k);
	int ret = netlink_open(&m->events);

	if (!ret)
		ret = netlink_listen(&m->events);
	if (!ret)
		ret = netlink_open(&m->dumps);
	return ret ? ret : netlink_fd(&m->events);
}

static int module_events(struct kernel *k, kernel_event_fn fn, void *arg)
{
	struct module *m = to_module(k);
	int ret = netlink_events(&m->events, fn, arg);

	if (ret != NETLINK_FAMILY_CHANGED)
		return ret;
	netlink_resolve(&m->dumps);
	m->events.family = m->dumps.family;
	m->events.group = m->dumps.group;
	ret = netlink_listen(&m->events);
	return ret ? ret : NETLINK_FAMILY_CHANGED;
}

/* Without netlink_listen() before, for a tool that only wants to know. */
static int module_dump(struct kernel *k, u8 cmd, kernel_event_fn fn, void *arg)
{
	struct module *m = to_module(k);
	int ret = m->dumps.sock ? 0 : netlink_open(&m->dumps);

	return ret ? ret : netlink_dump(&m->dumps, cmd, fn, arg);
}

static const struct kernel_ops module_ops = {
	.name	= "module",
	.open	= module_open,
	.close	= module_close,
	.ioctl	= module_ioctl,
	.read	= module_read,
	.create	= module_create,
	.listen	= module_listen,
	.events	= module_events,
	.dump	= module_dump,
};

struct kernel *kernel_module(void)
{
	static struct module module = { .kernel = { .ops = &module_ops } };

	return &module.kernel;
}
