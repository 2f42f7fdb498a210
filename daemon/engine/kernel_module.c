// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The kernel's side as it is: the device and the netlink family of the module.
 *
 * An event has neither UUID nor term, as everybody may listen. Those of a session are asked for once
 * and kept, as nothing changes them but its set-up; of a replica, the receiver has to ask for them.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/queue.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernel.h"
#include "netlink.h"
#include "uuid.h"

/* What events don't say of a session. */
struct kept {
	LIST_ENTRY(kept) entry;
	u64 id;
	u8 uuid[CPTDEV_UUID_LEN];
	u64 term;
};

struct module {
	struct kernel kernel;
	struct netlink events;
	struct netlink dumps;
	LIST_HEAD(kept_list, kept) kept;
	/* of the one who listens */
	kernel_event_fn fn;
	void *arg;
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
 *
 * A daemon with a user of its own loses its capabilities on the way back from root, unless they are
 * kept, and has to make them effective again.
 */
struct caps {
	struct __user_cap_header_struct head;
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
};

static int caps_keep(struct caps *c)
{
	c->head = (struct __user_cap_header_struct) { .version = _LINUX_CAPABILITY_VERSION_3 };
	return syscall(SYS_capget, &c->head, c->data) || prctl(PR_SET_KEEPCAPS, 1) ? -errno : 0;
}

static bool come_back(uid_t self, struct caps *c)
{
	return !seteuid(self) && !syscall(SYS_capset, &c->head, c->data);
}

static int create_as(struct kernel *k, int dev, const char *name, u32 uid)
{
	uid_t self = geteuid();
	struct caps caps;
	int ret;

	if (uid == self)
		return kernel_replica_open_on(k, dev, name, CPTDEV_REPLICA_CREATE);
	ret = caps_keep(&caps);
	if (ret)
		return ret;
	if (seteuid(uid) < 0)
		return -errno;
	ret = kernel_replica_open_on(k, dev, name, CPTDEV_REPLICA_CREATE);
	if (!come_back(self, &caps))
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

static struct kept *kept_find(struct module *m, u64 id)
{
	struct kept *e;

	LIST_FOREACH(e, &m->kept, entry)
		if (e->id == id)
			return e;
	return NULL;
}

static void kept_drop(struct kept *e)
{
	LIST_REMOVE(e, entry);
	free(e);
}

static void keep(struct module *m, const struct session_rec *rec)
{
	struct kept *e = kept_find(m, rec->id);

	if (!e) {
		e = calloc(1, sizeof(*e));
		if (!e)
			return;
		e->id = rec->id;
		LIST_INSERT_HEAD(&m->kept, e, entry);
	}
	memcpy(e->uuid, rec->uuid, sizeof(e->uuid));
	e->term = rec->term;
}

static void take_session(const struct kernel_event *ev, void *arg)
{
	if (ev->session)
		*(struct session_rec *)arg = *ev->session;
}

static void take_replica(const struct kernel_event *ev, void *arg)
{
	if (ev->replica)
		*(struct replica_rec *)arg = *ev->replica;
}

/* A session that is gone, or another user's, can't be asked about. */
static bool complete_session(struct module *m, u8 cmd, struct session_rec *rec)
{
	struct kept *e = kept_find(m, rec->id);
	struct session_rec now = {};

	if (e && cmd == CPTDEV_CMD_SESSION_NEW_NTF) {
		kept_drop(e);
		e = NULL;
	}
	if (!e && cmd != CPTDEV_CMD_SESSION_GONE_NTF &&
	    !netlink_get_session(&m->dumps, rec->id, take_session, &now)) {
		keep(m, &now);
		memcpy(rec->uuid, now.uuid, sizeof(rec->uuid));
		rec->term = now.term;
		return true;
	}
	if (e) {
		memcpy(rec->uuid, e->uuid, sizeof(rec->uuid));
		rec->term = e->term;
	}
	if (e && cmd == CPTDEV_CMD_SESSION_GONE_NTF)
		kept_drop(e);
	return e || cmd == CPTDEV_CMD_SESSION_GONE_NTF;
}

static int module_replica(struct kernel *k, struct replica_rec *rec)
{
	struct replica_rec now = {};
	int ret = netlink_get_replica(&to_module(k)->dumps, rec->name, take_replica, &now);

	if (!ret)
		*rec = now;
	return ret;
}

static void complete(const struct kernel_event *ev, void *arg)
{
	struct module *m = arg;
	struct kernel_event whole = *ev;
	struct session_rec session;

	/* A module of an earlier version says it all. */
	if (ev->session && uuid_same(ev->session->uuid, uuid_none)) {
		session = *ev->session;
		whole.session = &session;
		if (!complete_session(m, ev->cmd, &session))
			return;
	}
	m->fn(&whole, m->arg);
}

static int module_events(struct kernel *k, kernel_event_fn fn, void *arg)
{
	struct module *m = to_module(k);
	int ret;

	m->fn = fn;
	m->arg = arg;
	ret = netlink_events(&m->events, complete, m);

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

	/* Events may have been lost, and with them that sessions are gone. */
	while (cmd == CPTDEV_CMD_SESSION_GET && !LIST_EMPTY(&m->kept))
		kept_drop(LIST_FIRST(&m->kept));
	return ret ? ret : netlink_dump(&m->dumps, cmd, fn, arg);
}

static const struct kernel_ops module_ops = {
	.name	= "module",
	.lends	= true,
	.open	= module_open,
	.close	= module_close,
	.ioctl	= module_ioctl,
	.read	= module_read,
	.create	= module_create,
	.listen	= module_listen,
	.events	= module_events,
	.dump	= module_dump,
	.replica = module_replica,
};

struct kernel *kernel_module(void)
{
	static struct module module = { .kernel = { .ops = &module_ops } };

	return &module.kernel;
}
